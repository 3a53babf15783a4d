//! What was used in a while, and how two such whiles are one. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::platform::clock::Time;
use crate::platform::metering::{self, Kind, Latencies};

/// For how long one row stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = CostStep)]
pub enum Step {
    Minute,
    Hour,
    Day,
}

impl Step {
    pub const ALL: [Step; 3] = [Step::Minute, Step::Hour, Step::Day];

    pub fn as_str(self) -> &'static str {
        match self {
            Step::Minute => "minute",
            Step::Hour => "hour",
            Step::Day => "day",
        }
    }

    pub fn ms(self) -> i64 {
        match self {
            Step::Minute => 60_000,
            Step::Hour => 60 * 60_000,
            Step::Day => 24 * 60 * 60_000,
        }
    }

    /// Rows that are kept: twelve hours of minutes, three weeks of hours, two years of days, where something was done in
    /// each.
    pub fn kept(self) -> u32 {
        match self {
            Step::Minute => 720,
            Step::Hour => 21 * 24,
            Step::Day => 731,
        }
    }

    /// When the minute, hour or day of `time` begins, in UTC.
    pub fn begin(self, time: Time) -> Time {
        Time::from_ms(time.as_ms() - time.as_ms() % self.ms())
    }

    /// The finest in which `ms` have no more parts than a plot can show, and of which as many are kept.
    pub fn of(ms: i64) -> Step {
        Step::ALL.into_iter().find(|step| ms / step.ms() <= 240).unwrap_or(Step::Day)
    }
}

/// A row of the history.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    pub at: Time,
    pub used: UsedAll,
}

/// All that was used in a while. Times are in microseconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct UsedAll {
    /// How long anybody looked, in milliseconds: where nothing is done, nobody does.
    pub measured_ms: u64,
    /// CPUs of the machine.
    pub cores: u32,
    /// CPU time of the server's process, that of its children not among it.
    pub process_us: u64,
    /// By `route use_cases::people::show`, `job media.video`, `background sweep`.
    pub by: BTreeMap<String, Used>,
    /// Wall time in SQLite by whose the statement is.
    pub sql_us: BTreeMap<String, u64>,
    /// Bytes of the file by table, as they were last counted; none where they were not.
    pub bytes: BTreeMap<String, u64>,
}

/// What one route, kind of job or background task used. Times are in microseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Used {
    /// `route`, `job` or `background`.
    pub kind: String,
    /// How people know it: `GET /api/people/{}`, `media.video`.
    pub name: String,
    /// Who bears what is no SQL.
    pub module: String,
    #[serde(skip_serializing_if = "is_zero")]
    pub runs: u64,
    /// From the beginning of each run to its end.
    #[serde(skip_serializing_if = "is_zero")]
    pub wall_us: u64,
    /// CPU time of threads, all of it.
    #[serde(skip_serializing_if = "is_zero")]
    pub cpu_us: u64,
    /// Of that, what somebody else than `module` bears: by whose the statement is.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub sql_cpu_us: BTreeMap<String, u64>,
    /// CPU time of child processes.
    #[serde(skip_serializing_if = "is_zero")]
    pub children_us: u64,
    /// CPU time on workers of other machines.
    #[serde(skip_serializing_if = "is_zero")]
    pub elsewhere_us: u64,
    /// How long jobs were due before they began, all together.
    #[serde(skip_serializing_if = "is_zero")]
    pub waited_us: u64,
    /// The longest that a job was due: one that began, or one that still is.
    #[serde(skip_serializing_if = "is_zero")]
    pub oldest_ms: u64,
    /// Jobs that were due and had not begun, at the end of the while; the most of several.
    #[serde(skip_serializing_if = "is_zero")]
    pub ready: u64,
    #[serde(with = "latencies", skip_serializing_if = "Latencies::is_empty")]
    pub latencies: Latencies,
}

