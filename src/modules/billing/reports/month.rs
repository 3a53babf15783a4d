//! Calendar months. Pure.

use std::fmt;
use std::str::FromStr;

use jiff::ToSpan;
use jiff::civil::Date;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::platform::error::{Error, Result};

/// Months of one report, at most: ten years.
const MAX_MONTHS: usize = 120;
/// Where nothing is said.
const MONTHS: i64 = 12;

/// `2026-11`
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Month {
    first: Date,
}

impl Month {
    pub fn of(day: Date) -> Month {
        Month { first: day.first_of_month() }
    }

    fn plus(self, months: i64) -> Option<Month> {
        self.first.checked_add(months.months()).ok().map(Month::of)
    }

    /// For people: `Nov 2026`.
    pub fn label(self) -> String {
        self.first.strftime("%b %Y").to_string()
    }

    /// Below a bar, where room is scarce: `Nov`, and `Jan 2026`.
    pub fn short(self) -> String {
        if self.first.month() == 1 { self.label() } else { self.first.strftime("%b").to_string() }
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.first.strftime("%Y-%m"))
    }
}

impl FromStr for Month {
    type Err = jiff::Error;

    fn from_str(text: &str) -> Result<Month, jiff::Error> {
        let first = format!("{text}-01").parse::<Date>()?;
        Ok(Month { first })
    }
}

impl Serialize for Month {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Month {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Month, D::Error> {
        let text = String::deserialize(deserializer)?;
        let month = text.parse().ok().filter(|month: &Month| month.to_string() == text);
        month.ok_or_else(|| serde::de::Error::custom("a month like 2026-11"))
    }
}

/// From the first to the last, both counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Months {
    pub from: Month,
    pub until: Month,
}

impl Months {
    /// What is asked for: up to `this` month, and a year, where nothing is said.
    ///
    /// # Errors
    /// [`Error::Invalid`] if they end before they begin, or are more than [`MAX_MONTHS`].
    pub fn wanted(from: Option<Month>, until: Option<Month>, this: Month) -> Result<Months> {
        let out_of_range = || Error::invalid("from", "out of range");
        let (from, until) = match (from, until) {
            (Some(from), Some(until)) => (from, until),
            (Some(from), None) => (from, this.max(from)),
            (None, until) => {
                let until = until.unwrap_or(this);
                (until.plus(1 - MONTHS).ok_or_else(out_of_range)?, until)
            }
        };
        if until < from {
            return Err(Error::invalid("until", format!("not before {from}, where it begins")));
        }
        let months = Months { from, until };
        if months.iter().take(MAX_MONTHS + 1).count() > MAX_MONTHS {
            return Err(Error::invalid("from", format!("at most {MAX_MONTHS} months")));
        }
        Ok(months)
    }

    pub fn iter(self) -> impl Iterator<Item = Month> {
        std::iter::successors(Some(self.from), |month| month.plus(1)).take_while(move |month| *month <= self.until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn month(text: &str) -> Month {
        text.parse().unwrap()
    }

    #[test]
    fn a_year_up_to_this_month_where_nothing_is_said() {
        let this = month("2026-11");
        let wanted = |from: Option<&str>, until: Option<&str>| Months::wanted(from.map(month), until.map(month), this);

        let year = wanted(None, None).unwrap();
        assert_eq!((year.from, year.until, year.iter().count()), (month("2025-12"), this, 12));
        assert_eq!(wanted(Some("2026-01"), None).unwrap().iter().count(), 11);
        assert_eq!(wanted(Some("2026-01"), Some("2026-03")).unwrap().iter().count(), 3);
        assert!(wanted(Some("2026-02"), Some("2026-01")).is_err());
        assert!(wanted(Some("1000-01"), None).is_err());
    }

    #[test]
    fn months_are_written_in_one_way() {
        for text in ["2026-1", "2026", "2026-11-25", "2026-13", " 2026-11", ""] {
            let read: std::result::Result<Month, _> = serde_json::from_value(serde_json::json!(text));
            assert!(read.is_err(), "{text}");
        }
        assert_eq!(month("2026-11").label(), "Nov 2026");
        assert_eq!((month("2026-11").short(), month("2026-01").short()), ("Nov".into(), "Jan 2026".into()));
    }
}
