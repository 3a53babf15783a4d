//! The audit trail's table.

use rusqlite::Row;

use super::{Entry, EntryId, Owner, SubjectId};
use crate::platform::db::{Tables, UnitOfWork};
use crate::platform::error::Result;
use crate::platform::ids::UserId;
use crate::sql;

pub(super) trait AuditRepository {
    fn insert(
        &self,
        work: &UnitOfWork<'_>,
        action: &str,
        subject: SubjectId,
        person: Option<UserId>,
        before: Option<String>,
        after: Option<String>,
    ) -> Result<()>;
    fn list(&self, before: Option<EntryId>, limit: u32) -> Result<Vec<Entry>>;
    fn list_of(&self, subject: SubjectId, before: Option<EntryId>, limit: u32) -> Result<Vec<Entry>>;
    fn count(&self, after: Option<EntryId>) -> Result<i64>;
    fn list_about(&self, person: UserId) -> Result<Vec<Entry>>;
    fn blank(&self, person: UserId) -> Result<usize>;
}

impl AuditRepository for Tables<'_, Owner> {
    fn insert(
        &self,
        work: &UnitOfWork<'_>,
        action: &str,
        subject: SubjectId,
        person: Option<UserId>,
        before: Option<String>,
        after: Option<String>,
    ) -> Result<()> {
        let by = work.by();
        // The subject's own index finds entries about the person themself.
        let person = person.filter(|person| person.uuid() != subject.uuid());
        self.execute(
            sql!(
                r#"INSERT INTO audit_entries (id, at, actor, via, request, action, subject, person, "before", "after")
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"#
            ),
            (
                work.new_id::<Entry>(),
                work.now(),
                by.user,
                by.via.as_str(),
                by.request,
                action,
                subject,
                person,
                before,
                after,
            ),
        )
        .map(drop)
    }

    fn list(&self, before: Option<EntryId>, limit: u32) -> Result<Vec<Entry>> {
        self.fetch_all(
            sql!(
                r#"SELECT id, at, actor, via, request, action, subject, "before", "after" FROM audit_entries
                   WHERE ?1 IS NULL OR id < ?1 ORDER BY id DESC LIMIT ?2"#
            ),
            (before, limit),
            entry,
        )
    }

    fn list_of(&self, subject: SubjectId, before: Option<EntryId>, limit: u32) -> Result<Vec<Entry>> {
        self.fetch_all(
            sql!(
                r#"SELECT id, at, actor, via, request, action, subject, "before", "after" FROM audit_entries
                   WHERE subject = ?1 AND (?2 IS NULL OR id < ?2) ORDER BY id DESC LIMIT ?3"#
            ),
            (subject, before, limit),
            entry,
        )
    }

    fn count(&self, after: Option<EntryId>) -> Result<i64> {
        let count = self.fetch_optional(
            // An empty blob sorts before every id.
            sql!("SELECT count(*) FROM audit_entries WHERE id > coalesce(?1, x'')"),
            [after],
            |row| row.get(0),
        );
        Ok(count?.unwrap_or(0))
    }

    fn list_about(&self, person: UserId) -> Result<Vec<Entry>> {
        self.fetch_all(
            sql!(
                r#"SELECT id, at, actor, via, request, action, subject, "before", "after" FROM audit_entries
                   WHERE subject = ?1 OR person = ?1 ORDER BY id"#
            ),
            [person],
            entry,
        )
    }

    fn blank(&self, person: UserId) -> Result<usize> {
        self.execute(
            sql!(
                r#"UPDATE audit_entries SET "before" = NULL, "after" = NULL, person = NULL
                   WHERE subject = ?1 OR person = ?1"#
            ),
            [person],
        )
    }
}

fn entry(row: &Row<'_>) -> rusqlite::Result<Entry> {
    let json = |n: usize| -> rusqlite::Result<Option<serde_json::Value>> {
        let text: Option<String> = row.get(n)?;
        text.map(|text| serde_json::from_str(&text))
            .transpose()
            .map_err(|e| rusqlite::Error::FromSqlConversionFailure(n, rusqlite::types::Type::Text, Box::new(e)))
    };
    Ok(Entry {
        id: row.get(0)?,
        at: row.get(1)?,
        actor: row.get(2)?,
        via: row.get(3)?,
        request: row.get(4)?,
        action: row.get(5)?,
        subject: row.get(6)?,
        before: json(7)?,
        after: json(8)?,
    })
}
