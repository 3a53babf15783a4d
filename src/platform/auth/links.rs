//! One-time links: to set the unit up, and to set a password.

use super::Token;
use crate::platform::clock::Time;
use crate::platform::ids::UserId;

/// A password link can be used for so long, in seconds: 72 hours, over a weekend.
const PASSWORD_LINK_S: i64 = 72 * 60 * 60;
/// A set-up link, printed at each start while there is no owner: 24 hours.
const SET_UP_LINK_S: i64 = 24 * 60 * 60;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    SetUp,
    Password,
}

impl Purpose {
    pub fn as_str(self) -> &'static str {
        match self {
            Purpose::SetUp => "set-up",
            Purpose::Password => "password",
        }
    }
}

#[derive(Debug, Clone)]
pub struct Link {
    pub(super) token: Token,
    pub(super) purpose: Purpose,
    pub(super) user: Option<UserId>,
    pub expires_at: Time,
}

impl Link {
    pub(super) fn new(token: Token, purpose: Purpose, user: Option<UserId>, now: Time) -> Self {
        let seconds = match purpose {
            Purpose::SetUp => SET_UP_LINK_S,
            Purpose::Password => PASSWORD_LINK_S,
        };
        Link { token, purpose, user, expires_at: now.plus_seconds(seconds) }
    }

    /// The page behind the link, without the origin.
    pub fn path(&self) -> String {
        match self.purpose {
            Purpose::SetUp => format!("/set-up/{}", self.token.reveal()),
            Purpose::Password => format!("/password/{}", self.token.reveal()),
        }
    }
}
