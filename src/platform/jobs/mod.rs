//! Jobs: what is done after the commit.
//!
//! A job is enqueued in the transaction of the change that asks for it, so that both are there or neither. It runs at least
//! once: each run holds a lease, which lapses unless it is renewed, and bears a fencing token, so that whatever comes late
//! from a run that was given up is refused. What a run records is committed together with the job's end, so it is recorded
//! exactly once.
//!
//! Owns `jobs`, `job_failures`, `job_kinds`, `job_schedules`, `job_holds` and `job_workers`.

mod api;
mod kind;
mod lease;
mod look;
mod model;
mod portable;
pub mod remote;
mod run;
mod sqlite;
mod workers;

use serde::Serialize;

pub use api::{ChangeJobKind, Desk, JobPage, JobsApi, page, routes};
pub use kind::{Failure, Kind, Kinds, Payload, Record};
pub use lease::{HERE, LeaseId, Leased, Leasing, NO_LEASE, complete, fail, lease, release, renew};
pub use look::{Failed, Job, KindReport, State, Totals, failures, find, gauge, list, reports, since_hold};
pub use model::{Order, Place, Priority};
pub use portable::{Bench, Input, Made, Portable, Work};
pub use run::Run;
pub use workers::{Workers, abandon_runs_here};

use super::clock::Time;
use super::db::{self, Snapshot, UnitOfWork};
use super::error::{Error, OrConflict, Result};
use super::ids::{Id, UserId};
use sqlite::JobRepository;

/// The key to this owner's tables; no one else can make one.
struct Owner(());

impl db::Owner for Owner {
    const PATH: &'static str = module_path!();
}

pub type JobId = Id<Job>;

/// Raised by whatever makes a job ready ([`db::Database::signal`]).
pub const SIGNAL: &str = "jobs";

/// Raised by whatever changes a job's state or progress.
pub const PROGRESS: &str = "job progress";

/// A payload says which rows to work on; what is large or about a person stands in those.
const MAX_PAYLOAD_BYTES: usize = 16 * 1024;
/// What is done is kept for looking back: a day.
const KEPT_S: i64 = 24 * 60 * 60;
/// So many are removed at once, so that nobody waits for it.
const SWEEP: u32 = 2000;

/// Asks for a job, to be run as soon as this is committed.
pub fn enqueue<P: Payload>(work: &UnitOfWork<'_>, payload: &P) -> Result<JobId> {
    enqueue_with(work, payload, Order::default())
}

/// As [`enqueue`], with a say in when, how soon and how often. Where a job of its kind with its unique key has not ended
/// yet, it is that one.
pub fn enqueue_with<P: Payload>(work: &UnitOfWork<'_>, payload: &P, order: Order) -> Result<JobId> {
    let payload = serde_json::to_string(payload).map_err(|e| Error::internal("writing a job's payload", e))?;
    enqueue_text(work, P::KIND, &payload, order)
}

fn enqueue_text(work: &UnitOfWork<'_>, kind: &str, payload: &str, order: Order) -> Result<JobId> {
    if payload.len() > MAX_PAYLOAD_BYTES {
        return Err(Error::Internal(format!(
            "a job of kind `{kind}` bears {} bytes, more than {MAX_PAYLOAD_BYTES}: keep them in a row, and its id in the job",
            payload.len()
        )));
    }
    let tables = work.tables(Owner(()));
    if let Some(key) = &order.unique_key
        && let Some(there) = tables.find_open(kind, key)?
    {
        return Ok(there);
    }
    let id = work.new_id();
    let person = order.person.or(work.person()).filter(|_| !order.is_upkeep);
    tables.insert(id, kind, payload, &order, person, work.now())?;
    work.raise(SIGNAL);
    Ok(id)
}

/// How far the job of this kind and key is that runs now, in percent.
pub fn progress_of(snapshot: &Snapshot<'_>, kind: &str, unique_key: &str) -> Result<Option<u8>> {
    snapshot.tables(Owner(())).find_progress(kind, unique_key)
}

