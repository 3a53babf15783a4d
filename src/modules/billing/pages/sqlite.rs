//! The pages' own questions in SQLite.

use jiff::civil::Date;
use rusqlite::Row;

use super::repository::{ConsoleRepository, Sum};
use crate::modules::billing::sqlite::{day, said};
use crate::modules::billing::{InvoiceFilter, Owner};
use crate::platform::db::Tables;
use crate::platform::error::Result;
use crate::platform::ids::UserId;
use crate::platform::money::Currency;
use crate::sql;

impl ConsoleRepository for Tables<'_, Owner> {
    fn sum_invoices(&self, filter: &InvoiceFilter) -> Result<Vec<Sum>> {
        if let Some(day) = filter.overdue_on {
            return self.sum_overdue(day);
        }
        self.fetch_all(
            sql!(
                "SELECT currency, count(*), sum(iif(kind = 'invoice', net_minor, -net_minor)),
                        sum(iif(kind = 'invoice', gross_minor, -gross_minor)),
                        sum(iif(state = 'open', due_minor, 0))
                 FROM billing_invoices WHERE state = ?1 OR ?1 IS NULL AND state NOT IN ('draft', 'void')
                 GROUP BY currency ORDER BY currency"
            ),
            [filter.state.map(|state| state.as_str())],
            sum,
        )
    }

    fn sum_overdue(&self, before: Date) -> Result<Vec<Sum>> {
        self.fetch_all(
            sql!(
                "SELECT currency, count(*), sum(net_minor), sum(gross_minor), sum(due_minor)
                 FROM billing_invoices WHERE state = 'open' AND due_on < ?1 GROUP BY currency ORDER BY currency"
            ),
            [day(Some(before))],
            sum,
        )
    }

    fn sum_monthly(&self) -> Result<Vec<(Currency, i64)>> {
        self.fetch_all(
            sql!(
                "SELECT currency, sum(mrr_delta_minor) FROM billing_subscription_events
                 WHERE movement IS NOT NULL GROUP BY currency HAVING sum(mrr_delta_minor) <> 0 ORDER BY currency"
            ),
            [],
            |row| Ok((said(row, 0)?, row.get(1)?)),
        )
    }

    fn search_accounts(&self, q: &str, before: Option<UserId>, limit: u32) -> Result<Vec<UserId>> {
        self.fetch_all(
            sql!(
                "SELECT user_id FROM billing_accounts
                 WHERE (?1 = '' OR instr(lower(name), lower(?1)) > 0) AND (?2 IS NULL OR user_id < ?2)
                 ORDER BY user_id DESC LIMIT ?3"
            ),
            (q, before, limit),
            |row| row.get(0),
        )
    }
}

fn sum(row: &Row<'_>) -> rusqlite::Result<Sum> {
    Ok(Sum {
        currency: said(row, 0)?,
        count: row.get::<_, i64>(1)?.unsigned_abs(),
        net_minor: row.get(2)?,
        gross_minor: row.get(3)?,
        due_minor: row.get(4)?,
    })
}
