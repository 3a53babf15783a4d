//! Payments: what came in, recorded by hand, and what is given back.

use askama::Template;
use warp::reply::Response;

use super::typed::{Typed, renamed};
use super::{ListQuery, Of, Room, page, payment_of, user_of, view};
use crate::modules::billing::model::Details;
use crate::modules::billing::{
    Invoice, InvoiceFilter, InvoiceId, InvoiceState, NewPayment, Payment, PaymentMethod, Refund,
};
use crate::platform::auth::Principal;
use crate::platform::db::Snapshot;
use crate::platform::error::{Error, Result};
use crate::platform::http::{Refusal, Request, answers};
use crate::platform::text;

const MAX_LINE: usize = 200;

#[derive(Template)]
#[template(path = "modules/billing/pages/templates/payments.html", config = "src/askama.toml")]
struct Payments {
    payments: Vec<Of<Payment>>,
    is_first: bool,
    next: Option<String>,
}

#[derive(Template)]
#[template(path = "modules/billing/pages/templates/payment.html", config = "src/askama.toml")]
struct PaymentPage<'a> {
    it: Payment,
    name: String,
    /// What of it paid what.
    paid: Vec<(Invoice, i64)>,
    refunds: Vec<Refund>,
    left_minor: i64,
    typed: Typed,
    done: Option<&'static str>,
    refused: &'a Refusal,
}

#[derive(Template)]
#[template(path = "modules/billing/pages/templates/record.html", config = "src/askama.toml")]
struct RecordPage<'a> {
    details: Details,
    name: String,
    open: Vec<Invoice>,
    today: jiff::civil::Date,
    typed: Typed,
    refused: &'a Refusal,
}

/// `GET /billing/payments`
pub(super) async fn list(room: Room, request: Request) -> Result<Response> {
    let query: Result<ListQuery<Payment>> = request.query();
    let look = |room: &Room, snapshot: &Snapshot<'_>, who: &Principal| {
        who.must_be_staff()?;
        let cursor = query?.cursor;
        let (is_first, billing) = (cursor.is_none(), room.billing);
        let fetch = |from, limit| billing.payments(snapshot, None, from, limit);
        Ok((room.page_of(snapshot, who, cursor, fetch, |it: &Payment| (it.id, it.user_id))?, is_first))
    };
    let (viewer, ((payments, next), is_first)) = room.scan("billing_payments_page", &request, look).await?;
    let next = next.map(|next| format!("/billing/payments?cursor={next}"));
    let content = Payments { payments, is_first, next };
    page(&room, &request.head, &viewer, "Payments", &Refusal::default(), &content)
}

/// `GET /billing/payments/{id}`
pub(super) async fn show(room: Room, request: Request<String>) -> Result<Response> {
    payment_page(&room, &request, None, Refusal::default()).await
}

async fn payment_page(
    room: &Room,
    request: &Request<String>,
    typed: Option<Typed>,
    refused: Refusal,
) -> Result<Response> {
    let id = payment_of(request);
    let (viewer, (it, name, parts, refunds, now)) = room
        .look("billing_payment_page", request, |room, snapshot, who| {
            who.must_be_staff()?;
            let billing = room.billing;
            let it = billing.payment(snapshot, id?)?;
            room.must_manage(snapshot, who, Ok(it.user_id))?;
            let name = view::name_of(&billing.details(snapshot, it.user_id)?);
            let parts = billing.allocations(snapshot, it.id)?.into_iter().filter(|part| part.amount_minor != 0);
            let parts = parts.map(|part| Ok((billing.invoice(snapshot, part.invoice)?, part.amount_minor)));
            let parts = parts.collect::<Result<Vec<_>>>()?;
            let refunds = billing.refunds(snapshot, it.id)?;
            Ok((it, name, parts, refunds, snapshot.now()))
        })
        .await?;
    let left_minor = it.amount_minor - it.refunded_minor;
    let amount = view::major(&left_minor, &it.currency);
    // A key of its own each time, so that a form that was refused can be sent again with something else.
    let mut form = Typed::fresh(now, [("amount", amount)]);
    if let Some(typed) = typed {
        form.set("amount", typed.text("amount"));
        form.set("reason", typed.text("reason"));
    }
    let title = format!("Payment of {}", view::money(&it.amount_minor, &it.currency));
    let done = view::done(&request.head);
    let content = PaymentPage { it, name, paid: parts, refunds, left_minor, typed: form, done, refused: &refused };
    page(room, &request.head, &viewer, &title, &refused, &content)
}

