//! Products, prices and tax rates. Pure.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::modules::billing::calendar::IntervalUnit;
use crate::modules::billing::invoices::document::{Tax, TaxCategory};
use crate::platform::clock::Time;
use crate::platform::error::{Error, FieldError, Result};
use crate::platform::ids::Id;
use crate::platform::money::{self, Currency, MAX_MINOR};
use crate::platform::text;

pub type ProductId = Id<Product>;
pub type PriceId = Id<Price>;
pub type TaxRateId = Id<TaxRate>;

/// Decimals of a unit price beyond the minor unit.
const PRICE_DECIMALS: u32 = 4;
const PERCENT_DECIMALS: u32 = 4;
const MAX_NAME: usize = 200;
const MAX_TEXT: usize = 2000;
/// Seats of one subscription, at most.
pub const MAX_SEATS: u32 = 1_000_000;

/// What is sold.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Product {
    #[schema(value_type = String, format = Uuid)]
    pub id: ProductId,
    pub name: String,
    pub description: Option<String>,
    /// Whether it is sold still.
    pub is_active: bool,
    #[serde(skip)]
    pub version: i64,
    pub created_at: Time,
    #[serde(skip)]
    pub updated_at: Time,
}

/// For how much a product is sold by subscription. A price never changes: a new one of the same plan takes its place, and
/// subscriptions keep theirs.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Price {
    #[schema(value_type = String, format = Uuid)]
    pub id: PriceId,
    #[schema(value_type = String, format = Uuid)]
    pub product_id: ProductId,
    /// What people know it by, through all its prices.
    #[schema(example = "team-monthly")]
    pub plan: String,
    pub currency: Currency,
    pub interval: IntervalUnit,
    #[schema(minimum = 1, maximum = 366)]
    pub interval_count: u16,
    /// Whether each seat costs that much, or all together.
    pub is_per_seat: bool,
    /// In minor units, with up to 4 decimals.
    #[schema(value_type = String, example = "1999")]
    pub unit_price_minor: Decimal,
    /// The first so many days cost nothing.
    pub trial_days: u16,
    /// How it is taxed where the account says nothing of it.
    #[schema(value_type = Option<String>, format = Uuid)]
    pub tax_rate_id: Option<TaxRateId>,
    /// Whether one can subscribe to it still.
    pub is_active: bool,
    pub created_at: Time,
}

/// How something is taxed.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct TaxRate {
    #[schema(value_type = String, format = Uuid)]
    pub id: TaxRateId,
    #[schema(example = "VAT 19 %")]
    pub name: String,
    pub category: TaxCategory,
    #[schema(value_type = String, example = "19")]
    pub percent: Decimal,
    /// Whether prices contain it.
    pub is_inclusive: bool,
    /// ISO 3166-1 alpha-2: whose it is, for the return.
    pub country: Option<String>,
    /// Why there is none; on the invoice.
    pub note: Option<String>,
    pub is_active: bool,
    pub created_at: Time,
}

#[derive(Debug, Clone, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewProduct {
    #[schema(min_length = 1, max_length = 200, example = "Team")]
    pub name: String,
    #[schema(max_length = 2000)]
    pub description: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProductChange {
    #[schema(min_length = 1, max_length = 200)]
    pub name: Option<String>,
    #[schema(max_length = 2000)]
    pub description: Option<String>,
    pub is_active: Option<bool>,
}

#[derive(Debug, Clone, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPrice {
    #[schema(value_type = String, format = Uuid)]
    pub product_id: String,
    /// 1 to 60 lower-case letters, digits and hyphens. The price takes the place of the active one of this plan and currency.
    #[schema(pattern = "^[a-z0-9][a-z0-9-]{0,59}$", example = "team-monthly")]
    pub plan: String,
    #[schema(example = "EUR")]
    pub currency: String,
    pub interval: IntervalUnit,
    #[serde(default = "one")]
    #[schema(minimum = 1, maximum = 366)]
    pub interval_count: u16,
    #[serde(default)]
    pub is_per_seat: bool,
    /// In minor units, with up to 4 decimals.
    #[schema(value_type = String, example = "1999")]
    pub unit_price_minor: Decimal,
    #[serde(default)]
    #[schema(maximum = 730)]
    pub trial_days: u16,
    #[schema(value_type = Option<String>, format = Uuid)]
    pub tax_rate_id: Option<String>,
}

fn one() -> u16 {
    1
}

#[derive(Debug, Clone, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTaxRate {
    #[schema(min_length = 1, max_length = 200, example = "VAT 19 %")]
    pub name: String,
    pub category: TaxCategory,
    /// 0 but for standard rates; with up to 4 decimals.
    #[schema(value_type = String, example = "19")]
    pub percent: Decimal,
    #[serde(default)]
    pub is_inclusive: bool,
    #[schema(pattern = "^[A-Z]{2}$", example = "DE")]
    pub country: Option<String>,
    /// Needed for exempt and reverse-charge rates.
    #[schema(max_length = 200)]
    pub note: Option<String>,
}

impl NewProduct {
    pub fn parse(self) -> Result<(String, Option<String>)> {
        Ok((name(&self.name)?, description(self.description)?))
    }
}

