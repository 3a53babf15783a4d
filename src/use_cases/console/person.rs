//! One person, as all modules see them side by side, and what staff may do about them.

use askama::Template;
use serde::Deserialize;
use serde_json::Value;
use warp::http::StatusCode;
use warp::reply::Response;

use super::audit::Line;
use super::changes::short;
use super::home::Confirmation;
use super::{App, done, read, scan};
use crate::modules::profiles::{Profile, ProfileChange};
use crate::platform::audit::{self, SubjectId};
use crate::platform::auth::{Principal, State};
use crate::platform::db::Snapshot;
use crate::platform::error::Result;
use crate::platform::http::{Refusal, Request, Saved, answers, label_of, page};
use crate::platform::ids::UserId;
use crate::platform::mail::{self, Mail};
use crate::use_cases::avatar;
use crate::use_cases::change_person::{ChangePerson, change_person};
use crate::use_cases::close_account::close_account;
use crate::use_cases::password_link::{PasswordLink, issue_link};
use crate::use_cases::people::{ROLES, must_be_or_manage, must_manage};
use crate::use_cases::{Person, export_person, profile};

/// Audit entries shown beside a person.
const RECENT: u32 = 8;
/// Modules with a card of their own on the page.
const OWN_CARD: [&str; 3] = ["users", "profiles", "billing"];

#[derive(Template)]
#[template(path = "use_cases/console/templates/person.html", config = "src/askama.toml")]
struct PersonPage<'a> {
    it: Facts,
    done: Option<&'static str>,
    refused: &'a Refusal,
}

/// What the page shows, read in one snapshot.
struct Facts {
    person: Person,
    picture: Option<String>,
    has_password: bool,
    /// The last mail to them.
    mail: Option<Mail>,
    sessions: usize,
    others: Vec<OtherModule>,
    recent: Vec<Line>,
    is_self: bool,
    /// Whether the one who looks may act on them, and whether as an owner.
    may_manage: bool,
    as_owner: bool,
}

/// What a module without a card of its own holds, as its export says.
struct OtherModule {
    name: &'static str,
    title: String,
    facts: Vec<(String, String)>,
}

/// A profile as typed.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProfileForm {
    pub display_name: String,
    pub bio: String,
    pub locale: String,
    pub time_zone: String,
    pub pronouns: String,
    pub phone: String,
    /// The version that was edited.
    pub version: i64,
}

impl ProfileForm {
    pub fn of(profile: &Profile) -> ProfileForm {
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        ProfileForm {
            display_name: profile.display_name.to_string(),
            bio: text(&profile.bio),
            locale: text(&profile.locale),
            time_zone: text(&profile.time_zone),
            pronouns: text(&profile.pronouns),
            phone: text(&profile.phone),
            version: profile.version,
        }
    }

    /// What is empty goes.
    pub fn change(&self) -> ProfileChange {
        let field = |text: &String| Some(Some(text.clone()));
        ProfileChange {
            display_name: Some(self.display_name.clone()),
            bio: field(&self.bio),
            locale: field(&self.locale),
            time_zone: field(&self.time_zone),
            pronouns: field(&self.pronouns),
            phone: field(&self.phone),
            avatar_id: None,
        }
    }

    pub fn if_match(&self) -> String {
        format!("\"{}\"", self.version)
    }
}

#[derive(Template)]
#[template(path = "use_cases/console/templates/edit_profile.html", config = "src/askama.toml")]
struct EditPage<'a> {
    id: UserId,
    name: String,
    profile: ProfileForm,
    refused: &'a Refusal,
}

#[derive(Template)]
#[template(path = "use_cases/console/templates/password_link.html", config = "src/askama.toml")]
struct LinkPage {
    id: UserId,
    name: String,
    link: PasswordLink,
}

#[derive(Template)]
#[template(path = "use_cases/console/templates/delete_person.html", config = "src/askama.toml")]
struct DeletePage<'a> {
    person: Person,
    sessions: usize,
    typed: String,
    refused: &'a Refusal,
}

