//! Routing: the whole path first, then the method, and from there on answers, never rejections.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use warp::filters::BoxedFilter;
use warp::http::{HeaderValue, Method, StatusCode, header};
use warp::reply::Response;
use warp::{Filter, Rejection};

use super::problem::{Problem, error_response, problem_response};
use super::request::{Body, Head, Request, body};
use crate::platform::error::Result;
use crate::platform::metering::{self, Account};

/// Some addresses and what answers there. Boxed, or compile times explode.
pub type Routes = BoxedFilter<(Response,)>;

type Handler<P> = Arc<dyn Fn(Request<P>) -> Pin<Box<dyn Future<Output = Response> + Send>> + Send + Sync>;

/// What stands in a path where its pattern has a variable.
pub trait Parts {
    /// The pattern of which `path` is one: `/api/people/{}` of `/api/people/42`. None where it can't be told, since a
    /// variable is called like another part of the path: what somebody made up must never become the name of a route.
    fn pattern(&self, path: &str) -> Option<String>;
}

impl Parts for () {
    fn pattern(&self, path: &str) -> Option<String> {
        Some(path.to_owned())
    }
}

impl Parts for String {
    fn pattern(&self, path: &str) -> Option<String> {
        without(path, &[self])
    }
}

impl Parts for (String, String) {
    fn pattern(&self, path: &str) -> Option<String> {
        without(path, &[&self.0, &self.1])
    }
}

fn without(path: &str, parts: &[&String]) -> Option<String> {
    let mut segments: Vec<&str> = path.split('/').collect();
    for part in parts {
        let mut alike = segments.iter_mut().filter(|segment| *segment == part);
        let (Some(segment), None) = (alike.next(), alike.next()) else { return None };
        *segment = "{}";
    }
    Some(segments.join("/"))
}

/// What one address does with each method.
///
/// `on(&app).get(list).post(add).at(warp::path!("api" / "people"))`
pub struct On<S, P> {
    state: S,
    handlers: Vec<Answering<P>>,
}

struct Answering<P> {
    method: Method,
    handler: Handler<P>,
    /// Who bears what it costs.
    account: &'static Account,
}

pub fn on<S: Clone, P>(state: &S) -> On<S, P> {
    On { state: state.clone(), handlers: Vec::new() }
}

impl<S, P> On<S, P>
where
    S: Clone + Send + Sync + 'static,
    P: Parts + Send + 'static,
{
    pub fn get<F: Future<Output = Result<Response>> + Send + 'static>(self, f: fn(S, Request<P>) -> F) -> Self {
        self.add(Method::GET, f)
    }

    pub fn post<F: Future<Output = Result<Response>> + Send + 'static>(self, f: fn(S, Request<P>) -> F) -> Self {
        self.add(Method::POST, f)
    }

    pub fn put<F: Future<Output = Result<Response>> + Send + 'static>(self, f: fn(S, Request<P>) -> F) -> Self {
        self.add(Method::PUT, f)
    }

    pub fn patch<F: Future<Output = Result<Response>> + Send + 'static>(self, f: fn(S, Request<P>) -> F) -> Self {
        self.add(Method::PATCH, f)
    }

    pub fn delete<F: Future<Output = Result<Response>> + Send + 'static>(self, f: fn(S, Request<P>) -> F) -> Self {
        self.add(Method::DELETE, f)
    }

    /// In place of the usual answer, which names the methods alone.
    pub fn options<F: Future<Output = Result<Response>> + Send + 'static>(self, f: fn(S, Request<P>) -> F) -> Self {
        self.add(Method::OPTIONS, f)
    }

    fn add<F>(mut self, method: Method, handler: fn(S, Request<P>) -> F) -> Self
    where
        F: Future<Output = Result<Response>> + Send + 'static,
    {
        let state = self.state.clone();
        self.handlers.push(Answering {
            method,
            handler: Arc::new(move |request| {
                let answer = handler(state.clone(), request);
                Box::pin(async move { answer.await.unwrap_or_else(|error| error_response(&error)) })
            }),
            // Named after its handler, since no pattern of an address can be had from its filter.
            account: metering::route(std::any::type_name::<F>()),
        });
        self
    }

    fn into_answer(self) -> impl Fn(Arc<Head>, Body, P) -> Pin<Box<dyn Future<Output = Response> + Send>> + Clone {
        let handlers: Arc<[Answering<P>]> = self.handlers.into();
        move |head, body, path| {
            // HEAD is GET; hyper leaves the body out.
            let method = if head.method == Method::HEAD { &Method::GET } else { &head.method };
            match handlers.iter().find(|one| one.method == *method) {
                Some(one) => {
                    one.account.show_as(|| Some(format!("{method} {}", path.pattern(&head.path)?)));
                    metering::dispatch(one.account);
                    (one.handler)(Request { head: head.clone(), path, body })
                }
                None => {
                    let answer = other_method(&head.method, &handlers);
                    Box::pin(std::future::ready(answer))
                }
            }
        }
    }
}

