-- Whom invoices go to, and on what terms.
ALTER TABLE billing_accounts ADD COLUMN name TEXT;                                -- on invoices; the person's own where null
ALTER TABLE billing_accounts ADD COLUMN address TEXT NOT NULL DEFAULT '{}';       -- JSON: line1, line2, postcode, city, region, country
ALTER TABLE billing_accounts ADD COLUMN tax_id TEXT;                              -- VAT identifier, with its country's prefix
ALTER TABLE billing_accounts ADD COLUMN language TEXT NOT NULL DEFAULT 'en';      -- BCP 47
ALTER TABLE billing_accounts ADD COLUMN time_zone TEXT NOT NULL DEFAULT 'UTC';    -- IANA: whose days are counted
ALTER TABLE billing_accounts ADD COLUMN payment_terms_days INTEGER;               -- the seller's where null
ALTER TABLE billing_accounts ADD COLUMN tax_rate_id BLOB;                         -- for all that is sold to them; else the price's
ALTER TABLE billing_accounts ADD COLUMN gateway TEXT;                             -- what charges them; transfers where null
ALTER TABLE billing_accounts ADD COLUMN gateway_customer TEXT;                    -- who they are there
ALTER TABLE billing_accounts ADD COLUMN credit_minor INTEGER NOT NULL DEFAULT 0 CHECK (credit_minor >= 0);
ALTER TABLE billing_accounts ADD COLUMN test_clock_at INTEGER;                    -- UTC, ms: their time, where it is for trial
ALTER TABLE billing_accounts ADD COLUMN closed_at INTEGER;                        -- UTC, ms: the person is gone, the books stay
ALTER TABLE billing_accounts ADD COLUMN version INTEGER NOT NULL DEFAULT 1;       -- raised by each change; the ETag
ALTER TABLE billing_accounts ADD COLUMN updated_at INTEGER NOT NULL DEFAULT 0;    -- UTC, ms

CREATE INDEX billing_accounts_on_trial ON billing_accounts (test_clock_at) WHERE test_clock_at IS NOT NULL;

-- Who sells, and how; one row once somebody has said so.
CREATE TABLE billing_settings (
    id         INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    settings   TEXT    NOT NULL,  -- JSON: seller, bank account, payment terms, series, dunning
    version    INTEGER NOT NULL,
    updated_at INTEGER NOT NULL   -- UTC, ms
) STRICT;
