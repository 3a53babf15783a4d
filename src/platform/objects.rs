//! Objects: large contents outside of the database, in a bucket or a folder, each under a name that is never used twice.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use bytes::{Buf, Bytes};
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};
use object_store::aws::AmazonS3;
use object_store::{GetOptions, ObjectStore, ObjectStoreExt, PutPayload, path};
use tokio::runtime::Runtime;

use super::bucket::{self, Named};
use super::error::{Error, Result};
use super::files;

/// What is larger goes in parts of this size. S3 takes 10,000 of them: 78 GiB.
const PART_BYTES: usize = 8 * 1024 * 1024;
/// What is read of a file at once.
const PIECE_BYTES: u64 = 256 * 1024;

/// The bytes of an object, as they come.
pub type Pieces = BoxStream<'static, io::Result<Bytes>>;

/// Where objects lie.
pub enum Place {
    Bucket(Bucket),
    /// Each object is a file in it.
    Folder(PathBuf),
}

/// The place that `address` names: `file:///PATH` or `s3://BUCKET/PREFIX`. A bucket's credentials come from the environment.
///
/// # Errors
/// If it is neither, the credentials are not there, or there is no such folder.
pub fn at(address: &str) -> Result<Arc<Place>> {
    static KNOWN: LazyLock<Mutex<HashMap<String, Arc<Place>>>> = LazyLock::new(Mutex::default);
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(place) = known.get(address) {
        return Ok(place.clone());
    }
    let place = Arc::new(Place::connect(address)?);
    known.insert(address.to_owned(), place.clone());
    Ok(place)
}

impl Place {
    fn connect(address: &str) -> Result<Place> {
        let refused = |why: &str| Err(Error::Internal(format!("`{address}` is no place for files: {why}")));
        match address.strip_prefix("file://").map(PathBuf::from) {
            Some(path) if !path.is_absolute() => refused("write the whole path, as in file:///mnt/media"),
            Some(path) => must_be_there(&path).map(|()| Place::Folder(path)),
            None if address.starts_with("s3://") => Bucket::connect(address).map(Place::Bucket),
            None => refused("write file:///PATH or s3://BUCKET/PREFIX"),
        }
    }

    /// The bytes of a range of an object.
    ///
    /// # Errors
    /// [`Error::Unreachable`] if it can't be had now; [`Error::Internal`] if it is not there.
    pub async fn open(&self, name: &str, range: Range<u64>) -> Result<Pieces> {
        match self {
            Place::Bucket(bucket) => bucket.open(name, range).await,
            Place::Folder(folder) => {
                let (folder, name) = (folder.clone(), name.to_owned());
                let opened = tokio::task::spawn_blocking(move || open_file(&folder, &name, range));
                let file = opened.await.map_err(|e| Error::internal("opening a file", e))??;
                Ok(stream::try_unfold(file, next_piece).boxed())
            }
        }
    }

    /// As [`Place::open`], for threads that may wait.
    pub fn reader(self: &Arc<Self>, name: &str, range: Range<u64>) -> Result<Box<dyn Read + Send>> {
        Ok(match &**self {
            Place::Bucket(bucket) => {
                let pieces = bucket.runtime.block_on(bucket.open(name, range))?;
                Box::new(Reader { runtime: bucket.runtime, pieces, piece: Bytes::new() })
            }
            Place::Folder(folder) => Box::new(open_file(folder, name, range)?),
        })
    }

    /// Writes an object, a few megabytes at a time; nothing is left of one that failed. For threads that may wait.
    pub fn put(&self, name: &str, content: &mut dyn Read) -> Result<()> {
        match self {
            Place::Bucket(bucket) => bucket.put(name, content),
            Place::Folder(folder) => {
                must_be_there(folder)?;
                let target = folder.join(name);
                let unfinished = files::unfinished(&target);
                let put = write_file(&unfinished, content)
                    .and_then(|()| files::put_new(&unfinished, &target).map_err(|e| fault_in(folder, name, &e)));
                if put.is_err() {
                    // It may never have been made.
                    fs::remove_file(&unfinished).ok();
                }
                put
            }
        }
    }

