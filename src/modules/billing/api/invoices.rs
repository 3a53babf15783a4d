//! `/api/billing/invoices`: invoices and credit notes, from the draft to whatever becomes of them.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use warp::http::StatusCode;
use warp::reply::Response;

use super::documents::DocumentView;
use super::payments::{self, NewInvoicePayment};
use super::{
    Asked, Cursor, Limit, Principal, Request, Result, Room, Snapshot, UnitOfWork, answers, page, wanted_version,
};
use crate::modules::billing::invoices::document::Kind;
use crate::modules::billing::pages;
use crate::modules::billing::rights::Sight;
use crate::modules::billing::{
    Allocation, Invoice, InvoiceContent, InvoiceFilter, InvoiceId, InvoiceState, NewCreditNote, NewInvoiceDiscount,
    NewInvoiceLine, PaymentId, SubscriptionId,
};
use crate::platform::clock::Time;
use crate::platform::error::Error;
use crate::platform::ids::UserId;
use crate::platform::money::Money;

/// An invoice or credit note, and what became of it.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Invoice)]
pub(super) struct View {
    #[schema(value_type = String, format = Uuid)]
    id: InvoiceId,
    kind: Kind,
    #[schema(value_type = String, format = Uuid)]
    user_id: UserId,
    #[schema(value_type = Option<String>, format = Uuid)]
    subscription_id: Option<SubscriptionId>,
    /// The invoice that a credit note credits.
    #[schema(value_type = Option<String>, format = Uuid)]
    credits: Option<InvoiceId>,
    state: InvoiceState,
    /// Null while it is a draft.
    #[schema(example = "INV-2026-000001")]
    number: Option<String>,
    #[schema(value_type = Option<String>, format = Date)]
    issued_on: Option<Date>,
    #[schema(value_type = Option<String>, format = Date)]
    due_on: Option<Date>,
    net: Money,
    tax: Money,
    gross: Money,
    /// What is left to pay.
    due: Money,
    /// By credit notes.
    credited: Money,
    created_at: Time,
    finalized_at: Option<Time>,
    /// When it was paid, voided or given up.
    settled_at: Option<Time>,
}

/// An invoice or credit note with what it says.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = ShownInvoice)]
pub(super) struct Shown {
    invoice: View,
    /// For ever the same once it has its number. Of a draft, what it would say today; null where it can't be finalised as it
    /// is, since the account's currency has changed, say.
    document: Option<DocumentView>,
    /// What paid it.
    payments: Vec<InvoicePayment>,
    /// What credits it, oldest first.
    #[schema(value_type = Vec<String>)]
    credit_notes: Vec<InvoiceId>,
}

#[derive(Serialize, utoipa::ToSchema)]
struct InvoicePayment {
    #[schema(value_type = String, format = Uuid)]
    payment_id: PaymentId,
    amount: Money,
}

#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct InvoicePage {
    /// Newest first.
    items: Vec<View>,
    #[schema(value_type = Option<String>)]
    next_cursor: Option<Cursor<Invoice>>,
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewInvoice {
    /// Whom it is for.
    #[schema(value_type = String, format = Uuid)]
    user_id: String,
    #[schema(min_items = 1, max_items = 1000)]
    lines: Vec<NewInvoiceLine>,
    discount: Option<NewInvoiceDiscount>,
    /// For the buyer.
    #[schema(max_length = 2000)]
    note: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    #[serde(default)]
    limit: Limit,
    cursor: Option<Cursor<Invoice>>,
    user: Option<String>,
    subscription: Option<String>,
    state: Option<InvoiceState>,
    #[serde(default)]
    overdue: bool,
}

impl From<Invoice> for View {
    fn from(it: Invoice) -> View {
        let money = |minor| Money::new(minor, it.currency);
        View {
            net: money(it.net_minor),
            tax: money(it.tax_minor),
            gross: money(it.gross_minor),
            due: money(it.due_minor),
            credited: money(it.credited_minor),
            id: it.id,
            kind: it.kind,
            user_id: it.user_id,
            subscription_id: it.subscription_id,
            credits: it.credits,
            state: it.state,
            number: it.number,
            issued_on: it.issued_on,
            due_on: it.due_on,
            created_at: it.created_at,
            finalized_at: it.finalized_at,
            settled_at: it.settled_at,
        }
    }
}

