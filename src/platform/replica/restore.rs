//! A state of the database, out of a replica.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use super::listing::{Listing, Until};
use super::ltx::{Decoder, lock_page};
use super::place::Place;
use super::txid::{LtxFile, Txid};
use crate::platform::clock::Time;
use crate::platform::error::{Error, Result};
use crate::platform::files;

/// Pages that stand side by side are written together, up to so many bytes.
const RUN_BYTES: usize = 1 << 20;
/// So much is brought to the disk at once, while the next is decoded. Never much more than twice that waits there: the
/// commits of a unit that serves meanwhile would have to wait with it.
const PIECE_BYTES: usize = 8 << 20;

/// A replica that is in use is merged meanwhile, and what was merged goes: so often is looked again at what lies there.
const LOOKS: u32 = 5;

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
    let chain = plan(place, until)?;
    let failed = |e: io::Error| match e.kind() {
        io::ErrorKind::StorageFull => Error::DiskFull,
        _ => Error::internal(&format!("writing {}", target.display()), e),
    };
    let file = File::create_new(target).map_err(failed)?;
    let restored = apply_all(place, chain, until, file, progress);
    if restored.is_err() {
        files::remove_database(target);
    }
    restored
}

/// The files that make up the state `until` now.
fn plan(place: &dyn Place, until: Until) -> Result<Vec<LtxFile>> {
    let listing = Listing::read(place).map_err(|e| Error::internal(&format!("reading {}", place.shown()), e))?;
    listing.plan(until).map_err(|e| Error::Internal(format!("{}: {e}", place.shown())))
}

