//! Confirm an address: a person proves that mail to it reaches them, by a link that was mailed there.

use std::net::IpAddr;

use warp::http::StatusCode;
use warp::reply::Response;

use super::App;
use crate::platform::audit;
use crate::platform::auth::{Caller, Principal, Purpose, Token};
use crate::platform::error::{Error, Result};
use crate::platform::http::{Call, Request, Saved, answers};

/// Mails another link to whoever asks; the one before is void.
///
/// # Errors
/// [`Error::Conflict`] if their address is confirmed; [`Error::Limited`] if they asked too often.
pub async fn ask_again(app: &App, by: Caller, who: Principal) -> Result<()> {
    app.platform.auth.attempts().mail(&who.user.to_string())?;
    let it = app.clone();
    app.platform
        .change("mail_address_link", by, move |work| {
            let person = it.person(work, who.user)?;
            if person.user.email_verified_at.is_some() {
                return Err(Error::conflict("email", "this address is confirmed already"));
            }
            it.mail_address_link(work, &person)?;
            audit::record_person(work, "address_link.mailed", who.user, None, None)
        })
        .await
}

/// Uses the link up: the address is the person's own.
pub async fn confirm_address(app: &App, call: Call, client: IpAddr, token: &str) -> Result<Saved<()>> {
    app.platform.auth.attempts().sign_up(client)?;
    let token = Token::parse(token).ok_or(Error::NotFound("link"))?;
    let it = app.clone();
    app.platform
        .write("confirm_address", call, move |work| {
            let Some(user) = it.platform.auth.redeem_link(work, Purpose::Address, &token)? else {
                return Err(Error::Internal("a link to an address without a person".into()));
            };
            work.acts_as(user);
            it.confirmed(work, user)
        })
        .await
}

impl App {
    /// Notes that mail to a person's address reaches them, unless that was known.
    pub(super) fn confirmed(
        &self,
        work: &crate::platform::db::UnitOfWork<'_>,
        user: crate::platform::ids::UserId,
    ) -> Result<()> {
        if self.users.verify_email(work, user)? {
            audit::record_person(work, "address.confirmed", user, None, None)?;
        }
        Ok(())
    }
}

/// Mails a link by which one confirms one's address.
#[utoipa::path(
    post, path = "/api/me/address-link", tag = "me", operation_id = "mail_address_link", security(("bearer" = [])),
    responses(
        (status = 202, description = "a mail is on its way"),
        (status = 408, description = "a body that did not arrive, where there should be none"),
        (status = 409, description = "the address is confirmed already"),
        (status = 413, description = "a body, where there should be none"),
        (status = 429, description = "too many mails"),
    ),
)]
pub(super) async fn post(app: App, mut request: Request) -> Result<Response> {
    let who = app.platform.principal(&request).await?;
    request.bytes(0).await?;
    ask_again(&app, request.caller(&who), who).await?;
    Ok(answers::accepted())
}

/// Confirms an address by the link that was mailed there.
#[utoipa::path(
    post, path = "/api/address-links/{token}", tag = "sign in", operation_id = "confirm_address",
    params(("token" = String, Path)),
    responses(
        (status = 204),
        (status = 408, description = "a body that did not arrive, where there should be none"),
        (status = 413, description = "a body, where there should be none"),
        (status = 429, description = "too many attempts"),
    ),
)]
pub(super) async fn redeem(app: App, mut request: Request<String>) -> Result<Response> {
    let body = request.bytes(0).await?;
    let call = request.call(None)?.with_body(&body);
    let saved = confirm_address(&app, call, request.head.client, &request.path).await?;
    answers::saved(StatusCode::NO_CONTENT, &saved)
}
