//! Costs: what each module, route and kind of job has used, kept as history.
//!
//! Each minute in which anything was done is written down with what was used in it ([`Sampler`]), and added to its hour and
//! its day in the same unit of work, so that a crash loses a minute at most. A row holds all of one minute; so many rows of
//! each step are kept, whatever the clock says.
//!
//! Owns `cost_history` and `cost_spans`.

mod model;
mod sampler;
mod sqlite;

pub use model::{Point, Step, Used, UsedAll, waits_on_purpose};
pub use sampler::Sampler;

use super::clock::Time;
use super::db::{self, Snapshot, UnitOfWork};
use super::error::Result;
use super::metering::{Action, Span};
use sqlite::CostRepository;

/// The key to this owner's tables; no one else can make one.
struct Owner(());

impl db::Owner for Owner {
    const PATH: &'static str = module_path!();
}

/// Spans that were last seen so long ago are forgotten, in seconds: of routes and units of work that are no more.
const SPANS_KEPT_S: i64 = 400 * 24 * 60 * 60;

/// Adds what was used up to now to its minute, its hour and its day.
pub fn record(work: &UnitOfWork<'_>, used: &UsedAll) -> Result<()> {
    let tables = work.tables(Owner(()));
    for step in Step::ALL {
        let at = step.begin(work.now());
        let mut sum = tables.find(step, at)?.unwrap_or_default();
        sum.add(used);
        tables.put(step, at, &sum)?;
        tables.keep_newest(step, step.kept())?;
    }
    Ok(())
}

/// Notes which tables were seen to be used together.
pub fn record_spans(work: &UnitOfWork<'_>, spans: &[Span]) -> Result<()> {
    let tables = work.tables(Owner(()));
    for span in spans {
        tables.put_span(span, Step::Day.begin(work.now()))?;
    }
    tables.delete_spans_before(work.now().plus_seconds(-SPANS_KEPT_S))
}

/// What is known from `since` until now, in order of time. What a clock that was ahead has left behind is not among it.
pub fn history(snapshot: &Snapshot<'_>, step: Step, since: Time) -> Result<Vec<Point>> {
    snapshot.tables(Owner(())).list(step, step.begin(since), snapshot.now())
}

/// Whose statements have been seen to run together.
pub fn spans(snapshot: &Snapshot<'_>) -> Result<Vec<Span>> {
    snapshot.tables(Owner(())).list_spans()
}

fn action_of(text: &str) -> Action {
    if text == Action::Write.as_str() { Action::Write } else { Action::Read }
}
