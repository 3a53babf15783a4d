//! Invoices in SQLite.

use jiff::civil::Date;
use rusqlite::Row;

use super::document::{Document, Period};
use super::model::{Invoice, InvoiceId, OwnLine};
use super::repository::{Deferral, Filter, InvoiceRepository};
use crate::modules::billing::Owner;
use crate::modules::billing::overdue::Days;
use crate::modules::billing::sqlite::{day, json, maybe, parsed, said, to_json};
use crate::platform::db::Tables;
use crate::platform::error::{Error, Result};
use crate::platform::ids::UserId;
use crate::platform::money::Currency;
use crate::sql;

impl InvoiceRepository for Tables<'_, Owner> {
    fn insert_invoice(
        &self,
        i: &Invoice,
        run_key: Option<&str>,
        document: Option<&Document>,
        lines: &[OwnLine],
    ) -> Result<()> {
        for (n, own) in lines.iter().enumerate() {
            insert_line(self, i.id, n as u32 + 1, own)?;
        }
        self.execute(
            sql!(
                "INSERT INTO billing_invoices (id, kind, user_id, subscription_id, credits, run_key, state, currency,
                                               discount, note, number, issued_on, due_on, document, net_minor, tax_minor,
                                               gross_minor, due_minor, credited_minor, version, created_at, finalized_at,
                                               settled_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21,
                         ?22, ?23)"
            ),
            rusqlite::params![
                i.id,
                i.kind.as_str(),
                i.user_id,
                i.subscription_id,
                i.credits,
                run_key,
                i.state.as_str(),
                i.currency.code(),
                i.discount.as_ref().map(to_json).transpose()?,
                i.note,
                i.number,
                day(i.issued_on),
                day(i.due_on),
                document.map(to_json).transpose()?,
                i.net_minor,
                i.tax_minor,
                i.gross_minor,
                i.due_minor,
                i.credited_minor,
                i.version,
                i.created_at,
                i.finalized_at,
                i.settled_at,
            ],
        )
        .map(drop)
    }

    fn delete_draft(&self, id: InvoiceId) -> Result<()> {
        self.execute(sql!("DELETE FROM billing_invoice_lines WHERE invoice_id = ?1"), [id])?;
        self.execute(sql!("DELETE FROM billing_invoices WHERE id = ?1"), [id]).map(drop)
    }

    fn find_invoice(&self, id: InvoiceId) -> Result<Option<Invoice>> {
        self.fetch_optional(
            sql!(
                "SELECT id, kind, user_id, subscription_id, credits, state, currency, discount, note, number, issued_on,
                        due_on, net_minor, tax_minor, gross_minor, due_minor, credited_minor, version, created_at,
                        finalized_at, settled_at
                 FROM billing_invoices WHERE id = ?1"
            ),
            [id],
            invoice,
        )
    }

    fn find_by_number(&self, number: &str) -> Result<Option<Invoice>> {
        self.fetch_optional(
            sql!(
                "SELECT id, kind, user_id, subscription_id, credits, state, currency, discount, note, number, issued_on,
                        due_on, net_minor, tax_minor, gross_minor, due_minor, credited_minor, version, created_at,
                        finalized_at, settled_at
                 FROM billing_invoices WHERE number = ?1"
            ),
            [number],
            invoice,
        )
    }

    fn find_document(&self, id: InvoiceId) -> Result<Option<Document>> {
        let found = self.fetch_optional(
            sql!("SELECT document FROM billing_invoices WHERE id = ?1 AND document IS NOT NULL"),
            [id],
            |row| row.get::<_, String>(0),
        )?;
        found
            .map(|text| serde_json::from_str(&text).map_err(|e| Error::internal("reading an invoice's document", e)))
            .transpose()
    }

    fn list_lines(&self, id: InvoiceId) -> Result<Vec<OwnLine>> {
        self.fetch_all(
            sql!(
                "SELECT description, quantity, unit_price_minor, amount_minor, net_minor, tax, period_from, period_until,
                        tax_rate_id, plan
                 FROM billing_invoice_lines WHERE invoice_id = ?1 ORDER BY position"
            ),
            [id],
            line,
        )
    }

    fn find_line(&self, id: InvoiceId, position: u32) -> Result<Option<OwnLine>> {
        self.fetch_optional(
            sql!(
                "SELECT description, quantity, unit_price_minor, amount_minor, net_minor, tax, period_from, period_until,
                        tax_rate_id, plan
                 FROM billing_invoice_lines WHERE invoice_id = ?1 AND position = ?2"
            ),
            (id, position),
            line,
        )
    }

    fn list_invoices(&self, filter: &Filter, before: Option<InvoiceId>, limit: u32) -> Result<Vec<Invoice>> {
        let state = filter.state.map(|state| state.as_str());
        let params = (before, state, day(filter.overdue_on), limit);
        // Each has an index of its own to walk.
        match (filter.subscription, filter.user) {
            (Some(subscription), _) => self.fetch_all(
                sql!(
                    "SELECT id, kind, user_id, subscription_id, credits, state, currency, discount, note, number,
                            issued_on, due_on, net_minor, tax_minor, gross_minor, due_minor, credited_minor, version,
                            created_at, finalized_at, settled_at
                     FROM billing_invoices
                     WHERE subscription_id = ?5 AND (?1 IS NULL OR id < ?1) AND (?2 IS NULL OR state = ?2)
                           AND (?3 IS NULL OR state = 'open' AND due_on < ?3)
                     ORDER BY id DESC LIMIT ?4"
                ),
                (params.0, params.1, params.2, params.3, subscription),
                invoice,
            ),
            (None, Some(user)) => self.fetch_all(
                sql!(
                    "SELECT id, kind, user_id, subscription_id, credits, state, currency, discount, note, number,
                            issued_on, due_on, net_minor, tax_minor, gross_minor, due_minor, credited_minor, version,
                            created_at, finalized_at, settled_at
                     FROM billing_invoices
                     WHERE user_id = ?5 AND (?1 IS NULL OR id < ?1) AND (?2 IS NULL OR state = ?2)
                           AND (?3 IS NULL OR state = 'open' AND due_on < ?3)
                     ORDER BY id DESC LIMIT ?4"
                ),
                (params.0, params.1, params.2, params.3, user),
                invoice,
            ),
            (None, None) => self.fetch_all(
                sql!(
                    "SELECT id, kind, user_id, subscription_id, credits, state, currency, discount, note, number,
                            issued_on, due_on, net_minor, tax_minor, gross_minor, due_minor, credited_minor, version,
                            created_at, finalized_at, settled_at
                     FROM billing_invoices
                     WHERE (?1 IS NULL OR id < ?1) AND (?2 IS NULL OR state = ?2)
                           AND (?3 IS NULL OR state = 'open' AND due_on < ?3)
                     ORDER BY id DESC LIMIT ?4"
                ),
                params,
                invoice,
            ),
        }
    }

    fn list_overdue(&self, days: &Days, before: Option<InvoiceId>, limit: u32) -> Result<Vec<Invoice>> {
        // By the index of what is open, however much has been paid.
        self.fetch_all(
            sql!(
                "SELECT id, kind, user_id, subscription_id, credits, state, currency, discount, note, number, issued_on,
                        due_on, net_minor, tax_minor, gross_minor, due_minor, credited_minor, version, created_at,
                        finalized_at, settled_at
                 FROM billing_invoices WHERE id IN
                    (WITH days (whose, day) AS MATERIALIZED (SELECT key, value FROM json_each(?2))
                     SELECT i.id FROM billing_invoices i INDEXED BY billing_invoices_open
                            CROSS JOIN billing_accounts a ON a.user_id = i.user_id
                            CROSS JOIN days ON whose = iif(test_clock_at IS NULL, time_zone, hex(a.user_id))
                     WHERE state = 'open' AND due_on < ?1 AND due_on < day AND (?3 IS NULL OR i.id < ?3)
                     ORDER BY i.id DESC LIMIT ?4)
                 ORDER BY id DESC"
            ),
            (day(Some(days.latest)), &days.by_account, before, limit),
            invoice,
        )
    }

    fn list_credit_notes(&self, invoice: InvoiceId) -> Result<Vec<InvoiceId>> {
        self.fetch_all(sql!("SELECT id FROM billing_invoices WHERE credits = ?1 ORDER BY id"), [invoice], |row| {
            row.get(0)
        })
    }

    fn list_open(&self, user: UserId) -> Result<Vec<Invoice>> {
        self.fetch_all(
            sql!(
                "SELECT id, kind, user_id, subscription_id, credits, state, currency, discount, note, number, issued_on,
                        due_on, net_minor, tax_minor, gross_minor, due_minor, credited_minor, version, created_at,
                        finalized_at, settled_at
                 FROM billing_invoices WHERE user_id = ?1 AND state = 'open' ORDER BY id LIMIT 1000"
            ),
            [user],
            invoice,
        )
    }

    fn update_invoice(&self, i: &Invoice) -> Result<()> {
        self.execute(
            sql!(
                "UPDATE billing_invoices
                 SET state = ?2, due_minor = ?3, credited_minor = ?4, version = ?5, settled_at = ?6 WHERE id = ?1"
            ),
            (i.id, i.state.as_str(), i.due_minor, i.credited_minor, i.version, i.settled_at),
        )
        .map(drop)
    }

    fn take_number(&self, series: &str) -> Result<i64> {
        let taken = self.fetch_optional(
            sql!(
                "INSERT INTO billing_series (name, next_number) VALUES (?1, 2)
                 ON CONFLICT (name) DO UPDATE SET next_number = next_number + 1
                 RETURNING next_number - 1"
            ),
            [series],
            |row| row.get(0),
        )?;
        taken.ok_or_else(|| Error::Internal("a series gave out no number".into()))
    }

    fn insert_deferral(&self, d: &Deferral) -> Result<()> {
        self.execute(
            sql!(
                "INSERT INTO billing_deferrals (invoice_id, position, currency, plan, from_day, until_day, amount_minor,
                                                recognized_minor, next_day)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?5)"
            ),
            (
                d.invoice,
                d.position,
                d.currency.code(),
                &d.plan,
                day(Some(d.period.from)),
                day(Some(d.period.until)),
                d.amount_minor,
                d.recognized_minor,
            ),
        )
        .map(drop)
    }

    fn list_deferrals(&self, invoice: InvoiceId) -> Result<Vec<Deferral>> {
        self.fetch_all(
            sql!(
                "SELECT invoice_id, position, currency, plan, from_day, until_day, amount_minor, recognized_minor
                 FROM billing_deferrals WHERE invoice_id = ?1 ORDER BY position"
            ),
            [invoice],
            deferral,
        )
    }

    fn list_due_deferrals(&self, today: Date, limit: u32) -> Result<Vec<Deferral>> {
        self.fetch_all(
            sql!(
                "SELECT invoice_id, position, currency, plan, from_day, until_day, amount_minor, recognized_minor
                 FROM billing_deferrals WHERE next_day < ?1 ORDER BY next_day LIMIT ?2"
            ),
            (day(Some(today)), limit),
            deferral,
        )
    }

    fn update_deferral(&self, d: &Deferral, next_day: Option<Date>) -> Result<()> {
        self.execute(
            sql!(
                "UPDATE billing_deferrals SET amount_minor = ?3, recognized_minor = ?4, next_day = ?5
                 WHERE invoice_id = ?1 AND position = ?2"
            ),
            (d.invoice, d.position, d.amount_minor, d.recognized_minor, day(next_day)),
        )
        .map(drop)
    }

    fn add_revenue(&self, currency: Currency, plan: &str, month: &str, amount_minor: i64) -> Result<()> {
        self.execute(
            sql!(
                "INSERT INTO billing_revenue (currency, plan, month, amount_minor) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (currency, plan, month) DO UPDATE SET amount_minor = amount_minor + excluded.amount_minor"
            ),
            (currency.code(), plan, month, amount_minor),
        )
        .map(drop)
    }
}

