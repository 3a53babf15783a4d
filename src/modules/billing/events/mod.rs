//! Events: what happened, told to whoever asked to know. Written in the transaction of what happened; delivered by jobs,
//! at least once, and those of one object one after another.

pub(super) mod api;
mod delivering;
mod model;
mod repository;
mod sqlite;

pub(super) use delivering::jobs;
pub use model::{
    Attempt, Delivery, DeliveryId, DeliveryState, Endpoint, EndpointChange, EndpointId, Event, EventId, EventType,
    NewEndpoint,
};
pub use repository::DeliveryFilter;
pub(super) use repository::EventRepository;

use serde_json::{Value, json};

use super::invoices::Invoice;
use super::invoices::document::Kind;
use super::payments::{Payment, Refund};
use super::subscriptions::{State as SubscriptionState, Subscription};
use super::{Billing, Owner, record};
use crate::platform::db::{Snapshot, UnitOfWork};
use crate::platform::error::{Error, Result};
use crate::platform::ids::UserId;
use crate::platform::money::Money;
use crate::platform::outgoing::Reach;
use crate::platform::text;

const MAX_URL_BYTES: usize = 500;
const MAX_DESCRIPTION: usize = 200;
/// Endpoints that one unit may have, so that what happens is told to few.
const MOST_ENDPOINTS: u32 = 20;
/// The secret before a new one holds for a day.
const OLD_SECRET_S: i64 = 24 * 60 * 60;
/// Events are kept for so long.
const KEPT_S: i64 = 30 * 24 * 60 * 60;
/// So many are swept at once.
const SWEEP: u32 = 500;

impl Billing {
    /// Writes down that something happened, for each endpoint that wants to know. Where there is none it costs one look.
    fn tell(
        &self,
        work: &UnitOfWork<'_>,
        kind: EventType,
        (object_id, user_id): (uuid::Uuid, UserId),
        data: impl FnOnce() -> Value,
    ) -> Result<()> {
        let tables = work.tables(Owner(()));
        let mut endpoints = tables.list_active_endpoints()?;
        endpoints.retain(|endpoint| endpoint.wants(kind));
        if endpoints.is_empty() {
            return Ok(());
        }
        let payload = json!({ "type": kind, "timestamp": work.now(), "data": data() });
        let event = Event { id: work.new_id(), kind, object_id, user_id, payload, created_at: work.now() };
        tables.insert_event(&event, &event.payload.to_string())?;
        for endpoint in endpoints {
            self.send_to(work, &event, endpoint.id)?;
        }
        Ok(())
    }

    pub(super) fn tell_invoice(&self, work: &UnitOfWork<'_>, kind: EventType, invoice: &Invoice) -> Result<()> {
        let kind = match (kind, invoice.kind) {
            (EventType::InvoiceFinalized, Kind::CreditNote) => EventType::CreditNoteIssued,
            (kind, _) => kind,
        };
        self.tell(work, kind, (invoice.id.uuid(), invoice.user_id), || {
            let money = |minor| Money::new(minor, invoice.currency);
            json!({
                "id": invoice.id, "kind": invoice.kind, "number": invoice.number, "state": invoice.state,
                "user_id": invoice.user_id, "subscription_id": invoice.subscription_id, "credits": invoice.credits,
                "issued_on": invoice.issued_on, "due_on": invoice.due_on, "net": money(invoice.net_minor),
                "tax": money(invoice.tax_minor), "gross": money(invoice.gross_minor), "due": money(invoice.due_minor),
            })
        })
    }

    pub(super) fn tell_subscription(
        &self,
        work: &UnitOfWork<'_>,
        before: Option<&Subscription>,
        after: &Subscription,
    ) -> Result<()> {
        let kind = match before {
            None => EventType::SubscriptionCreated,
            Some(_) if after.state == SubscriptionState::Cancelled => EventType::SubscriptionCancelled,
            Some(_) => EventType::SubscriptionUpdated,
        };
        self.tell(work, kind, (after.id.uuid(), after.user_id), || {
            json!({
                "id": after.id, "user_id": after.user_id, "price_id": after.price_id, "seats": after.seats,
                "state": after.state, "started_on": after.started_on, "trial_until": after.trial_until,
                "period": after.period, "cancel_at_end": after.cancel_at_end, "ended_on": after.ended_on,
            })
        })
    }

    pub(super) fn tell_payment(
        &self,
        work: &UnitOfWork<'_>,
        payment: &Payment,
        invoice: Option<uuid::Uuid>,
    ) -> Result<()> {
        self.tell(work, EventType::PaymentRecorded, (payment.id.uuid(), payment.user_id), || {
            let money = |minor| Money::new(minor, payment.currency);
            json!({
                "id": payment.id, "user_id": payment.user_id, "amount": money(payment.amount_minor),
                "fee": money(payment.fee_minor), "method": payment.method, "received_on": payment.received_on,
                "invoice_id": invoice,
            })
        })
    }

    pub(super) fn tell_refund(&self, work: &UnitOfWork<'_>, payment: &Payment, refund: &Refund) -> Result<()> {
        self.tell(work, EventType::PaymentRefunded, (payment.id.uuid(), payment.user_id), || {
            json!({
                "id": payment.id, "user_id": payment.user_id, "amount": Money::new(payment.amount_minor, payment.currency),
                "method": payment.method, "refund_id": refund.id,
                "refunded": Money::new(refund.amount_minor, payment.currency),
            })
        })
    }

