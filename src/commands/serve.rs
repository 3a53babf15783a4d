//! `ashlar serve`.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::app;
use crate::platform::actor::Actor;
use crate::platform::backup::Sealed;
use crate::platform::clock::Clock;
use crate::platform::config::{Options, ReplicaSettings, Settings};
use crate::platform::costs::Sampler;
use crate::platform::db::{self, Database, Folder, Follower, Schema, Tuning, Use};
use crate::platform::error::{Error, Result};
use crate::platform::http::{Leave, Limits, ListenerStats, Peer, Service, raise_file_limit};
use crate::platform::jobs::{self, Kinds, Workers};
use crate::platform::replica::{Planned, Replica};
use crate::platform::{http, mail, objects, telemetry};
use crate::use_cases::restores::{self, Ready};
use crate::use_cases::{App, backups, set_up};

/// Work off the serving threads may go on so long after all else has stopped.
const STRAGGLERS: Duration = Duration::from_secs(2);
const UPKEEP: Duration = Duration::from_secs(5);
/// Sessions, links and answers that have expired are removed so often.
const SWEEP: Duration = Duration::from_secs(600);
/// Jobs that run when the server stops have so long to end.
const JOBS_PATIENCE: Duration = Duration::from_secs(8);

#[derive(Debug, clap::Args)]
pub struct Serve {
    #[command(flatten)]
    options: Options,
}

impl Serve {
    /// Serves until SIGTERM or SIGINT, then finishes what runs, commits what waits and checkpoints. A restore that an
    /// owner confirms on the way is carried out by this very process.
    pub fn run(self, data: &Path) -> Result<()> {
        let folder = Folder::at(data)?;
        let mut settings = Settings::load(self.options, &folder.settings())?;
        telemetry::start_log(&settings.log)?;
        telemetry::start_figures()?;
        let (schema, matrix) = app::prove()?;
        let _lock = folder.lock()?;
        restores::clean_up(&folder)?;
        match settings.media_place.as_deref().map(objects::at) {
            // Files stay in the database meanwhile.
            Some(Err(Error::Unreachable(why))) => tracing::warn!(why, "the place for files can't be reached"),
            Some(wrong @ Err(_)) => drop(wrong?),
            Some(Ok(_)) | None => {}
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(|e| Error::internal("starting the runtime", e))?;
        runtime.block_on(async {
            // Before the database is touched: a port that is taken must leave no trace.
            let main = bind(settings.listen, "listen").await?;
            // Port 0 means any that is free; links must name the one it became.
            settings.listen = main.local_addr().map_err(|e| Error::internal("listening", e))?;
            let metrics = match settings.metrics_listen {
                Some(address) => Some(bind(address, "metrics-listen").await?),
                None => None,
            };
            let stats = Arc::default();
            Server { folder, schema, matrix, settings, stats, stop: stop_signal()? }
                .run(Sockets { main, metrics })
                .await
        })?;
        // What still runs then, such as an export nobody waits for, is left behind.
        runtime.shutdown_timeout(STRAGGLERS);
        tracing::info!("stopped");
        Ok(())
    }
}

/// Where clients come in. They stay open while a restored database takes its place: clients wait, and are not refused.
struct Sockets {
    main: TcpListener,
    metrics: Option<TcpListener>,
}

/// What outlives the database that is served.
#[derive(Clone)]
struct Server {
    folder: Folder,
    schema: Schema,
    matrix: Vec<Use>,
    settings: Settings,
    stats: Arc<ListenerStats>,
    stop: watch::Receiver<bool>,
}

/// Why serving one database ended.
enum Ended {
    Stopped,
    Restore(Ready, Sockets),
}

/// A restore that could not be put in place.
struct Failure {
    by: Actor,
    from: String,
    why: String,
}

impl Server {
    /// Serves the unit, and each backup that takes its place, until the signal to stop.
    async fn run(self, mut sockets: Sockets) -> Result<()> {
        let mut app = self.open()?;
        let mut failure = None;
        let mut is_first = true;
        loop {
            if let Some(Failure { by, from, why }) = failure.take() {
                let app = app.clone();
                blocking(move || restores::record_failure(&app, by, from, why)).await?;
            }
            match set_up::offer(&app).await {
                Ok(None) => {}
                Ok(Some(link)) => say(&format!(
                    "Ashlar has no owner yet. Set it up here (the link works once, for 24 hours):\n\n    {link}\n"
                )),
                Err(error) if is_first => return Err(error),
                // What goes on after a restore must not end for that.
                Err(error) => tracing::error!(%error, "whether there is an owner is not known"),
            }
            if std::mem::take(&mut is_first) {
                say(&format!("Ashlar serves {} on http://{}", self.folder.path().display(), self.settings.listen));
            }
            let kinds = app::kinds(&app)?;
            let (database, it) = (app.platform.database.clone(), kinds.clone());
            blocking(move || jobs::abandon_runs_here(&database, &it)).await??;
            let ended = self.serve(&app, &kinds, sockets).await;
            drop(kinds);
            blocking(move || close(&app)).await?;
            match ended {
                Ended::Stopped => return Ok(()),
                Ended::Restore(Ready { sealed, from, by, turn: _turn }, open) => {
                    let server = self.clone();
                    let replaced = blocking(move || server.replace(sealed)).await??;
                    app = replaced.0;
                    match replaced.1 {
                        None => tracing::info!(from, "restored"),
                        Some(why) => failure = Some(Failure { by, from, why }),
                    }
                    sockets = open;
                }
            }
        }
    }

