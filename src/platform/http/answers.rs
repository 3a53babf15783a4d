//! Good answers.

use std::io::Read;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use futures_util::{Stream, stream};
use serde::Serialize;
use warp::http::{HeaderValue, StatusCode, header};
use warp::reply::Response;

use super::idempotency::Saved;
use crate::platform::error::{Error, Result};
use crate::platform::metering::{self, Ticket};

pub fn json<T: Serialize>(status: StatusCode, value: &T) -> Result<Response> {
    let body = serde_json::to_vec(value).map_err(|e| Error::internal("writing an answer", e))?;
    Ok(json_bytes(status, body))
}

/// A 200 with the value's version as its `ETag`.
pub fn versioned<T: Serialize>(value: &T, version: impl std::fmt::Display) -> Result<Response> {
    let mut response = json(StatusCode::OK, value)?;
    let tag = HeaderValue::from_str(&format!("\"{version}\"")).map_err(|e| Error::internal("writing an ETag", e))?;
    response.headers_mut().insert(header::ETAG, tag);
    Ok(response)
}

/// What a `POST` made; the same again where it is asked for again.
pub fn saved<T: Serialize>(status: StatusCode, saved: &Saved<T>) -> Result<Response> {
    let mut response = match saved {
        Saved::Fresh(_) if status == StatusCode::NO_CONTENT => no_content(),
        Saved::Fresh(value) => json(status, value)?,
        Saved::Replayed(_) if status == StatusCode::NO_CONTENT => no_content(),
        Saved::Replayed(body) => json_bytes(status, body.clone()),
    };
    if matches!(saved, Saved::Replayed(_)) {
        response.headers_mut().insert("idempotency-replayed", HeaderValue::from_static("true"));
    }
    Ok(response)
}

pub fn no_content() -> Response {
    let mut response = Response::default();
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

/// What was asked for will be done.
pub fn accepted() -> Response {
    let mut response = Response::default();
    *response.status_mut() = StatusCode::ACCEPTED;
    response
}

pub fn text(content_type: &'static str, body: impl Into<Bytes>) -> Response {
    let mut response = Response::new(body.into().into());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// Pieces in which content is sent.
const PIECE_BYTES: usize = 64 * 1024;

/// Content piece by piece, each read, off the threads that serve requests, when the one before has been sent.
pub fn pieces(
    content: impl Read + Send + 'static,
) -> impl Stream<Item = std::io::Result<Bytes>> + Send + Sync + 'static {
    let ticket = Ticket::here();
    // A lock that nobody waits for makes it `Sync`, which warp asks for.
    stream::try_unfold(Mutex::new(content), move |content| async move {
        let read = move || {
            let mut content = content.into_inner().unwrap_or_else(PoisonError::into_inner);
            let mut piece = Vec::with_capacity(PIECE_BYTES);
            content.by_ref().take(PIECE_BYTES as u64).read_to_end(&mut piece)?;
            Ok::<_, std::io::Error>((Bytes::from(piece), Mutex::new(content)))
        };
        let read = tokio::task::spawn_blocking(move || metering::long(ticket, read));
        let (piece, content) = read.await.map_err(std::io::Error::other)??;
        Ok((!piece.is_empty()).then_some((piece, content)))
    })
}

/// See other: after a form was sent, so that reloading does not send it again.
pub fn see_other(to: &str) -> Result<Response> {
    let mut response = Response::default();
    *response.status_mut() = StatusCode::SEE_OTHER;
    let to = HeaderValue::from_str(to).map_err(|e| Error::internal("redirecting", e))?;
    response.headers_mut().insert(header::LOCATION, to);
    Ok(response)
}

fn json_bytes(status: StatusCode, body: Vec<u8>) -> Response {
    let mut response = Response::new(Bytes::from(body).into());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Refuses a change of another version than `If-Match` names.
pub fn check_if_match(if_match: Option<&str>, version: impl std::fmt::Display) -> Result<()> {
    let wanted = format!("\"{version}\"");
    match if_match {
        Some(tags) if tags.trim() != "*" && !tags.split(',').any(|tag| tag.trim() == wanted) => Err(Error::Stale),
        _ => Ok(()),
    }
}
