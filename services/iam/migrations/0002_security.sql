-- A second factor that is on. The secret itself is in `authenticators`.
ALTER TABLE users ADD COLUMN mfa_enabled BOOLEAN NOT NULL DEFAULT FALSE;

CREATE TABLE authenticators (
    user_id UUID PRIMARY KEY REFERENCES users (id),
    -- The shared secret, under a key of the secrets store.
    sealed_secret BYTEA NOT NULL,
    -- The time step of the last code that was taken: no code is good twice.
    last_step BIGINT NOT NULL,
    -- Of all recovery codes of this set, so that one guess is one hash.
    recovery_salt TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL
);

-- Argon2id; a code that was used is deleted.
CREATE TABLE recovery_codes (
    user_id UUID NOT NULL REFERENCES users (id),
    hash TEXT NOT NULL,
    PRIMARY KEY (user_id, hash)
);

-- Letters with a link whose token is good once. The token follows from the id and a key of the secrets store: a letter
-- that is sent twice says the same, and who reads this table has no token. Whether anybody has the address is looked up
-- when it is sent, so that whoever asked for it learns nothing.
CREATE TABLE letters (
    id UUID PRIMARY KEY,
    purpose TEXT NOT NULL CHECK (purpose IN ('verify', 'reset', 'invite')),
    email TEXT NOT NULL,
    -- Invitations only: where to, with which roles.
    tenant_id UUID REFERENCES tenants (id),
    role_ids JSONB,
    created_at TIMESTAMPTZ NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL,
    -- When it is to be sent; absent once that was done.
    send_at TIMESTAMPTZ,
    attempts BIGINT NOT NULL
);
CREATE INDEX letters_to_send ON letters (send_at);
CREATE INDEX letters_expired ON letters (expires_at);
CREATE INDEX letters_of_email ON letters (email);

-- When each version of the signing key was made; the keys are in the secrets store.
CREATE TABLE signing_keys (
    version BIGINT PRIMARY KEY,
    created_at TIMESTAMPTZ NOT NULL
);

-- Deleted tenants whose subscriptions are still to be canceled at billing.
CREATE TABLE farewells (
    tenant_id UUID PRIMARY KEY,
    created_at TIMESTAMPTZ NOT NULL
);

CREATE INDEX tenant_ancestry_below ON tenant_ancestry (ancestor_id, descendant_id);
CREATE INDEX sessions_of_user ON sessions (user_id);
CREATE INDEX sessions_of_tenant ON sessions (tenant_id);
