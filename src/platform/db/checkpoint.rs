//! The one component that checkpoints: moves what the WAL holds into the database file.
//!
//! In two parts. A thread beside the writer moves the bulk, which delays nobody; then the writer, between two groups, moves
//! the little that was written meanwhile. So a checkpoint is never overtaken by new frames and the WAL can start over:
//! beside the writer alone it would never catch up with a steady load, and the WAL would grow without bound.
//!
//! PASSIVE while the unit lives, since the other modes wait for readers (and fight a Litestream sidecar). But where one
//! reader follows upon another without a gap, or another program writes all the time, PASSIVE alone never lets the WAL start
//! over: once it is twice as long as it should be, RESTART keeps other writers out and waits for readers, for a moment now and
//! then; but never beside a sidecar. Where this process keeps the replica, [`Changes`] notes what is about to be moved.

use std::cell::{Cell, RefCell};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::changes::Changes;
use super::connection::{self, BUSY_TIMEOUT};
use super::scope::{Scope, within};
use crate::platform::error::{Error, Result};
use crate::platform::metering::{self, Ticket};

/// The WAL's length, in pages of 4 KiB, from which on it is checkpointed between groups.
const WAL_PAGES: i32 = 4096;
/// So many pages are moved at once by the thread beside the writer.
const AHEAD_PAGES: i32 = WAL_PAGES / 4;
/// How long the writer waits for readers so that the WAL can start over.
const RESTART_WAIT: Duration = Duration::from_millis(100);
/// Readers may hold a checkpoint back; it is tried again after so many more pages, and not after each group.
const RETRY_PAGES: i32 = WAL_PAGES / 4;

const PASSIVE: &str = "PRAGMA wal_checkpoint(PASSIVE)";

thread_local! {
    /// Pages in the WAL after the last commit of this thread, as SQLite reported it.
    static PAGES: Cell<i32> = const { Cell::new(0) };
    /// Whose pin a checkpoint of this thread may have to wait for, and how long it waits for others.
    static PINNED: RefCell<Option<(Arc<Changes>, Instant)>> = const { RefCell::new(None) };
}

pub(super) struct Checkpointer {
    follower: Following,
    /// The WAL's length from which on the next checkpoint is tried.
    next_at: i32,
    /// Pages of the WAL that are in the database file already.
    moved: i32,
    ahead: Ahead,
}

/// Who copies what the WAL holds to another place.
#[derive(Clone)]
pub(super) enum Following {
    Nobody,
    Ours(Arc<Changes>),
    Sidecar,
}

/// What `PRAGMA wal_checkpoint` reports.
struct Report {
    busy: bool,
    /// Pages in the WAL.
    length: i32,
    moved: i32,
}

impl Report {
    fn is_all(&self) -> bool {
        self.moved == self.length
    }
}

impl Checkpointer {
    /// For the `connection` that writes to the database at `path`.
    pub fn new(connection: &Connection, path: &Path, follower: Following) -> Result<Self> {
        let ahead = Ahead::start(path, follower.clone())?;
        connection.wal_hook(Some(|_, pages| {
            PAGES.set(pages);
            Ok(())
        }));
        Ok(Checkpointer { follower, next_at: WAL_PAGES, moved: 0, ahead })
    }

    /// Keeps the WAL's length bounded.
    pub fn after_group(&mut self, connection: &Connection) {
        metrics::gauge!("ashlar_wal_pages").set(PAGES.get());
        let pages = PAGES.get();
        if pages < self.moved {
            // The WAL has started over.
            (self.next_at, self.moved, self.ahead.from) = (WAL_PAGES, 0, 0);
        }
        // However slow the disk is, the WAL stays bounded.
        let is_late = pages >= 2 * WAL_PAGES;
        self.see_ahead(is_late);
        if self.ahead.is_running {
            return;
        }
        // In parts, so that a commit's sync never waits for much; and once more just before the writer's own.
        let is_due = pages >= self.next_at;
        let for_ahead = if is_due { self.ahead.from < self.next_at } else { pages - self.ahead.from >= AHEAD_PAGES };
        if for_ahead && !is_late {
            return self.ahead.begin(pages);
        }
        if !is_due {
            return;
        }
        self.passive(connection);
        // Only where little is held back: a reader that stays, such as a backup, would not go in that time.
        if is_late && pages - self.moved <= RETRY_PAGES {
            self.restart(connection);
        }
    }

    /// Nothing has been written for a while: a good moment to leave the WAL empty.
    pub fn when_idle(&mut self) {
        self.see_ahead(false);
        if PAGES.get() > self.moved && !self.ahead.is_running {
            self.ahead.begin(PAGES.get());
        }
    }

    /// Notes what the thread beside the writer has done, if it has; `wait`s for it, if it runs.
    fn see_ahead(&mut self, wait: bool) {
        match self.ahead.end(wait) {
            Some(Ok(report)) => self.moved = report.moved,
            Some(Err(error)) => failed(&error),
            None => {}
        }
    }

