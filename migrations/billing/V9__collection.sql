-- Invoices that are being collected: charged by the account's gateway, or asked for once they are overdue.
CREATE TABLE billing_dunnings (
    invoice_id BLOB    NOT NULL PRIMARY KEY REFERENCES billing_invoices (id),
    base_on    TEXT,              -- the day from which days are counted: the due day, or that of the first decline; null before that
    step       INTEGER NOT NULL,  -- how many of the days on which it is tried again have been
    attempt    INTEGER NOT NULL,  -- charges that were answered
    charge     TEXT    NOT NULL CHECK (charge IN ('none', 'due', 'pending', 'refused')),
    why        TEXT,              -- why it was declined the last time
    next_at    INTEGER,           -- UTC, ms: when there is something to do
    ended_at   INTEGER            -- UTC, ms: paid, void or given up
) STRICT, WITHOUT ROWID;

CREATE INDEX billing_dunnings_due ON billing_dunnings (next_at) WHERE ended_at IS NULL;

-- What gateways have told us, each message once; for 60 days.
CREATE TABLE billing_gateway_messages (
    gateway     TEXT    NOT NULL,
    message_id  TEXT    NOT NULL,  -- evt_…
    type        TEXT    NOT NULL,  -- payment_intent.succeeded
    object      TEXT    NOT NULL,  -- pi_…
    note        TEXT,              -- what came of it, where nothing could be done
    received_at INTEGER NOT NULL,  -- UTC, ms
    PRIMARY KEY (gateway, message_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX billing_gateway_messages_by_time ON billing_gateway_messages (received_at);
