//! Buckets that speak S3: where one is, who is let in, and what its faults mean. Who keeps something there is told by the
//! one who uses it.

mod failure;
mod settings;

pub use failure::{Named, status};
pub use settings::{Settings, read};

use std::io;
use std::sync::LazyLock;
use std::time::Duration;

use tokio::runtime::Runtime;

use super::error::{Error, Result};

/// How long an answer may take to begin; what is sent or fetched with it gets more.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// The slowest line that is taken for one: 1 Mbit/s.
const SLOWEST_BYTES_PER_SECOND: u64 = 128 * 1024;

/// How long a request that carries so many bytes may take.
pub fn patience(bytes: u64) -> Duration {
    PATIENCE + Duration::from_secs(bytes / SLOWEST_BYTES_PER_SECOND)
}

/// Waits for the network, for all buckets. It is never dropped, which threads that serve requests may not do.
static RUNTIME: LazyLock<io::Result<Runtime>> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).thread_name("bucket").enable_all().build()
});

/// What threads that may wait for a bucket wait with.
pub fn runtime() -> Result<&'static Runtime> {
    RUNTIME.as_ref().map_err(|e| Error::internal("starting what waits for a bucket", e))
}
