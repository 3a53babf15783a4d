//! Backup and restore: the whole unit as one file, made while the server runs.

mod restore;
mod shelf;
mod source;

use std::path::{Path, PathBuf};

pub use restore::{Sealed, Staged, Staging};
pub use shelf::{Shelved, shelf};
pub use source::{Point, Progress, Source};

use super::clock::Clock;
use super::db::{self, Folder, Schema, Snapshot};
use super::error::{Error, Result};
use super::files;

/// A backup as it lies on the disk.
#[derive(Debug, serde::Serialize)]
pub struct Backup {
    pub path: PathBuf,
    pub bytes: u64,
    /// How many migrations it has seen.
    pub schema_version: i32,
    /// What is asked of it; none where it is of an older schema.
    pub people: Option<i64>,
}

/// Copies the unit's database to `target`, from one fixed state of it; `count` counts the people in the copy.
///
/// It bears its name only once it is whole, checked and on the disk. What killed ones left there is removed.
///
/// # Errors
/// If `target` exists or can't be written, or the copy is not sound; nothing is left there then.
pub fn make(
    folder: &Folder,
    schema: &Schema,
    clock: &Clock,
    target: &Path,
    count: impl FnOnce(&Snapshot<'_>) -> Result<i64>,
) -> Result<Backup> {
    let beside = target.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if target.file_name().is_none() || target.is_dir() {
        return Err(Error::Internal(format!("{} is a folder; name a file with --to", target.display())));
    }
    if !beside.is_dir() {
        let shown = beside.display();
        return Err(Error::Internal(format!("the folder {shown} does not exist; make it with `mkdir -p {shown}`")));
    }
    // Before anything is removed: what a killed restore left in a unit's folder may be needed.
    drop(folder.enter()?);
    files::remove_left_over(beside)
        .map_err(|e| Error::internal(&format!("removing unfinished files in {}", beside.display()), e))?;
    let bytes = db::copy_database(folder, schema, target)?;
    let schema_version = db::schema_version(target)?;
    let people = match schema_version == schema.version() {
        true => Some(db::read_file(target, schema, clock, "backup", count)?),
        false => None,
    };
    Ok(Backup { path: target.to_owned(), bytes, schema_version, people })
}
