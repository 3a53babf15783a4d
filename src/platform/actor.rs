//! Who asks for a change, and through what.

use super::ids::UserId;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Actor {
    /// The person; none where nobody is signed in, or the program itself acts.
    pub user: Option<UserId>,
    pub via: Via,
    /// The request, so that log, answer and audit trail can be put together.
    pub request: Option<RequestId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    Api,
    Page,
    CommandLine,
    System,
}

impl Via {
    pub fn as_str(self) -> &'static str {
        match self {
            Via::Api => "api",
            Via::Page => "page",
            Via::CommandLine => "command line",
            Via::System => "system",
        }
    }
}

/// Names one request in log lines, answers and the audit trail.
pub type RequestId = super::ids::Id<Actor>;

impl Actor {
    pub fn command_line() -> Self {
        Actor { user: None, via: Via::CommandLine, request: None }
    }

    pub fn system() -> Self {
        Actor { user: None, via: Via::System, request: None }
    }
}
