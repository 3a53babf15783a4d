//! The table of drills.

use rusqlite::Row;

use super::drills::{Drill, DrillId, Owner};
use crate::platform::clock::Time;
use crate::platform::db::Tables;
use crate::platform::error::Result;
use crate::sql;

pub(super) trait DrillRepository {
    fn insert(&self, id: DrillId, at: Time, kind: &str, name: &str, failure: Option<&str>) -> Result<()>;
    fn remove_before(&self, at: Time) -> Result<usize>;
    fn last(&self, kind: &str) -> Result<Option<Drill>>;
    fn last_passed(&self, kind: &str) -> Result<Option<Drill>>;
    /// Names and when they last passed.
    fn passed(&self, kind: &str) -> Result<Vec<(String, Time)>>;
}

impl DrillRepository for Tables<'_, Owner> {
    fn insert(&self, id: DrillId, at: Time, kind: &str, name: &str, failure: Option<&str>) -> Result<()> {
        self.execute(
            sql!("INSERT INTO drills (id, at, kind, name, failure) VALUES (?1, ?2, ?3, ?4, ?5)"),
            (id, at, kind, name, failure),
        )
        .map(drop)
    }

    fn remove_before(&self, at: Time) -> Result<usize> {
        self.execute(sql!("DELETE FROM drills WHERE at < ?1"), [at])
    }

    fn last(&self, kind: &str) -> Result<Option<Drill>> {
        self.fetch_optional(
            sql!("SELECT at, name, failure FROM drills WHERE kind = ?1 ORDER BY id DESC LIMIT 1"),
            [kind],
            drill,
        )
    }

    fn last_passed(&self, kind: &str) -> Result<Option<Drill>> {
        self.fetch_optional(
            sql!(
                "SELECT at, name, failure FROM drills WHERE kind = ?1 AND failure IS NULL
                 ORDER BY id DESC LIMIT 1"
            ),
            [kind],
            drill,
        )
    }

    fn passed(&self, kind: &str) -> Result<Vec<(String, Time)>> {
        self.fetch_all(
            sql!("SELECT name, max(at) FROM drills WHERE kind = ?1 AND failure IS NULL GROUP BY name"),
            [kind],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
    }
}

fn drill(row: &Row<'_>) -> rusqlite::Result<Drill> {
    Ok(Drill { at: row.get(0)?, name: row.get(1)?, failure: row.get(2)? })
}
