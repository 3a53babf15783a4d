//! A person's own page: profile, password, sessions, data, closing the account.

use askama::Template;
use serde::Deserialize;
use warp::http::StatusCode;
use warp::reply::Response;

use super::person::ProfileForm;
use super::{App, done, read, restore};
use crate::modules::media::{Item, State};
use crate::modules::profiles::{Profile, ProfileChange};
use crate::modules::users::{Email, User};
use crate::platform::auth::{Kind, SessionId};
use crate::platform::backup;
use crate::platform::clock::Time;
use crate::platform::db::Snapshot;
use crate::platform::error::{Error, Result};
use crate::platform::http::page::LIVE_PATH;
use crate::platform::http::{Refusal, Request, Saved, answers, cookies, page};
use crate::use_cases::change_password::ChangePassword;
use crate::use_cases::{
    Person, avatar, change_password as change_password_case, close_account, confirm_address, export_person, profile,
    sessions,
};

#[derive(Template)]
#[template(path = "use_cases/console/templates/home.html", config = "src/askama.toml")]
struct Home {
    person: Person,
    sessions: Vec<SessionRow>,
    /// For owners: when a backup was last proven restorable.
    proven: Option<Option<Time>>,
    done: Option<&'static str>,
    profile: ProfileForm,
    picture: Picture,
    refused: Refused,
    /// For owners: why the replica does not keep up.
    replica_trouble: Option<String>,
    /// For owners: a restore that failed.
    trouble: Option<restore::Last>,
}

/// Why one of the page's forms was not taken.
#[derive(Default)]
struct Refused {
    profile: Refusal,
    password: Refusal,
    picture: Refusal,
}

impl Refused {
    fn of(&self) -> [&Refusal; 3] {
        [&self.profile, &self.password, &self.picture]
    }
}

/// Pictures to choose from, at most.
const CHOICES: u32 = 8;

/// A person's picture, and what they could take instead.
struct Picture {
    address: Option<String>,
    /// What has become of the file.
    item: Option<Item>,
    choices: Vec<Item>,
}

impl Picture {
    fn of(app: &App, snapshot: &Snapshot<'_>, profile: &Profile) -> Result<Picture> {
        let item = avatar::item(app, snapshot, profile)?;
        let mut choices = app.media.pictures(snapshot, profile.user_id, CHOICES + 1)?;
        choices.retain(|choice| item.as_ref().is_none_or(|item| item.id != choice.id));
        choices.truncate(CHOICES as usize);
        Ok(Picture { address: avatar::address(&app.media, snapshot, profile)?, item, choices })
    }
}

struct SessionRow {
    id: SessionId,
    device: String,
    created_at: Time,
    expires_at: Time,
    current: bool,
}

#[derive(Template)]
#[template(path = "use_cases/console/templates/close_account.html", config = "src/askama.toml")]
struct CloseAccount<'a> {
    user: User,
    typed: String,
    refused: &'a Refusal,
}

/// `GET /`
pub(super) async fn show(app: App, request: Request) -> Result<Response> {
    home(&app, &request, None, Refused::default()).await
}

