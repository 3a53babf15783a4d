-- Who comes and goes is counted from this index alone.
DROP INDEX billing_subscription_events_by_customer;
CREATE INDEX billing_subscription_events_by_customer
    ON billing_subscription_events (currency, user_id, day, mrr_delta_minor, movement) WHERE movement IS NOT NULL;
