//! Jobs as staff and owners see them: pages, API, and the news that pages are told.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use reqwest::Response;
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::support::TestApp;

const DEAD: &str = "01a20acd-df54-740c-a1b7-5f0a20cef6e2";

/// Puts a dead job there, with why it died, of a kind that no version of the program knows.
fn with_a_dead_job(app: &TestApp) {
    let connection = Connection::open(app.folder.join("ashlar.db")).unwrap();
    let id = uuid::Uuid::parse_str(DEAD).unwrap();
    connection
        .execute(
            "INSERT INTO jobs (id, kind, payload, state, priority, run_at, attempt, worker, enqueued_at, started_at, ended_at)
             VALUES (?1, 'test.unknown', '{\"n\":1}', 'dead', 1, 1, 3, 'far-away', 1, 2, 3)",
            [id.as_bytes()],
        )
        .unwrap();
    connection
        .execute(
            "INSERT INTO job_failures (job, attempt, worker, started_at, failed_at, why)
             VALUES (?1, 3, 'far-away', 2, 3, 'the <b>bucket</b> leaks')",
            [id.as_bytes()],
        )
        .unwrap();
}

async fn text(response: Response) -> (u16, String) {
    (response.status().as_u16(), response.text().await.unwrap())
}

#[tokio::test]
async fn staff_see_dead_jobs_and_retry_or_discard_them() {
    let app = TestApp::start().await;
    let (_, staff) = app.person("staff@example.org", "staff");
    with_a_dead_job(&app);

    let (status, page) = text(app.page("/jobs?state=dead&kind=test.unknown", &staff).send().await.unwrap()).await;
    assert_eq!(status, 200);
    assert!(page.contains("Unknown to this version") && page.contains("the &#60;b&#62;bucket"), "{page}");
    let (status, page) = text(app.page(&format!("/jobs/{DEAD}"), &staff).send().await.unwrap()).await;
    assert!(status == 200 && page.contains("far-away") && page.contains("Retry now"), "{page}");

    let retried = app.form(&format!("/jobs/{DEAD}/retry"), &staff, &[]).send().await.unwrap();
    assert_eq!(retried.status(), 303);
    let job = app.ask(&format!("GET /api/jobs/{DEAD}"), &staff, Value::Null).await;
    assert_eq!((&job.body["job"]["state"], &job.body["job"]["attempt"]), (&json!("ready"), &json!(0)));
    let discarded = app.ask(&format!("DELETE /api/jobs/{DEAD}"), &staff, Value::Null).await;
    assert_eq!(discarded.status, 204);
    let again = app.ask(&format!("DELETE /api/jobs/{DEAD}"), &staff, Value::Null).await;
    assert_eq!((again.status, again.problem()), (409, "conflict"));
    let audit = app.ask("GET /api/audit", &staff, Value::Null).await;
    let actions: Vec<_> = audit.body["items"].as_array().unwrap().iter().map(|entry| entry["action"].clone()).collect();
    assert!(actions.contains(&json!("job.retried")) && actions.contains(&json!("job.discarded")), "{actions:?}");
}

#[tokio::test]
async fn a_page_is_told_of_news_and_let_go_when_the_server_stops() {
    let mut app = TestApp::start().await;
    let (_, staff) = app.person("staff@example.org", "staff");
    let (_, member) = app.person("member@example.org", "member");
    with_a_dead_job(&app);
    assert_eq!(app.page("/jobs/events", &member).send().await.unwrap().status(), 403);

    let events = app.page("/jobs/events", &staff).send().await.unwrap();
    assert_eq!(events.headers()["content-type"], "text/event-stream");
    let mut events = events.bytes_stream();
    assert_eq!(events.next().await.unwrap().unwrap(), "retry: 2000\n\n");
    let retried = app.ask(&format!("POST /api/jobs/{DEAD}/retry"), &staff, Value::Null).await;
    assert_eq!(retried.status, 200);
    let news = tokio::time::timeout(Duration::from_secs(5), events.next()).await;
    assert_eq!(news.expect("in time").unwrap().unwrap(), "data: news\n\n");

    let start = Instant::now();
    assert_eq!(app.stop(), Some(0));
    assert!(start.elapsed() < Duration::from_secs(5), "it waited for those who listen: {:?}", start.elapsed());
}

#[tokio::test]
async fn an_owner_adds_a_worker_whose_token_is_shown_once_and_removes_it() {
    let app = TestApp::start().await;
    let (_, owner) = app.person("owner@example.org", "owner");
    let (_, staff) = app.person("staff@example.org", "staff");
    let name = "a big machine in the cellar, with a name of rather more than sixty characters!";

    assert_eq!(app.page("/workers", &staff).send().await.unwrap().status(), 403);
    let (status, page) = text(app.form("/workers", &owner, &[("name", name)]).send().await.unwrap()).await;
    assert_eq!(status, 201, "{page}");
    let token = page.split_once("ASHLAR_WORKER_TOKEN=").unwrap().1.split(' ').next().unwrap().to_owned();
    let again = app.form("/workers", &owner, &[("name", name)]).send().await.unwrap();
    let (status, page) = text(again).await;
    assert!(status == 409 && page.contains("Another worker is called that") && !page.contains(&token), "{page}");
    // It opens nothing else.
    assert_eq!(app.ask("GET /api/people", &token, Value::Null).await.status, 401);
    assert_eq!(app.ask("GET /api/workers", &token, Value::Null).await.status, 401);

    let workers = app.ask("GET /api/workers", &owner, Value::Null).await;
    let id = workers.body["items"][0]["id"].as_str().unwrap().to_owned();
    let removed = app.form(&format!("/workers/{id}/remove"), &owner, &[]).send().await.unwrap();
    assert_eq!(removed.status(), 303);
    let gone = app.ask(&format!("DELETE /api/workers/{id}"), &owner, Value::Null).await;
    assert_eq!(gone.status, 404);
}
