//! The replica's place in a bucket: against a real server that speaks S3 (moto), against the real Litestream, and
//! against servers that fail in every way.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ashlar::platform::clock::Time;
use ashlar::platform::replica::ltx::{Decoder, Encoder, Header};
use ashlar::platform::replica::place::{self, Place};
use ashlar::platform::replica::txid::{LtxFile, LtxName, Txid};

use crate::support::{Moto, TestApp, ashlar_ok, litestream, moto, program, terminate, wait};

const MIB: usize = 1024 * 1024;
/// 2026-01-01T00:00:00Z
const NEW_YEAR: i64 = 1_767_225_600_000;

/// What stands at `address`, where the server is at `endpoint`.
fn bucket_at(endpoint: &str, address: &str) -> Arc<dyn Place> {
    place::at_with(address, &|name| match name {
        "AWS_ACCESS_KEY_ID" => Some("a-key".to_owned()),
        "AWS_SECRET_ACCESS_KEY" => Some("a-secret".to_owned()),
        "AWS_ENDPOINT_URL" => Some(endpoint.to_owned()),
        _ => None,
    })
    .unwrap()
}

fn name(level: u8, min: u64, max: u64) -> LtxName {
    LtxName::new(level, Txid(min), Txid(max))
}

fn write(place: &dyn Place, name: LtxName, timestamp: Time, content: &[u8]) -> io::Result<()> {
    let mut upload = place.create(name, timestamp)?;
    upload.write_all(content)?;
    upload.finish()
}

fn read(place: &dyn Place, name: LtxName) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    place.open(name)?.read_to_end(&mut content)?;
    Ok(content)
}

/// A file of the replica: these pages, of a database that has as many.
fn ltx(name: LtxName, timestamp: Time, page_size: u32, pages: &[u8]) -> Vec<u8> {
    let count = (pages.len() / page_size as usize) as u32;
    let header = Header { page_size, pages: count, min: name.min, max: name.max, timestamp };
    let mut encoder = Encoder::new(Vec::new(), header).unwrap();
    for (number, page) in (1..).zip(pages.chunks(page_size as usize)) {
        encoder.page(number, page).unwrap();
    }
    encoder.finish().unwrap().1
}

fn names(files: &[LtxFile]) -> Vec<LtxName> {
    files.iter().map(|file| file.name).collect()
}

