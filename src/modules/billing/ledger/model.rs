//! Double entry: what each document posts. Pure.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::platform::clock::Time;
use crate::platform::error::{Error, Result};
use crate::platform::ids::{Id, UserId};
use crate::platform::money::{self, Currency};

pub type EntryId = Id<Entry>;

/// The accounts of the books, one set for each currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = LedgerAccount)]
pub enum Account {
    /// What people owe us.
    Receivable,
    /// What we hold of theirs.
    Credit,
    Cash,
    /// What the gateways keep.
    Fees,
    Tax,
    /// Invoiced for days to come.
    DeferredRevenue,
    Revenue,
    /// Owed to us, and given up.
    WriteOff,
}

impl Account {
    pub const ALL: [Account; 8] = [
        Account::Receivable,
        Account::Credit,
        Account::Cash,
        Account::Fees,
        Account::Tax,
        Account::DeferredRevenue,
        Account::Revenue,
        Account::WriteOff,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Account::Receivable => "receivable",
            Account::Credit => "credit",
            Account::Cash => "cash",
            Account::Fees => "fees",
            Account::Tax => "tax",
            Account::DeferredRevenue => "deferred_revenue",
            Account::Revenue => "revenue",
            Account::WriteOff => "write_off",
        }
    }
}

/// What made an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = LedgerEntryKind)]
pub enum Cause {
    Invoice,
    CreditNote,
    Payment,
    Refund,
    Void,
    WriteOff,
    /// Deferred revenue of days that have passed.
    Recognition,
}

impl Cause {
    pub fn as_str(self) -> &'static str {
        match self {
            Cause::Invoice => "invoice",
            Cause::CreditNote => "credit_note",
            Cause::Payment => "payment",
            Cause::Refund => "refund",
            Cause::Void => "void",
            Cause::WriteOff => "write_off",
            Cause::Recognition => "recognition",
        }
    }
}

/// What is to be posted.
#[derive(Debug, Clone)]
pub struct Posting {
    pub currency: Currency,
    /// The day on which it counts.
    pub day: Date,
    pub cause: Cause,
    /// What it is about: an invoice, a payment.
    pub document: Option<uuid::Uuid>,
    pub user: Option<UserId>,
    pub memo: String,
    lines: Vec<(Account, i64)>,
}

impl Posting {
    pub fn new(currency: Currency, day: Date, cause: Cause, memo: impl Into<String>) -> Posting {
        Posting { currency, day, cause, document: None, user: None, memo: memo.into(), lines: Vec::new() }
    }

    pub fn about(self, document: uuid::Uuid, user: UserId) -> Posting {
        Posting { document: Some(document), user: Some(user), ..self }
    }

    pub fn debit(mut self, account: Account, amount_minor: i64) -> Posting {
        self.lines.push((account, amount_minor));
        self
    }

    pub fn credit(self, account: Account, amount_minor: i64) -> Posting {
        self.debit(account, -amount_minor)
    }

    /// One line for each account that is moved: debits positive, credits negative.
    ///
    /// # Errors
    /// If they don't sum to zero, which is a fault of ours.
    pub fn lines(&self) -> Result<Vec<(Account, i64)>> {
        let mut lines = Vec::new();
        for account in Account::ALL {
            let of = self.lines.iter().filter(|(of, _)| *of == account).map(|(_, amount)| *amount);
            let amount = money::sum(of)?;
            if amount != 0 {
                lines.push((account, amount));
            }
        }
        match money::sum(lines.iter().map(|(_, amount)| *amount))? {
            0 => Ok(lines),
            off => Err(Error::Internal(format!("an entry for {} does not balance: {off} too much", self.memo))),
        }
    }
}

/// A posted entry.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub id: EntryId,
    pub currency: Currency,
    pub day: Date,
    pub cause: Cause,
    pub document: Option<uuid::Uuid>,
    pub user: Option<UserId>,
    pub memo: String,
    pub created_at: Time,
    /// Debits positive, credits negative.
    pub lines: Vec<(Account, i64)>,
}

/// What an account of one currency comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Balance {
    pub currency: Currency,
    pub account: Account,
    pub debit_minor: i64,
    pub credit_minor: i64,
}

impl Balance {
    /// Debits less credits.
    pub fn minor(&self) -> i64 {
        self.debit_minor - self.credit_minor
    }
}
