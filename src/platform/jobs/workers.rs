//! The server's own workers: one thread hands out jobs, and each run has a thread of its own.
//!
//! A commit that makes a job ready wakes the first; now and then it looks by itself, for what another process has enqueued.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::run::Held;
use super::*;
use crate::platform::actor::Actor;
use crate::platform::db::Database;
use crate::platform::metering::{self, Ticket};
use crate::platform::threads;

/// What another process has enqueued is found after so long.
const LOOK: Duration = Duration::from_secs(2);
/// Where the clock and the database disagree on what is due, it is not asked more often than that.
const SHORTEST_LOOK: Duration = Duration::from_millis(20);
/// What could not be read or written is tried again after so long.
const AGAIN: Duration = Duration::from_secs(1);
/// Jobs whose time has come are made ready so many at once.
const PROMOTED: u32 = 1000;

/// The workers of this process, until they are stopped. Clones share them.
#[derive(Clone)]
pub struct Workers {
    shared: Arc<Shared>,
}

struct Shared {
    database: Database,
    kinds: Kinds,
    lease_ms: i64,
    runs: Mutex<HashMap<LeaseId, Running>>,
    /// Raised when a run ends, or all are to.
    ended: watch::Sender<u64>,
    stopping: watch::Sender<bool>,
}

/// A run in this process.
struct Running {
    job: JobId,
    kind: &'static str,
    began: Instant,
    longest: Duration,
    held: Arc<Held>,
}

/// Takes back what a server that is gone was running. Before the first [`Workers::run`] of a process that holds the folder.
pub fn abandon_runs_here(database: &Database, kinds: &Kinds) -> Result<usize> {
    let kinds = kinds.clone();
    database.write_blocking("jobs", Actor::system(), move |work| lease::reclaim_here(work, &kinds))
}

impl Workers {
    pub fn new(database: Database, kinds: Kinds, lease: Duration) -> Workers {
        let lease_ms = i64::try_from(lease.as_millis()).unwrap_or(i64::MAX);
        let (ended, stopping) = (watch::Sender::default(), watch::Sender::default());
        Workers { shared: Arc::new(Shared { database, kinds, lease_ms, runs: Mutex::default(), ended, stopping }) }
    }