#[test]
fn what_is_written_to_a_bucket_is_listed_read_and_removed_again() {
    let Some(moto) = moto() else { return };
    moto.bucket("ledger");
    for address in ["s3://ledger/some/prefix", "s3://ledger"] {
        let place = bucket_at(&moto.endpoint, address);
        let later = Time::from_ms(NEW_YEAR + 1);
        let one = ltx(name(0, 1, 1), Time::from_ms(NEW_YEAR), 512, &[1; 512]);
        let two = ltx(name(0, 2, 0x1f), later, 512, &[2; 512]);
        assert_eq!(place.shown(), address);
        assert!(place.is_far() && place.lock().unwrap().is_some());
        assert_eq!(place.list(0).unwrap(), []);
        assert_eq!(place.read_note("owner.json").unwrap(), None);

        write(&*place, name(0, 2, 0x1f), later, &two).unwrap();
        write(&*place, name(0, 1, 1), Time::from_ms(NEW_YEAR), &one).unwrap();
        place.write_note("owner.json", b"first").unwrap();
        place.write_note("owner.json", b"second").unwrap();

        let files = [
            LtxFile { name: name(0, 1, 1), timestamp: Time::from_ms(NEW_YEAR), bytes: one.len() as u64 },
            LtxFile { name: name(0, 2, 0x1f), timestamp: later, bytes: two.len() as u64 },
        ];
        assert_eq!(place.list(0).unwrap(), files);
        assert_eq!(bucket_at(&moto.endpoint, address).list(0).unwrap(), files, "as another process sees it");
        assert_eq!(place.list(9).unwrap(), []);
        assert_eq!(read(&*place, name(0, 2, 0x1f)).unwrap(), two);
        assert_eq!(read(&*place, name(0, 3, 3)).unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(place.read_note("owner.json").unwrap().unwrap(), b"second");

        place.remove(&[name(0, 1, 1), name(0, 7, 7)]).unwrap();
        assert_eq!(names(&place.list(0).unwrap()), [name(0, 2, 0x1f)]);
        assert_eq!(read(&*place, name(0, 1, 1)).unwrap_err().kind(), ErrorKind::NotFound);
        place.remove(&[]).unwrap();
    }
}

#[test]
fn a_name_that_is_taken_in_a_bucket_is_never_written_over() {
    let Some(moto) = moto() else { return };
    moto.bucket("ledger");
    let ours = bucket_at(&moto.endpoint, "s3://ledger/x");
    let others = bucket_at(&moto.endpoint, "s3://ledger/x");
    let time = Time::from_ms(NEW_YEAR);
    let large = vec![7; 9 * MIB];
    write(&*others, name(0, 5, 5), time, b"theirs").unwrap();

    let small = write(&*ours, name(0, 5, 5), time, b"ours").unwrap_err();
    assert_eq!(small.kind(), ErrorKind::AlreadyExists);
    assert!(small.to_string().contains("level 0, 0000000000000005-0000000000000005.ltx is there already"), "{small}");
    assert_eq!(write(&*ours, name(0, 5, 5), time, &large).unwrap_err().kind(), ErrorKind::AlreadyExists);
    assert_eq!(write(&*others, name(0, 5, 5), time, b"theirs").unwrap_err().kind(), ErrorKind::AlreadyExists);

    // Another came between the look at what is there and the end of the upload.
    let looks = AtomicUsize::new(0);
    let late = before(&moto, move |head, body, server| {
        if head.starts_with("HEAD") && looks.fetch_add(1, Ordering::SeqCst) == 0 {
            return b"HTTP/1.1 404 X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec();
        }
        forward(head, body, server)
    });
    let late = write(&*bucket_at(&late, "s3://ledger/x"), name(0, 5, 5), time, &large).unwrap_err();
    assert_eq!(late.kind(), ErrorKind::AlreadyExists, "{late}");

    assert_eq!(read(&*ours, name(0, 5, 5)).unwrap(), b"theirs");
    assert!(!moto.ask("GET", "/ledger?uploads").contains("<Upload>"), "parts are left behind");
}

#[test]
fn an_upload_that_is_dropped_leaves_nothing_in_the_bucket() {
    let Some(moto) = moto() else { return };
    moto.bucket("ledger");
    let place = bucket_at(&moto.endpoint, "s3://ledger/x");
    let mut upload = place.create(name(9, 1, 4), Time::from_ms(NEW_YEAR)).unwrap();
    upload.write_all(&vec![1; 20 * MIB]).unwrap();
    assert!(moto.ask("GET", "/ledger?uploads").contains("<Upload>"));

    drop(upload);

    assert!(!moto.ask("GET", "/ledger?uploads").contains("<Upload>"));
    assert_eq!(place.list(9).unwrap(), []);
}

#[test]
fn more_than_a_thousand_files_of_a_level_are_listed_and_removed() {
    let Some(moto) = moto() else { return };
    moto.bucket("ledger");
    let place = bucket_at(&moto.endpoint, "s3://ledger/x");
    let time = |txid: u64| Time::from_ms(NEW_YEAR + txid as i64 * 1000);
    for txid in 1..=1050 {
        let content = ltx(name(0, txid, txid), time(txid), 512, &[0; 512]);
        write(&*place, name(0, txid, txid), time(txid), &content).unwrap();
    }
    let fresh = bucket_at(&moto.endpoint, "s3://ledger/x");

    let files = fresh.list(0).unwrap();

    assert!(files.iter().map(|file| (file.name, file.timestamp)).eq((1..=1050).map(|t| (name(0, t, t), time(t)))));
    let asked = moto.requests();
    assert_eq!(fresh.list(0).unwrap(), files);
    assert_eq!(place.list(0).unwrap(), files);
    assert_eq!(moto.requests() - asked, 4, "each timestamp is asked for once, and none of what oneself wrote");
    fresh.remove(&names(&files)).unwrap();
    assert_eq!(place.list(0).unwrap(), []);
}

#[test]
fn what_lies_in_a_bucket_and_is_no_file_of_the_replica_is_left_out() {
    let Some(moto) = moto() else { return };
    moto.bucket("ledger");
    let place = bucket_at(&moto.endpoint, "s3://ledger/x");
    let level = bucket_at(&moto.endpoint, "s3://ledger/x/0000");
    let deeper = bucket_at(&moto.endpoint, "s3://ledger/x/0000/old");
    let file = "0000000000000002-0000000000000002.ltx";
    level.write_note("readme.txt", b"?").unwrap();
    level.write_note(&format!("{file}.tmp"), b"?").unwrap();
    deeper.write_note(file, b"?").unwrap();
    bucket_at(&moto.endpoint, "s3://ledger/x/00000").write_note(file, b"?").unwrap();
    bucket_at(&moto.endpoint, "s3://ledger/x/0").write_note(file, b"?").unwrap();
    // A "folder", as web consoles make it.
    bucket_at(&moto.endpoint, "s3://ledger/x").write_note("0000", b"").unwrap();
    assert_eq!(place.list(0).unwrap(), []);

    // Broken ones are there; what they hold is for their reader to say.
    level.write_note(file, b"").unwrap();
    level.write_note("0000000000000003-0000000000000003.ltx", &[7; 500]).unwrap();

    let files = place.list(0).unwrap();
    assert_eq!(names(&files), [name(0, 2, 2), name(0, 3, 3)]);
    assert!(files.iter().all(|file| file.timestamp > Time::from_ms(NEW_YEAR)));
}

#[test]
fn two_threads_use_a_bucket_at_once() {
    let Some(moto) = moto() else { return };
    moto.bucket("ledger");
    let place = bucket_at(&moto.endpoint, "s3://ledger/x");
    std::thread::scope(|scope| {
        for level in 0..4 {
            let place = &place;
            scope.spawn(move || {
                for txid in 1..20 {
                    write(&**place, name(level, txid, txid), Time::from_ms(NEW_YEAR), b"content").unwrap();
                    assert_eq!(read(&**place, name(level, txid, txid)).unwrap(), b"content");
                }
            });
        }
    });
    assert!((0..4).all(|level| place.list(level).unwrap().len() == 19));
}

#[test]
fn fifty_megabytes_go_to_a_bucket_and_come_back_with_flat_memory() {
    let Some(moto) = moto() else { return };
    moto.bucket("ledger");
    // In a process of its own: the memory of this one is that of all tests.
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "replica_s3::fifty_megabytes", "--ignored", "--nocapture"])
        .env("ASHLAR_TEST_S3", &moto.endpoint)
        .output()
        .unwrap();

    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{printed}\n{}", String::from_utf8_lossy(&output.stderr));
    let growth_kib = printed.split("grew by ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
    assert!(growth_kib.parse::<u64>().unwrap() < 30 * 1024, "{printed}");
}

