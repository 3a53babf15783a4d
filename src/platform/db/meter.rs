//! Counts per owner what it asks of SQLite, for `/metrics`.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{LazyLock, RwLock};
use std::time::Duration;

/// One owner's counts since the process started.
#[derive(Debug, Default)]
pub struct Meter {
    statements: AtomicU64,
    rows: AtomicU64,
    nanoseconds: AtomicU64,
}

impl Meter {
    pub(super) fn statement(&self, took: Duration) {
        self.statements.fetch_add(1, Relaxed);
        self.nanoseconds.fetch_add(took.as_nanos() as u64, Relaxed);
    }

    pub(super) fn rows(&self, rows: usize) {
        self.rows.fetch_add(rows as u64, Relaxed);
    }

    pub fn statements(&self) -> u64 {
        self.statements.load(Relaxed)
    }

    pub fn rows_total(&self) -> u64 {
        self.rows.load(Relaxed)
    }

    pub fn seconds(&self) -> f64 {
        self.nanoseconds.load(Relaxed) as f64 / 1e9
    }
}

static METERS: LazyLock<RwLock<HashMap<&'static str, &'static Meter>>> = LazyLock::new(Default::default);

/// The meter of `owner`; made once, kept as long as the process lives.
pub(super) fn of(owner: &'static str) -> &'static Meter {
    if let Some(meter) = METERS.read().unwrap_or_else(|e| e.into_inner()).get(owner) {
        return meter;
    }
    METERS.write().unwrap_or_else(|e| e.into_inner()).entry(owner).or_insert_with(|| Box::leak(Box::default()))
}

/// All meters by owner, in order of name.
pub fn meters() -> Vec<(&'static str, &'static Meter)> {
    let mut all: Vec<_> = METERS.read().unwrap_or_else(|e| e.into_inner()).iter().map(|(k, v)| (*k, *v)).collect();
    all.sort_by_key(|(owner, _)| *owner);
    all
}
