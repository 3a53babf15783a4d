//! `/api/billing/subscriptions`: who has subscribed to what. Members look after their own.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use warp::http::StatusCode;
use warp::reply::Response;

use super::documents::DocumentView;
use super::{
    Asked, Cursor, Limit, Principal, Request, Result, Room, Snapshot, UnitOfWork, answers, page, wanted_version,
};
use crate::modules::billing::invoices::document::Period;
use crate::modules::billing::rights::Sight;
use crate::modules::billing::{
    Cancellation, InvoiceId, Movement, NewSubscription, Outcome, PriceId, Subscription, SubscriptionChange,
    SubscriptionEvent, SubscriptionId, SubscriptionState,
};
use crate::platform::clock::Time;
use crate::platform::error::Error;
use crate::platform::ids::UserId;
use crate::platform::money::Money;

/// Events of one subscription that are shown.
const EVENTS: u32 = 1000;

/// What somebody has subscribed to.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Subscription)]
pub(super) struct View {
    #[schema(value_type = String, format = Uuid)]
    id: SubscriptionId,
    #[schema(value_type = String, format = Uuid)]
    user_id: UserId,
    #[schema(example = "team-monthly")]
    plan: String,
    #[schema(value_type = String, format = Uuid)]
    price_id: PriceId,
    seats: u32,
    state: SubscriptionState,
    /// Of months and years: the day on which periods begin.
    billing_day: i8,
    #[schema(value_type = String, format = Date)]
    started_on: Date,
    /// The first day that costs, of those with a trial.
    #[schema(value_type = Option<String>, format = Date)]
    trial_until: Option<Date>,
    /// What is billed now.
    period: Option<Period>,
    /// Whether it ends with its period.
    cancel_at_end: bool,
    /// From the end of the period on.
    next: Option<Next>,
    #[schema(value_type = Option<String>, format = Date)]
    ended_on: Option<Date>,
    /// What it brings a month.
    monthly: Money,
    created_at: Time,
    updated_at: Time,
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = NextSubscriptionPeriod)]
struct Next {
    plan: String,
    #[schema(value_type = String, format = Uuid)]
    price_id: PriceId,
    seats: u32,
}

/// What a wish has done, or would do.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = SubscriptionOutcome)]
pub(super) struct OutcomeView {
    subscription: View,
    /// The invoice or credit note that it has made; null in a preview, and where it makes none.
    #[schema(value_type = Option<String>, format = Uuid)]
    invoice_id: Option<InvoiceId>,
    /// What that says. A preview shows the very same, without a number.
    document: Option<DocumentView>,
}

#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct SubscriptionPage {
    /// Newest first.
    items: Vec<View>,
    #[schema(value_type = Option<String>)]
    next_cursor: Option<Cursor<Subscription>>,
}

/// Something that happened to a subscription.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = SubscriptionEvent)]
struct EventView {
    at: Time,
    /// The account's.
    #[schema(value_type = String, format = Date)]
    day: Date,
    /// `started`, `renewed`, `changed`, `paused`, `resumed`, `past_due`, `recovered`, `cancelled_at_end`, `cancelled`.
    kind: String,
    /// For people.
    detail: String,
    /// What it did to the monthly recurring revenue,
    movement: Option<Movement>,
    /// and how much.
    monthly_change: Money,
}

#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct SubscriptionEvents {
    /// Newest first, the latest 1000.
    items: Vec<EventView>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    #[serde(default)]
    limit: Limit,
    cursor: Option<Cursor<Subscription>>,
    user: Option<String>,
}

impl From<SubscriptionEvent> for EventView {
    fn from(event: SubscriptionEvent) -> EventView {
        EventView {
            at: event.at,
            day: event.day,
            kind: event.kind,
            detail: event.detail,
            movement: event.movement,
            monthly_change: Money::new(event.mrr_delta_minor, event.currency),
        }
    }
}

