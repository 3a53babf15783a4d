//! The audit trail.

use std::collections::HashMap;

use askama::Template;
use serde::Deserialize;
use warp::reply::Response;

use super::changes::{Changed, changes};
use super::{App, page_path, read};
use crate::modules::users::Email;
use crate::platform::audit::{self, AuditPage, Entry, SubjectId};
use crate::platform::clock::Time;
use crate::platform::db::Snapshot;
use crate::platform::error::{Error, Result};
use crate::platform::http::{Cursor, Refusal, Request, label_of};
use crate::platform::ids::UserId;

/// Entries on one page.
const PAGE: u32 = 50;

/// One entry, for people.
pub(super) struct Line {
    pub at: Time,
    pub who: Named,
    pub action: String,
    pub subject: Named,
    pub changes: Vec<Changed>,
}

impl Line {
    /// Whether there was nothing before.
    pub fn is_new(&self) -> bool {
        self.changes.iter().all(|changed| changed.before.is_none())
    }
}

/// A person as the trail names them: by name while they are there, else by id.
#[derive(Clone)]
pub(super) struct Named {
    pub name: String,
    /// Their page; none where there is no such person any more.
    pub href: Option<String>,
}

#[derive(Template)]
#[template(path = "use_cases/console/templates/audit.html", config = "src/askama.toml")]
struct Audit {
    lines: Vec<Line>,
    subject: String,
    /// The first page's address, on any other.
    first: Option<String>,
    next: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    #[serde(default)]
    subject: String,
    cursor: Option<Cursor<Entry>>,
}

/// `GET /audit`
pub(super) async fn list(app: App, request: Request) -> Result<Response> {
    let query = request.query();
    let (viewer, content) = read(&app, "audit_page", &request, move |app, snapshot, who| {
        who.must_be_staff()?;
        let ListQuery { subject, cursor } = query?;
        let subject = subject.trim().to_owned();
        let path = |cursor| page_path("/audit", "subject", &subject, cursor);
        let first = cursor.as_ref().map(|_| path(None));
        let AuditPage { items, next_cursor } = match meant(app, snapshot, &subject)? {
            Meant::Nobody => AuditPage::default(),
            Meant::All => audit::page(snapshot, None, cursor, PAGE)?,
            Meant::One(subject) => audit::page(snapshot, Some(subject), cursor, PAGE)?,
        };
        let next = next_cursor.map(|cursor| path(Some(cursor.text())));
        Ok(Audit { lines: lines(app, snapshot, items)?, first, next, subject })
    })
    .await?;
    app.platform.show(&request.head, &viewer, "Audit", &Refusal::default(), &content)
}

enum Meant {
    All,
    One(SubjectId),
    Nobody,
}

/// Whom the filter means: a record by its id, or a person by their address.
fn meant(app: &App, snapshot: &Snapshot<'_>, subject: &str) -> Result<Meant> {
    if subject.is_empty() {
        return Ok(Meant::All);
    }
    if let Ok(id) = SubjectId::parse(subject, "record") {
        return Ok(Meant::One(id));
    }
    let Ok(email) = Email::parse(subject) else { return Ok(Meant::Nobody) };
    let user = app.users.find_by_email(snapshot, &email)?;
    Ok(user.map_or(Meant::Nobody, |user| Meant::One(SubjectId::from_uuid(user.id.uuid()))))
}

/// Entries with the names of those they tell of; each name is looked up once.
pub(super) fn lines(app: &App, snapshot: &Snapshot<'_>, entries: Vec<Entry>) -> Result<Vec<Line>> {
    let mut known: HashMap<UserId, Named> = HashMap::new();
    let mut name_of = |id: UserId| -> Result<Named> {
        if let Some(named) = known.get(&id) {
            return Ok(named.clone());
        }
        let named = match app.profiles.of(snapshot, id) {
            Ok(profile) => Named { name: profile.display_name.to_string(), href: Some(format!("/people/{id}")) },
            Err(Error::NotFound(_)) => Named { name: id.to_string(), href: None },
            Err(error) => return Err(error),
        };
        known.insert(id, named.clone());
        Ok(named)
    };
    let mut lines = Vec::with_capacity(entries.len());
    for entry in entries {
        let who = match entry.actor {
            Some(id) => name_of(id)?,
            None => Named { name: label_of(&entry.via), href: None },
        };
        let subject = name_of(UserId::from_uuid(entry.subject.uuid()))?;
        let changes = changes(entry.before.as_ref(), entry.after.as_ref());
        lines.push(Line { at: entry.at, who, action: entry.action, subject, changes });
    }
    Ok(lines)
}
