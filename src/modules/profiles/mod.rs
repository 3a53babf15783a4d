//! Profiles: how a person presents themselves.
//!
//! Owns the tables `profiles` and `profile_words`. Uses no other module.

mod model;
mod repository;
mod sqlite;

use serde_json::Value;

pub use model::{AvatarId, DisplayName, Profile, ProfileChange};

use crate::platform::audit;
use crate::platform::db::{self, Snapshot, UnitOfWork};
use crate::platform::error::{Error, OrConflict, Result};
use crate::platform::ids::UserId;
use crate::platform::module::{Declaration, Module};
use crate::platform::text;
use repository::ProfileRepository;

/// What other code may ask of profiles.
#[derive(Clone)]
pub struct Profiles;

/// The key to this module's tables; no one else can make one.
struct Owner(());

impl db::Owner for Owner {
    const PATH: &'static str = module_path!();
}

impl Profiles {
    /// Adds the profile of a new user; [`Error::Conflict`] if that user has one.
    pub fn create(&self, work: &UnitOfWork<'_>, user: UserId, name: DisplayName) -> Result<Profile> {
        let profile = Profile::new(user, name, work.now());
        work.tables(Owner(())).insert(&profile).or_conflict("user_id", "this user has a profile")?;
        Ok(profile)
    }

    /// A user's profile; [`Error::NotFound`] if there is none.
    pub fn of(&self, snapshot: &Snapshot<'_>, user: UserId) -> Result<Profile> {
        snapshot.tables(Owner(())).find(user)?.ok_or(Error::NotFound("profile"))
    }

    /// The profiles of users `first..=last`, by id.
    pub fn between(&self, snapshot: &Snapshot<'_>, first: UserId, last: UserId) -> Result<Vec<Profile>> {
        snapshot.tables(Owner(())).list_between(first, last)
    }

    /// Does without a picture that goes, where a person has it.
    pub fn drop_avatar(&self, work: &UnitOfWork<'_>, user: UserId, avatar: AvatarId) -> Result<()> {
        match self.of(work, user) {
            Ok(profile) if profile.avatar_id == Some(avatar) => {
                let change = ProfileChange { avatar_id: Some(None), ..ProfileChange::default() };
                self.edit(work, user, change, |_| Ok(())).map(drop)
            }
            Ok(_) | Err(Error::NotFound(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Who has a picture, and which, for `ashlar doctor`.
    pub fn avatars(&self, snapshot: &Snapshot<'_>) -> Result<Vec<(UserId, AvatarId)>> {
        snapshot.tables(Owner(())).list_avatars()
    }

    /// Changes a profile. `check` sees it as it is now and may refuse.
    pub fn edit(
        &self,
        work: &UnitOfWork<'_>,
        user: UserId,
        change: ProfileChange,
        check: impl FnOnce(&Profile) -> Result<()>,
    ) -> Result<Profile> {
        let before = self.of(work, user)?;
        let after = change.apply(&before, work.now())?;
        check(&before)?;
        if !after.same_content(&before) {
            work.tables(Owner(())).update(&before, &after)?;
            audit::record_person(work, "profile.edited", user, Some(&before), Some(&after))?;
            return Ok(after);
        }
        Ok(before)
    }

    /// Ids behind `after`, by id, of users of whose name each word of `q` begins a word.
    pub fn search(&self, snapshot: &Snapshot<'_>, q: &str, after: Option<UserId>, limit: u32) -> Result<Vec<UserId>> {
        let mut words = text::words(q);
        // The longest word has the fewest matches; the others are looked for among them.
        words.sort_by_key(|word| word.len());
        let Some(longest) = words.pop() else { return Ok(Vec::new()) };
        snapshot.tables(Owner(())).search(&longest, &words, after, limit)
    }

    /// Users whose names are not found as they are written, for `ashlar doctor`.
    pub fn mismatched(&self, snapshot: &Snapshot<'_>) -> Result<Vec<UserId>> {
        snapshot.tables(Owner(())).list_mismatched()
    }

    /// Makes a user's name found as it is written.
    pub fn reindex(&self, work: &UnitOfWork<'_>, user: UserId) -> Result<()> {
        work.tables(Owner(())).reindex(user)
    }

    /// The users of all profiles, for `ashlar doctor`.
    pub fn ids(&self, snapshot: &Snapshot<'_>) -> Result<Vec<UserId>> {
        snapshot.tables(Owner(())).list_ids()
    }
}

impl Module for Profiles {
    fn declaration(&self) -> Declaration {
        Declaration { name: "profiles", purpose: "How a person presents themselves", uses: &[] }
    }

    fn export(&self, snapshot: &Snapshot<'_>, person: UserId) -> Result<Value> {
        let profile = snapshot.tables(Owner(())).find(person)?;
        serde_json::to_value(profile).map_err(|e| Error::internal("exporting a profile", e))
    }

    fn erase(&self, work: &UnitOfWork<'_>, person: UserId) -> Result<()> {
        work.tables(Owner(())).delete(person)
    }
}
