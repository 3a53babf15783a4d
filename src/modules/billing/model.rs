//! A billing account, and who sells. Pure.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Deserializer, Serialize};

use super::calendar;
use super::catalogue::{TaxRateId, country, is_vat_prefix};
use super::invoices::document::{Address, BankAccount, Party};
use super::languages::Language;
use crate::platform::clock::Time;
use crate::platform::error::{Error, Result};
use crate::platform::ids::UserId;
use crate::platform::money::Currency;
use crate::platform::text;

/// Days until an invoice is due where nothing is said.
const TERMS_DAYS: u16 = 14;
const MAX_TERMS_DAYS: u16 = 365;
const MAX_LINE: usize = 200;

/// That a person has an account, and in which currency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = BillingAccount)]
pub struct Account {
    #[schema(value_type = String, format = Uuid)]
    pub user_id: UserId,
    pub currency: Currency,
    pub created_at: Time,
}

/// An account whole: whom invoices go to, and on what terms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Details {
    #[serde(flatten)]
    pub account: Account,
    /// On invoices: at first what the person was called when the account was opened.
    pub name: Option<String>,
    pub address: Address,
    pub tax_id: Option<String>,
    /// BCP 47; what is spoken then, [`Settings::language_of`] says.
    pub language: String,
    /// Whose days are counted.
    pub time_zone: String,
    pub payment_terms_days: Option<u16>,
    /// For all that is sold to them; where there is none, the price's.
    pub tax_rate_id: Option<TaxRateId>,
    /// What charges them: `stripe`, `trial`; none where they pay by transfer.
    pub gateway: Option<String>,
    #[serde(skip)]
    pub gateway_customer: Option<String>,
    /// What we hold of theirs.
    pub credit_minor: i64,
    /// Their time, where the account is for trial.
    pub test_clock_at: Option<Time>,
    /// The person is gone, the books stay.
    pub closed_at: Option<Time>,
    #[serde(skip)]
    pub version: i64,
    #[serde(skip)]
    pub updated_at: Time,
}

/// What may be changed of an account. What is absent stays; an empty text takes away what is there.
#[derive(Debug, Clone, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = BillingAccountChange)]
pub struct DetailsChange {
    /// Until the first invoice.
    pub currency: Option<String>,
    #[schema(max_length = 200)]
    pub name: Option<String>,
    #[schema(max_length = 200)]
    pub line1: Option<String>,
    #[schema(max_length = 200)]
    pub line2: Option<String>,
    #[schema(max_length = 200)]
    pub postcode: Option<String>,
    #[schema(max_length = 200)]
    pub city: Option<String>,
    #[schema(max_length = 200)]
    pub region: Option<String>,
    /// ISO 3166-1 alpha-2.
    #[schema(pattern = "^[A-Z]{2}$", example = "DE")]
    pub country: Option<String>,
    /// With its country's prefix.
    #[schema(example = "DE123456789")]
    pub tax_id: Option<String>,
    /// A language tag (BCP 47): invoices, credit notes and mails are in that language where it is a `BillingLanguage`, by
    /// its first part (`de-AT` is `de`), else in the seller's. What has its number keeps the language that it has.
    #[schema(min_length = 2, max_length = 35, example = "de")]
    pub language: Option<String>,
    /// IANA.
    #[schema(example = "Europe/Berlin")]
    pub time_zone: Option<String>,
    /// Of staff only; null gives back the seller's.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<u16>)]
    pub payment_terms_days: Option<Option<u16>>,
    /// Of staff only; an empty text takes it away.
    pub tax_rate_id: Option<String>,
}

/// Who sells, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(as = BillingSettings)]
pub struct Settings {
    pub seller: Party,
    pub bank: Option<BankAccount>,
    /// What new accounts are spoken to in, and those whose own language is none that there is.
    pub language: Language,
    pub payment_terms_days: u16,
    /// What numbers begin with: `INV-2026-000001`.
    pub invoice_series: String,
    pub credit_note_series: String,
    /// Days after the due day on which payment is tried, or asked for, again.
    pub retry_days: Vec<u16>,
    /// The day after the due day on which it is given up.
    pub give_up_day: u16,
    pub give_up: GiveUp,
}

