//! Jobs whose work needs no database: the same code does it in the server or on a worker, on another machine.
//!
//! Such a job has two parts. Its [`Work`] knows a file, a folder and an order, and nothing else. What it needs from the
//! database, and what becomes of its results there, stays with the server: [`Portable`].

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use super::*;
use crate::platform::db::Database;
use crate::platform::files;
use crate::platform::scratch::Scratch;

/// The part of a job that can be done anywhere.
#[derive(Clone, Copy)]
pub struct Work {
    pub kind: &'static str,
    pub run: fn(&Bench<'_>) -> Result<Made, Failure>,
}

/// What the work is done on.
pub struct Bench<'a> {
    /// What is to be done, as [`Portable::open`] said it.
    pub order: &'a Value,
    pub input: &'a Path,
    /// An empty folder for whatever is made; it is gone afterwards.
    pub scratch: &'a Path,
    /// Says how far it is, in percent; where that fails, the work is to be given up.
    pub watch: &'a (dyn Fn(u8) -> Result<(), Failure> + Sync),
}

/// What came of it.
pub struct Made {
    pub result: Value,
    /// Files in the scratch folder, each with the name by which it is handed in.
    pub files: Vec<(String, PathBuf)>,
    /// CPU time of child processes, in milliseconds; that of the thread itself is measured outside.
    pub children_cpu_ms: u64,
}

/// What a run is given.
pub struct Input {
    pub order: Value,
    pub bytes: u64,
    /// Read piece by piece, on a thread that may wait.
    pub content: Box<dyn Read + Send>,
}

/// The server's part.
pub trait Portable: Send + Sync + 'static {
    type Payload: Payload;

    /// What is to be done, and on what. Cheap, but for the reading itself.
    fn open(&self, database: &Database, payload: Self::Payload) -> Result<Input, Failure>;

    /// Takes in a file that was made, before anything refers to it; a second one of a name takes the first one's place.
    fn keep(&self, run: &Run, payload: Self::Payload, name: &str, file: &mut dyn Read) -> Result<(), Failure>;

    /// Records the result, in the transaction that ends the job. The result may come from another machine: it is read
    /// like any input.
    fn record(&self, work: &UnitOfWork<'_>, payload: Self::Payload, result: Value) -> Result<()>;
}

/// [`Portable`] without its payload's type.
pub(super) trait Erased: Send + Sync {
    fn open(&self, database: &Database, payload: &str) -> Result<Input, Failure>;
    fn keep(&self, run: &Run, payload: &str, name: &str, file: &mut dyn Read) -> Result<(), Failure>;
    fn record(&self, work: &UnitOfWork<'_>, payload: &str, result: Value) -> Result<()>;
}

struct Typed<P>(P);

impl<P: Portable> Erased for Typed<P> {
    fn open(&self, database: &Database, payload: &str) -> Result<Input, Failure> {
        self.0.open(database, kind::read(payload)?)
    }

    fn keep(&self, run: &Run, payload: &str, name: &str, file: &mut dyn Read) -> Result<(), Failure> {
        self.0.keep(run, kind::read(payload)?, name, file)
    }

    fn record(&self, work: &UnitOfWork<'_>, payload: &str, result: Value) -> Result<()> {
        let payload = serde_json::from_str(payload).map_err(|e| Error::internal("reading a job's payload", e))?;
        self.0.record(work, payload, result)
    }
}

impl Kind {
    /// Jobs that can be done in the server or on a worker.
    pub fn portable<P: Portable>(work: Work, portable: P) -> Kind {
        debug_assert_eq!(work.kind, P::Payload::KIND);
        let portable: Arc<dyn Erased> = Arc::new(Typed(portable));
        let it = portable.clone();
        let handler = move |run: &Run, payload: &str| run_here(work, &it, run, payload);
        let mut kind = Kind::of(P::Payload::KIND, Arc::new(handler));
        kind.portable = Some(portable);
        kind
    }

    pub fn is_portable(&self) -> bool {
        self.portable.is_some()
    }
}

/// Does in this process what a worker does on its own machine.
fn run_here(work: Work, portable: &Arc<dyn Erased>, run: &Run, payload: &str) -> Result<Record, Failure> {
    let Input { order, mut content, .. } = portable.open(&run.database, payload)?;
    let scratch = scratch(&run.database, run.job)?;
    let input = scratch.path().join("input");
    let failed = |e| files::failed("making a job's input ready", e);
    let mut file = File::create_new(&input).map_err(failed)?;
    std::io::copy(&mut content, &mut file).map_err(failed)?;
    drop((file, content));
    let made = scratch.path().join("made");
    std::fs::create_dir(&made).map_err(failed)?;
    let watch = |percent| run.progress(percent);
    let Made { result, files, .. } =
        (work.run)(&Bench { order: &order, input: &input, scratch: &made, watch: &watch })?;
    for (name, path) in files {
        let mut file =
            File::open(&path).map_err(|e| Failure::Retry(format!("{name}, which was made, can't be read: {e}")))?;
        portable.keep(run, payload, &name, &mut file)?;
    }
    let (portable, payload) = (portable.clone(), payload.to_owned());
    Ok(Record::new(move |work| portable.record(work, &payload, result)))
}

/// A folder for one job's files, on the disk of the unit.
pub(super) fn scratch(database: &Database, job: JobId) -> Result<Scratch> {
    let folder = database.folder().jobs();
    std::fs::create_dir_all(&folder).map_err(|e| files::failed(&format!("making {}", folder.display()), e))?;
    // Two runs of a job may meet here for a moment.
    Scratch::within(&folder, &LeaseId::new(database.clock().now()).to_string())
        .map_err(|e| Error::internal(&format!("making room for the job {job}"), e))
}
