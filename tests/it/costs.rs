//! Which module hurts: what was used is measured, kept as history and shown.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::support::{TestApp, ashlar, ashlar_ok, program};

/// Often, so that no test waits for a minute.
const OFTEN: [&str; 2] = ["--costs-every", "1 second"];

/// As it is where nobody says otherwise: what is left is written at the stop.
const USUALLY: [&str; 2] = ["--costs-every", "1 minute"];

/// What the history says, by the command line.
fn costs(folder: &Path) -> Value {
    serde_json::from_str(&ashlar_ok(folder, &["modules", "--costs", "--json", "--since", "1 hour"])).unwrap()
}

/// One line of it, by name.
fn line<'a>(costs: &'a Value, list: &str, name: &str) -> &'a Value {
    let found = costs[list].as_array().unwrap().iter().find(|line| line["name"] == name);
    found.unwrap_or_else(|| panic!("{name} is not among {:#}", costs[list]))
}

fn sum(costs: &Value, list: &str, key: &str) -> u64 {
    costs[list].as_array().unwrap().iter().map(|line| line[key].as_u64().unwrap()).sum()
}

async fn look(app: &TestApp, path: &str, token: &str) -> (u16, String) {
    let response = app.page(path, token).send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

/// CPU time that a process has used, in microseconds.
fn process_cpu_us(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    ticks * 1_000_000 / rustix::param::clock_ticks_per_second()
}

#[tokio::test]
async fn a_routes_requests_and_their_cpu_time_are_charged_to_it() {
    let mut app = TestApp::start_with(&USUALLY).await;
    let (id, staff) = app.person("staff@example.org", "staff");
    let before = process_cpu_us(app.pid());
    for _ in 0..300 {
        assert_eq!(app.ask(&format!("GET /api/people/{id}"), &staff, Value::Null).await.status, 200);
    }
    app.sign_up("someone@example.org").await;
    let spent = process_cpu_us(app.pid()) - before;
    assert_eq!(app.stop(), Some(0));

    let costs = costs(&app.folder);

    let show = line(&costs, "routes", "GET /api/people/{}");
    assert_eq!((&show["runs"], &show["module"]), (&json!(300), &json!("use_cases")));
    let cpu = show["cpu_us"].as_u64().unwrap();
    assert!(cpu > 300 * 10 && cpu < spent, "{cpu} µs of {spent} µs");
    assert!(show["sql_cpu_us"].as_u64().unwrap() < cpu);
    assert!(show["p99_ms"].as_f64().unwrap() >= show["p50_ms"].as_f64().unwrap());
    // A password is hashed in a pool of its own, and that is most of what a sign-up costs.
    let sign_up = line(&costs, "routes", "POST /api/sign-up");
    assert!(sign_up["cpu_us"].as_u64().unwrap() > 3000, "{sign_up}");
    let auth = line(&costs, "modules", "auth");
    assert!(auth["cpu_us"].as_u64().unwrap() > 3000, "{auth}");
    // Nothing is charged twice.
    let charged = sum(&costs, "routes", "cpu_us") + sum(&costs, "jobs", "cpu_us") + sum(&costs, "background", "cpu_us");
    let all = costs["cpu_us"].as_u64().unwrap();
    assert!(charged <= all, "{charged} of {all} µs");
    assert_eq!(sum(&costs, "modules", "cpu_us"), all);
    assert!(all >= spent / 2, "{all} of {spent} µs");
    // What its tables take.
    assert!(line(&costs, "modules", "users")["bytes"].as_u64().unwrap() >= 4096);
}

#[tokio::test]
async fn what_child_processes_use_is_charged_to_the_job() {
    if !Path::new("/usr/bin/ffmpeg").exists() {
        return crate::support::skip("that a video's CPU time is charged to it", "there is no ffmpeg");
    }
    let mut app = TestApp::start_with(&USUALLY).await;
    let (_, member) = app.person("ann@example.org", "member");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mp4");
    let made = std::process::Command::new("ffmpeg")
        .args(["-v", "error", "-f", "lavfi", "-i", "testsrc2=size=640x360:rate=25:duration=6"])
        .arg(&path)
        .status()
        .unwrap();
    assert!(made.success());
    let item = app.upload(&member, "a.mp4", std::fs::read(path).unwrap()).await;
    let at = format!("GET /api/media/{}", item.body["id"].as_str().unwrap());
    let start = Instant::now();
    while app.ask(&at, &member, Value::Null).await.body["state"] == "processing" {
        assert!(start.elapsed() < Duration::from_secs(60));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(app.stop(), Some(0));

    let costs = costs(&app.folder);

    let video = line(&costs, "jobs", "media.video");
    assert_eq!(video["runs"], 1);
    let children = video["children_us"].as_u64().unwrap();
    assert!(children > 50_000, "{video}");
    assert!(video["cpu_us"].as_u64().unwrap() >= children);
    let media = line(&costs, "modules", "media");
    assert_eq!(media["children_us"], children);
    assert_eq!(costs["leaves_freely"][1]["kind"], "media.video");
}

#[tokio::test]
async fn a_minute_at_most_is_lost_with_the_server() {
    let mut app = TestApp::start_with(&OFTEN).await;
    let (_, staff) = app.person("staff@example.org", "staff");
    for _ in 0..20 {
        app.ask("GET /api/me", &staff, Value::Null).await;
    }
    tokio::time::sleep(Duration::from_millis(2500)).await;
    // Beside the server, and after its death.
    let beside = costs(&app.folder);
    assert_eq!(line(&beside, "routes", "GET /api/me")["runs"], 20);
    app.kill();

    app.restart(&OFTEN).await;
    for _ in 0..5 {
        app.ask("GET /api/me", &staff, Value::Null).await;
    }
    assert_eq!(app.stop(), Some(0));

    // What came later is added to what was there.
    let costs = costs(&app.folder);
    assert_eq!(line(&costs, "routes", "GET /api/me")["runs"], 25);
    let rows = |step: &str| {
        let database = Connection::open(app.folder.join("ashlar.db")).unwrap();
        let count = "SELECT count(*) FROM cost_history WHERE step = ?1";
        database.query_row(count, [step], |row| row.get::<_, i64>(0)).unwrap()
    };
    assert!((1..=2).contains(&rows("hour")) && (1..=2).contains(&rows("day")));
    assert!((1..=5).contains(&rows("minute")), "{} seconds", rows("minute"));
}

#[tokio::test]
async fn the_history_is_bounded_and_outlives_a_clock_that_was_wrong() {
    let mut app = TestApp::start_with(&USUALLY).await;
    let (_, staff) = app.person("staff@example.org", "staff");
    assert_eq!(app.stop(), Some(0));
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis() as i64;
    let path = app.folder.join("ashlar.db");
    let database = || Connection::open(&path).unwrap();
    let put = "INSERT OR REPLACE INTO cost_history (step, at, used) VALUES ('minute', ?1, ?2)";
    let used = json!({ "measured_ms": 60_000, "cores": 2, "process_us": 7, "by": {} }).to_string();
    for n in 1..=1000 {
        database().execute(put, (now - now % 60_000 - n * 60_000, &used)).unwrap();
    }
    // Somebody set the clock ahead by years, and back.
    let ahead = now + 3 * 366 * 24 * 60 * 60 * 1000;
    database().execute(put, (ahead - ahead % 60_000, &used)).unwrap();

    app.restart(&USUALLY).await;
    app.ask("GET /api/me", &staff, Value::Null).await;
    assert_eq!(app.stop(), Some(0));

    let count = |sql: &str| database().query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(count("SELECT count(*) FROM cost_history WHERE step = 'minute'"), 720);
    let costs = costs(&app.folder);
    let points = costs["points"].as_array().unwrap().len();
    assert!((59..=61).contains(&points), "{points}");
    assert_eq!(line(&costs, "routes", "GET /api/me")["runs"], 1);
}

#[tokio::test]
async fn nothing_is_written_while_nothing_is_done() {
    let app = TestApp::start_with(&OFTEN).await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let database = Connection::open(app.folder.join("ashlar.db")).unwrap();
    // Changes with each commit of anybody else.
    let version = || database.query_row("PRAGMA data_version", [], |row| row.get::<_, i64>(0)).unwrap();
    let before = version();

    tokio::time::sleep(Duration::from_secs(4)).await;

    assert_eq!(version(), before);
}

#[tokio::test]
async fn the_page_shows_what_was_used_and_what_leaving_would_cost() {
    let app = TestApp::start_with(&OFTEN).await;
    let (_, staff) = app.person("staff@example.org", "staff");
    let (_, member) = app.person("ann@example.org", "member");
    let (status, _) = look(&app, "/modules/costs?since=1+hour", &staff).await;
    assert_eq!(status, 200);
    app.sign_up("someone@example.org").await;
    tokio::time::sleep(Duration::from_millis(2500)).await;

    let (status, page) = look(&app, "/modules/costs?since=1+hour", &staff).await;

    assert_eq!(status, 200);
    for shown in [
        "Nothing hurts",
        "POST /api/sign-up",
        "CPU by module",
        "<code>sign_up</code> <span class=\"soft\">with profiles, users</span>",
        "media.image, media.video: nothing",
        "<rect class=\"s1\"",
    ] {
        assert!(page.contains(shown), "{shown}: {page}");
    }
    assert!(!page.contains("style=") && !page.contains("<script>"));
    assert_eq!(look(&app, "/modules/costs", &member).await.0, 403);
    // Whatever stands in the address.
    assert_eq!(look(&app, "/modules/costs?since=%22%3E", &staff).await.0, 200);
}

#[tokio::test]
async fn the_api_says_the_same_and_refuses_what_is_no_span_of_time() {
    let app = TestApp::start_with(&OFTEN).await;
    let (_, staff) = app.person("staff@example.org", "staff");
    app.ask("GET /api/me", &staff, Value::Null).await;
    tokio::time::sleep(Duration::from_millis(2500)).await;

    let costs = app.ask("GET /api/modules/costs?since=30+days", &staff, Value::Null).await;

    assert_eq!((costs.status, &costs.body["step"]), (200, &json!("day")));
    assert_eq!(line(&costs.body, "routes", "GET /api/me")["runs"], 1);
    assert_eq!(costs.body["points"].as_array().unwrap().len(), 1);
    for wrong in ["yesterday", "off", "-1 day"] {
        let refused = app.ask(&format!("GET /api/modules/costs?since={wrong}"), &staff, Value::Null).await;
        assert_eq!((refused.status, refused.wrong_fields()), (422, vec!["since"]), "{wrong}");
    }
}

#[tokio::test]
async fn a_name_that_somebody_made_up_is_never_a_routes() {
    let mut app = TestApp::start_with(&USUALLY).await;
    let (_, staff) = app.person("staff@example.org", "staff");
    for path in ["/api/people/people", "/api/people/api", "/api/people/a%2Fsecret", "/password/a-secret-token"] {
        app.get(path).bearer_auth(&staff).send().await.unwrap();
    }
    assert_eq!(app.stop(), Some(0));

    let text = costs(&app.folder).to_string();

    assert!(!text.contains("secret"), "{text}");
    assert!(text.contains("GET /api/people/{}"), "{text}");
}

#[test]
fn the_command_line_says_what_is_wrong() {
    let nowhere = tempfile::tempdir().unwrap();

    let wrong = ashlar(nowhere.path(), &["modules", "--costs", "--since", "yesterday"]);
    assert_eq!(wrong.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("write it like 1 hour or 30 days"));
    let none = ashlar(nowhere.path(), &["modules", "--costs"]);
    assert!(String::from_utf8_lossy(&none.stderr).contains("there is no database"), "{none:?}");
    assert_eq!(program().args(["modules", "--since", "1 hour"]).output().unwrap().status.code(), Some(2));
}

#[tokio::test]
async fn the_command_line_prints_it_in_columns() {
    let mut app = TestApp::start_with(&USUALLY).await;
    let (_, staff) = app.person("staff@example.org", "staff");
    app.ask("GET /api/me", &staff, Value::Null).await;
    assert_eq!(app.stop(), Some(0));

    let text = ashlar_ok(&app.folder, &["modules", "--costs"]);

    for shown in ["Nothing hurts", "MODULE", "GET /api/me", "WHAT LEAVING WOULD COST", "media.video: nothing"] {
        assert!(text.contains(shown), "{shown}: {text}");
    }
}
