//! Copies of the whole database, made by SQLite's backup API.
//!
//! Source: <https://sqlite.org/backup.html>.

use std::ffi::c_int;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use super::fatal::Fatal;
use crate::platform::error::{Error, Result};
use crate::platform::files;
use crate::platform::pace::paced;

/// Told after each piece how many bytes of how many are copied; an error ends the copying.
pub type Watch<'w> = &'w dyn Fn(u64, u64) -> Result<()>;

/// What nobody watches.
pub(super) const UNWATCHED: Watch<'static> = &|_, _| Ok(());

/// Pages that each side of a copy keeps in memory, in KiB.
const COPY_CACHE_KIB: i64 = 512;

/// Writes a consistent copy of the database to `target` and returns its size in bytes.
///
/// Others may read and write meanwhile; what they commit after the start is not in the copy. It is checked, on the
/// disk, and only then bears its name.
///
/// # Errors
/// If `target` exists or can't be written, or the copy is not sound; nothing is left there then.
pub fn to_file(source: &Connection, target: &Path) -> Result<u64> {
    if target.exists() {
        return Err(files::is_taken(target));
    }
    let doing = format!("copying the database to {}", target.display());
    let unfinished = files::unfinished(target);
    let copied = to_unfinished(source, &unfinished, UNWATCHED, |_| Ok(())).and_then(|held| {
        let size = held.metadata().map_err(|e| Error::internal(&doing, e))?.len();
        files::put_new(&unfinished, target).map_err(|e| files::failed(&doing, e))?;
        Ok(size)
    });
    if copied.is_err() {
        files::remove_database(&unfinished);
    }
    copied
}

/// Makes a copy named `unfinished` that is checked, and that `also` has seen, but is not on the disk yet for sure. What
/// is returned keeps others from removing it.
pub fn to_unfinished(
    source: &Connection,
    unfinished: &Path,
    watch: Watch<'_>,
    also: impl FnOnce(&Connection) -> Result<()>,
) -> Result<File> {
    let doing = format!("copying the database to {}", unfinished.display());
    let held = files::hold(unfinished).map_err(|e| files::failed(&doing, e))?;
    let copied = copy(source, unfinished, &held, watch, also);
    // Only here, where the copy's connection is closed: closing a handle drops the locks that SQLite has on the file.
    match copied {
        Ok(()) => Ok(held),
        Err(error) => {
            files::remove_database(unfinished);
            Err(error)
        }
    }
}

fn copy(
    source: &Connection,
    unfinished: &Path,
    held: &File,
    watch: Watch<'_>,
    also: impl FnOnce(&Connection) -> Result<()>,
) -> Result<()> {
    let doing = "copying the database";
    let mut copy = Connection::open(unfinished).map_err(|e| failed(doing, e))?;
    // Until it bears its name nobody relies on it, so it needs no journal; it is synced through `held`.
    copy.execute_batch(&format!(
        "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA locking_mode = EXCLUSIVE; \
         PRAGMA cache_size = -{COPY_CACHE_KIB}; PRAGMA temp_store = MEMORY;"
    ))
    .map_err(|e| failed(doing, e))?;
    in_pieces(source, &mut copy, held, watch)?;
    // One file that is complete by itself: a copy of a WAL database asks for its WAL otherwise.
    let mode = copy.pragma_update_and_check(None, "journal_mode", "DELETE", |row| row.get::<_, String>(0));
    mode.map_err(|e| failed(doing, e))?;
    check(&copy)?;
    also(&copy)
}

/// Copies one snapshot piece by piece. The transaction that is open on the source is what keeps it one: without, the
/// copying starts over whenever another connection commits.
fn in_pieces(source: &Connection, target: &mut Connection, held: &File, watch: Watch<'_>) -> Result<()> {
    let doing = "copying the database";
    let snapshot = source.unchecked_transaction().map_err(|e| failed(doing, e))?;
    super::migrate::must_have_schema(&snapshot).map_err(|e| failed(doing, e))?;
    let page_bytes: u32 = snapshot.query_row("PRAGMA page_size", [], |row| row.get(0)).map_err(|e| failed(doing, e))?;
    let backup = Backup::new(&snapshot, target).map_err(|e| failed(doing, e))?;
    let bytes = |pages: c_int| u64::try_from(pages).unwrap_or(0) * u64::from(page_bytes);
    paced(held, |piece| {
        let pages = c_int::try_from(piece / u64::from(page_bytes)).unwrap_or(c_int::MAX);
        let progress = backup.progress();
        // Only once SQLite has begun: what it finds in the file at first must be a database, or nothing.
        if progress.pagecount > 0 {
            let copied = progress.pagecount - progress.remaining;
            fill(held, bytes(copied)..bytes(progress.pagecount.min(copied + pages)))?;
        }
        let step = backup.step(pages).map_err(|e| failed(doing, e))?;
        let progress = backup.progress();
        watch(bytes(progress.pagecount - progress.remaining), bytes(progress.pagecount))?;
        match step {
            StepResult::Done => Ok(false),
            StepResult::More => Ok(true),
            // Nothing, or not all of it, was copied then; an empty database would pass each check.
            other => Err(locked(doing, other)),
        }
    })
}

/// SQLite writes page by page. That takes half the time where the kernel has the place in its memory already, in larger parts.
fn fill(file: &File, place: Range<u64>) -> Result<()> {
    static ZEROS: [u8; 256 * 1024] = [0; 256 * 1024];
    for at in place.clone().step_by(ZEROS.len()) {
        let bytes = ZEROS.len().min((place.end - at) as usize);
        file.write_all_at(&ZEROS[..bytes], at).map_err(|e| files::failed("copying the database", e))?;
    }
    Ok(())
}

/// Copies all pages in one go, from a file that nobody changes.
fn at_once(source: &Connection, target: &mut Connection, doing: &str) -> Result<()> {
    let step = Backup::new(source, target).and_then(|backup| backup.step(-1)).map_err(|e| failed(doing, e))?;
    match step {
        StepResult::Done => Ok(()),
        other => Err(locked(doing, other)),
    }
}

fn locked(doing: &str, step: StepResult) -> Error {
    Error::Internal(format!("{doing}: the database is locked ({step:?}); try again"))
}

fn failed(doing: &str, error: rusqlite::Error) -> Error {
    match Fatal::of(&error).map(Fatal::to_error) {
        Some(Error::DiskFull) => Error::DiskFull,
        _ => Error::internal(doing, error),
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
    at_once(&source, target, &doing)
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
