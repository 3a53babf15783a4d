//! A backup made ready beside the unit, before it takes its place.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::platform::db::{self, Folder, Schema};
use crate::platform::error::{Error, Result};
use crate::platform::files;

/// A copy of a backup in a folder of its own within the unit's. Dropped, it is removed.
#[derive(Debug)]
pub struct Staged {
    folder: Folder,
}

impl Staged {
    /// Copies the database `file` into `unit` and checks the copy: ours, whole, not newer than this program.
    ///
    /// # Errors
    /// If it is none of these; nothing has been changed then.
    pub fn from_file(unit: &Folder, schema: &Schema, file: &Path) -> Result<Staged> {
        if same(file, &unit.database()) {
            return Err(Error::Internal(format!("{} is the unit's own database; name a backup", file.display())));
        }
        let failed = |e: std::io::Error| Error::internal(&format!("copying {}", file.display()), e);
        // Only the holder of the unit's lock makes such folders: whatever is there is left over.
        files::remove_left_over(unit.path()).map_err(failed)?;
        db::must_be_ours(file)?;
        let path = files::unfinished(&unit.path().join("restore"));
        fs::create_dir(&path).map_err(failed)?;
        let staged = Staged { folder: Folder::at(&path)? };
        let copy = staged.folder.database();
        if ["-wal", "-journal"].iter().any(|suffix| with_suffix(file, suffix).exists()) {
            // Part of it stands beside it; SQLite puts both together.
            db::copy_file(file, &copy)?;
        } else {
            // Its bytes alone: a backup that may only be read must become a unit that can be written.
            let (mut from, mut to) = (File::open(file).map_err(failed)?, File::create_new(&copy).map_err(failed)?);
            std::io::copy(&mut from, &mut to).map_err(failed)?;
        }
        db::verify(&copy, file, schema)?;
        Ok(staged)
    }

    /// To be opened like any unit's, before it is put in place.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Puts it in place of the database of `unit`; returns where that one is kept, named after `time`.
    ///
    /// # Errors
    /// If it is not sound any more, or another program has the old database open; that one stays in its place then.
    pub fn put_in_place(self, unit: &Folder, schema: &Schema, time: &str) -> Result<Option<PathBuf>> {
        let path = self.folder.database();
        db::verify(&path, &path, schema)?;
        db::into_one_file(&path)?;
        unit.replace_database(&path, time)
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(self.folder.path()) {
            tracing::warn!(folder = %self.folder.path().display(), %error, "could not remove an unfinished restore");
        }
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    PathBuf::from(format!("{}{suffix}", path.display()))
}

fn same(one: &Path, other: &Path) -> bool {
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    }
}
