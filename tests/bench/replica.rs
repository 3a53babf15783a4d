//! What the replica costs, how far it lags, and how fast a state comes back out of it, beside Litestream.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ashlar::platform::replica::{self, Listing, SNAPSHOTS, Txid, Until};
use rusqlite::Connection;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::load::{Answers, Steady};
use super::unit::{self, Server};
use super::{ROUNDS, Spread, Table, post_people, process};

/// What this program is told to be itself what fetches a state: `fetch URL FILE`.
pub const FETCH: &str = "fetch";

const WRITES_A_SECOND: u32 = 200;
const PHASE: Duration = Duration::from_secs(10);
/// Longer than any of them takes for the last changes.
const TAIL: Duration = Duration::from_secs(3);
const FEW_ROUNDS: usize = 3;

/// Replication, and a restore of 60 and of 230 MB (and of 1 GB, if it may take long).
pub fn replica(table: &mut Table, long: bool) {
    let litestream = litestream();
    if litestream.is_none() {
        table.note("replica: nothing to hold it against, `scripts/install test` did not install Litestream 0.5.17");
    }
    throughput(table);
    steady(table, litestream.as_deref());
    let sizes: &[u64] = if long { &[60, 230, 1000] } else { &[60, 230] };
    for &mb in sizes {
        let unit = Filled::new(mb);
        if mb == 230 {
            snapshots(table, &unit);
        }
        restores(table, &unit, litestream.as_deref());
    }
}

/// `POST /api/people` as fast as it goes, with the replica and without, by turns.
fn throughput(table: &mut Table) {
    let (alone, followed) = (Unit::new(), Unit::new());
    let (mut next, url) = ([0; 2], followed.url());
    for connections in [1, 64] {
        let (mut without, mut with) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let server = Server::start(alone.data(), &[]);
            without.push(post_people(&server, &alone.token, connections, &mut next[0]));
            server.stop();
            let server = Server::start(followed.data(), &["--replica", &url]);
            with.push(post_people(&server, &followed.token, connections, &mut next[1]));
            server.stop();
        }
        let name = format!("POST /api/people with a replica, {connections} connections");
        table.compare(&name, "1/s", &with, "without", &without, Some(0.9));
    }
}

/// A steady load: what it costs, and how long it takes until the replica holds what was answered.
fn steady(table: &mut Table, litestream: Option<&Path>) {
    let units = [Unit::new(), Unit::new(), Unit::new()];
    let [alone, ours, theirs] = &units;
    let servers = [
        Server::start(alone.data(), &[]),
        Server::start(ours.data(), &["--replica", &ours.url()]),
        Server::start(theirs.data(), &["--replica", "external"]),
    ];
    let sidecar = litestream.map(|program| Sidecar::start(program, theirs));
    let sides = 2 + usize::from(sidecar.is_some());
    // What each needs once.
    for (unit, server) in units.iter().zip(&servers) {
        Steady::start(server, &unit.token, WRITES_A_SECOND).stop_after(PHASE / 3);
    }
    let mut used: [Vec<f64>; 4] = Default::default();
    let mut in_threads = Vec::new();
    let mut lags: [Vec<f64>; 3] = Default::default();
    for _ in 0..ROUNDS {
        for (i, (unit, server)) in units.iter().zip(&servers).enumerate().take(sides) {
            let sidecar = sidecar.as_ref().filter(|_| i == 2);
            let cpu = || [Some(server.pid()), sidecar.map(Sidecar::pid)].map(|pid| pid.map(process::cpu));
            let threads = || process::cpu_of_threads(server.pid(), "replica");
            let (before, threads_before, start, watch) = (cpu(), threads(), Instant::now(), Watch::start(unit));
            let load = Steady::start(server, &unit.token, WRITES_A_SECOND);
            let first = load.first;
            let answers = load.stop_after(PHASE);
            std::thread::sleep(TAIL);
            let percent = |now: Option<Duration>, then: Option<Duration>| {
                Some(100.0 * (now? - then?).div_duration_f64(start.elapsed()))
            };
            let after = cpu();
            used[i].extend(percent(after[0], before[0]));
            used[3].extend(percent(after[1], before[1]));
            if i == 1 {
                in_threads.extend(percent(Some(threads()), Some(threads_before)));
            }
            if i > 0 {
                lags[i].extend(lags_ms(unit, first, &answers, &watch.stop()));
            }
        }
    }
    let memory: Vec<f64> = servers.iter().map(Server::memory_mb).collect();

    let name = format!("{WRITES_A_SECOND} writes/s");
    let more = |i: usize| used[i].iter().zip(&used[0]).map(|(with, without)| with - without).collect::<Vec<f64>>();
    table.row(&format!("{name}: the server's CPU without a replica"), Spread::of(&used[0]), "%", None);
    table.goal(&format!("{name}: more CPU for the replica"), &more(1), "%", 2.0);
    table.row(&format!("{name}: CPU of the replica's own threads"), Spread::of(&in_threads), "%", None);
    table.row(&format!("{name}: more memory for the replica"), Spread::one(memory[1] - memory[0]), "MB", None);
    lag(table, &format!("{name}: lag of the replica"), &mut lags[1], Some(1200.0));
    if let Some(sidecar) = sidecar {
        table.row(&format!("{name}: a sidecar's CPU"), Spread::of(&used[3]), "%", None);
        table.row(&format!("{name}: more CPU of the server beside it"), Spread::of(&more(2)), "%", None);
        let mb = process::memory_mb(sidecar.pid());
        table.row(&format!("{name}: a sidecar's memory"), Spread::one(mb), "MB", None);
        lag(table, &format!("{name}: lag of the sidecar"), &mut lags[2], None);
    }
    servers.into_iter().for_each(Server::stop);
}

