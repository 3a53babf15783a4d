//! `/api/billing/webhook-endpoints`, `events` and `webhook-deliveries`: staff see them, owners change them.

use serde::{Deserialize, Serialize};
use utoipa::OpenApi;
use warp::http::StatusCode;
use warp::path as at;
use warp::reply::Response;

use super::model::*;
use super::repository::DeliveryFilter;
use crate::modules::billing::Billing;
use crate::modules::billing::api::page;
use crate::modules::billing::rights::{Room, Sight};
use crate::platform::Platform;
use crate::platform::error::Result;
use crate::platform::http::{self, Cursor, Limit, Request, Routes, answers, on};
use crate::platform::ids::Id;

#[derive(OpenApi)]
#[openapi(
    paths(
        list_endpoints,
        add_endpoint,
        show_endpoint,
        edit_endpoint,
        delete_endpoint,
        replace_secret,
        list_events,
        show_event,
        list_deliveries,
        show_delivery,
        repeat_delivery,
    ),
    components(schemas(Endpoint, Event, EventType, Delivery, DeliveryState, Attempt))
)]
pub(in crate::modules::billing) struct EventsApi;

/// Tries of a delivery that are shown; in three days there are some twenty.
pub(in crate::modules::billing) const ATTEMPTS: u32 = 100;

pub(in crate::modules::billing) fn routes(room: &Room) -> Option<Routes> {
    let platform = &room.platform;
    http::either([
        on(platform).get(list_endpoints).post(add_endpoint).at(at!("api" / "billing" / "webhook-endpoints")),
        on(platform)
            .get(show_endpoint)
            .patch(edit_endpoint)
            .delete(delete_endpoint)
            .at(at!("api" / "billing" / "webhook-endpoints" / String)),
        on(platform).post(replace_secret).at(at!("api" / "billing" / "webhook-endpoints" / String / "secret")),
        on(room).get(list_events).at(at!("api" / "billing" / "events")),
        on(room).get(show_event).at(at!("api" / "billing" / "events" / String)),
        on(platform).get(list_deliveries).at(at!("api" / "billing" / "webhook-deliveries")),
        on(platform).get(show_delivery).at(at!("api" / "billing" / "webhook-deliveries" / String)),
        on(platform).post(repeat_delivery).at(at!("api" / "billing" / "webhook-deliveries" / String / "repetition")),
    ])
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, bound(deserialize = ""))]
struct ListQuery<T> {
    #[serde(default)]
    limit: Limit,
    #[serde(default = "none")]
    cursor: Option<Cursor<T>>,
}

fn none<T>() -> Option<T> {
    None
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeliveriesQuery {
    #[serde(default)]
    limit: Limit,
    cursor: Option<Cursor<Delivery>>,
    endpoint_id: Option<String>,
    event_id: Option<String>,
    state: Option<DeliveryState>,
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = WebhookEndpointPage)]
struct EndpointPage {
    /// Newest first.
    items: Vec<Endpoint>,
    #[schema(value_type = Option<String>)]
    next_cursor: Option<Cursor<Endpoint>>,
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = BillingEventPage)]
struct EventPage {
    /// Newest first.
    items: Vec<Event>,
    #[schema(value_type = Option<String>)]
    next_cursor: Option<Cursor<Event>>,
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = WebhookDeliveryPage)]
struct DeliveryPage {
    /// Newest first.
    items: Vec<Delivery>,
    #[schema(value_type = Option<String>)]
    next_cursor: Option<Cursor<Delivery>>,
}

/// A delivery and its tries.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = WebhookDeliveryWithAttempts)]
struct WithAttempts {
    delivery: Delivery,
    /// Latest first.
    attempts: Vec<Attempt>,
}

/// An endpoint with its secret, which is shown this once.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = WebhookEndpointWithSecret)]
struct WithSecret {
    endpoint: Endpoint,
    /// What its deliveries are signed with, as Standard Webhooks says.
    #[schema(example = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD")]
    secret: String,
}

