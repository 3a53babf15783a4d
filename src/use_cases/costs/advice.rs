//! What the figures prove, in plain words, and what to do about it. Pure.
//!
//! Nothing is said that the history does not show; where little was measured, little is said.

use std::collections::BTreeMap;

use serde::Serialize;

use super::share;
use super::words::{bytes, percent, span};
use crate::platform::costs::{Point, Step, Used, UsedAll, waits_on_purpose};
use crate::platform::metering::{Kind, Latencies};

/// How much it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Somebody waits for it.
    Hurts,
    /// Nobody does yet.
    Watch,
    Fine,
}

/// One thing that the figures prove.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Advice {
    pub level: Level,
    /// The figure and its consequence.
    #[schema(example = "media.video takes 71 % of CPU and delays other requests by 40 ms at p99")]
    pub what: String,
    /// How that was found.
    pub how: String,
    /// What to do, in this order; commands stand between backticks.
    pub steps: Vec<String>,
}

/// What there is to judge by.
pub struct Facts<'a> {
    /// What is asked about.
    pub points: &'a [Point],
    /// The same in minutes, as far as they are kept.
    pub minutes: &'a [Point],
    /// The kinds of jobs that can be done on a worker.
    pub portable: &'a [&'a str],
    /// Whose a table is.
    pub owner_of: &'a dyn Fn(&str) -> Option<&'static str>,
    /// What is left on the disk.
    pub free_bytes: Option<u64>,
    /// How browsers reach this server.
    pub origin: &'a str,
}

/// A kind of job ran in a while that spent so much of it in its CPU time…
const RAN: f64 = 0.05;
/// …and did not in one that spent less than so much.
const DID_NOT_RUN: f64 = 0.005;
/// Requests of a route on either side, before it is compared, and of all routes together: with fewer, the slowest hundredth
/// is one or two.
const REQUESTS_OF_A_ROUTE: u64 = 10;
const REQUESTS: u64 = 300;
/// What keeps others waiting less than this is not told from chance, in milliseconds and as a ratio; the latter is the width
/// of a bucket of latencies.
const DELAY_MS: f64 = 5.0;
const DELAY_RATIO: f64 = 1.25;
/// Shares of CPU time, of the machine's and of time, from which on something is said.
const LARGE_SHARE: f64 = 0.25;
const MOST: f64 = 0.5;
const FULL: f64 = 0.85;
const WRITER_FULL: f64 = 0.7;
/// Whiles in which something was so, before it is said.
const SEVERAL: usize = 3;
/// A queue is late where its oldest has waited longer, in milliseconds.
const LATE_MS: u64 = 60_000;
/// Growth of which is spoken.
const GROWTH_BYTES: u64 = 64 << 20;
/// Days until the disk is full, before that is urgent.
const SOON_DAYS: f64 = 30.0;

/// The worst first; where nothing is to be done, that is said.
pub fn advise(facts: &Facts<'_>) -> Vec<Advice> {
    let all = UsedAll::sum(facts.points.iter().map(|point| &point.used));
    if all.measured_ms == 0 {
        let what = "Nothing was done in this time, or nothing was written down yet.".to_owned();
        let how = "Each minute in which something is done is written down once it is over.".to_owned();
        return vec![Advice { level: Level::Fine, what, how, steps: Vec::new() }];
    }
    let mut advice = Vec::new();
    advice.extend(jobs_in_the_way(facts, &all));
    advice.extend(queues(facts));
    advice.extend(writer(facts));
    advice.extend(machine(facts));
    advice.extend(sql(&all));
    advice.extend(growth(facts));
    advice.sort_by_key(|one| one.level);
    if advice.iter().all(|one| one.level == Level::Fine) {
        advice.insert(0, nothing_hurts(&all));
    }
    advice
}

fn nothing_hurts(all: &UsedAll) -> Advice {
    let share = percent(all.cpu_us(), all.machine_us());
    let requests = requests(all);
    let answered = match requests.quantile_ms(0.99) {
        Some(p99) => format!(" 99 % of {} requests were answered within {}.", requests.count(), span(p99)),
        None => String::new(),
    };
    let what = format!("Nothing hurts: {share} of the machine’s CPU was used while anything was done.{answered}");
    let how = format!("Measured over {}.", span(all.measured_ms as f64));
    Advice { level: Level::Fine, what, how, steps: vec!["Leave it as it is: one program on one machine.".into()] }
}

