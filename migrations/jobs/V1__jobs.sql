-- What is to be done after a commit; enqueued in the transaction of the change that asks for it.
CREATE TABLE jobs (
    id           BLOB    NOT NULL PRIMARY KEY,
    kind         TEXT    NOT NULL,  -- mail.deliver: whose it is, a dot, what is done
    payload      TEXT    NOT NULL,  -- JSON: ids, never personal data
    state        TEXT    NOT NULL CHECK (state IN ('waiting', 'ready', 'running', 'done', 'dead', 'discarded')),
    priority     INTEGER NOT NULL,  -- a smaller one runs first
    run_at       INTEGER NOT NULL,  -- UTC, ms: not before
    unique_key   TEXT,              -- of all jobs of a kind that have not ended, one bears it
    person       BLOB,              -- whom it is about, to be erased with them
    attempt      INTEGER NOT NULL,  -- how often it was begun
    lease        BLOB,              -- the fencing token of the run that holds it
    worker       TEXT,              -- who runs it, or ran it last; here: the server itself
    leased_until INTEGER,           -- UTC, ms: past it the worker is taken for dead
    progress     INTEGER,           -- percent, of the run that holds it
    enqueued_at  INTEGER NOT NULL,  -- UTC, ms
    started_at   INTEGER,           -- UTC, ms: the last run
    ended_at     INTEGER            -- UTC, ms: done, dead or discarded
) STRICT, WITHOUT ROWID;

CREATE INDEX jobs_ready ON jobs (kind, priority, id) WHERE state = 'ready';
CREATE INDEX jobs_waiting ON jobs (run_at) WHERE state = 'waiting';
CREATE INDEX jobs_running ON jobs (leased_until) WHERE state = 'running';
CREATE INDEX jobs_ended ON jobs (state, ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX jobs_by_person ON jobs (person) WHERE person IS NOT NULL;
CREATE UNIQUE INDEX jobs_by_unique_key ON jobs (kind, unique_key) WHERE unique_key IS NOT NULL AND ended_at IS NULL;

-- Why runs of a job failed; one row for each that did.
CREATE TABLE job_failures (
    job        BLOB    NOT NULL,  -- of `jobs`
    attempt    INTEGER NOT NULL,
    worker     TEXT,
    started_at INTEGER,           -- UTC, ms
    failed_at  INTEGER NOT NULL,  -- UTC, ms
    why        TEXT    NOT NULL,
    PRIMARY KEY (job, attempt)
) STRICT, WITHOUT ROWID;

-- What the team has said of a kind; none where nothing.
CREATE TABLE job_kinds (
    kind      TEXT    NOT NULL PRIMARY KEY,
    paused_at INTEGER,  -- UTC, ms; null where it is not paused
    place     TEXT      NOT NULL DEFAULT 'anywhere' CHECK (place IN ('here', 'workers', 'anywhere'))
) STRICT, WITHOUT ROWID;

-- When what is done by the clock is done next.
CREATE TABLE job_schedules (
    kind    TEXT    NOT NULL PRIMARY KEY,
    cron    TEXT    NOT NULL,
    next_at INTEGER NOT NULL  -- UTC, ms
) STRICT, WITHOUT ROWID;

-- At most one row, since a restore: what goes out of the house waits until an owner lets it.
CREATE TABLE job_holds (
    since INTEGER NOT NULL PRIMARY KEY  -- UTC, ms
) STRICT;

-- Programs on other machines that take jobs; each by a token that is good for that and nothing else.
CREATE TABLE job_workers (
    id           BLOB    NOT NULL PRIMARY KEY,
    name         TEXT    NOT NULL UNIQUE,
    token_hash   BLOB    NOT NULL UNIQUE,  -- SHA-256 of the token; the token itself is kept nowhere
    created_at   INTEGER NOT NULL,         -- UTC, ms
    last_seen_at INTEGER,                  -- UTC, ms; to the minute
    version      TEXT                      -- of the program, as it said last
) STRICT, WITHOUT ROWID;
