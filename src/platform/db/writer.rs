//! The writer: one thread, to which all writes go as closures, and which commits them in groups.
//!
//! A group is one transaction: `BEGIN IMMEDIATE`, each waiting closure in a savepoint of its own, one `COMMIT`
//! with one fsync, and only then the answers.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::{JoinHandle, ThreadId};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::Tuning;
use super::checkpoint::{Checkpointer, Following};
use super::connection::{self, kernel};
use super::fatal::{Fatal, caught};
use super::readers::Snapshot;
use super::replace::Entry;
use super::scope::Ownership;
use super::signals::Signals;
use crate::platform::actor::Actor;
use crate::platform::clock::Clock;
use crate::platform::error::{Error, Result};
use crate::platform::ids::{Id, UserId};
use crate::platform::metering::{self, Action, Ticket};

/// Closures that may wait; past it the answer is 503 at once.
const QUEUE_BOUND: usize = 4096;
/// A queue that stays empty so long is a good moment to checkpoint.
const IDLE: Duration = Duration::from_secs(1);

/// One closure's share of a group: the tables of every module, and one moment.
pub struct UnitOfWork<'c> {
    snapshot: Snapshot<'c>,
    by: Cell<Actor>,
    person: Cell<Option<UserId>>,
    raised: RefCell<Vec<&'static str>>,
}

impl UnitOfWork<'_> {
    /// Who asked for this.
    pub fn by(&self) -> Actor {
        self.by.get()
    }

    /// Notes who it turned out to be that asked: someone who has just signed up or in.
    pub fn acts_as(&self, user: UserId) {
        self.by.set(Actor { user: Some(user), ..self.by.get() });
    }

    /// A new id; those of later rows sort after it.
    pub fn new_id<Kind>(&self) -> Id<Kind> {
        Id::new(self.now())
    }

    /// Notes whom this is about, so that what is kept of it is erased with them.
    pub fn concerns(&self, person: UserId) {
        self.person.set(Some(person));
    }

    /// Tells those who wait for `topic`, once this is committed.
    pub fn raise(&self, topic: &'static str) {
        let mut raised = self.raised.borrow_mut();
        if !raised.contains(&topic) {
            raised.push(topic);
        }
    }

    /// Whom this is about, as far as has been said.
    pub fn person(&self) -> Option<UserId> {
        self.person.get()
    }
}

/// Whoever writes may read as well.
impl<'c> std::ops::Deref for UnitOfWork<'c> {
    type Target = Snapshot<'c>;

    fn deref(&self) -> &Snapshot<'c> {
        &self.snapshot
    }
}

/// A closure that waits for its turn, and whoever waits for its answer.
trait Task: Send {
    /// Nobody waits for the answer any more.
    fn is_abandoned(&self) -> bool;
    /// Runs the closure; false if it failed and its savepoint must be rolled back.
    fn run(&mut self, connection: &Connection, clock: &Clock) -> (bool, Option<Fatal>);
    /// Tells what became of it, once that is sure.
    fn answer(self: Box<Self>, group: Result<(), Fatal>, signals: &Signals);
}

struct Write<F, T> {
    name: &'static str,
    by: Actor,
    ticket: Ticket,
    body: Option<F>,
    result: Option<Result<T>>,
    raised: Vec<&'static str>,
    reply: oneshot::Sender<Result<T>>,
}

