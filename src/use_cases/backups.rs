//! Backups: made on request and by the clock, listed, tried, and downloaded.

use std::path::Path;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::json;
use warp::http::StatusCode;
use warp::reply::Response;

use super::App;
use super::drill::{drill, gauge_of};
use crate::modules::media::Media;
use crate::modules::users::Users;
use crate::platform::actor::Actor;
use crate::platform::audit::{self, Change};
use crate::platform::backup::{
    self, Backup, Counted, Drill, Every, Failure, Identities, Kept, Kind, Name, Order, Outside, Progress, Step, Turn,
    Unit,
};
use crate::platform::clock::Time;
use crate::platform::db::{Snapshot, UnitOfWork};
use crate::platform::error::{Error, Result};
use crate::platform::http::{self, Call, Request, Saved, answers};
use crate::platform::metering::{self, Ticket};
use crate::platform::replica::{self, Until};
use crate::platform::threads::giving_way;

/// The clock is looked at so often, at least.
const LOOK: Duration = Duration::from_secs(60);
/// What failed is tried again after so long, or when it is due, whichever comes first.
const AGAIN: Duration = Duration::from_secs(60 * 60);

/// A backup among those that are kept.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct BackupFile {
    #[schema(example = "ashlar-20261124T020357Z-s10.db")]
    pub name: String,
    pub made_at: Time,
    pub bytes: u64,
    /// How many migrations it has seen.
    pub schema_version: i32,
    pub compressed: bool,
    pub encrypted: bool,
    /// In hex; null where none stands beside it.
    pub sha256: Option<String>,
    /// When it was last restored for a trial, with success; an encrypted one before it was encrypted.
    pub proven_at: Option<Time>,
}

/// What is being done.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Running {
    /// `starting`, `copying`, `checking`, `packing`, `trying to restore`
    pub step: &'static str,
    /// Of this step; null where that is not known.
    pub percent: Option<u64>,
}

/// What there is to know of backups.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Backups {
    /// Newest first.
    pub items: Vec<BackupFile>,
    /// What is being done just now.
    pub running: Option<Running>,
    /// Why the last one was not made, where it was not.
    pub failure: Option<Failure>,
    /// The last restore for a trial, whatever came of it.
    pub last_drill: Option<Drill>,
    /// The last that went well.
    pub last_proof: Option<Drill>,
    /// The continuous replica; null where none is kept by this server.
    pub replica: Option<Replicated>,
    /// What belongs to the unit and is in no backup.
    pub outside: Vec<Outside>,
}

/// The continuous replica.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Replicated {
    /// Where it is.
    pub place: String,
    pub state: replica::State,
    /// All that was saved before this is in it; null as long as that is not known.
    pub complete_until: Option<Time>,
    /// The newest state in it; null while there is none.
    pub head: Option<replica::Head>,
    pub last_snapshot_at: Option<Time>,
    pub files: usize,
    pub bytes: u64,
    /// The last restore of it for a trial, whatever came of it.
    pub last_drill: Option<Drill>,
    /// The last that went well.
    pub last_proof: Option<Drill>,
}

impl Replicated {
    fn of(snapshot: &Snapshot<'_>, report: replica::Report) -> Result<Replicated> {
        let replica::Report { place, state, complete_until, head, last_snapshot, files, bytes } = report;
        let ago = |instant: Instant| i64::try_from(instant.elapsed().as_millis()).unwrap_or(i64::MAX);
        Ok(Replicated {
            place,
            state,
            complete_until: complete_until.map(|until| Time::from_ms(snapshot.now().as_ms() - ago(until))),
            head,
            last_snapshot_at: last_snapshot,
            files,
            bytes,
            last_drill: backup::last_drill(snapshot, Kind::Replica)?,
            last_proof: backup::last_proof(snapshot, Kind::Replica)?,
        })
    }
}

impl BackupFile {
    fn new(kept: Kept, proven_at: Option<Time>) -> BackupFile {
        let Name { at, schema_version, wrapping } = kept.name;
        BackupFile {
            name: kept.name.to_string(),
            made_at: at,
            bytes: kept.bytes,
            schema_version,
            compressed: wrapping.compressed,
            encrypted: wrapping.encrypted,
            sha256: kept.sha256,
            proven_at,
        }
    }
}

impl From<Option<Progress>> for Running {
    fn from(progress: Option<Progress>) -> Self {
        let percent = progress.filter(|progress| matches!(progress.step, Step::Copying | Step::Packing));
        Running {
            step: progress.map_or("starting", |progress| progress.step.name()),
            percent: percent.map(|progress| progress.percent()),
        }
    }
}

