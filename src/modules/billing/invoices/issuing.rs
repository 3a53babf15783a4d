//! From a draft to a number, and what becomes of it then.

use jiff::ToSpan;

use super::document::{Document, Kind, Period, Preceding};
use super::model::{Draft, Invoice, InvoiceId, Issued, State};
use super::revenue::revenue_of;
use super::{InvoiceRepository, totals};
use crate::modules::billing::events::EventType;
use crate::modules::billing::ledger::{Account, Cause, Posting};
use crate::modules::billing::model::{Details, Settings};
use crate::modules::billing::{Billing, Owner, record_about};
use crate::platform::db::{Snapshot, UnitOfWork};
use crate::platform::error::{Error, Result};

/// Lines of one invoice, at most.
const MAX_LINES: usize = 1000;

impl Billing {
    /// What a draft would say if it were issued now, without a number: the same that [`Billing::issue`] makes of it.
    ///
    /// # Errors
    /// If it has no lines, or amounts are out of range; [`Error::Conflict`] if it is in another currency than the account.
    pub fn preview(&self, snapshot: &Snapshot<'_>, details: &Details, draft: &mut Draft) -> Result<Document> {
        let (settings, _) = self.settings(snapshot)?;
        self.compose(snapshot, &settings, details, draft)
    }

    fn compose(
        &self,
        snapshot: &Snapshot<'_>,
        settings: &Settings,
        details: &Details,
        draft: &mut Draft,
    ) -> Result<Document> {
        if draft.lines.is_empty() || draft.lines.len() > MAX_LINES {
            return Err(Error::invalid("lines", format!("from 1 to {MAX_LINES}")));
        }
        if draft.currency != details.account.currency {
            let currency = details.account.currency;
            return Err(Error::conflict("currency", format!("this account is billed in {currency}, and in no other")));
        }
        let today = details.today(snapshot.now());
        let mut lines: Vec<_> = draft.lines.iter().map(|own| own.line.clone()).collect();
        let sums = totals::add_up(&mut lines, draft.discount.as_ref())?;
        for (own, line) in draft.lines.iter_mut().zip(&lines) {
            own.line.net_minor = line.net_minor;
        }
        let mut totals = sums.totals;
        if totals.gross_minor < 0 {
            return Err(Error::invalid("lines", "they give more back than they charge: make a credit note"));
        }
        let preceding = match draft.credits {
            Some(id) => {
                let credited = self.invoice(snapshot, id)?;
                credited.number.zip(credited.issued_on).map(|(number, issued_on)| Preceding { number, issued_on })
            }
            None => None,
        };
        let due_on = match draft.kind {
            Kind::Invoice => {
                totals.prepaid_minor = details.credit_minor.min(totals.gross_minor);
                totals.due_minor = totals.gross_minor - totals.prepaid_minor;
                let terms = details.payment_terms_days.unwrap_or(settings.payment_terms_days);
                Some(today.checked_add(i64::from(terms).days()).map_err(|e| Error::internal("counting days", e))?)
            }
            Kind::CreditNote => None,
        };
        let periods = || lines.iter().filter_map(|line| line.period);
        let period = periods().map(|p| p.from).min().zip(periods().map(|p| p.until).max());
        Ok(Document {
            kind: draft.kind,
            language: Some(settings.language_of(details)),
            number: String::new(),
            issued_on: today,
            due_on,
            currency: draft.currency,
            seller: settings.seller.clone(),
            buyer: details.party(),
            bank: settings.bank.clone(),
            credits: preceding,
            period: period.map(|(from, until)| Period { from, until }),
            note: draft.note.clone(),
            lines,
            discounts: sums.discounts,
            taxes: sums.taxes,
            totals,
        })
    }

