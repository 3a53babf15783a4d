//! Billing days and periods. Pure; days are those of the account's time zone.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, ToSpan};
use rust_decimal::{Decimal, RoundingStrategy};
use serde::{Deserialize, Serialize};

use super::invoices::document::Period;
use crate::platform::clock::Time;
use crate::platform::error::{Error, Result};

/// Decimals of the part of a period that is charged.
const RATIO_DECIMALS: u32 = 9;

/// How often a price falls due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum IntervalUnit {
    Day,
    Week,
    Month,
    Year,
}

impl IntervalUnit {
    pub fn as_str(self) -> &'static str {
        match self {
            IntervalUnit::Day => "day",
            IntervalUnit::Week => "week",
            IntervalUnit::Month => "month",
            IntervalUnit::Year => "year",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [IntervalUnit::Day, IntervalUnit::Week, IntervalUnit::Month, IntervalUnit::Year]
            .into_iter()
            .find(|unit| unit.as_str() == text)
    }
}

/// Whole periods, one after another, of which one begins on `anchor`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cycle {
    pub unit: IntervalUnit,
    /// So many units a period, 1 to 366.
    pub count: u16,
    pub anchor: Date,
    /// Of months and years: 29 to 31 fall on the last day of shorter months, and return afterwards.
    pub billing_day: i8,
}

impl Cycle {
    /// The day on which whole period `n` begins; period 0 begins on the anchor.
    fn boundary(&self, n: i64) -> Result<Date> {
        let steps = n.checked_mul(i64::from(self.count)).ok_or_else(out_of_range)?;
        let months = |months: i64| -> Result<Date> {
            let first =
                self.anchor.first_of_month().checked_add(span(months, |n| n.months())?).map_err(|_| out_of_range())?;
            on_day(first, self.billing_day)
        };
        match self.unit {
            IntervalUnit::Day => self.anchor.checked_add(span(steps, |n| n.days())?).map_err(|_| out_of_range()),
            IntervalUnit::Week => self.anchor.checked_add(span(steps, |n| n.weeks())?).map_err(|_| out_of_range()),
            IntervalUnit::Month => months(steps),
            IntervalUnit::Year => months(steps.checked_mul(12).ok_or_else(out_of_range)?),
        }
    }

    /// The whole period in which `day` lies.
    ///
    /// # Errors
    /// If it ends beyond the year 9999.
    pub fn around(&self, day: Date) -> Result<Period> {
        let units = match self.unit {
            IntervalUnit::Day => i64::from(days(self.anchor, day)),
            IntervalUnit::Week => i64::from(days(self.anchor, day)).div_euclid(7),
            IntervalUnit::Month => months_between(self.anchor, day),
            IntervalUnit::Year => months_between(self.anchor, day).div_euclid(12),
        };
        // By months and days alone it is off by one at most.
        let mut n = units.div_euclid(i64::from(self.count)) + 1;
        while self.boundary(n)? > day {
            n -= 1;
        }
        Ok(Period { from: self.boundary(n)?, until: self.boundary(n + 1)? })
    }

    /// A cycle in which a period of `unit`s begins on `billing_day`, of which one whole one holds `start`.
    pub fn beginning(start: Date, unit: IntervalUnit, count: u16, billing_day: Option<i8>) -> Result<Cycle> {
        let by_month = matches!(unit, IntervalUnit::Month | IntervalUnit::Year);
        let day = billing_day.filter(|_| by_month).unwrap_or(start.day());
        if !by_month || on_day(start.first_of_month(), day)? == start {
            return Ok(Cycle { unit, count, anchor: start, billing_day: day });
        }
        // The first billing day after the start ends the first, partial, period.
        let mut next = on_day(start.first_of_month(), day)?;
        if next <= start {
            let month = start.first_of_month().checked_add(1.month()).map_err(|_| out_of_range())?;
            next = on_day(month, day)?;
        }
        Ok(Cycle { unit, count, anchor: next, billing_day: day })
    }
}

fn span(n: i64, make: impl Fn(i64) -> Span) -> Result<Span> {
    // Far beyond any date; within it, making a span does not fail.
    if n.unsigned_abs() > 100_000 { Err(out_of_range()) } else { Ok(make(n)) }
}

/// Day `day` of the month of `first`, or its last one.
fn on_day(first: Date, day: i8) -> Result<Date> {
    first.with().day(day.clamp(1, first.days_in_month())).build().map_err(|_| out_of_range())
}

fn months_between(from: Date, to: Date) -> i64 {
    (i64::from(to.year()) - i64::from(from.year())) * 12 + i64::from(to.month()) - i64::from(from.month())
}

fn out_of_range() -> Error {
    Error::invalid("day", "dates go up to the year 9999")
}

/// Days from `from` up to, and without, `until`.
pub fn days(from: Date, until: Date) -> i32 {
    // Whatever two dates lie apart fits.
    from.until(until).map_or(0, |span| span.get_days())
}

impl Period {
    pub fn days(self) -> i32 {
        days(self.from, self.until)
    }

    /// Which part of the whole period `self` the part `[from, until)` is: days by days, rounded half up at 9 decimals.
    pub fn ratio(self, from: Date, until: Date) -> Decimal {
        let whole = Decimal::from(self.days().max(1));
        let part = Decimal::from(days(from, until).max(0));
        (part / whole).round_dp_with_strategy(RATIO_DECIMALS, RoundingStrategy::MidpointAwayFromZero)
    }
}

