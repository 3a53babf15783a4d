//! Subscriptions: all of them, and one with its time line.

use askama::Template;
use warp::reply::Response;

use super::{ListQuery, Of, Room, page, subscription_of, view};
use crate::modules::billing::{Invoice, InvoiceFilter, Price, Subscription, SubscriptionEvent, SubscriptionState};
use crate::platform::auth::Principal;
use crate::platform::db::Snapshot;
use crate::platform::error::Result;
use crate::platform::http::{Refusal, Request, answers};

/// Events of the time line.
const EVENTS: u32 = 200;
const INVOICES: u32 = 50;

/// A subscription with what its ids mean.
pub(super) struct Shown {
    pub it: Subscription,
    pub product: String,
    pub price: Price,
    /// From the end of the period on.
    pub next: Option<(Price, u32)>,
    pub monthly_minor: i64,
}

impl Shown {
    pub fn of(room: &Room, snapshot: &Snapshot<'_>, it: Subscription) -> Result<Shown> {
        let billing = room.billing;
        let price = billing.price(snapshot, it.price_id)?;
        let next = it.next.map(|(id, seats)| Ok((billing.price(snapshot, id)?, seats))).transpose()?;
        let product = billing.product(snapshot, price.product_id)?.name;
        let monthly_minor = billing.monthly(snapshot, &it)?;
        Ok(Shown { it, product, price, next, monthly_minor })
    }
}

#[derive(Template)]
#[template(path = "modules/billing/pages/templates/subscriptions.html", config = "src/askama.toml")]
struct Subscriptions {
    subscriptions: Vec<Of<Shown>>,
    is_first: bool,
    next: Option<String>,
}

#[derive(Template)]
#[template(path = "modules/billing/pages/templates/subscription.html", config = "src/askama.toml")]
struct SubscriptionPage<'a> {
    shown: Shown,
    name: String,
    events: Vec<SubscriptionEvent>,
    invoices: Vec<Invoice>,
    today: jiff::civil::Date,
    /// Whether the one who looks looks after it; else it is their own.
    manages: bool,
    done: Option<&'static str>,
    refused: &'a Refusal,
}

/// `GET /billing/subscriptions`
pub(super) async fn list(room: Room, request: Request) -> Result<Response> {
    let query: Result<ListQuery<Subscription>> = request.query();
    let look = |room: &Room, snapshot: &Snapshot<'_>, who: &Principal| {
        who.must_be_staff()?;
        let cursor = query?.cursor;
        let (is_first, billing) = (cursor.is_none(), room.billing);
        let fetch = |from, limit| billing.subscriptions(snapshot, None, from, limit);
        let (rows, next) = room.page_of(snapshot, who, cursor, fetch, |it: &Subscription| (it.id, it.user_id))?;
        let shown = |of: Of<Subscription>| {
            Ok(Of { it: Shown::of(room, snapshot, of.it)?, user: of.user, name: of.name, today: of.today })
        };
        Ok((rows.into_iter().map(shown).collect::<Result<Vec<_>>>()?, next, is_first))
    };
    let (viewer, (subscriptions, next, is_first)) = room.scan("billing_subscriptions_page", &request, look).await?;
    let next = next.map(|next| format!("/billing/subscriptions?cursor={next}"));
    let content = Subscriptions { subscriptions, is_first, next };
    page(&room, &request.head, &viewer, "Subscriptions", &Refusal::default(), &content)
}

/// `GET /billing/subscriptions/{id}`
pub(super) async fn show(room: Room, request: Request<String>) -> Result<Response> {
    subscription_page(&room, &request, Refusal::default()).await
}

async fn subscription_page(room: &Room, request: &Request<String>, refused: Refusal) -> Result<Response> {
    let id = subscription_of(request);
    let (viewer, (shown, name, events, invoices, today, manages)) = room
        .look("billing_subscription_page", request, |room, snapshot, who| {
            let billing = room.billing;
            let it = billing.subscription(snapshot, id?)?;
            room.must_see(snapshot, who, it.user_id, "subscription")?;
            let details = billing.details(snapshot, it.user_id)?;
            let events = billing.subscription_events(snapshot, it.id, EVENTS)?;
            let filter = InvoiceFilter { subscription: Some(it.id), ..InvoiceFilter::default() };
            let invoices = billing.invoices(snapshot, &filter, None, INVOICES)?;
            let manages = room.manages(snapshot, who, it.user_id)?;
            let today = details.today(snapshot.now());
            Ok((Shown::of(room, snapshot, it)?, view::name_of(&details), events, invoices, today, manages))
        })
        .await?;
    let title = format!("{} of {name}", shown.product);
    let done = view::done(&request.head);
    let content = SubscriptionPage { shown, name, events, invoices, today, manages, done, refused: &refused };
    page(room, &request.head, &viewer, &title, &refused, &content)
}

/// `POST /billing/subscriptions/{id}/pause`
pub(super) async fn pause(room: Room, request: Request<String>) -> Result<Response> {
    let who = room.platform.principal(&request).await?;
    who.must_be_staff()?;
    let id = subscription_of(&request)?;
    let paused = room.change("pause_subscription", request.caller(&who), move |room, work| {
        let subscription = room.billing.subscription(work, id)?;
        room.must_manage(work, &who, Ok(subscription.user_id))?;
        room.billing.pause_subscription(work, id, |_| Ok(()))
    });
    match paused.await {
        Ok(_) => answers::see_other(&format!("/billing/subscriptions/{id}?done=paused")),
        Err(error) => subscription_page(&room, &request, Refusal::of(error)?.only(&[])).await,
    }
}

impl Shown {
    fn can_change(&self) -> bool {
        matches!(self.it.state, SubscriptionState::Trial | SubscriptionState::Active | SubscriptionState::PastDue)
    }

    fn can_cancel(&self) -> bool {
        self.it.state == SubscriptionState::Paused || self.can_change() && !self.it.cancel_at_end
    }

    fn can_resume(&self) -> bool {
        self.it.state == SubscriptionState::Paused
            || self.can_change() && (self.it.cancel_at_end || self.next.is_some())
    }
}
