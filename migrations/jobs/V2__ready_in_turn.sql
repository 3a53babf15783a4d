-- Whose time came first is first: in the order of ids, old jobs that fail again and again went ahead of every new one.
DROP INDEX jobs_ready;
CREATE INDEX jobs_ready ON jobs (kind, priority, run_at, id) WHERE state = 'ready';