fn view(room: &Room, snapshot: &Snapshot<'_>, it: Subscription) -> Result<View> {
    let price = room.billing.price(snapshot, it.price_id)?;
    let monthly = Money::new(room.billing.monthly(snapshot, &it)?, price.currency);
    let next = it.next.map(|(price_id, seats)| {
        let plan = room.billing.price(snapshot, price_id)?.plan;
        Ok(Next { plan, price_id, seats })
    });
    Ok(View {
        id: it.id,
        user_id: it.user_id,
        plan: price.plan,
        price_id: it.price_id,
        seats: it.seats,
        state: it.state,
        billing_day: it.billing_day,
        started_on: it.started_on,
        trial_until: it.trial_until,
        period: it.period,
        cancel_at_end: it.cancel_at_end,
        next: next.transpose()?,
        ended_on: it.ended_on,
        monthly,
        created_at: it.created_at,
        updated_at: it.updated_at,
    })
}

fn outcome(room: &Room, snapshot: &Snapshot<'_>, outcome: Outcome) -> Result<OutcomeView> {
    let number = outcome.document.as_ref().map(|document| document.number.as_str()).filter(|number| !number.is_empty());
    let invoice = number.map(|number| room.billing.invoice_numbered(snapshot, number)).transpose()?.flatten();
    Ok(OutcomeView {
        subscription: view(room, snapshot, outcome.subscription)?,
        invoice_id: invoice.map(|invoice| invoice.id),
        document: outcome.document.map(DocumentView::from),
    })
}

/// One that `who` may see.
fn find(room: &Room, snapshot: &Snapshot<'_>, who: &Principal, id: Result<SubscriptionId>) -> Result<Subscription> {
    let subscription = room.billing.subscription(snapshot, id?)?;
    room.must_see(snapshot, who, subscription.user_id, "subscription")?;
    Ok(subscription)
}

fn id_of(request: &Request<String>) -> Result<SubscriptionId> {
    SubscriptionId::parse(&request.path, "subscription")
}

/// Whose subscription is wanted, if `who` may want it: a member has the price's trial, and no other.
fn subscriber(room: &Room, snapshot: &Snapshot<'_>, who: &Principal, new: &NewSubscription) -> Result<UserId> {
    let user = room.must_be_or_manage(snapshot, who, UserId::parse(&new.user_id, "billing account"))?;
    if !who.is_staff() && new.trial_days.is_some() {
        return Err(Error::Forbidden("another trial than the price's is for staff to give".into()));
    }
    Ok(user)
}

/// Refuses members what is staff's to give.
fn must_be_allowed(who: &Principal, wish: &Cancellation) -> Result<()> {
    if !who.is_staff() && wish.credit {
        return Err(Error::Forbidden("a credit for what is unused is for staff to give".into()));
    }
    Ok(())
}

/// Subscriptions; members see their own.
#[utoipa::path(
    get, path = "/api/billing/subscriptions", tag = "billing", operation_id = "list_subscriptions",
    security(("bearer" = [])),
    params(
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100),
        ("cursor" = Option<String>, Query),
        ("user" = Option<String>, Query, format = Uuid, description = "of this person alone"),
    ),
    responses((status = 200, body = SubscriptionPage), (status = 403, description = "someone one doesn't look after")),
)]
pub(super) async fn list(room: Room, request: Request) -> Result<Response> {
    let query = request.query();
    room.answer_list("list_subscriptions", &request, move |room, snapshot, who| {
        let ListQuery { limit, cursor, user } = query?;
        let user = room.whose(snapshot, who, user)?;
        let mut sight = Sight::new(room, snapshot, who);
        let list = |before, limit| room.billing.subscriptions(snapshot, user, before, limit);
        let may_see = |one: &Subscription| sight.reaches(one.user_id);
        let (items, next_cursor) = page(limit, cursor, |one: &Subscription| one.id, list, may_see)?;
        let items = items.into_iter().map(|one| view(room, snapshot, one)).collect::<Result<_>>()?;
        Ok(SubscriptionPage { items, next_cursor })
    })
    .await
}

