//! The pages' own questions in SQLite.

use rusqlite::Row;

use super::repository::{ConsoleRepository, Owed, Sum};
use crate::modules::billing::overdue::Days;
use crate::modules::billing::sqlite::{day, said};
use crate::modules::billing::{InvoiceState, Owner};
use crate::platform::db::Tables;
use crate::platform::error::Result;
use crate::platform::ids::UserId;
use crate::platform::money::Currency;
use crate::sql;

impl ConsoleRepository for Tables<'_, Owner> {
    fn sum_invoices(&self, state: Option<InvoiceState>) -> Result<Vec<Sum>> {
        // Two statements, so that a state's index is used where one is asked for.
        match state {
            Some(state) => self.fetch_all(
                sql!(
                    "SELECT currency, count(*), sum(iif(kind = 'invoice', net_minor, -net_minor)),
                            sum(iif(kind = 'invoice', gross_minor, -gross_minor)),
                            sum(iif(state = 'open', due_minor, 0))
                     FROM billing_invoices WHERE state = ?1 GROUP BY currency ORDER BY currency"
                ),
                [state.as_str()],
                sum,
            ),
            None => self.fetch_all(
                sql!(
                    "SELECT currency, count(*), sum(iif(kind = 'invoice', net_minor, -net_minor)),
                            sum(iif(kind = 'invoice', gross_minor, -gross_minor)),
                            sum(iif(state = 'open', due_minor, 0))
                     FROM billing_invoices WHERE state NOT IN ('draft', 'void') GROUP BY currency ORDER BY currency"
                ),
                [],
                sum,
            ),
        }
    }

    fn sum_overdue(&self, days: &Days) -> Result<Vec<Sum>> {
        self.fetch_all(
            sql!(
                "WITH days (whose, day) AS MATERIALIZED (SELECT key, value FROM json_each(?2))
                 SELECT i.currency, count(*), sum(net_minor), sum(gross_minor), sum(due_minor)
                 FROM billing_invoices i INDEXED BY billing_invoices_open
                      CROSS JOIN billing_accounts a ON a.user_id = i.user_id
                      CROSS JOIN days ON whose = iif(test_clock_at IS NULL, time_zone, hex(a.user_id))
                 WHERE state = 'open' AND due_on < ?1 AND due_on < day
                 GROUP BY i.currency ORDER BY i.currency"
            ),
            (day(Some(days.latest)), &days.by_account),
            sum,
        )
    }

    fn sum_open(&self) -> Result<Vec<Owed>> {
        // From the index alone, which has what is open and no more.
        self.fetch_all(
            sql!(
                "SELECT currency, count(*), sum(due_minor) FROM billing_invoices INDEXED BY billing_invoices_open
                 WHERE state = 'open' GROUP BY currency ORDER BY currency"
            ),
            [],
            owed,
        )
    }

    fn sum_late(&self, days: &Days) -> Result<Vec<Owed>> {
        self.fetch_all(
            sql!(
                "WITH days (whose, day) AS MATERIALIZED (SELECT key, value FROM json_each(?2))
                 SELECT i.currency, count(*), sum(due_minor)
                 FROM billing_invoices i INDEXED BY billing_invoices_open
                      CROSS JOIN billing_accounts a ON a.user_id = i.user_id
                      CROSS JOIN days ON whose = iif(test_clock_at IS NULL, time_zone, hex(a.user_id))
                 WHERE state = 'open' AND due_on < ?1 AND due_on < day
                 GROUP BY i.currency ORDER BY i.currency"
            ),
            (day(Some(days.latest)), &days.by_account),
            owed,
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

fn owed(row: &Row<'_>) -> rusqlite::Result<Owed> {
    Ok(Owed { currency: said(row, 0)?, count: row.get::<_, i64>(1)?.unsigned_abs(), due_minor: row.get(2)? })
}
