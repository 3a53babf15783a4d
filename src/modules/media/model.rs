//! Items, their names, states and limits. Pure.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::platform::clock::Time;
use crate::platform::error::{Error, Result};
use crate::platform::ids::{Id, UserId};

pub type ItemId = Id<Item>;
/// Bytes that belong together.
pub enum Content {}
pub type ContentId = Id<Content>;

/// Which bytes, and where they lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    pub id: ContentId,
    /// Outside of the database, where they do: `s3://bucket/prefix`.
    pub place: Option<Arc<str>>,
}

/// Characters of a name.
const MAX_NAME_CHARS: usize = 200;
/// What a file without a name is called.
const NAMELESS: &str = "Unnamed";

/// A file that a person uploaded, or is uploading.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
#[schema(as = MediaItem)]
pub struct Item {
    #[schema(value_type = String, format = Uuid)]
    pub id: ItemId,
    /// Whose it is.
    #[schema(value_type = String, format = Uuid)]
    pub user_id: UserId,
    /// For people alone.
    #[schema(example = "harbour.jpg")]
    pub name: String,
    /// Found in the content; `application/octet-stream` until that is there.
    #[schema(example = "image/jpeg")]
    pub content_type: String,
    /// While it is uploaded, what was announced.
    pub size_bytes: u64,
    /// In hex, once the content is there.
    pub sha256: Option<String>,
    pub state: State,
    /// Of processing, in percent.
    pub progress: Option<u8>,
    /// Why it failed, or stayed as it was uploaded.
    pub note: Option<String>,
    /// In pixels.
    pub width: Option<u32>,
    /// In pixels.
    pub height: Option<u32>,
    pub duration_ms: Option<u64>,
    /// Smaller forms of it.
    pub variants: Vec<Variant>,
    /// Raised by each change; the `ETag`.
    pub version: i64,
    pub created_at: Time,
    pub updated_at: Time,
    #[serde(skip)]
    pub(super) content: Stored,
}

impl Item {
    /// Whether it is a picture, as far as its first bytes tell.
    pub fn is_picture(&self) -> bool {
        processing_of(&self.content_type) == Some(Processing::Image)
    }
}

/// A smaller form of an item.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
#[schema(as = MediaVariant)]
pub struct Variant {
    /// `small`, `medium` and `large` of a picture; `video` and `poster` of a video.
    pub name: String,
    pub content_type: String,
    pub size_bytes: u64,
    /// In hex.
    pub sha256: String,
    /// In pixels.
    pub width: Option<u32>,
    /// In pixels.
    pub height: Option<u32>,
    #[serde(skip)]
    pub(super) content: Stored,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = MediaState)]
pub enum State {
    Uploading,
    Processing,
    Ready,
    Failed,
}

impl State {
    pub fn as_str(self) -> &'static str {
        match self {
            State::Uploading => "uploading",
            State::Processing => "processing",
            State::Ready => "ready",
            State::Failed => "failed",
        }
    }

    pub(super) fn parse(text: &str) -> Option<State> {
        [State::Uploading, State::Processing, State::Ready, State::Failed].into_iter().find(|s| s.as_str() == text)
    }
}

/// What processing an item takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Processing {
    Image,
    Video,
}

/// What is to be made of content of this type; none where it stays as it is.
pub fn processing_of(content_type: &str) -> Option<Processing> {
    match content_type {
        "image/jpeg" | "image/png" | "image/webp" | "image/gif" => Some(Processing::Image),
        other if other.starts_with("video/") => Some(Processing::Video),
        _ => None,
    }
}

/// What can be changed of an item by hand.
#[derive(Debug, Clone, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = MediaChange)]
pub struct ItemChange {
    #[schema(min_length = 1, max_length = 200)]
    pub name: Option<String>,
}

/// A file's name as its client gives it, fit to be kept and shown: without a path, without what commands a terminal.
pub fn given_name(name: &str) -> String {
    let name = name.rsplit(['/', '\\']).next().unwrap_or("");
    let name: String = name.chars().filter(|c| !is_unfit(*c)).take(MAX_NAME_CHARS).collect();
    match name.trim() {
        "" | "." | ".." => NAMELESS.into(),
        name => name.into(),
    }
}

/// A name that a person types.
pub fn typed_name(name: &str) -> Result<String> {
    let name = name.trim();
    let chars = name.chars().count();
    match chars {
        1..=MAX_NAME_CHARS if !name.chars().any(is_unfit) => Ok(name.into()),
        1..=MAX_NAME_CHARS => {
            Err(Error::invalid("name", "without line breaks and other characters that can't be seen"))
        }
        _ => Err(Error::invalid("name", format!("1 to {MAX_NAME_CHARS} characters; this has {chars}"))),
    }
}

/// Controls, and marks that turn the direction of the text around them.
fn is_unfit(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_given_name_is_kept_without_a_path_and_without_tricks() {
        assert_eq!(given_name("../../etc/passwd"), "passwd");
        assert_eq!(given_name("C:\\Users\\ann\\cat.jpg"), "cat.jpg");
        assert_eq!(given_name("a\u{1b}[31m\r\nb\0.png"), "a[31mb.png");
        assert_eq!(given_name("gpj.\u{202e}exe"), "gpj.exe");
        for nothing in ["", "  ", "..", "/", "a/..", "\u{0}"] {
            assert_eq!(given_name(nothing), "Unnamed", "{nothing:?}");
        }
        assert_eq!(given_name(&"é".repeat(500)).chars().count(), 200);
    }

    #[test]
    fn a_typed_name_is_refused_rather_than_changed() {
        assert_eq!(typed_name(" my cat ").unwrap(), "my cat");
        for wrong in ["", "   ", "a\nb", "a\u{202e}b", &"x".repeat(201)] {
            assert!(typed_name(wrong).is_err(), "{wrong:?}");
        }
    }
}
