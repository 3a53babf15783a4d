//! Whether the server lives, and whether it can work.

use serde::Serialize;
use warp::http::StatusCode;
use warp::reply::Response;

use super::App;
use crate::platform::actor::Actor;
use crate::platform::error::{Error, Result};
use crate::platform::files;
use crate::platform::http::{Request, answers};

#[derive(Serialize, utoipa::ToSchema)]
pub struct Health {
    /// `ok`.
    status: &'static str,
    /// The program's version.
    version: &'static str,
}

const OK: Health = Health { status: "ok", version: env!("CARGO_PKG_VERSION") };

/// Whether the process answers.
#[utoipa::path(get, path = "/api/health", tag = "operate", operation_id = "health", responses((status = 200, body = Health)))]
pub(super) async fn health(_app: App, _request: Request) -> Result<Response> {
    answers::json(StatusCode::OK, &OK)
}

/// With less room on the disk than this, writes are about to fail, in bytes.
const ROOM: u64 = 16 << 20;

/// Whether the database can be read, the writer answers and the disk has room. Nothing is written.
#[utoipa::path(
    get, path = "/api/ready", tag = "operate", operation_id = "ready",
    responses(
        (status = 200, body = Health),
        (status = 503, description = "busy, or the writer is stuck"),
        (status = 507, description = "the disk has less than 16 MiB left"),
    ),
)]
pub(super) async fn ready(app: App, _request: Request) -> Result<Response> {
    let it = app.clone();
    app.platform.database.read("ready", move |snapshot| it.users.has_owner(snapshot)).await?;
    app.platform.database.write("ready", Actor::system(), |_| Ok(())).await?;
    let room = files::room(app.platform.database.folder().path());
    match room.map_err(|e| Error::internal("looking for room on the disk", e))? {
        0..ROOM => Err(Error::DiskFull),
        _ => answers::json(StatusCode::OK, &OK),
    }
}
