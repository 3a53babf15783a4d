//! Events, and their deliveries to webhook endpoints: what was sent, what came of it, and sending it again.

use askama::Template;
use warp::reply::Response;

use super::{ListQuery, Of, Room, page, view};
use crate::modules::billing::events::api::ATTEMPTS;
use crate::modules::billing::{
    BillingEvent, BillingEventId, BillingEventType as EventType, WebhookAttempt, WebhookDelivery,
    WebhookDeliveryFilter, WebhookDeliveryId, WebhookDeliveryState, WebhookEndpoint,
};
use crate::platform::auth::Principal;
use crate::platform::clock::Time;
use crate::platform::db::Snapshot;
use crate::platform::error::Result;
use crate::platform::http::{Refusal, Request, answers};
use crate::platform::jobs;

/// Endpoints that one event was told to, at most.
const AT_MOST: u32 = 100;

#[derive(Template)]
#[template(path = "modules/billing/pages/templates/events.html", config = "src/askama.toml")]
struct Events {
    events: Vec<Of<BillingEvent>>,
    first: Option<String>,
    next: Option<String>,
}

#[derive(Template)]
#[template(path = "modules/billing/pages/templates/event.html", config = "src/askama.toml")]
struct EventPage {
    it: BillingEvent,
    name: String,
    sent: Vec<(Sent, WebhookEndpoint)>,
}

#[derive(Template)]
#[template(path = "modules/billing/pages/templates/delivery.html", config = "src/askama.toml")]
struct DeliveryPage<'a> {
    sent: Sent,
    event: BillingEvent,
    endpoint: WebhookEndpoint,
    attempts: Vec<WebhookAttempt>,
    is_owner: bool,
    done: Option<&'static str>,
    refused: &'a Refusal,
}

/// A delivery, and what it waits for.
pub(super) struct Sent {
    pub it: WebhookDelivery,
    pub next: Next,
}

/// When something is tried next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// It has ended.
    Never,
    /// Once an owner lets out what a restore holds.
    Held,
    /// Once the event before it, of the same object, has ended.
    Behind,
    At(Time),
    /// It is being tried, or its turn has come.
    Now,
    /// Its job was discarded: it is given up within the hour.
    Lost,
}

impl Sent {
    pub fn of(room: &Room, snapshot: &Snapshot<'_>, it: WebhookDelivery, held_since: Option<Time>) -> Result<Sent> {
        let next = match (it.state, it.job) {
            (WebhookDeliveryState::Delivered | WebhookDeliveryState::Failed, _) => Next::Never,
            (WebhookDeliveryState::Waiting, _) if held_since.is_some() => Next::Held,
            (WebhookDeliveryState::Waiting, None) => Next::Behind,
            (WebhookDeliveryState::Waiting, Some(_)) => match room.billing.next_webhook_try(snapshot, &it)? {
                Some(at) if at > snapshot.now() => Next::At(at),
                Some(_) => Next::Now,
                None => Next::Lost,
            },
        };
        Ok(Sent { it, next })
    }
}

/// A list's address, narrowed to a state and from an item on.
pub(super) fn address(path: &str, state: Option<WebhookDeliveryState>, cursor: Option<String>) -> String {
    let state = state.map(|state| ("state", state.as_str().to_owned()));
    let pairs: Vec<_> = state.into_iter().chain(cursor.map(|cursor| ("cursor", cursor))).collect();
    match pairs.is_empty() {
        true => path.to_owned(),
        false => format!("{path}?{}", form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()),
    }
}

/// What an event is about, and where that is.
pub fn about(kind: &EventType) -> (&'static str, &'static str) {
    match kind {
        EventType::InvoiceFinalized
        | EventType::InvoicePaid
        | EventType::InvoiceVoided
        | EventType::InvoiceUncollectible
        | EventType::InvoicePaymentFailed => ("Invoice", "/billing/invoices"),
        EventType::CreditNoteIssued => ("Credit note", "/billing/invoices"),
        EventType::SubscriptionCreated | EventType::SubscriptionUpdated | EventType::SubscriptionCancelled => {
            ("Subscription", "/billing/subscriptions")
        }
        EventType::PaymentRecorded | EventType::PaymentRefunded => ("Payment", "/billing/payments"),
    }
}

