//! Money: whole minor units of a currency, never a fraction of one, and the one way in which it is rounded.

use std::str::FromStr;

use rust_decimal::prelude::{Decimal, RoundingStrategy, ToPrimitive};

use super::error::{Error, Result};

/// A currency by its ISO 4217 code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, utoipa::ToSchema)]
#[schema(value_type = String, pattern = "^[A-Z]{3}$", example = "EUR")]
pub struct Currency(iso_currency::Currency);

impl Currency {
    pub const EUR: Currency = Currency(iso_currency::Currency::EUR);

    /// # Errors
    /// [`Error::Invalid`] of `currency` for what is no ISO 4217 code.
    pub fn parse(code: &str) -> Result<Currency> {
        let known = iso_currency::Currency::from_code(&code.trim().to_ascii_uppercase());
        known.map(Currency).ok_or_else(|| Error::invalid("currency", "no ISO 4217 code: write it like EUR"))
    }

    pub fn code(self) -> &'static str {
        self.0.code()
    }

    /// Decimals of its minor unit: 2 for EUR, 0 for JPY, 3 for KWD. What has none of its own (gold, say) counts as 0.
    pub fn decimals(self) -> u32 {
        self.0.exponent().map_or(0, u32::from)
    }
}

impl std::fmt::Display for Currency {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.code())
    }
}

impl serde::Serialize for Currency {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

impl<'de> serde::Deserialize<'de> for Currency {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let code = <std::borrow::Cow<'_, str>>::deserialize(deserializer)?;
        Currency::parse(&code).map_err(|_| serde::de::Error::custom("no ISO 4217 code, expected one like EUR"))
    }
}

/// An amount of a currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Money {
    /// In the currency's minor unit: cents of EUR, whole JPY, fils of KWD.
    #[schema(example = 1999)]
    pub amount_minor: i64,
    pub currency: Currency,
}

/// Beyond this no sum of ours goes, and far beyond it 64 bits would wrap: 10^15 minor units.
pub const MAX_MINOR: i64 = 1_000_000_000_000_000;

impl Money {
    pub fn new(amount_minor: i64, currency: Currency) -> Money {
        Money { amount_minor, currency }
    }
}

/// For people and documents: `19.99 EUR`, `-5 JPY`.
impl std::fmt::Display for Money {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", major(self.amount_minor, self.currency), self.currency)
    }
}

/// An amount in the currency's major unit, all its decimals shown: 1999 EUR cents are `19.99`.
pub fn major(amount_minor: i64, currency: Currency) -> Decimal {
    Decimal::new(amount_minor, currency.decimals())
}

/// The amount that a person typed in the major unit: `19.99`, `1999` of JPY.
///
/// # Errors
/// Of `field`, if it is no number, has more decimals than the currency, or is out of range.
pub fn parse_major(field: &str, text: &str, currency: Currency) -> Result<i64> {
    let decimals = currency.decimals();
    let wrong = || Error::invalid(field, format!("write an amount like {}", major(1999, currency)));
    let text = text.trim();
    // Decimals are read in more ways than people write amounts.
    if !text.chars().all(|c| c.is_ascii_digit() || c == '.' || c == '-') {
        return Err(wrong());
    }
    let typed = Decimal::from_str(text).map_err(|_| wrong())?;
    let scale = Decimal::from(10_u64.pow(decimals));
    let minor = typed.checked_mul(scale).ok_or_else(wrong)?;
    if !minor.fract().is_zero() {
        return Err(Error::invalid(field, format!("{currency} has {decimals} decimals")));
    }
    bounded(minor).map_err(|_| Error::invalid(field, "too large"))
}

/// Rounds to a whole minor unit: half away from zero, so that a credit is the mirror of what it credits.
///
/// # Errors
/// If it is beyond [`MAX_MINOR`] either way; nothing ever wraps.
pub fn round(exact_minor: Decimal) -> Result<i64> {
    bounded(exact_minor.round_dp_with_strategy(0, RoundingStrategy::MidpointAwayFromZero))
}

fn bounded(whole: Decimal) -> Result<i64> {
    whole.to_i64().filter(|minor| minor.unsigned_abs() <= MAX_MINOR.unsigned_abs()).ok_or_else(too_large)
}

