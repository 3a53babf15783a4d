//! Deliveries: one job for each, and of one object and endpoint one at a time. Whatever ends calls the next.

use std::time::Duration;

use reqwest::Method;
use serde::{Deserialize, Serialize};

use super::model::{Attempt, Delivery, DeliveryId, DeliveryState, EndpointId, Event, excerpt, sign};
use super::repository::{Answer, DeliveryFilter, Sending};
use super::{EventRepository, KEPT_S, SWEEP};
use crate::modules::billing::gateways::GatewayRepository;
use crate::modules::billing::{Billing, Owner, record};
use crate::platform::Platform;
use crate::platform::clock::Time;
use crate::platform::db::{Snapshot, UnitOfWork};
use crate::platform::error::{Error, Result};
use crate::platform::jobs::{self, Failure, Kind, Order, Payload, Record, Run};
use crate::platform::outgoing::{Asked, Outgoing};

/// It is tried for three days.
const TRIED_FOR_S: i64 = 3 * 24 * 60 * 60;
const SLOTS: usize = 4;
const FIRST_WAIT: Duration = Duration::from_secs(10);
const LONGEST_WAIT: Duration = Duration::from_secs(6 * 60 * 60);
const LONGEST_RUN: Duration = Duration::from_secs(60);
/// Time ends it, far before this does.
const ATTEMPTS: u32 = 1000;
const JOB_GONE: &str = "its job was discarded";
const FORGONE: &str = "it waited when the unit was restored, and an owner discarded what did";

#[derive(Serialize, Deserialize)]
struct Deliver {
    delivery: uuid::Uuid,
}

impl Payload for Deliver {
    const KIND: &'static str = "billing.webhook";
}

/// Forgets old events, and deliveries whose jobs are gone.
#[derive(Serialize, Deserialize)]
struct Sweep;

impl Payload for Sweep {
    const KIND: &'static str = "billing.sweep";
}

pub(in crate::modules::billing) fn jobs(platform: &Platform) -> Vec<Kind> {
    let outgoing = Outgoing::new(platform.payments.webhooks);
    let deliver =
        Kind::new(move |run: &Run, Deliver { delivery }| deliver(run, &outgoing, DeliveryId::from_uuid(delivery)))
            .slots(SLOTS)
            .attempts(ATTEMPTS)
            .backoff(FIRST_WAIT, LONGEST_WAIT)
            .longest_run(LONGEST_RUN)
            .outward()
            .on_death(|work, Deliver { delivery }, why| {
                let id = DeliveryId::from_uuid(delivery);
                let Some(delivery) = work.tables(Owner(())).find_delivery(id)? else { return Ok(()) };
                Billing.give_up_delivery(work, &delivery, why)
            })
            .on_discard(|work, since| Billing.forgo_deliveries(work, since));
    let sweep = Kind::new(move |run: &Run, _: Sweep| {
        let mut looked_at = None;
        loop {
            looked_at = run.write("billing_mend", move |work| Billing.give_up_lost(work, looked_at))?;
            if looked_at.is_none() || run.is_stopping() {
                break;
            }
        }
        while !run.is_stopping() && run.write("billing_sweep", move |work| Billing.sweep(work))? > 0 {}
        Ok(Record::nothing())
    });
    vec![deliver, sweep.slots(1).every("17 * * * *")]
}

