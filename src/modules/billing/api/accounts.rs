//! `/api/billing/accounts`: whom invoices go to, and on what terms.

use serde::{Deserialize, Serialize};
use warp::reply::Response;

use super::{Principal, Request, Result, Room, Snapshot, answers, wanted_version};
use crate::modules::billing::invoices::document::Address;
use crate::modules::billing::{Details, DetailsChange, TaxRateId};
use crate::platform::clock::Time;
use crate::platform::error::Error;
use crate::platform::ids::UserId;
use crate::platform::money::{Currency, Money};

/// A billing account, whole.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = BillingDetails)]
pub(super) struct View {
    #[schema(value_type = String, format = Uuid)]
    user_id: UserId,
    /// In which it is billed; fixed by the first subscription, invoice or payment.
    currency: Currency,
    /// As it stands on invoices.
    #[schema(example = "Ann Lee")]
    name: Option<String>,
    address: Address,
    #[schema(example = "DE123456789")]
    tax_id: Option<String>,
    /// A language tag (BCP 47), as it was set: a `BillingLanguage`, or one that falls back to such.
    #[schema(example = "de")]
    language: String,
    /// Whose days are counted.
    #[schema(example = "Europe/Berlin")]
    time_zone: String,
    /// Days until an invoice is due; null where it is the seller's.
    payment_terms_days: Option<u16>,
    /// For all that is sold to them; null where it is the price's.
    #[schema(value_type = Option<String>, format = Uuid)]
    tax_rate_id: Option<TaxRateId>,
    /// What charges them; null where they pay by transfer.
    gateway: Option<String>,
    /// What we hold of theirs: the next invoice takes it.
    credit: Money,
    /// Their time, where the account is for trial.
    test_clock_at: Option<Time>,
    /// The person is gone, the books stay.
    closed_at: Option<Time>,
    created_at: Time,
}

impl From<Details> for View {
    fn from(details: Details) -> View {
        let currency = details.account.currency;
        View {
            user_id: details.account.user_id,
            currency,
            name: details.name,
            address: details.address,
            tax_id: details.tax_id,
            language: details.language,
            time_zone: details.time_zone,
            payment_terms_days: details.payment_terms_days,
            tax_rate_id: details.tax_rate_id,
            gateway: details.gateway,
            credit: Money::new(details.credit_minor, currency),
            test_clock_at: details.test_clock_at,
            closed_at: details.closed_at,
            created_at: details.account.created_at,
        }
    }
}

/// What a test clock is set to.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TestClock {
    /// RFC 3339. It never goes back.
    #[schema(example = "2026-12-31T12:00:00Z")]
    at: String,
}

fn answer(details: Details) -> Result<Response> {
    let version = details.version;
    answers::versioned(&View::from(details), version)
}

/// Refuses members what is staff's to say.
fn must_be_allowed(who: &Principal, change: &DetailsChange) -> Result<()> {
    if !who.is_staff() && (change.payment_terms_days.is_some() || change.tax_rate_id.is_some()) {
        return Err(Error::Forbidden("payment terms and the tax rate are for staff to set".into()));
    }
    Ok(())
}

fn may(room: &Room, snapshot: &Snapshot<'_>, who: &Principal, id: Result<UserId>) -> Result<Details> {
    let user = room.must_be_or_manage(snapshot, who, id)?;
    room.billing.details(snapshot, user)
}

/// A person's billing account.
#[utoipa::path(
    get, path = "/api/billing/accounts/{user_id}", tag = "billing", operation_id = "show_billing_account",
    security(("bearer" = [])), params(("user_id" = String, Path, format = Uuid)),
    responses(
        (status = 200, body = View, headers(("ETag" = String))),
        (status = 403, description = "neither oneself nor someone one looks after"),
    ),
)]
pub(super) async fn show(room: Room, request: Request<String>) -> Result<Response> {
    let id = UserId::parse(&request.path, "billing account");
    let found = room.let_in("show_billing_account", &request, move |room, snapshot, who| may(room, snapshot, who, id));
    answer(found.await?.1)
}

/// Changes a billing account: what is absent stays, an empty text takes away what is there, and null the payment terms.
#[utoipa::path(
    patch, path = "/api/billing/accounts/{user_id}", tag = "billing", operation_id = "change_billing_account",
    security(("bearer" = [])),
    params(("user_id" = String, Path, format = Uuid), ("If-Match" = Option<String>, Header)),
    request_body(content = DetailsChange, example = json!({
        "name": "Lee Ltd", "line1": "Mill Lane 2", "postcode": "10115", "city": "Berlin", "country": "DE",
        "tax_id": "DE123456789", "time_zone": "Europe/Berlin",
    })),
    responses(
        (status = 200, body = View, headers(("ETag" = String))),
        (status = 403, description = "neither oneself nor someone one looks after; or of what is staff's to set"),
        (status = 409, description = "another currency, once one has been used"),
        (status = 412, description = "changed meanwhile"),
    ),
)]
pub(super) async fn change(room: Room, mut request: Request<String>) -> Result<Response> {
    let id = UserId::parse(&request.path, "billing account");
    let allowed = room.let_in("change_billing_account", &request, move |room, snapshot, who| {
        room.must_be_or_manage(snapshot, who, id)
    });
    let (who, user) = allowed.await?;
    let (change, _): (DetailsChange, _) = request.json().await?;
    must_be_allowed(&who, &change)?;
    let if_match = wanted_version(&request);
    let changed = room.alter("change_billing_account", &request, who, move |room, work, who| {
        room.must_be_or_manage(work, who, Ok(user))?;
        room.billing.change_account(work, user, change, |now| answers::check_if_match(if_match.as_deref(), now.version))
    });
    answer(changed.await?)
}

/// Gives an account for trial a clock of its own, and sets it. What is due by then is billed by the next run.
#[utoipa::path(
    put, path = "/api/billing/accounts/{user_id}/test-clock", tag = "billing", operation_id = "set_billing_test_clock",
    security(("bearer" = [])), params(("user_id" = String, Path, format = Uuid)),
    request_body = TestClock,
    responses(
        (status = 200, body = View, headers(("ETag" = String))),
        (status = 403, description = "not an owner"),
        (status = 409, description = "the account has real books, or the clock would go back"),
    ),
)]
pub(super) async fn set_test_clock(room: Room, mut request: Request<String>) -> Result<Response> {
    let who = room.platform.principal(&request).await?;
    who.must_be_owner()?;
    let user = UserId::parse(&request.path, "billing account")?;
    let (clock, _): (TestClock, _) = request.json().await?;
    let at: Time = clock.at.parse().map_err(|why: String| Error::invalid("at", why))?;
    let set = room.alter("set_billing_test_clock", &request, who, move |room, work, _| {
        room.billing.set_test_clock(work, user, at)
    });
    answer(set.await?)
}
