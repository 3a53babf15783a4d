//! The server's side of workers: who they are, what they take, what they hand in.

use std::fs::File;
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::*;
use crate::platform::Platform;
use crate::platform::actor::Actor;
use crate::platform::db::Database;
use crate::platform::jobs::portable::{self, Erased};
use crate::platform::jobs::run::Held;
use crate::platform::metering;

/// That a worker was seen is written down so often.
const SEEN_MS: i64 = 60_000;

/// Where workers of other machines come for jobs. Clones share it.
#[derive(Clone)]
pub struct Workshop {
    pub platform: Platform,
    pub kinds: Kinds,
    /// How long a job is a worker's without a word from it.
    pub lease: Duration,
    /// How they reach this server.
    pub origin: Arc<str>,
}

impl Workshop {
    fn database(&self) -> &Database {
        &self.platform.database
    }

    /// Whose token this is.
    pub async fn worker(&self, token: Token) -> Result<Worker> {
        let found = self.database().read("worker", move |snapshot| {
            let worker = snapshot.tables(Owner(())).find_worker(&token.hash())?;
            worker.ok_or(Error::Unauthenticated("no worker has this token: it was revoked, or is mistyped"))
        });
        found.await
    }

    fn lease_ms(&self) -> i64 {
        i64::try_from(self.lease.as_millis()).unwrap_or(i64::MAX)
    }

