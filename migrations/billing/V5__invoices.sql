-- Invoices and credit notes. From the moment it has its number, what it says never changes; what became of it does.
CREATE TABLE billing_invoices (
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
) STRICT, WITHOUT ROWID;

CREATE INDEX billing_invoices_by_user ON billing_invoices (user_id, id);
CREATE INDEX billing_invoices_by_state ON billing_invoices (state, id);
CREATE INDEX billing_invoices_open ON billing_invoices (due_on) WHERE state = 'open';
CREATE INDEX billing_invoices_by_subscription ON billing_invoices (subscription_id, id) WHERE subscription_id IS NOT NULL;

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

CREATE TABLE billing_invoice_lines (
    invoice_id       BLOB    NOT NULL,
    position         INTEGER NOT NULL,  -- from 1
    description      TEXT    NOT NULL,
    quantity         TEXT    NOT NULL,  -- a decimal
    unit_price_minor TEXT    NOT NULL,  -- a decimal
    amount_minor     INTEGER NOT NULL,
    net_minor        INTEGER NOT NULL,
    tax_rate_id      BLOB    NOT NULL REFERENCES billing_tax_rates (id),
    tax              TEXT    NOT NULL,  -- JSON: the rate, as it was then
    plan             TEXT,              -- of the price, where it is one's
    period_from      TEXT,              -- what it is for: from this day
    period_until     TEXT,              -- up to, and without, this
    PRIMARY KEY (invoice_id, position)
) STRICT, WITHOUT ROWID;

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

-- The next number of each series; raised in the transaction that gives one out, so that there are no gaps.
CREATE TABLE billing_series (
    name        TEXT    NOT NULL PRIMARY KEY,  -- INV-2026
    next_number INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Revenue that was invoiced for days to come, by line; recognised day by day.
CREATE TABLE billing_deferrals (
    invoice_id       BLOB    NOT NULL,
    position         INTEGER NOT NULL,
    currency         TEXT    NOT NULL,
    plan             TEXT,
    from_day         TEXT    NOT NULL,
    until_day        TEXT    NOT NULL,
    amount_minor     INTEGER NOT NULL,  -- net; negative where it was credited
    recognized_minor INTEGER NOT NULL,
    next_day         TEXT,              -- the first that is not recognised; null once all is
    PRIMARY KEY (invoice_id, position)
) STRICT, WITHOUT ROWID;

CREATE INDEX billing_deferrals_open ON billing_deferrals (next_day) WHERE next_day IS NOT NULL;

-- Revenue by plan and month, as it was recognised; what no plan's price brought in stands under an empty name.
CREATE TABLE billing_revenue (
    currency     TEXT    NOT NULL,
    plan         TEXT    NOT NULL,
    month        TEXT    NOT NULL,  -- 2026-11
    amount_minor INTEGER NOT NULL,
    PRIMARY KEY (currency, plan, month)
) STRICT, WITHOUT ROWID;
