//! Accounts for staff: whom invoices go to, what they have, what they owe.

use askama::Template;
use warp::reply::Response;

use super::repository::ConsoleRepository;
use super::subscriptions::Shown;
use super::typed::Typed;
use super::{ListQuery, Of, Room, must_still_be, page, user_of, view};
use crate::modules::billing::languages::{self, Language};
use crate::modules::billing::model::{Details, DetailsChange};
use crate::modules::billing::{Invoice, InvoiceFilter, InvoiceState, Owner, Payment, TaxRate};
use crate::platform::auth::Principal;
use crate::platform::clock::Time;
use crate::platform::db::Snapshot;
use crate::platform::error::Result;
use crate::platform::http::{Refusal, Request, answers};
use crate::platform::ids;
use crate::platform::money;

/// Rows of each kind on an account's page.
const LATEST: u32 = 20;
const AT_MOST: u32 = 500;
const MAX_SEARCH_CHARS: usize = 100;

#[derive(Template)]
#[template(path = "modules/billing/pages/templates/accounts.html", config = "src/askama.toml")]
struct Accounts {
    accounts: Vec<Of<Details>>,
    q: String,
    first: Option<String>,
    next: Option<String>,
}

#[derive(Template)]
#[template(path = "modules/billing/pages/templates/account.html", config = "src/askama.toml")]
struct AccountPage {
    books: Books,
    done: Option<&'static str>,
}

/// A person's books as one page shows them.
pub(super) struct Books {
    pub details: Details,
    pub name: String,
    pub subscriptions: Vec<Shown>,
    pub invoices: Vec<Invoice>,
    pub payments: Vec<Payment>,
    pub rate: Option<TaxRate>,
    pub due_minor: i64,
    pub overdue_minor: i64,
    pub today: jiff::civil::Date,
}

#[derive(Template)]
#[template(path = "modules/billing/pages/templates/details.html", config = "src/askama.toml")]
struct DetailsPage<'a> {
    details: Details,
    name: String,
    /// Those in use; none where a person changes their own.
    rates: Vec<TaxRate>,
    /// Tags and names.
    languages: Vec<(String, String)>,
    is_own: bool,
    typed: Typed,
    refused: &'a Refusal,
}

/// `GET /billing/accounts`
pub(super) async fn list(room: Room, request: Request) -> Result<Response> {
    let query: Result<ListQuery<ids::User>> = request.query();
    let look = |room: &Room, snapshot: &Snapshot<'_>, who: &Principal| {
        who.must_be_staff()?;
        let ListQuery { cursor, q, .. } = query?;
        let q: String = q.trim().chars().take(MAX_SEARCH_CHARS).collect();
        let is_first = cursor.is_none();
        let (rows, next) = room.page_of(
            snapshot,
            who,
            cursor,
            |from, limit| {
                let found = snapshot.tables(Owner(())).search_accounts(&q, from, limit)?;
                found.into_iter().map(|user| room.billing.details(snapshot, user)).collect()
            },
            |it: &Details| (it.account.user_id, it.account.user_id),
        )?;
        Ok((rows, next, q, is_first))
    };
    let (viewer, (accounts, next, q, is_first)) = room.scan("billing_accounts_page", &request, look).await?;
    let path = |cursor: Option<&str>| {
        let pairs = [("q", Some(q.as_str()).filter(|q| !q.is_empty())), ("cursor", cursor)];
        let pairs = pairs.into_iter().filter_map(|(name, value)| Some((name, value?)));
        format!("/billing/accounts?{}", form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish())
    };
    let (first, next) = ((!is_first).then(|| path(None)), next.map(|next| path(Some(&next))));
    let content = Accounts { accounts, q, first, next };
    page(&room, &request.head, &viewer, "Accounts", &Refusal::default(), &content)
}

/// `GET /billing/accounts/{id}`
pub(super) async fn show(room: Room, request: Request<String>) -> Result<Response> {
    let id = user_of(&request);
    let (viewer, books) = room
        .look("billing_account_page", &request, |room, snapshot, who| {
            let details = room.managed(snapshot, who, id)?;
            books(room, snapshot, details)
        })
        .await?;
    let title = books.name.clone();
    let content = AccountPage { books, done: view::done(&request.head) };
    page(&room, &request.head, &viewer, &title, &Refusal::default(), &content)
}

pub(super) fn books(room: &Room, snapshot: &Snapshot<'_>, details: Details) -> Result<Books> {
    let (billing, user) = (room.billing, details.account.user_id);
    let today = details.today(snapshot.now());
    let open = InvoiceFilter { user: Some(user), state: Some(InvoiceState::Open), ..InvoiceFilter::default() };
    let open = billing.invoices(snapshot, &open, None, 1000)?;
    let late = open.iter().filter(|invoice| invoice.is_overdue(today));
    let subscriptions = billing.subscriptions(snapshot, Some(user), None, LATEST)?;
    let all = InvoiceFilter { user: Some(user), ..InvoiceFilter::default() };
    Ok(Books {
        name: view::name_of(&details),
        subscriptions: subscriptions.into_iter().map(|it| Shown::of(room, snapshot, it)).collect::<Result<_>>()?,
        invoices: billing.invoices(snapshot, &all, None, LATEST)?,
        payments: billing.payments(snapshot, Some(user), None, LATEST)?,
        rate: details.tax_rate_id.map(|id| billing.tax_rate(snapshot, id)).transpose()?,
        due_minor: money::sum(open.iter().map(|invoice| invoice.due_minor))?,
        overdue_minor: money::sum(late.map(|invoice| invoice.due_minor))?,
        today,
        details,
    })
}