/// Adds up; nothing ever wraps.
///
/// # Errors
/// If the sum is beyond [`MAX_MINOR`] either way.
pub fn sum(amounts: impl IntoIterator<Item = i64>) -> Result<i64> {
    amounts.into_iter().try_fold(0_i64, |sum, amount| {
        sum.checked_add(amount).filter(|sum| sum.unsigned_abs() <= MAX_MINOR.unsigned_abs()).ok_or_else(too_large)
    })
}

/// The error of whatever is beyond [`MAX_MINOR`].
pub fn too_large() -> Error {
    Error::invalid("amount_minor", format!("amounts beyond {MAX_MINOR} minor units are not taken"))
}

/// Divides `total` by `weights` without losing or making a unit: each gets its part rounded down, and what is left goes
/// to those whose parts were cut most, the first of equals first.
///
/// All zero weights give everything to the first.
pub fn share_out(total: i64, weights: &[i64]) -> Vec<i64> {
    let all: i128 = weights.iter().map(|weight| i128::from(weight.unsigned_abs())).sum();
    if all == 0 {
        return weights.iter().enumerate().map(|(n, _)| if n == 0 { total } else { 0 }).collect();
    }
    let magnitude = i128::from(total.unsigned_abs());
    let mut parts: Vec<(i128, i128)> = weights
        .iter()
        .map(|weight| {
            let exact = magnitude * i128::from(weight.unsigned_abs());
            (exact / all, exact % all)
        })
        .collect();
    let left = magnitude - parts.iter().map(|(part, _)| part).sum::<i128>();
    let mut by_cut: Vec<usize> = (0..parts.len()).collect();
    by_cut.sort_by_key(|n| std::cmp::Reverse(parts[*n].1));
    for n in by_cut.into_iter().take(left as usize) {
        parts[n].0 += 1;
    }
    parts.into_iter().map(|(part, _)| part as i64 * total.signum()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decimal(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    #[test]
    fn amounts_are_shown_with_the_decimals_of_their_currency() {
        let shown = |minor, code| Money::new(minor, Currency::parse(code).unwrap()).to_string();

        assert_eq!(shown(1999, "EUR"), "19.99 EUR");
        assert_eq!(shown(-5, "JPY"), "-5 JPY");
        assert_eq!(shown(1, "KWD"), "0.001 KWD");
    }

    #[test]
    fn what_is_typed_is_read_exactly_or_not_at_all() {
        let eur = |text| parse_major("amount", text, Currency::EUR).ok();

        assert_eq!(eur("19.99"), Some(1999));
        assert_eq!(eur(" 20 "), Some(2000));
        assert_eq!(eur("-0.5"), Some(-50));
        for wrong in ["", "1.999", "1,50", "1e5", "€5", "99999999999999999999", "10000000000000.01"] {
            assert_eq!(eur(wrong), None, "{wrong}");
        }
        assert_eq!(parse_major("amount", "1999", Currency::parse("JPY").unwrap()).unwrap(), 1999);
    }

    #[test]
    fn a_half_is_rounded_away_from_zero() {
        for (exact, rounded) in [("0.5", 1), ("-0.5", -1), ("2.5", 3), ("2.49999", 2), ("56124.352", 56124)] {
            assert_eq!(round(decimal(exact)).unwrap(), rounded, "{exact}");
        }
        assert!(round(decimal("1000000000000000.5")).is_err());
        assert!(sum([MAX_MINOR, 1]).is_err());
    }

    proptest! {
        #[test]
        fn shares_add_up_and_none_is_off_by_a_unit(total in -MAX_MINOR..MAX_MINOR, weights in prop::collection::vec(0..MAX_MINOR, 1..8)) {
            let shares = share_out(total, &weights);

            prop_assert_eq!(shares.iter().sum::<i64>(), total);
            let all: i128 = weights.iter().map(|weight| i128::from(*weight)).sum();
            for (share, weight) in shares.iter().zip(&weights).filter(|_| all > 0) {
                let off = i128::from(*share) * all - i128::from(total) * i128::from(*weight);
                prop_assert!(off.abs() < all, "{} of {}", share, weight);
            }
        }
    }
}
