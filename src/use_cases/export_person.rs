//! Export a person: everything that is held on them, as one JSON.

use serde_json::{Map, Value, json};
use warp::http::{HeaderValue, StatusCode, header};
use warp::reply::Response;

use super::App;
use super::people::must_be_or_manage;
use crate::platform::audit;
use crate::platform::db::Snapshot;
use crate::platform::error::{Error, Result};
use crate::platform::http::{Request, answers};
use crate::platform::ids::UserId;
use crate::platform::{jobs, mail};

/// Everything that modules, auth and the audit trail hold on a person.
pub fn export_person(app: &App, snapshot: &Snapshot<'_>, id: UserId) -> Result<Value> {
    app.users.get(snapshot, id)?;
    let mut modules = Map::new();
    for module in app.modules.iter() {
        modules.insert(module.declaration().name.to_owned(), module.export(snapshot, id)?);
    }
    Ok(json!({
        "person": id,
        "exported_at": snapshot.now(),
        "modules": modules,
        "auth": app.platform.auth.export(snapshot, id)?,
        "audit": audit::export(snapshot, id)?,
        "jobs": jobs::export(snapshot, id)?,
        "mails": mail::export(snapshot, id)?,
    }))
}

/// Everything that is held on a person.
#[utoipa::path(
    get, path = "/api/people/{id}/export", tag = "people", operation_id = "export_person", security(("bearer" = [])),
    params(("id" = String, Path, format = Uuid)),
    responses((status = 200, body = Value), (status = 403, description = "neither oneself nor someone one looks after")),
)]
pub(super) async fn get(app: App, request: Request<String>) -> Result<Response> {
    let id = UserId::parse(&request.path, "person");
    answers::json(StatusCode::OK, &read(&app, &request, Some(id)).await?)
}

/// The same as a file to keep; of whoever asks where no `id` is given.
pub(super) async fn download<P>(
    app: &App,
    request: &Request<P>,
    id: Option<Result<UserId>>,
    file: &'static str,
) -> Result<Response> {
    let mut response = answers::json(StatusCode::OK, &read(app, request, id).await?)?;
    let disposition = HeaderValue::from_str(&format!("attachment; filename=\"{file}\""));
    let disposition = disposition.map_err(|e| Error::internal("naming a file", e))?;
    response.headers_mut().insert(header::CONTENT_DISPOSITION, disposition);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

async fn read<P>(app: &App, request: &Request<P>, id: Option<Result<UserId>>) -> Result<Value> {
    let it = app.clone();
    app.platform
        .scan("export_person", request, move |snapshot, who| {
            let id = must_be_or_manage(&it, snapshot, who, id.unwrap_or(Ok(who.user)))?;
            export_person(&it, snapshot, id)
        })
        .await
}
