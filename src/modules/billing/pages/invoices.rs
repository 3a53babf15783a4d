//! Invoices and credit notes: lists, one of them whole, what becomes of it, and the page that a link opens.

use askama::Template;
use warp::http::HeaderValue;
use warp::reply::Response;

use super::links::InvoiceLink;
use super::repository::{ConsoleRepository, Sum};
use super::typed::Typed;
use super::{ListQuery, Of, Room, invoice_of, must_still_be, page, view};
use crate::modules::billing::invoices::document::{Document, Kind};
use crate::modules::billing::languages::Words;
use crate::modules::billing::{Draft, Invoice, InvoiceFilter, InvoiceState, Owner, Payment};
use crate::platform::auth::Principal;
use crate::platform::db::{Snapshot, UnitOfWork};
use crate::platform::error::{Error, Result};
use crate::platform::http::page::Frame;
use crate::platform::http::{self, Refusal, Request, answers};

/// Credit notes of one invoice that are looked for among so many documents of its account.
const LOOKED_THROUGH: u32 = 500;

#[derive(Template)]
#[template(path = "modules/billing/pages/templates/invoices.html", config = "src/askama.toml")]
struct Invoices {
    invoices: Vec<Of<Invoice>>,
    sums: Vec<Sum>,
    state: String,
    first: Option<String>,
    next: Option<String>,
}

#[derive(Template)]
#[template(path = "modules/billing/pages/templates/invoice.html", config = "src/askama.toml")]
struct InvoicePage<'a> {
    it: Invoice,
    title: &'a str,
    name: String,
    document: Document,
    seal: String,
    /// What paid it.
    paid: Vec<(Payment, i64)>,
    notes: Vec<Invoice>,
    credited: Option<Invoice>,
    link: String,
    today: jiff::civil::Date,
    manages: bool,
    done: Option<&'static str>,
    refused: &'a Refusal,
}

#[derive(Template)]
#[template(path = "modules/billing/pages/templates/confirm.html", config = "src/askama.toml")]
struct Confirm<'a> {
    it: Invoice,
    title: String,
    text: &'static str,
    button: &'static str,
    action: &'a str,
}

#[derive(Template)]
#[template(path = "modules/billing/pages/templates/public.html", config = "src/askama.toml")]
struct Public {
    it: Invoice,
    link: String,
    title: String,
    document: Document,
    words: &'static Words,
    today: jiff::civil::Date,
}

/// `GET /billing/invoices?state=overdue`
pub(super) async fn list(room: Room, request: Request) -> Result<Response> {
    let query: Result<ListQuery<Invoice>> = request.query();
    let look = |room: &Room, snapshot: &Snapshot<'_>, who: &Principal| {
        who.must_be_staff()?;
        let ListQuery { cursor, state, .. } = query?;
        let (is_first, billing, tables) = (cursor.is_none(), room.billing, snapshot.tables(Owner(())));
        let of = |it: &Invoice| (it.id, it.user_id);
        if state == "overdue" {
            let days = billing.days(snapshot)?;
            let fetch = |from, limit| billing.overdue_invoices(snapshot, &days, from, limit);
            let (rows, next) = room.page_of(snapshot, who, cursor, fetch, of)?;
            return Ok((rows, next, tables.sum_overdue(&days)?, state, is_first));
        }
        let known = view::INVOICE_STATES.into_iter().find(|known| known.as_str() == state);
        let filter = InvoiceFilter { state: known, ..InvoiceFilter::default() };
        let fetch = |from, limit| billing.invoices(snapshot, &filter, from, limit);
        let (rows, next) = room.page_of(snapshot, who, cursor, fetch, of)?;
        Ok((rows, next, tables.sum_invoices(known)?, state, is_first))
    };
    let (viewer, (invoices, next, sums, state, is_first)) = room.scan("billing_invoices_page", &request, look).await?;
    let path = |cursor: Option<&str>| {
        let pairs = [("state", Some(state.as_str()).filter(|state| !state.is_empty())), ("cursor", cursor)];
        let pairs = pairs.into_iter().filter_map(|(name, value)| Some((name, value?)));
        format!("/billing/invoices?{}", form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish())
    };
    let (first, next) = ((!is_first).then(|| path(None)), next.map(|next| path(Some(&next))));
    let content = Invoices { invoices, sums, state, first, next };
    page(&room, &request.head, &viewer, "Invoices", &Refusal::default(), &content)
}

/// `GET /billing/invoices/{id}`
pub(super) async fn show(room: Room, request: Request<String>) -> Result<Response> {
    invoice_page(&room, &request, Refusal::default()).await
}

