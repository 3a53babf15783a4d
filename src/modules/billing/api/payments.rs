//! `/api/billing/payments`: what came in, what of it paid what, and what went back.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use warp::http::StatusCode;
use warp::reply::Response;

use super::{Asked, Cursor, Limit, Principal, Request, Result, Room, Snapshot, page};
use crate::modules::billing::rights::Sight;
use crate::modules::billing::{Allocation, InvoiceId, NewPayment, Payment, PaymentId, PaymentMethod, Refund, RefundId};
use crate::platform::clock::Time;
use crate::platform::error::Error;
use crate::platform::ids::UserId;
use crate::platform::money::{Currency, Money};
use crate::platform::text;

const MAX_LINE: usize = 200;
/// Before that nobody paid us anything.
const FIRST_YEAR: i16 = 2000;

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Payment)]
pub(super) struct View {
    #[schema(value_type = String, format = Uuid)]
    id: PaymentId,
    #[schema(value_type = String, format = Uuid)]
    user_id: UserId,
    amount: Money,
    /// What the gateway kept of it.
    fee: Money,
    /// What of it went back.
    refunded: Money,
    method: PaymentMethod,
    /// What the payer wrote.
    reference: Option<String>,
    /// Its name at the gateway.
    gateway_ref: Option<String>,
    #[schema(value_type = String, format = Date)]
    received_on: Date,
    /// What of it paid what; the rest is the account's credit, or went back.
    allocations: Vec<AllocationView>,
    refunds: Vec<RefundView>,
    created_at: Time,
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = PaymentAllocation)]
struct AllocationView {
    #[schema(value_type = String, format = Uuid)]
    invoice_id: InvoiceId,
    amount: Money,
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Refund)]
pub(super) struct RefundView {
    #[schema(value_type = String, format = Uuid)]
    id: RefundId,
    #[schema(value_type = String, format = Uuid)]
    payment_id: PaymentId,
    amount: Money,
    reason: Option<String>,
    created_at: Time,
}

#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct PaymentPage {
    /// Newest first.
    items: Vec<View>,
    #[schema(value_type = Option<String>)]
    next_cursor: Option<Cursor<Payment>>,
}

/// A payment that came in by transfer. It pays what it names, or else what has been open for longest; what is left is the
/// account's credit.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewPayment)]
pub(super) struct NewAccountPayment {
    #[schema(value_type = String, format = Uuid)]
    user_id: String,
    amount: Money,
    /// What the payer wrote.
    #[schema(max_length = 200, example = "INV-2026-000001")]
    reference: Option<String>,
    /// The account's today where none is said.
    #[schema(value_type = Option<String>, format = Date, example = "2026-11-25")]
    received_on: Option<Date>,
}

/// The same, of an invoice.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewInvoicePayment {
    amount: Money,
    /// What the payer wrote.
    #[schema(max_length = 200, example = "INV-2026-000001")]
    reference: Option<String>,
    /// The account's today where none is said.
    #[schema(value_type = Option<String>, format = Date, example = "2026-11-25")]
    received_on: Option<Date>,
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewRefund {
    amount: Money,
    #[schema(max_length = 200, example = "paid twice")]
    reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    #[serde(default)]
    limit: Limit,
    cursor: Option<Cursor<Payment>>,
    user: Option<String>,
}

impl NewInvoicePayment {
    /// By transfer, of `user`, for `invoice` where it is named.
    pub fn parse(self, user_id: UserId, invoice: Option<InvoiceId>) -> Result<NewPayment> {
        let NewInvoicePayment { amount, reference, received_on } = self;
        if received_on.is_some_and(|day| day.year() < FIRST_YEAR) {
            return Err(Error::invalid("received_on", format!("not before the year {FIRST_YEAR}")));
        }
        Ok(NewPayment {
            user_id,
            currency: amount.currency,
            amount_minor: amount.amount_minor,
            fee_minor: 0,
            method: PaymentMethod::Transfer,
            reference: line("reference", reference)?,
            gateway_ref: None,
            received_on,
            invoice,
        })
    }
}

fn line(field: &'static str, typed: Option<String>) -> Result<Option<String>> {
    typed.filter(|typed| !typed.trim().is_empty()).map(|typed| text::line(field, &typed, MAX_LINE)).transpose()
}

pub(super) fn view(room: &Room, snapshot: &Snapshot<'_>, it: Payment) -> Result<View> {
    let money = |minor| Money::new(minor, it.currency);
    let allocation =
        |one: Allocation| AllocationView { invoice_id: one.invoice, amount: Money::new(one.amount_minor, it.currency) };
    let allocations = room.billing.allocations(snapshot, it.id)?.into_iter().filter(|one| one.amount_minor > 0);
    let refunds = room.billing.refunds(snapshot, it.id)?;
    Ok(View {
        id: it.id,
        user_id: it.user_id,
        amount: money(it.amount_minor),
        fee: money(it.fee_minor),
        refunded: money(it.refunded_minor),
        method: it.method,
        allocations: allocations.map(allocation).collect(),
        refunds: refunds.into_iter().map(|refund| refund_view(refund, it.currency)).collect(),
        reference: it.reference,
        gateway_ref: it.gateway_ref,
        received_on: it.received_on,
        created_at: it.created_at,
    })
}

