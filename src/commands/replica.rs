//! `ashlar replica`.

use std::path::Path;

use clap::Subcommand;
use serde_json::{Value, json};

use super::{open, print, settings};
use crate::platform::actor::Actor;
use crate::platform::audit::{self, Change};
use crate::platform::config::ReplicaSettings;
use crate::platform::db::{self, Folder};
use crate::platform::error::{Error, Result};
use crate::platform::replica::{self, Listing, LtxFile, Mark};

/// Look at the place where every change is copied to, or take it over.
#[derive(Debug, clap::Args)]
pub struct Replica {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Say what lies in a replica and whose it is; also while the server runs
    Status {
        /// Where it is [default: the setting `replica`]
        #[arg(value_name = "URL")]
        url: Option<String>,
        /// Print the result as JSON
        #[arg(long)]
        json: bool,
    },
    /// Let this unit write to the replica of a copy of it that is gone for good
    ///
    /// The server must be stopped. Should the other copy be started again, it is refused from then on.
    TakeOver,
}

impl Replica {
    pub fn run(self, data: &Path) -> Result<()> {
        match self.command {
            Command::Status { url, json } => status(data, url, json),
            Command::TakeOver => take_over(data),
        }
    }
}

fn status(data: &Path, url: Option<String>, as_json: bool) -> Result<()> {
    let url = url.map_or_else(|| configured(data), Ok)?;
    let place = replica::at(&url)?;
    let failed = |e| Error::internal(&format!("reading {}", place.shown()), e);
    let (listing, mark) = (Listing::read(&*place).map_err(failed)?, Mark::read(&*place).map_err(failed)?);
    let state = |file: Option<&LtxFile>| match file {
        Some(file) => json!({ "txid": file.name.max, "taken_at": file.timestamp }),
        None => Value::Null,
    };
    let levels = (0..=replica::SNAPSHOTS).filter_map(|level| {
        let (files, bytes) = listing.level(level).fold((0, 0), |(files, bytes), one| (files + 1, bytes + one.bytes));
        (files > 0).then_some((level, files, bytes))
    });
    if as_json {
        let levels: Vec<Value> =
            levels.map(|(level, files, bytes)| json!({ "level": level, "files": files, "bytes": bytes })).collect();
        let (oldest, newest) = (state(listing.oldest()), state(listing.head()));
        return print(
            json!({ "place": place.shown(), "mark": mark, "oldest": oldest, "newest": newest, "levels": levels }),
        );
    }
    match mark {
        Some(mark) => print(format!(
            "{} is the replica of unit {}, epoch {}, written to by {} since {}",
            place.shown(),
            mark.unit,
            mark.epoch,
            mark.program,
            mark.since
        ))?,
        None => print(format!("{} bears no mark of Ashlar's", place.shown()))?,
    }
    for (what, file) in [("oldest", listing.oldest()), ("newest", listing.head())] {
        match file {
            Some(file) => print(format!("  {what}     TXID {}, taken {}", file.name.max, file.timestamp))?,
            None => print(format!("  {what}     none"))?,
        }
    }
    for (level, files, bytes) in levels {
        let what = if level == replica::SNAPSHOTS { "snapshots" } else { "increments" };
        print(format!("  level {level}    {files:>6} files {bytes:>12} bytes of {what}"))?;
    }
    Ok(())
}

fn take_over(data: &Path) -> Result<()> {
    let url = configured(data)?;
    // The server must not run: it would go on with what it knows.
    let lock = Folder::at(data)?.lock()?;
    drop(lock);
    let unit = open(data, false)?;
    let id = unit.app.platform.database.unit().id;
    let last = Mark::epoch_at(&url, id)?;
    if last == 0 {
        return Err(Error::Internal(format!(
            "{url} is no replica of this unit ({id}); set `replica` to the one that is, or to an empty place"
        )));
    }
    let epoch = unit.app.platform.database.write_blocking("take_over", Actor::command_line(), move |work| {
        let epoch = db::raise_epoch(work, last)?;
        let after = json!({ "replica": url, "epoch": epoch });
        let change =
            Change { action: "replica.taken_over", subject: id, person: None, before: None, after: Some(&after) };
        audit::record(work, change)?;
        Ok(epoch)
    })?;
    print(format!("this unit is at epoch {epoch} now: its server goes on with the replica from its next start"))
}

fn configured(data: &Path) -> Result<String> {
    match settings(&Folder::at(data)?)?.replica {
        ReplicaSettings::Ours { url, .. } => Ok(url),
        _ => Err(Error::Internal(
            "there is no setting `replica`: set it in DIR/ashlar.toml, or as ASHLAR_REPLICA".into(),
        )),
    }
}
