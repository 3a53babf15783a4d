//! Leases: who runs a job now, and what becomes of it. Each step is one row in one unit of work, for runs in this process
//! and on other machines alike.

use super::*;

/// How the server itself is called among those that run jobs.
pub const HERE: &str = "here";
/// What a run hears that comes too late.
pub const NO_LEASE: &str = "this run of the job was given up: it took too long to be heard of, or the job is gone";
/// A failure is said in so many bytes, at most.
const MAX_WHY_BYTES: usize = 2000;

/// The fencing token of a run: no other ever bears it, in no past of the unit that a restore has ended either.
pub type LeaseId = Id<Leased>;

/// A job that was given to a run.
#[derive(Debug, Clone)]
pub struct Leased {
    pub id: JobId,
    pub kind: String,
    pub payload: String,
    /// How often it was begun, this time counted.
    pub attempt: u32,
    pub lease: LeaseId,
    /// Since when it could have run.
    pub ready_since: Time,
}

/// Who takes jobs, and for how long each is theirs without a word.
#[derive(Debug, Clone, Copy)]
pub struct Leasing<'a> {
    pub worker: &'a str,
    pub lease_ms: i64,
}

impl Leasing<'_> {
    fn until(&self, now: Time) -> Time {
        Time::from_ms(now.as_ms().saturating_add(self.lease_ms))
    }
}

/// Takes up to `limit` jobs of `kind` that are ready, where that kind may run now and there.
pub fn lease(work: &UnitOfWork<'_>, kind: &Kind, who: Leasing<'_>, limit: usize) -> Result<Vec<Leased>> {
    let tables = work.tables(Owner(()));
    let standing = tables.find_kind(kind.name)?;
    let is_here = who.worker == HERE;
    let allowed = match standing.place {
        Place::Here => is_here,
        Place::Workers if kind.is_portable() => !is_here,
        Place::Workers | Place::Anywhere => is_here || kind.is_portable(),
    };
    if !allowed || standing.paused_at.is_some() || (kind.is_outward && tables.held_since()?.is_some()) {
        return Ok(Vec::new());
    }
    let mut leased = tables.list_ready(kind.name, limit)?;
    if !leased.is_empty() {
        work.raise(PROGRESS);
    }
    for job in &mut leased {
        job.lease = work.new_id();
        job.attempt += 1;
        tables.lease(job, who.worker, who.until(work.now()), work.now())?;
    }
    Ok(leased)
}

/// Says that a run goes on, how far it is, and keeps the job its own; false if it is not any more.
pub fn renew(work: &UnitOfWork<'_>, id: JobId, lease: LeaseId, who: Leasing<'_>, progress: Option<u8>) -> Result<bool> {
    if progress.is_some() {
        work.raise(PROGRESS);
    }
    Ok(work.tables(Owner(())).renew(id, lease, who.until(work.now()), progress)? == 1)
}

/// Refuses what comes from a run that does not hold the job any more.
pub(super) fn must_hold(work: &UnitOfWork<'_>, id: JobId, lease: LeaseId) -> Result<()> {
    match work.tables(Owner(())).holds(id, lease)? {
        true => Ok(()),
        false => Err(Error::conflict("lease", NO_LEASE)),
    }
}

/// Ends a job with what its run has to record; [`Error::Conflict`] if the job is not that run's any more.
pub fn complete(work: &UnitOfWork<'_>, id: JobId, lease: LeaseId, record: Record) -> Result<()> {
    must_hold(work, id, lease)?;
    record.write(work)?;
    work.raise(PROGRESS);
    // What was recorded may have erased whom the job is about, and with them the job.
    work.tables(Owner(())).complete(id, lease, work.now())
}

/// Notes why a run failed; it is tried again later, or given up.
///
/// # Errors
/// [`Error::Conflict`] if the job is not that run's any more.
pub fn fail(work: &UnitOfWork<'_>, kinds: &Kinds, id: JobId, lease: LeaseId, failure: &Failure) -> Result<State> {
    must_hold(work, id, lease)?;
    let job = find(work, id)?;
    gave_up(work, kinds, &job, failure)
}

fn gave_up(work: &UnitOfWork<'_>, kinds: &Kinds, job: &Job, failure: &Failure) -> Result<State> {
    let tables = work.tables(Owner(()));
    let why = shortened(failure.why());
    tables.insert_failure(job, work.now(), why)?;
    work.raise(PROGRESS);
    metrics::counter!("ashlar_job_failures_total", "kind" => job.kind.clone()).increment(1);
    let kind = kinds.find(&job.kind);
    let is_last = kind.is_none_or(|kind| job.attempt >= kind.attempts);
    match (failure, kind) {
        (Failure::Retry(_) | Failure::RetryAfter(..), Some(kind)) if !is_last => {
            let wait = match failure {
                Failure::RetryAfter(wait, _) => (*wait).max(kind.wait_after(job.attempt)),
                _ => kind.wait_after(job.attempt),
            };
            let wait = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
            tables.postpone(job.id, Time::from_ms(work.now().as_ms().saturating_add(wait)))?;
            work.raise(SIGNAL);
            Ok(State::Waiting)
        }
        _ => {
            tables.bury(job.id, work.now())?;
            tracing::warn!(job = %job.id, kind = job.kind, attempt = job.attempt, why, "a job is dead");
            if let Some(kind) = kind {
                kind.die(work, &job.payload, why)?;
            }
            Ok(State::Dead)
        }
    }
}

/// Gives a job back untried: its run was stopped from outside.
pub fn release(work: &UnitOfWork<'_>, id: JobId, lease: LeaseId) -> Result<()> {
    work.tables(Owner(())).release(id, lease)?;
    work.raise(SIGNAL);
    Ok(())
}

/// Takes jobs away from workers that were not heard of for too long; returns how many.
pub(super) fn reclaim(work: &UnitOfWork<'_>, kinds: &Kinds) -> Result<usize> {
    let lapsed = work.tables(Owner(())).list_lapsed(work.now())?;
    for job in &lapsed {
        let why = match job.worker.as_deref() {
            Some(HERE) => "it took too long".to_owned(),
            worker => format!("{} was not heard of for too long", worker.unwrap_or("its worker")),
        };
        gave_up(work, kinds, job, &Failure::Retry(why))?;
    }
    Ok(lapsed.len())
}

/// Takes back what a server that is gone was running; no other can be while this one holds the folder.
pub(super) fn reclaim_here(work: &UnitOfWork<'_>, kinds: &Kinds) -> Result<usize> {
    let orphans = work.tables(Owner(())).list_running_by(HERE)?;
    for job in &orphans {
        gave_up(work, kinds, job, &Failure::Retry("the server ended while it ran".into()))?;
    }
    Ok(orphans.len())
}

fn shortened(why: &str) -> &str {
    let end = (0..=MAX_WHY_BYTES.min(why.len())).rev().find(|end| why.is_char_boundary(*end)).unwrap_or(0);
    &why[..end]
}
