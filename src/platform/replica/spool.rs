//! A file of the replica while it is encoded: in memory as long as it is small, and then on the unit's own disk. So the state
//! it is made of is held no longer than that takes, whatever becomes of the place meanwhile: the WAL can't start over before.

use std::fs::File;
use std::io::{self, BufReader, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::Arc;

use super::place::Place;
use super::txid::LtxName;
use crate::platform::clock::Time;
use crate::platform::db::Folder;
use crate::platform::files;

const MEMORY_BYTES: usize = 4 << 20;
const COPY_BYTES: usize = 256 * 1024;

pub(super) struct Spool {
    place: Arc<dyn Place>,
    name: LtxName,
    timestamp: Time,
    memory: Vec<u8>,
    /// What was written before that.
    large: Option<File>,
    path: PathBuf,
}

impl Spool {
    /// For the file `name` of `place`; what does not fit into memory may lie in `folder`.
    pub fn new(place: Arc<dyn Place>, name: LtxName, timestamp: Time, folder: &Folder) -> Spool {
        let path = folder.path().join("replica.spool");
        Spool { place, name, timestamp, memory: Vec::new(), large: None, path }
    }

    /// Brings all of it to the place, and gives it its name.
    ///
    /// # Errors
    /// As [`Upload::finish`].
    pub fn send(mut self) -> io::Result<()> {
        let mut upload = self.place.create(self.name, self.timestamp)?;
        if let Some(large) = &mut self.large {
            large.seek(SeekFrom::Start(0))?;
            io::copy(&mut BufReader::with_capacity(COPY_BYTES, large), &mut upload)?;
        }
        upload.write_all(&self.memory)?;
        upload.finish()
    }

    fn move_to_disk(&mut self) -> io::Result<()> {
        let large = match self.large.take() {
            Some(large) => large,
            None => {
                let unfinished = files::unfinished(&self.path);
                let file = File::options().create(true).truncate(true).read(true).write(true).open(&unfinished)?;
                // Nobody else needs its name, and a killed process leaves nothing.
                std::fs::remove_file(&unfinished)?;
                file
            }
        };
        self.large.insert(large).write_all(&self.memory)?;
        self.memory.clear();
        Ok(())
    }
}

impl Write for Spool {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.memory.len() + bytes.len() > MEMORY_BYTES {
            self.move_to_disk()
                .map_err(|e| io::Error::new(e.kind(), format!("writing {}: {e}", self.path.display())))?;
        }
        self.memory.extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