    /// Removes an object; one that is gone already is no error. For threads that may wait.
    pub fn remove(&self, name: &str) -> Result<()> {
        match self {
            Place::Bucket(bucket) => bucket.remove(name),
            Place::Folder(folder) => match fs::remove_file(folder.join(name)) {
                Err(e) if e.kind() == ErrorKind::NotFound => must_be_there(folder),
                removed => removed.map_err(|e| fault_in(folder, name, &e)),
            },
        }
    }
}

// A folder

/// Refuses a folder that is gone: a disk that is not mounted must not be made up for beneath its mount point.
fn must_be_there(folder: &Path) -> Result<()> {
    match folder.is_dir() {
        true => Ok(()),
        false => {
            let why = format!("there is no folder {}: make it, or mount its disk", folder.display());
            Err(Error::Unreachable(why))
        }
    }
}

fn fault_in(folder: &Path, name: &str, error: &io::Error) -> Error {
    match (error.kind(), must_be_there(folder)) {
        (_, Err(gone)) => gone,
        (ErrorKind::NotFound, Ok(())) => missing(name, error),
        (_, Ok(())) => Error::Unreachable(format!("{}: {error}", folder.display())),
    }
}

fn missing(name: &str, error: &io::Error) -> Error {
    Error::Internal(format!("{name}, which lies outside of the database, is missing there: {error}"))
}

fn open_file(folder: &Path, name: &str, range: Range<u64>) -> Result<io::Take<File>> {
    let opened = File::open(folder.join(name)).and_then(|mut file| {
        file.seek(SeekFrom::Start(range.start))?;
        Ok(file.take(range.end - range.start))
    });
    opened.map_err(|e| fault_in(folder, name, &e))
}

async fn next_piece(mut file: io::Take<File>) -> io::Result<Option<(Bytes, io::Take<File>)>> {
    let read = tokio::task::spawn_blocking(move || {
        let mut piece = Vec::new();
        file.by_ref().take(PIECE_BYTES).read_to_end(&mut piece)?;
        Ok((!piece.is_empty()).then(|| (piece.into(), file)))
    });
    read.await.map_err(io::Error::other)?
}

fn write_file(path: &Path, content: &mut dyn Read) -> Result<()> {
    let writing = |e| Error::Unreachable(format!("writing {}: {e}", path.display()));
    let mut file = File::create(path).map_err(writing)?;
    loop {
        match part(content)? {
            part if part.is_empty() => return Ok(()),
            part => file.write_all(&part).map_err(writing)?,
        }
    }
}

// A bucket

/// A bucket that speaks S3, or a part of one.
pub struct Bucket {
    store: AmazonS3,
    prefix: path::Path,
    named: Named,
    /// Waits for it where a thread may wait.
    runtime: &'static Runtime,
}

impl Bucket {
    fn connect(address: &str) -> Result<Bucket> {
        let settings = bucket::read(address, "place for files", &|name| std::env::var(name).ok())?;
        let (store, named) = (settings.connect(false)?, settings.named());
        Ok(Bucket { store, named, prefix: settings.prefix, runtime: bucket::runtime()? })
    }

    async fn open(&self, name: &str, range: Range<u64>) -> Result<Pieces> {
        let (path, options) = (self.path(name), GetOptions::new().with_range(Some(range)));
        let found = self.within(0, self.store.get_opts(&path, options)).await.map_err(|e| self.fault(name, &e))?;
        Ok(found.into_stream().map_err(io::Error::other).boxed())
    }

