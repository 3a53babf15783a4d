//! What changes between a request's beginning and its effect.

use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::TestApp;

/// Sends a `PATCH` but for the last byte of its body, waits for `meanwhile`, sends that, and returns the status.
async fn held_back(app: &TestApp, path: &str, token: &str, body: &str, meanwhile: impl Future<Output = ()>) -> u16 {
    let address = app.origin.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).await.unwrap();
    let (first, last) = body.split_at(body.len() - 1);
    let head = format!(
        "PATCH {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{first}",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    // So that it has been let in; were it not, the test would pass for a lesser reason, never fail for none.
    tokio::time::sleep(Duration::from_millis(300)).await;
    meanwhile.await;
    stream.write_all(last.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer[9..12].parse().unwrap()
}

#[tokio::test]
async fn who_is_demoted_while_their_request_arrives_can_not_promote_themselves_again() {
    let app = TestApp::start().await;
    let (_, first) = app.person("first@example.org", "owner");
    let (second_id, second) = app.person("second@example.org", "owner");
    let path = format!("/api/people/{second_id}");

    let status = held_back(&app, &path, &second, r#"{"role":"owner"}"#, async {
        let demoted = app.request(reqwest::Method::PATCH, &path).json(&json!({ "role": "member" }));
        assert_eq!(demoted.bearer_auth(&first).send().await.unwrap().status(), 200);
    });

    assert_eq!(status.await, 403);
    let now = app.get(&path).bearer_auth(&first).send().await.unwrap().json::<serde_json::Value>().await.unwrap();
    assert_eq!(now["user"]["role"], "member");
}

#[tokio::test]
async fn who_is_signed_out_while_their_request_arrives_changes_nothing() {
    let app = TestApp::start().await;
    let (id, token) = app.person("ann@example.org", "member");
    let path = format!("/api/profiles/{id}");

    let status = held_back(&app, &path, &token, r#"{"bio":"still here"}"#, async {
        let ended = app.request(reqwest::Method::DELETE, "/api/sessions/current").bearer_auth(&token);
        assert_eq!(ended.send().await.unwrap().status(), 204);
    });

    assert_eq!(status.await, 401);
}
