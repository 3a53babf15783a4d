//! The unit's epoch: how often it was restored.

use std::path::Path;

use super::{Owner, Snapshot, UnitOfWork};
use crate::platform::error::{Error, Result};
use crate::sql;

/// The key to the table `unit`.
struct Key(());

impl Owner for Key {
    const PATH: &'static str = module_path!();
}

/// Begins a new epoch, beyond `last` too, since what the unit holds now is not what others saw of it last; returns its
/// number.
pub fn raise_epoch(work: &UnitOfWork<'_>, last: i64) -> Result<i64> {
    let raised = work.tables(Key(())).fetch_optional(
        sql!("UPDATE unit SET epoch = max(epoch, ?1) + 1 RETURNING epoch"),
        [last],
        |row| row.get(0),
    );
    raised?.ok_or_else(no_unit)
}

/// How often this unit was restored, counting from 1 for never.
pub fn epoch(snapshot: &Snapshot<'_>) -> Result<i64> {
    let epoch = snapshot.tables(Key(())).fetch_optional(sql!("SELECT epoch FROM unit"), [], |row| row.get(0));
    epoch?.ok_or_else(no_unit)
}

/// Which unit the database file `path` is, and its epoch. Not for a file that this process has open.
pub fn unit_of(path: &Path) -> Result<(uuid::Uuid, i64)> {
    let failed = |e: rusqlite::Error| Error::internal("reading which unit a database is", e);
    let connection = super::open_raw(path)?;
    let found = connection.query_row("SELECT id, epoch FROM unit", [], |row| {
        let id: crate::platform::ids::Id<super::Unit> = row.get(0)?;
        Ok((id.uuid(), row.get(1)?))
    });
    found.map_err(failed)
}

fn no_unit() -> Error {
    Error::Internal("the table `unit` is empty: this database can't be used".into())
}
