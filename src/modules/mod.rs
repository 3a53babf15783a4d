//! The modules: each owns its tables and shows the others its face alone.

pub mod billing;
pub mod profiles;
pub mod users;
