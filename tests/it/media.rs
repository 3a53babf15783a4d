//! Media: files arrive whole or in pieces, stay what they were, and are shown to nobody else, nor as anything that runs.

use std::io::Write;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::multipart::{Form, Part};
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::{Answer, TestApp};

const BYTES: &str = "application/offset+octet-stream";

/// Bytes that no type is known by, and no two alike pieces in them.
pub fn content(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let next = |state: &mut u64| {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        *state as u8
    };
    (0..length).map(|n| if n == 0 { 0 } else { next(&mut state) }).collect()
}

pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

impl TestApp {
    /// Uploads a file the plain way.
    pub async fn upload(&self, token: &str, name: &str, bytes: Vec<u8>) -> Answer {
        let form = Form::new().part("file", Part::bytes(bytes).file_name(name.to_owned()));
        self.send(self.asking("POST /api/media", token, Value::Null).multipart(form)).await
    }

    fn tus(&self, method: &str, path: &str, token: &str) -> RequestBuilder {
        let method: Method = method.parse().unwrap();
        self.request(method, path).bearer_auth(token).header("tus-resumable", "1.0.0")
    }

    /// Begins an upload; returns its path.
    pub async fn begin(&self, token: &str, length: usize) -> String {
        let begun = self.tus("POST", "/api/media/uploads", token).header("upload-length", length).send().await.unwrap();
        assert_eq!(begun.status(), 201);
        begun.headers()["location"].to_str().unwrap().to_owned()
    }

    fn append(&self, path: &str, token: &str, offset: usize, bytes: Vec<u8>) -> RequestBuilder {
        self.tus("PATCH", path, token).header("upload-offset", offset).header("content-type", BYTES).body(bytes)
    }

    /// Where an upload is.
    async fn offset(&self, path: &str, token: &str) -> usize {
        offset_of(&self.tus("HEAD", path, token).send().await.unwrap())
    }

    async fn item(&self, path: &str, token: &str) -> Value {
        let id = path.rsplit('/').next().unwrap();
        self.ask(&format!("GET /api/media/{id}"), token, Value::Null).await.body
    }

    pub async fn bytes_of(&self, item: &str, token: &str) -> Vec<u8> {
        let answer = self.get(&format!("/api/media/{item}/content")).bearer_auth(token).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        answer.bytes().await.unwrap().to_vec()
    }
}

fn offset_of(response: &Response) -> usize {
    assert!(response.status().is_success(), "{}", response.status());
    response.headers()["upload-offset"].to_str().unwrap().parse().unwrap()
}

fn header<'r>(response: &'r Response, name: &str) -> &'r str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

#[tokio::test]
async fn a_file_that_is_uploaded_is_listed_read_renamed_and_deleted() {
    let app = TestApp::start().await;
    let (_, ann) = app.person("ann@example.org", "member");
    let bytes = content(700_000);

    let item = app.upload(&ann, "../secret/plan b.bin", bytes.clone()).await;
    assert_eq!(item.status, 201, "{}", item.text);
    let id = item.body["id"].as_str().unwrap().to_owned();
    assert_eq!(item.body["name"], "plan b.bin");
    assert_eq!((&item.body["size_bytes"], &item.body["state"]), (&json!(700_000), &json!("ready")));
    assert_eq!(item.body["sha256"], sha256(&bytes));
    assert_eq!(app.bytes_of(&id, &ann).await, bytes);
    let second = app.upload(&ann, "two.bin", content(10)).await.body["id"].clone();
    let page = app.ask("GET /api/media?limit=1", &ann, Value::Null).await;
    assert_eq!(page.body["items"][0]["id"], second);
    let next = page.body["next_cursor"].as_str().unwrap();
    let page = app.ask(&format!("GET /api/media?limit=1&cursor={next}"), &ann, Value::Null).await;
    assert_eq!((&page.body["items"][0]["id"], &page.body["next_cursor"]), (&json!(id), &Value::Null));

    let rename = app.asking(&format!("PATCH /api/media/{id}"), &ann, json!({ "name": "Plan B" }));
    let stale = app.send(rename.try_clone().unwrap().header("if-match", "\"77\"")).await;
    assert_eq!(stale.status, 412);
    assert_eq!(app.send(rename).await.body["name"], "Plan B");
    let wrong = app.ask(&format!("PATCH /api/media/{id}"), &ann, json!({ "name": "a\nb" })).await;
    assert_eq!(wrong.wrong_fields(), ["name"]);
    assert_eq!(app.ask(&format!("DELETE /api/media/{id}"), &ann, Value::Null).await.status, 204);
    assert_eq!(app.ask(&format!("GET /api/media/{id}"), &ann, Value::Null).await.status, 404);
}