/// What is there of a page that was asked for with one item more, and where it goes on.
fn cut<T, K>(mut items: Vec<T>, limit: u32, id: impl Fn(&T) -> Id<K>) -> (Vec<T>, Option<Cursor<K>>) {
    let more = items.len() > limit as usize;
    items.truncate(limit as usize);
    let next = items.last().filter(|_| more).map(|last| Cursor(id(last)));
    (items, next)
}

/// Where billing events are told to.
#[utoipa::path(
    get, path = "/api/billing/webhook-endpoints", tag = "billing", operation_id = "list_webhook_endpoints",
    security(("bearer" = [])),
    params(("limit" = Option<u32>, Query, minimum = 1, maximum = 100), ("cursor" = Option<String>, Query)),
    responses((status = 200, body = EndpointPage), (status = 403, description = "not staff")),
)]
async fn list_endpoints(platform: Platform, request: Request) -> Result<Response> {
    let query = request.query();
    let found = platform.read("list_webhook_endpoints", &request, move |snapshot, who| {
        who.must_be_staff()?;
        let ListQuery { limit: Limit(limit), cursor } = query?;
        let items = Billing.webhook_endpoints(snapshot, cursor.map(|Cursor(id)| id), limit + 1)?;
        let (items, next_cursor) = cut(items, limit, |one| one.id);
        Ok(EndpointPage { items, next_cursor })
    });
    answers::json(StatusCode::OK, &found.await?)
}

/// Has billing events told to an address from now on. The answer holds the secret they are signed with, this once.
#[utoipa::path(
    post, path = "/api/billing/webhook-endpoints", tag = "billing", operation_id = "add_webhook_endpoint",
    security(("bearer" = [])), request_body = NewEndpoint,
    responses(
        (status = 201, body = WithSecret),
        (status = 403, description = "not an owner"),
        (status = 409, description = "there are too many"),
    ),
)]
async fn add_endpoint(platform: Platform, mut request: Request) -> Result<Response> {
    let who = platform.principal(&request).await?;
    who.must_be_owner()?;
    let (new, body) = request.json::<NewEndpoint>().await?;
    let reach = platform.payments.webhooks;
    let saved = platform
        .write("add_webhook_endpoint", request.call(Some(&who))?.with_body(&body), move |work| {
            let (endpoint, secret) = Billing.add_webhook_endpoint(work, new, reach)?;
            Ok(WithSecret { endpoint, secret })
        })
        .await?;
    answers::saved(StatusCode::CREATED, &saved)
}

/// One endpoint, without its secret.
#[utoipa::path(
    get, path = "/api/billing/webhook-endpoints/{id}", tag = "billing", operation_id = "show_webhook_endpoint",
    security(("bearer" = [])), params(("id" = String, Path, format = Uuid)),
    responses(
        (status = 200, body = Endpoint, headers(("ETag" = String))),
        (status = 403, description = "not staff"),
    ),
)]
async fn show_endpoint(platform: Platform, request: Request<String>) -> Result<Response> {
    let id = EndpointId::parse(&request.path, "webhook endpoint");
    let endpoint = platform
        .read("show_webhook_endpoint", &request, move |snapshot, who| {
            who.must_be_staff()?;
            Billing.webhook_endpoint(snapshot, id?)
        })
        .await?;
    answers::versioned(&endpoint, endpoint.version)
}

/// Changes an endpoint, or switches it off and on.
#[utoipa::path(
    patch, path = "/api/billing/webhook-endpoints/{id}", tag = "billing", operation_id = "edit_webhook_endpoint",
    security(("bearer" = [])),
    params(("id" = String, Path, format = Uuid), ("If-Match" = Option<String>, Header)),
    request_body = EndpointChange,
    responses(
        (status = 200, body = Endpoint, headers(("ETag" = String))),
        (status = 403, description = "not an owner"),
        (status = 412, description = "changed meanwhile"),
    ),
)]
async fn edit_endpoint(platform: Platform, mut request: Request<String>) -> Result<Response> {
    let who = platform.principal(&request).await?;
    who.must_be_owner()?;
    let id = EndpointId::parse(&request.path, "webhook endpoint")?;
    let (change, _) = request.json::<EndpointChange>().await?;
    let if_match = request.if_match().map(str::to_owned);
    let reach = platform.payments.webhooks;
    let changed = platform.change("edit_webhook_endpoint", request.caller(&who), move |work| {
        let check = |now: &Endpoint| answers::check_if_match(if_match.as_deref(), now.version);
        Billing.change_webhook_endpoint(work, id, change, reach, check)
    });
    let endpoint = changed.await?;
    answers::versioned(&endpoint, endpoint.version)
}

