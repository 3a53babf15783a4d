//! Bringing a database to this program's schema: one history table for each owner.

use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::connection::{APPLICATION_ID, open_flags};
use super::schema::{Migrations, Schema, names};
use crate::platform::clock::Clock;
use crate::platform::error::{Error, Result};

/// Migrations that have not run yet, as `owner/V1__accounts`.
pub(super) fn pending(connection: &Connection, schema: &Schema) -> Result<Vec<String>> {
    let mut pending = Vec::new();
    for one in schema.migrations {
        let applied = applied(connection, &one.history_table())?;
        pending.extend(one.files.iter().skip(applied).map(|(name, _)| format!("{}/{name}", one.owner)));
    }
    Ok(pending)
}

/// How many of an owner's migrations have run.
fn applied(connection: &Connection, history: &str) -> Result<usize> {
    let exists: bool = connection
        .query_row("SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1)", [history], |r| {
            r.get(0)
        })
        .map_err(unreadable)?;
    if !exists {
        return Ok(0);
    }
    connection
        .query_row(&format!("SELECT count(*) FROM {history}"), [], |row| row.get::<_, i64>(0))
        .map(|n| n as usize)
        .map_err(unreadable)
}

/// Refuses what is not ours, what is damaged, and what a newer program wrote.
pub(super) fn recognise(connection: &Connection, schema: &Schema, path: &Path) -> Result<()> {
    let path = path.display();
    must_have_schema(connection).map_err(unreadable)?;
    let id: i32 = connection.query_row("PRAGMA application_id", [], |row| row.get(0)).map_err(unreadable)?;
    if id != APPLICATION_ID {
        return Err(Error::Internal(format!(
            "{path} is a database of another program (application id {id:#010x}); name Ashlar's own folder with --data"
        )));
    }
    let newer = |what: String| {
        Error::Internal(format!(
            "{path} has a newer schema than this program knows ({what}); start the newer program, or restore an \
             older backup with `ashlar restore`"
        ))
    };
    for history in
        names(connection, "SELECT name FROM sqlite_schema WHERE type = 'table' AND name GLOB 'migrations_*'")?
    {
        match schema.migrations.iter().find(|one| one.history_table() == history) {
            None => {
                return Err(newer(format!("of the unknown module `{}`", history.trim_start_matches("migrations_"))));
            }
            Some(one) => {
                let applied = names(connection, &format!("SELECT checksum FROM {history} ORDER BY version"))?;
                if applied.len() > one.files.len() {
                    let (at, known) = (applied.len(), one.files.len());
                    return Err(newer(format!("`{}` is at {at}, this knows {known}", one.owner)));
                }
                refuse_edited(one, &applied)?;
            }
        }
    }
    Ok(())
}

/// Those that have run must be the ones this program knows: refinery looks only where others are still to run.
fn refuse_edited(one: &Migrations, applied: &[String]) -> Result<()> {
    let known = one.read()?;
    match applied.iter().zip(&known).position(|(ran, known)| *ran != known.checksum().to_string()) {
        None => Ok(()),
        Some(edited) => Err(Error::Internal(format!(
            "{}/{} has run already, but with another text or order than this program knows; bring that back, and put \
             the change into a new migration",
            one.owner, one.files[edited].0
        ))),
    }
}

/// Reads the schema, as each first statement does; of a damaged file that fails.
pub(super) fn must_have_schema(connection: &Connection) -> rusqlite::Result<()> {
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))
}

fn unreadable(error: rusqlite::Error) -> Error {
    Error::Internal(format!(
        "the database can't be read ({error}); if `ashlar doctor` finds it damaged, bring back a backup with \
         `ashlar restore --from FILE`"
    ))
}

