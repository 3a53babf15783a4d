//! What follows upon what has happened: what is issued is told, mailed and charged, and whoever has paid goes on.

use super::dunning::DunningRepository;
use super::events::EventType;
use super::invoices::document::Kind;
use super::invoices::{Filter, Invoice, State};
use super::mails::About;
use super::model::Details;
use super::{Billing, Owner};
use crate::platform::db::UnitOfWork;
use crate::platform::error::Result;

/// Open invoices of one subscription that are looked at.
const AT_ONCE: u32 = 100;

impl Billing {
    /// An invoice or a credit note has its number.
    pub(super) fn was_issued(&self, work: &UnitOfWork<'_>, details: &Details, invoice: &Invoice) -> Result<()> {
        self.tell_invoice(work, EventType::InvoiceFinalized, invoice)?;
        if invoice.kind == Kind::Invoice && invoice.state == State::Paid {
            self.tell_invoice(work, EventType::InvoicePaid, invoice)?;
        }
        self.notify(work, invoice, About::Issued)?;
        self.begin_collecting(work, details, invoice)
    }

    /// An invoice has been paid, or needs not be any more: it is not collected, and its subscription is well again, unless
    /// another one is overdue.
    pub(super) fn was_paid(&self, work: &UnitOfWork<'_>, invoice: &Invoice) -> Result<()> {
        let tables = work.tables(Owner(()));
        tables.end_dunning(invoice.id, work.now())?;
        if invoice.state == State::Paid {
            self.tell_invoice(work, EventType::InvoicePaid, invoice)?;
        }
        let Some(id) = invoice.subscription_id else { return Ok(()) };
        let today = self.details(work, invoice.user_id)?.today(work.now());
        let overdue = Filter { subscription: Some(id), overdue_on: Some(today), ..Filter::default() };
        match self.invoices(work, &overdue, None, AT_ONCE)?.is_empty() && !tables.is_dunned(id)? {
            true => self.set_past_due(work, id, false),
            false => Ok(()),
        }
    }
}
