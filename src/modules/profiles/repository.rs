//! Where profiles are kept.

use super::model::{AvatarId, Profile};
use crate::platform::error::Result;
use crate::platform::ids::UserId;

pub(super) trait ProfileRepository {
    /// Adds a profile; [`Error::Duplicate`](crate::platform::error::Error::Duplicate) if its user has one.
    fn insert(&self, profile: &Profile) -> Result<()>;
    fn find(&self, user: UserId) -> Result<Option<Profile>>;
    fn list_between(&self, first: UserId, last: UserId) -> Result<Vec<Profile>>;
    fn update(&self, before: &Profile, after: &Profile) -> Result<()>;
    fn delete(&self, user: UserId) -> Result<()>;
    /// Users who have a word that begins with `word`, and one for each of `others`; by id.
    fn search(&self, word: &str, others: &[String], after: Option<UserId>, limit: u32) -> Result<Vec<UserId>>;
    /// Users of whom the words kept for search are not those of their name, or who have words but no profile.
    fn list_mismatched(&self) -> Result<Vec<UserId>>;
    /// Keeps for search the words of this user's name, and no others.
    fn reindex(&self, user: UserId) -> Result<()>;
    /// Who has a picture, and which.
    fn list_avatars(&self) -> Result<Vec<(UserId, AvatarId)>>;
    fn list_ids(&self) -> Result<Vec<UserId>>;
}
