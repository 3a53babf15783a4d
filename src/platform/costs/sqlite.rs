//! The tables of costs.

use super::{Owner, Point, Step, UsedAll, action_of};
use crate::platform::clock::Time;
use crate::platform::db::Tables;
use crate::platform::error::{Error, Result};
use crate::platform::metering::{Kind, Span};
use crate::sql;

pub(super) trait CostRepository {
    fn find(&self, step: Step, at: Time) -> Result<Option<UsedAll>>;
    fn put(&self, step: Step, at: Time, used: &UsedAll) -> Result<()>;
    /// Removes all but so many of a step.
    fn keep_newest(&self, step: Step, number: u32) -> Result<()>;
    fn list(&self, step: Step, from: Time, to: Time) -> Result<Vec<Point>>;
    fn put_span(&self, span: &Span, at: Time) -> Result<()>;
    fn delete_spans_before(&self, at: Time) -> Result<()>;
    fn list_spans(&self) -> Result<Vec<Span>>;
}

impl CostRepository for Tables<'_, Owner> {
    fn find(&self, step: Step, at: Time) -> Result<Option<UsedAll>> {
        let found = self.fetch_optional(
            sql!("SELECT used FROM cost_history WHERE step = ?1 AND at = ?2"),
            (step.as_str(), at),
            |row| row.get::<_, String>(0),
        );
        found?.as_deref().map(read).transpose()
    }

    fn put(&self, step: Step, at: Time, used: &UsedAll) -> Result<()> {
        let used = serde_json::to_string(used).map_err(|e| Error::internal("writing what was used", e))?;
        self.execute(
            sql!(
                "INSERT INTO cost_history (step, at, used) VALUES (?1, ?2, ?3)
                 ON CONFLICT (step, at) DO UPDATE SET used = excluded.used"
            ),
            (step.as_str(), at, used),
        )
        .map(drop)
    }

    fn keep_newest(&self, step: Step, number: u32) -> Result<()> {
        self.execute(
            sql!(
                "DELETE FROM cost_history WHERE step = ?1 AND at <=
                   (SELECT at FROM cost_history WHERE step = ?1 ORDER BY at DESC LIMIT 1 OFFSET ?2)"
            ),
            (step.as_str(), number),
        )
        .map(drop)
    }

    fn list(&self, step: Step, from: Time, to: Time) -> Result<Vec<Point>> {
        let rows = self.fetch_all(
            sql!("SELECT at, used FROM cost_history WHERE step = ?1 AND at BETWEEN ?2 AND ?3 ORDER BY at"),
            (step.as_str(), from, to),
            |row| Ok((row.get(0)?, row.get::<_, String>(1)?)),
        )?;
        rows.into_iter().map(|(at, used)| Ok(Point { at, used: read(&used)? })).collect()
    }

    fn put_span(&self, span: &Span, at: Time) -> Result<()> {
        self.execute(
            sql!(
                "INSERT INTO cost_spans (action, name, owner, by_kind, by_name, seen_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT (action, name, owner, by_kind, by_name) DO UPDATE SET seen_at = excluded.seen_at"
            ),
            (span.action.as_str(), &span.name, &span.owner, span.by.0.as_str(), &span.by.1, at),
        )
        .map(drop)
    }

    fn delete_spans_before(&self, at: Time) -> Result<()> {
        self.execute(sql!("DELETE FROM cost_spans WHERE seen_at < ?1"), [at]).map(drop)
    }

    fn list_spans(&self) -> Result<Vec<Span>> {
        self.fetch_all(sql!("SELECT action, name, owner, by_kind, by_name FROM cost_spans"), [], |row| {
            let kind = Kind::parse(&row.get::<_, String>(3)?).unwrap_or(Kind::Background);
            Ok(Span {
                action: action_of(&row.get::<_, String>(0)?),
                name: row.get(1)?,
                owner: row.get(2)?,
                by: (kind, row.get(4)?),
            })
        })
    }
}

fn read(text: &str) -> Result<UsedAll> {
    serde_json::from_str(text).map_err(|e| Error::internal("reading what was used", e))
}
