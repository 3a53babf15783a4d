//! HTTP: routes, requests within limits, answers, problems, and the page shell.
//!
//! Owns `idempotency_records`.

pub mod answers;
mod connections;
pub mod cookies;
mod events;
mod forms;
mod idempotency;
mod listener;
mod lists;
pub mod openapi;
mod origin;
pub mod page;
mod problem;
mod request;
mod routes;
mod service;
mod socket;
mod upload;

pub use connections::{Drained, ListenerStats};
pub use events::events;
pub use forms::{Refusal, initial, label_of, sentence};
pub use idempotency::{Call, Saved, erase, replayed, sweep, write};
pub use listener::{Leave, Limits, Peer, raise_file_limit, serve as listen};
pub use lists::{Cursor, Limit};
pub use origin::Proxies;
pub use problem::{Problem, error_response, problem_response};
pub use request::{Head, Request};
pub use routes::{On, Routes, either, nothing_here, of_room, on};
pub use service::{Service, SiteSettings};
pub use upload::IncomingFile;
