//! Adding up: lines, discounts, tax by rate, totals. Pure.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::document::{Discount, Line, Tax, TaxCategory, TaxSum, Totals};
use crate::platform::error::{Error, Result};
use crate::platform::money::{self, round, share_out, sum};

/// A discount of the whole document, as it was asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = InvoiceDiscount)]
pub struct WantedDiscount {
    #[schema(min_length = 1, max_length = 200, example = "Welcome")]
    pub reason: String,
    /// Either this, in percent with up to 4 decimals,
    #[schema(value_type = Option<String>, example = "10")]
    pub percent: Option<Decimal>,
    /// or this, in minor units.
    pub amount_minor: Option<i64>,
}

/// What lines come to.
#[derive(Debug, Clone, PartialEq)]
pub struct Sums {
    pub discounts: Vec<Discount>,
    pub taxes: Vec<TaxSum>,
    pub totals: Totals,
}

/// Adds up `lines`, and says in each what it is without tax.
///
/// Tax is rounded once for each rate, on the sum of its lines less its part of the discount. Where prices contain it:
/// tax = gross − round(gross ÷ (1 + rate)).
///
/// # Errors
/// If an amount is beyond [`money::MAX_MINOR`], or the discount is more than what it is of.
pub fn add_up(lines: &mut [Line], discount: Option<&WantedDiscount>) -> Result<Sums> {
    let mut rates: Vec<Tax> = Vec::new();
    for line in lines.iter() {
        if !rates.contains(&line.tax) {
            rates.push(line.tax.clone());
        }
    }
    let amounts = rates.iter().map(|tax| sum(of(lines, tax).map(|line| line.amount_minor)));
    let amounts = amounts.collect::<Result<Vec<i64>>>()?;
    let parts = match discount {
        Some(wanted) => share_out(wanted.of(&amounts)?, &amounts),
        None => vec![0; rates.len()],
    };

    let mut sums = Sums { discounts: Vec::new(), taxes: Vec::new(), totals: Totals::default() };
    for ((tax, amount), part) in rates.into_iter().zip(amounts).zip(parts) {
        let lines_net = without_tax(amount, &tax)?;
        let net = without_tax(amount - part, &tax)?;
        spread_net(lines, &tax, lines_net)?;
        if part != 0 {
            sums.discounts.push(Discount {
                reason: discount.map(|wanted| wanted.reason.clone()).unwrap_or_default(),
                amount_minor: part,
                net_minor: lines_net - net,
                tax: tax.clone(),
            });
        }
        let tax_minor = match tax.is_inclusive {
            true => amount - part - net,
            false => round(Decimal::from(net) * tax.percent / Decimal::ONE_HUNDRED)?,
        };
        sums.taxes.push(TaxSum { tax, net_minor: net, tax_minor });
    }
    let t = &mut sums.totals;
    t.lines_net_minor = sum(lines.iter().map(|line| line.net_minor))?;
    t.discount_net_minor = sum(sums.discounts.iter().map(|part| part.net_minor))?;
    t.net_minor = sum(sums.taxes.iter().map(|one| one.net_minor))?;
    t.tax_minor = sum(sums.taxes.iter().map(|one| one.tax_minor))?;
    t.gross_minor = sum([t.net_minor, t.tax_minor])?;
    t.due_minor = t.gross_minor;
    Ok(sums)
}

fn of<'a>(lines: &'a [Line], tax: &'a Tax) -> impl Iterator<Item = &'a Line> {
    lines.iter().filter(move |line| line.tax == *tax)
}

/// What an amount of this rate is without its tax.
fn without_tax(amount_minor: i64, tax: &Tax) -> Result<i64> {
    match tax.is_inclusive {
        true => round(Decimal::from(amount_minor) / (Decimal::ONE + tax.percent / Decimal::ONE_HUNDRED)),
        false => Ok(amount_minor),
    }
}

/// Rounds each line's net so that together they are `net_minor`: what single roundings miss or make goes to the largest.
fn spread_net(lines: &mut [Line], tax: &Tax, net_minor: i64) -> Result<()> {
    let mut own: Vec<&mut Line> = lines.iter_mut().filter(|line| line.tax == *tax).collect();
    for line in &mut own {
        line.net_minor = without_tax(line.amount_minor, tax)?;
    }
    let off = net_minor - sum(own.iter().map(|line| line.net_minor))?;
    own.sort_by_key(|line| std::cmp::Reverse(line.amount_minor.unsigned_abs()));
    for line in own.into_iter().take(off.unsigned_abs() as usize) {
        line.net_minor += off.signum();
    }
    Ok(())
}

impl WantedDiscount {
    /// How much it is of amounts that come to these sums.
    fn of(&self, amounts: &[i64]) -> Result<i64> {
        let all = sum(amounts.iter().copied())?;
        if amounts.iter().any(|amount| *amount < 0) {
            return Err(Error::invalid("discount", "not beside lines that give more back than they charge"));
        }
        let (field, wanted) = match (self.percent, self.amount_minor) {
            (Some(percent), None) if percent.is_sign_negative() || percent > Decimal::ONE_HUNDRED => {
                return Err(Error::invalid("discount.percent", "from 0 to 100"));
            }
            (Some(percent), None) => ("discount.percent", round(Decimal::from(all) * percent / Decimal::ONE_HUNDRED)?),
            (None, Some(amount)) => ("discount.amount_minor", amount),
            _ => return Err(Error::invalid("discount", "either `percent` or `amount_minor`")),
        };
        if wanted < 0 || wanted > all {
            return Err(Error::invalid(field, format!("from 0 to {all}, which is what the lines come to")));
        }
        Ok(wanted)
    }
}