/// Deletes an endpoint with its deliveries; what is on its way is not sent any more.
#[utoipa::path(
    delete, path = "/api/billing/webhook-endpoints/{id}", tag = "billing", operation_id = "delete_webhook_endpoint",
    security(("bearer" = [])),
    params(("id" = String, Path, format = Uuid), ("If-Match" = Option<String>, Header)),
    responses(
        (status = 204),
        (status = 403, description = "not an owner"),
        (status = 412, description = "changed meanwhile"),
    ),
)]
async fn delete_endpoint(platform: Platform, request: Request<String>) -> Result<Response> {
    let who = platform.principal(&request).await?;
    who.must_be_owner()?;
    let id = EndpointId::parse(&request.path, "webhook endpoint")?;
    let if_match = request.if_match().map(str::to_owned);
    platform
        .change("delete_webhook_endpoint", request.caller(&who), move |work| {
            let check = |now: &Endpoint| answers::check_if_match(if_match.as_deref(), now.version);
            Billing.delete_webhook_endpoint(work, id, check)
        })
        .await?;
    Ok(answers::no_content())
}

/// Gives an endpoint another secret. For a day, deliveries are signed with both.
#[utoipa::path(
    post, path = "/api/billing/webhook-endpoints/{id}/secret", tag = "billing", operation_id = "replace_webhook_secret",
    security(("bearer" = [])), params(("id" = String, Path, format = Uuid)),
    responses(
        (status = 201, body = WithSecret),
        (status = 403, description = "not an owner"),
        (status = 408, description = "a body that did not arrive, where there should be none"),
        (status = 413, description = "a body, where there should be none"),
    ),
)]
async fn replace_secret(platform: Platform, mut request: Request<String>) -> Result<Response> {
    let who = platform.principal(&request).await?;
    who.must_be_owner()?;
    let id = EndpointId::parse(&request.path, "webhook endpoint")?;
    let body = request.bytes(0).await?;
    let saved = platform
        .write("replace_webhook_secret", request.call(Some(&who))?.with_body(&body), move |work| {
            let (endpoint, secret) = Billing.replace_webhook_secret(work, id)?;
            Ok(WithSecret { endpoint, secret })
        })
        .await?;
    answers::saved(StatusCode::CREATED, &saved)
}

/// What happened in billing, of the last 30 days, where an endpoint wanted to know; to those whom one looks after.
#[utoipa::path(
    get, path = "/api/billing/events", tag = "billing", operation_id = "list_billing_events", security(("bearer" = [])),
    params(("limit" = Option<u32>, Query, minimum = 1, maximum = 100), ("cursor" = Option<String>, Query)),
    responses((status = 200, body = EventPage), (status = 403, description = "not staff")),
)]
async fn list_events(room: Room, request: Request) -> Result<Response> {
    let query = request.query();
    let it = room.clone();
    let found = room.platform.scan("list_billing_events", &request, move |snapshot, who| {
        who.must_be_staff()?;
        let ListQuery { limit, cursor } = query?;
        let mut sight = Sight::new(&it, snapshot, who);
        let list = |before, limit| Billing.events(snapshot, before, limit);
        let (items, next_cursor) = page(limit, cursor, |one| one.id, list, |one| sight.reaches(one.user_id))?;
        Ok(EventPage { items, next_cursor })
    });
    answers::json(StatusCode::OK, &found.await?)
}

