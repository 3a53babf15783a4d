//! Work in many small writes that nobody waits for, and which others must not feel.

use std::time::{Duration, Instant};

use super::{Database, UnitOfWork};
use crate::platform::actor::Actor;
use crate::platform::error::Result;

/// Others are there while one of them has written within so long.
const PRESENCE: Duration = Duration::from_millis(50);

/// Writes that leave others as much of the writer's time as they take, while there are others.
pub struct StandBack<'d> {
    database: &'d Database,
    /// Writes that had been asked for when the last of these was done.
    seen: u64,
    others_at: Option<Instant>,
}

impl<'d> StandBack<'d> {
    pub(super) fn new(database: &'d Database) -> Self {
        StandBack { database, seen: database.inner.writer.sent(), others_at: None }
    }

    /// As [`Database::write_blocking`], followed by a pause where others write as well.
    pub fn write<T, F>(&mut self, name: &'static str, by: Actor, body: F) -> Result<T>
    where
        F: FnOnce(&UnitOfWork<'_>) -> Result<T> + Send + 'static,
        T: Send + 'static,
    {
        let start = Instant::now();
        let written = self.database.write_blocking(name, by, body);
        let sent = self.database.inner.writer.sent();
        if sent > self.seen + 1 {
            self.others_at = Some(Instant::now());
        }
        if self.others_at.is_some_and(|at| at.elapsed() < PRESENCE) {
            std::thread::sleep(start.elapsed());
        }
        self.seen = sent;
        written
    }
}