/// See [`Used::waits_on_purpose`].
pub fn waits_on_purpose(latencies: &Latencies) -> bool {
    latencies.quantile_ms(0.5).is_some_and(|median| median >= 1000.0)
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

mod latencies {
    use super::Latencies;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(all: &Latencies, to: S) -> Result<S::Ok, S::Error> {
        all.filled().serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Latencies, D::Error> {
        Vec::deserialize(from).map(Latencies::of_filled)
    }
}

impl Default for Used {
    fn default() -> Self {
        Used::new("", "", "")
    }
}

impl Used {
    pub fn new(kind: &str, name: &str, module: &str) -> Used {
        Used {
            kind: kind.into(),
            name: name.into(),
            module: module.into(),
            runs: 0,
            wall_us: 0,
            cpu_us: 0,
            sql_cpu_us: BTreeMap::new(),
            children_us: 0,
            elsewhere_us: 0,
            waited_us: 0,
            oldest_ms: 0,
            ready: 0,
            latencies: Latencies::default(),
        }
    }

    /// CPU time on this machine.
    pub fn cpu_here_us(&self) -> u64 {
        self.cpu_us + self.children_us
    }

    pub fn is(&self, kind: Kind) -> bool {
        self.kind == kind.as_str()
    }

    /// A route of which half take a second and more waits for something to happen, as workers do for jobs.
    pub fn waits_on_purpose(&self) -> bool {
        self.is(Kind::Route) && waits_on_purpose(&self.latencies)
    }

    pub(super) fn is_nothing(&self) -> bool {
        self.runs == 0 && self.cpu_here_us() == 0 && self.elsewhere_us == 0 && self.oldest_ms == 0 && self.ready == 0
    }

    fn add(&mut self, later: &Used) {
        // A route is known by its address once that can be told.
        self.name.clone_from(&later.name);
        self.module.clone_from(&later.module);
        self.runs += later.runs;
        self.wall_us += later.wall_us;
        self.cpu_us += later.cpu_us;
        self.children_us += later.children_us;
        self.elsewhere_us += later.elsewhere_us;
        self.waited_us += later.waited_us;
        self.oldest_ms = self.oldest_ms.max(later.oldest_ms);
        self.ready = self.ready.max(later.ready);
        self.latencies.add(&later.latencies);
        add_all(&mut self.sql_cpu_us, &later.sql_cpu_us);
    }
}

impl UsedAll {
    /// Adds what was used in another while, a later one.
    pub fn add(&mut self, later: &UsedAll) {
        self.measured_ms += later.measured_ms;
        self.cores = later.cores;
        self.process_us += later.process_us;
        for (key, used) in &later.by {
            let new = || Used::new(&used.kind, &used.name, &used.module);
            self.by.entry(key.clone()).or_insert_with(new).add(used);
        }
        add_all(&mut self.sql_us, &later.sql_us);
        if !later.bytes.is_empty() {
            self.bytes.clone_from(&later.bytes);
        }
    }

    /// All of several whiles as one, in order of time.
    pub fn sum<'a>(all: impl IntoIterator<Item = &'a UsedAll>) -> UsedAll {
        all.into_iter().fold(UsedAll::default(), |mut sum, one| {
            sum.add(one);
            sum
        })
    }

    /// CPU time on this machine: the process and its children.
    pub fn cpu_us(&self) -> u64 {
        // What is measured around stretches may be a little more than what the process is known to have used.
        let threads: u64 = self.by.values().map(|used| used.cpu_us).sum();
        let children: u64 = self.by.values().map(|used| used.children_us).sum();
        self.process_us.max(threads) + children
    }

    /// CPU time of this machine that could have been used.
    pub fn machine_us(&self) -> u64 {
        self.measured_ms * 1000 * u64::from(self.cores)
    }

    /// CPU time on this machine by who bears it; [`REST`] is what nobody in particular does.
    pub fn cpu_by_module(&self) -> BTreeMap<String, u64> {
        let mut by: BTreeMap<String, u64> = BTreeMap::new();
        for used in self.by.values() {
            let others: u64 = used.sql_cpu_us.values().sum();
            *by.entry(used.module.clone()).or_default() += used.cpu_us.saturating_sub(others) + used.children_us;
            add_all(&mut by, &used.sql_cpu_us);
        }
        let rest = self.cpu_us().saturating_sub(by.values().sum());
        *by.entry(REST.into()).or_default() += rest;
        by.retain(|_, us| *us > 0);
        by
    }

    /// How long the writer was at work on a group, in microseconds.
    pub fn writing_us(&self) -> u64 {
        self.commits().map_or(0, |used| used.wall_us)
    }

    /// Each group of writes is one run.
    pub fn commits(&self) -> Option<&Used> {
        self.by.get(&key(Kind::Background, metering::COMMITS_NAME))
    }
}

/// Who bears what is spent on connections, the runtime and whatever else is done for nobody in particular.
pub const REST: &str = "connections, runtime";

/// Under which [`UsedAll::by`] holds what an account used.
pub(super) fn key(kind: Kind, key: &str) -> String {
    format!("{} {key}", kind.as_str())
}

fn add_all(sums: &mut BTreeMap<String, u64>, more: &BTreeMap<String, u64>) {
    for (name, number) in more {
        *sums.entry(name.clone()).or_default() += number;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn used(runs: u64, cpu_us: u64) -> Used {
        let latencies = (0..runs).map(|_| Duration::from_millis(3)).collect();
        Used { runs, cpu_us, latencies, ..Used::new("route", "GET /a", "users") }
    }

    fn all(cpu_us: u64) -> UsedAll {
        UsedAll {
            measured_ms: 60_000,
            cores: 2,
            process_us: cpu_us * 2,
            by: [("route a".to_owned(), used(10, cpu_us))].into(),
            ..UsedAll::default()
        }
    }

    #[test]
    fn two_whiles_are_one_with_all_of_both() {
        let mut sum = all(1000);
        sum.add(&UsedAll { bytes: [("a".to_owned(), 4096)].into(), ..all(500) });
        sum.add(&all(0));

        assert_eq!((sum.measured_ms, sum.process_us), (180_000, 3000));
        assert_eq!(sum.by["route a"].runs, 30);
        assert_eq!(sum.by["route a"].latencies.count(), 30);
        assert_eq!(sum.bytes["a"], 4096);
    }

    #[test]
    fn what_is_written_is_what_is_read() {
        let mut written = all(1000);
        written.by.get_mut("route a").unwrap().sql_cpu_us.insert("auth".into(), 7);

        let text = serde_json::to_string(&written).unwrap();

        assert_eq!(serde_json::from_str::<UsedAll>(&text).unwrap(), written);
        assert!(!text.contains("elsewhere"), "{text}");
    }

    #[test]
    fn all_cpu_time_is_borne_by_somebody() {
        let mut one = all(1000);
        let it = one.by.get_mut("route a").unwrap();
        it.sql_cpu_us.insert("auth".into(), 300);
        it.children_us = 5000;

        let by = one.cpu_by_module();

        assert_eq!(by["users"], 5700);
        assert_eq!(by["auth"], 300);
        assert_eq!(by[REST], 1000);
        assert_eq!(by.values().sum::<u64>(), one.cpu_us());
    }

    #[test]
    fn a_span_of_time_is_shown_in_steps_of_which_enough_are_kept() {
        const HOUR: i64 = 60 * 60_000;
        for (ms, step) in [(HOUR, Step::Minute), (24 * HOUR, Step::Hour), (30 * 24 * HOUR, Step::Day)] {
            assert_eq!(Step::of(ms), step);
            assert!(ms / step.ms() <= i64::from(step.kept()));
        }
        assert_eq!(Step::Hour.begin(Time::from_ms(7_300_000)).as_ms(), 7_200_000);
    }
}
