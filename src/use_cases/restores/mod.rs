//! Restores while the server runs: a backup is made ready beside the unit and looked at; once an owner has confirmed
//! it, whoever runs the server puts it in place.

mod state;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;

pub use state::{Preview, Ready, RestoreId, Restores, Waiting};

use super::App;
use super::prove_again::prove_again;
use super::restored::{outlook, record_of_unit, restored};
use crate::platform::actor::Actor;
use crate::platform::audit::{self, Entry, SubjectId};
use crate::platform::auth::{Caller, Principal};
use crate::platform::backup::{Source, Staging, shelf};
use crate::platform::bytes::Bytes;
use crate::platform::clock::Time;
use crate::platform::db::{Database, Folder, Role, Snapshot, Tuning};
use crate::platform::error::{Error, Result};
use crate::platform::files;
use crate::platform::http::Request;

/// What is made ready and not confirmed is removed after so long.
pub const PATIENCE: Duration = Duration::from_secs(3600);
/// Entries of the unit's own trail that are looked through for the last restore.
const RECENT: u32 = 50;

/// A backup that is kept and can be chosen.
pub struct Choice {
    /// Names it in a form.
    pub key: String,
    pub path: PathBuf,
    pub time: Time,
    pub size: Bytes,
}

/// The backups that are kept, newest first, then what earlier restores replaced.
pub async fn choices(app: &App) -> Result<Vec<Choice>> {
    let app = app.clone();
    off_the_serving_threads(move || find_choices(&app)).await
}

fn find_choices(app: &App) -> Result<Vec<Choice>> {
    let folder = app.platform.database.folder();
    let failed = |e| Error::internal("looking for backups", e);
    let mut choices = Vec::new();
    let elsewhere = app.backups.settings.folder.iter().map(|folder| (folder.clone(), folder.display().to_string()));
    for (place, shown) in std::iter::once((folder.backups(), "backups".to_owned())).chain(elsewhere) {
        for one in shelf(&place).map_err(failed)? {
            let key = format!("{shown}/{}", one.name);
            choices.push(Choice { key, path: one.path, time: one.time, size: Bytes(one.bytes) });
        }
    }
    choices.sort_by_key(|choice| std::cmp::Reverse(choice.time));
    let mut replaced = folder.replaced_databases().map_err(failed)?;
    replaced.sort_by(|one, other| other.cmp(one));
    for path in replaced {
        let about = std::fs::metadata(&path).map_err(failed)?;
        let key = path.strip_prefix(folder.path()).unwrap_or(&path).display().to_string();
        let Some(time) = Time::in_name(&key) else { continue };
        choices.push(Choice { key, path, time, size: Bytes(about.len()) });
    }
    Ok(choices)
}

/// Makes one of the unit's own backups ready.
pub async fn choose(app: &App, key: String) -> Result<RestoreId> {
    let turn = app.restores.begin()?;
    let app = app.clone();
    off_the_serving_threads(move || {
        let folder = app.platform.database.folder();
        let choice = find_choices(&app)?.into_iter().find(|choice| choice.key == key);
        let path = choice.ok_or_else(|| Error::invalid("backup", "it is not there any more"))?.path;
        let staging = Staging::make(folder)?;
        let source = Source::File { shown: PathBuf::from(&key), path, identities: Vec::new() };
        make_ready(&app, staging, &source, "backup", turn)
    })
    .await
}

/// Makes a backup ready that the form of `request` brings in its field `file`.
pub async fn upload<P>(app: &App, request: &mut Request<P>) -> Result<RestoreId> {
    let turn = app.restores.begin()?;
    let staging = Staging::make(app.platform.database.folder())?;
    let path = staging.upload();
    let name = request.save_file("file", app.restores.max_upload(), &path).await?;
    let app = app.clone();
    off_the_serving_threads(move || {
        let source = Source::File { path, shown: PathBuf::from(name), identities: Vec::new() };
        make_ready(&app, staging, &source, "file", turn)
    })
    .await
}

