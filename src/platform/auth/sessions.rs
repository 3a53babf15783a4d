//! Sessions of browsers and programs.

use serde::Serialize;

use super::Token;
use crate::platform::clock::Time;
use crate::platform::ids::{Id, UserId};

/// A browser's session lasts so long, in seconds: 30 days.
const SESSION_S: i64 = 30 * 24 * 60 * 60;
/// A token made on the command line lasts so long, in seconds: 365 days.
const TOKEN_S: i64 = 365 * 24 * 60 * 60;
/// Characters kept of what a browser calls itself.
const LABEL_CHARS: usize = 200;

pub type SessionId = Id<Session>;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// By signing in.
    Session,
    /// By `ashlar user token`.
    Token,
}

impl Kind {
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Session => "session",
            Kind::Token => "token",
        }
    }
}

/// One place where a person is signed in.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
#[schema(as = Session)]
pub struct Session {
    #[schema(value_type = String, format = Uuid)]
    pub id: SessionId,
    #[serde(skip)]
    pub user: UserId,
    pub kind: Kind,
    /// The browser or program, as it named itself.
    pub label: String,
    pub created_at: Time,
    pub expires_at: Time,
}

impl Session {
    pub(super) fn new(id: SessionId, user: UserId, kind: Kind, label: &str, now: Time) -> Self {
        let seconds = match kind {
            Kind::Session => SESSION_S,
            Kind::Token => TOKEN_S,
        };
        let label = label.chars().filter(|c| !c.is_control()).take(LABEL_CHARS).collect();
        Session { id, user, kind, label, created_at: now, expires_at: now.plus_seconds(seconds) }
    }
}

/// A session with its token, which is given out this once.
#[derive(Debug, Clone)]
pub struct NewSession {
    pub token: Token,
    pub session: Session,
}
