-- What is sold.
CREATE TABLE billing_products (
    id          BLOB    NOT NULL PRIMARY KEY,
    name        TEXT    NOT NULL,
    description TEXT,
    is_active   INTEGER NOT NULL CHECK (is_active IN (0, 1)),  -- whether it is sold still
    version     INTEGER NOT NULL,
    created_at  INTEGER NOT NULL,  -- UTC, ms
    updated_at  INTEGER NOT NULL   -- UTC, ms
) STRICT, WITHOUT ROWID;

-- For how much; never changed, only followed by another of the same plan.
CREATE TABLE billing_prices (
    id               BLOB    NOT NULL PRIMARY KEY,
    product_id       BLOB    NOT NULL REFERENCES billing_products (id),
    plan             TEXT    NOT NULL,  -- what people know it by: team-monthly
    currency         TEXT    NOT NULL CHECK (length(currency) = 3),                              -- ISO 4217
    interval_unit    TEXT    NOT NULL CHECK (interval_unit IN ('day', 'week', 'month', 'year')),
    interval_count   INTEGER NOT NULL CHECK (interval_count BETWEEN 1 AND 366),
    is_per_seat      INTEGER NOT NULL CHECK (is_per_seat IN (0, 1)),
    unit_price_minor TEXT    NOT NULL,  -- a decimal: minor units, up to 4 decimals
    trial_days       INTEGER NOT NULL CHECK (trial_days BETWEEN 0 AND 730),
    tax_rate_id      BLOB    REFERENCES billing_tax_rates (id),  -- where the account has none of its own
    is_active        INTEGER NOT NULL CHECK (is_active IN (0, 1)),
    created_at       INTEGER NOT NULL   -- UTC, ms
) STRICT, WITHOUT ROWID;

CREATE INDEX billing_prices_by_product ON billing_prices (product_id);
CREATE UNIQUE INDEX billing_prices_by_plan ON billing_prices (plan, currency) WHERE is_active = 1;

-- How it is taxed; never changed but for whether it is in use.
CREATE TABLE billing_tax_rates (
    id           BLOB    NOT NULL PRIMARY KEY,
    name         TEXT    NOT NULL,  -- VAT 19 %
    category     TEXT    NOT NULL CHECK (category IN ('standard', 'zero', 'exempt', 'reverse_charge')),
    percent      TEXT    NOT NULL,  -- a decimal
    is_inclusive INTEGER NOT NULL CHECK (is_inclusive IN (0, 1)),  -- whether prices contain it
    country      TEXT,              -- ISO 3166-1: whose it is, for the return
    note         TEXT,              -- why there is none, on the invoice
    is_active    INTEGER NOT NULL CHECK (is_active IN (0, 1)),
    created_at   INTEGER NOT NULL   -- UTC, ms
) STRICT, WITHOUT ROWID;
