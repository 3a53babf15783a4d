//! The audit trail: who did what, with before and after, and never a secret.

use serde_json::{Value, json};

use crate::support::{PASSWORD, TestApp};

#[tokio::test]
async fn a_change_is_written_down_with_who_before_and_after() {
    let app = TestApp::start().await;
    let (owner_id, owner) = app.person("owner@example.org", "owner");
    let ann = app.sign_up("ann@example.org").await;
    let id = ann["user"]["id"].as_str().unwrap();
    let change = app.ask(&format!("PATCH /api/people/{id}"), &owner, json!({ "role": "staff" })).await;

    let entries = app.ask(&format!("GET /api/audit?subject={id}"), &owner, Value::Null).await.body;

    let newest = &entries["items"][0];
    assert_eq!(newest["action"], "person.changed");
    assert_eq!(newest["actor"], owner_id.as_str());
    assert_eq!(newest["via"], "api");
    assert_eq!(newest["request"], change.header("x-request-id"));
    assert_eq!((&newest["before"]["role"], &newest["after"]["role"]), (&json!("member"), &json!("staff")));
    let first = entries["items"].as_array().unwrap().last().unwrap();
    assert_eq!((&first["action"], &first["actor"]), (&json!("person.signed_up"), &json!(id)));
    assert_eq!(first["after"]["profile"]["display_name"], "Ann Lee");
}

#[tokio::test]
async fn what_was_refused_or_changed_nothing_is_not_written_down() {
    let app = TestApp::start().await;
    let (id, owner) = app.person("owner@example.org", "owner");
    let count = async || {
        let page = app.ask("GET /api/audit?limit=100", &owner, Value::Null).await;
        page.body["items"].as_array().unwrap().len()
    };
    let before = count().await;

    app.ask("POST /api/people", &owner, json!({ "email": "owner@example.org", "display_name": "Again" })).await;
    app.ask(&format!("PATCH /api/people/{id}"), &owner, json!({ "role": "member" })).await;
    app.ask(&format!("PATCH /api/people/{id}"), &owner, json!({ "role": "owner" })).await;
    app.ask(&format!("PATCH /api/profiles/{id}"), &owner, json!({ "display_name": "owner" })).await;
    app.ask("POST /api/sessions", "", json!({ "email": "owner@example.org", "password": PASSWORD })).await;

    assert_eq!(count().await, before);
}

#[tokio::test]
async fn pages_follow_one_another_from_the_newest() {
    let app = TestApp::start().await;
    let (_, owner) = app.person("owner@example.org", "owner");
    for n in 0..5 {
        app.ask("POST /api/people", &owner, json!({ "email": format!("p{n}@example.org"), "display_name": "P" })).await;
    }

    let whole = app.ask("GET /api/audit?limit=100", &owner, Value::Null).await.body;
    let mut seen = Vec::new();
    let mut next = String::new();
    loop {
        let page = app.ask(&format!("GET /api/audit?limit=2{next}"), &owner, Value::Null).await.body;
        seen.extend(page["items"].as_array().unwrap().clone());
        match page["next_cursor"].as_str() {
            Some(cursor) => next = format!("&cursor={cursor}"),
            None => break,
        }
    }

    assert_eq!(json!(seen), whole["items"]);
    let ids: Vec<_> = seen.iter().map(|entry| entry["id"].as_str().unwrap()).collect();
    assert!(ids.is_sorted_by(|a, b| a > b));
}

#[tokio::test]
async fn no_secret_is_in_the_trail_nor_anywhere_in_the_database() {
    let mut app = TestApp::start().await;
    let (_, owner) = app.person("owner@example.org", "owner");
    let ann = app.sign_up("ann@example.org").await;
    let (id, token) = (ann["user"]["id"].as_str().unwrap(), ann["token"].as_str().unwrap());
    let new = "quarry ladder 92 moss";
    app.ask("PUT /api/me/password", token, json!({ "old": PASSWORD, "new": new })).await;
    let link = app.ask(&format!("POST /api/people/{id}/password-link"), &owner, Value::Null).await.body;
    let link = link["url"].as_str().unwrap().rsplit_once('/').unwrap().1.to_owned();
    let newest = "hollow lantern 17 fern";
    assert_eq!(
        app.ask(&format!("POST /api/password-links/{link}"), "", json!({ "password": newest })).await.status,
        204
    );

    let trail = app.ask("GET /api/audit?limit=100", &owner, Value::Null).await.text;
    let actions = ["password.changed", "password_link.issued", "password.set", "token.issued"];
    assert!(actions.iter().all(|action| trail.contains(action)), "{trail}");
    app.stop();
    let database = std::fs::read(app.folder.join("ashlar.db")).unwrap();
    for secret in [PASSWORD, new, newest, token, &owner, &link] {
        assert!(!trail.contains(secret));
        assert!(!database.windows(secret.len()).any(|window| window == secret.as_bytes()), "{secret}");
    }
}
