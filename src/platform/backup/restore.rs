//! A backup made ready beside the unit, before it takes its place.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::check::check;
use super::source::{Source, Told};
use crate::platform::db::{self, Folder, Schema};
use crate::platform::error::{Error, Result};
use crate::platform::files;
use crate::platform::replica::Restored;

/// A folder of its own within the unit's. Dropped, it is removed; what a killed process left goes with the next
/// restore or start.
#[derive(Debug)]
pub struct Staging {
    folder: Folder,
    /// Locked, so that no other restore takes it for left over.
    _held: File,
}

/// A checked copy of a backup, to be opened like any unit's.
#[derive(Debug)]
pub struct Staged {
    staging: Staging,
    /// Migrations that are to be run on it, since its schema is older.
    pub pending: usize,
    /// Which state of a replica it is; none of a backup.
    pub state: Option<Restored>,
}

/// A copy that is complete by itself and on the disk: all that is left to do is to give it its name.
#[derive(Debug)]
pub struct Sealed(Staging);

impl Staging {
    /// The caller holds the unit's lock.
    ///
    /// # Errors
    /// If the folder can't be made.
    pub fn make(unit: &Folder) -> Result<Staging> {
        let failed = |e: io::Error| Error::internal(&format!("making a folder in {}", unit.path().display()), e);
        files::remove_left_over(unit.path()).map_err(failed)?;
        let mut number = 1;
        let path = loop {
            let path = files::unfinished(&unit.path().join(format!("restore-{number}")));
            match fs::create_dir(&path) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => number += 1,
                made => break made.map(|()| path).map_err(failed)?,
            }
        };
        let held = File::open(&path).map_err(failed)?;
        held.try_lock().map_err(|e| failed(e.into()))?;
        Ok(Staging { folder: Folder::at(&path)?, _held: held })
    }

    /// Where an upload is written, to be named as the source then.
    pub fn upload(&self) -> PathBuf {
        self.folder.path().join("upload")
    }

    /// Fetches the database from `source` and checks it, as `verify` does: ours, whole, as it was made, not newer than this
    /// program.
    ///
    /// # Errors
    /// If it is none of these; nothing of `unit` has been changed then.
    pub fn fill(self, unit: &Folder, schema: &Schema, source: &Source, progress: Told<'_>) -> Result<Staged> {
        if let Source::File { path, shown, .. } = source
            && files::same(path, &unit.database()).map_err(|e| Error::internal("looking at the backup", e))?
            && path.exists()
        {
            return Err(Error::Internal(format!("{} is the unit's own database; name a backup", shown.display())));
        }
        let copy = self.folder.database();
        let state = source.fetch(&copy, progress)?;
        let pending = check(&copy, Path::new(&source.shown()), schema)?.pending.len();
        Ok(Staged { staging: self, pending, state })
    }
}

impl Staged {
    pub fn folder(&self) -> &Folder {
        &self.staging.folder
    }

    /// Makes it one file, checks that once more and writes it to the disk. Nobody has it open.
    ///
    /// # Errors
    /// If it is not sound any more.
    pub fn seal(self, schema: &Schema) -> Result<Sealed> {
        let path = self.staging.folder.database();
        db::into_one_file(&path)?;
        db::verify(&path, &path, schema)?;
        let written = File::open(&path).and_then(|file| file.sync_all());
        written.map_err(|e| Error::internal("writing the restored database to the disk", e))?;
        Ok(Sealed(self.staging))
    }
}

impl Sealed {
    /// Puts it in place of the database of `unit`; returns where that one is kept, named after `time`.
    ///
    /// # Errors
    /// If another program has the old database open; that one stays in its place then.
    pub fn put_in_place(self, unit: &Folder, time: &str) -> Result<Option<PathBuf>> {
        unit.replace_database(&self.0.folder.database(), time)
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(self.folder.path()) {
            tracing::warn!(folder = %self.folder.path().display(), %error, "could not remove an unfinished restore");
        }
    }
}
