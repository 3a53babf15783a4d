//! Copies of the whole database, made by SQLite's backup API.
//!
//! Source: <https://sqlite.org/backup.html>.

use std::path::Path;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use crate::platform::error::{Error, Result};
use crate::platform::files;

/// Writes a consistent copy of the database to `target` and returns its size in bytes.
///
/// Others may read and write meanwhile; what they commit after the start is not in the copy. It is checked, on the
/// disk, and only then bears its name.
///
/// # Errors
/// If `target` exists or can't be written, or the copy is not sound; nothing is left there then.
pub fn to_file(source: &Connection, target: &Path) -> Result<u64> {
    to_file_if(source, target, |_| Ok(()))
}

/// As [`to_file`], if `also` finds nothing wrong with the copy.
pub fn to_file_if(source: &Connection, target: &Path, also: impl FnOnce(&Connection) -> Result<()>) -> Result<u64> {
    let doing = format!("copying the database to {}", target.display());
    if target.exists() {
        return Err(Error::Internal(format!("{} exists already; name another file", target.display())));
    }
    let unfinished = files::unfinished(target);
    // Dropped only after the copy's connection: closing a handle drops the locks that SQLite has on the file.
    let _held = files::hold(&unfinished).map_err(|e| Error::internal(&doing, e))?;
    let copied = copy(source, &unfinished, also).and_then(|()| {
        let size = std::fs::metadata(&unfinished).map_err(|e| Error::internal(&doing, e))?.len();
        files::put_new(&unfinished, target).map_err(|e| Error::internal(&doing, e))?;
        Ok(size)
    });
    if copied.is_err() {
        files::remove_database(&unfinished);
    }
    copied
}

fn copy(source: &Connection, unfinished: &Path, also: impl FnOnce(&Connection) -> Result<()>) -> Result<()> {
    let doing = "copying the database";
    let failed = |e: rusqlite::Error| Error::internal(doing, e);
    let mut copy = Connection::open(unfinished).map_err(failed)?;
    all_pages(source, &mut copy, doing)?;
    // One file that is complete by itself: a copy of a WAL database asks for its WAL otherwise.
    copy.pragma_update_and_check(None, "journal_mode", "DELETE", |row| row.get::<_, String>(0)).map_err(failed)?;
    check(&copy)?;
    also(&copy)
}

/// One step takes one snapshot; smaller ones start over whenever another connection commits.
fn all_pages(source: &Connection, target: &mut Connection, doing: &str) -> Result<()> {
    let step = Backup::new(source, target).and_then(|backup| backup.step(-1)).map_err(|e| Error::internal(doing, e))?;
    match step {
        StepResult::Done => Ok(()),
        // Nothing, or not all of it, was copied then; an empty database would pass each check.
        other => Err(Error::Internal(format!("{doing}: the database is locked ({other:?}); try again"))),
    }
}

/// Refuses a database whose pages, indexes or foreign keys are broken.
pub fn check(connection: &Connection) -> Result<()> {
    let problems = problems(connection)?;
    match problems.first() {
        None => Ok(()),
        Some(first) => Err(Error::Internal(format!("the database is damaged ({} problems): {first}", problems.len()))),
    }
}

/// What SQLite's own checks find, at most 100 of each kind.
pub fn problems(connection: &Connection) -> Result<Vec<String>> {
    let mut problems = super::schema::names(connection, "PRAGMA integrity_check(100)")?;
    problems.retain(|line| line != "ok");
    problems.extend(super::schema::names(
        connection,
        "SELECT 'row ' || coalesce(rowid, '?') || ' of ' || \"table\" || ' refers to no row of ' || parent \
         FROM pragma_foreign_key_check LIMIT 100",
    )?);
    Ok(problems)
}

/// Puts the content of the database file `source` in place of what `target` holds.
pub fn from_file(source: &Path, target: &mut Connection) -> Result<()> {
    let doing = format!("copying back {}", source.display());
    let source = Connection::open_with_flags(source, OpenFlags::SQLITE_OPEN_READ_ONLY)
        .map_err(|e| Error::internal(&doing, e))?;
    all_pages(&source, target, &doing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_of_a_locked_database_is_refused_and_not_empty() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("source.db");
        let other = Connection::open(&path).unwrap();
        other.execute_batch("CREATE TABLE t (x); BEGIN EXCLUSIVE").unwrap();
        let source = Connection::open(&path).unwrap();
        source.busy_timeout(std::time::Duration::ZERO).unwrap();
        let target = folder.path().join("copy.db");

        let refused = to_file(&source, &target).unwrap_err();

        assert!(refused.to_string().contains("locked"), "{refused}");
        drop((source, other));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "something was left");
    }
}