/// The day that it is at `time` where the account is.
pub fn day_at(time: Time, zone: &TimeZone) -> Date {
    let moment = jiff::Timestamp::from_millisecond(time.as_ms()).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    moment.to_zoned_datetime(zone.clone()).date()
}

/// When `day` begins there; where a change of clocks skips midnight, the first moment after it.
pub fn start_of(day: Date, zone: &TimeZone) -> Result<Time> {
    let start =
        day.to_zoned_datetime(zone.clone()).and_then(|zoned| zoned.start_of_day()).map_err(|_| out_of_range())?;
    Ok(Time::from_ms(start.timestamp().as_millisecond()))
}

/// A time zone by its IANA name.
///
/// # Errors
/// [`Error::Invalid`] of `time_zone` for what is none.
pub fn zone(name: &str) -> Result<TimeZone> {
    TimeZone::get(name).map_err(|_| Error::invalid("time_zone", "no time zone: write it like Europe/Berlin"))
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;
    use crate::platform::money;

    fn monthly(start: Date, billing_day: Option<i8>) -> Cycle {
        Cycle::beginning(start, IntervalUnit::Month, 1, billing_day).unwrap()
    }

    #[test]
    fn a_billing_day_beyond_a_months_end_falls_on_its_last_day_and_returns() {
        let cycle = monthly(date(2026, 1, 31), None);

        let starts: Vec<_> = (0..5).map(|n| cycle.boundary(n).unwrap()).collect();

        assert_eq!(starts, [(1, 31), (2, 28), (3, 31), (4, 30), (5, 31)].map(|(month, day)| date(2026, month, day)));
        assert_eq!(monthly(date(2024, 1, 31), None).boundary(1).unwrap(), date(2024, 2, 29));
    }

    #[test]
    fn a_part_of_a_period_costs_its_days() {
        let cycle = monthly(date(2012, 3, 2), Some(31));
        let (from, until) = (date(2012, 3, 2), date(2012, 3, 31));

        let whole = cycle.around(from).unwrap();

        assert_eq!(whole, Period { from: date(2012, 2, 29), until });
        assert_eq!(money::round(Decimal::from(59_995) * whole.ratio(from, until)).unwrap(), 56_124);
    }

    #[test]
    fn a_year_that_began_on_a_leap_day_ends_on_the_last_of_february() {
        let cycle = Cycle::beginning(date(2024, 2, 29), IntervalUnit::Year, 1, None).unwrap();

        let starts: Vec<_> = (1..=4).map(|n| cycle.boundary(n).unwrap()).collect();

        assert_eq!(starts, [date(2025, 2, 28), date(2026, 2, 28), date(2027, 2, 28), date(2028, 2, 29)]);
    }

    #[test]
    fn a_day_begins_where_the_account_is_whatever_its_clocks_do() {
        let (berlin, beirut) = (zone("Europe/Berlin").unwrap(), zone("Asia/Beirut").unwrap());

        assert_eq!(start_of(date(2026, 3, 30), &berlin).unwrap().to_string(), "2026-03-29T22:00:00.000Z");
        assert_eq!(day_at("2026-03-29T22:00:00Z".parse().unwrap(), &berlin), date(2026, 3, 30));
        // There it went from midnight to one.
        assert_eq!(day_at(start_of(date(2022, 3, 27), &beirut).unwrap(), &beirut), date(2022, 3, 27));
        assert!(zone("Mars/Olympus").is_err());
    }

    fn any_day() -> impl Strategy<Value = Date> {
        (0..40_000_i32).prop_map(|n| date(1990, 1, 1).checked_add(n.days()).unwrap())
    }

    fn any_unit() -> impl Strategy<Value = IntervalUnit> {
        prop::sample::select(vec![IntervalUnit::Day, IntervalUnit::Week, IntervalUnit::Month, IntervalUnit::Year])
    }

    proptest! {
        #[test]
        fn every_day_lies_in_one_period_and_periods_follow_without_a_gap(
            start in any_day(), day in any_day(), unit in any_unit(), count in 1..13_u16, billing_day in prop::option::of(1..=31_i8),
        ) {
            let cycle = Cycle::beginning(start, unit, count, billing_day).unwrap();

            let period = cycle.around(day).unwrap();

            prop_assert!(period.from <= day && day < period.until, "{:?} of {}", period, day);
            prop_assert_eq!(cycle.around(period.until).unwrap().from, period.until);
            if let Some(wanted) = billing_day.filter(|_| matches!(unit, IntervalUnit::Month | IntervalUnit::Year)) {
                prop_assert_eq!(period.from.day(), wanted.min(period.from.days_in_month()));
            }
        }

        #[test]
        fn the_parts_of_a_period_cost_as_much_as_the_whole_but_for_rounding(
            start in any_day(), day in any_day(), price in 1..10_000_000_i64, cut in 0..31_i32,
        ) {
            let whole = monthly(start, None).around(day).unwrap();
            let cut = whole.from.checked_add(cut.min(whole.days()).days()).unwrap();
            let part = |from, until| money::round(Decimal::from(price) * whole.ratio(from, until)).unwrap();

            let off = part(whole.from, cut) + part(cut, whole.until) - price;

            prop_assert!(off.abs() <= 1, "{} off", off);
        }
    }
}
