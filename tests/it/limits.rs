//! How often strangers may try, and who counts as one.

use serde_json::json;

use crate::support::{Answer, PASSWORD, TestApp};

#[tokio::test]
async fn one_account_takes_so_many_sign_ins_however_its_address_is_written() {
    let app = TestApp::start_with(&["--sign-ins-per-account", "3"]).await;
    app.sign_up("ann@example.org").await;
    let ways = ["ann@example.org", " ann@example.org", "ANN@EXAMPLE.ORG  ", "Ann@Example.org", "\tann@example.org"];

    let mut statuses = Vec::new();
    for email in ways {
        statuses.push(sign_in(&app, email, None).await.status);
    }

    assert_eq!(statuses, [401, 401, 401, 429, 429]);
    let refused = sign_in(&app, "ann@example.org", None).await;
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert!((1..=60).contains(&wait));
    assert_eq!(refused.problem(), "too-many-requests");
    assert_eq!(sign_in(&app, "bob@example.org", None).await.status, 401, "another account");
}

#[tokio::test]
async fn one_address_takes_so_many_sign_ins_sign_ups_and_links() {
    let app = TestApp::start_with(&["--sign-ins-per-address", "2", "--sign-ups-per-address", "2"]).await;

    let mut statuses = Vec::new();
    for n in 0..3 {
        statuses.push(sign_in(&app, &format!("p{n}@example.org"), None).await.status);
    }
    for n in 0..3 {
        let form = json!({ "email": format!("p{n}@example.org"), "password": PASSWORD, "display_name": "P" });
        statuses.push(app.ask("POST /api/sign-up", "", form).await.status);
    }
    let link = format!("POST /api/password-links/{}", "A".repeat(43));
    statuses.push(app.ask(&link, "", json!({ "password": PASSWORD })).await.status);

    assert_eq!(statuses, [401, 401, 429, 201, 201, 429, 429]);
}

#[tokio::test]
async fn a_wrong_old_password_counts_as_well() {
    let app = TestApp::start_with(&["--sign-ins-per-account", "2"]).await;
    let token = app.sign_up("ann@example.org").await["token"].as_str().unwrap().to_owned();

    let mut statuses = Vec::new();
    for _ in 0..3 {
        let form = json!({ "old": "not it at all", "new": "quarry ladder 92 moss" });
        statuses.push(app.ask("PUT /api/me/password", &token, form).await.status);
    }

    assert_eq!(statuses, [422, 422, 429]);
}

#[tokio::test]
async fn a_forged_address_of_the_client_is_ignored() {
    let app = TestApp::start_with(&["--sign-ins-per-address", "2"]).await;

    let mut statuses = Vec::new();
    for n in 0..4 {
        statuses.push(sign_in(&app, &format!("p{n}@example.org"), Some(&format!("192.0.2.{n}"))).await.status);
    }

    assert_eq!(statuses, [401, 401, 429, 429]);
}

#[tokio::test]
async fn a_trusted_proxy_names_the_client() {
    let app =
        TestApp::start_with(&["--sign-ins-per-address", "1", "--trusted-proxies", "127.0.0.0/8,10.0.0.0/8"]).await;
    let forwarded = [
        ("192.0.2.1", 401),
        ("192.0.2.1", 429),
        ("192.0.2.2", 401),
        // What the client wrote itself stands first and counts for nothing.
        ("192.0.2.99, 192.0.2.2", 429),
        ("nonsense, 192.0.2.2", 429),
        ("\u{fffd}, 192.0.2.2", 429),
        // A chain of trusted proxies.
        ("192.0.2.2, 10.1.2.3", 429),
        ("192.0.2.3, 10.1.2.3", 401),
        // One subscriber has a whole /64.
        ("2001:db8::1", 401),
        ("2001:db8::ffff:2", 429),
        ("2001:db8:0:1::1", 401),
        // Who can't be read is the proxy itself.
        ("192.0.2.50, nonsense", 401),
        ("192.0.2.51, nonsense", 429),
    ];

    for (n, (hops, expected)) in forwarded.into_iter().enumerate() {
        let answer = sign_in(&app, &format!("p{n}@example.org"), Some(hops)).await;
        assert_eq!(answer.status, expected, "{hops}");
    }
}

async fn sign_in(app: &TestApp, email: &str, forwarded: Option<&str>) -> Answer {
    let mut request = app.asking("POST /api/sessions", "", json!({ "email": email, "password": "wrong-wrong-wrong" }));
    if let Some(forwarded) = forwarded {
        request =
            request.header("x-forwarded-for", reqwest::header::HeaderValue::from_bytes(forwarded.as_bytes()).unwrap());
    }
    app.send(request).await
}
