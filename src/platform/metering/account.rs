//! Accounts: what each route, job kind and background task has cost since the process started.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{OnceLock, RwLock};
use std::time::Duration;

use super::latency::{Latencies, LatencyCounts};
use super::room::{MAX_ROOMS, Room, room};

/// For whom something runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A request, by the handler that answers it.
    Route,
    /// A job, by its kind.
    Job,
    /// What nobody asked for just now: sweeps, backups, drills; by the name of its unit of work.
    Background,
}

impl Kind {
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Route => "route",
            Kind::Job => "job",
            Kind::Background => "background",
        }
    }

    pub fn parse(text: &str) -> Option<Kind> {
        [Kind::Route, Kind::Job, Kind::Background].into_iter().find(|kind| kind.as_str() == text)
    }
}

/// One route's, job kind's or background task's counts. Threads only ever add to them.
#[derive(Debug)]
pub struct Account {
    pub kind: Kind,
    /// What tells it from others of its kind: a route's handler, a job's kind, a unit of work.
    pub key: String,
    /// How people know it, once that is known: `GET /api/people/{}`.
    shown: OnceLock<String>,
    /// Who bears what is no SQL.
    pub room: &'static Room,
    runs: AtomicU64,
    wall_ns: AtomicU64,
    waited_ns: AtomicU64,
    longest_wait_ns: AtomicU64,
    children_ns: AtomicU64,
    elsewhere_ns: AtomicU64,
    latencies: LatencyCounts,
    /// Stretches too short to read the thread's clock at each: their wall time, and of some the CPU time too.
    light: Shares,
    probed_wall_ns: AtomicU64,
    probed_cpu_ns: AtomicU64,
    /// Stretches whose CPU time was read, in CPU time.
    heavy: Shares,
}

/// A time, and how much of it was in which room's SQL.
#[derive(Debug)]
struct Shares {
    all_ns: AtomicU64,
    sql_ns: [AtomicU64; MAX_ROOMS],
}

impl Shares {
    const fn new() -> Self {
        Shares { all_ns: AtomicU64::new(0), sql_ns: [const { AtomicU64::new(0) }; MAX_ROOMS] }
    }

    fn load(&self) -> (u64, [u64; MAX_ROOMS]) {
        (self.all_ns.load(Relaxed), std::array::from_fn(|n| self.sql_ns[n].load(Relaxed)))
    }
}

/// What an account showed at one moment.
#[derive(Debug, Clone)]
pub struct Reading {
    pub runs: u64,
    pub wall_ns: u64,
    pub waited_ns: u64,
    pub children_ns: u64,
    pub elsewhere_ns: u64,
    pub latencies: Latencies,
    light: (u64, [u64; MAX_ROOMS]),
    heavy: (u64, [u64; MAX_ROOMS]),
    probed_wall_ns: u64,
    probed_cpu_ns: u64,
}

/// What an account used between two readings.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Used {
    pub runs: u64,
    pub wall_ns: u64,
    pub waited_ns: u64,
    /// CPU time of child processes.
    pub children_ns: u64,
    /// CPU time on other machines.
    pub elsewhere_ns: u64,
    pub latencies: Latencies,
    /// The CPU time of threads, all of it.
    pub cpu_ns: u64,
    /// Of that, what was in each room's SQL.
    pub sql_cpu_ns: Vec<(&'static str, u64)>,
}

impl Account {
    fn new(kind: Kind, key: String, room: &'static Room) -> Self {
        Account {
            kind,
            key,
            shown: OnceLock::new(),
            room,
            runs: AtomicU64::new(0),
            wall_ns: AtomicU64::new(0),
            waited_ns: AtomicU64::new(0),
            longest_wait_ns: AtomicU64::new(0),
            children_ns: AtomicU64::new(0),
            elsewhere_ns: AtomicU64::new(0),
            latencies: LatencyCounts::new(),
            light: Shares::new(),
            probed_wall_ns: AtomicU64::new(0),
            probed_cpu_ns: AtomicU64::new(0),
            heavy: Shares::new(),
        }
    }