/// `POST /billing/payments/{id}`: gives it back, or a part of it.
pub(super) async fn refund(room: Room, mut request: Request<String>) -> Result<Response> {
    let who = room.platform.principal(&request).await?;
    who.must_be_staff()?;
    let id = payment_of(&request)?;
    let typed: Typed = request.form().await?;
    let form = typed.clone();
    let refunded = room.once("refund_payment", &request, &who, &typed, move |room, work| {
        let payment = room.billing.payment(work, id)?;
        room.must_manage(work, &who, Ok(payment.user_id))?;
        let amount = form.money("amount", payment.currency)?;
        let left = payment.amount_minor - payment.refunded_minor;
        if !(1..=left).contains(&amount) {
            let left = view::money(&left, &payment.currency);
            return Err(Error::invalid("amount", format!("more than 0, and at most {left}")));
        }
        let reason = form.some("reason").map(|reason| text::line("reason", &reason, MAX_LINE)).transpose()?;
        room.billing.refund(work, id, amount, reason, None)?;
        Ok(format!("/billing/payments/{id}?done=refunded"))
    });
    match refunded.await {
        Ok(location) => answers::see_other(&location),
        Err(error) => {
            let refused = Refusal::of(renamed(error, &[("amount.amount_minor", "amount")]))?;
            payment_page(&room, &request, Some(typed), refused.only(&["amount", "reason"])).await
        }
    }
}

/// `GET /billing/accounts/{id}/payments`; `?invoice=…` names what it is for.
pub(super) async fn show_record(room: Room, request: Request<String>) -> Result<Response> {
    record_page(&room, &request, Typed::query(&request.head.query), Refusal::default()).await
}

async fn record_page(room: &Room, request: &Request<String>, typed: Typed, refused: Refusal) -> Result<Response> {
    let id = user_of(request);
    let (viewer, (details, open, now)) = room
        .look("record_payment_page", request, |room, snapshot, who| {
            let details = room.managed(snapshot, who, id)?;
            let of = |state| InvoiceFilter {
                user: Some(details.account.user_id),
                state: Some(state),
                ..InvoiceFilter::default()
            };
            let mut open = room.billing.invoices(snapshot, &of(InvoiceState::Open), None, 1000)?;
            open.extend(room.billing.invoices(snapshot, &of(InvoiceState::Uncollectible), None, 1000)?);
            Ok((details, open, snapshot.now()))
        })
        .await?;
    let today = details.today(now);
    let named = open.iter().find(|invoice| typed.is("invoice", invoice.id));
    let due = named.or(open.last()).map(|invoice| view::major(&invoice.due_minor, &invoice.currency));
    let mut form = Typed::fresh(now, [("received_on", today.to_string()), ("amount", due.unwrap_or_default())]);
    for field in ["amount", "received_on", "reference", "invoice"] {
        if typed.all(field).is_some() {
            form.set(field, typed.text(field));
        }
    }
    let name = view::name_of(&details);
    let content = RecordPage { details, name, open, today, typed: form, refused: &refused };
    page(room, &request.head, &viewer, "Record a payment", &refused, &content)
}

/// `POST /billing/accounts/{id}/payments`
pub(super) async fn record(room: Room, mut request: Request<String>) -> Result<Response> {
    let who = room.platform.principal(&request).await?;
    who.must_be_staff()?;
    let id = user_of(&request)?;
    let typed: Typed = request.form().await?;
    let form = typed.clone();
    let recorded = room.once("record_payment", &request, &who, &typed, move |room, work| {
        let details = room.managed(work, &who, Ok(id))?;
        let currency = details.account.currency;
        let amount_minor = form.money("amount", currency)?;
        if amount_minor <= 0 {
            return Err(Error::invalid("amount", "more than 0: what goes back is a refund, on the payment's page"));
        }
        let invoice = form.some("invoice").map(|id| InvoiceId::parse(&id, "invoice")).transpose()?;
        let new = NewPayment {
            user_id: id,
            currency,
            amount_minor,
            fee_minor: 0,
            method: PaymentMethod::Transfer,
            reference: form.some("reference").map(|said| text::line("reference", &said, MAX_LINE)).transpose()?,
            gateway_ref: None,
            received_on: form.date("received_on")?,
            invoice,
        };
        let payment = room.billing.record_payment(work, new)?;
        Ok(match invoice {
            Some(invoice) => format!("/billing/invoices/{invoice}?done=recorded"),
            None => format!("/billing/payments/{}?done=recorded", payment.id),
        })
    });
    match recorded.await {
        Ok(location) => answers::see_other(&location),
        Err(error) => {
            let refused = Refusal::of(renamed(error, &[("amount.amount_minor", "amount")]))?;
            let refused = refused.only(&["amount", "received_on", "reference", "invoice"]);
            record_page(&room, &request, typed, refused).await
        }
    }
}