/// Begins a subscription, and charges its first period unless that is a trial.
#[utoipa::path(
    post, path = "/api/billing/subscriptions", tag = "billing", operation_id = "begin_subscription",
    security(("bearer" = [])),
    request_body(content = NewSubscription, example = json!({
        "user_id": "0199a4d2-7c1e-7b3a-9f54-3d2c1b0a9f8e", "plan": "team-monthly", "seats": 3,
    })),
    responses(
        (status = 201, body = OutcomeView),
        (status = 403, description = "neither oneself nor someone one looks after; or of what is staff's to give"),
        (status = 404, description = "no such account"),
    ),
)]
pub(super) async fn begin(room: Room, mut request: Request) -> Result<Response> {
    let who = room.platform.principal(&request).await?;
    let (new, body): (NewSubscription, _) = request.json().await?;
    let asked = Asked { request: &request, who, body };
    room.make("begin_subscription", asked, StatusCode::CREATED, move |room, work, who| {
        let user = subscriber(room, work, who, &new)?;
        let begun = room.billing.subscribe(work, user, &new)?;
        outcome(room, work, begun)
    })
    .await
}

/// What beginning a subscription would make of it, and would charge.
#[utoipa::path(
    post, path = "/api/billing/subscriptions/preview", tag = "billing", operation_id = "preview_subscription",
    security(("bearer" = [])), request_body = NewSubscription,
    responses(
        (status = 200, body = OutcomeView),
        (status = 403, description = "neither oneself nor someone one looks after; or of what is staff's to give"),
        (status = 404, description = "no such account"),
    ),
)]
pub(super) async fn preview_begin(room: Room, mut request: Request) -> Result<Response> {
    room.platform.principal(&request).await?;
    let (new, _): (NewSubscription, _) = request.json().await?;
    room.answer("preview_subscription", &request, move |room, snapshot, who| {
        let user = subscriber(room, snapshot, who, &new)?;
        outcome(room, snapshot, room.billing.preview_subscribe(snapshot, user, &new)?)
    })
    .await
}

/// One subscription.
#[utoipa::path(
    get, path = "/api/billing/subscriptions/{id}", tag = "billing", operation_id = "show_subscription",
    security(("bearer" = [])), params(("id" = String, Path, format = Uuid)),
    responses(
        (status = 200, body = View, headers(("ETag" = String))),
        (status = 403, description = "someone's whom one doesn't look after"),
    ),
)]
pub(super) async fn show(room: Room, request: Request<String>) -> Result<Response> {
    let id = id_of(&request);
    let found = room.let_in("show_subscription", &request, move |room, snapshot, who| {
        let subscription = find(room, snapshot, who, id)?;
        Ok((subscription.version, view(room, snapshot, subscription)?))
    });
    let (_, (version, view)) = found.await?;
    answers::versioned(&view, version)
}

/// What happened to a subscription.
#[utoipa::path(
    get, path = "/api/billing/subscriptions/{id}/events", tag = "billing", operation_id = "list_subscription_events",
    security(("bearer" = [])), params(("id" = String, Path, format = Uuid)),
    responses(
        (status = 200, body = SubscriptionEvents),
        (status = 403, description = "someone's whom one doesn't look after"),
    ),
)]
pub(super) async fn events(room: Room, request: Request<String>) -> Result<Response> {
    let id = id_of(&request);
    room.answer("list_subscription_events", &request, move |room, snapshot, who| {
        let subscription = find(room, snapshot, who, id)?;
        let events = room.billing.subscription_events(snapshot, subscription.id, EVENTS)?;
        Ok(SubscriptionEvents { items: events.into_iter().map(EventView::from).collect() })
    })
    .await
}

/// Changes plan or seats: now, with what is unused credited and what is new charged by days, or at the end of the period.
#[utoipa::path(
    post, path = "/api/billing/subscriptions/{id}/changes", tag = "billing", operation_id = "change_subscription",
    security(("bearer" = [])), params(("id" = String, Path, format = Uuid), ("If-Match" = Option<String>, Header)),
    request_body(content = SubscriptionChange, example = json!({ "seats": 5, "when": "now" })),
    responses(
        (status = 200, body = OutcomeView),
        (status = 403, description = "someone's whom one doesn't look after"),
        (status = 409, description = "it has ended, or is paused"),
        (status = 412, description = "changed meanwhile"),
    ),
)]
pub(super) async fn change(room: Room, mut request: Request<String>) -> Result<Response> {
    let id = id_of(&request);
    let allowed =
        room.let_in("change_subscription", &request, move |room, snapshot, who| find(room, snapshot, who, id));
    let (who, Subscription { id, .. }) = allowed.await?;
    let (wish, body): (SubscriptionChange, _) = request.json().await?;
    let if_match = wanted_version(&request);
    let asked = Asked { request: &request, who, body };
    room.make("change_subscription", asked, StatusCode::OK, move |room, work, who| {
        let check = may_still(room, work, who, if_match);
        outcome(room, work, room.billing.change_subscription(work, id, &wish, check)?)
    })
    .await
}

