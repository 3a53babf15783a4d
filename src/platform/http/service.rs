//! What holds for every request, around the routes: its id, who asks, the same-origin rule, headers, log, counts.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use futures_util::FutureExt;
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use tracing::Instrument;
use warp::http::{self, HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use warp::reply::Response;

use super::origin::{Proxies, check_same_origin};
use super::problem::{Failed, Problem, error_response, problem_response};
use super::request::{Head, is_api};
use super::routes::{Room, Routes};
use super::{answers, page};
use crate::platform::actor::RequestId;
use crate::platform::clock::Clock;
use crate::platform::error::{Error, Result};
use crate::platform::metering;

/// How this site is called and whom it believes.
#[derive(Debug, Clone, Default)]
pub struct SiteSettings {
    /// `https://ashlar.example.org`, where a proxy gives us a name.
    pub public_origin: Option<String>,
    pub proxies: Proxies,
}

impl SiteSettings {
    /// Whether browsers reach us by https.
    pub fn is_secure(&self) -> bool {
        self.public_origin.as_deref().is_some_and(|origin| origin.starts_with("https://"))
    }
}

/// Answers requests. Clones share all.
#[derive(Clone)]
pub struct Service {
    routes: Routes,
    site: Arc<SiteSettings>,
    clock: Clock,
}

impl Service {
    pub fn new(routes: Routes, site: Arc<SiteSettings>, clock: Clock) -> Self {
        Service { routes, site, clock }
    }

    /// Answers one request of `peer`.
    pub async fn answer<B>(self, peer: SocketAddr, request: http::Request<B>) -> Result<Response, Infallible>
    where
        B: hyper::body::Body<Data = bytes::Bytes> + Send + Sync + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let start = Instant::now();
        let (mut parts, body) = request.into_parts();
        // Handlers read headers from the head; the routes look at the path alone.
        let headers = std::mem::take(&mut parts.headers);
        let head = Arc::new(Head {
            id: RequestId::new(self.clock.now()),
            method: parts.method.clone(),
            path: parts.uri.path().to_owned(),
            query: parts.uri.query().unwrap_or("").to_owned(),
            client: self.site.proxies.client(peer, &headers),
            cookie: super::cookies::name(self.site.is_secure()),
            headers,
        });
        // Escaped: a path may hold characters that command a terminal.
        let path = logged_path(&head.path).escape_debug();
        let span = tracing::info_span!("request", id = %head.id, method = %head.method, %path);
        let api = is_api(&head.path);
        let public = self.site.public_origin.as_deref();
        let answer: Pin<Box<dyn Future<Output = Response> + Send>> =
            match check_same_origin(&head.method, api, &head.headers, public) {
                Err(error) => Box::pin(std::future::ready(error_response(&error))),
                Ok(()) => {
                    parts.extensions.insert(head.clone());
                    let request = http::Request::from_parts(parts, body);
                    let answer = TowerToHyperService::new(warp::service(self.routes.clone())).call(request);
                    Box::pin(answer.map(|Ok(response)| response))
                }
            };
        let response = async {
            let answer = AssertUnwindSafe(answer).catch_unwind().await;
            let mut response = answer.unwrap_or_else(|_| error_response(&Error::Internal("a handler panicked".into())));
            let failed = self.finish(&head, api, &mut response);
            log(&head, &response, failed, start);
            response
        }
        .instrument(span);
        let response = metering::request(response).await;
        Ok(response)
    }

    /// Makes problems readable for whoever asked, adds the headers that all answers bear, and returns for the log
    /// why the request failed, where it did.
    fn finish(&self, head: &Head, api: bool, response: &mut Response) -> Option<Failed> {
        let failed = response.extensions_mut().remove::<Failed>();
        if let Some(mut problem) = response.extensions_mut().remove::<Problem>() {
            problem.request_id = Some(head.id.to_string());
            match if api { Ok(problem_response(&problem)) } else { page_of(&problem, head) } {
                Ok(mut shown) => {
                    // What the answer says beside its body, it says in either form.
                    for (name, value) in std::mem::take(response.headers_mut()) {
                        if let Some(name) = name.filter(|name| !shown.headers().contains_key(name)) {
                            shown.headers_mut().insert(name, value);
                        }
                    }
                    if let Some(room) = response.extensions_mut().remove::<Room>() {
                        shown.extensions_mut().insert(room);
                    }
                    *response = shown;
                }
                Err(error) => tracing::error!(%error, "a problem could not be shown"),
            }
        }
        let html = response.headers().get(header::CONTENT_TYPE).is_some_and(|t| t.as_bytes().starts_with(b"text/html"));
        secure(response.headers_mut(), api && !html, self.site.is_secure());
        if let Ok(id) = HeaderValue::from_str(&head.id.to_string()) {
            response.headers_mut().insert(HeaderName::from_static("x-request-id"), id);
        }
        failed
    }
}

/// People who are not signed in are sent to the page where they can; others see what went wrong.
fn page_of(problem: &Problem, head: &Head) -> Result<Response> {
    if problem.status() == StatusCode::UNAUTHORIZED {
        return answers::see_other(&sign_in_path(head));
    }
    page::error(problem, head)
}

/// The page to sign in on, from which a reader goes on to where they were.
fn sign_in_path(head: &Head) -> String {
    if head.method != Method::GET || head.path == "/" {
        return "/sign-in".into();
    }
    let query = if head.query.is_empty() { String::new() } else { format!("?{}", head.query) };
    let next: String = form_urlencoded::byte_serialize(format!("{}{query}", head.path).as_bytes()).collect();
    format!("/sign-in?next={next}")
}

/// Headers that keep browsers from doing more with an answer than they should; `data` is what is no page.
fn secure(headers: &mut HeaderMap, data: bool, https: bool) {
    let mut set = |name: HeaderName, value: &'static str| headers.insert(name, HeaderValue::from_static(value));
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    // Not `no-referrer`: with that, browsers call the origin of our own forms `null`.
    set(header::REFERRER_POLICY, "same-origin");
    if https {
        set(header::STRICT_TRANSPORT_SECURITY, "max-age=31536000");
    }
    let policy = if data {
        "default-src 'none'; frame-ancestors 'none'"
    } else {
        set(HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; \
         media-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    };
    // What says something stricter itself knows why.
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(policy));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}

/// Links bear their token in the path: it stays out of the log.
fn logged_path(path: &str) -> &str {
    for start in ["/password/", "/address/", "/set-up/", "/api/password-links/", "/api/address-links/", "/media-links/"]
    {
        if path.starts_with(start) {
            return start;
        }
    }
    path
}

fn log(head: &Head, response: &Response, failed: Option<Failed>, start: Instant) {
    let status = response.status();
    let took = start.elapsed();
    let Room(room) = response.extensions().get().copied().unwrap_or(Room("none"));
    metrics::counter!("ashlar_requests_total", "module" => room, "status" => class(status)).increment(1);
    metrics::histogram!("ashlar_request_seconds", "module" => room).record(took);
    let ms = took.as_millis() as u64;
    // It may name a field that the client made up.
    let why = failed.map(|Failed(why)| why.replace(char::is_control, "\u{fffd}"));
    let client = head.client;
    if status.is_server_error() {
        tracing::error!(status = status.as_u16(), ms, %client, why, "failed");
    } else {
        tracing::debug!(status = status.as_u16(), ms, %client, why, "answered");
    }
}

fn class(status: StatusCode) -> &'static str {
    match status.as_u16() / 100 {
        1 => "1xx",
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        _ => "5xx",
    }
}
