//! Invoices and credit notes made by hand: their lines, looked at before they are kept.

use askama::Template;
use jiff::ToSpan;
use rust_decimal::Decimal;
use warp::reply::Response;

use super::catalogue::unit_price;
use super::typed::{Typed, renamed};
use super::{Room, invoice_of, page, user_of, view};
use crate::modules::billing::invoices::document::{Document, Kind, Line, Period};
use crate::modules::billing::invoices::{Draft, Invoice, InvoiceId, OwnLine, State};
use crate::modules::billing::model::Details;
use crate::modules::billing::{TaxCategory, TaxRate, TaxRateId, WantedDiscount};
use crate::platform::auth::Principal;
use crate::platform::clock::Time;
use crate::platform::db::{Snapshot, UnitOfWork};
use crate::platform::error::{Error, FieldError, Result};
use crate::platform::http::{Refusal, Request, answers};
use crate::platform::ids::UserId;
use crate::platform::text;

/// Lines that a form begins with, and that it grows by.
const ROWS: usize = 3;
/// A form's lines, at most; longer invoices come over the API.
const MOST_ROWS: usize = 60;
const MAX_LINE: usize = 200;
const MAX_NOTE: usize = 1000;
const AT_MOST: u32 = 500;

/// What the form is for.
#[derive(Debug, Clone, Copy)]
enum About {
    /// A new invoice of this account.
    New(UserId),
    /// Another draft in place of this.
    Draft(InvoiceId),
    /// A credit note for this invoice.
    Credit(InvoiceId),
}

#[derive(Template)]
#[template(path = "modules/billing/pages/templates/draft.html", config = "src/askama.toml")]
struct DraftPage<'a> {
    about: About,
    title: &'static str,
    action: &'a str,
    details: Details,
    name: String,
    /// What is changed, or credited.
    it: Option<Invoice>,
    rates: Vec<TaxRate>,
    rows: Vec<Row>,
    typed: Typed,
    foreseen: Option<(Document, String)>,
    refused: &'a Refusal,
}

/// The names of one line's fields.
struct Row {
    n: usize,
    description: String,
    quantity: String,
    price: String,
    tax: String,
    from: String,
    until: String,
    plan: String,
}

/// `GET /billing/accounts/{id}/invoices/add`
pub(super) async fn show_new(room: Room, request: Request<String>) -> Result<Response> {
    draft_page(&room, &request, user_of(&request).map(About::New), None, Refusal::default()).await
}

/// `POST /billing/accounts/{id}/invoices/add`
pub(super) async fn add(room: Room, request: Request<String>) -> Result<Response> {
    let about = user_of(&request).map(About::New);
    take(room, request, about).await
}

/// `GET /billing/invoices/{id}/edit`
pub(super) async fn show_edit(room: Room, request: Request<String>) -> Result<Response> {
    draft_page(&room, &request, invoice_of(&request).map(About::Draft), None, Refusal::default()).await
}

/// `POST /billing/invoices/{id}/edit`
pub(super) async fn edit(room: Room, request: Request<String>) -> Result<Response> {
    let about = invoice_of(&request).map(About::Draft);
    take(room, request, about).await
}

/// `GET /billing/invoices/{id}/credit`
pub(super) async fn show_credit(room: Room, request: Request<String>) -> Result<Response> {
    draft_page(&room, &request, invoice_of(&request).map(About::Credit), None, Refusal::default()).await
}

/// `POST /billing/invoices/{id}/credit`
pub(super) async fn credit(room: Room, request: Request<String>) -> Result<Response> {
    let about = invoice_of(&request).map(About::Credit);
    take(room, request, about).await
}

/// What there is before the form: the account, and the invoice that it is about.
fn ground(room: &Room, snapshot: &Snapshot<'_>, who: &Principal, about: About) -> Result<(Details, Option<Invoice>)> {
    who.must_be_staff()?;
    let it = about.invoice().map(|id| room.billing.invoice(snapshot, id)).transpose()?;
    let user = it.as_ref().map(|it| it.user_id).or(about.user()).ok_or(Error::NotFound("billing account"))?;
    room.must_manage(snapshot, who, Ok(user))?;
    let fits = match (about, &it) {
        (About::Draft(_), Some(it)) => it.state == State::Draft,
        (About::Credit(_), Some(it)) => it.kind == Kind::Invoice && it.number.is_some() && it.state != State::Void,
        _ => true,
    };
    if !fits {
        return Err(Error::conflict("state", "this can't be done with it any more: look at it again"));
    }
    Ok((room.billing.details(snapshot, user)?, it))
}

