//! Putting another database in the place of a unit's own, such that a kill at any moment leaves the one or the other.
//!
//! SQLite finds `ashlar.db-wal` by name: a WAL that outlives its database, or a process that still has the old file
//! open, would write old content over the new. So whoever opens the database takes `ashlar.use` first, shared with
//! others; whoever replaces it takes it alone, and no WAL bears that name when the new file gets its own.
//!
//! The order is: link the old files into `replaced/TIME.moving`, the database last; remove the old WAL; rename the new
//! file over the old; rename the folder to `replaced/TIME`. A link costs no room and no time, and until the third step
//! everything can be put back.

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode};

use super::folder::{Folder, Header};
use super::{BUSY_TIMEOUT, connection};
use crate::platform::error::{Error, Result};
use crate::platform::files;

/// Held by all processes that have the database open.
const USE: &str = "ashlar.use";
const MOVING: &str = "moving";
/// What SQLite may keep beside a database and needs to read it; its `-shm` it makes anew.
const COMPANIONS: [&str; 2] = ["-wal", "-journal"];

/// While it lives, the database is not replaced by another.
#[derive(Debug)]
pub struct Entry {
    _file: File,
}

impl Folder {
    /// Lets this process open the database. What a killed replacement left half done is put in order first.
    ///
    /// # Errors
    /// If the database is being replaced just now; if the folder can't be written.
    pub fn enter(&self) -> Result<Entry> {
        let file = self.lock_file(USE)?;
        loop {
            self.wait_for(|| file.try_lock_shared(), "is being restored")?;
            if self.interrupted()?.is_empty() {
                return Ok(Entry { _file: file });
            }
            self.release(&file)?;
            self.wait_for(|| file.try_lock(), "is in use by another command")?;
            self.settle_interrupted().map_err(|e| Error::internal("finishing a restore that was killed", e))?;
            self.release(&file)?;
        }
    }

    /// Puts `new`, which is complete by itself and which nobody has open, in place of the database. Returns where the
    /// old one is kept: below `replaced/`, named after `time`; none if there was none. The caller holds the folder's
    /// [`Lock`](super::Lock).
    ///
    /// # Errors
    /// If another process has the database open; the old one is in its place then.
    pub fn replace_database(&self, new: &Path, time: &str) -> Result<Option<PathBuf>> {
        let file = self.lock_file(USE)?;
        self.wait_for(|| file.try_lock(), "is in use by another command")?;
        let failed = |e: io::Error| Error::internal("putting the restored database in place", e);
        self.settle_interrupted().map_err(failed)?;
        let path = self.database();
        let old = Header::read(&path)?;
        if let Header::Ours = old {
            self.fold_wal()?;
        }
        let moving = match old {
            Header::Missing if !self.has_companions() => None,
            _ => Some(self.link_old(time).map_err(failed)?),
        };
        self.remove_companions().map_err(failed)?;
        files::put(new, &path).map_err(failed)?;
        moving.map(|moving| finish(&moving)).transpose().map_err(failed)
    }

    /// The databases that earlier replacements have kept.
    pub fn replaced_databases(&self) -> io::Result<Vec<PathBuf>> {
        let entries = match fs::read_dir(self.replaced()) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let kept = entries.map(|entry| entry.map(|e| e.path().join("ashlar.db"))).collect::<io::Result<Vec<_>>>()?;
        Ok(kept.into_iter().filter(|path| path.is_file()).collect())
    }

    /// Brings the old database into one file, where it is sound enough for that, and makes sure that no other program
    /// has it open: leaving WAL mode takes that.
    fn fold_wal(&self) -> Result<()> {
        match fold(&self.database()) {
            Ok(true) => Ok(()),
            Err(rusqlite::Error::SqliteFailure(e, _))
                if !matches!(e.code, ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) =>
            {
                Ok(()) // It is damaged; its WAL is kept with it as it is.
            }
            Ok(false) | Err(rusqlite::Error::SqliteFailure(..)) => Err(Error::Internal(format!(
                "another program (a shell, a replica) has {} open; close it first",
                self.database().display()
            ))),
            Err(error) => Err(Error::internal("closing the old database", error)),
        }
    }

    /// A second name for each of the old files; the database's comes last, so that where it is all are.
    fn link_old(&self, time: &str) -> io::Result<PathBuf> {
        let moving = self.replaced().join(format!("{time}.{MOVING}"));
        fs::create_dir_all(&moving)?;
        for name in COMPANIONS.iter().map(|suffix| format!("ashlar.db{suffix}")).chain(["ashlar.db".into()]) {
            let (from, to) = (self.path().join(&name), moving.join(&name));
            if from.exists() {
                fs::hard_link(&from, &to)?;
                files::sync_folder(&to)?;
            }
        }
        files::sync_folder(&moving)?;
        files::sync_folder(&self.replaced())?;
        Ok(moving)
    }

