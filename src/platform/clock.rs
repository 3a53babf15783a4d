//! Time, passed in so that tests can set it.

/// A moment: UTC, milliseconds since 1970. RFC 3339 outside, an `INTEGER` in SQLite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(i64);

impl Time {
    /// The moment `ms` milliseconds after 1970, within what a four-digit year can say.
    pub fn from_ms(ms: i64) -> Self {
        Time(ms.clamp(0, 253_402_300_799_999))
    }

    pub fn as_ms(self) -> i64 {
        self.0
    }

    pub fn plus_seconds(self, seconds: i64) -> Self {
        Time::from_ms(self.0.saturating_add(seconds.saturating_mul(1000)))
    }

    /// For people: `2026-11-23 22:43 UTC`.
    pub fn to_minute(self) -> String {
        self.timestamp().strftime("%Y-%m-%d %H:%M UTC").to_string()
    }

    /// For lists: `2026-11-23`.
    pub fn to_day(self) -> String {
        self.timestamp().strftime("%Y-%m-%d").to_string()
    }

    /// For headers: `Mon, 23 Nov 2026 22:43:58 GMT`.
    pub fn to_http(self) -> String {
        self.timestamp().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
    }

    /// For file names: `20261123T224358Z`.
    pub fn to_compact(self) -> String {
        self.timestamp().strftime("%Y%m%dT%H%M%SZ").to_string()
    }

    /// What [`Time::to_compact`] wrote.
    pub fn from_compact(text: &str) -> Option<Self> {
        let time = Time::of_civil(jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", text).ok()?)?;
        // Written in one way only: no signs, spaces or shorter numbers.
        (time.to_compact() == text).then_some(time)
    }

    /// The first such moment in a file's name.
    pub fn in_name(name: &str) -> Option<Self> {
        (0..name.len()).find_map(|from| Time::from_compact(name.get(from..from + 16)?))
    }

    /// A date and a time of day in UTC; none outside of what [`Time::from_ms`] takes.
    fn of_civil(civil: jiff::civil::DateTime) -> Option<Self> {
        Time::of_timestamp(jiff::tz::TimeZone::UTC.to_timestamp(civil).ok()?)
    }

    fn of_timestamp(timestamp: jiff::Timestamp) -> Option<Self> {
        let ms = timestamp.as_millisecond();
        Some(Time::from_ms(ms)).filter(|time| time.as_ms() == ms)
    }

    fn timestamp(self) -> jiff::Timestamp {
        // The range of `from_ms` lies within jiff's.
        jiff::Timestamp::from_millisecond(self.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
    }
}

impl std::fmt::Display for Time {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.3}", self.timestamp())
    }
}

/// RFC 3339 (`2026-11-24T10:00:00Z`, with any offset), or a date and a time of day in UTC (`2026-11-24 10:00`).
impl std::str::FromStr for Time {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let civil = ["%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S"]
            .iter()
            .find_map(|format| jiff::civil::DateTime::strptime(format, text).ok())
            .and_then(Time::of_civil);
        civil.or_else(|| Time::of_timestamp(text.parse().ok()?)).ok_or_else(|| {
            format!("`{text}` is no time: write it like 2026-11-24T10:00:00Z or, in UTC, 2026-11-24 10:00")
        })
    }
}

impl serde::Serialize for Time {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl utoipa::PartialSchema for Time {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
            .description(Some("RFC 3339, UTC"))
            .into()
    }
}

impl utoipa::ToSchema for Time {}

/// Tells the time: the system's, or one that a test sets.
#[derive(Debug, Clone, Default)]
pub struct Clock(Option<Time>);

impl Clock {
    pub fn system() -> Self {
        Clock(None)
    }

    /// A clock that stands at `ms`.
    pub fn fixed(ms: i64) -> Self {
        Clock(Some(Time::from_ms(ms)))
    }

    pub fn now(&self) -> Time {
        self.0.unwrap_or_else(|| Time::from_ms(jiff::Timestamp::now().as_millisecond()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_an_offset_or_in_utc_and_nothing_else_is() {
        let read = |text: &str| text.parse::<Time>().map(|time| time.to_string());

        for same in ["2026-11-24T10:00:00Z", "2026-11-24T11:00:00+01:00", "2026-11-24 10:00", "2026-11-24 10:00:00"] {
            assert_eq!(read(same).as_deref(), Ok("2026-11-24T10:00:00.000Z"), "{same}");
        }
        for wrong in ["", "yesterday", "2026-11-24", "10:00", "2026-13-01 10:00", "1900-01-01 00:00", "1764000000"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_time_in_a_name_is_found_wherever_it_stands() {
        let time = |name| Time::in_name(name).map(Time::to_compact);

        assert_eq!(time("ashlar-20261124T100000Z-s9.db").as_deref(), Some("20261124T100000Z"));
        assert_eq!(time("before-migration-20261124T100000Z.db").as_deref(), Some("20261124T100000Z"));
        assert_eq!(time("20261324T100000Z.db"), None);
        assert_eq!(time("é.db"), None);
    }
}
