//! `/api/media`: a person's own files.

use serde::{Deserialize, Serialize};
use utoipa::OpenApi;
use warp::http::StatusCode;
use warp::path as at;
use warp::reply::Response;

use super::model::{Item, ItemChange, ItemId};
use super::serving::{Served, SignedLink};
use super::{Media, Room};
use crate::platform::auth::{Caller, Principal};
use crate::platform::clock::Time;
use crate::platform::db::{Snapshot, UnitOfWork};
use crate::platform::error::{Error, Result};
use crate::platform::http::{self, Cursor, Limit, Request, Routes, Saved, answers, on};

/// A link works for so long, in seconds: a week at most, a day where nothing is said.
const LONGEST_LINK_S: i64 = 7 * 24 * 60 * 60;
const LINK_S: i64 = 24 * 60 * 60;

#[derive(OpenApi)]
#[openapi(
    paths(list, post, show, patch, delete, content, variant, link),
    components(schemas(Item, super::model::Variant, super::model::State))
)]
pub(super) struct MediaApi;

pub(super) fn routes(room: &Room) -> Option<Routes> {
    http::either([
        on(room).get(list).post(post).at(at!("api" / "media")),
        on(room).get(show).patch(patch).delete(delete).at(at!("api" / "media" / String)),
        on(room).get(content).at(at!("api" / "media" / String / "content")),
        on(room).get(variant).at(at!("api" / "media" / String / "variants" / String)),
        on(room).post(link).at(at!("api" / "media" / String / "links")),
        on(room).get(by_link).at(at!("media-links" / String)),
    ])
}

#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct MediaPage {
    /// Newest first.
    pub items: Vec<Item>,
    #[schema(value_type = Option<String>)]
    pub next_cursor: Option<Cursor<Item>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    #[serde(default)]
    pub limit: Limit,
    pub cursor: Option<Cursor<Item>>,
}

/// A form with one file.
#[derive(utoipa::ToSchema)]
#[allow(dead_code, reason = "it stands for the form in the document only")]
struct FileForm {
    #[schema(value_type = String, format = Binary)]
    file: String,
}

#[derive(Debug, Clone, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewMediaLink)]
pub(super) struct NewLink {
    /// One of its smaller forms; the file as it was uploaded where none is named.
    pub variant: Option<String>,
    /// How long it works, in seconds; a day where nothing is said.
    #[schema(minimum = 1, maximum = 604_800)]
    pub expires_in_s: Option<i64>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = MediaLink)]
pub(super) struct Link {
    /// Whoever has it sees the file, until it expires or the file is deleted.
    pub path: String,
    pub expires_at: Time,
}

pub(super) fn find(media: &Media, snapshot: &Snapshot<'_>, who: &Principal, query: ListQuery) -> Result<MediaPage> {
    let ListQuery { limit: Limit(limit), cursor } = query;
    // One more than asked for tells whether there is a next page.
    let mut items = media.list(snapshot, who.user, cursor.map(|Cursor(id)| id), limit + 1)?;
    let more = items.len() > limit as usize;
    items.truncate(limit as usize);
    let next_cursor = items.last().filter(|_| more).map(|last| Cursor(last.id));
    Ok(MediaPage { items, next_cursor })
}

