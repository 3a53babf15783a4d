//! The languages in which customers are spoken to: on invoices, credit notes, the page that a link shows, and in mails.
//! Pure.
//!
//! A language is a file that fills in [`Words`], so the compiler names what it does not say; it counts once [`ALL`] has it.

mod english;
mod figures;
mod french;
mod german;
mod spanish;
#[cfg(test)]
mod tests;

use std::str::FromStr;

use jiff::civil::Date;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};

use super::invoices::document::{Kind, Period, Preceding, Tax, TaxCategory, TaxSum};
use crate::platform::money::Currency;
pub use english::{CONSOLE, UNGROUPED};
pub use figures::{Figures, Place};

/// All that there are.
pub const ALL: [Language; 4] =
    [Language(&english::WORDS), Language(&german::WORDS), Language(&french::WORDS), Language(&spanish::WORDS)];

/// A language that customers are spoken to in.
#[derive(Clone, Copy)]
pub struct Language(&'static Words);

/// All that is said to customers.
pub struct Words {
    /// BCP 47, without a country.
    pub tag: &'static str,
    /// What its speakers call it.
    pub name: &'static str,
    pub figures: Figures,
    pub days: Days,
    /// `DE Germany`, a line for each country.
    ///
    /// Source: Unicode CLDR 47, <https://cldr.unicode.org>; its license lies beside them.
    pub countries: &'static str,
    /// Between a name and its value.
    pub colon: &'static str,
    pub document: DocumentWords,
    pub page: PageWords,
    pub mail: MailWords,
}

/// How days are written.
pub struct Days {
    pub months: [&'static str; 12],
    /// The day within its month.
    pub ordinal: fn(i8) -> String,
    /// Between day, month and year, which stay on one line.
    pub of: &'static str,
    /// From the first day to the last.
    pub span: fn(&str, &str) -> String,
}

/// What documents say, on paper and on pages.
pub struct DocumentWords {
    pub invoice: &'static str,
    pub credit_note: &'static str,
    /// Above the buyer.
    pub to: &'static str,
    pub vat_id: &'static str,
    pub tax_number: &'static str,
    pub number: &'static str,
    pub date: &'static str,
    pub due: &'static str,
    pub period: &'static str,
    /// Before the invoice that a credit note credits.
    pub credits: &'static str,
    /// That invoice's number and, on a line of its own, its day.
    pub number_of_day: fn(&str, &str) -> String,
    pub credited_to_you: &'static str,
    pub nothing_to_pay: &'static str,
    pub amount_due: &'static str,
    /// Until a day.
    pub pay_by: fn(&str) -> String,

    pub description: &'static str,
    pub quantity: &'static str,
    pub price: ByTax,
    pub amount: ByTax,
    /// Heads a column of amounts of a currency.
    pub amount_in: fn(&str, Option<bool>) -> String,
    pub tax: &'static str,
    /// In the tax column.
    pub exempt: &'static str,
    /// In the tax column.
    pub reverse_charged: &'static str,
    /// In the tax column, of a price that contains this rate beside others that don't.
    pub included: fn(&str) -> String,
    /// `3 seats`
    pub seats: fn(u32) -> String,
    /// So many days of a whole period.
    pub part_of_days: fn(i32, i32) -> String,
    /// What is given back of a line.
    pub unused: fn(&str) -> String,

    pub subtotal: &'static str,
    pub net: &'static str,
    pub total: &'static str,
    pub total_with_tax: &'static str,
    /// Of the total, a tax that is contained in it.
    pub of_which: fn(&str) -> String,
    /// Tax of a rate on a net amount.
    pub tax_on: fn(&str, &str) -> String,
    pub exempt_on: fn(&str) -> String,
    pub reverse_charge_on: fn(&str) -> String,
    /// What the law has an invoice say whose buyer owes the tax (Directive 2006/112/EC, Article 226 (11a)).
    pub reverse_charge: &'static str,
    pub already_paid: &'static str,
    pub already_given_back: &'static str,
    pub left_to_give_back: &'static str,

    pub pay_by_transfer: &'static str,
    pub account_holder: &'static str,
    pub reference: &'static str,
    pub notes: &'static str,
    /// Of a credit note, how it is settled.
    pub terms_of_credit: &'static str,
    pub page_of: fn(usize, usize) -> String,
    /// Of the XML that is attached.
    pub same_as_xml: &'static str,
}

/// A heading by whether the figures below contain tax.
pub struct ByTax {
    pub without: &'static str,
    pub with: &'static str,
    /// Some do and some don't.
    pub mixed: &'static str,
}

/// What the page of an invoice says beside the document.
pub struct PageWords {
    pub skip: &'static str,
    pub sign_in: &'static str,
    /// Above the seller.
    pub from: &'static str,
    /// Of the document, for those who don't see it.
    pub lines: &'static str,
    /// After an amount.
    pub to_pay: &'static str,
    /// After an amount, with the day.
    pub to_pay_by: fn(&str) -> String,
    pub is_void: &'static str,
    pub overdue: &'static str,
    /// Of credit notes.
    pub issued: &'static str,
    pub open: &'static str,
    pub paid: &'static str,
    pub void: &'static str,
    pub uncollectible: &'static str,
}

/// What mails about invoices say; sentences that follow the greeting begin as they do after it.
pub struct MailWords {
    /// Before and after the person's name.
    pub hello: (&'static str, &'static str),
    /// Subjects: `Invoice`, its number, the seller; else its number.
    pub issued_subject: fn(&str, &str, &str) -> String,
    pub declined_subject: fn(&str) -> String,
    pub reminder_subject: fn(&str) -> String,
    pub given_up_subject: fn(&str) -> String,
    /// Number and total.
    pub here_is_invoice: fn(&str, &str) -> String,
    pub here_is_credit_note: fn(&str, &str) -> String,
    pub nothing_left: &'static str,
    /// An amount, by the gateway.
    pub will_charge: fn(&str) -> String,
    /// An amount until a day.
    pub please_pay: fn(&str, &str) -> String,
    /// An amount of an invoice.
    pub could_not_charge: fn(&str, &str) -> String,
    /// In the gateway's words.
    pub why: fn(&str) -> String,
    pub again_on: fn(&str) -> String,
    pub pay_otherwise: &'static str,
    /// An invoice, and what is left to pay of it.
    pub overdue: fn(&str, &str) -> String,
    pub nth_reminder: fn(usize, usize) -> String,
    pub given_up: fn(&str) -> String,
    pub subscription_ended: &'static str,
    pub see_invoice: &'static str,
    pub see_credit_note: &'static str,
}

impl Language {
    pub fn words(self) -> &'static Words {
        self.0
    }

    /// The one that a tag asks for, by its first part: `de`, and so `de-AT`.
    pub fn of(tag: &str) -> Option<Language> {
        let first = tag.split('-').next().unwrap_or(tag);
        ALL.into_iter().find(|language| language.0.tag.eq_ignore_ascii_case(first))
    }
}

/// English.
impl Default for Language {
    fn default() -> Language {
        ALL[0]
    }
}

impl PartialEq for Language {
    fn eq(&self, other: &Language) -> bool {
        self.0.tag == other.0.tag
    }
}

impl Eq for Language {}

impl std::fmt::Debug for Language {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.tag)
    }
}

