//! Where items and their contents are kept.

use super::model::{ContentId, Item, ItemId, State, Stored, Variant};
use super::moving::Moved;
use crate::platform::clock::Time;
use crate::platform::error::Result;
use crate::platform::ids::UserId;

/// What is found out of a content once it is there.
pub(super) struct Found {
    pub content_type: &'static str,
    pub size_bytes: u64,
    pub sha256: [u8; 32],
    pub state: State,
}

/// What processing found out.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub state: Option<State>,
    pub note: Option<String>,
    pub width: Option<u32>,
    pub height: Option<u32>,
    pub duration_ms: Option<u64>,
}

/// A content that a job fills.
pub(super) struct Filled {
    pub content: ContentId,
    /// Once it is whole.
    pub size_bytes: Option<u64>,
    pub sha256: Option<[u8; 32]>,
}

/// A content that something refers to.
pub(super) struct Kept {
    pub stored: Stored,
    pub size_bytes: u64,
    pub sha256: [u8; 32],
}

/// An upload in pieces.
#[derive(Debug, Clone)]
pub(super) struct Upload {
    pub id: ItemId,
    pub user: UserId,
    pub content: ContentId,
    pub length: u64,
    pub received: u64,
    pub hash_state: Vec<u8>,
    pub turn: i64,
    pub metadata: String,
    pub expires_at: Time,
}

pub(super) trait MediaRepository {
    fn insert(&self, item: &Item) -> Result<()>;
    fn find(&self, id: ItemId) -> Result<Option<Item>>;
    /// A person's items before `before`, newest first.
    fn list(&self, user: UserId, before: Option<ItemId>, limit: u32) -> Result<Vec<Item>>;
    fn list_all(&self, user: UserId) -> Result<Vec<ItemId>>;
    /// How many bytes a person has, what is announced counted.
    fn used(&self, user: UserId) -> Result<u64>;
    fn rename(&self, id: ItemId, name: &str, now: Time) -> Result<()>;
    fn arrived(&self, id: ItemId, found: &Found, now: Time) -> Result<()>;
    fn processed(&self, id: ItemId, it: &Outcome, now: Time) -> Result<()>;
    fn delete(&self, id: ItemId) -> Result<()>;
    fn list_users(&self) -> Result<Vec<UserId>>;

    fn put_variant(&self, item: ItemId, variant: &Variant, sha256: &[u8; 32]) -> Result<()>;
    fn has_variant(&self, item: ItemId, name: &str) -> Result<bool>;
    /// A person's newest pictures that are ready.
    fn list_pictures(&self, user: UserId, limit: u32) -> Result<Vec<Item>>;
    fn delete_variants(&self, item: ItemId) -> Result<()>;

    fn insert_upload(&self, upload: &Upload) -> Result<()>;
    fn find_upload(&self, id: ItemId) -> Result<Option<Upload>>;
    fn count_uploads(&self, user: UserId) -> Result<i64>;
    /// Takes the turn to append, if `received` is still where the upload is; returns the turn.
    fn take_turn(&self, id: ItemId, received: u64) -> Result<Option<i64>>;
    /// Moves on, if it is still this turn; false if another has taken it.
    fn advance(&self, id: ItemId, turn: i64, received: u64, hash_state: &[u8], expires_at: Time) -> Result<bool>;
    fn delete_upload(&self, id: ItemId) -> Result<()>;
    fn list_expired(&self, now: Time, limit: u32) -> Result<Vec<ItemId>>;

    /// `label` names what it is for, so that a second one for the same takes the first one's place; `place` where it will
    /// lie outside of the database.
    fn insert_content(&self, id: ContentId, label: Option<&str>, place: Option<&str>, now: Time) -> Result<()>;
    /// It is whole now.
    fn filled(&self, id: ContentId, size_bytes: u64, sha256: &[u8; 32]) -> Result<()>;
    /// What was filled, or begun to be, under this label, newest first.
    fn list_labelled(&self, label: &str) -> Result<Vec<Filled>>;
    fn keep_content(&self, id: ContentId) -> Result<()>;
    fn discard_content(&self, id: ContentId) -> Result<()>;
    /// Contents in the database that nobody will want: discarded ones, and those being filled since before `time`.
    fn list_unwanted(&self, time: Time, limit: u32) -> Result<Vec<ContentId>>;
    /// The same of those outside, behind `after`.
    fn list_unwanted_outside(&self, time: Time, after: Option<ContentId>, limit: u32) -> Result<Vec<Stored>>;
    /// The first content behind `after` that lies in the database, and whose file is not being worked on.
    fn find_kept_here(&self, after: Option<ContentId>) -> Result<Option<Kept>>;
    /// The first content behind `after` that lies anywhere but at `place`, and whose file is not being worked on.
    fn find_kept_elsewhere(&self, place: Option<&str>, after: Option<ContentId>) -> Result<Option<Kept>>;
    fn count_elsewhere(&self, place: Option<&str>) -> Result<Moved>;
    /// What lies outside of the database, by place.
    fn list_outside(&self) -> Result<Vec<(String, i64, u64)>>;
    /// Puts the content `new`, which is whole, in the place of `old`, which is discarded; false if that is gone.
    ///
    /// # Errors
    /// [`Error::Conflict`](crate::platform::error::Error::Conflict) if `new` was discarded meanwhile.
    fn replace_content(&self, old: ContentId, new: ContentId) -> Result<bool>;
    fn delete_content(&self, id: ContentId) -> Result<()>;
    fn put_chunk(&self, content: ContentId, number: u64, bytes: &[u8]) -> Result<()>;
    fn find_chunk(&self, content: ContentId, number: u64) -> Result<Option<Vec<u8>>>;
    /// Removes up to `limit` chunks; returns how many.
    fn delete_chunks(&self, content: ContentId, limit: u32) -> Result<usize>;
}
