CREATE TABLE plans (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    billing_interval TEXT NOT NULL CHECK (billing_interval IN ('month', 'year')),
    -- Minor units per interval.
    price BIGINT NOT NULL CHECK (price >= 0),
    currency TEXT NOT NULL,
    limits JSONB NOT NULL,
    features JSONB NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL
);

-- Every tenant has exactly one.
CREATE TABLE subscriptions (
    tenant_id UUID PRIMARY KEY,
    id UUID NOT NULL UNIQUE,
    plan_id TEXT NOT NULL REFERENCES plans (id),
    status TEXT NOT NULL
        CHECK (status IN ('trialing', 'active', 'past_due', 'suspended', 'terminated', 'canceled')),
    pending_plan_id TEXT REFERENCES plans (id),
    current_period_end TIMESTAMPTZ NOT NULL,
    past_due_since TIMESTAMPTZ,
    version BIGINT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX subscriptions_by_period ON subscriptions (status, current_period_end);

-- How much of each resource is used. Events are counted per day, everything else in the period ''.
CREATE TABLE usage (
    tenant_id UUID NOT NULL,
    resource TEXT NOT NULL,
    period TEXT NOT NULL,
    used BIGINT NOT NULL CHECK (used >= 0),
    PRIMARY KEY (tenant_id, resource, period)
);

-- Reports that were counted, so that none counts twice.
CREATE TABLE usage_reports (
    tenant_id UUID NOT NULL,
    id UUID NOT NULL,
    reported_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (tenant_id, id)
);
CREATE INDEX usage_reports_by_time ON usage_reports (reported_at);
