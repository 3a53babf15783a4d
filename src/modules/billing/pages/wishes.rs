//! What can be wished of a subscription: each is shown with the exact document that it makes before it is carried out,
//! and only what was shown is carried out.

use askama::Template;
use warp::reply::Response;

use super::subscriptions::Shown;
use super::typed::Typed;
use super::{Room, must_still_be, page, subscription_of, user_of, view};
use crate::modules::billing::model::Details;
use crate::modules::billing::{
    Cancellation, NewSubscription, Outcome, Price, SubscriptionChange, SubscriptionId, SubscriptionState, When,
};
use crate::platform::auth::Principal;
use crate::platform::db::{Snapshot, UnitOfWork};
use crate::platform::error::{Error, Result};
use crate::platform::http::{Refusal, Request, answers};
use crate::platform::ids::UserId;

/// Plans to choose from, at most.
const AT_MOST: u32 = 500;
const FIELDS: [&str; 6] = ["plan", "seats", "when", "billing_day", "trial_days", "credit"];

#[derive(Debug, Clone, Copy)]
enum Wish {
    Subscribe(UserId),
    Change(SubscriptionId),
    Cancel(SubscriptionId),
    Resume(SubscriptionId),
}

#[derive(Template)]
#[template(path = "modules/billing/pages/templates/wish.html", config = "src/askama.toml")]
struct WishPage<'a> {
    wish: Wish,
    title: &'static str,
    details: Details,
    name: String,
    /// What there is already, unless it is to begin.
    shown: Option<Shown>,
    offers: Vec<Offer>,
    manages: bool,
    typed: Typed,
    foreseen: Option<Foreseen>,
    refused: &'a Refusal,
}

/// A plan that can be chosen.
struct Offer {
    price: Price,
    product: String,
}

/// What it would do.
struct Foreseen {
    outcome: Outcome,
    price: Price,
    seal: String,
}

macro_rules! handlers {
    ($($show:ident $post:ident $wish:ident $of:ident;)+) => {$(
        pub(super) async fn $show(room: Room, request: Request<String>) -> Result<Response> {
            let wish = $of(&request).map(Wish::$wish);
            wish_page(&room, &request, wish, Typed::query(&request.head.query), Refusal::default()).await
        }

        pub(super) async fn $post(room: Room, mut request: Request<String>) -> Result<Response> {
            let who = room.platform.principal(&request).await?;
            let wish = Wish::$wish($of(&request)?);
            let typed = request.form().await?;
            carry_out(&room, &request, &who, wish, typed).await
        }
    )+};
}

handlers! {
    show_subscribe subscribe Subscribe user_of;
    show_change change Change subscription_of;
    show_cancel cancel Cancel subscription_of;
    show_resume resume Resume subscription_of;
}

/// `GET /billing/me/subscribe`
pub(super) async fn show_own_subscribe(room: Room, request: Request) -> Result<Response> {
    let who = room.platform.principal(&request).await?;
    let typed = Typed::query(&request.head.query);
    wish_page(&room, &request, Ok(Wish::Subscribe(who.user)), typed, Refusal::default()).await
}

/// `POST /billing/me/subscribe`
pub(super) async fn own_subscribe(room: Room, mut request: Request) -> Result<Response> {
    let who = room.platform.principal(&request).await?;
    let typed = request.form().await?;
    carry_out(&room, &request, &who, Wish::Subscribe(who.user), typed).await
}

async fn wish_page<P>(
    room: &Room,
    request: &Request<P>,
    wish: Result<Wish>,
    typed: Typed,
    refused: Refusal,
) -> Result<Response> {
    let look = move |room: &Room, snapshot: &Snapshot<'_>, who: &Principal| {
        let wish = wish?;
        let billing = room.billing;
        let before = wish.subscription().map(|id| billing.subscription(snapshot, id)).transpose()?;
        let user = match (&before, wish) {
            (Some(before), _) => before.user_id,
            (None, Wish::Subscribe(user)) => user,
            (None, _) => return Err(Error::NotFound("subscription")),
        };
        room.must_see(snapshot, who, user, "subscription")?;
        let (details, manages) = (billing.details(snapshot, user)?, room.manages(snapshot, who, user)?);
        let offers = offers(room, snapshot, &details)?;
        let version = before.as_ref().map_or(0, |before| before.version);
        let shown = before.map(|before| Shown::of(room, snapshot, before)).transpose()?;
        let mut form = Typed::fresh(snapshot.now(), [("version", version.to_string())]);
        for field in FIELDS {
            match (typed.all(field), &shown) {
                (Some(value), _) => form.set(field, value),
                (None, Some(shown)) if field == "plan" => form.set(field, &shown.price.plan),
                (None, Some(shown)) if field == "seats" => form.set(field, shown.it.seats.to_string()),
                (None, None) if field == "seats" => form.set(field, "1"),
                _ => {}
            }
        }
        // Whoever wishes to resume has chosen all there is to choose.
        let is_chosen = typed.has("plan") || typed.has("when") || matches!(wish, Wish::Resume(_));
        let foreseen = match is_chosen {
            true => wish.foresee(room, snapshot, &form, manages).map(Some),
            false => Ok(None),
        };
        Ok((wish, details, manages, offers, shown, form, foreseen))
    };
    let (viewer, (wish, details, manages, offers, shown, typed, foreseen)) =
        room.look("billing_wish_page", request, look).await?;
    // What was refused before stands above what would be refused now.
    let (foreseen, refused) = match foreseen {
        Ok(foreseen) => (foreseen, refused),
        Err(_) if !refused.is_none() => (None, refused),
        Err(error) => (None, Refusal::of(error)?.only(&FIELDS)),
    };
    let (title, name) = (wish.title(), view::name_of(&details));
    let content = WishPage { wish, title, details, name, shown, offers, manages, typed, foreseen, refused: &refused };
    page(room, &request.head, &viewer, title, &refused, &content)
}

