//! The mails that billing sends: asked for in the transaction of what happened, written by a job, since billing itself
//! knows nobody's address.

use askama::Template;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::Billing;
use super::invoices::document::{BankAccount, Document, Kind as DocumentKind};
use super::invoices::{Invoice, InvoiceId, State};
use super::languages::Words;
use crate::platform::Platform;
use crate::platform::db::UnitOfWork;
use crate::platform::error::Result;
use crate::platform::jobs::{self, Kind, Order, Payload, Priority, Record, Run};
use crate::platform::mail::{Content, Recipient};

/// What a mail says is kept for so long.
const KEPT_S: i64 = 30 * 24 * 60 * 60;

/// Why somebody is written to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum About {
    Issued,
    /// Their gateway declined; it is tried again on that day, if it is.
    Declined {
        why: String,
        again_on: Option<Date>,
    },
    /// It is overdue; the `step`th reminder of so many.
    Reminder {
        step: usize,
        of: usize,
    },
    /// It was not paid, and what it was for has ended.
    GivenUp,
}

/// Writes a mail about an invoice.
#[derive(Serialize, Deserialize)]
struct Write {
    invoice: uuid::Uuid,
    about: About,
}

impl Payload for Write {
    const KIND: &'static str = "billing.mail";
}

/// The part for programs that show no HTML.
#[derive(Template)]
#[template(path = "modules/billing/mails/templates/mail.txt", config = "src/askama.toml")]
struct Text<'a> {
    letter: &'a Letter<'a>,
}

#[derive(Template)]
#[template(path = "modules/billing/mails/templates/mail.html", config = "src/askama.toml")]
struct Html<'a> {
    subject: &'a str,
    letter: &'a Letter<'a>,
}

/// A mail in its reader's language.
struct Letter<'a> {
    words: &'static Words,
    name: &'a str,
    sentences: Vec<String>,
    /// Where to pay to, of those who pay by transfer: names and values.
    bank: Vec<(&'static str, String)>,
    see: &'static str,
    link: String,
    seller: &'a str,
}

pub(super) fn jobs(platform: &Platform) -> Vec<Kind> {
    let platform = platform.clone();
    let write = Kind::new(move |_: &Run, Write { invoice, about }| {
        let platform = platform.clone();
        let id = InvoiceId::from_uuid(invoice);
        Ok(Record::new(move |work| Billing.write_mail(work, &platform, id, &about)))
    });
    vec![write]
}

impl Billing {
    /// Has a mail about an invoice written.
    pub(super) fn notify(&self, work: &UnitOfWork<'_>, invoice: &Invoice, about: About) -> Result<()> {
        let priority = if about == About::Issued { Priority::Bulk } else { Priority::Normal };
        let order = Order { priority, person: Some(invoice.user_id), ..Order::default() };
        jobs::enqueue_with(work, &Write { invoice: invoice.id.uuid(), about }, order).map(drop)
    }

    /// Filling a template takes microseconds, so it may stand in a unit of work; there the mail and the end of its job are one.
    fn write_mail(&self, work: &UnitOfWork<'_>, platform: &Platform, id: InvoiceId, about: &About) -> Result<()> {
        let invoice = self.invoice(work, id)?;
        // They have paid since: a mail that asks for money would be wrong.
        let is_settled = matches!(invoice.state, State::Paid | State::Void);
        if is_settled && matches!(about, About::Declined { .. } | About::Reminder { .. }) {
            return Ok(());
        }
        let (Some(to), Some(document)) = ((platform.recipient)(work, invoice.user_id)?, self.document(work, id)?)
        else {
            return Ok(());
        };
        let details = self.details(work, invoice.user_id)?;
        let words = self.language_of(work, &details)?.words();
        let path = self.invoice_path(&platform.database.unit().secret, id);
        let link = format!("{}{path}", platform.origin);
        let content = content(words, &to, &invoice, &document, about, details.gateway.is_some(), link)?;
        platform.mailer.send(work, &to, &content, work.now().plus_seconds(KEPT_S)).map(drop)
    }
}

fn content(
    words: &'static Words,
    to: &Recipient,
    invoice: &Invoice,
    document: &Document,
    about: &About,
    is_charged: bool,
    link: String,
) -> Result<Content> {
    let (said, number, seller) = (&words.mail, &document.number, &document.seller.name);
    let is_credit_note = invoice.kind == DocumentKind::CreditNote;
    let total = words.money(invoice.gross_minor, invoice.currency);
    let due = words.money(invoice.due_minor, invoice.currency);
    let subject = match about {
        About::Issued => (said.issued_subject)(words.kind(invoice.kind), number, seller),
        About::Declined { .. } => (said.declined_subject)(number),
        About::Reminder { .. } => (said.reminder_subject)(number),
        About::GivenUp => (said.given_up_subject)(number),
    };
    let sentences = match about {
        About::Issued if is_credit_note => vec![(said.here_is_credit_note)(number, &total)],
        About::Issued => {
            let mut sentences = vec![(said.here_is_invoice)(number, &total)];
            match invoice.due_on {
                _ if invoice.due_minor == 0 => sentences.push(said.nothing_left.to_owned()),
                _ if is_charged => sentences.push((said.will_charge)(&due)),
                Some(day) => sentences.push((said.please_pay)(&due, &words.day(day))),
                None => {}
            }
            sentences
        }
        About::Declined { why, again_on } => vec![
            (said.could_not_charge)(&due, number),
            (said.why)(why.trim_end_matches('.')),
            again_on.map_or_else(|| said.pay_otherwise.to_owned(), |day| (said.again_on)(&words.day(day))),
        ],
        About::Reminder { step, of } => vec![(said.overdue)(number, &due), (said.nth_reminder)(*step, *of)],
        About::GivenUp => vec![(said.given_up)(number), said.subscription_ended.to_owned()],
    };
    let is_asked_for = !is_charged && invoice.due_minor > 0 && *about != About::GivenUp;
    let letter = Letter {
        words,
        name: &to.name,
        sentences,
        bank: document
            .bank
            .as_ref()
            .filter(|_| is_asked_for)
            .map_or_else(Vec::new, |bank| pay_to(words, bank, document)),
        see: if is_credit_note { said.see_credit_note } else { said.see_invoice },
        link,
        seller,
    };
    Content::render(subject.clone(), &Text { letter: &letter }, &Html { subject: &subject, letter: &letter })
}

fn pay_to(words: &'static Words, bank: &BankAccount, document: &Document) -> Vec<(&'static str, String)> {
    let said = &words.document;
    let mut all = vec![(said.account_holder, bank.holder.clone().unwrap_or_else(|| document.seller.name.clone()))];
    all.push(("IBAN", bank.iban.clone()));
    all.extend(bank.bic.clone().map(|bic| ("BIC", bic)));
    all.push((said.reference, document.number.clone()));
    all
}
