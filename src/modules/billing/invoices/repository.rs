//! Where invoices are kept.

use jiff::civil::Date;

use super::document::{Document, Period};
use super::model::{Invoice, InvoiceId, OwnLine, State};
use crate::modules::billing::overdue::Days;
use crate::modules::billing::subscriptions::SubscriptionId;
use crate::platform::error::Result;
use crate::platform::ids::UserId;
use crate::platform::money::Currency;

/// Which invoices are listed.
#[derive(Debug, Clone, Copy, Default)]
pub struct Filter {
    pub user: Option<UserId>,
    pub subscription: Option<SubscriptionId>,
    pub state: Option<State>,
    /// Open, and due before this day.
    pub overdue_on: Option<Date>,
}

/// Revenue of a line that is recognised day by day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deferral {
    pub invoice: InvoiceId,
    pub position: u32,
    pub currency: Currency,
    pub plan: Option<String>,
    pub period: Period,
    /// Net; negative where it was credited.
    pub amount_minor: i64,
    pub recognized_minor: i64,
}

pub(in crate::modules::billing) trait InvoiceRepository {
    /// Adds one as it is, its lines first: once it has a number, none comes any more.
    fn insert_invoice(
        &self,
        invoice: &Invoice,
        run_key: Option<&str>,
        document: Option<&Document>,
        lines: &[OwnLine],
    ) -> Result<()>;
    /// Removes a draft with its lines.
    fn delete_draft(&self, id: InvoiceId) -> Result<()>;
    fn find_invoice(&self, id: InvoiceId) -> Result<Option<Invoice>>;
    fn find_by_number(&self, number: &str) -> Result<Option<Invoice>>;
    fn find_document(&self, id: InvoiceId) -> Result<Option<Document>>;
    fn list_lines(&self, id: InvoiceId) -> Result<Vec<OwnLine>>;
    fn find_line(&self, id: InvoiceId, position: u32) -> Result<Option<OwnLine>>;
    /// Before `before`, newest first.
    fn list_invoices(&self, filter: &Filter, before: Option<InvoiceId>, limit: u32) -> Result<Vec<Invoice>>;
    /// What is open and was due on the day before that of its account, before `before`, newest first.
    fn list_overdue(&self, days: &Days, before: Option<InvoiceId>, limit: u32) -> Result<Vec<Invoice>>;
    /// The credit notes of an invoice, oldest first.
    fn list_credit_notes(&self, invoice: InvoiceId) -> Result<Vec<InvoiceId>>;
    /// A person's invoices that are to be paid, oldest first.
    fn list_open(&self, user: UserId) -> Result<Vec<Invoice>>;
    /// What became of it: state, due, credited, when it was settled.
    fn update_invoice(&self, invoice: &Invoice) -> Result<()>;
    /// The next number of a series, which is given out by this.
    fn take_number(&self, series: &str) -> Result<i64>;

    fn insert_deferral(&self, deferral: &Deferral) -> Result<()>;
    fn list_deferrals(&self, invoice: InvoiceId) -> Result<Vec<Deferral>>;
    /// Those of which days before `today` are not recognised.
    fn list_due_deferrals(&self, today: Date, limit: u32) -> Result<Vec<Deferral>>;
    /// Says how much is recognised, and the first day that is not; none once all is.
    fn update_deferral(&self, deferral: &Deferral, next_day: Option<Date>) -> Result<()>;
    fn add_revenue(&self, currency: Currency, plan: &str, month: &str, amount_minor: i64) -> Result<()>;
}
