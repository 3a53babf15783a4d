//! Whether a backup is what was made: the one check of `ashlar verify`, of every restore and of every drill.

use std::collections::BTreeMap;
use std::path::Path;

use super::pack::{read_sha256, sha256, sha256_path};
use crate::platform::db::{self, Schema, Stamp};
use crate::platform::error::{Error, Result};

/// What is known of a database that is sound.
pub(super) struct Checked {
    /// Migrations that a restore would run.
    pub pending: Vec<String>,
    /// What it says of itself, where it does.
    pub stamp: Option<Stamp>,
    /// How many rows each table has; counted where it says how many there are to be.
    pub rows: Option<BTreeMap<String, i64>>,
}

/// Refuses the plain database `file` unless it is ours, sound, not newer than this program, and has the rows that it says
/// it has. Messages call it `shown`.
pub(super) fn check(file: &Path, shown: &Path, schema: &Schema) -> Result<Checked> {
    let pending = db::verify(file, shown, schema)?;
    let stamp = db::stamp_of(file)?;
    let rows = stamp.as_ref().map(|_| db::rows_of(file)).transpose()?;
    if let (Some(stamp), Some(rows)) = (&stamp, &rows) {
        must_agree(shown, &stamp.rows, rows)?;
    }
    Ok(Checked { pending, stamp, rows })
}

/// As a restore checks it.
///
/// # Errors
/// If it could not be restored, with the reason.
pub fn must_be_sound(file: &Path, shown: &Path, schema: &Schema) -> Result<()> {
    check(file, shown, schema).map(drop)
}

/// Refuses the backup `file` if it is not what the `.sha256` beside it says; returns whether there is one. Messages call it
/// `shown`.
pub fn check_sha256(file: &Path, shown: &Path) -> Result<bool> {
    let Some(wanted) = read_sha256(file)? else { return Ok(false) };
    let found = sha256(file, &|_, _| Ok(()))?;
    if found == wanted {
        return Ok(true);
    }
    Err(Error::Internal(format!(
        "{} is not what was made: its SHA-256 is {found}, but {} says {wanted}; it is damaged, or one of the two was \
         replaced",
        shown.display(),
        sha256_path(shown).display()
    )))
}

fn must_agree(shown: &Path, said: &BTreeMap<String, i64>, found: &BTreeMap<String, i64>) -> Result<()> {
    let differs = said.iter().find(|(table, rows)| found.get(*table) != Some(*rows));
    let Some((table, rows)) = differs else { return Ok(()) };
    let found = found.get(table).copied().unwrap_or_default();
    Err(Error::Internal(format!(
        "{} says that `{table}` has {rows} rows, but there are {found}: it was changed after it was made",
        shown.display()
    )))
}
