//! Uploads that can be resumed, by the tus protocol 1.0: for programs at `/api/media/uploads`, for pages at
//! `/media/uploads`.
//!
//! Extensions: creation, creation-with-upload, checksum, termination, expiration.
//! Source: <https://tus.io/protocols/resumable-upload>.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use utoipa::OpenApi;
use warp::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use warp::reply::Response;

use super::model::ItemId;

use super::receiving::{Appended, Checksum};
use super::repository::Upload;
use super::{Media, Room};
use crate::platform::auth::Caller;
use crate::platform::clock::Time;
use crate::platform::config::MediaLimits;
use crate::platform::error::{Error, Result};
use crate::platform::http::{self, Problem, Request, Routes, answers, on, problem_response};

const VERSION: &str = "1.0.0";
const EXTENSIONS: &str = "creation,creation-with-upload,checksum,termination,expiration";
const ALGORITHMS: &str = "sha1,sha256";
const BYTES: &str = "application/offset+octet-stream";
/// Characters of `Upload-Metadata`.
const MAX_METADATA: usize = 4096;

const RESUMABLE: HeaderName = HeaderName::from_static("tus-resumable");
const OFFSET: HeaderName = HeaderName::from_static("upload-offset");
const LENGTH: HeaderName = HeaderName::from_static("upload-length");
const EXPIRES: HeaderName = HeaderName::from_static("upload-expires");
const METADATA: HeaderName = HeaderName::from_static("upload-metadata");
const CHECKSUM: HeaderName = HeaderName::from_static("upload-checksum");

#[derive(OpenApi)]
#[openapi(paths(create, look, append, end))]
pub(super) struct TusApi;

pub(super) fn routes(room: &Room) -> Option<Routes> {
    use warp::path as at;
    http::either([
        on(room).post(create).options(options).at(at!("api" / "media" / "uploads")),
        on(room).get(look).patch(append).delete(end).options(options_of).at(at!("api" / "media" / "uploads" / String)),
        on(room).post(create).options(options).at(at!("media" / "uploads")),
        on(room).get(look).patch(append).delete(end).options(options_of).at(at!("media" / "uploads" / String)),
    ])
}

/// What the server can do; asked by clients before anything else, and by nobody in particular.
async fn options(room: Room, _: Request) -> Result<Response> {
    Ok(abilities(&room.platform.media))
}

async fn options_of(room: Room, _: Request<String>) -> Result<Response> {
    Ok(abilities(&room.platform.media))
}

fn abilities(settings: &MediaLimits) -> Response {
    let mut response = answers::no_content();
    let headers = response.headers_mut();
    headers.insert(RESUMABLE, HeaderValue::from_static(VERSION));
    headers.insert("tus-version", HeaderValue::from_static(VERSION));
    headers.insert("tus-extension", HeaderValue::from_static(EXTENSIONS));
    headers.insert("tus-checksum-algorithm", HeaderValue::from_static(ALGORITHMS));
    headers.insert("tus-max-size", HeaderValue::from(settings.max_size.0));
    response
}

/// Begins an upload that can be resumed, and takes the first bytes where they come along.
#[utoipa::path(
    post, path = "/api/media/uploads", tag = "media", operation_id = "begin_upload", security(("bearer" = [])),
    params(
        ("Tus-Resumable" = String, Header, description = "1.0.0"),
        ("Upload-Length" = u64, Header, description = "of the file, in bytes"),
        ("Upload-Metadata" = Option<String>, Header, description = "`filename`, in base64"),
        ("Upload-Checksum" = Option<String>, Header, description = "of the bytes in this request: sha1 or sha256, in base64"),
    ),
    request_body(content = Option<Vec<u8>>, content_type = "application/offset+octet-stream"),
    responses(
        (status = 201, description = "begun: `Location` names the upload, `Upload-Offset` says how much has arrived"),
        (status = 400, description = "a header is missing or can't be read"),
        (status = 409, description = "too many uploads have begun and not ended"),
        (status = 412, description = "another version of tus"),
        (status = 413, description = "too large, or beyond the person's quota"),
        (status = 460, description = "what arrived does not hash to `Upload-Checksum`"),
    ),
)]
async fn create(room: Room, mut request: Request) -> Result<Response> {
    let who = room.platform.principal(&request).await?;
    let caller = request.caller(&who);
    let answer = begin(&room, caller, who.user, &mut request).await;
    finish(&mut request, answer).await
}

