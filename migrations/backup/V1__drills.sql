-- What drills found: each restored a backup, or the replica, for a trial.
CREATE TABLE drills (
    id      BLOB    NOT NULL PRIMARY KEY,
    at      INTEGER NOT NULL,  -- UTC, ms
    kind    TEXT    NOT NULL CHECK (kind IN ('backup', 'replica')),
    name    TEXT    NOT NULL,  -- the backup's name, or the replica's address
    failure TEXT               -- why it could not be restored; null where it could
) STRICT, WITHOUT ROWID;