/// The page, with what was typed where the profile was refused.
async fn home(app: &App, request: &Request, typed: Option<ProfileForm>, refused: Refused) -> Result<Response> {
    let (viewer, (person, picture, sessions, proven, replica_trouble, trouble)) =
        read(app, "home", request, |app, snapshot, who| {
            let person = app.person(snapshot, who.user)?;
            let picture = Picture::of(app, snapshot, &person.profile)?;
            let row = |session: crate::platform::auth::Session| SessionRow {
                current: session.id == who.session,
                id: session.id,
                device: device(session.kind, &session.label),
                created_at: session.created_at,
                expires_at: session.expires_at,
            };
            let sessions = app.platform.auth.sessions(snapshot, who.user)?.into_iter().map(row).collect();
            let proven = || Ok(backup::last_proof(snapshot, backup::Kind::Backup)?.map(|drill| drill.at));
            let proven = who.is_owner().then(proven).transpose()?;
            let replica = app.platform.replica.get().filter(|_| who.is_owner());
            let replica_trouble = replica.and_then(|replica| replica.report().state.trouble());
            Ok((person, picture, sessions, proven, replica_trouble, restore::trouble(app, snapshot, who)?))
        })
        .await?;
    let status = refused.of().into_iter().find(|it| !it.is_none()).map_or(StatusCode::OK, Refusal::status);
    let profile = typed.unwrap_or_else(|| ProfileForm::of(&person.profile));
    let done = done(&request.head);
    let content = Home { person, sessions, proven, done, profile, picture, refused, replica_trouble, trouble };
    let response = page::console(status, &request.head, &app.platform.nav, &viewer, "Home", &content)?;
    Ok(content.refused.of().into_iter().fold(response, |response, refused| refused.stamp(response)))
}

/// `POST /me/profile`
pub(super) async fn edit_profile(app: App, mut request: Request) -> Result<Response> {
    let who = app.platform.principal(&request).await?;
    let form: ProfileForm = request.form().await?;
    let edited =
        profile::edit_profile(&app, request.caller(&who), who.user, form.change(), Some(form.if_match())).await;
    match edited {
        Ok(_) => answers::see_other("/?done=profile-saved"),
        Err(error) => {
            let refused = Refused { profile: Refusal::of(error)?, ..Refused::default() };
            home(&app, &request, Some(form), refused).await
        }
    }
}

/// `POST /me/password`
pub(super) async fn change_password(app: App, mut request: Request) -> Result<Response> {
    let who = app.platform.principal(&request).await?;
    let form: ChangePassword = request.form().await?;
    match change_password_case::change_password(&app, request.caller(&who), who, form).await {
        Ok(()) => answers::see_other("/?done=password-changed"),
        Err(error) => {
            let refused = Refused { password: Refusal::of(error)?, ..Refused::default() };
            home(&app, &request, None, refused).await
        }
    }
}