async fn begin(
    room: &Room,
    caller: Caller,
    user: crate::platform::ids::UserId,
    request: &mut Request,
) -> Result<Response> {
    if let Some(refused) = other_version(&request.head.headers) {
        return Ok(refused);
    }
    let headers = &request.head.headers;
    if headers.contains_key("upload-defer-length") {
        return Err(Error::Malformed("`Upload-Defer-Length` is not taken here: say `Upload-Length`".into()));
    }
    let length = number(headers, &LENGTH)?;
    let metadata = text(headers, &METADATA)?.unwrap_or_default();
    if metadata.len() > MAX_METADATA {
        return Err(Error::Malformed(format!("`Upload-Metadata` takes {MAX_METADATA} characters at most")));
    }
    let brings = request.head.headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind == BYTES);
    let checksum = checksum(headers)?.filter(|_| brings);
    let (media, limits, name) = (room.media, room.platform.media, name_of(&metadata)?);
    let begun = room
        .platform
        .change("begin_upload", caller, move |work| media.begin_upload(work, &limits, user, &name, length, metadata));
    let upload = begun.await?;
    let location = format!("{}/{}", request.head.path.trim_end_matches('/'), upload.id);
    let (mut received, mut expires_at) = (0, upload.expires_at);
    let mut answer = answers::no_content();
    if brings {
        let mut ended = Ok(());
        match room.append(caller, upload.clone(), request.pieces(), checksum).await {
            Ok(Appended::To { received: now, expires_at: then }) => (received, expires_at) = (now, then),
            Ok(Appended::WrongChecksum) => answer = wrong_checksum(),
            // Begun it is: where it goes on, the client asks.
            Err(error @ (Error::NoRoom(_) | Error::Unauthenticated(_))) => ended = Err(error),
            Err(error) => tracing::debug!(%error, "an upload broke off in its first request"),
        }
        ended?;
    }
    if answer.status() == StatusCode::NO_CONTENT {
        *answer.status_mut() = StatusCode::CREATED;
    }
    answer.headers_mut().insert(header::LOCATION, value(&location)?);
    where_it_is(answer, received, None, expires_at)
}

/// Where an upload is. `HEAD` asks for the headers alone, as tus does.
#[utoipa::path(
    get, path = "/api/media/uploads/{id}", tag = "media", operation_id = "show_upload", security(("bearer" = [])),
    params(("id" = String, Path, format = Uuid), ("Tus-Resumable" = String, Header, description = "1.0.0")),
    responses(
        (status = 204, description = "`Upload-Offset` and `Upload-Length` say how much has arrived, and how much there is"),
        (status = 410, description = "it has expired"),
        (status = 412, description = "another version of tus"),
    ),
)]
async fn look(room: Room, request: Request<String>) -> Result<Response> {
    let id = ItemId::parse(&request.path, "upload");
    let media = room.media;
    let found =
        room.platform.read("show_upload", &request, move |snapshot, who| media.own_upload(snapshot, who.user, id?));
    let upload = found.await;
    let answered = match (other_version(&request.head.headers), upload) {
        (_, Err(error)) => http::error_response(&error),
        (Some(refused), _) => refused,
        (None, Ok(upload)) => {
            let mut answer = answers::no_content();
            if request.head.method == Method::HEAD {
                *answer.status_mut() = StatusCode::OK;
            }
            if !upload.metadata.is_empty() {
                answer.headers_mut().insert(METADATA, value(&upload.metadata)?);
            }
            where_it_is(answer, upload.received, Some(upload.length), upload.expires_at)?
        }
    };
    Ok(resumable(answered))
}

