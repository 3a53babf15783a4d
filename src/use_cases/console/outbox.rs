//! `/outbox`: mail to people, and what became of it.

use askama::Template;
use serde::Deserialize;
use warp::http::{HeaderValue, header};
use warp::reply::Response;

use super::{App, done, page_path, read, scan};
use crate::platform::error::{Error, Result};
use crate::platform::http::{Cursor, Refusal, Request, answers, label_of};
use crate::platform::mail::{self, Mail, MailId, MailPage, Shown, State};

/// Mails on one page.
const PAGE: u32 = 50;
/// What a mail's HTML may do in a browser: look as it does, and nothing else.
const HTML_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; sandbox; frame-ancestors 'none'";

#[derive(Template)]
#[template(path = "use_cases/console/templates/outbox.html", config = "src/askama.toml")]
struct Outbox<'a> {
    mails: Vec<Mail>,
    state: Option<State>,
    is_first: bool,
    next: Option<String>,
    is_sending: bool,
    refused: &'a Refusal,
}

#[derive(Template)]
#[template(path = "use_cases/console/templates/mail.html", config = "src/askama.toml")]
struct MailView<'a> {
    shown: Shown,
    is_sending: bool,
    done: Option<&'static str>,
    refused: &'a Refusal,
}

impl MailView<'_> {
    fn may_retry(&self) -> bool {
        let Mail { state, has_body, .. } = self.shown.mail;
        self.is_sending && has_body && matches!(state, State::Failed | State::Kept)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    #[serde(default)]
    state: String,
    cursor: Option<Cursor<Mail>>,
}

/// `GET /outbox`
pub(super) async fn list(app: App, request: Request) -> Result<Response> {
    let query = request.query();
    let (viewer, (found, state, is_first)) = scan(&app, "outbox_page", &request, |_, snapshot, who| {
        who.must_be_staff()?;
        let Query { state, cursor } = query?;
        let (state, is_first) = (State::parse(&state), cursor.is_none());
        Ok((mail::page(snapshot, state, cursor, PAGE)?, state, is_first))
    })
    .await?;
    let MailPage { items: mails, next_cursor } = found;
    let named = state.map_or("", State::as_str);
    let next = next_cursor.map(|cursor| page_path("/outbox", "state", named, Some(cursor.text())));
    let (is_sending, refused) = (app.platform.mailer.is_sending(), Refusal::default());
    let content = Outbox { mails, state, is_first, next, is_sending, refused: &refused };
    app.platform.show(&request.head, &viewer, "Outbox", &refused, &content)
}

/// `GET /outbox/{id}`
pub(super) async fn show(app: App, request: Request<String>) -> Result<Response> {
    one(&app, &request, Refusal::default()).await
}

async fn one(app: &App, request: &Request<String>, refused: Refusal) -> Result<Response> {
    let id = MailId::parse(&request.path, "mail");
    let (viewer, shown) =
        read(app, "mail_page", request, |app, snapshot, who| mail::show(&app.platform, snapshot, who, id?)).await?;
    let title = shown.mail.subject.clone();
    let is_sending = app.platform.mailer.is_sending();
    let content = MailView { shown, is_sending, done: done(&request.head), refused: &refused };
    app.platform.show(&request.head, &viewer, &title, &refused, &content)
}

/// `GET /outbox/{id}/html`: the mail as its reader sees it, where it can do no harm.
pub(super) async fn html(app: App, request: Request<String>) -> Result<Response> {
    let id = MailId::parse(&request.path, "mail");
    let (_, shown) =
        read(&app, "mail_html", &request, |app, snapshot, who| mail::show(&app.platform, snapshot, who, id?)).await?;
    let body = shown.body.ok_or(Error::NotFound("text of this mail"))?;
    let mut response = answers::text("text/html; charset=utf-8", body.html);
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(HTML_POLICY));
    Ok(response)
}

/// `POST /outbox/{id}/retry`
pub(super) async fn retry(app: App, request: Request<String>) -> Result<Response> {
    let who = app.platform.principal(&request).await?;
    who.must_be_staff()?;
    let id = MailId::parse(&request.path, "mail")?;
    match mail::retry(&app.platform, request.caller(&who), id).await {
        Ok(_) => answers::see_other(&format!("/outbox/{id}?done=mail-retried")),
        Err(error) => one(&app, &request, Refusal::of(error)?.only(&[])).await,
    }
}

/// A mail's state, as markup of our own words.
fn badge(mail: &Mail) -> String {
    let (look, text) = match mail.state {
        State::Waiting if mail.why.is_some() => ("badge warn", "Waiting for another try"),
        State::Waiting => ("badge", "On its way"),
        State::Sent => ("badge good", "Sent"),
        State::Failed if mail.is_refused => ("badge bad", "Refused"),
        State::Failed => ("badge bad", "Given up"),
        State::Kept => ("badge", "Kept here"),
    };
    format!("<span class=\"{look}\">{text}</span>")
}
