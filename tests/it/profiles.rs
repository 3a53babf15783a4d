//! Reading and editing profiles.

use serde_json::{Value, json};

use crate::support::TestApp;

#[tokio::test]
async fn what_is_absent_stays_and_what_is_null_goes() {
    let app = TestApp::start().await;
    let (id, ann) = app.person("ann@example.org", "member");
    let edit = format!("PATCH /api/profiles/{id}");

    let change = json!({ "bio": "One\r\nTwo", "locale": "de-CH", "time_zone": "europe/zurich", "pronouns": "she/her" });
    let first = app.ask(&edit, &ann, change).await.body;
    let second = app.ask(&edit, &ann, json!({ "bio": null, "display_name": "  Ann O\u{301}  " })).await.body;

    assert_eq!(first["bio"], "One\nTwo");
    assert_eq!(first["time_zone"], "Europe/Zurich");
    assert_eq!(second["bio"], Value::Null);
    assert_eq!(second["locale"], "de-CH");
    assert_eq!(second["display_name"], "Ann Ó");
    assert_eq!(app.ask(&format!("GET /api/profiles/{id}"), &ann, Value::Null).await.body, second);
}

#[tokio::test]
async fn all_wrong_fields_are_named_and_nothing_is_changed() {
    let app = TestApp::start().await;
    let (id, ann) = app.person("ann@example.org", "member");
    let before = app.ask(&format!("GET /api/profiles/{id}"), &ann, Value::Null).await;

    let wrong = json!({ "display_name": "a\u{202e}b", "locale": "?", "time_zone": "Mars/Olympus", "phone": "me", "pronouns": "x".repeat(41) });
    let answer = app.ask(&format!("PATCH /api/profiles/{id}"), &ann, wrong).await;

    assert_eq!(answer.status, 422);
    assert_eq!(answer.wrong_fields(), ["display_name", "locale", "time_zone", "pronouns", "phone"]);
    let null = app.ask(&format!("PATCH /api/profiles/{id}"), &ann, json!({ "display_name": null })).await;
    assert_eq!((null.status, null.wrong_fields()), (422, vec!["display_name"]));
    assert_eq!(app.ask(&format!("GET /api/profiles/{id}"), &ann, Value::Null).await.body, before.body);
}

#[tokio::test]
async fn a_change_of_another_version_is_refused() {
    let app = TestApp::start().await;
    let (id, ann) = app.person("ann@example.org", "member");
    let seen = app.ask(&format!("GET /api/profiles/{id}"), &ann, Value::Null).await;
    let edit = |bio: &str| app.asking(&format!("PATCH /api/profiles/{id}"), &ann, json!({ "bio": bio }));

    let first = app.send(edit("one").header("if-match", seen.header("etag"))).await;
    assert_eq!(first.status, 200);
    assert_ne!(first.header("etag"), seen.header("etag"));

    let unreadable = reqwest::header::HeaderValue::from_bytes(b"\"\xff\"").unwrap();
    for tag in [seen.headers["etag"].clone(), "W/\"2\"".parse().unwrap(), "2".parse().unwrap(), unreadable] {
        let refused = app.send(edit("two").header("if-match", tag)).await;
        assert_eq!((refused.status, refused.problem()), (412, "stale"));
    }
    let any_of = format!("\"x\", {}", first.header("etag"));
    assert_eq!(app.send(edit("three").header("if-match", any_of)).await.status, 200);
    assert_eq!(app.send(edit("four").header("if-match", "*")).await.status, 200);
    // What changes nothing makes no new version.
    let same = app.send(edit("four")).await;
    assert_eq!(
        same.header("etag"),
        app.ask(&format!("GET /api/profiles/{id}"), &ann, Value::Null).await.header("etag")
    );
}
