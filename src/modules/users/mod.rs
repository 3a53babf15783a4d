//! Users: who may sign in, and as what.
//!
//! Owns the table `users`. Uses no other module.

mod model;
mod repository;
mod sqlite;

use serde_json::Value;

pub use model::{Email, User};

use crate::platform::auth::{Directory, Role, Standing, State};
use crate::platform::db::{self, Snapshot, UnitOfWork};
use crate::platform::error::{Error, OrConflict, Result};
use crate::platform::ids::UserId;
use crate::platform::module::{Declaration, Module};
use crate::platform::text;
use repository::UserRepository;

/// What other code may ask of users.
#[derive(Clone)]
pub struct Users;

/// The key to this module's tables; no one else can make one.
struct Owner(());

impl db::Owner for Owner {
    const PATH: &'static str = module_path!();
}

impl Users {
    /// Adds a user; [`Error::Conflict`] if the address is taken.
    pub fn register(&self, work: &UnitOfWork<'_>, email: Email, role: Role) -> Result<User> {
        let user = User {
            id: work.new_id(),
            email,
            role,
            state: State::Active,
            email_verified_at: None,
            created_at: work.now(),
        };
        work.tables(Owner(())).insert(&user).or_conflict("email", "this address is taken")?;
        Ok(user)
    }

    /// One user; [`Error::NotFound`] if there is none.
    pub fn get(&self, snapshot: &Snapshot<'_>, id: UserId) -> Result<User> {
        snapshot.tables(Owner(())).find(id)?.ok_or(Error::NotFound("person"))
    }

    pub fn find_by_email(&self, snapshot: &Snapshot<'_>, email: &Email) -> Result<Option<User>> {
        snapshot.tables(Owner(())).find_by_key(&email.key())
    }

    /// Users behind `after`, by id.
    pub fn list(&self, snapshot: &Snapshot<'_>, after: Option<UserId>, limit: u32) -> Result<Vec<User>> {
        snapshot.tables(Owner(())).list(after, limit)
    }

    /// Ids behind `after`, by id, of users whose address begins with `q`, ignoring case and accents.
    pub fn search(&self, snapshot: &Snapshot<'_>, q: &str, after: Option<UserId>, limit: u32) -> Result<Vec<UserId>> {
        let prefix = text::fold(q);
        if prefix.is_empty() {
            return Ok(Vec::new());
        }
        snapshot.tables(Owner(())).search(&prefix, &text::after_prefix(&prefix), after, limit)
    }

    /// Changes what a user is and whether they may sign in; returns them before and after.
    ///
    /// # Errors
    /// [`Error::Conflict`] if that would leave no active owner.
    pub fn change(
        &self,
        work: &UnitOfWork<'_>,
        id: UserId,
        role: Option<Role>,
        state: Option<State>,
    ) -> Result<(User, User)> {
        let before = self.get(work, id)?;
        let after = User { role: role.unwrap_or(before.role), state: state.unwrap_or(before.state), ..before.clone() };
        if !after.is_active_owner() {
            self.keep_an_owner(work, &before)?;
        }
        work.tables(Owner(())).update(&after)?;
        Ok((before, after))
    }

    /// Notes that mail to a user's address reaches them; false if that was known.
    pub fn verify_email(&self, work: &UnitOfWork<'_>, id: UserId) -> Result<bool> {
        Ok(work.tables(Owner(())).verify_email(id, work.now())? == 1)
    }

    /// Whether there is an owner who can sign in.
    pub fn has_owner(&self, snapshot: &Snapshot<'_>) -> Result<bool> {
        Ok(snapshot.tables(Owner(())).count_active_owners()? > 0)
    }

    /// How many people there are.
    pub fn count(&self, snapshot: &Snapshot<'_>) -> Result<i64> {
        snapshot.tables(Owner(())).count()
    }

    /// All ids, for `ashlar doctor`.
    pub fn ids(&self, snapshot: &Snapshot<'_>) -> Result<Vec<UserId>> {
        snapshot.tables(Owner(())).list_ids()
    }

    /// Refuses to take the last active owner away.
    fn keep_an_owner(&self, work: &UnitOfWork<'_>, leaving: &User) -> Result<()> {
        if leaving.is_active_owner() && work.tables(Owner(())).count_active_owners()? == 1 {
            return Err(Error::conflict("role", "this is the last active owner: make someone else an owner first"));
        }
        Ok(())
    }
}

impl Directory for Users {
    fn standing(&self, snapshot: &Snapshot<'_>, user: UserId) -> Result<Option<Standing>> {
        snapshot.tables(Owner(())).find_standing(user)
    }

    fn find_by_email(&self, snapshot: &Snapshot<'_>, email: &str) -> Result<Option<(UserId, Standing)>> {
        // What is no address belongs to nobody.
        let Ok(email) = Email::parse(email) else { return Ok(None) };
        let user = snapshot.tables(Owner(())).find_by_key(&email.key())?;
        Ok(user.map(|user| (user.id, Standing { role: user.role, state: user.state })))
    }
}

impl Module for Users {
    fn declaration(&self) -> Declaration {
        Declaration { name: "users", purpose: "Who may sign in, and as what", uses: &[] }
    }

    fn export(&self, snapshot: &Snapshot<'_>, person: UserId) -> Result<Value> {
        let user = snapshot.tables(Owner(())).find(person)?;
        serde_json::to_value(user).map_err(|e| Error::internal("exporting a user", e))
    }

    /// Fails for the last active owner.
    fn erase(&self, work: &UnitOfWork<'_>, person: UserId) -> Result<()> {
        let user = self.get(work, person)?;
        self.keep_an_owner(work, &user)?;
        work.tables(Owner(())).delete(person)
    }
}