    fn put(&self, name: &str, content: &mut dyn Read) -> Result<()> {
        let path = self.path(name);
        let first = part(content)?;
        if first.len() < PART_BYTES {
            let put = self.wait(first.len() as u64, self.store.put(&path, PutPayload::from(first)));
            return put.map(drop).map_err(|e| self.fault(name, &e));
        }
        let mut upload = self.wait(0, self.store.put_multipart(&path)).map_err(|e| self.fault(name, &e))?;
        let mut send = |mut next: Bytes| {
            while !next.is_empty() {
                let bytes = next.len() as u64;
                let sent = self.wait(bytes, upload.put_part(PutPayload::from(next)));
                sent.map_err(|e| self.fault(name, &e))?;
                next = part(content)?;
            }
            self.wait(0, upload.complete()).map_err(|e| self.fault(name, &e))
        };
        let sent = send(first);
        if sent.is_err() {
            // What can't be removed now, the bucket's own rules remove.
            self.wait(0, upload.abort()).ok();
        }
        sent.map(drop)
    }

    fn remove(&self, name: &str) -> Result<()> {
        match self.wait(0, self.store.delete(&self.path(name))) {
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
            removed => removed.map_err(|e| self.fault(name, &e)),
        }
    }

    fn path(&self, name: &str) -> path::Path {
        self.prefix.clone().join(name)
    }

    /// Waits for an answer to a request that carries so many bytes.
    fn wait<T>(&self, bytes: u64, answer: impl Future<Output = object_store::Result<T>>) -> io::Result<T> {
        self.runtime.block_on(self.within(bytes, answer))
    }

    async fn within<T>(&self, bytes: u64, answer: impl Future<Output = object_store::Result<T>>) -> io::Result<T> {
        let limit = bucket::patience(bytes);
        match tokio::time::timeout(limit, answer).await {
            Ok(answer) => answer.map_err(|e| self.named.failed(&e)),
            Err(_) => Err(self.named.too_slow(limit)),
        }
    }

    fn fault(&self, name: &str, error: &io::Error) -> Error {
        match error.kind() {
            ErrorKind::NotFound => missing(name, error),
            _ => Error::Unreachable(error.to_string()),
        }
    }
}

/// The next part of a content; the last one is smaller, or empty.
fn part(content: &mut dyn Read) -> Result<Bytes> {
    let mut part = Vec::new();
    let read = content.take(PART_BYTES as u64).read_to_end(&mut part);
    read.map_err(|e| Error::internal("reading what is to be moved", e))?;
    Ok(part.into())
}

/// An object that is fetched while it is read.
struct Reader {
    runtime: &'static Runtime,
    pieces: Pieces,
    piece: Bytes,
}

impl Read for Reader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() && !into.is_empty() {
            // Within the runtime, which has the clock.
            let next = async { tokio::time::timeout(bucket::PATIENCE, self.pieces.try_next()).await };
            match self.runtime.block_on(next) {
                Ok(Ok(Some(piece))) => self.piece = piece,
                Ok(Ok(None)) => return Ok(0),
                Ok(Err(error)) => return Err(error),
                Err(_) => return Err(ErrorKind::TimedOut.into()),
            }
        }
        let length = into.len().min(self.piece.len());
        self.piece.copy_to_slice(&mut into[..length]);
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_what_was_put_whole_or_in_part_until_it_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let place = at(&format!("file://{}", folder.path().display())).unwrap();
        let large: Vec<u8> = (0..PART_BYTES as u32 * 2 + 5).map(|n| (n % 251) as u8).collect();

        place.put("one", &mut &large[..]).unwrap();
        let (mut whole, mut some) = (Vec::new(), Vec::new());
        place.reader("one", 0..large.len() as u64).unwrap().read_to_end(&mut whole).unwrap();
        place.reader("one", 10..20).unwrap().read_to_end(&mut some).unwrap();

        assert!(whole == large);
        assert_eq!(some, large[10..20]);
        place.remove("one").unwrap();
        place.remove("one").unwrap();
        assert!(matches!(place.reader("one", 0..1).map(drop), Err(Error::Internal(_))));
        drop(folder);
        assert!(matches!(place.put("two", &mut &large[..9]), Err(Error::Unreachable(_))));
        assert!(matches!(place.remove("two"), Err(Error::Unreachable(_))));
    }

    #[test]
    fn what_is_no_place_is_refused_in_words() {
        for address in ["media", "file://media", "https://example.org", "file:///there/is/no/such/folder"] {
            assert!(at(address).is_err(), "{address}");
        }
    }
}