/// The requests' times; of routes that wait on purpose, none.
pub(super) fn requests(all: &UsedAll) -> Latencies {
    let mut sum = Latencies::default();
    for used in all.by.values().filter(|used| used.is(Kind::Route) && !used.waits_on_purpose()) {
        sum.add(&used.latencies);
    }
    sum
}

/// Kinds of jobs that take much CPU, and what that does to others.
fn jobs_in_the_way(facts: &Facts<'_>, all: &UsedAll) -> Vec<Advice> {
    let jobs = all.by.iter().filter(|(_, used)| used.is(Kind::Job));
    let large = jobs.filter(|(_, used)| share(used.cpu_here_us(), all.cpu_us()) >= LARGE_SHARE);
    large.filter_map(|(key, used)| job_in_the_way(facts, all, key, used)).collect()
}

fn job_in_the_way(facts: &Facts<'_>, all: &UsedAll, key: &str, used: &Used) -> Option<Advice> {
    let (name, of_cpu) = (&used.name, percent(used.cpu_here_us(), all.cpu_us()));
    let Some(delay) = delay(facts.minutes, key) else {
        return (share(used.cpu_here_us(), all.cpu_us()) >= MOST).then(|| Advice {
            level: Level::Fine,
            what: format!("{name} takes {of_cpu} of the CPU that is used, and nobody is seen to wait for it."),
            how:
                "Requests took no longer in the minutes in which it ran than in others, or there were too few to tell."
                    .into(),
            steps: Vec::new(),
        });
    };
    let steps = match facts.portable.contains(&name.as_str()) {
        true => vec![
            format!(
                "Run it on a worker, another machine: an owner makes its token under Jobs → Workers, and there \
                     `ASHLAR_WORKER_TOKEN=… ashlar worker --server {} --kinds {name}`.",
                facts.origin
            ),
            format!("Then let {name} run on workers alone, under Jobs. That holds at once and loses no job."),
            "It can leave at no other cost: no transaction spans its work, and it calls no other module.".into(),
        ],
        false => vec![format!(
            "It can’t leave: its work needs the database. Pause {name} under Jobs while people work, or give the \
                     server another CPU."
        )],
    };
    let Delay { with_ms, without_ms, requests, with, without } = delay;
    Some(Advice {
        level: Level::Hurts,
        what: format!(
            "{name} takes {of_cpu} of CPU and delays other requests by {} at p99{}",
            span(with_ms - without_ms),
            if steps.len() > 1 { ": run it on a worker." } else { "." },
        ),
        how: format!(
            "In {with} minutes in which it ran, 99 % of {requests} requests were answered within {}; in {without} others, \
             with the same mix of requests, within {}.",
            span(with_ms),
            span(without_ms),
        ),
        steps,
    })
}

/// How much longer requests took while a kind of job ran.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Delay {
    with_ms: f64,
    without_ms: f64,
    requests: u64,
    /// In how many minutes each.
    with: usize,
    without: usize,
}

