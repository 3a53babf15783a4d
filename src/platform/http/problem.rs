//! Errors as `application/problem+json` (RFC 9457): the one place that knows which status an error has.

use bytes::Bytes;
use serde::Serialize;
use warp::http::{HeaderValue, StatusCode, header};
use warp::reply::Response;

use crate::platform::error::{Error, FieldError};

/// What a refused request gets.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Problem {
    /// A stable name of the kind of problem: `/problems/…`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened this time, and what to do.
    pub detail: String,
    /// The wrong fields, where there are any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// The request's id, as in the header `X-Request-Id` and in the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

impl Problem {
    /// A kind of its own, for what one protocol alone knows.
    pub fn new(status: StatusCode, kind: &str, title: &str, detail: impl Into<String>) -> Self {
        Problem {
            kind: format!("/problems/{kind}"),
            title: title.into(),
            status: status.as_u16(),
            detail: detail.into(),
            errors: Vec::new(),
            request_id: None,
        }
    }

    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "Not found", "there is nothing at this address")
    }

    pub fn method_not_allowed(allow: &str) -> Self {
        let detail = format!("this address takes {allow}");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "Method not allowed", detail)
    }

    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

impl From<&Error> for Problem {
    fn from(error: &Error) -> Self {
        use StatusCode as S;
        let (status, kind, title) = match error {
            Error::Malformed(_) => (S::BAD_REQUEST, "malformed", "The request can't be read"),
            Error::Invalid(_) => (S::UNPROCESSABLE_ENTITY, "invalid", "Some fields are wrong"),
            Error::Unauthenticated(_) => (S::UNAUTHORIZED, "unauthenticated", "Not signed in"),
            Error::Forbidden(_) => (S::FORBIDDEN, "forbidden", "Not allowed"),
            Error::NotFound(_) => (S::NOT_FOUND, "not-found", "Not found"),
            Error::Conflict { .. } | Error::Duplicate => (S::CONFLICT, "conflict", "In conflict with what is there"),
            Error::Stale => (S::PRECONDITION_FAILED, "stale", "Changed meanwhile"),
            Error::TooLarge { .. } => (S::PAYLOAD_TOO_LARGE, "too-large", "Too large"),
            Error::NoRoom(_) => (S::PAYLOAD_TOO_LARGE, "too-large", "Too large"),
            Error::Gone(_) => (S::GONE, "gone", "Gone"),
            Error::UnsupportedMediaType(_) => {
                (S::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", "Unsupported media type")
            }
            Error::TooSlow { .. } => (S::REQUEST_TIMEOUT, "too-slow", "Too slow"),
            Error::Limited { .. } => (S::TOO_MANY_REQUESTS, "too-many-requests", "Too many requests"),
            Error::Overloaded(_) => (S::SERVICE_UNAVAILABLE, "overloaded", "Too busy just now"),
            Error::Lost(_) => (S::SERVICE_UNAVAILABLE, "not-saved", "Not saved"),
            Error::DiskFull => (S::INSUFFICIENT_STORAGE, "disk-full", "The disk is full"),
            Error::Uncertain => (S::SERVICE_UNAVAILABLE, "outcome-unknown", "Outcome unknown"),
            Error::Unreachable(_) => (S::SERVICE_UNAVAILABLE, "unreachable", "Out of reach just now"),
            Error::Boundary(_) | Error::Internal(_) => (S::INTERNAL_SERVER_ERROR, "internal", "Something went wrong"),
        };
        // The text of these is for the log: it may name files, tables, SQL and buckets.
        let detail = match error {
            Error::Boundary(_) | Error::Internal(_) => {
                "a fault of ours; it is in the log under this request's id".to_owned()
            }
            Error::Unreachable(_) => {
                "it lies at a place that can't be reached just now; nothing is lost, try again later".to_owned()
            }
            other => other.to_string(),
        };
        let mut problem = Problem::new(status, kind, title, detail);
        problem.errors = match error {
            Error::Invalid(errors) => errors.clone(),
            Error::Conflict { field: Some(field), detail } => vec![FieldError::new(*field, detail)],
            _ => Vec::new(),
        };
        problem
    }
}

/// The error as an answer, with what a client may need beside the body.
pub fn error_response(error: &Error) -> Response {
    let mut response = problem_response(&Problem::from(error));
    let headers = response.headers_mut();
    match error {
        Error::Limited { retry_after_s } => {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(*retry_after_s));
        }
        Error::Overloaded(_) | Error::Lost(_) => {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(1));
        }
        Error::Unreachable(_) => {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(30));
        }
        Error::Unauthenticated(_) => {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        _ => {}
    }
    response.extensions_mut().insert(Failed(error.to_string().into()));
    response
}

/// Why a request failed, for the log line that the service writes about it.
#[derive(Debug, Clone)]
pub struct Failed(pub std::sync::Arc<str>);

pub fn problem_response(problem: &Problem) -> Response {
    // A struct of strings and numbers always serialises.
    let body = serde_json::to_vec(problem).unwrap_or_default();
    let mut response = Response::new(Bytes::from(body).into());
    *response.status_mut() = problem.status();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    // The page layer shows the same problem to people.
    response.extensions_mut().insert(problem.clone());
    response
}
