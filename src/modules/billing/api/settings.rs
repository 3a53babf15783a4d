//! `/api/billing/settings`: who sells, and how.

use warp::reply::Response;

use super::{Request, Result, Room, answers, wanted_version};
use crate::modules::billing::Settings;

/// Who sells, how long there is to pay, what numbers begin with, and what is done where nobody pays.
#[utoipa::path(
    get, path = "/api/billing/settings", tag = "billing", operation_id = "show_billing_settings",
    security(("bearer" = [])),
    responses(
        (status = 200, body = Settings, headers(("ETag" = String))),
        (status = 403, description = "not staff"),
    ),
)]
pub(super) async fn show(room: Room, request: Request) -> Result<Response> {
    let found = room.let_in("show_billing_settings", &request, |room, snapshot, who| {
        who.must_be_staff()?;
        room.billing.settings(snapshot)
    });
    let (_, (settings, version)) = found.await?;
    answers::versioned(&settings, version)
}

/// Puts other settings in their place. Invoices that have their number go on saying what they say.
#[utoipa::path(
    put, path = "/api/billing/settings", tag = "billing", operation_id = "put_billing_settings",
    security(("bearer" = [])), params(("If-Match" = Option<String>, Header)),
    request_body(content = Settings, example = json!({
        "seller": {
            "name": "Ashlar GmbH",
            "address": { "line1": "Steinweg 1", "postcode": "10115", "city": "Berlin", "country": "DE" },
            "tax_id": "DE123456789",
            "email": "billing@example.org",
        },
        "bank": { "iban": "DE89370400440532013000", "bic": "COBADEFFXXX" },
        "payment_terms_days": 14,
    })),
    responses(
        (status = 200, body = Settings, headers(("ETag" = String))),
        (status = 403, description = "not an owner"),
        (status = 412, description = "changed meanwhile"),
    ),
)]
pub(super) async fn put(room: Room, mut request: Request) -> Result<Response> {
    let who = room.platform.principal(&request).await?;
    who.must_be_owner()?;
    let (settings, _): (Settings, _) = request.json().await?;
    let if_match = wanted_version(&request);
    let put = room.alter("put_billing_settings", &request, who, move |room, work, _| {
        room.billing.change_settings(work, settings, |now| answers::check_if_match(if_match.as_deref(), now))?;
        room.billing.settings(work)
    });
    let (settings, version) = put.await?;
    answers::versioned(&settings, version)
}