    fn leasing<'a>(&self, worker: &'a Worker) -> Leasing<'a> {
        Leasing { worker: &worker.name, lease_ms: self.lease_ms() }
    }

    /// Jobs for a worker; none after a while without any.
    pub async fn take(&self, worker: Worker, asked: TakeJobs) -> Result<Taken> {
        if asked.version != VERSION {
            let why = format!(
                "this server is version {VERSION} and the worker {}: install the same version on both machines",
                asked.version
            );
            return Err(Error::conflict("version", why));
        }
        let wanted = |kind: &&Kind| kind.is_portable() && asked.kinds.iter().any(|name| name == kind.name);
        let kinds: Vec<Kind> = self.kinds.iter().filter(wanted).cloned().collect();
        if kinds.is_empty() {
            return Err(Error::invalid("kinds", "none of them can be done outside of the server"));
        }
        if asked.slots == 0 || asked.slots > MOST_AT_ONCE {
            return Err(Error::invalid("slots", format!("from 1 to {MOST_AT_ONCE}")));
        }
        self.see(&worker).await?;
        let mut signal = self.database().signal(SIGNAL);
        let until = Instant::now() + Duration::from_secs(PATIENCE_S);
        loop {
            let jobs = self.lease(&worker, &kinds, asked.slots).await?;
            if !jobs.is_empty() || Instant::now() >= until {
                return Ok(Taken { jobs, lease_ms: self.lease_ms() });
            }
            // Raised meanwhile or not: after a while it looks by itself, as the server's own workers do.
            let look = Instant::now() + Duration::from_secs(5);
            tokio::time::timeout_at(look.min(until), signal.changed()).await.ok();
        }
    }

    async fn see(&self, worker: &Worker) -> Result<()> {
        let now = self.database().clock().now();
        let is_new = worker.last_seen_at.is_none_or(|at| at.as_ms() + SEEN_MS < now.as_ms());
        if !is_new && worker.version.as_deref() == Some(VERSION) {
            return Ok(());
        }
        let id = worker.id;
        let seen = move |work: &UnitOfWork<'_>| work.tables(Owner(())).see_worker(id, VERSION, work.now());
        self.database().write("jobs", Actor::system(), seen).await
    }

    async fn lease(&self, worker: &Worker, kinds: &[Kind], slots: usize) -> Result<Vec<TakenJob>> {
        let names: Vec<&'static str> = kinds.iter().map(|kind| kind.name).collect();
        let is_ready = self.database().read("jobs", move |snapshot| {
            let tables = snapshot.tables(Owner(()));
            names.iter().try_fold(false, |ready, name| Ok(ready || tables.is_ready(name)?))
        });
        if !is_ready.await? {
            return Ok(Vec::new());
        }
        let (it, worker, kinds) = (self.clone(), worker.clone(), kinds.to_vec());
        let leased = self.database().write("jobs", Actor::system(), move |work| {
            let mut leased = Vec::new();
            for kind in &kinds {
                leased.extend(lease::lease(work, kind, it.leasing(&worker), slots - leased.len())?);
            }
            Ok(leased)
        });
        let leased = leased.await?;
        let it = self.clone();
        blocking(move || leased.into_iter().filter_map(|job| it.hand_out(job).transpose()).collect()).await
    }

    /// What a worker is told of a job; none where there is nothing to do it on any more.
    fn hand_out(&self, job: Leased) -> Result<Option<TakenJob>> {
        let Some(portable) = self.kinds.find(&job.kind).and_then(|kind| kind.portable.clone()) else { return Ok(None) };
        match portable.open(self.database(), &job.payload) {
            Ok(Input { order, bytes, .. }) => Ok(Some(TakenJob {
                id: job.id.to_string(),
                kind: job.kind,
                lease: job.lease.to_string(),
                attempt: job.attempt,
                order,
                input_bytes: bytes,
            })),
            Err(failure) => {
                let (kinds, id, lease) = (self.kinds.clone(), job.id, job.lease);
                let failed = move |work: &UnitOfWork<'_>| fail(work, &kinds, id, lease, &failure).map(drop);
                self.database().write_blocking("jobs", Actor::system(), failed)?;
                Ok(None)
            }
        }
    }

    /// The job that a worker speaks of, if it is still its own.
    async fn held(&self, worker: &Worker, id: JobId, lease: LeaseId) -> Result<(Job, Arc<dyn Erased>)> {
        let name = worker.name.clone();
        let job = self.database().read("jobs", move |snapshot| {
            let is_held = snapshot.tables(Owner(())).holds(id, lease)?;
            let job = snapshot.tables(Owner(())).find(id)?;
            let job = job.filter(|job| is_held && job.worker.as_ref() == Some(&name));
            job.ok_or_else(|| Error::conflict("lease", NO_LEASE))
        });
        let job = job.await?;
        let portable = self.kinds.find(&job.kind).and_then(|kind| kind.portable.clone());
        let portable =
            portable.ok_or_else(|| Error::conflict("lease", "this kind of job is not done elsewhere any more"))?;
        Ok((job, portable))
    }

    /// What the job works on, with its size in bytes.
    pub async fn input(&self, worker: &Worker, id: JobId, lease: LeaseId) -> Result<(u64, Box<dyn Read + Send>)> {
        let (job, portable) = self.held(worker, id, lease).await?;
        let database = self.database().clone();
        let opened = blocking(move || {
            portable
                .open(&database, &job.payload)
                .map_err(|failure| Error::Internal(format!("the input of job {id}: {}", failure.why())))
        });
        let Input { bytes, content, .. } = opened.await?;
        Ok((bytes, content))
    }

    /// That it goes on; [`Error::Conflict`] if the job is not the worker's any more.
    pub async fn renew(&self, worker: Worker, id: JobId, lease: LeaseId, progress: Option<u8>) -> Result<()> {
        let it = self.clone();
        let renewed = self.database().write("jobs", Actor::system(), move |work| {
            match renew(work, id, lease, it.leasing(&worker), progress.map(|percent| percent.min(100)))? {
                true => Ok(()),
                false => Err(Error::conflict("lease", NO_LEASE)),
            }
        });
        renewed.await
    }

    /// Takes in a file, which `save` puts at the path it is given.
    pub async fn keep<F>(
        &self,
        worker: &Worker,
        id: JobId,
        lease: LeaseId,
        name: String,
        save: impl FnOnce(std::path::PathBuf) -> F,
    ) -> Result<()>
    where
        F: Future<Output = Result<()>>,
    {
        let (job, portable) = self.held(worker, id, lease).await?;
        let database = self.database().clone();
        let scratch = {
            let database = database.clone();
            blocking(move || portable::scratch(&database, id)).await?
        };
        let path = scratch.path().join("file");
        save(path.clone()).await?;
        let run = Run { job: id, attempt: job.attempt, lease, database, held: Arc::<Held>::default() };
        let kept = blocking(move || {
            let mut file = File::open(&path).map_err(|e| Error::internal("reading what a worker made", e))?;
            let kept = portable.keep(&run, &job.payload, &name, &mut file);
            drop(scratch);
            kept.map_err(|failure| Error::Internal(format!("{name} of job {id}: {}", failure.why())))
        });
        kept.await
    }

    /// Ends the job with its result.
    pub async fn complete(&self, worker: &Worker, id: JobId, lease: LeaseId, done: Completion) -> Result<()> {
        let (job, portable) = self.held(worker, id, lease).await?;
        metrics::counter!("ashlar_job_worker_cpu_seconds_total", "kind" => job.kind.clone())
            .increment(done.cpu_ms / 1000);
        if let Some(kind) = self.kinds.find(&job.kind) {
            metering::job(kind.name).ran_elsewhere(Duration::from_millis(done.cpu_ms));
        }
        let record = Record::new(move |work| portable.record(work, &job.payload, done.result));
        self.database().write("jobs", Actor::system(), move |work| complete(work, id, lease, record)).await
    }

    /// Notes why it failed.
    pub async fn fail(&self, worker: &Worker, id: JobId, lease: LeaseId, failed: JobFailed) -> Result<()> {
        self.held(worker, id, lease).await?;
        let kinds = self.kinds.clone();
        let failure = if failed.never { Failure::Never(failed.why) } else { Failure::Retry(failed.why) };
        let noted = self
            .database()
            .write("jobs", Actor::system(), move |work| fail(work, &kinds, id, lease, &failure).map(drop));
        noted.await
    }

    /// Takes a job back that the worker did not come to.
    pub async fn release(&self, worker: &Worker, id: JobId, lease: LeaseId) -> Result<()> {
        self.held(worker, id, lease).await?;
        self.database().write("jobs", Actor::system(), move |work| release(work, id, lease)).await
    }
}

/// Off the threads that serve requests.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|e| Error::internal("serving a worker", e))?
}
