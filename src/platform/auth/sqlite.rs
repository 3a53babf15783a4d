//! Auth's tables.

use rusqlite::Row;

use super::Owner;
use super::links::{Link, Purpose};
use super::sessions::{Kind, Session, SessionId};
use crate::platform::clock::Time;
use crate::platform::db::Tables;
use crate::platform::error::Result;
use crate::platform::ids::UserId;
use crate::sql;

pub(super) trait AuthRepository {
    fn find_password(&self, user: UserId) -> Result<Option<String>>;
    fn put_password(&self, user: UserId, hash: &str, now: Time) -> Result<()>;
    fn delete_password(&self, user: UserId) -> Result<()>;

    fn insert_session(&self, token_hash: &[u8; 32], session: &Session) -> Result<()>;
    fn find_session(&self, token_hash: &[u8; 32], now: Time) -> Result<Option<Session>>;
    fn has_session(&self, user: UserId, id: SessionId, now: Time) -> Result<bool>;
    fn list_sessions(&self, user: UserId, now: Time) -> Result<Vec<Session>>;
    fn delete_session(&self, user: UserId, id: SessionId) -> Result<usize>;
    fn delete_sessions(&self, user: UserId, except: Option<SessionId>) -> Result<usize>;

    fn insert_link(&self, link: &Link, now: Time) -> Result<()>;
    /// Whom the link is for, if there is one; `Some(None)` for a link that is for nobody yet.
    fn find_link(&self, purpose: Purpose, token_hash: &[u8; 32], now: Time) -> Result<Option<Option<UserId>>>;
    fn delete_link(&self, token_hash: &[u8; 32]) -> Result<()>;
    fn delete_links(&self, purpose: Purpose, user: Option<UserId>) -> Result<()>;
    /// Whatever they are for.
    fn delete_links_of(&self, user: UserId) -> Result<()>;

    /// Every session and every link; returns how many.
    fn delete_all(&self) -> Result<usize>;
    fn delete_expired(&self, now: Time) -> Result<usize>;
    fn list_users(&self) -> Result<Vec<UserId>>;
}