fn shown(room: &Room, snapshot: &Snapshot<'_>, it: Invoice) -> Result<Shown> {
    let billing = room.billing;
    let document = match billing.document(snapshot, it.id)? {
        Some(document) => Some(document),
        None => foreseen(room, snapshot, &it)?,
    };
    let paid = billing.allocations_to(snapshot, it.id)?.into_iter().filter(|one| one.amount_minor > 0);
    let payment =
        |one: Allocation| InvoicePayment { payment_id: one.payment, amount: Money::new(one.amount_minor, it.currency) };
    Ok(Shown {
        document: document.map(DocumentView::from),
        payments: paid.map(payment).collect(),
        credit_notes: billing.credit_notes_of(snapshot, it.id)?,
        invoice: it.into(),
    })
}

/// What a draft would say if it were finalised now.
fn foreseen(
    room: &Room,
    snapshot: &Snapshot<'_>,
    draft: &Invoice,
) -> Result<Option<crate::modules::billing::Document>> {
    let details = room.billing.details(snapshot, draft.user_id)?;
    let mut draft = room.billing.draft_of(snapshot, draft)?;
    match room.billing.preview(snapshot, &details, &mut draft) {
        Ok(document) => Ok(Some(document)),
        Err(Error::Invalid(_) | Error::Conflict { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// One that `who` may see. Drafts are staff's own: nothing is said of them to members.
fn find(room: &Room, snapshot: &Snapshot<'_>, who: &Principal, id: Result<InvoiceId>) -> Result<Invoice> {
    let invoice = room.billing.invoice(snapshot, id?)?;
    room.must_see(snapshot, who, invoice.user_id, "invoice")?;
    if invoice.state == InvoiceState::Draft && !who.is_staff() {
        return Err(Error::NotFound("invoice"));
    }
    Ok(invoice)
}

fn id_of(request: &Request<String>) -> Result<InvoiceId> {
    InvoiceId::parse(&request.path, "invoice")
}

/// Whether `who` may still do something to one, and it is still what they saw.
fn may_still<'a>(
    room: &'a Room,
    work: &'a UnitOfWork<'_>,
    who: &'a Principal,
    if_match: Option<String>,
) -> impl FnOnce(&Invoice) -> Result<()> + 'a {
    move |now| {
        room.must_see(work, who, now.user_id, "invoice")?;
        answers::check_if_match(if_match.as_deref(), now.version)
    }
}

/// Invoices and credit notes; members see their own, without drafts.
#[utoipa::path(
    get, path = "/api/billing/invoices", tag = "billing", operation_id = "list_invoices", security(("bearer" = [])),
    params(
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100),
        ("cursor" = Option<String>, Query),
        ("user" = Option<String>, Query, format = Uuid, description = "to this person alone"),
        ("subscription" = Option<String>, Query, format = Uuid, description = "for this subscription alone"),
        ("state" = Option<InvoiceState>, Query),
        ("overdue" = Option<bool>, Query, description = "open, and due before today, where its account is"),
    ),
    responses((status = 200, body = InvoicePage), (status = 403, description = "someone one doesn't look after")),
)]
pub(super) async fn list(room: Room, request: Request) -> Result<Response> {
    let query = request.query();
    room.answer_list("list_invoices", &request, move |room, snapshot, who| {
        let ListQuery { limit, cursor, user, subscription, state, overdue } = query?;
        let days = overdue.then(|| room.billing.days(snapshot)).transpose()?;
        let filter = InvoiceFilter {
            user: room.whose(snapshot, who, user)?,
            subscription: subscription.map(|id| SubscriptionId::parse(&id, "subscription")).transpose()?,
            state,
            overdue_on: days.as_ref().map(|days| days.latest),
        };
        let mut sight = Sight::new(room, snapshot, who);
        let list = |before, limit| match &days {
            // Of one person's there are few: those that are not overdue are left out below.
            Some(days) if filter.user.is_none() && filter.subscription.is_none() => {
                room.billing.overdue_invoices(snapshot, days, before, limit)
            }
            _ => room.billing.invoices(snapshot, &filter, before, limit),
        };
        let is_late = |one: &Invoice| {
            Ok::<_, Error>(one.is_overdue(room.billing.details(snapshot, one.user_id)?.today(snapshot.now())))
        };
        let may_see = |one: &Invoice| {
            let is_shown = (who.is_staff() || one.state != InvoiceState::Draft)
                && filter.user.is_none_or(|user| user == one.user_id)
                && filter.state.is_none_or(|state| state == one.state);
            Ok(is_shown && sight.reaches(one.user_id)? && (!overdue || is_late(one)?))
        };
        let (items, next_cursor) = page(limit, cursor, |one: &Invoice| one.id, list, may_see)?;
        Ok(InvoicePage { items: items.into_iter().map(View::from).collect(), next_cursor })
    })
    .await
}

