//! Wid gets: API and pages.

use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

use crate::support::TestApp;

const NO_ID: &str = "00000000-0000-7000-8000-000000000000";

/// Adds a wid get of `user`.
pub async fn add(app: &TestApp, staff: &str, user: &str, title: &str) -> Value {
    let form = json!({ "user_id": user, "title": title, "text": title });
    let added = app.post("/api/wid-gets", &form).bearer_auth(staff).send().await.unwrap();
    assert_eq!(added.status(), StatusCode::CREATED);
    added.json().await.unwrap()
}

fn path_of(widget: &Value) -> String {
    format!("/api/wid-gets/{}", widget["id"].as_str().unwrap())
}

/// A request of a page, as a browser sends it.
fn page(app: &TestApp, method: Method, path: &str, staff: &str) -> RequestBuilder {
    app.request(method, path).header("cookie", format!("ashlar={staff}")).header("sec-fetch-site", "same-origin")
}

fn post_form(app: &TestApp, path: &str, staff: &str, form: &[(&str, &str)]) -> RequestBuilder {
    page(app, Method::POST, path, staff)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(serde_urlencoded::to_string(form).unwrap())
}

async fn json_of(request: RequestBuilder) -> Value {
    request.send().await.unwrap().json().await.unwrap()
}

fn wrong_fields(problem: &Value) -> Vec<&str> {
    problem["errors"].as_array().unwrap().iter().map(|error| error["field"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn one_that_is_added_is_shown_listed_and_written_down() {
    let app = TestApp::start().await;
    let (id, staff) = app.person("owner@example.org", "owner");

    let one = add(&app, &staff, &id, "First").await;

    let shown = app.get(&path_of(&one)).bearer_auth(&staff).send().await.unwrap();
    assert_eq!(shown.headers()["etag"], "\"1\"");
    assert_eq!(shown.json::<Value>().await.unwrap(), one);
    let list = json_of(app.get("/api/wid-gets").bearer_auth(&staff)).await;
    assert_eq!(list["items"], json!([one]));
    let subject = one["id"].as_str().unwrap();
    let audit = json_of(app.get(&format!("/api/audit?subject={subject}")).bearer_auth(&staff)).await;
    assert_eq!(audit["items"][0]["action"], "widget.added");
    assert_eq!(audit["items"][0]["before"], Value::Null);
    assert_eq!(audit["items"][0]["after"], one);
}

#[tokio::test]
async fn a_list_goes_on_at_its_cursor() {
    let app = TestApp::start().await;
    let (id, staff) = app.person("owner@example.org", "owner");
    for title in ["First", "Second", "Third"] {
        add(&app, &staff, &id, title).await;
    }

    let first = json_of(app.get("/api/wid-gets?limit=2").bearer_auth(&staff)).await;
    let cursor = first["next_cursor"].as_str().unwrap();
    let rest = json_of(app.get(&format!("/api/wid-gets?limit=2&cursor={cursor}")).bearer_auth(&staff)).await;

    assert_eq!(first["items"].as_array().unwrap().len(), 2);
    assert_eq!(rest["items"][0]["title"], "Third");
    assert_eq!(rest["next_cursor"], Value::Null);
}

#[tokio::test]
async fn the_same_key_adds_once() {
    let app = TestApp::start().await;
    let (id, staff) = app.person("owner@example.org", "owner");
    let form = json!({ "user_id": id, "title": "Once" });
    let send = || app.post("/api/wid-gets", &form).bearer_auth(&staff).header("Idempotency-Key", "a-key").send();

    let (first, again) = (send().await.unwrap(), send().await.unwrap());

    assert_eq!((first.status(), again.status()), (StatusCode::CREATED, StatusCode::CREATED));
    assert_eq!(again.headers()["idempotency-replayed"], "true");
    assert_eq!(first.json::<Value>().await.unwrap(), again.json::<Value>().await.unwrap());
    let list = json_of(app.get("/api/wid-gets").bearer_auth(&staff)).await;
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_change_of_another_version_is_refused() {
    let app = TestApp::start().await;
    let (id, staff) = app.person("owner@example.org", "owner");
    let one = add(&app, &staff, &id, "First").await;
    let change = |tag: &'static str, title: &str| {
        let request = app.request(Method::PATCH, &path_of(&one)).bearer_auth(&staff).header("If-Match", tag);
        request.json(&json!({ "title": title })).send()
    };

    let changed = change("\"1\"", "Second").await.unwrap();
    let stale = change("\"1\"", "Third").await.unwrap();

    assert_eq!((changed.status(), stale.status()), (StatusCode::OK, StatusCode::PRECONDITION_FAILED));
    assert_eq!(changed.headers()["etag"], "\"2\"");
    let shown = json_of(app.get(&path_of(&one)).bearer_auth(&staff)).await;
    assert_eq!((&shown["title"], &shown["text"]), (&json!("Second"), &json!("First")));
    let stale = app.request(Method::DELETE, &path_of(&one)).bearer_auth(&staff).header("If-Match", "\"1\"");
    assert_eq!(stale.send().await.unwrap().status(), StatusCode::PRECONDITION_FAILED);
}

#[tokio::test]
async fn one_that_is_deleted_is_gone_and_its_audit_entry_says_what_it_was() {
    let app = TestApp::start().await;
    let (id, staff) = app.person("owner@example.org", "owner");
    let one = add(&app, &staff, &id, "First").await;

    let deleted = app.request(Method::DELETE, &path_of(&one)).bearer_auth(&staff).send().await.unwrap();

    assert_eq!(deleted.status(), StatusCode::NO_CONTENT);
    assert_eq!(app.get(&path_of(&one)).bearer_auth(&staff).send().await.unwrap().status(), StatusCode::NOT_FOUND);
    let subject = one["id"].as_str().unwrap();
    let audit = json_of(app.get(&format!("/api/audit?subject={subject}")).bearer_auth(&staff)).await;
    assert_eq!((&audit["items"][0]["before"], &audit["items"][0]["after"]), (&one, &Value::Null));
}

#[tokio::test]
async fn wrong_fields_are_named_and_nothing_is_saved() {
    let app = TestApp::start().await;
    let (id, staff) = app.person("owner@example.org", "owner");
    for (form, field) in [
        (json!({ "user_id": id, "title": " " }), "title"),
        (json!({ "user_id": id, "title": "x".repeat(201) }), "title"),
        (json!({ "user_id": id, "title": "First", "text": "\u{0}" }), "text"),
        (json!({ "user_id": id }), "title"),
        (json!({ "user_id": id, "title": "First", "colour": "red" }), "colour"),
        (json!({ "user_id": NO_ID, "title": "First" }), "user_id"),
        (json!({ "user_id": "ann", "title": "First" }), "user_id"),
    ] {
        let refused = app.post("/api/wid-gets", &form).bearer_auth(&staff).send().await.unwrap();
        assert_eq!(refused.status(), StatusCode::UNPROCESSABLE_ENTITY, "{form}");
        assert_eq!(wrong_fields(&refused.json().await.unwrap()), [field]);
    }
    let list = json_of(app.get("/api/wid-gets").bearer_auth(&staff)).await;
    assert_eq!(list["items"], json!([]));
}

#[tokio::test]
async fn what_is_not_there_is_a_404() {
    let app = TestApp::start().await;
    let (_, staff) = app.person("owner@example.org", "owner");
    for id in [NO_ID, "first"] {
        for (method, api) in [(Method::GET, true), (Method::PATCH, true), (Method::DELETE, true), (Method::GET, false)] {
            let path = format!("{}/wid-gets/{id}", if api { "/api" } else { "" });
            let request = app.request(method.clone(), &path).bearer_auth(&staff);
            let request = request.header("cookie", format!("ashlar={staff}"));
            let request = if method == Method::PATCH { request.json(&json!({})) } else { request };
            assert_eq!(request.send().await.unwrap().status(), StatusCode::NOT_FOUND, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn they_are_for_staff_only() {
    let app = TestApp::start().await;
    let (id, staff) = app.person("owner@example.org", "owner");
    let (_, member) = app.person("member@example.org", "member");
    let one = path_of(&add(&app, &staff, &id, "First").await);
    let form = json!({ "user_id": id, "title": "Second" });
    let requests = || {
        [
            app.get("/api/wid-gets"),
            app.get(&one),
            app.post("/api/wid-gets", &form),
            app.request(Method::PATCH, &one).json(&json!({})),
            app.request(Method::DELETE, &one),
        ]
    };

    for request in requests() {
        assert_eq!(request.bearer_auth(&member).send().await.unwrap().status(), StatusCode::FORBIDDEN);
    }
    for request in requests() {
        assert_eq!(request.send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    }
    for path in ["/wid-gets", "/wid-gets/add"] {
        let refused = page(&app, Method::GET, path, &member).send().await.unwrap();
        assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    }
}

#[tokio::test]
async fn a_closed_account_takes_them_along() {
    let app = TestApp::start().await;
    let (_, staff) = app.person("owner@example.org", "owner");
    let (id, _) = app.person("member@example.org", "member");
    let one = add(&app, &staff, &id, "First").await;
    let export = json_of(app.get(&format!("/api/people/{id}/export")).bearer_auth(&staff)).await;
    assert_eq!(export["modules"]["widgets"], json!([one]));

    let closed = app.request(Method::DELETE, &format!("/api/people/{id}")).bearer_auth(&staff).send().await.unwrap();

    assert_eq!(closed.status(), StatusCode::NO_CONTENT);
    assert_eq!(app.get(&path_of(&one)).bearer_auth(&staff).send().await.unwrap().status(), StatusCode::NOT_FOUND);
    let subject = one["id"].as_str().unwrap();
    let audit = json_of(app.get(&format!("/api/audit?subject={subject}")).bearer_auth(&staff)).await;
    assert_eq!(audit["items"][0]["after"], Value::Null);
}

#[tokio::test]
async fn the_pages_add_show_edit_and_delete() {
    let app = TestApp::start().await;
    let (id, staff) = app.person("owner@example.org", "owner");

    let empty = page(&app, Method::GET, "/wid-gets", &staff).send().await.unwrap().text().await.unwrap();
    assert!(empty.contains("No wid gets yet"), "{empty}");
    assert!(empty.contains("<a href=\"/wid-gets\" aria-current=\"page\">Wid gets</a>"), "{empty}");

    let form = [("user_id", id.as_str()), ("title", "<b>First</b>"), ("text", "Two\nlines")];
    let added = post_form(&app, "/wid-gets/add", &staff, &form).send().await.unwrap();
    assert_eq!(added.status(), StatusCode::SEE_OTHER);
    let path = added.headers()["location"].to_str().unwrap().to_owned();
    let shown = page(&app, Method::GET, &path, &staff).send().await.unwrap().text().await.unwrap();
    assert!(shown.contains("First&#60;/b&#62;") && !shown.contains("<b>First"), "{shown}");

    let form = [("title", "Second"), ("text", ""), ("version", "1")];
    let edited = post_form(&app, &format!("{path}/edit"), &staff, &form).send().await.unwrap();
    assert_eq!((edited.status(), edited.headers()["location"].to_str().unwrap()), (StatusCode::SEE_OTHER, &*path));
    let list = page(&app, Method::GET, "/wid-gets", &staff).send().await.unwrap().text().await.unwrap();
    assert!(list.contains("Second"), "{list}");

    let asked = page(&app, Method::GET, &format!("{path}/delete"), &staff).send().await.unwrap();
    assert_eq!(asked.status(), StatusCode::OK);
    let form = [("version", "2")];
    let deleted = post_form(&app, &format!("{path}/delete"), &staff, &form).send().await.unwrap();
    assert_eq!(deleted.headers()["location"], "/wid-gets");
    assert_eq!(page(&app, Method::GET, &path, &staff).send().await.unwrap().status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_refused_form_shows_what_was_typed_and_what_is_wrong() {
    let app = TestApp::start().await;
    let (id, staff) = app.person("owner@example.org", "owner");
    let one = add(&app, &staff, &id, "First").await;
    let edit = format!("/wid-gets/{}/edit", one["id"].as_str().unwrap());

    let form = [("user_id", NO_ID), ("title", "Typed title"), ("text", "Typed text")];
    let refused = post_form(&app, "/wid-gets/add", &staff, &form).send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let shown = refused.text().await.unwrap();
    for part in ["Typed title", "Typed text", NO_ID, "id=\"user_id-error\""] {
        assert!(shown.contains(part), "{part} is not in {shown}");
    }

    let form = [("title", ""), ("text", "Typed text"), ("version", "1")];
    let refused = post_form(&app, &edit, &staff, &form).send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let shown = refused.text().await.unwrap();
    assert!(shown.contains("Typed text") && shown.contains("id=\"title-error\""), "{shown}");

    let form = [("title", "Second"), ("text", "Typed text"), ("version", "7")];
    let refused = post_form(&app, &edit, &staff, &form).send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::PRECONDITION_FAILED);
    assert!(refused.text().await.unwrap().contains("Typed text"));
}

#[tokio::test]
async fn the_api_document_tells_of_them() {
    let app = TestApp::start().await;

    let document = json_of(app.get("/api/openapi.json")).await;

    let operations = |path: &str| document["paths"][path].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(operations("/api/wid-gets"), ["get", "post"]);
    assert_eq!(operations("/api/wid-gets/{id}"), ["delete", "get", "patch"]);
    assert!(document["components"]["schemas"]["Widget"].is_object());
}
