//! Setting and changing passwords.

use serde_json::{Value, json};

use crate::support::{Answer, PASSWORD, TestApp};

const OTHER: &str = "quarry ladder 92 moss";

#[tokio::test]
async fn easy_passwords_are_refused() {
    let app = TestApp::start().await;

    for easy in ["", "tiny", "elevenchars", "password1234", "123456789012", "aaaaaaaaaaaaaaa", &"x7".repeat(129)] {
        let form = json!({ "email": "ann@example.org", "password": easy, "display_name": "Ann" });
        let refused = app.ask("POST /api/sign-up", "", form).await;
        assert_eq!((refused.status, refused.wrong_fields()), (422, vec!["password"]), "{easy}");
        assert!(easy.is_empty() || !refused.text.contains(easy), "it must not be repeated");
    }
    let longest = json!({ "email": "ann@example.org", "password": "äöü7 x1 ".repeat(32), "display_name": "Ann" });
    assert_eq!(app.ask("POST /api/sign-up", "", longest).await.status, 201, "256 characters, not bytes");
}

#[tokio::test]
async fn one_who_knows_the_old_password_sets_a_new_one() {
    let app = TestApp::start().await;
    let here = app.sign_up("ann@example.org").await["token"].as_str().unwrap().to_owned();
    let there = sign_in(&app, PASSWORD).await.body["token"].as_str().unwrap().to_owned();
    let change = |old: &str, new: &str| json!({ "old": old, "new": new });

    let wrong = app.ask("PUT /api/me/password", &here, change("not it at all", OTHER)).await;
    assert_eq!((wrong.status, wrong.wrong_fields()), (422, vec!["old"]));
    let easy = app.ask("PUT /api/me/password", &here, change(PASSWORD, "password1234")).await;
    assert_eq!((easy.status, easy.wrong_fields()), (422, vec!["new"]));
    let mut form = change(PASSWORD, OTHER);
    form["end_other_sessions"] = json!(true);
    assert_eq!(app.ask("PUT /api/me/password", &here, form).await.status, 204);

    assert_eq!(sign_in(&app, PASSWORD).await.status, 401);
    assert_eq!(sign_in(&app, OTHER).await.status, 201);
    assert_eq!(app.ask("GET /api/me", &here, Value::Null).await.status, 200);
    assert_eq!(app.ask("GET /api/me", &there, Value::Null).await.status, 401);
}

#[tokio::test]
async fn a_link_sets_the_password_once_and_signs_out_everywhere() {
    let app = TestApp::start().await;
    let (_, staff) = app.person("staff@example.org", "staff");
    let ann = app.sign_up("ann@example.org").await;
    let issue = format!("POST /api/people/{}/password-link", ann["user"]["id"].as_str().unwrap());
    let first = redeeming(&app.ask(&issue, &staff, Value::Null).await);
    let link = app.ask(&issue, &staff, Value::Null).await;
    assert!(link.body["url"].as_str().unwrap().starts_with(&format!("{}/password/", app.origin)));
    let second = redeeming(&link);

    assert_eq!(app.ask(&first, "", json!({ "password": OTHER })).await.status, 404, "a newer link voids it");
    assert_eq!(app.ask(&second, "", json!({ "password": "password1234" })).await.status, 422);
    assert_eq!(app.ask(&second, "", json!({ "password": OTHER })).await.status, 204);

    assert_eq!(app.ask(&second, "", json!({ "password": PASSWORD })).await.status, 404, "it works once");
    assert_eq!(app.ask("GET /api/me", ann["token"].as_str().unwrap(), Value::Null).await.status, 401);
    assert_eq!(sign_in(&app, PASSWORD).await.status, 401);
    assert_eq!(sign_in(&app, OTHER).await.status, 201);
    for nonsense in ["x", "A", &"A".repeat(43), &"A".repeat(9000)] {
        let answer = app.ask(&format!("POST /api/password-links/{nonsense}"), "", json!({ "password": OTHER })).await;
        assert_eq!(answer.status, 404);
    }
}

#[tokio::test]
async fn a_link_is_void_once_the_person_is_more_than_they_were_or_has_chosen_a_password() {
    let app = TestApp::start().await;
    let (_, owner) = app.person("owner@example.org", "owner");
    let (_, staff) = app.person("staff@example.org", "staff");
    let ann = app.sign_up("ann@example.org").await;
    let id = ann["user"]["id"].as_str().unwrap();
    let issue = format!("POST /api/people/{id}/password-link");

    let first = redeeming(&app.ask(&issue, &staff, Value::Null).await);
    let change = json!({ "old": PASSWORD, "new": OTHER });
    assert_eq!(app.ask("PUT /api/me/password", ann["token"].as_str().unwrap(), change).await.status, 204);
    let second = redeeming(&app.ask(&issue, &staff, Value::Null).await);
    assert_eq!(app.ask(&first, "", json!({ "password": PASSWORD })).await.status, 404);
    assert_eq!(app.ask(&format!("PATCH /api/people/{id}"), &owner, json!({ "role": "owner" })).await.status, 200);

    assert_eq!(app.ask(&second, "", json!({ "password": PASSWORD })).await.status, 404);
}

#[tokio::test]
async fn one_link_used_sixteen_times_at_once_sets_one_password() {
    let app = TestApp::start().await;
    let (_, owner) = app.person("owner@example.org", "owner");
    let (id, _) = app.person("ann@example.org", "member");
    let redeem = redeeming(&app.ask(&format!("POST /api/people/{id}/password-link"), &owner, Value::Null).await);

    let all = (0..16).map(|n| app.ask(&redeem, "", json!({ "password": format!("{OTHER} {n}") })));
    let mut statuses: Vec<_> = futures_util::future::join_all(all).await.iter().map(|answer| answer.status).collect();

    statuses.sort_unstable();
    assert_eq!(statuses[0], 204);
    assert!(statuses[1..].iter().all(|status| *status == 404), "{statuses:?}");
}

#[tokio::test]
async fn one_password_typed_on_two_keyboards_is_the_same() {
    let app = TestApp::start().await;
    let form = json!({ "email": "ann@example.org", "password": "cafe\u{301} violet 92", "display_name": "Ann" });
    app.ask("POST /api/sign-up", "", form).await;

    assert_eq!(sign_in(&app, "caf\u{e9} violet 92").await.status, 201);
}

async fn sign_in(app: &TestApp, password: &str) -> Answer {
    app.ask("POST /api/sessions", "", json!({ "email": "ann@example.org", "password": password })).await
}

fn redeeming(link: &Answer) -> String {
    assert_eq!(link.status, 201);
    format!("POST /api/password-links/{}", link.body["url"].as_str().unwrap().rsplit_once('/').unwrap().1)
}
