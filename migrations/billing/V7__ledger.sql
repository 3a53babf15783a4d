-- Double entry. An entry's lines are written while it is open; posting it proves that they balance, and from then on
-- neither it nor they change. Corrections are entries of their own.
CREATE TABLE billing_ledger_entries (
    id          BLOB    NOT NULL PRIMARY KEY,
    currency    TEXT    NOT NULL,
    day         TEXT    NOT NULL,  -- on which it counts
    kind        TEXT    NOT NULL,  -- invoice, credit_note, payment, refund, credit, void, write_off, recognition
    document_id BLOB,              -- what it is about
    user_id     BLOB,              -- of billing_accounts
    memo        TEXT    NOT NULL,
    is_posted   INTEGER NOT NULL DEFAULT 0 CHECK (is_posted IN (0, 1)),
    created_at  INTEGER NOT NULL   -- UTC, ms
) STRICT, WITHOUT ROWID;

CREATE INDEX billing_ledger_entries_by_document ON billing_ledger_entries (document_id) WHERE document_id IS NOT NULL;
CREATE INDEX billing_ledger_entries_by_day ON billing_ledger_entries (currency, day, id);

CREATE TABLE billing_ledger_lines (
    entry_id     BLOB    NOT NULL REFERENCES billing_ledger_entries (id),
    account      TEXT    NOT NULL CHECK (account IN ('receivable', 'revenue', 'deferred_revenue', 'tax', 'cash', 'credit', 'write_off', 'fees')),
    amount_minor INTEGER NOT NULL,  -- debit is positive, credit negative
    PRIMARY KEY (entry_id, account)
) STRICT, WITHOUT ROWID;

-- What posted entries come to, by month; kept by the trigger that posts, proven by `ashlar doctor`.
CREATE TABLE billing_ledger_balances (
    currency     TEXT    NOT NULL,
    account      TEXT    NOT NULL,
    month        TEXT    NOT NULL,  -- 2026-11
    debit_minor  INTEGER NOT NULL,
    credit_minor INTEGER NOT NULL,
    PRIMARY KEY (currency, account, month)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER billing_ledger_entries_balance
BEFORE UPDATE OF is_posted ON billing_ledger_entries
WHEN NEW.is_posted = 1 AND OLD.is_posted = 0
     AND (SELECT count(*) < 2 OR sum(amount_minor) <> 0 FROM billing_ledger_lines WHERE entry_id = OLD.id)
BEGIN
    SELECT RAISE(ABORT, 'an entry is posted only where its lines sum to zero');
END;

CREATE TRIGGER billing_ledger_entries_count
AFTER UPDATE OF is_posted ON billing_ledger_entries
WHEN NEW.is_posted = 1 AND OLD.is_posted = 0
BEGIN
    INSERT INTO billing_ledger_balances (currency, account, month, debit_minor, credit_minor)
    SELECT NEW.currency, account, substr(NEW.day, 1, 7), max(amount_minor, 0), max(-amount_minor, 0)
    FROM billing_ledger_lines WHERE entry_id = NEW.id
    ON CONFLICT (currency, account, month) DO UPDATE
    SET debit_minor = debit_minor + excluded.debit_minor, credit_minor = credit_minor + excluded.credit_minor;
END;

CREATE TRIGGER billing_ledger_entries_stay
BEFORE UPDATE ON billing_ledger_entries WHEN OLD.is_posted = 1
BEGIN
    SELECT RAISE(ABORT, 'what is posted never changes');
END;

CREATE TRIGGER billing_ledger_entries_are_kept
BEFORE DELETE ON billing_ledger_entries WHEN OLD.is_posted = 1
BEGIN
    SELECT RAISE(ABORT, 'what is posted never changes');
END;

CREATE TRIGGER billing_ledger_entries_begin_open
BEFORE INSERT ON billing_ledger_entries WHEN NEW.is_posted = 1
BEGIN
    SELECT RAISE(ABORT, 'an entry is posted once its lines are there');
END;

CREATE TRIGGER billing_ledger_lines_come_before_posting
BEFORE INSERT ON billing_ledger_lines
WHEN (SELECT is_posted FROM billing_ledger_entries WHERE id = NEW.entry_id) = 1
BEGIN
    SELECT RAISE(ABORT, 'what is posted never changes');
END;

CREATE TRIGGER billing_ledger_lines_stay
BEFORE UPDATE ON billing_ledger_lines
WHEN (SELECT is_posted FROM billing_ledger_entries WHERE id = OLD.entry_id) = 1
BEGIN
    SELECT RAISE(ABORT, 'what is posted never changes');
END;

CREATE TRIGGER billing_ledger_lines_are_kept
BEFORE DELETE ON billing_ledger_lines
WHEN (SELECT is_posted FROM billing_ledger_entries WHERE id = OLD.entry_id) = 1
BEGIN
    SELECT RAISE(ABORT, 'what is posted never changes');
END;
