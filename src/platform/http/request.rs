//! A request as handlers see it, and reading its body within limits.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use futures_util::{Stream, StreamExt};
use serde::de::DeserializeOwned;
use warp::http::{HeaderMap, Method, header};

use super::idempotency::{Call, IdempotencyKey};
use crate::platform::actor::{Actor, RequestId, Via};
use crate::platform::auth::{Caller, Principal, Token};
use crate::platform::error::{Error, FieldError, Result};

/// Bodies of JSON and forms, in bytes.
pub const MAX_BODY_BYTES: usize = 64 * 1024;
/// A body must have arrived within so many seconds.
const BODY_TIMEOUT_S: u64 = 20;

/// What came before the body. The service makes it once, handlers share it.
#[derive(Debug)]
pub struct Head {
    pub id: RequestId,
    pub method: Method,
    pub path: String,
    pub query: String,
    pub headers: HeaderMap,
    /// Who asks, by address: the peer, or whom a trusted proxy names.
    pub client: IpAddr,
    /// The name of this site's session cookie.
    pub cookie: &'static str,
}

pub type Body = Pin<Box<dyn Stream<Item = Result<Bytes, warp::Error>> + Send + Sync>>;

/// A request; `path` holds the variable parts of its path.
pub struct Request<P = ()> {
    pub head: Arc<Head>,
    pub path: P,
    pub(super) body: Body,
}

impl<P> Request<P> {
    /// The token it bears: `Authorization: Bearer …` for the API, the cookie for pages.
    pub fn token(&self) -> Result<Token> {
        if self.is_api() { self.bearer_token() } else { self.cookie_token() }
    }

    fn bearer_token(&self) -> Result<Token> {
        let header = self.head.headers.get(header::AUTHORIZATION);
        let value = header.ok_or(Error::Unauthenticated("sign in: this needs `Authorization: Bearer TOKEN`"))?;
        value
            .to_str()
            .ok()
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .and_then(|(_, token)| Token::parse(token.trim()))
            .ok_or(Error::Unauthenticated("this is no token of ours: sign in again"))
    }

    fn cookie_token(&self) -> Result<Token> {
        let cookies = self.head.headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut pairs = cookies.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
        pairs
            // Never the plain name on https: a neighbouring host could have set that one.
            .find(|(name, _)| *name == self.head.cookie)
            .and_then(|(_, token)| Token::parse(token))
            .ok_or(Error::Unauthenticated("sign in first"))
    }

    fn is_api(&self) -> bool {
        is_api(&self.head.path)
    }

    /// Whoever asks, signed in, for the audit trail.
    pub fn caller(&self, who: &Principal) -> Caller {
        Caller { by: self.actor_of(Some(who)), who: Some(*who) }
    }

    /// Nobody, for the audit trail: who it is turns out only while the change is made.
    pub fn nobody(&self) -> Actor {
        self.actor_of(None)
    }

    fn actor_of(&self, who: Option<&Principal>) -> Actor {
        let via = if self.is_api() { Via::Api } else { Via::Page };
        Actor { user: who.map(|who| who.user), via, request: Some(self.head.id) }
    }

    /// What a `POST` needs to know of the request that asks for it.
    pub fn call(&self, who: Option<&Principal>) -> Result<Call> {
        let caller = Caller { by: self.actor_of(who), who: who.copied() };
        // Browsers send none with a form.
        let key = self.head.headers.get("idempotency-key").filter(|_| self.is_api());
        let key = key.map(|value| IdempotencyKey::parse(value.as_bytes()));
        let scope = format!("{} {}", self.head.method, self.head.path);
        Ok(Call::new(caller, key.transpose()?.map(|key| (key, scope))))
    }

