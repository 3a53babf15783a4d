//! What a copy says of itself, in tables of its own: when it was made, by which version, and how many rows each table
//! had. A database that is served has none of it.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::{Connection, OptionalExtension};

use super::schema::names;
use crate::platform::clock::Time;
use crate::platform::error::{Error, Result};

/// This program's version.
const PROGRAM: &str = env!("CARGO_PKG_VERSION");
/// The tables that hold it; they don't count themselves.
const OWN: [&str; 2] = ["copies", "copy_tables"];

/// What stands in a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    pub made_at: Time,
    /// The version of the program that made it.
    pub program: String,
    /// Rows by table.
    pub rows: BTreeMap<String, i64>,
}

/// Writes into `copy` what it is; not where its schema is too old for that.
pub(super) fn stamp(copy: &Connection, now: Time) -> Result<()> {
    if !can_have(copy)? {
        return Ok(());
    }
    let failed = |e| Error::internal("writing down what the copy is", e);
    let rows = count_rows(copy)?;
    let transaction = copy.unchecked_transaction().map_err(failed)?;
    transaction.execute_batch("DELETE FROM copies; DELETE FROM copy_tables").map_err(failed)?;
    transaction.execute("INSERT INTO copies (made_at, program) VALUES (?1, ?2)", (now, PROGRAM)).map_err(failed)?;
    for table in &rows {
        transaction.execute(r#"INSERT INTO copy_tables (name, "rows") VALUES (?1, ?2)"#, table).map_err(failed)?;
    }
    transaction.commit().map_err(failed)
}

/// What the database file `path` says of itself; none of one that was served, or is too old to say.
pub fn stamp_of(path: &Path) -> Result<Option<Stamp>> {
    let copy = super::open_raw(path)?;
    if !can_have(&copy)? {
        return Ok(None);
    }
    let failed = |e| Error::internal(&format!("reading what {} says of itself", path.display()), e);
    let made: Option<(Time, String)> = copy
        .query_row("SELECT made_at, program FROM copies", [], |row| Ok((Time::from_ms(row.get(0)?), row.get(1)?)))
        .optional()
        .map_err(failed)?;
    let Some((made_at, program)) = made else { return Ok(None) };
    let mut tables = copy.prepare(r#"SELECT name, "rows" FROM copy_tables"#).map_err(failed)?;
    let rows = tables.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).map_err(failed)?;
    Ok(Some(Stamp { made_at, program, rows: rows.collect::<rusqlite::Result<_>>().map_err(failed)? }))
}

/// How many rows each table of the database file `path` has.
pub fn rows_of(path: &Path) -> Result<BTreeMap<String, i64>> {
    count_rows(&super::open_raw(path)?)
}

/// Takes it out of a copy that is about to be served: it would not be true for long.
pub(super) fn clear(connection: &Connection) -> Result<()> {
    let failed = |e| Error::internal("clearing what the copy said of itself", e);
    let is_copy = can_have(connection)?
        && connection.query_row("SELECT EXISTS (SELECT 1 FROM copies)", [], |row| row.get(0)).map_err(failed)?;
    if is_copy {
        connection.execute_batch("BEGIN; DELETE FROM copies; DELETE FROM copy_tables; COMMIT").map_err(failed)?;
    }
    Ok(())
}

fn can_have(connection: &Connection) -> Result<bool> {
    let found = names(connection, "SELECT name FROM sqlite_schema WHERE type = 'table'")?;
    Ok(OWN.iter().all(|own| found.iter().any(|name| name == own)))
}

fn count_rows(connection: &Connection) -> Result<BTreeMap<String, i64>> {
    let tables = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT GLOB 'sqlite_*' \
                  AND name NOT GLOB '_litestream_*'";
    let tables = names(connection, tables)?.into_iter().filter(|name| !OWN.contains(&name.as_str()));
    let count = |name: String| {
        let counted =
            connection
                .query_row(&format!("SELECT count(*) FROM {}", super::schema::quote(&name)), [], |row| row.get(0));
        Ok((name, counted.map_err(|e| Error::internal("counting rows", e))?))
    };
    tables.map(count).collect()
}
