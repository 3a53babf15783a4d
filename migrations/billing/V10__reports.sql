-- Tax for the return, by the month in which documents count: added as they are issued, taken away as they are void.
CREATE TABLE billing_tax_sums (
    currency  TEXT    NOT NULL,
    month     TEXT    NOT NULL,  -- 2026-11
    country   TEXT    NOT NULL,  -- ISO 3166-1: the rate's; the buyer's where it names none; else empty
    category  TEXT    NOT NULL,  -- standard, zero, exempt, reverse_charge
    percent   TEXT    NOT NULL,  -- a decimal, without zeros behind it
    net_minor INTEGER NOT NULL,  -- what is taxed; less credit notes
    tax_minor INTEGER NOT NULL,
    PRIMARY KEY (currency, month, country, category, percent)
) STRICT, WITHOUT ROWID;

-- Who brings in recurring revenue, month by month.
CREATE INDEX billing_subscription_events_by_customer ON billing_subscription_events (currency, user_id, day, mrr_delta_minor) WHERE movement IS NOT NULL;

-- Open items by age are counted from this index alone.
DROP INDEX billing_invoices_open;
CREATE INDEX billing_invoices_open ON billing_invoices (due_on, currency, due_minor) WHERE state = 'open';