/// `GET /billing/accounts/{id}/edit`
pub(super) async fn show_edit(room: Room, request: Request<String>) -> Result<Response> {
    edit_page(&room, &request, None, Refusal::default()).await
}

async fn edit_page(room: &Room, request: &Request<String>, typed: Option<Typed>, refused: Refusal) -> Result<Response> {
    let id = user_of(request);
    let (viewer, (details, mut rates, spoken, now)) = room
        .look("edit_billing_account_page", request, |room, snapshot, who| {
            let details = room.managed(snapshot, who, id)?;
            let spoken = room.billing.language_of(snapshot, &details)?;
            Ok((details, room.billing.tax_rates(snapshot, None, AT_MOST)?, spoken, snapshot.now()))
        })
        .await?;
    rates.retain(|rate| rate.is_active || Some(rate.id) == details.tax_rate_id);
    let typed = typed.unwrap_or_else(|| fields(&details, now));
    let name = view::name_of(&details);
    let title = format!("Billing details of {name}");
    let languages = languages(&details, spoken);
    let content = DetailsPage { details, name, rates, languages, is_own: false, typed, refused: &refused };
    page(room, &request.head, &viewer, &title, &refused, &content)
}

/// `POST /billing/accounts/{id}/edit`
pub(super) async fn edit(room: Room, mut request: Request<String>) -> Result<Response> {
    let who = room.platform.principal(&request).await?;
    who.must_be_staff()?;
    let id = user_of(&request)?;
    let typed: Typed = request.form().await?;
    let edited = match change_of(&typed, false) {
        Ok(change) => {
            let form = typed.clone();
            let edit = room.change("change_billing_account", request.caller(&who), move |room, work| {
                room.must_manage(work, &who, Ok(id))?;
                room.billing.change_account(work, id, change, |now| must_still_be(&form, now.version))
            });
            edit.await
        }
        Err(error) => Err(error),
    };
    match edited {
        Ok(_) => answers::see_other(&format!("/billing/accounts/{id}?done=account-saved")),
        Err(error) => edit_page(&room, &request, Some(typed), Refusal::of(error)?).await,
    }
}

/// The page on which a person changes their own details.
pub(super) fn own_page<'a>(
    details: Details,
    spoken: Language,
    typed: Option<Typed>,
    now: Time,
    refused: &'a Refusal,
) -> impl Template + 'a {
    let typed = typed.unwrap_or_else(|| fields(&details, now));
    let name = view::name_of(&details);
    let languages = languages(&details, spoken);
    DetailsPage { details, name, rates: Vec::new(), languages, is_own: true, typed, refused }
}

/// What may be chosen: all languages that there are, and the account's own, which is `spoken` so, where it is another.
fn languages(details: &Details, spoken: Language) -> Vec<(String, String)> {
    let all = languages::ALL.map(Language::words);
    let own = (details.language.clone(), format!("{}, in {}", details.language, spoken.words().name));
    let other = Some(own).filter(|(own, _)| all.iter().all(|words| words.tag != own));
    all.iter().map(|words| (words.tag.to_owned(), words.name.to_owned())).chain(other).collect()
}

fn fields(details: &Details, now: Time) -> Typed {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let address = &details.address;
    Typed::fresh(
        now,
        [
            ("currency", details.account.currency.to_string()),
            ("name", text(&details.name)),
            ("line1", text(&address.line1)),
            ("line2", text(&address.line2)),
            ("postcode", text(&address.postcode)),
            ("city", text(&address.city)),
            ("region", text(&address.region)),
            ("country", text(&address.country)),
            ("tax_id", text(&details.tax_id)),
            ("language", details.language.clone()),
            ("time_zone", details.time_zone.clone()),
            ("payment_terms_days", details.payment_terms_days.map(|days| days.to_string()).unwrap_or_default()),
            ("tax_rate_id", details.tax_rate_id.map(|id| id.to_string()).unwrap_or_default()),
            ("version", details.version.to_string()),
        ],
    )
}

/// What is asked for; terms and tax rate are for staff to say.
pub(super) fn change_of(typed: &Typed, is_own: bool) -> Result<DetailsChange> {
    Ok(DetailsChange {
        currency: typed.some("currency"),
        name: typed.all("name"),
        line1: typed.all("line1"),
        line2: typed.all("line2"),
        postcode: typed.all("postcode"),
        city: typed.all("city"),
        region: typed.all("region"),
        country: typed.all("country"),
        tax_id: typed.all("tax_id"),
        language: typed.some("language"),
        time_zone: typed.some("time_zone"),
        payment_terms_days: match typed.all("payment_terms_days") {
            Some(_) if !is_own => Some(typed.number("payment_terms_days")?),
            _ => None,
        },
        tax_rate_id: if is_own { None } else { typed.all("tax_rate_id") },
    })
}