#[test]
#[ignore = "fifty_megabytes_go_to_a_bucket_and_come_back_with_flat_memory runs it"]
fn fifty_megabytes() {
    let Ok(endpoint) = std::env::var("ASHLAR_TEST_S3") else { return };
    let place = bucket_at(&endpoint, "s3://ledger/x");
    write(&*place, name(9, 1, 1), Time::from_ms(NEW_YEAR), b"small").unwrap();
    let before = peak_memory_kib();
    let piece = |number: usize| [number as u8; 100_000];

    let start = Instant::now();
    let mut upload = place.create(name(9, 1, 2), Time::from_ms(NEW_YEAR)).unwrap();
    for number in 0..525 {
        upload.write_all(&piece(number)).unwrap();
    }
    upload.finish().unwrap();
    let wrote = start.elapsed();
    let start = Instant::now();
    let mut from = place.open(name(9, 1, 2)).unwrap();
    let mut read = [0; 100_000];
    for number in 0..525 {
        from.read_exact(&mut read).unwrap();
        assert!(read == piece(number), "piece {number}");
    }
    assert_eq!(from.read(&mut read).unwrap(), 0);

    assert_eq!(place.list(9).unwrap()[1].bytes, 52_500_000);
    let growth = peak_memory_kib() - before;
    println!("memory grew by {growth} KiB; written in {wrote:?}, read in {:?}", start.elapsed());
}

