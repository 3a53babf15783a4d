//! Ashlar: the back office of a small company in one binary and one SQLite file.
//!
//! Arrows run one way: `main → commands → app → use_cases → modules → platform`.

pub mod platform;
