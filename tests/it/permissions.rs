//! Who may do what: every operation of the API for every kind of caller.

use serde_json::{Value, json};

use crate::openapi;
use crate::support::{PASSWORD, TestApp};

/// What each operation answers to, in this order: nobody, the member whom it is about, another member, staff, an owner,
/// someone disabled, a token that was revoked.
const MATRIX: &[(&str, [u16; 7])] = &[
    ("GET /api/health", [200, 200, 200, 200, 200, 200, 200]),
    ("GET /api/ready", [200, 200, 200, 200, 200, 200, 200]),
    ("POST /api/sign-up", [201, 201, 201, 201, 201, 201, 201]),
    ("POST /api/sessions", [201, 201, 201, 201, 201, 201, 201]),
    ("POST /api/password-links/{token}", [404, 404, 404, 404, 404, 404, 404]),
    ("POST /api/password-resets", [202, 202, 202, 202, 202, 202, 202]),
    ("POST /api/address-links/{token}", [404, 404, 404, 404, 404, 404, 404]),
    ("POST /api/me/address-link", [401, 202, 202, 202, 202, 401, 401]),
    ("GET /api/mails", [401, 403, 403, 200, 200, 401, 401]),
    ("GET /api/mails/{id}", [401, 403, 403, 404, 404, 401, 401]),
    ("POST /api/mails/{id}/retry", [401, 403, 403, 404, 404, 401, 401]),
    ("GET /api/me", [401, 200, 200, 200, 200, 401, 401]),
    ("PUT /api/me/password", [401, 422, 422, 422, 422, 401, 401]),
    ("GET /api/sessions", [401, 200, 200, 200, 200, 401, 401]),
    ("DELETE /api/sessions/{id}", [401, 404, 404, 404, 404, 401, 401]),
    ("GET /api/profiles/{user_id}", [401, 200, 403, 200, 200, 401, 401]),
    ("PATCH /api/profiles/{user_id}", [401, 200, 403, 200, 200, 401, 401]),
    ("GET /api/profiles/{user_id}/avatar", [401, 404, 403, 404, 404, 401, 401]),
    ("GET /api/people", [401, 403, 403, 200, 200, 401, 401]),
    ("POST /api/people", [401, 403, 403, 201, 201, 401, 401]),
    ("GET /api/people/{id}", [401, 200, 403, 200, 200, 401, 401]),
    ("PATCH /api/people/{id}", [401, 403, 403, 403, 200, 401, 401]),
    ("GET /api/people/{id}/export", [401, 200, 403, 200, 200, 401, 401]),
    ("POST /api/people/{id}/password-link", [401, 403, 403, 201, 201, 401, 401]),
    ("GET /api/audit", [401, 403, 403, 200, 200, 401, 401]),
    ("GET /api/modules/costs", [401, 403, 403, 200, 200, 401, 401]),
    ("GET /api/backups", [401, 403, 403, 403, 200, 401, 401]),
    ("POST /api/backups", [401, 403, 403, 403, 201, 401, 401]),
    ("GET /api/jobs", [401, 403, 403, 200, 200, 401, 401]),
    ("GET /api/jobs/{id}", [401, 403, 403, 404, 404, 401, 401]),
    ("POST /api/jobs/{id}/retry", [401, 403, 403, 404, 404, 401, 401]),
    ("DELETE /api/jobs/{id}", [401, 403, 403, 404, 404, 401, 401]),
    ("GET /api/job-kinds", [401, 403, 403, 200, 200, 401, 401]),
    ("PATCH /api/job-kinds/{name}", [401, 403, 403, 403, 404, 401, 401]),
    ("POST /api/outbox/release", [401, 403, 403, 403, 409, 401, 401]),
    ("GET /api/workers", [401, 403, 403, 403, 200, 401, 401]),
    ("POST /api/workers", [401, 403, 403, 403, 201, 401, 401]),
    ("DELETE /api/workers/{id}", [401, 403, 403, 403, 404, 401, 401]),
    // A worker's token opens these, and nobody else's.
    ("POST /api/worker/leases", [401; 7]),
    ("GET /api/worker/jobs/{id}/input", [401; 7]),
    ("POST /api/worker/jobs/{id}/renewal", [401; 7]),
    ("PUT /api/worker/jobs/{id}/files/{name}", [401; 7]),
    ("POST /api/worker/jobs/{id}/completion", [401; 7]),
    ("POST /api/worker/jobs/{id}/failure", [401; 7]),
    ("POST /api/worker/jobs/{id}/release", [401; 7]),
    ("GET /api/media", [401, 200, 200, 200, 200, 401, 401]),
    ("POST /api/media", [401, 415, 415, 415, 415, 401, 401]),
    // Whose a file is counts, and not what they are.
    ("GET /api/media/{id}", [401, 404, 404, 404, 404, 401, 401]),
    ("PATCH /api/media/{id}", [401, 404, 404, 404, 404, 401, 401]),
    ("DELETE /api/media/{id}", [401, 404, 404, 404, 404, 401, 401]),
    ("GET /api/media/{id}/content", [401, 404, 404, 404, 404, 401, 401]),
    ("GET /api/media/{id}/variants/{name}", [401, 404, 404, 404, 404, 401, 401]),
    ("POST /api/media/{id}/links", [401, 404, 404, 404, 404, 401, 401]),
    ("POST /api/media/uploads", [401, 412, 412, 412, 412, 401, 401]),
    ("GET /api/media/uploads/{id}", [401, 404, 404, 404, 404, 401, 401]),
    ("PATCH /api/media/uploads/{id}", [401, 404, 404, 404, 404, 401, 401]),
    ("DELETE /api/media/uploads/{id}", [401, 412, 412, 412, 412, 401, 401]),
    ("GET /api/billing/reports/mrr", [401, 403, 403, 200, 200, 401, 401]),
    ("GET /api/billing/reports/revenue", [401, 403, 403, 200, 200, 401, 401]),
    ("GET /api/billing/reports/tax", [401, 403, 403, 200, 200, 401, 401]),
    ("GET /api/billing/reports/receivables", [401, 403, 403, 200, 200, 401, 401]),
    ("GET /api/billing/reports/churn", [401, 403, 403, 200, 200, 401, 401]),
    ("GET /api/billing/ledger/export", [401, 403, 403, 200, 200, 401, 401]),
    ("GET /api/billing/invoices/{id}.pdf", [401, 404, 404, 404, 404, 401, 401]),
    ("GET /api/billing/invoices/{id}.xml", [401, 404, 404, 404, 404, 401, 401]),
    ("GET /api/billing/webhook-endpoints", [401, 403, 403, 200, 200, 401, 401]),
    ("POST /api/billing/webhook-endpoints", [401, 403, 403, 403, 201, 401, 401]),
    ("GET /api/billing/webhook-endpoints/{id}", [401, 403, 403, 404, 404, 401, 401]),
    ("PATCH /api/billing/webhook-endpoints/{id}", [401, 403, 403, 403, 404, 401, 401]),
    ("DELETE /api/billing/webhook-endpoints/{id}", [401, 403, 403, 403, 404, 401, 401]),
    ("POST /api/billing/webhook-endpoints/{id}/secret", [401, 403, 403, 403, 404, 401, 401]),
    ("GET /api/billing/events", [401, 403, 403, 200, 200, 401, 401]),
    ("GET /api/billing/events/{id}", [401, 403, 403, 404, 404, 401, 401]),
    ("GET /api/billing/webhook-deliveries", [401, 403, 403, 200, 200, 401, 401]),
    ("GET /api/billing/webhook-deliveries/{id}", [401, 403, 403, 404, 404, 401, 401]),
    ("POST /api/billing/webhook-deliveries/{id}/repetition", [401, 403, 403, 403, 404, 401, 401]),
    // Where Stripe is not set up, nobody may say anything in its name.
    ("POST /api/billing/webhooks/stripe", [404; 7]),
    ("PUT /api/billing/accounts/{user_id}/gateway", [401, 403, 403, 200, 200, 401, 401]),
    ("POST /api/billing/accounts/{user_id}/checkout", [401, 409, 403, 409, 409, 401, 401]),
    ("POST /api/billing/invoices/{id}/checkout", [401, 403, 403, 404, 404, 401, 401]),
    ("GET /metrics", [401, 403, 403, 200, 200, 401, 401]),
    ("GET /api/billing/settings", [401, 403, 403, 200, 200, 401, 401]),
    ("PUT /api/billing/settings", [401, 403, 403, 403, 200, 401, 401]),
    ("GET /api/billing/products", [401, 200, 200, 200, 200, 401, 401]),
    ("POST /api/billing/products", [401, 403, 403, 201, 201, 401, 401]),
    ("GET /api/billing/products/{id}", [401, 404, 404, 404, 404, 401, 401]),
    ("PATCH /api/billing/products/{id}", [401, 403, 403, 404, 404, 401, 401]),
    ("GET /api/billing/prices", [401, 200, 200, 200, 200, 401, 401]),
    ("POST /api/billing/prices", [401, 403, 403, 422, 422, 401, 401]),
    ("GET /api/billing/prices/{id}", [401, 404, 404, 404, 404, 401, 401]),
    ("POST /api/billing/prices/{id}/retirement", [401, 403, 403, 404, 404, 401, 401]),
    ("GET /api/billing/tax-rates", [401, 403, 403, 200, 200, 401, 401]),
    ("POST /api/billing/tax-rates", [401, 403, 403, 201, 201, 401, 401]),
    ("GET /api/billing/tax-rates/{id}", [401, 403, 403, 404, 404, 401, 401]),
    ("POST /api/billing/tax-rates/{id}/retirement", [401, 403, 403, 404, 404, 401, 401]),
    ("GET /api/billing/accounts/{user_id}", [401, 200, 403, 200, 200, 401, 401]),
    ("PATCH /api/billing/accounts/{user_id}", [401, 200, 403, 200, 200, 401, 401]),
    ("GET /api/billing/subscriptions", [401, 200, 200, 200, 200, 401, 401]),
    // Of a plan that there is not: who may ask is told so.
    ("POST /api/billing/subscriptions", [401, 422, 403, 422, 422, 401, 401]),
    ("POST /api/billing/subscriptions/preview", [401, 422, 403, 422, 422, 401, 401]),
    // To members, what is another's is not there; these are nobody's.
    ("GET /api/billing/subscriptions/{id}", [401, 404, 404, 404, 404, 401, 401]),
    ("GET /api/billing/subscriptions/{id}/events", [401, 404, 404, 404, 404, 401, 401]),
    ("POST /api/billing/subscriptions/{id}/changes", [401, 404, 404, 404, 404, 401, 401]),
    ("POST /api/billing/subscriptions/{id}/changes/preview", [401, 404, 404, 404, 404, 401, 401]),
    ("POST /api/billing/subscriptions/{id}/cancellation", [401, 404, 404, 404, 404, 401, 401]),
    ("POST /api/billing/subscriptions/{id}/cancellation/preview", [401, 404, 404, 404, 404, 401, 401]),
    ("DELETE /api/billing/subscriptions/{id}/cancellation", [401, 404, 404, 404, 404, 401, 401]),
    ("POST /api/billing/subscriptions/{id}/pause", [401, 403, 403, 404, 404, 401, 401]),
    ("DELETE /api/billing/subscriptions/{id}/pause", [401, 403, 403, 404, 404, 401, 401]),
    ("GET /api/billing/invoices", [401, 200, 200, 200, 200, 401, 401]),
    ("POST /api/billing/invoices", [401, 403, 403, 422, 422, 401, 401]),
    ("GET /api/billing/invoices/{id}", [401, 404, 404, 404, 404, 401, 401]),
    ("PUT /api/billing/invoices/{id}", [401, 403, 403, 404, 404, 401, 401]),
    ("DELETE /api/billing/invoices/{id}", [401, 403, 403, 404, 404, 401, 401]),
    ("POST /api/billing/invoices/{id}/finalization", [401, 403, 403, 404, 404, 401, 401]),
    ("POST /api/billing/invoices/{id}/payments", [401, 403, 403, 404, 404, 401, 401]),
    ("POST /api/billing/invoices/{id}/void", [401, 403, 403, 404, 404, 401, 401]),
    ("POST /api/billing/invoices/{id}/uncollectible", [401, 403, 403, 404, 404, 401, 401]),
    ("POST /api/billing/invoices/{id}/credit-notes", [401, 403, 403, 404, 404, 401, 401]),
    ("GET /api/billing/payments", [401, 200, 200, 200, 200, 401, 401]),
    ("POST /api/billing/payments", [401, 403, 403, 201, 201, 401, 401]),
    ("GET /api/billing/payments/{id}", [401, 404, 404, 404, 404, 401, 401]),
    ("POST /api/billing/payments/{id}/refunds", [401, 403, 403, 404, 404, 401, 401]),
    ("GET /api/billing/ledger/entries", [401, 403, 403, 200, 200, 401, 401]),
    ("GET /api/billing/ledger/balances", [401, 403, 403, 200, 200, 401, 401]),
    ("PUT /api/billing/accounts/{user_id}/test-clock", [401, 403, 403, 403, 200, 401, 401]),
    // These end what the others need, so they come last.
    ("DELETE /api/people/{id}", [401, 403, 403, 204, 204, 401, 401]),
    ("DELETE /api/sessions", [401, 204, 204, 204, 204, 401, 401]),
    ("DELETE /api/sessions/current", [401, 204, 204, 204, 204, 401, 401]),
];

