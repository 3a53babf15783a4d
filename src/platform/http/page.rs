//! The shell around every page: one stylesheet, navigation, who is signed in.

use std::sync::LazyLock;

use askama::Template;
use bytes::Bytes;
use warp::http::{HeaderValue, StatusCode, header};
use warp::reply::Response;

use super::answers;
use super::forms::sentence;
use super::problem::Problem;
use super::request::{Head, Request};
use super::routes::{Routes, either, on};
use crate::platform::auth::Principal;
use crate::platform::error::{Error, Result};

const STYLESHEET: &str = include_str!("assets/ashlar.css");
const MARK: &str = include_str!("assets/ashlar.svg");
const LIVE: &str = include_str!("assets/live.js");
/// The stylesheet's address changes with its text, so that browsers may keep it.
static STYLESHEET_PATH: LazyLock<String> = LazyLock::new(|| format!("/assets/ashlar.css?v={:016x}", fnv1a(STYLESHEET)));

/// The script of pages that change by themselves; its address changes with its text.
pub static LIVE_PATH: LazyLock<String> = LazyLock::new(|| format!("/assets/live.js?v={:016x}", fnv1a(LIVE)));

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
            || (self.href == "/" && path.starts_with("/me/"))
            || (self.href != "/" && path.strip_prefix(self.href).is_some_and(|rest| rest.starts_with('/')))
    }
}

/// Who looks at the page, as its head shows them.
#[derive(Debug, Clone)]
pub struct Viewer {
    pub name: String,
    /// Where their picture is.
    pub picture: Option<String>,
    pub is_staff: bool,
    pub is_owner: bool,
}

/// What stands around a page's content for those who are not signed in, in the content's language.
#[derive(Debug, Clone, Copy)]
pub struct Frame {
    /// BCP 47.
    pub lang: &'static str,
    pub skip: &'static str,
    pub sign_in: &'static str,
}

impl Frame {
    const ENGLISH: Frame = Frame { lang: "en", skip: "Skip to content", sign_in: "Sign in" };
}

/// The navigation of this program: the console's own pages and the modules'.
#[derive(Debug, Clone, Default)]
pub struct Nav {
    pub main: Vec<NavItem>,
    /// What only owners see.
    pub owners: Vec<NavItem>,
    pub modules: Vec<NavItem>,
}

impl Nav {
    fn has_modules(&self, viewer: &Viewer) -> bool {
        self.modules.iter().any(|item| viewer.is_staff || item.for_members)
    }
}

#[derive(Template)]
#[template(path = "platform/http/templates/console.html", config = "src/askama.toml")]
struct Console<'a> {
    frame: Frame,
    title: &'a str,
    path: &'a str,
    viewer: &'a Viewer,
    nav: &'a Nav,
    content: String,
    style: &'a str,
}

#[derive(Template)]
#[template(path = "platform/http/templates/gate.html", config = "src/askama.toml")]
struct Gate<'a> {
    frame: Frame,
    title: &'a str,
    content: String,
    style: &'a str,
}

#[derive(Template)]
#[template(path = "platform/http/templates/public.html", config = "src/askama.toml")]
struct Public<'a> {
    frame: Frame,
    title: &'a str,
    content: String,
    style: &'a str,
}

#[derive(Template)]
#[template(path = "platform/http/templates/error.html", config = "src/askama.toml")]
struct ErrorPage<'a> {
    problem: &'a Problem,
    detail: String,
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
    let page =
        Console { frame: Frame::ENGLISH, title, path: &head.path, viewer, nav, content, style: &STYLESHEET_PATH };
    html(status, &page)
}

/// A page for everyone, shown to someone who is not signed in.
pub fn public(title: &str, content: &impl Template) -> Result<Response> {
    public_in(Frame::ENGLISH, title, content)
}

/// As [`public`], in another language.
pub fn public_in(frame: Frame, title: &str, content: &impl Template) -> Result<Response> {
    html(StatusCode::OK, &Public { frame, title, content: render(content)?, style: &STYLESHEET_PATH })
}

/// A form for people who are not signed in.
pub fn gate(status: StatusCode, title: &str, content: &impl Template) -> Result<Response> {
    html(status, &Gate { frame: Frame::ENGLISH, title, content: render(content)?, style: &STYLESHEET_PATH })
}

/// What went wrong, for people.
pub fn error(problem: &Problem, head: &Head) -> Result<Response> {
    let page = ErrorPage { problem, detail: sentence(&problem.detail), request_id: head.id.to_string() };
    gate(problem.status(), &problem.title, &page)
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

/// The stylesheet and the mark.
pub fn assets() -> Option<Routes> {
    either([
        on(&()).get(style).at(warp::path!("assets" / "ashlar.css")),
        on(&()).get(live).at(warp::path!("assets" / "live.js")),
        on(&()).get(mark).at(warp::path!("assets" / "ashlar.svg")),
        on(&()).get(mark).at(warp::path!("favicon.ico")),
    ])
}

async fn style(_: (), request: Request) -> Result<Response> {
    Ok(asset("text/css; charset=utf-8", STYLESHEET, keep(&STYLESHEET_PATH, &request)))
}

async fn live(_: (), request: Request) -> Result<Response> {
    Ok(asset("text/javascript; charset=utf-8", LIVE, keep(&LIVE_PATH, &request)))
}

/// How long browsers may keep what is asked for: under another version's address it may change.
fn keep(path: &str, request: &Request) -> &'static str {
    let is_current = path.ends_with(&format!("?{}", request.head.query));
    if is_current { "public, max-age=31536000, immutable" } else { "public, max-age=300" }
}

async fn mark(_: (), _: Request) -> Result<Response> {
    Ok(asset("image/svg+xml", MARK, "public, max-age=86400"))
}

fn asset(content_type: &'static str, text: &'static str, keep: &'static str) -> Response {
    let mut response = answers::text(content_type, Bytes::from_static(text.as_bytes()));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static(keep));
    response
}

/// FNV-1a: tells texts apart, and no more than that.
///
/// Source: <http://www.isthe.com/chongo/tech/comp/fnv/>.
fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

impl Viewer {
    pub fn new(name: String, picture: Option<String>, who: &Principal) -> Self {
        Viewer { name, picture, is_staff: who.is_staff(), is_owner: who.is_owner() }
    }
}