/// Fetches, checks and migrates the backup, and holds it against the present. It takes the place of one that waits.
fn make_ready(
    app: &App,
    staging: Staging,
    source: &Source,
    field: &'static str,
    _turn: OwnedSemaphorePermit,
) -> Result<RestoreId> {
    let database = &app.platform.database;
    // Whoever may do this may know why; what is wrong is the backup, not the program.
    let refused = |error| match error {
        Error::Internal(why) => Error::invalid(field, format!("not taken: {why}")),
        other => other,
    };
    let staged = staging.fill(database.folder(), database.schema(), source, &mut |_, _| {}).map_err(refused)?;
    let outlook = within(app, staged.folder(), |backup| outlook(backup, Ok(Some(app)))).map_err(refused)?;
    let id = RestoreId::new(database.clock().now());
    let waiting = Waiting { id, staged, from: source.shown(), outlook, since: Instant::now() };
    app.restores.put(waiting);
    Ok(id)
}

/// Opens the copy of a backup as the unit that it is to become.
fn within<T>(app: &App, folder: &Folder, body: impl FnOnce(&App) -> Result<T>) -> Result<T> {
    let database = &app.platform.database;
    let tuning = Tuning { readers: 1, ..Tuning::default() };
    let copy = Database::open(folder, database.schema().clone(), database.clock().clone(), Role::Server, tuning)?;
    let done = body(&app.over(copy.clone()));
    copy.close();
    done
}

/// What is known of a backup that waits to be confirmed.
pub fn preview(app: &App, id: Result<RestoreId>) -> Result<Preview> {
    app.restores.preview(id?)
}

/// Removes a backup that waits.
pub async fn discard(app: &App, id: RestoreId) -> Result<()> {
    let waiting = app.restores.take(id);
    // Removing a large file may take its time.
    off_the_serving_threads(move || waiting.map(drop)).await
}

/// Begins the restore, for an owner who gives their password again: the copy becomes what is to be served, and whoever
/// runs the server is told.
pub async fn confirm(app: &App, by: Caller, who: Principal, id: RestoreId, password: String) -> Result<()> {
    let candidate = prove_again(app, who, password, "password").await?;
    let turn = app.restores.begin()?;
    let Preview { from, .. } = app.restores.preview(id)?;
    let it = app.clone();
    let begun = app.platform.change("begin_restore", by, move |work| {
        it.platform.auth.must_still_have(work, &candidate)?;
        record_of_unit(&it, work, "unit.restore_begun", &json!({ "from": from }))
    });
    begun.await?;
    let waiting = app.restores.take(id)?;
    let it = app.clone();
    off_the_serving_threads(move || {
        let from = waiting.from.clone();
        let done = carry_out(&it, waiting, by.by, turn);
        if let Err(error) = &done {
            record_failure(&it, by.by, from, error.to_string());
        }
        done
    })
    .await?;
    app.restores.left().await;
    Ok(())
}

fn carry_out(app: &App, waiting: Waiting, by: Actor, turn: OwnedSemaphorePermit) -> Result<()> {
    let Waiting { staged, from, .. } = waiting;
    within(app, staged.folder(), |backup| {
        // Some time has passed since it was shown.
        let outlook = outlook(backup, Ok(Some(app)))?;
        restored(backup, by, from.clone(), &outlook)
    })?;
    let sealed = staged.seal(app.platform.database.schema())?;
    app.restores.go(Ready { sealed, from, by, turn });
    Ok(())
}

/// Writes down, in the unit that goes on, why another did not take its place.
pub fn record_failure(app: &App, by: Actor, from: String, why: String) {
    tracing::error!(from, why, "a restore failed; the unit is as it was before");
    let it = app.clone();
    let recorded = app.platform.database.write_blocking("restore_failed", by, move |work| {
        record_of_unit(&it, work, "unit.restore_failed", &json!({ "from": from, "why": why }))
    });
    if let Err(error) = recorded {
        tracing::error!(%error, "that a restore failed could not be written down");
    }
}

/// The last restore that ended, well or not, as the unit's audit trail has it.
pub fn last(app: &App, snapshot: &Snapshot<'_>) -> Result<Option<Entry>> {
    let unit = SubjectId::from_uuid(app.platform.database.unit().id);
    let mut entries = audit::list(snapshot, Some(unit), None, RECENT)?.into_iter();
    Ok(entries.find(|entry| matches!(&*entry.action, "unit.restored" | "unit.restore_failed")))
}

/// Removes what a killed server left of restores; the caller holds the folder's lock.
pub fn clean_up(folder: &Folder) -> Result<()> {
    let folder = folder.path();
    files::remove_left_over(folder).map_err(|e| Error::internal(&format!("cleaning up {}", folder.display()), e))
}

/// It goes on to its end even where whoever asked does not wait for it.
async fn off_the_serving_threads<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|e| Error::internal("restoring", e))?
}
