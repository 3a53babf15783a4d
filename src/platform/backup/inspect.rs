//! What is in a backup, and whether it could be restored.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::check::{Checked, check, check_sha256};
use super::unpack::{Identities, Wrapping, has_companions, must_be_whole, unpack, wrapping_of};
use super::{Count, Outside, Scratch, must_have_room};
use crate::platform::clock::{Clock, Time};
use crate::platform::db::{self, Schema};
use crate::platform::error::{Error, Result};

/// What is in a backup that could be restored.
#[derive(Debug, serde::Serialize)]
pub struct Contents {
    pub file: PathBuf,
    /// The file's size.
    pub bytes: u64,
    #[serde(flatten)]
    pub wrapping: Wrapping,
    /// Whether it is what the `.sha256` beside it says; none where there is none.
    pub sha256_matches: Option<bool>,
    /// The state that it holds; none where it does not say, as a plain copy of the database.
    pub made_at: Option<Time>,
    /// The version of the program that made it.
    pub program: Option<String>,
    /// How many migrations it has seen.
    pub schema_version: i32,
    /// Migrations that a restore would run.
    pub pending: Vec<String>,
    /// None where it is of an older schema.
    pub people: Option<i64>,
    /// What belongs to it and lies elsewhere.
    pub outside: Vec<Outside>,
    pub rows: BTreeMap<String, i64>,
}

/// Checks the backup `file` as a restore would, and says what is in it; it is only read. What has to be unpacked for
/// that is for a moment in the folder `room`. `count` looks into it.
///
/// # Errors
/// If it could not be restored, with the reason.
pub fn inspect(file: &Path, identities: &Identities, schema: &Schema, room: &Path, count: Count) -> Result<Contents> {
    let around = wrapping_of(file)?;
    let sha256_matches = check_sha256(file, file)?.then_some(true);
    let bytes = fs::metadata(file).map_err(|e| Error::internal(&format!("reading {}", file.display()), e))?.len();
    // A plain file that is complete by itself can be read where it is.
    let in_place = around == Wrapping::default() && !has_companions(file);
    if around == Wrapping::default() {
        db::must_be_ours(file, file)?;
    }
    let (scratch, wrapping) = if in_place && !db::wants_wal(file)? {
        must_be_whole(file)?;
        (None, around)
    } else {
        let scratch = Scratch::within(room, "inspect")?;
        let plain = scratch.path().join("plain.db");
        let wrapping = unpack(file, identities, &plain)?;
        must_have_room(&plain, 0, &file.display().to_string())?;
        (Some(scratch), wrapping)
    };
    let plain = scratch.as_ref().map_or_else(|| file.to_owned(), |scratch| scratch.path().join("plain.db"));
    db::must_be_ours(&plain, file)?;
    let Checked { pending, stamp, rows } = check(&plain, file, schema)?;
    let rows = rows.map_or_else(|| db::rows_of(&plain), Ok)?;
    let counted = match pending.is_empty() {
        true => Some(db::read_file(&plain, schema, &Clock::system(), "inspect", count)?),
        false => None,
    };
    let (people, outside) = counted.map(|it| (it.people, it.outside)).unzip();
    let outside = outside.unwrap_or_default();
    let schema_version = db::schema_version(&plain)?;
    let (made_at, program) = stamp.map(|stamp| (stamp.made_at, stamp.program)).unzip();
    let file = file.to_owned();
    Ok(Contents {
        file,
        bytes,
        wrapping,
        sha256_matches,
        made_at,
        program,
        schema_version,
        pending,
        people,
        outside,
        rows,
    })
}
