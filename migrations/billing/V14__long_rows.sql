-- Long rows stand in rowid tables. In the tree of a table WITHOUT ROWID whole rows are keys: few fit in an inner node, and
-- each comparison on the way down reads what does not fit into one page.
DROP TRIGGER billing_invoice_lines_come_before_the_number;
DROP TRIGGER billing_invoice_lines_say_what_they_say;
DROP TRIGGER billing_invoice_lines_stay;

CREATE TABLE billing_invoices_by_rowid (
    id              BLOB    NOT NULL PRIMARY KEY,
    kind            TEXT    NOT NULL CHECK (kind IN ('invoice', 'credit_note')),
    user_id         BLOB    NOT NULL,  -- of billing_accounts
    subscription_id BLOB,
    credits         BLOB    REFERENCES billing_invoices (id),  -- the invoice that a credit note credits
    run_key         TEXT    UNIQUE,    -- of what the billing run makes: subscription and period, so that it makes each once
    state           TEXT    NOT NULL CHECK (state IN ('draft', 'open', 'paid', 'void', 'uncollectible')),
    currency        TEXT    NOT NULL,
    discount        TEXT,              -- JSON: of the whole document
    note            TEXT,              -- for people
    number          TEXT    UNIQUE,    -- none while it is a draft
    issued_on       TEXT,
    due_on          TEXT,
    document        TEXT,              -- JSON: what it says
    net_minor       INTEGER NOT NULL,
    tax_minor       INTEGER NOT NULL,
    gross_minor     INTEGER NOT NULL,
    due_minor       INTEGER NOT NULL CHECK (due_minor >= 0),  -- what is left to pay
    credited_minor  INTEGER NOT NULL CHECK (credited_minor BETWEEN 0 AND gross_minor),  -- by credit notes
    version         INTEGER NOT NULL,
    created_at      INTEGER NOT NULL,  -- UTC, ms
    finalized_at    INTEGER,           -- UTC, ms
    settled_at      INTEGER,           -- UTC, ms: paid, void or uncollectible
    CHECK ((state = 'draft') = (number IS NULL)),
    CHECK ((number IS NULL) = (document IS NULL))
) STRICT;

INSERT INTO billing_invoices_by_rowid SELECT * FROM billing_invoices ORDER BY id;
DROP TABLE billing_invoices;
ALTER TABLE billing_invoices_by_rowid RENAME TO billing_invoices;

CREATE INDEX billing_invoices_by_user ON billing_invoices (user_id, id);
CREATE INDEX billing_invoices_by_state ON billing_invoices (state, id);
CREATE INDEX billing_invoices_open ON billing_invoices (due_on, currency, due_minor, user_id, state) WHERE state = 'open';
CREATE INDEX billing_invoices_by_subscription ON billing_invoices (subscription_id, id) WHERE subscription_id IS NOT NULL;
CREATE INDEX billing_invoices_by_credited ON billing_invoices (credits, id) WHERE credits IS NOT NULL;

CREATE TRIGGER billing_invoices_say_what_they_say
BEFORE UPDATE OF kind, user_id, subscription_id, credits, run_key, currency, discount, note, number, issued_on, due_on,
                 document, net_minor, tax_minor, gross_minor, created_at, finalized_at ON billing_invoices
WHEN OLD.number IS NOT NULL
BEGIN
    SELECT RAISE(ABORT, 'what an invoice says never changes once it has its number');
END;

CREATE TRIGGER billing_invoices_stay
BEFORE DELETE ON billing_invoices WHEN OLD.number IS NOT NULL
BEGIN
    SELECT RAISE(ABORT, 'an invoice with a number stays for ever');
END;

CREATE TRIGGER billing_invoice_lines_come_before_the_number
BEFORE INSERT ON billing_invoice_lines
WHEN EXISTS (SELECT 1 FROM billing_invoices WHERE id = NEW.invoice_id AND number IS NOT NULL)
BEGIN
    SELECT RAISE(ABORT, 'what an invoice says never changes once it has its number');
END;

CREATE TRIGGER billing_invoice_lines_say_what_they_say
BEFORE UPDATE ON billing_invoice_lines
WHEN EXISTS (SELECT 1 FROM billing_invoices WHERE id = OLD.invoice_id AND number IS NOT NULL)
BEGIN
    SELECT RAISE(ABORT, 'what an invoice says never changes once it has its number');
END;

CREATE TRIGGER billing_invoice_lines_stay
BEFORE DELETE ON billing_invoice_lines
WHEN EXISTS (SELECT 1 FROM billing_invoices WHERE id = OLD.invoice_id AND number IS NOT NULL)
BEGIN
    SELECT RAISE(ABORT, 'what an invoice says never changes once it has its number');
END;

CREATE TABLE billing_events_by_rowid (
    id         BLOB    NOT NULL PRIMARY KEY,
    type       TEXT    NOT NULL,  -- invoice.paid
    object_id  BLOB    NOT NULL,  -- of whatever it happened to: those of one are told in order
    user_id    BLOB    NOT NULL,  -- of billing_accounts
    payload    TEXT    NOT NULL,  -- JSON: what is sent, byte for byte
    created_at INTEGER NOT NULL   -- UTC, ms
) STRICT;

INSERT INTO billing_events_by_rowid SELECT * FROM billing_events ORDER BY id;
DROP TABLE billing_events;
ALTER TABLE billing_events_by_rowid RENAME TO billing_events;
CREATE INDEX billing_events_by_user ON billing_events (user_id);
CREATE INDEX billing_events_by_time ON billing_events (created_at);

-- How far the collection is, is known of each open invoice from the beginning: the run looks for what is due there alone.
INSERT INTO billing_dunnings (invoice_id, step, attempt, charge, next_at)
SELECT id, 0, 0, 'none', CAST(strftime('%s', due_on, '+1 day') AS INTEGER) * 1000 FROM billing_invoices
WHERE state = 'open' AND kind = 'invoice' AND id NOT IN (SELECT invoice_id FROM billing_dunnings);

-- Few accounts go by a clock of their own, and each look for what is due asks which: in the order that it asks for.
DROP INDEX billing_accounts_on_trial;
CREATE INDEX billing_accounts_on_trial ON billing_accounts (user_id) WHERE test_clock_at IS NOT NULL;