/// What happens to a subscription whose invoice is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum GiveUp {
    /// The subscription is cancelled, and the invoice stays open.
    Cancel,
    /// That, and the invoice is uncollectible.
    WriteOff,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            seller: Party::default(),
            bank: None,
            language: Language::default(),
            payment_terms_days: TERMS_DAYS,
            invoice_series: "INV".into(),
            credit_note_series: "CN".into(),
            retry_days: vec![1, 3, 5, 7],
            give_up_day: 14,
            give_up: GiveUp::Cancel,
        }
    }
}

impl Settings {
    /// The language in which an account is spoken to.
    pub fn language_of(&self, details: &Details) -> Language {
        Language::of(&details.language).unwrap_or(self.language)
    }

    /// What is wrong with them.
    pub fn check(&self) -> Result<()> {
        if self.seller.name.trim().is_empty() {
            return Err(Error::invalid("seller.name", "missing: invoices must say who sells"));
        }
        let (seller, address) = (&self.seller, &self.seller.address);
        for (field, typed) in [
            ("seller.name", Some(&seller.name)),
            ("seller.address.line1", address.line1.as_ref()),
            ("seller.address.line2", address.line2.as_ref()),
            ("seller.address.postcode", address.postcode.as_ref()),
            ("seller.address.city", address.city.as_ref()),
            ("seller.address.region", address.region.as_ref()),
            ("seller.tax_id", seller.tax_id.as_ref()),
            ("seller.tax_number", seller.tax_number.as_ref()),
            ("seller.email", seller.email.as_ref()),
            ("bank.holder", self.bank.as_ref().and_then(|bank| bank.holder.as_ref())),
            ("bank.iban", self.bank.as_ref().map(|bank| &bank.iban)),
            ("bank.bic", self.bank.as_ref().and_then(|bank| bank.bic.as_ref())),
        ] {
            typed.map(|typed| text::line(field, typed, MAX_LINE)).transpose()?;
        }
        if let Some(code) = &address.country
            && country("seller.address.country", code)? != *code
        {
            return Err(Error::invalid("seller.address.country", "two capital letters, as in ISO 3166: DE"));
        }
        if let Some(bank) = &self.bank
            && iban("bank.iban", &bank.iban)? != bank.iban
        {
            return Err(Error::invalid("bank.iban", "without spaces, in capital letters"));
        }
        if self.payment_terms_days > MAX_TERMS_DAYS {
            return Err(Error::invalid("payment_terms_days", format!("at most {MAX_TERMS_DAYS}")));
        }
        for (field, series) in
            [("invoice_series", &self.invoice_series), ("credit_note_series", &self.credit_note_series)]
        {
            let ok = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '-';
            if series.is_empty() || series.len() > 20 || !series.chars().all(ok) {
                return Err(Error::invalid(field, "1 to 20 capital letters, digits and hyphens: INV"));
            }
        }
        if self.invoice_series == self.credit_note_series {
            return Err(Error::invalid("credit_note_series", "another than invoices have"));
        }
        let rising = self.retry_days.windows(2).all(|pair| pair[0] < pair[1]);
        if !rising || self.retry_days.len() > 20 || self.retry_days.last().is_some_and(|last| *last >= self.give_up_day)
        {
            return Err(Error::invalid("retry_days", "at most 20 rising days, before the one on which it is given up"));
        }
        if self.give_up_day > MAX_TERMS_DAYS {
            return Err(Error::invalid("give_up_day", format!("at most {MAX_TERMS_DAYS}")));
        }
        Ok(())
    }
}

impl Details {
    /// The time there: its own clock's, where it is for trial.
    pub fn now(&self, now: Time) -> Time {
        self.test_clock_at.unwrap_or(now)
    }

    /// The day there.
    pub fn today(&self, now: Time) -> Date {
        calendar::day_at(self.now(now), &self.zone())
    }

    pub fn zone(&self) -> TimeZone {
        // It was one when it was set; should the system's list have lost it, days are those of UTC.
        calendar::zone(&self.time_zone).unwrap_or(TimeZone::UTC)
    }

    /// As the buyer of a document.
    pub fn party(&self) -> Party {
        Party {
            // Accounts from before they had names.
            name: self.name.clone().unwrap_or_else(|| format!("Customer {}", self.account.user_id)),
            address: self.address.clone(),
            tax_id: self.tax_id.clone(),
            tax_number: None,
            email: None,
        }
    }

