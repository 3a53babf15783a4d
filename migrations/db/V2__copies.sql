-- What a copy of the unit says of itself: one row in a backup, none in a database that is served.
CREATE TABLE copies (
    made_at INTEGER NOT NULL,  -- UTC, ms: the state that it holds
    program TEXT    NOT NULL   -- the version that made it
) STRICT;

-- How many rows each table had when the copy was made.
CREATE TABLE copy_tables (
    name     TEXT    NOT NULL PRIMARY KEY,
    "rows"   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
