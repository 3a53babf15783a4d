//! Staff look after people.

use serde_json::{Value, json};

use crate::support::TestApp;

#[tokio::test]
async fn a_link_to_set_up_is_printed_until_there_is_an_owner() {
    let mut app = TestApp::start().await;
    assert!(app.set_up_link.as_ref().unwrap().starts_with(&format!("{}/set-up/", app.origin)));
    app.person("owner@example.org", "owner");
    app.stop();

    assert_eq!(TestApp::start_in(&app.folder, &[]).await.set_up_link, None);
}

#[tokio::test]
async fn staff_add_someone_who_gets_in_by_a_link() {
    let app = TestApp::start().await;
    let (_, staff) = app.person("staff@example.org", "staff");

    let form = json!({ "email": "Zoë@Example.org", "display_name": "Zoë Åström", "currency": "chf" });
    let zoe = app.ask("POST /api/people", &staff, form).await;

    assert_eq!(zoe.status, 201);
    assert_eq!(zoe.body["user"]["role"], "member");
    assert_eq!(zoe.body["user"]["state"], "active");
    assert_eq!(zoe.body["user"]["email"], "Zoë@example.org");
    assert_eq!(zoe.body["account"]["currency"], "CHF");
    let show = format!("GET /api/people/{}", zoe.body["user"]["id"].as_str().unwrap());
    assert_eq!(app.ask(&show, &staff, Value::Null).await.body, zoe.body);
    let again = json!({ "email": "zoË@EXAMPLE.org", "display_name": "Zoe" });
    let again = app.ask("POST /api/people", &staff, again).await;
    assert_eq!((again.status, again.wrong_fields()), (409, vec!["email"]));
}

#[tokio::test]
async fn pages_follow_one_another_by_id_without_gap_or_repetition() {
    let app = TestApp::start().await;
    let (_, owner) = app.person("owner@example.org", "owner");
    let (_, staff) = app.person("staff@example.org", "staff");
    for n in 0..7 {
        add(&app, &staff, &format!("p{n}@example.org"), "Pat Doe").await;
    }

    let mut seen = Vec::new();
    let mut next = String::new();
    loop {
        let page = app.ask(&format!("GET /api/people?limit=2{next}"), &owner, Value::Null).await.body;
        seen.extend(page["items"].as_array().unwrap().iter().map(|p| p["user"]["id"].as_str().unwrap().to_owned()));
        match page["next_cursor"].as_str() {
            Some(cursor) => next = format!("&cursor={cursor}"),
            None => break,
        }
    }

    assert_eq!(seen.len(), 9);
    assert!(seen.is_sorted());
    // Staff see members, and themselves.
    let page = app.ask("GET /api/people?limit=8", &staff, Value::Null).await.body;
    let emails: Vec<_> = page["items"].as_array().unwrap().iter().map(|p| p["user"]["email"].clone()).collect();
    assert_eq!(emails.len(), 8);
    assert!(!emails.contains(&json!("owner@example.org")));
    assert_eq!(page["next_cursor"], Value::Null);
}

#[tokio::test]
async fn a_search_finds_the_beginning_of_the_address_or_of_any_word_of_the_name() {
    let app = TestApp::start().await;
    let (_, owner) = app.person("owner@example.org", "owner");
    add(&app, &owner, "josé@exämple.org", "José-María Ångström").await;
    add(&app, &owner, "bob@example.org", "Bob d'Arc").await;
    add(&app, &owner, "x_y%z@example.org", "李 小龙").await;

    for (q, found) in [
        ("jose", vec!["josé@exämple.org"]),
        ("JOSÉ@EX", vec!["josé@exämple.org"]),
        ("maria", vec!["josé@exämple.org"]),
        ("angs", vec!["josé@exämple.org"]),
        ("ÅNG jos", vec!["josé@exämple.org"]),
        ("arc", vec!["bob@example.org"]),
        ("bob", vec!["bob@example.org"]),
        ("小", vec!["x_y%z@example.org"]),
        ("x_y%", vec!["x_y%z@example.org"]),
        ("o", vec!["owner@example.org"]),
        ("%", vec![]),
        ("_", vec![]),
        ("ob", vec![]),
        ("example", vec![]),
        ("bob jose", vec![]),
        ("\u{301}", vec![]),
        ("' OR 1=1 --", vec![]),
        ("\0", vec![]),
    ] {
        let q_encoded: String = form_urlencoded::byte_serialize(q.as_bytes()).collect();
        let answer = app.ask(&format!("GET /api/people?q={q_encoded}"), &owner, Value::Null).await;
        let items = answer.body["items"].as_array().unwrap();
        let emails: Vec<_> = items.iter().map(|person| person["user"]["email"].as_str().unwrap()).collect();
        assert_eq!(emails, found, "{q:?}");
    }
    let renamed = app.ask("GET /api/people?q=bob", &owner, Value::Null).await.body["items"][0].clone();
    let edit = format!("PATCH /api/profiles/{}", renamed["user"]["id"].as_str().unwrap());
    app.ask(&edit, &owner, json!({ "display_name": "Robert Long" })).await;
    let hits = |answer: Value| answer["items"].as_array().unwrap().len();
    assert_eq!(hits(app.ask("GET /api/people?q=arc", &owner, Value::Null).await.body), 0);
    assert_eq!(hits(app.ask("GET /api/people?q=long", &owner, Value::Null).await.body), 1);
}

