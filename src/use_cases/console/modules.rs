//! The map of modules: what each is for, what it owns and uses, and who touches which table.

use std::sync::Arc;

use askama::Template;
use warp::reply::Response;

use super::{App, read};
use crate::platform::db::{Schema, Use};
use crate::platform::error::Result;
use crate::platform::http::{Refusal, Request};
use crate::platform::module::Declaration;

/// The program's parts and what they do with which table, as proven when it started.
#[derive(Debug)]
pub struct ModuleMap {
    modules: Vec<Part>,
    platform: Vec<Part>,
    uses: Vec<Use>,
}

/// A module, or a part of the platform, that owns tables.
#[derive(Debug)]
pub struct Part {
    pub name: &'static str,
    pub purpose: &'static str,
    pub uses: &'static [&'static str],
    pub tables: Vec<String>,
}

/// What a part does with one table.
enum Access {
    None,
    Read,
    Write,
    ReadAndWrite,
}

impl ModuleMap {
    /// `platform` names the parts of the platform that own tables, with their purposes.
    pub fn new(
        declarations: &[Declaration],
        platform: &[(&'static str, &'static str)],
        schema: &Schema,
        uses: Vec<Use>,
    ) -> ModuleMap {
        let part = |name: &'static str, purpose, uses| {
            let owned = schema.ownership().tables_of(name).filter(|table| !is_history(table));
            Part { name, purpose, uses, tables: owned.map(str::to_owned).collect() }
        };
        ModuleMap {
            modules: declarations.iter().map(|module| part(module.name, module.purpose, module.uses)).collect(),
            platform: platform.iter().map(|(name, purpose)| part(name, purpose, &[])).collect(),
            uses,
        }
    }

    /// The parts whose statements were proven. The kernel's own are not among them: it bears the proof.
    fn touching(&self) -> impl Iterator<Item = &Part> {
        let has_statements = |part: &&Part| self.uses.iter().any(|one| one.module == part.name);
        self.modules.iter().chain(&self.platform).filter(has_statements)
    }

    fn access(&self, part: &Part, table: &str) -> Access {
        match self.uses.iter().find(|one| one.module == part.name && one.table == table) {
            Some(Use { read: true, write: true, .. }) => Access::ReadAndWrite,
            Some(Use { write: true, .. }) => Access::Write,
            Some(Use { read: true, .. }) => Access::Read,
            _ => Access::None,
        }
    }
}

/// Which migrations have run: the migrations' own, no data.
fn is_history(table: &str) -> bool {
    table.starts_with("migrations_")
}

#[derive(Template)]
#[template(path = "use_cases/console/templates/modules.html", config = "src/askama.toml")]
struct Modules<'a> {
    map: &'a ModuleMap,
}

#[derive(Clone)]
pub(super) struct ModulesPage {
    app: App,
    map: Arc<ModuleMap>,
}

pub(super) fn page(app: &App, map: ModuleMap) -> ModulesPage {
    ModulesPage { app: app.clone(), map: Arc::new(map) }
}

/// `GET /modules`
pub(super) async fn show(page: ModulesPage, request: Request) -> Result<Response> {
    let (viewer, ()) = read(&page.app, "modules_page", &request, |_, _, who| who.must_be_staff()).await?;
    let content = Modules { map: &page.map };
    page.app.platform.show(&request.head, &viewer, "Modules", &Refusal::default(), &content)
}
