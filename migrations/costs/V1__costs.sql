-- What was used, and by whom, in each minute, hour and day of late in which anything was; so many of each are kept.
CREATE TABLE cost_history (
    step TEXT    NOT NULL CHECK (step IN ('minute', 'hour', 'day')),
    at   INTEGER NOT NULL,  -- UTC, ms: when it begins
    used TEXT    NOT NULL,  -- JSON
    PRIMARY KEY (step, at)
) STRICT;

-- Whose statements ran together, in one transaction or one read, and on whose behalf; a row for each that was ever seen.
CREATE TABLE cost_spans (
    action  TEXT    NOT NULL CHECK (action IN ('read', 'write')),
    name    TEXT    NOT NULL,  -- of the unit of work
    owner   TEXT    NOT NULL,  -- whose tables
    by_kind TEXT    NOT NULL CHECK (by_kind IN ('route', 'job', 'background')),
    by_name TEXT    NOT NULL,
    seen_at INTEGER NOT NULL,  -- UTC, ms: to the day
    PRIMARY KEY (action, name, owner, by_kind, by_name)
) STRICT, WITHOUT ROWID;