async fn invoice_page(room: &Room, request: &Request<String>, refused: Refusal) -> Result<Response> {
    let id = invoice_of(request);
    let secret = room.platform.database.unit().secret;
    let origin = room.platform.site.public_origin.clone().unwrap_or_default();
    let (done, look) = (view::done(&request.head), room.clone());
    let read = move |_: &Room, snapshot: &Snapshot<'_>, who: &Principal| {
        let (room, billing) = (&look, look.billing);
        let it = billing.invoice(snapshot, id?)?;
        room.must_see(snapshot, who, it.user_id, "invoice")?;
        let manages = room.manages(snapshot, who, it.user_id)?;
        if it.state == InvoiceState::Draft && !manages {
            return Err(Error::NotFound("invoice"));
        }
        let details = billing.details(snapshot, it.user_id)?;
        let document = match billing.document(snapshot, it.id)? {
            Some(document) => document,
            None => billing.preview(snapshot, &details, &mut draft_of(room, snapshot, &it)?)?,
        };
        let paid = billing.allocations_to(snapshot, it.id)?.into_iter().filter(|part| part.amount_minor != 0);
        let paid = paid.map(|part| Ok((billing.payment(snapshot, part.payment)?, part.amount_minor)));
        let paid = paid.collect::<Result<Vec<_>>>()?;
        let mut notes = Vec::new();
        if it.credited_minor > 0 {
            let filter = InvoiceFilter { user: Some(it.user_id), ..InvoiceFilter::default() };
            notes = billing.invoices(snapshot, &filter, None, LOOKED_THROUGH)?;
            notes.retain(|note| note.credits == Some(it.id) && note.number.is_some());
        }
        let credited = it.credits.map(|id| billing.invoice(snapshot, id)).transpose()?;
        let today = details.today(snapshot.now());
        let (link, seal) = (format!("{origin}{}", InvoiceLink(it.id).path(&secret)), view::seal(Some(&document))?);
        let name = view::name_of(&details);
        Ok((it, name, document, seal, paid, notes, credited, link, today, manages))
    };
    let (viewer, (it, name, document, seal, paid, notes, credited, link, today, manages)) =
        room.look("billing_invoice_page", request, read).await?;
    let title = http::label_of(&it.label());
    let content = InvoicePage {
        it,
        title: &title,
        name,
        document,
        seal,
        paid,
        notes,
        credited,
        link,
        today,
        manages,
        done,
        refused: &refused,
    };
    page(room, &request.head, &viewer, &title, &refused, &content)
}

/// A draft as it would be issued.
pub(super) fn draft_of(room: &Room, snapshot: &Snapshot<'_>, it: &Invoice) -> Result<Draft> {
    Ok(Draft {
        kind: it.kind,
        user_id: it.user_id,
        subscription_id: it.subscription_id,
        credits: it.credits,
        run_key: None,
        currency: it.currency,
        discount: it.discount.clone(),
        note: it.note.clone(),
        lines: room.billing.invoice_lines(snapshot, it.id)?,
    })
}

/// `POST /billing/invoices/{id}/finalize`: only what was seen gets a number.
pub(super) async fn finalize(room: Room, request: Request<String>) -> Result<Response> {
    act(room, request, "finalize_invoice", "finalized", |room, work, it, typed| {
        let issued = room.billing.finalize(work, it.id, |now| must_still_be(typed, now.version))?;
        match view::seal(Some(&issued.document))? == typed.text("seal") {
            true => Ok(()),
            false => {
                let detail = "what it says is something else by now: look at it again";
                Err(Error::Conflict { field: None, detail: detail.into() })
            }
        }
    })
    .await
}

/// `POST /billing/invoices/{id}/void`
pub(super) async fn void(room: Room, request: Request<String>) -> Result<Response> {
    act(room, request, "void_invoice", "changed", |room, work, it, typed| {
        room.billing.void_invoice(work, it.id, |now| must_still_be(typed, now.version)).map(drop)
    })
    .await
}

/// `POST /billing/invoices/{id}/give-up`
pub(super) async fn give_up(room: Room, request: Request<String>) -> Result<Response> {
    act(room, request, "give_up_invoice", "given-up", |room, work, it, typed| {
        room.billing.write_off(work, it.id, |now| must_still_be(typed, now.version)).map(drop)
    })
    .await
}

/// `POST /billing/invoices/{id}/delete`: of drafts.
pub(super) async fn delete(room: Room, request: Request<String>) -> Result<Response> {
    act(room, request, "delete_invoice_draft", "deleted", |room, work, it, _| room.billing.delete_draft(work, it.id))
        .await
}

