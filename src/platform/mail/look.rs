//! What there is to see of mails.

use super::*;

/// A mail, without what it says.
#[derive(Debug, Clone, serde::Serialize, utoipa::ToSchema)]
pub struct Mail {
    #[schema(value_type = String, format = Uuid)]
    pub id: MailId,
    #[schema(value_type = String, format = Uuid)]
    pub person: UserId,
    /// Where it goes: the person's address when it was written.
    #[schema(example = "ann@example.org")]
    pub address: String,
    pub name: String,
    pub subject: String,
    /// The same each time it is sent.
    pub message_id: String,
    pub state: State,
    /// Why it was not taken the last time.
    pub why: Option<String>,
    /// Whether the address itself was refused, for good.
    pub is_refused: bool,
    /// What delivers it, as far as that is remembered.
    #[schema(value_type = Option<String>, format = Uuid)]
    pub job: Option<jobs::JobId>,
    /// Whether what it says is still there: until it is sent, or has expired.
    pub has_body: bool,
    pub created_at: Time,
    /// When it was sent, or given up.
    pub ended_at: Option<Time>,
    pub expires_at: Time,
}

/// Where a mail is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = MailState)]
pub enum State {
    /// For its delivery, or another try.
    Waiting,
    /// The mail server took it.
    Sent,
    /// Refused, or given up.
    Failed,
    /// There are no SMTP settings: it is here to be read.
    Kept,
}

impl State {
    pub const ALL: [State; 4] = [State::Waiting, State::Sent, State::Failed, State::Kept];

    pub fn as_str(self) -> &'static str {
        match self {
            State::Waiting => "waiting",
            State::Sent => "sent",
            State::Failed => "failed",
            State::Kept => "kept",
        }
    }

    pub fn parse(text: &str) -> Option<State> {
        State::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// What a mail says.
#[derive(Debug, Clone, serde::Serialize, utoipa::ToSchema)]
#[schema(as = MailBody)]
pub struct Body {
    pub text: String,
    pub html: String,
}

/// One mail; [`Error::NotFound`] if there is none.
pub fn find(snapshot: &Snapshot<'_>, id: MailId) -> Result<Mail> {
    let mail = snapshot.tables(Owner(())).find(id)?.ok_or(Error::NotFound("mail"))?;
    settled(snapshot, mail)
}

/// What a mail says, while it is there. It may hold a secret link: ask first who may read it.
pub(super) fn body(snapshot: &Snapshot<'_>, id: MailId) -> Result<Option<Body>> {
    snapshot.tables(Owner(())).find_body(id)
}

/// Mails before `before`, newest first; in one state where it is given.
pub fn list(snapshot: &Snapshot<'_>, state: Option<State>, before: Option<MailId>, limit: u32) -> Result<Vec<Mail>> {
    let mails = snapshot.tables(Owner(())).list(state.map(State::as_str), before, limit)?;
    mails.into_iter().map(|mail| settled(snapshot, mail)).collect()
}

/// The last mail to a person.
pub fn last_to(snapshot: &Snapshot<'_>, person: UserId) -> Result<Option<Mail>> {
    let mail = snapshot.tables(Owner(())).list_to(person, 1)?.pop();
    mail.map(|mail| settled(snapshot, mail)).transpose()
}

/// A mail as its job left it: one that was discarded does not wait any more.
pub(super) fn settled(snapshot: &Snapshot<'_>, mail: Mail) -> Result<Mail> {
    let (State::Waiting, Some(job)) = (mail.state, mail.job) else { return Ok(mail) };
    let is_open = match jobs::find(snapshot, job) {
        Ok(job) => job.state != jobs::State::Discarded,
        Err(Error::NotFound(_)) => false,
        Err(error) => return Err(error),
    };
    let why = || Some("its job was discarded".to_owned());
    Ok(if is_open { mail } else { Mail { state: State::Failed, why: why(), ..mail } })
}

/// What is known of a person's mails; not what they say, since that may hold a secret.
pub fn export(snapshot: &Snapshot<'_>, person: UserId) -> Result<Vec<Mail>> {
    snapshot.tables(Owner(())).list_to(person, u32::MAX)
}

/// Everyone whom mail went to, for `ashlar doctor`.
pub fn known_users(snapshot: &Snapshot<'_>) -> Result<Vec<UserId>> {
    snapshot.tables(Owner(())).list_people()
}
