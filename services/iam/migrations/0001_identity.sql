-- Users are global: one account may belong to many tenants.
CREATE TABLE users (
    id UUID PRIMARY KEY,
    email TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    -- Absent until the user has set a password.
    password_hash TEXT,
    email_verified BOOLEAN NOT NULL,
    last_tenant_id UUID,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL
);

CREATE TABLE tenants (
    id UUID PRIMARY KEY,
    name TEXT NOT NULL,
    tier TEXT NOT NULL CHECK (tier IN ('platform', 'partner', 'client')),
    status TEXT NOT NULL CHECK (status IN ('active', 'blocked')),
    parent_id UUID REFERENCES tenants (id),
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL
);
-- There is one platform.
CREATE UNIQUE INDEX tenants_one_platform ON tenants (tier) WHERE tier = 'platform';

-- The closure of "is above": a tenant is its own ancestor at depth 0.
CREATE TABLE tenant_ancestry (
    ancestor_id UUID NOT NULL REFERENCES tenants (id),
    descendant_id UUID NOT NULL REFERENCES tenants (id),
    depth BIGINT NOT NULL,
    PRIMARY KEY (descendant_id, ancestor_id)
);

CREATE TABLE members (
    tenant_id UUID NOT NULL REFERENCES tenants (id),
    user_id UUID NOT NULL REFERENCES users (id),
    created_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (tenant_id, user_id)
);
CREATE INDEX members_of_user ON members (user_id);

-- Built-in roles stand in the code; these are a tenant's own.
CREATE TABLE roles (
    id UUID PRIMARY KEY,
    tenant_id UUID NOT NULL REFERENCES tenants (id),
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    permissions JSONB NOT NULL,
    created_by UUID NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    UNIQUE (tenant_id, name)
);

CREATE TABLE member_roles (
    tenant_id UUID NOT NULL,
    user_id UUID NOT NULL,
    role_id UUID NOT NULL,
    PRIMARY KEY (tenant_id, user_id, role_id),
    FOREIGN KEY (tenant_id, user_id) REFERENCES members (tenant_id, user_id)
);

-- A session is what one login opened; its refresh tokens follow each other.
CREATE TABLE sessions (
    id UUID PRIMARY KEY,
    user_id UUID NOT NULL REFERENCES users (id),
    tenant_id UUID NOT NULL REFERENCES tenants (id),
    created_at TIMESTAMPTZ NOT NULL,
    revoked_at TIMESTAMPTZ
);

-- Only a digest is kept: who reads this table cannot sign in with it.
CREATE TABLE refresh_tokens (
    digest TEXT PRIMARY KEY,
    session_id UUID NOT NULL REFERENCES sessions (id),
    created_at TIMESTAMPTZ NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL,
    used_at TIMESTAMPTZ
);
CREATE INDEX refresh_tokens_expired ON refresh_tokens (expires_at);
CREATE INDEX refresh_tokens_of_session ON refresh_tokens (session_id);

-- The question "which tenant?" after a login.
CREATE TABLE tenant_choices (
    digest TEXT PRIMARY KEY,
    user_id UUID NOT NULL REFERENCES users (id),
    expires_at TIMESTAMPTZ NOT NULL
);

-- What a new tenant still needs at other services. A row goes when all of it is done.
CREATE TABLE onboarding (
    tenant_id UUID PRIMARY KEY REFERENCES tenants (id),
    user_id UUID NOT NULL,
    wallet_done BOOLEAN NOT NULL,
    subscription_done BOOLEAN NOT NULL,
    created_at TIMESTAMPTZ NOT NULL
);