fn peak_memory_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn a_bucket_without_credentials_is_refused_by_the_name_of_what_is_missing() {
    let at = |address: &str, set: &[(&str, &str)]| {
        let variable = |name: &str| set.iter().find(|(set, _)| *set == name).map(|(_, value)| (*value).to_owned());
        place::at_with(address, &variable).map(|place| place.shown()).map_err(|e| e.to_string())
    };
    let key = ("AWS_ACCESS_KEY_ID", "a-key");
    let secret = ("AWS_SECRET_ACCESS_KEY", "a-secret");
    let region = ("AWS_REGION", "eu-central-1");

    assert!(at("s3://ledger/x", &[secret, region]).unwrap_err().contains("AWS_ACCESS_KEY_ID"));
    assert!(at("s3://ledger/x", &[key, region, ("AWS_SECRET_ACCESS_KEY", "")]).unwrap_err().contains("AWS_SECRET_ACC"));
    assert!(at("s3://ledger/x", &[key, secret]).unwrap_err().contains("AWS_REGION"));
    assert_eq!(at("s3://ledger/x/", &[key, secret, ("AWS_DEFAULT_REGION", "eu-central-1")]).unwrap(), "s3://ledger/x");
    let in_two_lines = [key, region, ("AWS_SECRET_ACCESS_KEY", "hunter2\n")];
    let refused = at("s3://ledger/x", &in_two_lines).unwrap_err();
    assert!(refused.contains("AWS_SECRET_ACCESS_KEY holds") && !refused.contains("hunter2"), "{refused}");

    for endpoint in ["http://minio.example.org:9000", "ftp://example.org", "https://me:hunter2@example.org", "nowhere"]
    {
        let refused = at("s3://ledger/x", &[key, secret, ("AWS_ENDPOINT_URL", endpoint)]).unwrap_err();
        assert!(refused.contains("AWS_ENDPOINT_URL") && !refused.contains("hunter2"), "{refused}");
    }
    for endpoint in ["http://127.0.0.1:9000", "http://[::1]:9000", "http://localhost", "https://minio.example.org"] {
        at("s3://ledger/x", &[key, secret, ("AWS_ENDPOINT_URL_S3", endpoint)]).unwrap();
    }
    let allowed = ("AWS_ALLOW_HTTP", "true");
    at("s3://ledger/x", &[key, secret, allowed, ("AWS_ENDPOINT_URL", "http://minio.example.org:9000")]).unwrap();

    for address in
        ["s3://", "s3:///x", "s3://Ledger/x", "s3://ledger/a//b", "s3://ledger/x?region=eu", "s3://ledger/.."]
    {
        assert!(at(address, &[key, secret, region]).unwrap_err().contains("is no replica"), "{address}");
    }
}

