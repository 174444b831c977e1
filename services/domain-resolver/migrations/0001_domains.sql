CREATE TABLE domains (
    tenant_id UUID NOT NULL,
    id UUID NOT NULL,
    hostname TEXT NOT NULL,
    token TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('pending', 'verified', 'failed')),
    last_error TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    checked_at TIMESTAMPTZ,
    verified_at TIMESTAMPTZ,
    PRIMARY KEY (tenant_id, id)
);
-- One owner per name over all tenants; a name that was given up is free again.
CREATE UNIQUE INDEX domains_hostname ON domains (hostname) WHERE status <> 'failed';
CREATE INDEX domains_pending ON domains (created_at) WHERE status = 'pending';