/// Sends one. If we die between the endpoint's yes and our note of it, it goes out once more under the same `webhook-id`.
fn deliver(run: &Run, outgoing: &Outgoing, id: DeliveryId) -> Result<Record, Failure> {
    let found = run
        .database
        .read_blocking(Deliver::KIND, |snapshot| snapshot.tables(Owner(())).find_sending(id, snapshot.now()))?;
    // Its person or endpoint is gone, or it has ended.
    let Some(sending) = found else { return Ok(Record::nothing()) };
    if !sending.is_active {
        let delivery = sending.delivery;
        return Ok(Record::new(move |work| Billing.give_up_delivery(work, &delivery, "the endpoint is switched off")));
    }
    let now = run.database.clock().now();
    let Sending { delivery, url, secrets, payload, .. } = sending;
    let (message, timestamp_s) = (delivery.event_id.to_string(), now.as_ms() / 1000);
    let signature = sign(&secrets, &message, timestamp_s, &payload)?;
    let headers = vec![
        ("content-type", "application/json".to_owned()),
        ("webhook-id", message),
        ("webhook-timestamp", timestamp_s.to_string()),
        ("webhook-signature", signature),
    ];
    let answered = outgoing.send(Asked { method: Method::POST, url: &url, headers, body: payload.into_bytes() });
    let (answer, retry_after) = match answered {
        Err(why) => (Answer { status: None, response: None, why: Some(why) }, None),
        Ok(answered) => {
            let is_taken = (200..300).contains(&answered.status);
            let why = (!is_taken).then(|| format!("the endpoint answered {}", answered.status));
            let answer = Answer { status: Some(answered.status), response: excerpt(&answered.body), why };
            (answer, answered.retry_after)
        }
    };
    let Some(why) = answer.why.clone() else {
        return Ok(Record::new(move |work| Billing.end_delivery(work, &delivery, &answer, DeliveryState::Delivered)));
    };
    let is_gone = answer.status == Some(410);
    if is_gone || now >= delivery.expires_at {
        return Ok(Record::new(move |work| {
            if is_gone {
                Billing.switch_off(work, delivery.endpoint_id)?;
            }
            Billing.end_delivery(work, &delivery, &answer, DeliveryState::Failed)
        }));
    }
    run.write(Deliver::KIND, move |work| {
        work.tables(Owner(())).note_attempt(id, &answer, DeliveryState::Waiting, work.now())
    })?;
    Err(Failure::RetryAfter(retry_after.unwrap_or_default().min(LONGEST_WAIT), why))
}

impl Billing {
    /// Has an event delivered to one endpoint: at once, or after the one of the same object that is on its way.
    pub(super) fn send_to(&self, work: &UnitOfWork<'_>, event: &Event, endpoint: EndpointId) -> Result<()> {
        let tables = work.tables(Owner(()));
        let is_free = tables.next_waiting(endpoint, event.object_id)?.is_none();
        let delivery = Delivery {
            id: work.new_id(),
            event_id: event.id,
            endpoint_id: endpoint,
            event_type: event.kind,
            object_id: event.object_id,
            state: DeliveryState::Waiting,
            job: None,
            attempts: 0,
            status: None,
            response: None,
            why: None,
            created_at: work.now(),
            tried_at: None,
            ended_at: None,
            expires_at: work.now().plus_seconds(TRIED_FOR_S),
        };
        tables.insert_delivery(&delivery)?;
        if is_free { self.enqueue_delivery(work, delivery.id) } else { Ok(()) }
    }

    fn enqueue_delivery(&self, work: &UnitOfWork<'_>, id: DeliveryId) -> Result<()> {
        let order = Order { priority: jobs::Priority::Bulk, ..Order::default() };
        let job = jobs::enqueue_with(work, &Deliver { delivery: id.uuid() }, order)?;
        work.tables(Owner(())).set_job(id, job.uuid())
    }

    fn end_delivery(
        &self,
        work: &UnitOfWork<'_>,
        delivery: &Delivery,
        answer: &Answer,
        state: DeliveryState,
    ) -> Result<()> {
        work.tables(Owner(())).note_attempt(delivery.id, answer, state, work.now())?;
        self.call_next(work, delivery)
    }

    fn give_up_delivery(&self, work: &UnitOfWork<'_>, delivery: &Delivery, why: &str) -> Result<()> {
        let tables = work.tables(Owner(()));
        tables.set_state(delivery.id, DeliveryState::Failed, Some(why), work.now(), delivery.expires_at)?;
        self.call_next(work, delivery)
    }

    fn call_next(&self, work: &UnitOfWork<'_>, ended: &Delivery) -> Result<()> {
        match work.tables(Owner(())).next_waiting(ended.endpoint_id, ended.object_id)? {
            Some(next) => self.enqueue_delivery(work, next),
            None => Ok(()),
        }
    }

    /// The endpoint has said that nothing is to come any more.
    fn switch_off(&self, work: &UnitOfWork<'_>, id: EndpointId) -> Result<()> {
        let before = self.webhook_endpoint(work, id)?;
        let mut after = before.clone();
        (after.is_active, after.version, after.updated_at) = (false, before.version + 1, work.now());
        work.tables(Owner(())).update_endpoint(&after)?;
        record(work, "billing.webhook_endpoint_gone", id, Some(&before), Some(&after))
    }