/// What a change would make of it, and would charge or give back.
#[utoipa::path(
    post, path = "/api/billing/subscriptions/{id}/changes/preview", tag = "billing",
    operation_id = "preview_subscription_change", security(("bearer" = [])),
    params(("id" = String, Path, format = Uuid)), request_body = SubscriptionChange,
    responses(
        (status = 200, body = OutcomeView),
        (status = 403, description = "someone's whom one doesn't look after"),
        (status = 409, description = "it has ended, or is paused"),
    ),
)]
pub(super) async fn preview_change(room: Room, mut request: Request<String>) -> Result<Response> {
    room.platform.principal(&request).await?;
    let id = id_of(&request);
    let (wish, _): (SubscriptionChange, _) = request.json().await?;
    room.answer("preview_subscription_change", &request, move |room, snapshot, who| {
        let Subscription { id, .. } = find(room, snapshot, who, id)?;
        outcome(room, snapshot, room.billing.preview_change(snapshot, id, &wish)?)
    })
    .await
}

/// Ends a subscription: with its period, or now.
#[utoipa::path(
    post, path = "/api/billing/subscriptions/{id}/cancellation", tag = "billing", operation_id = "cancel_subscription",
    security(("bearer" = [])), params(("id" = String, Path, format = Uuid), ("If-Match" = Option<String>, Header)),
    request_body(content = Cancellation, example = json!({ "when": "period_end" })),
    responses(
        (status = 200, body = OutcomeView),
        (status = 403, description = "someone's whom one doesn't look after; or of what is staff's to give"),
        (status = 409, description = "it has ended, or will already"),
        (status = 412, description = "changed meanwhile"),
    ),
)]
pub(super) async fn cancel(room: Room, mut request: Request<String>) -> Result<Response> {
    let id = id_of(&request);
    let allowed =
        room.let_in("cancel_subscription", &request, move |room, snapshot, who| find(room, snapshot, who, id));
    let (who, Subscription { id, .. }) = allowed.await?;
    let (wish, body): (Cancellation, _) = request.json().await?;
    must_be_allowed(&who, &wish)?;
    let if_match = wanted_version(&request);
    let asked = Asked { request: &request, who, body };
    room.make("cancel_subscription", asked, StatusCode::OK, move |room, work, who| {
        let check = may_still(room, work, who, if_match);
        outcome(room, work, room.billing.cancel(work, id, &wish, check)?)
    })
    .await
}

/// What ending it would make of it, and would give back.
#[utoipa::path(
    post, path = "/api/billing/subscriptions/{id}/cancellation/preview", tag = "billing",
    operation_id = "preview_subscription_cancellation", security(("bearer" = [])),
    params(("id" = String, Path, format = Uuid)), request_body = Cancellation,
    responses(
        (status = 200, body = OutcomeView),
        (status = 403, description = "someone's whom one doesn't look after; or of what is staff's to give"),
        (status = 409, description = "it has ended, or will already"),
    ),
)]
pub(super) async fn preview_cancel(room: Room, mut request: Request<String>) -> Result<Response> {
    let who = room.platform.principal(&request).await?;
    let id = id_of(&request);
    let (wish, _): (Cancellation, _) = request.json().await?;
    must_be_allowed(&who, &wish)?;
    room.answer("preview_subscription_cancellation", &request, move |room, snapshot, who| {
        let Subscription { id, .. } = find(room, snapshot, who, id)?;
        outcome(room, snapshot, room.billing.preview_cancel(snapshot, id, &wish)?)
    })
    .await
}

