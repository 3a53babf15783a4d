-- Long rows stand in rowid tables: in the tree of a table WITHOUT ROWID whole rows are keys.
CREATE TABLE mails_by_rowid (
    id         BLOB    NOT NULL PRIMARY KEY,
    person     BLOB    NOT NULL,         -- to whom; another module's, so no foreign key
    address    TEXT    NOT NULL,         -- as it was then
    name       TEXT    NOT NULL,
    subject    TEXT    NOT NULL,
    text       TEXT,                     -- both parts may bear a secret link: they go once it is sent, or has expired
    html       TEXT,
    message_id TEXT    NOT NULL UNIQUE,  -- made once, so that a repeat is known
    state      TEXT    NOT NULL CHECK (state IN ('waiting', 'sent', 'failed', 'kept')),
    why        TEXT,                     -- the last refusal
    is_refused INTEGER NOT NULL CHECK (is_refused IN (0, 1)),  -- whether the address itself was, for good
    job        BLOB,                     -- of `jobs`: what delivers it; none while it is kept
    created_at INTEGER NOT NULL,         -- UTC, ms
    ended_at   INTEGER,                  -- UTC, ms: sent or failed
    expires_at INTEGER NOT NULL          -- UTC, ms: what it says holds no longer
) STRICT;

INSERT INTO mails_by_rowid SELECT * FROM mails ORDER BY id;
DROP TABLE mails;
ALTER TABLE mails_by_rowid RENAME TO mails;

CREATE INDEX mails_by_person ON mails (person, id);
CREATE INDEX mails_waiting ON mails (id) WHERE state = 'waiting';
CREATE INDEX mails_with_text ON mails (expires_at) WHERE text IS NOT NULL;
