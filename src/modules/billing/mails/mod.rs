//! The mails that billing sends: asked for in the transaction of what happened, written by a job, since billing itself
//! knows nobody's address.

use askama::Template;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::Billing;
use super::invoices::document::{BankAccount, Document, Kind as DocumentKind};
use super::invoices::{Invoice, InvoiceId, State};
use crate::platform::Platform;
use crate::platform::db::UnitOfWork;
use crate::platform::error::Result;
use crate::platform::jobs::{self, Kind, Order, Payload, Priority, Record, Run};
use crate::platform::mail::{Content, Recipient};
use crate::platform::money::Money;

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
    facts: &'a Facts<'a>,
}

#[derive(Template)]
#[template(path = "modules/billing/mails/templates/mail.html", config = "src/askama.toml")]
struct Html<'a> {
    subject: &'a str,
    facts: &'a Facts<'a>,
}

struct Facts<'a> {
    about: &'a About,
    name: &'a str,
    seller: &'a str,
    /// `invoice INV-2026-000001`
    label: String,
    is_credit_note: bool,
    /// All of it.
    total: Money,
    /// What is left to pay.
    due: Money,
    due_on: Option<Date>,
    /// Where to pay to, of those who pay by transfer.
    bank: Option<&'a BankAccount>,
    is_charged: bool,
    link: String,
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
        let is_charged = self.details(work, invoice.user_id)?.gateway.is_some();
        let path = self.invoice_path(&platform.database.unit().secret, id);
        let link = format!("{}{path}", platform.origin);
        let content = content(&to, &invoice, &document, about, is_charged, link)?;
        platform.mailer.send(work, &to, &content, work.now().plus_seconds(KEPT_S)).map(drop)
    }
}

fn content(
    to: &Recipient,
    invoice: &Invoice,
    document: &Document,
    about: &About,
    is_charged: bool,
    link: String,
) -> Result<Content> {
    let seller = &document.seller.name;
    let is_credit_note = invoice.kind == DocumentKind::CreditNote;
    let label = invoice.label();
    let subject = match about {
        About::Issued => format!("{} from {seller}", capital(&label)),
        About::Declined { .. } => format!("We could not charge {label}"),
        About::Reminder { .. } => format!("Reminder: {label} is overdue"),
        About::GivenUp => format!("{} was not paid", capital(&label)),
    };
    let facts = Facts {
        about,
        name: &to.name,
        seller,
        is_credit_note,
        total: Money::new(invoice.gross_minor, invoice.currency),
        due: Money::new(invoice.due_minor, invoice.currency),
        due_on: invoice.due_on,
        bank: document.bank.as_ref().filter(|_| !is_charged && invoice.due_minor > 0 && *about != About::GivenUp),
        is_charged,
        link,
        label,
    };
    Content::render(subject.clone(), &Text { facts: &facts }, &Html { subject: &subject, facts: &facts })
}

fn capital(label: &str) -> String {
    let mut chars = label.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
