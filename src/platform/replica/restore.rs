//! A state of the database, out of a replica.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;

use super::listing::{Listing, Until};
use super::ltx::{Decoder, lock_page};
use super::place::Place;
use super::txid::{LtxFile, Txid};
use crate::platform::clock::Time;
use crate::platform::error::{Error, Result};

/// Pages that stand side by side are written together, up to so many bytes.
const RUN_BYTES: usize = 1 << 20;

/// Which state was restored.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub struct State {
    pub txid: Txid,
    /// When it was taken.
    pub timestamp: Time,
    /// How many files of the replica it was made of.
    pub files: usize,
}

/// Writes the state `until` of the replica at `place` to the new file `target`. `progress` hears how many bytes of how
/// many were read.
///
/// # Errors
/// If there is no such state; if a file of it is missing, damaged or not what its name says. `target` is gone then.
pub fn restore(place: &dyn Place, until: Until, target: &Path, progress: &mut dyn FnMut(u64, u64)) -> Result<State> {
    let listing = Listing::read(place).map_err(|e| Error::internal(&format!("reading {}", place.shown()), e))?;
    let chain = listing.plan(until).map_err(|e| Error::Internal(format!("{}: {e}", place.shown())))?;
    let failed = |e: io::Error| match e.kind() {
        io::ErrorKind::StorageFull => Error::DiskFull,
        _ => Error::internal(&format!("writing {}", target.display()), e),
    };
    let file = File::create_new(target).map_err(failed)?;
    let restored = apply_all(place, &chain, file, progress);
    if restored.is_err() {
        crate::platform::files::remove_database(target);
    }
    restored
}

fn apply_all(place: &dyn Place, chain: &[LtxFile], file: File, progress: &mut dyn FnMut(u64, u64)) -> Result<State> {
    let total = chain.iter().map(|file| file.bytes).sum();
    let mut before = 0;
    let mut target = Target { file, page_size: 0, pages: 0, run: Vec::new(), run_at: 0 };
    let mut state = None;
    for one in chain {
        let read = &mut |bytes| progress(before + bytes, total);
        let timestamp = apply(place, one, &mut target, read).map_err(|e| match e.kind() {
            io::ErrorKind::StorageFull => Error::DiskFull,
            _ => Error::Internal(format!("{}, {}: {e}", place.shown(), one.name)),
        })?;
        before += one.bytes;
        state = Some(State { txid: one.name.max, timestamp, files: chain.len() });
    }
    target.finish().map_err(|e| Error::internal("writing the restored database", e))?;
    state.ok_or_else(|| Error::Internal("the replica has no such state".into()))
}

/// Puts the pages of one file over those that are there.
fn apply(place: &dyn Place, one: &LtxFile, target: &mut Target, read: &mut dyn FnMut(u64)) -> io::Result<Time> {
    let counted = Counted { from: place.open(one.name)?, bytes: 0, next: 0, read };
    let mut decoder = Decoder::new(BufReader::with_capacity(64 * 1024, counted))?;
    let header = decoder.header;
    if (header.min, header.max) != (one.name.min, one.name.max) {
        return Err(wrong(format!("its name is false: it holds TXID {} to {}", header.min, header.max)));
    }
    target.begin(header.page_size)?;
    let grown = (target.pages + 1..=header.pages).filter(|page| *page != lock_page(header.page_size)).count();
    let (mut new, mut page) = (0, Vec::new());
    while let Some(number) = decoder.next(&mut page)? {
        new += usize::from(number > target.pages);
        target.write(number, &page)?;
    }
    if new != grown {
        return Err(wrong(format!("of {grown} new pages it holds {new}")));
    }
    target.pages = header.pages;
    Ok(header.timestamp)
}

/// The database as it grows.
struct Target {
    file: File,
    /// 0 before the first file.
    page_size: u32,
    pages: u32,
    /// Pages that stand side by side, and where the first belongs.
    run: Vec<u8>,
    run_at: u64,
}

impl Target {
    fn begin(&mut self, page_size: u32) -> io::Result<()> {
        if self.page_size != 0 && self.page_size != page_size {
            return Err(wrong(format!("its pages have {page_size} bytes, those before it {}", self.page_size)));
        }
        self.page_size = page_size;
        Ok(())
    }

    fn write(&mut self, number: u32, page: &[u8]) -> io::Result<()> {
        let at = u64::from(number - 1) * u64::from(self.page_size);
        if at != self.run_at + self.run.len() as u64 || self.run.len() >= RUN_BYTES {
            self.flush()?;
            self.run_at = at;
        }
        self.run.extend(page);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.run.is_empty() {
            self.file.seek(SeekFrom::Start(self.run_at))?;
            self.file.write_all(&self.run)?;
            self.run.clear();
        }
        Ok(())
    }

    /// Cuts off what a later state no longer has, and brings all to the disk.
    fn finish(mut self) -> io::Result<()> {
        self.flush()?;
        self.file.set_len(u64::from(self.pages) * u64::from(self.page_size))?;
        self.file.sync_all()
    }
}

/// Tells how much was read, once in a while.
struct Counted<'a, R> {
    from: R,
    bytes: u64,
    next: u64,
    read: &'a mut dyn FnMut(u64),
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.from.read(buffer)?;
        self.bytes += length as u64;
        if self.bytes >= self.next {
            (self.read)(self.bytes);
            self.next = self.bytes + RUN_BYTES as u64;
        }
        Ok(length)
    }
}

fn wrong(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
