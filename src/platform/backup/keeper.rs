//! What a running server knows of its backups: its settings, which files there are, what it is doing just now.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::pack::{read_sha256, sha256_path};
use super::{BackupSettings, Name, Progress, superseded};
use crate::platform::clock::Time;
use crate::platform::db::Folder;
use crate::platform::error::{Error, Result};

/// Clones share it.
#[derive(Clone)]
pub struct Keeper {
    pub settings: Arc<BackupSettings>,
    state: Arc<Mutex<State>>,
    stopping: Arc<AtomicBool>,
}

#[derive(Default)]
struct State {
    running: Option<Option<Progress>>,
    failure: Option<Failure>,
}

/// Why the last backup was not made.
#[derive(Debug, Clone, serde::Serialize, utoipa::ToSchema)]
pub struct Failure {
    pub at: Time,
    pub reason: String,
}

/// A file among the backups.
#[derive(Debug, Clone)]
pub struct Kept {
    pub name: Name,
    pub path: PathBuf,
    pub bytes: u64,
    pub sha256: Option<String>,
}

/// Held by whoever makes or tries a backup: one at a time.
pub struct Turn {
    keeper: Keeper,
}

impl Keeper {
    pub fn new(settings: BackupSettings) -> Keeper {
        Keeper { settings: Arc::new(settings), state: Arc::default(), stopping: Arc::default() }
    }

    /// # Errors
    /// [`Error::Conflict`] while another backup is made or tried.
    pub fn begin(&self) -> Result<Turn> {
        let mut state = self.state();
        if state.running.is_some() {
            let detail = "a backup is being made or tried just now; wait until that has ended".to_owned();
            return Err(Error::Conflict { field: None, detail });
        }
        state.running = Some(None);
        Ok(Turn { keeper: self.clone() })
    }

    /// Whether something is being done, and how far it is, as far as that is known.
    pub fn running(&self) -> Option<Option<Progress>> {
        self.state().running
    }

    /// Why the last one was not made, where it was not.
    pub fn failure(&self) -> Option<Failure> {
        self.state().failure.clone()
    }

    pub fn note_failure(&self, failure: Option<Failure>) {
        self.state().failure = failure;
    }

    /// Ends what is being done: the server stops.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// Removes what killed processes left of backups of `unit`.
    pub fn clean_up(&self, unit: &Folder) -> Result<()> {
        super::room(unit)?;
        super::remove_left_over(&self.settings.folder_of(unit)?)
    }

    /// The backups of `unit`, newest first.
    pub fn list(&self, unit: &Folder) -> Result<Vec<Kept>> {
        let folder = self.settings.folder_of(unit)?;
        let failed = |e| Error::internal(&format!("reading {}", folder.display()), e);
        let mut all = Vec::new();
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let Some(name) = entry.file_name().to_str().and_then(Name::parse) else { continue };
            let path = entry.path();
            let found = match fs::metadata(&path) {
                // It went meanwhile.
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
                found => found.map_err(failed)?,
            };
            // One that can't be read is shown as missing; to verify the backup says why.
            let sha256 = read_sha256(&path).unwrap_or_default();
            if found.is_file() {
                all.push(Kept { name, path, bytes: found.len(), sha256 });
            }
        }
        all.sort_by_key(|kept| std::cmp::Reverse((kept.name.at, kept.path.clone())));
        Ok(all)
    }

    /// Removes the backups of `unit` that need no longer be kept; returns their names.
    pub fn remove_superseded(&self, unit: &Folder, now: Time) -> Result<Vec<String>> {
        let all = self.list(unit)?;
        let times: Vec<Time> = all.iter().map(|kept| kept.name.at).collect();
        let superseded = superseded(&times, self.settings.keep, now);
        let mut removed = Vec::new();
        for kept in all.iter().filter(|kept| superseded.contains(&kept.name.at)) {
            remove(&kept.path)?;
            removed.push(kept.name.to_string());
        }
        Ok(removed)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change of it is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn {
    /// # Errors
    /// If the server stops.
    pub fn watch(&self, progress: Progress) -> Result<()> {
        self.keeper.state().running = Some(Some(progress));
        match self.keeper.stopping.load(Ordering::Relaxed) {
            true => Err(Error::Overloaded("the server is stopping")),
            false => Ok(()),
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.keeper.state().running = None;
    }
}

/// The SHA-256 first: a backup without one is still a backup.
fn remove(backup: &Path) -> Result<()> {
    for path in [&sha256_path(backup), backup] {
        match fs::remove_file(path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::internal(&format!("removing {}", path.display()), e));
            }
            _ => {}
        }
    }
    Ok(())
}
