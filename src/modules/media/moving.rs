//! Moving: contents go to a place outside of the database, or back, one at a time.
//!
//! A content is copied under a new id, the copy is read back and held against its SHA-256, and only then takes the old
//! one's place, in one transaction. So a move that is cut off anywhere loses nothing, and the next one goes on.

use std::io::Read;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::contents::{self, to_hex};
use super::model::{ContentId, Stored};
use super::repository::{Kept, MediaRepository};
use super::{Media, Owner, SIGNAL};
use crate::platform::actor::Actor;
use crate::platform::db::{Database, UnitOfWork};
use crate::platform::error::{Error, Result};
use crate::platform::jobs::{self, Failure, Kind, Order, Payload, Record, Run};
use crate::platform::objects;

/// Moves what has arrived to the place that the settings name.
#[derive(Serialize, Deserialize)]
struct Settle;
impl Payload for Settle {
    const KIND: &'static str = "media.settle";
}

/// Longer than all that arrived in a day may take over a slow line.
const LONGEST_RUN: std::time::Duration = std::time::Duration::from_secs(6 * 60 * 60);

/// What was moved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Moved {
    pub contents: u64,
    pub bytes: u64,
}

/// Has what has arrived moved.
pub(super) fn soon(work: &UnitOfWork<'_>) -> Result<()> {
    let order = Order { unique_key: Some("soon".into()), ..Order::default() };
    jobs::enqueue_with(work, &Settle, order).map(drop)
}

/// The job that moves what has arrived to `place`; nowhere where there is none any more.
pub(super) fn kind(place: Option<Arc<str>>) -> Kind {
    let is_outside = place.is_some();
    let settle = move |run: &Run, _: Settle| {
        let Some(place) = &place else { return Ok(Record::nothing()) };
        let (mut after, mut wrong) = (None, None);
        while let Some(kept) =
            run.database.read_blocking("media_move", |snapshot| snapshot.tables(Owner(())).find_kept_here(after))?
        {
            run.progress(0)?;
            after = Some(kept.stored.id);
            match move_one(&run.database, &kept, Some(place)) {
                Ok(_) => {}
                Err(error @ Error::Unreachable(_)) => return Err(error.into()),
                // One that can't be moved holds up no other.
                Err(error) => wrong = Some(Failure::from(error)),
            }
        }
        wrong.map_or(Ok(Record::nothing()), Err)
    };
    let kind = Kind::new(settle).slots(1).longest_run(LONGEST_RUN);
    if is_outside { kind.every("*/5 * * * *") } else { kind }
}

impl Media {
    /// Moves every content to `to`, or into the database where that is none; those of files that are being worked on wait.
    /// `watch` is told of each step: what was moved so far, of how much; and `failed` why one stays where it is.
    ///
    /// # Errors
    /// [`Error::Unreachable`] if a place can't be reached; what was moved until then stays so.
    pub fn move_all(
        &self,
        database: &Database,
        to: Option<&Arc<str>>,
        watch: &mut dyn FnMut(Moved, Moved),
        failed: &mut dyn FnMut(Error),
    ) -> Result<Moved> {
        let place = to.map(|to| &**to);
        let all = database.read_blocking("media_move", |snapshot| snapshot.tables(Owner(())).count_elsewhere(place))?;
        let (mut after, mut moved) = (None, Moved::default());
        watch(moved, all);
        while let Some(kept) = database
            .read_blocking("media_move", |snapshot| snapshot.tables(Owner(())).find_kept_elsewhere(place, after))?
        {
            after = Some(kept.stored.id);
            match move_one(database, &kept, to) {
                Ok(true) => {
                    moved.contents += 1;
                    moved.bytes += kept.size_bytes;
                    watch(moved, all);
                }
                Ok(false) => {}
                Err(error @ Error::Unreachable(_)) => return Err(error),
                // One that can't be moved holds up no other.
                Err(error) => failed(error),
            }
        }
        Ok(moved)
    }
}

/// Moves one content; false if it was deleted meanwhile.
fn move_one(database: &Database, kept: &Kept, to: Option<&Arc<str>>) -> Result<bool> {
    let label = format!("move {}", kept.stored.id);
    let place = to.cloned();
    let begun = database
        .write_blocking("media_move", Actor::system(), move |work| contents::begin(work, &label, place.as_deref()));
    let new = Stored { id: begun?, place: to.cloned() };
    let (old, id) = (kept.stored.id, new.id);
    let copied = copy(database, kept, &new).and_then(|()| {
        database.write_blocking("media_move", Actor::system(), move |work| {
            let is_moved = work.tables(Owner(())).replace_content(old, id)?;
            work.raise(SIGNAL);
            Ok(is_moved)
        })
    });
    if !matches!(copied, Ok(true)) {
        let discarded = database
            .write_blocking("media_move", Actor::system(), move |work| work.tables(Owner(())).discard_content(id));
        if let Err(error) = discarded {
            tracing::warn!(%error, "a copy that is not wanted is removed later");
        }
    }
    copied
}

/// Copies a content, and reads the copy back.
fn copy(database: &Database, kept: &Kept, new: &Stored) -> Result<()> {
    let mut content = contents::reader(database, &kept.stored, kept.size_bytes)?;
    match &new.place {
        Some(place) => objects::at(place)?.put(&new.id.to_string(), &mut content)?,
        None => {
            let write = |batch: contents::Batch| {
                database.write_blocking("media_move", Actor::system(), move |work| batch.write(work))
            };
            let filling = contents::pour(new.id, &mut content, write)?;
            database.write_blocking("media_move", Actor::system(), move |work| filling.write_rest(work))?;
        }
    }
    let (id, size_bytes, sha256) = (new.id, kept.size_bytes, kept.sha256);
    must_be(kept, contents::reader(database, new, size_bytes)?, id)?;
    database.write_blocking("media_move", Actor::system(), move |work| {
        work.tables(Owner(())).filled(id, size_bytes, &sha256)
    })
}

/// Refuses a copy that is not what it must be.
fn must_be(kept: &Kept, mut copy: Box<dyn Read + Send>, new: ContentId) -> Result<()> {
    let (mut hash, mut bytes, mut piece) = (Sha256::new(), 0, vec![0; 256 * 1024]);
    loop {
        match copy.read(&mut piece).map_err(|e| Error::Unreachable(format!("reading the copy {new}: {e}")))? {
            0 => break,
            read => {
                hash.update(&piece[..read]);
                bytes += read as u64;
            }
        }
    }
    let found: [u8; 32] = hash.finalize().into();
    if (bytes, found) == (kept.size_bytes, kept.sha256) {
        return Ok(());
    }
    Err(Error::Internal(format!(
        "the content {} stays where it is: its copy has {bytes} bytes and the SHA-256 {}, and it must have {} and {}",
        kept.stored.id,
        to_hex(&found),
        kept.size_bytes,
        to_hex(&kept.sha256)
    )))
}
