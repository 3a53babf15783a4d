//! Black-box tests of the whole program: one file a feature.

mod boundaries;
mod sign_up;
mod support;
