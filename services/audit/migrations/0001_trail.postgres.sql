-- The same table as in 0001_trail.sql; only the triggers are PostgreSQL's own.
-- Times are microseconds and documents are the exact text that was hashed: neither may be changed by the store.
CREATE TABLE trail (
    tenant_id UUID NOT NULL,
    sequence BIGINT NOT NULL CHECK (sequence > 0),
    audit_id UUID NOT NULL,
    action TEXT NOT NULL,
    entity_type TEXT NOT NULL,
    entity_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    ip TEXT NOT NULL,
    user_agent TEXT NOT NULL,
    before_text TEXT,
    after_text TEXT,
    metadata_text TEXT,
    occurred_at BIGINT NOT NULL,
    previous_hash TEXT NOT NULL,
    hash TEXT NOT NULL,
    PRIMARY KEY (tenant_id, sequence),
    UNIQUE (tenant_id, audit_id)
);
CREATE INDEX trail_by_entity ON trail (tenant_id, entity_type, entity_id, sequence);
CREATE INDEX trail_by_action ON trail (tenant_id, action, sequence);
CREATE INDEX trail_by_user ON trail (tenant_id, user_id, sequence);
CREATE INDEX trail_by_time ON trail (tenant_id, occurred_at);

-- Append-only, also for whoever connects with a tool and good intentions.
CREATE FUNCTION trail_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'the audit trail is append-only'; END $$;
CREATE TRIGGER trail_is_never_changed BEFORE UPDATE OR DELETE ON trail
    FOR EACH ROW EXECUTE FUNCTION trail_is_append_only();
CREATE TRIGGER trail_is_never_emptied BEFORE TRUNCATE ON trail
    FOR EACH STATEMENT EXECUTE FUNCTION trail_is_append_only();
