-- The first answer to a request with an `Idempotency-Key`, for 24 hours.
CREATE TABLE idempotency_records (
    key_hash   BLOB    NOT NULL PRIMARY KEY,  -- HMAC of principal, route and key; the key itself is kept nowhere
    body_mac   BLOB    NOT NULL,              -- HMAC of the body, to know another one
    answer     BLOB    NOT NULL,              -- sealed under a key derived from the client's
    person     BLOB,                          -- whom it is about, to be erased with them
    created_at INTEGER NOT NULL               -- UTC, ms
) STRICT, WITHOUT ROWID;

CREATE INDEX idempotency_records_by_age ON idempotency_records (created_at);
CREATE INDEX idempotency_records_by_person ON idempotency_records (person) WHERE person IS NOT NULL;
