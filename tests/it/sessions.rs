//! Signing in and out.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{PASSWORD, TestApp};

#[tokio::test]
async fn whoever_knows_the_password_gets_a_session_of_their_own() {
    let app = TestApp::start().await;
    let ann = app.sign_up("ann@example.org").await;

    let session = sign_in(&app, " ANN@Example.org ", PASSWORD).await;

    assert_eq!(session.0, 201);
    assert_eq!(session.1["user"], ann["user"]);
    let (first, second) = (ann["token"].as_str().unwrap(), session.1["token"].as_str().unwrap());
    assert_ne!(first, second);
    let list = app.ask("GET /api/sessions", second, Value::Null).await;
    let items = list.body["items"].as_array().unwrap();
    let current: Vec<_> = items.iter().map(|session| session["current"].as_bool().unwrap()).collect();
    assert_eq!(current, [true, false], "newest first");
    assert!(!list.text.contains(second) && !list.text.contains(first));
}

#[tokio::test]
async fn signing_out_really_ends_the_session() {
    let app = TestApp::start().await;
    let first = app.sign_up("ann@example.org").await["token"].as_str().unwrap().to_owned();
    let second = sign_in(&app, "ann@example.org", PASSWORD).await.1["token"].as_str().unwrap().to_owned();
    let third = sign_in(&app, "ann@example.org", PASSWORD).await.1["token"].as_str().unwrap().to_owned();

    assert_eq!(app.ask("DELETE /api/sessions/current", &third, Value::Null).await.status, 204);

    assert_eq!(app.ask("GET /api/me", &third, Value::Null).await.status, 401);
    let list = app.ask("GET /api/sessions", &second, Value::Null).await.body;
    let other = list["items"].as_array().unwrap().iter().find(|s| s["current"] == false).unwrap();
    let end = format!("DELETE /api/sessions/{}", other["id"].as_str().unwrap());
    assert_eq!(app.ask(&end, &second, Value::Null).await.status, 204);
    assert_eq!(app.ask("GET /api/me", &first, Value::Null).await.status, 401);
    assert_eq!(app.ask(&end, &second, Value::Null).await.status, 404);
    assert_eq!(app.ask("DELETE /api/sessions", &second, Value::Null).await.status, 204);
    assert_eq!(app.ask("GET /api/me", &second, Value::Null).await.status, 401);
}

#[tokio::test]
async fn nobody_ends_the_session_of_another() {
    let app = TestApp::start().await;
    let ann = app.sign_up("ann@example.org").await["token"].as_str().unwrap().to_owned();
    let (_, owner) = app.person("owner@example.org", "owner");
    let list = app.ask("GET /api/sessions", &ann, Value::Null).await.body;
    let end = format!("DELETE /api/sessions/{}", list["items"][0]["id"].as_str().unwrap());

    assert_eq!(app.ask(&end, &owner, Value::Null).await.status, 404);
    assert_eq!(app.ask("GET /api/me", &ann, Value::Null).await.status, 200);
}

#[tokio::test]
async fn missing_altered_foreign_and_ended_tokens_are_refused_alike() {
    let app = TestApp::start().await;
    let token = app.sign_up("ann@example.org").await["token"].as_str().unwrap().to_owned();
    let mut altered = token.clone().into_bytes();
    altered[5] = if altered[5] == b'A' { b'B' } else { b'A' };
    let altered = String::from_utf8(altered).unwrap();

    for wrong in ["", "x", &altered, &token[1..], &format!("{token}A"), &"A".repeat(43), &"A".repeat(5000)] {
        let answer = app.ask("GET /api/me", wrong, Value::Null).await;
        assert_eq!(answer.status, 401, "{wrong}");
        assert_eq!(answer.header("www-authenticate"), "Bearer");
        assert_eq!(answer.problem(), "unauthenticated");
    }
    for header in [format!("Basic {token}"), token.clone(), format!("Bearer{token}"), "Bearer".into()] {
        let request = app.get("/api/me").header("authorization", header);
        assert_eq!(app.send(request).await.status, 401);
    }
    assert_eq!(app.send(app.get("/api/me").header("authorization", format!("bearer {token}"))).await.status, 200);
}

#[tokio::test]
async fn the_cookie_of_pages_does_not_open_the_api() {
    let app = TestApp::start().await;
    let (_, token) = app.person("owner@example.org", "owner");

    for name in ["ashlar", "__Host-ashlar"] {
        let request = app.get("/api/me").header("cookie", format!("{name}={token}"));
        assert_eq!(app.send(request).await.status, 401);
        let request = app.get("/metrics").header("cookie", format!("{name}={token}"));
        assert_eq!(app.send(request).await.status, 401);
    }
}

