//! What all modules share. It knows no module.

pub mod actor;
pub mod clock;
pub mod db;
pub mod error;
pub mod files;
pub mod ids;
