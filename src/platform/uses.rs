//! Where something of one module is used by another, neither knowing the other; `app.rs` wires it.

use uuid::Uuid;

use super::db::{Snapshot, UnitOfWork};
use super::error::Result;
use super::ids::UserId;

/// A place that uses it, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsedAt {
    pub what: &'static str,
    /// The page that shows it there.
    pub href: &'static str,
}

/// Who uses what a person has.
pub trait Uses: Send + Sync {
    /// Where it is used.
    fn of(&self, snapshot: &Snapshot<'_>, person: UserId, id: Uuid) -> Result<Vec<UsedAt>>;

    /// It goes: whoever uses it does without, in the same transaction.
    fn end(&self, work: &UnitOfWork<'_>, person: UserId, id: Uuid) -> Result<()>;
}
