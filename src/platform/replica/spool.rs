//! A file of the replica while it is encoded: in memory as long as it is small, so that the state it is made of is held no
//! longer than that takes, however long the place does. The WAL can't start over meanwhile.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::Arc;

use super::place::{Place, Upload};
use super::txid::LtxName;
use crate::platform::clock::Time;
use crate::platform::db::Folder;
use crate::platform::files;

const MEMORY_BYTES: usize = 4 << 20;

pub(super) struct Spool {
    place: Arc<dyn Place>,
    name: LtxName,
    timestamp: Time,
    memory: Vec<u8>,
    /// What was written before that.
    large: Option<Large>,
    path: PathBuf,
}

/// Where it goes once it is large.
enum Large {
    /// A file of the unit's folder: a network takes too long.
    Here(File),
    There(Box<dyn Upload>),
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
        let mut upload = match self.large.take() {
            Some(Large::There(upload)) => upload,
            Some(Large::Here(mut file)) => {
                file.seek(SeekFrom::Start(0))?;
                let mut upload = self.place.create(self.name, self.timestamp)?;
                io::copy(&mut file, &mut upload)?;
                upload
            }
            None => self.place.create(self.name, self.timestamp)?,
        };
        upload.write_all(&self.memory)?;
        upload.finish()
    }

    fn begin_large(&self) -> io::Result<Large> {
        if !self.place.is_far() {
            return Ok(Large::There(self.place.create(self.name, self.timestamp)?));
        }
        let unfinished = files::unfinished(&self.path);
        let file = File::options().create(true).truncate(true).read(true).write(true).open(&unfinished)?;
        // Nobody else needs its name, and a killed process leaves nothing.
        std::fs::remove_file(&unfinished)?;
        Ok(Large::Here(file))
    }
}

impl Write for Spool {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.memory.len() + bytes.len() > MEMORY_BYTES {
            let large = match self.large.take() {
                Some(large) => large,
                None => self.begin_large()?,
            };
            match self.large.insert(large) {
                Large::Here(file) => file.write_all(&self.memory)?,
                Large::There(upload) => upload.write_all(&self.memory)?,
            }
            self.memory.clear();
        }
        self.memory.extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