/// A server that gives `answer` to whatever it is asked, or, where that is empty, none at all.
fn answering(answer: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let (mut connection, answer) = (connection.unwrap(), answer.clone());
            std::thread::spawn(move || {
                while let Some((_, _)) = next_request(&connection) {
                    if !answer.is_empty() && connection.write_all(answer.as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    endpoint
}

/// The head and the body of the next request; none at the end.
fn next_request(connection: &TcpStream) -> Option<(String, Vec<u8>)> {
    let mut from = BufReader::with_capacity(1, connection);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if from.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().unwrap())
    });
    let mut body = vec![0; length.unwrap_or(0)];
    from.read_exact(&mut body).ok()?;
    Some((head, body))
}

#[test]
fn what_a_bucket_refuses_is_said_with_the_reason_and_what_to_do() {
    let cases = [
        (403, "InvalidAccessKeyId", ErrorKind::PermissionDenied, "check AWS_ACCESS_KEY_ID"),
        (403, "SignatureDoesNotMatch", ErrorKind::PermissionDenied, "check AWS_SECRET_ACCESS_KEY"),
        (403, "AccessDenied", ErrorKind::PermissionDenied, "must be allowed s3:ListBucket"),
        (400, "ExpiredToken", ErrorKind::PermissionDenied, "set a new AWS_SESSION_TOKEN"),
        (403, "RequestTimeTooSkewed", ErrorKind::PermissionDenied, "the clock of this machine is wrong"),
        (401, "", ErrorKind::PermissionDenied, "access is denied"),
        (404, "NoSuchBucket", ErrorKind::InvalidInput, "there is no bucket `ledger` at http://127.0.0.1"),
        (404, "", ErrorKind::InvalidInput, "not as S3 does"),
        (301, "PermanentRedirect", ErrorKind::InvalidInput, "set AWS_REGION"),
        (400, "AuthorizationHeaderMalformed", ErrorKind::InvalidInput, "set AWS_REGION"),
        (507, "", ErrorKind::StorageFull, "make room there"),
        (507, "XMinioStorageFull", ErrorKind::StorageFull, "make room there"),
        (403, "QuotaExceeded", ErrorKind::StorageFull, "make room there"),
        (500, "InternalError", ErrorKind::Other, "answers 500 InternalError"),
        (503, "SlowDown", ErrorKind::ResourceBusy, "is busy (503 SlowDown)"),
    ];
    for (status, code, kind, text) in cases {
        let body = format!("<Error><Code>{code}</Code><Message>hunter2</Message></Error>");
        let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        let place = bucket_at(&answering(answer), "s3://ledger/x");
        let outcomes = [
            place.list(0).map(drop),
            place.read_note("owner.json").map(drop),
            place.open(name(0, 1, 1)).map(drop),
            write(&*place, name(0, 1, 1), Time::from_ms(0), b"x"),
            write(&*place, name(0, 1, 1), Time::from_ms(0), &vec![0; 9 * MIB]),
            place.write_note("owner.json", b"x"),
            place.remove(&[name(0, 1, 1)]),
        ];

        for (number, outcome) in outcomes.into_iter().enumerate() {
            let error = outcome.unwrap_err();
            let shown = error.to_string();
            assert!(
                error.kind() == kind && shown.contains(text),
                "{status} {code}, {number}: {:?}, {shown}",
                error.kind()
            );
            assert!(shown.starts_with("s3://ledger/x: "), "{shown}");
            assert!(!shown.contains("hunter2") && !shown.contains("a-key") && !shown.contains("a-secret"), "{shown}");
        }
    }
}

#[test]
fn a_bucket_that_is_missing_does_not_look_like_an_empty_one() {
    let Some(moto) = moto() else { return };
    let place = bucket_at(&moto.endpoint, "s3://nowhere/x");
    for error in [
        place.list(0).unwrap_err(),
        place.read_note("owner.json").unwrap_err(),
        place.open(name(0, 1, 1)).map(drop).unwrap_err(),
        write(&*place, name(0, 1, 1), Time::from_ms(0), b"x").unwrap_err(),
        place.remove(&[name(0, 1, 1)]).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        assert!(error.to_string().contains("there is no bucket `nowhere`"), "{error}");
    }
}

#[test]
fn a_bucket_that_cannot_be_reached_is_an_error_at_once() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let place = bucket_at(&format!("http://{closed}"), "s3://ledger/x");
    let start = Instant::now();

    let listed = place.list(0).unwrap_err();
    let written = write(&*place, name(0, 1, 1), Time::from_ms(0), b"x").unwrap_err();

    assert!(listed.kind() == ErrorKind::ConnectionRefused && written.kind() == listed.kind(), "{listed}, {written}");
    assert!(listed.to_string().contains("can't be reached"), "{listed}");
    assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
}

