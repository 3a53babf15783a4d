//! Metering: what is used while it is used, and for whom. Counts since the process started; `costs` keeps the history.
//!
//! Whoever works for a request, a job or nobody in particular does so in a *stretch* ([`brief`], [`long`], [`request`]),
//! which is charged to an *account*: a route, a job's kind, a background task. Its SQL is borne by the *room* that owns
//! the statement, the rest by the account's own room. On the way of a request there are relaxed counters, and no lock that anybody writes under.

mod account;
mod latency;
mod room;
mod spans;
mod stretch;

pub use account::{
    Account, BACKGROUND, COMMITS_NAME, Kind, Reading, Used, accounts, background, commits, cpu_by_room, job, module_of,
    route,
};
pub use latency::Latencies;
pub use room::{Room, room, rooms};
pub use spans::{Action, Span, spans};
pub use stretch::{
    Carried, Ticket, brief, carried, children, dispatch, job as run_job, long, long_in, process_cpu, request, touching,
};
