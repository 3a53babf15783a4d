//! `ashlar backup`.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::{people, print};
use crate::app;
use crate::modules::users::Users;
use crate::platform::backup;
use crate::platform::clock::Clock;
use crate::platform::db::Folder;
use crate::platform::error::Result;

/// Copies the whole unit to one file, also while the server runs.
///
/// The file is one fixed state: what is saved after the start is not in it. It is checked and written to the disk, and
/// only then bears its name; a file that is there already is never written over.
#[derive(Debug, clap::Args)]
pub struct Backup {
    /// The file to make; it must not exist yet
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

impl Backup {
    pub fn run(self, data: &Path) -> Result<()> {
        let folder = Folder::at(data)?;
        let (schema, _) = app::prove()?;
        let made = backup::make(&folder, &schema, &Clock::system(), &self.to, |snapshot| Users.count(snapshot))?;
        if self.json {
            return print(json!(made));
        }
        let (path, bytes, version) = (made.path.display(), made.bytes, made.schema_version);
        match made.people {
            Some(number) => print(format!("{path}: {bytes} bytes, schema {version}, {}", people(number))),
            None => print(format!("{path}: {bytes} bytes, schema {version} (this program's is {})", schema.version())),
        }
    }
}
