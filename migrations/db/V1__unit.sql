-- What this unit is: one row, for ever.
CREATE TABLE unit (
    id         BLOB    NOT NULL PRIMARY KEY,
    secret     BLOB    NOT NULL CHECK (length(secret) = 32),  -- the root of derived keys
    epoch      INTEGER NOT NULL,                              -- raised by each restore
    created_at INTEGER NOT NULL                               -- UTC, ms
) STRICT;
