//! The composition root: the one file that knows every module and wires them.

use std::sync::Arc;

use utoipa::OpenApi;

use crate::modules::billing::Billing;
use crate::modules::media::Media;
use crate::modules::profiles::Profiles;
use crate::modules::users::Users;
use crate::platform::audit::{self, AuditApi};
use crate::platform::auth::Auth;
use crate::platform::backup::Keeper;
use crate::platform::config::Settings;
use crate::platform::db::{Database, Migrations, STATEMENTS, Schema, Use};
use crate::platform::error::{Error, Result};
use crate::platform::http::page::{Nav, Viewer};
use crate::platform::http::{self, Routes, Service, page};
use crate::platform::jobs::remote::{self, RemoteApi};
use crate::platform::jobs::{self, JobsApi, Kinds, Work};
use crate::platform::mail::{self, Mailer, MailsApi, Recipient};
use crate::platform::module::{Declaration, Module};
use crate::platform::telemetry;
use crate::platform::{FindRecipient, FindViewer, Platform};
use crate::use_cases::avatar;
use crate::use_cases::console;
use crate::use_cases::costs::Bookkeeper;
use crate::use_cases::module_map::ModuleMap;
use crate::use_cases::restores::Restores;
use crate::use_cases::{self, App, UseCasesApi};

/// Every migration below `migrations/`, compiled in.
pub static MIGRATIONS: &[Migrations] = include!(concat!(env!("OUT_DIR"), "/migrations.rs"));

/// Every module, in order of name.
fn modules() -> Vec<Box<dyn Module>> {
    vec![Box::new(Billing), Box::new(Media), Box::new(Profiles), Box::new(Users)]
}

/// What the modules say of themselves.
pub fn declarations() -> Vec<Declaration> {
    modules().iter().map(|module| module.declaration()).collect()
}

/// What the parts of the platform that own tables are for.
fn platform_declarations() -> Vec<Declaration> {
    let part = |name, purpose| Declaration { name, purpose, uses: &[] };
    vec![
        part("audit", "Who did what to which record"),
        part("auth", "Passwords, sessions and links: what lets people in"),
        part("backup", "Which backups were proven restorable, and when"),
        part("costs", "What each module, route and kind of job has used, over time"),
        part("db", "What the unit is, and how often it was restored"),
        part("http", "Answers that are kept, so that a repeated request happens once"),
        part("jobs", "What is done after the commit, and what became of it"),
        part("mail", "What was mailed to whom, and whether it was taken"),
    ]
}

/// The schema of all owners, and who reads and writes which table; proven before anything else starts.
///
/// # Errors
/// If a migration or a statement reaches beyond its owner's tables.
pub fn prove() -> Result<(Schema, Vec<Use>)> {
    let schema = Schema::prove(MIGRATIONS)?;
    let matrix = schema.check(STATEMENTS.iter())?;
    Ok((schema, matrix))
}

/// The map of the program, of what [`prove`] found.
pub fn map(schema: &Schema, matrix: Vec<Use>) -> ModuleMap {
    ModuleMap::new(&declarations(), &platform_declarations(), schema, matrix)
}

