-- What is overdue goes by the day of each account's time zone: those that there are, are found one after another.
CREATE INDEX billing_accounts_by_zone ON billing_accounts (time_zone);

-- What is open is summed from this index alone, and what of it is overdue with the accounts whose it is.
DROP INDEX billing_invoices_open;
CREATE INDEX billing_invoices_open ON billing_invoices (due_on, currency, due_minor, user_id, state) WHERE state = 'open';