    /// Gives a draft its number, and posts what it is about. From here on it never changes.
    ///
    /// # Errors
    /// As [`Billing::preview`].
    pub(in crate::modules::billing) fn issue(
        &self,
        work: &UnitOfWork<'_>,
        id: InvoiceId,
        details: &mut Details,
        mut draft: Draft,
    ) -> Result<Issued> {
        let tables = work.tables(Owner(()));
        let (settings, _) = self.settings(work)?;
        let mut document = self.compose(work, &settings, details, &mut draft)?;
        let prefix = match draft.kind {
            Kind::Invoice => &settings.invoice_series,
            Kind::CreditNote => &settings.credit_note_series,
        };
        let series = format!("{prefix}-{}", document.issued_on.year());
        document.number = format!("{series}-{:06}", tables.take_number(&series)?);
        let totals = document.totals;
        let is_settled = draft.kind == Kind::CreditNote || totals.due_minor == 0;
        let invoice = Invoice {
            id,
            kind: draft.kind,
            user_id: draft.user_id,
            subscription_id: draft.subscription_id,
            credits: draft.credits,
            state: if is_settled { State::Paid } else { State::Open },
            currency: draft.currency,
            discount: draft.discount.clone(),
            note: draft.note.clone(),
            number: Some(document.number.clone()),
            issued_on: Some(document.issued_on),
            due_on: document.due_on,
            net_minor: totals.net_minor,
            tax_minor: totals.tax_minor,
            gross_minor: totals.gross_minor,
            due_minor: if draft.kind == Kind::CreditNote { 0 } else { totals.due_minor },
            credited_minor: 0,
            version: 1,
            created_at: work.now(),
            finalized_at: Some(work.now()),
            settled_at: is_settled.then(|| work.now()),
        };
        tables.insert_invoice(&invoice, draft.run_key.as_deref(), Some(&document), &draft.lines)?;
        match draft.kind {
            Kind::Invoice => self.post_invoice(work, details, &invoice, &document, &draft)?,
            Kind::CreditNote => self.post_credit_note(work, details, &invoice, &document, &draft)?,
        }
        record_about(work, "billing.invoice_issued", id, draft.user_id, None::<&()>, Some(&document.number))?;
        self.was_issued(work, details, &invoice)?;
        Ok(Issued { invoice, document })
    }

    fn post_invoice(
        &self,
        work: &UnitOfWork<'_>,
        details: &mut Details,
        invoice: &Invoice,
        document: &Document,
        draft: &Draft,
    ) -> Result<()> {
        let totals = document.totals;
        let at = (invoice.id, invoice.currency, document.issued_on);
        let revenue = revenue_of(&draft.lines, &document.discounts);
        let (deferred, earned) = self.note_revenue(work, at, &draft.lines, &revenue, 1)?;
        self.note_tax(work, document.issued_on, document, (&draft.lines, &revenue), 1)?;
        let posting = Posting::new(invoice.currency, document.issued_on, Cause::Invoice, invoice.label())
            .about(invoice.id.uuid(), invoice.user_id)
            .debit(Account::Receivable, totals.due_minor)
            .debit(Account::Credit, totals.prepaid_minor)
            .credit(Account::DeferredRevenue, deferred)
            .credit(Account::Revenue, earned)
            .credit(Account::Tax, totals.tax_minor);
        self.post(work, &posting)?;
        self.move_credit(work, details, -totals.prepaid_minor)
    }

    /// First it takes from what is left to pay of the invoice it credits; the rest is the account's.
    fn post_credit_note(
        &self,
        work: &UnitOfWork<'_>,
        details: &mut Details,
        note: &Invoice,
        document: &Document,
        draft: &Draft,
    ) -> Result<()> {
        let gross = document.totals.gross_minor;
        let mut taken = 0;
        if let Some(id) = draft.credits {
            let mut credited = self.invoice(work, id)?;
            let mut is_settled = false;
            if credited.credited_minor + gross > credited.gross_minor {
                let left = credited.gross_minor - credited.credited_minor;
                return Err(Error::conflict(
                    "lines",
                    format!("of {} only {left} minor units are left to be credited", credited.label()),
                ));
            }
            credited.credited_minor += gross;
            if credited.state == State::Open {
                taken = gross.min(credited.due_minor);
                credited.due_minor -= taken;
                is_settled = self.settle_if_paid(work, &mut credited);
            }
            let credited = self.put_invoice(work, credited)?;
            if is_settled {
                self.was_paid(work, &credited)?;
            }
        }
        let at = (note.id, note.currency, document.issued_on);
        let revenue = revenue_of(&draft.lines, &document.discounts);
        let (deferred, earned) = self.note_revenue(work, at, &draft.lines, &revenue, -1)?;
        self.note_tax(work, document.issued_on, document, (&draft.lines, &revenue), -1)?;
        let posting = Posting::new(note.currency, document.issued_on, Cause::CreditNote, note.label())
            .about(note.id.uuid(), note.user_id)
            .debit(Account::DeferredRevenue, -deferred)
            .debit(Account::Revenue, -earned)
            .debit(Account::Tax, document.totals.tax_minor)
            .credit(Account::Receivable, taken)
            .credit(Account::Credit, gross - taken);
        self.post(work, &posting)?;
        self.move_credit(work, details, gross - taken)
    }

