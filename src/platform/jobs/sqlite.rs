//! The tables of jobs.

use rusqlite::Row;
use rusqlite::types::Type;

use super::remote::{Worker, WorkerId};
use super::*;
use crate::platform::db::Tables;
use crate::sql;

/// What the team has said of a kind.
#[derive(Debug, Clone, Copy)]
pub(super) struct Standing {
    pub paused_at: Option<Time>,
    pub place: Place,
}

/// The jobs of a kind in a state: how many, and since when the oldest could have run.
pub(super) struct Counted {
    pub kind: String,
    pub state: State,
    pub number: i64,
    pub oldest: Option<Time>,
}

/// Where jobs are kept. What changes a job's state names the state, or the lease, that it must have.
pub(super) trait JobRepository {
    fn insert(
        &self,
        id: JobId,
        kind: &str,
        payload: &str,
        order: &Order,
        person: Option<UserId>,
        now: Time,
    ) -> Result<()>;
    fn find(&self, id: JobId) -> Result<Option<Job>>;
    /// The job of this kind and key that has not ended.
    fn find_open(&self, kind: &str, unique_key: &str) -> Result<Option<JobId>>;
    fn find_progress(&self, kind: &str, unique_key: &str) -> Result<Option<u8>>;
    fn delete_open(&self, id: JobId) -> Result<()>;
    fn list(&self, state: Option<&str>, kind: Option<&str>, before: Option<JobId>, limit: u32) -> Result<Vec<Job>>;

    /// Makes those ready whose time has come, at most `limit`; returns how many.
    fn promote(&self, now: Time, limit: u32) -> Result<usize>;
    fn list_ready(&self, kind: &str, limit: usize) -> Result<Vec<Leased>>;
    fn lease(&self, job: &Leased, worker: &str, until: Time, now: Time) -> Result<()>;
    fn renew(&self, id: JobId, lease: LeaseId, until: Time, progress: Option<u8>) -> Result<usize>;
    fn holds(&self, id: JobId, lease: LeaseId) -> Result<bool>;
    fn complete(&self, id: JobId, lease: LeaseId, now: Time) -> Result<()>;
    fn postpone(&self, id: JobId, run_at: Time) -> Result<()>;
    fn bury(&self, id: JobId, now: Time) -> Result<()>;
    fn release(&self, id: JobId, lease: LeaseId) -> Result<()>;
    fn list_lapsed(&self, now: Time) -> Result<Vec<Job>>;
    fn list_running_by(&self, worker: &str) -> Result<Vec<Job>>;
    fn requeue_all_running(&self, now: Time) -> Result<()>;
    fn retry(&self, id: JobId, now: Time) -> Result<()>;
    fn discard(&self, id: JobId, now: Time) -> Result<()>;
    fn discard_before(&self, kind: &str, before: Time, now: Time) -> Result<usize>;
    fn remove_ended_before(&self, time: Time, limit: u32) -> Result<usize>;

    fn insert_failure(&self, job: &Job, now: Time, why: &str) -> Result<()>;
    fn list_failures(&self, id: JobId) -> Result<Vec<Failed>>;

    fn find_kind(&self, kind: &str) -> Result<Standing>;
    fn put_pause(&self, kind: &str, at: Option<Time>) -> Result<()>;
    fn put_place(&self, kind: &str, place: Place) -> Result<()>;
    fn count(&self) -> Result<Vec<Counted>>;
    fn find_schedule(&self, kind: &str) -> Result<Option<(String, Time)>>;
    fn put_schedule(&self, kind: &str, cron: &str, next: Time) -> Result<()>;
    /// When something is to be done by the clock: a job's time comes, a lease lapses, a schedule is due.
    fn next_moment(&self) -> Result<Option<Time>>;

    fn hold(&self, now: Time) -> Result<()>;
    fn held_since(&self) -> Result<Option<Time>>;
    fn end_hold(&self) -> Result<()>;

    /// Whether one of this kind could run.
    fn is_ready(&self, kind: &str) -> Result<bool>;
    fn insert_worker(&self, worker: &Worker, token_hash: &[u8; 32]) -> Result<()>;
    fn find_worker(&self, token_hash: &[u8; 32]) -> Result<Option<Worker>>;
    fn list_workers(&self) -> Result<Vec<Worker>>;
    fn see_worker(&self, id: WorkerId, version: &str, now: Time) -> Result<()>;
    fn delete_worker(&self, id: WorkerId) -> Result<usize>;
    fn delete_workers(&self) -> Result<usize>;

