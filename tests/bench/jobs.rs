//! Jobs: enqueued in the transactions that ask for them, run, and how soon after the commit each begins.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ashlar::platform::actor::Actor;
use ashlar::platform::db::{Database, UnitOfWork};
use ashlar::platform::error::Result;
use ashlar::platform::jobs::{self, Kind, Kinds, Payload, Record, Run, Workers};
use serde::{Deserialize, Serialize};

use super::{ROUNDS, Spread, Table, unit};

#[derive(Serialize, Deserialize)]
struct Nothing(u64);
impl Payload for Nothing {
    const KIND: &'static str = "bench.nothing";
}

/// Transactions that wait for their commit at once.
const CALLERS: u64 = 64;
const JOBS: u64 = 10_000;
/// Runs at once.
const SLOTS: usize = 32;
/// Jobs that come one at a time, into a server with nothing else to do.
const SINGLE: u64 = 300;

pub fn jobs(table: &mut Table, _: bool) {
    let folder = tempfile::tempdir().expect("a folder");
    let app = unit::open(folder.path());
    let database = &app.platform.database;
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let (mut enqueued, mut bare, mut ran) = (Vec::new(), Vec::new(), Vec::new());
    let began: Arc<Mutex<Option<Instant>>> = Arc::default();
    let count = Arc::new(AtomicU64::new(0));
    let (it, counted) = (began.clone(), count.clone());
    let kind = Kind::new(move |_: &Run, _: Nothing| {
        *it.lock().expect("no panic") = Some(Instant::now());
        counted.fetch_add(1, Ordering::Relaxed);
        Ok(Record::nothing())
    });
    let kinds = Kinds::new(vec![kind.slots(SLOTS)]).expect("one kind");
    for _ in 0..ROUNDS {
        enqueued.push(transactions(database, |work, n| jobs::enqueue(work, &Nothing(n)).map(drop)));
        bare.push(transactions(database, |_, _| Ok(())));
        let workers = Workers::new(database.clone(), kinds.clone(), Duration::from_secs(60));
        let (start, before) = (Instant::now(), count.load(Ordering::Relaxed));
        let handing_out = runtime.spawn(workers.clone().run());
        while count.load(Ordering::Relaxed) < before + JOBS {
            std::thread::sleep(Duration::from_millis(1));
        }
        ran.push(JOBS as f64 / start.elapsed().as_secs_f64());
        runtime.block_on(workers.stop(Duration::from_secs(10)));
        runtime.block_on(handing_out).expect("no panic");
    }
    table.compare("transactions with a job each", "1/s", &enqueued, "empty ones", &bare, None);
    table.row("jobs run, 32 at once", Spread::of(&ran), "1/s", None);

    let workers = Workers::new(database.clone(), kinds, Duration::from_secs(60));
    runtime.spawn(workers.clone().run());
    let mut waits = Vec::new();
    for n in 0..SINGLE {
        std::thread::sleep(Duration::from_millis(10));
        began.lock().expect("no panic").take();
        let enqueue = move |work: &UnitOfWork<'_>| jobs::enqueue(work, &Nothing(n));
        database.write_blocking("bench", Actor::system(), enqueue).expect("enqueued");
        let committed = Instant::now();
        let began = loop {
            if let Some(began) = *began.lock().expect("no panic") {
                break began;
            }
            std::thread::sleep(Duration::from_micros(50));
        };
        waits.push(began.saturating_duration_since(committed).as_secs_f64() * 1000.0);
    }
    runtime.block_on(workers.stop(Duration::from_secs(10)));
    database.close();
    waits.sort_by(f64::total_cmp);
    let at = |share: f64| waits[((waits.len() - 1) as f64 * share) as usize];
    table.row("from commit to start, idle: p50", Spread::one(at(0.5)), "ms", None);
    table.goal("from commit to start, idle: p99", &[at(0.99)], "ms", 20.0);
}

/// Transactions a second, [`CALLERS`] at once, [`JOBS`] in all.
fn transactions(
    database: &Database,
    body: impl Fn(&UnitOfWork<'_>, u64) -> Result<()> + Copy + Send + Sync + 'static,
) -> f64 {
    let next = AtomicU64::new(0);
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..CALLERS {
            scope.spawn(|| {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= JOBS {
                        break;
                    }
                    database.write_blocking("bench", Actor::system(), move |work| body(work, n)).expect("written");
                }
            });
        }
    });
    JOBS as f64 / start.elapsed().as_secs_f64()
}