/// The backups that are kept, and what became of the last ones. Not on a thread that serves: it reads a folder.
pub fn overview(app: &App, snapshot: &Snapshot<'_>) -> Result<Backups> {
    let mut proofs = backup::proofs(snapshot)?;
    let mut failure = app.backups.failure();
    let kept = match app.backups.list(app.platform.database.folder()) {
        Ok(kept) => kept,
        // The page that shows the others is where an owner learns of it.
        Err(error) => {
            failure = Some(Failure { at: snapshot.now(), reason: error.to_string() });
            Vec::new()
        }
    };
    let items = kept.into_iter().map(|kept| {
        let proven_at = proofs.remove(&kept.name.to_string());
        BackupFile::new(kept, proven_at)
    });
    Ok(Backups {
        items: items.collect(),
        running: app.backups.running().map(Running::from),
        failure,
        last_drill: backup::last_drill(snapshot, Kind::Backup)?,
        last_proof: backup::last_proof(snapshot, Kind::Backup)?,
        replica: match app.platform.replica.get() {
            None => None,
            Some(replica) => Some(Replicated::of(snapshot, replica.report())?),
        },
        outside: outside(snapshot)?,
    })
}

/// Makes a backup where backups are kept, once for each `Idempotency-Key`.
///
/// # Errors
/// [`Error::Conflict`] while another is made.
pub async fn back_up(app: &App, by: Actor, call: Call) -> Result<Saved<BackupFile>> {
    if let Some(answer) = http::replayed(&app.platform.database, &call).await? {
        return Ok(Saved::Replayed(answer));
    }
    let turn = app.backups.begin()?;
    // It goes on whether or not whoever asked still waits.
    let made = tokio::spawn(run(app.clone(), turn, by, call));
    made.await.map_err(|e| Error::internal("making a backup", e))?
}

/// As [`back_up`], without waiting for it.
pub fn start(app: &App, by: Actor) -> Result<()> {
    let turn = app.backups.begin()?;
    let it = app.clone();
    tokio::spawn(async move {
        if let Err(error) = run(it, turn, by, by.into()).await {
            tracing::error!(%error, "the backup was not made");
        }
    });
    Ok(())
}

async fn run(app: App, turn: Turn, by: Actor, call: Call) -> Result<Saved<BackupFile>> {
    let it = app.clone();
    let made = tokio::task::spawn_blocking(move || {
        let made = giving_way("backup", || make(&it, &turn)).flatten();
        let made = made.inspect_err(|error| note_failure(&it, by, error));
        made.map(|made| (turn, made))
    });
    let (_turn, made) = made.await.map_err(|e| Error::internal("making a backup", e))??;
    let unit = app.platform.database.unit().id;
    http::write(&app.platform.database, "back_up", call, move |work| {
        record_made(work, unit, &made)?;
        Ok(made)
    })
    .await
}

/// What a backup's database is asked: who is in it, and what belongs to it and lies elsewhere.
pub fn count(snapshot: &Snapshot<'_>) -> Result<Counted> {
    Ok(Counted { people: Users.count(snapshot)?, outside: outside(snapshot)? })
}

fn outside(snapshot: &Snapshot<'_>) -> Result<Vec<Outside>> {
    let places = Media.outside(snapshot)?.into_iter();
    Ok(places.map(|(place, contents, bytes)| Outside { place, contents, bytes }).collect())
}

fn make(app: &App, turn: &Turn) -> Result<BackupFile> {
    let settings = &app.backups.settings;
    let database = &app.platform.database;
    let to = settings.folder_of(database.folder())?;
    let is_due = settings.packing.wrapping().encrypted && is_drill_due(app, Kind::Backup)?;
    let order = Order {
        to: &to,
        packing: &settings.packing,
        count,
        watch: &|progress| turn.watch(progress),
        // Nobody here can open what is encrypted: it is tried before.
        examine: &|plain, target| match is_due {
            true => try_one(app, turn, plain, &file_name(target)),
            false => Ok(()),
        },
    };
    let ticket = Ticket::here().or_background("backup");
    let made = metering::long(ticket, || backup::make(Unit::Open(database), &order))?;
    app.backups.note_failure(None);
    gauge(made.made_at);
    Ok(listed(made))
}

