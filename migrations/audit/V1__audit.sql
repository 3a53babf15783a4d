-- Who did what to which record; written in the transaction of the change itself.
CREATE TABLE audit_entries (
    id       BLOB    NOT NULL PRIMARY KEY,
    at       INTEGER NOT NULL,  -- UTC, ms
    actor    BLOB,              -- the user; none where nobody was signed in
    via      TEXT    NOT NULL,  -- api, page, command line, system
    request  BLOB,              -- the request's id, as in the log
    action   TEXT    NOT NULL,  -- what was done: person.added
    subject  BLOB    NOT NULL,  -- the record
    person   BLOB,              -- whom the record is about, where it is not the subject itself
    "before" TEXT,              -- JSON; null once the person is erased
    "after"  TEXT               -- JSON; null once the person is erased
) STRICT, WITHOUT ROWID;

CREATE INDEX audit_entries_by_subject ON audit_entries (subject, id);
CREATE INDEX audit_entries_by_person ON audit_entries (person) WHERE person IS NOT NULL;
