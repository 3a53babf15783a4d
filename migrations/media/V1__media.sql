-- What people uploaded, or are uploading; one row for each file.
CREATE TABLE media_items (
    id           BLOB    NOT NULL PRIMARY KEY,  -- also the id of its upload
    user_id      BLOB    NOT NULL,              -- whose it is; another module's, so no foreign key
    name         TEXT    NOT NULL,              -- for people alone: never a path, never what tells the type
    content_id   BLOB    NOT NULL,              -- of `media_contents`; kept true by the module itself
    content_type TEXT    NOT NULL,              -- found in the content, once it is there
    size_bytes   INTEGER NOT NULL,              -- while it is uploaded, what was announced
    sha256       BLOB,                          -- once it is there
    state        TEXT    NOT NULL CHECK (state IN ('uploading', 'processing', 'ready', 'failed')),
    note         TEXT,                          -- why it failed, or stayed as it was uploaded
    width        INTEGER,                       -- pixels
    height       INTEGER,                       -- pixels
    duration_ms  INTEGER,
    version      INTEGER NOT NULL,              -- raised by each change; the ETag
    created_at   INTEGER NOT NULL,              -- UTC, ms
    updated_at   INTEGER NOT NULL               -- UTC, ms
) STRICT, WITHOUT ROWID;

-- With the size, so that what a person has in all is summed up without reading the items.
CREATE INDEX media_items_by_user ON media_items (user_id, id, size_bytes);

-- What is being uploaded in pieces.
CREATE TABLE media_uploads (
    id             BLOB    NOT NULL PRIMARY KEY,  -- of its item
    user_id        BLOB    NOT NULL,              -- whose it is
    content_id     BLOB    NOT NULL,
    length_bytes   INTEGER NOT NULL,              -- how much there will be
    received_bytes INTEGER NOT NULL,              -- how much there is for good; what lies behind it doesn't count
    hash_state     BLOB    NOT NULL,              -- SHA-256 over what is there, to go on with
    turn           INTEGER NOT NULL,              -- raised by each request that appends: only the last one may
    metadata       TEXT    NOT NULL,              -- `Upload-Metadata` as the client wrote it
    expires_at     INTEGER NOT NULL               -- UTC, ms
) STRICT, WITHOUT ROWID;

CREATE INDEX media_uploads_by_user ON media_uploads (user_id);
CREATE INDEX media_uploads_by_end ON media_uploads (expires_at);

-- Smaller forms of an item.
CREATE TABLE media_variants (
    item_id      BLOB    NOT NULL,
    name         TEXT    NOT NULL,  -- small, medium, large; video, poster
    content_id   BLOB    NOT NULL,
    content_type TEXT    NOT NULL,
    size_bytes   INTEGER NOT NULL,
    sha256       BLOB    NOT NULL,
    width        INTEGER,           -- pixels
    height       INTEGER,           -- pixels
    PRIMARY KEY (item_id, name)
) STRICT, WITHOUT ROWID;

-- Bytes that belong together. What nobody refers to is taken away piece by piece.
CREATE TABLE media_contents (
    id         BLOB    NOT NULL PRIMARY KEY,
    state      TEXT    NOT NULL CHECK (state IN ('filling', 'kept', 'discarded')),
    label      TEXT,                -- of a content that a job fills: what it will be
    size_bytes INTEGER,             -- of such a content, once it is whole
    sha256     BLOB,                -- the same
    created_at INTEGER NOT NULL     -- UTC, ms
) STRICT, WITHOUT ROWID;

CREATE INDEX media_contents_to_sweep ON media_contents (state, created_at) WHERE state <> 'kept';

-- The bytes, in pieces of 256 KB and a last one that may be smaller: an ordinary table, so that one backup has all.
CREATE TABLE media_chunks (
    content_id BLOB    NOT NULL,
    number     INTEGER NOT NULL,  -- from 0: it begins at 262,144 times that
    bytes      BLOB    NOT NULL CHECK (length(bytes) BETWEEN 1 AND 262144),
    UNIQUE (content_id, number)
) STRICT;
