//! `/wid-gets`: pages over the same changes as the API.

use askama::Template;
use serde::Deserialize;
use warp::path as at;
use warp::reply::Response;

use super::api::{self, ListQuery};
use super::{NewWidget, Widget, WidgetChange, WidgetId, Widgets};
use crate::platform::Platform;
use crate::platform::error::Result;
use crate::platform::http::{self, Cursor, Refusal, Request, Routes, Saved, answers, on};

pub(super) fn routes(platform: &Platform) -> Option<Routes> {
    http::either([
        on(platform).get(list).at(at!("wid-gets")),
        on(platform).get(show_add).post(add).at(at!("wid-gets" / "add")),
        on(platform).get(show).at(at!("wid-gets" / String)),
        on(platform).get(show_edit).post(edit).at(at!("wid-gets" / String / "edit")),
        on(platform).get(show_delete).post(delete).at(at!("wid-gets" / String / "delete")),
    ])
}

#[derive(Template)]
#[template(path = "modules/widgets/templates/list.html", config = "src/askama.toml")]
struct List {
    items: Vec<Widget>,
    is_first: bool,
    next: Option<String>,
}

#[derive(Template)]
#[template(path = "modules/widgets/templates/show.html", config = "src/askama.toml")]
struct Show {
    it: Widget,
}

#[derive(Template)]
#[template(path = "modules/widgets/templates/add.html", config = "src/askama.toml")]
struct Add<'a> {
    it: NewWidget,
    refused: &'a Refusal,
}

#[derive(Template)]
#[template(path = "modules/widgets/templates/edit.html", config = "src/askama.toml")]
struct Edit<'a> {
    id: WidgetId,
    /// As it is saved.
    title: String,
    it: Typed,
    refused: &'a Refusal,
}

#[derive(Template)]
#[template(path = "modules/widgets/templates/delete.html", config = "src/askama.toml")]
struct Delete<'a> {
    it: Widget,
    refused: &'a Refusal,
}

/// A wid get as typed, with the version that was edited.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Typed {
    title: String,
    text: String,
    version: i64,
}

/// Which version a button was pressed on.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Seen {
    version: i64,
}

fn tag(version: i64) -> String {
    format!("\"{version}\"")
}

/// `GET /wid-gets`
async fn list(platform: Platform, request: Request) -> Result<Response> {
    let query: Result<ListQuery> = request.query();
    let is_first = query.as_ref().is_ok_and(|query| query.cursor.is_none());
    let find = platform.look("widgets_page", &request, move |snapshot, who| api::find(snapshot, who, query));
    let (viewer, found) = find.await?;
    let next = found.next_cursor.as_ref().map(Cursor::text);
    let content = List { items: found.items, is_first, next };
    platform.show(&request.head, &viewer, "Wid gets", &Refusal::default(), &content)
}

/// `GET /wid-gets/{id}`
async fn show(platform: Platform, request: Request<String>) -> Result<Response> {
    let (viewer, it) = look(&platform, "widget_page", &request).await?;
    let title = it.title.clone();
    platform.show(&request.head, &viewer, &title, &Refusal::default(), &Show { it })
}

/// `GET /wid-gets/add`
async fn show_add(platform: Platform, request: Request) -> Result<Response> {
    add_page(&platform, &request, NewWidget::default(), Refusal::default()).await
}

/// `POST /wid-gets/add`
async fn add(platform: Platform, mut request: Request) -> Result<Response> {
    let who = api::staff(&platform, &request).await?;
    let form: NewWidget = request.form().await?;
    let call = request.call(Some(&who))?;
    match api::add(&platform, call, form.clone()).await.and_then(Saved::fresh) {
        Ok(widget) => answers::see_other(&format!("/wid-gets/{}", widget.id)),
        Err(error) => add_page(&platform, &request, form, Refusal::of(error)?).await,
    }
}

async fn add_page(platform: &Platform, request: &Request, it: NewWidget, refused: Refusal) -> Result<Response> {
    let (viewer, ()) = platform.look("add_widget_page", request, |_, who| who.must_be_staff()).await?;
    platform.show(&request.head, &viewer, "Add a wid get", &refused, &Add { it, refused: &refused })
}

/// `GET /wid-gets/{id}/edit`
async fn show_edit(platform: Platform, request: Request<String>) -> Result<Response> {
    edit_page(&platform, &request, None, Refusal::default()).await
}

/// `POST /wid-gets/{id}/edit`
async fn edit(platform: Platform, mut request: Request<String>) -> Result<Response> {
    let who = api::staff(&platform, &request).await?;
    let id = WidgetId::parse(&request.path, "wid get")?;
    let form: Typed = request.form().await?;
    let change = WidgetChange { title: Some(form.title.clone()), text: Some(form.text.clone()) };
    match api::edit(&platform, request.caller(&who), id, change, Some(tag(form.version))).await {
        Ok(_) => answers::see_other(&format!("/wid-gets/{id}")),
        Err(error) => edit_page(&platform, &request, Some(form), Refusal::of(error)?).await,
    }
}

async fn edit_page(
    platform: &Platform,
    request: &Request<String>,
    typed: Option<Typed>,
    refused: Refusal,
) -> Result<Response> {
    let (viewer, Widget { id, title, text, version, .. }) = look(platform, "edit_widget_page", request).await?;
    let it = typed.unwrap_or_else(|| Typed { title: title.clone(), text, version });
    let heading = format!("Edit {title}");
    platform.show(&request.head, &viewer, &heading, &refused, &Edit { id, title, it, refused: &refused })
}

/// `GET /wid-gets/{id}/delete`
async fn show_delete(platform: Platform, request: Request<String>) -> Result<Response> {
    delete_page(&platform, &request, Refusal::default()).await
}

/// `POST /wid-gets/{id}/delete`
async fn delete(platform: Platform, mut request: Request<String>) -> Result<Response> {
    let who = api::staff(&platform, &request).await?;
    let id = WidgetId::parse(&request.path, "wid get")?;
    let Seen { version } = request.form().await?;
    match api::remove(&platform, request.caller(&who), id, Some(tag(version))).await {
        Ok(()) => answers::see_other("/wid-gets"),
        Err(error) => delete_page(&platform, &request, Refusal::of(error)?).await,
    }
}

async fn delete_page(platform: &Platform, request: &Request<String>, refused: Refusal) -> Result<Response> {
    let (viewer, it) = look(platform, "delete_widget_page", request).await?;
    let heading = format!("Delete {}?", it.title);
    platform.show(&request.head, &viewer, &heading, &refused, &Delete { it, refused: &refused })
}

/// The wid get of the address, and who looks at it.
async fn look(
    platform: &Platform,
    name: &'static str,
    request: &Request<String>,
) -> Result<(http::page::Viewer, Widget)> {
    let id = WidgetId::parse(&request.path, "wid get");
    platform
        .look(name, request, move |snapshot, who| {
            who.must_be_staff()?;
            Widgets.get(snapshot, id?)
        })
        .await
}
