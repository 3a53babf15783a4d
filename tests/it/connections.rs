//! Connections: limits of time, size and number, and HTTP that means to confuse.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{TestApp, program};

#[tokio::test]
async fn a_thousand_idle_or_slow_clients_keep_nobody_out() {
    let app = TestApp::start().await;
    let before = app.peak_memory_kib();
    let mut held: Vec<TcpStream> = Vec::new();
    for n in 0..1200 {
        let mut connection = app.connect();
        if n % 2 == 0 {
            connection.write_all(b"GET /api/health HT").ok();
        }
        held.push(connection);
    }

    must_be_served(&app).await;
    let grown = app.peak_memory_kib() - before;
    assert!(grown < 48 * 1024, "{grown} KiB");
}

#[tokio::test]
async fn idle_clients_from_many_addresses_keep_nobody_out() {
    let app = TestApp::start_with(&["--max-connections", "400"]).await;
    let to: SocketAddr = app.origin.trim_start_matches("http://").parse().unwrap();
    let mut held = Vec::new();
    for n in 0..1000_u32 {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from(([127, 0, 1 + (n / 250) as u8, 1 + (n % 250) as u8], 0))).unwrap();
        held.push(socket.connect(to).await.unwrap());
    }

    must_be_served(&app).await;
}

#[tokio::test]
async fn the_limit_of_open_files_is_raised_and_respected() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new("sh");
    let script = "ulimit -Sn 100; ulimit -Hn 300; exec \"$0\" \"$@\"";
    command.arg("-c").arg(script).arg(program().get_program());
    let app = TestApp::start_as(command, folder.path(), &[]).await;
    assert!(app.raw(b"GET /api/health HTTP/1.0\r\n\r\n").contains("200 OK"));
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", app.pid())).unwrap();
    let files = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    assert_eq!(files.split_whitespace().nth(3), Some("300"), "{files}");

    let held: Vec<_> = (0..400).map(|_| app.connect()).collect();

    must_be_served(&app).await;
    drop(held);
    app.sign_up("ann@example.org").await;
}

#[tokio::test]
async fn slow_clients_are_closed_after_their_time() {
    let app = TestApp::start().await;
    let post =
        "POST /api/sign-up HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{";
    let (idle, header, body) = (app.connect(), app.connect(), app.connect());
    let idle = std::thread::spawn(move || byte_a_second(idle, "", b""));
    let header = std::thread::spawn(move || byte_a_second(header, "GET /api/health HTTP/1.1\r\nX-Slow: ", b"a"));
    let body = std::thread::spawn(move || byte_a_second(body, post, b" "));

    for (slow, expected, limit_s) in [(idle, "", 10), (header, "", 10), (body, "HTTP/1.1 408 ", 20)] {
        let (took, answer) = slow.join().unwrap();
        assert!(answer.starts_with(expected), "{answer}");
        // Never early; late by what a busy machine takes, and far from the 60 s after which the client gives up.
        assert!((limit_s - 1..limit_s + 20).contains(&took.as_secs()), "{took:?} instead of {limit_s} s");
    }
    must_be_served(&app).await;
}

