//! Writing much without others noticing.
//!
//! A commit's fsync may have to wait for what others have written and not yet synced: so that is never much: it is
//! synced piece by piece, and a piece is as large as the disk syncs in a moment.

use std::fs::File;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use super::error::{Error, Result};
use super::files;

/// Bytes of a piece.
const LEAST: u64 = 256 << 10;
const FIRST: u64 = 2 << 20;
const MOST: u64 = 4 << 20;
/// A piece that takes longer to sync is followed by a smaller one.
const LONG: Duration = Duration::from_millis(12);
/// One that takes less is followed by a larger one.
const SHORT: Duration = Duration::from_millis(6);

/// Calls `write` with how many bytes to write to `file` until it returns false. While one piece is written the one before is
/// synced.
pub fn paced(file: &File, mut write: impl FnMut(u64) -> Result<bool>) -> Result<()> {
    let piece = AtomicU64::new(FIRST);
    std::thread::scope(|scope| {
        // Whoever sends waits until the piece before is synced.
        let (written, to_sync) = sync_channel(0);
        let syncer = scope.spawn(|| sync_each(file, to_sync, &piece));
        let mut all = || {
            loop {
                let more = write(piece.load(Ordering::Relaxed))?;
                // Nobody takes it once a sync has failed, which is said below.
                if written.send(()).is_err() || !more {
                    return Ok(());
                }
            }
        };
        let wrote = all();
        drop(written);
        syncer.join().unwrap_or_else(|_| Err(Error::Internal("syncing a copy panicked".into()))).and(wrote)
    })
}

fn sync_each(file: &File, to_sync: Receiver<()>, piece: &AtomicU64) -> Result<()> {
    for () in to_sync {
        let now = piece.load(Ordering::Relaxed);
        piece.store(sync(file, now).map_err(|e| files::failed("syncing a copy", e))?, Ordering::Relaxed);
    }
    Ok(())
}

/// A file that syncs each piece before it takes the next; the last, which is not whole, is left to whoever closes it.
#[derive(Debug)]
pub struct PacedFile {
    file: File,
    piece: u64,
    /// Bytes written since the last sync.
    unsynced: u64,
}

impl PacedFile {
    pub fn new(file: File) -> PacedFile {
        PacedFile { file, piece: FIRST, unsynced: 0 }
    }

    pub fn into_inner(self) -> File {
        self.file
    }
}

impl Write for PacedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.unsynced += written as u64;
        if self.unsynced >= self.piece {
            self.piece = sync(&self.file, self.piece)?;
            self.unsynced = 0;
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Syncs a piece of so many bytes; returns how many the next may have.
fn sync(file: &File, piece: u64) -> io::Result<u64> {
    let start = Instant::now();
    file.sync_data()?;
    Ok(next(piece, start.elapsed()))
}

/// How many bytes are written next, where `piece` took `time` to sync.
fn next(piece: u64, time: Duration) -> u64 {
    match time {
        time if time > LONG => (piece / 2).max(LEAST),
        time if time < SHORT => (piece * 2).min(MOST),
        _ => piece,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_disk_gets_small_pieces_and_a_quick_one_large_ones() {
        let after = |start, ms| (0..20).fold(start, |piece, _| next(piece, Duration::from_millis(ms)));
        assert_eq!(after(FIRST, 200), LEAST);
        assert_eq!(after(FIRST, 1), MOST);
        assert_eq!(after(FIRST, 9), FIRST);
    }

    #[test]
    fn never_more_than_a_piece_waits_to_be_synced() {
        let mut file = PacedFile::new(tempfile::tempfile().unwrap());
        let part = vec![7; 100_000];
        for _ in 0..100 {
            file.write_all(&part).unwrap();
            assert!(file.unsynced < file.piece);
        }
        assert_eq!(file.into_inner().metadata().unwrap().len(), 10_000_000);
    }

    #[test]
    fn what_ends_the_writing_is_said() {
        let file = tempfile::tempfile().unwrap();
        let mut pieces = 0;
        let ended = paced(&file, |_| {
            pieces += 1;
            if pieces == 3 { Err(Error::DiskFull) } else { Ok(true) }
        });
        assert!(matches!(ended, Err(Error::DiskFull)) && pieces == 3);
    }
}
