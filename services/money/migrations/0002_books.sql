-- Rows of the books are only ever added, also by whoever opens the file with a tool and good intentions. What was wrong
-- is put right by a posting of its own.
CREATE TRIGGER entries_are_never_changed BEFORE UPDATE ON entries
BEGIN SELECT RAISE(ABORT, 'entries are only ever added'); END;
CREATE TRIGGER entries_are_never_deleted BEFORE DELETE ON entries
BEGIN SELECT RAISE(ABORT, 'entries are only ever added'); END;

-- A reversal asks for every side of a posting.
CREATE INDEX transactions_of_posting ON transactions (tenant_id, posting_id);
