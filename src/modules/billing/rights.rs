//! Who may ask for what: members for what is theirs, staff for what is members', owners for all.

use std::collections::HashMap;

use super::Billing;
use crate::platform::Platform;
use crate::platform::auth::Principal;
use crate::platform::db::Snapshot;
use crate::platform::error::{Error, Result};
use crate::platform::ids::UserId;

/// What the routes of billing work with. Clones share it.
#[derive(Clone)]
pub(super) struct Room {
    pub platform: Platform,
    pub billing: Billing,
}

impl Room {
    /// Refuses whoever may not look after `user`; nothing is said of people to those who may look after none.
    pub fn must_manage(&self, snapshot: &Snapshot<'_>, who: &Principal, user: Result<UserId>) -> Result<UserId> {
        who.must_be_staff()?;
        let user = user?;
        match self.platform.auth.role(snapshot, user)? {
            Some(role) => who.must_manage(role).map(|()| user),
            // Who has left has books all the same, and staff look after those.
            None => self.billing.account_of(snapshot, user).map(|account| account.user_id),
        }
    }

    /// As [`Room::must_manage`], or oneself.
    pub fn must_be_or_manage(&self, snapshot: &Snapshot<'_>, who: &Principal, user: Result<UserId>) -> Result<UserId> {
        match user {
            Ok(user) if user == who.user => Ok(user),
            other => self.must_manage(snapshot, who, other),
        }
    }

    /// Refuses whoever may not see a `what` of `user`'s; to members, another's is none.
    pub fn must_see(&self, snapshot: &Snapshot<'_>, who: &Principal, user: UserId, what: &'static str) -> Result<()> {
        match user == who.user {
            true => Ok(()),
            false if !who.is_staff() => Err(Error::NotFound(what)),
            false => self.must_manage(snapshot, who, Ok(user)).map(drop),
        }
    }

    /// Whose things a list has: the named person's, everybody's, or a member's own.
    pub fn whose(&self, snapshot: &Snapshot<'_>, who: &Principal, named: Option<String>) -> Result<Option<UserId>> {
        match named {
            Some(id) => self.must_be_or_manage(snapshot, who, UserId::parse(&id, "billing account")).map(Some),
            None => Ok((!who.is_staff()).then_some(who.user)),
        }
    }
}

/// Whose things `who` may see, in a list that has many people's.
pub(super) struct Sight<'a> {
    room: &'a Room,
    snapshot: &'a Snapshot<'a>,
    who: &'a Principal,
    known: HashMap<UserId, bool>,
}

impl<'a> Sight<'a> {
    pub fn new(room: &'a Room, snapshot: &'a Snapshot<'a>, who: &'a Principal) -> Self {
        Sight { room, snapshot, who, known: HashMap::new() }
    }

    pub fn reaches(&mut self, user: UserId) -> Result<bool> {
        if self.who.is_owner() || self.who.user == user {
            return Ok(true);
        }
        if let Some(known) = self.known.get(&user) {
            return Ok(*known);
        }
        let role = self.room.platform.auth.role(self.snapshot, user)?;
        let reaches = role.map_or(self.who.is_staff(), |role| self.who.must_manage(role).is_ok());
        self.known.insert(user, reaches);
        Ok(reaches)
    }
}
