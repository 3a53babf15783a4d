//! Whether a database file is sound, ours, and as the migrations make it.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use rusqlite::Connection;

use super::fatal::Fatal;
use super::folder::Header;
use super::schema::{Difference, Schema};
use super::{Folder, copy, migrate, nothing_there, open_raw};
use crate::platform::error::{Error, Result};

/// What is wrong with a unit's database, as far as it can be said without knowing what its rows mean.
#[derive(Debug, Default)]
pub struct Health {
    /// Whether rows can be read and written by this program at all.
    pub usable: bool,
    pub problems: Vec<String>,
}

/// Examines the database of `folder`, also while a server runs; nothing of it is changed.
///
/// # Errors
/// If there is none.
pub fn examine(folder: &Folder, schema: &Schema) -> Result<Health> {
    let _entry = folder.enter()?;
    if let Header::Missing = Header::read(&folder.database())? {
        return Err(nothing_there(folder));
    }
    let mut health = Health { usable: true, problems: Vec::new() };
    // Whatever keeps it from being opened is what is wrong with it.
    if let Err(error) = look_into(&folder.database(), folder, schema, &mut health) {
        health.usable = false;
        health.problems.push(error.to_string());
    }
    Ok(health)
}

fn look_into(path: &Path, folder: &Folder, schema: &Schema, health: &mut Health) -> Result<()> {
    folder.has_database()?;
    let connection = open_raw(path)?;
    migrate::recognise(&connection, schema, path)?;
    let damage = copy::problems(&connection)?;
    health.usable = damage.is_empty();
    health.problems.extend(
        damage
            .into_iter()
            .map(|what| format!("the file is damaged ({what}): bring back a backup with `ashlar restore --from FILE`")),
    );
    let pending = migrate::pending(&connection, schema)?;
    if pending.is_empty() {
        let differences = schema.differences(&connection)?;
        health.usable &= !differences.iter().any(|d| d.kind == "table" && d.state == super::schema::State::Missing);
        health.problems.extend(differences.iter().map(Difference::to_string));
    } else {
        health.usable = false;
        health.problems.push(format!("{} is pending: run `ashlar migrate`", pending.join(", ")));
    }
    Ok(())
}

/// Checks that `file` is a sound database of ours that this program can bring up to date; returns its pending
/// migrations. Messages call it `shown`.
pub fn verify(file: &Path, shown: &Path, schema: &Schema) -> Result<Vec<String>> {
    let shown_name = shown.display();
    let connection = open_raw(file)?;
    migrate::must_have_schema(&connection).map_err(|e| match Fatal::of(&e) {
        // That is the machine's fault, and says nothing of the file.
        Some(Fatal::DiskFull | Fatal::InputOutput | Fatal::OutOfMemory) => {
            Error::internal(&format!("reading {shown_name}"), e)
        }
        _ => named(&shown_name, &format!("is damaged ({e})")),
    })?;
    migrate::recognise(&connection, schema, shown)?;
    copy::check(&connection).map_err(|e| named(&shown_name, &format!("is no sound backup: {e}")))?;
    let pending = migrate::pending(&connection, schema)?;
    must_be_owned(&connection, schema).map_err(|e| named(&shown_name, &format!("is no sound backup: {e}")))?;
    Ok(pending)
}

/// Whether SQLite would make a WAL beside the database `file` to read it, as for a copy of one that was served.
///
/// Source: <https://sqlite.org/fileformat2.html>, section 1.3.3.
pub fn wants_wal(file: &Path) -> Result<bool> {
    let mut header = [0_u8; 20];
    let read = File::open(file).and_then(|mut file| file.read_exact(&mut header));
    read.map_err(|e| Error::internal(&format!("reading {}", file.display()), e))?;
    Ok(header[18..20] != [1, 1])
}

/// Refuses what is no database of ours by its first bytes; messages call it `shown`.
pub fn must_be_ours(file: &Path, shown: &Path) -> Result<()> {
    match Header::read(file)? {
        Header::Ours => Ok(()),
        Header::Missing => Err(named(&shown.display(), "does not exist")),
        Header::Foreign(what) => Err(named(&shown.display(), &format!("is {what}"))),
    }
}

fn named(file: &dyn std::fmt::Display, what: &str) -> Error {
    Error::Internal(format!("{file} {what}; name a file that `ashlar backup` made"))
}

/// Refuses a database that is up to date in which a table is missing, or a table or a trigger belongs to nobody.
pub(super) fn must_be_owned(connection: &Connection, schema: &Schema) -> Result<()> {
    if !migrate::pending(connection, schema)?.is_empty() {
        return Ok(());
    }
    match schema.differences(connection)?.iter().find(|difference| difference.is_of_ownership()) {
        Some(difference) => Err(Error::Internal(difference.to_string())),
        None => Ok(()),
    }
}
