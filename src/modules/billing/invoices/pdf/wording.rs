//! How a document words its figures, days and parties.

use std::str::FromStr;

use jiff::civil::Date;
use rust_decimal::Decimal;

use super::super::document::{Document, Kind, Line, Party, Period, Tax, TaxCategory, TaxSum};
use crate::platform::money::{Currency, major};

/// `Invoice INV-2026-0042`
pub fn title(document: &Document) -> String {
    format!("{} {}", kind(document.kind), document.number)
}

pub fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Invoice => "Invoice",
        Kind::CreditNote => "Credit note",
    }
}

/// `25 November 2026`
pub fn day(day: Date) -> String {
    day.strftime("%-d %B %Y").to_string()
}

/// From the first to the last day: `1 – 30 November 2026`.
pub fn period(Period { from, until }: Period) -> String {
    let last = until.yesterday().unwrap_or(until);
    if last <= from {
        return day(from);
    }
    let first = match (from.year() == last.year(), from.month() == last.month()) {
        (true, true) => from.strftime("%-d").to_string(),
        (true, false) => from.strftime("%-d %B").to_string(),
        _ => day(from),
    };
    format!("{first} – {}", day(last))
}

/// The price of one, with all the decimals that it has.
pub fn price(line: &Line, currency: Currency) -> String {
    let exact = Decimal::new(1, currency.decimals()).checked_mul(line.unit_price_minor);
    let mut price = exact.unwrap_or_default().normalize();
    price.rescale(price.scale().max(currency.decimals()));
    price.to_string()
}

pub fn amount(amount_minor: i64, currency: Currency) -> String {
    major(amount_minor, currency).to_string()
}

/// `19 %`
pub fn percent(tax: &Tax) -> String {
    format!("{} %", tax.percent.normalize())
}

/// What a line says of its tax; with `is_mixed`, whether its price contains it.
pub fn tax_of_line(tax: &Tax, is_mixed: bool) -> String {
    match tax.category {
        TaxCategory::Standard if is_mixed && tax.is_inclusive => format!("{} incl.", percent(tax)),
        TaxCategory::Standard | TaxCategory::Zero => percent(tax),
        TaxCategory::Exempt => "exempt".to_owned(),
        TaxCategory::ReverseCharge => "reverse".to_owned(),
    }
}

/// `Tax 19 % on 57.00`
pub fn tax_sum(sum: &TaxSum, currency: Currency) -> String {
    let net = amount(sum.net_minor, currency);
    match sum.tax.category {
        TaxCategory::Standard | TaxCategory::Zero => format!("Tax {} on {net}", percent(&sum.tax)),
        TaxCategory::Exempt => format!("Exempt from tax: {net}"),
        TaxCategory::ReverseCharge => format!("Reverse charge on {net}"),
    }
}

/// Name and address, a line each, with the country's name.
pub fn address(party: &Party) -> Vec<String> {
    let address = &party.address;
    let town =
        [&address.postcode, &address.city].into_iter().flatten().map(String::as_str).collect::<Vec<_>>().join(" ");
    let country = address.country.as_deref().map(|code| {
        iso_country::Country::from_str(code).map_or_else(|_| code.to_owned(), |country| country.name().to_owned())
    });
    let lines = [address.line1.clone(), address.line2.clone(), Some(town), address.region.clone(), country];
    lines.into_iter().flatten().filter(|line| !line.trim().is_empty()).collect()
}

/// `DE89 3704 0044 0532 0130 00`
pub fn iban(iban: &str) -> String {
    let letters: Vec<char> = iban.chars().filter(|c| !c.is_whitespace()).collect();
    letters.chunks(4).map(|four| four.iter().collect::<String>()).collect::<Vec<_>>().join(" ")
}
