//! Billing: what people owe and how they pay. For now only their accounts.
//!
//! Owns the table `billing_accounts`. Uses no other module.

mod invoices;
mod model;
mod repository;
mod sqlite;

use serde_json::Value;

pub use model::Account;

use crate::platform::db::{self, Snapshot, UnitOfWork};
use crate::platform::error::{Error, OrConflict, Result};
use crate::platform::ids::UserId;
use crate::platform::module::{Declaration, Module};
use crate::platform::money::Currency;
use repository::AccountRepository;

/// What other code may ask of billing.
#[derive(Clone)]
pub struct Billing;

/// The key to this module's tables; no one else can make one.
struct Owner(());

impl db::Owner for Owner {
    const PATH: &'static str = module_path!();
}

impl Billing {
    /// Opens the account of a new user; [`Error::Conflict`] if that user has one.
    pub fn open_account(&self, work: &UnitOfWork<'_>, user: UserId, currency: Currency) -> Result<Account> {
        let account = Account { user_id: user, currency, created_at: work.now() };
        work.tables(Owner(())).insert(&account).or_conflict("user_id", "this user has a billing account")?;
        Ok(account)
    }

    /// A user's account; [`Error::NotFound`] if there is none.
    pub fn account_of(&self, snapshot: &Snapshot<'_>, user: UserId) -> Result<Account> {
        snapshot.tables(Owner(())).find(user)?.ok_or(Error::NotFound("billing account"))
    }

    /// The accounts of users `first..=last`, by id.
    pub fn accounts_between(&self, snapshot: &Snapshot<'_>, first: UserId, last: UserId) -> Result<Vec<Account>> {
        snapshot.tables(Owner(())).list_between(first, last)
    }

    /// The users of all accounts, for `ashlar doctor`.
    pub fn ids(&self, snapshot: &Snapshot<'_>) -> Result<Vec<UserId>> {
        snapshot.tables(Owner(())).list_ids()
    }
}

impl Module for Billing {
    fn declaration(&self) -> Declaration {
        Declaration { name: "billing", purpose: "What people owe and how they pay", uses: &[] }
    }

    fn export(&self, snapshot: &Snapshot<'_>, person: UserId) -> Result<Value> {
        let account = snapshot.tables(Owner(())).find(person)?;
        serde_json::to_value(account).map_err(|e| Error::internal("exporting a billing account", e))
    }

    fn erase(&self, work: &UnitOfWork<'_>, person: UserId) -> Result<()> {
        work.tables(Owner(())).delete(person)
    }
}
