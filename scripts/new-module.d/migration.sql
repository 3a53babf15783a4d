-- Each wid get of each person.
CREATE TABLE widgets (
    id         BLOB    NOT NULL PRIMARY KEY,
    user_id    BLOB    NOT NULL,  -- whose it is; another module's, so no foreign key
    title      TEXT    NOT NULL,
    text       TEXT    NOT NULL,
    version    INTEGER NOT NULL,  -- raised by each change; the ETag
    created_at INTEGER NOT NULL,  -- UTC, ms
    updated_at INTEGER NOT NULL   -- UTC, ms
) STRICT, WITHOUT ROWID;

CREATE INDEX widgets_by_user ON widgets (user_id);