/// Runs a dead job, or one that waits for another try, as soon as can be; a dead one has all its tries again.
///
/// # Errors
/// [`Error::Conflict`] if it runs, or has ended well, or another with its unique key has come since.
pub fn retry(work: &UnitOfWork<'_>, id: JobId) -> Result<Job> {
    let job = find(work, id)?;
    if !matches!(job.state, State::Waiting | State::Dead | State::Discarded) {
        return Err(Error::conflict("state", format!("this job is {}: there is nothing to retry", job.state.as_str())));
    }
    work.tables(Owner(())).retry(id, work.now()).or_conflict("unique_key", "another job does the same already")?;
    work.raise(SIGNAL);
    find(work, id)
}

/// Gives up on a job that is not running.
///
/// # Errors
/// [`Error::Conflict`] if it runs or has ended; what runs is stopped by pausing its kind and letting it fail.
pub fn discard(work: &UnitOfWork<'_>, id: JobId) -> Result<Job> {
    let job = find(work, id)?;
    if !matches!(job.state, State::Waiting | State::Ready | State::Dead) {
        return Err(Error::conflict("state", format!("this job is {}: it can't be discarded", job.state.as_str())));
    }
    work.tables(Owner(())).discard(id, work.now())?;
    find(work, id)
}

/// Begins no more jobs of a kind, or goes on; what runs ends.
pub fn pause(work: &UnitOfWork<'_>, kind: &str, paused: bool) -> Result<()> {
    work.tables(Owner(())).put_pause(kind, paused.then(|| work.now()))?;
    work.raise(SIGNAL);
    Ok(())
}

/// Says where jobs of a kind run. What runs elsewhere by then ends there.
pub fn put_place(work: &UnitOfWork<'_>, kind: &str, place: Place) -> Result<()> {
    work.tables(Owner(())).put_place(kind, place)?;
    work.raise(SIGNAL);
    Ok(())
}

/// After a restore: what ran runs again, under other fencing tokens than the past ever gave out, and what goes out of the
/// house waits until [`let_out`], since it may have gone out already after the backup was made.
pub fn restored(work: &UnitOfWork<'_>) -> Result<()> {
    let tables = work.tables(Owner(()));
    tables.requeue_all_running(work.now())?;
    // One that was revoked since the backup would be let in again.
    tables.delete_workers()?;
    tables.hold(work.now())
}

/// Lets out what [`restored`] holds.
pub fn let_out(work: &UnitOfWork<'_>) -> Result<()> {
    work.tables(Owner(())).end_hold()?;
    work.raise(SIGNAL);
    Ok(())
}

/// Discards what was enqueued before the restore and would go out of the house, and lets out what comes.
pub fn discard_held(work: &UnitOfWork<'_>, kinds: &Kinds) -> Result<usize> {
    let tables = work.tables(Owner(()));
    let Some(since) = tables.held_since()? else { return Ok(0) };
    let mut discarded = 0;
    for kind in kinds.iter().filter(|kind| kind.is_outward) {
        discarded += tables.discard_before(kind.name, since, work.now())?;
        kind.forgo(work, since)?;
    }
    let_out(work)?;
    Ok(discarded)
}

/// Forgets what was done more than a day ago; returns how many.
pub fn sweep(work: &UnitOfWork<'_>) -> Result<usize> {
    work.tables(Owner(())).remove_ended_before(work.now().plus_seconds(-KEPT_S), SWEEP)
}

/// What is to be done about a person, and was of late.
pub fn export(snapshot: &Snapshot<'_>, person: UserId) -> Result<Vec<Job>> {
    snapshot.tables(Owner(())).list_about(person)
}

/// Takes away the job of this kind and key that has not ended, if there is one: what it was for is gone. What runs is told to
/// stop, and has nothing to record its result on.
pub fn withdraw(work: &UnitOfWork<'_>, kind: &str, unique_key: &str) -> Result<()> {
    let tables = work.tables(Owner(()));
    tables.find_open(kind, unique_key)?.map_or(Ok(()), |id| tables.delete_open(id))
}

/// Takes all jobs about a person away; what runs has nothing to record its result on.
pub fn erase(work: &UnitOfWork<'_>, person: UserId) -> Result<usize> {
    work.tables(Owner(())).delete_about(person)
}

/// Everyone that jobs are about, for `ashlar doctor`.
pub fn known_users(snapshot: &Snapshot<'_>) -> Result<Vec<UserId>> {
    snapshot.tables(Owner(())).list_people()
}