async fn carry_out<P>(
    room: &Room,
    request: &Request<P>,
    who: &Principal,
    wish: Wish,
    typed: Typed,
) -> Result<Response> {
    let (form, by) = (typed.clone(), *who);
    let carried = room.once("billing_wish", request, who, &typed, move |room, work| {
        let user = match wish.subscription() {
            Some(id) => room.billing.subscription(work, id)?.user_id,
            None => wish.user().ok_or(Error::NotFound("billing account"))?,
        };
        room.must_see(work, &by, user, "subscription")?;
        let manages = room.manages(work, &by, user)?;
        let outcome = wish.carry_out(room, work, &form, manages)?;
        if view::seal(outcome.document.as_ref())? != form.text("seal") {
            let detail = "what it makes is another by now: look at it again";
            return Err(Error::Conflict { field: None, detail: detail.into() });
        }
        Ok(format!("/billing/subscriptions/{}?done={}", outcome.subscription.id, wish.done(&form)))
    });
    match carried.await {
        Ok(location) => answers::see_other(&location),
        Err(error) => {
            let refused = Refusal::of(error)?.only(&FIELDS);
            wish_page(room, request, Ok(wish), typed, refused).await
        }
    }
}

/// The plans that are sold in an account's currency.
fn offers(room: &Room, snapshot: &Snapshot<'_>, details: &Details) -> Result<Vec<Offer>> {
    let mut offers = Vec::new();
    for price in room.billing.prices(snapshot, None, None, AT_MOST)? {
        let product = room.billing.product(snapshot, price.product_id)?;
        if price.is_active && product.is_active && price.currency == details.account.currency {
            offers.push(Offer { price, product: product.name });
        }
    }
    offers.sort_by(|a, b| (&a.product, &a.price.plan).cmp(&(&b.product, &b.price.plan)));
    Ok(offers)
}

impl Wish {
    fn subscription(self) -> Option<SubscriptionId> {
        match self {
            Wish::Subscribe(_) => None,
            Wish::Change(id) | Wish::Cancel(id) | Wish::Resume(id) => Some(id),
        }
    }

    fn user(self) -> Option<UserId> {
        if let Wish::Subscribe(user) = self { Some(user) } else { None }
    }