#[tokio::test]
async fn a_session_ends_when_its_time_is_over_and_lets_nobody_in_who_is_disabled_or_gone() {
    for change in
        ["UPDATE auth_sessions SET expires_at = 1000000", "UPDATE users SET state = 'disabled'", "DELETE FROM users"]
    {
        let mut app = TestApp::start().await;
        let token = app.sign_up("ann@example.org").await["token"].as_str().unwrap().to_owned();
        app.stop();
        rusqlite::Connection::open(app.folder.join("ashlar.db")).unwrap().execute(change, []).unwrap();

        let again = TestApp::start_in(&app.folder, &[]).await;

        assert_eq!(again.ask("GET /api/me", &token, Value::Null).await.status, 401, "{change}");
    }
}

#[tokio::test]
async fn a_wrong_address_is_answered_like_a_wrong_password_and_takes_as_long() {
    let app = TestApp::start().await;
    app.sign_up("ann@example.org").await;
    let (_, owner) = app.person("owner@example.org", "owner");
    let (gone, _) = app.person("gone@example.org", "member");
    app.ask(&format!("PATCH /api/people/{gone}"), &owner, json!({ "state": "disabled" })).await;

    // A person; nobody; what is no address; someone without a password; someone disabled.
    let emails = ["ann@example.org", "bob@example.org", "ann", "owner@example.org", "gone@example.org"];
    let mut times = [(); 5].map(|()| Vec::new());
    let mut answers = Vec::new();
    for round in 0..75 {
        let start = Instant::now();
        let (status, mut body) = sign_in(&app, emails[round % 5], "wrong-wrong-wrong").await;
        times[round % 5].push(start.elapsed());
        body["request_id"] = Value::Null;
        answers.push((status, body));
    }
    // The middle one of each, since what else runs on the machine makes some slower.
    let typical = times.map(|mut times: Vec<Duration>| {
        times.sort();
        times[times.len() / 2]
    });

    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    assert_eq!(answers[0].0, 401);
    let (least, most) = (*typical.iter().min().unwrap(), *typical.iter().max().unwrap());
    // Hashing takes tens of milliseconds, all else a few: one that is not hashed for is faster many times over.
    assert!(most < least * 4, "{typical:?}");
}

#[tokio::test]
async fn a_form_on_another_site_is_refused() {
    let app = TestApp::start().await;
    let (_, token) = app.person("ann@example.org", "member");
    let end = || app.asking("DELETE /api/sessions", &token, Value::Null);

    for (name, value) in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("sec-fetch-site", "nonsense"),
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("origin", "http://127.0.0.1:1"),
    ] {
        assert_eq!(app.send(end().header(name, value)).await.status, 403, "{name}: {value}");
    }
    assert_eq!(
        app.send(app.get("/api/me").bearer_auth(&token).header("sec-fetch-site", "cross-site")).await.status,
        200
    );
    assert_eq!(app.send(end().header("origin", &app.origin)).await.status, 204);
}

#[tokio::test]
async fn behind_a_proxy_the_public_name_is_ours() {
    let app = TestApp::start_with(&["--public-origin", "https://Ashlar.example/"]).await;
    let (id, _) = app.person("ann@example.org", "member");
    let (_, owner) = app.person("owner@example.org", "owner");
    let issue = || app.asking(&format!("POST /api/people/{id}/password-link"), &owner, Value::Null);

    let ours = app.send(issue().header("origin", "https://ashlar.example")).await;
    assert!(ours.body["url"].as_str().unwrap().starts_with("https://ashlar.example/password/"), "{}", ours.text);
    assert_eq!(ours.header("strict-transport-security"), "max-age=31536000");
    assert_eq!(app.send(issue().header("origin", &app.origin)).await.status, 403);
}

#[tokio::test]
async fn answers_are_neither_kept_nor_guessed_at() {
    let app = TestApp::start().await;

    for path in ["/api/health", "/api/me", "/metrics", "/api/nothing"] {
        let answer = app.ask(&format!("GET {path}"), "", Value::Null).await;
        assert_eq!(answer.header("cache-control"), "no-store", "{path}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert!(answer.header("content-security-policy").contains("default-src 'none'"));
        assert!(uuid::Uuid::parse_str(answer.header("x-request-id")).is_ok());
    }
}

async fn sign_in(app: &TestApp, email: &str, password: &str) -> (u16, Value) {
    let answer = app.ask("POST /api/sessions", "", json!({ "email": email, "password": password })).await;
    (answer.status, answer.body)
}