#[tokio::test]
async fn headers_beyond_the_limit_get_431() {
    let app = TestApp::start().await;
    let ask = |more: String| {
        app.raw(format!("GET /api/health HTTP/1.1\r\nHost: x\r\n{more}Connection: close\r\n\r\n").as_bytes())
    };

    assert!(ask(format!("X-Big: {}\r\n", "a".repeat(15_000))).starts_with("HTTP/1.1 200 "));
    assert!(ask(format!("X-Big: {}\r\n", "a".repeat(40_000))).starts_with("HTTP/1.1 431 "));
    assert!(ask("X-Many: a\r\n".repeat(200)).starts_with("HTTP/1.1 431 "));
    let path = app.raw(format!("GET /api/{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(40_000)).as_bytes());
    assert!(path.starts_with("HTTP/1.1 4"), "{path}");
}

#[tokio::test]
async fn requests_that_mean_to_confuse_are_refused_or_read_one_way() {
    let app = TestApp::start().await;
    let (_, owner) = app.person("owner@example.org", "owner");
    let statuses = |request: &str| -> Vec<u16> {
        let answer = app.raw(request.as_bytes());
        answer.split("HTTP/1.").skip(1).map(|part| part[2..5].parse().unwrap()).collect()
    };
    let hidden = "GET /api/me HTTP/1.1\r\nHost: x\r\n\r\n";
    let length = hidden.len() + 5;

    for (request, expected) in [
        // Pipelined: each is answered, in order.
        (
            "GET /api/health HTTP/1.1\r\nHost: x\r\n\r\nGET /api/me HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
                .to_owned(),
            vec![200, 401],
        ),
        // Both lengths: the chunks end it, and nothing behind them is read.
        (
            format!(
                "POST /api/sessions HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}"
            ),
            vec![415],
        ),
        (
            format!(
                "POST /api/sessions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: {length}\r\n\r\n0\r\n\r\n{hidden}"
            ),
            vec![415],
        ),
        (
            format!("POST /api/sessions HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n{hidden}"),
            vec![400],
        ),
        (format!("POST /api/sessions HTTP/1.1\r\nHost: x\r\nContent-Length: +5\r\n\r\n{hidden}"), vec![400]),
        (
            format!("POST /api/sessions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, identity\r\n\r\n{hidden}"),
            vec![400],
        ),
        (format!("POST /api/sessions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding : chunked\r\n\r\n{hidden}"), vec![400]),
        ("GET /api/health HTTP/1.1\r\nHost: x\r\nX-A: b\r\n folded: c\r\n\r\n".to_owned(), vec![400]),
        ("GET /api/health HTTP/1.1\r\nHost: x\r\nX-A: a\0b\r\n\r\n".to_owned(), vec![400]),
        ("GET /api/he\0alth HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), vec![400]),
        ("GET /api/health HTTP/9.9\r\nHost: x\r\n\r\n".to_owned(), vec![400]),
        ("OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".to_owned(), vec![404]),
        (
            "CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\nConnection: close\r\n\r\n".to_owned(),
            vec![403],
        ),
        (
            "GET http://evil.example/api/health HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n".to_owned(),
            vec![200],
        ),
        ("GET /api/health HTTP/1.0\r\n\r\n".to_owned(), vec![200]),
    ] {
        assert_eq!(statuses(&request), expected, "{request:?}");
    }
    // What we call ourselves does not come from the request.
    let (id, _) = app.person("ann@example.org", "member");
    let issue = app.asking(&format!("POST /api/people/{id}/password-link"), &owner, Value::Null);
    let link = app.send(issue.header("host", "evil.example")).await;
    assert!(link.body["url"].as_str().unwrap().starts_with(&app.origin), "{}", link.text);
}

async fn must_be_served(app: &TestApp) {
    for _ in 0..3 {
        let start = Instant::now();
        assert_eq!(app.ask("GET /api/ready", "", Value::Null).await.status, 200);
        // Idle clients are closed after 10 s; whoever had to wait for that was kept out.
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    }
}

/// Sends `start`, then a byte each second, until the server closes; returns how long it let us, and what it said.
fn byte_a_second(mut connection: TcpStream, start: &str, byte: &[u8]) -> (Duration, String) {
    let began = Instant::now();
    connection.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    connection.write_all(start.as_bytes()).unwrap();
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    while began.elapsed() < Duration::from_secs(60) {
        match connection.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => answer.extend_from_slice(&buffer[..read]),
            Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {
                if connection.write_all(byte).is_err() {
                    break;
                }
            }
            Err(_) => break,
        }
    }
    (began.elapsed(), String::from_utf8_lossy(&answer).into_owned())
}