async fn draft_page(
    room: &Room,
    request: &Request<String>,
    about: Result<About>,
    typed: Option<Typed>,
    refused: Refusal,
) -> Result<Response> {
    let wants_preview = refused.is_none() && typed.is_some();
    let look = move |room: &Room, snapshot: &Snapshot<'_>, who: &Principal| {
        let about = about?;
        let (details, it) = ground(room, snapshot, who, about)?;
        let mut rates = room.billing.tax_rates(snapshot, None, AT_MOST)?;
        let lines = it.as_ref().map_or(Ok(Vec::new()), |it| room.billing.invoice_lines(snapshot, it.id))?;
        rates.retain(|rate| rate.is_active || lines.iter().any(|own| own.tax_rate_id == rate.id));
        let mut form = typed.unwrap_or_else(|| fields(it.as_ref(), &lines, &details, snapshot.now()));
        let mut rows = form.number("rows").ok().flatten().unwrap_or(ROWS).clamp(1, MOST_ROWS);
        if form.is("do", "more") {
            rows = (rows + ROWS).min(MOST_ROWS);
        }
        form.set("rows", rows.to_string());
        form.set("key", crate::platform::ids::Id::<Draft>::new(snapshot.now()).to_string());
        // Its own rate first, then those that charge something.
        rates.sort_by_key(|rate| (Some(rate.id) != details.tax_rate_id, rate.category != TaxCategory::Standard));
        // A form that grows is not looked at yet.
        let foreseen = match wants_preview && !form.is("do", "more") {
            true => foresee(room, snapshot, about, &details, it.as_ref(), &form).map(Some),
            false => Ok(None),
        };
        Ok((about, details, it, rates, rows, form, foreseen))
    };
    let (viewer, (about, details, it, rates, rows, typed, foreseen)) =
        room.look("billing_draft_page", request, look).await?;
    let (foreseen, refused) = match foreseen {
        Ok(foreseen) => (foreseen, refused),
        Err(error) => (None, refusal(error, rows)?),
    };
    let (title, name) = (about.title(), view::name_of(&details));
    let (action, rows) = (&request.head.path, (1..=rows).map(Row::new).collect());
    let content =
        DraftPage { about, title, action, details, name, it, rates, rows, typed, foreseen, refused: &refused };
    page(room, &request.head, &viewer, title, &refused, &content)
}

fn foresee(
    room: &Room,
    snapshot: &Snapshot<'_>,
    about: About,
    details: &Details,
    it: Option<&Invoice>,
    typed: &Typed,
) -> Result<(Document, String)> {
    let mut draft = draft(room, snapshot, about, details, it, typed)?;
    let document = room.billing.preview(snapshot, details, &mut draft)?;
    must_be_left(about, it, &document)?;
    let seal = view::seal(Some(&document))?;
    Ok((document, seal))
}

/// No more is credited than was charged.
fn must_be_left(about: About, it: Option<&Invoice>, document: &Document) -> Result<()> {
    let (About::Credit(_), Some(it)) = (about, it) else { return Ok(()) };
    let left = it.gross_minor - it.credited_minor;
    if document.totals.gross_minor > left {
        let (left, asked) = (view::money(&left, &it.currency), view::money(&document.totals.gross_minor, &it.currency));
        return Err(Error::Conflict {
            field: None,
            detail: format!("these lines come to {asked}, and only {left} of the invoice are left to be credited"),
        });
    }
    Ok(())
}

async fn take(room: Room, mut request: Request<String>, about: Result<About>) -> Result<Response> {
    let who = room.platform.principal(&request).await?;
    who.must_be_staff()?;
    let about = about?;
    let typed: Typed = request.form().await?;
    if !typed.is("do", "save") {
        return draft_page(&room, &request, Ok(about), Some(typed), Refusal::default()).await;
    }
    let form = typed.clone();
    let saved =
        room.once("save_invoice_draft", &request, &who, &typed, move |room, work| save(room, work, &who, about, &form));
    match saved.await {
        Ok(location) => answers::see_other(&location),
        Err(error) => {
            let refused = refusal(error, MOST_ROWS)?;
            draft_page(&room, &request, Ok(about), Some(typed), refused).await
        }
    }
}

