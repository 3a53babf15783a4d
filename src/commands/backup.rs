//! `ashlar backup`.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::progress::Bar;
use super::{outside, people, print, settings};
use crate::app;
use crate::platform::backup::{self, Order, Packing, Recipient, Unit};
use crate::platform::clock::Clock;
use crate::platform::db::Folder;
use crate::platform::error::Result;
use crate::use_cases::backups;

/// Copy the whole unit to one file, also while the server runs.
///
/// The file is one fixed state: what is saved after the start is not in it. It is checked and written to the disk, and
/// only then bears its name; a file that is there already is never written over. Its SHA-256 stands beside it.
#[derive(Debug, clap::Args)]
pub struct Backup {
    /// The file to make, or the folder in which it gets a name of its own [default: where backups are kept]
    #[arg(long, value_name = "FILE|FOLDER")]
    to: Option<PathBuf>,
    /// Compress it with zstd, also where the settings don't say so
    #[arg(long)]
    compress: bool,
    /// Encrypt it for this public key of `age-keygen`, instead of whom the settings name; can be given again
    #[arg(long = "recipient", value_name = "age1…")]
    recipients: Vec<Recipient>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

impl Backup {
    pub fn run(self, data: &Path) -> Result<()> {
        let folder = Folder::at(data)?;
        let settings = settings(&folder)?.backups;
        let (schema, _) = app::prove()?;
        let packing = Packing {
            compress: self.compress || settings.packing.compress,
            recipients: if self.recipients.is_empty() { settings.packing.recipients.clone() } else { self.recipients },
        };
        let to = match self.to {
            Some(to) => to,
            None => settings.folder_of(&folder)?,
        };
        let bar = Bar::default();
        let order = Order {
            to: &to,
            packing: &packing,
            count: backups::count,
            watch: &|progress| {
                bar.show(progress);
                Ok(())
            },
            examine: &|_, _| Ok(()),
        };
        let made = backup::make(Unit::Closed(&folder, &schema, &Clock::system()), &order);
        bar.clear();
        let made = made?;
        if self.json {
            return print(json!(made));
        }
        let (path, bytes, version) = (made.path.display(), made.bytes, made.schema_version);
        match made.people {
            Some(number) => print(format!("{path}: {bytes} bytes, schema {version}, {}", people(number))),
            None => print(format!("{path}: {bytes} bytes, schema {version} (this program's is {})", schema.version())),
        }?;
        for one in &made.outside {
            print(format!("  without  {}", outside(one)))?;
        }
        Ok(())
    }
}