/// Appends bytes to an upload, from where it is.
#[utoipa::path(
    patch, path = "/api/media/uploads/{id}", tag = "media", operation_id = "append_to_upload", security(("bearer" = [])),
    params(
        ("id" = String, Path, format = Uuid),
        ("Tus-Resumable" = String, Header, description = "1.0.0"),
        ("Upload-Offset" = u64, Header, description = "where these bytes belong: where the upload is"),
        ("Upload-Checksum" = Option<String>, Header, description = "of the bytes in this request: sha1 or sha256, in base64"),
    ),
    request_body(content = Vec<u8>, content_type = "application/offset+octet-stream"),
    responses(
        (status = 204, description = "taken: `Upload-Offset` says how much has arrived"),
        (status = 400, description = "a header is missing or can't be read, or the connection broke"),
        (status = 409, description = "the upload is elsewhere, or another request goes on with it"),
        (status = 410, description = "it has expired"),
        (status = 412, description = "another version of tus"),
        (status = 413, description = "more than was announced"),
        (status = 460, description = "what arrived does not hash to `Upload-Checksum`: nothing of it was kept"),
    ),
)]
async fn append(room: Room, mut request: Request<String>) -> Result<Response> {
    let id = ItemId::parse(&request.path, "upload");
    let media = room.media;
    let found = room.platform.read("append_to_upload", &request, move |snapshot, who| {
        Ok((*who, media.own_upload(snapshot, who.user, id?)?))
    });
    let (who, upload) = match found.await {
        Ok(found) => found,
        Err(error) => return finish(&mut request, Err(error)).await,
    };
    let caller = request.caller(&who);
    let answer = take(&room, caller, upload, &mut request).await;
    finish(&mut request, answer).await
}

async fn take(room: &Room, caller: Caller, upload: Upload, request: &mut Request<String>) -> Result<Response> {
    if let Some(refused) = other_version(&request.head.headers) {
        return Ok(refused);
    }
    let headers = &request.head.headers;
    if headers.get(header::CONTENT_TYPE).is_none_or(|kind| kind != BYTES) {
        return Err(Error::UnsupportedMediaType(format!("send the bytes with `Content-Type: {BYTES}`")));
    }
    let (offset, checksum) = (number(headers, &OFFSET)?, checksum(headers)?);
    let (received, length) = (upload.received, upload.length);
    if offset != received {
        let detail = format!("the upload is at byte {received}, and these bytes begin at {offset}");
        return Err(Error::Conflict { field: None, detail });
    }
    if received == length && request.announced().is_none_or(|bytes| bytes == 0) {
        // All of it is there, and may lie elsewhere by now.
        return where_it_is(answers::no_content(), received, None, upload.expires_at);
    }
    if request.announced().is_some_and(|bytes| bytes > length - received) {
        return Err(Error::NoRoom(format!("{} bytes are left of the {length} that were announced", length - received)));
    }
    match room.append(caller, upload, request.pieces(), checksum).await? {
        Appended::WrongChecksum => Ok(wrong_checksum()),
        Appended::To { received, expires_at } => where_it_is(answers::no_content(), received, None, expires_at),
    }
}

/// Gives an upload up, with what has arrived; a file that has arrived whole stays.
#[utoipa::path(
    delete, path = "/api/media/uploads/{id}", tag = "media", operation_id = "end_upload", security(("bearer" = [])),
    params(("id" = String, Path, format = Uuid), ("Tus-Resumable" = String, Header, description = "1.0.0")),
    responses(
        (status = 204),
        (status = 410, description = "it has expired"),
        (status = 412, description = "another version of tus"),
    ),
)]
async fn end(room: Room, mut request: Request<String>) -> Result<Response> {
    let who = room.platform.principal(&request).await?;
    let ended = match other_version(&request.head.headers) {
        Some(refused) => Ok(refused),
        None => {
            let id = ItemId::parse(&request.path, "upload");
            let media: Media = room.media;
            let ended = room.platform.change("end_upload", request.caller(&who), move |work| {
                let upload = media.own_upload(work, who.user, id?)?;
                media.end_upload(work, &upload)
            });
            ended.await.map(|()| answers::no_content())
        }
    };
    finish(&mut request, ended).await
}

