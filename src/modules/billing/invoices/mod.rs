//! Invoices and credit notes: what is owed and why.

pub mod document;
mod drafting;
mod issuing;
mod model;
mod pdf;
mod repository;
mod revenue;
#[cfg(test)]
mod samples;
mod sqlite;
pub mod totals;
mod ubl;

pub use drafting::{Content, CreditedLine, NewCreditNote, NewDiscount, NewLine};
pub(super) use issuing::not_now;
pub use model::{Draft, Invoice, InvoiceId, Issued, OwnLine, State};
pub use repository::Filter;
pub(super) use repository::{Deferral, InvoiceRepository};

use super::{Billing, Owner};
use crate::platform::db::Snapshot;
use crate::platform::error::{Error, Result};
use document::Document;

impl Billing {
    /// One invoice or credit note; [`Error::NotFound`] if there is none.
    pub fn invoice(&self, snapshot: &Snapshot<'_>, id: InvoiceId) -> Result<Invoice> {
        snapshot.tables(Owner(())).find_invoice(id)?.ok_or(Error::NotFound("invoice"))
    }

    /// The one with this number, where there is one.
    pub fn invoice_numbered(&self, snapshot: &Snapshot<'_>, number: &str) -> Result<Option<Invoice>> {
        snapshot.tables(Owner(())).find_by_number(number)
    }

    pub fn invoice_lines(&self, snapshot: &Snapshot<'_>, id: InvoiceId) -> Result<Vec<OwnLine>> {
        snapshot.tables(Owner(())).list_lines(id)
    }

    /// What it says; none of a draft.
    pub fn document(&self, snapshot: &Snapshot<'_>, id: InvoiceId) -> Result<Option<Document>> {
        snapshot.tables(Owner(())).find_document(id)
    }

    /// Before `before`, newest first.
    pub fn invoices(
        &self,
        snapshot: &Snapshot<'_>,
        filter: &Filter,
        before: Option<InvoiceId>,
        limit: u32,
    ) -> Result<Vec<Invoice>> {
        snapshot.tables(Owner(())).list_invoices(filter, before, limit)
    }
}

impl Document {
    /// The document to print: the same bytes each time.
    pub fn to_pdf(&self) -> Result<Vec<u8>> {
        pdf::write(self)
    }

    /// The document for machines: UBL 2.1 as EN 16931 has it.
    ///
    /// # Errors
    /// [`Error::Invalid`] with every field that the standard wants and the document lacks.
    pub fn to_xml(&self) -> Result<Vec<u8>> {
        ubl::write(self)
    }
}