/// None where it is not proven.
///
/// Each route is compared with itself, and both sides are put together as they were asked for while the job ran: else an
/// upload, which takes long and begins a job, would be taken for its victim.
fn delay(minutes: &[Point], key: &str) -> Option<Delay> {
    let load = |point: &&Point| {
        let used = point.used.by.get(key).map_or(0, Used::cpu_here_us);
        share(used, point.used.measured_ms * 1000)
    };
    let with: Vec<&Point> = minutes.iter().filter(|point| load(point) >= RAN).collect();
    let without: Vec<&Point> = minutes.iter().filter(|point| load(point) < DID_NOT_RUN).collect();
    let (during, apart) = (routes(&with), routes(&without));
    let (mut slow, mut usual) = (Latencies::default(), Latencies::default());
    let (mut requests, mut others) = (0, 0);
    for (route, during) in &during {
        let Some(apart) = apart.get(route) else { continue };
        let is_little = during.count() < REQUESTS_OF_A_ROUTE || apart.count() < REQUESTS_OF_A_ROUTE;
        if is_little || waits_on_purpose(apart) {
            continue;
        }
        // Whole requests a thousandfold, so that little is lost where a few stand for many.
        slow.add(&during.times(1000.0));
        usual.add(&apart.times(1000.0 * during.count() as f64 / apart.count() as f64));
        requests += during.count();
        others += apart.count();
    }
    let (with_ms, without_ms) = (slow.quantile_ms(0.99)?, usual.quantile_ms(0.99)?);
    let is_enough = requests.min(others) >= REQUESTS;
    let is_proven = is_enough && with_ms - without_ms >= DELAY_MS && with_ms >= without_ms * DELAY_RATIO;
    is_proven.then_some(Delay { with_ms, without_ms, requests, with: with.len(), without: without.len() })
}

fn routes<'a>(points: &[&'a Point]) -> BTreeMap<&'a str, Latencies> {
    let mut all: BTreeMap<&str, Latencies> = BTreeMap::new();
    for (key, used) in points.iter().flat_map(|point| &point.used.by).filter(|(_, used)| used.is(Kind::Route)) {
        all.entry(key).or_default().add(&used.latencies);
    }
    all
}

/// Queues whose oldest job waits ever longer.
fn queues(facts: &Facts<'_>) -> Vec<Advice> {
    let last = &facts.minutes[facts.minutes.len().saturating_sub(SEVERAL)..];
    // Minutes that lie apart say nothing of what was between them.
    let is_recent = last.len() == SEVERAL
        && last.windows(2).all(|pair| pair[1].at.as_ms() - pair[0].at.as_ms() <= 2 * Step::Minute.ms());
    let Some(newest) = last.last().filter(|_| is_recent) else { return Vec::new() };
    let waits = |key: &str| last.iter().map(|point| point.used.by.get(key).filter(|used| used.ready > 0)).collect();
    let mut advice = Vec::new();
    for (key, used) in newest.used.by.iter().filter(|(_, used)| used.is(Kind::Job)) {
        let Some(seen): Option<Vec<&Used>> = waits(key) else { continue };
        let grows = seen.windows(2).all(|pair| pair[1].oldest_ms > pair[0].oldest_ms);
        if !grows || used.oldest_ms < LATE_MS {
            continue;
        }
        let name = &used.name;
        let jobs = if used.ready == 1 { "1 job".to_owned() } else { format!("{} jobs", used.ready) };
        let mut steps = vec![format!(
            "Look under Jobs, or at `/jobs?kind={name}`, whether {name} is paused, fails, or waits for a worker."
        )];
        if facts.portable.contains(&name.as_str()) {
            steps.push(format!(
                "If it is just too much, add a worker: `ASHLAR_WORKER_TOKEN=… ashlar worker --server {} --kinds {name}`.",
                facts.origin
            ));
        }
        let total: u64 = seen.iter().map(|used| used.runs).sum();
        advice.push(Advice {
            level: Level::Hurts,
            what: format!(
                "{name} is late: {jobs} wait, the oldest for {}, and it gets longer.",
                span(used.oldest_ms as f64)
            ),
            how: format!("In the last {SEVERAL} minutes {total} were done, and the wait grew with each."),
            steps,
        });
    }
    advice
}

