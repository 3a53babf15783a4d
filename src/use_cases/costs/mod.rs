//! Costs: which module hurts, what to do about it, and what it would cost that one to leave.

mod advice;
mod leaving;
pub mod words;

use std::collections::BTreeMap;

use serde::Serialize;
use warp::http::StatusCode;
use warp::reply::Response;

use super::App;
use super::module_map::ModuleMap;
use crate::platform::backup::Every;
use crate::platform::clock::Time;
use crate::platform::costs::{self, Point, Step, Used, UsedAll};
use crate::platform::db::Snapshot;
use crate::platform::error::{Error, Result};
use crate::platform::files;
use crate::platform::http::{Request, answers};
use crate::platform::jobs::Kinds;
use crate::platform::metering::Kind;

pub use advice::{Advice, Level};
pub use leaving::{Calls, LeavesFreely, Leaving, Shared};

use advice::{Facts, requests};

/// What is shown where nothing is said: a day.
const SINCE_MS: i64 = 24 * 60 * 60_000;
/// Minutes are kept for so long where something is done in each.
const MINUTES_MS: i64 = 12 * 60 * 60_000;

/// What it takes to judge: the program's map and its kinds of jobs. Clones share it.
#[derive(Clone)]
pub struct Bookkeeper {
    pub app: App,
    pub map: std::sync::Arc<ModuleMap>,
    pub kinds: Kinds,
}

/// What was used in a while, by whom, and what that means.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Costs {
    pub since: Time,
    pub until: Time,
    /// For how long each point stands.
    pub step: Step,
    /// CPUs of the machine, as they were last.
    pub cores: u32,
    /// How long anything was done at all, in milliseconds. Shares of the machine are of this time.
    pub measured_ms: u64,
    /// CPU time that was used on this machine, in microseconds.
    pub cpu_us: u64,
    /// As a share of what the machine had, from 0 to 1.
    pub cpu_share: f64,
    /// How long the writer was at work, as a share of the time.
    pub writer_share: f64,
    /// How long all but the slowest hundredth of requests took, in milliseconds; routes that wait on purpose left out.
    pub p99_ms: Option<f64>,
    pub requests: u64,
    /// The worst first.
    pub advice: Vec<Advice>,
    /// Whoever used most CPU time first.
    pub modules: Vec<ModuleCosts>,
    pub routes: Vec<Line>,
    pub jobs: Vec<Line>,
    pub background: Vec<Line>,
    pub leaving: Vec<Leaving>,
    pub leaves_freely: Vec<LeavesFreely>,
    pub points: Vec<CostPoint>,
}

/// What one module, or another part of the program, used.
#[derive(Debug, Clone, Default, PartialEq, Serialize, utoipa::ToSchema)]
pub struct ModuleCosts {
    #[schema(example = "media")]
    pub name: String,
    /// CPU time on this machine, in microseconds: its routes, its jobs and their child processes, and its SQL for whomever.
    pub cpu_us: u64,
    /// Of all that was used, from 0 to 1.
    pub cpu_share: f64,
    /// Of that, in child processes.
    pub children_us: u64,
    /// CPU time on workers of other machines.
    pub elsewhere_us: u64,
    /// Wall time of its routes and jobs.
    pub wall_us: u64,
    /// Wall time of its statements.
    pub sql_us: u64,
    /// What its tables take of the file; null where that was not counted.
    pub bytes: Option<u64>,
}

/// What one route, kind of job or background task used.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
#[schema(as = CostLine)]
pub struct Line {
    #[schema(example = "GET /api/people/{}")]
    pub name: String,
    pub module: String,
    pub runs: u64,
    pub cpu_us: u64,
    pub cpu_share: f64,
    pub children_us: u64,
    pub elsewhere_us: u64,
    pub wall_us: u64,
    /// CPU time in SQLite.
    pub sql_cpu_us: u64,
    pub p50_ms: Option<f64>,
    pub p99_ms: Option<f64>,
    /// The longest that a job was due before it began, or is due now.
    pub oldest_ms: u64,
    /// Jobs that are due, at most.
    pub ready: u64,
}

/// One minute, hour or day in which anything was done.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct CostPoint {
    pub at: Time,
    pub measured_ms: u64,
    /// Of what the machine has in a whole step, from 0 to 1, by module.
    pub modules: BTreeMap<String, f64>,
    pub routes: BTreeMap<String, f64>,
    pub jobs: BTreeMap<String, f64>,
    pub p50_ms: Option<f64>,
    pub p99_ms: Option<f64>,
    /// The longest that any job was due.
    pub oldest_ms: u64,
}

impl Bookkeeper {
    /// What was used in the last `span_ms`. Off the threads that serve requests.
    pub fn look(&self, snapshot: &Snapshot<'_>, span_ms: i64) -> Result<Costs> {
        let until = snapshot.now();
        let before = |ms: i64| Time::from_ms(until.as_ms().saturating_sub(ms));
        let step = Step::of(span_ms);
        let points = costs::history(snapshot, step, before(span_ms))?;
        let minutes = costs::history(snapshot, Step::Minute, before(span_ms.min(MINUTES_MS)))?;
        let portable: Vec<&str> = self.kinds.iter().filter(|kind| kind.is_portable()).map(|kind| kind.name).collect();
        let ownership = self.app.platform.database.schema().ownership();
        let advice = advice::advise(&Facts {
            points: &points,
            minutes: &minutes,
            portable: &portable,
            owner_of: &|table| ownership.owner_of(table),
            free_bytes: files::room(self.app.platform.database.folder().path()).ok(),
            origin: &self.app.origin,
        });
        let modules: Vec<&str> = self.map.modules.iter().map(|part| part.name).collect();
        let all = UsedAll::sum(points.iter().map(|point| &point.used));
        let requests = requests(&all);
        Ok(Costs {
            since: step.begin(before(span_ms)),
            until,
            step,
            cores: all.cores,
            measured_ms: all.measured_ms,
            cpu_us: all.cpu_us(),
            cpu_share: share(all.cpu_us(), all.machine_us()),
            writer_share: share(all.writing_us(), all.measured_ms * 1000),
            p99_ms: requests.quantile_ms(0.99),
            requests: requests.count(),
            advice,
            modules: modules_of(&all, |table| ownership.owner_of(table)),
            routes: lines(&all, Kind::Route),
            jobs: lines(&all, Kind::Job),
            background: lines(&all, Kind::Background),
            leaving: leaving::leaving(&modules, &costs::spans(snapshot)?),
            leaves_freely: portable.iter().map(|kind| LeavesFreely::new(kind)).collect(),
            points: points.iter().map(|point| CostPoint::of(point, step)).collect(),
        })
    }
}

