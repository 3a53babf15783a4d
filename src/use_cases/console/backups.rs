//! `/backups`: what there is, when it was last proven, and one more at the press of a button.

use std::fs::File;

use askama::Template;
use serde_json::json;
use warp::http::{HeaderName, HeaderValue, Method, header};
use warp::reply::{Reply, Response};

use super::{App, done, scan};
use crate::platform::audit::{self, Change};
use crate::platform::backup::Name;
use crate::platform::error::{Error, Result};
use crate::platform::http::{Refusal, Request, answers};
use crate::platform::replica::State;
use crate::use_cases::backups::{self, Backups};

/// While one is made, the page is read again so often, in seconds.
const REFRESH_S: &str = "2";

#[derive(Template)]
#[template(path = "use_cases/console/templates/backups.html", config = "src/askama.toml")]
struct Page<'a> {
    backups: Backups,
    every: String,
    done: Option<&'static str>,
    refused: &'a Refusal,
}

/// `GET /backups`
pub(super) async fn show(app: App, request: Request) -> Result<Response> {
    page(&app, &request, Refusal::default()).await
}

/// `POST /backups`
pub(super) async fn make(app: App, request: Request) -> Result<Response> {
    let who = app.platform.principal(&request).await?;
    who.must_be_owner()?;
    match backups::start(&app, request.caller(&who).by) {
        Ok(()) => answers::see_other("/backups"),
        Err(error) => page(&app, &request, Refusal::of(error)?).await,
    }
}

async fn page(app: &App, request: &Request, refused: Refusal) -> Result<Response> {
    let look = scan(app, "backups_page", request, |app, snapshot, who| {
        who.must_be_owner()?;
        backups::overview(app, snapshot)
    });
    let (viewer, backups) = look.await?;
    let is_running = backups.running.is_some();
    let every = app.backups.settings.every.to_string();
    let content = Page { backups, every, done: done(&request.head), refused: &refused };
    let mut response = app.platform.show(&request.head, &viewer, "Backups", &refused, &content)?;
    if is_running {
        response.headers_mut().insert(HeaderName::from_static("refresh"), HeaderValue::from_static(REFRESH_S));
    }
    Ok(response)
}

/// `GET /backups/{name}/download`
pub(super) async fn download(app: App, request: Request<String>) -> Result<Response> {
    let who = app.platform.principal(&request).await?;
    who.must_be_owner()?;
    // Only what is named like a backup, so never another file, nor one in another folder.
    let name = Name::parse(&request.path).ok_or(Error::NotFound("backup"))?.to_string();
    let path = app.backups.settings.folder_of(app.platform.database.folder())?.join(&name);
    let opened = tokio::task::spawn_blocking(move || {
        let file = File::open(path)?;
        let bytes = file.metadata()?.len();
        Ok::<_, std::io::Error>((file, bytes))
    });
    let (file, bytes) = match opened.await.map_err(|e| Error::internal("opening a backup", e))? {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Err(Error::NotFound("backup")),
        opened => opened.map_err(|e| Error::internal("opening a backup", e))?,
    };
    if request.head.method == Method::GET {
        let (unit, name) = (app.platform.database.unit().id, name.clone());
        let record = app.platform.change("download_backup", request.caller(&who), move |work| {
            let after = json!({ "name": name });
            let change =
                Change { action: "backup.downloaded", subject: unit, person: None, before: None, after: Some(&after) };
            audit::record(work, change)
        });
        record.await?;
    }
    let mut response = warp::reply::stream(answers::pieces(file)).into_response();
    let disposition = HeaderValue::from_str(&format!("attachment; filename=\"{name}\""));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(bytes));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(header::CONTENT_DISPOSITION, disposition.map_err(|e| Error::internal("naming a file", e))?);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// A size for people: `12.3 MB`.
fn size(bytes: &u64) -> String {
    match *bytes {
        0..1_000 => format!("{bytes} B"),
        bytes @ 1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        bytes @ 1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        bytes => format!("{:.2} GB", bytes as f64 / 1e9),
    }
}
