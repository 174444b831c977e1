CREATE TABLE wallets (
    id UUID PRIMARY KEY,
    tenant_id UUID NOT NULL,
    user_id UUID NOT NULL,
    currency TEXT NOT NULL,
    label TEXT NOT NULL,
    available BIGINT NOT NULL DEFAULT 0 CHECK (available >= 0),
    frozen BIGINT NOT NULL DEFAULT 0 CHECK (frozen >= 0),
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX wallets_of_tenant ON wallets (tenant_id, id);
CREATE INDEX wallets_of_user ON wallets (tenant_id, user_id, id);

CREATE TABLE transactions (
    id UUID PRIMARY KEY,
    tenant_id UUID NOT NULL,
    wallet_id UUID NOT NULL REFERENCES wallets (id),
    posting_id UUID NOT NULL,
    kind TEXT NOT NULL,
    status TEXT NOT NULL,
    amount BIGINT NOT NULL CHECK (amount > 0),
    currency TEXT NOT NULL,
    balance_after BIGINT NOT NULL CHECK (balance_after >= 0),
    description TEXT NOT NULL,
    related_id UUID,
    reversed_by UUID,
    created_by UUID,
    created_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX transactions_of_tenant ON transactions (tenant_id, id);
CREATE INDEX transactions_of_wallet ON transactions (tenant_id, wallet_id, id);

-- Both sides of every movement; the amounts of one posting add up to zero. Rows are only ever added.
CREATE TABLE entries (
    posting_id UUID NOT NULL,
    line BIGINT NOT NULL,
    tenant_id UUID NOT NULL,
    wallet_id UUID REFERENCES wallets (id),
    pocket TEXT NOT NULL CHECK (pocket IN ('available', 'frozen', 'outside')),
    currency TEXT NOT NULL,
    amount BIGINT NOT NULL CHECK (amount <> 0),
    created_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (posting_id, line)
);
CREATE INDEX entries_of_wallet ON entries (tenant_id, wallet_id);

CREATE TABLE holds (
    id UUID PRIMARY KEY,
    tenant_id UUID NOT NULL,
    wallet_id UUID NOT NULL REFERENCES wallets (id),
    amount BIGINT NOT NULL CHECK (amount > 0),
    currency TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('held', 'confirmed', 'canceled')),
    expires_at TIMESTAMPTZ NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX holds_open ON holds (expires_at) WHERE status = 'held';
CREATE INDEX holds_open_of_wallet ON holds (tenant_id, wallet_id) WHERE status = 'held';

-- The first answer to each key, given again for 24 hours.
CREATE TABLE answers (
    tenant_id UUID NOT NULL,
    idempotency_key UUID NOT NULL,
    operation TEXT NOT NULL,
    user_id UUID,
    request BYTEA NOT NULL,
    answer BYTEA NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (tenant_id, idempotency_key)
);
CREATE INDEX answers_by_age ON answers (created_at);