/// One event, as it is sent.
#[utoipa::path(
    get, path = "/api/billing/events/{id}", tag = "billing", operation_id = "show_billing_event",
    security(("bearer" = [])), params(("id" = String, Path, format = Uuid)),
    responses(
        (status = 200, body = Event),
        (status = 403, description = "not staff, or of someone whom one doesn't look after"),
    ),
)]
async fn show_event(room: Room, request: Request<String>) -> Result<Response> {
    let id = EventId::parse(&request.path, "event");
    let it = room.clone();
    let found = room.platform.read("show_billing_event", &request, move |snapshot, who| {
        who.must_be_staff()?;
        let event = Billing.event_of(snapshot, id?)?;
        it.must_manage(snapshot, who, Ok(event.user_id))?;
        Ok(event)
    });
    answers::json(StatusCode::OK, &found.await?)
}

/// Events on their way to endpoints, and what became of them.
#[utoipa::path(
    get, path = "/api/billing/webhook-deliveries", tag = "billing", operation_id = "list_webhook_deliveries",
    security(("bearer" = [])),
    params(
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100),
        ("cursor" = Option<String>, Query),
        ("endpoint_id" = Option<String>, Query, format = Uuid),
        ("event_id" = Option<String>, Query, format = Uuid),
        ("state" = Option<DeliveryState>, Query),
    ),
    responses(
        (status = 200, body = DeliveryPage),
        (status = 403, description = "not staff"),
        (status = 404, description = "`endpoint_id` or `event_id` is no id"),
    ),
)]
async fn list_deliveries(platform: Platform, request: Request) -> Result<Response> {
    let query = request.query();
    let found = platform.read("list_webhook_deliveries", &request, move |snapshot, who| {
        who.must_be_staff()?;
        let DeliveriesQuery { limit: Limit(limit), cursor, endpoint_id, event_id, state } = query?;
        let endpoint = endpoint_id.map(|id| EndpointId::parse(&id, "webhook endpoint")).transpose()?;
        let event = event_id.map(|id| EventId::parse(&id, "event")).transpose()?;
        let filter = DeliveryFilter { endpoint, event, state };
        let items = Billing.webhook_deliveries(snapshot, &filter, cursor.map(|Cursor(id)| id), limit + 1)?;
        let (items, next_cursor) = cut(items, limit, |one| one.id);
        Ok(DeliveryPage { items, next_cursor })
    });
    answers::json(StatusCode::OK, &found.await?)
}

/// One delivery, and what came of each try.
#[utoipa::path(
    get, path = "/api/billing/webhook-deliveries/{id}", tag = "billing", operation_id = "show_webhook_delivery",
    security(("bearer" = [])), params(("id" = String, Path, format = Uuid)),
    responses((status = 200, body = WithAttempts), (status = 403, description = "not staff")),
)]
async fn show_delivery(platform: Platform, request: Request<String>) -> Result<Response> {
    let id = DeliveryId::parse(&request.path, "webhook delivery");
    let found = platform.read("show_webhook_delivery", &request, move |snapshot, who| {
        who.must_be_staff()?;
        let delivery = Billing.webhook_delivery(snapshot, id?)?;
        let attempts = Billing.webhook_attempts(snapshot, delivery.id, ATTEMPTS)?;
        Ok(WithAttempts { delivery, attempts })
    });
    answers::json(StatusCode::OK, &found.await?)
}

/// Delivers once more what was delivered or given up, under the same `webhook-id`.
#[utoipa::path(
    post, path = "/api/billing/webhook-deliveries/{id}/repetition", tag = "billing",
    operation_id = "repeat_webhook_delivery", security(("bearer" = [])), params(("id" = String, Path, format = Uuid)),
    responses(
        (status = 201, body = Delivery),
        (status = 403, description = "not an owner"),
        (status = 408, description = "a body that did not arrive, where there should be none"),
        (status = 409, description = "it is on its way, or its endpoint is switched off"),
        (status = 413, description = "a body, where there should be none"),
    ),
)]
async fn repeat_delivery(platform: Platform, mut request: Request<String>) -> Result<Response> {
    let who = platform.principal(&request).await?;
    who.must_be_owner()?;
    let id = DeliveryId::parse(&request.path, "webhook delivery")?;
    let body = request.bytes(0).await?;
    let saved = platform
        .write("repeat_webhook_delivery", request.call(Some(&who))?.with_body(&body), move |work| {
            Billing.repeat_webhook_delivery(work, id)
        })
        .await?;
    answers::saved(StatusCode::CREATED, &saved)
}
