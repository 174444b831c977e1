CREATE TABLE notifications (
    id UUID PRIMARY KEY,
    tenant_id UUID NOT NULL,
    channel TEXT NOT NULL,
    recipient TEXT NOT NULL,
    template TEXT NOT NULL,
    template_version BIGINT NOT NULL,
    subject TEXT NOT NULL,
    body TEXT NOT NULL,
    priority TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('queued', 'delivered', 'failed')),
    attempts BIGINT NOT NULL DEFAULT 0,
    last_error TEXT NOT NULL DEFAULT '',
    idempotency_key TEXT,
    created_at TIMESTAMPTZ NOT NULL,
    delivered_at TIMESTAMPTZ,
    next_attempt_at TIMESTAMPTZ
);
CREATE INDEX notifications_of_tenant ON notifications (tenant_id, id);
CREATE INDEX notifications_queued ON notifications (id) WHERE status = 'queued';
CREATE INDEX notifications_by_age ON notifications (status, created_at);
CREATE UNIQUE INDEX notifications_by_key ON notifications (tenant_id, idempotency_key);

-- Every version of every template; rows are only ever added.
CREATE TABLE templates (
    id UUID PRIMARY KEY,
    tenant_id UUID NOT NULL,
    name TEXT NOT NULL,
    version BIGINT NOT NULL,
    channels JSONB NOT NULL,
    subject TEXT NOT NULL,
    body TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL
);
CREATE UNIQUE INDEX templates_by_version ON templates (tenant_id, name, version);