    fn has_companions(&self) -> bool {
        COMPANIONS.iter().any(|suffix| self.path().join(format!("ashlar.db{suffix}")).exists())
    }

    fn remove_companions(&self) -> io::Result<()> {
        for suffix in COMPANIONS.iter().chain(&["-shm"]) {
            match fs::remove_file(self.path().join(format!("ashlar.db{suffix}"))) {
                Err(e) if e.kind() != ErrorKind::NotFound => return Err(e),
                _ => {}
            }
        }
        files::sync_folder(&self.database())
    }

    /// Puts in order what killed replacements left; the caller holds `ashlar.use` alone.
    fn settle_interrupted(&self) -> io::Result<()> {
        for moving in self.interrupted_folders()? {
            let pair =
                |suffix| (moving.join(format!("ashlar.db{suffix}")), self.path().join(format!("ashlar.db{suffix}")));
            let (kept, current) = pair("");
            let is_new_in_place = if kept.exists() {
                !files::same(&kept, &current)?
            } else {
                // There was no database, only what it left; or not all links were made yet.
                let parted = |(kept, current): (PathBuf, PathBuf)| Ok(kept.exists() && !files::same(&kept, &current)?);
                current.exists()
                    && COMPANIONS.into_iter().map(pair).map(parted).collect::<io::Result<Vec<_>>>()?.contains(&true)
            };
            if is_new_in_place {
                finish(&moving)?;
                continue;
            }
            for (kept, current) in COMPANIONS.into_iter().map(pair) {
                if kept.exists() && !current.exists() {
                    fs::hard_link(&kept, &current)?;
                }
            }
            files::sync_folder(&self.database())?;
            fs::remove_dir_all(&moving)?;
            files::sync_folder(&moving)?;
        }
        Ok(())
    }

    fn interrupted(&self) -> Result<Vec<PathBuf>> {
        self.interrupted_folders().map_err(|e| Error::internal(&format!("reading {}", self.replaced().display()), e))
    }

    fn interrupted_folders(&self) -> io::Result<Vec<PathBuf>> {
        let entries = match fs::read_dir(self.replaced()) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut folders = entries.map(|entry| entry.map(|e| e.path())).collect::<io::Result<Vec<_>>>()?;
        folders.retain(|path| path.extension().is_some_and(|e| e == MOVING));
        Ok(folders)
    }

    fn replaced(&self) -> PathBuf {
        self.path().join("replaced")
    }

    /// Tries for as long as a connection waits for a lock; `what` says why it can't be had.
    fn wait_for(&self, attempt: impl Fn() -> Result<(), TryLockError>, what: &str) -> Result<()> {
        let start = Instant::now();
        loop {
            match attempt() {
                Ok(()) => return Ok(()),
                Err(TryLockError::WouldBlock) if start.elapsed() < BUSY_TIMEOUT => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(Error::Internal(format!(
                        "{} {what}; try again when that has ended",
                        self.path().display()
                    )));
                }
                Err(TryLockError::Error(e)) => return Err(Error::internal("locking the database", e)),
            }
        }
    }

    fn release(&self, file: &File) -> Result<()> {
        file.unlock().map_err(|e| Error::internal("unlocking the database", e))
    }
}

/// Brings the database at `path` into one file that is complete by itself.
///
/// # Errors
/// If another connection has it open.
pub fn into_one_file(path: &Path) -> Result<()> {
    match fold(path) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Error::Internal(format!("{} is in use", path.display()))),
        Err(error) => Err(Error::internal(&format!("closing {}", path.display()), error)),
    }
}

/// Leaves WAL mode: checkpoints, and removes the WAL. False if others have the database open.
fn fold(path: &Path) -> rusqlite::Result<bool> {
    let connection = Connection::open_with_flags(path, connection::open_flags())?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    let mode: String = connection.pragma_update_and_check(None, "journal_mode", "DELETE", |row| row.get(0))?;
    Ok(mode == "delete")
}

/// The kept files are whole and the new database is in place: they may bear their name.
fn finish(moving: &Path) -> io::Result<PathBuf> {
    let mut kept = moving.with_extension("");
    let mut number = 2;
    while kept.exists() {
        kept = moving.with_extension(number.to_string());
        number += 1;
    }
    fs::rename(moving, &kept)?;
    files::sync_folder(&kept)?;
    Ok(kept)
}
