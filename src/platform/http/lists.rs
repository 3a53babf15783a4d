//! Lists: how many at once, and where to go on.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::platform::ids::Id;

/// How many items a list gives at once: 1 to 100, 30 if nothing is said.
#[derive(Debug, Clone, Copy)]
pub struct Limit(pub u32);

impl Default for Limit {
    fn default() -> Self {
        Limit(30)
    }
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.parse() {
            Ok(limit @ 1..=100) => Ok(Limit(limit)),
            _ => Err(serde::de::Error::custom("a whole number from 1 to 100")),
        }
    }
}

/// Where a list goes on: behind this item. Opaque to clients.
pub struct Cursor<Kind>(pub Id<Kind>);

impl<Kind> Cursor<Kind> {
    /// As it stands in an address.
    pub fn text(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0.uuid().as_bytes())
    }
}

impl<Kind> Serialize for Cursor<Kind> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text())
    }
}

impl<'de, Kind> Deserialize<'de> for Cursor<Kind> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| uuid::Uuid::from_slice(&bytes).ok());
        let uuid = bytes.ok_or_else(|| serde::de::Error::custom("take it from `next_cursor` of the page before"))?;
        Ok(Cursor(Id::from_uuid(uuid)))
    }
}