    /// Hands out jobs until [`Workers::stop`].
    pub async fn run(self) {
        let mut signal = self.shared.database.signal(SIGNAL);
        let mut ended = self.shared.ended.subscribe();
        let mut stopping = self.shared.stopping.subscribe();
        while !*stopping.borrow() {
            let shared = self.shared.clone();
            let wait = match tokio::task::spawn_blocking(move || shared.round()).await {
                Ok(Ok(wait)) => wait,
                Ok(Err(Error::Overloaded(_))) => AGAIN,
                Ok(Err(error)) => {
                    tracing::error!(%error, "jobs could not be handed out");
                    AGAIN
                }
                Err(error) => {
                    tracing::error!(%error, "jobs could not be handed out");
                    AGAIN
                }
            };
            tokio::select! {
                // Whatever is raised from here on is seen by the next round. The senders live as long as this does.
                _ = signal.changed() => {}
                _ = ended.changed() => {}
                _ = stopping.changed() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Begins no more, tells what runs to stop, waits for it up to `patience`, and gives the rest back untried.
    pub async fn stop(&self, patience: Duration) {
        let shared = &self.shared;
        shared.stopping.send_replace(true);
        let mut ended = shared.ended.subscribe();
        shared.runs().values().for_each(|run| run.held.stopping.store(true, Ordering::Relaxed));
        let until = tokio::time::Instant::now() + patience;
        while !shared.runs().is_empty() {
            if tokio::time::timeout_at(until, ended.changed()).await.is_err() {
                break;
            }
        }
        let left: Vec<_> = shared.runs().iter().map(|(lease, run)| (run.job, *lease)).collect();
        if left.is_empty() {
            return;
        }
        tracing::warn!(jobs = left.len(), "jobs that did not stop in time will run again");
        let released = shared.database.write("jobs", Actor::system(), move |work| {
            left.into_iter().try_for_each(|(job, lease)| release(work, job, lease))
        });
        if let Err(error) = released.await {
            tracing::error!(%error, "jobs could not be given back; the next start does");
        }
    }
}

impl Shared {
    fn runs(&self) -> std::sync::MutexGuard<'_, HashMap<LeaseId, Running>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn leasing(&self) -> Leasing<'static> {
        Leasing { worker: HERE, lease_ms: self.lease_ms }
    }

    /// Begins what can begin; returns when to look again.
    fn round(self: &Arc<Self>) -> Result<Duration> {
        self.renew()?;
        let free = self.free();
        let kinds = self.kinds.clone();
        let who = self.leasing();
        let (now, is_due) = self
            .database
            .read_blocking("jobs", |snapshot| Ok((snapshot.now(), is_anything_to_do(snapshot, &kinds, &free)?)))?;
        if is_due {
            let leased = self.database.write_blocking("jobs", Actor::system(), move |work| {
                lease::reclaim(work, &kinds)?;
                tick(work, &kinds)?;
                if work.tables(Owner(())).promote(work.now(), PROMOTED)? > 0 {
                    // Workers elsewhere wait for it too.
                    work.raise(SIGNAL);
                }
                let mut leased = Vec::new();
                for (kind, free) in free {
                    if let Some(kind) = kinds.find(kind) {
                        leased.extend(lease(work, kind, who, free)?);
                    }
                }
                Ok(leased)
            })?;
            leased.into_iter().try_for_each(|job| self.begin(job))?;
        }
        let next = self.database.read_blocking("jobs", |snapshot| snapshot.tables(Owner(())).next_moment())?;
        let until =
            next.map_or(LOOK, |next| Duration::from_millis(next.as_ms().saturating_sub(now.as_ms()).max(0) as u64));
        Ok(until.clamp(SHORTEST_LOOK, LOOK))
    }

    /// How many more of each kind may begin here.
    fn free(&self) -> Vec<(&'static str, usize)> {
        let runs = self.runs();
        let running = |kind: &Kind| runs.values().filter(|run| run.kind == kind.name).count();
        let free = self.kinds.iter().map(|kind| (kind.name, kind.slots.saturating_sub(running(kind))));
        free.filter(|(_, free)| *free > 0).collect()
    }

    /// Keeps what runs here ours, and gives up what takes too long. Before anything is taken from those not heard of: this
    /// process may have slept.
    fn renew(&self) -> Result<()> {
        let mut kept = Vec::new();
        let lapsed = Duration::from_millis(self.lease_ms.unsigned_abs());
        self.runs().retain(|lease, run| {
            let over = run.began.elapsed().checked_sub(run.longest);
            match over {
                None => kept.push((run.job, *lease, run.held.clone())),
                // Its lease lapses, and what it brings then is refused.
                Some(_) => run.held.stopping.store(true, Ordering::Relaxed),
            }
            let is_lost = over.is_some_and(|over| over > lapsed);
            if is_lost {
                tracing::error!(job = %run.job, kind = run.kind, "a run does not end, though it was told to; it is left behind");
            }
            !is_lost
        });
        if kept.is_empty() {
            return Ok(());
        }
        let who = self.leasing();
        self.database.write_blocking("jobs", Actor::system(), move |work| {
            for (job, lease, held) in kept {
                let progress = Some(held.progress.load(Ordering::Relaxed)).filter(|percent| *percent > 0);
                if !renew(work, job, lease, who, progress)? {
                    held.stopping.store(true, Ordering::Relaxed);
                }
            }
            Ok(())
        })
    }

    /// Starts a thread that runs `job`, and then what else of its kind is ready.
    fn begin(self: &Arc<Self>, job: Leased) -> Result<()> {
        let Some(kind) = self.kinds.find(&job.kind).cloned() else { return Ok(()) };
        let held = self.note(&kind, &job);
        let shared = self.clone();
        let (id, lease) = (job.id, job.lease);
        let thread = std::thread::Builder::new().name(format!("job {}", kind.name)).spawn(move || {
            threads::give_way();
            let mut next = Some((job, held));
            while let Some((job, held)) = next {
                next = shared.run_one(&kind, job, held);
            }
        });
        if let Err(error) = thread {
            self.forget(lease);
            self.database.write_blocking("jobs", Actor::system(), move |work| release(work, id, lease))?;
            return Err(Error::internal("starting a thread for a job", error));
        }
        Ok(())
    }

    fn note(&self, kind: &Kind, job: &Leased) -> Arc<Held> {
        let held = Arc::<Held>::default();
        held.stopping.store(*self.stopping.borrow(), Ordering::Relaxed);
        let running = Running {
            job: job.id,
            kind: kind.name,
            began: Instant::now(),
            longest: kind.longest_run,
            held: held.clone(),
        };
        self.runs().insert(job.lease, running);
        held
    }

    fn forget(&self, lease: LeaseId) {
        self.runs().remove(&lease);
        self.ended.send_modify(|count| *count += 1);
    }

    /// Runs one job to its end; what comes next takes its place in the same transaction.
    fn run_one(&self, kind: &Kind, job: Leased, held: Arc<Held>) -> Option<(Leased, Arc<Held>)> {
        let began = Instant::now();
        let (id, lease, attempt) = (job.id, job.lease, job.attempt);
        let waited = self.database.clock().now().as_ms().saturating_sub(job.ready_since.as_ms()).max(0);
        metrics::histogram!("ashlar_job_wait_seconds", "kind" => kind.name).record(waited as f64 / 1000.0);
        let run = Run { job: id, attempt, lease, database: self.database.clone(), held: held.clone() };
        let account = metering::job(kind.name);
        account.waited(Duration::from_millis(waited as u64));
        let handle = || metering::run_job(account, || (kind.handler)(&run, &job.payload));
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(handle));
        let result = caught.unwrap_or_else(|panic| Err(Failure::Retry(format!("it panicked: {}", text_of(&*panic)))));
        metrics::histogram!("ashlar_job_seconds", "kind" => kind.name).record(began.elapsed());

        // What was stopped from outside had no fair try.
        let is_cut_off = result.is_err() && *self.stopping.borrow();
        let (it, kinds, who) = (kind.clone(), self.kinds.clone(), self.leasing());
        let is_last = *self.stopping.borrow();
        let record = move |work: &UnitOfWork<'_>| {
            match result {
                Ok(record) => complete(work, id, lease, record)?,
                Err(_) if is_cut_off => release(work, id, lease)?,
                Err(failure) => drop(fail(work, &kinds, id, lease, &failure)?),
            }
            if is_last { Ok(None) } else { Ok(lease::lease(work, &it, who, 1)?.pop()) }
        };
        let ended =
            metering::long(Ticket::of(account), || self.database.write_blocking(kind.name, Actor::system(), record));
        let next = match ended {
            Ok(next) => next,
            Err(Error::Conflict { field: Some("lease"), .. }) => {
                tracing::warn!(job = %id, kind = kind.name, attempt, "{NO_LEASE}");
                None
            }
            Err(error) => {
                self.could_not_record(kind, id, lease, error);
                None
            }
        };
        let next = next.map(|next| {
            let held = self.note(kind, &next);
            (next, held)
        });
        self.forget(lease);
        next
    }

    /// What it had to record was refused by the database: that is a failure as any other.
    fn could_not_record(&self, kind: &Kind, id: JobId, lease: LeaseId, error: Error) {
        tracing::error!(job = %id, kind = kind.name, %error, "a job's result could not be recorded");
        let kinds = self.kinds.clone();
        let failure = Failure::Retry(format!("its result could not be recorded: {error}"));
        let noted = self
            .database
            .write_blocking("jobs", Actor::system(), move |work| fail(work, &kinds, id, lease, &failure).map(drop));
        if let Err(error) = noted {
            // Its lease lapses, and it runs again.
            tracing::error!(job = %id, kind = kind.name, %error, "that a job failed could not be recorded");
        }
    }
}

/// Whether a round would change anything; most find nothing, and then nothing is written.
fn is_anything_to_do(snapshot: &Snapshot<'_>, kinds: &Kinds, free: &[(&'static str, usize)]) -> Result<bool> {
    let tables = snapshot.tables(Owner(()));
    if tables.next_moment()?.is_some_and(|next| next <= snapshot.now()) {
        return Ok(true);
    }
    for kind in kinds.iter() {
        if kind.cron.is_some() && tables.find_schedule(kind.name)?.map(|(cron, _)| cron).as_deref() != kind.cron {
            return Ok(true);
        }
    }
    for (kind, _) in free {
        if !tables.list_ready(kind, 1)?.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Enqueues what is due by the clock, each kind at most once however often it was missed.
fn tick(work: &UnitOfWork<'_>, kinds: &Kinds) -> Result<()> {
    let tables = work.tables(Owner(()));
    for kind in kinds.iter() {
        let Some(cron) = kind.cron else { continue };
        let known = tables.find_schedule(kind.name)?.filter(|(known, _)| known == cron);
        if known.as_ref().is_some_and(|(_, next)| *next > work.now()) {
            continue;
        }
        if known.is_some() {
            let order = Order { unique_key: Some("by the clock".into()), ..Order::default() };
            enqueue_text(work, kind.name, "null", order)?;
        }
        let never = Time::from_ms(i64::MAX);
        tables.put_schedule(kind.name, cron, kind.next_after(work.now())?.unwrap_or(never))?;
    }
    Ok(())
}

fn text_of(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a word")
}