#[test]
fn a_bucket_that_does_not_answer_is_given_up_after_half_a_minute() {
    let place = bucket_at(&answering(String::new()), "s3://ledger/x");
    let start = Instant::now();

    let error = place.list(0).unwrap_err();

    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert!(error.to_string().contains("gave no answer within 30 s"), "{error}");
    assert!((29..45).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
}

/// Stands before `moto` and answers as `answer` says, which is handed the request's head and body and moto's address.
fn before(moto: &Moto, answer: impl Fn(&str, &[u8], &str) -> Vec<u8> + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let server = moto.endpoint.trim_start_matches("http://").to_owned();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            if let Some((head, body)) = next_request(&connection) {
                connection.write_all(&answer(&head, &body, &server)).ok();
            }
        }
    });
    endpoint
}

/// What `server` answers.
fn forward(head: &str, body: &[u8], server: &str) -> Vec<u8> {
    let mut onward = TcpStream::connect(server).unwrap();
    onward.write_all(head.replacen("\r\n", "\r\nConnection: close\r\n", 1).as_bytes()).unwrap();
    onward.write_all(body).unwrap();
    let mut answer = Vec::new();
    onward.read_to_end(&mut answer).unwrap();
    answer
}

#[test]
fn a_server_that_knows_no_conditions_is_asked_first_what_is_there() {
    let Some(moto) = moto() else { return };
    moto.bucket("ledger");
    let endpoint = before(&moto, |head, body, server| {
        if head.to_lowercase().contains("if-none-match") {
            return b"HTTP/1.1 501 X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec();
        }
        forward(head, body, server)
    });
    let place = bucket_at(&endpoint, "s3://ledger/x");
    for (txid, content) in [(1, vec![1; 10]), (2, vec![2; 9 * MIB])] {
        write(&*place, name(0, txid, txid), Time::from_ms(NEW_YEAR), &content).unwrap();
        let again = write(&*place, name(0, txid, txid), Time::from_ms(NEW_YEAR), b"again").unwrap_err();

        assert_eq!(again.kind(), ErrorKind::AlreadyExists);
        assert!(read(&*place, name(0, txid, txid)).unwrap() == content);
    }
}