#[tokio::test]
async fn an_owner_changes_role_and_state_and_who_is_disabled_is_out_at_once() {
    let app = TestApp::start().await;
    let (_, owner) = app.person("owner@example.org", "owner");
    let ann = app.sign_up("ann@example.org").await;
    let (id, token) = (ann["user"]["id"].as_str().unwrap(), ann["token"].as_str().unwrap());
    let link = app.ask(&format!("POST /api/people/{id}/password-link"), &owner, Value::Null).await.body;
    let change = format!("PATCH /api/people/{id}");

    let staff = app.ask(&change, &owner, json!({ "role": "staff" })).await;
    assert_eq!((staff.status, &staff.body["user"]["role"]), (200, &json!("staff")));
    assert_eq!(app.ask("GET /api/audit", token, Value::Null).await.status, 200);
    let stale = app.asking(&change, &owner, json!({ "state": "disabled" })).header("if-match", "\"old\"");
    assert_eq!(app.send(stale).await.status, 412);
    let now = app.asking(&change, &owner, json!({ "state": "disabled" })).header("if-match", staff.header("etag"));
    assert_eq!(app.send(now).await.status, 200);

    assert_eq!(app.ask("GET /api/me", token, Value::Null).await.status, 401);
    let redeem = link["url"].as_str().unwrap().rsplit_once('/').unwrap().1;
    let redeem = format!("POST /api/password-links/{redeem}");
    let password = json!({ "password": "quarry ladder 92 moss" });
    assert_eq!(app.ask(&redeem, "", password).await.status, 404, "the link is void");
    let link = app.ask(&format!("POST /api/people/{id}/password-link"), &owner, Value::Null).await;
    assert_eq!(link.status, 409);
    app.ask(&change, &owner, json!({ "state": "active" })).await;
    assert_eq!(app.ask("GET /api/me", token, Value::Null).await.status, 401, "the session stays ended");
}

#[tokio::test]
async fn the_last_active_owner_stays() {
    let app = TestApp::start().await;
    let (first, owner) = app.person("owner@example.org", "owner");
    let (second, other) = app.person("other@example.org", "owner");
    let person = |id: &str| format!("/api/people/{id}");

    let disabled = app.ask(&format!("PATCH {}", person(&second)), &owner, json!({ "state": "disabled" })).await;
    assert_eq!(disabled.status, 200);
    for change in
        [json!({ "role": "staff" }), json!({ "state": "disabled" }), json!({ "role": "member", "state": "active" })]
    {
        let refused = app.ask(&format!("PATCH {}", person(&first)), &owner, change).await;
        assert_eq!((refused.status, refused.problem()), (409, "conflict"));
    }
    assert_eq!(app.ask(&format!("DELETE {}", person(&first)), &owner, Value::Null).await.status, 409);
    assert_eq!(app.ask("GET /api/me", &owner, Value::Null).await.body["user"]["role"], "owner");
    assert_eq!(app.ask("GET /api/me", &other, Value::Null).await.status, 401);
    // With a second one again, either may go.
    app.ask(&format!("PATCH {}", person(&second)), &owner, json!({ "state": "active" })).await;
    assert_eq!(app.ask(&format!("DELETE {}", person(&first)), &owner, Value::Null).await.status, 204);
}