/// The writer, through which every change goes.
fn writer(facts: &Facts<'_>) -> Option<Advice> {
    let load = |point: &&Point| share(point.used.writing_us(), point.used.measured_ms * 1000);
    let full: Vec<&Point> = facts.minutes.iter().filter(|point| load(point) >= WRITER_FULL).collect();
    if full.len() < SEVERAL {
        return None;
    }
    let all = UsedAll::sum(full.iter().map(|point| &point.used));
    let commits = all.commits()?;
    let mut steps = Vec::new();
    if share(commits.cpu_us, commits.wall_us) < LARGE_SHARE / 2.0 {
        steps.push(
            "Compare `ashlar_commit_seconds` in /metrics: where commits take most of that time, a faster disk is what helps."
                .to_owned(),
        );
    }
    let statements = all.sql_us.iter().max_by_key(|(_, us)| **us).map(|(owner, _)| owner);
    if let Some(owner) = statements {
        steps.push(format!("Most time in SQLite then was spent by {owner}: write less often there, or less at once."));
    }
    Some(Advice {
        level: Level::Hurts,
        what: format!(
            "The writer is at its limit: it was at work for {} of the time, and a group of writes took {} at p99.",
            percent(commits.wall_us, all.measured_ms * 1000),
            span(commits.latencies.quantile_ms(0.99).unwrap_or(0.0)),
        ),
        how: format!(
            "In {} minutes it was at work for 70 % of the time or more; whoever saves something waits for it.",
            full.len()
        ),
        steps,
    })
}

/// The machine itself, where this program fills it.
fn machine(facts: &Facts<'_>) -> Option<Advice> {
    let full: Vec<&Point> =
        facts.minutes.iter().filter(|point| share(point.used.cpu_us(), point.used.machine_us()) >= FULL).collect();
    if full.len() < SEVERAL {
        return None;
    }
    let all = UsedAll::sum(full.iter().map(|point| &point.used));
    let most = all.by.values().max_by_key(|used| used.cpu_here_us())?;
    let what = format!(
        "The machine is full: {} of its CPU was used, most of it ({}) by {}.",
        percent(all.cpu_us(), all.machine_us()),
        percent(most.cpu_here_us(), all.cpu_us()),
        most.name,
    );
    let steps = match facts.portable.contains(&most.name.as_str()) {
        true => vec![format!(
            "Run it on a worker: `ASHLAR_WORKER_TOKEN=… ashlar worker --server {} --kinds {}`.",
            facts.origin, most.name
        )],
        false => vec![
            "See what that does, and whether it must: `ashlar modules --costs --since '1 hour'`.".to_owned(),
            "Else give the server more CPUs; what leaving would cost the modules stands below.".to_owned(),
        ],
    };
    let how = format!("So it was in {} minutes; that of other programs is not counted.", full.len());
    Some(Advice { level: Level::Watch, what, how, steps })
}

/// A module whose SQL is most of what this program does.
fn sql(all: &UsedAll) -> Option<Advice> {
    if share(all.cpu_us(), all.machine_us()) < LARGE_SHARE {
        return None;
    }
    let mut by_owner: BTreeMap<&str, u64> = BTreeMap::new();
    for (owner, us) in all.by.values().flat_map(|used| &used.sql_cpu_us) {
        *by_owner.entry(owner).or_default() += us;
    }
    let (owner, us) = by_owner.into_iter().max_by_key(|(_, us)| *us)?;
    if share(us, all.cpu_us()) < MOST {
        return None;
    }
    let of = |used: &&Used| used.sql_cpu_us.get(owner).copied().unwrap_or(0);
    let most = all.by.values().max_by_key(of)?;
    Some(Advice {
        level: Level::Watch,
        what: format!(
            "The work of {owner} in SQLite takes {} of the CPU that is used, most of that ({}) for {}.",
            percent(us, all.cpu_us()),
            percent(of(&most), us),
            most.name,
        ),
        how: format!(
            "{} of the machine’s CPU was used while anything was done.",
            percent(all.cpu_us(), all.machine_us())
        ),
        steps: vec![format!(
            "Look for an index that is missing: hold the statements of {owner} (its `sqlite.rs`) against `EXPLAIN QUERY PLAN`."
        )],
    })
}

