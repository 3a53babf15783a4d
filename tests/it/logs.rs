//! The log: every request with its id, never a secret.

use std::fs::File;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::{PASSWORD, TestApp, program};

#[tokio::test]
async fn every_line_about_a_request_has_its_id_and_none_a_secret() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let mut command = program();
    command.stderr(Stdio::from(File::create(&path).unwrap()));
    let mut app = TestApp::start_as(command, folder.path(), &["--log", "debug"]).await;
    let (_, owner) = app.person("owner@example.org", "owner");
    let ann = app.sign_up("ann@example.org").await;
    let (id, token) = (ann["user"]["id"].as_str().unwrap(), ann["token"].as_str().unwrap());
    let wrong =
        app.ask("POST /api/sessions", "", json!({ "email": "ann@example.org", "password": "wrong-secret-9" })).await;
    app.ask("POST /api/sessions", "", json!({ "email": "ann@example.org", "password": 73_519_824_660_u64 })).await;
    app.ask("PUT /api/me/password", token, json!({ "old": ["nested-secret-1"], "new": PASSWORD })).await;
    app.ask(&format!("PATCH /api/people/{id}"), &owner, json!({ "role": "secret-role-7" })).await;
    let link = app.ask(&format!("POST /api/people/{id}/password-link"), &owner, Value::Null).await.body;
    let link = link["url"].as_str().unwrap().rsplit_once('/').unwrap().1.to_owned();
    let redeem = format!("POST /api/password-links/{link}");
    app.ask(&redeem, "", json!({ "password": "quarry ladder 92 moss" })).await;
    app.ask(&redeem, "", json!({ "password": "quarry ladder 92 moss" })).await;
    app.get(&format!("/password/{link}")).send().await.unwrap();
    app.get("/api/nothing%0d%0aforged?token=query-secret-3").send().await.unwrap();
    app.stop();

    let log = std::fs::read_to_string(path).unwrap();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let requests: Vec<_> = lines.iter().filter(|line| line["message"] == "answered").collect();
    assert!(requests.len() >= 10);
    assert!(requests.iter().all(|line| line["span"]["id"].is_string() && line["span"]["path"].is_string()));
    let of_wrong = requests.iter().find(|line| line["span"]["id"] == wrong.header("x-request-id")).unwrap();
    assert_eq!((&of_wrong["status"], &of_wrong["why"]), (&json!(401), &json!("wrong address or password")));
    let secrets =
        [PASSWORD, "quarry ladder", "wrong-secret", "73519824660", "nested-secret", "secret-role", "query-secret"];
    for secret in secrets.into_iter().chain([token, &owner, &link]) {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
}