    /// How people know it.
    pub fn name(&'static self) -> &'static str {
        self.shown.get().unwrap_or(&self.key)
    }

    /// Says how people know it, where that can be told; the first to say so is heard.
    pub fn show_as(&self, name: impl FnOnce() -> Option<String>) {
        if self.shown.get().is_none()
            && let Some(name) = name()
        {
            self.shown.get_or_init(|| name);
        }
    }

    /// Counts one request or job, from its beginning to its end.
    pub fn ran(&self, wall: Duration) {
        self.runs.fetch_add(1, Relaxed);
        self.wall_ns.fetch_add(wall.as_nanos() as u64, Relaxed);
        self.latencies.add(wall);
    }

    /// Counts how long a job was due before it began.
    pub fn waited(&self, wait: Duration) {
        self.waited_ns.fetch_add(wait.as_nanos() as u64, Relaxed);
        self.longest_wait_ns.fetch_max(wait.as_nanos() as u64, Relaxed);
    }

    /// Counts CPU time of child processes.
    pub fn children(&self, cpu: Duration) {
        self.children_ns.fetch_add(cpu.as_nanos() as u64, Relaxed);
    }

    /// Counts one job that was done on another machine.
    pub fn ran_elsewhere(&self, cpu: Duration) {
        self.elsewhere_ns.fetch_add(cpu.as_nanos() as u64, Relaxed);
    }

    /// Counts a stretch on a thread; `cpu` where it was read.
    pub(super) fn light(&self, wall_ns: u64, cpu_ns: Option<u64>, sql: &[(&'static Room, u64)]) {
        self.light.all_ns.fetch_add(wall_ns, Relaxed);
        if let Some(cpu) = cpu_ns {
            self.probed_wall_ns.fetch_add(wall_ns, Relaxed);
            // A thread can't use more; the two clocks are read one behind the other.
            self.probed_cpu_ns.fetch_add(cpu.min(wall_ns), Relaxed);
        }
        for (room, ns) in sql {
            self.light.sql_ns[room.index].fetch_add(*ns, Relaxed);
        }
    }

    /// Counts a stretch on a thread whose CPU time was read. `home`, where it is given, bears what is no SQL.
    pub(super) fn heavy(&self, wall_ns: u64, cpu_ns: u64, home: Option<&'static Room>, sql: &[(&'static Room, u64)]) {
        self.heavy.all_ns.fetch_add(cpu_ns, Relaxed);
        let mut rest = cpu_ns;
        for (room, ns) in sql {
            let share = scaled(*ns, cpu_ns, wall_ns).min(rest);
            rest -= share;
            self.heavy.sql_ns[room.index].fetch_add(share, Relaxed);
        }
        if let Some(home) = home {
            self.heavy.sql_ns[home.index].fetch_add(rest, Relaxed);
        }
    }

    pub fn read(&self) -> Reading {
        Reading {
            runs: self.runs.load(Relaxed),
            wall_ns: self.wall_ns.load(Relaxed),
            waited_ns: self.waited_ns.load(Relaxed),
            children_ns: self.children_ns.load(Relaxed),
            elsewhere_ns: self.elsewhere_ns.load(Relaxed),
            latencies: self.latencies.load(),
            light: self.light.load(),
            heavy: self.heavy.load(),
            probed_wall_ns: self.probed_wall_ns.load(Relaxed),
            probed_cpu_ns: self.probed_cpu_ns.load(Relaxed),
        }
    }

    /// The longest wait since this was last asked.
    pub fn take_longest_wait_ns(&self) -> u64 {
        self.longest_wait_ns.swap(0, Relaxed)
    }
}

impl Reading {
    /// Before anything was counted.
    pub fn zero() -> Reading {
        Account::new(Kind::Background, String::new(), room(BACKGROUND)).read()
    }

