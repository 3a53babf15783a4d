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

    /// For file names: `20261123T224358Z`.
    pub fn to_compact(self) -> String {
        self.timestamp().strftime("%Y%m%dT%H%M%SZ").to_string()
    }

    /// What [`Time::to_compact`] wrote.
    pub fn from_compact(text: &str) -> Option<Self> {
        let civil = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", text).ok()?;
        let time = Time::from_ms(jiff::tz::TimeZone::UTC.to_timestamp(civil).ok()?.as_millisecond());
        // Written in one way only: no signs, spaces or shorter numbers.
        (time.to_compact() == text).then_some(time)
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
