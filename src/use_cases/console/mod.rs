//! The console: pages over the same use cases as the API.
//!
//! A page reads who looks at it and what they see in one snapshot. A form that was taken redirects, so that
//! reloading does not send it again; one that was not is shown once more with what was typed.

mod audit;
mod backups;
mod changes;
mod costs;
mod docs;
mod gate;
mod home;
mod jobs;
mod modules;
mod outbox;
mod people;
mod person;
mod recover;
mod restore;
mod workers;

use utoipa::openapi::OpenApi;
use warp::path as at;

use super::App;
use super::avatar;
use super::costs::Bookkeeper;
use crate::platform::auth::Principal;
use crate::platform::db::Snapshot;
use crate::platform::error::{Error, Result};
use crate::platform::http::page::{NavItem, Viewer};
use crate::platform::http::{self, Head, Request, Routes, on};
use crate::platform::jobs::Desk;

pub const NAV: [NavItem; 7] = [
    NavItem { label: "Home", href: "/", for_members: true },
    NavItem { label: "People", href: "/people", for_members: false },
    NavItem { label: "Audit", href: "/audit", for_members: false },
    NavItem { label: "Jobs", href: "/jobs", for_members: false },
    NavItem { label: "Outbox", href: "/outbox", for_members: false },
    NavItem { label: "Modules", href: "/modules", for_members: false },
    NavItem { label: "API docs", href: "/api/docs", for_members: true },
];

/// What owners see beside those.
pub const OWNERS_NAV: [NavItem; 1] = [NavItem { label: "Backups", href: "/backups", for_members: false }];

/// The console's pages; `document` never changes while the program runs.
pub fn routes(bookkeeper: &Bookkeeper, document: &OpenApi) -> Option<Routes> {
    let Bookkeeper { app, kinds, .. } = bookkeeper;
    let desk = Desk { platform: app.platform.clone(), kinds: kinds.clone() };
    let shop = app.workshop(kinds);
    let docs = docs::page(app, document);
    http::either([
        on(app).get(gate::show_set_up).post(gate::set_up).at(at!("set-up" / String)),
        on(app).get(gate::show_sign_up).post(gate::sign_up).at(at!("sign-up")),
        on(app).get(gate::show_sign_in).post(gate::sign_in).at(at!("sign-in")),
        on(app).post(gate::sign_out).at(at!("sign-out")),
        on(app).get(gate::show_password).post(gate::set_password).at(at!("password" / String)),
        on(app).get(recover::show_forgot).post(recover::forgot).at(at!("forgot-password")),
        on(app).get(recover::show_address).post(recover::confirm).at(at!("address" / String)),
        on(app).get(home::show).at(warp::path::end()),
        on(app).get(home::show).post(home::edit_profile).at(at!("me" / "profile")),
        on(app).get(home::show).post(home::change_password).at(at!("me" / "password")),
        on(app).get(home::show).post(home::upload_picture).at(at!("me" / "picture")),
        on(app).get(home::show).post(home::choose_picture).at(at!("me" / "picture" / "choice")),
        on(app).post(home::mail_address_link).at(at!("me" / "address-link")),
        on(app).post(home::end_session).at(at!("me" / "sessions" / String / "end")),
        on(app).post(home::end_other_sessions).at(at!("me" / "sessions" / "end-others")),
        on(app).get(home::export).at(at!("me" / "export")),
        on(app).get(home::show_close).post(home::close).at(at!("me" / "close")),
        on(app).get(people::list).at(at!("people")),
        on(app).get(people::show_add).post(people::add).at(at!("people" / "add")),
        on(app).get(person::show).post(person::change).at(at!("people" / String)),
        on(app).get(avatar::get).at(at!("people" / String / "avatar")),
        on(app).get(person::show_edit).post(person::edit).at(at!("people" / String / "edit")),
        on(app).get(person::show).post(person::password_link).at(at!("people" / String / "password-link")),
        on(app).get(person::export).at(at!("people" / String / "export")),
        on(app).get(person::show_delete).post(person::delete).at(at!("people" / String / "delete")),
        on(app).get(audit::list).at(at!("audit")),
        on(app).get(backups::show).post(backups::make).at(at!("backups")),
        on(app).get(backups::download).at(at!("backups" / String / "download")),
        on(app).get(restore::show).post(restore::choose).at(at!("restore")),
        on(app).get(restore::show).post(restore::upload).at(at!("restore" / "upload")),
        on(app).get(restore::show_one).post(restore::confirm).at(at!("restore" / String)),
        on(app).get(restore::show_one).post(restore::discard).at(at!("restore" / String / "discard")),
        on(&desk).get(jobs::show).at(at!("jobs")),
        on(&desk).get(jobs::events).at(at!("jobs" / "events")),
        on(&desk).get(jobs::show_one).at(at!("jobs" / String)),
        on(&desk).post(jobs::retry).at(at!("jobs" / String / "retry")),
        on(&desk).post(jobs::discard).at(at!("jobs" / String / "discard")),
        on(&desk).post(jobs::change_kind).at(at!("job-kinds" / String)),
        on(&shop).get(workers::show).post(workers::add).at(at!("workers")),
        on(&shop).post(workers::remove).at(at!("workers" / String / "remove")),
        on(&desk).post(jobs::release).at(at!("outbox" / "release")),
        on(app).get(outbox::list).at(at!("outbox")),
        on(app).get(outbox::show).at(at!("outbox" / String)),
        on(app).get(outbox::html).at(at!("outbox" / String / "html")),
        on(app).post(outbox::retry).at(at!("outbox" / String / "retry")),
        on(app).get(restore::wait).at(at!("restoring")),
        on(bookkeeper).get(modules::show).at(at!("modules")),
        on(bookkeeper).get(costs::show).at(at!("modules" / "costs")),
        on(&docs).get(docs::show).at(at!("api" / "docs")),
    ])
}