#[tokio::test]
async fn two_owners_who_demote_each_other_leave_one() {
    let app = TestApp::start().await;
    let (a, of_a) = app.person("a@example.org", "owner");
    let (b, of_b) = app.person("b@example.org", "owner");

    let (of_b_by_a, of_a_by_b) = (format!("PATCH /api/people/{b}"), format!("PATCH /api/people/{a}"));
    let demote = || json!({ "role": "member" });
    let (one, two) = tokio::join!(app.ask(&of_b_by_a, &of_a, demote()), app.ask(&of_a_by_b, &of_b, demote()));

    let mut statuses = [one.status, two.status];
    statuses.sort_unstable();
    assert!(statuses == [200, 403] || statuses == [200, 409], "{statuses:?}");
}

#[tokio::test]
async fn an_export_has_everything_and_closing_takes_it_all_away() {
    let mut app = TestApp::start().await;
    let (_, owner) = app.person("owner@example.org", "owner");
    // Many, so that rows move between the database's pages.
    for n in 0..150 {
        add(&app, &owner, &format!("quagmire{n}@example.org"), &format!("Xanthippe{n} Quagmire")).await;
    }
    let form = json!({ "email": "quagmire@example.org", "password": "violet-anvil-tuesday", "display_name": "Ümlautine Quagmire" });
    let signed_up = app.send(app.asking("POST /api/sign-up", "", form.clone()).header("idempotency-key", "k1")).await;
    let (id, token) = (signed_up.body["user"]["id"].as_str().unwrap(), signed_up.body["token"].as_str().unwrap());
    let profile = json!({ "bio": "Quagmire lays bricks", "phone": "+41 44 123 45 67", "pronouns": "quag/mire" });
    app.ask(&format!("PATCH /api/profiles/{id}"), token, profile).await;
    let session =
        app.post("/api/sessions", &json!({ "email": "quagmire@example.org", "password": "violet-anvil-tuesday" }));
    app.send(session.header("user-agent", "Quagmire's browser")).await;
    app.ask(&format!("POST /api/people/{id}/password-link"), &owner, Value::Null).await;

    let export = app.ask(&format!("GET /api/people/{id}/export"), token, Value::Null).await;
    for held in [
        "quagmire@example.org",
        "Ümlautine Quagmire",
        "lays bricks",
        "+41 44",
        "EUR",
        "Quagmire's browser",
        "person.signed_up",
    ] {
        assert!(export.text.contains(held), "{held}: {}", export.text);
    }
    assert!(!export.text.contains(token) && !export.text.contains("argon2"));

    let mut cursor = String::new();
    loop {
        let page = app.ask(&format!("GET /api/people?q=quagmire&limit=100{cursor}"), &owner, Value::Null).await.body;
        for person in page["items"].as_array().unwrap() {
            let close = format!("DELETE /api/people/{}", person["user"]["id"].as_str().unwrap());
            assert_eq!(app.ask(&close, &owner, Value::Null).await.status, 204);
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }

    assert_eq!(app.ask("GET /api/me", token, Value::Null).await.status, 401);
    assert_eq!(app.ask(&format!("GET /api/people/{id}"), &owner, Value::Null).await.status, 404);
    let audit = app.ask(&format!("GET /api/audit?subject={id}"), &owner, Value::Null).await;
    assert!(audit.text.contains("person.closed") && audit.text.contains("person.signed_up"));
    assert!(!audit.text.to_lowercase().contains("quagmire"), "{}", audit.text);
    app.stop();
    for word in ["quagmire", "Quagmire", "xanthippe", "Xanthippe", "mlautine", "lays bricks", "44 123", "quag/mire"] {
        for file in ["ashlar.db", "ashlar.db-wal"] {
            let bytes = std::fs::read(app.folder.join(file)).unwrap_or_default();
            let found = bytes.windows(word.len()).filter(|window| *window == word.as_bytes()).count();
            assert_eq!(found, 0, "{word} in {file}");
        }
    }
    // The address is free again, and the answer to the old key is gone.
    let again = TestApp::start_in(&app.folder, &[]).await;
    let fresh = again.send(again.asking("POST /api/sign-up", "", form).header("idempotency-key", "k1")).await;
    assert_eq!((fresh.status, fresh.header("idempotency-replayed")), (201, ""));
    assert_ne!(fresh.body["user"]["id"], id);
}

async fn add(app: &TestApp, token: &str, email: &str, name: &str) {
    let added = app.ask("POST /api/people", token, json!({ "email": email, "display_name": name })).await;
    assert_eq!(added.status, 201, "{}", added.text);
}
