//! The shell around every page: one stylesheet, navigation, who is signed in.

use askama::Template;
use bytes::Bytes;
use warp::http::{HeaderValue, StatusCode, header};
use warp::reply::Response;

use super::answers;
use super::problem::Problem;
use super::request::Head;
use super::routes::{Routes, either};
use crate::platform::auth::{Principal, Token};
use crate::platform::error::{Error, Result};

/// The session cookie's name on plain http, where browsers refuse the other.
pub const COOKIE: &str = "ashlar";
/// The session cookie's name on https.
pub const SECURE_COOKIE: &str = "__Host-ashlar";

pub(super) fn cookie_name(secure: bool) -> &'static str {
    if secure { SECURE_COOKIE } else { COOKIE }
}

/// Seconds that a browser keeps the session cookie: 30 days, as long as the session lasts.
const COOKIE_MAX_AGE_S: u32 = 30 * 24 * 60 * 60;

const STYLESHEET: &str = include_str!("assets/ashlar.css");
const LOGO: &str = include_str!("assets/ashlar.svg");
/// Changes with the stylesheet, so that browsers may keep it for ever.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// One entry of the navigation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NavItem {
    pub label: &'static str,
    pub href: &'static str,
    /// Whether members see it too.
    pub for_members: bool,
}

impl NavItem {
    /// Whether the page at `path` belongs to this entry.
    fn is_current(&self, path: &str) -> bool {
        path == self.href
            || (self.href != "/" && path.strip_prefix(self.href).is_some_and(|rest| rest.starts_with('/')))
    }
}

/// Who looks at the page, as its head shows them.
#[derive(Debug, Clone)]
pub struct Viewer {
    pub name: String,
    pub is_staff: bool,
}

/// The navigation of this program: the console's own pages and the modules'.
#[derive(Debug, Clone, Default)]
pub struct Nav {
    pub main: Vec<NavItem>,
    pub modules: Vec<NavItem>,
}

#[derive(Template)]
#[template(path = "platform/http/templates/console.html", config = "src/askama.toml")]
struct Console<'a> {
    title: &'a str,
    path: &'a str,
    viewer: &'a Viewer,
    nav: &'a Nav,
    content: String,
    style: &'static str,
}

#[derive(Template)]
#[template(path = "platform/http/templates/gate.html", config = "src/askama.toml")]
struct Gate<'a> {
    title: &'a str,
    content: String,
    style: &'static str,
}

#[derive(Template)]
#[template(path = "platform/http/templates/error.html", config = "src/askama.toml")]
struct ErrorPage<'a> {
    problem: &'a Problem,
    request_id: String,
}

/// A page for people who are signed in.
pub fn console(
    status: StatusCode,
    head: &Head,
    nav: &Nav,
    viewer: &Viewer,
    title: &str,
    content: &impl Template,
) -> Result<Response> {
    let content = render(content)?;
    let page = Console { title, path: &head.path, viewer, nav, content, style: stylesheet_path() };
    html(status, &page)
}

/// A page for people who are not.
pub fn gate(status: StatusCode, title: &str, content: &impl Template) -> Result<Response> {
    html(status, &Gate { title, content: render(content)?, style: stylesheet_path() })
}

/// What went wrong, for people.
pub fn error(problem: &Problem, head: &Head) -> Result<Response> {
    gate(problem.status(), &problem.title, &ErrorPage { problem, request_id: head.id.to_string() })
}

fn html(status: StatusCode, page: &impl Template) -> Result<Response> {
    let mut response = answers::text("text/html; charset=utf-8", render(page)?);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

fn render(template: &impl Template) -> Result<String> {
    template.render().map_err(|e| Error::internal("rendering a page", e))
}

fn stylesheet_path() -> &'static str {
    concat!("/assets/ashlar.css?v=", env!("CARGO_PKG_VERSION"))
}

/// The stylesheet and the mark.
pub fn assets() -> Option<Routes> {
    use warp::Filter;
    let style = warp::path!("assets" / "ashlar.css").map(|| asset("text/css; charset=utf-8", STYLESHEET)).boxed();
    let logo = warp::path!("assets" / "ashlar.svg").map(|| asset("image/svg+xml", LOGO)).boxed();
    either([style, logo])
}

fn asset(content_type: &'static str, text: &'static str) -> Response {
    let mut response = answers::text(content_type, Bytes::from_static(text.as_bytes()));
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
    headers.insert(header::ETAG, HeaderValue::from_static(VERSION));
    response
}

/// Lets the browser keep the session.
pub fn sign_in_cookie(mut response: Response, token: &Token, secure: bool) -> Result<Response> {
    let value = token.reveal();
    set_cookie(&mut response, &value, COOKIE_MAX_AGE_S, secure)?;
    Ok(response)
}

/// Lets the browser forget the session.
pub fn sign_out_cookie(mut response: Response, secure: bool) -> Result<Response> {
    set_cookie(&mut response, "", 0, secure)?;
    Ok(response)
}

fn set_cookie(response: &mut Response, value: &str, max_age_s: u32, secure: bool) -> Result<()> {
    let (name, flag) = (cookie_name(secure), if secure { "; Secure" } else { "" });
    let cookie = format!("{name}={value}; Path=/; Max-Age={max_age_s}; HttpOnly; SameSite=Lax{flag}");
    let cookie = HeaderValue::from_str(&cookie).map_err(|e| Error::internal("setting the cookie", e))?;
    response.headers_mut().append(header::SET_COOKIE, cookie);
    Ok(())
}

impl Viewer {
    pub fn new(name: String, who: &Principal) -> Self {
        Viewer { name, is_staff: who.is_staff() }
    }
}