    /// Gives back what was issued by mistake: its number stays, what it posted is undone.
    ///
    /// # Errors
    /// [`Error::Conflict`] unless it is open, and nothing of it is paid or credited.
    pub fn void_invoice(
        &self,
        work: &UnitOfWork<'_>,
        id: InvoiceId,
        check: impl FnOnce(&Invoice) -> Result<()>,
    ) -> Result<Invoice> {
        let mut invoice = self.invoice(work, id)?;
        check(&invoice)?;
        let document = self.document(work, id)?.ok_or_else(|| not_now("a draft is deleted, not voided"))?;
        let totals = document.totals;
        if invoice.state != State::Open || invoice.kind != Kind::Invoice {
            return Err(not_now(format!(
                "{} is {}: only what is open can be voided",
                invoice.label(),
                invoice.state.as_str()
            )));
        }
        if invoice.due_minor != totals.due_minor || invoice.credited_minor != 0 {
            return Err(not_now(format!("something of {} is paid or credited: make a credit note", invoice.label())));
        }
        let mut details = self.details(work, invoice.user_id)?;
        let today = details.today(work.now());
        let lines = self.invoice_lines(work, id)?;
        let revenue = revenue_of(&lines, &document.discounts);
        let (earned, open) = self.take_back_revenue(work, (id, invoice.currency, today), &lines, &revenue)?;
        let posting = Posting::new(invoice.currency, today, Cause::Void, format!("{} is void", invoice.label()))
            .about(id.uuid(), invoice.user_id)
            .credit(Account::Receivable, totals.due_minor)
            .credit(Account::Credit, totals.prepaid_minor)
            .debit(Account::DeferredRevenue, open)
            .debit(Account::Revenue, earned)
            .debit(Account::Tax, totals.tax_minor);
        self.post(work, &posting)?;
        self.note_tax(work, today, &document, (&lines, &revenue), -1)?;
        self.move_credit(work, &mut details, totals.prepaid_minor)?;
        let was = invoice.state;
        (invoice.state, invoice.due_minor, invoice.settled_at) = (State::Void, 0, Some(work.now()));
        let invoice = self.put_invoice(work, invoice)?;
        record_about(work, "billing.invoice_voided", id, invoice.user_id, Some(&was), Some(&invoice.state))?;
        self.tell_invoice(work, EventType::InvoiceVoided, &invoice)?;
        self.was_paid(work, &invoice)?;
        Ok(invoice)
    }

    /// Gives up on what is left to pay.
    ///
    /// # Errors
    /// [`Error::Conflict`] unless it is open.
    pub fn write_off(
        &self,
        work: &UnitOfWork<'_>,
        id: InvoiceId,
        check: impl FnOnce(&Invoice) -> Result<()>,
    ) -> Result<Invoice> {
        let mut invoice = self.invoice(work, id)?;
        check(&invoice)?;
        if invoice.state != State::Open {
            return Err(not_now(format!(
                "{} is {}: only what is open can be given up",
                invoice.label(),
                invoice.state.as_str()
            )));
        }
        let today = self.details(work, invoice.user_id)?.today(work.now());
        let posting =
            Posting::new(invoice.currency, today, Cause::WriteOff, format!("{} is uncollectible", invoice.label()))
                .about(id.uuid(), invoice.user_id)
                .debit(Account::WriteOff, invoice.due_minor)
                .credit(Account::Receivable, invoice.due_minor);
        self.post(work, &posting)?;
        let was = invoice.state;
        (invoice.state, invoice.settled_at) = (State::Uncollectible, Some(work.now()));
        let invoice = self.put_invoice(work, invoice)?;
        record_about(work, "billing.invoice_written_off", id, invoice.user_id, Some(&was), Some(&invoice.state))?;
        self.tell_invoice(work, EventType::InvoiceUncollectible, &invoice)?;
        Ok(invoice)
    }

