//! The figures as EN 16931 has them: amounts of at most two decimals, net prices, one sum for each rate.

use rust_decimal::{Decimal, RoundingStrategy};

use super::super::document::{Document, Line, Tax, TaxCategory};
use crate::platform::money::{Currency, major};

/// The amount in the major unit; none where it needs more than the two decimals of the standard (BR-DEC).
pub fn amount(amount_minor: i64, currency: Currency) -> Option<Decimal> {
    let mut amount = major(amount_minor, currency);
    if amount.normalize().scale() > 2 {
        return None;
    }
    amount.rescale(amount.scale().min(2));
    Some(amount)
}

/// What the standard tells rates apart by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    pub category: TaxCategory,
    pub percent: Decimal,
}

impl Rate {
    pub fn of(tax: &Tax) -> Rate {
        Rate { category: tax.category, percent: tax.percent.normalize() }
    }
}

/// What is taxed at one rate, however its prices were given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    pub rate: Rate,
    pub net_minor: i64,
    pub tax_minor: i64,
    /// All the reasons why it is none.
    pub note: String,
}

/// The document's tax sums, those of one rate put together: the standard has one for each (BR-E-01, BR-S-08).
pub fn groups(document: &Document) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for sum in &document.taxes {
        let rate = Rate::of(&sum.tax);
        let note = document.words().why_untaxed(&sum.tax).unwrap_or_default();
        match groups.iter_mut().find(|group| group.rate == rate) {
            Some(group) => {
                group.net_minor += sum.net_minor;
                group.tax_minor += sum.tax_minor;
                if !note.is_empty() && !group.note.contains(&note) {
                    let gap = if group.note.is_empty() { "" } else { "; " };
                    group.note += &format!("{gap}{note}");
                }
            }
            None => groups.push(Group { rate, net_minor: sum.net_minor, tax_minor: sum.tax_minor, note }),
        }
    }
    groups
}

/// The quantity and the net price in the major unit whose product, rounded, is the line's net; the price is never
/// negative (BR-27), the quantity is in its stead.
///
/// It is the line's own price where that is net, else the one with the fewest decimals. None if there is none.
pub fn price_of(line: &Line, currency: Currency) -> Option<(Decimal, Decimal)> {
    let net = major(line.net_minor, currency);
    let fits = |price: &Decimal| {
        let product = line.quantity.abs().checked_mul(*price);
        product.is_some_and(|exact| rounded(exact, currency.decimals()) == net.abs())
    };
    let own = Decimal::new(1, currency.decimals()).checked_mul(line.unit_price_minor.abs());
    let own = own.filter(|_| !line.tax.is_inclusive).map(|price| at_least(price.normalize(), currency.decimals()));
    let derived = || {
        let exact = net.abs().checked_div(line.quantity.abs())?;
        (currency.decimals()..=Decimal::MAX_SCALE).map(|decimals| rounded(exact, decimals)).find(&fits)
    };
    let price = own.filter(&fits).or_else(derived)?;
    let mut quantity = line.quantity.abs().normalize();
    let is_given_back = if net.is_zero() { line.quantity.is_sign_negative() } else { net.is_sign_negative() };
    quantity.set_sign_negative(is_given_back && !quantity.is_zero());
    Some((quantity, price))
}

fn rounded(exact: Decimal, decimals: u32) -> Decimal {
    exact.round_dp_with_strategy(decimals, RoundingStrategy::MidpointAwayFromZero)
}

/// With no fewer than so many decimals shown.
fn at_least(mut value: Decimal, decimals: u32) -> Decimal {
    value.rescale(value.scale().max(decimals));
    value
}
