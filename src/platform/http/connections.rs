//! The open connections: which wait, which are busy with a request, and which one makes room.
//!
//! The accept loop owns the register, so it needs no lock. What changes with every request is one atomic of the
//! connection's own ([`Activity`]).

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio::time::{Instant, timeout};

/// Figures of a listener, for the metrics page. Each stands for itself; together they may be a moment apart.
#[derive(Debug, Default)]
pub struct ListenerStats {
    /// Connections open now.
    pub open: AtomicUsize,
    /// Connections accepted, the refused ones included.
    pub accepted_total: AtomicU64,
    /// Waiting connections closed to make room for others.
    pub evicted_total: AtomicU64,
    /// Connections closed at once, since all others were busy.
    pub refused_total: AtomicU64,
    /// Connections that sent no whole request header, or took nothing of their answer, in time.
    pub timed_out_total: AtomicU64,
}

/// What became of the requests that ran when the listener was told to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Connections whose request ended in time.
    pub finished: usize,
    /// Connections that were cut off.
    pub cut_off: usize,
}

/// What one connection is doing: serving a request, flushing the answer, or waiting since some moment.
///
/// Only the connection's own task starts and ends requests; only the accept loop evicts, and only who waits.
/// The one atomic guards no other data, so `Relaxed` is enough.
pub(super) struct Activity {
    /// Microseconds from `epoch` to when the wait began, or one of the three states below.
    state: AtomicU64,
    /// Whether there has been no request yet.
    is_new: AtomicBool,
    epoch: Instant,
}

const SERVING: u64 = u64::MAX;
const FLUSHING: u64 = u64::MAX - 1;
const EVICTED: u64 = u64::MAX - 2;

impl Activity {
    fn new(epoch: Instant) -> Self {
        let activity = Self { state: AtomicU64::new(0), is_new: AtomicBool::new(true), epoch };
        activity.wait();
        activity
    }

    /// Marks the connection busy until the [`Turn`] is dropped and the answer flushed; `None` if it was just evicted.
    pub(super) fn begin(self: &Arc<Self>) -> Option<Turn> {
        let state = self.state.load(Relaxed);
        let begun = state != EVICTED && self.replace(state, SERVING);
        self.is_new.store(false, Relaxed);
        begun.then(|| Turn(self.clone()))
    }

    /// The socket has taken all that was written: once an answer is complete, the wait for the next request begins.
    pub(super) fn flushed(&self) {
        if self.state.load(Relaxed) == FLUSHING {
            self.wait();
        }
    }

    fn wait(&self) {
        self.state.store(self.epoch.elapsed().as_micros() as u64, Relaxed);
    }

    fn waiting_since(&self) -> Option<u64> {
        Some(self.state.load(Relaxed)).filter(|state| *state < EVICTED)
    }

    fn replace(&self, from: u64, to: u64) -> bool {
        self.state.compare_exchange(from, to, Relaxed, Relaxed).is_ok()
    }
}

/// A request in progress, from its header to the end of its answer's body.
pub(super) struct Turn(Arc<Activity>);

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.state.store(FLUSHING, Relaxed);
    }
}

struct Connection {
    activity: Arc<Activity>,
    /// Whose share it counts against; `None` for trusted proxies.
    address: Option<IpAddr>,
    task: AbortHandle,
    /// Dropped to make the task end after its present request.
    keep: Option<oneshot::Sender<()>>,
}

/// The register of open connections and their tasks; dropping it closes them all.
pub(super) struct Connections {
    tasks: JoinSet<()>,
    open: HashMap<Id, Connection>,
    per_address: HashMap<IpAddr, usize>,
    candidates: Candidates,
    epoch: Instant,
    stats: Arc<ListenerStats>,
}

/// Who is to be evicted next, as found at the last look at all connections.
#[derive(Default)]
struct Candidates {
    address: Option<IpAddr>,
    waiting: Vec<(u64, Id)>,
}

/// How long a connection without any request yet may take to send one, once we are told to stop.
const NEW_COMERS: Duration = Duration::from_millis(250);

/// One look serves this many evictions. With a look for each, a flood at a cap of 4,096 outran the accept loop
/// (1.8 ms for each connection, measured, instead of 0.05).
const CANDIDATES: usize = 64;

impl Connections {
    pub(super) fn new(stats: Arc<ListenerStats>) -> Self {
        Self {
            tasks: JoinSet::new(),
            open: HashMap::new(),
            per_address: HashMap::new(),
            candidates: Candidates::default(),
            epoch: Instant::now(),
            stats,
        }
    }

    pub(super) fn is_full(&self, max: usize) -> bool {
        self.open.len() >= max
    }

    pub(super) fn is_full_for(&self, address: IpAddr, max: usize) -> bool {
        self.per_address.get(&address).is_some_and(|open| *open >= max)
    }

    /// Runs a connection; the receiver given to it fires when it should end after its present request.
    pub(super) fn open<F>(
        &mut self,
        address: Option<IpAddr>,
        run: impl FnOnce(Arc<Activity>, oneshot::Receiver<()>) -> F,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        let activity = Arc::new(Activity::new(self.epoch));
        let (keep, stop) = oneshot::channel();
        let task = self.tasks.spawn(run(activity.clone(), stop));
        self.open.insert(task.id(), Connection { activity, address, task, keep: Some(keep) });
        if let Some(address) = address {
            *self.per_address.entry(address).or_default() += 1;
        }
        self.count_open();
    }

