//! `/api/mails`: the outbox.

use serde::{Deserialize, Serialize};
use utoipa::OpenApi;
use warp::http::StatusCode;
use warp::reply::Response;

use super::*;
use crate::platform::Platform;
use crate::platform::audit::{self, Change};
use crate::platform::auth::{Caller, Principal};
use crate::platform::http::{self, Cursor, Limit, Request, Routes, answers, on};

#[derive(OpenApi)]
#[openapi(paths(list_mails, show_mail, send_mail), components(schemas(Mail, State, Body)))]
pub struct MailsApi;

pub fn routes(platform: &Platform) -> Option<Routes> {
    http::either([
        on(platform).get(list_mails).at(warp::path!("api" / "mails")),
        on(platform).get(show_mail).at(warp::path!("api" / "mails" / String)),
        on(platform).post(send_mail).at(warp::path!("api" / "mails" / String / "retry")),
    ])
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    #[serde(default)]
    limit: Limit,
    cursor: Option<Cursor<Mail>>,
    state: Option<String>,
}

#[derive(Serialize, utoipa::ToSchema)]
pub struct MailPage {
    /// Newest first.
    pub items: Vec<Mail>,
    #[schema(value_type = Option<String>)]
    pub next_cursor: Option<Cursor<Mail>>,
}

/// A mail, and what it says.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = ShownMail)]
pub struct Shown {
    pub mail: Mail,
    /// Null where it is gone, or not for whoever asks: it may bear a link that lets its reader in, so one must look after
    /// the person.
    pub body: Option<Body>,
    /// Whether it is there, and not for whoever asks.
    pub is_withheld: bool,
}

/// One page of mails.
pub fn page(
    snapshot: &Snapshot<'_>,
    state: Option<State>,
    cursor: Option<Cursor<Mail>>,
    limit: u32,
) -> Result<MailPage> {
    // One more than asked for tells whether there is a next page.
    let mut items = list(snapshot, state, cursor.map(|Cursor(id)| id), limit + 1)?;
    let more = items.len() > limit as usize;
    items.truncate(limit as usize);
    let next_cursor = items.last().filter(|_| more).map(|last| Cursor(last.id));
    Ok(MailPage { items, next_cursor })
}

/// One mail as `who` may see it: what it says is for those who may look after its person.
pub fn show(platform: &Platform, snapshot: &Snapshot<'_>, who: &Principal, id: MailId) -> Result<Shown> {
    who.must_be_staff()?;
    let mail = find(snapshot, id)?;
    let role = platform.auth.role(snapshot, mail.person)?;
    let may_read = role.is_some_and(|role| who.must_manage(role).is_ok());
    let body = if may_read { look::body(snapshot, id)? } else { None };
    Ok(Shown { is_withheld: mail.has_body && !may_read, mail, body })
}

/// Has a mail delivered at once, and writes down who wanted that.
pub async fn retry(platform: &Platform, by: Caller, id: MailId) -> Result<Mail> {
    let mailer = platform.mailer.clone();
    let retried = platform.change("retry_mail", by, move |work| {
        let before = find(work, id)?;
        let after = mailer.send_again(work, id)?;
        let (was, is) = (before.state, after.state);
        let person = Some(before.person);
        let change =
            Change { action: "mail.retried", subject: id.uuid(), person, before: Some(&was), after: Some(&is) };
        audit::record(work, change)?;
        Ok(after)
    });
    retried.await
}

/// Mails, newest first: to whom, about what, and what became of them.
#[utoipa::path(
    get, path = "/api/mails", tag = "mail", operation_id = "list_mails", security(("bearer" = [])),
    params(
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100),
        ("cursor" = Option<String>, Query),
        ("state" = Option<State>, Query),
    ),
    responses((status = 200, body = MailPage), (status = 403, description = "not staff")),
)]
async fn list_mails(platform: Platform, request: Request) -> Result<Response> {
    let query = request.query();
    let found = platform.scan("list_mails", &request, move |snapshot, who| {
        who.must_be_staff()?;
        let Query { limit: Limit(limit), cursor, state } = query?;
        let state = state.map(|text| State::parse(&text).ok_or(text)).transpose();
        let state = state.map_err(|text| Error::invalid("state", format!("`{text}` is no state of a mail")))?;
        page(snapshot, state, cursor, limit)
    });
    answers::json(StatusCode::OK, &found.await?)
}

/// One mail, and what it says to those who may look after its person.
#[utoipa::path(
    get, path = "/api/mails/{id}", tag = "mail", operation_id = "show_mail", security(("bearer" = [])),
    params(("id" = String, Path, format = Uuid)),
    responses((status = 200, body = Shown), (status = 403, description = "not staff")),
)]
async fn show_mail(platform: Platform, request: Request<String>) -> Result<Response> {
    let id = MailId::parse(&request.path, "mail");
    let it = platform.clone();
    let found = platform.read("show_mail", &request, move |snapshot, who| {
        who.must_be_staff()?;
        show(&it, snapshot, who, id?)
    });
    answers::json(StatusCode::OK, &found.await?)
}

/// Delivers a mail that failed, or was kept, at once.
#[utoipa::path(
    post, path = "/api/mails/{id}/retry", tag = "mail", operation_id = "retry_mail", security(("bearer" = [])),
    params(("id" = String, Path, format = Uuid)),
    responses(
        (status = 200, body = Mail),
        (status = 403, description = "not staff"),
        (status = 408, description = "a body that did not arrive, where there should be none"),
        (status = 409, description = "it is on its way or sent, it has expired, or there are no SMTP settings"),
        (status = 413, description = "a body, where there should be none"),
    ),
)]
async fn send_mail(platform: Platform, mut request: Request<String>) -> Result<Response> {
    let who = platform.principal(&request).await?;
    who.must_be_staff()?;
    let id = MailId::parse(&request.path, "mail")?;
    request.bytes(0).await?;
    answers::json(StatusCode::OK, &retry(&platform, request.caller(&who), id).await?)
}