impl Line {
    /// Quantity times price, rounded once.
    ///
    /// # Errors
    /// If that is beyond [`money::MAX_MINOR`]; nothing ever wraps.
    pub fn priced(description: String, quantity: Decimal, unit_price_minor: Decimal, tax: Tax) -> Result<Line> {
        let exact = quantity.checked_mul(unit_price_minor).ok_or_else(money::too_large)?;
        let amount_minor = round(exact)?;
        Ok(Line { description, quantity, unit_price_minor, amount_minor, net_minor: amount_minor, tax, period: None })
    }
}

impl Tax {
    /// `19 %`, or why there is none.
    pub fn label(&self) -> String {
        match self.category {
            TaxCategory::Standard => format!("{} %", self.percent.normalize()),
            TaxCategory::Zero => "0 %".to_owned(),
            TaxCategory::Exempt => "exempt".to_owned(),
            TaxCategory::ReverseCharge => "reverse charge".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tax(percent: &str, is_inclusive: bool) -> Tax {
        Tax { category: TaxCategory::Standard, percent: percent.parse().unwrap(), is_inclusive, note: None }
    }

    fn line(amount_minor: i64, tax: &Tax) -> Line {
        Line::priced("x".into(), Decimal::ONE, Decimal::from(amount_minor), tax.clone()).unwrap()
    }

    fn off(amount_minor: i64) -> WantedDiscount {
        WantedDiscount { reason: "welcome".into(), percent: None, amount_minor: Some(amount_minor) }
    }

    #[test]
    fn a_line_is_rounded_once() {
        let of = |quantity: &str, price: &str| {
            Line::priced("x".into(), quantity.parse().unwrap(), price.parse().unwrap(), tax("19", false)).unwrap()
        };

        assert_eq!(of("0.935483871", "59995").amount_minor, 56_124);
        assert_eq!(of("1000", "0.0125").amount_minor, 13);
        assert_eq!(of("-3", "0.5").amount_minor, -2);
        assert!(
            Line::priced("x".into(), "79228162514264337593543950335".parse().unwrap(), Decimal::TWO, tax("19", false))
                .is_err()
        );
    }

    #[test]
    fn tax_is_rounded_once_on_the_lines_of_its_rate() {
        // Each line alone would have 0.2 of tax, which is none.
        let (normal, reduced) = (tax("20", false), tax("7", false));
        let mut lines = vec![line(1, &normal), line(1, &normal), line(1, &normal), line(100, &reduced)];

        let sums = add_up(&mut lines, None).unwrap();

        assert_eq!(sums.taxes.iter().map(|one| (one.net_minor, one.tax_minor)).collect::<Vec<_>>(), [(3, 1), (100, 7)]);
        assert_eq!(sums.totals.gross_minor, 111);
    }

    #[test]
    fn prices_that_contain_tax_add_up_to_what_is_on_them() {
        let with = tax("19", true);
        let mut lines = vec![line(1999, &with), line(1999, &with), line(1999, &with)];

        let sums = add_up(&mut lines, None).unwrap();

        assert_eq!((sums.totals.gross_minor, sums.totals.net_minor), (5997, 5039));
        // 1680, 1680, 1680 would be one too many.
        assert_eq!(lines.iter().map(|line| line.net_minor).collect::<Vec<_>>(), [1679, 1680, 1680]);
    }

    #[test]
    fn a_discount_is_shared_out_over_the_rates_without_losing_a_unit() {
        let (normal, reduced) = (tax("19", false), tax("7", false));
        let mut lines = vec![line(1000, &normal), line(500, &reduced)];

        let sums = add_up(&mut lines, Some(&off(100))).unwrap();

        assert_eq!(sums.discounts.iter().map(|part| part.amount_minor).collect::<Vec<_>>(), [67, 33]);
        assert_eq!(sums.totals.net_minor, 1400);
        assert!(add_up(&mut lines, Some(&off(1501))).is_err());
        assert!(add_up(&mut lines, Some(&off(-1))).is_err());
        let both = WantedDiscount { percent: Some(Decimal::TEN), ..off(1) };
        assert!(add_up(&mut lines, Some(&both)).is_err());
    }

    proptest! {
        #[test]
        fn what_is_added_up_is_consistent(
            amounts in prop::collection::vec((0..100_000_000_i64, 0..4_usize), 1..20), discount in 0..100_u32,
        ) {
            let rates = [tax("19", false), tax("7.7", false), tax("19", true), tax("5.5", true)];
            let mut lines: Vec<Line> = amounts.iter().map(|(amount, n)| line(*amount, &rates[*n])).collect();
            let wanted = WantedDiscount { reason: "x".into(), percent: Some(Decimal::from(discount)), amount_minor: None };

            let sums = add_up(&mut lines, Some(&wanted)).unwrap();

            let t = sums.totals;
            prop_assert_eq!(t.lines_net_minor - t.discount_net_minor, t.net_minor);
            prop_assert_eq!(t.net_minor + t.tax_minor, t.gross_minor);
            for one in &sums.taxes {
                let lines_net: i64 = lines.iter().filter(|line| line.tax == one.tax).map(|line| line.net_minor).sum();
                let less: i64 = sums.discounts.iter().filter(|part| part.tax == one.tax).map(|part| part.net_minor).sum();
                prop_assert_eq!(lines_net - less, one.net_minor);
                let exact = Decimal::from(one.net_minor) * one.tax.percent / Decimal::ONE_HUNDRED;
                prop_assert!((Decimal::from(one.tax_minor) - exact).abs() <= Decimal::ONE);
            }
            if lines.iter().all(|line| line.tax.is_inclusive) {
                let given: i64 = lines.iter().map(|line| line.amount_minor).sum();
                let off: i64 = sums.discounts.iter().map(|part| part.amount_minor).sum();
                prop_assert_eq!(t.gross_minor, given - off);
            }
        }
    }
}