/// `GET /people/{id}`
pub(super) async fn show(app: App, request: Request<String>) -> Result<Response> {
    person_page(&app, &request, Refusal::default()).await
}

async fn person_page(app: &App, request: &Request<String>, refused: Refusal) -> Result<Response> {
    let id = UserId::parse(&request.path, "person");
    let (viewer, it) = scan(app, "person_page", request, |app, snapshot, who| facts(app, snapshot, who, id)).await?;
    let title = it.person.profile.display_name.to_string();
    let content = PersonPage { it, done: done(&request.head), refused: &refused };
    app.platform.show(&request.head, &viewer, &title, &refused, &content)
}

fn facts(app: &App, snapshot: &Snapshot<'_>, who: &Principal, id: Result<UserId>) -> Result<Facts> {
    who.must_be_staff()?;
    let id = must_be_or_manage(app, snapshot, who, id)?;
    let person = app.person(snapshot, id)?;
    let entries = audit::list(snapshot, Some(SubjectId::from_uuid(id.uuid())), None, RECENT)?;
    Ok(Facts {
        picture: avatar::address(&app.media, snapshot, &person.profile)?,
        mail: mail::last_to(snapshot, id)?,
        has_password: app.platform.auth.has_password(snapshot, id)?,
        sessions: app.platform.auth.sessions(snapshot, id)?.len(),
        others: others(app, snapshot, id)?,
        recent: super::audit::lines(app, snapshot, entries)?,
        is_self: who.user == id,
        may_manage: who.must_manage(person.user.role).is_ok(),
        as_owner: who.is_owner(),
        person,
    })
}

fn others(app: &App, snapshot: &Snapshot<'_>, id: UserId) -> Result<Vec<OtherModule>> {
    let mut others = Vec::new();
    for module in app.modules.iter() {
        let name = module.declaration().name;
        if !OWN_CARD.contains(&name) {
            let facts = top_level(&module.export(snapshot, id)?);
            others.push(OtherModule { name, title: label_of(name), facts });
        }
    }
    Ok(others)
}

/// A JSON object's fields for people; lists as their length.
fn top_level(value: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| match value {
        Value::Array(items) => items.len().to_string(),
        other => short(other),
    };
    match value {
        Value::Object(fields) => fields.iter().map(|(name, value)| (label_of(name), text(value))).collect(),
        Value::Null => Vec::new(),
        other => vec![("Entries".into(), text(other))],
    }
}

/// `POST /people/{id}`: changes role or state.
pub(super) async fn change(app: App, mut request: Request<String>) -> Result<Response> {
    let who = app.platform.principal(&request).await?;
    who.must_be_owner()?;
    let id = UserId::parse(&request.path, "person")?;
    let form: ChangePerson = request.form().await?;
    match change_person(&app, request.caller(&who), id, form, None).await {
        Ok(_) => answers::see_other(&format!("/people/{id}?done={}", what_changed(form))),
        Err(error) => person_page(&app, &request, Refusal::of(error)?.only(&[])).await,
    }
}

fn what_changed(form: ChangePerson) -> &'static str {
    match (form.state, form.role) {
        (Some(State::Disabled), _) => "disabled",
        (Some(State::Active), _) => "enabled",
        (None, Some(_)) => "role-changed",
        (None, None) => "changed",
    }
}

/// `GET /people/{id}/edit`
pub(super) async fn show_edit(app: App, request: Request<String>) -> Result<Response> {
    edit_page(&app, &request, None, Refusal::default()).await
}

/// `POST /people/{id}/edit`
pub(super) async fn edit(app: App, mut request: Request<String>) -> Result<Response> {
    let (who, person) = managed(&app, &request).await?;
    let form: ProfileForm = request.form().await?;
    let id = person.user.id;
    match profile::edit_profile(&app, request.caller(&who), id, form.change(), Some(form.if_match())).await {
        Ok(_) => answers::see_other(&format!("/people/{id}?done=profile-saved")),
        Err(error) => edit_page(&app, &request, Some(form), Refusal::of(error)?).await,
    }
}