fn save(room: &Room, work: &UnitOfWork<'_>, who: &Principal, about: About, typed: &Typed) -> Result<String> {
    let (details, it) = ground(room, work, who, about)?;
    if let (About::Draft(_), Some(it)) = (about, &it) {
        super::must_still_be(typed, it.version)?;
    }
    let draft = draft(room, work, about, &details, it.as_ref(), typed)?;
    let replaces = if let About::Draft(id) = about { Some(id) } else { None };
    let kept = room.billing.put_draft(work, replaces, draft)?;
    if !matches!(about, About::Credit(_)) {
        return Ok(format!("/billing/invoices/{}?done=drafted", kept.id));
    }
    let issued = room.billing.finalize(work, kept.id, |_| Ok(()))?;
    must_be_left(about, it.as_ref(), &issued.document)?;
    if view::seal(Some(&issued.document))? != typed.text("seal") {
        let detail = "the lines have changed since you looked at it: look at it again";
        return Err(Error::Conflict { field: None, detail: detail.into() });
    }
    Ok(format!("/billing/invoices/{}?done=credited", issued.invoice.id))
}

fn refusal(error: Error, rows: usize) -> Result<Refusal> {
    let names = [
        ("discount", "discount_percent"),
        ("discount.percent", "discount_percent"),
        ("discount.amount_minor", "discount_amount"),
    ];
    let mut fields: Vec<String> =
        ["note", "discount_reason", "discount_percent", "discount_amount"].map(str::to_owned).to_vec();
    for n in 1..=rows {
        fields.extend(["description", "quantity", "price", "tax", "from", "until"].map(|part| field(n, part)));
    }
    let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
    Ok(Refusal::of(renamed(error, &names))?.only(&fields))
}

/// The name of a line's field: `line_1_price`.
fn field(n: usize, part: &str) -> String {
    format!("line_{n}_{part}")
}

fn fields(it: Option<&Invoice>, lines: &[OwnLine], details: &Details, now: Time) -> Typed {
    let mut typed = Typed::fresh(now, []);
    typed.set("rows", lines.len().max(ROWS).to_string());
    for (n, own) in lines.iter().enumerate() {
        let line = &own.line;
        typed.set(&field(n + 1, "description"), line.description.clone());
        typed.set(&field(n + 1, "quantity"), line.quantity.normalize().to_string());
        typed.set(
            &field(n + 1, "price"),
            view::major_decimal(&line.unit_price_minor, &details.account.currency).to_string(),
        );
        typed.set(&field(n + 1, "tax"), own.tax_rate_id.to_string());
        typed.set(&field(n + 1, "plan"), own.plan.clone().unwrap_or_default());
        if let Some(period) = line.period {
            typed.set(&field(n + 1, "from"), period.from.to_string());
            let last = period.until.yesterday().unwrap_or(period.until);
            typed.set(&field(n + 1, "until"), last.to_string());
        }
    }
    let Some(it) = it else { return typed };
    typed.set("version", it.version.to_string());
    if it.state == State::Draft {
        typed.set("note", it.note.clone().unwrap_or_default());
    }
    if let Some(discount) = &it.discount {
        typed.set("discount_reason", discount.reason.clone());
        let percent = discount.percent.map(|percent| percent.normalize().to_string());
        typed.set("discount_percent", percent.unwrap_or_default());
        let amount = discount.amount_minor.map(|minor| view::major(&minor, &it.currency));
        typed.set("discount_amount", amount.unwrap_or_default());
    }
    typed
}

/// The draft that was typed; lines without any entry are left out.
fn draft(
    room: &Room,
    snapshot: &Snapshot<'_>,
    about: About,
    details: &Details,
    it: Option<&Invoice>,
    typed: &Typed,
) -> Result<Draft> {
    let rows = typed.number("rows")?.unwrap_or(ROWS).clamp(1, MOST_ROWS);
    let (mut lines, mut wrong) = (Vec::new(), Vec::new());
    for n in 1..=rows {
        if !["description", "quantity", "price"].iter().any(|part| typed.has(&field(n, part))) {
            continue;
        }
        match line(room, snapshot, details, typed, n) {
            Ok(own) => lines.push(own),
            Err(Error::Invalid(errors)) => wrong.extend(errors),
            Err(error) => return Err(error),
        }
    }
    if !wrong.is_empty() {
        return Err(Error::Invalid(wrong));
    }
    if lines.is_empty() {
        return Err(Error::invalid("line_1_description", "missing: say what it is for"));
    }
    let note = text::paragraph("note", typed.text("note"), MAX_NOTE)?;
    let (kind, credits) = match (about, it) {
        (About::Credit(id), _) => (Kind::CreditNote, Some(id)),
        (About::Draft(_), Some(it)) => (it.kind, it.credits),
        _ => (Kind::Invoice, None),
    };
    Ok(Draft {
        kind,
        user_id: details.account.user_id,
        subscription_id: it.and_then(|it| it.subscription_id),
        credits,
        run_key: None,
        currency: details.account.currency,
        discount: discount(typed, details)?,
        note: Some(note).filter(|note| !note.is_empty()),
        lines,
    })
}

