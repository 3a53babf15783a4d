//! The mails that use cases send, each written in the transaction of the change that asks for it.

use askama::Template;

use super::{App, Person};
use crate::platform::auth::{Link, Purpose};
use crate::platform::db::UnitOfWork;
use crate::platform::error::Result;
use crate::platform::mail::{Content, Recipient};

/// What a mail is about; each has a template of its own for either part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum About {
    Welcome,
    Address,
    Invitation,
    Reset,
}

impl About {
    fn subject(self) -> &'static str {
        match self {
            About::Welcome => "Welcome to Ashlar",
            About::Address => "Confirm your address",
            About::Invitation => "You are invited to Ashlar",
            About::Reset => "Set a new password",
        }
    }
}

/// The part for programs that show no HTML.
#[derive(Template)]
#[template(path = "use_cases/mails/templates/mail.txt", config = "src/askama.toml")]
struct Text<'a> {
    about: About,
    facts: &'a Facts<'a>,
}

#[derive(Template)]
#[template(path = "use_cases/mails/templates/mail.html", config = "src/askama.toml")]
struct Html<'a> {
    about: About,
    subject: &'static str,
    facts: &'a Facts<'a>,
}

struct Facts<'a> {
    name: &'a str,
    origin: &'a str,
    /// What the mail is for; it bears a secret.
    link: String,
    until: String,
}

impl App {
    /// Greets someone who has signed up, with a link that proves their address.
    pub(super) fn mail_welcome(&self, work: &UnitOfWork<'_>, person: &Person) -> Result<()> {
        let link = self.platform.auth.issue_link(work, Purpose::Address, Some(person.user.id))?;
        self.mail(work, About::Welcome, person, &link)
    }

    /// The link that proves an address once more; the one before is void.
    pub(super) fn mail_address_link(&self, work: &UnitOfWork<'_>, person: &Person) -> Result<()> {
        let link = self.platform.auth.issue_link(work, Purpose::Address, Some(person.user.id))?;
        self.mail(work, About::Address, person, &link)
    }

    /// Lets someone in whom staff have added: a link to set a password, for 72 hours.
    pub(super) fn mail_invitation(&self, work: &UnitOfWork<'_>, person: &Person) -> Result<()> {
        let link = self.platform.auth.issue_link(work, Purpose::Invitation, Some(person.user.id))?;
        self.mail(work, About::Invitation, person, &link)
    }

    /// A link to set a new password, for 30 minutes; the one before is void.
    pub(super) fn mail_reset(&self, work: &UnitOfWork<'_>, person: &Person) -> Result<()> {
        let link = self.platform.auth.issue_link(work, Purpose::Reset, Some(person.user.id))?;
        self.mail(work, About::Reset, person, &link)
    }

    /// Filling a template takes microseconds, so it may stand in a unit of work; only there is the link known.
    fn mail(&self, work: &UnitOfWork<'_>, about: About, person: &Person, link: &Link) -> Result<()> {
        let to = Recipient {
            person: person.user.id,
            address: person.user.email.to_string(),
            name: person.profile.display_name.to_string(),
        };
        let facts = Facts {
            name: &to.name,
            origin: &self.origin,
            link: format!("{}{}", self.origin, link.path()),
            until: link.expires_at.to_minute(),
        };
        let (text, html) = (Text { about, facts: &facts }, Html { about, subject: about.subject(), facts: &facts });
        let content = Content::render(about.subject(), &text, &html)?;
        self.platform.mailer.send(work, &to, &content, link.expires_at).map(drop)
    }
}
