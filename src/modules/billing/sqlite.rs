//! Billing accounts in SQLite.

use rusqlite::Row;
use rusqlite::types::Type;

use super::Owner;
use super::model::Account;
use super::repository::AccountRepository;
use crate::platform::db::Tables;
use crate::platform::error::Result;
use crate::platform::ids::UserId;
use crate::platform::money::Currency;
use crate::sql;

impl AccountRepository for Tables<'_, Owner> {
    fn insert(&self, account: &Account) -> Result<()> {
        self.execute(
            sql!("INSERT INTO billing_accounts (user_id, currency, created_at) VALUES (?1, ?2, ?3)"),
            (account.user_id, account.currency.code(), account.created_at),
        )
        .map(drop)
    }

    fn find(&self, user: UserId) -> Result<Option<Account>> {
        self.fetch_optional(
            sql!("SELECT user_id, currency, created_at FROM billing_accounts WHERE user_id = ?1"),
            [user],
            account,
        )
    }

    fn list_between(&self, first: UserId, last: UserId) -> Result<Vec<Account>> {
        self.fetch_all(
            sql!(
                "SELECT user_id, currency, created_at FROM billing_accounts
                 WHERE user_id BETWEEN ?1 AND ?2 ORDER BY user_id"
            ),
            (first, last),
            account,
        )
    }

    fn delete(&self, user: UserId) -> Result<()> {
        self.execute(sql!("DELETE FROM billing_accounts WHERE user_id = ?1"), [user]).map(drop)
    }

    fn list_ids(&self) -> Result<Vec<UserId>> {
        self.fetch_all(sql!("SELECT user_id FROM billing_accounts ORDER BY user_id"), [], |row| row.get(0))
    }
}

fn account(row: &Row<'_>) -> rusqlite::Result<Account> {
    let currency = Currency::parse(row.get_ref(1)?.as_str()?)
        .map_err(|e| rusqlite::Error::FromSqlConversionFailure(1, Type::Text, Box::new(e)))?;
    Ok(Account { user_id: row.get(0)?, currency, created_at: row.get(2)? })
}
