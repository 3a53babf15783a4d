//! Drills: what came of restoring backups for a trial.

use std::collections::BTreeMap;

use super::sqlite::DrillRepository;
use crate::platform::clock::Time;
use crate::platform::db::{self, Snapshot, UnitOfWork};
use crate::platform::error::Result;
use crate::platform::ids::Id;

/// The key to this owner's tables; no one else can make one.
pub(super) struct Owner(());

impl db::Owner for Owner {
    const PATH: &'static str = module_path!();
}

/// What is restored for a trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Backup,
    Replica,
}

impl Kind {
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Backup => "backup",
            Kind::Replica => "replica",
        }
    }
}

#[derive(Debug, Clone, serde::Serialize, utoipa::ToSchema)]
pub struct Drill {
    pub at: Time,
    /// The backup's name, or the replica's address.
    pub name: String,
    /// Why it could not be restored; null where it could.
    pub failure: Option<String>,
}

/// Longer than anybody asks for the last one.
const KEPT_S: i64 = 400 * 24 * 60 * 60;

/// Writes down what came of a drill.
pub fn record_drill(work: &UnitOfWork<'_>, kind: Kind, name: &str, failure: Option<&str>) -> Result<()> {
    let drills = work.tables(Owner(()));
    drills.remove_before(work.now().plus_seconds(-KEPT_S))?;
    drills.insert(work.new_id::<Drill>(), work.now(), kind.as_str(), name, failure)
}

/// The last drill of this kind, whatever came of it.
pub fn last_drill(snapshot: &Snapshot<'_>, kind: Kind) -> Result<Option<Drill>> {
    snapshot.tables(Owner(())).last(kind.as_str())
}

/// The last drill of this kind that could restore what it tried.
pub fn last_proof(snapshot: &Snapshot<'_>, kind: Kind) -> Result<Option<Drill>> {
    snapshot.tables(Owner(())).last_passed(kind.as_str())
}

/// When each backup was last proven restorable, by name.
pub fn proofs(snapshot: &Snapshot<'_>) -> Result<BTreeMap<String, Time>> {
    Ok(snapshot.tables(Owner(())).passed(Kind::Backup.as_str())?.into_iter().collect())
}

pub(super) type DrillId = Id<Drill>;
