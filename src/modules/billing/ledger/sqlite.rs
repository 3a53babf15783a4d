//! The books in SQLite.

use jiff::civil::Date;
use rusqlite::Row;

use super::model::{Account, Balance, Entry, EntryId, Posting};
use super::repository::LedgerRepository;
use crate::modules::billing::Owner;
use crate::modules::billing::sqlite::{day, parsed, said};
use crate::platform::clock::Time;
use crate::platform::db::Tables;
use crate::platform::error::Result;
use crate::platform::ids::Id;
use crate::platform::money::Currency;
use crate::sql;

impl LedgerRepository for Tables<'_, Owner> {
    fn post_entry(&self, id: EntryId, posting: &Posting, lines: &[(Account, i64)], at: Time) -> Result<()> {
        self.execute(
            sql!(
                "INSERT INTO billing_ledger_entries (id, currency, day, kind, document_id, user_id, memo, created_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"
            ),
            (
                id,
                posting.currency.code(),
                day(Some(posting.day)),
                posting.cause.as_str(),
                posting.document.map(Id::<Entry>::from_uuid),
                posting.user,
                &posting.memo,
                at,
            ),
        )?;
        for (account, amount_minor) in lines {
            self.execute(
                sql!("INSERT INTO billing_ledger_lines (entry_id, account, amount_minor) VALUES (?1, ?2, ?3)"),
                (id, account.as_str(), amount_minor),
            )?;
        }
        self.execute(sql!("UPDATE billing_ledger_entries SET is_posted = 1 WHERE id = ?1"), [id]).map(drop)
    }

    fn list_entries(&self, document: Option<uuid::Uuid>, before: Option<EntryId>, limit: u32) -> Result<Vec<Entry>> {
        let mut entries = match document.map(Id::<Entry>::from_uuid) {
            Some(document) => self.fetch_all(
                sql!(
                    "SELECT id, currency, day, kind, document_id, user_id, memo, created_at FROM billing_ledger_entries
                     WHERE document_id = ?1 AND (?2 IS NULL OR id < ?2) ORDER BY id DESC LIMIT ?3"
                ),
                (document, before, limit),
                entry,
            ),
            None => self.fetch_all(
                sql!(
                    "SELECT id, currency, day, kind, document_id, user_id, memo, created_at FROM billing_ledger_entries
                     WHERE ?1 IS NULL OR id < ?1 ORDER BY id DESC LIMIT ?2"
                ),
                (before, limit),
                entry,
            ),
        }?;
        for entry in &mut entries {
            entry.lines = self.fetch_all(
                sql!("SELECT account, amount_minor FROM billing_ledger_lines WHERE entry_id = ?1 ORDER BY account"),
                [entry.id],
                |row| Ok((said(row, 0)?, row.get(1)?)),
            )?;
        }
        Ok(entries)
    }

    fn balances(&self, until: Option<Date>) -> Result<Vec<Balance>> {
        self.fetch_all(
            sql!(
                "SELECT currency, account, sum(debit_minor), sum(credit_minor) FROM billing_ledger_balances
                 WHERE ?1 IS NULL OR month <= substr(?1, 1, 7) GROUP BY currency, account ORDER BY currency, account"
            ),
            [day(until)],
            |row| {
                Ok(Balance {
                    currency: said(row, 0)?,
                    account: said(row, 1)?,
                    debit_minor: row.get(2)?,
                    credit_minor: row.get(3)?,
                })
            },
        )
    }

    fn unbalanced(&self) -> Result<Vec<EntryId>> {
        self.fetch_all(
            sql!(
                "SELECT id FROM billing_ledger_entries
                 WHERE is_posted = 0
                       OR (SELECT count(*) < 2 OR sum(amount_minor) <> 0 FROM billing_ledger_lines WHERE entry_id = id)
                 LIMIT 100"
            ),
            [],
            |row| row.get(0),
        )
    }

    fn misstated(&self) -> Result<Vec<(Currency, Account)>> {
        self.fetch_all(
            sql!(
                "WITH truth AS (
                     SELECT e.currency, l.account, sum(l.amount_minor) AS minor FROM billing_ledger_lines l
                     JOIN billing_ledger_entries e ON e.id = l.entry_id GROUP BY 1, 2
                 ), kept AS (
                     SELECT currency, account, sum(debit_minor - credit_minor) AS minor FROM billing_ledger_balances
                     GROUP BY 1, 2
                 )
                 SELECT currency, account FROM truth FULL JOIN kept USING (currency, account)
                 WHERE truth.minor IS NOT kept.minor ORDER BY 1, 2"
            ),
            [],
            |row| Ok((said(row, 0)?, said(row, 1)?)),
        )
    }
}

fn entry(row: &Row<'_>) -> rusqlite::Result<Entry> {
    Ok(Entry {
        id: row.get(0)?,
        currency: said(row, 1)?,
        day: parsed(row, 2)?,
        cause: said(row, 3)?,
        document: row.get::<_, Option<Id<Entry>>>(4)?.map(|id| id.uuid()),
        user: row.get(5)?,
        memo: row.get(6)?,
        created_at: row.get(7)?,
        lines: Vec::new(),
    })
}
