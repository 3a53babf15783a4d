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
use crate::platform::clock::Clock;
use crate::platform::config::{Options, ReplicaSettings, Settings};
use crate::platform::db::{self, Database, Folder, Follower, Tuning};
use crate::platform::error::{Error, Result};
use crate::platform::http::{Limits, ListenerStats, Peer, Service, raise_file_limit};
use crate::platform::replica::{Planned, Replica};
use crate::platform::{http, telemetry};
use crate::use_cases::{App, backups, set_up};

/// Work off the serving threads may go on so long after all else has stopped.
const STRAGGLERS: Duration = Duration::from_secs(2);
const UPKEEP: Duration = Duration::from_secs(5);
/// Sessions, links and answers that have expired are removed so often.
const SWEEP: Duration = Duration::from_secs(600);

#[derive(Debug, clap::Args)]
pub struct Serve {
    #[command(flatten)]
    options: Options,
}

impl Serve {
    /// Serves until SIGTERM or SIGINT, then finishes what runs, commits what waits and checkpoints.
    pub fn run(self, data: &Path) -> Result<()> {
        let folder = Folder::at(data)?;
        let mut settings = Settings::load(self.options, &folder.settings())?;
        telemetry::start_log(&settings.log)?;
        telemetry::start_figures()?;
        let (schema, matrix) = app::prove()?;
        let _lock = folder.lock()?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(|e| Error::internal("starting the runtime", e))?;
        runtime.block_on(async {
            // Before the database is touched: a port that is taken must leave no trace.
            let listener = bind(settings.listen, "listen").await?;
            // Port 0 means any that is free; links must name the one it became.
            settings.listen = listener.local_addr().map_err(|e| Error::internal("listening", e))?;
            let metrics_listener = match settings.metrics_listen {
                Some(address) => Some(bind(address, "metrics-listen").await?),
                None => None,
            };
            let (follower, planned) = match &settings.replica {
                ReplicaSettings::Nobody => (Follower::Nobody, None),
                ReplicaSettings::External => (Follower::Sidecar, None),
                ReplicaSettings::Ours { url, schedule } => {
                    let planned = Planned::new(url, &folder.database())?;
                    (planned.follower(), Some((planned, *schedule)))
                }
            };
            let tuning = Tuning { follower, ..settings.database };
            let database = Database::open(&folder, schema, Clock::system(), db::Role::Server, tuning)?;
            let app = app::compose(database.clone(), &settings);
            if let Some((planned, schedule)) = planned {
                let replica = Replica::start(planned, &database, schedule)?;
                app.platform.replica.set(replica).ok(); // It was empty.
            }
            serve(&app, app::service(&app, matrix), &settings, listener, metrics_listener).await?;
            let replica = app.platform.replica.clone();
            let close = move || match replica.get() {
                Some(replica) => replica.close(),
                None => database.close(),
            };
            tokio::task::spawn_blocking(close).await.map_err(|e| Error::internal("closing the database", e))
        })?;
        // What still runs then, such as an export nobody waits for, is left behind.
        runtime.shutdown_timeout(STRAGGLERS);
        tracing::info!("stopped");
        Ok(())
    }
}

async fn serve(
    app: &App,
    service: Service,
    settings: &Settings,
    listener: TcpListener,
    metrics_listener: Option<TcpListener>,
) -> Result<()> {
    let stop = stop_signal()?;
    let background = tokio::spawn(background(app.clone()));
    let backups = tokio::spawn(backups::keep(app.clone()));
    if let Some(listener) = metrics_listener {
        let clock = app.platform.database.clock().clone();
        let figures = Service::new(telemetry::open_route(&app.platform), settings.site.clone(), clock);
        tokio::spawn(listen(listener, figures, settings.clone(), Arc::default(), stop.clone()));
    }
    if let Some(link) = set_up::offer(app).await? {
        say(&format!("Ashlar has no owner yet. Set it up here (the link works once, for 24 hours):\n\n    {link}\n"));
    }
    say(&format!("Ashlar serves {} on http://{}", app.platform.database.folder().path().display(), settings.listen));
    let drained = listen(listener, service, settings.clone(), app.platform.connections.clone(), stop).await;
    tracing::info!(finished = drained.finished, cut_off = drained.cut_off, "drained");
    background.abort();
    backups.abort();
    app.backups.stop();
    Ok(())
}

/// Prints a line for whoever started it; it serves as well where nobody reads that.
fn say(text: &str) {
    use std::io::Write;
    if let Err(error) = writeln!(std::io::stdout(), "{text}") {
        tracing::warn!(%error, "nobody reads the output");
    }
}

async fn listen(
    listener: TcpListener,
    service: Service,
    settings: Settings,
    stats: Arc<ListenerStats>,
    mut stop: watch::Receiver<bool>,
) -> http::Drained {
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
        // An error means that the sender is gone, and the program ends anyway.
        stop.wait_for(|stop| *stop).await.ok();
    };
    http::listen(listener, answer, limits, proxies, stats, stopped).await
}

async fn bind(address: SocketAddr, flag: &str) -> Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|e| {
        Error::Internal(format!("can't listen on {address} ({e}); choose another address with --{flag} ADDRESS:PORT"))
    })
}

/// Turns true at the first SIGTERM or SIGINT.
fn stop_signal() -> Result<watch::Receiver<bool>> {
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
async fn background(app: App) {
    let mut upkeep = tokio::time::interval(UPKEEP);
    let mut sweep = tokio::time::interval(SWEEP);
    loop {
        tokio::select! {
            _ = upkeep.tick() => telemetry::upkeep(),
            _ = sweep.tick() => {
                let auth = app.platform.auth.clone();
                let swept = app.platform.database.write("sweep", Actor::system(), move |work| {
                    Ok(auth.sweep(work)? + http::sweep(work)?)
                });
                match swept.await {
                    Ok(0) => {}
                    Ok(rows) => tracing::info!(rows, "removed what had expired"),
                    Err(error) => tracing::warn!(%error, "what has expired could not be removed"),
                }
            }
        }
    }
}
