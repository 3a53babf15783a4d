//! `ashlar restore`.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use serde_json::json;

use super::progress::Bar;
use super::{people, print, settings};
use crate::app;
use crate::platform::actor::Actor;
use crate::platform::backup::{Point, Source, Staged, Staging};
use crate::platform::clock::{Clock, Time};
use crate::platform::config::{ReplicaSettings, Settings};
use crate::platform::db::{Database, Folder, Role, Schema, Tuning};
use crate::platform::error::{Error, Result};
use crate::platform::replica::Mark;
use crate::use_cases::App;
use crate::use_cases::restored::{Back, Losses, Outlook, Present, outlook, restored};

/// People listed by name; more are counted.
const LISTED: usize = 20;

/// Bring a backup back; what it replaces is kept.
///
/// The server must be stopped. The backup is checked first and stays as it is; the database that was there is moved to
/// DIR/replaced. What will be lost is said before; on a terminal it asks. Everyone must sign in again, since a backup
/// would bring back sessions that have been ended since. A restore that is killed leaves the unit as it was, or restored.
#[derive(Debug, clap::Args)]
pub struct Restore {
    /// The backup: a file that `ashlar backup` made or a copy of the database of a stopped server; a folder, for its
    /// newest backup; the folder or the address (file://, s3://) of a replica
    #[arg(long, value_name = "FILE|DIR|URL")]
    from: PathBuf,
    /// Of a replica, the state at this time: 2026-11-24T10:00:00Z or, in UTC, "2026-11-24 10:00"
    #[arg(long, value_name = "TIME", conflicts_with = "txid")]
    at: Option<Time>,
    /// Of a replica, the state after this transaction: a number, or 16 hexadecimal digits as Litestream writes it
    #[arg(long, value_name = "N", value_parser = transaction)]
    txid: Option<u64>,
    /// The key of an encrypted backup; may be given more than once
    #[arg(long, value_name = "FILE")]
    identity: Vec<PathBuf>,
    /// Don't ask
    #[arg(long)]
    yes: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// Litestream writes 16 hexadecimal digits; no unit ever counts that far in decimal ones.
fn transaction(text: &str) -> Result<u64, String> {
    let number = if text.len() == 16 { u64::from_str_radix(text, 16).ok() } else { text.parse().ok() };
    number.filter(|number| *number > 0).ok_or_else(|| "write a number, or 16 hexadecimal digits".into())
}

impl Restore {
    pub fn run(self, data: &Path) -> Result<()> {
        let folder = Folder::at(data)?;
        let settings = settings(&folder)?;
        let (schema, _) = app::prove()?;
        let _lock = folder.lock()?;
        let clock = Clock::system();
        let until = self.at.map(Point::At).or(self.txid.map(Point::Transaction));
        let source = Source::find(&self.from, until, self.identity)?;
        let shown = source.shown();
        let staged = fill(&folder, &schema, &source)?;
        let open = |folder: &Folder, role| -> Result<App> {
            let database = Database::open(folder, schema.clone(), clock.clone(), role, Tuning::default())?;
            Ok(app::compose(database, &settings))
        };
        // An older schema is brought up to date here, before the unit is touched: it may fail.
        let (pending, state) = (staged.pending, staged.state);
        // What is told and written down names the state as well.
        let shown = state.map_or(shown.clone(), |state| format!("{shown}, TXID {} of {}", state.txid, state.timestamp));
        let backup = open(staged.folder(), Role::Server)?;
        let done = look(&backup, &folder, &open).and_then(|mut outlook| {
            outlook.last_epoch = outlook.last_epoch.max(epoch_of_replica(&settings, &backup));
            tell(&outlook, &shown, pending);
            confirm(self.yes)?;
            Ok((restored(&backup, Actor::command_line(), shown.clone(), &outlook)?, outlook))
        });
        backup.platform.database.close();
        drop(backup);
        let (done, outlook) = done?;
        let kept = staged.seal(&schema)?.put_in_place(&folder, &clock.now().to_compact())?;

        let database = folder.database();
        if self.json {
            return print(json!({
                "database": database, "from": shown, "state": state, "replaced": kept, "restored": done, "outlook": outlook,
            }));
        }
        print(format!("{} is now {shown}: {}; everyone must sign in again", database.display(), people(done.people)))?;
        match kept {
            Some(kept) => print(format!("what was there before is in {}", kept.display())),
            None => Ok(()),
        }
    }
}

/// Fetches and checks the backup, telling a terminal how far it is.
fn fill(folder: &Folder, schema: &Schema, source: &Source) -> Result<Staged> {
    let bar = Bar::default();
    let filled = Staging::make(folder)?.fill(folder, schema, source, &mut |done, total| bar.fetched(done, total));
    bar.clear();
    filled
}

/// The restored unit must go on beyond what its replica has seen of it.
fn epoch_of_replica(settings: &Settings, backup: &App) -> i64 {
    let ReplicaSettings::Ours { url, .. } = &settings.replica else { return 0 };
    let found = Mark::epoch_at(url, backup.platform.database.unit().id);
    if found.as_ref().is_ok_and(|epoch| *epoch > 0) {
        eprintln!("{url} goes on with what is restored; any other server of this unit loses its replica by that");
    }
    found.unwrap_or_else(|error| {
        eprintln!(
            "the replica can't be looked at ({error}); should it be refused later, `ashlar replica take-over` helps"
        );
        0
    })
}

/// Holds the backup against what is in the folder now.
fn look(backup: &App, folder: &Folder, open: &impl Fn(&Folder, Role) -> Result<App>) -> Result<Outlook> {
    if !folder.database().exists() {
        return outlook(backup, Ok(None));
    }
    match open(folder, Role::Beside) {
        Ok(present) => {
            let found = outlook(backup, Ok(Some(&present)));
            present.platform.database.close();
            found
        }
        Err(error) => outlook(backup, Err(error)),
    }
}

/// Says on standard error what is about to happen.
fn tell(outlook: &Outlook, from: &str, pending: usize) {
    let last = outlook.last_change.map_or(String::new(), |time| format!(", last changed {}", time.to_minute()));
    eprintln!("{from}: {}{last}", people(outlook.people));
    if pending > 0 {
        eprintln!("it has an older schema, which is brought up to date ({pending} migrations)");
    }
    match &outlook.present {
        Present::Nothing => {}
        Present::Unreadable(why) => {
            eprintln!("what will be lost is not known, since the present database can't be read: {why}");
        }
        Present::Other { people: number } => eprintln!(
            "ATTENTION: this is a backup of another unit. The unit in this folder, with {}, is replaced by it",
            people(*number)
        ),
        Present::Later(losses) => tell_losses(losses),
    }
    eprintln!("everyone is signed out, tokens and links end, and passwords are again those of then");
    eprintln!("mail is held until an owner sends or discards it, under Jobs: it may have gone out already");
}

fn tell_losses(losses: &Losses) {
    let number = losses.changes;
    eprintln!("will be lost: {} since then", if number == 1 { "1 change".into() } else { format!("{number} changes") });
    if losses.joined > 0 {
        eprintln!("will be gone: {} who joined since then", people(losses.joined));
    }
    if losses.unknown > 0 {
        eprintln!(
            "will be back: {} whom this unit does not know; it was restored to before they joined",
            people(losses.unknown)
        );
    }
    tell_back("will be back, although their account was closed since then", &losses.closed);
    tell_back("will be allowed more again, although disabled or given a lesser role since then", &losses.demoted);
}

fn tell_back(what: &str, back: &[Back]) {
    if back.is_empty() {
        return;
    }
    eprintln!("{what}:");
    for Back { email, display_name, .. } in back.iter().take(LISTED) {
        eprintln!("  {email}  {display_name}");
    }
    if back.len() > LISTED {
        eprintln!("  and {} more; `--json` names all of them", back.len() - LISTED);
    }
}

/// Asks whoever sits at a terminal; a script has decided already.
fn confirm(yes: bool) -> Result<()> {
    if yes || !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return Ok(());
    }
    eprint!("Restore it? [y/N] ");
    // Nobody sees the question otherwise, and then the answer would be no.
    std::io::stderr().flush().ok();
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).map_err(|e| Error::internal("reading the answer", e))?;
    match answer.trim().to_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Error::Internal("nothing was changed".into())),
    }
}
