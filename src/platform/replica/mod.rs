//! The replica: every change of the database, at another place, within a second.

mod folder;
mod ltx;
mod lz4;
mod place;
mod txid;
