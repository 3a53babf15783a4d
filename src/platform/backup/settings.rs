//! What can be set about backups.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::Packing;
use super::retention::Keep;
use crate::platform::db::Folder;
use crate::platform::error::{Error, Result};

/// When backups are made and tried, where they go, and which of them stay.
#[derive(Debug, Clone)]
pub struct BackupSettings {
    pub every: Every,
    /// Where they are kept; none for the unit's own place.
    pub folder: Option<PathBuf>,
    pub keep: Keep,
    pub packing: Packing,
    pub drill_every: Every,
}

impl BackupSettings {
    /// Where backups of `unit` are kept. Its own place is made where it is missing, another never is: a disk that is not
    /// mounted must not be mistaken for an empty folder.
    ///
    /// # Errors
    /// If it does not exist.
    pub fn folder_of(&self, unit: &Folder) -> Result<PathBuf> {
        let Some(folder) = &self.folder else { return super::room(unit) };
        let shown = folder.display();
        match folder.is_dir() {
            true => Ok(folder.clone()),
            false if folder.exists() => {
                Err(Error::Internal(format!("backup_folder is `{shown}`, which is not a folder")))
            }
            false => Err(Error::Internal(format!(
                "backup_folder is `{shown}`, which does not exist; mount it, or make it with `mkdir -p {shown}`"
            ))),
        }
    }
}

/// How often something is done; none for never.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Every(pub Option<Duration>);

const SECONDS_A_DAY: u64 = 24 * 60 * 60;
/// A mistyped unit must not make a disk full of backups within an hour.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(366 * SECONDS_A_DAY);

impl Every {
    pub const fn days(days: u64) -> Every {
        Every(Some(Duration::from_secs(days * SECONDS_A_DAY)))
    }
}

impl fmt::Display for Every {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Every(Some(time)) = self else { return f.write_str("off") };
        let (number, unit) = match time.as_secs() {
            s if s.is_multiple_of(SECONDS_A_DAY) => (s / SECONDS_A_DAY, "day"),
            s if s.is_multiple_of(3600) => (s / 3600, "hour"),
            s if s.is_multiple_of(60) => (s / 60, "minute"),
            s => (s, "second"),
        };
        if number == 1 { write!(f, "every {unit}") } else { write!(f, "every {number} {unit}s") }
    }
}

impl FromStr for Every {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong =
            || format!("`{text}` is no span of time from 1 second to 366 days; write it like 1 day, 12 hours or off");
        if text.trim() == "off" {
            return Ok(Every(None));
        }
        let span: jiff::Span = text.trim().parse().map_err(|_| wrong())?;
        let whole_days = jiff::SpanRelativeTo::days_are_24_hours();
        let seconds = span.total((jiff::Unit::Second, whole_days)).map_err(|_| wrong())?;
        let time = Duration::try_from_secs_f64(seconds).map_err(|_| wrong())?;
        if (SHORTEST..=LONGEST).contains(&time) { Ok(Every(Some(time))) } else { Err(wrong()) }
    }
}

impl<'de> serde::Deserialize<'de> for Every {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_of_time_is_read_as_people_write_it() {
        let seconds = |text: &str| text.parse::<Every>().map(|Every(time)| time.map(|time| time.as_secs()));
        assert_eq!(seconds("1 day"), Ok(Some(86_400)));
        assert_eq!(seconds("12 hours"), Ok(Some(43_200)));
        assert_eq!(seconds("90m"), Ok(Some(5_400)));
        assert_eq!(seconds("2 weeks"), Ok(Some(14 * 86_400)));
        assert_eq!(seconds("off"), Ok(None));
        for wrong in ["", "daily", "0 seconds", "-1 day", "1 month", "400 days", "10 ms", "1"] {
            assert!(seconds(wrong).unwrap_err().contains("like 1 day"), "{wrong}");
        }
    }
}
