-- What came of each try to deliver an event.
CREATE TABLE billing_delivery_attempts (
    delivery_id BLOB    NOT NULL REFERENCES billing_deliveries (id) ON DELETE CASCADE,
    number      INTEGER NOT NULL,  -- from 1
    tried_at    INTEGER NOT NULL,  -- UTC, ms
    status      INTEGER,           -- of the answer, where there was one
    response    TEXT,              -- how that began
    why         TEXT,              -- why it failed; null where it was taken
    PRIMARY KEY (delivery_id, number)
) STRICT, WITHOUT ROWID;

-- How an endpoint fares.
ALTER TABLE billing_endpoints ADD COLUMN taken_at INTEGER;   -- UTC, ms: when it took something last
ALTER TABLE billing_endpoints ADD COLUMN failed_at INTEGER;  -- UTC, ms: when it did not, last
ALTER TABLE billing_endpoints ADD COLUMN failure TEXT;       -- why not

CREATE INDEX billing_events_by_time ON billing_events (created_at);
CREATE INDEX billing_deliveries_by_state ON billing_deliveries (endpoint_id, state, id);
CREATE INDEX billing_deliveries_with_jobs ON billing_deliveries (id) WHERE state = 'waiting' AND job IS NOT NULL;
