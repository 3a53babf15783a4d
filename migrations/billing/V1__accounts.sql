-- One account for each user: what they owe and how they pay.
CREATE TABLE billing_accounts (
    user_id    BLOB    NOT NULL PRIMARY KEY,                   -- the user's id; another module's, so no foreign key
    currency   TEXT    NOT NULL CHECK (length(currency) = 3),  -- ISO 4217
    created_at INTEGER NOT NULL                                -- UTC, ms
) STRICT, WITHOUT ROWID;