async fn act(
    room: Room,
    mut request: Request<String>,
    name: &'static str,
    done: &'static str,
    act: fn(&Room, &UnitOfWork<'_>, &Invoice, &Typed) -> Result<()>,
) -> Result<Response> {
    let who = room.platform.principal(&request).await?;
    who.must_be_staff()?;
    let id = invoice_of(&request)?;
    let typed: Typed = request.form().await?;
    let acted = room.change(name, request.caller(&who), move |room, work| {
        let it = room.billing.invoice(work, id)?;
        room.must_manage(work, &who, Ok(it.user_id))?;
        act(room, work, &it, &typed)?;
        Ok(it.user_id)
    });
    match acted.await {
        Ok(user) if done == "deleted" => answers::see_other(&format!("/billing/accounts/{user}?done={done}")),
        Ok(_) => answers::see_other(&format!("/billing/invoices/{id}?done={done}")),
        Err(error) => invoice_page(&room, &request, Refusal::of(error)?.only(&[])).await,
    }
}

/// `GET /billing/invoices/{id}/void`, `…/give-up` and `…/delete`: what that means, before it is done.
pub(super) async fn confirm(room: Room, request: Request<String>) -> Result<Response> {
    let id = invoice_of(&request);
    let (viewer, it) = room
        .look("confirm_invoice_page", &request, |room, snapshot, who| {
            who.must_be_staff()?;
            let it = room.billing.invoice(snapshot, id?)?;
            room.must_manage(snapshot, who, Ok(it.user_id))?;
            Ok(it)
        })
        .await?;
    let label = it.label();
    let (title, text, button) = match request.head.path.rsplit('/').next() {
        Some("void") => (
            format!("Void {label}?"),
            "For what was a mistake from the start. Its number stays, what it charged is taken back, and it is not to be \
             paid any more.",
            "Void it",
        ),
        Some("give-up") => (
            format!("Give up {label}?"),
            "Nobody expects it to be paid any more: what is left of it is written off. Should money come in all the same, \
             record it as ever.",
            "Give it up",
        ),
        _ => (format!("Delete {label}?"), "It has no number yet, so nothing is missed.", "Delete it"),
    };
    let shown = title.clone();
    let content = Confirm { it, title, text, button, action: &request.head.path };
    page(&room, &request.head, &viewer, &shown, &Refusal::default(), &content)
}

/// `GET /invoices/{link}`: for whoever has it.
pub(super) async fn by_link(room: Room, request: Request<String>) -> Result<Response> {
    let (billing, text, link) = (room.billing, request.path.clone(), request.head.path.clone());
    let secret = room.platform.database.unit().secret;
    let found = room.platform.database.read("invoice_link", move |snapshot| {
        let InvoiceLink(id) = InvoiceLink::parse(&text, &secret)?;
        let it = billing.invoice(snapshot, id)?;
        let document = billing.document(snapshot, id)?.ok_or(Error::NotFound("invoice"))?;
        let today = billing.details(snapshot, it.user_id)?.today(snapshot.now());
        let words = document.language.unwrap_or_default().words();
        let title = format!("{} {}", words.kind(document.kind), document.number);
        Ok(Public { link, title, it, document, words, today })
    });
    let content = found.await?;
    let words = content.words;
    let frame = Frame { lang: words.tag, skip: words.page.skip, sign_in: words.page.sign_in };
    let mut response = http::page::public_in(frame, &content.title, &content)?;
    response.headers_mut().insert("x-robots-tag", HeaderValue::from_static("noindex"));
    Ok(response)
}

impl InvoicePage<'_> {
    fn is_draft(&self) -> bool {
        self.it.state == InvoiceState::Draft
    }

    fn is_invoice(&self) -> bool {
        self.it.kind == Kind::Invoice
    }

    fn can_void(&self) -> bool {
        let untouched = self.it.due_minor == self.document.totals.due_minor && self.it.credited_minor == 0;
        self.is_invoice() && self.it.state == InvoiceState::Open && untouched
    }

    fn can_credit(&self) -> bool {
        let has_stood = matches!(self.it.state, InvoiceState::Open | InvoiceState::Paid | InvoiceState::Uncollectible);
        self.is_invoice() && has_stood && self.it.credited_minor < self.it.gross_minor
    }

    fn can_be_paid(&self) -> bool {
        self.is_invoice() && matches!(self.it.state, InvoiceState::Open | InvoiceState::Uncollectible)
    }
}
