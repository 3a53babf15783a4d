//! Kinds of jobs: what each bears, how often and where it runs, and the code that does it.

use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;

use super::*;

/// A job's payload, and by it its kind.
pub trait Payload: Serialize + DeserializeOwned + Send + 'static {
    /// Whose it is, a dot, what is done: `mail.deliver`.
    const KIND: &'static str;
}

/// What a run has to record, in the transaction that ends its job.
pub struct Record(Option<RecordBody>);

type RecordBody = Box<dyn FnOnce(&UnitOfWork<'_>) -> Result<()> + Send>;

impl Record {
    pub fn new(body: impl FnOnce(&UnitOfWork<'_>) -> Result<()> + Send + 'static) -> Record {
        Record(Some(Box::new(body)))
    }

    pub fn nothing() -> Record {
        Record(None)
    }

    pub(super) fn write(self, work: &UnitOfWork<'_>) -> Result<()> {
        self.0.map_or(Ok(()), |body| body(work))
    }
}

/// Why a run failed, and what that means.
#[derive(Debug, Clone)]
pub enum Failure {
    /// It may go well another time.
    Retry(String),
    /// The same, but not sooner.
    RetryAfter(Duration, String),
    /// It never will.
    Never(String),
}

impl Failure {
    pub fn why(&self) -> &str {
        match self {
            Failure::Retry(why) | Failure::RetryAfter(_, why) | Failure::Never(why) => why,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Retry(error.to_string())
    }
}

pub(super) type Handler = dyn Fn(&Run, &str) -> Result<Record, Failure> + Send + Sync;
type OnDeath = dyn Fn(&UnitOfWork<'_>, &str, &str) -> Result<()> + Send + Sync;
type OnDiscard = dyn Fn(&UnitOfWork<'_>, Time) -> Result<()> + Send + Sync;

/// A kind of job.
#[derive(Clone)]
pub struct Kind {
    pub name: &'static str,
    /// Runs at once in this process, at most.
    pub slots: usize,
    /// Runs before it is given up.
    pub attempts: u32,
    /// What it does goes out of the house (mail, webhooks): it is held after a restore.
    pub is_outward: bool,
    /// When it is done by the clock, in UTC.
    pub cron: Option<&'static str>,
    first_wait: Duration,
    longest_wait: Duration,
    /// A run that takes longer is given up.
    pub(super) longest_run: Duration,
    pub(super) handler: Arc<Handler>,
    /// The server's part of it, where its work can be done on another machine.
    pub(super) portable: Option<Arc<dyn portable::Erased>>,
    on_death: Option<Arc<OnDeath>>,
    on_discard: Option<Arc<OnDiscard>>,
}

impl Kind {
    /// Jobs with payload `P`, which `handler` runs on a thread that may wait. It may run twice for one job: what it does
    /// outside of the database must bear that.
    pub fn new<P: Payload>(handler: impl Fn(&Run, P) -> Result<Record, Failure> + Send + Sync + 'static) -> Kind {
        Kind::of(P::KIND, Arc::new(move |run: &Run, payload: &str| handler(run, read::<P>(payload)?)))
    }

    pub(super) fn of(name: &'static str, handler: Arc<Handler>) -> Kind {
        Kind {
            name,
            slots: 2,
            attempts: 10,
            is_outward: false,
            cron: None,
            first_wait: Duration::from_secs(15),
            longest_wait: Duration::from_secs(60 * 60),
            longest_run: Duration::from_secs(10 * 60),
            handler,
            portable: None,
            on_death: None,
            on_discard: None,
        }
    }

    /// Whose it is.
    pub fn module(&self) -> &'static str {
        self.name.split_once('.').map_or(self.name, |(module, _)| module)
    }

    /// Runs at once in this process, at most; 2 where nothing is said.
    pub fn slots(self, slots: usize) -> Kind {
        Kind { slots, ..self }
    }

    /// Runs before it is given up; 10 where nothing is said.
    pub fn attempts(self, attempts: u32) -> Kind {
        Kind { attempts, ..self }
    }

    /// How long it waits after its first failure, and at most; 15 seconds and an hour where nothing is said.
    pub fn backoff(self, first_wait: Duration, longest_wait: Duration) -> Kind {
        Kind { first_wait, longest_wait, ..self }
    }

    /// How long a run may take; 10 minutes where nothing is said.
    pub fn longest_run(self, longest_run: Duration) -> Kind {
        Kind { longest_run, ..self }
    }

    /// What it does goes out of the house.
    pub fn outward(self) -> Kind {
        Kind { is_outward: true, ..self }
    }

    /// Enqueues one by the clock, in UTC: `0 3 * * *`. Its payload is read from `null`. What was missed while the server
    /// was down is done once.
    pub fn every(self, cron: &'static str) -> Kind {
        Kind { cron: Some(cron), ..self }
    }

    /// What is done in the transaction that gives a job up: told to whoever waits for it.
    pub fn on_death<P: Payload>(
        self,
        body: impl Fn(&UnitOfWork<'_>, P, &str) -> Result<()> + Send + Sync + 'static,
    ) -> Kind {
        let body = move |work: &UnitOfWork<'_>, payload: &str, why: &str| match serde_json::from_str(payload) {
            Ok(payload) => body(work, payload, why),
            // It died of just that.
            Err(_) => Ok(()),
        };
        Kind { on_death: Some(Arc::new(body)), ..self }
    }

    /// What is done in the transaction that discards what waited at a restore: for what waited behind its jobs.
    pub fn on_discard(self, body: impl Fn(&UnitOfWork<'_>, Time) -> Result<()> + Send + Sync + 'static) -> Kind {
        Kind { on_discard: Some(Arc::new(body)), ..self }
    }

    pub(super) fn forgo(&self, work: &UnitOfWork<'_>, since: Time) -> Result<()> {
        self.on_discard.as_ref().map_or(Ok(()), |body| body(work, since))
    }

    pub(super) fn wait_after(&self, attempt: u32) -> Duration {
        model::backoff(self.first_wait, self.longest_wait, attempt, roll())
    }

    pub(super) fn die(&self, work: &UnitOfWork<'_>, payload: &str, why: &str) -> Result<()> {
        self.on_death.as_ref().map_or(Ok(()), |body| body(work, payload, why))
    }

    fn schedule(&self) -> Result<Option<croner::Cron>> {
        let Some(cron) = self.cron else { return Ok(None) };
        let parsed = cron.parse().map_err(|e| Error::Internal(format!("`{cron}` of jobs `{}`: {e}", self.name)))?;
        Ok(Some(parsed))
    }

    /// The first moment after `now` that its schedule names.
    pub(super) fn next_after(&self, now: Time) -> Result<Option<Time>> {
        let Some(cron) = self.schedule()? else { return Ok(None) };
        let now = chrono::DateTime::from_timestamp_millis(now.as_ms())
            .ok_or_else(|| Error::Internal("the clock is out of range".into()))?;
        // A schedule that names no moment any more is done.
        Ok(cron.find_next_occurrence(&now, false).ok().map(|next| Time::from_ms(next.timestamp_millis())))
    }
}

pub(super) fn read<P: Payload>(payload: &str) -> Result<P, Failure> {
    serde_json::from_str(payload).map_err(|e| Failure::Never(format!("this version can't read its payload: {e}")))
}

/// From 0 to 1.
fn roll() -> f64 {
    // Where the system gives no random numbers, all wait alike.
    getrandom::u32().map_or(0.5, |random| f64::from(random) / f64::from(u32::MAX))
}

/// Every kind that this program knows, in order of name.
#[derive(Clone)]
pub struct Kinds(Arc<[Kind]>);

impl Kinds {
    /// # Errors
    /// If two bear the same name, one bears no module's name, or a schedule is none.
    pub fn new(mut kinds: Vec<Kind>) -> Result<Kinds> {
        kinds.sort_by_key(|kind| kind.name);
        if let Some(twice) = kinds.windows(2).find(|pair| pair[0].name == pair[1].name) {
            return Err(Error::Internal(format!("two kinds of jobs are called `{}`", twice[0].name)));
        }
        for kind in &kinds {
            kind.schedule()?;
            if !kind.name.contains('.') {
                return Err(Error::Internal(format!("the kind of jobs `{}` doesn't say whose it is", kind.name)));
            }
        }
        Ok(Kinds(kinds.into()))
    }

    pub fn iter(&self) -> impl Iterator<Item = &Kind> {
        self.0.iter()
    }

    pub fn find(&self, name: &str) -> Option<&Kind> {
        self.0.iter().find(|kind| kind.name == name)
    }
}
