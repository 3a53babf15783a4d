//! Contents as answers: whole or in part, and never as something that runs in our pages' name.

use warp::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use warp::reply::{Reply, Response};

use super::contents;
use super::model::{Item, ItemId, Stored, Variant};
use super::ranges::{Wanted, wanted};
use super::sniff::{UNKNOWN, is_shown};
use crate::platform::clock::Time;
use crate::platform::db::Database;
use crate::platform::error::{Error, Result};
use crate::platform::http::{Head, Problem, problem_response};
use crate::platform::signed;

/// A content with what its answer says of it.
#[derive(Debug, Clone)]
pub struct Served {
    content: Stored,
    content_type: String,
    size: u64,
    sha256: String,
    /// What a browser that saves it calls it.
    name: String,
}

impl Served {
    /// The item as it was uploaded; [`Error::NotFound`] until it is there.
    pub fn item(item: &Item) -> Result<Served> {
        let sha256 = item.sha256.clone().ok_or(Error::NotFound("content of this file yet"))?;
        Ok(Served {
            content: item.content.clone(),
            content_type: item.content_type.clone(),
            size: item.size_bytes,
            sha256,
            name: item.name.clone(),
        })
    }

    /// One of its smaller forms.
    pub fn variant(item: &Item, name: &str) -> Result<Served> {
        let variant = item.variants.iter().find(|variant| variant.name == name);
        let Variant { content, content_type, size_bytes, sha256, .. } =
            variant.ok_or(Error::NotFound("variant of this file"))?.clone();
        let stem = item.name.rsplit_once('.').map_or(item.name.as_str(), |(stem, _)| stem);
        let ending = content_type.rsplit('/').next().unwrap_or_default();
        let ending = if ending == "jpeg" { "jpg" } else { ending };
        Ok(Served { content, size: size_bytes, sha256, name: format!("{stem}-{name}.{ending}"), content_type })
    }

    /// Answers what `head` asks for.
    ///
    /// # Errors
    /// [`Error::Unreachable`] if it lies outside of the database, and can't be had now.
    pub async fn answer(self, database: &Database, head: &Head) -> Result<Response> {
        let Served { content, content_type, size, sha256, name } = self;
        let tag = format!("\"{sha256}\"");
        let asked = |name: header::HeaderName| head.headers.get(name).and_then(|value| value.to_str().ok());
        let is_known = asked(header::IF_NONE_MATCH).is_some_and(|tags| {
            tags.trim() == "*" || tags.split(',').any(|one| one.trim().trim_start_matches("W/") == tag)
        });
        if is_known {
            let mut response = Response::default();
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            response.headers_mut().insert(header::ETAG, value(&tag)?);
            return Ok(response);
        }
        let range = asked(header::RANGE).filter(|_| asked(header::IF_RANGE).is_none_or(|known| known == tag));
        let (status, from, to) = match wanted(range, size) {
            Wanted::Whole => (StatusCode::OK, 0, size),
            Wanted::Part(from, to) => (StatusCode::PARTIAL_CONTENT, from, to),
            Wanted::Nothing => {
                let detail = format!("the file has {size} bytes, and none where the range begins");
                let problem = Problem::new(StatusCode::RANGE_NOT_SATISFIABLE, "range", "No such range", detail);
                let mut response = problem_response(&problem);
                response.headers_mut().insert(header::CONTENT_RANGE, value(&format!("bytes */{size}"))?);
                return Ok(response);
            }
        };
        let mut response = match head.method {
            // Its length is all that is asked for.
            Method::HEAD => Response::default(),
            _ => warp::reply::stream(contents::open(database, &content, from, to).await?).into_response(),
        };
        *response.status_mut() = status;
        let headers = response.headers_mut();
        if status == StatusCode::PARTIAL_CONTENT {
            headers.insert(header::CONTENT_RANGE, value(&format!("bytes {from}-{}/{size}", to.saturating_sub(1)))?);
        }
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(to - from));
        headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        headers.insert(header::ETAG, value(&tag)?);
        describe(headers, &content_type, &name)?;
        Ok(response)
    }
}

/// What may be shown says what it is; anything else is a file to be saved, whatever it is.
fn describe(headers: &mut HeaderMap, content_type: &str, name: &str) -> Result<()> {
    let (shown, how) = match is_shown(content_type) {
        true if content_type == "text/plain" => ("text/plain; charset=utf-8", "inline"),
        true => (content_type, "inline"),
        false => (UNKNOWN, "attachment"),
    };
    headers.insert(header::CONTENT_TYPE, value(shown)?);
    let name: String = name.bytes().map(escaped).collect();
    headers.insert(header::CONTENT_DISPOSITION, value(&format!("{how}; filename*=UTF-8''{name}"))?);
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox"));
    // Whoever may see it may keep it for a while, but asks whether it is still there.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    Ok(())
}

/// A byte of a name in a header (RFC 8187).
fn escaped(byte: u8) -> String {
    match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).into(),
        other => format!("%{other:02X}"),
    }
}

fn value(text: &str) -> Result<HeaderValue> {
    HeaderValue::from_str(text).map_err(|e| Error::internal("writing a header", e))
}

// Links

const PURPOSE: &str = "media link";

/// A link that lets whoever has it see one content until it expires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SignedLink {
    pub item: ItemId,
    /// Empty for the content as it was uploaded.
    pub variant: String,
    pub expires_at: Time,
}

impl SignedLink {
    pub fn to_text(&self, secret: &[u8; 32]) -> String {
        let mut said = self.item.uuid().into_bytes().to_vec();
        said.extend(self.expires_at.as_ms().to_be_bytes());
        said.extend(self.variant.as_bytes());
        signed::sign(secret, PURPOSE, &said)
    }

    /// Reads a link; [`Error::NotFound`] where it was altered or has expired.
    pub fn parse(text: &str, secret: &[u8; 32], now: Time) -> Result<SignedLink> {
        let said = signed::verify(secret, PURPOSE, text);
        let link = said.as_deref().and_then(SignedLink::read).filter(|link| link.expires_at >= now);
        link.ok_or(Error::NotFound("link, or it has expired"))
    }

    fn read(said: &[u8]) -> Option<SignedLink> {
        let (id, said) = said.split_first_chunk()?;
        let (ms, variant) = said.split_first_chunk()?;
        let item = ItemId::from_uuid(uuid::Uuid::from_bytes(*id));
        let expires_at = Time::from_ms(i64::from_be_bytes(*ms));
        Some(SignedLink { item, variant: String::from_utf8(variant.to_vec()).ok()?, expires_at })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_opens_what_it_says_until_it_expires() {
        let secret = [7; 32];
        let now = Time::from_ms(1_000_000);
        let link = SignedLink { item: ItemId::new(now), variant: "small".into(), expires_at: now.plus_seconds(60) };
        let text = link.to_text(&secret);

        assert_eq!(SignedLink::parse(&text, &secret, now).unwrap(), link);
        assert_eq!(SignedLink::parse(&text, &secret, now.plus_seconds(60)).unwrap(), link);
        assert!(SignedLink::parse(&text, &secret, now.plus_seconds(61)).is_err());
        assert!(SignedLink::parse(&text, &[8; 32], now).is_err());
        let cut_off = signed::sign(&secret, PURPOSE, &[0; 20]);
        assert!(SignedLink::parse(&cut_off, &secret, now).is_err());
    }
}
