//! `/media`: a person's library, and each file in it.

use askama::Template;
use serde::Deserialize;
use warp::path as at;
use warp::reply::Response;

use super::api::{self, Link, ListQuery, NewLink};
use super::model::{Item, ItemChange, ItemId, Processing, State, processing_of};
use super::{Room, SIGNAL};
use crate::platform::bytes::Bytes;
use crate::platform::error::{Error, Result};
use crate::platform::http::page::LIVE_PATH;
use crate::platform::http::{self, Cursor, Refusal, Request, Routes, Saved, answers, on};
use crate::platform::jobs;
use crate::platform::uses::UsedAt;

const SCRIPT: &str = include_str!("assets/uploads.js");

pub(super) fn routes(room: &Room) -> Option<Routes> {
    http::either([
        on(room).get(list).post(upload).at(at!("media")),
        on(room).get(events).at(at!("media" / "events")),
        on(room).get(script).at(at!("assets" / "media-uploads.js")),
        on(room).get(show).at(at!("media" / String)),
        on(room).post(rename).at(at!("media" / String / "name")),
        on(room).post(share).at(at!("media" / String / "links")),
        on(room).get(show_delete).post(delete).at(at!("media" / String / "delete")),
        on(room).get(api::content).at(at!("media" / String / "content")),
        on(room).get(api::variant).at(at!("media" / String / "variants" / String)),
    ])
}

#[derive(Template)]
#[template(path = "modules/media/templates/library.html", config = "src/askama.toml")]
struct Library<'a> {
    items: Vec<Item>,
    used: u64,
    quota: u64,
    max_size: u64,
    is_first: bool,
    next: Option<String>,
    refused: &'a Refusal,
}

#[derive(Template)]
#[template(path = "modules/media/templates/item.html", config = "src/askama.toml")]
struct Show<'a> {
    it: Item,
    used: Vec<UsedAt>,
    typed: String,
    link: Option<String>,
    until: Option<crate::platform::clock::Time>,
    refused: &'a Refusal,
}

#[derive(Template)]
#[template(path = "modules/media/templates/delete.html", config = "src/askama.toml")]
struct Delete {
    it: Item,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    name: String,
    version: i64,
}

/// `GET /media`
async fn list(room: Room, request: Request) -> Result<Response> {
    let query = request.query();
    library(&room, &request, query, Refusal::default()).await
}

async fn library(room: &Room, request: &Request, query: Result<ListQuery>, refused: Refusal) -> Result<Response> {
    let is_first = query.as_ref().is_ok_and(|query| query.cursor.is_none());
    let media = room.media;
    let look = room.platform.look("media_page", request, move |snapshot, who| {
        Ok((api::find(&media, snapshot, who, query?)?, media.used(snapshot, who.user)?))
    });
    let (viewer, (found, used)) = look.await?;
    let quota = room.platform.media.quota.0;
    let next = found.next_cursor.as_ref().map(Cursor::text);
    let max_size = room.platform.media.max_size.0;
    let content = Library { items: found.items, used, quota, max_size, is_first, next, refused: &refused };
    room.platform.show(&request.head, &viewer, "Media", &refused, &content)
}

/// `POST /media`: a form with one file, for browsers without script.
async fn upload(room: Room, mut request: Request) -> Result<Response> {
    let who = room.platform.principal(&request).await?;
    match api::receive(&room, &who, &mut request, |_, _| Ok(())).await.and_then(Saved::fresh) {
        Ok(item) => answers::see_other(&format!("/media/{}", item.id)),
        Err(error) => {
            let first = ListQuery { limit: Default::default(), cursor: None };
            library(&room, &request, Ok(first), Refusal::of(error)?).await
        }
    }
}

/// `GET /media/events`
async fn events(room: Room, request: Request) -> Result<Response> {
    room.platform.principal(&request).await?;
    http::events(&room.platform, &[SIGNAL, jobs::PROGRESS])
}

/// `GET /assets/media-uploads.js`
async fn script(_: Room, _: Request) -> Result<Response> {
    Ok(answers::text("text/javascript; charset=utf-8", SCRIPT))
}

/// `GET /media/{id}`
async fn show(room: Room, request: Request<String>) -> Result<Response> {
    page(&room, &request, None, None, Refusal::default()).await
}

