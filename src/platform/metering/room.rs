//! Rooms: the modules, the platform's parts, and whatever else answers requests, each with what it asks of SQLite.

use std::sync::RwLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Rooms that are told apart; more than that share the last place.
pub(super) const MAX_ROOMS: usize = 64;

/// One room's counts since the process started.
#[derive(Debug)]
pub struct Room {
    pub name: &'static str,
    /// Its place in the accounts' lists.
    pub(super) index: usize,
    statements: AtomicU64,
    rows: AtomicU64,
    nanoseconds: AtomicU64,
}

impl Room {
    /// Counts one statement of this room's.
    pub fn statement(&'static self, took: Duration) {
        self.statements.fetch_add(1, Relaxed);
        self.nanoseconds.fetch_add(took.as_nanos() as u64, Relaxed);
        super::stretch::note_statement(self, took);
    }

    pub fn count_rows(&self, rows: usize) {
        self.rows.fetch_add(rows as u64, Relaxed);
    }

    pub fn statements(&self) -> u64 {
        self.statements.load(Relaxed)
    }

    pub fn rows(&self) -> u64 {
        self.rows.load(Relaxed)
    }

    /// Wall time in SQLite.
    pub fn sql(&self) -> Duration {
        Duration::from_nanos(self.nanoseconds.load(Relaxed))
    }
}

static ROOMS: RwLock<Vec<&'static Room>> = RwLock::new(Vec::new());

/// The room of this name; made once, kept as long as the process lives.
pub fn room(name: &'static str) -> &'static Room {
    let find = |rooms: &[&'static Room]| rooms.iter().copied().find(|room| room.name == name);
    if let Some(room) = find(&ROOMS.read().unwrap_or_else(|e| e.into_inner())) {
        return room;
    }
    let mut rooms = ROOMS.write().unwrap_or_else(|e| e.into_inner());
    if let Some(room) = find(&rooms) {
        return room;
    }
    let index = rooms.len().min(MAX_ROOMS - 1);
    let counts = || AtomicU64::new(0);
    let made = Room { name, index, statements: counts(), rows: counts(), nanoseconds: counts() };
    let room: &'static Room = Box::leak(Box::new(made));
    rooms.push(room);
    room
}

/// All rooms, in the order in which they were first named.
pub fn rooms() -> Vec<&'static Room> {
    ROOMS.read().unwrap_or_else(|e| e.into_inner()).clone()
}
