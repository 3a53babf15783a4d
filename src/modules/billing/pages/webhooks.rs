//! Webhook endpoints: where events are told to. Staff see them, owners change them.

use askama::Template;
use serde::{Deserialize, Serialize};
use warp::http::StatusCode;
use warp::reply::Response;

use super::deliveries::{Next, Sent, about, address};
use super::typed::Typed;
use super::{ROWS, Room, must_still_be, page, view};
use crate::modules::billing::{
    BillingEventType as EventType, NewWebhookEndpoint, WebhookDelivery, WebhookDeliveryFilter, WebhookDeliveryState,
    WebhookEndpoint, WebhookEndpointChange, WebhookEndpointId,
};
use crate::platform::clock::Time;
use crate::platform::db::UnitOfWork;
use crate::platform::error::Result;
use crate::platform::http::{Cursor, Refusal, Request, answers};
use crate::platform::jobs;

/// More than one unit may have.
const AT_MOST: u32 = 100;
const FIELDS: [&str; 2] = ["url", "description"];

#[derive(Template)]
#[template(path = "modules/billing/pages/templates/webhooks.html", config = "src/askama.toml")]
struct Webhooks {
    endpoints: Vec<WebhookEndpoint>,
    held_since: Option<Time>,
    is_owner: bool,
    done: Option<&'static str>,
}

#[derive(Template)]
#[template(path = "modules/billing/pages/templates/webhook.html", config = "src/askama.toml")]
struct EndpointPage<'a> {
    it: WebhookEndpoint,
    sent: Vec<Sent>,
    state: Option<WebhookDeliveryState>,
    first: Option<String>,
    next: Option<String>,
    held_since: Option<Time>,
    is_owner: bool,
    done: Option<&'static str>,
    refused: &'a Refusal,
}

#[derive(Template)]
#[template(path = "modules/billing/pages/templates/webhook_form.html", config = "src/askama.toml")]
struct FormPage<'a> {
    /// None for a new one.
    it: Option<WebhookEndpoint>,
    typed: Typed,
    refused: &'a Refusal,
}

#[derive(Template)]
#[template(path = "modules/billing/pages/templates/webhook_secret.html", config = "src/askama.toml")]
struct SecretPage {
    it: Secret,
    title: &'static str,
    is_new: bool,
}

/// A secret, while it is shown.
#[derive(Serialize, Deserialize)]
struct Secret {
    endpoint: String,
    url: String,
    secret: String,
}

#[derive(Template)]
#[template(path = "modules/billing/pages/templates/webhook_confirm.html", config = "src/askama.toml")]
struct Confirm<'a> {
    it: WebhookEndpoint,
    wish: Wish,
    typed: Typed,
    refused: &'a Refusal,
}

/// What is asked for once more before it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    Remove,
    NewSecret,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Query {
    state: String,
    cursor: Option<Cursor<WebhookDelivery>>,
    #[serde(rename = "done")]
    _done: Option<String>,
}

fn id_of(request: &Request<String>) -> Result<WebhookEndpointId> {
    WebhookEndpointId::parse(&request.path, "webhook endpoint")
}

/// `GET /billing/webhooks`
pub(super) async fn list(room: Room, request: Request) -> Result<Response> {
    let (viewer, (endpoints, held_since, is_owner)) = room
        .look("billing_webhooks_page", &request, |room, snapshot, who| {
            who.must_be_staff()?;
            let endpoints = room.billing.webhook_endpoints(snapshot, None, AT_MOST)?;
            Ok((endpoints, jobs::since_hold(snapshot)?, who.is_owner()))
        })
        .await?;
    let content = Webhooks { endpoints, held_since, is_owner, done: view::done(&request.head) };
    page(&room, &request.head, &viewer, "Webhooks", &Refusal::default(), &content)
}

/// `GET /billing/webhooks/{id}?state=failed`
pub(super) async fn show(room: Room, request: Request<String>) -> Result<Response> {
    let query = request.query();
    endpoint_page(&room, &request, query, Refusal::default()).await
}

async fn endpoint_page(
    room: &Room,
    request: &Request<String>,
    query: Result<Query>,
    refused: Refusal,
) -> Result<Response> {
    let id = id_of(request);
    let (viewer, (it, sent, state, first, next, held_since, is_owner)) = room
        .look("billing_webhook_page", request, |room, snapshot, who| {
            who.must_be_staff()?;
            let it = room.billing.webhook_endpoint(snapshot, id?)?;
            let Query { state, cursor, .. } = query?;
            let state = WebhookDeliveryState::ALL.into_iter().find(|known| known.as_str() == state);
            let filter = WebhookDeliveryFilter { endpoint: Some(it.id), state, event: None };
            let path = |cursor| address(&format!("/billing/webhooks/{}", it.id), state, cursor);
            let first = cursor.as_ref().map(|_| path(None));
            let before = cursor.map(|Cursor(id)| id);
            let mut rows = room.billing.webhook_deliveries(snapshot, &filter, before, ROWS + 1)?;
            let more = rows.len() > ROWS as usize;
            rows.truncate(ROWS as usize);
            let next = rows.last().filter(|_| more).map(|last| path(Some(Cursor(last.id).text())));
            let held_since = jobs::since_hold(snapshot)?;
            let sent = rows.into_iter().map(|row| Sent::of(room, snapshot, row, held_since));
            Ok((it, sent.collect::<Result<_>>()?, state, first, next, held_since, who.is_owner()))
        })
        .await?;
    let title = it.url.clone();
    let done = view::done(&request.head);
    let content = EndpointPage { it, sent, state, first, next, held_since, is_owner, done, refused: &refused };
    page(room, &request.head, &viewer, &title, &refused, &content)
}