    fn title(self) -> &'static str {
        match self {
            Wish::Subscribe(_) => "Begin a subscription",
            Wish::Change(_) => "Change the subscription",
            Wish::Cancel(_) => "Cancel the subscription",
            Wish::Resume(_) => "Resume the subscription",
        }
    }

    /// What is at stake, for the button that does it.
    fn verb(self) -> &'static str {
        match self {
            Wish::Subscribe(_) => "Begin it",
            Wish::Change(_) => "Change it",
            Wish::Cancel(_) => "Cancel it",
            Wish::Resume(_) => "Resume it",
        }
    }

    fn done(self, typed: &Typed) -> &'static str {
        match (self, typed.is("when", "period_end")) {
            (Wish::Subscribe(_), _) => "subscribed",
            (Wish::Change(_), false) => "changed",
            (Wish::Change(_), true) => "changed-at-end",
            (Wish::Cancel(_), false) => "cancelled",
            (Wish::Cancel(_), true) => "cancelled-at-end",
            (Wish::Resume(_), _) => "resumed",
        }
    }

    fn is_subscribe(&self) -> bool {
        matches!(self, Wish::Subscribe(_))
    }

    fn is_change(&self) -> bool {
        matches!(self, Wish::Change(_))
    }

    fn is_cancel(&self) -> bool {
        matches!(self, Wish::Cancel(_))
    }

    fn foresee(self, room: &Room, snapshot: &Snapshot<'_>, typed: &Typed, manages: bool) -> Result<Foreseen> {
        let billing = room.billing;
        let outcome = match self {
            Wish::Subscribe(user) => {
                let new = beginning(room, snapshot, user, typed, manages)?;
                billing.preview_subscribe(snapshot, user, &new)?
            }
            Wish::Change(id) => billing.preview_change(snapshot, id, &change_of(typed)?)?,
            Wish::Cancel(id) => billing.preview_cancel(snapshot, id, &cancellation(typed, manages))?,
            Wish::Resume(id) => billing.preview_resume(snapshot, id)?,
        };
        let price =
            billing.price(snapshot, outcome.subscription.next.map_or(outcome.subscription.price_id, |(id, _)| id))?;
        let seal = view::seal(outcome.document.as_ref())?;
        Ok(Foreseen { outcome, price, seal })
    }

    fn carry_out(self, room: &Room, work: &UnitOfWork<'_>, typed: &Typed, manages: bool) -> Result<Outcome> {
        let billing = room.billing;
        let check = |version| must_still_be(typed, version);
        match self {
            Wish::Subscribe(user) => {
                let new = beginning(room, work, user, typed, manages)?;
                billing.subscribe(work, user, &new)
            }
            Wish::Change(id) => billing.change_subscription(work, id, &change_of(typed)?, |now| check(now.version)),
            Wish::Cancel(id) => billing.cancel(work, id, &cancellation(typed, manages), |now| check(now.version)),
            Wish::Resume(id) => billing.resume(work, id, |now| check(now.version)),
        }
    }
}

fn beginning(
    room: &Room,
    snapshot: &Snapshot<'_>,
    user: UserId,
    typed: &Typed,
    manages: bool,
) -> Result<NewSubscription> {
    // Of their own accord people have one trial, and no say in its length.
    let had_one = || Ok::<_, Error>(!room.billing.subscriptions(snapshot, Some(user), None, 1)?.is_empty());
    Ok(NewSubscription {
        user_id: user.to_string(),
        plan: typed.text("plan").to_owned(),
        seats: typed.number("seats")?.unwrap_or(1),
        billing_day: if manages { typed.number("billing_day")? } else { None },
        trial_days: if manages { typed.number("trial_days")? } else { had_one()?.then_some(0) },
    })
}

fn change_of(typed: &Typed) -> Result<SubscriptionChange> {
    Ok(SubscriptionChange { plan: typed.some("plan"), seats: typed.number("seats")?, when: when_of(typed) })
}

/// Whether what is unused comes back is for staff to say.
fn cancellation(typed: &Typed, manages: bool) -> Cancellation {
    let when = if manages { when_of(typed) } else { When::PeriodEnd };
    Cancellation { when, credit: manages && typed.is("credit", "true") }
}

fn when_of(typed: &Typed) -> When {
    if typed.is("when", "period_end") { When::PeriodEnd } else { When::Now }
}

impl WishPage<'_> {
    /// Whether it is the plan that there is.
    fn is_now(&self, offer: &Offer) -> bool {
        self.shown.as_ref().is_some_and(|shown| shown.price.plan == offer.price.plan)
    }

    /// Where it is sent to: the page without its query.
    fn action(&self) -> String {
        match (self.wish, self.manages) {
            (Wish::Subscribe(user), true) => format!("/billing/accounts/{user}/subscribe"),
            (Wish::Subscribe(_), false) => "/billing/me/subscribe".to_owned(),
            (Wish::Change(id), _) => format!("/billing/subscriptions/{id}/change"),
            (Wish::Cancel(id), _) => format!("/billing/subscriptions/{id}/cancel"),
            (Wish::Resume(id), _) => format!("/billing/subscriptions/{id}/resume"),
        }
    }
}

impl Foreseen {
    /// What will be, in a sentence.
    fn sentence(&self, wish: &Wish) -> String {
        let it = &self.outcome.subscription;
        let seats = it.next.map_or(it.seats, |(_, seats)| seats);
        let what = format!("{} × {seats}", self.price.plan);
        let next = it.next_day().map(|day| day.to_string()).unwrap_or_default();
        match wish {
            Wish::Cancel(_) if it.state == SubscriptionState::Cancelled => "It ends today.".to_owned(),
            Wish::Cancel(_) => format!("It goes on until {next}, and ends then."),
            _ if it.next.is_some() => format!("From {next} on it is {what}; until then it stays as it is."),
            _ if it.state == SubscriptionState::Trial => format!("{what}, on trial until {next}."),
            _ => format!("{what} from today on, and billed again on {next}."),
        }
    }
}
