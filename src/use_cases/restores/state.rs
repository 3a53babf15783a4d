//! What is about to take the unit's place: made ready, confirmed, or neither.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::platform::actor::Actor;
use crate::platform::backup::{Sealed, Staged};
use crate::platform::bytes::Bytes;
use crate::platform::error::{Error, Result};
use crate::platform::ids::Id;
use crate::use_cases::restored::Outlook;

/// Names one backup that waits to be confirmed.
pub type RestoreId = Id<Waiting>;

/// What is about to take the unit's place. Clones share it.
#[derive(Clone)]
pub struct Restores {
    inner: Arc<Inner>,
}

struct Inner {
    max_upload: Bytes,
    /// Held by whoever makes one ready or puts it in place: one at a time.
    turn: Arc<Semaphore>,
    state: Mutex<State>,
    confirmed: Notify,
    /// Nobody is let in any more who would still see the old unit.
    left: Notify,
}

#[derive(Default)]
struct State {
    waiting: Option<Waiting>,
    ready: Option<Ready>,
    /// One is confirmed: this unit is about to be left.
    leaving: bool,
}

/// A backup that is made ready, and waits for an owner to confirm it.
pub struct Waiting {
    pub(super) id: RestoreId,
    pub(super) staged: Staged,
    pub(super) from: String,
    pub(super) outlook: Outlook,
    pub(super) since: Instant,
}

/// A backup that is confirmed: what is left to do is to put it in place.
pub struct Ready {
    pub sealed: Sealed,
    pub from: String,
    pub by: Actor,
    /// Nobody else begins a restore as long as this one lives.
    pub turn: OwnedSemaphorePermit,
}

/// What is known of a backup that waits.
#[derive(Debug, Clone)]
pub struct Preview {
    pub id: RestoreId,
    pub from: String,
    pub outlook: Outlook,
    /// Migrations that were run on it, since its schema was older.
    pub migrated: usize,
}

impl Restores {
    pub fn new(max_upload: Bytes) -> Self {
        let inner = Inner {
            max_upload,
            turn: Arc::new(Semaphore::new(1)),
            state: Mutex::default(),
            confirmed: Notify::new(),
            left: Notify::new(),
        };
        Restores { inner: Arc::new(inner) }
    }

    pub fn max_upload(&self) -> Bytes {
        self.inner.max_upload
    }

    /// Whether this unit is about to be left for a backup.
    pub fn is_leaving(&self) -> bool {
        self.state().leaving
    }

    /// Waits until a restore is confirmed.
    pub async fn confirmed(&self) -> Ready {
        loop {
            if let Some(ready) = self.state().ready.take() {
                return ready;
            }
            self.inner.confirmed.notified().await;
        }
    }

    /// To be called when no more connections are taken: whoever confirmed is answered then, and finds the new unit.
    pub fn leave(&self) {
        self.inner.left.notify_one();
    }

    /// Removes what was made ready before that, and never confirmed.
    pub fn forget_older_than(&self, age: Duration) {
        let old = self.state().waiting.take_if(|waiting| waiting.since.elapsed() > age);
        // Not under the lock: removing a large file takes its time.
        drop(old);
    }

    /// The turn to make one ready, or to put it in place.
    pub(super) fn begin(&self) -> Result<OwnedSemaphorePermit> {
        self.inner.turn.clone().try_acquire_owned().map_err(|_| Error::Conflict {
            field: None,
            detail: "another restore is being made ready just now: try again when that is done".into(),
        })
    }

    pub(super) fn preview(&self, id: RestoreId) -> Result<Preview> {
        let state = self.state();
        let waiting = state.waiting.as_ref().filter(|waiting| waiting.id == id).ok_or(GONE)?;
        let Waiting { from, outlook, staged, .. } = waiting;
        Ok(Preview { id, from: from.clone(), outlook: outlook.clone(), migrated: staged.pending })
    }

    pub(super) fn take(&self, id: RestoreId) -> Result<Waiting> {
        self.state().waiting.take_if(|waiting| waiting.id == id).ok_or(GONE)
    }

    /// Keeps what is ready to be confirmed, in place of what was.
    pub(super) fn put(&self, waiting: Waiting) {
        let old = self.state().waiting.replace(waiting);
        drop(old);
    }

    /// Hands what is confirmed to whoever runs the server.
    pub(super) fn go(&self, ready: Ready) {
        let mut state = self.state();
        state.ready = Some(ready);
        state.leaving = true;
        drop(state);
        self.inner.confirmed.notify_one();
    }

    /// Waits until no more connections are taken.
    pub(super) async fn left(&self) {
        self.inner.left.notified().await;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // What is behind it is whole after each step.
        self.inner.state.lock().unwrap_or_else(|e| e.into_inner())
    }
}

const GONE: Error = Error::NotFound("backup any more: choose or upload it again");
