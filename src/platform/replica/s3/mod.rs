//! A replica in a bucket that speaks S3: `<prefix>/<level>/<min>-<max>.ltx`, the level as four hex digits.
//!
//! A killed process may leave parts of a large file behind that no listing shows; only the bucket itself can remove
//! them (a lifecycle rule with `AbortIncompleteMultipartUpload`).

mod read;
mod upload;

use std::collections::{HashMap, HashSet};
use std::io::{self, Read};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::aws::AmazonS3;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt, PutPayload};
use tokio::runtime::Runtime;

use super::place::{Held, Place, Upload};
use super::txid::{LtxFile, LtxName};
use crate::platform::bucket::{self, Named};
use crate::platform::clock::Time;
use crate::platform::error::Result;

/// How long it may take to tidy up after a failure.
const LITTLE_PATIENCE: Duration = Duration::from_secs(10);
/// Files whose timestamps are asked for at once.
const ASKED_AT_ONCE: usize = 16;

pub struct Bucket {
    inner: Arc<Inner>,
}

struct Inner {
    runtime: &'static Runtime,
    store: AmazonS3,
    /// The same bucket, where every request asks that there be no such object yet.
    only_new: AmazonS3,
    prefix: Path,
    named: Named,
    /// The timestamps of files, by name and entity tag: each is asked for once.
    known: Mutex<HashMap<LtxName, (String, Time)>>,
}

impl Bucket {
    /// The place that `s3://BUCKET/PREFIX` names; `variable` looks up the environment.
    ///
    /// # Errors
    /// If the address is none, or a variable is missing or wrong; the text names it.
    pub fn at(address: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<Bucket> {
        let runtime = bucket::runtime()?;
        let settings = bucket::read(address, "replica", variable)?;
        Ok(Bucket {
            inner: Arc::new(Inner {
                runtime,
                store: settings.connect(false)?,
                only_new: settings.connect(true)?,
                named: settings.named(),
                prefix: settings.prefix,
                known: Mutex::default(),
            }),
        })
    }
}

/// A bucket has no locks, and nothing that could be mounted in its place.
struct Nothing;

impl Held for Nothing {
    fn must_be_there(&self) -> io::Result<()> {
        Ok(())
    }
}

impl Place for Bucket {
    fn list(&self, level: u8) -> io::Result<Vec<LtxFile>> {
        let folder = self.inner.level(level);
        let mut found = Vec::new();
        let mut listing = self.inner.store.list(Some(&folder));
        while let Some(object) = self.inner.wait(0, listing.try_next())? {
            let name = object.location.filename().and_then(|name| LtxName::parse(level, name));
            // Deeper down lies nothing of ours.
            match name {
                Some(name) if self.inner.key(name) == object.location => found.push((name, object)),
                _ => {}
            }
        }
        self.inner.forget_all_but(level, &found);
        let dated = stream::iter(found)
            .map(|(name, object)| self.inner.date(name, object))
            .buffer_unordered(ASKED_AT_ONCE)
            .try_collect::<Vec<_>>();
        let dated = self.inner.runtime.block_on(dated)?;
        let mut files: Vec<LtxFile> = dated.into_iter().flatten().collect();
        files.sort_by_key(|file| file.name);
        Ok(files)
    }

    fn open(&self, name: LtxName) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(read::Object::open(self.inner.clone(), name)?))
    }

    fn create(&self, name: LtxName, timestamp: Time) -> io::Result<Box<dyn Upload>> {
        Ok(Box::new(upload::New::begin(self.inner.clone(), name, timestamp)))
    }

    fn remove(&self, names: &[LtxName]) -> io::Result<()> {
        let keys: Vec<_> = names.iter().map(|name| Ok(self.inner.key(*name))).collect();
        let mut removed = self.inner.store.delete_stream(stream::iter(keys).boxed());
        loop {
            match self.inner.wait(0, removed.try_next()) {
                Ok(Some(_)) => {}
                Ok(None) => return Ok(()),
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Err(e),
            }
        }
    }

    fn read_note(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        let key = self.inner.prefix.clone().join(name);
        match self.inner.wait(0, async { self.inner.store.get(&key).await?.bytes().await }) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            content => content.map(|content| Some(content.into())),
        }
    }

    fn write_note(&self, name: &str, content: &[u8]) -> io::Result<()> {
        let key = self.inner.prefix.clone().join(name);
        self.inner.wait(content.len(), self.inner.store.put(&key, PutPayload::from(content.to_vec()))).map(drop)
    }

    /// S3 has no locks: who owns a replica is said by a note.
    fn lock(&self) -> io::Result<Option<Box<dyn Held>>> {
        Ok(Some(Box::new(Nothing)))
    }

    fn is_far(&self) -> bool {
        true
    }

    fn shown(&self) -> String {
        self.inner.named.shown.clone()
    }
}

impl Inner {
    fn level(&self, level: u8) -> Path {
        self.prefix.clone().join(format!("{level:04x}"))
    }

    fn key(&self, name: LtxName) -> Path {
        self.level(name.level).join(name.file_name())
    }

    /// Waits for an answer to a request that carries so many bytes.
    fn wait<T>(&self, bytes: usize, answer: impl Future<Output = object_store::Result<T>>) -> io::Result<T> {
        self.runtime.block_on(self.within(bucket::patience(bytes as u64), answer))
    }

    async fn within<T>(&self, limit: Duration, answer: impl Future<Output = object_store::Result<T>>) -> io::Result<T> {
        match tokio::time::timeout(limit, answer).await {
            Ok(answer) => answer.map_err(|e| self.named.failed(&e)),
            Err(_) => Err(self.named.too_slow(limit)),
        }
    }

    /// A file as it was listed, with its own timestamp; none if it is gone.
    ///
    /// When it was stored is later, for merged files by minutes and hours: it stands in only where a file is broken.
    async fn date(&self, name: LtxName, object: ObjectMeta) -> io::Result<Option<LtxFile>> {
        let tag = object.e_tag.unwrap_or_default();
        let file = |timestamp| LtxFile { name, timestamp, bytes: object.size };
        if let Some((known, timestamp)) = self.known().get(&name)
            && *known == tag
        {
            return Ok(Some(file(*timestamp)));
        }
        let timestamp = match self.within(bucket::PATIENCE, read::timestamp(&self.store, &object.location)).await {
            Ok(Some(timestamp)) => timestamp,
            Ok(None) => Time::from_ms(object.last_modified.timestamp_millis()),
            // Whoever looks after the replica has just removed it.
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e),
        };
        self.remember(name, tag, timestamp);
        Ok(Some(file(timestamp)))
    }

    fn known(&self) -> MutexGuard<'_, HashMap<LtxName, (String, Time)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember(&self, name: LtxName, tag: String, timestamp: Time) {
        // Without a tag it could not be told from another file of that name.
        if !tag.is_empty() {
            self.known().insert(name, (tag, timestamp));
        }
    }

    fn forget_all_but(&self, level: u8, listed: &[(LtxName, ObjectMeta)]) {
        let listed: HashSet<LtxName> = listed.iter().map(|(name, _)| *name).collect();
        self.known().retain(|name, _| name.level != level || listed.contains(name));
    }
}
