//! The unit's epoch: how often it was restored.

use super::{Owner, UnitOfWork};
use crate::platform::error::{Error, Result};
use crate::sql;

/// The key to the table `unit`.
struct Key(());

impl Owner for Key {
    const PATH: &'static str = module_path!();
}

/// Begins a new epoch, since what the unit holds now is not what others saw of it last; returns its number.
pub fn raise_epoch(work: &UnitOfWork<'_>) -> Result<i64> {
    let epoch =
        work.tables(Key(()))
            .fetch_optional(sql!("UPDATE unit SET epoch = epoch + 1 RETURNING epoch"), [], |row| row.get(0));
    epoch?.ok_or_else(|| Error::Internal("the table `unit` is empty: this database can't be used".into()))
}
