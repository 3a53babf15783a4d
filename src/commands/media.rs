//! `ashlar media …`: where uploaded files lie.

use std::path::Path;
use std::sync::Arc;

use serde_json::json;

use super::progress::Bar;
use super::{contents, open, print, settings};
use crate::platform::db::Folder;
use crate::platform::error::{Error, Result};
use crate::platform::objects;

/// See where uploaded files lie, and move them
#[derive(Debug, clap::Args)]
pub struct Media {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Move(Move),
}

/// Move all uploaded files to where they are to be, also while the server runs
///
/// Each is copied, the copy is read back and held against its SHA-256, and then takes the place of the old one. What was
/// killed goes on when it is run again. Files that are being worked on stay where they are, for the next time.
#[derive(Debug, clap::Args)]
struct Move {
    /// `database`, file:///PATH or s3://BUCKET/PREFIX [default: what the setting media_place says, else the database]
    #[arg(long, value_name = "PLACE")]
    to: Option<String>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

impl Media {
    pub fn run(self, data: &Path) -> Result<()> {
        let Command::Move(Move { to, json }) = self.command;
        let to: Option<Arc<str>> = match to.as_deref() {
            None => settings(&Folder::at(data)?)?.media_place,
            Some("database") => None,
            Some(address) => Some(address.trim_end_matches('/').into()),
        };
        if let Some(address) = &to {
            objects::at(address)?;
        }
        let unit = open(data, false)?;
        let bar = Bar::default();
        let mut left: u64 = 0;
        let moved = unit.app.media.move_all(
            &unit.app.platform.database,
            to.as_ref(),
            &mut |done, all| bar.tell(&format!("moving {} of {} MiB", done.bytes >> 20, all.bytes >> 20)),
            &mut |error| {
                left += 1;
                bar.clear();
                eprintln!("{error}");
            },
        );
        bar.clear();
        let moved = moved.map_err(|error| match error {
            Error::Unreachable(why) => {
                Error::Internal(format!("{why}; what was moved until then stays so, run it again"))
            }
            other => other,
        })?;
        let place = to.as_deref().unwrap_or("the database");
        match (json, moved.contents) {
            (true, contents) => print(json!({ "to": to, "contents": contents, "bytes": moved.bytes, "left": left }))?,
            (false, 0) if left == 0 => print(format!("everything lies in {place} already"))?,
            (false, number) => print(format!("moved {}, {} bytes, to {place}", contents(number), moved.bytes))?,
        }
        match left {
            0 => Ok(()),
            number => {
                Err(Error::Internal(format!("{} could not be moved, and stay where they were", contents(number))))
            }
        }
    }
}
