//! What there is to see of jobs: each, its failures, and each kind's queue.

use super::*;

/// A job as it stands.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Job {
    #[schema(value_type = String, format = Uuid)]
    pub id: JobId,
    #[schema(example = "mail.deliver")]
    pub kind: String,
    /// JSON: which rows it works on.
    #[serde(skip)]
    pub payload: String,
    pub state: State,
    /// 0 runs first; 1 where nothing was said.
    pub priority: i64,
    /// Not before.
    pub run_at: Time,
    pub unique_key: Option<String>,
    /// Whom it is about.
    #[schema(value_type = Option<String>, format = Uuid)]
    pub person: Option<UserId>,
    /// How often it was begun.
    pub attempt: u32,
    /// Who runs it, or ran it last; `here` is the server itself.
    pub worker: Option<String>,
    /// Percent, of what runs now.
    pub progress: Option<u8>,
    pub enqueued_at: Time,
    /// Its last run.
    pub started_at: Option<Time>,
    /// When it was done, given up or discarded.
    pub ended_at: Option<Time>,
    /// Why its last failed run failed.
    pub last_error: Option<String>,
}

/// Where a job is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = JobState)]
pub enum State {
    /// For its time, or for another try.
    Waiting,
    /// Runs as soon as there is a free hand.
    Ready,
    Running,
    Done,
    /// Given up, and kept until someone retries or discards it.
    Dead,
    Discarded,
}

impl State {
    pub const ALL: [State; 6] =
        [State::Waiting, State::Ready, State::Running, State::Done, State::Dead, State::Discarded];

    pub fn as_str(self) -> &'static str {
        match self {
            State::Waiting => "waiting",
            State::Ready => "ready",
            State::Running => "running",
            State::Done => "done",
            State::Dead => "dead",
            State::Discarded => "discarded",
        }
    }

    pub fn parse(text: &str) -> Option<State> {
        State::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// A run that failed.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
#[schema(as = JobFailure)]
pub struct Failed {
    pub attempt: u32,
    pub worker: Option<String>,
    pub started_at: Option<Time>,
    pub failed_at: Time,
    pub why: String,
}

/// A kind of jobs and its queue.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
#[schema(as = JobKind)]
pub struct KindReport {
    #[schema(example = "mail.deliver")]
    pub name: String,
    /// Whether this version of the program can run it.
    pub is_known: bool,
    /// Runs at once in the server, at most.
    pub slots: usize,
    /// Runs before a job is given up.
    pub attempts: u32,
    /// In UTC, where it is done by the clock.
    pub cron: Option<&'static str>,
    pub next_at: Option<Time>,
    pub is_portable: bool,
    /// Whether it goes out of the house, and so is held after a restore.
    pub is_outward: bool,
    pub paused_at: Option<Time>,
    /// Where it runs.
    pub place: Place,
    pub totals: Totals,
    /// Since when the oldest that is ready has been.
    pub oldest_ready_at: Option<Time>,
}

/// Jobs by state; of those done, the last day's.
#[derive(Debug, Clone, Copy, Default, Serialize, utoipa::ToSchema)]
#[schema(as = JobTotals)]
pub struct Totals {
    pub waiting: i64,
    pub ready: i64,
    pub running: i64,
    pub done: i64,
    pub dead: i64,
}

/// One job; [`Error::NotFound`] if there is none.
pub fn find(snapshot: &Snapshot<'_>, id: JobId) -> Result<Job> {
    snapshot.tables(Owner(())).find(id)?.ok_or(Error::NotFound("job"))
}

/// Jobs in a state, of one kind where `kind` is given, newest first, below `before`.
pub fn list(
    snapshot: &Snapshot<'_>,
    state: Option<State>,
    kind: Option<&str>,
    before: Option<JobId>,
    limit: u32,
) -> Result<Vec<Job>> {
    snapshot.tables(Owner(())).list(state.map(State::as_str), kind, before, limit)
}

/// Why a job's runs failed, in order.
pub fn failures(snapshot: &Snapshot<'_>, id: JobId) -> Result<Vec<Failed>> {
    snapshot.tables(Owner(())).list_failures(id)
}

/// Since when what goes out of the house is held, where it is.
pub fn since_hold(snapshot: &Snapshot<'_>) -> Result<Option<Time>> {
    snapshot.tables(Owner(())).held_since()
}

/// Every kind that the program knows, or that has jobs, in order of name.
pub fn reports(snapshot: &Snapshot<'_>, kinds: &Kinds) -> Result<Vec<KindReport>> {
    let tables = snapshot.tables(Owner(()));
    let mut reports = Vec::new();
    for kind in kinds.iter() {
        reports.push(KindReport {
            name: kind.name.into(),
            is_known: true,
            slots: kind.slots,
            attempts: kind.attempts,
            cron: kind.cron,
            next_at: tables.find_schedule(kind.name)?.map(|(_, next)| next),
            is_portable: kind.is_portable(),
            is_outward: kind.is_outward,
            paused_at: None,
            place: Place::Anywhere,
            totals: Totals::default(),
            oldest_ready_at: None,
        });
    }
    for sqlite::Counted { kind: name, state, number, oldest } in tables.count()? {
        let at = match reports.iter().position(|report| report.name == name) {
            Some(at) => at,
            None => {
                reports.push(KindReport::unknown(name));
                reports.len() - 1
            }
        };
        let Totals { waiting, ready, running, done, dead } = &mut reports[at].totals;
        match state {
            State::Waiting => *waiting = number,
            State::Running => *running = number,
            State::Done => *done = number,
            State::Dead => *dead = number,
            State::Discarded => {}
            State::Ready => {
                *ready = number;
                reports[at].oldest_ready_at = oldest;
            }
        }
    }
    for report in &mut reports {
        let standing = tables.find_kind(&report.name)?;
        (report.paused_at, report.place) = (standing.paused_at, standing.place);
    }
    reports.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(reports)
}

/// Publishes the length of each queue, and the age of its oldest.
pub fn gauge(snapshot: &Snapshot<'_>, kinds: &Kinds) -> Result<()> {
    for KindReport { name, totals, oldest_ready_at, .. } in reports(snapshot, kinds)? {
        let oldest_ms = oldest_ready_at.map_or(0, |at| snapshot.now().as_ms().saturating_sub(at.as_ms()).max(0));
        metrics::gauge!("ashlar_jobs_oldest_seconds", "kind" => name.clone()).set(oldest_ms as f64 / 1000.0);
        let Totals { waiting, ready, running, dead, .. } = totals;
        for (state, number) in [("waiting", waiting), ("ready", ready), ("running", running), ("dead", dead)] {
            metrics::gauge!("ashlar_jobs", "kind" => name.clone(), "state" => state).set(number as f64);
        }
    }
    Ok(())
}

impl KindReport {
    /// Of a kind that only another version of the program knows.
    fn unknown(name: String) -> KindReport {
        KindReport {
            name,
            is_known: false,
            slots: 0,
            attempts: 0,
            cron: None,
            next_at: None,
            is_portable: false,
            is_outward: false,
            paused_at: None,
            place: Place::Anywhere,
            totals: Totals::default(),
            oldest_ready_at: None,
        }
    }
}
