//! How figures are written in a language. Pure.

use rust_decimal::Decimal;

use crate::platform::money::{self, Currency};

#[derive(Debug, Clone, Copy)]
pub struct Figures {
    /// Between thousands.
    pub thousands: &'static str,
    /// Before the decimals.
    pub decimal: &'static str,
    pub minus: &'static str,
    /// Between an amount and its currency.
    pub gap: &'static str,
    /// Between a number and its percent sign.
    pub percent_gap: &'static str,
    pub currency: Place,
}

/// Where an amount's currency stands, and as what.
#[derive(Debug, Clone, Copy)]
pub enum Place {
    /// `1,999.00 EUR`: by its code, so that columns of several currencies are told apart.
    CodeBehind,
    /// `€1,999.00`, and `CHF 1,999.00`.
    SignBefore,
    /// `1.999,00 €`, and `1.999,00 CHF`.
    SignBehind,
}

impl Figures {
    pub fn number(&self, number: Decimal) -> String {
        let sign = if number.is_sign_negative() && !number.is_zero() { self.minus } else { "" };
        let text = number.abs().to_string();
        let (whole, decimals) = text.split_once('.').unwrap_or((&text, ""));
        let mut written = sign.to_owned();
        for (n, digit) in whole.chars().enumerate() {
            if n > 0 && (whole.len() - n).is_multiple_of(3) {
                written += self.thousands;
            }
            written.push(digit);
        }
        if decimals.is_empty() { written } else { written + self.decimal + decimals }
    }

    /// With all the decimals of its currency, which it does not name.
    pub fn amount(&self, minor: i64, currency: Currency) -> String {
        self.number(money::major(minor, currency))
    }

    /// With its currency; it does not break there.
    pub fn money(&self, minor: i64, currency: Currency) -> String {
        let minus = if minor < 0 { self.minus } else { "" };
        let (figure, gap) = (self.amount(minor.saturating_abs(), currency), self.gap);
        match (self.currency, sign(currency)) {
            (Place::SignBefore, Some(sign)) => format!("{minus}{sign}{figure}"),
            (Place::SignBefore, None) => format!("{minus}{currency}{gap}{figure}"),
            (Place::SignBehind, Some(sign)) => format!("{minus}{figure}{gap}{sign}"),
            (Place::SignBehind, None) | (Place::CodeBehind, _) => format!("{minus}{figure}{gap}{currency}"),
        }
    }

    /// The price of one, with all the decimals that it has, and at least its currency's.
    pub fn price(&self, unit_price_minor: Decimal, currency: Currency) -> String {
        let exact = Decimal::new(1, currency.decimals()).checked_mul(unit_price_minor);
        let mut price = exact.unwrap_or_default().normalize();
        price.rescale(price.scale().max(currency.decimals()));
        self.number(price)
    }

    pub fn percent(&self, percent: Decimal) -> String {
        format!("{}{}%", self.number(percent.normalize()), self.percent_gap)
    }
}

/// A sign that means one currency: `$` and `¥` would leave open which.
fn sign(currency: Currency) -> Option<&'static str> {
    match currency.code() {
        "EUR" => Some("€"),
        "GBP" => Some("£"),
        _ => None,
    }
}
