//! What ends more than the statement it met: errors of the machine, and panics.

use std::panic::{AssertUnwindSafe, catch_unwind};

use rusqlite::{ErrorCode, ffi};

use crate::platform::error::{Error, Result};

/// What no member of a group survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fatal {
    TransactionLost,
    Locked,
    DiskFull,
    InputOutput,
    OutOfMemory,
    Corrupt,
    FsyncFailed,
}

impl Fatal {
    /// Whether `error` ends the whole transaction, or may have.
    pub fn of(error: &rusqlite::Error) -> Option<Fatal> {
        let rusqlite::Error::SqliteFailure(failure, _) = error else { return None };
        match failure.code {
            ErrorCode::DiskFull => Some(Fatal::DiskFull),
            ErrorCode::SystemIoFailure if is_fsync(failure.extended_code) => Some(Fatal::FsyncFailed),
            // The WAL's index found no room to grow.
            ErrorCode::SystemIoFailure if failure.extended_code == ffi::SQLITE_IOERR_SHMSIZE => Some(Fatal::DiskFull),
            ErrorCode::SystemIoFailure => Some(Fatal::InputOutput),
            ErrorCode::OutOfMemory => Some(Fatal::OutOfMemory),
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => Some(Fatal::Corrupt),
            ErrorCode::OperationInterrupted => Some(Fatal::TransactionLost),
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Some(Fatal::Locked),
            // The commit hook's veto: something tried to commit outside the writer's own commit.
            _ if failure.extended_code == ffi::SQLITE_CONSTRAINT_COMMITHOOK => Some(Fatal::TransactionLost),
            _ => None,
        }
    }

    pub fn to_error(self) -> Error {
        match self {
            Fatal::TransactionLost => Error::Lost("a statement ended it"),
            Fatal::Locked => Error::Lost("another process holds the database"),
            Fatal::DiskFull => Error::DiskFull,
            Fatal::InputOutput => Error::Lost("the disk reported an error"),
            Fatal::OutOfMemory => Error::Lost("memory ran out"),
            Fatal::Corrupt => Error::Internal("the database file is damaged: run `ashlar doctor`".into()),
            Fatal::FsyncFailed => Error::Uncertain,
        }
    }
}

fn is_fsync(extended_code: i32) -> bool {
    matches!(extended_code, ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_DIR_FSYNC)
}

/// What `body` returns; a panic in it is an error, and what runs on after it has seen nothing half-changed: the
/// transaction or savepoint is rolled back.
pub(super) fn caught<T>(name: &str, body: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|panic| {
        let said = panic
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("without a message");
        Err(Error::Internal(format!("`{name}` panicked: {said}")))
    })
}