fn line(room: &Room, snapshot: &Snapshot<'_>, details: &Details, typed: &Typed, n: usize) -> Result<OwnLine> {
    let at = |part: &str| field(n, part);
    let mut wrong: Vec<FieldError> = Vec::new();
    let description = text::line("description", typed.text(&at("description")), MAX_LINE);
    let description = description.map_err(|error| renamed_to(error, &at("description")));
    let quantity = typed.some(&at("quantity")).unwrap_or_else(|| "1".into());
    let quantity =
        quantity.parse::<Decimal>().map_err(|_| Error::invalid(at("quantity"), "write a number like 3 or 0.5"));
    let price = unit_price(&at("price"), typed.text(&at("price")), details.account.currency);
    let rate = TaxRateId::parse(typed.text(&at("tax")), "tax rate");
    let rate = rate.and_then(|id| room.billing.tax_rate(snapshot, id));
    let rate = rate.map_err(|_| Error::invalid(at("tax"), "choose one"));
    let period = period(typed, &at("from"), &at("until"));
    let mut note = |error: Error| match error {
        Error::Invalid(errors) => {
            wrong.extend(errors);
            Ok(())
        }
        other => Err(other),
    };
    match (description, quantity, price, rate, period) {
        (Ok(description), Ok(quantity), Ok(price), Ok(rate), Ok(period)) => {
            let line = Line::priced(description, quantity, price, rate.tax());
            let line = line.map_err(|error| renamed_to(error, &at("price")))?;
            let line = Line { period, ..line };
            Ok(OwnLine { line, tax_rate_id: rate.id, plan: typed.some(&at("plan")) })
        }
        (description, quantity, price, rate, period) => {
            let errors = [description.err(), quantity.err(), price.err(), rate.err(), period.err()];
            errors.into_iter().flatten().try_for_each(&mut note)?;
            Err(Error::Invalid(wrong))
        }
    }
}

/// Both days, the last one within; or none.
fn period(typed: &Typed, from: &str, until: &str) -> Result<Option<Period>> {
    match (typed.date(from)?, typed.date(until)?) {
        (Some(first), Some(last)) if first <= last => {
            let until = last.checked_add(1.day()).map_err(|_| Error::invalid(until, "too late a day"))?;
            Ok(Some(Period { from: first, until }))
        }
        (Some(_), Some(_)) => Err(Error::invalid(until, "not before the first day")),
        (None, None) => Ok(None),
        (Some(_), None) => Err(Error::invalid(until, "missing: the last day")),
        (None, Some(_)) => Err(Error::invalid(from, "missing: the first day")),
    }
}

fn discount(typed: &Typed, details: &Details) -> Result<Option<WantedDiscount>> {
    let percent = typed.some("discount_percent").map(|percent| percent.parse::<Decimal>());
    let percent = percent.transpose().map_err(|_| Error::invalid("discount_percent", "write a number like 10"))?;
    let amount = typed.some("discount_amount").map(|_| typed.money("discount_amount", details.account.currency));
    let amount_minor = amount.transpose()?;
    match (percent, amount_minor) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => Err(Error::invalid("discount_amount", "either this or percent")),
        (percent, amount_minor) => {
            let reason = typed.some("discount_reason").unwrap_or_else(|| "Discount".into());
            let reason = text::line("discount_reason", &reason, MAX_LINE)?;
            Ok(Some(WantedDiscount { reason, percent, amount_minor }))
        }
    }
}

/// The error as one of this field.
fn renamed_to(error: Error, field: &str) -> Error {
    match error {
        Error::Invalid(errors) => {
            Error::Invalid(errors.into_iter().map(|one| FieldError::new(field, one.detail)).collect())
        }
        other => other,
    }
}

impl Row {
    fn new(n: usize) -> Row {
        let at = |part| field(n, part);
        Row {
            n,
            description: at("description"),
            quantity: at("quantity"),
            price: at("price"),
            tax: at("tax"),
            from: at("from"),
            until: at("until"),
            plan: at("plan"),
        }
    }
}

impl About {
    fn invoice(self) -> Option<InvoiceId> {
        match self {
            About::New(_) => None,
            About::Draft(id) | About::Credit(id) => Some(id),
        }
    }

    fn user(self) -> Option<UserId> {
        if let About::New(user) = self { Some(user) } else { None }
    }

    fn title(self) -> &'static str {
        match self {
            About::New(_) => "New invoice",
            About::Draft(_) => "Change the draft",
            About::Credit(_) => "New credit note",
        }
    }

    fn is_credit(&self) -> bool {
        matches!(self, About::Credit(_))
    }
}
