//! The billing run: ends trials and periods that are over, duns what is unpaid, and recognises what has been earned.
//!
//! It may be repeated, run late or be killed anywhere: each invoice is made with the subscription's step that it is for, or not
//! at all.

use std::time::Duration;

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::subscriptions::{SubscriptionId, SubscriptionRepository};
use super::{Billing, Owner, calendar};
use crate::platform::actor::Actor;
use crate::platform::clock::Time;
use crate::platform::db::{Database, Snapshot, UnitOfWork};
use crate::platform::error::Result;
use crate::platform::jobs::{Failure, Kind, Payload, Record, Run};

/// Steps in one unit of work: few, so that others' writes wait for milliseconds.
const STEPS: u32 = 16;

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
        let mut ran = Ran::default();
        // One that fails is tried again by the next run, and does not keep this one from the others.
        let mut failed: Vec<SubscriptionId> = Vec::new();
        loop {
            let known = failed.clone();
            let it = *self;
            let due = database
                .read_blocking("billing_due", move |snapshot| it.due(snapshot, until, STEPS + known.len() as u32))?;
            let due: Vec<_> = due.into_iter().filter(|id| !failed.contains(id)).take(STEPS as usize).collect();
            if due.is_empty() || !go_on(&ran) {
                break;
            }
            let group = due.clone();
            let done = database.write_blocking("billing_run", Actor::system(), move |work| it.steps(work, &group));
            match done {
                Ok(steps) => ran.steps += steps,
                // One of them spoils the group: one by one shows which.
                Err(_) => {
                    for id in due {
                        let one =
                            database.write_blocking("billing_run", Actor::system(), move |work| it.steps(work, &[id]));
                        match one {
                            Ok(steps) => ran.steps += steps,
                            Err(error) => {
                                tracing::error!(subscription = %id, why = %error, "a subscription could not be billed");
                                failed.push(id);
                                ran.failed += 1;
                            }
                        }
                    }
                }
            }
        }
        let (dunned, failed) = self.dun_all(database, &|| go_on(&ran))?;
        (ran.dunned, ran.failed) = (dunned, ran.failed + failed);
        loop {
            let it = *self;
            let today = calendar::day_at(database.clock().now().min(until), &TimeZone::UTC);
            let lines =
                database.write_blocking("billing_recognize", Actor::system(), move |work| it.recognize(work, today))?;
            ran.recognized += lines as u64;
            if lines == 0 || !go_on(&ran) {
                return Ok(ran);
            }
        }
    }

    /// Each does one step; what has more to do is due again.
    fn steps(&self, work: &UnitOfWork<'_>, ids: &[SubscriptionId]) -> Result<u64> {
        let mut steps = 0;
        for id in ids {
            steps += u64::from(self.step(work, *id)?);
        }
        Ok(steps)
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
