-- What came in. A payment belongs to an account even where its invoice is not found.
CREATE TABLE billing_payments (
    id             BLOB    NOT NULL PRIMARY KEY,
    user_id        BLOB    NOT NULL,  -- of billing_accounts
    currency       TEXT    NOT NULL,
    amount_minor   INTEGER NOT NULL CHECK (amount_minor > 0),
    fee_minor      INTEGER NOT NULL CHECK (fee_minor BETWEEN 0 AND amount_minor),  -- what the gateway kept
    refunded_minor INTEGER NOT NULL CHECK (refunded_minor BETWEEN 0 AND amount_minor),
    method         TEXT    NOT NULL,  -- transfer, trial, stripe
    reference      TEXT,              -- what the payer wrote
    gateway_ref    TEXT,              -- its name at the gateway
    received_on    TEXT    NOT NULL,
    created_at     INTEGER NOT NULL   -- UTC, ms
) STRICT, WITHOUT ROWID;

CREATE INDEX billing_payments_by_user ON billing_payments (user_id, id);
CREATE UNIQUE INDEX billing_payments_by_gateway ON billing_payments (method, gateway_ref) WHERE gateway_ref IS NOT NULL;

-- What of it paid what; the rest is the account's credit.
CREATE TABLE billing_allocations (
    payment_id   BLOB    NOT NULL,
    invoice_id   BLOB    NOT NULL,
    amount_minor INTEGER NOT NULL CHECK (amount_minor >= 0),
    PRIMARY KEY (payment_id, invoice_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX billing_allocations_by_invoice ON billing_allocations (invoice_id);

CREATE TABLE billing_refunds (
    id           BLOB    NOT NULL PRIMARY KEY,
    payment_id   BLOB    NOT NULL REFERENCES billing_payments (id),
    amount_minor INTEGER NOT NULL CHECK (amount_minor > 0),
    reason       TEXT,
    gateway_ref  TEXT    UNIQUE,
    created_at   INTEGER NOT NULL  -- UTC, ms
) STRICT, WITHOUT ROWID;

CREATE INDEX billing_refunds_by_payment ON billing_refunds (payment_id, id);
