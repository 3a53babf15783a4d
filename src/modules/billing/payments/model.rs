//! Payments and refunds. Pure.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::modules::billing::invoices::InvoiceId;
use crate::platform::clock::Time;
use crate::platform::ids::{Id, UserId};
use crate::platform::money::Currency;

pub type PaymentId = Id<Payment>;
pub type RefundId = Id<Refund>;

/// How it came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = PaymentMethod)]
pub enum Method {
    /// Recorded by hand.
    Transfer,
    /// The built-in gateway, which moves no money.
    Trial,
    Stripe,
}

impl Method {
    pub fn as_str(self) -> &'static str {
        match self {
            Method::Transfer => "transfer",
            Method::Trial => "trial",
            Method::Stripe => "stripe",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payment {
    pub id: PaymentId,
    pub user_id: UserId,
    pub currency: Currency,
    pub amount_minor: i64,
    /// What the gateway kept of it.
    pub fee_minor: i64,
    pub refunded_minor: i64,
    pub method: Method,
    /// What the payer wrote.
    pub reference: Option<String>,
    /// Its name at the gateway.
    pub gateway_ref: Option<String>,
    pub received_on: Date,
    pub created_at: Time,
}

/// What of a payment paid an invoice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allocation {
    pub payment: PaymentId,
    pub invoice: InvoiceId,
    pub amount_minor: i64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refund {
    pub id: RefundId,
    pub payment_id: PaymentId,
    pub amount_minor: i64,
    pub reason: Option<String>,
    pub gateway_ref: Option<String>,
    pub created_at: Time,
}

/// A payment that has come in.
#[derive(Debug, Clone)]
pub struct NewPayment {
    pub user_id: UserId,
    pub currency: Currency,
    pub amount_minor: i64,
    pub fee_minor: i64,
    pub method: Method,
    pub reference: Option<String>,
    pub gateway_ref: Option<String>,
    /// Today where none is said.
    pub received_on: Option<Date>,
    /// What it was for, where that is known; else it pays what has been open for longest.
    pub invoice: Option<InvoiceId>,
}