    pub fn webhook_delivery(&self, snapshot: &Snapshot<'_>, id: DeliveryId) -> Result<Delivery> {
        snapshot.tables(Owner(())).find_delivery(id)?.ok_or(Error::NotFound("webhook delivery"))
    }

    /// Before `before`, newest first.
    pub fn webhook_deliveries(
        &self,
        snapshot: &Snapshot<'_>,
        filter: &DeliveryFilter,
        before: Option<DeliveryId>,
        limit: u32,
    ) -> Result<Vec<Delivery>> {
        snapshot.tables(Owner(())).list_deliveries(filter, before, limit)
    }

    /// The latest `limit` tries of a delivery, latest first.
    pub fn webhook_attempts(&self, snapshot: &Snapshot<'_>, id: DeliveryId, limit: u32) -> Result<Vec<Attempt>> {
        snapshot.tables(Owner(())).list_attempts(id, limit)
    }

    /// When a delivery is tried next: by its job, if that is to run again.
    pub fn next_webhook_try(&self, snapshot: &Snapshot<'_>, delivery: &Delivery) -> Result<Option<Time>> {
        let Some(job) = delivery.job.filter(|_| delivery.state == DeliveryState::Waiting) else { return Ok(None) };
        match jobs::find(snapshot, jobs::JobId::from_uuid(job)) {
            Ok(job) => Ok(matches!(job.state, jobs::State::Waiting | jobs::State::Ready | jobs::State::Running)
                .then_some(job.run_at)),
            Err(Error::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Delivers again what has ended, for another three days.
    ///
    /// # Errors
    /// [`Error::Conflict`] if it is on its way, or its endpoint is switched off.
    pub fn repeat_webhook_delivery(&self, work: &UnitOfWork<'_>, id: DeliveryId) -> Result<Delivery> {
        let before = self.webhook_delivery(work, id)?;
        if before.state == DeliveryState::Waiting {
            return Err(Error::conflict("state", "it is on its way: its job can be run at once"));
        }
        if !self.webhook_endpoint(work, before.endpoint_id)?.is_active {
            return Err(Error::conflict("state", "its endpoint is switched off: switch it on first"));
        }
        let tables = work.tables(Owner(()));
        let is_free = tables.next_waiting(before.endpoint_id, before.object_id)?.is_none();
        let expires_at = work.now().plus_seconds(TRIED_FOR_S);
        tables.set_state(id, DeliveryState::Waiting, None, work.now(), expires_at)?;
        if is_free {
            self.enqueue_delivery(work, id)?;
        }
        record(work, "billing.webhook_delivery_repeated", id, Some(&before.state), None::<&()>)?;
        self.webhook_delivery(work, id)
    }

    /// Gives up what waited when the unit was restored, whether by a job or behind one; what has come since goes on.
    fn forgo_deliveries(&self, work: &UnitOfWork<'_>, since: Time) -> Result<()> {
        let tables = work.tables(Owner(()));
        // What is repeated waits from then on: when it will have waited for too long tells since when it does.
        tables.give_up_until(since.plus_seconds(TRIED_FOR_S), FORGONE, work.now())?;
        for next in tables.list_stranded()? {
            self.enqueue_delivery(work, next)?;
        }
        Ok(())
    }

    /// Goes on behind deliveries whose jobs were discarded; returns how far it has looked, unless that was the end.
    fn give_up_lost(&self, work: &UnitOfWork<'_>, after: Option<DeliveryId>) -> Result<Option<DeliveryId>> {
        let all = work.tables(Owner(())).list_with_jobs(after, SWEEP)?;
        for delivery in &all {
            if self.next_webhook_try(work, delivery)?.is_none() {
                self.give_up_delivery(work, delivery, JOB_GONE)?;
            }
        }
        Ok(all.last().map(|last| last.id))
    }

    /// Forgets old events with their deliveries, and what gateways said; returns how many.
    fn sweep(&self, work: &UnitOfWork<'_>) -> Result<usize> {
        let tables = work.tables(Owner(()));
        let forgotten = tables.delete_messages_before(work.now().plus_seconds(-2 * KEPT_S), SWEEP)?;
        Ok(forgotten + tables.delete_events_before(work.now().plus_seconds(-KEPT_S), SWEEP)?)
    }
}