/// Drafts an invoice with lines of its own. It says nothing to anybody until it is finalised.
#[utoipa::path(
    post, path = "/api/billing/invoices", tag = "billing", operation_id = "draft_invoice", security(("bearer" = [])),
    request_body(content = NewInvoice, example = json!({
        "user_id": "0199a4d2-7c1e-7b3a-9f54-3d2c1b0a9f8e",
        "lines": [{
            "description": "Training, one day", "quantity": "1.5", "unit_price_minor": "90000",
            "tax_rate_id": "0199a4d2-7c1e-7b3a-9f54-3d2c1b0a9f8f",
        }],
        "discount": { "reason": "Welcome", "percent": "10" },
        "note": "Thank you for having us",
    })),
    responses(
        (status = 201, body = Shown),
        (status = 403, description = "not staff, or someone one doesn't look after"),
        (status = 404, description = "no such account"),
        (status = 409, description = "the account is closed"),
    ),
)]
pub(super) async fn add(room: Room, mut request: Request) -> Result<Response> {
    let who = room.staff(&request).await?;
    let (NewInvoice { user_id, lines, discount, note }, body): (NewInvoice, _) = request.json().await?;
    let asked = Asked { request: &request, who, body };
    room.make("draft_invoice", asked, StatusCode::CREATED, move |room, work, who| {
        let user = room.must_manage(work, who, UserId::parse(&user_id, "billing account"))?;
        let draft = room.billing.write_draft(work, user, InvoiceContent { lines, discount, note })?;
        let invoice = room.billing.put_draft(work, None, draft)?;
        shown(room, work, invoice)
    })
    .await
}

/// One invoice or credit note, and what it says.
#[utoipa::path(
    get, path = "/api/billing/invoices/{id}", tag = "billing", operation_id = "show_invoice",
    security(("bearer" = [])), params(("id" = String, Path, format = Uuid)),
    responses(
        (status = 200, body = Shown, headers(("ETag" = String))),
        (status = 403, description = "someone's whom one doesn't look after"),
    ),
)]
pub(super) async fn show(room: Room, request: Request<String>) -> Result<Response> {
    // To the router a part of a path is a parameter as a whole.
    if let Some(form) = pages::FileForm::of(&request.path) {
        return pages::download(room, request, form).await;
    }
    let id = id_of(&request);
    let found = room.let_in("show_invoice", &request, move |room, snapshot, who| {
        let invoice = find(room, snapshot, who, id)?;
        Ok((invoice.version, shown(room, snapshot, invoice)?))
    });
    let (_, (version, shown)) = found.await?;
    answers::versioned(&shown, version)
}