/// Makes the database of a new unit beside `path` and puts it there whole.
pub(super) fn create(path: &Path, schema: &Schema, clock: &Clock) -> Result<()> {
    for suffix in ["-wal", "-journal"] {
        let lone = PathBuf::from(format!("{}{suffix}", path.display()));
        if std::fs::metadata(&lone).is_ok_and(|found| found.len() > 0) {
            // SQLite would play it into the new database.
            return Err(Error::Internal(format!(
                "{} is there without its database and may hold the last writes; bring the database back beside it, \
                 or move it away",
                lone.display()
            )));
        }
    }
    let unfinished = path.with_extension("db.new");
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let left_over = PathBuf::from(format!("{}{suffix}", unfinished.display()));
        match std::fs::remove_file(&left_over) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::internal(&format!("removing {}", left_over.display()), e));
            }
            _ => {}
        }
    }
    let doing = format!("creating {}", path.display());
    let failed = |e: rusqlite::Error| Error::internal(&doing, e);
    {
        let flags = open_flags() | rusqlite::OpenFlags::SQLITE_OPEN_CREATE;
        let mut connection = Connection::open_with_flags(&unfinished, flags).map_err(failed)?;
        // Both need a VACUUM to change later, so they are set before anything is written.
        connection
            .execute_batch("PRAGMA page_size = 4096; PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = DELETE;")
            .map_err(failed)?;
        connection.pragma_update(None, "application_id", APPLICATION_ID).map_err(failed)?;
        run_all(&mut connection, schema)?;
        let mut secret = [0_u8; 32];
        getrandom::fill(&mut secret).map_err(|e| Error::internal("drawing the unit's secret", e))?;
        let now = clock.now();
        connection
            .execute(
                "INSERT INTO unit (id, secret, epoch, created_at) VALUES (?1, ?2, 1, ?3)",
                (crate::platform::ids::Id::<Schema>::new(now), secret, now),
            )
            .map_err(failed)?;
    }
    crate::platform::files::put(&unfinished, path).map_err(|e| Error::internal(&doing, e))
}

/// Runs what is pending on an existing database, after keeping a copy of it at `keep`.
///
/// # Errors
/// If one fails, the database is as it was before: the copy is put back.
pub(super) fn run(path: &Path, schema: &Schema, keep: &Path) -> Result<Vec<String>> {
    let failed = |e: rusqlite::Error| Error::internal("migrating", e);
    let mut connection = Connection::open_with_flags(path, open_flags()).map_err(failed)?;
    super::connection::configure(&connection).map_err(failed)?;
    let pending = pending(&connection, schema)?;
    if pending.is_empty() {
        return Ok(pending);
    }
    if let Some(folder) = keep.parent() {
        let failed = |e| Error::internal(&format!("making {}", folder.display()), e);
        std::fs::create_dir_all(folder).map_err(failed)?;
        crate::platform::files::sync_folder(folder).map_err(failed)?;
        crate::platform::files::remove_left_over(folder).map_err(failed)?;
    }
    super::copy::to_file(&connection, keep)?;
    if let Err(error) = run_all(&mut connection, schema) {
        if let Err(second) = super::copy::from_file(keep, &mut connection) {
            let keep = keep.display();
            return Err(Error::Internal(format!(
                "{error}; putting the database back failed as well ({second}): bring it back with `ashlar restore --from \
                 {keep}`"
            )));
        }
        // It is no longer needed, and each start would leave another one.
        crate::platform::files::remove_database(keep);
        return Err(Error::Internal(format!("{error}; the database is as it was before")));
    }
    Ok(pending)
}

fn run_all(connection: &mut Connection, schema: &Schema) -> Result<()> {
    let failed = |e: rusqlite::Error| Error::internal("migrating", e);
    // Rebuilding a parent table with them on would cascade into its children.
    connection.pragma_update(None, "foreign_keys", false).map_err(failed)?;
    for one in schema.migrations {
        one.run(connection, schema.owners.clone())
            .map_err(|why| Error::Internal(format!("migrations of `{}` failed: {why}", one.owner)))?;
    }
    let broken = names(connection, "SELECT DISTINCT \"table\" FROM pragma_foreign_key_check")?;
    if !broken.is_empty() {
        return Err(Error::Internal(format!("migrations left broken foreign keys in {}", broken.join(", "))));
    }
    connection.pragma_update(None, "user_version", schema.version()).map_err(failed)?;
    connection.pragma_update(None, "foreign_keys", true).map_err(failed)
}