/// Takes back a cancellation, or a change, at the end of the period.
#[utoipa::path(
    delete, path = "/api/billing/subscriptions/{id}/cancellation", tag = "billing",
    operation_id = "resume_subscription", security(("bearer" = [])),
    params(("id" = String, Path, format = Uuid), ("If-Match" = Option<String>, Header)),
    responses(
        (status = 200, body = OutcomeView),
        (status = 403, description = "someone's whom one doesn't look after"),
        (status = 409, description = "it has ended, is paused, or goes on anyway"),
        (status = 412, description = "changed meanwhile"),
    ),
)]
pub(super) async fn take_back(room: Room, request: Request<String>) -> Result<Response> {
    let id = id_of(&request);
    let allowed =
        room.let_in("resume_subscription", &request, move |room, snapshot, who| find(room, snapshot, who, id));
    let (who, Subscription { id, .. }) = allowed.await?;
    resume(&room, &request, who, id, false).await
}

/// Bills no further period until it goes on.
#[utoipa::path(
    post, path = "/api/billing/subscriptions/{id}/pause", tag = "billing", operation_id = "pause_subscription",
    security(("bearer" = [])), params(("id" = String, Path, format = Uuid), ("If-Match" = Option<String>, Header)),
    responses(
        (status = 200, body = OutcomeView),
        (status = 403, description = "not staff, or someone's whom one doesn't look after"),
        (status = 409, description = "it is not active"),
        (status = 412, description = "changed meanwhile"),
        (status = 413, description = "a body, where there should be none"),
    ),
)]
pub(super) async fn pause(room: Room, mut request: Request<String>) -> Result<Response> {
    let who = room.staff(&request).await?;
    let id = id_of(&request)?;
    let body = request.bytes(0).await?;
    let if_match = wanted_version(&request);
    let asked = Asked { request: &request, who, body };
    room.make("pause_subscription", asked, StatusCode::OK, move |room, work, who| {
        let check = may_still(room, work, who, if_match);
        outcome(room, work, room.billing.pause_subscription(work, id, check)?)
    })
    .await
}

/// Goes on after a pause: within the period that was paid for, or with a new one.
#[utoipa::path(
    delete, path = "/api/billing/subscriptions/{id}/pause", tag = "billing", operation_id = "unpause_subscription",
    security(("bearer" = [])), params(("id" = String, Path, format = Uuid), ("If-Match" = Option<String>, Header)),
    responses(
        (status = 200, body = OutcomeView),
        (status = 403, description = "not staff, or someone's whom one doesn't look after"),
        (status = 409, description = "it is not paused"),
        (status = 412, description = "changed meanwhile"),
    ),
)]
pub(super) async fn unpause(room: Room, request: Request<String>) -> Result<Response> {
    let who = room.staff(&request).await?;
    let id = id_of(&request)?;
    resume(&room, &request, who, id, true).await
}

async fn resume(
    room: &Room,
    request: &Request<String>,
    who: Principal,
    id: SubscriptionId,
    is_paused: bool,
) -> Result<Response> {
    let if_match = wanted_version(request);
    let resumed = room.alter("resume_subscription", request, who, move |room, work, who| {
        let may_still = may_still(room, work, who, if_match);
        let check = |now: &Subscription| {
            may_still(now)?;
            match (now.state == SubscriptionState::Paused, is_paused) {
                (true, false) => Err(Error::conflict("state", "this subscription is paused: end its pause")),
                (false, true) => Err(Error::conflict("state", "this subscription is not paused")),
                _ => Ok(()),
            }
        };
        outcome(room, work, room.billing.resume(work, id, check)?)
    });
    answers::json(StatusCode::OK, &resumed.await?)
}

/// Whether `who` may still do something to one, and it is still what they saw.
fn may_still<'a>(
    room: &'a Room,
    work: &'a UnitOfWork<'_>,
    who: &'a Principal,
    if_match: Option<String>,
) -> impl FnOnce(&Subscription) -> Result<()> + 'a {
    move |now| {
        room.must_see(work, who, now.user_id, "subscription")?;
        answers::check_if_match(if_match.as_deref(), now.version)
    }
}
