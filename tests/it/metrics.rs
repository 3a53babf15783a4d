//! Figures for Prometheus.

use std::net::TcpListener;

use serde_json::Value;

use crate::support::TestApp;

#[tokio::test]
async fn staff_see_what_each_module_costs() {
    let app = TestApp::start().await;
    let (_, staff) = app.person("staff@example.org", "staff");
    app.ask("GET /api/me", &staff, Value::Null).await;

    let figures = app.ask("GET /metrics", &staff, Value::Null).await;

    assert_eq!(figures.status, 200);
    assert!(figures.header("content-type").starts_with("text/plain; version=0.0.4"));
    for line in [
        "ashlar_requests_total{module=\"use_cases\",status=\"2xx\"} ",
        "ashlar_request_seconds_bucket{module=\"use_cases\",le=\"0.001\"} ",
        "ashlar_commit_seconds_count ",
        "ashlar_write_queue_length 0",
        "ashlar_sqlite_statements_total{module=\"users\"} ",
        "ashlar_sqlite_statements_total{module=\"profiles\"} ",
        "ashlar_cpu_seconds_total{module=\"use_cases\"} 0.",
    ] {
        assert!(figures.text.contains(line), "{line}: {}", figures.text);
    }
    assert!(!figures.text.contains("example.org"));
    assert_eq!(app.ask("POST /metrics", &staff, Value::Null).await.status, 405);
}

#[tokio::test]
async fn a_listener_of_its_own_shows_them_to_anyone_and_nothing_else() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let app = TestApp::start_with(&["--metrics-listen", &free]).await;
    let at = |path: &str| app.client.get(format!("http://{free}{path}"));

    assert!(app.send(at("/metrics")).await.text.contains("ashlar_write_queue_length"));
    assert_eq!(at("/api/health").send().await.unwrap().status(), 404);
    assert_eq!(app.send(app.client.post(format!("http://{free}/metrics"))).await.header("allow"), "GET, HEAD, OPTIONS");
}