#[test]
fn a_lost_answer_does_not_make_ones_own_file_look_like_anothers() {
    let Some(moto) = moto() else { return };
    moto.bucket("ledger");
    let to_lose = Arc::new(AtomicUsize::new(0));
    let losing = to_lose.clone();
    // The work is done, and the line breaks.
    let endpoint = before(&moto, move |head, body, server| {
        let answer = forward(head, body, server);
        let is_lost = losing.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        if is_lost { Vec::new() } else { answer }
    });
    let lose = |answers| to_lose.store(answers, Ordering::SeqCst);
    let place = bucket_at(&endpoint, "s3://ledger/x");
    let time = Time::from_ms(NEW_YEAR);

    // The request is sent again, and refused for its own work.
    lose(1);
    write(&*place, name(0, 1, 1), time, b"one").unwrap();
    lose(1);
    let mut large = place.create(name(9, 1, 1), time).unwrap();
    large.write_all(&vec![1; 9 * MIB]).unwrap();
    lose(2);
    large.finish().unwrap();

    // It is not known what became of it. Whoever comes back with what is new by then must look: it may have been read.
    lose(100);
    write(&*place, name(0, 2, 2), time, b"two").unwrap_err();
    lose(0);
    let again = write(&*place, name(0, 2, 2), time, b"two and more").unwrap_err();
    assert_eq!(again.kind(), ErrorKind::AlreadyExists);

    write(&*bucket_at(&moto.endpoint, "s3://ledger/x"), name(0, 3, 3), time, b"theirs").unwrap();
    assert_eq!(write(&*place, name(0, 3, 3), time, b"three").unwrap_err().kind(), ErrorKind::AlreadyExists);

    let content = |txid| String::from_utf8(read(&*place, name(0, txid, txid)).unwrap()).unwrap();
    assert_eq!([content(1), content(2), content(3)], ["one", "two", "theirs"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_whose_answers_get_lost_writes_one_chain() {
    let Some(moto) = moto() else { return };
    moto.bucket("ledger");
    let is_losing = Arc::new(AtomicUsize::new(0));
    let losing = is_losing.clone();
    let endpoint = before(&moto, move |head, body, server| {
        let answer = forward(head, body, server);
        let is_lost = losing.load(Ordering::SeqCst) > 0 && !head.starts_with("GET");
        if is_lost { Vec::new() } else { answer }
    });
    let temporary = tempfile::tempdir().unwrap();
    let data = temporary.path();
    let mut command = program();
    command.envs(moto.settings()).env("AWS_ENDPOINT_URL_S3", &endpoint);
    let args = ["--replica", "s3://ledger/unit", "--replica-interval-ms", "100", "--log", "error"];
    let mut app = TestApp::start_as(command, data, &args).await;
    let (_, owner) = app.person("owner@example.org", "owner");
    for n in 0..60 {
        // Lost for a second, found for a second.
        is_losing.store(usize::from(n / 10 % 2 == 1), Ordering::SeqCst);
        let body = serde_json::json!({ "email": format!("p{n}@example.org"), "display_name": "P" });
        assert_eq!(app.ask("POST /api/people", &owner, body).await.status, 201);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    is_losing.store(0, Ordering::SeqCst);
    let start = Instant::now();
    loop {
        let listed = app.ask("GET /api/backups", &owner, serde_json::Value::Null).await.body;
        let state = &listed["replica"]["state"];
        assert_ne!(state["is"], "refused", "{state}");
        if state["is"] == "current" {
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "{state}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(app.stop(), Some(0));

    let other = tempfile::tempdir().unwrap();
    let mut restore = program();
    restore.envs(moto.settings()).args(["restore", "--from", "s3://ledger/unit", "--data"]).arg(other.path());
    let restored = restore.output().unwrap();
    assert!(restored.status.success(), "{}", String::from_utf8_lossy(&restored.stderr));
    let people = ashlar_ok(other.path(), &["user", "list"]);
    assert_eq!(people.lines().filter(|line| line.contains("@example.org")).count(), 61, "{people}");
}

/// A file for Litestream that names `database` and its replica at `s3://ledger/PREFIX`.
fn configuration(moto: &Moto, folder: &Path, database: &Path, prefix: &str) -> std::path::PathBuf {
    let path = folder.join(format!("{}.yml", prefix.replace('/', "-")));
    let content = format!(
        "dbs:\n  - path: {}\n    replica:\n      type: s3\n      bucket: ledger\n      path: {prefix}\n      \
         endpoint: {}\n      region: us-east-1\n      force-path-style: true\nlevels:\n  - interval: 2s\n\
         snapshot:\n  interval: 3s\n",
        database.display(),
        moto.endpoint
    );
    std::fs::write(&path, content).unwrap();
    path
}

fn run(program: &Path, moto: &Moto, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    // A list of certificates is no use over plain HTTP, and Litestream refuses it.
    command.env_remove("AWS_CA_BUNDLE").envs(moto.settings()).args(args);
    command
}

#[test]
fn what_litestream_replicates_to_a_bucket_is_read() {
    let Some(moto) = moto() else { return };
    moto.bucket("ledger");
    let folder = tempfile::tempdir().unwrap();
    for version in ["0.5.5", "0.5.17"] {
        let Some(litestream) = litestream(version) else { return };
        let path = folder.path().join(format!("{version}.db"));
        let prefix = format!("some/{version}");
        let database = rusqlite::Connection::open(&path).unwrap();
        database.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE lines (text TEXT)").unwrap();
        database.busy_timeout(Duration::from_secs(5)).unwrap();
        let configuration = configuration(&moto, folder.path(), &path, &prefix);
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let mut sidecar = run(&litestream, &moto, &["replicate", "-config", configuration.to_str().unwrap()])
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let place = bucket_at(&moto.endpoint, &format!("s3://ledger/{prefix}"));
        let start = Instant::now();
        while place.list(1).unwrap().len() < 2 || place.list(9).unwrap().is_empty() {
            assert!(start.elapsed() < Duration::from_secs(60), "{version} does not replicate");
            database.execute("INSERT INTO lines VALUES (hex(randomblob(2000)))", ()).unwrap();
            std::thread::sleep(Duration::from_millis(200));
        }
        terminate(&sidecar);
        wait(&mut sidecar);

        for level in [0, 1, 9] {
            let files = place.list(level).unwrap();
            assert!(!files.is_empty(), "{version}, level {level}");
            for file in files {
                let mut decoder = Decoder::new(place.open(file.name).unwrap()).unwrap();
                let mut page = Vec::new();
                while decoder.next(&mut page).unwrap().is_some() {}
                let header = decoder.header;
                assert_eq!((header.min, header.max), (file.name.min, file.name.max));
                assert_eq!(header.timestamp, file.timestamp, "{version}, {}", file.name);
            }
        }
    }
}

#[test]
fn litestream_restores_what_is_written_to_a_bucket_to_its_end_and_to_a_time() {
    let Some(moto) = moto() else { return };
    moto.bucket("ledger");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("source.db");
    let source = rusqlite::Connection::open(&path).unwrap();
    source.execute_batch("CREATE TABLE lines (text TEXT); INSERT INTO lines VALUES ('first')").unwrap();
    let place = bucket_at(&moto.endpoint, "s3://ledger/some/prefix");
    let (noon, one) = (Time::from_ms(NEW_YEAR), Time::from_ms(NEW_YEAR + 3_600_500));
    let put = |name, time| {
        // Nobody has it open then.
        let pages = std::fs::read(&path).unwrap();
        write(&*place, name, time, &ltx(name, time, 4096, &pages)).unwrap();
    };
    source.close().unwrap();
    put(name(0, 1, 1), noon);
    put(name(9, 1, 1), noon);
    let source = rusqlite::Connection::open(&path).unwrap();
    source.execute("INSERT INTO lines VALUES ('second')", ()).unwrap();
    source.close().unwrap();
    put(name(0, 2, 2), one);

    for version in ["0.5.5", "0.5.17"] {
        let Some(litestream) = litestream(version) else { return };
        let configuration = configuration(&moto, folder.path(), &path, "some/prefix");
        let restore = |more: &[&str]| {
            let target = folder.path().join("restored.db");
            std::fs::remove_file(&target).ok();
            let config = configuration.to_str().unwrap();
            let args = ["restore", "-config", config, "-o", target.to_str().unwrap()];
            let output = run(&litestream, &moto, &args).args(more).arg(&path).output().unwrap();
            assert!(output.status.success(), "{version} {more:?}: {}", String::from_utf8_lossy(&output.stderr));
            let database = rusqlite::Connection::open(&target).unwrap();
            let lines = "SELECT group_concat(text) FROM lines";
            database.query_row(lines, (), |row| row.get::<_, String>(0)).unwrap()
        };

        assert_eq!(restore(&[]), "first,second", "{version}");
        assert_eq!(restore(&["-timestamp", "2026-01-01T00:30:00Z"]), "first", "{version}");
        assert_eq!(restore(&["-txid", "0000000000000001"]), "first", "{version}");
    }
}
