//! `/modules`: the map of the program.

use askama::Template;
use warp::reply::Response;

use super::read;
use crate::platform::error::Result;
use crate::platform::http::{Refusal, Request};
use crate::use_cases::costs::Bookkeeper;
use crate::use_cases::module_map::{Access, ModuleMap};

#[derive(Template)]
#[template(path = "use_cases/console/templates/modules.html", config = "src/askama.toml")]
struct Modules<'a> {
    map: &'a ModuleMap,
}

/// `GET /modules`
pub(super) async fn show(it: Bookkeeper, request: Request) -> Result<Response> {
    let (viewer, ()) = read(&it.app, "modules_page", &request, |_, _, who| who.must_be_staff()).await?;
    it.app.platform.show(&request.head, &viewer, "Modules", &Refusal::default(), &Modules { map: &it.map })
}
