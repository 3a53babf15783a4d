//! Where payments are kept.

use super::model::{Allocation, Method, Payment, PaymentId, Refund};
use crate::modules::billing::invoices::InvoiceId;
use crate::platform::error::Result;
use crate::platform::ids::UserId;

pub(in crate::modules::billing) trait PaymentRepository {
    fn insert_payment(&self, payment: &Payment) -> Result<()>;
    fn find_payment(&self, id: PaymentId) -> Result<Option<Payment>>;
    fn find_by_gateway(&self, method: Method, gateway_ref: &str) -> Result<Option<Payment>>;
    /// Before `before`, newest first; of one person where they are named.
    fn list_payments(&self, user: Option<UserId>, before: Option<PaymentId>, limit: u32) -> Result<Vec<Payment>>;
    fn set_refunded(&self, id: PaymentId, refunded_minor: i64) -> Result<()>;

    fn put_allocation(&self, allocation: &Allocation) -> Result<()>;
    fn list_allocations(&self, payment: PaymentId) -> Result<Vec<Allocation>>;
    fn list_allocations_to(&self, invoice: InvoiceId) -> Result<Vec<Allocation>>;

    fn insert_refund(&self, refund: &Refund) -> Result<()>;
    fn list_refunds(&self, payment: PaymentId) -> Result<Vec<Refund>>;
    fn find_refund_by_gateway(&self, gateway_ref: &str) -> Result<Option<Refund>>;
}
