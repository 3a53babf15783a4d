-- How a person presents themselves; one row for each user.
CREATE TABLE profiles (
    user_id      BLOB    NOT NULL PRIMARY KEY,  -- the user's id; another module's, so no foreign key
    display_name TEXT    NOT NULL,
    folded_name  TEXT    NOT NULL,              -- for search: ' ' before each word, lower case, no accents
    bio          TEXT,
    locale       TEXT,                          -- BCP 47: de-CH
    time_zone    TEXT,                          -- IANA: Europe/Zurich
    pronouns     TEXT,
    phone        TEXT,
    version      INTEGER NOT NULL,              -- raised by each change; the ETag
    created_at   INTEGER NOT NULL,              -- UTC, ms
    updated_at   INTEGER NOT NULL               -- UTC, ms
) STRICT, WITHOUT ROWID;

-- Each word of each name, so that people are found by the beginning of any.
CREATE TABLE profile_words (
    word    TEXT NOT NULL,
    user_id BLOB NOT NULL,  -- of `profiles`; kept true by the module itself
    PRIMARY KEY (word, user_id)
) STRICT, WITHOUT ROWID;

