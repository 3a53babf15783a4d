//! Pages for people who are not signed in: set-up, sign-up, sign-in, setting a password; and signing out.

use askama::Template;
use serde::Deserialize;
use warp::http::StatusCode;
use warp::reply::Response;

use super::{App, done, is_signed_in, parameter};
use crate::platform::auth::{Purpose, Token};
use crate::platform::error::{Error, Result};
use crate::platform::http::{Refusal, Request, Saved, answers, cookies, page};
use crate::use_cases::password_link::{NewPassword, redeem_link};
use crate::use_cases::set_up::SetUp;
use crate::use_cases::sign_in::SignIn;
use crate::use_cases::sign_up::{SignUp, label};
use crate::use_cases::{sessions, set_up as set_up_case, sign_in as sign_in_case, sign_up as sign_up_case};

/// What a new person types, but for their password: it is never shown again.
struct Typed {
    email: String,
    display_name: String,
    currency: String,
}

impl Typed {
    fn nothing() -> Typed {
        Typed { email: String::new(), display_name: String::new(), currency: "EUR".into() }
    }

    fn of(email: &str, display_name: &str, currency: Option<&str>) -> Typed {
        let currency = currency.unwrap_or("EUR").to_owned();
        Typed { email: email.into(), display_name: display_name.into(), currency }
    }
}

#[derive(Template)]
#[template(path = "use_cases/console/templates/set_up.html", config = "src/askama.toml")]
struct SetUpPage<'a> {
    action: &'a str,
    typed: Typed,
    refused: &'a Refusal,
}

#[derive(Template)]
#[template(path = "use_cases/console/templates/sign_up.html", config = "src/askama.toml")]
struct SignUpPage<'a> {
    typed: Typed,
    refused: &'a Refusal,
}

#[derive(Template)]
#[template(path = "use_cases/console/templates/sign_in.html", config = "src/askama.toml")]
struct SignInPage<'a> {
    email: String,
    next: Option<String>,
    done: Option<&'static str>,
    refused: &'a Refusal,
}

#[derive(Template)]
#[template(path = "use_cases/console/templates/password.html", config = "src/askama.toml")]
struct PasswordPage<'a> {
    action: &'a str,
    email: String,
    refused: &'a Refusal,
}

#[derive(Template)]
#[template(path = "use_cases/console/templates/link_gone.html", config = "src/askama.toml")]
struct LinkGone;

/// `GET /set-up/{token}`
pub(super) async fn show_set_up(app: App, request: Request<String>) -> Result<Response> {
    match find_set_up_link(&app, &request.path).await {
        Ok(()) => set_up_page(&request, Typed::nothing(), Refusal::default()),
        Err(error) => link_gone(error),
    }
}

/// `POST /set-up/{token}`: adds the first owner and signs them in.
pub(super) async fn set_up(app: App, mut request: Request<String>) -> Result<Response> {
    let form: SetUp = request.form().await?;
    let typed = Typed::of(&form.email, &form.display_name, form.currency.as_deref());
    let Some(link) = Token::parse(&request.path) else { return link_gone(Error::NotFound("link")) };
    let made = set_up_case::set_up(&app, request.nobody(), link, label(&request), form).await;
    match made {
        Ok((_, session)) => enter(&app, &session.token, "/?done=set-up"),
        Err(error @ Error::NotFound(_)) => link_gone(error),
        Err(error) => set_up_page(&request, typed, Refusal::of(error)?),
    }
}

async fn find_set_up_link(app: &App, link: &str) -> Result<()> {
    let link = Token::parse(link).ok_or(Error::NotFound("link"))?;
    let auth = app.platform.auth.clone();
    let found = app
        .platform
        .database
        .read("find_set_up_link", move |snapshot| auth.find_link(snapshot, Purpose::SetUp, &link).map(drop));
    found.await
}

fn set_up_page(request: &Request<String>, typed: Typed, refused: Refusal) -> Result<Response> {
    let content = SetUpPage { action: &request.head.path, typed, refused: &refused };
    Ok(refused.stamp(page::gate(refused.status(), "Set up Ashlar", &content)?))
}

/// `GET /sign-up`
pub(super) async fn show_sign_up(app: App, request: Request) -> Result<Response> {
    if is_signed_in(&app, &request).await? {
        return answers::see_other("/");
    }
    sign_up_page(Typed::nothing(), Refusal::default())
}

/// `POST /sign-up`
pub(super) async fn sign_up(app: App, mut request: Request) -> Result<Response> {
    let form: SignUp = request.form().await?;
    let typed = Typed::of(&form.email, &form.display_name, form.currency.as_deref());
    let (call, client) = (request.call(None)?, request.head.client);
    let made = sign_up_case::sign_up(&app, call, client, label(&request), form).await.and_then(Saved::fresh);
    match made {
        Ok(made) => enter(&app, &token(&made.token)?, "/?done=signed-up"),
        Err(error) => sign_up_page(typed, Refusal::of(error)?),
    }
}

