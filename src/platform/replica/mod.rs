//! The replica: every change of the database, at another place, within a second.

mod folder;
pub mod ltx;
mod lz4;
pub mod place;
mod s3;
pub mod txid;