pub(super) fn name(typed: &str) -> Result<String> {
    text::line("name", typed, MAX_NAME)
}

pub(super) fn description(typed: Option<String>) -> Result<Option<String>> {
    let typed = typed.map(|typed| text::paragraph("description", &typed, MAX_TEXT)).transpose()?;
    Ok(typed.filter(|text| !text.is_empty()))
}

impl NewPrice {
    /// What is wrong with it, all at once; `product_id` and `tax_rate_id` are looked up by the caller.
    pub fn check(&self) -> Result<Currency> {
        let mut wrong = Vec::new();
        let mut note = |field: &str, detail: &str| wrong.push(FieldError::new(field, detail));
        let plan_ok = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if self.plan.is_empty() || self.plan.len() > 60 || !self.plan.chars().all(plan_ok) || self.plan.starts_with('-')
        {
            note("plan", "1 to 60 lower-case letters, digits and hyphens: team-monthly");
        }
        if !(1..=366).contains(&self.interval_count) {
            note("interval_count", "from 1 to 366");
        }
        if self.trial_days > 730 {
            note("trial_days", "at most 730");
        }
        let price = self.unit_price_minor;
        if price.is_sign_negative() && !price.is_zero() {
            note("unit_price_minor", "can't be negative");
        } else if price.normalize().scale() > PRICE_DECIMALS {
            note("unit_price_minor", "at most 4 decimals of the minor unit");
        } else if price > Decimal::from(MAX_MINOR) / Decimal::from(MAX_SEATS) {
            note("unit_price_minor", "at most 1,000,000,000 minor units");
        }
        let currency = Currency::parse(&self.currency);
        if currency.is_err() {
            note("currency", "no ISO 4217 code: write it like EUR");
        }
        if wrong.is_empty() { currency } else { Err(Error::Invalid(wrong)) }
    }
}

impl NewTaxRate {
    pub fn parse(self, id: TaxRateId, now: Time) -> Result<TaxRate> {
        let name = name(&self.name)?;
        let percent = self.percent.normalize();
        let is_standard = self.category == TaxCategory::Standard;
        if is_standard
            && !(percent > Decimal::ZERO && percent <= Decimal::ONE_HUNDRED && percent.scale() <= PERCENT_DECIMALS)
        {
            return Err(Error::invalid("percent", "more than 0 and at most 100, with up to 4 decimals"));
        }
        if !is_standard && !percent.is_zero() {
            return Err(Error::invalid("percent", "0, but for standard rates"));
        }
        let note = self.note.filter(|note| !note.trim().is_empty());
        let note = note.map(|note| text::line("note", &note, MAX_NAME)).transpose()?;
        if matches!(self.category, TaxCategory::Exempt | TaxCategory::ReverseCharge) && note.is_none() {
            return Err(Error::invalid("note", "say why there is no tax: the invoice must"));
        }
        let country = self.country.as_deref().map(|code| country("country", code)).transpose()?;
        let is_inclusive = self.is_inclusive && is_standard;
        Ok(TaxRate {
            id,
            name,
            category: self.category,
            percent,
            is_inclusive,
            country,
            note,
            is_active: true,
            created_at: now,
        })
    }
}

/// Two capital letters (ISO 3166-1 alpha-2), or that are made so.
pub fn country(field: &str, code: &str) -> Result<String> {
    let code = code.trim().to_ascii_uppercase();
    match &*code {
        known if is_country(known) => Ok(code),
        "UK" => Err(Error::invalid(field, "the code of the United Kingdom is GB")),
        _ => Err(Error::invalid(field, "the two letters of a country, as in ISO 3166: DE")),
    }
}

pub fn is_country(code: &str) -> bool {
    code.len() == 2 && code.parse::<iso_country::Country>().is_ok()
}

/// Whether VAT identifiers begin so: with a country's code, or for Greece and Northern Ireland with one of their own.
pub fn is_vat_prefix(code: &str) -> bool {
    is_country(code) || matches!(code, "EL" | "XI")
}

impl TaxRate {
    /// As it stands in a line.
    pub fn tax(&self) -> Tax {
        Tax { category: self.category, percent: self.percent, is_inclusive: self.is_inclusive, note: self.note.clone() }
    }
}

impl Price {
    /// What it brings in a month, in minor units: a year is 12 of them, 52 weeks, or 365 days.
    pub fn monthly(&self, seats: u32) -> Result<i64> {
        let units = if self.is_per_seat { seats } else { 1 };
        let (times, of) = match self.interval {
            IntervalUnit::Day => (365, 12),
            IntervalUnit::Week => (52, 12),
            IntervalUnit::Month => (1, 1),
            IntervalUnit::Year => (1, 12),
        };
        let exact = self.unit_price_minor * Decimal::from(units) * Decimal::from(times)
            / (Decimal::from(of) * Decimal::from(self.interval_count));
        money::round(exact)
    }

    /// What so many seats are in an invoice line.
    pub fn quantity(&self, seats: u32) -> Decimal {
        Decimal::from(if self.is_per_seat { seats } else { 1 })
    }

    /// `month`, `3 months`.
    pub fn every(&self) -> String {
        match self.interval_count {
            1 => self.interval.as_str().to_owned(),
            n => format!("{n} {}s", self.interval.as_str()),
        }
    }
}