/// What ends a caller, or whom it is about, or takes who has no books yet.
const ENDING: [&str; 4] = [
    "DELETE /api/people/{id}",
    "DELETE /api/sessions",
    "DELETE /api/sessions/current",
    "PUT /api/billing/accounts/{user_id}/test-clock",
];

/// As above, for what staff may not do to other staff, nor to owners: nobody, a member, staff, an owner.
const UPWARDS: &[(&str, [u16; 4])] = &[
    ("GET /api/profiles/{id}", [401, 403, 403, 200]),
    ("PATCH /api/profiles/{id}", [401, 403, 403, 200]),
    ("GET /api/people/{id}", [401, 403, 403, 200]),
    ("PATCH /api/people/{id}", [401, 403, 403, 200]),
    ("GET /api/people/{id}/export", [401, 403, 403, 200]),
    ("POST /api/people/{id}/password-link", [401, 403, 403, 201]),
    ("GET /api/billing/accounts/{id}", [401, 403, 403, 200]),
    ("PATCH /api/billing/accounts/{id}", [401, 403, 403, 200]),
    ("DELETE /api/people/{id}", [401, 403, 403, 204]),
];

#[test]
fn every_operation_has_a_row_and_every_row_an_operation() {
    let listed: Vec<&str> = MATRIX.iter().map(|(operation, _)| *operation).collect();
    let there: Vec<String> = openapi::operations().map(|(name, _)| name).collect();

    for operation in &there {
        assert!(listed.contains(&operation.as_str()), "{operation} has no row: say who may do it");
    }
    for operation in listed.into_iter().filter(|operation| operation.contains("/api/")) {
        assert!(there.iter().any(|name| name == operation), "{operation} is in no document any more");
    }
}