/// `GET /billing/events`
pub(super) async fn list(room: Room, request: Request) -> Result<Response> {
    let query: Result<ListQuery<BillingEvent>> = request.query();
    let look = |room: &Room, snapshot: &Snapshot<'_>, who: &Principal| {
        who.must_be_staff()?;
        let cursor = query?.cursor;
        let (is_first, billing) = (cursor.is_none(), room.billing);
        let fetch = |from, limit| billing.events(snapshot, from, limit);
        let (rows, next) = room.page_of(snapshot, who, cursor, fetch, |it: &BillingEvent| (it.id, it.user_id))?;
        Ok((rows, next, is_first))
    };
    let (viewer, (events, next, is_first)) = room.scan("billing_events_page", &request, look).await?;
    let first = (!is_first).then(|| address("/billing/events", None, None));
    let next = next.map(|next| address("/billing/events", None, Some(next)));
    page(&room, &request.head, &viewer, "Events", &Refusal::default(), &Events { events, first, next })
}

/// `GET /billing/events/{id}`
pub(super) async fn show_event(room: Room, request: Request<String>) -> Result<Response> {
    let id = BillingEventId::parse(&request.path, "event");
    let (viewer, content) = room
        .look("billing_event_page", &request, |room, snapshot, who| {
            who.must_be_staff()?;
            let billing = room.billing;
            let it = billing.event_of(snapshot, id?)?;
            let name = view::name_of(&room.managed(snapshot, who, Ok(it.user_id))?);
            let filter = WebhookDeliveryFilter { event: Some(it.id), ..WebhookDeliveryFilter::default() };
            let held_since = jobs::since_hold(snapshot)?;
            let sent = billing.webhook_deliveries(snapshot, &filter, None, AT_MOST)?.into_iter().map(|row| {
                let endpoint = billing.webhook_endpoint(snapshot, row.endpoint_id)?;
                Ok((Sent::of(room, snapshot, row, held_since)?, endpoint))
            });
            Ok(EventPage { sent: sent.collect::<Result<_>>()?, it, name })
        })
        .await?;
    page(&room, &request.head, &viewer, content.it.kind.as_str(), &Refusal::default(), &content)
}

/// `GET /billing/deliveries/{id}`
pub(super) async fn show(room: Room, request: Request<String>) -> Result<Response> {
    delivery_page(&room, &request, Refusal::default()).await
}

async fn delivery_page(room: &Room, request: &Request<String>, refused: Refusal) -> Result<Response> {
    let id = WebhookDeliveryId::parse(&request.path, "webhook delivery");
    let (viewer, (sent, event, endpoint, attempts, is_owner)) = room
        .look("billing_delivery_page", request, |room, snapshot, who| {
            who.must_be_staff()?;
            let billing = room.billing;
            let it = billing.webhook_delivery(snapshot, id?)?;
            let event = billing.event_of(snapshot, it.event_id)?;
            room.must_manage(snapshot, who, Ok(event.user_id))?;
            let endpoint = billing.webhook_endpoint(snapshot, it.endpoint_id)?;
            let attempts = billing.webhook_attempts(snapshot, it.id, ATTEMPTS)?;
            let sent = Sent::of(room, snapshot, it, jobs::since_hold(snapshot)?)?;
            Ok((sent, event, endpoint, attempts, who.is_owner()))
        })
        .await?;
    let title = event.kind.as_str();
    let done = view::done(&request.head);
    let content = DeliveryPage { sent, event, endpoint, attempts, is_owner, done, refused: &refused };
    page(room, &request.head, &viewer, title, &refused, &content)
}

/// `POST /billing/deliveries/{id}/repeat`
pub(super) async fn repeat(room: Room, request: Request<String>) -> Result<Response> {
    let who = room.platform.principal(&request).await?;
    who.must_be_owner()?;
    let id = WebhookDeliveryId::parse(&request.path, "webhook delivery")?;
    let repeat = room.change("repeat_webhook_delivery", request.caller(&who), move |room, work| {
        room.billing.repeat_webhook_delivery(work, id)
    });
    match repeat.await {
        Ok(_) => answers::see_other(&format!("/billing/deliveries/{id}?done=delivery-repeated")),
        Err(error) => delivery_page(&room, &request, Refusal::of(error)?.only(&[])).await,
    }
}
