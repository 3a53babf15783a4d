//! `ashlar verify`.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::progress::Bar;
use super::{outside, people, print};
use crate::app;
use crate::platform::backup::{self, Contents, Identities, Source};
use crate::platform::db::Folder;
use crate::platform::error::{Error, Result};
use crate::platform::replica::{self, Listing, Until};
use crate::use_cases::backups;

/// Look whether a backup or a replica could be restored, and what is in it; also while the server runs.
///
/// A replica's newest state is fetched into a folder that is removed afterwards. It is checked as a restore would: that it is whole and Ashlar's, its SHA-256 where that stands beside it, pages,
/// indexes, foreign keys, whose tables they are, and how many rows it says that each has. The file stays as it is. Exit
/// code 1 if it could not be restored.
#[derive(Debug, clap::Args)]
pub struct Verify {
    /// The backup; a folder, for its newest backup; the folder or the address (file://, s3://) of a replica
    #[arg(value_name = "FILE|DIR|URL")]
    what: PathBuf,
    /// The file with the identity that opens it, where it is encrypted; can be given again
    #[arg(long = "identity", value_name = "FILE")]
    identities: Vec<PathBuf>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

impl Verify {
    pub fn run(self, data: &Path) -> Result<()> {
        let identities = Identities::read(&self.identities)?;
        let (schema, _) = app::prove()?;
        let (room, _temporary) = room(data)?;
        let inspect = |file: &Path| backup::inspect(file, &identities, &schema, &room, backups::count);
        match Source::find(&self.what, None, Vec::new())? {
            Source::File { path, .. } => {
                let contents = inspect(&path)?;
                if self.json { print(json!(contents)) } else { show(&contents, origin(&contents)) }
            }
            Source::Replica { place, .. } => {
                let place = replica::at(&place)?;
                let range = Listing::read(&*place).map_err(|e| Error::internal(&place.shown(), e))?;
                let scratch = backup::Scratch::within(&room, "verify")?;
                let file = scratch.path().join("replica.db");
                let bar = Bar::default();
                let state = replica::restore(&*place, Until::End, &file, &mut |done, total| bar.fetched(done, total));
                let inspected = state.and_then(|state| Ok((state, inspect(&file)?)));
                bar.clear();
                let named =
                    |e: Error| Error::Internal(e.to_string().replace(&file.display().to_string(), &place.shown()));
                let (state, contents) = inspected.map_err(named)?;
                let contents = Contents { file: place.shown().into(), ..contents };
                if self.json {
                    return print(json!({ "state": state, "bytes": range.bytes(), "contents": contents }));
                }
                let origin = format!("{}, TXID {}, made of {} files", state.timestamp, state.txid, state.files);
                show(&contents, origin)?;
                let oldest = range.oldest().map_or(String::new(), |file| {
                    format!(", back to TXID {} of {}; only the newest state was tried", file.name.max, file.timestamp)
                });
                print(format!("  replica  {} files, {} bytes{oldest}", range.len(), range.bytes()))
            }
        }
    }
}

/// Where something may be unpacked: in the unit's place for backups, where there is a unit; what is in an encrypted one
/// is as secret as that.
fn room(data: &Path) -> Result<(PathBuf, Option<backup::Scratch>)> {
    if let Ok(folder) = Folder::at(data) {
        return Ok((backup::room(&folder)?, None));
    }
    let scratch = backup::Scratch::within(&std::env::temp_dir(), "ashlar-verify")
        .map_err(|e| Error::Internal(format!("{e}; name a folder with room for it with --data")))?;
    Ok((scratch.path().to_owned(), Some(scratch)))
}

/// From when a backup is.
fn origin(contents: &Contents) -> String {
    match (&contents.made_at, &contents.program) {
        (Some(at), Some(program)) => format!("{at}, made by Ashlar {program}"),
        _ => "unknown: it is a plain copy of a database, not made by `ashlar backup`".into(),
    }
}

fn show(contents: &Contents, from: String) -> Result<()> {
    let Contents { file, bytes, wrapping, schema_version, .. } = contents;
    print(format!("{} could be restored", file.display()))?;
    print(format!("  from     {from}"))?;
    let wrapped = match (wrapping.compressed, wrapping.encrypted) {
        (false, false) => "",
        (true, false) => ", compressed",
        (false, true) => ", encrypted",
        (true, true) => ", compressed and encrypted",
    };
    print(format!("  size     {bytes} bytes{wrapped}"))?;
    print(format!("  sha-256  {}", if contents.sha256_matches.is_some() { "as beside it" } else { "none beside it" }))?;
    let pending = match contents.pending.len() {
        0 => String::new(),
        number => format!(", older than this program's: a restore would run {number} migrations"),
    };
    print(format!("  schema   {schema_version}{pending}"))?;
    if let Some(number) = contents.people {
        print(format!("  people   {}", people(number)))?;
    }
    for one in &contents.outside {
        print(format!("  without  {}", outside(one)))?;
    }
    for (table, rows) in &contents.rows {
        print(format!("  rows     {rows:>9} {table}"))?;
    }
    Ok(())
}
