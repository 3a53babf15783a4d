//! Restoring from the console: choose or upload a backup, see what is in it, confirm with the password.

use askama::Template;
use serde::Deserialize;
use serde_json::Value;
use warp::http::{HeaderValue, StatusCode, header};
use warp::reply::Response;

use super::{App, done, is_signed_in, read};
use crate::modules::profiles::Profile;
use crate::platform::audit::Entry;
use crate::platform::auth::Principal;
use crate::platform::bytes::Bytes;
use crate::platform::clock::Time;
use crate::platform::db::Snapshot;
use crate::platform::error::{Error, Result};
use crate::platform::http::{Refusal, Request, answers, page};
use crate::platform::ids::UserId;
use crate::use_cases::restored::{Back, Losses, Present};
use crate::use_cases::restores::{self, Choice, Preview, RestoreId};

/// How long a failed restore is told on an owner's home.
const TOLD_S: i64 = 24 * 3600;
/// People listed by name on the page; more are counted.
const LISTED: usize = 50;

#[derive(Template)]
#[template(path = "use_cases/console/templates/restore.html", config = "src/askama.toml")]
struct RestorePage<'a> {
    choices: Vec<Choice>,
    max_upload: Bytes,
    last: Option<Last>,
    done: Option<&'static str>,
    refused: &'a Refusal,
}

#[derive(Template)]
#[template(path = "use_cases/console/templates/restore_confirm.html", config = "src/askama.toml")]
struct ConfirmPage<'a> {
    preview: Preview,
    refused: &'a Refusal,
}

impl ConfirmPage<'_> {
    fn losses(&self) -> Option<&Losses> {
        match &self.preview.outlook.present {
            Present::Later(losses) => Some(losses),
            _ => None,
        }
    }

    /// How many people are in this unit, where the backup is of another.
    fn other(&self) -> Option<String> {
        match &self.preview.outlook.present {
            Present::Other { people: 1 } => Some("1 person".into()),
            Present::Other { people } => Some(format!("{people} people")),
            _ => None,
        }
    }

    fn unreadable(&self) -> Option<&str> {
        match &self.preview.outlook.present {
            Present::Unreadable(why) => Some(why),
            _ => None,
        }
    }

    fn listed<'b>(&self, back: &'b [Back]) -> &'b [Back] {
        &back[..back.len().min(LISTED)]
    }
}

#[derive(Template)]
#[template(path = "use_cases/console/templates/restoring.html", config = "src/askama.toml")]
struct RestoringPage;

/// The last restore, as the unit's audit trail has it.
pub(super) struct Last {
    pub at: Time,
    pub from: String,
    /// Why it failed; none where it went well.
    pub failed: Option<String>,
    /// Who is back in it, although their account was closed, and still there.
    closed: Vec<Profile>,
    /// Who may do more in it than they might before, and is still there.
    demoted: Vec<Profile>,
}

