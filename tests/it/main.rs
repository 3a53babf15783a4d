//! Black-box tests of the whole program: one file a feature.

mod boundaries;
mod new_module;
mod personal_data;
mod sign_up;
mod support;
