-- The credit notes of an invoice are looked for by it.
CREATE INDEX billing_invoices_by_credited ON billing_invoices (credits, id) WHERE credits IS NOT NULL;