    /// Opens the database, and begins to replicate it where that is asked for.
    fn open(&self) -> Result<App> {
        let Server { folder, schema, settings, .. } = self;
        let (follower, planned) = match &settings.replica {
            ReplicaSettings::Nobody => (Follower::Nobody, None),
            ReplicaSettings::External => (Follower::Sidecar, None),
            ReplicaSettings::Ours { url, schedule } => {
                let planned = Planned::new(url, &folder.database())?;
                (planned.follower(), Some((planned, *schedule)))
            }
        };
        let tuning = Tuning { follower, ..settings.database };
        let database = Database::open(folder, schema.clone(), Clock::system(), db::Role::Server, tuning)?;
        let mut app = app::compose(database, settings);
        app.platform.connections = self.stats.clone();
        if let Some((planned, schedule)) = planned {
            let replica = Replica::start(planned, &app.platform.database, schedule)?;
            app.platform.replica.set(replica).ok(); // It was empty.
        }
        Ok(app)
    }

    /// Puts the restored database in place and opens it; where that can't be, the old one again, with the reason.
    fn replace(&self, sealed: Sealed) -> Result<(App, Option<String>)> {
        let time = Clock::system().now().to_compact();
        let kept = match sealed.put_in_place(&self.folder, &time) {
            Ok(kept) => kept,
            Err(why) => return Ok((self.open()?, Some(why.to_string()))),
        };
        match (self.open(), kept) {
            (Ok(app), _) => Ok((app, None)),
            (Err(why), Some(kept)) => {
                self.folder.replace_database(&kept.join("ashlar.db"), &time)?;
                Ok((self.open()?, Some(why.to_string())))
            }
            (Err(error), None) => Err(error),
        }
    }

    /// Serves one database until the signal to stop, or until another is to take its place.
    async fn serve(&self, app: &App, kinds: &Kinds, sockets: Sockets) -> Ended {
        let workers = Workers::new(app.platform.database.clone(), kinds.clone(), app.job_lease);
        let sampler = Sampler::new(app.platform.database.clone(), kinds.clone());
        let background = [
            tokio::spawn(background(app.clone(), kinds.clone())),
            tokio::spawn(backups::keep(app.clone())),
            tokio::spawn(workers.clone().run()),
            tokio::spawn(sampler.clone().keep(self.settings.costs_every.0)),
        ];
        let (leave, left) = watch::channel(None);
        let ending = async {
            let mut stop = self.stop.clone();
            let ready = tokio::select! {
                biased;
                // An error means that the sender is gone, and the program ends anyway.
                _ = stop.wait_for(|stop| *stop) => None,
                ready = app.restores.confirmed() => Some(ready),
            };
            app.platform.leaving.send_replace(true);
            leave.send_replace(Some(if ready.is_some() { Leave::Open } else { Leave::Closed }));
            ready
        };
        let service = app::service(app, self.matrix.clone(), kinds);
        let figures = async {
            let clock = app.platform.database.clock().clone();
            let service = Service::new(telemetry::open_route(&app.platform), self.settings.site.clone(), clock);
            listen(sockets.metrics?, service, &self.settings, Arc::default(), left.clone(), || {}).await.1
        };
        let main =
            listen(sockets.main, service, &self.settings, self.stats.clone(), left.clone(), || app.restores.leave());
        let (ready, (drained, main), metrics) = tokio::join!(ending, main, figures);
        tracing::info!(finished = drained.finished, cut_off = drained.cut_off, "drained");
        app.backups.stop();
        workers.stop(JOBS_PATIENCE).await;
        for work in background {
            work.abort();
            // It holds the database until it is gone; that it was aborted is no news.
            work.await.ok();
        }
        if self.settings.costs_every.0.is_some()
            && let Err(error) = blocking(move || sampler.sample()).await.and_then(|sampled| sampled)
        {
            tracing::warn!(%error, "what was used at last could not be written down");
        }
        match (ready, main) {
            (Some(ready), Some(main)) => Ended::Restore(ready, Sockets { main, metrics }),
            _ => Ended::Stopped,
        }
    }
}

/// Closes the database, and brings the last changes to its replica.
fn close(app: &App) {
    match app.platform.replica.get() {
        Some(replica) => replica.close(),
        None => app.platform.database.close(),
    }
}

/// Off the threads that serve requests.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|e| Error::internal("serving", e))
}

