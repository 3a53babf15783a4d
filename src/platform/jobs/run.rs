//! One run of a job, as its handler sees it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use super::*;
use crate::platform::actor::Actor;
use crate::platform::db::Database;

/// One run of a job in this process.
pub struct Run {
    pub job: JobId,
    /// How often it was begun, this time counted.
    pub attempt: u32,
    pub database: Database,
    pub(super) lease: LeaseId,
    pub(super) held: Arc<Held>,
}

/// What the run and whoever looks after it share.
#[derive(Default)]
pub(super) struct Held {
    /// The lease is lost, the run took too long, or the server stops.
    pub stopping: AtomicBool,
    /// Percent; written with the next renewal.
    pub progress: AtomicU8,
}

impl Run {
    /// Whether to give up: the server stops, or the job is not this run's any more.
    pub fn is_stopping(&self) -> bool {
        self.held.stopping.load(Ordering::Relaxed)
    }

    /// Says how far it is, in percent.
    ///
    /// # Errors
    /// If the run is to give up.
    pub fn progress(&self, percent: u8) -> Result<(), Failure> {
        self.held.progress.store(percent.min(100), Ordering::Relaxed);
        match self.is_stopping() {
            false => Ok(()),
            true => Err(Failure::Retry("it was told to stop".into())),
        }
    }

    /// Writes on the way, while the job is still this run's.
    ///
    /// # Errors
    /// [`Error::Conflict`] if it is not any more; nothing is written then.
    pub fn write<T, F>(&self, name: &'static str, body: F) -> Result<T>
    where
        F: FnOnce(&UnitOfWork<'_>) -> Result<T> + Send + 'static,
        T: Send + 'static,
    {
        let (job, lease) = (self.job, self.lease);
        self.database.write_blocking(name, Actor::system(), move |work| {
            lease::must_hold(work, job, lease)?;
            body(work)
        })
    }
}
