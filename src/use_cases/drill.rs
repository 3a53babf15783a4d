//! Drill: a backup is restored for a trial, as it would be in earnest, into a folder that is removed afterwards.

use std::path::Path;

use serde_json::json;

use super::restored::{outlook, restored};
use super::{App, doctor};
use crate::platform::actor::Actor;
use crate::platform::audit::{self, Change};
use crate::platform::backup::{self, Drill, Kind, Scratch};
use crate::platform::db::{Database, Folder, Role, Tuning};
use crate::platform::error::{Error, Result};

/// Tries what `fetch` brings as a plain database file, and writes down what came of it; `name` says what it is.
///
/// # Errors
/// If it could not be restored, with the reason.
pub fn drill(app: &App, kind: Kind, name: &str, fetch: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let tried = try_restore(app, name, fetch);
    let failure = tried.as_ref().err().map(ToString::to_string);
    let action = if failure.is_none() { "drill.passed" } else { "drill.failed" };
    match &failure {
        None => gauge(kind, app.platform.database.clock().now()),
        Some(_) => metrics::counter!("ashlar_drill_failures_total", "kind" => kind.as_str()).increment(1),
    }
    let (unit, name) = (app.platform.database.unit().id, name.to_owned());
    app.platform.database.write_blocking("drill", Actor::system(), move |work| {
        backup::record_drill(work, kind, &name, failure.as_deref())?;
        let after = json!({ "kind": kind.as_str(), "name": name, "failure": failure });
        audit::record(work, Change { action, subject: unit, person: None, before: None, after: Some(&after) })
    })?;
    tried
}

/// The figure of the last drill that passed, from what is written down: also after a restart.
pub(super) fn gauge_of(kind: Kind, last: Option<&Drill>) {
    if let Some(drill) = last {
        gauge(kind, drill.at);
    }
}

fn gauge(kind: Kind, at: crate::platform::clock::Time) {
    metrics::gauge!("ashlar_drill_last_success_timestamp_seconds", "kind" => kind.as_str())
        .set(at.as_ms() as f64 / 1000.0);
}

fn try_restore(app: &App, name: &str, fetch: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let database = &app.platform.database;
    let scratch = Scratch::within(&backup::room(database.folder())?, "drill")?;
    let folder = Folder::at(scratch.path())?;
    let path = folder.database();
    fetch(&path)?;
    backup::must_have_room(&path, 0, name)?;
    backup::must_be_sound(&path, Path::new(name), database.schema())?;
    // What a restore does to it: migrations, and the end of all sessions.
    let tuning = Tuning { readers: 1, ..Tuning::default() };
    let trial = Database::open(&folder, database.schema().clone(), database.clock().clone(), Role::Server, tuning)?;
    let mut it = app.clone();
    it.platform.database = trial;
    let looked = outlook(&it, Ok(None))
        .and_then(|outlook| restored(&it, Actor::system(), name.to_owned(), &outlook))
        .and_then(|_| it.platform.database.read_blocking("drill", |snapshot| doctor::examine(&it, snapshot)));
    it.platform.database.close();
    match looked?.as_slice() {
        [] => Ok(()),
        [first, rest @ ..] => Err(Error::Internal(format!(
            "{name} does not fit together: {} (and {} more); run `ashlar doctor`",
            first.problem,
            rest.len()
        ))),
    }
}
