//! What a backup costs, and what those who write meanwhile notice of it.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::unit::{self, Server};
use super::{Table, load::Steady, process};

const WRITES_A_SECOND: u32 = 500;
/// Long enough that one write in a thousand is several.
const PHASE: Duration = Duration::from_secs(20);
/// Two backups within a second would bear one name.
const BETWEEN: Duration = Duration::from_millis(1100);
const ROUNDS: usize = 3;

/// A backup of 200 MB (and of 1 GB, if it may take long) under 500 writes a second.
pub fn backup(table: &mut Table, long: bool) {
    let sizes: &[u64] = if long { &[200, 1000] } else { &[200] };
    for &mb in sizes {
        let folder = tempfile::tempdir().expect("a folder");
        let token = unit::owner(folder.path());
        unit::fill(&folder.path().join("ashlar.db"), mb * 1_000_000);
        copying(table, mb, folder.path(), &token);
        meanwhile(table, mb, folder.path(), &token);
    }
}

/// The copying against `cp` with fsync of the same file, by turns, while others write.
fn copying(table: &mut Table, mb: u64, folder: &Path, token: &str) {
    let server = Server::start(folder, &[]);
    let load = Steady::start(&server, token, WRITES_A_SECOND);
    let kept = tempfile::tempdir().expect("a folder");
    let (mut cp, mut copying, mut checking, mut packing) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let target = kept.path().join(format!("cp-{round}"));
        cp.push(copy_with_cp(&folder.join("ashlar.db"), &target).as_secs_f64() * 1000.0);
        fs::remove_file(target).expect("removed");
        let target = kept.path().join(format!("backup-{round}.db"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_ashlar"));
        command.args(["backup", "--json", "--to"]).arg(&target).arg("--data").arg(folder);
        let output = command.output().expect("the program runs");
        let made: Value = serde_json::from_slice(&output.stdout).expect("a backup");
        let ms = |step: &str| made["seconds"][step].as_f64().expect("seconds") * 1000.0;
        copying.push(ms("copying"));
        checking.push(ms("checking"));
        packing.push(ms("packing"));
        fs::remove_file(target).expect("removed");
    }
    load.stop();
    server.stop();
    let name = format!("backup of {mb} MB under {WRITES_A_SECOND} writes/s");
    table.compare(&format!("{name}: `cp` and fsync"), "ms", &cp, "the copying", &copying, Some(0.5));
    table.row(&format!("{name}: the checks"), super::Spread::of(&checking), "ms", None);
    table.row(&format!("{name}: SHA-256 and fsync"), super::Spread::of(&packing), "ms", None);
}

/// What writers notice of backups by the server, against `cp`, and against neither.
fn meanwhile(table: &mut Table, mb: u64, folder: &Path, token: &str) {
    let server = Server::start(folder, &[]);
    // What the server itself needs for 500 writes a second, once.
    Steady::start(&server, token, WRITES_A_SECOND).stop_after(PHASE / 4);
    let calm = Steady::start(&server, token, WRITES_A_SECOND).stop_after(PHASE);

    // What was made is removed afterwards: to free a large file takes the file system a moment in which nothing is committed.
    let kept = tempfile::tempdir().expect("a folder");
    let load = Steady::start(&server, token, WRITES_A_SECOND);
    let start = Instant::now();
    let mut copies = 0;
    while start.elapsed() < PHASE {
        copy_with_cp(&folder.join("ashlar.db"), &kept.path().join(format!("cp-{copies}")));
        copies += 1;
        std::thread::sleep(BETWEEN);
    }
    let beside_cp = load.stop();

    // Only here: until then the writer's own cache has filled.
    let before_mb = server.memory_mb();
    let most_mb = Peak::start(&server);
    let load = Steady::start(&server, token, WRITES_A_SECOND);
    let start = Instant::now();
    let mut backups = 0;
    while start.elapsed() < PHASE {
        let answer = server.post("/api/backups", token);
        assert!(answer.contains("sha256"), "{answer}");
        backups += 1;
        std::thread::sleep(BETWEEN);
    }
    let during = load.stop();
    let most_mb = most_mb.stop();
    drop(kept);
    server.stop();

    let name = format!("writes at {WRITES_A_SECOND}/s, {mb} MB");
    for (what, answers) in [("before", &calm), ("while `cp` runs", &beside_cp)] {
        for percent in [50.0, 99.0, 99.9] {
            let ms = answers.percentile_us(percent) / 1000.0;
            table.row(&format!("{name}: p{percent} {what}"), super::Spread::one(ms), "ms", None);
        }
    }
    for percent in [50.0, 99.0] {
        let ms = during.percentile_us(percent) / 1000.0;
        table.row(&format!("{name}: p{percent} during {backups} backups"), super::Spread::one(ms), "ms", None);
    }
    let p999 = during.percentile_us(99.9) / 1000.0;
    table.goal(&format!("{name}: p99.9 during {backups} backups"), &[p999], "ms", 100.0);
    let cp = beside_cp.percentile_us(99.9) / 1000.0;
    table.compare(&format!("{name}: p99.9 while `cp` runs"), "ms", &[cp], "during backups", &[p999], Some(1.0));
    table.goal(&format!("{name}: more memory during backups"), &[most_mb - before_mb], "MB", 20.0);
}

fn copy_with_cp(from: &Path, to: &Path) -> Duration {
    let start = Instant::now();
    let copied = Command::new("cp").args(["--reflink=never"]).arg(from).arg(to).status().expect("cp runs");
    assert!(copied.success());
    File::open(to).and_then(|file| file.sync_all()).expect("synced");
    start.elapsed()
}

/// The most memory that a server holds meanwhile, in MB.
struct Peak {
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<f64>,
}

impl Peak {
    fn start(server: &Server) -> Peak {
        let stop = Arc::new(AtomicBool::new(false));
        let (pid, it) = (server.pid(), stop.clone());
        let thread = std::thread::spawn(move || {
            let mut most: f64 = 0.0;
            while !it.load(Ordering::Relaxed) {
                most = most.max(process::memory_mb(pid));
                std::thread::sleep(Duration::from_millis(20));
            }
            most
        });
        Peak { stop, thread }
    }

    fn stop(self) -> f64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the memory was read")
    }
}
