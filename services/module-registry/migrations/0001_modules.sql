CREATE TABLE modules (
    id UUID PRIMARY KEY,
    tenant_id UUID NOT NULL,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('pending', 'installing', 'active', 'failed', 'disabled')),
    error TEXT NOT NULL DEFAULT '',
    manifest JSONB NOT NULL,
    idempotency_key TEXT,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    activated_at TIMESTAMPTZ
);
CREATE UNIQUE INDEX modules_by_name ON modules (tenant_id, name);
CREATE UNIQUE INDEX modules_by_key ON modules (tenant_id, idempotency_key);
CREATE INDEX modules_of_tenant ON modules (tenant_id, id);
CREATE INDEX modules_to_install ON modules (id) WHERE status IN ('pending', 'installing');