    /// What was used since `before`.
    ///
    /// Light stretches have the CPU time that the probed ones among them had for their wall time: the ratio is
    /// sampled, the time it applies to is not.
    pub fn since(&self, before: &Reading) -> Used {
        let (wall, cpu) = match (self.probed_wall_ns - before.probed_wall_ns, self.probed_cpu_ns - before.probed_cpu_ns)
        {
            (0, _) if self.probed_wall_ns == 0 => (1, 1),
            (0, _) => (self.probed_wall_ns, self.probed_cpu_ns),
            lately => lately,
        };
        let light = |now: u64, then: u64| scaled(now - then, cpu, wall);
        let names = super::room::rooms();
        let mut sql_cpu_ns = Vec::new();
        for n in 0..MAX_ROOMS {
            let ns = light(self.light.1[n], before.light.1[n]) + self.heavy.1[n] - before.heavy.1[n];
            if ns > 0
                && let Some(room) = names.get(n)
            {
                sql_cpu_ns.push((room.name, ns));
            }
        }
        Used {
            runs: self.runs - before.runs,
            wall_ns: self.wall_ns - before.wall_ns,
            waited_ns: self.waited_ns - before.waited_ns,
            children_ns: self.children_ns - before.children_ns,
            elsewhere_ns: self.elsewhere_ns - before.elsewhere_ns,
            latencies: self.latencies.since(&before.latencies),
            cpu_ns: light(self.light.0, before.light.0) + self.heavy.0 - before.heavy.0,
            sql_cpu_ns,
        }
    }
}

/// `ns * cpu / wall`, which does not fit 64 bits on the way.
fn scaled(ns: u64, cpu: u64, wall: u64) -> u64 {
    (u128::from(ns) * u128::from(cpu) / u128::from(wall.max(1))) as u64
}

/// Who bears what runs for no request and no job.
pub const BACKGROUND: &str = "background";

type Known = BTreeMap<(Kind, String), &'static Account>;
static ACCOUNTS: RwLock<Known> = RwLock::new(BTreeMap::new());

/// The account of this kind and key; made once, kept as long as the process lives.
fn account(kind: Kind, key: &str, home: &'static str) -> &'static Account {
    let key = (kind, key.to_owned());
    if let Some(account) = ACCOUNTS.read().unwrap_or_else(|e| e.into_inner()).get(&key) {
        return account;
    }
    let mut accounts = ACCOUNTS.write().unwrap_or_else(|e| e.into_inner());
    accounts.entry(key.clone()).or_insert_with(|| Box::leak(Box::new(Account::new(kind, key.1, room(home)))))
}

/// The account of a job's kind.
pub fn job(kind: &'static str) -> &'static Account {
    account(Kind::Job, kind, module_of(kind))
}

/// Whose jobs of this kind are: `media` of `media.video`.
pub fn module_of(kind: &str) -> &str {
    kind.split_once('.').map_or(kind, |(module, _)| module)
}

/// The account of what runs for no request and no job: a unit of work, or a read, of this name.
pub fn background(name: &'static str) -> &'static Account {
    account(Kind::Background, name, BACKGROUND)
}

/// The account of all commits: each group of writes is a run of it, from its beginning until its answers are given.
pub fn commits() -> &'static Account {
    static COMMITS: OnceLock<&Account> = OnceLock::new();
    COMMITS.get_or_init(|| account(Kind::Background, COMMITS_NAME, "db"))
}

/// How [`commits`] is called.
pub const COMMITS_NAME: &str = "commits";

/// The account of a route, by the path of its handler's type: `ashlar::modules::media::api::list`.
pub fn route(handler: &'static str) -> &'static Account {
    // `ashlar::use_cases::people::show::{{closure}}`: the body of an async function is one to the compiler.
    let handler = handler.trim_end_matches("::{{closure}}");
    let handler = handler.split_once("::").map_or(handler, |(_, path)| path);
    let mut path = handler.split("::");
    let home = match (path.next(), path.next()) {
        (Some("modules" | "platform"), Some(name)) => name,
        (Some("use_cases"), Some("console")) => "console",
        (Some(place), _) => place,
        (None, _) => BACKGROUND,
    };
    account(Kind::Route, handler, home)
}

/// CPU time by room since the process started, child processes counted: an account's SQL is borne by whose it is, the rest by
/// the account's own.
pub fn cpu_by_room() -> BTreeMap<&'static str, Duration> {
    let mut by: BTreeMap<&str, u64> = BTreeMap::new();
    let zero = Reading::zero();
    for account in accounts() {
        let used = account.read().since(&zero);
        let sql: u64 = used.sql_cpu_ns.iter().map(|(_, ns)| ns).sum();
        *by.entry(account.room.name).or_default() += used.cpu_ns.saturating_sub(sql) + used.children_ns;
        for (room, ns) in used.sql_cpu_ns {
            *by.entry(room).or_default() += ns;
        }
    }
    by.into_iter().map(|(room, ns)| (room, Duration::from_nanos(ns))).collect()
}

/// All accounts that there are so far.
pub fn accounts() -> Vec<&'static Account> {
    ACCOUNTS.read().unwrap_or_else(|e| e.into_inner()).values().copied().collect()
}
