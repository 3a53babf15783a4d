//! Change one's password: asks for the old one, and may end the other sessions.

use serde::Deserialize;
use warp::reply::Response;

use super::App;
use super::prove_again::prove_again;
use crate::platform::audit;
use crate::platform::auth::{Caller, Password, Principal};
use crate::platform::error::Result;
use crate::platform::http::{Request, answers};

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangePassword {
    #[schema(example = "violet-anvil-tuesday")]
    pub old: String,
    #[schema(min_length = 12, max_length = 256, example = "quarry ladder 92 moss")]
    pub new: String,
    /// Whether to sign out everywhere else.
    #[serde(default)]
    pub end_other_sessions: bool,
}

/// Sets a new password for someone who knows the old one; a link to set one is void.
pub async fn change_password(app: &App, by: Caller, who: Principal, form: ChangePassword) -> Result<()> {
    let auth = &app.platform.auth;
    let new = Password::new(form.new, "new")?;
    let candidate = prove_again(app, who, form.old, "old").await?;
    let new = auth.hash(new).await?;
    let it = auth.clone();
    app.platform
        .change("change_password", by, move |work| {
            it.change_password(work, &candidate, &new)?;
            it.void_password_links(work, who.user)?;
            if form.end_other_sessions {
                it.end_sessions(work, who.user, Some(who.session))?;
            }
            audit::record_person(work, "password.changed", who.user, None, None)
        })
        .await
}

/// Changes one's password.
#[utoipa::path(
    put, path = "/api/me/password", tag = "me", operation_id = "change_password", security(("bearer" = [])),
    request_body = ChangePassword,
    responses(
        (status = 204),
        (status = 409, description = "the password was changed meanwhile"),
        (status = 429, description = "too many attempts"),
    ),
)]
pub(super) async fn put(app: App, mut request: Request) -> Result<Response> {
    let who = app.platform.principal(&request).await?;
    let (form, _) = request.json().await?;
    change_password(&app, request.caller(&who), who, form).await?;
    Ok(answers::no_content())
}
