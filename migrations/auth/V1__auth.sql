-- What lets people in: passwords, sessions and one-time links. Who they are is another module's.
CREATE TABLE auth_passwords (
    user_id    BLOB    NOT NULL PRIMARY KEY,
    hash       TEXT    NOT NULL,              -- Argon2id, PHC string
    changed_at INTEGER NOT NULL               -- UTC, ms
) STRICT, WITHOUT ROWID;

CREATE TABLE auth_sessions (
    token_hash BLOB    NOT NULL PRIMARY KEY,  -- SHA-256 of the token; the token itself is kept nowhere
    id         BLOB    NOT NULL,              -- by which its owner names it
    user_id    BLOB    NOT NULL,
    kind       TEXT    NOT NULL CHECK (kind IN ('session', 'token')),
    label      TEXT    NOT NULL,              -- the browser or program that signed in, as it named itself
    created_at INTEGER NOT NULL,              -- UTC, ms
    expires_at INTEGER NOT NULL               -- UTC, ms
) STRICT, WITHOUT ROWID;

CREATE INDEX auth_sessions_by_user ON auth_sessions (user_id, id);

CREATE TABLE auth_links (
    token_hash BLOB    NOT NULL PRIMARY KEY,  -- SHA-256 of the link's token
    purpose    TEXT    NOT NULL CHECK (purpose IN ('set-up', 'password')),
    user_id    BLOB,                          -- none while there is no one yet
    created_at INTEGER NOT NULL,              -- UTC, ms
    expires_at INTEGER NOT NULL               -- UTC, ms
) STRICT, WITHOUT ROWID;

CREATE INDEX auth_links_by_user ON auth_links (user_id) WHERE user_id IS NOT NULL;