fn apply_all(
    place: &dyn Place,
    chain: Vec<LtxFile>,
    until: Until,
    file: File,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<State> {
    let failed = |e| files::failed("writing the restored database", e);
    std::thread::scope(|scope| {
        let (written, to_sync) = sync_channel(0);
        let syncer = scope.spawn(|| sync_each(&file, to_sync));
        let mut target =
            Target { file: &file, page_size: 0, pages: 0, run: Vec::new(), run_at: 0, unsynced: 0, written };
        let applied = apply_each(place, chain, until, &mut target, progress);
        let finished = target.finish();
        // It was told to: else a fault of the disk would be known to it alone.
        syncer.join().unwrap_or_else(|_| Err(io::Error::other("syncing panicked"))).map_err(failed)?;
        let state = applied?;
        finished.and_then(|()| file.sync_all()).map_err(failed)?;
        Ok(state)
    })
}

/// Brings each piece to the disk; ends when nothing is written any more, or at the first failure.
fn sync_each(file: &File, written: Receiver<()>) -> io::Result<()> {
    written.iter().try_for_each(|()| file.sync_data())
}

fn apply_each(
    place: &dyn Place,
    mut chain: Vec<LtxFile>,
    until: Until,
    target: &mut Target,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<State> {
    let (mut looks, mut before, mut files) = (1, 0, 0);
    let mut state: Option<State> = None;
    loop {
        let reached = state.map_or(Txid(0), |state| state.txid);
        let Some(one) = chain.iter().find(|file| file.name.max > reached).copied() else { break };
        let left: u64 = chain.iter().filter(|file| file.name.max > reached).map(|file| file.bytes).sum();
        let read = &mut |bytes| progress(before + bytes, before + left);
        match apply(place, &one, target, read) {
            Ok(timestamp) => {
                before += one.bytes;
                files += 1;
                state = Some(State { txid: one.name.max, timestamp, files });
            }
            // Others lead on from where we are: whatever has changed since is in them as well.
            Err(e) if e.kind() == io::ErrorKind::NotFound && looks < LOOKS => {
                looks += 1;
                chain = plan(place, until)?;
            }
            Err(e) if e.kind() == io::ErrorKind::StorageFull => return Err(Error::DiskFull),
            Err(e) => return Err(Error::Internal(format!("{}, {}: {e}", place.shown(), one.name))),
        }
    }
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
struct Target<'a> {
    file: &'a File,
    /// 0 before the first file.
    page_size: u32,
    pages: u32,
    /// Pages that stand side by side, and where the first belongs.
    run: Vec<u8>,
    run_at: u64,
    /// Bytes that were written since the last piece.
    unsynced: usize,
    /// Takes a piece once the one before is on the disk.
    written: SyncSender<()>,
}

impl Target<'_> {
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
        self.file.write_all_at(&self.run, self.run_at)?;
        self.unsynced += self.run.len();
        self.run.clear();
        if self.unsynced >= PIECE_BYTES {
            self.unsynced = 0;
            self.written.send(()).map_err(|_| io::Error::other("what was written could not be synced"))?;
        }
        Ok(())
    }

    /// Cuts off what a later state no longer has.
    fn finish(mut self) -> io::Result<()> {
        self.flush()?;
        self.file.set_len(u64::from(self.pages) * u64::from(self.page_size))
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

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::super::ltx::{Encoder, Header};
    use super::super::place;
    use super::super::txid::{LtxName, SNAPSHOTS};
    use super::*;

    const PAGE: usize = 4096;

    /// A file whose page `n` holds what `content` says.
    fn put(place: &dyn Place, name: LtxName, pages: u32, numbers: impl Iterator<Item = u32>, content: fn(u32) -> u8) {
        let header = Header {
            page_size: PAGE as u32,
            pages,
            min: name.min,
            max: name.max,
            timestamp: Time::from_ms(name.max.0 as i64),
        };
        let mut encoder = Encoder::new(Vec::new(), header).unwrap();
        numbers.for_each(|number| encoder.page(number, &[content(number); PAGE]).unwrap());
        let mut upload = place.create(name, header.timestamp).unwrap();
        upload.write_all(&encoder.finish().unwrap().1).unwrap();
        upload.finish().unwrap();
    }

    #[test]
    fn a_state_of_several_pieces_is_whole_and_later_pages_win() {
        let folder = tempfile::tempdir().unwrap();
        let place = place::at(&format!("file://{}/replica", folder.path().display())).unwrap();
        let pages = (3 * PIECE_BYTES / PAGE) as u32;
        put(&*place, LtxName::new(SNAPSHOTS, Txid(1), Txid(5)), pages, 1..=pages, |number| number as u8);
        put(&*place, LtxName::new(0, Txid(6), Txid(6)), pages - 7, (3..=pages - 7).step_by(1000), |_| 255);

        let target = folder.path().join("restored.db");
        let state = restore(&*place, Until::End, &target, &mut |_, _| {}).unwrap();

        assert_eq!((state.txid, state.files), (Txid(6), 2));
        let restored = std::fs::read(&target).unwrap();
        assert_eq!(restored.len(), (pages - 7) as usize * PAGE);
        for (page, number) in restored.chunks(PAGE).zip(1..) {
            let wanted = if number % 1000 == 3 { 255 } else { number as u8 };
            assert!(page.iter().all(|byte| *byte == wanted), "page {number}");
        }
    }

    /// Just before the file `gone` is opened for the first time, it is merged with what follows upon it.
    struct MergedMeanwhile {
        place: std::sync::Arc<dyn Place>,
        gone: [LtxName; 2],
        merge: std::sync::Once,
    }

    impl Place for MergedMeanwhile {
        fn open(&self, name: LtxName) -> io::Result<Box<dyn Read + Send>> {
            if name == self.gone[0] {
                self.merge.call_once(|| {
                    let merged = LtxName::new(1, self.gone[0].min, self.gone[1].max);
                    put(&*self.place, merged, 9, [2, 3, 9].into_iter(), |_| 7);
                    self.place.remove(&self.gone).unwrap();
                });
            }
            self.place.open(name)
        }

        fn list(&self, level: u8) -> io::Result<Vec<LtxFile>> {
            self.place.list(level)
        }

        fn create(&self, name: LtxName, timestamp: Time) -> io::Result<Box<dyn place::Upload>> {
            self.place.create(name, timestamp)
        }

        fn remove(&self, names: &[LtxName]) -> io::Result<()> {
            self.place.remove(names)
        }

        fn read_note(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
            self.place.read_note(name)
        }

        fn write_note(&self, name: &str, content: &[u8]) -> io::Result<()> {
            self.place.write_note(name, content)
        }

        fn lock(&self) -> io::Result<Option<Box<dyn place::Held>>> {
            self.place.lock()
        }

        fn is_far(&self) -> bool {
            self.place.is_far()
        }

        fn shown(&self) -> String {
            self.place.shown()
        }
    }

    #[test]
    fn what_is_merged_and_removed_meanwhile_is_taken_from_where_it_went() {
        let folder = tempfile::tempdir().unwrap();
        let place = place::at(&format!("file://{}/replica", folder.path().display())).unwrap();
        put(&*place, LtxName::new(SNAPSHOTS, Txid(1), Txid(5)), 8, 1..=8, |_| 5);
        let gone = [6, 7].map(|txid| LtxName::new(0, Txid(txid), Txid(txid)));
        put(&*place, gone[0], 8, [2].into_iter(), |_| 6);
        put(&*place, gone[1], 9, [2, 3, 9].into_iter(), |_| 7);
        let place = MergedMeanwhile { place, gone, merge: std::sync::Once::new() };

        let target = folder.path().join("restored.db");
        let state = restore(&place, Until::End, &target, &mut |_, _| {}).unwrap();

        assert_eq!((state.txid, state.files), (Txid(7), 2));
        let restored = std::fs::read(&target).unwrap();
        let pages: Vec<u8> = restored.chunks(PAGE).map(|page| page[0]).collect();
        assert_eq!(pages, [5, 7, 7, 5, 5, 5, 5, 5, 7]);
        // What is gone for good is an error still.
        place.remove(&[LtxName::new(SNAPSHOTS, Txid(1), Txid(5))]).unwrap();
        std::fs::remove_file(&target).unwrap();
        assert!(restore(&place, Until::End, &target, &mut |_, _| {}).is_err() && !target.exists());
    }

    #[test]
    fn an_increment_that_lacks_a_new_page_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let place = place::at(&format!("file://{}/replica", folder.path().display())).unwrap();
        put(&*place, LtxName::new(SNAPSHOTS, Txid(1), Txid(5)), 8, 1..=8, |_| 5);
        put(&*place, LtxName::new(0, Txid(6), Txid(6)), 10, [1, 10].into_iter(), |_| 6);

        let target = folder.path().join("restored.db");
        let error = restore(&*place, Until::End, &target, &mut |_, _| {}).unwrap_err();

        assert!(error.to_string().contains("of 2 new pages it holds 1"), "{error}");
        assert!(!target.exists());
        assert!(restore(&*place, Until::Txid(Txid(5)), &target, &mut |_, _| {}).is_ok());
    }

    #[test]
    fn of_a_damaged_file_nothing_is_left_however_much_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let place = place::at(&format!("file://{}/replica", folder.path().display())).unwrap();
        let pages = (3 * PIECE_BYTES / PAGE) as u32;
        let name = LtxName::new(SNAPSHOTS, Txid(1), Txid(5));
        put(&*place, name, pages, 1..=pages, |number| number as u8);
        let file = folder.path().join(format!("replica/ltx/9/{}", name.file_name()));
        let mut bytes = std::fs::read(&file).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(&file, bytes).unwrap();

        let target = folder.path().join("restored.db");
        let error = restore(&*place, Until::End, &target, &mut |_, _| {}).unwrap_err();

        assert!(error.to_string().contains("checksum"), "{error}");
        assert!(!target.exists());
    }
}