fn listed(made: Backup) -> BackupFile {
    BackupFile {
        name: file_name(&made.path),
        made_at: made.made_at,
        bytes: made.bytes,
        schema_version: made.schema_version,
        compressed: made.wrapping.compressed,
        encrypted: made.wrapping.encrypted,
        sha256: Some(made.sha256),
        proven_at: None,
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn record_made(work: &UnitOfWork<'_>, unit: uuid::Uuid, made: &BackupFile) -> Result<()> {
    let after = json!({ "name": made.name, "bytes": made.bytes, "sha256": made.sha256 });
    audit::record(
        work,
        Change { action: "backup.made", subject: unit, person: None, before: None, after: Some(&after) },
    )
}

fn note_failure(app: &App, by: Actor, error: &Error) {
    // The server stops: nobody needs to look into that.
    if matches!(error, Error::Overloaded(_)) {
        return;
    }
    metrics::counter!("ashlar_backup_failures_total").increment(1);
    let database = &app.platform.database;
    let reason = error.to_string();
    app.backups.note_failure(Some(Failure { at: database.clock().now(), reason: reason.clone() }));
    let unit = database.unit().id;
    let written = database.write_blocking("back_up", by, move |work| {
        let after = json!({ "reason": reason });
        let failed = Change { action: "backup.failed", subject: unit, person: None, before: None, after: Some(&after) };
        audit::record(work, failed)
    });
    if let Err(error) = written {
        tracing::error!(%error, "that a backup failed could not be written down");
    }
}

fn gauge(at: Time) {
    metrics::gauge!("ashlar_backup_last_success_timestamp_seconds").set(at.as_ms() as f64 / 1000.0);
}

// By the clock

/// Makes backups and tries them whenever that is due, for as long as the server runs.
pub async fn keep(app: App) {
    // Not in the midst of a start; and where `every` is short, that is what counts.
    let mut wait = soonest(&[LOOK], [app.backups.settings.every, app.backups.settings.drill_every]);
    let it = app.clone();
    let cleaned = tokio::task::spawn_blocking(move || it.backups.clean_up(it.platform.database.folder())).await;
    if let Err(error) = cleaned.map_err(|e| Error::internal("cleaning up", e)).flatten() {
        tracing::warn!(%error, "what a killed process left of backups stays for now");
    }
    loop {
        tokio::time::sleep(wait).await;
        let it = app.clone();
        let round = tokio::task::spawn_blocking(move || giving_way("backups", || round(&it)).flatten()).await;
        wait = round.map_err(|e| Error::internal("keeping backups", e)).flatten().unwrap_or_else(|error| {
            tracing::error!(%error, "backups could not be kept");
            soonest(&[AGAIN], [app.backups.settings.every, app.backups.settings.drill_every])
        });
    }
}

fn soonest(times: &[Duration], every: [Every; 2]) -> Duration {
    times.iter().copied().chain(every.into_iter().filter_map(|Every(time)| time)).min().unwrap_or(LOOK)
}

/// Does what is due; returns when to look again.
fn round(app: &App) -> Result<Duration> {
    let settings = &app.backups.settings;
    let database = &app.platform.database;
    let now = database.clock().now();
    let by = Actor::system();
    let newest = app.backups.list(database.folder()).inspect_err(|error| note_failure(app, by, error))?;
    // What seems to be of tomorrow was made while the clock was wrong.
    let newest = newest.into_iter().map(|kept| kept.name.at).find(|at| *at <= now);
    if let Some(at) = newest {
        gauge(at);
    }
    if is_due(settings.every, newest, now) {
        // Somebody makes one just now: that will do.
        let Ok(turn) = app.backups.begin() else { return Ok(LOOK) };
        let made = make(app, &turn).inspect_err(|error| note_failure(app, by, error))?;
        let unit = database.unit().id;
        database.write_blocking("back_up", by, move |work| record_made(work, unit, &made))?;
        for name in app.backups.remove_superseded(database.folder(), now)? {
            tracing::info!(name, "removed a backup that need no longer be kept");
        }
    }
    drills(app)?;
    Ok(soonest(&[LOOK], [settings.every, settings.drill_every]).max(Duration::from_millis(500)))
}

/// Tries what is due to be tried; that one could not be restored does not keep the other from being tried.
fn drills(app: &App) -> Result<()> {
    let replica = try_replica(app);
    try_backup(app)?;
    replica
}

fn try_backup(app: &App) -> Result<()> {
    let database = &app.platform.database;
    let proof = database.read_blocking("drill", |snapshot| backup::last_proof(snapshot, Kind::Backup))?;
    gauge_of(Kind::Backup, proof.as_ref());
    let newest = app.backups.list(database.folder())?.into_iter().next();
    // Nobody here can open what is encrypted: it was tried when it was made.
    let Some(newest) = newest.filter(|kept| !kept.name.wrapping.encrypted) else { return Ok(()) };
    if is_drill_due(app, Kind::Backup)?
        && let Ok(turn) = app.backups.begin()
    {
        try_one(app, &turn, &newest.path, &newest.name.to_string())?;
    }
    Ok(())
}

/// Restores the replica for a trial, where that is due and there is something in it.
fn try_replica(app: &App) -> Result<()> {
    let Some(replica) = app.platform.replica.get() else { return Ok(()) };
    let database = &app.platform.database;
    let proof = database.read_blocking("drill", |snapshot| backup::last_proof(snapshot, Kind::Replica))?;
    gauge_of(Kind::Replica, proof.as_ref());
    let report = replica.report();
    if report.state == replica::State::Current
        && report.last_snapshot.is_some()
        && is_drill_due(app, Kind::Replica)?
        && let Ok(turn) = app.backups.begin()
    {
        let watch = |done_bytes, total_bytes| turn.watch(Progress { step: Step::Proving, done_bytes, total_bytes });
        watch(0, report.bytes)?;
        drill(app, Kind::Replica, &report.place, |path| {
            replica::restore(replica.place(), Until::End, path, &mut |done, total| {
                // Only where the server stops it is an error, and then the drill ends anyway.
                watch(done, total).ok();
            })
            .map(drop)
        })?;
    }
    Ok(())
}

fn try_one(app: &App, turn: &Turn, file: &Path, name: &str) -> Result<()> {
    let total_bytes = std::fs::metadata(file).map_or(0, |found| found.len());
    turn.watch(Progress { step: Step::Proving, done_bytes: 0, total_bytes })?;
    drill(app, Kind::Backup, name, |path| {
        backup::check_sha256(file, Path::new(name))?;
        backup::unpack(file, &Identities::default(), path).map(drop)
    })
}

/// Whether one should be restored for a trial: it has been long enough, or the last trial failed an hour ago.
fn is_drill_due(app: &App, kind: Kind) -> Result<bool> {
    let database = &app.platform.database;
    let last = database.read_blocking("drill", |snapshot| backup::last_drill(snapshot, kind))?;
    let every = match (&last, app.backups.settings.drill_every) {
        (Some(Drill { failure: Some(_), .. }), Every(Some(time))) => Every(Some(time.min(AGAIN))),
        (_, every) => every,
    };
    Ok(is_due(every, last.map(|last| last.at), database.clock().now()))
}

fn is_due(every: Every, last: Option<Time>, now: Time) -> bool {
    let Every(Some(time)) = every else { return false };
    let seconds = time.as_secs() as i64;
    // One of far ahead was made while the clock was wrong.
    last.is_none_or(|last| last.plus_seconds(seconds) <= now || last > now.plus_seconds(seconds))
}

// Routes

/// Every backup that is kept, and what became of the last ones.
#[utoipa::path(
    get, path = "/api/backups", tag = "backups", operation_id = "list_backups", security(("bearer" = [])),
    responses((status = 200, body = Backups), (status = 403, description = "not an owner")),
)]
pub(super) async fn list(app: App, request: Request) -> Result<Response> {
    let it = app.clone();
    let backups = app.platform.scan("list_backups", &request, move |snapshot, who| {
        who.must_be_owner()?;
        overview(&it, snapshot)
    });
    answers::json(StatusCode::OK, &backups.await?)
}

