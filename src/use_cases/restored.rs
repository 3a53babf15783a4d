//! Restored: what a backup brings back is the past, and nobody may go on in it as if it were not.

use serde::Serialize;

use super::App;
use crate::platform::actor::Actor;
use crate::platform::audit::{self, Change};
use crate::platform::db;
use crate::platform::error::Result;

#[derive(Debug, Serialize)]
pub struct Restored {
    pub people: i64,
    /// How often this unit was restored, counting from 1 for never.
    pub epoch: i64,
    /// Sessions, tokens and links that were ended: one that was ended since the backup would be valid again.
    pub ended: usize,
}

/// Begins a new epoch and signs everyone out, in the copy of a backup that is about to be put in place.
pub fn restored(app: &App, by: Actor, from: String) -> Result<Restored> {
    let it = app.clone();
    app.platform.database.write_blocking("restored", by, move |work| {
        let ended = it.platform.auth.end_all(work)?;
        let restored = Restored { people: it.users.count(work)?, epoch: db::raise_epoch(work, 0)?, ended };
        let unit = it.platform.database.unit().id;
        let after = serde_json::json!({ "from": from, "epoch": restored.epoch });
        audit::record(
            work,
            Change { action: "unit.restored", subject: unit, person: None, before: None, after: Some(&after) },
        )?;
        Ok(restored)
    })
}
