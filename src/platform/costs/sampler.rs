//! The sampler: now and then it reads the meters and writes down what was used since.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::model::{Used, UsedAll, key};
use super::{Step, record, record_spans};
use crate::platform::actor::Actor;
use crate::platform::clock::Time;
use crate::platform::db::Database;
use crate::platform::error::Result;
use crate::platform::jobs::{self, Kinds};
use crate::platform::metering::{self, Account, Kind, Reading, Span};

/// What is done in the background alone is written down once it has used so much.
const WORTH_A_ROW: Duration = Duration::from_secs(1);
/// The tables' pages are counted so often.
const COUNT_BYTES: Duration = Duration::from_secs(60 * 60);

/// Writes down what this process uses. Clones share it.
#[derive(Clone)]
pub struct Sampler {
    database: Database,
    kinds: Kinds,
    state: Arc<Mutex<State>>,
}

struct State {
    looked: Instant,
    /// When something was last written down.
    before: Meters,
    counted_bytes: Option<Instant>,
    /// What was told of spans, and on which day.
    told: (Time, BTreeSet<Span>),
}

/// What the meters of this process show at one moment.
struct Meters {
    accounts: BTreeMap<String, (&'static Account, Reading)>,
    process_cpu: Duration,
    sql: BTreeMap<&'static str, Duration>,
}

/// A job's kind as its queue stands.
struct Queue {
    kind: String,
    ready: u64,
    oldest_ms: u64,
}

impl Sampler {
    /// What was used before this is left out.
    pub fn new(database: Database, kinds: Kinds) -> Sampler {
        let state = State {
            looked: Instant::now(),
            before: Meters::read(),
            counted_bytes: None,
            told: (Time::from_ms(0), BTreeSet::new()),
        };
        Sampler { database, kinds, state: Arc::new(Mutex::new(state)) }
    }

    /// Samples every so often, where that is wanted, for as long as the server runs.
    pub async fn keep(self, every: Option<Duration>) {
        let Some(every) = every else { return };
        loop {
            tokio::time::sleep(every).await;
            let it = self.clone();
            match tokio::task::spawn_blocking(move || it.sample()).await {
                Ok(Ok(_)) => {}
                // The next time brings it all.
                Ok(Err(error)) => tracing::warn!(%error, "what was used could not be written down"),
                Err(error) => tracing::error!(%error, "what was used could not be written down"),
            }
        }
    }

    /// Writes down what was used since the last time, unless that is next to nothing: it is left for the next time then.
    /// On a thread that may wait. Returns whether anything was written.
    pub fn sample(&self) -> Result<bool> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let measured = now.duration_since(std::mem::replace(&mut state.looked, now));
        let queues = self.queues()?;
        let meters = Meters::read();
        let mut used = meters.since(&state.before, &queues, measured);
        if !is_worth_a_row(&used) {
            return Ok(false);
        }
        let is_due = state.counted_bytes.is_none_or(|at| at.elapsed() >= COUNT_BYTES);
        if is_due {
            used.bytes = self.database.table_bytes()?.unwrap_or_default();
        }
        let today = Step::Day.begin(self.database.clock().now());
        if state.told.0 != today {
            state.told = (today, BTreeSet::new());
        }
        let seen = metering::spans();
        let new: Vec<Span> = seen.iter().filter(|span| !state.told.1.contains(span)).cloned().collect();
        self.database.write_blocking("costs", Actor::system(), move |work| {
            record(work, &used)?;
            if new.is_empty() { Ok(()) } else { record_spans(work, &new) }
        })?;
        state.before = meters;
        state.told.1 = seen.into_iter().collect();
        if is_due {
            state.counted_bytes = Some(now);
        }
        Ok(true)
    }

    fn queues(&self) -> Result<Vec<Queue>> {
        let reports = self
            .database
            .read_blocking("costs", |snapshot| Ok((snapshot.now(), jobs::reports(snapshot, &self.kinds)?)));
        let (now, reports) = reports?;
        let queue = |report: jobs::KindReport| Queue {
            ready: report.totals.ready.max(0) as u64,
            oldest_ms: report.oldest_ready_at.map_or(0, |at| now.as_ms().saturating_sub(at.as_ms()).max(0) as u64),
            kind: report.name,
        };
        Ok(reports.into_iter().map(queue).filter(|queue| queue.ready > 0).collect())
    }
}

impl Meters {
    fn read() -> Meters {
        let account = |account: &'static Account| (key(account.kind, &account.key), (account, account.read()));
        Meters {
            accounts: metering::accounts().into_iter().map(account).collect(),
            process_cpu: metering::process_cpu(),
            sql: metering::rooms().into_iter().map(|room| (room.name, room.sql())).collect(),
        }
    }

    /// What was used since `before`.
    fn since(&self, before: &Meters, queues: &[Queue], measured: Duration) -> UsedAll {
        let mut by = BTreeMap::new();
        for (key, (account, reading)) in &self.accounts {
            let used = used(
                account,
                &match before.accounts.get(key) {
                    Some((_, before)) => reading.since(before),
                    None => reading.since(&Reading::zero()),
                },
            );
            if !used.is_nothing() {
                by.insert(key.clone(), used);
            }
        }
        for queue in queues {
            let new = || Used::new(Kind::Job.as_str(), &queue.kind, metering::module_of(&queue.kind));
            let used = by.entry(key(Kind::Job, &queue.kind)).or_insert_with(new);
            used.ready = queue.ready;
            used.oldest_ms = used.oldest_ms.max(queue.oldest_ms);
        }
        let sql = |(room, time): (&&'static str, &Duration)| {
            let us = time.saturating_sub(before.sql.get(*room).copied().unwrap_or_default()).as_micros() as u64;
            (us > 0).then(|| ((*room).to_owned(), us))
        };
        UsedAll {
            measured_ms: measured.as_millis() as u64,
            cores: std::thread::available_parallelism().map_or(1, |cores| cores.get() as u32),
            process_us: self.process_cpu.saturating_sub(before.process_cpu).as_micros() as u64,
            sql_us: self.sql.iter().filter_map(sql).collect(),
            by,
            bytes: BTreeMap::new(),
        }
    }
}

fn used(account: &'static Account, since: &metering::Used) -> Used {
    let us = |ns: u64| ns / 1000;
    let sql = since.sql_cpu_ns.iter().map(|(room, ns)| ((*room).to_owned(), us(*ns)));
    Used {
        runs: since.runs,
        wall_us: us(since.wall_ns),
        cpu_us: us(since.cpu_ns),
        sql_cpu_us: sql.filter(|(_, us)| *us > 0).collect(),
        children_us: us(since.children_ns),
        elsewhere_us: us(since.elsewhere_ns),
        waited_us: us(since.waited_ns),
        oldest_ms: if since.runs > 0 { account.take_longest_wait_ns() / 1_000_000 } else { 0 },
        latencies: since.latencies.clone(),
        ..Used::new(account.kind.as_str(), account.name(), account.room.name)
    }
}

/// Whether anybody asked for anything, or what is done by itself has added up to something. That somebody just waits, as a
/// worker does for jobs, is nothing yet.
fn is_worth_a_row(used: &UsedAll) -> bool {
    used.by.values().any(|one| !one.is(Kind::Background) && !one.waits_on_purpose())
        || used.process_us >= WORTH_A_ROW.as_micros() as u64
}
