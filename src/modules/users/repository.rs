//! Where users are kept.

use super::model::User;
use crate::platform::auth::Standing;
use crate::platform::clock::Time;
use crate::platform::error::Result;
use crate::platform::ids::UserId;

pub(super) trait UserRepository {
    /// Adds a user; [`Error::Duplicate`](crate::platform::error::Error::Duplicate) if the address is taken.
    fn insert(&self, user: &User) -> Result<()>;
    fn find(&self, id: UserId) -> Result<Option<User>>;
    /// By the address' key.
    fn find_by_key(&self, key: &str) -> Result<Option<User>>;
    fn find_standing(&self, id: UserId) -> Result<Option<Standing>>;
    fn list(&self, after: Option<UserId>, limit: u32) -> Result<Vec<User>>;
    /// Ids of users whose address lies in `from..to`, ignoring case and accents.
    fn search(&self, from: &str, to: &str, after: Option<UserId>, limit: u32) -> Result<Vec<UserId>>;
    fn list_ids(&self) -> Result<Vec<UserId>>;
    fn count(&self) -> Result<i64>;
    fn count_active_owners(&self) -> Result<i64>;
    /// Changes role and state.
    fn update(&self, user: &User) -> Result<()>;
    /// Unless it was before; returns how many.
    fn verify_email(&self, id: UserId, now: Time) -> Result<usize>;
    fn delete(&self, id: UserId) -> Result<()>;
}
