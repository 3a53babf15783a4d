//! How amounts, days and names are shown.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::civil::Date;
use rust_decimal::Decimal;
use sha2::{Digest, Sha256};

use crate::modules::billing::invoices::document::{Document, Period};
use crate::modules::billing::languages::{CONSOLE, Words};
use crate::modules::billing::model::Details;
use crate::modules::billing::{InvoiceState, Price, SubscriptionState};
use crate::platform::error::{Error, Result};
use crate::platform::http::Head;
use crate::platform::money::{self, Currency};

/// What an invoice may be, for filters.
pub(super) const INVOICE_STATES: [InvoiceState; 5] =
    [InvoiceState::Draft, InvoiceState::Open, InvoiceState::Paid, InvoiceState::Void, InvoiceState::Uncollectible];

/// `12,345.67 EUR`
pub fn money(minor: &i64, currency: &Currency) -> String {
    money_in(&CONSOLE, minor, currency)
}

pub fn money_in(words: &Words, minor: &i64, currency: &Currency) -> String {
    words.money(*minor, *currency)
}

pub fn day_in(words: &Words, day: &Date) -> String {
    words.day(*day)
}

pub fn period_in(words: &Words, period: &Period) -> String {
    words.period(*period)
}

pub fn price_in(words: &Words, minor: &Decimal, currency: &Currency) -> String {
    words.figures.price(*minor, *currency)
}

/// As it is typed: `12345.67`.
pub fn major(minor: &i64, currency: &Currency) -> String {
    money::major(*minor, *currency).to_string()
}

/// A unit price in the major unit, with all the decimals it has, and at least the currency's.
pub fn unit_price(minor: &Decimal, currency: &Currency) -> String {
    price_in(&CONSOLE, minor, currency)
}

/// As [`unit_price`], as it is typed.
pub fn major_decimal(minor: &Decimal, currency: &Currency) -> Decimal {
    let decimals = currency.decimals();
    let mut major = (minor * Decimal::new(1, decimals)).normalize();
    if major.scale() < decimals {
        major.rescale(decimals);
    }
    major
}

/// `2026-11-01 to 2026-11-30`: both days are in it.
pub fn span(period: &Period) -> String {
    let last = period.until.yesterday().unwrap_or(period.until);
    if last <= period.from { period.from.to_string() } else { format!("{} to {last}", period.from) }
}

/// What somebody is called on invoices.
pub(super) fn name_of(details: &Details) -> String {
    match (&details.name, details.closed_at) {
        (Some(name), _) => name.clone(),
        (None, Some(_)) => "Someone who has left".to_owned(),
        (None, None) => details.party().name,
    }
}

/// `10.00 EUR per seat and month`
pub fn price_label(price: &Price) -> String {
    let amount = unit_price(&price.unit_price_minor, &price.currency);
    let every = match price.interval_count {
        1 => format!("a {}", price.interval.as_str()),
        n => format!("every {n} {}s", price.interval.as_str()),
    };
    let seat = if price.is_per_seat { " a seat," } else { "" };
    format!("{amount}\u{a0}{}{seat} {every}", price.currency)
}

pub fn state_label(state: &SubscriptionState) -> String {
    crate::platform::http::label_of(state.as_str())
}

/// Tells one document from any other; the number, which comes last, does not count.
pub(super) fn seal(document: Option<&Document>) -> Result<String> {
    let mut said = document.cloned();
    if let Some(document) = &mut said {
        document.number.clear();
    }
    let json = serde_json::to_vec(&said).map_err(|e| Error::internal("writing a document", e))?;
    Ok(URL_SAFE_NO_PAD.encode(Sha256::digest(json)))
}

/// What the page before has done, named by `?done=…` in the address.
const DONE: [(&str, &str); 26] = [
    ("account-saved", "The billing details are saved."),
    ("cancelled", "The subscription has ended."),
    ("cancelled-at-end", "The subscription ends with its period."),
    ("changed", "The change is made."),
    ("changed-at-end", "The change comes with the next period."),
    ("credited", "The credit note is made."),
    ("deleted", "The draft is deleted."),
    ("delivery-repeated", "It is sent again, under the same id."),
    ("drafted", "The draft is saved. It has no number yet: look at it, then finalise it."),
    ("endpoint-paused", "The endpoint is paused: nothing is sent there."),
    ("endpoint-removed", "The endpoint is removed."),
    ("endpoint-resumed", "The endpoint is told again what happens from now on."),
    ("endpoint-saved", "The endpoint is saved."),
    ("finalized", "The invoice has its number."),
    ("given-up", "The invoice is given up; what comes in for it all the same is recorded as ever."),
    ("paused", "The subscription is paused: no further period is billed."),
    ("price-added", "The price is added, and new subscriptions take it."),
    ("product-added", "The product is added. Now give it a price."),
    ("product-saved", "The product is saved."),
    ("rate-added", "The tax rate is added."),
    ("recorded", "The payment is recorded."),
    ("refunded", "The refund is recorded."),
    ("resumed", "The subscription goes on."),
    ("retired", "It is retired; what is subscribed keeps it."),
    ("settings-saved", "The settings are saved."),
    ("subscribed", "The subscription has begun."),
];

/// The message of `?done=…`; only ours, never text from the address.
pub(super) fn done(head: &Head) -> Option<&'static str> {
    let mut pairs = form_urlencoded::parse(head.query.as_bytes());
    let key = pairs.find(|(name, _)| name == "done")?.1;
    DONE.iter().find(|(known, _)| *known == key).map(|(_, message)| *message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_grouped_and_keep_their_decimals() {
        let jpy = Currency::parse("JPY").unwrap();

        assert_eq!(money(&-123_456_789, &Currency::EUR), "\u{2212}1,234,567.89\u{a0}EUR");
        assert_eq!(money(&999, &jpy), "999\u{a0}JPY");
        assert_eq!(unit_price(&"1250.25".parse().unwrap(), &Currency::EUR), "12.5025");
        assert_eq!(unit_price(&"1000".parse().unwrap(), &Currency::EUR), "10.00");
    }
}
