//! Whatever a client sends is answered clearly, and costs little.

use std::io::{Read, Write};

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{PASSWORD, TestApp};

#[tokio::test]
async fn wrong_bodies_are_refused_and_the_field_is_named() {
    let app = TestApp::start().await;
    let deep = "[".repeat(10_000);
    let closed = format!("{deep}{}", "]".repeat(10_000));
    let with = |more: &str| format!(r#"{{"email":"a@example.org","password":"{PASSWORD}","display_name":"A"{more}}}"#);
    let cases: Vec<(Vec<u8>, u16, &str)> = vec![
        (b"".to_vec(), 400, ""),
        (b"{".to_vec(), 400, ""),
        (b"nonsense".to_vec(), 400, ""),
        (format!("{} {{}}", with("")).into_bytes(), 400, ""),
        (with(r#","currency":"\ud800""#).into_bytes(), 400, ""),
        (b"{\"email\":\"\xff@example.org\"}".to_vec(), 400, ""),
        (b"\xef\xbb\xbf{}".to_vec(), 400, ""),
        (with(",").into_bytes(), 400, ""),
        (deep.clone().into_bytes(), 400, ""),
        (format!("{{\"email\":{}", "{\"a\":".repeat(10_000)).into_bytes(), 422, "email"),
        (closed.clone().into_bytes(), 422, "body"),
        (with(&format!(",\"currency\":{closed}")).into_bytes(), 422, "currency"),
        (b"null".to_vec(), 422, "body"),
        (b"[]".to_vec(), 422, "body"),
        // In the order of the fields: what serde alone would take.
        (format!(r#"["a@example.org","{PASSWORD}","A",null]"#).into_bytes(), 422, "body"),
        (b"{}".to_vec(), 422, "email"),
        (with(r#","role":"owner""#).into_bytes(), 422, "role"),
        (with(r#","email":"b@example.org""#).into_bytes(), 422, "email"),
        (with("").replace("\"a@example.org\"", "7").into_bytes(), 422, "email"),
        (with("").replace("\"a@example.org\"", "null").into_bytes(), 422, "email"),
        (with("").replace("\"A\"", "[\"A\"]").into_bytes(), 422, "display_name"),
        (with("").replace("\"A\"", "\" \"").into_bytes(), 422, "display_name"),
        (with("").replace("\"A\"", "\"A\\u0000\"").into_bytes(), 422, "display_name"),
        (with("").replace("\"A\"", "\"A\\u2028B\"").into_bytes(), 422, "display_name"),
        (with("").replace("\"A\"", &format!("\"{}\"", "A".repeat(201))).into_bytes(), 422, "display_name"),
        (with(r#","currency":"EURO""#).into_bytes(), 422, "currency"),
        (with(r#","currency":"""#).into_bytes(), 422, "currency"),
        (with("").replace("a@example.org", "a@example.org\\r\\nBcc: b@example.org").into_bytes(), 422, "email"),
        (with("").replace("a@example.org", "a\\u0000@example.org").into_bytes(), 422, "email"),
        (with("").replace("a@example.org", "a\\u202e@example.org").into_bytes(), 422, "email"),
        (with("").replace("a@example.org", "a").into_bytes(), 422, "email"),
        (format!("{{\"{}\":1}}", "x".repeat(60_000)).into_bytes(), 422, &"x".repeat(100)),
    ]
    .into_iter()
    .map(|(body, status, field): (_, _, &str)| (body, status, field.to_owned().leak() as &str))
    .collect();

    for (body, status, field) in cases {
        let shown = String::from_utf8_lossy(&body[..body.len().min(100)]).into_owned();
        let request = app.request(Method::POST, "/api/sign-up").header("content-type", "application/json").body(body);
        let answer = app.send(request).await;
        assert_eq!(answer.status, status, "{shown}: {}", answer.text);
        assert_eq!(answer.wrong_fields().first().copied().unwrap_or(""), field, "{shown}: {}", answer.text);
        assert!(answer.text.len() < 1500, "{}", answer.text);
    }
}

#[tokio::test]
async fn several_wrong_fields_are_named_at_once() {
    let app = TestApp::start().await;

    let form = json!({ "email": "a", "password": "short", "display_name": "", "currency": "XX" });
    let answer = app.ask("POST /api/sign-up", "", form).await;

    assert_eq!(answer.wrong_fields(), ["email", "display_name", "currency", "password"]);
}

#[tokio::test]
async fn other_content_types_are_refused() {
    let app = TestApp::start().await;
    let form = json!({ "email": "a@example.org", "password": PASSWORD, "display_name": "A" }).to_string();

    for other in
        ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/jsonp", "json"]
    {
        let request = app.request(Method::POST, "/api/sign-up").header("content-type", other).body(form.clone());
        assert_eq!(app.send(request).await.status, 415, "{other}");
    }
    let request = app.request(Method::POST, "/api/sign-up").header("content-type", "Application/JSON ; charset=utf-8");
    assert_eq!(app.send(request.body(form)).await.status, 201);
}

#[tokio::test]
async fn wrong_methods_get_405_and_the_right_ones() {
    let app = TestApp::start().await;

    for (what, allow) in [
        ("PUT /api/people", "GET, POST, HEAD, OPTIONS"),
        ("POST /api/me", "GET, HEAD, OPTIONS"),
        ("GET /api/sign-up", "POST, OPTIONS"),
        ("TRACE /api/health", "GET, HEAD, OPTIONS"),
        ("NONSENSE /api/me/password", "PUT, OPTIONS"),
        ("PATCH /api/sessions/current", "DELETE, OPTIONS"),
        ("DELETE /api/openapi.json", "GET, HEAD, OPTIONS"),
    ] {
        let answer = app.ask(what, "", Value::Null).await;
        assert_eq!((answer.status, answer.header("allow")), (405, allow), "{what}");
    }
    let options = app.ask("OPTIONS /api/people", "", Value::Null).await;
    assert_eq!((options.status, options.header("allow")), (204, "GET, POST, HEAD, OPTIONS"));
    assert!(!options.headers.contains_key("access-control-allow-origin"));
    let head = app.ask("HEAD /api/health", "", Value::Null).await;
    assert_eq!((head.status, head.text.as_str(), head.header("content-type")), (200, "", "application/json"));
}

#[tokio::test]
async fn wrong_ids_addresses_and_queries_are_refused() {
    let app = TestApp::start().await;
    let (_, owner) = app.person("owner@example.org", "owner");
    let id = "01a20acd-df54-740c-a1b7-5f0a20cef6e2";

    for path in [
        "/api/people/1",
        "/api/people/%00",
        "/api/people/..%2fme",
        "/api/people/{}",
        "/api/people/%F0%28%8C%BC",
        &format!("/api/people/{}", id.replace('-', "")),
        &format!("/api/people/urn:uuid:{id}"),
        &format!("/api/people/{id}"),
        "/api/nothing",
        "/api/health/x",
        "/api",
        "/api/%68ealth",
        &format!("/api/people/{id}/export/x"),
        &format!("/api/{}", "a/".repeat(3000)),
    ] {
        let answer = app.ask(&format!("GET {path}"), &owner, Value::Null).await;
        assert_eq!((answer.status, answer.problem()), (404, "not-found"), "{path}");
    }
    // Outside the API the same is said to people.
    for path in ["/API/health", "//api/health"] {
        let answer = app.get(path).send().await.unwrap();
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["content-type"]),
            (404, &"text/html; charset=utf-8".parse().unwrap())
        );
    }
    for (query, field) in [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=-1", "limit"),
        ("limit=ten", "limit"),
        ("limit=", "limit"),
        ("limit=99999999999999999999", "limit"),
        ("limit=1&limit=2", "limit"),
        ("cursor=x", "cursor"),
        ("cursor=", "cursor"),
        ("cursor=%00", "cursor"),
        ("page=2", "page"),
        ("q=a&q=b", "q"),
    ] {
        let answer = app.ask(&format!("GET /api/people?{query}"), &owner, Value::Null).await;
        assert_eq!((answer.status, answer.wrong_fields()), (422, vec![field]), "{query}: {}", answer.text);
    }
    assert_eq!(app.ask("GET /api/audit?subject=me", &owner, Value::Null).await.wrong_fields(), ["subject"]);
    for fine in [
        format!("q={}", "a%20".repeat(3000)),
        "q=%ff%00%0d".into(),
        "&&".into(),
        format!("q={}", "%F0%9F%92%A9".repeat(500)),
    ] {
        assert_eq!(app.ask(&format!("GET /api/people?{fine}"), &owner, Value::Null).await.status, 200);
    }
}

#[tokio::test]
async fn huge_bodies_are_refused_early_and_memory_stays_flat() {
    let app = TestApp::start().await;
    app.ask("GET /api/health", "", Value::Null).await;
    let before = app.peak_memory_kib();
    const GIB: usize = 1 << 30;
    let start = |more: &str| {
        format!(
            "POST /api/sign-up HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nConnection: close\r\n{more}\r\n\r\n"
        )
    };

    let announced = app.raw(start(&format!("Content-Length: {GIB}")).as_bytes());
    assert!(announced.starts_with("HTTP/1.1 413 "), "{announced}");

    // As much of it as the server takes.
    let piece = vec![b' '; 64 * 1024];
    for (head, before_piece, after_piece) in
        [(start(&format!("Content-Length: {GIB}")), "", ""), (start("Transfer-Encoding: chunked"), "10000\r\n", "\r\n")]
    {
        let mut connection = app.connect();
        connection.write_all(head.as_bytes()).unwrap();
        let mut sent = 0;
        for _ in 0..GIB / piece.len() {
            let written = connection
                .write_all(before_piece.as_bytes())
                .and_then(|()| connection.write_all(&piece))
                .and_then(|()| connection.write_all(after_piece.as_bytes()));
            if written.is_err() {
                break;
            }
            sent += piece.len();
        }
        let mut answer = String::new();
        connection.read_to_string(&mut answer).ok();
        assert!(sent < 64 << 20, "it took {sent} bytes");
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 413 "), "{answer}");
    }
    let limit = json!({ "email": "a@example.org", "password": " ".repeat(70_000), "display_name": "A" });
    let over = app.ask("POST /api/sign-up", "", limit).await;
    assert_eq!((over.status, over.problem()), (413, "too-large"));
    let grown = app.peak_memory_kib() - before;
    assert!(grown < 8 * 1024, "{grown} KiB");
}