impl AuthRepository for Tables<'_, Owner> {
    fn find_password(&self, user: UserId) -> Result<Option<String>> {
        self.fetch_optional(sql!("SELECT hash FROM auth_passwords WHERE user_id = ?1"), [user], |row| row.get(0))
    }

    fn put_password(&self, user: UserId, hash: &str, now: Time) -> Result<()> {
        self.execute(
            sql!(
                "INSERT INTO auth_passwords (user_id, hash, changed_at) VALUES (?1, ?2, ?3)
                 ON CONFLICT (user_id) DO UPDATE SET hash = ?2, changed_at = ?3"
            ),
            (user, hash, now),
        )
        .map(drop)
    }

    fn delete_password(&self, user: UserId) -> Result<()> {
        self.execute(sql!("DELETE FROM auth_passwords WHERE user_id = ?1"), [user]).map(drop)
    }

    fn insert_session(&self, token_hash: &[u8; 32], session: &Session) -> Result<()> {
        let Session { id, user, kind, label, created_at, expires_at } = session;
        self.execute(
            sql!(
                "INSERT INTO auth_sessions (token_hash, id, user_id, kind, label, created_at, expires_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)"
            ),
            (token_hash, id, user, kind.as_str(), label, created_at, expires_at),
        )
        .map(drop)
    }

    fn find_session(&self, token_hash: &[u8; 32], now: Time) -> Result<Option<Session>> {
        self.fetch_optional(
            sql!(
                "SELECT id, user_id, kind, label, created_at, expires_at FROM auth_sessions
                 WHERE token_hash = ?1 AND expires_at > ?2"
            ),
            (token_hash, now),
            session,
        )
    }

    fn has_session(&self, user: UserId, id: SessionId, now: Time) -> Result<bool> {
        let found = self.fetch_optional(
            sql!("SELECT 1 FROM auth_sessions WHERE user_id = ?1 AND id = ?2 AND expires_at > ?3"),
            (user, id, now),
            |_| Ok(()),
        );
        Ok(found?.is_some())
    }

    fn list_sessions(&self, user: UserId, now: Time) -> Result<Vec<Session>> {
        self.fetch_all(
            sql!(
                "SELECT id, user_id, kind, label, created_at, expires_at FROM auth_sessions
                 WHERE user_id = ?1 AND expires_at > ?2 ORDER BY id DESC LIMIT 1000"
            ),
            (user, now),
            session,
        )
    }

    fn delete_session(&self, user: UserId, id: SessionId) -> Result<usize> {
        self.execute(sql!("DELETE FROM auth_sessions WHERE user_id = ?1 AND id = ?2"), (user, id))
    }

    fn delete_sessions(&self, user: UserId, except: Option<SessionId>) -> Result<usize> {
        self.execute(sql!("DELETE FROM auth_sessions WHERE user_id = ?1 AND (?2 IS NULL OR id <> ?2)"), (user, except))
    }

    fn insert_link(&self, link: &Link, now: Time) -> Result<()> {
        self.execute(
            sql!(
                "INSERT INTO auth_links (token_hash, purpose, user_id, created_at, expires_at)
                 VALUES (?1, ?2, ?3, ?4, ?5)"
            ),
            (link.token.hash(), link.purpose.as_str(), link.user, now, link.expires_at),
        )
        .map(drop)
    }

    fn find_link(&self, purpose: Purpose, token_hash: &[u8; 32], now: Time) -> Result<Option<Option<UserId>>> {
        self.fetch_optional(
            sql!("SELECT user_id FROM auth_links WHERE token_hash = ?1 AND purpose = ?2 AND expires_at > ?3"),
            (token_hash, purpose.as_str(), now),
            |row| row.get(0),
        )
    }

    fn delete_link(&self, token_hash: &[u8; 32]) -> Result<()> {
        self.execute(sql!("DELETE FROM auth_links WHERE token_hash = ?1"), [token_hash]).map(drop)
    }

    fn delete_links(&self, purpose: Purpose, user: Option<UserId>) -> Result<()> {
        self.execute(sql!("DELETE FROM auth_links WHERE purpose = ?1 AND user_id IS ?2"), (purpose.as_str(), user))
            .map(drop)
    }

    fn delete_links_of(&self, user: UserId) -> Result<()> {
        self.execute(sql!("DELETE FROM auth_links WHERE user_id = ?1"), [user]).map(drop)
    }

    fn delete_all(&self) -> Result<usize> {
        let sessions = self.execute(sql!("DELETE FROM auth_sessions"), [])?;
        let links = self.execute(sql!("DELETE FROM auth_links"), [])?;
        Ok(sessions + links)
    }

    fn delete_expired(&self, now: Time) -> Result<usize> {
        let sessions = self.execute(sql!("DELETE FROM auth_sessions WHERE expires_at <= ?1"), [now])?;
        let links = self.execute(sql!("DELETE FROM auth_links WHERE expires_at <= ?1"), [now])?;
        Ok(sessions + links)
    }

    fn list_users(&self) -> Result<Vec<UserId>> {
        self.fetch_all(
            sql!(
                "SELECT user_id FROM auth_passwords
                 UNION SELECT user_id FROM auth_sessions
                 UNION SELECT user_id FROM auth_links WHERE user_id IS NOT NULL
                 ORDER BY 1"
            ),
            [],
            |row| row.get(0),
        )
    }
}

fn session(row: &Row<'_>) -> rusqlite::Result<Session> {
    let kind: String = row.get(2)?;
    Ok(Session {
        id: row.get(0)?,
        user: row.get(1)?,
        // The column's CHECK admits these two.
        kind: if kind == Kind::Token.as_str() { Kind::Token } else { Kind::Session },
        label: row.get(3)?,
        created_at: row.get(4)?,
        expires_at: row.get(5)?,
    })
}