    /// As [`Request::call`], of a form that bears a key of its own: sent twice, it is taken once.
    pub fn form_call(&self, who: &Principal, key: &str, said: &str) -> Result<Call> {
        let key = Some(key).filter(|key| !key.is_empty()).map(|key| IdempotencyKey::parse(key.as_bytes()));
        let scope = format!("{} {}", self.head.method, self.head.path);
        Ok(Call::new(self.caller(who), key.transpose()?.map(|key| (key, scope))).with_body(said.as_bytes()))
    }

    /// The query, each parameter once; unknown ones are refused.
    pub fn query<T: DeserializeOwned>(&self) -> Result<T> {
        form(self.head.query.as_bytes())
    }

    /// `If-Match`, where there is one.
    pub fn if_match(&self) -> Option<&str> {
        // What can't be read matches no version.
        self.head.headers.get(header::IF_MATCH).map(|value| value.to_str().unwrap_or(""))
    }

    /// The body as JSON, and its bytes for comparing it with an earlier one.
    pub async fn json<T: DeserializeOwned>(&mut self) -> Result<(T, Bytes)> {
        self.expect_type("application/json")?;
        let bytes = self.bytes(MAX_BODY_BYTES).await?;
        Ok((json(&bytes)?, bytes))
    }

    /// The body as an HTML form.
    pub async fn form<T: DeserializeOwned>(&mut self) -> Result<T> {
        self.expect_type("application/x-www-form-urlencoded")?;
        form(&self.bytes(MAX_BODY_BYTES).await?)
    }

    /// The body, at most `limit_bytes` of it.
    pub async fn bytes(&mut self, limit_bytes: usize) -> Result<Bytes> {
        let announced =
            self.head.headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
        if announced.is_some_and(|length| length > limit_bytes as u64) {
            return Err(Error::TooLarge { limit_bytes });
        }
        let read = async {
            let mut all = Vec::new();
            while let Some(piece) = self.body.next().await {
                let piece = piece.map_err(|e| Error::Malformed(format!("the body broke off: {e}")))?;
                if all.len() + piece.len() > limit_bytes {
                    return Err(Error::TooLarge { limit_bytes });
                }
                all.extend_from_slice(&piece);
            }
            Ok(Bytes::from(all))
        };
        tokio::time::timeout(Duration::from_secs(BODY_TIMEOUT_S), read)
            .await
            .unwrap_or(Err(Error::TooSlow { limit_s: BODY_TIMEOUT_S }))
    }

    fn expect_type(&self, expected: &'static str) -> Result<()> {
        let found = self.head.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
        let essence = found.split(';').next().unwrap_or("").trim();
        if essence.eq_ignore_ascii_case(expected) {
            return Ok(());
        }
        Err(Error::UnsupportedMediaType(format!("send the body with `Content-Type: {expected}`")))
    }
}

/// Whether programs ask there, not browsers: the answer is JSON, the proof a bearer token.
pub fn is_api(path: &str) -> bool {
    path == "/api" || path.starts_with("/api/") && path != "/api/docs" || path == "/metrics"
}

/// Turns warp's stream of buffers into one of bytes.
pub(super) fn body<S, B>(stream: S) -> Body
where
    S: Stream<Item = Result<B, warp::Error>> + Send + Sync + 'static,
    B: Buf,
{
    Box::pin(stream.map(|piece| piece.map(|mut buffer| buffer.copy_to_bytes(buffer.remaining()))))
}

/// Reads a JSON object and names the wrong field.
pub fn json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    std::str::from_utf8(bytes)
        .map_err(|e| Error::Malformed(format!("the body is not UTF-8 (byte {} is wrong)", e.valid_up_to() + 1)))?;
    // serde would take an array too, its items for the fields in their order.
    if !bytes.trim_ascii_start().starts_with(b"{") {
        serde_json::from_slice::<serde::de::IgnoredAny>(bytes).map_err(|cause| not_json(&cause))?;
        return Err(Error::invalid("body", "expected an object"));
    }
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        let cause = error.into_inner();
        match cause.classify() {
            serde_json::error::Category::Data => Error::Invalid(vec![wrong_field(&path, &cause.to_string())]),
            _ => not_json(&cause),
        }
    })?;
    reader.end().map_err(|cause| not_json(&cause))?;
    Ok(value)
}

