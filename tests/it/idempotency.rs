//! `Idempotency-Key`: what is asked twice with one key happens once.

use serde_json::{Value, json};

use crate::support::{Answer, PASSWORD, TestApp};

#[tokio::test]
async fn sixteen_at_once_have_one_effect_and_one_answer() {
    let app = TestApp::start().await;
    let (_, owner) = app.person("owner@example.org", "owner");
    let form = json!({ "email": "ann@example.org", "display_name": "Ann" });

    let all = (0..16).map(|_| keyed(&app, "POST /api/people", &owner, &form, "k1"));
    let answers = futures_util::future::join_all(all).await;

    assert!(answers.iter().all(|answer| answer.status == 201 && answer.text == answers[0].text));
    assert_eq!(answers.iter().filter(|answer| answer.header("idempotency-replayed") != "true").count(), 1);
    let people = app.ask("GET /api/people", &owner, Value::Null).await;
    assert_eq!(people.body["items"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn every_post_gives_its_first_answer_again_also_after_a_restart() {
    let mut app = TestApp::start().await;
    let (_, owner) = app.person("owner@example.org", "owner");
    let (bob, _) = app.person("bob@example.org", "member");
    let sign_up = json!({ "email": "ann@example.org", "password": PASSWORD, "display_name": "Ann" });
    let sign_in = json!({ "email": "ann@example.org", "password": PASSWORD });
    let add = json!({ "email": "eve@example.org", "display_name": "Eve" });
    let issue = format!("POST /api/people/{bob}/password-link");
    let mut calls = vec![
        ("POST /api/sign-up".to_owned(), "", sign_up),
        ("POST /api/sessions".to_owned(), "", sign_in),
        ("POST /api/people".to_owned(), owner.as_str(), add),
        (issue, owner.as_str(), Value::Null),
    ];
    let mut first = Vec::new();
    for (what, token, body) in &calls {
        first.push(keyed(&app, what, token, body, "the-same-key").await);
    }
    let link = first[3].body["url"].as_str().unwrap().rsplit_once('/').unwrap().1.to_owned();
    let redeem = (format!("POST /api/password-links/{link}"), "", json!({ "password": "quarry ladder 92 moss" }));
    first.push(keyed(&app, &redeem.0, "", &redeem.2, "the-same-key").await);
    calls.push(redeem);
    assert_eq!(first.iter().map(|answer| answer.status).collect::<Vec<_>>(), [201, 201, 201, 201, 204]);

    app.kill();
    let again = TestApp::start_in(&app.folder, &[]).await;

    for ((what, token, body), first) in calls.iter().zip(&first) {
        let second = keyed(&again, what, token, body, "the-same-key").await;
        assert_eq!((second.status, &second.text), (first.status, &first.text), "{what}");
        assert_eq!(second.header("idempotency-replayed"), "true");
    }
    let sessions = again.ask("GET /api/sessions", first[1].body["token"].as_str().unwrap(), Value::Null).await;
    assert_eq!(sessions.body["items"].as_array().unwrap().len(), 2, "one by signing up, one by signing in");
    // Kept sealed: neither key nor answer can be read from the file.
    let kept = ["ashlar.db", "ashlar.db-wal"].map(|file| std::fs::read(again.folder.join(file)).unwrap()).concat();
    for secret in ["the-same-key", &link, first[0].body["token"].as_str().unwrap()] {
        assert!(!kept.windows(secret.len()).any(|window| window == secret.as_bytes()));
    }
}

#[tokio::test]
async fn a_key_holds_for_one_body_one_route_and_one_person() {
    let app = TestApp::start().await;
    let (_, owner) = app.person("owner@example.org", "owner");
    let (_, staff) = app.person("staff@example.org", "staff");
    let form = |email: &str| json!({ "email": email, "display_name": "Ann" });

    assert_eq!(keyed(&app, "POST /api/people", &owner, &form("a@example.org"), "k").await.status, 201);
    let other = keyed(&app, "POST /api/people", &owner, &form("b@example.org"), "k").await;

    assert_eq!((other.status, other.wrong_fields()), (422, vec!["Idempotency-Key"]));
    let by_staff = keyed(&app, "POST /api/people", &staff, &form("b@example.org"), "k").await;
    assert_eq!(by_staff.status, 201, "another person's key is another key");
    let sign_up = json!({ "email": "c@example.org", "password": PASSWORD, "display_name": "C" });
    assert_eq!(keyed(&app, "POST /api/sign-up", "", &sign_up, "k").await.status, 201);
}

#[tokio::test]
async fn what_failed_left_no_record() {
    let app = TestApp::start().await;
    let (_, owner) = app.person("owner@example.org", "owner");
    let form = json!({ "email": "owner@example.org", "display_name": "Ann" });
    assert_eq!(keyed(&app, "POST /api/people", &owner, &form, "k").await.status, 409);

    let form = json!({ "email": "ann@example.org", "display_name": "Ann" });
    assert_eq!(keyed(&app, "POST /api/people", &owner, &form, "k").await.status, 201);
}

#[tokio::test]
async fn a_key_is_up_to_255_visible_characters() {
    let app = TestApp::start().await;
    let (_, owner) = app.person("owner@example.org", "owner");
    let form = json!({ "email": "ann@example.org", "display_name": "Ann" });

    for wrong in ["", "a b", "ä", &"k".repeat(256)] {
        let answer = keyed(&app, "POST /api/people", &owner, &form, wrong).await;
        assert_eq!((answer.status, answer.problem()), (400, "malformed"), "{wrong}");
        assert!(answer.body["detail"].as_str().unwrap().contains("Idempotency-Key"));
    }
    assert_eq!(keyed(&app, "POST /api/people", &owner, &form, &"k".repeat(255)).await.status, 201);
}

#[tokio::test]
async fn whoever_may_not_any_more_gets_no_old_answer() {
    let app = TestApp::start().await;
    let (_, owner) = app.person("owner@example.org", "owner");
    let (id, staff) = app.person("staff@example.org", "staff");
    let form = json!({ "email": "ann@example.org", "display_name": "Ann" });
    assert_eq!(keyed(&app, "POST /api/people", &staff, &form, "k").await.status, 201);

    app.ask(&format!("PATCH /api/people/{id}"), &owner, json!({ "role": "member" })).await;

    assert_eq!(keyed(&app, "POST /api/people", &staff, &form, "k").await.status, 403);
}

async fn keyed(app: &TestApp, what: &str, token: &str, body: &Value, key: &str) -> Answer {
    app.send(app.asking(what, token, body.clone()).header("idempotency-key", key)).await
}
