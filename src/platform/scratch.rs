//! A folder for what is needed for a moment only.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::platform::error::{Error, Result};
use crate::platform::files;

/// Removed when dropped; where its process was killed, by the next one that makes one there.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    _held: File,
}

impl Scratch {
    /// Makes one for `purpose` in the folder `parent`.
    pub fn within(parent: &Path, purpose: &str) -> Result<Scratch> {
        // One at a time: until it is held, a new one looks as if a process before us had left it.
        static TURN: Mutex<()> = Mutex::new(());
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let path = files::unfinished(&parent.join(purpose));
        let failed = |e| files::failed(&format!("making {}", path.display()), e);
        files::remove_left_over(parent).map_err(failed)?;
        fs::create_dir(&path).map_err(failed)?;
        let held = File::open(&path).map_err(failed)?;
        held.try_lock().map_err(|e| Error::internal(&format!("holding {}", path.display()), e))?;
        Ok(Scratch { path, _held: held })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            tracing::warn!(folder = %self.path.display(), %error, "could not remove a temporary folder");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_are_made_at_once_leave_one_another_alone() {
        let folder = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let parent = folder.path();
                scope.spawn(move || {
                    for n in 0..200 {
                        let scratch = Scratch::within(parent, &format!("{thread}-{n}")).unwrap();
                        std::fs::write(scratch.path().join("file"), "").unwrap();
                    }
                });
            }
        });

        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
