-- The same triggers as in 0002_books.sql, in PostgreSQL's own words.
CREATE FUNCTION entries_are_only_added() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'entries are only ever added'; END $$;
CREATE TRIGGER entries_are_never_changed BEFORE UPDATE OR DELETE ON entries
    FOR EACH ROW EXECUTE FUNCTION entries_are_only_added();
CREATE TRIGGER entries_are_never_emptied BEFORE TRUNCATE ON entries
    FOR EACH STATEMENT EXECUTE FUNCTION entries_are_only_added();

-- A reversal asks for every side of a posting.
CREATE INDEX transactions_of_posting ON transactions (tenant_id, posting_id);