/// Prints a line for whoever started it; it serves as well where nobody reads that.
fn say(text: &str) {
    use std::io::Write;
    if let Err(error) = writeln!(std::io::stdout(), "{text}") {
        tracing::warn!(%error, "nobody reads the output");
    }
}

/// Serves on one socket until it is left; `then` is called once it takes no more connections.
async fn listen(
    listener: TcpListener,
    service: Service,
    settings: &Settings,
    stats: Arc<ListenerStats>,
    mut left: watch::Receiver<Option<Leave>>,
    then: impl FnOnce(),
) -> (http::Drained, Option<TcpListener>) {
    let limits = Limits {
        max_connections: raise_file_limit(settings.max_connections),
        max_connections_per_address: settings.max_connections_per_address,
        ..Limits::default()
    };
    let proxies = settings.site.proxies.0.clone();
    let answer = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        // The listener puts it into every request.
        let peer = request.extensions().get::<Peer>().map_or(SocketAddr::from(([0, 0, 0, 0], 0)), |Peer(peer)| *peer);
        service.clone().answer(peer, request)
    });
    let stopped = async move {
        let leave = left.wait_for(Option::is_some).await.ok().and_then(|leave| *leave);
        then();
        // Where the sender is gone the program ends.
        leave.unwrap_or(Leave::Closed)
    };
    http::listen(listener, answer, limits, proxies, stats, stopped).await
}

async fn bind(address: SocketAddr, flag: &str) -> Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|e| {
        Error::Internal(format!("can't listen on {address} ({e}); choose another address with --{flag} ADDRESS:PORT"))
    })
}

/// Turns true at the first SIGTERM or SIGINT.
pub(super) fn stop_signal() -> Result<watch::Receiver<bool>> {
    let failed = |e| Error::internal("waiting for signals", e);
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let (sender, receiver) = watch::channel(false);
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping");
        sender.send_replace(true);
        // Keeps the channel open until the program ends.
        std::future::pending::<()>().await;
    });
    Ok(receiver)
}

/// What is done every so often.
async fn background(app: App, kinds: Kinds) {
    let mut upkeep = tokio::time::interval(UPKEEP);
    let mut sweep = tokio::time::interval(SWEEP);
    loop {
        tokio::select! {
            _ = upkeep.tick() => {
                telemetry::upkeep();
                if let Err(error) = gauge_jobs(&app, &kinds).await {
                    tracing::warn!(%error, "the queues of jobs could not be counted");
                }
                if let Some(replica) = app.platform.replica.get() {
                    replica.watch();
                }
            }
            _ = sweep.tick() => {
                let auth = app.platform.auth.clone();
                let swept = app.platform.database.write("sweep", Actor::system(), move |work| {
                    Ok(auth.sweep(work)? + http::sweep(work)? + jobs::sweep(work)? + mail::sweep(work)?)
                });
                match swept.await {
                    Ok(0) => {}
                    Ok(rows) => tracing::info!(rows, "removed what had expired"),
                    Err(error) => tracing::warn!(%error, "what has expired could not be removed"),
                }
                let restores = app.restores.clone();
                tokio::task::spawn_blocking(move || restores.forget_older_than(restores::PATIENCE));
            }
        }
    }
}

async fn gauge_jobs(app: &App, kinds: &Kinds) -> Result<()> {
    let kinds = kinds.clone();
    app.platform.database.scan("jobs", move |snapshot| jobs::gauge(snapshot, &kinds)).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::backup::{Source, Staging};
    use crate::platform::config::Options;

    #[tokio::test]
    async fn a_restored_database_that_cannot_be_opened_makes_room_for_the_old_one_again() {
        let data = tempfile::tempdir().unwrap();
        let folder = Folder::at(data.path()).unwrap();
        let (schema, matrix) = app::prove().unwrap();
        let settings = Settings::load(Options::default(), &folder.settings()).unwrap();
        let (_, stop) = watch::channel(false);
        let server =
            Server { folder: folder.clone(), schema: schema.clone(), matrix, settings, stats: Arc::default(), stop };
        let old = server.open().unwrap();
        let id = old.platform.database.unit().id;
        close(&old);
        drop(old);
        let path = data.path().join("backup.db");
        drop(db::copy_database(&folder, &schema, Clock::system().now(), &path, &|_, _| Ok(())).unwrap());
        let source = Source::File { shown: path.clone(), path, identities: Vec::new() };
        let staged = Staging::make(&folder).unwrap().fill(&folder, &schema, &source, &mut |_, _| {}).unwrap();
        let copy = staged.folder().database();
        let sealed = staged.seal(&schema).unwrap();
        std::fs::write(copy, "it was damaged after it had been checked").unwrap();

        let (app, why) = server.replace(sealed).unwrap();

        assert!(why.is_some_and(|why| why.contains("no database")));
        assert_eq!(app.platform.database.unit().id, id);
        close(&app);
        drop(app);
        assert_eq!(db::examine(&folder, &schema).unwrap().problems, Vec::<String>::new());
    }
}