/// Takes a file from a form.
pub(super) async fn receive<F>(room: &Room, who: &Principal, request: &mut Request, then: F) -> Result<Saved<Item>>
where
    F: FnOnce(&UnitOfWork<'_>, &Item) -> Result<()> + Send + 'static,
{
    let (call, caller) = (request.call(Some(who))?, request.caller(who));
    // What a form says around its file is little.
    let announced = request.announced().unwrap_or(1).saturating_sub(64 << 10).max(1);
    let saved = match super::must_fit(announced, &room.platform.media) {
        Err(error) => Err(error),
        Ok(()) => match request.file("file").await {
            Ok(file) => room.receive(call, caller, who.user, file, then).await,
            Err(error) => Err(error),
        },
    };
    if saved.is_err() {
        request.take_rest().await;
    }
    saved
}

pub(super) async fn edit(
    room: &Room,
    by: Caller,
    who: &Principal,
    id: ItemId,
    change: ItemChange,
    if_match: Option<String>,
) -> Result<Item> {
    let (media, user) = (room.media, who.user);
    let edited = room.platform.change("edit_media", by, move |work| {
        media.edit(work, user, id, change, |now| answers::check_if_match(if_match.as_deref(), now.version))
    });
    edited.await
}

pub(super) async fn remove(room: &Room, by: Caller, who: &Principal, id: ItemId) -> Result<()> {
    let (media, user, uses) = (room.media, who.user, room.platform.uses.clone());
    let removed = room.platform.change("delete_media", by, move |work| {
        media.delete(work, user, id)?;
        uses.end(work, user, id.uuid())
    });
    removed.await
}

/// Makes a link to a file that is there.
pub(super) async fn sign<P>(room: &Room, request: &Request<P>, id: Result<ItemId>, new: NewLink) -> Result<Link> {
    let media = room.media;
    let secret = room.platform.database.unit().secret;
    let signed = room.platform.read("link_media", request, move |snapshot, who| {
        let item = media.own(snapshot, who.user, id?)?;
        let seconds = new.expires_in_s.unwrap_or(LINK_S);
        if !(1..=LONGEST_LINK_S).contains(&seconds) {
            return Err(Error::invalid("expires_in_s", format!("from 1 to {LONGEST_LINK_S} seconds")));
        }
        let variant = new.variant.unwrap_or_default();
        let known = if variant.is_empty() { Served::item(&item) } else { Served::variant(&item, &variant) };
        known.map_err(|_| Error::invalid("variant", "there is none of that name"))?;
        let expires_at = snapshot.now().plus_seconds(seconds);
        let link = SignedLink { item: item.id, variant, expires_at };
        Ok(Link { path: format!("/media-links/{}", link.to_text(&secret)), expires_at })
    });
    signed.await
}

/// One's own files.
#[utoipa::path(
    get, path = "/api/media", tag = "media", operation_id = "list_media", security(("bearer" = [])),
    params(
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    responses((status = 200, body = MediaPage)),
)]
async fn list(room: Room, request: Request) -> Result<Response> {
    let (query, media) = (request.query(), room.media);
    let page = room.platform.read("list_media", &request, move |snapshot, who| find(&media, snapshot, who, query?));
    answers::json(StatusCode::OK, &page.await?)
}

/// Uploads a small file in one request; a large one is better sent in pieces, to `/api/media/uploads`.
#[utoipa::path(
    post, path = "/api/media", tag = "media", operation_id = "upload_media", security(("bearer" = [])),
    request_body(content = FileForm, content_type = "multipart/form-data"),
    responses(
        (status = 201, body = Item),
        (status = 413, description = "too large, or beyond one's quota"),
    ),
)]
async fn post(room: Room, mut request: Request) -> Result<Response> {
    let who = room.platform.principal(&request).await?;
    answers::saved(StatusCode::CREATED, &receive(&room, &who, &mut request, |_, _| Ok(())).await?)
}

/// One file, and what was made of it.
#[utoipa::path(
    get, path = "/api/media/{id}", tag = "media", operation_id = "show_media", security(("bearer" = [])),
    params(("id" = String, Path, format = Uuid)),
    responses((status = 200, body = Item, headers(("ETag" = String)))),
)]
async fn show(room: Room, request: Request<String>) -> Result<Response> {
    let item = own(&room, "show_media", &request, ItemId::parse(&request.path, "file")).await?;
    answers::versioned(&item, item.version)
}

/// Gives a file another name.
#[utoipa::path(
    patch, path = "/api/media/{id}", tag = "media", operation_id = "edit_media", security(("bearer" = [])),
    params(("id" = String, Path, format = Uuid), ("If-Match" = Option<String>, Header)),
    request_body = ItemChange,
    responses((status = 200, body = Item, headers(("ETag" = String))), (status = 412, description = "changed meanwhile")),
)]
async fn patch(room: Room, mut request: Request<String>) -> Result<Response> {
    let who = room.platform.principal(&request).await?;
    let id = ItemId::parse(&request.path, "file")?;
    let (change, _) = request.json().await?;
    let if_match = request.if_match().map(str::to_owned);
    let item = edit(&room, request.caller(&who), &who, id, change, if_match).await?;
    answers::versioned(&item, item.version)
}