/// Puts other words into a draft.
#[utoipa::path(
    put, path = "/api/billing/invoices/{id}", tag = "billing", operation_id = "put_draft", security(("bearer" = [])),
    params(("id" = String, Path, format = Uuid), ("If-Match" = Option<String>, Header)),
    request_body = InvoiceContent,
    responses(
        (status = 200, body = Shown, headers(("ETag" = String))),
        (status = 403, description = "not staff, or someone's whom one doesn't look after"),
        (status = 409, description = "it has its number"),
        (status = 412, description = "changed meanwhile"),
    ),
)]
pub(super) async fn put(room: Room, mut request: Request<String>) -> Result<Response> {
    let who = room.staff(&request).await?;
    let id = id_of(&request)?;
    let (content, _): (InvoiceContent, _) = request.json().await?;
    let if_match = wanted_version(&request);
    let put = room.alter("put_draft", &request, who, move |room, work, who| {
        let before = room.billing.invoice(work, id)?;
        may_still(room, work, who, if_match)(&before)?;
        let draft = room.billing.write_draft(work, before.user_id, content)?;
        let after = room.billing.put_draft(work, Some(id), draft)?;
        Ok((after.version, shown(room, work, after)?))
    });
    let (version, shown) = put.await?;
    answers::versioned(&shown, version)
}

/// Throws a draft away.
#[utoipa::path(
    delete, path = "/api/billing/invoices/{id}", tag = "billing", operation_id = "delete_draft",
    security(("bearer" = [])), params(("id" = String, Path, format = Uuid), ("If-Match" = Option<String>, Header)),
    responses(
        (status = 204),
        (status = 403, description = "not staff, or someone's whom one doesn't look after"),
        (status = 409, description = "it has its number, and stays for ever"),
        (status = 412, description = "changed meanwhile"),
    ),
)]
pub(super) async fn delete(room: Room, request: Request<String>) -> Result<Response> {
    let who = room.staff(&request).await?;
    let id = id_of(&request)?;
    let if_match = wanted_version(&request);
    let deleted = room.alter("delete_draft", &request, who, move |room, work, who| {
        let before = room.billing.invoice(work, id)?;
        may_still(room, work, who, if_match)(&before)?;
        room.billing.delete_draft(work, id)
    });
    deleted.await?;
    Ok(answers::no_content())
}

/// Gives a draft its number. From then on what it says never changes.
#[utoipa::path(
    post, path = "/api/billing/invoices/{id}/finalization", tag = "billing", operation_id = "finalize_invoice",
    security(("bearer" = [])), params(("id" = String, Path, format = Uuid), ("If-Match" = Option<String>, Header)),
    responses(
        (status = 200, body = Shown),
        (status = 403, description = "not staff, or someone's whom one doesn't look after"),
        (status = 409, description = "it has its number"),
        (status = 412, description = "changed meanwhile"),
        (status = 413, description = "a body, where there should be none"),
    ),
)]
pub(super) async fn finalize(room: Room, mut request: Request<String>) -> Result<Response> {
    let who = room.staff(&request).await?;
    let id = id_of(&request)?;
    let body = request.bytes(0).await?;
    let if_match = wanted_version(&request);
    let asked = Asked { request: &request, who, body };
    room.make("finalize_invoice", asked, StatusCode::OK, move |room, work, who| {
        let issued = room.billing.finalize(work, id, may_still(room, work, who, if_match))?;
        shown(room, work, issued.invoice)
    })
    .await
}

/// Records a payment of an invoice. What is more than is due is the account's credit.
#[utoipa::path(
    post, path = "/api/billing/invoices/{id}/payments", tag = "billing", operation_id = "pay_invoice",
    security(("bearer" = [])), params(("id" = String, Path, format = Uuid)),
    request_body(content = NewInvoicePayment, example = json!({
        "amount": { "amount_minor": 1999, "currency": "EUR" }, "received_on": "2026-11-25",
    })),
    responses(
        (status = 201, body = payments::View),
        (status = 403, description = "not staff, or someone's whom one doesn't look after"),
        (status = 409, description = "it is a draft"),
    ),
)]
pub(super) async fn pay(room: Room, mut request: Request<String>) -> Result<Response> {
    let who = room.staff(&request).await?;
    let id = id_of(&request)?;
    let (new, body): (NewInvoicePayment, _) = request.json().await?;
    let asked = Asked { request: &request, who, body };
    room.make("pay_invoice", asked, StatusCode::CREATED, move |room, work, who| {
        let invoice = find(room, work, who, Ok(id))?;
        let payment = room.billing.record_payment(work, new.parse(invoice.user_id, Some(id))?)?;
        payments::view(room, work, payment)
    })
    .await
}