/// The file, where it grows by one module.
fn growth(facts: &Facts<'_>) -> Option<Advice> {
    let counted: Vec<&Point> = facts.points.iter().filter(|point| !point.used.bytes.is_empty()).collect();
    let (first, last) = (counted.first()?, counted.last()?);
    let days = (last.at.as_ms() - first.at.as_ms()) as f64 / Step::Day.ms() as f64;
    let (before, after) = (by_owner(facts, first), by_owner(facts, last));
    let total = after.values().sum::<u64>().saturating_sub(before.values().sum());
    if total < GROWTH_BYTES {
        return None;
    }
    let grown = |owner: &str, now: u64| now.saturating_sub(before.get(owner).copied().unwrap_or(0));
    let (owner, by) = after.iter().map(|(owner, now)| (*owner, grown(owner, *now))).max_by_key(|(_, by)| *by)?;
    if share(by, total) < MOST {
        return None;
    }
    let left = facts.free_bytes.map(|free| (free, free as f64 / (total as f64 / days)));
    let is_soon = left.is_some_and(|(_, days)| days < SOON_DAYS);
    let until = match left {
        Some((free, days)) if is_soon => {
            format!(" {} are left on the disk: at this rate it is full in {days:.0} days.", bytes(free))
        }
        _ => String::new(),
    };
    Some(Advice {
        level: if is_soon { Level::Hurts } else { Level::Watch },
        what: format!(
            "The database grew by {} in {}, most of it ({}) by {owner}.{until}",
            bytes(total),
            span(days * Step::Day.ms() as f64),
            percent(by, total),
        ),
        how: format!("The tables of {owner} take {} now.", bytes(after.get(owner).copied().unwrap_or(0))),
        steps: vec![
            "Backups grow with it: see that the disk of both has room (`df -h`), or keep fewer (`backup_keep_daily`)."
                .into(),
        ],
    })
}