    /// Adds a draft, or puts another in its place.
    pub fn put_draft(&self, work: &UnitOfWork<'_>, replaces: Option<InvoiceId>, mut draft: Draft) -> Result<Invoice> {
        let details = self.details(work, draft.user_id)?;
        let document = self.preview(work, &details, &mut draft)?;
        let tables = work.tables(Owner(()));
        let (mut id, mut version, mut created_at) = (work.new_id(), 1, work.now());
        if let Some(before) = replaces {
            let before = self.must_be_draft(work, before)?;
            tables.delete_draft(before.id)?;
            (id, version, created_at) = (before.id, before.version + 1, before.created_at);
        }
        let invoice = Invoice {
            id,
            kind: draft.kind,
            user_id: draft.user_id,
            subscription_id: draft.subscription_id,
            credits: draft.credits,
            state: State::Draft,
            currency: draft.currency,
            discount: draft.discount.clone(),
            note: draft.note.clone(),
            number: None,
            issued_on: None,
            due_on: None,
            net_minor: document.totals.net_minor,
            tax_minor: document.totals.tax_minor,
            gross_minor: document.totals.gross_minor,
            due_minor: document.totals.due_minor,
            credited_minor: 0,
            version,
            created_at,
            finalized_at: None,
            settled_at: None,
        };
        tables.insert_invoice(&invoice, None, None, &draft.lines)?;
        work.concerns(invoice.user_id);
        Ok(invoice)
    }

    /// Gives a draft its number.
    ///
    /// # Errors
    /// [`Error::Conflict`] if it has one.
    pub fn finalize(
        &self,
        work: &UnitOfWork<'_>,
        id: InvoiceId,
        check: impl FnOnce(&Invoice) -> Result<()>,
    ) -> Result<Issued> {
        let before = self.must_be_draft(work, id)?;
        check(&before)?;
        let draft = self.draft_of(work, &before)?;
        work.tables(Owner(())).delete_draft(id)?;
        let mut details = self.details(work, before.user_id)?;
        self.issue(work, id, &mut details, draft)
    }

    /// A draft as it is kept, to be previewed or issued.
    pub fn draft_of(&self, snapshot: &Snapshot<'_>, invoice: &Invoice) -> Result<Draft> {
        Ok(Draft {
            kind: invoice.kind,
            user_id: invoice.user_id,
            subscription_id: invoice.subscription_id,
            credits: invoice.credits,
            run_key: None,
            currency: invoice.currency,
            discount: invoice.discount.clone(),
            note: invoice.note.clone(),
            lines: self.invoice_lines(snapshot, invoice.id)?,
        })
    }

    pub fn delete_draft(&self, work: &UnitOfWork<'_>, id: InvoiceId) -> Result<()> {
        self.must_be_draft(work, id)?;
        work.tables(Owner(())).delete_draft(id)
    }

    fn must_be_draft(&self, work: &UnitOfWork<'_>, id: InvoiceId) -> Result<Invoice> {
        let invoice = self.invoice(work, id)?;
        match invoice.state {
            State::Draft => Ok(invoice),
            _ => Err(not_now(format!("{} has its number, and never changes", invoice.label()))),
        }
    }

    /// Writes what became of an invoice.
    pub(in crate::modules::billing) fn put_invoice(
        &self,
        work: &UnitOfWork<'_>,
        mut invoice: Invoice,
    ) -> Result<Invoice> {
        invoice.version += 1;
        work.tables(Owner(())).update_invoice(&invoice)?;
        Ok(invoice)
    }

    /// Whether nothing is left to pay of it any more.
    pub(in crate::modules::billing) fn settle_if_paid(&self, work: &UnitOfWork<'_>, invoice: &mut Invoice) -> bool {
        let is_paid = invoice.due_minor == 0;
        if is_paid {
            (invoice.state, invoice.settled_at) = (State::Paid, Some(work.now()));
        }
        is_paid
    }

    /// Adds to what we hold of an account's, or takes from it.
    pub(in crate::modules::billing) fn move_credit(
        &self,
        work: &UnitOfWork<'_>,
        details: &mut Details,
        by_minor: i64,
    ) -> Result<()> {
        if by_minor == 0 {
            return Ok(());
        }
        details.credit_minor = crate::platform::money::sum([details.credit_minor, by_minor])?;
        self.put_details(work, details)
    }
}

/// The error of what can't be done in the state that an invoice is in.
pub(in crate::modules::billing) fn not_now(why: impl Into<String>) -> Error {
    Error::conflict("state", why)
}