/// Reads a page's content, and who looks at it, in one snapshot.
async fn read<P, T, F>(app: &App, name: &'static str, request: &Request<P>, body: F) -> Result<(Viewer, T)>
where
    F: FnOnce(&App, &Snapshot<'_>, &Principal) -> Result<T> + Send + 'static,
    T: Send + 'static,
{
    let it = app.clone();
    app.platform.look(name, request, move |snapshot, who| body(&it, snapshot, who)).await
}

/// As [`read`], off the threads that serve requests.
async fn scan<P, T, F>(app: &App, name: &'static str, request: &Request<P>, body: F) -> Result<(Viewer, T)>
where
    F: FnOnce(&App, &Snapshot<'_>, &Principal) -> Result<T> + Send + 'static,
    T: Send + 'static,
{
    let it = app.clone();
    let look = move |snapshot: &Snapshot<'_>, who: &Principal| {
        let content = body(&it, snapshot, who)?;
        Ok(((it.platform.viewer)(snapshot, who)?, content))
    };
    app.platform.scan(name, request, look).await
}

async fn is_signed_in<P>(app: &App, request: &Request<P>) -> Result<bool> {
    match app.platform.principal(request).await {
        Ok(_) => Ok(true),
        Err(Error::Unauthenticated(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// What the page before has done, named by `?done=…` in the address.
const DONE: [(&str, &str); 30] = [
    ("added", "The person is added. They can’t sign in yet: create a password link and send it to them."),
    ("address-confirmed", "Thank you: the address is confirmed."),
    ("address-link-mailed", "A mail with a link is on its way to you."),
    ("changed", "The change is saved."),
    ("closed", "Your account is closed and your data is deleted."),
    ("deleted", "The person and their data are deleted."),
    ("disabled", "The person is disabled and signed out everywhere."),
    ("discarded", "The backup was put aside, and nothing was changed."),
    ("enabled", "The person can sign in again."),
    ("invited", "The person is added, and an invitation is on its way to them."),
    ("job-discarded", "The job is discarded."),
    ("job-retried", "The job runs again as soon as there is a free hand."),
    ("kind-changed", "The change holds from now on."),
    ("kind-paused", "No more of these are begun; what runs already ends."),
    ("mail-retried", "The mail is on its way."),
    ("outbox-discarded", "What waited from before the restore is discarded; new mail goes out again."),
    ("outbox-released", "What waited goes out."),
    ("password-changed", "Your password is changed."),
    ("password-set", "Your password is set. Sign in with it now."),
    ("picture-changed", "This is your picture now."),
    ("picture-removed", "You have no picture any more. The file is still among your media."),
    ("profile-saved", "The profile is saved."),
    ("restored", "The backup is restored. Everyone has been signed out: sign in again."),
    ("role-changed", "The role is changed."),
    ("session-ended", "The session has ended."),
    ("sessions-ended", "You are signed out everywhere else."),
    ("set-up", "Ashlar is set up, and you are its owner."),
    ("signed-out", "You are signed out."),
    ("signed-up", "Welcome. Your account is ready."),
    ("worker-removed", "The worker is let in no more. What it has begun is begun anew."),
];

/// The message of `?done=…`; only ours, never text from the address.
fn done(head: &Head) -> Option<&'static str> {
    let key = parameter(head, "done")?;
    DONE.iter().find(|(known, _)| *known == key).map(|(_, message)| *message)
}

fn parameter(head: &Head, name: &str) -> Option<String> {
    form_urlencoded::parse(head.query.as_bytes())
        .find(|(key, value)| key == name && !value.is_empty())
        .map(|(_, value)| value.into_owned())
}

/// A list's page: what it is narrowed to, and where it goes on.
fn page_path(path: &str, filter: &str, value: &str, cursor: Option<String>) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    if !value.is_empty() {
        query.append_pair(filter, value);
    }
    if let Some(cursor) = cursor {
        query.append_pair("cursor", &cursor);
    }
    let query = query.finish();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}
