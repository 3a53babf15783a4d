//! What only the pages ask of billing's tables: sums, and accounts by name.

use jiff::civil::Date;

use crate::modules::billing::InvoiceFilter;
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

pub(super) trait ConsoleRepository {
    /// By currency; of all persons, in a state or overdue, or else all but drafts and what is void.
    fn sum_invoices(&self, filter: &InvoiceFilter) -> Result<Vec<Sum>>;
    /// What is open and due before `day`, by currency.
    fn sum_overdue(&self, day: Date) -> Result<Vec<Sum>>;
    /// The monthly recurring revenue, by currency.
    fn sum_monthly(&self) -> Result<Vec<(Currency, i64)>>;
    /// Accounts before `before`, newest first; those whose name has `q` in it, without regard to case.
    fn search_accounts(&self, q: &str, before: Option<UserId>, limit: u32) -> Result<Vec<UserId>>;
}