impl<F, T> Task for Write<F, T>
where
    F: FnOnce(&UnitOfWork<'_>) -> Result<T> + Send,
    T: Send,
{
    fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    fn run(&mut self, connection: &Connection, clock: &Clock) -> (bool, Option<Fatal>) {
        let Some(body) = self.body.take() else { return (false, None) };
        let work = UnitOfWork {
            snapshot: Snapshot::new(connection, self.name, clock.now()),
            by: Cell::new(self.by),
            person: Cell::new(None),
            raised: RefCell::default(),
        };
        let run = || metering::touching(Action::Write, self.name, || body(&work));
        let result = metering::brief(self.ticket, || caught(self.name, run));
        let fatal = work.running().fatal.get();
        let good = result.is_ok();
        self.raised = if good { work.raised.take() } else { Vec::new() };
        self.result = Some(result);
        (good, fatal)
    }

    fn answer(self: Box<Self>, group: Result<(), Fatal>, signals: &Signals) {
        if group.is_ok() {
            self.raised.iter().for_each(|topic| signals.raise(topic));
        }
        let result = match (group, self.result) {
            (Ok(()), Some(result)) => result,
            (Ok(()), None) => Err(Error::Lost("it never ran")),
            // Even an error may rest on what the group saw and nobody else ever will.
            (Err(fatal), _) => Err(fatal.to_error()),
        };
        // Whoever asked may have gone away meanwhile; the work is done all the same.
        self.reply.send(result).ok();
    }
}

enum Message {
    Task(Box<dyn Task>),
    Stop,
}

/// The way to the writer thread.
pub(super) struct Writer {
    queue: SyncSender<Message>,
    waiting: Arc<AtomicUsize>,
    sent: AtomicU64,
    thread: std::sync::Mutex<Option<JoinHandle<()>>>,
    id: ThreadId,
}

impl Writer {
    /// Starts the thread; it checkpoints in the one process that holds the folder, which knows who follows the WAL.
    pub fn start(
        path: &Path,
        owners: Arc<Ownership>,
        clock: Clock,
        checkpoints: Option<Following>,
        tuning: Tuning,
        signals: Arc<Signals>,
        entry: Arc<Entry>,
    ) -> Result<Self> {
        let armed = Arc::new(AtomicBool::new(false));
        let connection = connection::open_writer(path, owners, armed.clone())
            .map_err(|e| Error::internal("opening the connection to write", e))?;
        let (queue, inbox) = sync_channel(QUEUE_BOUND);
        let waiting = Arc::new(AtomicUsize::new(0));
        let checkpointer = checkpoints.map(|follower| Checkpointer::new(&connection, path, follower)).transpose()?;
        let thread = WriterThread {
            connection,
            armed,
            clock,
            inbox,
            waiting: waiting.clone(),
            checkpointer,
            tuning,
            signals,
            _entry: entry,
        };
        let thread = std::thread::Builder::new()
            .name("writer".into())
            .spawn(move || {
                // Closures' own panics are caught before; without a writer nothing can ever be saved again.
                if catch_unwind(AssertUnwindSafe(|| thread.run())).is_err() {
                    tracing::error!("the writer ended by a panic; the process stops, to be started anew");
                    std::process::abort();
                }
            })
            .map_err(|e| Error::internal("starting the writer", e))?;
        Ok(Writer {
            queue,
            waiting,
            sent: AtomicU64::new(0),
            id: thread.thread().id(),
            thread: std::sync::Mutex::new(Some(thread)),
        })
    }

    /// Puts `body` in the queue; what comes back is its answer, once it is true.
    pub fn send<T, F>(&self, name: &'static str, by: Actor, body: F) -> Result<oneshot::Receiver<Result<T>>>
    where
        F: FnOnce(&UnitOfWork<'_>) -> Result<T> + Send + 'static,
        T: Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let ticket = Ticket::here().or_background(name);
        let task = Box::new(Write { name, by, ticket, body: Some(body), result: None, raised: Vec::new(), reply });
        self.waiting.fetch_add(1, Ordering::Relaxed);
        self.sent.fetch_add(1, Ordering::Relaxed);
        self.queue.try_send(Message::Task(task)).map_err(|refused| {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            match refused {
                TrySendError::Full(_) => Error::Overloaded("too many writes are waiting"),
                TrySendError::Disconnected(_) => Error::Overloaded("the server is stopping"),
            }
        })?;
        Ok(answer)
    }

    /// Whether this is the writer's own thread, which must never wait for itself.
    pub fn is_here(&self) -> bool {
        std::thread::current().id() == self.id
    }

    /// Closures that wait for their turn now.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Closures that have ever been put in the queue.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Commits what waits, checkpoints, and ends the thread. What comes later is refused.
    pub fn stop(&self) {
        let thread = self.thread.lock().unwrap_or_else(|e| e.into_inner()).take();
        if let Some(thread) = thread {
            self.queue.send(Message::Stop).ok();
            if thread.join().is_err() {
                tracing::error!("the writer thread ended by a panic");
            }
        }
    }
}

struct WriterThread {
    connection: Connection,
    armed: Arc<AtomicBool>,
    clock: Clock,
    inbox: Receiver<Message>,
    waiting: Arc<AtomicUsize>,
    /// None in processes that stand beside the server: only one component checkpoints.
    checkpointer: Option<Checkpointer>,
    tuning: Tuning,
    signals: Arc<Signals>,
    /// Dropped after the connection.
    _entry: Arc<Entry>,
}

impl WriterThread {
    fn run(mut self) {
        loop {
            match self.inbox.recv_timeout(IDLE) {
                Ok(Message::Task(task)) => {
                    if self.group(task).is_break() {
                        break;
                    }
                    if let Some(checkpointer) = &mut self.checkpointer {
                        checkpointer.after_group(&self.connection);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    if let Some(checkpointer) = &mut self.checkpointer {
                        checkpointer.when_idle();
                    }
                }
                Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        if let Some(checkpointer) = &mut self.checkpointer {
            checkpointer.at_stop(&self.connection);
        }
    }

    /// Runs `first` and those that wait behind it in one transaction, commits, answers them all.
    fn group(&mut self, first: Box<dyn Task>) -> std::ops::ControlFlow<()> {
        let start = Instant::now();
        let mut members: Vec<Box<dyn Task>> = Vec::new();
        let mut next = Some(first);
        let mut stop = std::ops::ControlFlow::Continue(());
        let mut outcome = self.begin();
        let begun = outcome.is_ok();
        while let Some(mut task) = next.take() {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            if task.is_abandoned() {
                drop(task);
            } else {
                if outcome.is_ok() {
                    outcome = self.run_one(task.as_mut());
                }
                members.push(task);
            }
            // Where not even a beginning could be made, those that wait share the answer instead of a time-out each.
            if (begun && outcome.is_err())
                || members.len() >= self.tuning.max_group
                || (begun && start.elapsed() > self.tuning.group_time)
            {
                break;
            }
            match self.inbox.try_recv() {
                Ok(Message::Task(task)) => next = Some(task),
                Ok(Message::Stop) => stop = std::ops::ControlFlow::Break(()),
                Err(_) => {}
            }
        }

        let commit = Instant::now();
        let outcome = outcome.and_then(|()| metering::long(Ticket::of(metering::commits()), || self.commit()));
        metrics::histogram!("ashlar_commit_seconds").record(commit.elapsed());
        metrics::histogram!("ashlar_group_size").record(members.len() as f64);
        if let Err(fatal) = outcome {
            self.abandon_transaction();
            tracing::error!(members = members.len(), reason = ?fatal, "a group of writes was rolled back");
        }
        for member in members {
            member.answer(outcome, &self.signals);
        }
        metering::commits().ran(start.elapsed());
        stop
    }

    /// Runs one closure in a savepoint of its own.
    fn run_one(&self, task: &mut dyn Task) -> Result<(), Fatal> {
        kernel(&self.connection, "SAVEPOINT closure").map_err(|e| self.fatal(&e))?;
        let (good, fatal) = task.run(&self.connection, &self.clock);
        if let Some(fatal) = fatal {
            return Err(fatal);
        }
        if self.connection.is_autocommit() {
            return Err(Fatal::TransactionLost);
        }
        if !good {
            kernel(&self.connection, "ROLLBACK TO closure").map_err(|e| self.fatal(&e))?;
        }
        kernel(&self.connection, "RELEASE closure").map_err(|e| self.fatal(&e))
    }

    /// IMMEDIATE takes the write lock now: a lock taken midway can fail without waiting.
    fn begin(&self) -> Result<(), Fatal> {
        kernel(&self.connection, "BEGIN IMMEDIATE").map_err(|e| self.fatal(&e))
    }

    fn commit(&self) -> Result<(), Fatal> {
        if self.connection.is_autocommit() {
            return Err(Fatal::TransactionLost);
        }
        self.armed.store(true, Ordering::Relaxed);
        let committed = kernel(&self.connection, "COMMIT");
        self.armed.store(false, Ordering::Relaxed);
        committed.map_err(|e| self.fatal(&e))
    }

    fn fatal(&self, error: &rusqlite::Error) -> Fatal {
        tracing::warn!(%error, "the writer met an error");
        Fatal::of(error).unwrap_or(Fatal::TransactionLost)
    }

    /// Leaves no transaction open, so that the next group can begin.
    fn abandon_transaction(&self) {
        if !self.connection.is_autocommit()
            && let Err(error) = kernel(&self.connection, "ROLLBACK")
            && !self.connection.is_autocommit()
        {
            tracing::error!(%error, "the lost transaction could not be rolled back");
        }
    }
}
