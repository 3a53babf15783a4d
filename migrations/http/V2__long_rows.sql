-- Long rows stand in rowid tables: in the tree of a table WITHOUT ROWID whole rows are keys.
CREATE TABLE idempotency_records_by_rowid (
    key_hash   BLOB    NOT NULL PRIMARY KEY,  -- HMAC of principal, route and key; the key itself is kept nowhere
    body_mac   BLOB    NOT NULL,              -- HMAC of the body, to know another one
    answer     BLOB    NOT NULL,              -- sealed under a key derived from the client's
    person     BLOB,                          -- whom it is about, to be erased with them
    created_at INTEGER NOT NULL               -- UTC, ms
) STRICT;

INSERT INTO idempotency_records_by_rowid SELECT * FROM idempotency_records;
DROP TABLE idempotency_records;
ALTER TABLE idempotency_records_by_rowid RENAME TO idempotency_records;

CREATE INDEX idempotency_records_by_age ON idempotency_records (created_at);
CREATE INDEX idempotency_records_by_person ON idempotency_records (person) WHERE person IS NOT NULL;
