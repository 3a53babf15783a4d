//! What follows upon what has happened: whoever is paid goes on.

use super::Billing;
use super::invoices::{Filter, Invoice};
use crate::platform::db::UnitOfWork;
use crate::platform::error::Result;

/// Open invoices of one subscription that are looked at.
const AT_ONCE: u32 = 100;

impl Billing {
    /// An invoice has been paid, or needs not be any more: its subscription is well again, unless another one is overdue.
    pub(super) fn was_paid(&self, work: &UnitOfWork<'_>, invoice: &Invoice) -> Result<()> {
        let Some(id) = invoice.subscription_id else { return Ok(()) };
        let today = self.details(work, invoice.user_id)?.today(work.now());
        let overdue = Filter { subscription: Some(id), overdue_on: Some(today), ..Filter::default() };
        match self.invoices(work, &overdue, None, AT_ONCE)?.is_empty() {
            true => self.set_past_due(work, id, false),
            false => Ok(()),
        }
    }
}
