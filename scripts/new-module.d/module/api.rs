//! `/api/wid-gets`, and the changes that pages ask for too.

use serde::{Deserialize, Serialize};
use utoipa::OpenApi;
use warp::http::StatusCode;
use warp::path as at;
use warp::reply::Response;

use super::{NewWidget, Widget, WidgetChange, WidgetId, Widgets};
use crate::platform::Platform;
use crate::platform::auth::{Caller, Principal};
use crate::platform::db::Snapshot;
use crate::platform::error::{Error, Result};
use crate::platform::http::{self, Call, Cursor, Limit, Request, Routes, Saved, answers, on};
use crate::platform::ids::UserId;

#[derive(OpenApi)]
#[openapi(paths(list, post, show, patch, delete), components(schemas(Widget)))]
pub(super) struct WidgetsApi;

pub(super) fn routes(platform: &Platform) -> Option<Routes> {
    http::either([
        on(platform).get(list).post(post).at(at!("api" / "wid-gets")),
        on(platform).get(show).patch(patch).delete(delete).at(at!("api" / "wid-gets" / String)),
    ])
}

#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct WidgetsPage {
    pub items: Vec<Widget>,
    #[schema(value_type = Option<String>)]
    pub next_cursor: Option<Cursor<Widget>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    #[serde(default)]
    pub limit: Limit,
    pub cursor: Option<Cursor<Widget>>,
}

/// Wid gets by id, for staff.
pub(super) fn find(snapshot: &Snapshot<'_>, who: &Principal, query: Result<ListQuery>) -> Result<WidgetsPage> {
    // Who asks comes first: strangers are told nothing of the query.
    who.must_be_staff()?;
    let ListQuery { limit: Limit(limit), cursor } = query?;
    // One more than asked for tells whether there is a next page.
    let mut items = Widgets.list(snapshot, cursor.map(|Cursor(id)| id), limit + 1)?;
    let more = items.len() > limit as usize;
    items.truncate(limit as usize);
    let next_cursor = items.last().filter(|_| more).map(|last| Cursor(last.id));
    Ok(WidgetsPage { items, next_cursor })
}

/// Adds a wid get of a person that there is.
pub(super) async fn add(platform: &Platform, call: Call, new: NewWidget) -> Result<Saved<Widget>> {
    let nobody = || Error::invalid("user_id", "there is no such person");
    let user = UserId::parse(&new.user_id, "person").map_err(|_| nobody())?;
    let auth = platform.auth.clone();
    platform
        .write("add_widget", call, move |work| {
            if auth.knows(work, user)? { Widgets.add(work, user, new) } else { Err(nobody()) }
        })
        .await
}

/// Changes some fields, if the wid get is still what `if_match` says.
pub(super) async fn edit(
    platform: &Platform,
    by: Caller,
    id: WidgetId,
    change: WidgetChange,
    if_match: Option<String>,
) -> Result<Widget> {
    platform.change("edit_widget", by, move |work| {
            Widgets.edit(work, id, change, |now| answers::check_if_match(if_match.as_deref(), now.version))
        })
        .await
}

/// Deletes a wid get, if it is still what `if_match` says.
pub(super) async fn remove(platform: &Platform, by: Caller, id: WidgetId, if_match: Option<String>) -> Result<()> {
    platform.change("delete_widget", by, move |work| {
            Widgets.delete(work, id, |now| answers::check_if_match(if_match.as_deref(), now.version))
        })
        .await
}

/// Who asks, if they are staff: nothing is said of wid gets to others.
pub(super) async fn staff<P>(platform: &Platform, request: &Request<P>) -> Result<Principal> {
    let who = platform.principal(request).await?;
    who.must_be_staff()?;
    Ok(who)
}

/// Wid gets by id.
#[utoipa::path(
    get, path = "/api/wid-gets", tag = "wid gets", operation_id = "list_widgets", security(("bearer" = [])),
    params(
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    responses((status = 200, body = WidgetsPage)),
)]
async fn list(platform: Platform, request: Request) -> Result<Response> {
    let query = request.query();
    let page = platform.read("list_widgets", &request, move |snapshot, who| find(snapshot, who, query)).await?;
    answers::json(StatusCode::OK, &page)
}

/// Adds a wid get.
#[utoipa::path(
    post, path = "/api/wid-gets", tag = "wid gets", operation_id = "add_widget", security(("bearer" = [])),
    request_body = NewWidget, responses((status = 201, body = Widget)),
)]
async fn post(platform: Platform, mut request: Request) -> Result<Response> {
    let who = staff(&platform, &request).await?;
    let (new, body) = request.json().await?;
    let call = request.call(Some(&who))?.with_body(&body);
    let saved = add(&platform, call, new).await?;
    answers::saved(StatusCode::CREATED, &saved)
}

/// One wid get.
#[utoipa::path(
    get, path = "/api/wid-gets/{id}", tag = "wid gets", operation_id = "show_widget", security(("bearer" = [])),
    params(("id" = String, Path, format = Uuid)),
    responses((status = 200, body = Widget, headers(("ETag" = String)))),
)]
async fn show(platform: Platform, request: Request<String>) -> Result<Response> {
    let id = WidgetId::parse(&request.path, "wid get");
    let widget = platform.read("show_widget", &request, move |snapshot, who| {
        who.must_be_staff()?;
        Widgets.get(snapshot, id?)
    });
    let widget = widget.await?;
    answers::versioned(&widget, widget.version)
}

/// Changes some fields of a wid get: what is absent stays.
#[utoipa::path(
    patch, path = "/api/wid-gets/{id}", tag = "wid gets", operation_id = "edit_widget", security(("bearer" = [])),
    params(("id" = String, Path, format = Uuid), ("If-Match" = Option<String>, Header)),
    request_body = WidgetChange,
    responses((status = 200, body = Widget, headers(("ETag" = String))),
        (status = 412, description = "changed meanwhile")),
)]
async fn patch(platform: Platform, mut request: Request<String>) -> Result<Response> {
    let who = staff(&platform, &request).await?;
    let id = WidgetId::parse(&request.path, "wid get")?;
    let (change, _) = request.json().await?;
    let if_match = request.if_match().map(str::to_owned);
    let widget = edit(&platform, request.caller(&who), id, change, if_match).await?;
    answers::versioned(&widget, widget.version)
}

/// Deletes a wid get.
#[utoipa::path(
    delete, path = "/api/wid-gets/{id}", tag = "wid gets", operation_id = "delete_widget", security(("bearer" = [])),
    params(("id" = String, Path, format = Uuid), ("If-Match" = Option<String>, Header)),
    responses((status = 204),
        (status = 412, description = "changed meanwhile")),
)]
async fn delete(platform: Platform, request: Request<String>) -> Result<Response> {
    let who = staff(&platform, &request).await?;
    let id = WidgetId::parse(&request.path, "wid get")?;
    let if_match = request.if_match().map(str::to_owned);
    remove(&platform, request.caller(&who), id, if_match).await?;
    Ok(answers::no_content())
}
