//! The one component that checkpoints: moves what the WAL holds into the database file.
//!
//! It runs on the writer's thread between two groups, so that a checkpoint is never overtaken by new frames and
//! the WAL can start over: under a steady load a checkpoint beside the writer would never catch up, and the WAL
//! would grow without bound. PASSIVE while the unit lives, since the other modes wait for readers (and fight a
//! Litestream sidecar). But where one reader follows upon another without a gap, PASSIVE alone never lets the WAL
//! start over: once it is twice as long as it should be, RESTART waits for them, for a moment now and then.

use std::cell::Cell;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::connection::BUSY_TIMEOUT;
use super::scope::{Scope, within};

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
    /// The WAL's length from which on the next checkpoint is tried.
    next_at: i32,
    /// Pages of the WAL that are in the database file already.
    moved: i32,
}

/// What `PRAGMA wal_checkpoint` reports.
struct Report {
    busy: bool,
    moved: i32,
}

impl Checkpointer {
    /// Call it on the thread that will write.
    pub fn new(connection: &Connection) -> Self {
        connection.wal_hook(Some(|_, pages| {
            PAGES.set(pages);
            Ok(())
        }));
        Checkpointer { next_at: WAL_PAGES, moved: 0 }
    }

    /// Keeps the WAL's length bounded.
    pub fn after_group(&mut self, connection: &Connection) {
        metrics::gauge!("ashlar_wal_pages").set(PAGES.get());
        let pages = PAGES.get();
        if pages < self.moved {
            // The WAL has started over.
            *self = Checkpointer { next_at: WAL_PAGES, moved: 0 };
        }
        if pages >= self.next_at {
            self.passive(connection);
            // Only where little is held back: a reader that stays, such as a backup, would not go in that time.
            if pages >= 2 * WAL_PAGES && pages - self.moved <= RETRY_PAGES {
                self.note(|| waiting(connection, RESTART_WAIT, "PRAGMA wal_checkpoint(RESTART)"));
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
        // With the WAL emptied too, a restore by hand finds no stale one; it must not wait for anybody, though.
        match waiting(connection, Duration::ZERO, "PRAGMA wal_checkpoint(TRUNCATE)") {
            Ok(report) if report.busy => tracing::info!("the WAL is in use by another process and stays"),
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "the WAL could not be emptied"),
        }
    }

    fn passive(&mut self, connection: &Connection) {
        self.note(|| run(connection, "PRAGMA wal_checkpoint(PASSIVE)"));
    }

    /// Remembers what `checkpoint` did, and when to try again what readers held back.
    fn note(&mut self, checkpoint: impl FnOnce() -> rusqlite::Result<Report>) {
        let start = Instant::now();
        let pages = PAGES.get();
        self.next_at = WAL_PAGES.max(pages + RETRY_PAGES);
        match checkpoint() {
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
        metrics::histogram!("ashlar_checkpoint_seconds").record(start.elapsed());
    }
}

/// As [`run`], waiting for others up to `patience`.
fn waiting(connection: &Connection, patience: Duration, pragma: &str) -> rusqlite::Result<Report> {
    connection.busy_timeout(patience)?;
    let report = run(connection, pragma);
    connection.busy_timeout(BUSY_TIMEOUT)?;
    report
}

fn run(connection: &Connection, pragma: &str) -> rusqlite::Result<Report> {
    within(Scope::Kernel, || {
        connection.query_row(pragma, [], |row| Ok(Report { busy: row.get::<_, i32>(0)? != 0, moved: row.get(2)? }))
    })
}
