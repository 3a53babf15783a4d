//! A person's profile, read and edited by themselves or by those who look after them.

use warp::reply::Response;

use super::App;
use super::avatar;
use super::people::must_be_or_manage;
use crate::modules::profiles::{Profile, ProfileChange};
use crate::platform::auth::Caller;
use crate::platform::error::Result;
use crate::platform::http::{Request, answers};
use crate::platform::ids::UserId;

/// Changes some fields, if the profile is still what `if_match` says.
pub async fn edit_profile(
    app: &App,
    by: Caller,
    user: UserId,
    change: ProfileChange,
    if_match: Option<String>,
) -> Result<Profile> {
    let it = app.clone();
    app.platform
        .change("edit_profile", by, move |work| {
            let sets_avatar = change.avatar_id.is_some();
            let check = |now: &Profile| answers::check_if_match(if_match.as_deref(), now.version);
            let profile = it.profiles.edit(work, user, change, check)?;
            if sets_avatar {
                avatar::check(&it, work, user, &profile)?;
            }
            Ok(profile)
        })
        .await
}

/// A person's profile.
#[utoipa::path(
    get, path = "/api/profiles/{user_id}", tag = "profiles", operation_id = "show_profile", security(("bearer" = [])),
    params(("user_id" = String, Path, format = Uuid)),
    responses(
        (status = 200, body = Profile, headers(("ETag" = String))),
        (status = 403, description = "neither oneself nor someone one looks after"),
    ),
)]
pub(super) async fn get(app: App, request: Request<String>) -> Result<Response> {
    let id = UserId::parse(&request.path, "profile");
    let it = app.clone();
    let profile = app.platform.read("show_profile", &request, move |snapshot, who| {
        let id = must_be_or_manage(&it, snapshot, who, id)?;
        it.profiles.of(snapshot, id)
    });
    let profile = profile.await?;
    answers::versioned(&profile, profile.version)
}

/// Changes some fields of a profile: what is absent stays, what is null goes.
#[utoipa::path(
    patch, path = "/api/profiles/{user_id}", tag = "profiles", operation_id = "edit_profile",
    security(("bearer" = [])),
    params(("user_id" = String, Path, format = Uuid), ("If-Match" = Option<String>, Header)),
    request_body = ProfileChange,
    responses((status = 200, body = Profile, headers(("ETag" = String))), (status = 412, description = "changed meanwhile")),
)]
pub(super) async fn patch(app: App, mut request: Request<String>) -> Result<Response> {
    let id = UserId::parse(&request.path, "profile");
    let it = app.clone();
    let allowed = app
        .platform
        .read("edit_profile", &request, move |snapshot, who| Ok((*who, must_be_or_manage(&it, snapshot, who, id)?)));
    let (who, id) = allowed.await?;
    let (change, _) = request.json().await?;
    let if_match = request.if_match().map(str::to_owned);
    let profile = edit_profile(&app, request.caller(&who), id, change, if_match).await?;
    answers::versioned(&profile, profile.version)
}
