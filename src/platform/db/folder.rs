//! The folder of a unit, and the lock by which one server holds it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::connection::APPLICATION_ID;
use crate::platform::error::{Error, Result};

/// Held by one process at a time; its number stands in it.
const LOCK: &str = "ashlar.lock";
/// Commands such as `ashlar user list` hold it for less, where no server runs.
const MOMENT: Duration = Duration::from_secs(1);

/// Where a unit keeps what it has: `ashlar.db` and what belongs to it.
#[derive(Debug, Clone)]
pub struct Folder(PathBuf);

/// Held by the one process that serves, migrates or restores this unit; released when dropped.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Folder {
    /// # Errors
    /// If there is no such folder.
    pub fn at(path: &Path) -> Result<Folder> {
        if path.is_dir() {
            return Ok(Folder(path.to_owned()));
        }
        let shown = path.display();
        Err(Error::Internal(if path.exists() {
            format!("{shown} is not a folder; name the unit's folder with --data")
        } else {
            format!("the folder {shown} does not exist; make it with `mkdir -p {shown}`, or name another with --data")
        }))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn database(&self) -> PathBuf {
        self.0.join("ashlar.db")
    }

    pub fn settings(&self) -> PathBuf {
        self.0.join("ashlar.toml")
    }

    pub fn backups(&self) -> PathBuf {
        self.0.join("backups")
    }

    /// Where jobs work on files for a moment.
    pub fn jobs(&self) -> PathBuf {
        self.0.join("jobs")
    }

    /// Takes the folder for this process. A command that holds it for a moment is waited for.
    ///
    /// # Errors
    /// If another process holds it, with that one's id; if the folder can't be written.
    pub fn lock(&self) -> Result<Lock> {
        let start = Instant::now();
        loop {
            if let Some(lock) = self.try_lock()? {
                return Ok(lock);
            }
            if start.elapsed() > MOMENT {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        // Only to name it; a lock file that can't be read is held all the same.
        let holder = std::fs::read_to_string(self.0.join(LOCK)).unwrap_or_default();
        let holder = holder.trim();
        let holder = if holder.is_empty() { "another process".into() } else { format!("process {holder}") };
        Err(Error::Internal(format!(
            "{} is in use by {holder}; stop that one first, or name another folder with --data",
            self.0.display()
        )))
    }

    /// As [`Folder::lock`]; none if another process holds it.
    ///
    /// # Errors
    /// If the folder can't be written.
    pub fn try_lock(&self) -> Result<Option<Lock>> {
        let path = self.0.join(LOCK);
        let mut file = self.lock_file(LOCK)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(e)) => return Err(Error::internal(&format!("locking {}", path.display()), e)),
        }
        let wrote = file
            .set_len(0)
            .and_then(|()| file.seek(SeekFrom::Start(0)))
            .and_then(|_| writeln!(file, "{}", std::process::id()));
        wrote.map_err(|e| {
            Error::Internal(format!("{} can't be written ({e}); make room or give the right to write", path.display()))
        })?;
        Ok(Some(Lock { _file: file }))
    }

    pub(super) fn lock_file(&self, name: &str) -> Result<File> {
        let path = self.0.join(name);
        OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path).map_err(|e| {
            Error::Internal(format!(
                "{} can't be written ({e}); give the user that runs Ashlar the right to write there, or name another \
                 folder with --data",
                self.0.display()
            ))
        })
    }

    /// Looks at the file's header before SQLite opens it, so that a foreign file stays untouched.
    ///
    /// True if there is a database, false if there is none yet.
    ///
    /// # Errors
    /// Also if only the WAL is there: a new database would take it for its own.
    pub(super) fn has_database(&self) -> Result<bool> {
        let there = looks_like_ours(&self.database())?;
        let wal = self.0.join("ashlar.db-wal");
        if !there && std::fs::metadata(&wal).is_ok_and(|wal| wal.len() > 0) {
            return Err(Error::Internal(format!(
                "{} is gone, but {} is there: put the database back, or bring back a backup with `ashlar restore --from \
                 FILE`",
                self.database().display(),
                wal.display()
            )));
        }
        Ok(there)
    }
}

/// True if `path` is a database of ours, false if nothing is there.
///
/// # Errors
/// If it is something else. Never call it while this process has the database open: closing the handle would drop
/// SQLite's locks.
pub fn looks_like_ours(path: &Path) -> Result<bool> {
    match Header::read(path)? {
        Header::Missing => Ok(false),
        Header::Ours => Ok(true),
        Header::Foreign(what) => Err(Error::Internal(format!(
            "{} is {what}; it stays untouched: move it away, bring back a backup with `ashlar restore --from FILE`, or \
             name another folder with --data",
            path.display()
        ))),
    }
}

/// What the first bytes of a file say of it.
pub(super) enum Header {
    Missing,
    Ours,
    /// What it seems to be.
    Foreign(String),
}

impl Header {
    pub fn read(path: &Path) -> Result<Header> {
        let mut header = [0_u8; 100];
        match File::open(path).and_then(|mut file| file.read_exact(&mut header)) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Header::Missing),
            Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => {
                return Ok(Header::Foreign("no database (too short)".into()));
            }
            Err(e) => return Err(Error::internal(&format!("reading {}", path.display()), e)),
            Ok(()) => {}
        }
        if &header[..16] != b"SQLite format 3\0" {
            return Ok(Header::Foreign("no SQLite database, or a damaged one".into()));
        }
        // Source: the file format's "Application ID" at offset 68, <https://sqlite.org/fileformat2.html>.
        let id = i32::from_be_bytes([header[68], header[69], header[70], header[71]]);
        Ok(match id {
            APPLICATION_ID => Header::Ours,
            _ => Header::Foreign(format!("a database of another program (application id {id:#010x})")),
        })
    }
}
