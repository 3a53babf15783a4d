//! The books in SQLite.

use jiff::civil::Date;
use rusqlite::Row;

use super::model::{Account, Balance, Entry, EntryId, Posting};
use super::repository::LedgerRepository;
use crate::modules::billing::Owner;
use crate::modules::billing::payments::PaymentId;
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
        add_lines(self, &mut entries)?;
        Ok(entries)
    }

    fn list_entries_after(&self, after: Option<EntryId>, limit: u32) -> Result<Vec<Entry>> {
        let mut entries = self.fetch_all(
            sql!(
                "SELECT id, currency, day, kind, document_id, user_id, memo, created_at FROM billing_ledger_entries
                 WHERE id > ?1 ORDER BY id LIMIT ?2"
            ),
            (after.unwrap_or(Id::from_uuid(uuid::Uuid::nil())), limit),
            entry,
        )?;
        add_lines(self, &mut entries)?;
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

    fn claims(&self) -> Result<Vec<(Currency, Account, i64)>> {
        self.fetch_all(
            sql!(
                "SELECT currency, iif(state = 'open', 'receivable', 'write_off'), sum(due_minor) FROM billing_invoices
                 WHERE state IN ('open', 'uncollectible') GROUP BY currency, state
                 UNION ALL
                 SELECT currency, 'credit', -sum(credit_minor) FROM billing_accounts GROUP BY currency
                 UNION ALL
                 SELECT currency, 'tax', -sum(iif(kind = 'invoice', tax_minor, -tax_minor)) FROM billing_invoices
                 WHERE number IS NOT NULL AND state <> 'void' GROUP BY currency
                 UNION ALL
                 SELECT currency, 'deferred_revenue', -sum(amount_minor - recognized_minor) FROM billing_deferrals
                 GROUP BY currency
                 UNION ALL
                 SELECT currency, 'revenue', -sum(amount_minor) FROM billing_revenue GROUP BY currency
                 UNION ALL
                 SELECT currency, 'cash', sum(amount_minor - fee_minor - refunded_minor) FROM billing_payments
                 GROUP BY currency
                 UNION ALL
                 SELECT currency, 'fees', sum(fee_minor) FROM billing_payments GROUP BY currency"
            ),
            [],
            |row| Ok((said(row, 0)?, said(row, 1)?, row.get(2)?)),
        )
    }

    fn misstated_tax(&self) -> Result<Vec<Currency>> {
        self.fetch_all(
            sql!(
                "WITH truth AS (
                     SELECT currency, sum(iif(kind = 'invoice', net_minor, -net_minor)) AS net,
                            sum(iif(kind = 'invoice', tax_minor, -tax_minor)) AS tax
                     FROM billing_invoices WHERE number IS NOT NULL AND state <> 'void' GROUP BY currency
                 ), kept AS (
                     SELECT currency, sum(net_minor) AS net, sum(tax_minor) AS tax FROM billing_tax_sums GROUP BY currency
                 )
                 SELECT currency FROM truth FULL JOIN kept USING (currency)
                 WHERE coalesce(truth.net, 0) <> coalesce(kept.net, 0) OR coalesce(truth.tax, 0) <> coalesce(kept.tax, 0)
                 ORDER BY 1"
            ),
            [],
            |row| said(row, 0),
        )
    }

    fn gaps(&self) -> Result<Vec<String>> {
        self.fetch_all(
            sql!(
                "WITH given AS (
                     SELECT rtrim(number, '0123456789') AS prefix,
                            CAST(substr(number, length(rtrim(number, '0123456789')) + 1) AS INTEGER) AS n
                     FROM billing_invoices WHERE number IS NOT NULL
                 ), series AS (
                     SELECT substr(prefix, 1, length(prefix) - 1) AS name, count(DISTINCT n) AS numbers, min(n) AS first,
                            max(n) AS last
                     FROM given GROUP BY prefix
                 )
                 SELECT name FROM series FULL JOIN billing_series USING (name)
                 WHERE coalesce(numbers, 0) <> coalesce(next_number, 1) - 1
                       OR first <> 1 OR last <> coalesce(next_number, 1) - 1
                 ORDER BY 1"
            ),
            [],
            |row| row.get(0),
        )
    }

    fn misallocated(&self) -> Result<Vec<PaymentId>> {
        self.fetch_all(
            sql!(
                "SELECT p.id FROM billing_payments p
                 WHERE refunded_minor <> (SELECT coalesce(sum(amount_minor), 0) FROM billing_refunds WHERE payment_id = p.id)
                       OR (SELECT coalesce(sum(amount_minor), 0) FROM billing_allocations WHERE payment_id = p.id)
                          + (SELECT coalesce(sum(l.amount_minor), 0)
                             FROM (SELECT p.id AS document UNION ALL
                                   SELECT id FROM billing_refunds WHERE payment_id = p.id) of_it
                             JOIN billing_ledger_entries e ON e.document_id = of_it.document
                             JOIN billing_ledger_lines l ON l.entry_id = e.id
                             WHERE l.account IN ('receivable', 'write_off')) <> 0
                 LIMIT 100"
            ),
            [],
            |row| row.get(0),
        )
    }

    fn miscounted(&self) -> Result<Vec<String>> {
        self.fetch_all(
            sql!(
                "WITH credited AS (
                     SELECT credits AS id, sum(gross_minor) AS minor FROM billing_invoices
                     WHERE credits IS NOT NULL AND number IS NOT NULL GROUP BY credits
                 )
                 SELECT i.number FROM billing_invoices i LEFT JOIN credited ON credited.id = i.id
                 WHERE i.number IS NOT NULL
                       AND (i.net_minor + i.tax_minor <> i.gross_minor OR i.credited_minor <> coalesce(credited.minor, 0)
                            OR i.due_minor > i.gross_minor OR i.state IN ('paid', 'void') AND i.due_minor <> 0)
                 LIMIT 100"
            ),
            [],
            |row| row.get(0),
        )
    }
}

fn add_lines(tables: &Tables<'_, Owner>, entries: &mut [Entry]) -> Result<()> {
    for entry in entries {
        entry.lines = tables.fetch_all(
            sql!("SELECT account, amount_minor FROM billing_ledger_lines WHERE entry_id = ?1 ORDER BY account"),
            [entry.id],
            |row| Ok((said(row, 0)?, row.get(1)?)),
        )?;
    }
    Ok(())
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
