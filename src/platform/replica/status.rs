//! How the replica is: for the console, the metrics and the log.

use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::txid::Txid;
use crate::platform::clock::Time;

/// A place that takes longer for an increment seems to hang.
const HANGS_AFTER: Duration = Duration::from_secs(5);
/// A replica that lags longer is worth a warning.
const WARN_AFTER: Duration = Duration::from_secs(60);

/// What is known of the replica now.
#[derive(Debug, Clone)]
pub struct Report {
    /// Where it is.
    pub place: String,
    pub state: State,
    /// All that was committed before this is in it; none before it was first written to or found to be complete.
    pub complete_until: Option<Instant>,
    /// The newest state in it; null while there is none.
    pub head: Option<Head>,
    pub last_snapshot: Option<Time>,
    pub files: usize,
    pub bytes: u64,
}

/// The newest state that a replica holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[schema(as = ReplicaHead)]
pub struct Head {
    #[schema(value_type = String, example = "00000000000001f4")]
    pub txid: Txid,
    pub taken_at: Time,
}

#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(tag = "is", rename_all = "snake_case")]
#[schema(as = ReplicaState)]
pub enum State {
    /// It is being looked at.
    Starting,
    /// All that is committed is in it, but for what the interval allows.
    Current,
    /// It could not be reached, or not written to, for so long.
    Behind { lag_seconds: u64, why: String },
    /// It must not be written to, and is not.
    Refused { why: String },
    /// The server stops.
    Stopped,
}

/// Shared by those that replicate and those that look.
#[derive(Debug)]
pub(super) struct Status {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    report: Report,
    /// When it was last current; the start at first.
    current_at: Instant,
    warned: bool,
    /// Since when an increment is being written.
    writing: Option<Instant>,
    /// What is wrong with what lies there, though it is written to.
    damage: Option<String>,
}

impl State {
    /// What is wrong with it, for an owner to look into; none where nothing is, or not for long.
    pub fn trouble(&self) -> Option<String> {
        match self {
            State::Refused { why } => Some(why.clone()),
            State::Behind { lag_seconds, why } if *lag_seconds > WARN_AFTER.as_secs() => {
                Some(format!("it has not been written to for {} min ({why})", lag_seconds / 60))
            }
            _ => None,
        }
    }
}

impl Status {
    pub fn new(place: String) -> Status {
        let report = Report {
            place,
            state: State::Starting,
            complete_until: None,
            head: None,
            last_snapshot: None,
            files: 0,
            bytes: 0,
        };
        Status {
            inner: Mutex::new(Inner { report, current_at: Instant::now(), warned: false, writing: None, damage: None }),
        }
    }

    pub fn report(&self) -> Report {
        let inner = self.inner();
        let mut report = inner.report.clone();
        let lag_seconds = inner.current_at.elapsed().as_secs();
        let hangs = inner.writing.is_some_and(|since| since.elapsed() > HANGS_AFTER);
        report.state = match (report.state, &inner.damage) {
            (State::Behind { why, .. }, _) => State::Behind { lag_seconds, why },
            (State::Current, _) if hangs => State::Behind { lag_seconds, why: "it takes long to answer".into() },
            (State::Current, Some(why)) => State::Behind { lag_seconds, why: why.clone() },
            (other, _) => other,
        };
        report
    }

    /// Publishes the figures, and warns once where it lags. Call it every few seconds: nothing else tells of a write that
    /// hangs.
    pub fn watch(&self) {
        let state = self.report().state;
        let mut inner = self.inner();
        let is_up = state == State::Current;
        let lag = if is_up { Duration::ZERO } else { inner.current_at.elapsed() };
        metrics::gauge!("ashlar_replica_up").set(if is_up { 1.0 } else { 0.0 });
        metrics::gauge!("ashlar_replica_lag_seconds").set(lag.as_secs_f64());
        if let State::Behind { why, .. } = &state
            && lag > WARN_AFTER
            && !inner.warned
        {
            inner.warned = true;
            tracing::warn!(why, lag_s = lag.as_secs(), "the replica lags: what is lost with this disk now is lost");
        }
    }

    /// An increment is about to be written.
    pub fn writes(&self) {
        self.inner().writing = Some(Instant::now());
    }

    /// All that was committed before `at` is in the replica.
    pub fn is_current(&self, at: Instant) {
        let mut inner = self.inner();
        if inner.warned {
            tracing::info!(lag_s = inner.current_at.elapsed().as_secs(), "the replica has caught up");
        }
        (inner.current_at, inner.warned, inner.writing) = (at, false, None);
        inner.report.complete_until = Some(at);
        if !matches!(inner.report.state, State::Refused { .. }) {
            inner.report.state = State::Current;
        }
    }

    /// It could not be written to; it is tried again.
    pub fn failed(&self, why: &str) {
        let mut inner = self.inner();
        if !matches!(inner.report.state, State::Behind { .. }) {
            tracing::warn!(why, place = inner.report.place, "the replica can't be written to; it is tried again");
        }
        inner.writing = None;
        inner.report.state = State::Behind { lag_seconds: 0, why: why.into() };
        drop(inner);
        metrics::counter!("ashlar_replica_failures_total").increment(1);
    }

    /// Files that lie there don't lead to the newest state, or they do again.
    pub fn damaged(&self, why: Option<String>) {
        let mut inner = self.inner();
        if inner.damage.is_none()
            && let Some(why) = &why
        {
            tracing::warn!(why, "the replica can't be restored as it is; a new snapshot mends it");
        }
        inner.damage = why;
    }

    /// It is not written to any more.
    pub fn refused(&self, why: &str) {
        tracing::error!(why, "there is no replica");
        self.inner().report.state = State::Refused { why: why.into() };
    }

    pub fn stopped(&self) {
        let mut inner = self.inner();
        if !matches!(inner.report.state, State::Refused { .. }) {
            inner.report.state = State::Stopped;
        }
    }

    /// What lies there now.
    pub fn holds(&self, listing: &super::listing::Listing) {
        let mut inner = self.inner();
        inner.report.head = listing.head().map(|file| Head { txid: file.name.max, taken_at: file.timestamp });
        inner.report.last_snapshot = listing.last(super::txid::SNAPSHOTS).map(|file| file.timestamp);
        inner.report.bytes = listing.bytes();
        inner.report.files = listing.len();
        if let Some(head) = inner.report.head {
            metrics::gauge!("ashlar_replica_txid").set(head.txid.0 as f64);
        }
        metrics::gauge!("ashlar_replica_bytes").set(inner.report.bytes as f64);
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(|e| e.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_that_lags_for_more_than_a_minute_is_warned_of_once_until_it_has_caught_up() {
        let status = Status::new("file:///somewhere".into());
        let is_warned = || {
            status.watch();
            status.inner().warned
        };
        let lag = |seconds| {
            status.inner().current_at = Instant::now().checked_sub(Duration::from_secs(seconds)).unwrap();
            status.failed("it is full");
        };

        lag(59);
        assert!(!is_warned() && status.report().state.trouble().is_none());
        lag(61);
        assert!(is_warned());
        let trouble = status.report().state.trouble();
        assert!(
            trouble.as_ref().is_some_and(|why| why == "it has not been written to for 1 min (it is full)"),
            "{trouble:?}"
        );
        status.is_current(Instant::now());
        assert!(!is_warned() && status.report().state == State::Current);
    }
}