/// Bytes of the file by whose the tables are.
fn by_owner(facts: &Facts<'_>, point: &Point) -> BTreeMap<&'static str, u64> {
    let mut by: BTreeMap<&str, u64> = BTreeMap::new();
    for (table, bytes) in &point.used.bytes {
        if let Some(owner) = (facts.owner_of)(table) {
            *by.entry(owner).or_default() += bytes;
        }
    }
    by
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::platform::clock::Time;

    const MINUTE_US: u64 = 60_000_000;
    const VIDEO: &str = "job media.video";

    /// The `n`th minute, of a machine with two CPUs.
    fn minute(n: i64) -> Point {
        let used = UsedAll { measured_ms: 60_000, cores: 2, ..UsedAll::default() };
        Point { at: Time::from_ms(1_800_000_000_000 + n * 60_000), used }
    }

    impl Point {
        fn with(mut self, key: &str, used: Used) -> Point {
            self.used.process_us += used.cpu_us;
            self.used.by.insert(key.into(), used);
            self
        }
    }

    fn took(ms: &[(u64, usize)]) -> Latencies {
        ms.iter().flat_map(|(ms, times)| vec![Duration::from_millis(*ms); *times]).collect()
    }

    fn route(name: &str, latencies: Latencies, cpu_us: u64) -> Used {
        Used { runs: latencies.count(), latencies, cpu_us, ..Used::new("route", name, "users") }
    }

    fn video(children_us: u64) -> Used {
        Used { runs: 1, children_us, ..Used::new("job", "media.video", "media") }
    }

    fn judge(points: &[Point]) -> Vec<Advice> {
        judge_with(points, None)
    }

    fn judge_with(points: &[Point], free_bytes: Option<u64>) -> Vec<Advice> {
        advise(&Facts {
            points,
            minutes: points,
            portable: &["media.video"],
            owner_of: &|table| Some(if table.starts_with("media") { "media" } else { "users" }),
            free_bytes,
            origin: "https://ashlar.example.org",
        })
    }

    #[test]
    fn where_nothing_was_measured_nothing_is_claimed() {
        let advice = judge(&[]);

        assert_eq!(advice.len(), 1);
        assert_eq!(advice[0].level, Level::Fine);
        assert!(advice[0].what.starts_with("Nothing was done"), "{advice:?}");
    }

    #[test]
    fn a_quiet_machine_is_left_as_it_is() {
        let points: Vec<Point> =
            (0..20).map(|n| minute(n).with("route a", route("GET /a", took(&[(3, 50)]), 200_000))).collect();

        let advice = judge(&points);

        assert_eq!(advice.len(), 1, "{advice:?}");
        assert!(advice[0].what.starts_with("Nothing hurts: under 1 % of the machine’s CPU"), "{advice:?}");
        assert!(advice[0].what.contains("99 % of 1000 requests"), "{advice:?}");
    }

    #[test]
    fn a_kind_of_job_that_keeps_others_waiting_is_to_run_on_a_worker() {
        let points: Vec<Point> = (0..40)
            .map(|n| match n % 2 {
                0 => minute(n).with("route a", route("GET /a", took(&[(4, 60)]), 1_000_000)),
                _ => minute(n)
                    .with("route a", route("GET /a", took(&[(4, 30), (44, 30)]), 1_000_000))
                    .with(VIDEO, video(MINUTE_US)),
            })
            .collect();

        let advice = judge(&points);

        assert_eq!(advice[0].level, Level::Hurts);
        let what = &advice[0].what;
        assert!(what.starts_with("media.video takes 97 % of CPU and delays other requests by "), "{what}");
        assert!(what.ends_with(" ms at p99: run it on a worker."), "{what}");
        let delay: f64 = what.split("by ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
        assert!((delay - 40.0).abs() < 10.0, "{what}");
        assert!(advice[0].steps[0].contains("ashlar worker --server https://ashlar.example.org --kinds media.video"));
    }

    #[test]
    fn a_kind_of_job_that_takes_most_cpu_and_delays_nobody_is_left_alone() {
        let points: Vec<Point> = (0..40)
            .map(|n| {
                minute(n)
                    .with("route a", route("GET /a", took(&[(4, 60)]), 1_000_000))
                    .with(VIDEO, video(MINUTE_US * (n % 2) as u64))
            })
            .collect();

        let advice = judge(&points);

        assert!(advice.iter().all(|one| one.level == Level::Fine), "{advice:?}");
        assert!(advice[0].what.starts_with("Nothing hurts"), "{advice:?}");
        assert!(advice[1].what.contains("97 % of the CPU"), "{advice:?}");
    }

    #[test]
    fn slow_requests_that_come_with_a_job_are_not_taken_for_its_victims() {
        // Each video is uploaded in the minute in which it is worked on, and uploads take long whenever they come.
        let points: Vec<Point> = (0..40)
            .map(|n| {
                let quick = minute(n).with("route a", route("GET /a", took(&[(4, 60)]), 1_000_000));
                match n % 2 {
                    0 => quick.with("route up", route("POST /up", took(&[(400, 1)]), 0)),
                    _ => quick.with("route up", route("POST /up", took(&[(400, 30)]), 0)).with(VIDEO, video(MINUTE_US)),
                }
            })
            .collect();

        assert!(judge(&points).iter().all(|one| one.level == Level::Fine), "{:?}", judge(&points));
    }

    #[test]
    fn too_few_requests_prove_nothing() {
        let points = [
            minute(0).with("route a", route("GET /a", took(&[(4, 50)]), 1000)),
            minute(1).with("route a", route("GET /a", took(&[(400, 50)]), 1000)).with(VIDEO, video(MINUTE_US)),
        ];

        assert!(judge(&points).iter().all(|one| one.level == Level::Fine));
    }

    #[test]
    fn requests_that_wait_on_purpose_are_no_delay() {
        let points: Vec<Point> = (0..40)
            .map(|n| {
                let point = minute(n).with("route wait", route("POST /wait", took(&[(20_000, 60)]), 1000));
                if n % 2 == 0 { point } else { point.with(VIDEO, video(MINUTE_US)) }
            })
            .collect();

        assert!(judge(&points).iter().all(|one| one.level == Level::Fine));
    }

    #[test]
    fn a_queue_that_gets_longer_is_told_and_one_that_is_worked_off_is_not() {
        let late = |oldest_ms| Used { ready: 12, oldest_ms, runs: 2, ..Used::new("job", "mail.deliver", "mail") };
        let of = |waits: [u64; 4]| -> Vec<Point> {
            (0..4).map(|n| minute(n).with("job mail.deliver", late(waits[n as usize]))).collect()
        };

        let grows = judge(&of([10_000, 50_000, 110_000, 170_000]));
        assert_eq!(grows[0].level, Level::Hurts);
        assert!(grows[0].what.starts_with("mail.deliver is late: 12 jobs wait, the oldest for 2.8 min"), "{grows:?}");
        assert!(!grows[0].steps.iter().any(|step| step.contains("worker --server")), "{grows:?}");
        for fine in [[170_000, 110_000, 90_000, 70_000], [1000, 2000, 3000, 4000], [100_000, 0, 100_000, 100_000]] {
            assert!(judge(&of(fine)).iter().all(|one| one.level == Level::Fine), "{fine:?}");
        }
    }

    #[test]
    fn a_writer_at_its_limit_is_told_with_what_it_waits_for() {
        let commits = |share: f64| Used {
            runs: 1000,
            wall_us: (MINUTE_US as f64 * share) as u64,
            cpu_us: MINUTE_US / 50,
            latencies: took(&[(40, 1000)]),
            ..Used::new("background", "commits", "db")
        };
        let of =
            |share| -> Vec<Point> { (0..5).map(|n| minute(n).with("background commits", commits(share))).collect() };

        let full = judge(&of(0.9));
        assert_eq!(full[0].level, Level::Hurts);
        assert!(
            full[0].what.starts_with("The writer is at its limit: it was at work for 90 % of the time"),
            "{full:?}"
        );
        assert!(full[0].steps[0].contains("faster disk"), "{full:?}");
        assert!(judge(&of(0.3)).iter().all(|one| one.level == Level::Fine));
    }

    #[test]
    fn sql_that_takes_most_of_a_busy_machine_is_told_with_whom_it_is_for() {
        let of = |cpu_us: u64| -> Vec<Point> {
            let used = |cpu_us| Used {
                sql_cpu_us: [("profiles".to_owned(), cpu_us * 9 / 10)].into(),
                ..route("GET /people", took(&[(20, 50)]), cpu_us)
            };
            (0..5).map(|n| minute(n).with("route people", used(cpu_us))).collect()
        };

        let advice = judge(&of(MINUTE_US));
        assert_eq!(advice[0].level, Level::Watch);
        assert!(advice[0].what.starts_with("The work of profiles in SQLite takes 90 % of the CPU"), "{advice:?}");
        assert!(advice[0].what.ends_with("(100 %) for GET /people."), "{advice:?}");
        assert!(judge(&of(MINUTE_US / 100)).iter().all(|one| one.level == Level::Fine));
    }

    #[test]
    fn a_full_machine_is_told_with_what_fills_it() {
        let points: Vec<Point> =
            (0..5).map(|n| minute(n).with("route a", route("GET /a", took(&[(9, 50)]), MINUTE_US * 19 / 10))).collect();

        let advice = judge(&points);

        assert!(advice[0].what.starts_with("The machine is full: 95 % of its CPU was used"), "{advice:?}");
        assert!(advice[0].what.contains("GET /a"), "{advice:?}");
    }

    #[test]
    fn a_file_that_grows_by_one_module_is_told_and_urgent_where_the_disk_is_soon_full() {
        const GIB: u64 = 1 << 30;
        let of = |bytes: u64| [("media_chunks".to_owned(), bytes), ("users".to_owned(), 1 << 20)].into();
        let mut points = vec![minute(0), minute(2 * 24 * 60)];
        (points[0].used.bytes, points[1].used.bytes) = (of(GIB), of(5 * GIB));

        let watch = judge_with(&points, Some(1000 * GIB));
        assert_eq!(watch[0].level, Level::Watch);
        assert!(
            watch[0].what.starts_with("The database grew by 4 GiB in 2 days, most of it (100 %) by media."),
            "{watch:?}"
        );
        let soon = judge_with(&points, Some(10 * GIB));
        assert_eq!(soon[0].level, Level::Hurts);
        assert!(soon[0].what.ends_with("10 GiB are left on the disk: at this rate it is full in 5 days."), "{soon:?}");
        points[1].used.bytes = of(GIB + 1000);
        assert!(judge_with(&points, Some(10 * GIB)).iter().all(|one| one.level == Level::Fine));
    }
}