#[tokio::test]
async fn everyone_may_do_what_their_role_says_and_no_more() {
    let app = TestApp::start().await;
    let (_, owner) = app.person("owner@example.org", "owner");
    app.sign_up("someone@example.org").await;
    let mut shared = Vec::new();
    for column in 0..7 {
        shared.push(callers(&app, &owner, &format!("shared{column}"), column).await);
    }
    let mut wrong = Vec::new();
    for (row, (operation, expected)) in MATRIX.iter().enumerate() {
        for (column, expected) in expected.iter().enumerate() {
            // Some operations end who asks, or whom they are about: each cell of those has its own.
            let (member, token) = match ENDING.contains(operation) {
                true => callers(&app, &owner, &format!("{row}.{column}"), column).await,
                false => shared[column].clone(),
            };
            let (what, body) = example(operation, &member, &format!("new{row}.{column}@example.org"));
            let answer = app.ask(&what, &token, body).await;
            if answer.status != *expected {
                wrong.push(format!("{operation} [{column}]: {} instead of {expected}: {}", answer.status, answer.text));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A member, and the token of who asks about them in this column.
async fn callers(app: &TestApp, owner: &str, name: &str, column: usize) -> (String, String) {
    let (member, members_token) = app.person(&format!("member{name}@example.org"), "member");
    let token = match column {
        0 => String::new(),
        1 => members_token,
        2 => app.person(&format!("other{name}@example.org"), "member").1,
        3 => app.person(&format!("staff{name}@example.org"), "staff").1,
        4 => app.person(&format!("owner{name}@example.org"), "owner").1,
        5 => {
            let (id, token) = app.person(&format!("disabled{name}@example.org"), "owner");
            let state = json!({ "state": "disabled" });
            assert_eq!(app.ask(&format!("PATCH /api/people/{id}"), owner, state).await.status, 200);
            token
        }
        _ => {
            let (_, token) = app.person(&format!("revoked{name}@example.org"), "owner");
            assert_eq!(app.ask("DELETE /api/sessions/current", &token, Value::Null).await.status, 204);
            token
        }
    };
    (member, token)
}

#[tokio::test]
async fn staff_have_no_power_over_staff_and_owners() {
    let app = TestApp::start().await;
    let (_, owner) = app.person("owner@example.org", "owner");
    let (_, staff) = app.person("staff@example.org", "staff");
    let (_, member) = app.person("member@example.org", "member");

    for role in ["staff", "owner"] {
        let (id, _) = app.person(&format!("target-{role}@example.org"), role);
        for (operation, expected) in UPWARDS {
            for (token, expected) in ["", &member, &staff, &owner].iter().zip(expected) {
                let (what, body) = example(operation, &id, "");
                let answer = app.ask(&what, token, body).await;
                assert_eq!(answer.status, *expected, "{operation} on {role}: {}", answer.text);
            }
        }
    }
}

#[tokio::test]
async fn who_may_not_know_can_not_tell_whether_someone_exists() {
    let app = TestApp::start().await;
    let (_, ann) = app.person("ann@example.org", "member");
    let (bob, _) = app.person("bob@example.org", "member");
    let nobody = "01a20acd-df54-740c-a1b7-5f0a20cef6e2";

    for (operation, _) in UPWARDS {
        for token in ["", &ann] {
            let mut answers = Vec::new();
            for id in [&bob, nobody, "no-id"] {
                let (what, body) = example(operation, id, "");
                let mut answer = app.ask(&what, token, body).await;
                answer.body["request_id"] = Value::Null;
                answers.push((answer.status, answer.body));
            }
            assert!(answers[1..].iter().all(|answer| *answer == answers[0]), "{operation}: {answers:?}");
        }
    }
}

#[tokio::test]
async fn a_member_can_not_raise_themselves() {
    let app = TestApp::start().await;
    let form = json!({ "email": "ann@example.org", "password": PASSWORD, "display_name": "Ann", "role": "owner" });

    assert_eq!(app.ask("POST /api/sign-up", "", form).await.wrong_fields(), ["role"]);

    let (id, ann) = app.person("ann@example.org", "member");
    assert_eq!(app.ask(&format!("PATCH /api/people/{id}"), &ann, json!({ "role": "owner" })).await.status, 403);
    let profile = app.ask(&format!("PATCH /api/profiles/{id}"), &ann, json!({ "role": "owner" })).await;
    assert_eq!(profile.wrong_fields(), ["role"]);
}

/// A request that this operation would grant, about `id`.
fn example(operation: &str, id: &str, new: &str) -> (String, Value) {
    let body = match operation {
        "POST /api/sign-up" => json!({ "email": new, "password": PASSWORD, "display_name": "New" }),
        "POST /api/sessions" => json!({ "email": "someone@example.org", "password": PASSWORD }),
        "POST /api/people" => json!({ "email": new, "display_name": "New" }),
        "POST /api/password-links/{token}" => json!({ "password": PASSWORD }),
        "POST /api/password-resets" => json!({ "email": new }),
        "PUT /api/me/password" => json!({ "old": "not it at all", "new": PASSWORD }),
        "PATCH /api/media/{id}" => json!({ "name": "new" }),
        "POST /api/media/{id}/links" => json!({}),
        "POST /api/workers" => json!({ "name": new }),
        "PATCH /api/job-kinds/{name}" => json!({ "paused": true }),
        "POST /api/outbox/release" => json!({ "discard": false }),
        "POST /api/billing/webhook-endpoints" => json!({ "url": "https://example.org/hooks" }),
        "PATCH /api/billing/webhook-endpoints/{id}" => json!({ "is_active": false }),
        "PUT /api/billing/accounts/{user_id}/gateway" => json!({ "gateway": "trial", "customer": null }),
        "PATCH /api/people/{id}" => json!({ "state": "active" }),
        "PUT /api/billing/settings" => json!({ "seller": { "name": "Ashlar Ltd", "address": {} } }),
        "POST /api/billing/products" => json!({ "name": "Team" }),
        "PATCH /api/billing/products/{id}" => json!({ "name": "Team" }),
        "POST /api/billing/prices" => {
            json!({ "product_id": id, "plan": "team", "currency": "EUR", "interval": "month", "unit_price_minor": "1" })
        }
        "POST /api/billing/tax-rates" => json!({ "name": "Zero", "category": "zero", "percent": "0" }),
        "PUT /api/billing/accounts/{user_id}/test-clock" => json!({ "at": "2026-01-01T00:00:00Z" }),
        "POST /api/billing/subscriptions" | "POST /api/billing/subscriptions/preview" => {
            json!({ "user_id": id, "plan": "none" })
        }
        _ if operation.contains("/changes") => json!({ "seats": 2 }),
        _ if operation.contains("POST") && operation.contains("/cancellation") => json!({}),
        "POST /api/billing/invoices" => json!({ "user_id": id, "lines": [] }),
        "PUT /api/billing/invoices/{id}" => json!({ "lines": [] }),
        "POST /api/billing/payments" => {
            json!({ "user_id": id, "amount": { "amount_minor": 1, "currency": "EUR" } })
        }
        "POST /api/billing/invoices/{id}/payments" | "POST /api/billing/payments/{id}/refunds" => {
            json!({ "amount": { "amount_minor": 1, "currency": "EUR" } })
        }
        "POST /api/billing/invoices/{id}/credit-notes" => json!({}),
        _ if operation.starts_with("PATCH /api/billing/accounts") => json!({ "name": "changed" }),
        _ if operation.starts_with("PATCH /api/profiles") => json!({ "bio": "changed" }),
        _ => Value::Null,
    };
    let what = operation.replace("{id}", id).replace("{user_id}", id).replace("{token}", &"A".repeat(43));
    (what, body)
}