    /// Leaves the database file complete by itself, so that a plain copy of it is a backup.
    pub fn at_stop(&mut self, connection: &Connection) {
        self.see_ahead(true);
        self.passive(connection);
        match &self.follower {
            Following::Nobody => {}
            Following::Ours(changes) => {
                if let Err(error) = changes.stop() {
                    tracing::warn!(%error, "the last changes are not known; the replica gets a copy of all at the next start");
                }
            }
            Following::Sidecar => return,
        }
        // With the WAL emptied too, a restore by hand finds no stale one; it must not wait for anybody, though.
        match waiting(connection, Duration::ZERO, "PRAGMA wal_checkpoint(TRUNCATE)") {
            Ok(report) if report.busy => tracing::info!("the WAL is in use by another process and stays"),
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "the WAL could not be emptied"),
        }
    }

    /// Moves what can be moved without waiting for anybody.
    fn passive(&mut self, connection: &Connection) {
        let done = self.follower.noted(|| run(connection, PASSIVE));
        self.remember(done);
    }

    /// Waits a moment for readers, so that the WAL can start over.
    fn restart(&mut self, connection: &Connection) {
        const RESTART: &str = "PRAGMA wal_checkpoint(RESTART)";
        let done = match &self.follower {
            Following::Nobody => waiting(connection, RESTART_WAIT, RESTART),
            Following::Sidecar => run(connection, PASSIVE),
            Following::Ours(changes) => renewing(connection, changes.clone(), RESTART),
        };
        self.remember(done);
    }

    /// Remembers what a checkpoint did, and when to try again what readers held back.
    fn remember(&mut self, done: Result<Report>) {
        let pages = PAGES.get();
        self.next_at = WAL_PAGES.max(pages + RETRY_PAGES);
        match done {
            Ok(report) => {
                self.moved = report.moved;
                if report.busy {
                    // A reader that stays, such as a backup: wait for it ever less often.
                    self.next_at = pages + pages / 8;
                }
            }
            Err(error) => failed(&error),
        }
    }
}

impl Following {
    /// Runs `checkpoint`, of which the replica must know before.
    fn noted(&self, checkpoint: impl FnOnce() -> Result<Report>) -> Result<Report> {
        match self {
            Following::Ours(changes) if !changes.is_stopped() => {
                changes.around(|| checkpoint().map(|report| (report.is_all(), report)))
            }
            _ => checkpoint(),
        }
    }
}

/// The thread that checkpoints beside the writer.
struct Ahead {
    /// None once it is to end.
    ask: Option<SyncSender<()>>,
    done: Receiver<Result<Report>>,
    is_running: bool,
    /// How long the WAL was when it was last asked to.
    from: i32,
    thread: Option<JoinHandle<()>>,
}

impl Ahead {
    fn start(path: &Path, follower: Following) -> Result<Ahead> {
        let connection = super::open_raw(path)?;
        connection::configure(&connection).map_err(|e| Error::internal("opening the database to checkpoint", e))?;
        let ((ask, asked), (tell, done)) = (sync_channel(1), sync_channel(1));
        let checkpoint = move || {
            for () in asked {
                // The writer has ended without us; then it has checkpointed by itself.
                if tell.send(follower.noted(|| run(&connection, PASSIVE))).is_err() {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("checkpoint".into()).spawn(checkpoint);
        let thread = thread.map_err(|e| Error::internal("starting the thread that checkpoints", e))?;
        Ok(Ahead { ask: Some(ask), done, is_running: false, from: 0, thread: Some(thread) })
    }

    fn begin(&mut self, pages: i32) {
        self.from = pages;
        // Without its thread, the writer checkpoints alone.
        self.is_running = self.ask.as_ref().is_some_and(|ask| ask.send(()).is_ok());
    }

    /// What it has done; none while it runs, unless that is to be waited for, and where it does not.
    fn end(&mut self, wait: bool) -> Option<Result<Report>> {
        if !self.is_running {
            return None;
        }
        let done = match wait {
            true => self.done.recv().ok(),
            false => match self.done.try_recv() {
                Err(TryRecvError::Empty) => return None,
                done => done.ok(),
            },
        };
        self.is_running = false;
        done
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.ask = None;
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that checkpoints ended by a panic");
        }
    }
}

fn failed(error: &Error) {
    tracing::warn!(%error, "checkpoint failed; the WAL keeps everything, it is tried again");
}

/// As [`run`], waiting for others up to `patience`.
fn waiting(connection: &Connection, patience: Duration, pragma: &str) -> Result<Report> {
    let failed = |e| Error::internal("checkpointing", e);
    connection.busy_timeout(patience).map_err(failed)?;
    let report = run(connection, pragma);
    connection.busy_timeout(BUSY_TIMEOUT).map_err(failed)?;
    report
}

/// As [`run`], waiting for others up to [`RESTART_WAIT`]. The pin of `changes`, for which it would wait as well, is renewed
/// meanwhile: no other writer gets in between, so that it soon is on a WAL that is moved whole.
fn renewing(connection: &Connection, changes: Arc<Changes>, pragma: &str) -> Result<Report> {
    let failed = |e| Error::internal("checkpointing", e);
    connection.busy_handler(Some(renew_and_wait)).map_err(failed)?;
    PINNED.set(Some((changes, Instant::now() + RESTART_WAIT)));
    let report = run(connection, pragma);
    PINNED.set(None);
    connection.busy_timeout(BUSY_TIMEOUT).map_err(failed)?;
    report
}

/// Whether SQLite shall try again.
fn renew_and_wait(waited: i32) -> bool {
    PINNED.with_borrow(|pinned| {
        let Some((changes, until)) = pinned else { return false };
        if let Err(error) = changes.renew() {
            failed(&error);
            return false;
        }
        if waited > 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
        Instant::now() < *until
    })
}

fn run(connection: &Connection, pragma: &str) -> Result<Report> {
    let start = Instant::now();
    let pragma = || {
        connection.query_row(pragma, [], |row| {
            Ok(Report { busy: row.get::<_, i32>(0)? != 0, length: row.get(1)?, moved: row.get(2)? })
        })
    };
    let report = metering::long(Ticket::of(metering::background("checkpoint")), || within(Scope::Kernel, pragma));
    metrics::histogram!("ashlar_checkpoint_seconds").record(start.elapsed());
    report.map_err(|e| Error::internal("checkpointing", e))
}
