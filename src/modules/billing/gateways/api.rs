//! What charges an account, its checkout, and what Stripe tells us.

use serde::{Deserialize, Serialize};
use utoipa::OpenApi;
use warp::http::StatusCode;
use warp::path as at;
use warp::reply::Response;

use super::{Checkout, Gateways};
use crate::modules::billing::Billing;
use crate::modules::billing::invoices::InvoiceId;
use crate::modules::billing::payments::Method;
use crate::platform::Platform;
use crate::platform::actor::Actor;
use crate::platform::auth::Principal;
use crate::platform::error::{Error, Result};
use crate::platform::http::{self, Request, Routes, answers, on};
use crate::platform::ids::UserId;

/// Stripe's largest events have some tens of kilobytes.
const MAX_MESSAGE_BYTES: usize = 512 * 1024;

#[derive(OpenApi)]
#[openapi(paths(hear_stripe, set_gateway, pay, leave_card))]
pub(in crate::modules::billing) struct GatewaysApi;

/// What the routes work with.
#[derive(Clone)]
struct Desk {
    platform: Platform,
    gateways: Gateways,
}

pub(in crate::modules::billing) fn routes(platform: &Platform, gateways: &Gateways) -> Option<Routes> {
    let desk = &Desk { platform: platform.clone(), gateways: gateways.clone() };
    http::either([
        on(desk).post(hear_stripe).at(at!("api" / "billing" / "webhooks" / "stripe")),
        on(desk).put(set_gateway).at(at!("api" / "billing" / "accounts" / String / "gateway")),
        on(desk).post(leave_card).at(at!("api" / "billing" / "accounts" / String / "checkout")),
        on(desk).post(pay).at(at!("api" / "billing" / "invoices" / String / "checkout")),
    ])
}

#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = BillingGateway)]
struct GatewayForm {
    /// `trial` or `stripe`; null where they pay by transfer.
    gateway: Option<Method>,
    /// Who they are there: `cus_…`. Of `trial`: what it does, `decline` or `hard-decline`; else it pays.
    #[schema(max_length = 255)]
    customer: Option<String>,
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = BillingCheckout)]
struct CheckoutPage {
    /// Stripe's page, to go to at once.
    url: String,
}

/// Takes what Stripe sends. It is looked at soon after; what does not concern us is noted.
#[utoipa::path(
    post, path = "/api/billing/webhooks/stripe", tag = "billing", operation_id = "hear_stripe",
    params(("Stripe-Signature" = String, Header)),
    responses(
        (status = 204),
        (status = 400, description = "not signed with our secret, or too long ago, or no event"),
        (status = 404, description = "Stripe is not set up"),
        (status = 408, description = "the body did not arrive"),
        (status = 413, description = "the body is too large"),
    ),
)]
async fn hear_stripe(desk: Desk, mut request: Request) -> Result<Response> {
    let Some(stripe) = desk.gateways.stripe.clone() else { return Err(Error::NotFound("webhook")) };
    let body = request.bytes(MAX_MESSAGE_BYTES).await?;
    let signature = request.head.headers.get("stripe-signature").and_then(|value| value.to_str().ok());
    let now_s = desk.platform.database.clock().now().as_ms() / 1000;
    let message = stripe.read(signature.unwrap_or_default(), &body, now_s).map_err(Error::Malformed)?;
    desk.platform.database.write("hear_stripe", Actor::system(), move |work| Billing.hear(work, &message)).await?;
    Ok(answers::no_content())
}

