//! The picture of a person: one of their files, which their profile names.

use uuid::Uuid;
use warp::reply::Response;

use super::App;
use super::people::must_be_or_manage;
use crate::modules::media::{Item, ItemId, Media, Served};
use crate::modules::profiles::{AvatarId, Profile, ProfileChange, Profiles};
use crate::platform::auth::Principal;
use crate::platform::db::{Snapshot, UnitOfWork};
use crate::platform::error::{Error, Result};
use crate::platform::http::{Request, Saved};
use crate::platform::ids::UserId;
use crate::platform::uses::{UsedAt, Uses};

/// The form of a picture that stands for a person.
const FORM: &str = "small";

/// Takes a picture from a form and makes it a person's own, both or neither.
pub async fn upload(app: &App, who: &Principal, request: &mut Request) -> Result<Saved<Item>> {
    let (profiles, user) = (app.profiles.clone(), who.user);
    let then = move |work: &UnitOfWork<'_>, item: &Item| {
        if !item.is_picture() {
            return Err(Error::invalid("file", "this is no picture: take a JPEG, PNG, WebP or GIF"));
        }
        let change = ProfileChange { avatar_id: Some(Some(item.id.to_string())), ..ProfileChange::default() };
        profiles.edit(work, user, change, |_| Ok(())).map(drop)
    };
    app.media.receive(&app.platform, who, request, then).await
}

/// Refuses a change to a picture that is none of the person's own.
pub(super) fn check(app: &App, work: &UnitOfWork<'_>, person: UserId, profile: &Profile) -> Result<()> {
    let Some(id) = profile.avatar_id else { return Ok(()) };
    match app.media.own(work, person, item_of(id)) {
        Ok(item) if item.is_picture() => Ok(()),
        Ok(_) | Err(Error::NotFound(_)) => Err(Error::invalid("avatar_id", "none of this person's pictures")),
        Err(error) => Err(error),
    }
}

/// The file that a profile names, whatever has become of it.
pub(super) fn item(app: &App, snapshot: &Snapshot<'_>, profile: &Profile) -> Result<Option<Item>> {
    let Some(id) = profile.avatar_id else { return Ok(None) };
    match app.media.own(snapshot, profile.user_id, item_of(id)) {
        Err(Error::NotFound(_)) => Ok(None),
        found => found.map(Some),
    }
}

/// Where pages find a person's picture; none where there is none yet.
pub fn address(media: &Media, snapshot: &Snapshot<'_>, profile: &Profile) -> Result<Option<String>> {
    let Some(id) = profile.avatar_id else { return Ok(None) };
    let is_there = media.has_variant(snapshot, item_of(id), FORM)?;
    Ok(is_there.then(|| format!("/people/{}/avatar", profile.user_id)))
}

fn item_of(avatar: AvatarId) -> ItemId {
    ItemId::from_uuid(avatar.uuid())
}

/// A person's picture, 320 pixels at most on its longer side.
#[utoipa::path(
    get, path = "/api/profiles/{user_id}/avatar", tag = "profiles", operation_id = "show_avatar",
    security(("bearer" = [])),
    params(("user_id" = String, Path, format = Uuid)),
    responses(
        (status = 200, body = Vec<u8>, content_type = "image/jpeg", headers(("ETag" = String))),
        (status = 403, description = "neither oneself nor someone one looks after"),
        (status = 404, description = "they have none, or nothing was made of it yet"),
    ),
)]
pub(super) async fn get(app: App, request: Request<String>) -> Result<Response> {
    let id = UserId::parse(&request.path, "profile");
    let it = app.clone();
    let served = app.platform.read("show_avatar", &request, move |snapshot, who| {
        let id = must_be_or_manage(&it, snapshot, who, id)?;
        let item = item(&it, snapshot, &it.profiles.of(snapshot, id)?)?;
        Served::variant(&item.ok_or(Error::NotFound("picture"))?, FORM)
    });
    served.await?.answer(&app.platform.database, &request.head).await
}

/// Files are used as pictures of people.
pub struct Avatars;

impl Uses for Avatars {
    fn of(&self, snapshot: &Snapshot<'_>, person: UserId, id: Uuid) -> Result<Vec<UsedAt>> {
        let profile = match Profiles.of(snapshot, person) {
            Err(Error::NotFound(_)) => return Ok(Vec::new()),
            found => found?,
        };
        let is_used = profile.avatar_id.is_some_and(|avatar| avatar.uuid() == id);
        Ok(is_used.then_some(UsedAt { what: "Your picture", href: "/#picture" }).into_iter().collect())
    }

    fn end(&self, work: &UnitOfWork<'_>, person: UserId, id: Uuid) -> Result<()> {
        Profiles.drop_avatar(work, person, AvatarId::from_uuid(id))
    }
}