fn lag(table: &mut Table, name: &str, lags_ms: &mut [f64], most: Option<f64>) {
    lags_ms.sort_by(f64::total_cmp);
    let at = |percent: usize| lags_ms[lags_ms.len() * percent / 100];
    table.row(&format!("{name}: p50"), Spread::one(at(50)), "ms", None);
    match most {
        Some(most) => table.goal(&format!("{name}: p99"), &[at(99)], "ms", most),
        None => table.row(&format!("{name}: p99"), Spread::one(at(99)), "ms", None),
    }
}

/// From each answer until a file was there with which the person is restored.
fn lags_ms(unit: &Unit, first: u64, answers: &Answers, appeared: &[(Txid, Instant)]) -> Vec<f64> {
    let place = replica::at(&unit.url()).expect("a place");
    let mut waiting = answers.answered.clone();
    let mut lags = Vec::new();
    for (txid, at) in appeared {
        let file = unit.folder.path().join("restored.db");
        replica::restore(&*place, Until::Txid(*txid), &file, &mut |_, _| {}).expect("restored");
        let held = people(&file);
        fs::remove_file(&file).expect("removed");
        waiting.retain(|(n, answered)| {
            let is_held = held.contains(&unit::email(first.wrapping_add(*n)));
            if is_held {
                lags.push(at.saturating_duration_since(*answered).as_secs_f64() * 1000.0);
            }
            !is_held
        });
    }
    assert!(waiting.is_empty(), "{} people never came to {}", waiting.len(), place.shown());
    lags
}

fn people(database: &Path) -> HashSet<String> {
    let connection = Connection::open(database).expect("a database");
    let mut statement = connection.prepare("SELECT email FROM users").expect("a query");
    let emails = statement.query_map([], |row| row.get(0)).expect("people");
    emails.collect::<Result<_, _>>().expect("people")
}

/// What writers notice while the whole database is copied, as an increment and as a snapshot, against the same without.
fn snapshots(table: &mut Table, filled: &Filled) {
    let (mut calm, mut during, mut took) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..FEW_ROUNDS {
        let place = tempfile::tempdir().expect("a folder");
        let server = Server::start(filled.unit.data(), &["--replica", &url(place.path())]);
        let (start, load) = (Instant::now(), Steady::start(&server, &filled.unit.token, WRITES_A_SECOND));
        wait_for_snapshot(place.path());
        took.push(start.elapsed().as_secs_f64() * 1000.0);
        during.push(load.stop());
        server.stop();

        let server = Server::start(filled.unit.data(), &[]);
        let load = Steady::start(&server, &filled.unit.token, WRITES_A_SECOND);
        calm.push(load.stop_after(start.elapsed()));
        server.stop();
    }
    let name = format!("{WRITES_A_SECOND} writes/s, {} MB", filled.mb);
    table.row(&format!("{name}: the first increment and a snapshot"), Spread::of(&took), "ms", None);
    let (calm, during) = (Answers::all(calm), Answers::all(during));
    for percent in [50.0, 99.0] {
        for (what, answers) in [("without", &calm), ("during", &during)] {
            let ms = answers.percentile_us(percent) / 1000.0;
            table.row(&format!("{name}: p{percent} {what}"), Spread::one(ms), "ms", None);
        }
    }
    table.row(&format!("{name}: p99.9 without"), Spread::one(calm.percentile_us(99.9) / 1000.0), "ms", None);
    table.goal(&format!("{name}: p99.9 during"), &[during.percentile_us(99.9) / 1000.0], "ms", 100.0);
}