/// Takes back an invoice that was issued by mistake: its number stays, what it posted is undone.
#[utoipa::path(
    post, path = "/api/billing/invoices/{id}/void", tag = "billing", operation_id = "void_invoice",
    security(("bearer" = [])), params(("id" = String, Path, format = Uuid), ("If-Match" = Option<String>, Header)),
    responses(
        (status = 200, body = Shown),
        (status = 403, description = "not staff, or someone's whom one doesn't look after"),
        (status = 409, description = "it is not open, or something of it is paid or credited"),
        (status = 412, description = "changed meanwhile"),
        (status = 413, description = "a body, where there should be none"),
    ),
)]
pub(super) async fn void(room: Room, mut request: Request<String>) -> Result<Response> {
    let who = room.staff(&request).await?;
    let id = id_of(&request)?;
    let body = request.bytes(0).await?;
    let if_match = wanted_version(&request);
    let asked = Asked { request: &request, who, body };
    room.make("void_invoice", asked, StatusCode::OK, move |room, work, who| {
        let invoice = room.billing.void_invoice(work, id, may_still(room, work, who, if_match))?;
        shown(room, work, invoice)
    })
    .await
}

/// Gives up on what is left to pay of an invoice. Should it come in after all, it is taken.
#[utoipa::path(
    post, path = "/api/billing/invoices/{id}/uncollectible", tag = "billing", operation_id = "write_off_invoice",
    security(("bearer" = [])), params(("id" = String, Path, format = Uuid), ("If-Match" = Option<String>, Header)),
    responses(
        (status = 200, body = Shown),
        (status = 403, description = "not staff, or someone's whom one doesn't look after"),
        (status = 409, description = "it is not open"),
        (status = 412, description = "changed meanwhile"),
        (status = 413, description = "a body, where there should be none"),
    ),
)]
pub(super) async fn write_off(room: Room, mut request: Request<String>) -> Result<Response> {
    let who = room.staff(&request).await?;
    let id = id_of(&request)?;
    let body = request.bytes(0).await?;
    let if_match = wanted_version(&request);
    let asked = Asked { request: &request, who, body };
    room.make("write_off_invoice", asked, StatusCode::OK, move |room, work, who| {
        let invoice = room.billing.write_off(work, id, may_still(room, work, who, if_match))?;
        shown(room, work, invoice)
    })
    .await
}

/// Credits an invoice, whole or by lines. It takes from what is left to pay; the rest is the account's credit.
#[utoipa::path(
    post, path = "/api/billing/invoices/{id}/credit-notes", tag = "billing", operation_id = "credit_invoice",
    security(("bearer" = [])), params(("id" = String, Path, format = Uuid), ("If-Match" = Option<String>, Header)),
    request_body(content = NewCreditNote, example = json!({
        "lines": [{ "position": 1, "amount": { "amount_minor": 500, "currency": "EUR" } }],
        "note": "Two days without service",
    })),
    responses(
        (status = 201, body = Shown),
        (status = 403, description = "not staff, or someone's whom one doesn't look after"),
        (status = 409, description = "it is neither open nor paid, or that much of it is not left"),
        (status = 412, description = "changed meanwhile"),
    ),
)]
pub(super) async fn credit(room: Room, mut request: Request<String>) -> Result<Response> {
    let who = room.staff(&request).await?;
    let id = id_of(&request)?;
    let (new, body): (NewCreditNote, _) = request.json().await?;
    let if_match = wanted_version(&request);
    let asked = Asked { request: &request, who, body };
    room.make("credit_invoice", asked, StatusCode::CREATED, move |room, work, who| {
        let issued = room.billing.credit_invoice(work, id, new, may_still(room, work, who, if_match))?;
        shown(room, work, issued.invoice)
    })
    .await
}