    fn list_about(&self, person: UserId) -> Result<Vec<Job>>;
    fn delete_about(&self, person: UserId) -> Result<usize>;
    fn list_people(&self) -> Result<Vec<UserId>>;
}

impl JobRepository for Tables<'_, Owner> {
    fn insert(
        &self,
        id: JobId,
        kind: &str,
        payload: &str,
        order: &Order,
        person: Option<UserId>,
        now: Time,
    ) -> Result<()> {
        let run_at = order.run_at.unwrap_or(now);
        let state = if run_at > now { "waiting" } else { "ready" };
        self.execute(
            sql!(
                "INSERT INTO jobs (id, kind, payload, state, priority, run_at, unique_key, person, attempt, enqueued_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 0, ?9)"
            ),
            (id, kind, payload, state, order.priority as i64, run_at, &order.unique_key, person, now),
        )
        .map(drop)
    }

    fn find(&self, id: JobId) -> Result<Option<Job>> {
        self.fetch_optional(
            sql!(
                "SELECT id, kind, payload, state, priority, run_at, unique_key, person, attempt, worker, progress,
                        enqueued_at, started_at, ended_at,
                        (SELECT why FROM job_failures WHERE job = id ORDER BY attempt DESC LIMIT 1)
                 FROM jobs WHERE id = ?1"
            ),
            [id],
            job,
        )
    }

    fn find_open(&self, kind: &str, unique_key: &str) -> Result<Option<JobId>> {
        self.fetch_optional(
            sql!("SELECT id FROM jobs WHERE kind = ?1 AND unique_key = ?2 AND ended_at IS NULL"),
            (kind, unique_key),
            |row| row.get(0),
        )
    }

    fn find_progress(&self, kind: &str, unique_key: &str) -> Result<Option<u8>> {
        let found = self.fetch_optional(
            sql!("SELECT progress FROM jobs WHERE kind = ?1 AND unique_key = ?2 AND ended_at IS NULL"),
            (kind, unique_key),
            |row| row.get(0),
        )?;
        Ok(found.flatten())
    }

    fn list(&self, state: Option<&str>, kind: Option<&str>, before: Option<JobId>, limit: u32) -> Result<Vec<Job>> {
        self.fetch_all(
            sql!(
                "SELECT id, kind, payload, state, priority, run_at, unique_key, person, attempt, worker, progress,
                        enqueued_at, started_at, ended_at,
                        (SELECT why FROM job_failures WHERE job = id ORDER BY attempt DESC LIMIT 1)
                 FROM jobs WHERE (?1 IS NULL OR state = ?1) AND (?2 IS NULL OR kind = ?2) AND (?3 IS NULL OR id < ?3)
                 ORDER BY id DESC LIMIT ?4"
            ),
            (state, kind, before, limit),
            job,
        )
    }

    fn promote(&self, now: Time, limit: u32) -> Result<usize> {
        self.execute(
            sql!(
                "UPDATE jobs SET state = 'ready' WHERE id IN
                 (SELECT id FROM jobs WHERE state = 'waiting' AND run_at <= ?1 ORDER BY run_at LIMIT ?2)"
            ),
            (now, limit),
        )
    }

    fn list_ready(&self, kind: &str, limit: usize) -> Result<Vec<Leased>> {
        self.fetch_all(
            sql!(
                "SELECT id, kind, payload, attempt, run_at FROM jobs WHERE state = 'ready' AND kind = ?1
                 ORDER BY priority, run_at, id LIMIT ?2"
            ),
            (kind, i64::try_from(limit).unwrap_or(i64::MAX)),
            |row| {
                Ok(Leased {
                    id: row.get(0)?,
                    kind: row.get(1)?,
                    payload: row.get(2)?,
                    attempt: row.get(3)?,
                    ready_since: row.get(4)?,
                    lease: LeaseId::from_uuid(uuid::Uuid::nil()),
                })
            },
        )
    }

    fn lease(&self, job: &Leased, worker: &str, until: Time, now: Time) -> Result<()> {
        self.execute(
            sql!(
                "UPDATE jobs SET state = 'running', attempt = ?2, lease = ?3, worker = ?4, leased_until = ?5,
                                 started_at = ?6, progress = NULL
                 WHERE id = ?1 AND state = 'ready'"
            ),
            (job.id, job.attempt, job.lease, worker, until, now),
        )
        .map(drop)
    }

    fn renew(&self, id: JobId, lease: LeaseId, until: Time, progress: Option<u8>) -> Result<usize> {
        self.execute(
            sql!(
                "UPDATE jobs SET leased_until = ?3, progress = coalesce(?4, progress)
                 WHERE id = ?1 AND lease = ?2 AND state = 'running'"
            ),
            (id, lease, until, progress),
        )
    }

    fn holds(&self, id: JobId, lease: LeaseId) -> Result<bool> {
        let held = self.fetch_optional(
            sql!("SELECT 1 FROM jobs WHERE id = ?1 AND lease = ?2 AND state = 'running'"),
            (id, lease),
            |_| Ok(()),
        )?;
        Ok(held.is_some())
    }

    fn complete(&self, id: JobId, lease: LeaseId, now: Time) -> Result<()> {
        self.execute(
            sql!(
                "UPDATE jobs SET state = 'done', ended_at = ?3, lease = NULL, leased_until = NULL, progress = NULL
                 WHERE id = ?1 AND lease = ?2 AND state = 'running'"
            ),
            (id, lease, now),
        )
        .map(drop)
    }

    fn postpone(&self, id: JobId, run_at: Time) -> Result<()> {
        self.execute(
            sql!(
                "UPDATE jobs SET state = 'waiting', run_at = ?2, lease = NULL, leased_until = NULL, progress = NULL
                 WHERE id = ?1 AND state = 'running'"
            ),
            (id, run_at),
        )
        .map(drop)
    }

    fn bury(&self, id: JobId, now: Time) -> Result<()> {
        self.execute(
            sql!(
                "UPDATE jobs SET state = 'dead', ended_at = ?2, lease = NULL, leased_until = NULL, progress = NULL
                 WHERE id = ?1 AND state = 'running'"
            ),
            (id, now),
        )
        .map(drop)
    }

    fn release(&self, id: JobId, lease: LeaseId) -> Result<()> {
        self.execute(
            sql!(
                "UPDATE jobs SET state = 'ready', attempt = attempt - 1, lease = NULL, leased_until = NULL, progress = NULL
                 WHERE id = ?1 AND lease = ?2 AND state = 'running'"
            ),
            (id, lease),
        )
        .map(drop)
    }

    fn list_lapsed(&self, now: Time) -> Result<Vec<Job>> {
        self.fetch_all(
            sql!(
                "SELECT id, kind, payload, state, priority, run_at, unique_key, person, attempt, worker, progress,
                        enqueued_at, started_at, ended_at, NULL
                 FROM jobs WHERE state = 'running' AND leased_until < ?1 ORDER BY leased_until LIMIT 500"
            ),
            [now],
            job,
        )
    }

    fn list_running_by(&self, worker: &str) -> Result<Vec<Job>> {
        self.fetch_all(
            sql!(
                "SELECT id, kind, payload, state, priority, run_at, unique_key, person, attempt, worker, progress,
                        enqueued_at, started_at, ended_at, NULL
                 FROM jobs WHERE state = 'running' AND worker = ?1"
            ),
            [worker],
            job,
        )
    }

    fn requeue_all_running(&self, now: Time) -> Result<()> {
        self.execute(
            sql!(
                "UPDATE jobs SET state = 'ready', run_at = ?1, lease = NULL, leased_until = NULL, progress = NULL
                 WHERE state = 'running'"
            ),
            [now],
        )
        .map(drop)
    }

    fn retry(&self, id: JobId, now: Time) -> Result<()> {
        // One that ended has its tries again; its failures make room for those to come.
        self.execute(
            sql!("DELETE FROM job_failures WHERE job = ?1 AND (SELECT ended_at FROM jobs WHERE id = ?1) IS NOT NULL"),
            [id],
        )?;
        self.execute(
            sql!(
                "UPDATE jobs SET state = 'ready', run_at = ?2, attempt = iif(ended_at IS NULL, attempt, 0), ended_at = NULL
                 WHERE id = ?1 AND state IN ('waiting', 'dead', 'discarded')"
            ),
            (id, now),
        )
        .map(drop)
    }

    fn discard(&self, id: JobId, now: Time) -> Result<()> {
        self.execute(
            sql!(
                "UPDATE jobs SET state = 'discarded', ended_at = ?2 WHERE id = ?1 AND state IN ('waiting', 'ready', 'dead')"
            ),
            (id, now),
        )
        .map(drop)
    }

    fn discard_before(&self, kind: &str, before: Time, now: Time) -> Result<usize> {
        self.execute(
            sql!(
                "UPDATE jobs SET state = 'discarded', ended_at = ?3
                 WHERE kind = ?1 AND state IN ('waiting', 'ready') AND enqueued_at <= ?2"
            ),
            (kind, before, now),
        )
    }

    fn remove_ended_before(&self, time: Time, limit: u32) -> Result<usize> {
        self.execute(
            sql!(
                "DELETE FROM job_failures WHERE job IN
                 (SELECT id FROM jobs WHERE state IN ('done', 'discarded') AND ended_at < ?1 ORDER BY ended_at LIMIT ?2)"
            ),
            (time, limit),
        )?;
        self.execute(
            sql!(
                "DELETE FROM jobs WHERE id IN
                 (SELECT id FROM jobs WHERE state IN ('done', 'discarded') AND ended_at < ?1 ORDER BY ended_at LIMIT ?2)"
            ),
            (time, limit),
        )
    }

    fn insert_failure(&self, job: &Job, now: Time, why: &str) -> Result<()> {
        self.execute(
            sql!(
                "INSERT OR REPLACE INTO job_failures (job, attempt, worker, started_at, failed_at, why)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)"
            ),
            (job.id, job.attempt, &job.worker, job.started_at, now, why),
        )
        .map(drop)
    }

    fn list_failures(&self, id: JobId) -> Result<Vec<Failed>> {
        self.fetch_all(
            sql!(
                "SELECT attempt, worker, started_at, failed_at, why FROM job_failures WHERE job = ?1 ORDER BY attempt"
            ),
            [id],
            |row| {
                Ok(Failed {
                    attempt: row.get(0)?,
                    worker: row.get(1)?,
                    started_at: row.get(2)?,
                    failed_at: row.get(3)?,
                    why: row.get(4)?,
                })
            },
        )
    }

    fn find_kind(&self, kind: &str) -> Result<Standing> {
        let found =
            self.fetch_optional(sql!("SELECT paused_at, place FROM job_kinds WHERE kind = ?1"), [kind], |row| {
                let place = row.get_ref(1)?.as_str()?;
                let place = Place::parse(place).ok_or_else(|| unreadable(1))?;
                Ok(Standing { paused_at: row.get(0)?, place })
            })?;
        Ok(found.unwrap_or(Standing { paused_at: None, place: Place::Anywhere }))
    }

    fn put_pause(&self, kind: &str, at: Option<Time>) -> Result<()> {
        self.execute(
            sql!(
                "INSERT INTO job_kinds (kind, paused_at) VALUES (?1, ?2)
                 ON CONFLICT (kind) DO UPDATE SET paused_at = iif(?2 IS NULL, NULL, coalesce(paused_at, ?2))"
            ),
            (kind, at),
        )
        .map(drop)
    }

    fn put_place(&self, kind: &str, place: Place) -> Result<()> {
        self.execute(
            sql!(
                "INSERT INTO job_kinds (kind, place) VALUES (?1, ?2) ON CONFLICT (kind) DO UPDATE SET place = excluded.place"
            ),
            (kind, place.as_str()),
        )
        .map(drop)
    }

    fn count(&self) -> Result<Vec<Counted>> {
        self.fetch_all(sql!("SELECT kind, state, count(*), min(run_at) FROM jobs GROUP BY kind, state"), [], |row| {
            Ok(Counted { kind: row.get(0)?, state: state(row, 1)?, number: row.get(2)?, oldest: row.get(3)? })
        })
    }

    fn find_schedule(&self, kind: &str) -> Result<Option<(String, Time)>> {
        self.fetch_optional(sql!("SELECT cron, next_at FROM job_schedules WHERE kind = ?1"), [kind], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
    }

    fn put_schedule(&self, kind: &str, cron: &str, next: Time) -> Result<()> {
        self.execute(
            sql!(
                "INSERT INTO job_schedules (kind, cron, next_at) VALUES (?1, ?2, ?3)
                 ON CONFLICT (kind) DO UPDATE SET cron = excluded.cron, next_at = excluded.next_at"
            ),
            (kind, cron, next),
        )
        .map(drop)
    }

    fn next_moment(&self) -> Result<Option<Time>> {
        let next = self.fetch_optional(
            sql!(
                "SELECT min(at) FROM (SELECT min(run_at) AS at FROM jobs WHERE state = 'waiting'
                 UNION ALL SELECT min(leased_until) FROM jobs WHERE state = 'running'
                 UNION ALL SELECT min(next_at) FROM job_schedules)"
            ),
            [],
            |row| row.get(0),
        )?;
        Ok(next.flatten())
    }

    fn hold(&self, now: Time) -> Result<()> {
        self.end_hold()?;
        self.execute(sql!("INSERT INTO job_holds (since) VALUES (?1)"), [now]).map(drop)
    }

    fn held_since(&self) -> Result<Option<Time>> {
        self.fetch_optional(sql!("SELECT since FROM job_holds"), [], |row| row.get(0))
    }

    fn end_hold(&self) -> Result<()> {
        self.execute(sql!("DELETE FROM job_holds"), []).map(drop)
    }

    fn is_ready(&self, kind: &str) -> Result<bool> {
        let found = self.fetch_optional(
            sql!("SELECT 1 FROM jobs WHERE state = 'ready' AND kind = ?1 LIMIT 1"),
            [kind],
            |_| Ok(()),
        )?;
        Ok(found.is_some())
    }

    fn insert_worker(&self, worker: &Worker, token_hash: &[u8; 32]) -> Result<()> {
        self.execute(
            sql!("INSERT INTO job_workers (id, name, token_hash, created_at) VALUES (?1, ?2, ?3, ?4)"),
            (worker.id, &worker.name, token_hash, worker.created_at),
        )
        .map(drop)
    }

    fn find_worker(&self, token_hash: &[u8; 32]) -> Result<Option<Worker>> {
        self.fetch_optional(
            sql!("SELECT id, name, created_at, last_seen_at, version FROM job_workers WHERE token_hash = ?1"),
            [token_hash],
            worker,
        )
    }

    fn list_workers(&self) -> Result<Vec<Worker>> {
        self.fetch_all(
            sql!("SELECT id, name, created_at, last_seen_at, version FROM job_workers ORDER BY name LIMIT 1000"),
            [],
            worker,
        )
    }

    fn see_worker(&self, id: WorkerId, version: &str, now: Time) -> Result<()> {
        self.execute(sql!("UPDATE job_workers SET last_seen_at = ?2, version = ?3 WHERE id = ?1"), (id, now, version))
            .map(drop)
    }

    fn delete_worker(&self, id: WorkerId) -> Result<usize> {
        self.execute(sql!("DELETE FROM job_workers WHERE id = ?1"), [id])
    }

    fn delete_workers(&self) -> Result<usize> {
        self.execute(sql!("DELETE FROM job_workers"), [])
    }

    fn list_about(&self, person: UserId) -> Result<Vec<Job>> {
        self.fetch_all(
            sql!(
                "SELECT id, kind, payload, state, priority, run_at, unique_key, person, attempt, worker, progress,
                        enqueued_at, started_at, ended_at, NULL
                 FROM jobs WHERE person = ?1 ORDER BY id"
            ),
            [person],
            job,
        )
    }

    fn delete_open(&self, id: JobId) -> Result<()> {
        self.execute(sql!("DELETE FROM job_failures WHERE job = ?1"), [id])?;
        self.execute(sql!("DELETE FROM jobs WHERE id = ?1 AND ended_at IS NULL"), [id]).map(drop)
    }

    fn delete_about(&self, person: UserId) -> Result<usize> {
        self.execute(sql!("DELETE FROM job_failures WHERE job IN (SELECT id FROM jobs WHERE person = ?1)"), [person])?;
        self.execute(sql!("DELETE FROM jobs WHERE person = ?1"), [person])
    }

    fn list_people(&self) -> Result<Vec<UserId>> {
        self.fetch_all(sql!("SELECT DISTINCT person FROM jobs WHERE person IS NOT NULL ORDER BY person"), [], |row| {
            row.get(0)
        })
    }
}

fn worker(row: &Row<'_>) -> rusqlite::Result<Worker> {
    Ok(Worker {
        id: row.get(0)?,
        name: row.get(1)?,
        created_at: row.get(2)?,
        last_seen_at: row.get(3)?,
        version: row.get(4)?,
    })
}

fn job(row: &Row<'_>) -> rusqlite::Result<Job> {
    Ok(Job {
        id: row.get(0)?,
        kind: row.get(1)?,
        payload: row.get(2)?,
        state: state(row, 3)?,
        priority: row.get(4)?,
        run_at: row.get(5)?,
        unique_key: row.get(6)?,
        person: row.get(7)?,
        attempt: row.get(8)?,
        worker: row.get(9)?,
        progress: row.get(10)?,
        enqueued_at: row.get(11)?,
        started_at: row.get(12)?,
        ended_at: row.get(13)?,
        last_error: row.get(14)?,
    })
}

fn state(row: &Row<'_>, column: usize) -> rusqlite::Result<State> {
    State::parse(row.get_ref(column)?.as_str()?).ok_or_else(|| unreadable(column))
}

fn unreadable(column: usize) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, "none of the words it may be".into())
}
