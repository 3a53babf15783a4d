//! Signing up.

use serde_json::json;

use crate::support::{PASSWORD, TestApp};

#[tokio::test]
async fn a_person_is_saved_whole_and_signed_in() {
    let app = TestApp::start().await;

    let ann = app.sign_up("ann@example.org").await;

    let me = app.get("/api/me").bearer_auth(ann["token"].as_str().unwrap()).send().await.unwrap();
    let me: serde_json::Value = me.json().await.unwrap();
    assert_eq!(me["user"], ann["user"]);
    assert_eq!(me["profile"]["display_name"], "Ann Lee");
    assert_eq!(me["account"]["currency"], "EUR");
}

#[tokio::test]
async fn a_taken_address_is_a_409_problem_and_writes_nothing() {
    let app = TestApp::start().await;
    let (_, owner) = app.person("owner@example.org", "owner");
    app.sign_up("ann@example.org").await;

    let second = json!({ "email": "ANN@example.org", "password": PASSWORD, "display_name": "Ann" });
    let second = app.post("/api/sign-up", &second).send().await.unwrap();

    assert_eq!(second.status(), 409);
    assert_eq!(second.headers()["content-type"], "application/problem+json");
    let people: serde_json::Value =
        app.get("/api/people").bearer_auth(owner).send().await.unwrap().json().await.unwrap();
    assert_eq!(people["items"].as_array().unwrap().len(), 2);
}