fn refund_view(refund: Refund, currency: Currency) -> RefundView {
    RefundView {
        id: refund.id,
        payment_id: refund.payment_id,
        amount: Money::new(refund.amount_minor, currency),
        reason: refund.reason,
        created_at: refund.created_at,
    }
}

/// One that `who` may see.
fn find(room: &Room, snapshot: &Snapshot<'_>, who: &Principal, id: Result<PaymentId>) -> Result<Payment> {
    let payment = room.billing.payment(snapshot, id?)?;
    room.must_see(snapshot, who, payment.user_id, "payment")?;
    Ok(payment)
}

/// What came in; members see their own.
#[utoipa::path(
    get, path = "/api/billing/payments", tag = "billing", operation_id = "list_payments", security(("bearer" = [])),
    params(
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100),
        ("cursor" = Option<String>, Query),
        ("user" = Option<String>, Query, format = Uuid, description = "of this person alone"),
    ),
    responses((status = 200, body = PaymentPage), (status = 403, description = "someone one doesn't look after")),
)]
pub(super) async fn list(room: Room, request: Request) -> Result<Response> {
    let query = request.query();
    room.answer_list("list_payments", &request, move |room, snapshot, who| {
        let ListQuery { limit, cursor, user } = query?;
        let user = room.whose(snapshot, who, user)?;
        let mut sight = Sight::new(room, snapshot, who);
        let list = |before, limit| room.billing.payments(snapshot, user, before, limit);
        let may_see = |one: &Payment| sight.reaches(one.user_id);
        let (items, next_cursor) = page(limit, cursor, |one: &Payment| one.id, list, may_see)?;
        let items = items.into_iter().map(|one| view(room, snapshot, one)).collect::<Result<_>>()?;
        Ok(PaymentPage { items, next_cursor })
    })
    .await
}

/// Records a payment of an account: it pays what has been open for longest, and what is left is the account's credit.
#[utoipa::path(
    post, path = "/api/billing/payments", tag = "billing", operation_id = "record_payment", security(("bearer" = [])),
    request_body(content = NewAccountPayment, example = json!({
        "user_id": "0199a4d2-7c1e-7b3a-9f54-3d2c1b0a9f8e",
        "amount": { "amount_minor": 1999, "currency": "EUR" },
        "reference": "INV-2026-000001",
        "received_on": "2026-11-25",
    })),
    responses(
        (status = 201, body = View),
        (status = 403, description = "not staff, or someone one doesn't look after"),
        (status = 404, description = "no such account"),
    ),
)]
pub(super) async fn add(room: Room, mut request: Request) -> Result<Response> {
    let who = room.staff(&request).await?;
    let (new, body): (NewAccountPayment, _) = request.json().await?;
    let NewAccountPayment { user_id, amount, reference, received_on } = new;
    let asked = Asked { request: &request, who, body };
    room.make("record_payment", asked, StatusCode::CREATED, move |room, work, who| {
        let user = room.must_manage(work, who, UserId::parse(&user_id, "billing account"))?;
        let new = NewInvoicePayment { amount, reference, received_on }.parse(user, None)?;
        view(room, work, room.billing.record_payment(work, new)?)
    })
    .await
}

/// One payment.
#[utoipa::path(
    get, path = "/api/billing/payments/{id}", tag = "billing", operation_id = "show_payment",
    security(("bearer" = [])), params(("id" = String, Path, format = Uuid)),
    responses(
        (status = 200, body = View),
        (status = 403, description = "someone's whom one doesn't look after"),
    ),
)]
pub(super) async fn show(room: Room, request: Request<String>) -> Result<Response> {
    let id = PaymentId::parse(&request.path, "payment");
    room.answer("show_payment", &request, move |room, snapshot, who| {
        view(room, snapshot, find(room, snapshot, who, id)?)
    })
    .await
}

/// Gives a payment back, or a part of it: from the account's credit first, then from what it paid, which is open again.
#[utoipa::path(
    post, path = "/api/billing/payments/{id}/refunds", tag = "billing", operation_id = "refund_payment",
    security(("bearer" = [])), params(("id" = String, Path, format = Uuid)),
    request_body(content = NewRefund, example = json!({
        "amount": { "amount_minor": 1999, "currency": "EUR" }, "reason": "paid twice",
    })),
    responses(
        (status = 201, body = RefundView),
        (status = 403, description = "not staff, or someone's whom one doesn't look after"),
        (status = 409, description = "that much of it is not there any more"),
    ),
)]
pub(super) async fn refund(room: Room, mut request: Request<String>) -> Result<Response> {
    let who = room.staff(&request).await?;
    let id = PaymentId::parse(&request.path, "payment")?;
    let (NewRefund { amount, reason }, body) = request.json().await?;
    let asked = Asked { request: &request, who, body };
    room.make("refund_payment", asked, StatusCode::CREATED, move |room, work, who| {
        let Payment { currency, .. } = find(room, work, who, Ok(id))?;
        if amount.currency != currency {
            return Err(Error::invalid("amount.currency", format!("this payment was in {currency}")));
        }
        let refund = room.billing.refund(work, id, amount.amount_minor, line("reason", reason)?, None)?;
        Ok(refund_view(refund, currency))
    })
    .await
}