/// Deletes a file, and what was made of it.
#[utoipa::path(
    delete, path = "/api/media/{id}", tag = "media", operation_id = "delete_media", security(("bearer" = [])),
    params(("id" = String, Path, format = Uuid)), responses((status = 204)),
)]
async fn delete(room: Room, request: Request<String>) -> Result<Response> {
    let who = room.platform.principal(&request).await?;
    remove(&room, request.caller(&who), &who, ItemId::parse(&request.path, "file")?).await?;
    Ok(answers::no_content())
}

/// The file as it was uploaded. `Range`, `If-None-Match` and `If-Range` are honoured.
#[utoipa::path(
    get, path = "/api/media/{id}/content", tag = "media", operation_id = "read_media", security(("bearer" = [])),
    params(("id" = String, Path, format = Uuid), ("Range" = Option<String>, Header)),
    responses(
        (status = 200, body = Vec<u8>, content_type = "application/octet-stream"),
        (status = 206, body = Vec<u8>, content_type = "application/octet-stream", description = "the range"),
        (status = 416, description = "no such range"),
    ),
)]
pub(super) async fn content(room: Room, request: Request<String>) -> Result<Response> {
    let item = own(&room, "read_media", &request, ItemId::parse(&request.path, "file")).await?;
    Served::item(&item)?.answer(&room.platform.database, &request.head).await
}

/// One of a file's smaller forms.
#[utoipa::path(
    get, path = "/api/media/{id}/variants/{name}", tag = "media", operation_id = "read_media_variant",
    security(("bearer" = [])),
    params(("id" = String, Path, format = Uuid), ("name" = String, Path), ("Range" = Option<String>, Header)),
    responses(
        (status = 200, body = Vec<u8>, content_type = "application/octet-stream"),
        (status = 206, body = Vec<u8>, content_type = "application/octet-stream", description = "the range"),
        (status = 416, description = "no such range"),
    ),
)]
pub(super) async fn variant(room: Room, request: Request<(String, String)>) -> Result<Response> {
    let item = own(&room, "read_media", &request, ItemId::parse(&request.path.0, "file")).await?;
    Served::variant(&item, &request.path.1)?.answer(&room.platform.database, &request.head).await
}

/// Makes a link by which anyone can see a file for a while.
#[utoipa::path(
    post, path = "/api/media/{id}/links", tag = "media", operation_id = "link_media", security(("bearer" = [])),
    params(("id" = String, Path, format = Uuid)), request_body = NewLink,
    responses((status = 201, body = Link)),
)]
async fn link(room: Room, mut request: Request<String>) -> Result<Response> {
    room.platform.principal(&request).await?;
    let id = ItemId::parse(&request.path, "file");
    let (new, _) = request.json().await?;
    answers::json(StatusCode::CREATED, &sign(&room, &request, id, new).await?)
}

/// `GET /media-links/{link}`: for whoever has it.
async fn by_link(room: Room, request: Request<String>) -> Result<Response> {
    let (media, text) = (room.media, request.path.clone());
    let secret = room.platform.database.unit().secret;
    let served = room.platform.database.read("media_link", move |snapshot| {
        let link = SignedLink::parse(&text, &secret, snapshot.now())?;
        let item = media.get(snapshot, link.item)?;
        if link.variant.is_empty() { Served::item(&item) } else { Served::variant(&item, &link.variant) }
    });
    served.await?.answer(&room.platform.database, &request.head).await
}

/// A file of whoever asks.
pub(super) async fn own<P>(room: &Room, name: &'static str, request: &Request<P>, id: Result<ItemId>) -> Result<Item> {
    let media = room.media;
    room.platform.read(name, request, move |snapshot, who| media.own(snapshot, who.user, id?)).await
}