/// Every answer says which tus this is; and a client that is refused midway is heard out, or it would not see why.
async fn finish<P>(request: &mut Request<P>, answer: Result<Response>) -> Result<Response> {
    let answer = answer.unwrap_or_else(|error| http::error_response(&error));
    if !answer.status().is_success() {
        request.take_rest().await;
    }
    Ok(resumable(answer))
}

fn resumable(mut answer: Response) -> Response {
    answer.headers_mut().insert(RESUMABLE, HeaderValue::from_static(VERSION));
    answer
}

fn where_it_is(mut answer: Response, received: u64, length: Option<u64>, expires_at: Time) -> Result<Response> {
    let headers = answer.headers_mut();
    headers.insert(OFFSET, HeaderValue::from(received));
    if let Some(length) = length {
        headers.insert(LENGTH, HeaderValue::from(length));
    }
    headers.insert(EXPIRES, value(&expires_at.to_http())?);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(answer)
}

fn other_version(headers: &HeaderMap) -> Option<Response> {
    if headers.get(RESUMABLE).is_some_and(|version| version == VERSION) {
        return None;
    }
    let detail = format!("say `Tus-Resumable: {VERSION}`: this server speaks no other version of tus");
    let problem = Problem::new(StatusCode::PRECONDITION_FAILED, "tus-version", "Another version of tus", detail);
    let mut response = problem_response(&problem);
    response.headers_mut().insert("tus-version", HeaderValue::from_static(VERSION));
    Some(response)
}

/// tus calls it 460.
fn wrong_checksum() -> Response {
    let status = StatusCode::from_u16(460).unwrap_or(StatusCode::BAD_REQUEST);
    let detail = "what arrived does not hash to what `Upload-Checksum` says: nothing of it was kept, send it again";
    problem_response(&Problem::new(status, "checksum-mismatch", "Checksum mismatch", detail))
}

fn text(headers: &HeaderMap, name: &HeaderName) -> Result<Option<String>> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let text = value.to_str().map_err(|_| Error::Malformed(format!("`{name}` can't be read")))?;
    Ok(Some(text.trim().to_owned()))
}

fn number(headers: &HeaderMap, name: &HeaderName) -> Result<u64> {
    let text = text(headers, name)?.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    let number = text.and_then(|text| text.parse().ok()).filter(|number| *number <= i64::MAX as u64);
    number.ok_or_else(|| Error::Malformed(format!("`{name}` is missing, or no number of bytes")))
}

fn checksum(headers: &HeaderMap) -> Result<Option<Checksum>> {
    let Some(said) = text(headers, &CHECKSUM)? else { return Ok(None) };
    let known = Checksum::parse(&said);
    known.map(Some).ok_or_else(|| Error::Malformed(format!("`{CHECKSUM}` takes {ALGORITHMS}, a space and base64")))
}

/// The file's name among what the client says of it: `filename d29ybGQuanBn,is_confidential`.
fn name_of(metadata: &str) -> Result<String> {
    let mut name = None;
    for pair in metadata.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once(' ').unwrap_or((pair, ""));
        let wrong = || Error::Malformed(format!("`{METADATA}` holds `{key}` with what is not base64"));
        let value = STANDARD.decode(value.trim()).map_err(|_| wrong())?;
        if key == "filename" || (key == "name" && name.is_none()) {
            name = Some(String::from_utf8_lossy(&value).into_owned());
        }
    }
    Ok(name.unwrap_or_default())
}

fn value(text: &str) -> Result<HeaderValue> {
    HeaderValue::from_str(text).map_err(|e| Error::internal("writing a header", e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_found_in_the_metadata() {
        assert_eq!(name_of("filename d29ybGQuanBn,is_confidential").unwrap(), "world.jpg");
        assert_eq!(name_of("filetype aW1hZ2UvcG5n, name Y2F0LnBuZw==").unwrap(), "cat.png");
        assert_eq!(name_of("").unwrap(), "");
        assert!(name_of("filename ???").is_err());
    }
}
