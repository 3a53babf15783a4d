//! What it would cost a module to leave: the transactions that span it, and the calls that would go over the network. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::platform::metering::{Action, Kind, Span};

/// The calls of modules' faces in the use cases, as the source has them: use case, module, function.
static FACE_CALLS: &[(&str, &str, &str)] = include!(concat!(env!("OUT_DIR"), "/face_calls.rs"));

/// What it would cost one module to leave as a whole.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Leaving {
    pub module: String,
    /// Units of work that were seen to change its tables and others' in one transaction: they would have to be taken apart.
    pub transactions: Vec<Shared>,
    /// Reads that were seen to take one state of its tables and others': they would see two.
    pub reads: Vec<Shared>,
    /// What use cases call of its face, which would go over the network.
    pub calls: Vec<Calls>,
}

/// A unit of work, or a read, that a module shares.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Shared {
    #[schema(example = "sign_up")]
    pub name: String,
    /// The other modules in it.
    pub modules: Vec<String>,
    /// The parts of the platform in it, such as `audit`.
    pub platform: Vec<String>,
}

/// What one use case calls of a module's face.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Calls {
    pub use_case: String,
    pub functions: Vec<String>,
}

/// What can leave at no such cost: the work of jobs that needs no database.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct LeavesFreely {
    #[schema(example = "media.video")]
    pub kind: String,
    pub why: String,
}

impl LeavesFreely {
    pub fn new(kind: &str) -> LeavesFreely {
        let why = "its work is given a file, an order and an empty folder, and nothing else: no transaction can span it, and \
                   it calls no face. What needs the database, before and after it, stays in the server.";
        LeavesFreely { kind: kind.into(), why: why.into() }
    }
}

impl Leaving {
    pub fn is_free(&self) -> bool {
        self.transactions.is_empty() && self.reads.is_empty() && self.calls.is_empty()
    }
}

/// Of each of `modules`, in their order.
pub fn leaving(modules: &[&str], spans: &[Span]) -> Vec<Leaving> {
    modules.iter().map(|module| of_module(module, modules, spans, FACE_CALLS)).collect()
}

fn of_module(module: &str, modules: &[&str], spans: &[Span], calls: &[(&str, &str, &str)]) -> Leaving {
    let mut functions: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (use_case, _, function) in calls.iter().filter(|(_, owner, _)| *owner == module) {
        functions.entry(use_case).or_default().push((*function).to_owned());
    }
    Leaving {
        module: module.into(),
        transactions: shared(Action::Write, module, modules, spans),
        reads: shared(Action::Read, module, modules, spans),
        calls: functions
            .into_iter()
            .map(|(use_case, functions)| Calls { use_case: use_case.into(), functions })
            .collect(),
    }
}

/// What is done together with other modules. With the platform alone is no reason to stay: each machine has its own.
fn shared(action: Action, module: &str, modules: &[&str], spans: &[Span]) -> Vec<Shared> {
    // One name may be used for several: what ran on one behalf belongs together.
    let mut owners: BTreeMap<(&str, &(Kind, String)), BTreeSet<&str>> = BTreeMap::new();
    for span in spans.iter().filter(|span| span.action == action) {
        owners.entry((&span.name, &span.by)).or_default().insert(&span.owner);
    }
    let mut by_name: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for ((name, _), owners) in owners {
        let is_spanned =
            owners.contains(module) && owners.iter().any(|owner| *owner != module && modules.contains(owner));
        if is_spanned {
            by_name.entry(name).or_default().extend(owners);
        }
    }
    let one = |(name, owners): (&str, BTreeSet<&str>)| {
        let (others, platform): (Vec<&str>, Vec<&str>) =
            owners.into_iter().filter(|owner| *owner != module).partition(|owner| modules.contains(owner));
        let texts = |all: Vec<&str>| all.into_iter().map(str::to_owned).collect();
        Shared { name: name.into(), modules: texts(others), platform: texts(platform) }
    };
    by_name.into_iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODULES: [&str; 3] = ["billing", "media", "users"];

    fn span(action: Action, name: &str, owner: &str, by: &str) -> Span {
        Span { action, name: name.into(), owner: owner.into(), by: (Kind::Route, by.into()) }
    }

    #[test]
    fn a_transaction_spans_the_modules_whose_tables_were_used_in_it() {
        let spans = [
            span(Action::Write, "sign_up", "users", "POST /api/sign-up"),
            span(Action::Write, "sign_up", "billing", "POST /api/sign-up"),
            span(Action::Write, "sign_up", "audit", "POST /api/sign-up"),
            span(Action::Write, "upload", "media", "POST /api/media"),
            span(Action::Write, "upload", "audit", "POST /api/media"),
        ];

        let all = leaving(&MODULES, &spans);

        let with = |name: &str, modules: &[&str]| Shared {
            name: name.into(),
            modules: modules.iter().map(|name| (*name).to_owned()).collect(),
            platform: vec!["audit".into()],
        };
        assert_eq!(all[0].transactions, [with("sign_up", &["users"])]);
        assert_eq!(all[1].transactions, []);
        assert_eq!(all[2].transactions, [with("sign_up", &["billing"])]);
    }

    #[test]
    fn what_bears_one_name_on_two_behalves_is_not_one_transaction() {
        let spans = [span(Action::Write, "sweep", "users", "a"), span(Action::Write, "sweep", "billing", "b")];

        assert_eq!(leaving(&MODULES, &spans)[2].transactions, []);
    }

    #[test]
    fn the_calls_of_the_source_are_found() {
        let users = &leaving(&["users"], &[])[0];
        let calls = |use_case: &str| users.calls.iter().find(|calls| calls.use_case == use_case).unwrap();

        assert_eq!(calls("new_person").functions, ["register"]);
        assert!(calls("close_account").functions.iter().any(|function| function == "erase"), "{users:?}");
        assert!(calls("export_person").functions.iter().any(|function| function == "export"), "{users:?}");
        assert!(!users.is_free());
    }
}