/// `GET /billing/webhooks/add`
pub(super) async fn show_add(room: Room, request: Request) -> Result<Response> {
    add_page(&room, &request, None, Refusal::default()).await
}

async fn add_page(room: &Room, request: &Request, typed: Option<Typed>, refused: Refusal) -> Result<Response> {
    let (viewer, now) = room
        .look("add_billing_webhook_page", request, |_, snapshot, who| {
            who.must_be_owner()?;
            Ok(snapshot.now())
        })
        .await?;
    // A key of its own each time, so that a form that was refused can be sent again with something else.
    let typed = typed.map_or_else(|| Typed::fresh(now, []), |typed| typed.renewed(now));
    let content = FormPage { it: None, typed, refused: &refused };
    page(room, &request.head, &viewer, "Add an endpoint", &refused, &content)
}

/// `POST /billing/webhooks/add`: answers with the secret, this once.
pub(super) async fn add(room: Room, mut request: Request) -> Result<Response> {
    let who = room.platform.principal(&request).await?;
    who.must_be_owner()?;
    let typed: Typed = request.form().await?;
    let (url, description) = (typed.text("url").to_owned(), typed.some("description"));
    let new = NewWebhookEndpoint { url, description, event_types: wanted(&typed) };
    let reach = room.platform.payments.webhooks;
    let added = room.once("add_webhook_endpoint", &request, &who, &typed, move |room, work| {
        room.billing.add_webhook_endpoint(work, new, reach).map(Secret::of)
    });
    match added.await {
        Ok(secret) => secret_page(&room, &request, secret, true).await,
        Err(error) => add_page(&room, &request, Some(typed), Refusal::of(error)?.only(&FIELDS)).await,
    }
}

async fn secret_page<P>(room: &Room, request: &Request<P>, it: Secret, is_new: bool) -> Result<Response> {
    let (viewer, ()) = room.look("billing_webhook_secret_page", request, |_, _, who| who.must_be_owner()).await?;
    let title = if is_new { "The endpoint is added" } else { "The endpoint has another secret" };
    let content = SecretPage { it, title, is_new };
    let mut response = page(room, &request.head, &viewer, title, &Refusal::default(), &content)?;
    *response.status_mut() = StatusCode::CREATED;
    Ok(response)
}

/// `GET /billing/webhooks/{id}/edit`
pub(super) async fn show_edit(room: Room, request: Request<String>) -> Result<Response> {
    edit_page(&room, &request, None, Refusal::default()).await
}

async fn edit_page(room: &Room, request: &Request<String>, typed: Option<Typed>, refused: Refusal) -> Result<Response> {
    let id = id_of(request);
    let (viewer, (it, now)) = room
        .look("edit_billing_webhook_page", request, |room, snapshot, who| {
            who.must_be_owner()?;
            Ok((room.billing.webhook_endpoint(snapshot, id?)?, snapshot.now()))
        })
        .await?;
    let typed = typed.unwrap_or_else(|| {
        let description = it.description.clone().unwrap_or_default();
        let fields = [("url", it.url.clone()), ("description", description), ("version", it.version.to_string())];
        let wanted = it.event_types.iter().map(|kind| (kind.as_str(), "true".to_owned()));
        Typed::fresh(now, fields.into_iter().chain(wanted))
    });
    let content = FormPage { it: Some(it), typed, refused: &refused };
    page(room, &request.head, &viewer, "Edit an endpoint", &refused, &content)
}

/// `POST /billing/webhooks/{id}/edit`
pub(super) async fn edit(room: Room, mut request: Request<String>) -> Result<Response> {
    let who = room.platform.principal(&request).await?;
    who.must_be_owner()?;
    let id = id_of(&request)?;
    let typed: Typed = request.form().await?;
    let change = WebhookEndpointChange {
        url: typed.all("url"),
        description: typed.all("description"),
        event_types: Some(wanted(&typed)),
        is_active: None,
    };
    let (form, reach) = (typed.clone(), room.platform.payments.webhooks);
    let edited = room.change("edit_webhook_endpoint", request.caller(&who), move |room, work| {
        room.billing.change_webhook_endpoint(work, id, change, reach, |now| must_still_be(&form, now.version))
    });
    match edited.await {
        Ok(_) => answers::see_other(&format!("/billing/webhooks/{id}?done=endpoint-saved")),
        Err(error) => edit_page(&room, &request, Some(typed), Refusal::of(error)?.only(&FIELDS)).await,
    }
}

