//! Restored: what a backup brings back is the past, and nobody may go on in it as if it were not.

use std::iter::Peekable;

use serde::Serialize;
use serde_json::json;

use super::App;
use super::close_account::was_closed;
use crate::modules::users::User;
use crate::platform::actor::Actor;
use crate::platform::audit::{self, Change};
use crate::platform::auth::{Role, State};
use crate::platform::clock::Time;
use crate::platform::db::{self, Snapshot};
use crate::platform::error::{Error, Result};
use crate::platform::ids::UserId;
use crate::platform::jobs;

/// How many users are read at once.
const PAGE: u32 = 500;

/// What a backup would bring back, and what would be lost for it.
#[derive(Debug, Clone, Serialize)]
pub struct Outlook {
    pub people: i64,
    /// When the backup's unit was changed last, before it was made; none where nothing ever was.
    pub last_change: Option<Time>,
    /// The epoch of the present unit, where it is the same: a restore must go beyond it, or two states of the unit would
    /// look like one to its replica. 0 where nothing is known.
    #[serde(skip)]
    pub last_epoch: i64,
    pub present: Present,
}

/// What is known of the unit whose place the backup would take.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Present {
    /// There is none.
    Nothing,
    /// It can't be read: why.
    Unreadable(String),
    /// It is another unit, with so many people; comparing the two would mean nothing.
    Other { people: i64 },
    /// It is the backup's own unit, further on.
    Later(Losses),
}

/// What has become of a unit since a backup of it.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Losses {
    /// Who closed their account, or had it closed, and would be back.
    pub closed: Vec<Back>,
    /// How many the present unit never knew: it was itself restored to before they joined. They would be back as well.
    pub unknown: i64,
    /// Who was disabled or given a lesser role, and would be allowed more again.
    pub demoted: Vec<Back>,
    /// How many people joined, and would be gone.
    pub joined: i64,
    /// How many changes the audit trail holds, and would lose.
    pub changes: i64,
}

/// Someone who would be back as they were.
#[derive(Debug, Clone, Serialize)]
pub struct Back {
    pub id: UserId,
    pub email: String,
    pub display_name: String,
}

#[derive(Debug, Serialize)]
pub struct Restored {
    pub people: i64,
    /// How often this unit was restored, counting from 1 for never.
    pub epoch: i64,
    /// Sessions, tokens and links that were ended: one that was ended since the backup would be valid again.
    pub ended: usize,
}

/// Holds the unit `backup` against the present one, as far as that can be read.
pub fn outlook(backup: &App, present: Result<Option<&App>>) -> Result<Outlook> {
    backup.platform.database.read_blocking("outlook", |then| {
        let last = audit::list(then, None, None, 1)?.pop();
        let mut last_epoch = 0;
        let present = match present {
            Ok(None) => Present::Nothing,
            Ok(Some(present)) if is_same_unit(backup, present) => {
                let losses = present.platform.database.read_blocking("outlook", |now| {
                    last_epoch = db::epoch(now)?;
                    let changes = audit::count(now, last.as_ref().map(|entry| entry.id))?;
                    Ok(Losses { changes, ..compare(backup, then, present, now)? })
                });
                losses.map_or_else(|error| Present::Unreadable(error.to_string()), Present::Later)
            }
            Ok(Some(other)) => {
                let people = other.platform.database.read_blocking("outlook", |now| other.users.count(now));
                people.map_or_else(|e| Present::Unreadable(e.to_string()), |people| Present::Other { people })
            }
            Err(error) => Present::Unreadable(error.to_string()),
        };
        Ok(Outlook { people: backup.users.count(then)?, last_change: last.map(|entry| entry.at), last_epoch, present })
    })
}

fn is_same_unit(one: &App, other: &App) -> bool {
    one.platform.database.unit().id == other.platform.database.unit().id
}