fn sign_up_page(typed: Typed, refused: Refusal) -> Result<Response> {
    let content = SignUpPage { typed, refused: &refused };
    Ok(refused.stamp(page::gate(refused.status(), "Create an account", &content)?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SignInForm {
    email: String,
    password: String,
    next: Option<String>,
}

/// `GET /sign-in`: `next` is where to go from there.
pub(super) async fn show_sign_in(app: App, request: Request) -> Result<Response> {
    let next = parameter(&request.head, "next").filter(|next| is_local(next));
    if is_signed_in(&app, &request).await? {
        return answers::see_other(next.as_deref().unwrap_or("/"));
    }
    sign_in_page(String::new(), next, done(&request.head), Refusal::default())
}

/// `POST /sign-in`
pub(super) async fn sign_in(app: App, mut request: Request) -> Result<Response> {
    let SignInForm { email, password, next } = request.form().await?;
    let next = next.filter(|next| is_local(next));
    let form = SignIn { email: email.clone(), password };
    let (call, client) = (request.call(None)?, request.head.client);
    let made = sign_in_case::sign_in(&app, call, client, label(&request), form).await.and_then(Saved::fresh);
    match made {
        Ok(made) => enter(&app, &token(&made.token)?, next.as_deref().unwrap_or("/")),
        // Elsewhere it would lead to this very page.
        Err(Error::Unauthenticated(why)) => {
            sign_in_page(email, next, None, Refusal::of(Error::invalid("password", why))?)
        }
        Err(error) => sign_in_page(email, next, None, Refusal::of(error)?),
    }
}

fn sign_in_page(email: String, next: Option<String>, done: Option<&'static str>, refused: Refusal) -> Result<Response> {
    let content = SignInPage { email, next, done, refused: &refused };
    Ok(refused.stamp(page::gate(refused.status(), "Sign in", &content)?))
}

/// `POST /sign-out`: ends the session, and lets the browser forget it.
pub(super) async fn sign_out(app: App, request: Request) -> Result<Response> {
    match app.platform.principal(&request).await {
        Ok(who) => sessions::end_one(&app, request.caller(&who), who, who.session).await?,
        // It has ended already.
        Err(Error::Unauthenticated(_)) => {}
        Err(error) => return Err(error),
    }
    cookies::sign_out(answers::see_other("/sign-in?done=signed-out")?, app.platform.site.is_secure())
}

/// `GET /password/{token}`
pub(super) async fn show_password(app: App, request: Request<String>) -> Result<Response> {
    match whose_link(&app, &request.path).await {
        Ok(email) => password_page(&request, email, Refusal::default()),
        Err(error) => link_gone(error),
    }
}

/// `POST /password/{token}`
pub(super) async fn set_password(app: App, mut request: Request<String>) -> Result<Response> {
    let form: NewPassword = request.form().await?;
    let email = match whose_link(&app, &request.path).await {
        Ok(email) => email,
        Err(error) => return link_gone(error),
    };
    let (call, client) = (request.call(None)?, request.head.client);
    match redeem_link(&app, call, client, &request.path, form).await {
        Ok(_) => {
            let response = answers::see_other("/sign-in?done=password-set")?;
            cookies::sign_out(response, app.platform.site.is_secure())
        }
        Err(error @ Error::NotFound(_)) => link_gone(error),
        Err(error) => password_page(&request, email, Refusal::of(error)?),
    }
}

async fn whose_link(app: &App, link: &str) -> Result<String> {
    let link = Token::parse(link).ok_or(Error::NotFound("link"))?;
    let it = app.clone();
    let found = app.platform.database.read("find_password_link", move |snapshot| {
        let (id, _) = it.platform.auth.find_password_link(snapshot, &link)?;
        let user = it.users.get(snapshot, id)?;
        Ok(user.email.to_string())
    });
    found.await
}

fn password_page(request: &Request<String>, email: String, refused: Refusal) -> Result<Response> {
    let content = PasswordPage { action: &request.head.path, email, refused: &refused };
    Ok(refused.stamp(page::gate(refused.status(), "Set a password", &content)?))
}

/// A link that can't be used, whatever became of it; other errors go on.
pub(super) fn link_gone(error: Error) -> Result<Response> {
    match error {
        Error::NotFound(_) => page::gate(StatusCode::NOT_FOUND, "This link no longer works", &LinkGone),
        other => Err(other),
    }
}

/// Lets the browser keep a new session, and goes on.
fn enter(app: &App, token: &Token, to: &str) -> Result<Response> {
    cookies::sign_in(answers::see_other(to)?, token, app.platform.site.is_secure())
}

fn token(text: &str) -> Result<Token> {
    Token::parse(text).ok_or_else(|| Error::Internal("a new session without a token".into()))
}

/// Whether an address stays on this site. Browsers read `\` as `/` and skip tabs and line breaks.
fn is_local(next: &str) -> bool {
    next.starts_with('/') && !next.starts_with("//") && next.bytes().all(|b| b.is_ascii_graphic() && b != b'\\')
}

#[cfg(test)]
mod tests {
    use super::is_local;

    #[test]
    fn only_paths_of_this_site_are_gone_to() {
        for good in ["/", "/people?q=ann", "/people/x#recent"] {
            assert!(is_local(good), "{good}");
        }
        for bad in ["", "people", "//evil.example", "/\\evil.example", "/\t/evil.example", "https://evil.example", "/é"]
        {
            assert!(!is_local(bad), "{bad}");
        }
    }
}