impl<S: Clone + Send + Sync + 'static> On<S, ()> {
    pub fn at<F>(self, path: F) -> Routes
    where
        F: Filter<Extract = (), Error = Rejection> + Clone + Send + Sync + 'static,
    {
        let answer = self.into_answer();
        path.and(raw()).then(move |head, body| answer(head, body, ())).boxed()
    }
}

impl<S: Clone + Send + Sync + 'static> On<S, String> {
    pub fn at<F>(self, path: F) -> Routes
    where
        F: Filter<Extract = (String,), Error = Rejection> + Clone + Send + Sync + 'static,
    {
        let answer = self.into_answer();
        path.and(raw()).then(move |part, head, body| answer(head, body, part)).boxed()
    }
}

impl<S: Clone + Send + Sync + 'static> On<S, (String, String)> {
    pub fn at<F>(self, path: F) -> Routes
    where
        F: Filter<Extract = (String, String), Error = Rejection> + Clone + Send + Sync + 'static,
    {
        let answer = self.into_answer();
        path.and(raw()).then(move |one, two, head, body| answer(head, body, (one, two))).boxed()
    }
}

/// Joins routes; a request goes to the first whose path matches.
pub fn either(routes: impl IntoIterator<Item = Routes>) -> Option<Routes> {
    let mut level: Vec<Routes> = routes.into_iter().collect();
    // A balanced tree: a request passes few boxes on its way.
    while level.len() > 1 {
        let mut next = Vec::with_capacity(level.len().div_ceil(2));
        let mut rest = level.into_iter();
        while let Some(first) = rest.next() {
            next.push(match rest.next() {
                Some(second) => first.or(second).unify().boxed(),
                None => first,
            });
        }
        level = next;
    }
    level.pop()
}

/// The module that answered, for the counts by module.
#[derive(Debug, Clone, Copy)]
pub struct Room(pub &'static str);

/// Counts what answers here as `room`'s.
pub fn of_room(routes: Routes, room: &'static str) -> Routes {
    let tag = move |mut response: Response| {
        response.extensions_mut().insert(Room(room));
        response
    };
    routes.map(tag).boxed()
}

/// Answers what no route matches.
pub fn nothing_here() -> Routes {
    warp::any().map(|| problem_response(&Problem::not_found())).boxed()
}

fn raw() -> impl Filter<Extract = (Arc<Head>, Body), Error = Rejection> + Clone {
    warp::ext::get::<Arc<Head>>().and(warp::body::stream().map(body))
}

fn other_method<P>(method: &Method, handlers: &[Answering<P>]) -> Response {
    let mut allow: Vec<&str> = handlers.iter().map(|one| one.method.as_str()).collect();
    if allow.contains(&"GET") {
        allow.push("HEAD");
    }
    if !allow.contains(&"OPTIONS") {
        allow.push("OPTIONS");
    }
    let allow = allow.join(", ");
    let mut response = if method == Method::OPTIONS {
        let mut response = Response::default();
        *response.status_mut() = StatusCode::NO_CONTENT;
        response
    } else {
        problem_response(&Problem::method_not_allowed(&allow))
    };
    if let Ok(allow) = HeaderValue::from_str(&allow) {
        response.headers_mut().insert(header::ALLOW, allow);
    }
    response
}