async fn edit_page(
    app: &App,
    request: &Request<String>,
    typed: Option<ProfileForm>,
    refused: Refusal,
) -> Result<Response> {
    let id = UserId::parse(&request.path, "person");
    let (viewer, profile) = read(app, "edit_profile_page", request, |app, snapshot, who| {
        who.must_be_staff()?;
        app.profiles.of(snapshot, must_be_or_manage(app, snapshot, who, id)?)
    })
    .await?;
    let (id, name) = (profile.user_id, profile.display_name.to_string());
    let title = format!("Edit {name}");
    let content = EditPage { id, name, profile: typed.unwrap_or_else(|| ProfileForm::of(&profile)), refused: &refused };
    app.platform.show(&request.head, &viewer, &title, &refused, &content)
}

/// `POST /people/{id}/password-link`: the answer is the only place that shows it.
pub(super) async fn password_link(app: App, request: Request<String>) -> Result<Response> {
    let id = UserId::parse(&request.path, "person");
    let (viewer, (who, name)) = read(&app, "password_link_page", &request, |app, snapshot, who| {
        let id = must_manage(app, snapshot, who, id)?;
        Ok((*who, app.profiles.of(snapshot, id)?.display_name.to_string()))
    })
    .await?;
    let id = UserId::parse(&request.path, "person")?;
    match issue_link(&app, request.call(Some(&who))?, Some(who), id).await.and_then(Saved::fresh) {
        Ok(link) => {
            let title = format!("Password link for {name}");
            let content = LinkPage { id, name, link };
            page::console(StatusCode::CREATED, &request.head, &app.platform.nav, &viewer, &title, &content)
        }
        Err(error) => person_page(&app, &request, Refusal::of(error)?.only(&[])).await,
    }
}

/// `GET /people/{id}/export`
pub(super) async fn export(app: App, request: Request<String>) -> Result<Response> {
    let id = UserId::parse(&request.path, "person");
    export_person::download(&app, &request, Some(id), "person.json").await
}

/// `GET /people/{id}/delete`
pub(super) async fn show_delete(app: App, request: Request<String>) -> Result<Response> {
    delete_page(&app, &request, String::new(), Refusal::default()).await
}

/// `POST /people/{id}/delete`
pub(super) async fn delete(app: App, mut request: Request<String>) -> Result<Response> {
    let (who, person) = managed(&app, &request).await?;
    let form: Confirmation = request.form().await?;
    let closed = match form.check(&person.user) {
        Ok(()) => close_account(&app, request.caller(&who), who, person.user.id).await,
        Err(error) => Err(error),
    };
    match closed {
        Ok(()) => answers::see_other("/people?done=deleted"),
        Err(error) => delete_page(&app, &request, form.confirm, Refusal::of(error)?.only(&["confirm"])).await,
    }
}

async fn delete_page(app: &App, request: &Request<String>, typed: String, refused: Refusal) -> Result<Response> {
    let id = UserId::parse(&request.path, "person");
    let (viewer, (person, sessions)) = read(app, "delete_person_page", request, |app, snapshot, who| {
        let id = must_manage(app, snapshot, who, id)?;
        Ok((app.person(snapshot, id)?, app.platform.auth.sessions(snapshot, id)?.len()))
    })
    .await?;
    let title = format!("Delete {}?", person.profile.display_name);
    let content = DeletePage { person, sessions, typed, refused: &refused };
    app.platform.show(&request.head, &viewer, &title, &refused, &content)
}

/// Who asks, and the person of the address, whom they must look after.
async fn managed(app: &App, request: &Request<String>) -> Result<(Principal, Person)> {
    let (it, id) = (app.clone(), UserId::parse(&request.path, "person"));
    let managed = app.platform.read("managed_person", request, move |snapshot, who| {
        let id = must_manage(&it, snapshot, who, id)?;
        Ok((*who, it.person(snapshot, id)?))
    });
    managed.await
}