#[tokio::test]
async fn a_part_of_a_file_can_be_asked_for_and_what_is_known_is_not_sent_again() {
    let app = TestApp::start().await;
    let (_, ann) = app.person("ann@example.org", "member");
    let bytes = content(600_000);
    let id = app.upload(&ann, "a.bin", bytes.clone()).await.body["id"].as_str().unwrap().to_owned();
    let ask = |name: &'static str, value: String| {
        let request = app.get(&format!("/api/media/{id}/content")).bearer_auth(&ann).header(name, value);
        async move { request.send().await.unwrap() }
    };

    // Across the border between two pieces, at the end, and the last bytes.
    for (range, from, to) in
        [("bytes=262140-262150", 262_140, 262_151), ("bytes=599999-", 599_999, 600_000), ("bytes=-7", 599_993, 600_000)]
    {
        let part = ask("range", range.into()).await;
        assert_eq!(part.status(), 206, "{range}");
        assert_eq!(header(&part, "content-range"), format!("bytes {from}-{}/600000", to - 1));
        assert_eq!(part.bytes().await.unwrap(), bytes[from..to], "{range}");
    }
    let none = ask("range", "bytes=600000-".into()).await;
    assert_eq!((none.status().as_u16(), header(&none, "content-range")), (416, "bytes */600000"));
    let tag = format!("\"{}\"", sha256(&bytes));
    assert_eq!(ask("if-none-match", tag.clone()).await.status(), 304);
    let changed = app.get(&format!("/api/media/{id}/content")).bearer_auth(&ann);
    let changed = changed.header("range", "bytes=0-9").header("if-range", "\"other\"").send().await.unwrap();
    assert_eq!((changed.status().as_u16(), header(&changed, "etag")), (200, tag.as_str()));
    let head = app.request(Method::HEAD, &format!("/api/media/{id}/content")).bearer_auth(&ann).send().await.unwrap();
    assert_eq!((head.status().as_u16(), header(&head, "content-length")), (200, "600000"));
}

#[tokio::test]
async fn what_could_run_in_a_browser_is_a_file_to_be_saved() {
    let app = TestApp::start().await;
    let (_, ann) = app.person("ann@example.org", "member");
    let hostile: [(&str, &[u8]); 5] = [
        ("page.html", b"<!DOCTYPE html><script>alert(1)</script>"),
        ("picture.png", b"<html><body onload=alert(1)>"),
        ("drawing.svg", b"<svg xmlns=\"http://www.w3.org/2000/svg\" onload=\"alert(1)\"/>"),
        ("feed.xml", b"<?xml version=\"1.0\"?><x:script xmlns:x=\"http://www.w3.org/1999/xhtml\">alert(1)</x:script>"),
        ("paper.pdf", b"%PDF-1.7\n1 0 obj<</OpenAction<</S/JavaScript/JS(app.alert(1))>>>>endobj"),
    ];

    for (name, bytes) in hostile {
        let item = app.upload(&ann, name, bytes.to_vec()).await;
        let id = item.body["id"].as_str().unwrap();
        let link = app.ask(&format!("POST /api/media/{id}/links"), &ann, json!({})).await;
        let link = link.body["path"].as_str().unwrap().to_owned();
        for response in [
            app.get(&format!("/api/media/{id}/content")).bearer_auth(&ann).send().await.unwrap(),
            app.page(&format!("/media/{id}/content"), &ann).send().await.unwrap(),
            app.get(&link).send().await.unwrap(),
        ] {
            assert_eq!(response.status(), 200, "{name}");
            let kind = header(&response, "content-type");
            assert!(["text/plain; charset=utf-8", "application/octet-stream"].contains(&kind), "{name}: {kind}");
            assert_eq!(header(&response, "x-content-type-options"), "nosniff");
            assert_eq!(header(&response, "content-security-policy"), "default-src 'none'; sandbox");
            let how = header(&response, "content-disposition");
            assert_eq!(how.starts_with("attachment"), kind == "application/octet-stream", "{name}: {how}");
        }
    }
}

