//! Ids: UUID v7, so that they sort by time of making. A `BLOB` of 16 bytes in SQLite, text outside.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;

use uuid::Uuid;

use super::clock::Time;
use super::error::{Error, Result};

/// The id of one `Kind` of thing; ids of different kinds don't mix.
pub struct Id<Kind>(Uuid, PhantomData<fn() -> Kind>);

/// Whose id a [`UserId`] is. People are known to every module by their id alone.
pub enum User {}
pub type UserId = Id<User>;

impl<Kind> Id<Kind> {
    /// A new id made at `now`; later ones of this process sort after earlier ones.
    pub fn new(now: Time) -> Self {
        static CONTEXT: std::sync::Mutex<uuid::timestamp::context::ContextV7> =
            std::sync::Mutex::new(uuid::timestamp::context::ContextV7::new());
        let ms = now.as_ms().unsigned_abs();
        let stamp = uuid::Timestamp::from_unix(&CONTEXT, ms / 1000, (ms % 1000) as u32 * 1_000_000);
        Self::from_uuid(Uuid::new_v7(stamp))
    }

    /// Reads an id from a path or a body; what is none names no thing, so [`Error::NotFound`] of `what`.
    pub fn parse(text: &str, what: &'static str) -> Result<Self> {
        // Only the hyphenated form, so that one thing has one address.
        match Uuid::try_parse(text) {
            Ok(uuid) if text.len() == 36 => Ok(Self::from_uuid(uuid)),
            _ => Err(Error::NotFound(what)),
        }
    }

    pub const fn from_uuid(uuid: Uuid) -> Self {
        Id(uuid, PhantomData)
    }

    pub const fn uuid(&self) -> Uuid {
        self.0
    }
}

impl<Kind> Clone for Id<Kind> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<Kind> Copy for Id<Kind> {}
impl<Kind> PartialEq for Id<Kind> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
impl<Kind> Eq for Id<Kind> {}
impl<Kind> PartialOrd for Id<Kind> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<Kind> Ord for Id<Kind> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.cmp(&other.0)
    }
}
impl<Kind> Hash for Id<Kind> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}
impl<Kind> fmt::Display for Id<Kind> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}
impl<Kind> fmt::Debug for Id<Kind> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
impl<Kind> serde::Serialize for Id<Kind> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
impl<Kind> utoipa::PartialSchema for Id<Kind> {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};
        ObjectBuilder::new().schema_type(Type::String).format(Some(SchemaFormat::KnownFormat(KnownFormat::Uuid))).into()
    }
}
impl<Kind> utoipa::ToSchema for Id<Kind> {}