impl Serialize for Language {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.tag)
    }
}

impl<'de> Deserialize<'de> for Language {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let tag = <std::borrow::Cow<'_, str>>::deserialize(deserializer)?;
        ALL.into_iter().find(|language| language.0.tag == tag).ok_or_else(|| {
            let all = ALL.map(|language| language.0.tag).join(", ");
            serde::de::Error::custom(format!("not spoken here, expected one of {all}"))
        })
    }
}

impl utoipa::PartialSchema for Language {
    fn schema() -> RefOr<Schema> {
        let tags = ALL.map(|language| language.0.tag);
        let schema = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(tags)).examples(["de"]);
        schema.description(Some("A language that customers are spoken to in.")).build().into()
    }
}

impl utoipa::ToSchema for Language {
    fn name() -> std::borrow::Cow<'static, str> {
        "BillingLanguage".into()
    }
}

impl Words {
    pub fn kind(&self, kind: Kind) -> &'static str {
        match kind {
            Kind::Invoice => self.document.invoice,
            Kind::CreditNote => self.document.credit_note,
        }
    }

    pub fn money(&self, minor: i64, currency: Currency) -> String {
        self.figures.money(minor, currency)
    }

    /// `25 November 2026`
    pub fn day(&self, day: Date) -> String {
        format!("{}{}{}", self.day_and_month(day), self.days.of, day.year())
    }

    fn day_and_month(&self, day: Date) -> String {
        let Days { months, ordinal, of, .. } = &self.days;
        format!("{}{of}{}", ordinal(day.day()), months[usize::from(day.month().unsigned_abs()) - 1])
    }

    /// From the first to the last day, as short as can be: `1 – 30 November 2026`.
    pub fn period(&self, Period { from, until }: Period) -> String {
        let last = until.yesterday().unwrap_or(until);
        if last <= from {
            return self.day(from);
        }
        let first = match (from.year() == last.year(), from.month() == last.month()) {
            (true, true) => (self.days.ordinal)(from.day()),
            (true, false) => self.day_and_month(from),
            _ => self.day(from),
        };
        (self.days.span)(&first, &self.day(last))
    }

    /// `Germany` of `DE`.
    pub fn country(&self, code: &str) -> String {
        let ours = self.countries.lines().find_map(|line| line.strip_prefix(code)?.strip_prefix(' '));
        let known = || iso_country::Country::from_str(code).ok().map(|country| country.name());
        ours.or_else(known).unwrap_or(code).to_owned()
    }

    pub fn percent(&self, tax: &Tax) -> String {
        self.figures.percent(tax.percent)
    }

    /// What a line says of its tax; with `is_mixed`, whether its price contains it.
    pub fn tax_of_line(&self, tax: &Tax, is_mixed: bool) -> String {
        match tax.category {
            TaxCategory::Standard if is_mixed && tax.is_inclusive => (self.document.included)(&self.percent(tax)),
            TaxCategory::Standard | TaxCategory::Zero => self.percent(tax),
            TaxCategory::Exempt => self.document.exempt.to_owned(),
            TaxCategory::ReverseCharge => self.document.reverse_charged.to_owned(),
        }
    }

    /// `Tax 19 % on 57.00`, with the net as it is to be shown.
    pub fn tax_sum(&self, sum: &TaxSum, net: &str) -> String {
        match sum.tax.category {
            TaxCategory::Standard | TaxCategory::Zero => (self.document.tax_on)(&self.percent(&sum.tax), net),
            TaxCategory::Exempt => (self.document.exempt_on)(net),
            TaxCategory::ReverseCharge => (self.document.reverse_charge_on)(net),
        }
    }

    /// Why there is no tax: what the law has it say in this language, and what the seller says.
    pub fn why_untaxed(&self, tax: &Tax) -> Option<String> {
        let note = tax.note.as_deref().map(str::trim).filter(|note| !note.is_empty());
        let legal = self.document.reverse_charge;
        if tax.category != TaxCategory::ReverseCharge || legal.is_empty() {
            return note.map(str::to_owned);
        }
        Some(match note {
            Some(note) if note.to_lowercase().contains(&legal.to_lowercase()) => note.to_owned(),
            Some(note) => format!("{legal} ({note})"),
            None => legal.to_owned(),
        })
    }

    /// After an amount that is open.
    pub fn left_to_pay(&self, due_on: &Option<Date>) -> String {
        match due_on {
            Some(day) => (self.page.to_pay_by)(&self.day(*day)),
            None => self.page.to_pay.to_owned(),
        }
    }

    /// The invoice that a credit note credits.
    pub fn credited(&self, of: &Preceding) -> String {
        (self.document.number_of_day)(&of.number, &self.day(of.issued_on))
    }
}

impl ByTax {
    /// By whether the figures contain tax; none if some do and some don't.
    pub fn of(&self, has_tax: Option<bool>) -> &'static str {
        match has_tax {
            Some(false) => self.without,
            Some(true) => self.with,
            None => self.mixed,
        }
    }
}