    /// With what is asked for; what only staff may change, and the tax rate, the caller sees to.
    pub fn with(&self, change: DetailsChange) -> Result<Details> {
        let mut after = self.clone();
        if let Some(code) = &change.currency {
            after.account.currency = Currency::parse(code)?;
        }
        let address = &mut after.address;
        let fields = [
            ("name", change.name, &mut after.name),
            ("line1", change.line1, &mut address.line1),
            ("line2", change.line2, &mut address.line2),
            ("postcode", change.postcode, &mut address.postcode),
            ("city", change.city, &mut address.city),
            ("region", change.region, &mut address.region),
        ];
        for (field, typed, kept) in fields {
            put(typed, kept, |typed| text::line(field, typed, MAX_LINE))?;
        }
        put(change.country, &mut after.address.country, |typed| country("country", typed))?;
        put(change.tax_id, &mut after.tax_id, tax_id)?;
        if let Some(language) = change.language {
            let ok = |c: char| c.is_ascii_alphanumeric() || c == '-';
            if !(2..=35).contains(&language.len()) || !language.chars().all(ok) {
                return Err(Error::invalid("language", "a language tag: de, or pt-BR"));
            }
            after.language = language;
        }
        if let Some(name) = change.time_zone {
            calendar::zone(&name)?;
            after.time_zone = name;
        }
        if let Some(days) = change.payment_terms_days {
            if days.is_some_and(|days| days > MAX_TERMS_DAYS) {
                return Err(Error::invalid("payment_terms_days", format!("at most {MAX_TERMS_DAYS}")));
            }
            after.payment_terms_days = days;
        }
        Ok(after)
    }
}

/// A field that stands there, be it null.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<u16>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// Takes over what was typed, where something was; an empty text takes away what is kept.
fn put(typed: Option<String>, kept: &mut Option<String>, parse: impl FnOnce(&str) -> Result<String>) -> Result<()> {
    match typed {
        None => {}
        Some(typed) if typed.trim().is_empty() => *kept = None,
        Some(typed) => *kept = Some(parse(&typed)?),
    }
    Ok(())
}

/// A VAT identifier: two letters and up to 13 letters and digits, spaces and dots left out.
fn tax_id(typed: &str) -> Result<String> {
    let id: String =
        typed.chars().filter(|c| !c.is_whitespace() && !".-".contains(*c)).collect::<String>().to_uppercase();
    let ok = (4..=15).contains(&id.len()) && id.chars().all(|c| c.is_ascii_alphanumeric()) && is_vat_prefix(&id[..2]);
    if ok { Ok(id) } else { Err(Error::invalid("tax_id", "with its country's prefix: DE123456789")) }
}

/// An IBAN without spaces; its check digits must be right, or money goes astray.
///
/// Source: ISO 13616 (IBAN), ISO 7064 (mod 97-10).
pub(super) fn iban(field: &str, typed: &str) -> Result<String> {
    let iban: String = typed.chars().filter(|c| !c.is_whitespace()).collect::<String>().to_uppercase();
    let wrong = || Error::invalid(field, "its check digits are wrong: compare it with the bank's letter");
    if !(15..=34).contains(&iban.len()) || !iban.chars().all(|c| c.is_ascii_alphanumeric()) {
        return Err(wrong());
    }
    let (head, tail) = iban.split_at(4);
    let remainder = tail.chars().chain(head.chars()).try_fold(0_u32, |remainder, c| {
        let value = c.to_digit(36)?;
        Some(if value < 10 { remainder * 10 + value } else { remainder * 100 + value } % 97)
    });
    if remainder == Some(1) { Ok(iban) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_iban_is_taken_with_spaces_and_not_with_a_digit_wrong() {
        assert_eq!(iban("iban", "de89 3704 0044 0532 0130 00").unwrap(), "DE89370400440532013000");
        for wrong in ["DE88370400440532013000", "DE89", "", "DE89 3704 0044 0532 0130 0ä"] {
            assert!(iban("iban", wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_tax_id_and_a_country_are_of_a_country_that_there_is() {
        assert_eq!(tax_id("de 123.456-789").unwrap(), "DE123456789");
        assert_eq!(tax_id("EL123456789").unwrap(), "EL123456789");
        for wrong in ["zzgarbage", "XX123", "DE1", "1DE23", ""] {
            assert!(tax_id(wrong).is_err(), "{wrong}");
        }
        assert_eq!(country("country", " gr ").unwrap(), "GR");
        for wrong in ["XX", "UK", "EL", "DEU", "D", "é"] {
            assert!(country("country", wrong).is_err(), "{wrong}");
        }
    }
}