/// `POST /me/picture`: a form with one file.
pub(super) async fn upload_picture(app: App, mut request: Request) -> Result<Response> {
    let who = app.platform.principal(&request).await?;
    match avatar::upload(&app, &who, &mut request).await.and_then(Saved::fresh) {
        Ok(_) => answers::see_other("/?done=picture-changed#picture"),
        Err(error) => {
            let refused = Refused { picture: Refusal::of(error)?, ..Refused::default() };
            home(&app, &request, None, refused).await
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Choice {
    /// Empty for none.
    avatar_id: String,
}

/// `POST /me/picture/choice`
pub(super) async fn choose_picture(app: App, mut request: Request) -> Result<Response> {
    let who = app.platform.principal(&request).await?;
    let Choice { avatar_id } = request.form().await?;
    let done = if avatar_id.is_empty() { "picture-removed" } else { "picture-changed" };
    let avatar_id = Some(Some(avatar_id).filter(|id| !id.is_empty()));
    let change = ProfileChange { avatar_id, ..ProfileChange::default() };
    match profile::edit_profile(&app, request.caller(&who), who.user, change, None).await {
        Ok(_) => answers::see_other(&format!("/?done={done}#picture")),
        Err(error) => {
            let refused = Refused { picture: Refusal::of(error)?.only(&[]), ..Refused::default() };
            home(&app, &request, None, refused).await
        }
    }
}

/// `POST /me/address-link`
pub(super) async fn mail_address_link(app: App, request: Request) -> Result<Response> {
    let who = app.platform.principal(&request).await?;
    match confirm_address::ask_again(&app, request.caller(&who), who).await {
        Ok(()) => answers::see_other("/?done=address-link-mailed"),
        // It was confirmed meanwhile.
        Err(Error::Conflict { .. }) => answers::see_other("/"),
        Err(error) => Err(error),
    }
}

/// `POST /me/sessions/{id}/end`
pub(super) async fn end_session(app: App, request: Request<String>) -> Result<Response> {
    let who = app.platform.principal(&request).await?;
    let id = SessionId::parse(&request.path, "session")?;
    match sessions::end_one(&app, request.caller(&who), who, id).await {
        // Ended twice is ended.
        Ok(()) | Err(Error::NotFound(_)) => answers::see_other("/?done=session-ended#sessions"),
        Err(error) => Err(error),
    }
}

/// `POST /me/sessions/end-others`
pub(super) async fn end_other_sessions(app: App, request: Request) -> Result<Response> {
    let who = app.platform.principal(&request).await?;
    sessions::end_many(&app, request.caller(&who), who, Some(who.session)).await?;
    answers::see_other("/?done=sessions-ended#sessions")
}

/// `GET /me/export`
pub(super) async fn export(app: App, request: Request) -> Result<Response> {
    export_person::download(&app, &request, None, "my-data.json").await
}

/// `GET /me/close`
pub(super) async fn show_close(app: App, request: Request) -> Result<Response> {
    close_page(&app, &request, String::new(), Refusal::default()).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Confirmation {
    pub confirm: String,
}

impl Confirmation {
    /// Refuses any other address than the one that is to go.
    pub fn check(&self, user: &User) -> Result<()> {
        match Email::parse(&self.confirm) {
            Ok(typed) if typed.key() == user.email.key() => Ok(()),
            _ => Err(Error::invalid("confirm", "this is not the address")),
        }
    }
}

/// `POST /me/close`
pub(super) async fn close(app: App, mut request: Request) -> Result<Response> {
    let form: Confirmation = request.form().await?;
    let it = app.clone();
    let asks = app
        .platform
        .read("close_own_account", &request, move |snapshot, who| Ok((*who, it.users.get(snapshot, who.user)?)));
    let (who, user) = asks.await?;
    let closed = match form.check(&user) {
        Ok(()) => close_account::close_account(&app, request.caller(&who), who, who.user).await,
        Err(error) => Err(error),
    };
    match closed {
        Ok(()) => {
            let response = answers::see_other("/sign-in?done=closed")?;
            cookies::sign_out(response, app.platform.site.is_secure())
        }
        Err(error) => close_page(&app, &request, form.confirm, Refusal::of(error)?.only(&["confirm"])).await,
    }
}

async fn close_page(app: &App, request: &Request, typed: String, refused: Refusal) -> Result<Response> {
    let (viewer, user) =
        read(app, "close_own_account", request, |app, snapshot, who| app.users.get(snapshot, who.user)).await?;
    let content = CloseAccount { user, typed, refused: &refused };
    app.platform.show(&request.head, &viewer, "Close your account?", &refused, &content)
}

/// What a browser calls itself, in short: `Firefox on Linux`.
fn device(kind: Kind, label: &str) -> String {
    // The first that matches: most browsers name others too.
    const BROWSERS: [(&str, &str); 6] = [
        ("Edg/", "Edge"),
        ("OPR/", "Opera"),
        ("Firefox/", "Firefox"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
        ("curl/", "curl"),
    ];
    const SYSTEMS: [(&str, &str); 7] = [
        ("Android", "Android"),
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Windows", "Windows"),
        ("Mac OS X", "macOS"),
        ("CrOS", "ChromeOS"),
        ("Linux", "Linux"),
    ];
    let find =
        |known: &[(&str, &'static str)]| known.iter().find(|(mark, _)| label.contains(mark)).map(|(_, name)| *name);
    match (kind, find(&BROWSERS), find(&SYSTEMS)) {
        (Kind::Token, ..) => format!("API token ({label})"),
        (Kind::Session, Some(browser), Some(system)) => format!("{browser} on {system}"),
        (Kind::Session, Some(browser), None) => browser.to_owned(),
        (Kind::Session, None, _) => label.chars().take(60).collect(),
    }
}
