CREATE TABLE providers (
    tenant_id UUID NOT NULL,
    id UUID NOT NULL,
    name TEXT NOT NULL,
    type TEXT NOT NULL,
    base_url TEXT NOT NULL,
    auth_type TEXT NOT NULL,
    timeout_ms BIGINT NOT NULL CHECK (timeout_ms > 0),
    retries BIGINT NOT NULL CHECK (retries >= 0),
    headers JSONB NOT NULL,
    enabled BOOLEAN NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, name)
);

-- Calls that were given up on. The provider may be gone, hence no reference.
CREATE TABLE integration_dlq (
    tenant_id UUID NOT NULL,
    id UUID NOT NULL,
    provider_id UUID NOT NULL,
    provider_name TEXT NOT NULL,
    request JSONB NOT NULL,
    error TEXT NOT NULL,
    attempts BIGINT NOT NULL CHECK (attempts > 0),
    created_at TIMESTAMPTZ NOT NULL,
    last_retry_at TIMESTAMPTZ,
    PRIMARY KEY (tenant_id, id)
);
CREATE INDEX integration_dlq_age ON integration_dlq (created_at);
