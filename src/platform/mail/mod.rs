//! Mail: a row written with the change that asks for it, and a job that delivers it after the commit.
//!
//! A mail goes out at least once and bears one `Message-ID` for ever, so that a repeat is known as one. Without SMTP
//! settings it is kept, and shown in the outbox. What it says may hold a secret link: it is removed once the mail is sent,
//! or has expired, and shown only to whoever may look after the person.
//!
//! Owns `mails`.

mod api;
mod deliver;
mod look;
mod message;
mod settings;
mod smtp;
mod sqlite;

use std::sync::Arc;

use askama::Template;

pub use api::{MailPage, MailsApi, Shown, page, retry, routes, show};
pub use deliver::kinds;
pub use look::{Body, Mail, State, export, find, known_users, last_to, list};
pub use settings::{MailSettings, SecretUrl};

use super::clock::Time;
use super::db::{self, Snapshot, UnitOfWork};
use super::error::{Error, Result};
use super::ids::{Id, UserId};
use super::jobs::{self, Order, Payload};
use sqlite::MailRepository;

/// The key to this owner's tables; no one else can make one.
struct Owner(());

impl db::Owner for Owner {
    const PATH: &'static str = module_path!();
}

pub type MailId = Id<Mail>;

/// That there was a mail is kept for so long.
const KEPT_S: i64 = 90 * 24 * 60 * 60;
/// So many are swept at once, so that nobody waits for it.
const SWEEP: u32 = 2000;

/// To whom a mail goes.
#[derive(Debug, Clone)]
pub struct Recipient {
    pub person: UserId,
    pub address: String,
    pub name: String,
}

/// What a mail says, in both parts.
pub struct Content {
    pub subject: String,
    pub text: String,
    pub html: String,
}

impl Content {
    pub fn render(subject: impl Into<String>, text: &impl Template, html: &impl Template) -> Result<Content> {
        let failed = |e| Error::internal("rendering a mail", e);
        let (text, html) = (text.render().map_err(failed)?, html.render().map_err(failed)?);
        Ok(Content { subject: subject.into(), text, html })
    }
}

/// Delivers a mail.
#[derive(Debug, Clone, Copy, serde::Serialize, serde::Deserialize)]
struct Deliver {
    mail: uuid::Uuid,
}

impl Payload for Deliver {
    const KIND: &'static str = "mail.deliver";
}

/// Takes mail. Clones share it.
#[derive(Clone)]
pub struct Mailer {
    settings: Arc<MailSettings>,
}

impl Mailer {
    pub fn new(settings: MailSettings) -> Mailer {
        Mailer { settings: Arc::new(settings) }
    }

    /// Whether mail goes out at all; else it is kept.
    pub fn is_sending(&self) -> bool {
        self.settings.smtp.is_some()
    }

    /// Writes a mail, which goes out once this is committed. What it says holds until `expires_at`.
    pub fn send(&self, work: &UnitOfWork<'_>, to: &Recipient, content: &Content, expires_at: Time) -> Result<MailId> {
        let id: MailId = work.new_id();
        let job = if self.is_sending() { Some(enqueue(work, id, to.person)?) } else { None };
        let mail = Mail {
            id,
            person: to.person,
            address: to.address.clone(),
            name: to.name.clone(),
            subject: content.subject.clone(),
            message_id: format!("<{id}@{}>", self.settings.domain()),
            state: if job.is_some() { State::Waiting } else { State::Kept },
            why: None,
            is_refused: false,
            job,
            has_body: true,
            created_at: work.now(),
            ended_at: None,
            expires_at,
        };
        work.tables(Owner(())).insert(&mail, content)?;
        Ok(id)
    }

    /// Has a mail that failed, or was kept, delivered at once.
    ///
    /// # Errors
    /// [`Error::Conflict`] if it is on its way or sent, what it said is gone, or no mail goes out at all.
    pub fn send_again(&self, work: &UnitOfWork<'_>, id: MailId) -> Result<Mail> {
        let mail = find(work, id)?;
        let no = |why: &str| Err(Error::conflict("state", why));
        match mail.state {
            State::Sent => return no("this mail is sent"),
            _ if !self.is_sending() => {
                return no("this server sends no mail: set smtp_url and mail_from, and start it again");
            }
            _ if !mail.has_body => return no("what this mail said has expired and is gone: have a new one made"),
            State::Waiting => return no("this mail is on its way: its job can be run at once"),
            State::Failed | State::Kept => {}
        }
        // Its job may have been forgotten, discarded, or never made.
        let dead = mail.job.filter(|job| jobs::find(work, *job).is_ok_and(|job| job.state == jobs::State::Dead));
        let job = match dead {
            Some(job) => jobs::retry(work, job)?.id,
            None => enqueue(work, id, mail.person)?,
        };
        work.tables(Owner(())).wait_for(id, job)?;
        find(work, id)
    }
}

fn enqueue(work: &UnitOfWork<'_>, mail: MailId, person: UserId) -> Result<jobs::JobId> {
    let order = Order { priority: jobs::Priority::Urgent, person: Some(person), ..Order::default() };
    jobs::enqueue_with(work, &Deliver { mail: mail.uuid() }, order)
}

/// Forgets what expired mails said, what was sent long ago, and that a mail waits whose job was discarded; returns how many.
pub fn sweep(work: &UnitOfWork<'_>) -> Result<usize> {
    let tables = work.tables(Owner(()));
    let mut swept = tables.forget_bodies(work.now(), SWEEP)?;
    for mail in tables.list_waiting(SWEEP)? {
        let mail = look::settled(work, mail)?;
        if let (State::Failed, Some(why)) = (mail.state, &mail.why) {
            swept += tables.fail(mail.id, why, false, work.now())?;
        }
    }
    let before = MailId::from_uuid(least_id(work.now().plus_seconds(-KEPT_S)));
    Ok(swept + tables.remove_before(before, SWEEP)?)
}

/// The least id that was made at `time`: ids sort by when they were made.
fn least_id(time: Time) -> uuid::Uuid {
    uuid::Builder::from_unix_timestamp_millis(time.as_ms().unsigned_abs(), &[0; 10]).into_uuid()
}

/// Takes all mail to a person away; what is on its way finds nothing to send.
pub fn erase(work: &UnitOfWork<'_>, person: UserId) -> Result<usize> {
    work.tables(Owner(())).delete_to(person)
}