/// Makes a backup; answered once it is whole, checked and on the disk.
#[utoipa::path(
    post, path = "/api/backups", tag = "backups", operation_id = "make_backup", security(("bearer" = [])),
    responses(
        (status = 201, body = BackupFile),
        (status = 403, description = "not an owner"),
        (status = 409, description = "another is being made or tried"),
        (status = 507, description = "the disk is full"),
    ),
)]
pub(super) async fn post(app: App, mut request: Request) -> Result<Response> {
    let who = app.platform.principal(&request).await?;
    who.must_be_owner()?;
    let body = request.bytes(0).await?;
    let call = request.call(Some(&who))?.with_body(&body);
    let saved = back_up(&app, request.caller(&who).by, call).await?;
    answers::saved(StatusCode::CREATED, &saved)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_stays_due_whatever_the_clock_does() {
        let now = Time::from_ms(1_800_000_000_000);
        let day = Every::days(1);
        let ago = |hours: i64| Some(now.plus_seconds(-3600 * hours));

        assert!(is_due(day, None, now));
        assert!(is_due(day, ago(24), now));
        assert!(!is_due(day, ago(23), now));
        assert!(!is_due(day, ago(-1), now), "set back by an hour, it would be done at every look");
        assert!(is_due(day, ago(-48), now), "set back by far, it would never be done");
        assert!(!is_due(Every(None), None, now));
    }
}