#[tokio::test]
async fn a_file_is_its_owners_alone() {
    let app = TestApp::start().await;
    let (_, ann) = app.person("ann@example.org", "member");
    let (_, bob) = app.person("bob@example.org", "owner");
    let id = app.upload(&ann, "a.bin", content(10)).await.body["id"].as_str().unwrap().to_owned();
    let upload = app.begin(&ann, 100).await;

    for what in ["GET", "DELETE"] {
        assert_eq!(app.ask(&format!("{what} /api/media/{id}"), &bob, Value::Null).await.status, 404);
    }
    assert_eq!(app.ask(&format!("PATCH /api/media/{id}"), &bob, json!({ "name": "mine" })).await.status, 404);
    assert_eq!(app.ask(&format!("POST /api/media/{id}/links"), &bob, json!({})).await.status, 404);
    assert_eq!(app.get(&format!("/api/media/{id}/content")).bearer_auth(&bob).send().await.unwrap().status(), 404);
    assert_eq!(app.page(&format!("/media/{id}"), &bob).send().await.unwrap().status(), 404);
    for method in ["HEAD", "DELETE"] {
        assert_eq!(app.tus(method, &upload, &bob).send().await.unwrap().status(), 404, "{method}");
    }
    assert_eq!(app.append(&upload, &bob, 0, content(10)).send().await.unwrap().status(), 404);
    assert_eq!(app.offset(&upload, &ann).await, 0);
}

#[tokio::test]
async fn a_link_opens_one_file_until_it_expires_or_the_file_is_gone() {
    let app = TestApp::start().await;
    let (_, ann) = app.person("ann@example.org", "member");
    let id = app.upload(&ann, "ä.txt", b"hello".to_vec()).await.body["id"].as_str().unwrap().to_owned();
    let link = async |expires_in_s: i64| {
        let answer =
            app.ask(&format!("POST /api/media/{id}/links"), &ann, json!({ "expires_in_s": expires_in_s })).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        answer.body["path"].as_str().unwrap().to_owned()
    };

    let (long, short) = (link(600).await, link(1).await);
    let seen = app.get(&long).send().await.unwrap();
    assert_eq!(header(&seen, "content-disposition"), "inline; filename*=UTF-8''%C3%A4.txt");
    assert_eq!(seen.text().await.unwrap(), "hello");
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(app.get(&short).send().await.unwrap().status(), 404);
    let other = if long.ends_with('A') { 'B' } else { 'A' };
    assert_eq!(app.get(&format!("{}{other}", &long[..long.len() - 1])).send().await.unwrap().status(), 404);
    let wrong = app.ask(&format!("POST /api/media/{id}/links"), &ann, json!({ "expires_in_s": 0 })).await;
    assert_eq!(wrong.wrong_fields(), ["expires_in_s"]);
    assert_eq!(app.ask(&format!("DELETE /api/media/{id}"), &ann, Value::Null).await.status, 204);
    assert_eq!(app.get(&long).send().await.unwrap().status(), 404);
}

