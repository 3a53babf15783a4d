//! How far the collection of each invoice is, in SQLite.

use super::model::Dunning;
use super::repository::DunningRepository;
use crate::modules::billing::Owner;
use crate::modules::billing::invoices::InvoiceId;
use crate::modules::billing::sqlite::{day, maybe, parsed, said};
use crate::modules::billing::subscriptions::SubscriptionId;
use crate::platform::clock::Time;
use crate::platform::db::Tables;
use crate::platform::error::Result;
use crate::platform::ids::UserId;
use crate::sql;

impl DunningRepository for Tables<'_, Owner> {
    fn find_dunning(&self, invoice: InvoiceId) -> Result<Option<Dunning>> {
        self.fetch_optional(
            sql!(
                "SELECT invoice_id, base_on, step, attempt, charge, why, next_at, ended_at
                 FROM billing_dunnings WHERE invoice_id = ?1"
            ),
            [invoice],
            |row| {
                Ok(Dunning {
                    invoice: row.get(0)?,
                    base_on: maybe(row, 1, parsed)?,
                    step: row.get::<_, u32>(2)? as usize,
                    attempt: row.get(3)?,
                    charging: said(row, 4)?,
                    why: row.get(5)?,
                    next_at: row.get(6)?,
                    ended_at: row.get(7)?,
                })
            },
        )
    }

    fn put_dunning(&self, d: &Dunning) -> Result<()> {
        self.execute(
            sql!(
                "INSERT INTO billing_dunnings (invoice_id, base_on, step, attempt, charge, why, next_at, ended_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
                 ON CONFLICT (invoice_id) DO UPDATE
                 SET base_on = ?2, step = ?3, attempt = ?4, charge = ?5, why = ?6, next_at = ?7, ended_at = ?8"
            ),
            (d.invoice, day(d.base_on), d.step as u32, d.attempt, d.charging.as_str(), &d.why, d.next_at, d.ended_at),
        )
        .map(drop)
    }

    fn end_dunning(&self, invoice: InvoiceId, now: Time) -> Result<()> {
        self.execute(
            sql!("UPDATE billing_dunnings SET ended_at = ?2 WHERE invoice_id = ?1 AND ended_at IS NULL"),
            (invoice, now),
        )
        .map(drop)
    }

    fn list_to_dun(&self, now: Time, limit: u32) -> Result<Vec<InvoiceId>> {
        self.fetch_all(
            sql!(
                "SELECT invoice_id FROM billing_dunnings d JOIN billing_invoices i ON i.id = invoice_id
                        JOIN billing_accounts a ON a.user_id = i.user_id
                 WHERE d.next_at <= ?1 AND d.ended_at IS NULL AND a.test_clock_at IS NULL
                 ORDER BY d.next_at, invoice_id LIMIT ?2"
            ),
            (now, limit),
            |row| row.get(0),
        )
    }

    fn list_to_dun_of(&self, user: UserId, now: Time, limit: u32) -> Result<Vec<InvoiceId>> {
        self.fetch_all(
            sql!(
                "SELECT i.id FROM billing_invoices i JOIN billing_dunnings d ON d.invoice_id = i.id
                 WHERE i.user_id = ?1 AND d.next_at <= ?2 AND d.ended_at IS NULL ORDER BY i.id LIMIT ?3"
            ),
            (user, now, limit),
            |row| row.get(0),
        )
    }

    fn is_dunned(&self, subscription: SubscriptionId) -> Result<bool> {
        let found = self.fetch_optional(
            sql!(
                "SELECT EXISTS (SELECT 1 FROM billing_invoices i JOIN billing_dunnings d ON d.invoice_id = i.id
                                WHERE i.subscription_id = ?1 AND i.state = 'open' AND d.base_on IS NOT NULL
                                      AND d.ended_at IS NULL)"
            ),
            [subscription],
            |row| row.get(0),
        )?;
        Ok(found.unwrap_or(false))
    }
}