/// Puts the modules and the platform together over an open database.
pub fn compose(database: Database, settings: &Settings) -> App {
    let modules: Arc<[Box<dyn Module>]> = modules().into();
    let nav = Nav {
        main: console::NAV.to_vec(),
        owners: console::OWNERS_NAV.to_vec(),
        modules: modules.iter().filter_map(|m| m.nav()).collect(),
    };
    let auth = Auth::new(Arc::new(Users), settings.attempts);
    let viewer: FindViewer = Arc::new(|snapshot, who| {
        let profile = Profiles.of(snapshot, who.user)?;
        let picture = avatar::address(&Media, snapshot, &profile)?;
        Ok(Viewer::new(profile.display_name.to_string(), picture, who))
    });
    let recipient: FindRecipient = Arc::new(|snapshot, person| {
        let user = match Users.get(snapshot, person) {
            Ok(user) => user,
            Err(Error::NotFound(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        let name = Profiles.of(snapshot, person)?.display_name.to_string();
        Ok(Some(Recipient { person, address: user.email.to_string(), name }))
    });
    let origin: Arc<str> = settings.origin().into();
    let platform = Platform {
        database,
        auth,
        mailer: Mailer::new(settings.mail.clone()),
        site: settings.site.clone(),
        nav: Arc::new(nav),
        viewer,
        recipient,
        origin: origin.clone(),
        replica: Arc::default(),
        leaving: Arc::default(),
        media: settings.media,
        media_place: settings.media_place.clone(),
        uses: Arc::new(avatar::Avatars),
        payments: settings.payments.clone(),
        connections: Arc::default(),
    };
    let backups = Keeper::new(settings.backups.clone());
    let restores = Restores::new(settings.max_restore_upload);
    let job_lease = settings.job_lease;
    App {
        platform,
        users: Users,
        profiles: Profiles,
        billing: Billing,
        media: Media,
        modules,
        origin,
        backups,
        restores,
        job_lease,
    }
}

/// Every kind of job, each with the code that runs it.
///
/// # Errors
/// If two bear the same name, or one is not named after whose it is.
pub fn kinds(app: &App) -> Result<Kinds> {
    let mut kinds = mail::kinds(&app.platform.mailer);
    kinds.extend(use_cases::kinds(app));
    for module in app.modules.iter() {
        let name = module.declaration().name;
        let own = module.jobs(&app.platform);
        if let Some(other) = own.iter().find(|kind| kind.module() != name) {
            return Err(Error::Internal(format!("the kind of jobs `{}` is not named after `{name}`", other.name)));
        }
        kinds.extend(own);
    }
    Kinds::new(kinds)
}

/// The work of all jobs that can be done on another machine.
pub fn works() -> Vec<Work> {
    modules().iter().flat_map(|module| module.works()).collect()
}

/// Everything that answers requests; `matrix` is what [`prove`] found.
pub fn service(app: &App, matrix: Vec<Use>, kinds: &Kinds) -> Service {
    let map = Arc::new(map(app.platform.database.schema(), matrix));
    let bookkeeper = Bookkeeper { app: app.clone(), map, kinds: kinds.clone() };
    let document = Arc::new(openapi());
    let room = |routes: Option<Routes>, name| routes.map(|routes| http::of_room(routes, name));
    let mut routes =
        vec![room(use_cases::routes(app, &bookkeeper), "use_cases"), room(audit::routes(&app.platform), "audit")];
    routes.push(room(jobs::routes(&app.platform, kinds), "jobs"));
    routes.push(room(remote::routes(&app.workshop(kinds)), "jobs"));
    routes.push(room(mail::routes(&app.platform), "mail"));
    routes.extend(app.modules.iter().map(|module| room(module.routes(&app.platform), module.declaration().name)));
    routes.push(room(console::routes(&bookkeeper, &document), "console"));
    routes.push(room(page::assets(), "assets"));
    routes.push(room(Some(telemetry::routes(&app.platform)), "telemetry"));
    routes.push(Some(http::on(&document).get(http::openapi::show).at(warp::path!("api" / "openapi.json"))));
    routes.push(Some(http::nothing_here()));
    let site = app.platform.site.clone();
    // `nothing_here` is always among them.
    let routes = http::either(routes.into_iter().flatten()).unwrap_or_else(http::nothing_here);
    Service::new(routes, site, app.platform.database.clock().clone())
}

/// The OpenAPI document of all JSON routes.
pub fn openapi() -> utoipa::openapi::OpenApi {
    #[derive(OpenApi)]
    #[openapi(info(
        title = "Ashlar",
        description = "The back office of a small company. Sign in at `POST /api/sessions` and send the token as \
                       `Authorization: Bearer …`."
    ))]
    struct Whole;

    let mut document = Whole::openapi();
    document.merge(UseCasesApi::openapi());
    document.merge(AuditApi::openapi());
    document.merge(JobsApi::openapi());
    document.merge(RemoteApi::openapi());
    document.merge(MailsApi::openapi());
    for module in modules() {
        document.merge(module.api());
    }
    http::openapi::complete(document)
}