/// Says what charges an account.
#[utoipa::path(
    put, path = "/api/billing/accounts/{user_id}/gateway", tag = "billing", operation_id = "set_billing_gateway",
    security(("bearer" = [])), params(("user_id" = String, Path, format = Uuid)), request_body = GatewayForm,
    responses(
        (status = 200, body = GatewayForm),
        (status = 403, description = "not staff"),
        (status = 409, description = "that gateway is not set up"),
    ),
)]
async fn set_gateway(desk: Desk, mut request: Request<String>) -> Result<Response> {
    let who = desk.platform.principal(&request).await?;
    who.must_be_staff()?;
    let user = UserId::parse(&request.path, "billing account")?;
    let (form, _) = request.json::<GatewayForm>().await?;
    if let Some(gateway) = form.gateway.filter(|gateway| *gateway != Method::Transfer) {
        desk.gateways.find(gateway)?;
    }
    if form.customer.as_ref().is_some_and(|name| name.is_empty() || name.len() > 255) {
        return Err(Error::invalid("customer", "from 1 to 255 bytes"));
    }
    let changed = desk.platform.change("set_billing_gateway", request.caller(&who), move |work| {
        Billing.set_gateway(work, user, form.gateway, form.customer)
    });
    let details = changed.await?;
    let gateway =
        [Method::Trial, Method::Stripe].into_iter().find(|one| details.gateway.as_deref() == Some(one.as_str()));
    answers::json(StatusCode::OK, &GatewayForm { gateway, customer: details.gateway_customer })
}

/// Makes a page of Stripe's on which an open invoice is paid; what is paid with is charged from then on.
#[utoipa::path(
    post, path = "/api/billing/invoices/{id}/checkout", tag = "billing", operation_id = "check_out_invoice",
    security(("bearer" = [])), params(("id" = String, Path, format = Uuid)),
    responses(
        (status = 201, body = CheckoutPage),
        (status = 403, description = "neither one's own nor staff"),
        (status = 408, description = "a body that did not arrive, where there should be none"),
        (status = 409, description = "it is not open, or Stripe is not set up or does not answer"),
        (status = 413, description = "a body, where there should be none"),
    ),
)]
async fn pay(desk: Desk, mut request: Request<String>) -> Result<Response> {
    let id = InvoiceId::parse(&request.path, "invoice");
    request.bytes(0).await?;
    let origin = desk.platform.origin.clone();
    let wish = desk
        .platform
        .read("pay_invoice", &request, move |snapshot, who| {
            let owner = id.and_then(|id| Ok((id, Billing.invoice(snapshot, id)?.user_id)));
            let (id, user) = owner.map_err(|error| hidden(who, error))?;
            own_or_staff(who, user)?;
            Billing.checkout_of(snapshot, id, &origin)
        })
        .await?;
    desk.open(wish).await
}

/// Makes a page of Stripe's on which a person leaves a card, which is charged from then on.
#[utoipa::path(
    post, path = "/api/billing/accounts/{user_id}/checkout", tag = "billing", operation_id = "leave_card",
    security(("bearer" = [])), params(("user_id" = String, Path, format = Uuid)),
    responses(
        (status = 201, body = CheckoutPage),
        (status = 403, description = "neither oneself nor staff"),
        (status = 408, description = "a body that did not arrive, where there should be none"),
        (status = 409, description = "Stripe is not set up or does not answer"),
        (status = 413, description = "a body, where there should be none"),
    ),
)]
async fn leave_card(desk: Desk, mut request: Request<String>) -> Result<Response> {
    let user = UserId::parse(&request.path, "billing account");
    request.bytes(0).await?;
    let origin = desk.platform.origin.clone();
    let wish = desk
        .platform
        .read("leave_card", &request, move |snapshot, who| {
            let user = user.map_err(|error| hidden(who, error))?;
            own_or_staff(who, user)?;
            Billing.checkout_for_later(snapshot, user, &origin)
        })
        .await?;
    desk.open(wish).await
}

impl Desk {
    async fn open(&self, wish: Checkout) -> Result<Response> {
        self.gateways.find(Method::Stripe)?;
        let gateways = self.gateways.clone();
        let made = tokio::task::spawn_blocking(move || {
            let gateway = gateways.find(Method::Stripe)?;
            gateway.checkout(&wish).map_err(|trouble| Error::conflict("gateway", trouble.why()))
        });
        let url = made.await.map_err(|e| Error::internal("asking Stripe", e))??;
        answers::json(StatusCode::CREATED, &CheckoutPage { url })
    }
}

fn own_or_staff(who: &Principal, user: UserId) -> Result<()> {
    if who.user == user { Ok(()) } else { who.must_be_staff() }
}

/// Nobody but staff learns whether something exists.
fn hidden(who: &Principal, error: Error) -> Error {
    match (who.must_be_staff(), error) {
        (Err(forbidden), Error::NotFound(_)) => forbidden,
        (_, error) => error,
    }
}