/// The whole database out of its replica: by us, by Litestream, by turns; each with its checks and without.
fn restores(table: &mut Table, filled: &Filled, litestream: Option<&Path>) {
    let place = tempfile::tempdir().expect("a folder");
    let url = url(place.path());
    let server = Server::start(filled.unit.data(), &["--replica", &url]);
    wait_for_snapshot(place.path());
    server.stop();

    let targets = tempfile::tempdir().expect("a folder");
    let fetch = |target: &Path| {
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        process::run(command.args([FETCH, &url]).arg(target))
    };
    let restore = |target: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ashlar"));
        process::run(command.args(["restore", "--yes", "--from", &url, "--data"]).arg(target))
    };
    let theirs = |target: &Path, check: &str| {
        let mut command = Command::new(litestream?);
        Some(process::run(command.args(["restore", "-integrity-check", check, "-o"]).arg(target).arg(&url)))
    };
    let mut costs: [Vec<process::Cost>; 4] = Default::default();
    for round in 0..FEW_ROUNDS {
        let target = |what: usize| targets.path().join(format!("{what}-{round}"));
        costs[0].push(fetch(&target(0)));
        costs[1].extend(theirs(&target(1), "none"));
        fs::create_dir(target(2)).expect("made");
        costs[2].push(restore(&target(2)));
        costs[3].extend(theirs(&target(3), "full"));
        fs::remove_dir_all(targets.path()).expect("removed");
        fs::create_dir(targets.path()).expect("made");
    }
    let ms = costs.each_ref().map(|costs| costs.iter().map(|cost| cost.ms).collect::<Vec<f64>>());
    let peak_mb = costs.each_ref().map(|costs| costs.iter().map(|cost| cost.peak_mb).collect::<Vec<f64>>());
    let name = format!("restore of {} MB", filled.mb);
    table.row(&format!("{name}: fetching"), Spread::of(&ms[0]), "ms", None);
    table.row(&format!("{name}: `ashlar restore`"), Spread::of(&ms[2]), "ms", None);
    table.goal(&format!("{name}: memory for fetching"), &peak_mb[0], "MB", 60.0);
    table.goal(&format!("{name}: memory of `ashlar restore`"), &peak_mb[2], "MB", 60.0);
    if litestream.is_some() {
        table.compare(&format!("{name}: Litestream"), "ms", &ms[1], "fetching", &ms[0], Some(1.0));
        let checked = format!("{name}: Litestream and integrity_check");
        table.compare(&checked, "ms", &ms[3], "`ashlar restore`", &ms[2], Some(1.0));
        table.row(&format!("{name}: memory of Litestream"), Spread::of(&peak_mb[1]), "MB", None);
        table.row(&format!("{name}: memory of Litestream and integrity_check"), Spread::of(&peak_mb[3]), "MB", None);
    }
}

/// Fetches the newest state, and nothing else.
pub fn fetch(url: &str, target: &Path) {
    let place = replica::at(url).expect("a place");
    replica::restore(&*place, Until::End, target, &mut |_, _| {}).expect("restored");
}

fn wait_for_snapshot(place: &Path) {
    let place = replica::at(&url(place)).expect("a place");
    while Listing::read(&*place).expect("a listing").last(SNAPSHOTS).is_none() {
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn url(place: &Path) -> String {
    format!("file://{}", place.display())
}

/// The real one, where it is installed.
fn litestream() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/litestream-0.5.17/bin/litestream");
    path.exists().then_some(path)
}

/// A new unit, and a place for its replica.
struct Unit {
    folder: TempDir,
    data: PathBuf,
    token: String,
}

impl Unit {
    fn new() -> Unit {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join("data");
        fs::create_dir(&data).expect("made");
        let token = unit::owner(&data);
        Unit { folder, data, token }
    }

    fn data(&self) -> &Path {
        &self.data
    }

    fn place(&self) -> PathBuf {
        self.folder.path().join("replica")
    }

    fn url(&self) -> String {
        url(&self.place())
    }
}

/// A unit of a certain size.
struct Filled {
    unit: Unit,
    mb: u64,
}

impl Filled {
    fn new(mb: u64) -> Filled {
        let unit = Unit::new();
        unit::fill(&unit.data().join("ashlar.db"), mb * 1_000_000);
        Filled { unit, mb }
    }
}

/// Notes when files of level 0 appear.
struct Watch {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<(Txid, Instant)>>,
}

impl Watch {
    fn start(unit: &Unit) -> Watch {
        let stop = Arc::new(AtomicBool::new(false));
        let (place, it) = (unit.url(), stop.clone());
        let thread = std::thread::spawn(move || {
            let place = replica::at(&place).expect("a place");
            let there = || place.list(0).expect("a listing").into_iter().map(|file| file.name.max);
            let mut known: HashSet<Txid> = there().collect();
            let mut appeared = Vec::new();
            while !it.load(Ordering::Relaxed) {
                let now = Instant::now();
                appeared.extend(there().filter(|txid| known.insert(*txid)).map(|txid| (txid, now)));
                std::thread::sleep(Duration::from_millis(5));
            }
            appeared
        });
        Watch { stop, thread }
    }

    fn stop(self) -> Vec<(Txid, Instant)> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("it watched")
    }
}

/// Litestream beside a server.
struct Sidecar(Child);

impl Sidecar {
    fn start(program: &Path, unit: &Unit) -> Sidecar {
        let config = unit.folder.path().join("litestream.yml");
        let (database, url) = (unit.data().join("ashlar.db"), unit.url());
        let text = format!(
            "dbs:\n  - path: {}\n    replica:\n      url: {url}\n      sync-interval: 1s\n",
            database.display()
        );
        fs::write(&config, text).expect("written");
        let mut command = Command::new(program);
        command.arg("replicate").arg("-config").arg(&config).stdin(Stdio::null());
        Sidecar(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("Litestream starts"))
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        // It may have ended by itself.
        kill_process(Pid::from_child(&self.0), Signal::TERM).ok();
        self.0.wait().ok();
    }
}