fn not_json(cause: &serde_json::Error) -> Error {
    Error::Malformed(format!("the body is not JSON: {cause}"))
}

fn form<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    let pairs = serde_urlencoded::Deserializer::new(form_urlencoded::parse(bytes));
    serde_path_to_error::deserialize(pairs).map_err(|error| {
        let path = error.path().to_string();
        Error::Invalid(vec![wrong_field(&path, &error.into_inner().to_string())])
    })
}

/// Characters of a field's name that are repeated to whoever made it up.
const MAX_FIELD_CHARS: usize = 100;

/// serde names the field in the path or, where it is missing, unknown or doubled, in its message.
fn wrong_field(path: &str, message: &str) -> FieldError {
    let message = message.rsplit_once(" at line ").map_or(message, |(message, _)| message);
    let named = ["missing field `", "unknown field `", "duplicate field `"]
        .iter()
        .find_map(|start| message.strip_prefix(start)?.split('`').next());
    let path = if path == "." { "" } else { path };
    let field = match named {
        Some(name) if path.is_empty() || path == name => name.to_owned(),
        Some(name) if path.ends_with(&format!(".{name}")) => path.to_owned(),
        Some(name) => format!("{path}.{name}"),
        None if path.is_empty() => "body".to_owned(),
        None => path.to_owned(),
    };
    // What serde says before this repeats the value, which may be a password and would end in the log.
    let detail = match (message.rsplit_once(", expected "), named) {
        (Some((_, expected)), None) => format!("expected {expected}"),
        (Some((_, expected)), Some(_)) => format!("unknown field, expected {expected}"),
        (None, Some(_)) if message.starts_with("missing") => "missing".to_owned(),
        (None, Some(_)) if message.starts_with("duplicate") => "given twice".to_owned(),
        (None, _) => message.to_owned(),
    };
    FieldError::new(field.chars().take(MAX_FIELD_CHARS).collect::<String>(), detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::clock::Time;

    fn request(path: &str, cookie: &'static str, headers: HeaderMap) -> Request {
        let head = Head {
            id: RequestId::new(Time::from_ms(1)),
            method: Method::GET,
            path: path.to_owned(),
            query: String::new(),
            headers,
            client: IpAddr::from([127, 0, 0, 1]),
            cookie,
        };
        Request { head: Arc::new(head), path: (), body: Box::pin(futures_util::stream::empty()) }
    }

    #[test]
    fn only_the_cookie_of_this_kind_of_site_counts_and_only_for_pages() {
        let (own, planted) = (Token::new().unwrap().reveal(), Token::new().unwrap().reveal());
        let mut headers = HeaderMap::new();
        let cookies = format!("ashlar={planted}; other=1; __Host-ashlar={own}");
        headers.insert(header::COOKIE, cookies.parse().unwrap());

        let secure = request("/", "__Host-ashlar", headers.clone()).token().unwrap();
        assert_eq!(secure.reveal(), own);
        assert!(request("/api/me", "__Host-ashlar", headers).token().is_err());
    }

    #[test]
    fn a_wrong_value_is_not_repeated() {
        #[derive(Debug, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Form {
            #[allow(dead_code, reason = "read by serde only")]
            password: String,
        }

        for (body, detail) in [
            (r#"{"password": 73519824660}"#, "password: expected a string"),
            (r#"{"password": null}"#, "password: expected a string"),
            (r#"{"pass": ""}"#, "pass: unknown field, expected `password`"),
            (r#"{"password": "a", "password": "b"}"#, "password: given twice"),
            (r#"{}"#, "password: missing"),
            (r#"["secret"]"#, "body: expected an object"),
        ] {
            assert_eq!(json::<Form>(body.as_bytes()).unwrap_err().to_string(), detail);
        }
    }
}
