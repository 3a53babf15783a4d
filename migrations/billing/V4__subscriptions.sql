-- What somebody has subscribed to.
CREATE TABLE billing_subscriptions (
    id              BLOB    NOT NULL PRIMARY KEY,
    user_id         BLOB    NOT NULL,  -- of billing_accounts
    price_id        BLOB    NOT NULL REFERENCES billing_prices (id),
    seats           INTEGER NOT NULL CHECK (seats BETWEEN 1 AND 1000000),
    state           TEXT    NOT NULL CHECK (state IN ('trial', 'active', 'past_due', 'paused', 'cancelled')),
    billing_day     INTEGER NOT NULL CHECK (billing_day BETWEEN 1 AND 31),
    anchor          TEXT    NOT NULL,  -- a day on which a whole period begins
    started_on      TEXT    NOT NULL,
    trial_until     TEXT,              -- the first day that costs
    period_from     TEXT,              -- of the period that is billed: from this day
    period_until    TEXT,              -- up to, and without, this
    charge_invoice  BLOB,              -- what that period was charged by: an invoice's
    charge_position INTEGER,           -- line
    cancel_at_end   INTEGER NOT NULL CHECK (cancel_at_end IN (0, 1)),
    next_price_id   BLOB    REFERENCES billing_prices (id),  -- from the end of the period on
    next_seats      INTEGER,
    ended_on        TEXT,
    due_at          INTEGER,           -- UTC, ms: when there is something to do
    version         INTEGER NOT NULL,  -- raised by each change; the ETag
    created_at      INTEGER NOT NULL,  -- UTC, ms
    updated_at      INTEGER NOT NULL   -- UTC, ms
) STRICT, WITHOUT ROWID;

CREATE INDEX billing_subscriptions_by_user ON billing_subscriptions (user_id, id);
CREATE INDEX billing_subscriptions_due ON billing_subscriptions (due_at, id) WHERE due_at IS NOT NULL;

-- What happened to them; and what it did to the monthly recurring revenue.
CREATE TABLE billing_subscription_events (
    id              BLOB    NOT NULL PRIMARY KEY,
    subscription_id BLOB    NOT NULL,
    user_id         BLOB    NOT NULL,
    at              INTEGER NOT NULL,  -- UTC, ms
    day             TEXT    NOT NULL,  -- the account's
    kind            TEXT    NOT NULL,  -- started, renewed, changed, paused, resumed, past_due, recovered, cancelled …
    detail          TEXT    NOT NULL,  -- for people
    currency        TEXT    NOT NULL,
    movement        TEXT    CHECK (movement IN ('new', 'expansion', 'contraction', 'churn')),
    mrr_delta_minor INTEGER NOT NULL   -- per month
) STRICT, WITHOUT ROWID;

CREATE INDEX billing_subscription_events_by_subscription ON billing_subscription_events (subscription_id, id);
CREATE INDEX billing_subscription_events_moving ON billing_subscription_events (currency, day, movement, mrr_delta_minor) WHERE movement IS NOT NULL;
