//! Payments in SQLite.

use rusqlite::Row;

use super::model::{Allocation, Method, Payment, PaymentId, Refund};
use super::repository::PaymentRepository;
use crate::modules::billing::Owner;
use crate::modules::billing::invoices::InvoiceId;
use crate::modules::billing::sqlite::{day, parsed, said};
use crate::platform::db::Tables;
use crate::platform::error::Result;
use crate::platform::ids::UserId;
use crate::sql;

impl PaymentRepository for Tables<'_, Owner> {
    fn insert_payment(&self, p: &Payment) -> Result<()> {
        self.execute(
            sql!(
                "INSERT INTO billing_payments (id, user_id, currency, amount_minor, fee_minor, refunded_minor, method,
                                               reference, gateway_ref, received_on, created_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)"
            ),
            (
                p.id,
                p.user_id,
                p.currency.code(),
                p.amount_minor,
                p.fee_minor,
                p.refunded_minor,
                p.method.as_str(),
                &p.reference,
                &p.gateway_ref,
                day(Some(p.received_on)),
                p.created_at,
            ),
        )
        .map(drop)
    }

    fn find_payment(&self, id: PaymentId) -> Result<Option<Payment>> {
        self.fetch_optional(
            sql!(
                "SELECT id, user_id, currency, amount_minor, fee_minor, refunded_minor, method, reference, gateway_ref,
                        received_on, created_at
                 FROM billing_payments WHERE id = ?1"
            ),
            [id],
            payment,
        )
    }

    fn find_by_gateway(&self, method: Method, gateway_ref: &str) -> Result<Option<Payment>> {
        self.fetch_optional(
            sql!(
                "SELECT id, user_id, currency, amount_minor, fee_minor, refunded_minor, method, reference, gateway_ref,
                        received_on, created_at
                 FROM billing_payments WHERE method = ?1 AND gateway_ref = ?2"
            ),
            (method.as_str(), gateway_ref),
            payment,
        )
    }

    fn list_payments(&self, user: Option<UserId>, before: Option<PaymentId>, limit: u32) -> Result<Vec<Payment>> {
        match user {
            Some(user) => self.fetch_all(
                sql!(
                    "SELECT id, user_id, currency, amount_minor, fee_minor, refunded_minor, method, reference, gateway_ref,
                            received_on, created_at
                     FROM billing_payments WHERE user_id = ?1 AND (?2 IS NULL OR id < ?2) ORDER BY id DESC LIMIT ?3"
                ),
                (user, before, limit),
                payment,
            ),
            None => self.fetch_all(
                sql!(
                    "SELECT id, user_id, currency, amount_minor, fee_minor, refunded_minor, method, reference, gateway_ref,
                            received_on, created_at
                     FROM billing_payments WHERE ?1 IS NULL OR id < ?1 ORDER BY id DESC LIMIT ?2"
                ),
                (before, limit),
                payment,
            ),
        }
    }

    fn set_refunded(&self, id: PaymentId, refunded_minor: i64) -> Result<()> {
        self.execute(sql!("UPDATE billing_payments SET refunded_minor = ?2 WHERE id = ?1"), (id, refunded_minor))
            .map(drop)
    }

    fn put_allocation(&self, a: &Allocation) -> Result<()> {
        self.execute(
            sql!(
                "INSERT INTO billing_allocations (payment_id, invoice_id, amount_minor) VALUES (?1, ?2, ?3)
                 ON CONFLICT (payment_id, invoice_id) DO UPDATE SET amount_minor = ?3"
            ),
            (a.payment, a.invoice, a.amount_minor),
        )
        .map(drop)
    }

    fn list_allocations(&self, payment: PaymentId) -> Result<Vec<Allocation>> {
        self.fetch_all(
            sql!(
                "SELECT payment_id, invoice_id, amount_minor FROM billing_allocations WHERE payment_id = ?1
                 ORDER BY invoice_id DESC"
            ),
            [payment],
            allocation,
        )
    }

    fn list_allocations_to(&self, invoice: InvoiceId) -> Result<Vec<Allocation>> {
        self.fetch_all(
            sql!(
                "SELECT payment_id, invoice_id, amount_minor FROM billing_allocations WHERE invoice_id = ?1
                 ORDER BY payment_id"
            ),
            [invoice],
            allocation,
        )
    }

    fn insert_refund(&self, r: &Refund) -> Result<()> {
        self.execute(
            sql!(
                "INSERT INTO billing_refunds (id, payment_id, amount_minor, reason, gateway_ref, created_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)"
            ),
            (r.id, r.payment_id, r.amount_minor, &r.reason, &r.gateway_ref, r.created_at),
        )
        .map(drop)
    }

    fn list_refunds(&self, payment: PaymentId) -> Result<Vec<Refund>> {
        self.fetch_all(
            sql!(
                "SELECT id, payment_id, amount_minor, reason, gateway_ref, created_at FROM billing_refunds
                 WHERE payment_id = ?1 ORDER BY id"
            ),
            [payment],
            refund,
        )
    }

    fn find_refund_by_gateway(&self, gateway_ref: &str) -> Result<Option<Refund>> {
        self.fetch_optional(
            sql!(
                "SELECT id, payment_id, amount_minor, reason, gateway_ref, created_at FROM billing_refunds
                 WHERE gateway_ref = ?1"
            ),
            [gateway_ref],
            refund,
        )
    }
}

fn payment(row: &Row<'_>) -> rusqlite::Result<Payment> {
    Ok(Payment {
        id: row.get(0)?,
        user_id: row.get(1)?,
        currency: said(row, 2)?,
        amount_minor: row.get(3)?,
        fee_minor: row.get(4)?,
        refunded_minor: row.get(5)?,
        method: said(row, 6)?,
        reference: row.get(7)?,
        gateway_ref: row.get(8)?,
        received_on: parsed(row, 9)?,
        created_at: row.get(10)?,
    })
}

fn allocation(row: &Row<'_>) -> rusqlite::Result<Allocation> {
    Ok(Allocation { payment: row.get(0)?, invoice: row.get(1)?, amount_minor: row.get(2)? })
}

fn refund(row: &Row<'_>) -> rusqlite::Result<Refund> {
    Ok(Refund {
        id: row.get(0)?,
        payment_id: row.get(1)?,
        amount_minor: row.get(2)?,
        reason: row.get(3)?,
        gateway_ref: row.get(4)?,
        created_at: row.get(5)?,
    })
}