fn modules_of(all: &UsedAll, owner_of: impl Fn(&str) -> Option<&'static str>) -> Vec<ModuleCosts> {
    let mut by: BTreeMap<String, ModuleCosts> = BTreeMap::new();
    let mut entry = |name: &str, put: &dyn Fn(&mut ModuleCosts)| {
        put(by
            .entry(name.to_owned())
            .or_insert_with(|| ModuleCosts { name: name.to_owned(), ..ModuleCosts::default() }));
    };
    for (name, us) in all.cpu_by_module() {
        entry(&name, &|one| (one.cpu_us, one.cpu_share) = (us, share(us, all.cpu_us())));
    }
    for used in all.by.values() {
        entry(&used.module, &|one| {
            one.children_us += used.children_us;
            one.elsewhere_us += used.elsewhere_us;
            one.wall_us += used.wall_us;
        });
    }
    for (name, us) in &all.sql_us {
        entry(name, &|one| one.sql_us = *us);
    }
    for (table, bytes) in &all.bytes {
        if let Some(owner) = owner_of(table) {
            entry(owner, &|one| one.bytes = Some(one.bytes.unwrap_or(0) + bytes));
        }
    }
    let mut modules: Vec<ModuleCosts> = by.into_values().collect();
    modules.sort_by_key(|one| std::cmp::Reverse((one.cpu_us, one.bytes)));
    modules
}

fn lines(all: &UsedAll, kind: Kind) -> Vec<Line> {
    let line = |used: &Used| Line {
        name: used.name.clone(),
        module: used.module.clone(),
        runs: used.runs,
        cpu_us: used.cpu_here_us(),
        cpu_share: share(used.cpu_here_us(), all.cpu_us()),
        children_us: used.children_us,
        elsewhere_us: used.elsewhere_us,
        wall_us: used.wall_us,
        sql_cpu_us: used.sql_cpu_us.values().sum(),
        p50_ms: used.latencies.quantile_ms(0.5),
        p99_ms: used.latencies.quantile_ms(0.99),
        oldest_ms: used.oldest_ms,
        ready: used.ready,
    };
    let mut lines: Vec<Line> = all.by.values().filter(|used| used.is(kind)).map(line).collect();
    lines.sort_by_key(|line| std::cmp::Reverse((line.cpu_us, line.runs)));
    lines
}

impl CostPoint {
    fn of(point: &Point, step: Step) -> CostPoint {
        let used = &point.used;
        let whole = step.ms() as u64 * 1000 * u64::from(used.cores.max(1));
        let of = |kind| {
            let mut by: BTreeMap<String, f64> = BTreeMap::new();
            for one in used.by.values().filter(|one| one.is(kind) && one.cpu_here_us() > 0) {
                *by.entry(one.name.clone()).or_default() += share(one.cpu_here_us(), whole);
            }
            by
        };
        let requests = requests(used);
        CostPoint {
            at: point.at,
            measured_ms: used.measured_ms,
            modules: used.cpu_by_module().into_iter().map(|(name, us)| (name, share(us, whole))).collect(),
            routes: of(Kind::Route),
            jobs: of(Kind::Job),
            p50_ms: requests.quantile_ms(0.5),
            p99_ms: requests.quantile_ms(0.99),
            oldest_ms: used.by.values().map(|one| one.oldest_ms).max().unwrap_or(0),
        }
    }
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// `1 hour`, `30 days`: how far back, in milliseconds; a day where nothing is said.
pub fn span_of(text: Option<&str>) -> Result<i64> {
    let Some(text) = text else { return Ok(SINCE_MS) };
    match text.parse() {
        Ok(Every(Some(span))) => Ok(span.as_millis().try_into().unwrap_or(i64::MAX)),
        _ => Err(Error::invalid("since", "no span of time: write it like 1 hour or 30 days")),
    }
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    since: Option<String>,
}

/// What each module, route and kind of job used, what that means, and what leaving would cost.
#[utoipa::path(
    get, path = "/api/modules/costs", tag = "operate", operation_id = "module_costs", security(("bearer" = [])),
    params(("since" = Option<String>, Query, description = "how far back: `1 hour`, `1 day` (as where nothing is said), `30 days`")),
    responses((status = 200, body = Costs), (status = 403, description = "not staff"), (status = 422, description = "`since` is no span of time")),
)]
pub(super) async fn get(it: Bookkeeper, request: Request) -> Result<Response> {
    let query = request.query();
    let book = it.clone();
    let found = it.app.platform.scan("costs", &request, move |snapshot, who| {
        who.must_be_staff()?;
        let Query { since } = query?;
        book.look(snapshot, span_of(since.as_deref())?)
    });
    answers::json(StatusCode::OK, &found.await?)
}
