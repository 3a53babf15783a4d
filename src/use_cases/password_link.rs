//! One-time links by which a person sets a password.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use warp::http::StatusCode;
use warp::reply::Response;

use super::App;
use super::people::must_manage;
use crate::platform::audit;
use crate::platform::auth::{Password, Principal, Purpose, State, Token};
use crate::platform::clock::Time;
use crate::platform::error::{Error, Result};
use crate::platform::http::{Call, Request, Saved, answers};
use crate::platform::ids::UserId;

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct PasswordLink {
    /// To be given to the person; it works once.
    pub url: String,
    pub expires_at: Time,
}

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPassword {
    #[schema(min_length = 12, max_length = 256, example = "quarry ladder 92 moss")]
    pub password: String,
}

/// Makes a link for a person whom `who` looks after (anyone, on the command line); earlier ones are void.
pub async fn issue_link(app: &App, call: Call, who: Option<Principal>, id: UserId) -> Result<Saved<PasswordLink>> {
    let it = app.clone();
    app.platform
        .write("issue_password_link", call, move |work| {
            if let Some(who) = who {
                must_manage(&it, work, &who, Ok(id))?;
            }
            if it.users.get(work, id)?.state == State::Disabled {
                return Err(Error::conflict("state", "this person is disabled: enable them first"));
            }
            it.platform.auth.void_password_links(work, id)?;
            let link = it.platform.auth.issue_link(work, Purpose::Password, Some(id))?;
            audit::record_person(work, "password_link.issued", id, None, Some(&link.expires_at))?;
            Ok(PasswordLink { url: format!("{}{}", it.origin, link.path()), expires_at: link.expires_at })
        })
        .await
}

/// Sets the password of the person that the link is for, signs them out everywhere, and voids every such link of theirs.
pub async fn redeem_link(app: &App, call: Call, client: IpAddr, token: &str, form: NewPassword) -> Result<Saved<()>> {
    app.platform.auth.attempts().sign_up(client)?;
    let token = Token::parse(token).ok_or(Error::NotFound("link"))?;
    let password = Password::new(form.password, "password")?;
    let password = app.platform.auth.hash(password).await?;
    let it = app.clone();
    app.platform
        .write("redeem_password_link", call, move |work| {
            let auth = &it.platform.auth;
            let (user, purpose) = auth.find_password_link(work, &token)?;
            auth.void_password_links(work, user)?;
            work.acts_as(user);
            if purpose.is_mailed() {
                it.confirmed(work, user)?;
            }
            auth.set_password(work, user, &password)?;
            auth.end_sessions(work, user, None)?;
            audit::record_person(work, "password.set", user, None, None)
        })
        .await
}

/// Makes a one-time link by which a person can set a password.
#[utoipa::path(
    post, path = "/api/people/{id}/password-link", tag = "people", operation_id = "issue_password_link",
    security(("bearer" = [])), params(("id" = String, Path, format = Uuid)),
    responses(
        (status = 201, body = PasswordLink),
        (status = 408, description = "a body that did not arrive, where there should be none"),
        (status = 409, description = "this person is disabled"),
        (status = 413, description = "a body, where there should be none"),
    ),
)]
pub(super) async fn issue(app: App, mut request: Request<String>) -> Result<Response> {
    let id = UserId::parse(&request.path, "person");
    let it = app.clone();
    let allowed = app
        .platform
        .read("issue_password_link", &request, move |snapshot, who| Ok((*who, must_manage(&it, snapshot, who, id)?)));
    let (who, id) = allowed.await?;
    let body = request.bytes(0).await?;
    let call = request.call(Some(&who))?.with_body(&body);
    let saved = issue_link(&app, call, Some(who), id).await?;
    answers::saved(StatusCode::CREATED, &saved)
}

/// Sets a password by a one-time link.
#[utoipa::path(
    post, path = "/api/password-links/{token}", tag = "sign in", operation_id = "redeem_password_link",
    params(("token" = String, Path)), request_body = NewPassword,
    responses((status = 204), (status = 429, description = "too many attempts")),
)]
pub(super) async fn redeem(app: App, mut request: Request<String>) -> Result<Response> {
    let (form, body) = request.json().await?;
    let call = request.call(None)?.with_body(&body);
    let saved = redeem_link(&app, call, request.head.client, &request.path, form).await?;
    answers::saved(StatusCode::NO_CONTENT, &saved)
}
