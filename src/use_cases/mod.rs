//! What spans modules: each use case is one unit of work, and stands in one file with its route.

pub mod add_person;
pub mod avatar;
pub mod backups;
pub mod change_password;
pub mod change_person;
pub mod close_account;
pub mod confirm_address;
pub mod console;
pub mod costs;
pub mod doctor;
pub mod drill;
pub mod export_person;
mod mails;
mod meta;
pub mod module_map;
mod new_person;
pub mod password_link;
pub mod people;
pub mod profile;
mod prove_again;
pub mod reset_password;
pub mod restored;
pub mod restores;
pub mod sessions;
pub mod set_up;
pub mod sign_in;
pub mod sign_up;

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use utoipa::OpenApi;

use crate::modules::billing::{Account, Billing};
use crate::modules::media::Media;
use crate::modules::profiles::{Profile, Profiles};
use crate::modules::users::{User, Users};
use crate::platform::Platform;
use crate::platform::backup::Keeper;
use crate::platform::db::{Database, Snapshot};
use crate::platform::error::Result;
use crate::platform::http::{self, Routes, on};
use crate::platform::ids::UserId;
use crate::platform::jobs::remote::Workshop;
use crate::platform::jobs::{Kind, Kinds};
use crate::platform::module::Module;
use restores::Restores;

/// What use cases work with: the modules' faces and the platform. `app.rs` composes it; clones share it.
#[derive(Clone)]
pub struct App {
    pub platform: Platform,
    pub users: Users,
    pub profiles: Profiles,
    pub billing: Billing,
    pub media: Media,
    /// Every module, whatever it is, in order of name.
    pub modules: Arc<[Box<dyn Module>]>,
    pub backups: Keeper,
    /// How browsers reach this server: `https://ashlar.example.org`.
    pub origin: Arc<str>,
    /// What is about to take this unit's place.
    pub restores: Restores,
    /// How long a job is its worker's without a word from it.
    pub job_lease: Duration,
}

/// A person as the modules see them, side by side.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Person {
    pub user: User,
    pub profile: Profile,
    pub account: Account,
}

impl App {
    /// The same over another database: a copy that is looked at before it takes the place.
    pub fn over(&self, database: Database) -> App {
        App { platform: Platform { database, ..self.platform.clone() }, ..self.clone() }
    }

    /// Where workers of other machines come for jobs.
    pub fn workshop(&self, kinds: &Kinds) -> Workshop {
        Workshop {
            platform: self.platform.clone(),
            kinds: kinds.clone(),
            lease: self.job_lease,
            origin: self.origin.clone(),
        }
    }

    /// One person; [`Error::NotFound`](crate::platform::error::Error::NotFound) if there is none.
    pub fn person(&self, snapshot: &Snapshot<'_>, id: UserId) -> Result<Person> {
        let user = self.users.get(snapshot, id)?;
        self.person_of(snapshot, user)
    }

    fn person_of(&self, snapshot: &Snapshot<'_>, user: User) -> Result<Person> {
        let profile = self.profiles.of(snapshot, user.id)?;
        let account = self.billing.account_of(snapshot, user.id)?;
        Ok(Person { user, profile, account })
    }
}

impl Person {
    /// Changes with whatever of it can be edited; the `ETag`.
    pub fn version(&self) -> String {
        format!("{}.{}.{}", self.user.role.as_str(), self.user.state.as_str(), self.profile.version)
    }
}

/// The kinds of jobs that use cases have.
pub fn kinds(app: &App) -> Vec<Kind> {
    vec![reset_password::kind(app)]
}

/// The JSON routes of all use cases.
pub fn routes(app: &App, bookkeeper: &costs::Bookkeeper) -> Option<Routes> {
    use warp::path as at;
    http::either([
        on(bookkeeper).get(costs::get).at(at!("api" / "modules" / "costs")),
        on(app).get(meta::health).at(at!("api" / "health")),
        on(app).get(meta::ready).at(at!("api" / "ready")),
        on(app)
            .get(people::show)
            .patch(change_person::patch)
            .delete(close_account::delete)
            .at(at!("api" / "people" / String)),
        on(app).get(people::list).post(add_person::post).at(at!("api" / "people")),
        on(app).get(export_person::get).at(at!("api" / "people" / String / "export")),
        on(app).post(password_link::issue).at(at!("api" / "people" / String / "password-link")),
        on(app).post(password_link::redeem).at(at!("api" / "password-links" / String)),
        on(app).post(reset_password::post).at(at!("api" / "password-resets")),
        on(app).post(confirm_address::redeem).at(at!("api" / "address-links" / String)),
        on(app).post(confirm_address::post).at(at!("api" / "me" / "address-link")),
        on(app).get(people::me).at(at!("api" / "me")),
        on(app).put(change_password::put).at(at!("api" / "me" / "password")),
        on(app).get(profile::get).patch(profile::patch).at(at!("api" / "profiles" / String)),
        on(app).get(avatar::get).at(at!("api" / "profiles" / String / "avatar")),
        on(app).post(sign_up::post).at(at!("api" / "sign-up")),
        on(app).get(sessions::list).post(sign_in::post).delete(sessions::end_all).at(at!("api" / "sessions")),
        on(app).delete(sessions::end).at(at!("api" / "sessions" / String)),
        on(app).get(backups::list).post(backups::post).at(at!("api" / "backups")),
    ])
}

#[derive(OpenApi)]
#[openapi(
    paths(
        meta::health,
        meta::ready,
        sign_up::post,
        sign_in::post,
        sessions::list,
        sessions::end,
        sessions::end_all,
        sessions::end_current,
        people::me,
        change_password::put,
        profile::get,
        profile::patch,
        avatar::get,
        people::list,
        people::show,
        add_person::post,
        change_person::patch,
        close_account::delete,
        export_person::get,
        password_link::issue,
        password_link::redeem,
        reset_password::post,
        confirm_address::post,
        confirm_address::redeem,
        backups::list,
        backups::post,
        costs::get,
    ),
    components(schemas(Person, User, Profile, Account))
)]
pub struct UseCasesApi;
