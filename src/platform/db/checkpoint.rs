//! The one component that checkpoints: moves what the WAL holds into the database file.
//!
//! It runs on the writer's thread between two groups, so that a checkpoint is never overtaken by new frames and
//! the WAL can start over: under a steady load a checkpoint beside the writer would never catch up, and the WAL
//! would grow without bound. PASSIVE while the unit lives, since the other modes wait for readers (and fight a
//! Litestream sidecar).

use std::cell::Cell;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::connection::BUSY_TIMEOUT;
use super::scope::{Scope, within};

/// The WAL's length, in pages of 4 KiB, from which on it is checkpointed between groups.
const WAL_PAGES: i32 = 4096;
/// Readers may hold a checkpoint back; it is tried again after so long, and not after each group.
const RETRY: Duration = Duration::from_millis(200);

thread_local! {
    /// Pages in the WAL after the last commit of this thread, as SQLite reported it.
    static PAGES: Cell<i32> = const { Cell::new(0) };
}

pub(super) struct Checkpointer {
    not_before: Instant,
    /// Pages of the WAL that are in the database file already.
    moved: i32,
}

/// What `PRAGMA wal_checkpoint` reports.
struct Report {
    busy: bool,
    pages: i32,
    moved: i32,
}

impl Checkpointer {
    /// Call it on the thread that will write.
    pub fn new(connection: &Connection) -> Self {
        connection.wal_hook(Some(|_, pages| {
            PAGES.set(pages);
            Ok(())
        }));
        Checkpointer { not_before: Instant::now(), moved: 0 }
    }

    /// Keeps the WAL's length bounded.
    pub fn after_group(&mut self, connection: &Connection) {
        metrics::gauge!("ashlar_wal_pages").set(PAGES.get());
        if PAGES.get() >= WAL_PAGES && Instant::now() >= self.not_before {
            self.passive(connection);
        } else if PAGES.get() < self.moved {
            self.moved = 0; // the WAL has started over
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
        let truncated = connection
            .busy_timeout(Duration::ZERO)
            .and_then(|()| run(connection, "PRAGMA wal_checkpoint(TRUNCATE)"))
            .and_then(|report| connection.busy_timeout(BUSY_TIMEOUT).map(|()| report));
        match truncated {
            Ok(report) if report.busy => tracing::info!("the WAL is in use by another process and stays"),
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "the WAL could not be emptied"),
        }
    }

    fn passive(&mut self, connection: &Connection) {
        let start = Instant::now();
        match run(connection, "PRAGMA wal_checkpoint(PASSIVE)") {
            Ok(report) => {
                self.moved = report.moved;
                if report.moved < report.pages {
                    self.not_before = Instant::now() + RETRY;
                }
            }
            Err(error) => {
                self.not_before = Instant::now() + RETRY;
                tracing::warn!(%error, "checkpoint failed; the WAL keeps everything, it is tried again");
            }
        }
        metrics::histogram!("ashlar_checkpoint_seconds").record(start.elapsed());
    }
}

fn run(connection: &Connection, pragma: &str) -> rusqlite::Result<Report> {
    within(Scope::Kernel, || {
        connection.query_row(pragma, [], |row| {
            Ok(Report { busy: row.get::<_, i32>(0)? != 0, pages: row.get(1)?, moved: row.get(2)? })
        })
    })
}
