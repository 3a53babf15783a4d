-- Where billing events are told to.
CREATE TABLE billing_endpoints (
    id               BLOB    NOT NULL PRIMARY KEY,
    url              TEXT    NOT NULL,
    description      TEXT,
    event_types      TEXT    NOT NULL,  -- JSON: those that are wanted; all where empty
    secret           TEXT    NOT NULL,  -- whsec_…: what deliveries are signed with
    old_secret       TEXT,              -- the one before: they are signed with it too
    old_secret_until INTEGER,           -- UTC, ms: until then
    is_active        INTEGER NOT NULL CHECK (is_active IN (0, 1)),
    version          INTEGER NOT NULL,  -- raised by each change; the ETag
    created_at       INTEGER NOT NULL,  -- UTC, ms
    updated_at       INTEGER NOT NULL   -- UTC, ms
) STRICT, WITHOUT ROWID;

-- What happened, where somebody wanted to know of it; for 30 days.
CREATE TABLE billing_events (
    id         BLOB    NOT NULL PRIMARY KEY,
    type       TEXT    NOT NULL,  -- invoice.paid
    object_id  BLOB    NOT NULL,  -- of whatever it happened to: those of one are told in order
    user_id    BLOB    NOT NULL,  -- of billing_accounts
    payload    TEXT    NOT NULL,  -- JSON: what is sent, byte for byte
    created_at INTEGER NOT NULL   -- UTC, ms
) STRICT, WITHOUT ROWID;

CREATE INDEX billing_events_by_user ON billing_events (user_id);

-- One event on its way to one endpoint.
CREATE TABLE billing_deliveries (
    id          BLOB    NOT NULL PRIMARY KEY,
    event_id    BLOB    NOT NULL,
    endpoint_id BLOB    NOT NULL,
    object_id   BLOB    NOT NULL,
    state       TEXT    NOT NULL CHECK (state IN ('waiting', 'delivered', 'failed')),
    job         BLOB,              -- what delivers it; none while one of the same object is before it
    attempts    INTEGER NOT NULL,
    status      INTEGER,           -- of the last answer
    response    TEXT,              -- how that began
    why         TEXT,              -- why the last attempt failed
    created_at  INTEGER NOT NULL,  -- UTC, ms
    tried_at    INTEGER,           -- UTC, ms
    ended_at    INTEGER,           -- UTC, ms
    expires_at  INTEGER NOT NULL   -- UTC, ms: it is tried until then
) STRICT, WITHOUT ROWID;

CREATE INDEX billing_deliveries_by_event ON billing_deliveries (event_id);
CREATE INDEX billing_deliveries_by_endpoint ON billing_deliveries (endpoint_id, id);
CREATE INDEX billing_deliveries_waiting ON billing_deliveries (endpoint_id, object_id, event_id) WHERE state = 'waiting';
