//! Doctor: what must hold across modules, and mending what does not.
//!
//! A person is a user, a profile and a billing account; whatever lets someone in belongs to a user; the ledger balances, and
//! says what the invoices and accounts say. What is missing is
//! made; of what is too much only that is removed which nobody can miss: keys to a door that is gone, and what the
//! closing of an account should have taken with it. The rest is reported, for a person to decide.

use std::collections::BTreeSet;

use serde::Serialize;

use super::App;
use super::avatar;
use super::close_account::was_closed;
use crate::modules::profiles::DisplayName;
use crate::platform::actor::Actor;
use crate::platform::audit;
use crate::platform::db::{Snapshot, UnitOfWork};
use crate::platform::error::Result;
use crate::platform::ids::UserId;
use crate::platform::jobs;
use crate::platform::mail;
use crate::platform::module::Module;
use crate::platform::money::Currency;

/// One thing that does not hold.
#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    /// Whom it is about; nobody where the books are wrong.
    pub person: Option<UserId>,
    pub problem: String,
    /// What mends it, or what to do where a person must decide.
    pub remedy: &'static str,
    #[serde(skip)]
    mend: Option<Mend>,
}

impl Finding {
    /// Whether [`mend`] can mend it.
    pub fn is_mendable(&self) -> bool {
        self.mend.is_some()
    }
}

#[derive(Debug, Clone, Copy)]
enum Mend {
    CreateProfile,
    OpenAccount,
    ForgetSignIn,
    EraseProfile,
    EraseAccount,
    EraseMedia,
    DropJobs,
    DropMails,
    DropAvatar,
    Reindex,
}

/// Everything that does not hold in one state of the database, by person.
pub fn examine(app: &App, snapshot: &Snapshot<'_>) -> Result<Vec<Finding>> {
    let set = |ids: Vec<UserId>| ids.into_iter().collect::<BTreeSet<_>>();
    let users = set(app.users.ids(snapshot)?);
    let profiles = set(app.profiles.ids(snapshot)?);
    let accounts = set(app.billing.ids(snapshot)?);
    let known = set(app.platform.auth.known_users(snapshot)?);
    let mut findings = Vec::new();

    for &person in users.difference(&profiles) {
        let email = app.users.get(snapshot, person)?.email;
        findings.push(Finding {
            person: Some(person),
            problem: format!("user {person} ({email}) has no profile"),
            remedy: "creates one named after the address",
            mend: Some(Mend::CreateProfile),
        });
    }
    for &person in users.difference(&accounts) {
        let email = app.users.get(snapshot, person)?.email;
        findings.push(Finding {
            person: Some(person),
            problem: format!("user {person} ({email}) has no billing account"),
            remedy: "opens one in EUR",
            mend: Some(Mend::OpenAccount),
        });
    }
    for &person in profiles.difference(&users) {
        findings.push(orphan(snapshot, person, "profile", Mend::EraseProfile)?);
    }
    for &person in accounts.difference(&users) {
        findings.push(orphan(snapshot, person, "billing account", Mend::EraseAccount)?);
    }
    for &person in known.difference(&users) {
        findings.push(Finding {
            person: Some(person),
            problem: format!("a password, session or link is kept for the user {person}, who does not exist"),
            remedy: "removes what nobody can sign in with",
            mend: Some(Mend::ForgetSignIn),
        });
    }
    for &person in set(app.media.ids(snapshot)?).difference(&users) {
        findings.push(orphan(snapshot, person, "file", Mend::EraseMedia)?);
    }
    for &person in set(jobs::known_users(snapshot)?).difference(&users) {
        findings.push(Finding {
            person: Some(person),
            problem: format!("jobs are about the user {person}, who does not exist"),
            remedy: "removes what there is nobody for",
            mend: Some(Mend::DropJobs),
        });
    }
    for &person in set(mail::known_users(snapshot)?).difference(&users) {
        findings.push(Finding {
            person: Some(person),
            problem: format!("mails went to the user {person}, who does not exist"),
            remedy: "removes what there is nobody for",
            mend: Some(Mend::DropMails),
        });
    }
    for (person, avatar) in app.profiles.avatars(snapshot)? {
        let profile = app.profiles.of(snapshot, person)?;
        if avatar::item(app, snapshot, &profile)?.is_none() {
            findings.push(Finding {
                person: Some(person),
                problem: format!("the picture of {person} is the file {avatar}, which does not exist or is another's"),
                remedy: "does without",
                mend: Some(Mend::DropAvatar),
            });
        }
    }
    for person in app.profiles.mismatched(snapshot)? {
        findings.push(Finding {
            person: Some(person),
            problem: format!("the search words of the profile of {person} are not those of the name"),
            remedy: "makes them anew",
            mend: Some(Mend::Reindex),
        });
    }
    for problem in app.billing.ledger_faults(snapshot)? {
        findings.push(Finding {
            person: None,
            problem,
            remedy: "by hand: the books can't be wrong unless another program wrote to the file, so look into a backup",
            mend: None,
        });
    }
    findings.sort_by_key(|finding| finding.person);
    Ok(findings)
}

/// What is left of someone who is no user. Only the audit trail tells a closed account from a lost user.
fn orphan(snapshot: &Snapshot<'_>, person: UserId, what: &str, erase: Mend) -> Result<Finding> {
    let problem = format!("there is a {what} of the user {person}, who does not exist");
    Ok(match was_closed(snapshot, person)? {
        true => Finding {
            person: Some(person),
            problem,
            remedy: "removes it, since that account was closed",
            mend: Some(erase),
        },
        false => Finding {
            person: Some(person),
            problem,
            remedy: "by hand: nothing says that this account was closed, so look for the person in a backup",
            mend: None,
        },
    })
}

/// Mends what can be mended, each with an entry in the audit trail; returns what was.
pub fn mend(app: &App, by: Actor) -> Result<Vec<Finding>> {
    let it = app.clone();
    app.platform.database.write_blocking("doctor", by, move |work| {
        // Looked at again: others may have changed things since, and nothing can from here on.
        let mut findings = examine(&it, work)?;
        findings.retain(Finding::is_mendable);
        for finding in &findings {
            mend_one(&it, work, finding)?;
        }
        Ok(findings)
    })
}

fn mend_one(app: &App, work: &UnitOfWork<'_>, finding: &Finding) -> Result<()> {
    let Finding { person: Some(person), mend: Some(mend), .. } = *finding else { return Ok(()) };
    match mend {
        Mend::CreateProfile => {
            let email = app.users.get(work, person)?.email;
            let name = email.as_str().split('@').next().unwrap_or_default();
            app.profiles.create(work, person, DisplayName::parse(name)?)?;
        }
        Mend::OpenAccount => {
            let name = app.profiles.of(work, person)?.display_name;
            app.billing.open_account(work, person, Currency::EUR, name.as_str())?;
        }
        Mend::ForgetSignIn => app.platform.auth.erase(work, person)?,
        Mend::EraseProfile => app.profiles.erase(work, person)?,
        Mend::EraseAccount => app.billing.erase(work, person)?,
        Mend::EraseMedia => app.media.erase(work, person)?,
        Mend::DropJobs => drop(jobs::erase(work, person)?),
        Mend::DropMails => drop(mail::erase(work, person)?),
        Mend::DropAvatar => {
            if let Some(avatar) = app.profiles.of(work, person)?.avatar_id {
                app.profiles.drop_avatar(work, person, avatar)?;
            }
        }
        Mend::Reindex => app.profiles.reindex(work, person)?,
    }
    audit::record_person(work, "person.mended", person, Some(&finding.problem), Some(&finding.remedy))
}
