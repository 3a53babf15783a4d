//! A client that makes as little work as it can: prepared requests, answers read by their length.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::unit::{self, Server};

/// What a load was answered with.
pub struct Answers {
    pub per_second: f64,
    /// In microseconds, in order.
    latencies_us: Vec<u32>,
    /// Of a paced load, when each request was answered.
    pub answered: Vec<(u64, Instant)>,
}

impl Answers {
    /// Several loads as one.
    pub fn all(loads: Vec<Answers>) -> Answers {
        let per_second = loads.iter().map(|load| load.per_second).sum::<f64>() / loads.len() as f64;
        let (mut latencies_us, mut answered) = (Vec::new(), Vec::new());
        for load in loads {
            latencies_us.extend(load.latencies_us);
            answered.extend(load.answered);
        }
        latencies_us.sort_unstable();
        Answers { per_second, latencies_us, answered }
    }

    pub fn percentile_us(&self, percent: f64) -> f64 {
        let at = (self.latencies_us.len() as f64 * percent / 100.0) as usize;
        self.latencies_us.get(at.min(self.latencies_us.len().saturating_sub(1))).copied().unwrap_or(0).into()
    }
}

/// Sends requests over `connections` for `duration`, each as soon as the one before is answered; all must succeed.
pub fn run(
    server: SocketAddr,
    connections: usize,
    duration: Duration,
    request: impl Fn(u64) -> Vec<u8> + Send + Sync + 'static,
) -> Answers {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let request = std::sync::Arc::new(request);
    let number = std::sync::Arc::new(AtomicU64::new(0));
    runtime.block_on(async {
        let start = Instant::now();
        let end = start + duration;
        let tasks: Vec<_> = (0..connections)
            .map(|_| {
                let (request, number) = (request.clone(), number.clone());
                tokio::spawn(async move {
                    let mut stream = TcpStream::connect(server).await.expect("a connection");
                    stream.set_nodelay(true).expect("no delay");
                    let mut latencies = Vec::new();
                    let mut buffer = Vec::with_capacity(64 * 1024);
                    while Instant::now() < end {
                        let bytes = request(number.fetch_add(1, Ordering::Relaxed));
                        let sent = Instant::now();
                        stream.write_all(&bytes).await.expect("sent");
                        answer(&mut stream, &mut buffer).await;
                        latencies.push(sent.elapsed().as_micros() as u32);
                    }
                    latencies
                })
            })
            .collect();
        let mut latencies_us = Vec::new();
        for task in tasks {
            latencies_us.extend(task.await.expect("the load went through"));
        }
        let per_second = latencies_us.len() as f64 / start.elapsed().as_secs_f64();
        latencies_us.sort_unstable();
        Answers { per_second, latencies_us, answered: Vec::new() }
    })
}

/// Sends `per_second` requests a second until told to stop. Each is due at its moment whatever became of those before,
/// and its latency counts from there where one before it was too slow. Else it counts from when it is sent: that the timer
/// here fires up to 2 ms late is nothing a server could mend.
pub fn paced(
    server: SocketAddr,
    per_second: u32,
    stop: &AtomicBool,
    request: impl Fn(u64) -> Vec<u8> + Send + Sync + 'static,
) -> Answers {
    const CONNECTIONS: u64 = 32;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let start = tokio::time::Instant::now();
        let one = |connection: u64| {
            let request = &request;
            async move {
                let mut stream = TcpStream::connect(server).await.expect("a connection");
                stream.set_nodelay(true).expect("no delay");
                let (mut answered, mut buffer) = (Vec::new(), Vec::with_capacity(64 * 1024));
                for n in (connection..).step_by(CONNECTIONS as usize) {
                    let due = start + Duration::from_secs_f64(n as f64 / f64::from(per_second));
                    let mut from = due;
                    if due > tokio::time::Instant::now() {
                        tokio::time::sleep_until(due).await;
                        from = tokio::time::Instant::now();
                    }
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    stream.write_all(&request(n)).await.expect("sent");
                    answer(&mut stream, &mut buffer).await;
                    answered.push((n, from.elapsed(), Instant::now()));
                }
                answered
            }
        };
        let all = futures_util::future::join_all((0..CONNECTIONS).map(one)).await;
        let per_second = all.iter().flatten().count() as f64 / start.elapsed().as_secs_f64();
        let mut latencies_us: Vec<u32> = all.iter().flatten().map(|(_, took, _)| took.as_micros() as u32).collect();
        latencies_us.sort_unstable();
        let answered = all.into_iter().flatten().map(|(n, _, at)| (n, at)).collect();
        Answers { per_second, latencies_us, answered }
    })
}

/// Adds people at a steady pace, on a thread of its own.
pub struct Steady {
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<Answers>,
    /// The number of the person whom the first request adds.
    pub first: u64,
}

impl Steady {
    pub fn start(server: &Server, token: &str, per_second: u32) -> Steady {
        let stop = Arc::new(AtomicBool::new(false));
        let (address, token, it) = (server.address, token.to_owned(), stop.clone());
        // Addresses of their own for each load.
        let first = uuid::Uuid::now_v7().as_u128() as u64 >> 8;
        let request = move |n| post("/api/people", Some(&token), &unit::body(first.wrapping_add(n)));
        let thread = std::thread::spawn(move || paced(address, per_second, &it, request));
        Steady { stop, thread, first }
    }

    pub fn stop(self) -> Answers {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the load went through")
    }

    pub fn stop_after(self, time: Duration) -> Answers {
        std::thread::sleep(time);
        self.stop()
    }
}

/// Reads one answer, which must be a success.
async fn answer(stream: &mut TcpStream, buffer: &mut Vec<u8>) {
    buffer.clear();
    let (mut head, mut length) = (None, 0);
    loop {
        if stream.read_buf(buffer).await.expect("an answer") == 0 {
            panic!("the server closed the connection");
        }
        if head.is_none() {
            head = buffer.windows(4).position(|w| w == b"\r\n\r\n").map(|at| at + 4);
            if let Some(end) = head {
                let text = std::str::from_utf8(&buffer[..end]).expect("a head of ASCII").to_ascii_lowercase();
                assert!(text.starts_with("http/1.1 2"), "{}", String::from_utf8_lossy(buffer));
                let value = text.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next());
                length = value.map_or(0, |value| value.parse().expect("a length"));
            }
        }
        if head.is_some_and(|end| buffer.len() >= end + length) {
            return;
        }
    }
}

pub fn get(path: &str, token: Option<&str>) -> Vec<u8> {
    let token = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    format!("GET {path} HTTP/1.1\r\nHost: bench\r\n{token}\r\n").into_bytes()
}

pub fn post(path: &str, token: Option<&str>, body: &str) -> Vec<u8> {
    let token = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    format!(
        "POST {path} HTTP/1.1\r\nHost: bench\r\n{token}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}
