//! Stripe's minor units, which are not ISO 4217's for every currency. Pure.
//!
//! Source: <https://docs.stripe.com/currencies>.

use crate::platform::money::Currency;

/// Those that Stripe counts whole.
const WHOLE: [&str; 15] =
    ["BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF"];
/// Those that it counts in thousandths, of which it takes tens only.
const THOUSANDTHS: [&str; 5] = ["BHD", "JOD", "KWD", "OMR", "TND"];
/// Those without decimals that it counts in hundredths all the same, of which it takes hundreds only.
const HUNDREDS_ONLY: [&str; 2] = ["ISK", "UGX"];

/// Our minor units in Stripe's.
///
/// # Errors
/// Why Stripe can't take it.
pub fn to_stripe(amount_minor: i64, currency: Currency) -> Result<i64, String> {
    let (ours, theirs) = (currency.decimals(), decimals(currency));
    let amount = match theirs.checked_sub(ours) {
        Some(more) => amount_minor.checked_mul(10_i64.pow(more)),
        None => exactly(amount_minor, 10_i64.pow(ours - theirs)),
    };
    let step = step(currency);
    amount.filter(|amount| amount % step == 0).ok_or_else(|| {
        format!("Stripe takes {currency} in larger steps than {}", crate::platform::money::major(1, currency))
    })
}

/// Stripe's minor units in ours; none where they can't be.
pub fn from_stripe(amount: i64, currency: Currency) -> Option<i64> {
    let (ours, theirs) = (currency.decimals(), decimals(currency));
    match ours.checked_sub(theirs) {
        Some(more) => amount.checked_mul(10_i64.pow(more)),
        None => exactly(amount, 10_i64.pow(theirs - ours)),
    }
}

fn exactly(amount: i64, by: i64) -> Option<i64> {
    (amount % by == 0).then_some(amount / by)
}

fn decimals(currency: Currency) -> u32 {
    match currency.code() {
        code if WHOLE.contains(&code) => 0,
        code if THOUSANDTHS.contains(&code) => 3,
        _ => 2,
    }
}

fn step(currency: Currency) -> i64 {
    match currency.code() {
        code if THOUSANDTHS.contains(&code) => 10,
        code if HUNDREDS_ONLY.contains(&code) => 100,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn there(amount: i64, code: &str) -> Option<i64> {
        to_stripe(amount, Currency::parse(code).unwrap()).ok()
    }

    #[test]
    fn amounts_are_told_in_stripes_own_minor_units() {
        assert_eq!(there(1999, "EUR"), Some(1999));
        assert_eq!(there(500, "JPY"), Some(500));
        assert_eq!(there(1230, "KWD"), Some(1230));
        assert_eq!(there(1234, "KWD"), None);
        assert_eq!(there(7, "ISK"), Some(700));
        assert_eq!(there(7, "UGX"), Some(700));
        assert_eq!(there(1500, "MGA"), Some(15));
        assert_eq!(there(1550, "MGA"), None);
        assert_eq!(there(i64::MAX, "ISK"), None);
    }

    #[test]
    fn what_can_be_told_comes_back_the_same() {
        for code in ["EUR", "JPY", "KWD", "ISK", "UGX", "MGA", "HUF", "TND", "USD"] {
            let currency = Currency::parse(code).unwrap();
            for amount in [0, 100, 1000, 123_000] {
                let told = to_stripe(amount, currency).unwrap();
                assert_eq!(from_stripe(told, currency), Some(amount), "{code}");
            }
        }
        assert_eq!(from_stripe(150, Currency::parse("ISK").unwrap()), None);
    }
}
