//! What went wrong with a bucket, for people: what, where, what to do.

use std::io::{self, ErrorKind};
use std::time::Duration;

use object_store::client::{HttpError, HttpErrorKind};

/// A bucket, as messages name it; without secrets.
pub struct Named {
    /// `s3://bucket/prefix`
    pub shown: String,
    pub bucket: String,
    pub endpoint: String,
}

impl Named {
    pub fn too_slow(&self, limit: Duration) -> io::Error {
        self.error(ErrorKind::TimedOut, &format!("{} gave no answer within {} s", self.endpoint, limit.as_secs()))
    }

    pub fn failed(&self, error: &object_store::Error) -> io::Error {
        let text = error.to_string();
        let (status, code) = (status(error), code(&text));
        let (kind, what) = match (status, code) {
            (Some(status), code) => self.answered(status, code),
            (None, _) => self.unanswered(error),
        };
        self.error(kind, &what)
    }

    fn error(&self, kind: ErrorKind, what: &str) -> io::Error {
        io::Error::new(kind, format!("{}: {what}", self.shown))
    }

    /// `code` is the name that S3 gives to what is wrong; empty where there is none.
    fn answered(&self, status: u16, code: &str) -> (ErrorKind, String) {
        let (endpoint, bucket) = (&self.endpoint, &self.bucket);
        match (status, code) {
            (_, "InvalidAccessKeyId") => {
                denied("the access key is not known there: check AWS_ACCESS_KEY_ID".to_owned())
            }
            (_, "SignatureDoesNotMatch") => {
                denied("the secret does not belong to the access key: check AWS_SECRET_ACCESS_KEY".to_owned())
            }
            (_, "ExpiredToken" | "InvalidToken" | "TokenRefreshRequired") => {
                denied(format!("the session has ended ({code}): set a new AWS_SESSION_TOKEN"))
            }
            (_, "RequestTimeTooSkewed") => denied("the clock of this machine is wrong: set it".to_owned()),
            // Its own kind: what is missing is not a file.
            (_, "NoSuchBucket") => (
                ErrorKind::InvalidInput,
                format!("there is no bucket `{bucket}` at {endpoint}: make it, or correct the address that names it"),
            ),
            (_, "PermanentRedirect" | "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException")
            | (301 | 307, _) => {
                (ErrorKind::InvalidInput, format!("the bucket is in another region ({status}): set AWS_REGION to it"))
            }
            (507, _) | (_, "QuotaExceeded" | "XMinioStorageFull" | "InsufficientStorage") => {
                (ErrorKind::StorageFull, format!("it is full ({status} {code}): make room there"))
            }
            (404, "NoSuchKey") => (ErrorKind::NotFound, "there is no such object".to_owned()),
            (404, "NoSuchUpload") => (ErrorKind::NotFound, "this upload has ended".to_owned()),
            (409 | 412, _) => (ErrorKind::AlreadyExists, "there is such an object already".to_owned()),
            (501, _) => (ErrorKind::Unsupported, format!("{endpoint} can't do this (501 {code})")),
            (401 | 403, _) => denied(format!(
                "access is denied ({status} {code}): the access key must be allowed s3:ListBucket, s3:GetObject, \
                 s3:PutObject, s3:DeleteObject and s3:AbortMultipartUpload there"
            )),
            (429 | 503, _) => {
                (ErrorKind::ResourceBusy, format!("{endpoint} is busy ({status} {code}); it is tried again"))
            }
            (404, _) => (
                ErrorKind::InvalidInput,
                format!("{endpoint} answers 404 and not as S3 does: check AWS_ENDPOINT_URL and the bucket's name"),
            ),
            _ => (ErrorKind::Other, format!("{endpoint} answers {status} {code}").trim_end().to_owned()),
        }
    }

    fn unanswered(&self, error: &object_store::Error) -> (ErrorKind, String) {
        let endpoint = &self.endpoint;
        let root = root(error);
        let mut kind = ErrorKind::Other;
        let mut next: Option<&dyn std::error::Error> = Some(error);
        while let Some(cause) = next {
            next = cause.source();
            if let Some(http) = cause.downcast_ref::<HttpError>() {
                kind = match http.kind() {
                    HttpErrorKind::Timeout => ErrorKind::TimedOut,
                    HttpErrorKind::Connect => ErrorKind::NotConnected,
                    HttpErrorKind::Request | HttpErrorKind::Interrupted => ErrorKind::ConnectionAborted,
                    _ => ErrorKind::Other,
                };
            }
            if let Some(io) = cause.downcast_ref::<io::Error>()
                && io.kind() != ErrorKind::Other
            {
                kind = io.kind();
            }
        }
        match kind {
            ErrorKind::TimedOut => (kind, format!("{endpoint} can't be reached in time: check it and the network")),
            ErrorKind::ConnectionAborted => (kind, format!("{endpoint} broke off ({root})")),
            ErrorKind::Other => (kind, format!("{endpoint} gave no answer that can be used ({root})")),
            _ => (kind, format!("{endpoint} can't be reached ({root}): check AWS_ENDPOINT_URL and the network")),
        }
    }
}

fn denied(what: String) -> (ErrorKind, String) {
    (ErrorKind::PermissionDenied, what)
}

/// The HTTP status of an answer that was a refusal; the crate tells it in its text alone.
pub fn status(error: &object_store::Error) -> Option<u16> {
    let text = error.to_string();
    if text.contains("Received redirect without LOCATION") {
        return Some(301);
    }
    let (_, rest) = text.split_once("non-2xx status code: ")?;
    rest.get(..3)?.parse().ok()
}

/// What stands between `<Code>` and `</Code>`.
fn code(text: &str) -> &str {
    let code = text.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>")).map_or("", |(code, _)| code);
    let is_name = code.len() <= 60 && code.bytes().all(|b| b.is_ascii_alphanumeric());
    if is_name { code } else { "" }
}

/// The innermost cause, which is what a person can do something about.
fn root(error: &object_store::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
