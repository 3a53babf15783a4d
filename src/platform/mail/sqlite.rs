//! The table of mails.

use rusqlite::Row;
use rusqlite::types::Type;

use super::*;
use crate::platform::db::Tables;
use crate::platform::jobs::JobId;
use crate::sql;

/// Where mails are kept. What changes a mail's state names the states that it may have.
pub(super) trait MailRepository {
    fn insert(&self, mail: &Mail, content: &Content) -> Result<()>;
    fn find(&self, id: MailId) -> Result<Option<Mail>>;
    fn find_body(&self, id: MailId) -> Result<Option<Body>>;
    fn list(&self, state: Option<&str>, before: Option<MailId>, limit: u32) -> Result<Vec<Mail>>;
    fn list_to(&self, person: UserId, limit: u32) -> Result<Vec<Mail>>;
    fn list_waiting(&self, limit: u32) -> Result<Vec<Mail>>;
    fn list_people(&self) -> Result<Vec<UserId>>;

    fn wait_for(&self, id: MailId, job: JobId) -> Result<()>;
    /// It is sent: what it said goes.
    fn sent(&self, id: MailId, now: Time) -> Result<()>;
    fn keep(&self, id: MailId) -> Result<()>;
    /// Why it was not taken this time.
    fn note(&self, id: MailId, why: &str) -> Result<()>;
    /// It is given up, unless it was before; returns how many.
    fn fail(&self, id: MailId, why: &str, is_refused: bool, now: Time) -> Result<usize>;
    fn forget_bodies(&self, now: Time, limit: u32) -> Result<usize>;
    fn remove_before(&self, id: MailId, limit: u32) -> Result<usize>;
    fn delete_to(&self, person: UserId) -> Result<usize>;
}

impl MailRepository for Tables<'_, Owner> {
    fn insert(&self, it: &Mail, content: &Content) -> Result<()> {
        self.execute(
            sql!(
                "INSERT INTO mails (id, person, address, name, subject, text, html, message_id, state, is_refused, job,
                                    created_at, expires_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 0, ?10, ?11, ?12)"
            ),
            (
                it.id,
                it.person,
                &it.address,
                &it.name,
                &it.subject,
                &content.text,
                &content.html,
                &it.message_id,
                it.state.as_str(),
                it.job,
                it.created_at,
                it.expires_at,
            ),
        )
        .map(drop)
    }

    fn find(&self, id: MailId) -> Result<Option<Mail>> {
        self.fetch_optional(
            sql!(
                "SELECT id, person, address, name, subject, message_id, state, why, is_refused, job, text IS NOT NULL,
                        created_at, ended_at, expires_at
                 FROM mails WHERE id = ?1"
            ),
            [id],
            mail,
        )
    }

    fn find_body(&self, id: MailId) -> Result<Option<Body>> {
        self.fetch_optional(
            sql!("SELECT text, html FROM mails WHERE id = ?1 AND text IS NOT NULL AND html IS NOT NULL"),
            [id],
            |row| Ok(Body { text: row.get(0)?, html: row.get(1)? }),
        )
    }

    fn list(&self, state: Option<&str>, before: Option<MailId>, limit: u32) -> Result<Vec<Mail>> {
        self.fetch_all(
            sql!(
                "SELECT id, person, address, name, subject, message_id, state, why, is_refused, job, text IS NOT NULL,
                        created_at, ended_at, expires_at
                 FROM mails WHERE (?1 IS NULL OR state = ?1) AND (?2 IS NULL OR id < ?2) ORDER BY id DESC LIMIT ?3"
            ),
            (state, before, limit),
            mail,
        )
    }

    fn list_to(&self, person: UserId, limit: u32) -> Result<Vec<Mail>> {
        self.fetch_all(
            sql!(
                "SELECT id, person, address, name, subject, message_id, state, why, is_refused, job, text IS NOT NULL,
                        created_at, ended_at, expires_at
                 FROM mails WHERE person = ?1 ORDER BY id DESC LIMIT ?2"
            ),
            (person, limit),
            mail,
        )
    }

    fn list_waiting(&self, limit: u32) -> Result<Vec<Mail>> {
        self.fetch_all(
            sql!(
                "SELECT id, person, address, name, subject, message_id, state, why, is_refused, job, text IS NOT NULL,
                        created_at, ended_at, expires_at
                 FROM mails WHERE state = 'waiting' ORDER BY id LIMIT ?1"
            ),
            [limit],
            mail,
        )
    }

    fn list_people(&self) -> Result<Vec<UserId>> {
        self.fetch_all(sql!("SELECT DISTINCT person FROM mails ORDER BY person"), [], |row| row.get(0))
    }

    fn wait_for(&self, id: MailId, job: JobId) -> Result<()> {
        self.execute(
            sql!(
                "UPDATE mails SET state = 'waiting', is_refused = 0, ended_at = NULL, job = ?2
                 WHERE id = ?1 AND state <> 'sent'"
            ),
            (id, job),
        )
        .map(drop)
    }

    fn sent(&self, id: MailId, now: Time) -> Result<()> {
        self.execute(
            sql!(
                "UPDATE mails SET state = 'sent', why = NULL, is_refused = 0, text = NULL, html = NULL, ended_at = ?2
                 WHERE id = ?1"
            ),
            (id, now),
        )
        .map(drop)
    }

    fn keep(&self, id: MailId) -> Result<()> {
        self.execute(sql!("UPDATE mails SET state = 'kept', job = NULL WHERE id = ?1 AND state <> 'sent'"), [id])
            .map(drop)
    }

    fn note(&self, id: MailId, why: &str) -> Result<()> {
        self.execute(sql!("UPDATE mails SET why = ?2 WHERE id = ?1"), (id, why)).map(drop)
    }

    fn fail(&self, id: MailId, why: &str, is_refused: bool, now: Time) -> Result<usize> {
        self.execute(
            sql!(
                "UPDATE mails SET state = 'failed', why = ?2, is_refused = ?3, ended_at = ?4
                 WHERE id = ?1 AND state = 'waiting'"
            ),
            (id, why, is_refused, now),
        )
    }

    fn forget_bodies(&self, now: Time, limit: u32) -> Result<usize> {
        self.execute(
            sql!(
                "UPDATE mails SET text = NULL, html = NULL WHERE id IN
                     (SELECT id FROM mails WHERE text IS NOT NULL AND expires_at <= ?1 LIMIT ?2)"
            ),
            (now, limit),
        )
    }

    fn remove_before(&self, id: MailId, limit: u32) -> Result<usize> {
        self.execute(sql!("DELETE FROM mails WHERE id IN (SELECT id FROM mails WHERE id < ?1 LIMIT ?2)"), (id, limit))
    }

    fn delete_to(&self, person: UserId) -> Result<usize> {
        self.execute(sql!("DELETE FROM mails WHERE person = ?1"), [person])
    }
}

fn mail(row: &Row<'_>) -> rusqlite::Result<Mail> {
    let state: String = row.get(6)?;
    let unknown = || rusqlite::Error::InvalidColumnType(6, "state".into(), Type::Text);
    Ok(Mail {
        id: row.get(0)?,
        person: row.get(1)?,
        address: row.get(2)?,
        name: row.get(3)?,
        subject: row.get(4)?,
        message_id: row.get(5)?,
        state: State::parse(&state).ok_or_else(unknown)?,
        why: row.get(7)?,
        is_refused: row.get(8)?,
        job: row.get(9)?,
        has_body: row.get(10)?,
        created_at: row.get(11)?,
        ended_at: row.get(12)?,
        expires_at: row.get(13)?,
    })
}
