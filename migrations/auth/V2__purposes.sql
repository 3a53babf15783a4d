-- Links that come by mail: an invitation, a forgotten password, proof that an address is one's own. A CHECK can't be
-- changed, so the table is made anew.
CREATE TABLE auth_links_with_mail (
    token_hash BLOB    NOT NULL PRIMARY KEY,  -- SHA-256 of the link's token
    purpose    TEXT    NOT NULL CHECK (purpose IN ('set-up', 'password', 'invitation', 'reset', 'address')),
    user_id    BLOB,                          -- none while there is no one yet
    created_at INTEGER NOT NULL,              -- UTC, ms
    expires_at INTEGER NOT NULL               -- UTC, ms
) STRICT, WITHOUT ROWID;

INSERT INTO auth_links_with_mail SELECT token_hash, purpose, user_id, created_at, expires_at FROM auth_links;
DROP TABLE auth_links;
ALTER TABLE auth_links_with_mail RENAME TO auth_links;

CREATE INDEX auth_links_by_user ON auth_links (user_id) WHERE user_id IS NOT NULL;
