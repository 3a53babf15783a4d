//! Where billing accounts are kept.

use super::model::Account;
use crate::platform::error::Result;
use crate::platform::ids::UserId;

pub(super) trait AccountRepository {
    /// Adds an account; [`Error::Duplicate`](crate::platform::error::Error::Duplicate) if its user has one.
    fn insert(&self, account: &Account) -> Result<()>;
    fn find(&self, user: UserId) -> Result<Option<Account>>;
    fn list_between(&self, first: UserId, last: UserId) -> Result<Vec<Account>>;
    fn delete(&self, user: UserId) -> Result<()>;
    fn list_ids(&self) -> Result<Vec<UserId>>;
}
