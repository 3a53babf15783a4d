//! Pages that mail leads to and from: a forgotten password, and the proof that an address is one's own.

use askama::Template;
use warp::http::StatusCode;
use warp::reply::Response;

use super::gate::link_gone;
use super::{App, is_signed_in};
use crate::platform::auth::{Purpose, Token};
use crate::platform::error::{Error, Result};
use crate::platform::http::{Refusal, Request, answers, page};
use crate::use_cases::confirm_address;
use crate::use_cases::reset_password::{self, ResetPassword};

#[derive(Template)]
#[template(path = "use_cases/console/templates/forgot_password.html", config = "src/askama.toml")]
struct ForgotPage<'a> {
    email: String,
    refused: &'a Refusal,
}

#[derive(Template)]
#[template(path = "use_cases/console/templates/reset_asked.html", config = "src/askama.toml")]
struct AskedPage {
    email: String,
    is_sending: bool,
}

#[derive(Template)]
#[template(path = "use_cases/console/templates/confirm_address.html", config = "src/askama.toml")]
struct ConfirmPage<'a> {
    action: &'a str,
    email: String,
}

/// `GET /forgot-password`
pub(super) async fn show_forgot(_app: App, _request: Request) -> Result<Response> {
    forgot_page(String::new(), Refusal::default())
}

/// `POST /forgot-password`: the answer is the same whether or not the address is anybody's.
pub(super) async fn forgot(app: App, mut request: Request) -> Result<Response> {
    let form: ResetPassword = request.form().await?;
    let email = form.email.trim().to_owned();
    match reset_password::ask(&app, request.nobody(), request.head.client, form).await {
        Ok(()) => {
            let content = AskedPage { email, is_sending: app.platform.mailer.is_sending() };
            page::gate(StatusCode::ACCEPTED, "Look into your mail", &content)
        }
        Err(error) => forgot_page(email, Refusal::of(error)?),
    }
}

fn forgot_page(email: String, refused: Refusal) -> Result<Response> {
    let content = ForgotPage { email, refused: &refused };
    Ok(refused.stamp(page::gate(refused.status(), "Forgot your password?", &content)?))
}

/// `GET /address/{token}`: asks first, since programs that look through mail open every link.
pub(super) async fn show_address(app: App, request: Request<String>) -> Result<Response> {
    match whose_address(&app, &request.path).await {
        Ok(email) => {
            let content = ConfirmPage { action: &request.head.path, email };
            page::gate(StatusCode::OK, "Confirm your address", &content)
        }
        Err(error) => link_gone(error),
    }
}

/// `POST /address/{token}`
pub(super) async fn confirm(app: App, request: Request<String>) -> Result<Response> {
    let (call, client) = (request.call(None)?, request.head.client);
    match confirm_address::confirm_address(&app, call, client, &request.path).await {
        Ok(_) if is_signed_in(&app, &request).await? => answers::see_other("/?done=address-confirmed"),
        Ok(_) => answers::see_other("/sign-in?done=address-confirmed"),
        Err(error) => link_gone(error),
    }
}

async fn whose_address(app: &App, link: &str) -> Result<String> {
    let link = Token::parse(link).ok_or(Error::NotFound("link"))?;
    let it = app.clone();
    let found = app.platform.database.read("find_address_link", move |snapshot| {
        let user = it.platform.auth.find_link(snapshot, Purpose::Address, &link)?.ok_or(Error::NotFound("link"))?;
        Ok(it.users.get(snapshot, user)?.email.to_string())
    });
    found.await
}
