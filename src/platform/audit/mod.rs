//! Audit: who did what to which record, in the transaction of the change itself.
//!
//! Owns `audit_entries`. Whoever changes something calls [`record`]; never with a secret.

mod api;
mod sqlite;

use serde::Serialize;
use serde_json::Value;

pub use api::{AuditApi, AuditPage, page, routes};

use super::clock::Time;
use super::db::{self, Snapshot, UnitOfWork};
use super::error::{Error, Result};
use super::ids::{Id, UserId};
use sqlite::AuditRepository;

/// The key to this owner's tables; no one else can make one.
struct Owner(());

impl db::Owner for Owner {
    const PATH: &'static str = module_path!();
}

pub type EntryId = Id<Entry>;

/// Any record's id.
pub enum Record {}
pub type SubjectId = Id<Record>;

/// One change.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
#[schema(as = AuditEntry)]
pub struct Entry {
    #[schema(value_type = String, format = Uuid)]
    pub id: EntryId,
    pub at: Time,
    /// The user who did it; none where nobody was signed in.
    #[schema(value_type = Option<String>, format = Uuid)]
    pub actor: Option<UserId>,
    /// Through what: `api`, `page`, `command line`, `system`.
    pub via: String,
    /// The request, as in the log.
    #[schema(value_type = Option<String>, format = Uuid)]
    pub request: Option<Id<super::actor::Actor>>,
    /// What was done: `person.added`.
    pub action: String,
    /// The record.
    #[schema(value_type = String, format = Uuid)]
    pub subject: SubjectId,
    /// The record before; null where there was none, or its person has been erased.
    pub before: Option<Value>,
    /// The record after; null where there is none, or its person has been erased.
    pub after: Option<Value>,
}

/// What happened to a record, and whom it is about.
pub struct Change<'a> {
    pub action: &'static str,
    pub subject: uuid::Uuid,
    /// The person that the record is about, so that it is erased with them.
    pub person: Option<UserId>,
    pub before: Option<&'a dyn erased::Json>,
    pub after: Option<&'a dyn erased::Json>,
}

/// Writes down one change, by whoever this unit of work is for.
pub fn record(work: &UnitOfWork<'_>, change: Change<'_>) -> Result<()> {
    let Change { action, subject, person, before, after } = change;
    if let Some(person) = person {
        work.concerns(person);
    }
    let json = |value: Option<&dyn erased::Json>| value.map(|value| value.to_json()).transpose();
    let (before, after) = (json(before)?, json(after)?);
    work.tables(Owner(())).insert(work, action, SubjectId::from_uuid(subject), person, before, after)
}

/// Writes down a change of a person as a whole.
pub fn record_person(
    work: &UnitOfWork<'_>,
    action: &'static str,
    person: UserId,
    before: Option<&dyn erased::Json>,
    after: Option<&dyn erased::Json>,
) -> Result<()> {
    record(work, Change { action, subject: person.uuid(), person: Some(person), before, after })
}

/// Entries before `before`, newest first; of one record where `subject` is given.
pub fn list(
    snapshot: &Snapshot<'_>,
    subject: Option<SubjectId>,
    before: Option<EntryId>,
    limit: u32,
) -> Result<Vec<Entry>> {
    let entries = snapshot.tables(Owner(()));
    match subject {
        Some(subject) => entries.list_of(subject, before, limit),
        None => entries.list(before, limit),
    }
}

/// How many entries there are behind `after`; all, where it is none.
pub fn count(snapshot: &Snapshot<'_>, after: Option<EntryId>) -> Result<i64> {
    snapshot.tables(Owner(())).count(after)
}

/// All that was written down about a person.
pub fn export(snapshot: &Snapshot<'_>, person: UserId) -> Result<Vec<Entry>> {
    snapshot.tables(Owner(())).list_about(person)
}

/// Takes a person's data out of what was written down about them; that something was done stays.
pub fn erase(work: &UnitOfWork<'_>, person: UserId) -> Result<usize> {
    work.tables(Owner(())).blank(person)
}

/// Values of any type that can be written as JSON.
pub mod erased {
    use super::{Error, Result};

    pub trait Json {
        fn to_json(&self) -> Result<String>;
    }

    impl<T: serde::Serialize> Json for T {
        fn to_json(&self) -> Result<String> {
            serde_json::to_string(self).map_err(|e| Error::internal("writing an audit entry", e))
        }
    }
}
