-- What a tenant set up for a channel. Credentials are not here: they are the integration-hub's.
CREATE TABLE channels (
    tenant_id UUID NOT NULL,
    channel TEXT NOT NULL,
    name TEXT NOT NULL,
    config JSONB NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (tenant_id, channel)
);

-- What was pushed, in the order in which it was; a connection that was lost begins here again.
CREATE TABLE pushes (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant_id UUID NOT NULL,
    channel TEXT NOT NULL,
    notification_id UUID NOT NULL UNIQUE,
    frame TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX pushes_of_channel ON pushes (tenant_id, channel, sequence);
CREATE INDEX pushes_by_age ON pushes (created_at);