fn insert_line(tables: &Tables<'_, Owner>, invoice: InvoiceId, position: u32, own: &OwnLine) -> Result<()> {
    let l = &own.line;
    tables
        .execute(
            sql!(
                "INSERT INTO billing_invoice_lines (invoice_id, position, description, quantity, unit_price_minor,
                                                    amount_minor, net_minor, tax_rate_id, tax, plan, period_from,
                                                    period_until)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)"
            ),
            (
                invoice,
                position,
                &l.description,
                l.quantity.to_string(),
                l.unit_price_minor.to_string(),
                l.amount_minor,
                l.net_minor,
                own.tax_rate_id,
                to_json(&l.tax)?,
                &own.plan,
                day(l.period.map(|period| period.from)),
                day(l.period.map(|period| period.until)),
            ),
        )
        .map(drop)
}

fn invoice(row: &Row<'_>) -> rusqlite::Result<Invoice> {
    Ok(Invoice {
        id: row.get(0)?,
        kind: said(row, 1)?,
        user_id: row.get(2)?,
        subscription_id: row.get(3)?,
        credits: row.get(4)?,
        state: said(row, 5)?,
        currency: said(row, 6)?,
        discount: maybe(row, 7, json)?,
        note: row.get(8)?,
        number: row.get(9)?,
        issued_on: maybe(row, 10, parsed)?,
        due_on: maybe(row, 11, parsed)?,
        net_minor: row.get(12)?,
        tax_minor: row.get(13)?,
        gross_minor: row.get(14)?,
        due_minor: row.get(15)?,
        credited_minor: row.get(16)?,
        version: row.get(17)?,
        created_at: row.get(18)?,
        finalized_at: row.get(19)?,
        settled_at: row.get(20)?,
    })
}

fn line(row: &Row<'_>) -> rusqlite::Result<OwnLine> {
    let from: Option<Date> = maybe(row, 6, parsed)?;
    let until: Option<Date> = maybe(row, 7, parsed)?;
    let line = super::document::Line {
        description: row.get(0)?,
        quantity: parsed(row, 1)?,
        unit_price_minor: parsed(row, 2)?,
        amount_minor: row.get(3)?,
        net_minor: row.get(4)?,
        tax: json(row, 5)?,
        period: from.zip(until).map(|(from, until)| Period { from, until }),
    };
    Ok(OwnLine { line, tax_rate_id: row.get(8)?, plan: row.get(9)? })
}

fn deferral(row: &Row<'_>) -> rusqlite::Result<Deferral> {
    Ok(Deferral {
        invoice: row.get(0)?,
        position: row.get(1)?,
        currency: said(row, 2)?,
        plan: row.get(3)?,
        period: Period { from: parsed(row, 4)?, until: parsed(row, 5)? },
        amount_minor: row.get(6)?,
        recognized_minor: row.get(7)?,
    })
}
