-- Who may sign in, and as what.
CREATE TABLE users (
    id           BLOB    NOT NULL PRIMARY KEY,
    email        TEXT    NOT NULL,         -- as the person writes it
    email_key    TEXT    NOT NULL UNIQUE,  -- the same ignoring case
    email_folded TEXT,                     -- the same ignoring accents too, where that differs: for search
    role         TEXT    NOT NULL CHECK (role IN ('owner', 'staff', 'member')),
    state        TEXT    NOT NULL CHECK (state IN ('active', 'disabled')),
    created_at   INTEGER NOT NULL          -- UTC, ms
) STRICT, WITHOUT ROWID;

CREATE INDEX users_by_folded_email ON users (email_folded) WHERE email_folded IS NOT NULL;
CREATE INDEX users_in_charge ON users (role, state) WHERE role <> 'member';
