//! Sessions: where a person is signed in, and ending that.

use serde::Serialize;
use warp::http::StatusCode;
use warp::reply::Response;

use super::App;
use crate::platform::audit;
use crate::platform::auth::{Caller, Principal, Session, SessionId};
use crate::platform::error::Result;
use crate::platform::http::{Request, answers};

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct SessionItem {
    #[serde(flatten)]
    pub session: Session,
    /// Whether this request came with it.
    pub current: bool,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct SessionList {
    /// Newest first.
    pub items: Vec<SessionItem>,
}

/// Ends one session of the person who asks.
pub async fn end_one(app: &App, by: Caller, who: Principal, id: SessionId) -> Result<()> {
    let auth = app.platform.auth.clone();
    app.platform
        .change("end_session", by, move |work| {
            auth.end_session(work, who.user, id)?;
            audit::record_person(work, "session.ended", who.user, Some(&id), None)
        })
        .await
}

/// Ends all sessions of the person who asks, but for `except`.
pub async fn end_many(app: &App, by: Caller, who: Principal, except: Option<SessionId>) -> Result<()> {
    let auth = app.platform.auth.clone();
    app.platform
        .change("end_sessions", by, move |work| {
            let ended = auth.end_sessions(work, who.user, except)?;
            audit::record_person(work, "sessions.ended", who.user, Some(&ended), None)
        })
        .await
}

/// Where one is signed in.
#[utoipa::path(
    get, path = "/api/sessions", tag = "sign in", operation_id = "list_sessions", security(("bearer" = [])),
    responses((status = 200, body = SessionList)),
)]
pub(super) async fn list(app: App, request: Request) -> Result<Response> {
    let auth = app.platform.auth.clone();
    let list = app.platform.read("list_sessions", &request, move |snapshot, who| {
        let sessions = auth.sessions(snapshot, who.user)?;
        let item = |session: Session| SessionItem { current: session.id == who.session, session };
        Ok(SessionList { items: sessions.into_iter().map(item).collect() })
    });
    answers::json(StatusCode::OK, &list.await?)
}

/// Ends one session, by its id.
#[utoipa::path(
    delete, path = "/api/sessions/{id}", tag = "sign in", operation_id = "end_session", security(("bearer" = [])),
    params(("id" = String, Path, format = Uuid)),
    responses((status = 204)),
)]
pub(super) async fn end(app: App, request: Request<String>) -> Result<Response> {
    let who = app.platform.principal(&request).await?;
    let id = if request.path == "current" { who.session } else { SessionId::parse(&request.path, "session")? };
    end_one(&app, request.caller(&who), who, id).await?;
    Ok(answers::no_content())
}

/// Signs out: ends the session this comes with.
#[utoipa::path(
    delete, path = "/api/sessions/current", tag = "sign in", operation_id = "sign_out", security(("bearer" = [])),
    responses((status = 204)),
)]
#[expect(dead_code, reason = "describes an address that `end` answers")]
fn end_current() {}

/// Ends all sessions, this one too.
#[utoipa::path(
    delete, path = "/api/sessions", tag = "sign in", operation_id = "end_sessions", security(("bearer" = [])),
    responses((status = 204)),
)]
pub(super) async fn end_all(app: App, request: Request) -> Result<Response> {
    let who = app.platform.principal(&request).await?;
    end_many(&app, request.caller(&who), who, None).await?;
    Ok(answers::no_content())
}