/// The last restore, for owners.
pub(super) fn last(app: &App, snapshot: &Snapshot<'_>) -> Result<Option<Last>> {
    let Some(Entry { at, after: Some(after), .. }) = restores::last(app, snapshot)? else { return Ok(None) };
    let text = |name: &str| after[name].as_str().map(str::to_owned);
    let still_there = |name: &str| -> Result<Vec<Profile>> {
        let ids = after[name].as_array().into_iter().flatten().filter_map(Value::as_str).take(LISTED);
        let mut there = Vec::new();
        for id in ids {
            match app.profiles.of(snapshot, UserId::parse(id, "person")?) {
                Ok(profile) => there.push(profile),
                Err(Error::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(there)
    };
    Ok(Some(Last {
        at,
        from: text("from").unwrap_or_default(),
        failed: text("why"),
        closed: still_there("closed_since")?,
        demoted: still_there("demoted_since")?,
    }))
}

/// A restore that failed a short while ago, for an owner's home.
pub(super) fn trouble(app: &App, snapshot: &Snapshot<'_>, who: &Principal) -> Result<Option<Last>> {
    if !who.is_owner() {
        return Ok(None);
    }
    let since = snapshot.now().plus_seconds(-TOLD_S);
    Ok(last(app, snapshot)?.filter(|last| last.failed.is_some() && last.at > since))
}

/// `GET /restore`
pub(super) async fn show(app: App, request: Request) -> Result<Response> {
    choose_page(&app, &request, Refusal::default()).await
}

async fn choose_page(app: &App, request: &Request, refused: Refusal) -> Result<Response> {
    let (viewer, last) = read(app, "restore_page", request, |app, snapshot, who| {
        who.must_be_owner()?;
        last(app, snapshot)
    })
    .await?;
    let choices = restores::choices(app).await?;
    let max_upload = app.restores.max_upload();
    let content = RestorePage { choices, max_upload, last, done: done(&request.head), refused: &refused };
    app.platform.show(&request.head, &viewer, "Restore", &refused, &content)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChoiceForm {
    backup: String,
}

/// `POST /restore`: makes one of the unit's own backups ready.
pub(super) async fn choose(app: App, mut request: Request) -> Result<Response> {
    app.platform.principal(&request).await?.must_be_owner()?;
    let ChoiceForm { backup } = request.form().await?;
    let ready = restores::choose(&app, backup).await;
    made_ready(&app, &request, ready).await
}

/// `POST /restore/upload`: makes a backup ready that comes with the form.
pub(super) async fn upload(app: App, mut request: Request) -> Result<Response> {
    let taken = take_upload(&app, &mut request).await;
    if taken.is_err() {
        request.take_rest().await;
    }
    made_ready(&app, &request, taken).await
}

async fn take_upload(app: &App, request: &mut Request) -> Result<RestoreId> {
    app.platform.principal(request).await?.must_be_owner()?;
    restores::upload(app, request).await
}

async fn made_ready(app: &App, request: &Request, ready: Result<RestoreId>) -> Result<Response> {
    match ready {
        Ok(id) => answers::see_other(&format!("/restore/{id}")),
        Err(error) => choose_page(app, request, Refusal::of(error)?.only(&["file", "backup"])).await,
    }
}

/// `GET /restore/{id}`
pub(super) async fn show_one(app: App, request: Request<String>) -> Result<Response> {
    confirm_page(&app, &request, Refusal::default()).await
}

async fn confirm_page(app: &App, request: &Request<String>, refused: Refusal) -> Result<Response> {
    let id = RestoreId::parse(&request.path, "backup");
    let (viewer, preview) = read(app, "restore_confirm_page", request, |app, _, who| {
        who.must_be_owner()?;
        restores::preview(app, id)
    })
    .await?;
    let title = format!("Restore {}?", preview.from);
    let content = ConfirmPage { preview, refused: &refused };
    app.platform.show(&request.head, &viewer, &title, &refused, &content)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PasswordForm {
    password: String,
}

/// `POST /restore/{id}`: from here on the server is about to leave this database for the other.
pub(super) async fn confirm(app: App, mut request: Request<String>) -> Result<Response> {
    let who = app.platform.principal(&request).await?;
    who.must_be_owner()?;
    let id = RestoreId::parse(&request.path, "backup")?;
    let PasswordForm { password } = request.form().await?;
    match restores::confirm(&app, request.caller(&who), who, id, password).await {
        Ok(()) => {
            // The next request must not come by this connection: it would still be this server's.
            let mut response = answers::see_other("/restoring")?;
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            Ok(response)
        }
        Err(error) => confirm_page(&app, &request, Refusal::of(error)?.only(&["password"])).await,
    }
}

/// `POST /restore/{id}/discard`
pub(super) async fn discard(app: App, request: Request<String>) -> Result<Response> {
    app.platform.principal(&request).await?.must_be_owner()?;
    match restores::discard(&app, RestoreId::parse(&request.path, "backup")?).await {
        // Discarded twice is discarded.
        Ok(()) | Err(Error::NotFound(_)) => answers::see_other("/restore?done=discarded"),
        Err(error) => Err(error),
    }
}

/// `GET /restoring`: where the browser waits until the unit is back. Whoever is still signed in then is in the old one.
pub(super) async fn wait(app: App, request: Request) -> Result<Response> {
    if app.restores.is_leaving() {
        let mut response = page::gate(StatusCode::OK, "Restoring", &RestoringPage)?;
        response.headers_mut().insert(header::REFRESH, HeaderValue::from_static("1"));
        return Ok(response);
    }
    let to = if is_signed_in(&app, &request).await? { "/" } else { "/sign-in?done=restored" };
    answers::see_other(to)
}
