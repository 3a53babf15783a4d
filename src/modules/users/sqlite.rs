//! Users in SQLite.

use rusqlite::Row;
use rusqlite::types::Type;

use super::Owner;
use super::model::{Email, User};
use super::repository::UserRepository;
use crate::platform::auth::Standing;
use crate::platform::clock::Time;
use crate::platform::db::Tables;
use crate::platform::error::Result;
use crate::platform::ids::UserId;
use crate::platform::text;
use crate::sql;

impl UserRepository for Tables<'_, Owner> {
    fn insert(&self, user: &User) -> Result<()> {
        let key = user.email.key();
        let folded = Some(text::fold(&key)).filter(|folded| *folded != key);
        self.execute(
            sql!(
                "INSERT INTO users (id, email, email_key, email_folded, role, state, created_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)"
            ),
            (user.id, user.email.as_str(), key, folded, user.role.as_str(), user.state.as_str(), user.created_at),
        )
        .map(drop)
    }

    fn find(&self, id: UserId) -> Result<Option<User>> {
        self.fetch_optional(
            sql!("SELECT id, email, role, state, email_verified_at, created_at FROM users WHERE id = ?1"),
            [id],
            user,
        )
    }

    fn find_by_key(&self, key: &str) -> Result<Option<User>> {
        self.fetch_optional(
            sql!("SELECT id, email, role, state, email_verified_at, created_at FROM users WHERE email_key = ?1"),
            [key],
            user,
        )
    }

    fn find_standing(&self, id: UserId) -> Result<Option<Standing>> {
        self.fetch_optional(sql!("SELECT role, state FROM users WHERE id = ?1"), [id], |row| {
            Ok(Standing { role: named(row, 0)?, state: named(row, 1)? })
        })
    }

    fn list(&self, after: Option<UserId>, limit: u32) -> Result<Vec<User>> {
        self.fetch_all(
            // An empty blob sorts before every id.
            sql!(
                "SELECT id, email, role, state, email_verified_at, created_at FROM users WHERE id > coalesce(?1, x'')
                 ORDER BY id LIMIT ?2"
            ),
            (after, limit),
            user,
        )
    }

    fn search(&self, from: &str, to: &str, after: Option<UserId>, limit: u32) -> Result<Vec<UserId>> {
        self.fetch_all(
            sql!(
                "SELECT id FROM users WHERE email_key >= ?1 AND email_key < ?2 AND id > coalesce(?3, x'')
                 UNION
                 SELECT id FROM users WHERE email_folded >= ?1 AND email_folded < ?2 AND id > coalesce(?3, x'')
                 ORDER BY id LIMIT ?4"
            ),
            (from, to, after, limit),
            |row| row.get(0),
        )
    }

    fn list_ids(&self) -> Result<Vec<UserId>> {
        self.fetch_all(sql!("SELECT id FROM users ORDER BY id"), [], |row| row.get(0))
    }

    fn count(&self) -> Result<i64> {
        let count = self.fetch_optional(sql!("SELECT count(*) FROM users"), [], |row| row.get(0));
        Ok(count?.unwrap_or(0))
    }

    fn count_active_owners(&self) -> Result<i64> {
        let count = self.fetch_optional(
            sql!("SELECT count(*) FROM users WHERE role = 'owner' AND state = 'active'"),
            [],
            |row| row.get(0),
        );
        Ok(count?.unwrap_or(0))
    }

    fn update(&self, user: &User) -> Result<()> {
        self.execute(
            sql!("UPDATE users SET role = ?2, state = ?3 WHERE id = ?1"),
            (user.id, user.role.as_str(), user.state.as_str()),
        )
        .map(drop)
    }

    fn verify_email(&self, id: UserId, now: Time) -> Result<usize> {
        self.execute(
            sql!("UPDATE users SET email_verified_at = ?2 WHERE id = ?1 AND email_verified_at IS NULL"),
            (id, now),
        )
    }

    fn delete(&self, id: UserId) -> Result<()> {
        self.execute(sql!("DELETE FROM users WHERE id = ?1"), [id]).map(drop)
    }
}

fn user(row: &Row<'_>) -> rusqlite::Result<User> {
    Ok(User {
        id: row.get(0)?,
        email: Email::from_store(row.get(1)?),
        role: named(row, 2)?,
        state: named(row, 3)?,
        email_verified_at: row.get(4)?,
        created_at: row.get(5)?,
    })
}

/// A value that stands in its column by name.
fn named<T: std::str::FromStr<Err = crate::platform::error::Error>>(row: &Row<'_>, n: usize) -> rusqlite::Result<T> {
    let name = row.get_ref(n)?.as_str()?;
    name.parse().map_err(|e| rusqlite::Error::FromSqlConversionFailure(n, Type::Text, Box::new(e)))
}
