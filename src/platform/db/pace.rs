//! Writing much without others noticing.
//!
//! A commit's fsync may have to wait for what others have written and not yet synced: so that is never much. While one
//! piece is written the one before is synced, and a piece is as large as the disk syncs in a moment.

use std::ffi::c_int;
use std::fs::File;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use crate::platform::error::{Error, Result};
use crate::platform::files;

/// In pages: 256 KiB to 4 MiB of the usual size.
const LEAST: c_int = 64;
const FIRST: c_int = 512;
const MOST: c_int = 1024;
/// A piece that takes longer to sync is followed by a smaller one.
const LONG: Duration = Duration::from_millis(12);
/// One that takes less is followed by a larger one.
const SHORT: Duration = Duration::from_millis(6);

/// Calls `write` with a number of pages to write to `file` until it returns false, and syncs what it has written.
pub(super) fn paced(file: &File, mut write: impl FnMut(c_int) -> Result<bool>) -> Result<()> {
    let pages = AtomicI32::new(FIRST);
    std::thread::scope(|scope| {
        // Whoever sends waits until the piece before is synced.
        let (written, to_sync) = sync_channel(0);
        let syncer = scope.spawn(|| sync_each(file, to_sync, &pages));
        let mut all = || {
            loop {
                let more = write(pages.load(Ordering::Relaxed))?;
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

fn sync_each(file: &File, to_sync: Receiver<()>, pages: &AtomicI32) -> Result<()> {
    for () in to_sync {
        let start = Instant::now();
        file.sync_data().map_err(|e| files::failed("syncing a copy", e))?;
        let now = pages.load(Ordering::Relaxed);
        pages.store(next(now, start.elapsed()), Ordering::Relaxed);
    }
    Ok(())
}

/// How many pages are written next, where `pages` took `time` to sync.
fn next(pages: c_int, time: Duration) -> c_int {
    match time {
        time if time > LONG => (pages / 2).max(LEAST),
        time if time < SHORT => (pages * 2).min(MOST),
        _ => pages,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_disk_gets_small_pieces_and_a_quick_one_large_ones() {
        let after = |start, ms| (0..20).fold(start, |pages, _| next(pages, Duration::from_millis(ms)));
        assert_eq!(after(FIRST, 200), LEAST);
        assert_eq!(after(FIRST, 1), MOST);
        assert_eq!(after(FIRST, 9), FIRST);
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
