//! Who asks, and what they may do: staff act on members, owners on all.

use serde::Serialize;

use super::SessionId;
use crate::platform::actor::Actor;
use crate::platform::error::{Error, Result};
use crate::platform::ids::UserId;

/// What a person is to the company.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    Owner,
    Staff,
    Member,
}

/// Whether a person may sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Active,
    Disabled,
}

impl Role {
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Owner => "owner",
            Role::Staff => "staff",
            Role::Member => "member",
        }
    }
}

impl std::str::FromStr for Role {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "owner" => Ok(Role::Owner),
            "staff" => Ok(Role::Staff),
            "member" => Ok(Role::Member),
            _ => Err(Error::invalid("role", "one of owner, staff, member")),
        }
    }
}

impl State {
    pub fn as_str(self) -> &'static str {
        match self {
            State::Active => "active",
            State::Disabled => "disabled",
        }
    }
}

impl std::str::FromStr for State {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "active" => Ok(State::Active),
            "disabled" => Ok(State::Disabled),
            _ => Err(Error::invalid("state", "one of active, disabled")),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    pub role: Role,
    pub state: State,
}

/// Who asks for a change: for the audit trail, and as whom they were let in.
#[derive(Debug, Clone, Copy)]
pub struct Caller {
    pub by: Actor,
    pub who: Option<Principal>,
}

/// Nobody who is signed in: a stranger, the command line, the program itself.
impl From<Actor> for Caller {
    fn from(by: Actor) -> Self {
        Caller { by, who: None }
    }
}

/// Someone who is signed in.
#[derive(Debug, Clone, Copy)]
pub struct Principal {
    pub user: UserId,
    pub role: Role,
    pub session: SessionId,
}

impl Principal {
    pub fn is_staff(&self) -> bool {
        matches!(self.role, Role::Owner | Role::Staff)
    }

    pub fn is_owner(&self) -> bool {
        self.role == Role::Owner
    }

    pub fn must_be_staff(&self) -> Result<()> {
        if self.is_staff() { Ok(()) } else { Err(Error::Forbidden("only staff and owners may do this".into())) }
    }

    pub fn must_be_owner(&self) -> Result<()> {
        if self.is_owner() { Ok(()) } else { Err(Error::Forbidden("only owners may do this".into())) }
    }

    /// Staff on members, owners on all.
    pub fn must_manage(&self, role: Role) -> Result<()> {
        match self.role {
            Role::Owner => Ok(()),
            Role::Staff if role == Role::Member => Ok(()),
            Role::Staff => Err(Error::Forbidden("staff may look after members only: ask an owner".into())),
            Role::Member => self.must_be_staff(),
        }
    }

    /// Oneself, or as [`Principal::must_manage`].
    pub fn must_be_or_manage(&self, user: UserId, role: Role) -> Result<()> {
        if self.user == user { Ok(()) } else { self.must_manage(role) }
    }
}