    /// Closes the connection that has waited longest, of `address` or of all; false if each is busy with a request.
    pub(super) fn evict(&mut self, address: Option<IpAddr>) -> bool {
        if self.candidates.address != address {
            self.candidates = Candidates { address, waiting: Vec::new() };
        }
        loop {
            // A wait that still has its old beginning is the longest still: all others began later.
            while let Some((since, id)) = self.candidates.waiting.pop() {
                if self.close(id, since) {
                    self.stats.evicted_total.fetch_add(1, Relaxed);
                    return true;
                }
            }
            self.candidates.waiting = self.longest_waiting(address);
            if self.candidates.waiting.is_empty() {
                return false;
            }
        }
    }

    /// Some connections of `address` or of all, with the beginnings of their waits; the longest wait comes last.
    fn longest_waiting(&self, address: Option<IpAddr>) -> Vec<(u64, Id)> {
        let mut waiting: Vec<_> = self
            .open
            .iter()
            .filter(|(_, connection)| address.is_none() || connection.address == address)
            .filter_map(|(id, connection)| Some((connection.activity.waiting_since()?, *id)))
            .collect();
        waiting.sort_unstable_by_key(|(since, _)| *since);
        waiting.truncate(CANDIDATES);
        waiting.reverse();
        waiting
    }

    /// Closes a connection that has waited since then; false if it has become busy meanwhile.
    fn close(&mut self, id: Id, since: u64) -> bool {
        let closed = self.open.get(&id).is_some_and(|connection| connection.activity.replace(since, EVICTED));
        if closed {
            self.forget(id).inspect(|connection| connection.task.abort());
        }
        closed
    }

    /// Waits until a connection's task ends, and takes it off the register. Waits for ever if there is none.
    pub(super) async fn ended(&mut self) {
        match self.tasks.join_next_with_id().await {
            Some(ended) => self.reap(ended),
            None => std::future::pending().await,
        }
    }

    /// Lets other tasks run once: who has sent a request already gets to be busy, and who has ended is gone.
    pub(super) async fn settle(&mut self) {
        tokio::task::yield_now().await;
        while let Some(ended) = self.tasks.try_join_next_with_id() {
            self.reap(ended);
        }
    }

    /// Closes who waits, lets the others end their request for at most `limit`, and cuts off the rest. Whoever has just
    /// come gets to send the request that they came with.
    pub(super) async fn drain(mut self, limit: Duration) -> Drained {
        let start = Instant::now();
        loop {
            self.close_waiting(|activity| !activity.is_new.load(Relaxed));
            let mut new = false;
            for connection in self.open.values_mut() {
                match connection.activity.is_new.load(Relaxed) {
                    // hyper would close it at once.
                    true => new = true,
                    false => connection.keep = None,
                }
            }
            if !new || start.elapsed() > NEW_COMERS {
                break;
            }
            // That it runs out of time is the point of it.
            let _ = timeout(NEW_COMERS / 50, self.ended()).await;
        }
        self.close_waiting(|_| true);
        let running = self.open.len();
        // Whoever is left then is aborted when `self` is dropped. That is not waited for: a task that blocks its
        // thread would hold us here for ever.
        let _ = timeout(limit, self.all_ended()).await;
        let cut_off = self.open.len();
        self.stats.open.store(0, Relaxed);
        Drained { finished: running - cut_off, cut_off }
    }

    /// Closes who waits for a request, where `which` says so.
    fn close_waiting(&mut self, which: impl Fn(&Activity) -> bool) {
        let chosen = self.open.iter().filter(|(_, connection)| which(&connection.activity));
        let waiting: Vec<_> = chosen.filter_map(|(id, it)| Some((*id, it.activity.waiting_since()?))).collect();
        for (id, since) in waiting {
            self.close(id, since);
        }
    }

    async fn all_ended(&mut self) {
        while !self.open.is_empty() {
            self.ended().await;
        }
    }

    fn reap(&mut self, ended: Result<(Id, ()), JoinError>) {
        let id = match ended {
            Ok((id, ())) => id,
            Err(error) => {
                if error.is_panic() {
                    tracing::error!(%error, "a request panicked; its connection is closed");
                }
                error.id()
            }
        };
        self.forget(id);
    }

    fn forget(&mut self, id: Id) -> Option<Connection> {
        let connection = self.open.remove(&id)?;
        if let Some(address) = connection.address
            && let Some(open) = self.per_address.get_mut(&address)
        {
            *open -= 1;
            if *open == 0 {
                self.per_address.remove(&address);
            }
        }
        self.count_open();
        Some(connection)
    }

    fn count_open(&self) {
        self.stats.open.store(self.open.len(), Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_evicted_begins_no_request_and_who_is_busy_is_not_evicted() {
        let activity = Arc::new(Activity::new(Instant::now()));

        let turn = activity.begin().unwrap();
        assert_eq!(activity.waiting_since(), None);
        drop(turn);
        assert_eq!(activity.waiting_since(), None, "the answer is not flushed yet");
        activity.flushed();

        let since = activity.waiting_since().unwrap();
        assert!(activity.replace(since, EVICTED));
        assert!(activity.begin().is_none());
    }
}
