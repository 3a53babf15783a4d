//! What is asked of gateways, and what they answer. Pure.

use crate::modules::billing::invoices::InvoiceId;
use crate::platform::ids::UserId;
use crate::platform::money::Currency;

/// An attempt to be paid an invoice.
#[derive(Debug, Clone)]
pub struct Charge {
    /// The same for the same attempt, however often it is asked for.
    pub key: String,
    /// Who they are at the gateway.
    pub customer: Option<String>,
    pub user: UserId,
    pub invoice: InvoiceId,
    pub label: String,
    pub attempt: u32,
    pub amount_minor: i64,
    pub currency: Currency,
}

#[derive(Debug, Clone)]
pub enum Charged {
    Paid(Receipt),
    /// The gateway will tell.
    Pending,
    Declined(Declined),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declined {
    /// For people.
    pub why: String,
    /// It is no use to try again.
    pub is_hard: bool,
}

/// Money that a gateway has taken for us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    pub gateway_ref: String,
    pub amount_minor: i64,
    pub currency: Currency,
    /// What it keeps of it.
    pub fee_minor: i64,
}

/// A part of a payment that is given back.
#[derive(Debug, Clone)]
pub struct SendBack {
    pub key: String,
    /// Our name for it.
    pub refund: String,
    /// The payment's name at the gateway.
    pub gateway_ref: String,
    pub amount_minor: i64,
    pub currency: Currency,
}

/// What a person is to do on a page of the gateway's.
#[derive(Debug, Clone)]
pub struct Checkout {
    pub user: UserId,
    pub customer: Option<String>,
    pub label: String,
    /// What they pay; none where they only leave a card.
    pub invoice: Option<InvoiceId>,
    pub amount_minor: i64,
    pub currency: Currency,
    /// Where they come back to.
    pub back: String,
}

/// Why a gateway gave no answer.
#[derive(Debug, Clone)]
pub enum Trouble {
    Later(String),
    Never(String),
}

impl Trouble {
    pub fn why(self) -> String {
        match self {
            Trouble::Later(why) | Trouble::Never(why) => why,
        }
    }
}