/// `POST /billing/webhooks/{id}/pause`
pub(super) async fn pause(room: Room, request: Request<String>) -> Result<Response> {
    switch(room, request, false, "endpoint-paused").await
}

/// `POST /billing/webhooks/{id}/resume`
pub(super) async fn resume(room: Room, request: Request<String>) -> Result<Response> {
    switch(room, request, true, "endpoint-resumed").await
}

async fn switch(room: Room, mut request: Request<String>, on: bool, done: &str) -> Result<Response> {
    let who = room.platform.principal(&request).await?;
    who.must_be_owner()?;
    let id = id_of(&request)?;
    let typed: Typed = request.form().await?;
    let reach = room.platform.payments.webhooks;
    let switched = room.change("edit_webhook_endpoint", request.caller(&who), move |room, work| {
        let change = WebhookEndpointChange { is_active: Some(on), ..WebhookEndpointChange::default() };
        room.billing.change_webhook_endpoint(work, id, change, reach, |now| must_still_be(&typed, now.version))
    });
    match switched.await {
        Ok(_) => answers::see_other(&format!("/billing/webhooks/{id}?done={done}")),
        Err(error) => endpoint_page(&room, &request, Ok(Query::default()), Refusal::of(error)?.only(&[])).await,
    }
}

/// `GET /billing/webhooks/{id}/remove`
pub(super) async fn show_remove(room: Room, request: Request<String>) -> Result<Response> {
    confirm_page(&room, &request, Wish::Remove, Refusal::default()).await
}

/// `POST /billing/webhooks/{id}/remove`
pub(super) async fn remove(room: Room, mut request: Request<String>) -> Result<Response> {
    let who = room.platform.principal(&request).await?;
    who.must_be_owner()?;
    let id = id_of(&request)?;
    let typed: Typed = request.form().await?;
    let removed = room.change("delete_webhook_endpoint", request.caller(&who), move |room, work| {
        room.billing.delete_webhook_endpoint(work, id, |now| must_still_be(&typed, now.version))
    });
    match removed.await {
        Ok(()) => answers::see_other("/billing/webhooks?done=endpoint-removed"),
        Err(error) => confirm_page(&room, &request, Wish::Remove, Refusal::of(error)?.only(&[])).await,
    }
}

/// `GET /billing/webhooks/{id}/secret`
pub(super) async fn show_secret(room: Room, request: Request<String>) -> Result<Response> {
    confirm_page(&room, &request, Wish::NewSecret, Refusal::default()).await
}

/// `POST /billing/webhooks/{id}/secret`: answers with the new one, this once.
pub(super) async fn replace_secret(room: Room, mut request: Request<String>) -> Result<Response> {
    let who = room.platform.principal(&request).await?;
    who.must_be_owner()?;
    let id = id_of(&request)?;
    let typed: Typed = request.form().await?;
    let form = typed.clone();
    let replace = move |room: &Room, work: &UnitOfWork<'_>| {
        must_still_be(&form, room.billing.webhook_endpoint(work, id)?.version)?;
        room.billing.replace_webhook_secret(work, id).map(Secret::of)
    };
    match room.once("replace_webhook_secret", &request, &who, &typed, replace).await {
        Ok(secret) => secret_page(&room, &request, secret, false).await,
        Err(error) => confirm_page(&room, &request, Wish::NewSecret, Refusal::of(error)?.only(&[])).await,
    }
}

async fn confirm_page(room: &Room, request: &Request<String>, wish: Wish, refused: Refusal) -> Result<Response> {
    let id = id_of(request);
    let (viewer, (it, now)) = room
        .look("confirm_billing_webhook_page", request, |room, snapshot, who| {
            who.must_be_owner()?;
            Ok((room.billing.webhook_endpoint(snapshot, id?)?, snapshot.now()))
        })
        .await?;
    let typed = Typed::fresh(now, [("version", it.version.to_string())]);
    page(room, &request.head, &viewer, wish.title(), &refused, &Confirm { it, wish, typed, refused: &refused })
}

/// The types that were ticked.
fn wanted(typed: &Typed) -> Vec<EventType> {
    EventType::ALL.into_iter().filter(|kind| typed.is(kind.as_str(), "true")).collect()
}

impl Secret {
    fn of((endpoint, secret): (WebhookEndpoint, String)) -> Secret {
        Secret { endpoint: endpoint.id.to_string(), url: endpoint.url, secret }
    }
}

impl Wish {
    fn is_removal(self) -> bool {
        self == Wish::Remove
    }

    fn title(self) -> &'static str {
        match self {
            Wish::Remove => "Remove this endpoint?",
            Wish::NewSecret => "Give it another secret?",
        }
    }

    fn text(self) -> &'static str {
        match self {
            Wish::Remove => {
                "Nothing is told there any more: what is on its way is not sent, and its deliveries are forgotten. To \
                 stop for a while, pause it."
            }
            Wish::NewSecret => {
                "The new one is shown once, on the next page. For a day deliveries are signed with both, so that there is \
                 time to set it where they arrive."
            }
        }
    }
}