/// Goes through the people of both, who are in order of id.
fn compare(backup: &App, then: &Snapshot<'_>, present: &App, now: &Snapshot<'_>) -> Result<Losses> {
    let back = |user: User| -> Result<Back> {
        let display_name = match backup.profiles.of(then, user.id) {
            Ok(profile) => profile.display_name.to_string(),
            Err(Error::NotFound(_)) => String::new(),
            Err(error) => return Err(error),
        };
        Ok(Back { id: user.id, email: user.email.to_string(), display_name })
    };
    let mut losses = Losses::default();
    let mut later = everyone(present, now).peekable();
    for earlier in everyone(backup, then) {
        let earlier = earlier?;
        losses.joined += skip_before(&mut later, earlier.id)?;
        match later.next_if(|user| user.as_ref().is_ok_and(|user| user.id == earlier.id)).transpose()? {
            None if was_closed(now, earlier.id)? => losses.closed.push(back(earlier)?),
            None => losses.unknown += 1,
            Some(user) if may(&user) < may(&earlier) => losses.demoted.push(back(earlier)?),
            Some(_) => {}
        }
    }
    for user in later {
        user?;
        losses.joined += 1;
    }
    Ok(losses)
}

/// Skips those whose id is less, and counts them.
fn skip_before(users: &mut Peekable<impl Iterator<Item = Result<User>>>, id: UserId) -> Result<i64> {
    let mut skipped = 0;
    while let Some(user) = users.next_if(|user| user.as_ref().map_or(true, |user| user.id < id)) {
        user?;
        skipped += 1;
    }
    Ok(skipped)
}

/// The more someone may do, the greater.
fn may(user: &User) -> u8 {
    match (user.state, user.role) {
        (State::Disabled, _) => 0,
        (State::Active, Role::Member) => 1,
        (State::Active, Role::Staff) => 2,
        (State::Active, Role::Owner) => 3,
    }
}

/// All users by id, some at a time.
fn everyone<'a>(app: &'a App, snapshot: &'a Snapshot<'_>) -> impl Iterator<Item = Result<User>> + 'a {
    let (mut after, mut ended) = (None, false);
    let pages = std::iter::from_fn(move || {
        if ended {
            return None;
        }
        let page = app.users.list(snapshot, after, PAGE);
        after = page.as_ref().ok().and_then(|users| users.last()).map(|user| user.id);
        ended = page.as_ref().map_or(true, |users| users.len() < PAGE as usize);
        Some(page)
    });
    pages.flat_map(|page| match page {
        Ok(users) => users.into_iter().map(Ok).collect(),
        Err(error) => vec![Err(error)],
    })
}

/// Begins a new epoch, signs everyone out and holds what would go out of the house, in the copy of a backup that is about to be put in place. The audit trail
/// keeps where it came `from`, and who is back in it.
pub fn restored(app: &App, by: Actor, from: String, outlook: &Outlook) -> Result<Restored> {
    let (it, outlook) = (app.clone(), outlook.clone());
    app.platform.database.write_blocking("restored", by, move |work| {
        let ended = it.platform.auth.end_all(work)?;
        jobs::restored(work)?;
        let restored =
            Restored { people: it.users.count(work)?, epoch: db::raise_epoch(work, outlook.last_epoch)?, ended };
        let mut after = json!({ "from": from, "epoch": restored.epoch, "last_change": outlook.last_change });
        if let Present::Later(losses) = &outlook.present {
            // By id alone: what names a person is erased with them, and this entry is about the unit.
            let ids = |people: &[Back]| people.iter().map(|back| back.id).collect::<Vec<_>>();
            after["changes_lost"] = losses.changes.into();
            after["joined_since"] = losses.joined.into();
            after["closed_since"] = json!(ids(&losses.closed));
            after["demoted_since"] = json!(ids(&losses.demoted));
        }
        record_of_unit(&it, work, "unit.restored", &after)?;
        Ok(restored)
    })
}

/// Writes down something that concerns the unit as a whole.
pub(super) fn record_of_unit(
    app: &App,
    work: &db::UnitOfWork<'_>,
    action: &'static str,
    after: &serde_json::Value,
) -> Result<()> {
    let subject = app.platform.database.unit().id;
    audit::record(work, Change { action, subject, person: None, before: None, after: Some(after) })
}
