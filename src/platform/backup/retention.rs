//! Which backups stay.

use std::collections::BTreeSet;

use jiff::tz::TimeZone;

use crate::platform::clock::Time;

/// What is younger stays in any case: also what somebody made before a change that may go wrong.
const FRESH_S: i64 = 24 * 60 * 60;

/// How many periods keep a backup, of those that have one: the last of each day, week or month (UTC; weeks begin on
/// Monday).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    pub daily: u32,
    pub weekly: u32,
    pub monthly: u32,
}

impl Default for Keep {
    fn default() -> Self {
        Keep { daily: 7, weekly: 4, monthly: 12 }
    }
}

/// Which of the backups made at `times` need no longer be kept. The newest always is.
pub fn superseded(times: &[Time], keep: Keep, now: Time) -> BTreeSet<Time> {
    let all: BTreeSet<Time> = times.iter().copied().collect();
    let is_fresh = |time: &&Time| **time > now.plus_seconds(-FRESH_S);
    let mut kept: BTreeSet<Time> = all.iter().filter(is_fresh).chain(all.last()).copied().collect();
    kept.extend(last_of_each(&all, keep.daily, date));
    kept.extend(last_of_each(&all, keep.weekly, |time| {
        let week = date(time).iso_week_date();
        (week.year(), week.week())
    }));
    kept.extend(last_of_each(&all, keep.monthly, |time| (date(time).year(), date(time).month())));
    all.difference(&kept).copied().collect()
}

/// The last of each of the `number` newest periods that have any.
fn last_of_each<P: PartialEq>(times: &BTreeSet<Time>, number: u32, period: impl Fn(Time) -> P) -> Vec<Time> {
    let mut kept: Vec<Time> = Vec::new();
    for &time in times.iter().rev() {
        if kept.len() == number as usize {
            break;
        }
        if kept.last().is_none_or(|last| period(*last) != period(time)) {
            kept.push(time);
        }
    }
    kept
}

fn date(time: Time) -> jiff::civil::Date {
    // `Time` keeps within what jiff knows.
    let timestamp = jiff::Timestamp::from_millisecond(time.as_ms()).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    TimeZone::UTC.to_datetime(timestamp).date()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEEP: Keep = Keep { daily: 7, weekly: 4, monthly: 12 };

    fn at(text: &str) -> Time {
        Time::from_compact(text).unwrap()
    }

    fn days(number: i64) -> Vec<Time> {
        (0..number).map(|day| at("20260101T030000Z").plus_seconds(day * 86_400)).collect()
    }

    #[test]
    fn two_years_of_days_leave_seven_days_four_weeks_and_twelve_months() {
        let all = days(730);
        let now = *all.last().unwrap();

        let gone = superseded(&all, KEEP, now);

        let kept: Vec<String> = all.iter().filter(|time| !gone.contains(time)).map(|time| time.to_day()).collect();
        let months = ["2027-01-31", "2027-02-28", "2027-03-31", "2027-04-30", "2027-05-31", "2027-06-30"];
        assert_eq!(kept[..6], months);
        // December's last is the newest day; two of the four weeks end within the last seven days or on a month's end.
        assert_eq!(kept.last().unwrap(), "2027-12-31");
        assert!((7 + 11..=7 + 4 + 12).contains(&kept.len()), "{kept:?}");
    }

    #[test]
    fn what_was_made_within_a_day_stays_however_often() {
        let now = at("20260301T120000Z");
        let all: Vec<Time> = (0..48).map(|hour| now.plus_seconds(-3600 * hour)).collect();

        let gone = superseded(&all, KEEP, now);

        assert!(all[..24].iter().all(|time| !gone.contains(time)));
        // The last of the day before yesterday stays as that day's.
        assert!(!gone.contains(&at("20260227T230000Z")) && gone.contains(&at("20260227T220000Z")));
    }

    #[test]
    fn the_newest_stays_even_if_nothing_is_to_be_kept() {
        let all = days(10);
        let gone = superseded(&all, Keep { daily: 0, weekly: 0, monthly: 0 }, at("20300101T000000Z"));
        assert_eq!(gone.len(), 9);
        assert!(!gone.contains(all.last().unwrap()));
    }

    #[test]
    fn where_there_is_none_nothing_goes() {
        assert!(superseded(&[], KEEP, at("20260101T000000Z")).is_empty());
    }

    proptest! {
        #[test]
        fn retention_is_bounded_and_never_takes_the_newest(
            hours in prop::collection::btree_set(0_i64..20_000, 1..300),
            daily in 0_u32..10, weekly in 0_u32..6, monthly in 0_u32..14,
        ) {
            let keep = Keep { daily, weekly, monthly };
            let all: Vec<Time> = hours.iter().map(|hour| at("20260101T000000Z").plus_seconds(hour * 3600)).collect();
            let now = at("20300101T000000Z");

            let gone = superseded(&all, keep, now);

            let kept: Vec<Time> = all.iter().copied().filter(|time| !gone.contains(time)).collect();
            prop_assert!(kept.contains(all.last().unwrap()));
            prop_assert!(kept.len() <= (daily + weekly + monthly).max(1) as usize);
            // To look again takes nothing more.
            prop_assert!(superseded(&kept, keep, now).is_empty());
        }
    }
}
