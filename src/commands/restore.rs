//! `ashlar restore`.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::{people, print, settings};
use crate::app;
use crate::platform::actor::Actor;
use crate::platform::backup::Staged;
use crate::platform::clock::Clock;
use crate::platform::db::{Database, Folder, Role, Tuning};
use crate::platform::error::Result;
use crate::use_cases::restored::restored;

/// Brings a backup back; what it replaces is kept.
///
/// The server must be stopped. The file is checked first and stays as it is; the database that was there is moved to
/// DIR/replaced. Everyone must sign in again, since a backup would bring back sessions that have been ended since.
/// A restore that is killed leaves the unit as it was, or restored.
#[derive(Debug, clap::Args)]
pub struct Restore {
    /// The backup: a file that `ashlar backup` made, or a copy of the database of a stopped server
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

impl Restore {
    pub fn run(self, data: &Path) -> Result<()> {
        let folder = Folder::at(data)?;
        let settings = settings(&folder)?;
        let (schema, _) = app::prove()?;
        let _lock = folder.lock()?;
        let clock = Clock::system();
        let staged = Staged::from_file(&folder, &schema, &self.from)?;
        // An older schema is brought up to date here, before the unit is touched: it may fail.
        let database = Database::open(staged.folder(), schema.clone(), clock.clone(), Role::Server, Tuning::default())?;
        let app = app::compose(database, &settings);
        let done = restored(&app, Actor::command_line(), self.from.display().to_string());
        app.platform.database.close();
        drop(app);
        let done = done?;
        let kept = staged.put_in_place(&folder, &schema, &clock.now().to_compact())?;

        let database = folder.database();
        if self.json {
            return print(json!({ "database": database, "replaced": kept, "restored": done }));
        }
        let (database, from, people) = (database.display(), self.from.display(), people(done.people));
        print(format!("{database} is now {from}: {people}; everyone must sign in again"))?;
        match kept {
            Some(kept) => print(format!("what was there before is in {}", kept.display())),
            None => Ok(()),
        }
    }
}
