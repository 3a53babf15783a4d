//! Where a replica lies: a folder, or a bucket.

use std::io::{self, Read, Write};
use std::sync::Arc;

use super::txid::{LtxFile, LtxName};
use super::{folder, s3};
use crate::platform::clock::Time;
use crate::platform::error::{Error, Result};

/// What a replica's place can do. All calls wait; none is made on a thread that serves requests.
pub trait Place: Send + Sync {
    /// The files of one level, in order; anything else that lies there is left out.
    fn list(&self, level: u8) -> io::Result<Vec<LtxFile>>;

    /// Reads a file from its beginning.
    fn open(&self, name: LtxName) -> io::Result<Box<dyn Read + Send>>;

    /// Begins a new file that bears `timestamp`; it is there once it is finished, whole.
    fn create(&self, name: LtxName, timestamp: Time) -> io::Result<Box<dyn Upload>>;

    /// Removes files; those that are gone already are no error.
    fn remove(&self, names: &[LtxName]) -> io::Result<()>;

    /// Reads the small file `name` beside the levels; none if it isn't there.
    fn read_note(&self, name: &str) -> io::Result<Option<Vec<u8>>>;

    /// Writes the small file `name` beside the levels, in place of what it held.
    fn write_note(&self, name: &str, content: &[u8]) -> io::Result<()>;

    /// Takes the place for this process, where it can be told apart from others; held while what is returned lives.
    /// None if another process holds it.
    fn lock(&self) -> io::Result<Option<Box<dyn Held>>>;

    /// Whether each question to it takes time, and may cost money: then it is looked through less often.
    fn is_far(&self) -> bool;

    /// As messages name it; without secrets.
    fn shown(&self) -> String;
}

/// A place that was taken.
pub trait Held: Send + Sync {
    /// # Errors
    /// If the place is not the one that was taken: its disk is no longer mounted, say.
    fn must_be_there(&self) -> io::Result<()>;
}

/// A new file. Dropped before it is finished, it never was.
pub trait Upload: Write + Send {
    /// Gives it its name, on the disk.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] if there is a file of that name: another process writes there too. After any
    /// other error it may be there or not; to write it again, also with other content, is right.
    fn finish(self: Box<Self>) -> io::Result<()>;
}

/// The place that `url` names: `file:///…` or `s3://bucket/prefix`. A bucket's credentials come from the environment.
///
/// # Errors
/// If it is neither, or the credentials for it are not there.
pub fn at(url: &str) -> Result<Arc<dyn Place>> {
    at_with(url, &|name| std::env::var(name).ok())
}

/// As [`at`], with the environment that `variable` looks up.
pub fn at_with(url: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<Arc<dyn Place>> {
    if let Some(path) = url.strip_prefix("file://") {
        return Ok(Arc::new(folder::Folder::at(path.as_ref())?));
    }
    if url.starts_with("s3://") {
        return Ok(Arc::new(s3::Bucket::at(url, variable)?));
    }
    Err(Error::Internal(format!("`{url}` is no replica: write file:///PATH or s3://BUCKET/PREFIX")))
}