    /// Before `before`, newest first.
    pub fn events(&self, snapshot: &Snapshot<'_>, before: Option<EventId>, limit: u32) -> Result<Vec<Event>> {
        snapshot.tables(Owner(())).list_all_events(before, limit)
    }

    pub fn event_of(&self, snapshot: &Snapshot<'_>, id: EventId) -> Result<Event> {
        snapshot.tables(Owner(())).find_event(id)?.ok_or(Error::NotFound("event"))
    }

    /// Before `before`, newest first.
    pub fn webhook_endpoints(
        &self,
        snapshot: &Snapshot<'_>,
        before: Option<EndpointId>,
        limit: u32,
    ) -> Result<Vec<Endpoint>> {
        snapshot.tables(Owner(())).list_endpoints(before, limit)
    }

    pub fn webhook_endpoint(&self, snapshot: &Snapshot<'_>, id: EndpointId) -> Result<Endpoint> {
        snapshot.tables(Owner(())).find_endpoint(id)?.ok_or(Error::NotFound("webhook endpoint"))
    }

    /// Adds an endpoint; returns it with its secret, which is not shown again.
    pub fn add_webhook_endpoint(
        &self,
        work: &UnitOfWork<'_>,
        new: NewEndpoint,
        reach: Reach,
    ) -> Result<(Endpoint, String)> {
        let tables = work.tables(Owner(()));
        if tables.list_endpoints(None, MOST_ENDPOINTS)?.len() >= MOST_ENDPOINTS as usize {
            return Err(Error::conflict(
                "url",
                format!("there are {MOST_ENDPOINTS} endpoints already, and that is all"),
            ));
        }
        let endpoint = Endpoint {
            id: work.new_id(),
            url: target(&new.url, reach)?,
            description: description(new.description.as_deref().unwrap_or_default())?,
            event_types: new.event_types,
            is_active: true,
            taken_at: None,
            failed_at: None,
            failure: None,
            created_at: work.now(),
            updated_at: work.now(),
            version: 1,
        };
        let secret = new_secret()?;
        tables.insert_endpoint(&endpoint, &secret)?;
        record(work, "billing.webhook_endpoint_added", endpoint.id, None::<&()>, Some(&endpoint))?;
        Ok((endpoint, secret))
    }

    pub fn change_webhook_endpoint(
        &self,
        work: &UnitOfWork<'_>,
        id: EndpointId,
        change: EndpointChange,
        reach: Reach,
        check: impl FnOnce(&Endpoint) -> Result<()>,
    ) -> Result<Endpoint> {
        let before = self.webhook_endpoint(work, id)?;
        check(&before)?;
        let mut after = before.clone();
        if let Some(url) = &change.url {
            after.url = target(url, reach)?;
        }
        if let Some(typed) = &change.description {
            after.description = description(typed)?;
        }
        after.event_types = change.event_types.unwrap_or(after.event_types);
        after.is_active = change.is_active.unwrap_or(after.is_active);
        if after == before {
            return Ok(before);
        }
        (after.version, after.updated_at) = (before.version + 1, work.now());
        work.tables(Owner(())).update_endpoint(&after)?;
        record(work, "billing.webhook_endpoint_changed", id, Some(&before), Some(&after))?;
        Ok(after)
    }

    /// Gives an endpoint another secret; for a day deliveries are signed with the one before too.
    pub fn replace_webhook_secret(&self, work: &UnitOfWork<'_>, id: EndpointId) -> Result<(Endpoint, String)> {
        let mut endpoint = self.webhook_endpoint(work, id)?;
        let secret = new_secret()?;
        (endpoint.version, endpoint.updated_at) = (endpoint.version + 1, work.now());
        let tables = work.tables(Owner(()));
        tables.replace_secret(id, &secret, work.now().plus_seconds(OLD_SECRET_S))?;
        tables.update_endpoint(&endpoint)?;
        record(work, "billing.webhook_secret_replaced", id, None::<&()>, None::<&()>)?;
        Ok((endpoint, secret))
    }

    /// Deletes an endpoint with its deliveries; what is on its way finds nothing to send.
    pub fn delete_webhook_endpoint(
        &self,
        work: &UnitOfWork<'_>,
        id: EndpointId,
        check: impl FnOnce(&Endpoint) -> Result<()>,
    ) -> Result<()> {
        let endpoint = self.webhook_endpoint(work, id)?;
        check(&endpoint)?;
        work.tables(Owner(())).delete_endpoint(id)?;
        record(work, "billing.webhook_endpoint_deleted", id, Some(&endpoint), None::<&()>)
    }

    /// Takes away what was told of a person, and what is still to be.
    pub(super) fn forget_events(&self, work: &UnitOfWork<'_>, user: UserId) -> Result<()> {
        work.tables(Owner(())).delete_events_of(user)
    }
}

fn target(url: &str, reach: Reach) -> Result<String> {
    let wrong = |why: String| Error::invalid("url", why);
    if url.len() > MAX_URL_BYTES {
        return Err(wrong(format!("at most {MAX_URL_BYTES} bytes")));
    }
    reach.check(url.trim()).map(String::from).map_err(wrong)
}

fn description(typed: &str) -> Result<Option<String>> {
    let typed = typed.trim();
    if typed.is_empty() { Ok(None) } else { text::line("description", typed, MAX_DESCRIPTION).map(Some) }
}

fn new_secret() -> Result<String> {
    let mut random = [0; 32];
    getrandom::fill(&mut random).map_err(|e| Error::internal("drawing a secret", e))?;
    Ok(model::secret_of(&random))
}
