//! One-time links: to set the unit up, to set a password, and to prove that an address is one's own.

use super::Token;
use crate::platform::clock::Time;
use crate::platform::ids::UserId;

/// A password link can be used for so long, in seconds: 72 hours, over a weekend.
const PASSWORD_LINK_S: i64 = 72 * 60 * 60;
/// An invitation as long as that, and as long to prove an address.
const MAILED_LINK_S: i64 = PASSWORD_LINK_S;
/// Whoever has forgotten their password is at it now: 30 minutes.
const RESET_LINK_S: i64 = 30 * 60;
/// A set-up link, printed at each start while there is no owner: 24 hours.
const SET_UP_LINK_S: i64 = 24 * 60 * 60;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    SetUp,
    /// To set a password: made by hand, given to the person by whoever made it.
    Password,
    /// The same, mailed to someone who was added.
    Invitation,
    /// The same, mailed to someone who forgot theirs.
    Reset,
    /// Proves that mail to an address reaches the person.
    Address,
}

impl Purpose {
    /// By which a password can be set.
    pub const OF_PASSWORDS: [Purpose; 3] = [Purpose::Password, Purpose::Invitation, Purpose::Reset];

    /// Whether whoever uses such a link has read mail to the person's address.
    pub fn is_mailed(self) -> bool {
        matches!(self, Purpose::Invitation | Purpose::Reset | Purpose::Address)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Purpose::SetUp => "set-up",
            Purpose::Password => "password",
            Purpose::Invitation => "invitation",
            Purpose::Reset => "reset",
            Purpose::Address => "address",
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
            Purpose::Invitation | Purpose::Address => MAILED_LINK_S,
            Purpose::Reset => RESET_LINK_S,
        };
        Link { token, purpose, user, expires_at: now.plus_seconds(seconds) }
    }

    /// The page behind the link, without the origin.
    pub fn path(&self) -> String {
        match self.purpose {
            Purpose::SetUp => format!("/set-up/{}", self.token.reveal()),
            Purpose::Password | Purpose::Invitation | Purpose::Reset => format!("/password/{}", self.token.reveal()),
            Purpose::Address => format!("/address/{}", self.token.reveal()),
        }
    }
}
