//! Where billing accounts and settings are kept.

use super::languages::Language;
use super::model::{Account, Details, Settings};
use crate::platform::clock::Time;
use crate::platform::error::Result;
use crate::platform::ids::UserId;

pub(super) trait AccountRepository {
    /// Adds an account; [`Error::Duplicate`](crate::platform::error::Error::Duplicate) if its user has one.
    fn insert(&self, account: &Account, name: &str, language: Language) -> Result<()>;
    fn find(&self, user: UserId) -> Result<Option<Account>>;
    fn find_details(&self, user: UserId) -> Result<Option<Details>>;
    fn update_details(&self, details: &Details) -> Result<()>;
    fn list_between(&self, first: UserId, last: UserId) -> Result<Vec<Account>>;
    /// Accounts with a clock of their own.
    fn list_on_trial(&self) -> Result<Vec<UserId>>;
    /// The time zones that accounts are in, each once.
    fn list_zones(&self) -> Result<Vec<String>>;
    fn delete(&self, user: UserId) -> Result<()>;
    /// The users of all accounts that are not closed.
    fn list_ids(&self) -> Result<Vec<UserId>>;
    /// Whether anything was ever invoiced to, or paid by, this account.
    fn has_books(&self, user: UserId) -> Result<bool>;

    /// Forgets what payers wrote, and why something went back.
    fn forget_words(&self, user: UserId) -> Result<()>;

    fn find_settings(&self) -> Result<Option<(Settings, i64)>>;
    fn put_settings(&self, settings: &Settings, version: i64, now: Time) -> Result<()>;
}
