//! `/modules`: the map of the program.

use std::sync::Arc;

use askama::Template;
use warp::reply::Response;

use super::{App, read};
use crate::platform::error::Result;
use crate::platform::http::{Refusal, Request};
use crate::use_cases::module_map::{Access, ModuleMap};

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
