//! The billing run: ends trials and periods that are over, duns what is unpaid, and recognises what has been earned.
//!
//! It may be repeated, run late or be killed anywhere: each invoice is made with the subscription's step that it is for, or not
//! at all.

use std::collections::VecDeque;
use std::fmt::Display;
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::subscriptions::{SubscriptionId, SubscriptionRepository};
use super::{Billing, Owner, calendar};
use crate::platform::actor::Actor;
use crate::platform::clock::Time;
use crate::platform::db::{Database, Snapshot, StandBack, UnitOfWork};
use crate::platform::error::Result;
use crate::platform::jobs::{Failure, Kind, Payload, Record, Run};

/// For so long steps are added to one unit of work: others' writes wait for it.
const GROUP_TIME: Duration = Duration::from_micros(500);
/// That many at most.
const GROUP: usize = 16;
/// What is due is looked for, so much at once.
const AT_ONCE: u32 = 256;

/// A run may take so long; the next goes on where it ended.
const LONGEST_RUN: Duration = Duration::from_secs(6 * 60 * 60);

/// Bills what is due.
#[derive(Serialize, Deserialize)]
struct Bill;
impl Payload for Bill {
    const KIND: &'static str = "billing.run";
}

/// The run by the clock.
pub(super) fn kind(billing: &Billing) -> Kind {
    let billing = *billing;
    let handler = move |run: &Run, _: Bill| {
        let ran = billing.run(&run.database, &|_| !run.is_stopping())?;
        metrics::gauge!("ashlar_billing_failed_subscriptions").set(ran.failed as f64);
        run.progress(100)?;
        Ok::<_, Failure>(Record::nothing())
    };
    Kind::new(handler).slots(1).longest_run(LONGEST_RUN).every("*/10 * * * *")
}

/// What a run has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Ran {
    /// Trials and periods that have ended.
    pub steps: u64,
    /// Unpaid invoices that were charged or asked for again, or given up.
    pub dunned: u64,
    /// Subscriptions and invoices whose step failed: the log says why.
    pub failed: u64,
    /// Lines of which revenue was recognised.
    pub recognized: u64,
}

impl Billing {
    /// Does all that is due by now, group by group; `go_on` is asked between them.
    pub fn run(&self, database: &Database, go_on: &dyn Fn(&Ran) -> bool) -> Result<Ran> {
        self.run_until(database, Time::from_ms(i64::MAX), go_on)
    }

    /// As [`Billing::run`], but only what was due by `until`. What is not over yet is never billed.
    pub fn run_until(&self, database: &Database, until: Time, go_on: &dyn Fn(&Ran) -> bool) -> Result<Ran> {
        let (mut ran, mut writes) = (Ran::default(), database.stand_back());
        let read = |limit: u32, snapshot: &Snapshot<'_>| self.due(snapshot, until, limit);
        let count = |steps| go_on(&Ran { steps, ..ran });
        let (steps, failed) =
            each_due(database, &mut writes, "billing_run", &count, read, |work, id| Billing.step(work, id))?;
        ran = Ran { steps, failed, ..ran };
        let read = |limit: u32, snapshot: &Snapshot<'_>| self.due_dunnings(snapshot, until, limit);
        let count = |dunned| go_on(&Ran { dunned, ..ran });
        let (dunned, failed) = each_due(database, &mut writes, "billing_dun", &count, read, |work, id| {
            Billing.dun(work, id).map(|()| true)
        })?;
        ran = Ran { dunned, failed: ran.failed + failed, ..ran };
        loop {
            let it = *self;
            let today = calendar::day_at(database.clock().now().min(until), &TimeZone::UTC);
            let lines = writes.write("billing_recognize", Actor::system(), move |work| it.recognize(work, today))?;
            ran.recognized += lines as u64;
            if lines == 0 || !go_on(&ran) {
                return Ok(ran);
            }
        }
    }

    /// Subscriptions with something to do by `until`, each by its account's clock.
    fn due(&self, snapshot: &Snapshot<'_>, until: Time, limit: u32) -> Result<Vec<SubscriptionId>> {
        use super::repository::AccountRepository;
        let tables = snapshot.tables(Owner(()));
        let mut due = tables.list_due(snapshot.now().min(until), limit)?;
        for user in tables.list_on_trial()? {
            let now: Time = self.details(snapshot, user)?.now(snapshot.now());
            due.extend(tables.list_due_of(user, now.min(until), limit)?);
        }
        Ok(due)
    }
}

/// Has `step` done for each that `read` finds due, in units of work so short that others' writes wait little. What has more
/// to do is due again. Returns how many steps were done, and how many failed: what fails is tried again by the next run, and
/// does not keep this one from the others.
fn each_due<Id: Copy + Display + PartialEq + Send + 'static>(
    database: &Database,
    writes: &mut StandBack<'_>,
    name: &'static str,
    go_on: &dyn Fn(u64) -> bool,
    read: impl Fn(u32, &Snapshot<'_>) -> Result<Vec<Id>>,
    step: fn(&UnitOfWork<'_>, Id) -> Result<bool>,
) -> Result<(u64, u64)> {
    let (mut done, mut failed) = (0, Vec::new());
    loop {
        let limit = AT_ONCE + failed.len() as u32;
        let due = database.read_blocking(name, |snapshot| read(limit, snapshot))?;
        let mut due: VecDeque<Id> = due.into_iter().filter(|id| !failed.contains(id)).collect();
        let (before, mut at_once) = ((done, failed.len()), GROUP);
        while let Some(next) = due.front().copied() {
            if !go_on(done) {
                return Ok((done, failed.len() as u64));
            }
            let group: Vec<Id> = due.iter().take(at_once).copied().collect();
            match writes.write(name, Actor::system(), move |work| in_time(work, &group, step)) {
                Ok(so_many) => {
                    due.drain(..so_many.looked_at);
                    done += so_many.done;
                }
                // One of them spoils the group: one by one shows which.
                Err(_) if at_once > 1 => at_once = 1,
                Err(error) => {
                    tracing::error!(id = %next, why = %error, "`{name}` failed for one, which is tried again by the next run");
                    failed.push(next);
                    due.pop_front();
                    at_once = GROUP;
                }
            }
        }
        if (done, failed.len()) == before {
            return Ok((done, failed.len() as u64));
        }
    }
}

struct Group {
    looked_at: usize,
    done: u64,
}

/// One after another, until they have taken long enough.
fn in_time<Id: Copy>(
    work: &UnitOfWork<'_>,
    ids: &[Id],
    step: fn(&UnitOfWork<'_>, Id) -> Result<bool>,
) -> Result<Group> {
    let (start, mut group) = (Instant::now(), Group { looked_at: 0, done: 0 });
    for id in ids {
        group.done += u64::from(step(work, *id)?);
        group.looked_at += 1;
        if start.elapsed() > GROUP_TIME {
            break;
        }
    }
    Ok(group)
}