async fn page(
    room: &Room,
    request: &Request<String>,
    typed: Option<String>,
    link: Option<Link>,
    refused: Refusal,
) -> Result<Response> {
    let (id, media) = (ItemId::parse(&request.path, "file"), room.media);
    let uses = room.platform.uses.clone();
    let look = room.platform.look("media_item_page", request, move |snapshot, who| {
        let it = media.own(snapshot, who.user, id?)?;
        Ok((uses.of(snapshot, it.user_id, it.id.uuid())?, it))
    });
    let (viewer, (used, it)) = look.await?;
    let title = it.name.clone();
    let origin = room.platform.site.public_origin.clone().unwrap_or_default();
    let (link, until) = link.map(|link| (format!("{origin}{}", link.path), link.expires_at)).unzip();
    let typed = typed.unwrap_or_else(|| it.name.clone());
    let content = Show { it, used, typed, link, until, refused: &refused };
    room.platform.show(&request.head, &viewer, &title, &refused, &content)
}

/// `POST /media/{id}/name`
async fn rename(room: Room, mut request: Request<String>) -> Result<Response> {
    let who = room.platform.principal(&request).await?;
    let id = ItemId::parse(&request.path, "file")?;
    let Named { name, version } = request.form().await?;
    let change = ItemChange { name: Some(name.clone()) };
    match api::edit(&room, request.caller(&who), &who, id, change, Some(format!("\"{version}\""))).await {
        Ok(_) => answers::see_other(&format!("/media/{id}")),
        Err(error) => page(&room, &request, Some(name), None, Refusal::of(error)?).await,
    }
}

/// `POST /media/{id}/links`
async fn share(room: Room, mut request: Request<String>) -> Result<Response> {
    let id = ItemId::parse(&request.path, "file");
    let new: NewLink = request.form().await?;
    match api::sign(&room, &request, id, new).await {
        Ok(link) => page(&room, &request, None, Some(link), Refusal::default()).await,
        Err(error) => page(&room, &request, None, None, Refusal::of(error)?.only(&[])).await,
    }
}

/// `GET /media/{id}/delete`
async fn show_delete(room: Room, request: Request<String>) -> Result<Response> {
    let (id, media) = (ItemId::parse(&request.path, "file"), room.media);
    let look =
        room.platform.look("delete_media_page", &request, move |snapshot, who| media.own(snapshot, who.user, id?));
    let (viewer, it) = look.await?;
    let title = format!("Delete {}?", it.name);
    room.platform.show(&request.head, &viewer, &title, &Refusal::default(), &Delete { it })
}

/// `POST /media/{id}/delete`
async fn delete(room: Room, request: Request<String>) -> Result<Response> {
    let who = room.platform.principal(&request).await?;
    match api::remove(&room, request.caller(&who), &who, ItemId::parse(&request.path, "file")?).await {
        Ok(()) | Err(Error::NotFound(_)) => answers::see_other("/media"),
        Err(error) => Err(error),
    }
}

/// What stands for it in the library.
fn thumbnail(item: &Item) -> Option<String> {
    let name = ["small", "poster"].into_iter().find(|name| item.variants.iter().any(|one| one.name == *name))?;
    Some(format!("/media/{}/variants/{name}", item.id))
}

/// The picture on its own page: the largest form of it that is not the whole file.
fn picture(item: &Item) -> Option<String> {
    if processing_of(&item.content_type) != Some(Processing::Image) || item.state != State::Ready {
        return None;
    }
    let name = ["large", "medium", "small"].into_iter().find(|name| item.variants.iter().any(|one| one.name == *name));
    Some(match name {
        Some(name) => format!("/media/{}/variants/{name}", item.id),
        None => format!("/media/{}/content", item.id),
    })
}

/// What is played: the video that was made, or else the file itself.
fn player(item: &Item) -> Option<String> {
    if !item.content_type.starts_with("video/") || item.state != State::Ready {
        return None;
    }
    Some(match item.variants.iter().any(|one| one.name == "video") {
        true => format!("/media/{}/variants/video", item.id),
        false => format!("/media/{}/content", item.id),
    })
}

/// The kind of a file in a word, for those without a picture.
fn kind(item: &Item) -> &str {
    match item.content_type.split_once('/') {
        Some(("application", "octet-stream")) | None => "File",
        Some(("application", "pdf")) => "PDF",
        Some(("image", _)) => "Picture",
        Some(("video", _)) => "Video",
        Some(("audio", _)) => "Sound",
        Some(("text", _)) => "Text",
        Some((_, kind)) => kind,
    }
}

/// `1:02:03`
fn duration(ms: &u64) -> String {
    let s = ms / 1000;
    match s / 3600 {
        0 => format!("{}:{:02}", s / 60, s % 60),
        hours => format!("{hours}:{:02}:{:02}", s / 60 % 60, s % 60),
    }
}

/// A size for people, as the settings write it: `12.3 MiB`.
fn size(bytes: &u64) -> String {
    Bytes(*bytes).to_string()
}
