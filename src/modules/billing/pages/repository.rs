//! What only the pages ask of billing's tables: sums, and accounts by name.

use crate::modules::billing::InvoiceState;
use crate::modules::billing::overdue::Days;
use crate::platform::error::Result;
use crate::platform::ids::UserId;
use crate::platform::money::Currency;

/// What invoices of one currency come to; credit notes count against them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sum {
    pub currency: Currency,
    pub count: u64,
    pub net_minor: i64,
    pub gross_minor: i64,
    pub due_minor: i64,
}

/// What is left to pay of invoices of one currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Owed {
    pub currency: Currency,
    pub count: u64,
    pub due_minor: i64,
}

pub(super) trait ConsoleRepository {
    /// By currency; of all persons, in a state, or else all but drafts and what is void.
    fn sum_invoices(&self, state: Option<InvoiceState>) -> Result<Vec<Sum>>;
    /// As [`ConsoleRepository::sum_invoices`], of what is overdue.
    fn sum_overdue(&self, days: &Days) -> Result<Vec<Sum>>;
    /// What is open, by currency.
    fn sum_open(&self) -> Result<Vec<Owed>>;
    /// What is overdue, by currency.
    fn sum_late(&self, days: &Days) -> Result<Vec<Owed>>;
    /// The monthly recurring revenue, by currency.
    fn sum_monthly(&self) -> Result<Vec<(Currency, i64)>>;
    /// Accounts before `before`, newest first; those whose name has `q` in it, without regard to case.
    fn search_accounts(&self, q: &str, before: Option<UserId>, limit: u32) -> Result<Vec<UserId>>;
}
