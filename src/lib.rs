//! Ashlar: the back office of a small company in one binary and one SQLite file.
//!
//! Arrows run one way: `main → commands → app → use_cases → modules → platform`.

pub mod app;
pub mod commands;
pub mod modules;
pub mod platform;
pub mod use_cases;
