//! `ashlar migrate`.

use std::path::Path;
use std::process::ExitCode;

use serde_json::json;

use super::print;
use crate::app;
use crate::platform::clock::Clock;
use crate::platform::db::{self, Folder};
use crate::platform::error::Result;

/// Brings the database to this program's schema, as `serve` does at its start.
///
/// Makes the database where there is none. Of one that is there a copy is kept in DIR/backups first; if a migration
/// fails, the database is as it was before.
#[derive(Debug, clap::Args)]
pub struct Migrate {
    /// Only print what would run; exit code 1 if anything would
    #[arg(long)]
    check: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

impl Migrate {
    pub fn run(self, data: &Path) -> Result<ExitCode> {
        let folder = Folder::at(data)?;
        let (schema, _) = app::prove()?;
        let (key, done, names) = if self.check {
            ("pending", "pending", db::pending_migrations(&folder, &schema)?)
        } else {
            let _lock = folder.lock()?;
            ("ran", "ran    ", db::migrate(&folder, &schema, &Clock::system())?)
        };
        if self.json {
            print(json!({ "schema_version": schema.version(), key: names }))?;
        } else {
            for name in &names {
                print(format!("{done}  {name}"))?;
            }
            if names.is_empty() {
                print(format!("nothing to do: {} has this program's schema", folder.database().display()))?;
            }
        }
        Ok(if self.check && !names.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}
