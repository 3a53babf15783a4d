//! Billing accounts and settings in SQLite, and how values stand in all of billing's tables.

use jiff::civil::Date;
use rusqlite::Row;
use rusqlite::types::Type;
use serde::Serialize;
use serde::de::value::StrDeserializer;
use serde::de::{DeserializeOwned, IntoDeserializer};

use super::Owner;
use super::languages::Language;
use super::model::{Account, Details, Settings};
use super::repository::AccountRepository;
use crate::platform::clock::Time;
use crate::platform::db::Tables;
use crate::platform::error::{Error, Result};
use crate::platform::ids::UserId;
use crate::sql;

impl AccountRepository for Tables<'_, Owner> {
    fn insert(&self, account: &Account, name: &str, language: Language) -> Result<()> {
        self.execute(
            sql!(
                "INSERT INTO billing_accounts (user_id, currency, name, language, created_at, updated_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?5)"
            ),
            (account.user_id, account.currency.code(), name, language.words().tag, account.created_at),
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

    fn find_details(&self, user: UserId) -> Result<Option<Details>> {
        self.fetch_optional(
            sql!(
                "SELECT user_id, currency, created_at, name, address, tax_id, language, time_zone, payment_terms_days,
                        tax_rate_id, gateway, gateway_customer, credit_minor, test_clock_at, closed_at, version, updated_at
                 FROM billing_accounts WHERE user_id = ?1"
            ),
            [user],
            |row| {
                Ok(Details {
                    account: account(row)?,
                    name: row.get(3)?,
                    address: json(row, 4)?,
                    tax_id: row.get(5)?,
                    language: row.get(6)?,
                    time_zone: row.get(7)?,
                    payment_terms_days: row.get(8)?,
                    tax_rate_id: row.get(9)?,
                    gateway: row.get(10)?,
                    gateway_customer: row.get(11)?,
                    credit_minor: row.get(12)?,
                    test_clock_at: row.get(13)?,
                    closed_at: row.get(14)?,
                    version: row.get(15)?,
                    updated_at: row.get(16)?,
                })
            },
        )
    }

    fn update_details(&self, d: &Details) -> Result<()> {
        self.execute(
            sql!(
                "UPDATE billing_accounts
                 SET currency = ?2, name = ?3, address = ?4, tax_id = ?5, language = ?6, time_zone = ?7,
                     payment_terms_days = ?8, tax_rate_id = ?9, gateway = ?10, gateway_customer = ?11, credit_minor = ?12,
                     test_clock_at = ?13, closed_at = ?14, version = ?15, updated_at = ?16
                 WHERE user_id = ?1"
            ),
            (
                d.account.user_id,
                d.account.currency.code(),
                &d.name,
                to_json(&d.address)?,
                &d.tax_id,
                &d.language,
                &d.time_zone,
                d.payment_terms_days,
                d.tax_rate_id,
                &d.gateway,
                &d.gateway_customer,
                d.credit_minor,
                d.test_clock_at,
                d.closed_at,
                d.version,
                d.updated_at,
            ),
        )
        .map(drop)
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

    fn list_on_trial(&self) -> Result<Vec<UserId>> {
        self.fetch_all(
            sql!("SELECT user_id FROM billing_accounts WHERE test_clock_at IS NOT NULL ORDER BY user_id LIMIT 1000"),
            [],
            |row| row.get(0),
        )
    }

    fn list_zones(&self) -> Result<Vec<String>> {
        // From one to the next by the index, past all accounts in between.
        self.fetch_all(
            sql!(
                "WITH RECURSIVE zones (zone) AS
                    (SELECT min(time_zone) FROM billing_accounts
                     UNION ALL
                     SELECT (SELECT min(time_zone) FROM billing_accounts WHERE time_zone > zone) FROM zones
                     WHERE zone IS NOT NULL)
                 SELECT zone FROM zones WHERE zone IS NOT NULL"
            ),
            [],
            |row| row.get(0),
        )
    }

    fn delete(&self, user: UserId) -> Result<()> {
        self.execute(sql!("DELETE FROM billing_accounts WHERE user_id = ?1"), [user]).map(drop)
    }

    fn list_ids(&self) -> Result<Vec<UserId>> {
        self.fetch_all(
            sql!("SELECT user_id FROM billing_accounts WHERE closed_at IS NULL ORDER BY user_id"),
            [],
            |row| row.get(0),
        )
    }

    fn has_books(&self, user: UserId) -> Result<bool> {
        let has = self.fetch_optional(
            sql!(
                "SELECT EXISTS (SELECT 1 FROM billing_invoices WHERE user_id = ?1 AND number IS NOT NULL)
                        OR EXISTS (SELECT 1 FROM billing_payments WHERE user_id = ?1)"
            ),
            [user],
            |row| row.get(0),
        )?;
        Ok(has.unwrap_or(false))
    }

    fn forget_words(&self, user: UserId) -> Result<()> {
        self.execute(sql!("UPDATE billing_payments SET reference = NULL WHERE user_id = ?1"), [user])?;
        self.execute(
            sql!(
                "UPDATE billing_refunds SET reason = NULL
                 WHERE payment_id IN (SELECT id FROM billing_payments WHERE user_id = ?1)"
            ),
            [user],
        )
        .map(drop)
    }

    fn find_settings(&self) -> Result<Option<(Settings, i64)>> {
        self.fetch_optional(sql!("SELECT settings, version FROM billing_settings WHERE id = 1"), [], |row| {
            Ok((json(row, 0)?, row.get(1)?))
        })
    }

    fn put_settings(&self, settings: &Settings, version: i64, now: Time) -> Result<()> {
        self.execute(
            sql!(
                "INSERT INTO billing_settings (id, settings, version, updated_at) VALUES (1, ?1, ?2, ?3)
                 ON CONFLICT (id) DO UPDATE SET settings = ?1, version = ?2, updated_at = ?3"
            ),
            (to_json(settings)?, version, now),
        )
        .map(drop)
    }
}

fn account(row: &Row<'_>) -> rusqlite::Result<Account> {
    Ok(Account { user_id: row.get(0)?, currency: said(row, 1)?, created_at: row.get(2)? })
}

/// A word that an enumeration or a currency is written as.
pub(super) fn said<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    let word: StrDeserializer<'_, serde::de::value::Error> = row.get_ref(column)?.as_str()?.into_deserializer();
    T::deserialize(word).map_err(|e| unreadable(column, e))
}

/// A decimal or a day.
pub(super) fn parsed<T>(row: &Row<'_>, column: usize) -> rusqlite::Result<T>
where
    T: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    row.get_ref(column)?.as_str()?.parse().map_err(|e| unreadable(column, e))
}

pub(super) fn json<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    serde_json::from_str(row.get_ref(column)?.as_str()?).map_err(|e| unreadable(column, e))
}

/// What `read` reads, where the column is not null.
pub(super) fn maybe<T>(
    row: &Row<'_>,
    column: usize,
    read: impl FnOnce(&Row<'_>, usize) -> rusqlite::Result<T>,
) -> rusqlite::Result<Option<T>> {
    match row.get_ref(column)? {
        rusqlite::types::ValueRef::Null => Ok(None),
        _ => read(row, column).map(Some),
    }
}

pub(super) fn to_json<T: Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|e| Error::internal("writing JSON", e))
}

/// A day as it is kept: `2026-11-25`.
pub(super) fn day(day: Option<Date>) -> Option<String> {
    day.map(|day| day.to_string())
}

fn unreadable(column: usize, cause: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(cause))
}
