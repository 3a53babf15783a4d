//! `ashlar user …`: looks after people from the command line, also while the server runs.

use std::io::Read;
use std::path::Path;

use clap::{Args, Subcommand};
use serde_json::json;

use super::{open, print};
use crate::modules::users::Email;
use crate::platform::actor::Actor;
use crate::platform::audit;
use crate::platform::auth::{Kind, Password, Role, State};
use crate::platform::error::{Error, Result};
use crate::platform::ids::UserId;
use crate::use_cases::App;
use crate::use_cases::add_person::{AddPerson, add_person_blocking};
use crate::use_cases::change_person::{ChangePerson, change_person};
use crate::use_cases::password_link::issue_link;

/// How many people are read at once.
const PAGE: u32 = 500;

#[derive(Debug, Args)]
pub struct User {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Add a person
    Create {
        /// The address they sign in with
        #[arg(long)]
        email: String,
        /// What they are called
        #[arg(long, value_name = "NAME")]
        display_name: String,
        /// owner, staff or member
        #[arg(long, default_value = "member")]
        role: Role,
        /// ISO 4217
        #[arg(long, default_value = "EUR")]
        currency: String,
        /// Read the password from standard input; without it the person sets one by a link (user password-link)
        #[arg(long)]
        password_stdin: bool,
        /// Print the person as JSON
        #[arg(long)]
        json: bool,
    },
    /// List everyone, by time of joining
    List {
        /// Print each person as JSON, one a line
        #[arg(long)]
        json: bool,
    },
    /// Keep a person from signing in, and sign them out everywhere
    Disable {
        /// Their address
        #[arg(long)]
        email: String,
    },
    /// Print a bearer token that acts as this person, valid for a year
    Token {
        /// Their address
        #[arg(long)]
        email: String,
    },
    /// Print a one-time link by which this person sets a password
    PasswordLink {
        /// Their address
        #[arg(long)]
        email: String,
    },
}

impl User {
    pub fn run(self, data: &Path) -> Result<()> {
        // Before the unit is opened: whoever types it may take their time.
        let password = match &self.action {
            Action::Create { password_stdin: true, .. } => Some(password_from_stdin()?),
            _ => None,
        };
        let unit = open(data, matches!(self.action, Action::Create { .. }))?;
        let app = &unit.app;
        match self.action {
            Action::Create { email, display_name, role, currency, password_stdin: _, json } => {
                let form = AddPerson { email, display_name, currency: Some(currency) };
                create(app, form, role, password, json)
            }
            Action::List { json } => list(app, json),
            Action::Disable { email } => {
                let id = find(app, &email)?;
                let change = ChangePerson { state: Some(State::Disabled), ..ChangePerson::default() };
                unit.block_on(change_person(app, Actor::command_line().into(), id, change, None))?;
                print(format!("{email} is disabled and signed out everywhere"))
            }
            Action::Token { email } => token(app, find(app, &email)?),
            Action::PasswordLink { email } => {
                let id = find(app, &email)?;
                let link = unit.block_on(issue_link(app, Actor::command_line().into(), None, id))?.fresh()?;
                print(link.url)
            }
        }
    }
}

fn create(app: &App, form: AddPerson, role: Role, password: Option<Password>, as_json: bool) -> Result<()> {
    let password = password.map(|password| app.platform.auth.hash_blocking(&password)).transpose()?;
    let person = add_person_blocking(app, Actor::command_line(), form, role, password)?;
    if as_json {
        return print(json!(person));
    }
    print(format!("{} {} ({})", person.user.id, person.user.email, role.as_str()))
}

fn list(app: &App, as_json: bool) -> Result<()> {
    let mut after: Option<UserId> = None;
    loop {
        let page = app.platform.database.read_blocking("user list", |snapshot| {
            let users = app.users.list(snapshot, after, PAGE)?;
            users.into_iter().map(|user| app.person(snapshot, user.id)).collect::<Result<Vec<_>>>()
        })?;
        for person in &page {
            if as_json {
                print(json!(person))?;
            } else {
                let user = &person.user;
                let (role, state) = (user.role.as_str(), user.state.as_str());
                let name = &person.profile.display_name;
                print(format!("{}  {role:<6}  {state:<8}  {}  {name}", user.id, user.email))?;
            }
        }
        match page.last() {
            Some(last) if page.len() == PAGE as usize => after = Some(last.user.id),
            _ => return Ok(()),
        }
    }
}

fn token(app: &App, id: UserId) -> Result<()> {
    let auth = app.platform.auth.clone();
    let made = app.platform.database.write_blocking("user token", Actor::command_line(), move |work| {
        let made = auth.start_session(work, id, Kind::Token, "ashlar user token")?;
        audit::record_person(work, "token.issued", id, None, Some(&made.session))?;
        Ok(made)
    })?;
    print(made.token.reveal())
}

fn find(app: &App, email: &str) -> Result<UserId> {
    let email = Email::parse(email)?;
    let user = app.platform.database.read_blocking("find", |snapshot| app.users.find_by_email(snapshot, &email))?;
    user.map(|user| user.id).ok_or_else(|| {
        Error::Internal(format!("nobody has the address {email}; `ashlar user list` shows who there is"))
    })
}

/// All of standard input, without the end of its last line.
fn password_from_stdin() -> Result<Password> {
    let mut text = String::new();
    std::io::stdin()
        .take(4096)
        .read_to_string(&mut text)
        .map_err(|e| Error::internal("reading the password from standard input", e))?;
    Password::new(text.trim_end_matches(['\r', '\n']).to_owned(), "password")
}