#[tokio::test]
async fn what_is_empty_too_large_or_beyond_the_quota_is_refused_and_leaves_nothing() {
    let app = TestApp::start_with(&["--media-max-size", "1 MiB", "--media-quota", "1500 KiB"]).await;
    let (_, ann) = app.person("ann@example.org", "member");

    assert_eq!(app.upload(&ann, "empty", Vec::new()).await.wrong_fields(), ["file"]);
    let large = app.upload(&ann, "large", content(1_100_000)).await;
    assert!(large.status == 413 && large.text.contains("media_max_size"), "{}", large.text);
    let begun = |length: u64| {
        let request = app.tus("POST", "/api/media/uploads", &ann).header("upload-length", length);
        async move { request.send().await.unwrap().status().as_u16() }
    };
    assert_eq!(begun(5 << 30).await, 413);
    assert_eq!(begun(0).await, 422);
    assert_eq!(begun(1_000_000).await, 201);
    // What was announced counts.
    let beyond = app.upload(&ann, "beyond", content(900_000)).await;
    assert!(beyond.status == 413 && beyond.text.contains("delete some files first"), "{}", beyond.text);
    assert_eq!(begun(900_000).await, 413);
    assert_eq!(app.ask("GET /api/media", &ann, Value::Null).await.body["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn an_upload_goes_on_wherever_it_was_cut_off() {
    let app = TestApp::start().await;
    let (_, ann) = app.person("ann@example.org", "member");
    let bytes = content(1_400_000);

    // Around the borders of pieces, of what is written at once, and anywhere else.
    for cut in [1, 1000, 262_143, 262_144, 262_145, 524_287, 524_288, 524_289, 1_048_576, 1_399_999] {
        let path = app.begin(&ann, bytes.len()).await;
        let (host, address) = (app.origin.trim_start_matches("http://").to_owned(), app.origin.clone());
        let mut connection = std::net::TcpStream::connect(address.trim_start_matches("http://")).unwrap();
        let head = format!(
            "PATCH {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {ann}\r\nTus-Resumable: 1.0.0\r\n\
             Upload-Offset: 0\r\nContent-Type: {BYTES}\r\nContent-Length: {}\r\n\r\n",
            bytes.len()
        );
        connection.write_all(head.as_bytes()).unwrap();
        connection.write_all(&bytes[..cut]).unwrap();
        drop(connection);

        let mut offset = 0;
        for _ in 0..200 {
            offset = app.offset(&path, &ann).await;
            if offset == cut {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(offset, cut, "what has arrived stays");
        let done = app.append(&path, &ann, offset, bytes[offset..].to_vec()).send().await.unwrap();
        assert_eq!((done.status().as_u16(), offset_of(&done)), (204, bytes.len()));
        let item = app.item(&path, &ann).await;
        assert_eq!((&item["state"], &item["sha256"]), (&json!("ready"), &json!(sha256(&bytes))), "cut at {cut}");
        let id = item["id"].as_str().unwrap();
        assert_eq!(app.bytes_of(id, &ann).await, bytes, "cut at {cut}");
        assert_eq!(app.ask(&format!("DELETE /api/media/{id}"), &ann, Value::Null).await.status, 204);
    }
}

#[tokio::test]
async fn a_server_killed_in_the_midst_of_an_upload_knows_where_it_was() {
    let mut app = TestApp::start().await;
    let (_, ann) = app.person("ann@example.org", "member");
    let bytes = content(6_000_000);
    let path = app.begin(&ann, bytes.len()).await;

    for _ in 0..3 {
        let offset = app.offset(&path, &ann).await;
        let pieces: Vec<_> = bytes[offset..].chunks(100_000).map(<[u8]>::to_vec).collect();
        let pieces = futures_util::stream::unfold(pieces.into_iter(), |mut pieces| async move {
            tokio::time::sleep(Duration::from_millis(15)).await;
            pieces.next().map(|piece| (Ok::<_, std::io::Error>(piece), pieces))
        });
        let request = app.append(&path, &ann, offset, Vec::new()).body(reqwest::Body::wrap_stream(pieces));
        let sending = tokio::spawn(request.send());
        tokio::time::sleep(Duration::from_millis(300)).await;
        app.kill();
        assert!(sending.await.unwrap().is_err());
        app.restart(&[]).await;
        assert!(app.offset(&path, &ann).await > offset, "what was on the disk stays");
    }
    let offset = app.offset(&path, &ann).await;
    assert!(offset < bytes.len());
    assert_eq!(app.append(&path, &ann, offset, bytes[offset..].to_vec()).send().await.unwrap().status(), 204);
    let item = app.item(&path, &ann).await;
    assert_eq!(item["sha256"], sha256(&bytes));
}

#[tokio::test]
async fn bytes_that_do_not_hash_to_what_was_said_are_not_kept() {
    let app = TestApp::start().await;
    let (_, ann) = app.person("ann@example.org", "member");
    let bytes = content(800_000);
    let path = app.begin(&ann, bytes.len()).await;
    let sum = |bytes: &[u8]| format!("sha256 {}", STANDARD.encode(Sha256::digest(bytes)));

    let first = app.append(&path, &ann, 0, bytes[..300_000].to_vec()).header("upload-checksum", sum(&bytes[..300_000]));
    assert_eq!(offset_of(&first.send().await.unwrap()), 300_000);
    let wrong = app.append(&path, &ann, 300_000, content(500_000)).header("upload-checksum", sum(&bytes));
    assert_eq!(wrong.send().await.unwrap().status(), 460);
    assert_eq!(app.offset(&path, &ann).await, 300_000);
    let odd = app.append(&path, &ann, 300_000, content(10)).header("upload-checksum", "crc32 AAAA");
    assert_eq!(odd.send().await.unwrap().status(), 400);
    let sha1 = app.append(&path, &ann, 300_000, bytes[300_000..].to_vec());
    let sha1 = sha1.header("upload-checksum", format!("sha1 {}", STANDARD.encode(sha1_of(&bytes[300_000..]))));
    assert_eq!(offset_of(&sha1.send().await.unwrap()), bytes.len());
    assert_eq!(app.item(&path, &ann).await["sha256"], sha256(&bytes));
}

fn sha1_of(bytes: &[u8]) -> Vec<u8> {
    use sha1::Sha1;
    Sha1::digest(bytes).to_vec()
}

#[tokio::test]
async fn an_upload_refuses_what_does_not_fit_it() {
    let app = TestApp::start_with(&["--media-upload-keep", "2 seconds"]).await;
    let (_, ann) = app.person("ann@example.org", "member");
    let path = app.begin(&ann, 100).await;
    let status = |request: RequestBuilder| async move { request.send().await.unwrap().status().as_u16() };

    assert_eq!(status(app.append(&path, &ann, 7, content(10))).await, 409);
    assert_eq!(status(app.append(&path, &ann, 0, content(101))).await, 413);
    assert_eq!(status(app.append(&path, "", 0, content(1))).await, 401);
    let version = app.request(Method::PATCH, &path).bearer_auth(&ann).header("tus-resumable", "0.2.2");
    let version = version.header("upload-offset", 0).header("content-type", BYTES).body("x").send().await.unwrap();
    assert_eq!((version.status().as_u16(), header(&version, "tus-version")), (412, "1.0.0"));
    let kind = app.tus("PATCH", &path, &ann).header("upload-offset", 0).body("x");
    assert_eq!(status(kind).await, 415);
    for (name, value) in [("upload-length", "-1"), ("upload-length", "many"), ("upload-defer-length", "1")] {
        assert_eq!(
            status(app.tus("POST", "/api/media/uploads", &ann).header(name, value)).await,
            400,
            "{name} {value}"
        );
    }
    // More than was announced arrives in pieces: what fits stays, and the answer says so.
    let pieces = futures_util::stream::iter([60, 60].map(|length| Ok::<_, std::io::Error>(content(length))));
    let chunked = app.append(&path, &ann, 0, Vec::new()).body(reqwest::Body::wrap_stream(pieces));
    assert_eq!(status(chunked).await, 413);
    let offset = app.offset(&path, &ann).await;
    assert!(offset <= 100);
    let able = app.request(Method::OPTIONS, "/api/media/uploads").send().await.unwrap();
    assert_eq!((able.status().as_u16(), header(&able, "tus-checksum-algorithm")), (204, "sha1,sha256"));

    let unwanted = app.begin(&ann, 100).await;
    assert_eq!(status(app.tus("DELETE", &unwanted, &ann)).await, 204);
    assert_eq!(status(app.tus("HEAD", &unwanted, &ann)).await, 404);
    let late = app.begin(&ann, 100).await;
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert_eq!(status(app.tus("HEAD", &late, &ann)).await, 410);
    assert_eq!(status(app.append(&late, &ann, 0, content(100))).await, 410);
}

#[tokio::test]
async fn of_two_that_append_at_once_one_wins_and_nothing_is_mixed() {
    let app = TestApp::start().await;
    let (_, ann) = app.person("ann@example.org", "member");

    for round in 0..5 {
        let path = app.begin(&ann, 3_000_000).await;
        let slow = |byte: u8| {
            let pieces = futures_util::stream::unfold(0, move |n| async move {
                tokio::time::sleep(Duration::from_millis(3)).await;
                (n < 30).then(|| (Ok::<_, std::io::Error>(vec![byte; 100_000]), n + 1))
            });
            app.append(&path, &ann, 0, Vec::new()).body(reqwest::Body::wrap_stream(pieces)).send()
        };
        let (one, two) = tokio::join!(slow(1), slow(2));
        let statuses: Vec<_> = [one, two].into_iter().map(|answer| answer.map_or(0, |a| a.status().as_u16())).collect();

        assert_eq!(statuses.iter().filter(|status| **status == 204).count(), 1, "{statuses:?}");
        let bytes = app.bytes_of(path.rsplit('/').next().unwrap(), &ann).await;
        assert!(bytes.len() == 3_000_000 && bytes.iter().all(|byte| *byte == bytes[0]), "round {round}: mixed");
    }
}

#[tokio::test]
async fn memory_stays_flat_whatever_is_sent() {
    let app = TestApp::start().await;
    let (_, ann) = app.person("ann@example.org", "member");
    app.upload(&ann, "warm", content(3_000_000)).await;
    let before = app.peak_memory_kib();

    let id = app.upload(&ann, "large", content(60_000_000)).await.body["id"].as_str().unwrap().to_owned();
    assert_eq!(app.bytes_of(&id, &ann).await.len(), 60_000_000);

    let grown = app.peak_memory_kib().saturating_sub(before) / 1024;
    assert!(grown < 30, "{grown} MiB more for a file of 60 MB");
}

#[tokio::test]
async fn what_is_deleted_or_expired_leaves_no_bytes_behind() {
    let app = TestApp::start_with(&["--media-upload-keep", "1 second"]).await;
    let (_, ann) = app.person("ann@example.org", "member");
    let kept = app.upload(&ann, "kept", content(300_000)).await.body["id"].clone();
    let id = app.upload(&ann, "gone", content(30_000_000)).await.body["id"].as_str().unwrap().to_owned();
    let path = app.begin(&ann, 2_000_000).await;
    assert_eq!(app.append(&path, &ann, 0, content(1_000_000)).send().await.unwrap().status(), 204);
    tokio::time::sleep(Duration::from_millis(1200)).await;
    assert_eq!(app.ask(&format!("DELETE /api/media/{id}"), &ann, Value::Null).await.status, 204);

    let connection = rusqlite::Connection::open(app.folder.join("ashlar.db")).unwrap();
    let count = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    for _ in 0..200 {
        if count("SELECT count(*) FROM media_chunks") <= 2 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(count("SELECT count(*) FROM media_chunks"), 2);
    assert_eq!(count("SELECT count(*) FROM media_contents"), 1);
    assert_eq!(count("SELECT count(*) FROM media_uploads"), 0);
    let left = app.ask("GET /api/media", &ann, Value::Null).await;
    assert_eq!(left.body["items"].as_array().unwrap().iter().map(|item| &item["id"]).collect::<Vec<_>>(), [&kept]);
}

#[tokio::test]
async fn a_form_without_script_uploads_and_says_what_is_wrong() {
    let app = TestApp::start_with(&["--media-max-size", "1 MiB"]).await;
    let (_, ann) = app.person("ann@example.org", "member");
    let send = |name: &str, bytes: Vec<u8>| {
        let form = Form::new().part("file", Part::bytes(bytes).file_name(name.to_owned()));
        let request = app.page("/media", &ann).build().unwrap();
        let cookie = request.headers()["cookie"].clone();
        let request =
            app.request(Method::POST, "/media").header("sec-fetch-site", "same-origin").header("cookie", cookie);
        async move { request.multipart(form).send().await.unwrap() }
    };
    let name = format!("{}.txt", "a very long name ".repeat(6));

    let taken = send(&name, b"hello".to_vec()).await;
    assert_eq!(taken.status(), 303);
    let path = header(&taken, "location").to_owned();
    let page = app.page(&path, &ann).send().await.unwrap().text().await.unwrap();
    assert!(page.contains(name.trim()) && page.contains("text/plain"), "{page}");
    let refused = send("large", content(1_200_000)).await;
    assert_eq!(refused.status(), 413);
    assert!(refused.text().await.unwrap().contains("A file may have 1 MiB at most"));
    let deleted = app.form(&format!("{path}/delete"), &ann, &[]).send().await.unwrap();
    assert_eq!((deleted.status().as_u16(), header(&deleted, "location")), (303, "/media"));
    assert!(app.page("/media", &ann).send().await.unwrap().text().await.unwrap().contains("No files yet"));
}
