//! Sign in: a session for someone who knows their password.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use warp::http::StatusCode;
use warp::reply::Response;

use super::App;
use super::sign_up::label;
use crate::modules::users::{Email, User};
use crate::platform::audit;
use crate::platform::auth::{Kind, Password};
use crate::platform::clock::Time;
use crate::platform::error::{Error, Result};
use crate::platform::http::{Call, Request, Saved, answers};

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignIn {
    #[schema(example = "ann@example.org")]
    pub email: String,
    #[schema(example = "violet-anvil-tuesday")]
    pub password: String,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct SignedIn {
    /// The new session's bearer token.
    pub token: String,
    pub expires_at: Time,
    pub user: User,
}

/// Starts a session. The answer to a wrong address is that to a wrong password, and takes as long.
pub async fn sign_in(app: &App, call: Call, client: IpAddr, label: String, form: SignIn) -> Result<Saved<SignedIn>> {
    let auth = &app.platform.auth;
    // However it is written, one address is one account.
    let account = Email::parse(&form.email).ok().map(|email| email.key());
    auth.attempts().sign_in(client, account)?;
    let (it, email) = (auth.clone(), form.email);
    let candidate = app.platform.database.read("sign_in", move |snapshot| it.candidate(snapshot, &email)).await?;
    let user = auth.verify(&candidate, Password::attempt(form.password)).await?;
    let user = user.ok_or(Error::Unauthenticated("wrong address or password"))?;
    let it = app.clone();
    app.platform
        .write("sign_in", call, move |work| {
            work.acts_as(user);
            it.platform.auth.must_still_have(work, &candidate)?;
            let session = it.platform.auth.start_session(work, user, Kind::Session, &label)?;
            audit::record_person(work, "session.started", user, None, Some(&session.session))?;
            let user = it.users.get(work, user)?;
            Ok(SignedIn { token: session.token.reveal(), expires_at: session.session.expires_at, user })
        })
        .await
}

/// Signs in.
#[utoipa::path(
    post, path = "/api/sessions", tag = "sign in", operation_id = "sign_in", request_body = SignIn,
    responses(
        (status = 201, body = SignedIn),
        (status = 401, description = "wrong address or password"),
        (status = 429, description = "too many attempts"),
    ),
)]
pub(super) async fn post(app: App, mut request: Request) -> Result<Response> {
    let (form, body) = request.json().await?;
    let call = request.call(None)?.with_body(&body);
    let saved = sign_in(&app, call, request.head.client, label(&request), form).await?;
    answers::saved(StatusCode::CREATED, &saved)
}
