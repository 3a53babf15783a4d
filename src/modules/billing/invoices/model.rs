//! An invoice or credit note, and what becomes of it. Pure.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::document::{Document, Kind, Line};
use super::totals::WantedDiscount;
use crate::modules::billing::catalogue::TaxRateId;
use crate::modules::billing::subscriptions::SubscriptionId;
use crate::platform::clock::Time;
use crate::platform::ids::{Id, UserId};
use crate::platform::money::Currency;

pub type InvoiceId = Id<Invoice>;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = InvoiceState)]
pub enum State {
    /// It has no number yet, and may change.
    Draft,
    Open,
    /// Nothing is left to pay: paid, or settled by credit.
    Paid,
    /// It was a mistake; its number stays.
    Void,
    /// Nobody expects it to be paid any more.
    Uncollectible,
}

impl State {
    pub fn as_str(self) -> &'static str {
        match self {
            State::Draft => "draft",
            State::Open => "open",
            State::Paid => "paid",
            State::Void => "void",
            State::Uncollectible => "uncollectible",
        }
    }
}

/// A line with what only we know of it.
#[derive(Debug, Clone, PartialEq)]
pub struct OwnLine {
    pub line: Line,
    pub tax_rate_id: TaxRateId,
    /// Of the price, where it is one's.
    pub plan: Option<String>,
}

/// An invoice or credit note as it is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Invoice {
    pub id: InvoiceId,
    pub kind: Kind,
    pub user_id: UserId,
    pub subscription_id: Option<SubscriptionId>,
    /// The invoice that a credit note credits.
    pub credits: Option<InvoiceId>,
    pub state: State,
    pub currency: Currency,
    pub discount: Option<WantedDiscount>,
    pub note: Option<String>,
    pub number: Option<String>,
    pub issued_on: Option<Date>,
    pub due_on: Option<Date>,
    pub net_minor: i64,
    pub tax_minor: i64,
    pub gross_minor: i64,
    /// What is left to pay.
    pub due_minor: i64,
    /// By credit notes.
    pub credited_minor: i64,
    pub version: i64,
    pub created_at: Time,
    pub finalized_at: Option<Time>,
    pub settled_at: Option<Time>,
}

/// What is to become an invoice or a credit note.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    pub kind: Kind,
    pub user_id: UserId,
    pub subscription_id: Option<SubscriptionId>,
    pub credits: Option<InvoiceId>,
    /// Of what the billing run makes, so that it makes each once.
    pub run_key: Option<String>,
    pub currency: Currency,
    pub discount: Option<WantedDiscount>,
    pub note: Option<String>,
    pub lines: Vec<OwnLine>,
}

/// A finalised one, whole.
#[derive(Debug, Clone, PartialEq)]
pub struct Issued {
    pub invoice: Invoice,
    pub document: Document,
}

impl Invoice {
    /// How it is called in messages.
    pub fn label(&self) -> String {
        let what = match self.kind {
            Kind::Invoice => "invoice",
            Kind::CreditNote => "credit note",
        };
        self.number.as_ref().map_or_else(|| format!("a draft {what}"), |number| format!("{what} {number}"))
    }

    /// Whether it should have been paid by `today`.
    pub fn is_overdue(&self, today: Date) -> bool {
        self.state == State::Open && self.kind == Kind::Invoice && self.due_on.is_some_and(|due| due < today)
    }
}

impl Kind {
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Invoice => "invoice",
            Kind::CreditNote => "credit_note",
        }
    }
}
