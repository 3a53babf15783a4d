//! The one component that checkpoints: moves what the WAL holds into the database file.
//!
//! It runs on the writer's thread between two groups, so that a checkpoint is never overtaken by new frames and
//! the WAL can start over: under a steady load a checkpoint beside the writer would never catch up, and the WAL
//! would grow without bound. PASSIVE while the unit lives, since the other modes wait for readers (and fight a
//! Litestream sidecar). But where one reader follows upon another without a gap, PASSIVE alone never lets the WAL
//! start over: once it is twice as long as it should be, RESTART waits for them, for a moment now and then; but never
//! beside a sidecar. Where this process keeps the replica, [`Changes`] notes what is about to be moved.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::changes::Changes;
use super::connection::BUSY_TIMEOUT;
use super::scope::{Scope, within};
use crate::platform::error::{Error, Result};
use crate::platform::metering::{self, Ticket};

/// The WAL's length, in pages of 4 KiB, from which on it is checkpointed between groups.
const WAL_PAGES: i32 = 4096;
/// How long the writer waits for readers so that the WAL can start over.
const RESTART_WAIT: Duration = Duration::from_millis(100);
/// Readers may hold a checkpoint back; it is tried again after so many more pages, and not after each group.
const RETRY_PAGES: i32 = WAL_PAGES / 4;

thread_local! {
    /// Pages in the WAL after the last commit of this thread, as SQLite reported it.
    static PAGES: Cell<i32> = const { Cell::new(0) };
}

pub(super) struct Checkpointer {
    follower: Following,
    /// The WAL's length from which on the next checkpoint is tried.
    next_at: i32,
    /// Pages of the WAL that are in the database file already.
    moved: i32,
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
    /// Call it on the thread that will write.
    pub fn new(connection: &Connection, follower: Following) -> Self {
        connection.wal_hook(Some(|_, pages| {
            PAGES.set(pages);
            Ok(())
        }));
        Checkpointer { follower, next_at: WAL_PAGES, moved: 0 }
    }

    /// Keeps the WAL's length bounded.
    pub fn after_group(&mut self, connection: &Connection) {
        metrics::gauge!("ashlar_wal_pages").set(PAGES.get());
        let pages = PAGES.get();
        if pages < self.moved {
            // The WAL has started over.
            (self.next_at, self.moved) = (WAL_PAGES, 0);
        }
        if pages >= self.next_at {
            self.passive(connection);
            // Only where little is held back: a reader that stays, such as a backup, would not go in that time.
            if pages >= 2 * WAL_PAGES && pages - self.moved <= RETRY_PAGES {
                self.restart(connection);
            }
        }
    }

    /// Nothing has been written for a while: a good moment to leave the WAL empty.
    pub fn when_idle(&mut self, connection: &Connection) {
        if PAGES.get() > self.moved {
            self.passive(connection);
        }
    }

    /// Leaves the database file complete by itself, so that a plain copy of it is a backup.
    pub fn at_stop(&mut self, connection: &Connection) {
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
        let checkpoint = || run(connection, "PRAGMA wal_checkpoint(PASSIVE)");
        let done = self.noted(checkpoint);
        self.remember(done);
    }

    /// Waits a moment for readers, so that the WAL can start over.
    fn restart(&mut self, connection: &Connection) {
        let wait = |pragma| waiting(connection, RESTART_WAIT, pragma);
        let done = match self.follower {
            Following::Nobody => wait("PRAGMA wal_checkpoint(RESTART)"),
            Following::Sidecar => run(connection, "PRAGMA wal_checkpoint(PASSIVE)"),
            // RESTART would wait for our own pin, until that was renewed on a WAL that is moved whole.
            Following::Ours(_) => match self.noted(|| wait("PRAGMA wal_checkpoint(FULL)")) {
                Ok(report) if report.is_all() => wait("PRAGMA wal_checkpoint(RESTART)"),
                other => other,
            },
        };
        self.remember(done);
    }

    /// Runs `checkpoint`, of which the replica must know before.
    fn noted(&self, checkpoint: impl FnOnce() -> Result<Report>) -> Result<Report> {
        match &self.follower {
            Following::Ours(changes) if !changes.is_stopped() => {
                changes.around(|| checkpoint().map(|report| (report.is_all(), report)))
            }
            _ => checkpoint(),
        }
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
            Err(error) => {
                tracing::warn!(%error, "checkpoint failed; the WAL keeps everything, it is tried again");
            }
        }
    }
}

/// As [`run`], waiting for others up to `patience`.
fn waiting(connection: &Connection, patience: Duration, pragma: &str) -> Result<Report> {
    let failed = |e| Error::internal("checkpointing", e);
    connection.busy_timeout(patience).map_err(failed)?;
    let report = run(connection, pragma);
    connection.busy_timeout(BUSY_TIMEOUT).map_err(failed)?;
    report
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
