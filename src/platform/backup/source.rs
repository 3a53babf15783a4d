//! Where a restore takes the unit from, and the one place where that becomes a plain database file.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::check::check_sha256;
use super::shelf::shelf;
use super::unpack::{Identities, Wrapping, has_companions, must_be_whole, unpack, wrapping_of};
use crate::platform::bytes::Bytes;
use crate::platform::clock::Time;
use crate::platform::db;
use crate::platform::error::{Error, Result};
use crate::platform::files;
use crate::platform::replica::{self, Restored, Txid, Until};

/// Copied at once.
const PIECE_BYTES: usize = 1 << 20;
/// Room beside the copy, for what is changed in it.
const SPARE_BYTES: u64 = 1 << 20;

/// What a restore is asked for.
#[derive(Debug, Clone)]
pub enum Source {
    /// A database: a backup, or a copy of a stopped unit's.
    File {
        path: PathBuf,
        /// How messages call it.
        shown: PathBuf,
        /// Keys for an encrypted one.
        identities: Vec<PathBuf>,
    },
    /// A folder or an address to which a unit was replicated.
    Replica { place: String, until: Option<Point> },
}

/// A moment of a replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    At(Time),
    Transaction(u64),
}

/// Told of how many bytes, of how many, are there.
pub type Told<'a> = &'a mut dyn FnMut(u64, u64);

impl Source {
    /// What `from` means: a file; a folder's newest backup; a replica.
    ///
    /// # Errors
    /// If it is a folder without either, or names a moment of what has only one.
    pub fn find(from: &Path, until: Option<Point>, identities: Vec<PathBuf>) -> Result<Source> {
        let shown = from.display();
        if let Some(url) = from.to_str().filter(|text| text.starts_with("s3://") || text.starts_with("file://")) {
            return Ok(Source::Replica { place: url.to_owned(), until });
        }
        let path = match from.is_dir() {
            true if from.join("ltx").is_dir() => {
                let whole = from.canonicalize().map_err(|e| Error::internal(&format!("reading {shown}"), e))?;
                return Ok(Source::Replica { place: format!("file://{}", whole.display()), until });
            }
            true => {
                let found = shelf(from).map_err(|e| Error::internal(&format!("reading {shown}"), e))?;
                let newest = found.into_iter().next().ok_or_else(|| {
                    Error::Internal(format!("there is no backup in {shown} (no file named *.db), and it is no replica"))
                })?;
                newest.path
            }
            false => from.to_owned(),
        };
        if until.is_some() {
            return Err(Error::Internal(format!(
                "{} is a backup of one fixed moment; --at and --txid choose a moment of a replica: leave them out",
                path.display()
            )));
        }
        Ok(Source::File { shown: path.clone(), path, identities })
    }

    /// How messages and the audit trail call it.
    pub fn shown(&self) -> String {
        match self {
            Source::File { shown, .. } => shown.display().to_string(),
            Source::Replica { place, .. } => place.clone(),
        }
    }

    /// Writes the plain database to `target`, which does not exist yet; says which state of a replica it is.
    pub(super) fn fetch(&self, target: &Path, progress: Told<'_>) -> Result<Option<Restored>> {
        let state = match self {
            Source::File { path, shown, identities } => {
                fetch_file(path, shown, identities, target, progress).map(|()| None)?
            }
            Source::Replica { place, until } => {
                let until = match until {
                    None => Until::End,
                    Some(Point::At(time)) => Until::Time(*time),
                    Some(Point::Transaction(number)) => Until::Txid(Txid(*number)),
                };
                Some(replica::restore(&*replica::at(place)?, until, target, progress)?)
            }
        };
        must_have_room(target, 0, &self.shown())?;
        Ok(state)
    }
}

fn fetch_file(path: &Path, shown: &Path, identities: &[PathBuf], target: &Path, progress: Told<'_>) -> Result<()> {
    // An upload has a name that whoever sent it does not know.
    let named = |e: Error| match e {
        Error::Internal(text) => {
            Error::Internal(text.replace(&path.display().to_string(), &shown.display().to_string()))
        }
        other => other,
    };
    let is_wrapped = wrapping_of(path).map_err(named)? != Wrapping::default();
    if !is_wrapped {
        db::must_be_ours(path, shown)?;
    }
    check_sha256(path, shown)?;
    if is_wrapped {
        return unpack(path, &Identities::read(identities)?, target).map(drop).map_err(named);
    }
    if let Some(identity) = identities.first() {
        return Err(Error::Internal(format!(
            "{} is not encrypted; leave --identity {} out",
            shown.display(),
            identity.display()
        )));
    }
    let has_companions = has_companions(path);
    if !has_companions {
        must_be_whole(path).map_err(named)?;
    }
    if path.parent() == target.parent() {
        // An upload is ours already; a second copy of it would take room and time.
        return std::fs::rename(path, target).map_err(|e| failed(shown, e));
    }
    let bytes = std::fs::metadata(path).map_err(|e| failed(shown, e))?.len();
    must_have_room(target, bytes, &shown.display().to_string())?;
    if has_companions {
        // Part of it stands beside it; SQLite puts both together.
        return db::copy_file(path, target).map(drop);
    }
    // Its bytes alone: a backup that may only be read must become a unit that can be written.
    copy(path, target, shown, progress)
}

/// Refuses to make `target`, which needs `bytes` more, where the disk has no room for it and what is changed in it. Better
/// told now than by SQLite, for which a full disk is an I/O error at times.
pub fn must_have_room(target: &Path, bytes: u64, shown: &str) -> Result<()> {
    let folder = target.parent().unwrap_or(Path::new("."));
    let room = files::room(folder).map_err(|e| Error::internal(&format!("looking at {}", folder.display()), e))?;
    if room >= bytes.saturating_add(SPARE_BYTES) {
        return Ok(());
    }
    let copy = if bytes > 0 { format!("{} and ", Bytes(bytes)) } else { String::new() };
    Err(Error::Internal(format!(
        "{shown} needs {copy}as much as {} to work with, and the disk has room for {}: make room and try again",
        Bytes(SPARE_BYTES),
        Bytes(room)
    )))
}

fn copy(from: &Path, to: &Path, shown: &Path, progress: Told<'_>) -> Result<()> {
    let mut source = File::open(from).map_err(|e| failed(shown, e))?;
    let total = source.metadata().map_err(|e| failed(shown, e))?.len();
    let mut target = File::create_new(to).map_err(|e| failed(shown, e))?;
    let (mut piece, mut done) = (vec![0; PIECE_BYTES], 0);
    loop {
        let read = source.read(&mut piece).map_err(|e| failed(shown, e))?;
        if read == 0 {
            return Ok(());
        }
        target.write_all(&piece[..read]).map_err(|e| failed(shown, e))?;
        done += read as u64;
        progress(done, total);
    }
}

fn failed(shown: &Path, error: io::Error) -> Error {
    Error::internal(&format!("copying {}", shown.display()), error)
}
