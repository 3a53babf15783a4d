//! Telemetry: log lines for people or machines, and figures for Prometheus.

use std::io::IsTerminal;
use std::sync::OnceLock;
use std::sync::atomic::Ordering::Relaxed;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;
use warp::reply::Response;

use super::Platform;
use super::error::{Error, Result};
use super::http::{self, Request, Routes, answers, on};
use super::metering;

/// Prometheus' text format.
const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

static FIGURES: OnceLock<PrometheusHandle> = OnceLock::new();

/// Starts logging to standard error: readable on a terminal, JSON otherwise.
pub fn start_log(filter: &str) -> Result<()> {
    // What talks to a bucket tells of each try at `info`; what becomes of them all, the replica says itself.
    let filter = EnvFilter::try_new(format!("object_store=warn,{filter}"))
        .map_err(|e| Error::Internal(format!("the log filter is wrong: {e}")))?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    let started =
        if std::io::stderr().is_terminal() { log.try_init() } else { log.json().flatten_event(true).try_init() };
    started.map_err(|e| Error::internal("starting the log", e))
}

/// Starts counting. Once a process.
pub fn start_figures() -> Result<()> {
    const SECONDS: [f64; 12] = [0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0];
    const MEMBERS: [f64; 10] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];
    let handle = PrometheusBuilder::new()
        .set_buckets(&SECONDS)
        .and_then(|builder| builder.set_buckets_for_metric(Matcher::Full("ashlar_group_size".into()), &MEMBERS))
        .and_then(|builder| builder.install_recorder())
        .map_err(|e| Error::internal("starting to count", e))?;
    FIGURES.set(handle).map_err(|_| Error::Internal("counting was started twice".into()))
}

/// Folds what was measured into its buckets, so that memory stays bounded. Call it every few seconds.
pub fn upkeep() {
    if let Some(figures) = FIGURES.get() {
        figures.run_upkeep();
    }
}

/// All figures, in Prometheus' text format.
pub fn render(platform: &Platform) -> String {
    let Platform { database, connections, .. } = platform;
    for room in metering::rooms().into_iter().filter(|room| room.statements() > 0) {
        let module = room.name;
        metrics::counter!("ashlar_sqlite_statements_total", "module" => module).absolute(room.statements());
        metrics::counter!("ashlar_sqlite_rows_total", "module" => module).absolute(room.rows());
        metrics::gauge!("ashlar_sqlite_seconds_total", "module" => module).set(room.sql().as_secs_f64());
    }
    for (module, cpu) in metering::cpu_by_room() {
        metrics::gauge!("ashlar_cpu_seconds_total", "module" => module).set(cpu.as_secs_f64());
    }
    metrics::gauge!("ashlar_connections_open").set(connections.open.load(Relaxed) as f64);
    let totals = [
        ("accepted", &connections.accepted_total),
        ("evicted", &connections.evicted_total),
        ("refused", &connections.refused_total),
        ("timed out", &connections.timed_out_total),
    ];
    for (what, total) in totals {
        metrics::counter!("ashlar_connections_total", "what" => what).absolute(total.load(Relaxed));
    }
    if let Some(replica) = platform.replica.get() {
        replica.watch();
    }
    metrics::gauge!("ashlar_write_queue_length").set(database.queue_length() as f64);
    FIGURES.get().map(PrometheusHandle::render).unwrap_or_default()
}

/// `GET /metrics` for those who may reach a listener of its own.
pub fn open_route(platform: &Platform) -> Routes {
    let figures = on(platform).get(open_figures).at(warp::path!("metrics"));
    http::either([figures, http::nothing_here()]).unwrap_or_else(http::nothing_here)
}

async fn open_figures(platform: Platform, _request: Request) -> Result<Response> {
    Ok(answers::text(CONTENT_TYPE, render(&platform)))
}

/// `GET /metrics` for staff.
pub fn routes(platform: &Platform) -> Routes {
    on(platform).get(figures).at(warp::path!("metrics"))
}

async fn figures(platform: Platform, request: Request) -> Result<Response> {
    platform.principal(&request).await?.must_be_staff()?;
    Ok(answers::text(CONTENT_TYPE, render(&platform)))
}
