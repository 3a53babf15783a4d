//! Auth: passwords, sessions, one-time links, and who may do what.
//!
//! Owns `auth_passwords`, `auth_sessions` and `auth_links`. A person's role and state it asks of a [`Directory`],
//! in the request's own snapshot.

mod limits;
mod links;
mod passwords;
mod principal;
mod sessions;
mod sqlite;
mod token;

use std::sync::Arc;

pub use limits::{AttemptLimits, Attempts};
pub use links::{Link, Purpose};
pub use passwords::{HashedPassword, Password};
pub use principal::{Caller, Principal, Role, Standing, State};
pub use sessions::{Kind, NewSession, Session, SessionId};
pub use token::Token;

use super::db::{self, Snapshot, UnitOfWork};
use super::error::{Error, Result};
use super::ids::UserId;
use sqlite::AuthRepository;

/// The key to this owner's tables; no one else can make one.
struct Owner(());

impl db::Owner for Owner {
    const PATH: &'static str = module_path!();
}

/// Knows people's roles and states. The module `users` implements it, `app.rs` wires it.
pub trait Directory: Send + Sync {
    fn standing(&self, snapshot: &Snapshot<'_>, user: UserId) -> Result<Option<Standing>>;
    fn find_by_email(&self, snapshot: &Snapshot<'_>, email: &str) -> Result<Option<(UserId, Standing)>>;
}

/// What other code may ask of auth. Clones share it.
#[derive(Clone)]
pub struct Auth {
    directory: Arc<dyn Directory>,
    hashing: passwords::HashingPool,
    attempts: Arc<Attempts>,
}

/// What a sign-in is checked against, read in one snapshot.
pub struct Candidate {
    user: Option<UserId>,
    hash: Option<String>,
}

impl Auth {
    pub fn new(directory: Arc<dyn Directory>, limits: AttemptLimits) -> Self {
        Auth { directory, hashing: passwords::HashingPool::new(), attempts: Arc::new(Attempts::new(limits)) }
    }

    /// Limits on how often strangers may try.
    pub fn attempts(&self) -> &Attempts {
        &self.attempts
    }

    /// Whether there is such a person, for whoever keeps something on them.
    pub fn knows(&self, snapshot: &Snapshot<'_>, user: UserId) -> Result<bool> {
        Ok(self.directory.standing(snapshot, user)?.is_some())
    }

    /// A person's role; none where there is no such person.
    pub fn role(&self, snapshot: &Snapshot<'_>, user: UserId) -> Result<Option<Role>> {
        Ok(self.directory.standing(snapshot, user)?.map(|standing| standing.role))
    }

    // Who asks

    /// Who bears this token; [`Error::Unauthenticated`] if nobody does, or nobody any more.
    pub fn principal(&self, snapshot: &Snapshot<'_>, token: &Token) -> Result<Principal> {
        let gone = Error::Unauthenticated("this session has ended: sign in again");
        let Some(session) = snapshot.tables(Owner(())).find_session(&token.hash(), snapshot.now())? else {
            return Err(gone);
        };
        match self.directory.standing(snapshot, session.user)? {
            Some(standing) if standing.state == State::Active => {
                Ok(Principal { user: session.user, role: standing.role, session: session.id })
            }
            _ => Err(gone),
        }
    }

    /// Refuses a change whose caller has been signed out, disabled or given another role since they were let in:
    /// between that and the change lie the body's arrival and the queue.
    pub fn must_still_be(&self, work: &UnitOfWork<'_>, caller: &Caller) -> Result<()> {
        let Some(who) = caller.who else { return Ok(()) };
        let gone = Error::Unauthenticated("this session has ended: sign in again");
        if !work.tables(Owner(())).has_session(who.user, who.session, work.now())? {
            return Err(gone);
        }
        match self.directory.standing(work, who.user)? {
            Some(standing) if standing.state != State::Active => Err(gone),
            Some(standing) if standing.role == who.role => Ok(()),
            Some(_) => Err(Error::Forbidden("your role has changed meanwhile: try again".into())),
            None => Err(gone),
        }
    }

    // Passwords

    /// Hashes a new password, off the threads that serve requests. Do it before the unit of work.
    pub async fn hash(&self, password: Password) -> Result<HashedPassword> {
        self.hashing.hash(password).await
    }

    /// As [`Auth::hash`], for threads that may wait.
    pub fn hash_blocking(&self, password: &Password) -> Result<HashedPassword> {
        passwords::hash(password)
    }

    /// Whom a sign-in with this address would have to be.
    pub fn candidate(&self, snapshot: &Snapshot<'_>, email: &str) -> Result<Candidate> {
        match self.directory.find_by_email(snapshot, email)? {
            Some((user, standing)) if standing.state == State::Active => self.candidate_user(snapshot, user),
            _ => Ok(Candidate { user: None, hash: None }),
        }
    }

    /// A person's own password, to be asked for again.
    pub fn candidate_user(&self, snapshot: &Snapshot<'_>, user: UserId) -> Result<Candidate> {
        let hash = snapshot.tables(Owner(())).find_password(user)?;
        Ok(Candidate { user: hash.is_some().then_some(user), hash })
    }

    /// Whether `password` is the candidate's; takes as long where there is no candidate.
    pub async fn verify(&self, candidate: &Candidate, password: Password) -> Result<Option<UserId>> {
        let right = self.hashing.verify(candidate.hash.clone(), password).await?;
        Ok(candidate.user.filter(|_| right))
    }

    /// Refuses to go on where the password that `candidate` was checked against is not theirs any more.
    pub fn must_still_have(&self, work: &UnitOfWork<'_>, candidate: &Candidate) -> Result<()> {
        match candidate.user {
            Some(user) if work.tables(Owner(())).find_password(user)? == candidate.hash => Ok(()),
            _ => Err(Error::Unauthenticated("the password was changed meanwhile: sign in with the new one")),
        }
    }

    /// Gives a person this password, in place of the one before.
    pub fn set_password(&self, work: &UnitOfWork<'_>, user: UserId, password: &HashedPassword) -> Result<()> {
        work.tables(Owner(())).put_password(user, password.as_str(), work.now())
    }

    /// As [`Auth::set_password`], but only while the password is still the one that `candidate` was checked against.
    pub fn change_password(&self, work: &UnitOfWork<'_>, candidate: &Candidate, new: &HashedPassword) -> Result<()> {
        let Some(user) = candidate.user else {
            return Err(Error::invalid("old", "you have no password yet: ask for a link to set one"));
        };
        if work.tables(Owner(())).find_password(user)? != candidate.hash {
            return Err(Error::conflict("old", "your password was changed meanwhile: try again with the new one"));
        }
        self.set_password(work, user, new)
    }

    pub fn has_password(&self, snapshot: &Snapshot<'_>, user: UserId) -> Result<bool> {
        Ok(snapshot.tables(Owner(())).find_password(user)?.is_some())
    }

    // Sessions

    /// Signs a person in; [`Error::Unauthenticated`] if they may not any more.
    pub fn start_session(&self, work: &UnitOfWork<'_>, user: UserId, kind: Kind, label: &str) -> Result<NewSession> {
        match self.directory.standing(work, user)? {
            Some(standing) if standing.state == State::Active => {}
            _ => return Err(Error::Unauthenticated("this account may not sign in")),
        }
        let token = Token::new()?;
        let session = Session::new(work.new_id(), user, kind, label, work.now());
        work.tables(Owner(())).insert_session(&token.hash(), &session)?;
        Ok(NewSession { token, session })
    }

    /// A person's sessions that have not ended, newest first.
    pub fn sessions(&self, snapshot: &Snapshot<'_>, user: UserId) -> Result<Vec<Session>> {
        snapshot.tables(Owner(())).list_sessions(user, snapshot.now())
    }

    /// Ends one session of a person; [`Error::NotFound`] if they have no such.
    pub fn end_session(&self, work: &UnitOfWork<'_>, user: UserId, id: SessionId) -> Result<()> {
        match work.tables(Owner(())).delete_session(user, id)? {
            0 => Err(Error::NotFound("session")),
            _ => Ok(()),
        }
    }

    /// Ends all sessions and tokens of a person, but for `except`; returns how many.
    pub fn end_sessions(&self, work: &UnitOfWork<'_>, user: UserId, except: Option<SessionId>) -> Result<usize> {
        work.tables(Owner(())).delete_sessions(user, except)
    }

    // One-time links

    /// Makes a link for `purpose`; earlier ones of the same purpose and person are void.
    pub fn issue_link(&self, work: &UnitOfWork<'_>, purpose: Purpose, user: Option<UserId>) -> Result<Link> {
        let tables = work.tables(Owner(()));
        tables.delete_links(purpose, user)?;
        let token = Token::new()?;
        let link = Link::new(token, purpose, user, work.now());
        tables.insert_link(&link, work.now())?;
        Ok(link)
    }

    /// Whom a link is for, if it can be used now. Looking does not use it up.
    pub fn find_link(&self, snapshot: &Snapshot<'_>, purpose: Purpose, token: &Token) -> Result<Option<UserId>> {
        snapshot
            .tables(Owner(()))
            .find_link(purpose, &token.hash(), snapshot.now())?
            .ok_or(Error::NotFound("link, or it has been used or has expired: ask for a new one"))
    }

    /// Uses a link up and returns whom it is for.
    pub fn redeem_link(&self, work: &UnitOfWork<'_>, purpose: Purpose, token: &Token) -> Result<Option<UserId>> {
        let user = self.find_link(work, purpose, token)?;
        work.tables(Owner(())).delete_link(&token.hash())?;
        Ok(user)
    }

    /// Whose password a link can set, and what kind of link it is. Looking does not use it up.
    pub fn find_password_link(&self, snapshot: &Snapshot<'_>, token: &Token) -> Result<(UserId, Purpose)> {
        for purpose in Purpose::OF_PASSWORDS {
            match self.find_link(snapshot, purpose, token) {
                Ok(Some(user)) => return Ok((user, purpose)),
                Ok(None) | Err(Error::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Err(Error::NotFound("link, or it has been used or has expired: ask for a new one"))
    }

    /// Makes every link void by which a person's password could be set.
    pub fn void_password_links(&self, work: &UnitOfWork<'_>, user: UserId) -> Result<()> {
        let tables = work.tables(Owner(()));
        Purpose::OF_PASSWORDS.into_iter().try_for_each(|purpose| tables.delete_links(purpose, Some(user)))
    }

    /// Ends everyone's sessions and tokens, and voids all links; returns how many.
    pub fn end_all(&self, work: &UnitOfWork<'_>) -> Result<usize> {
        work.tables(Owner(())).delete_all()
    }

    // Personal data

    /// What auth holds on a person: no secrets, only that they exist.
    pub fn export(&self, snapshot: &Snapshot<'_>, user: UserId) -> Result<serde_json::Value> {
        Ok(serde_json::json!({
            "has_password": self.has_password(snapshot, user)?,
            "sessions": self.sessions(snapshot, user)?,
        }))
    }

    /// Forgets a person: password, sessions and links.
    pub fn erase(&self, work: &UnitOfWork<'_>, user: UserId) -> Result<()> {
        let tables = work.tables(Owner(()));
        tables.delete_sessions(user, None)?;
        tables.delete_links_of(user)?;
        tables.delete_password(user)
    }

    /// Everyone that auth holds anything on, for `ashlar doctor`.
    pub fn known_users(&self, snapshot: &Snapshot<'_>) -> Result<Vec<UserId>> {
        snapshot.tables(Owner(())).list_users()
    }

    /// Forgets sessions and links that have ended; returns how many.
    pub fn sweep(&self, work: &UnitOfWork<'_>) -> Result<usize> {
        self.attempts.forget_old();
        work.tables(Owner(())).delete_expired(work.now())
    }
}
