//! Black-box tests of the whole program: one file a feature.
#![allow(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

mod browser;
mod pages;
mod sign_up;
mod support;
