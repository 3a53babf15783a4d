//! Files that are broken, lie or do harm: a clear word, nothing half made, and everyone else goes on.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::avatars::GIF;
use crate::support::{TestApp, program};

/// Begins as a video does.
const MP4: &[u8] = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom and no video behind it";

const PROBED: &str =
    r#"echo '{"streams":[{"codec_type":"video","width":64,"height":48}],"format":{"duration":"2.0"}}'"#;

/// A server whose `ffmpeg` and `ffprobe` are these scripts.
async fn with_tools(ffmpeg: &str, ffprobe: &str) -> (TestApp, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let bin = folder.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    for (name, body) in [("ffmpeg", ffmpeg), ("ffprobe", ffprobe)] {
        let path = bin.join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let mut command = program();
    command.env("PATH", format!("{}:{}", bin.display(), std::env::var("PATH").unwrap()));
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    (TestApp::start_as(command, &data, &[]).await, folder)
}

impl TestApp {
    async fn send_it(&self, token: &str, name: &str, bytes: &[u8]) -> String {
        let sent = self.upload(token, name, bytes.to_vec()).await;
        assert_eq!(sent.status, 201, "{}", sent.text);
        sent.body["id"].as_str().unwrap().to_owned()
    }

    /// The item once nothing is done with it any more.
    async fn ended(&self, token: &str, id: &str) -> Value {
        let start = Instant::now();
        loop {
            let item = self.ask(&format!("GET /api/media/{id}"), token, Value::Null).await.body;
            if item["state"] == "ready" || item["state"] == "failed" {
                return item;
            }
            assert!(start.elapsed() < Duration::from_secs(30), "{item}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn crc(bytes: &[u8]) -> [u8; 4] {
    crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(bytes).to_be_bytes()
}

/// A PNG of a few bytes that says it is so large.
fn boast(width: u32, height: u32) -> Vec<u8> {
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut chunk = |kind: &[u8], body: &[u8]| {
        let named = [kind, body].concat();
        png.extend((body.len() as u32).to_be_bytes());
        png.extend(&named);
        png.extend(crc(&named));
    };
    chunk(b"IHDR", &[&width.to_be_bytes()[..], &height.to_be_bytes(), &[16, 6, 0, 0, 0]].concat());
    chunk(b"IDAT", &[0x78, 0x01, 0x00]);
    chunk(b"IEND", b"");
    png
}

#[tokio::test]
async fn pictures_that_would_burst_or_are_broken_fail_in_words_and_hold_up_nobody() {
    let app = TestApp::start().await;
    let (_, ann) = app.person("ann@example.org", "member");
    let (_, bob) = app.person("bob@example.org", "member");
    let warm = app.send_it(&ann, "warm.gif", GIF).await;
    app.ended(&ann, &warm).await;
    let before = app.peak_memory_kib();
    let large = boast(12_000, 9_000);

    let mut bad = Vec::new();
    for n in 0..4 {
        bad.push((app.send_it(&ann, "bomb.png", &large).await, "108 million"));
        bad.push((app.send_it(&ann, "cut.gif", &GIF[..20 + n]).await, ""));
    }
    let good = app.send_it(&bob, "good.gif", GIF).await;

    assert_eq!(app.ended(&bob, &good).await["state"], "ready");
    for (id, why) in bad {
        let item = app.ended(&ann, &id).await;
        let note = item["note"].as_str().unwrap();
        assert_eq!((&item["state"], &item["variants"]), (&json!("failed"), &json!([])), "{item}");
        assert!(!note.is_empty() && (why.is_empty() || note.contains("12000 × 9000 pixels")), "{note}");
        // It is still there as it was uploaded.
        assert!(!app.bytes_of(&id, &ann).await.is_empty());
    }
    let grown = app.peak_memory_kib().saturating_sub(before) / 1024;
    assert!(grown < 60, "{grown} MiB more for pictures that are refused");
}

#[tokio::test]
async fn a_picture_that_is_far_larger_than_its_file_takes_no_more_memory_than_its_limit() {
    let app = TestApp::start().await;
    let (_, ann) = app.person("ann@example.org", "member");
    let warm = app.send_it(&ann, "warm.gif", GIF).await;
    app.ended(&ann, &warm).await;
    let before = app.peak_memory_kib();
    // 49 million pixels, one below what is taken, all alike.
    let mut png = std::io::Cursor::new(Vec::new());
    image::GrayImage::new(7_000, 7_000).write_to(&mut png, image::ImageFormat::Png).unwrap();
    assert!(png.get_ref().len() < 1_000_000, "{}", png.get_ref().len());

    let ids = [app.send_it(&ann, "one.png", png.get_ref()).await, app.send_it(&ann, "two.png", png.get_ref()).await];
    for id in ids {
        assert_eq!(app.ended(&ann, &id).await["state"], "ready");
    }

    let grown = app.peak_memory_kib().saturating_sub(before) / 1024;
    assert!(grown < 400, "{grown} MiB more for two pictures of 49 million pixels");
}

#[tokio::test]
async fn what_a_file_is_says_its_content() {
    let app = TestApp::start().await;
    let (_, ann) = app.person("ann@example.org", "member");

    for (name, bytes, kind) in [
        ("film.mp4", GIF, "image/gif"),
        ("cat.gif", b"just words".as_slice(), "text/plain"),
        ("cat.jpg", MP4, "video/mp4"),
    ] {
        let id = app.send_it(&ann, name, bytes).await;
        let item = app.ended(&ann, &id).await;
        assert_eq!((&item["content_type"], &item["name"]), (&json!(kind), &json!(name)), "{item}");
    }
    for (name, kept) in [("../../etc/passwd", "passwd"), ("a\u{202e}gpj.exe", "agpj.exe"), ("..", "Unnamed")] {
        let id = app.send_it(&ann, name, b"x").await;
        assert_eq!(app.ended(&ann, &id).await["name"], kept);
    }
}

#[tokio::test]
async fn a_video_that_crashes_ffmpeg_fails_and_stays_as_it_was() {
    let (app, _folder) = with_tools("kill -SEGV $$", PROBED).await;
    let (_, ann) = app.person("ann@example.org", "member");

    let id = app.send_it(&ann, "evil.mp4", MP4).await;
    let item = app.ended(&ann, &id).await;

    assert_eq!(item["state"], "failed");
    assert!(item["note"].as_str().unwrap().contains("damaged"), "{item}");
    assert_eq!(app.bytes_of(&id, &ann).await, MP4);
    let picture = app.send_it(&ann, "good.gif", GIF).await;
    assert_eq!(app.ended(&ann, &picture).await["state"], "ready");
    assert!(!has_left_overs(&app.folder));
}

#[tokio::test]
async fn a_video_that_hangs_ffmpeg_holds_up_nobody_and_goes_with_the_server() {
    // It ignores the signal to stop, and starts another.
    let (mut app, _folder) = with_tools("trap '' TERM\nsleep 876543 &\nwhile :; do sleep 1; done", PROBED).await;
    let (_, ann) = app.person("ann@example.org", "owner");

    let id = app.send_it(&ann, "hangs.mp4", MP4).await;
    let picture = app.send_it(&ann, "good.gif", GIF).await;
    assert_eq!(app.ended(&ann, &picture).await["state"], "ready");
    let running = async || !sleepers().is_empty();
    let start = Instant::now();
    while !running().await {
        assert!(start.elapsed() < Duration::from_secs(10), "it never ran");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // Its file goes, and whoever works on it with it.
    assert_eq!(app.ask(&format!("DELETE /api/media/{id}"), &ann, Value::Null).await.status, 204);
    assert_eq!(app.stop(), Some(0));
    assert_eq!(sleepers(), "");
}

#[tokio::test]
async fn without_ffmpeg_a_video_stays_as_it_was_with_a_note() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = program();
    command.env("PATH", folder.path());
    let app = TestApp::start_as(command, folder.path(), &[]).await;
    let (_, ann) = app.person("ann@example.org", "member");

    let id = app.send_it(&ann, "film.mp4", MP4).await;
    let item = app.ended(&ann, &id).await;

    assert_eq!(item["state"], "ready", "{item}");
    assert!(item["note"].as_str().unwrap().contains("ffmpeg is not installed"), "{item}");
}

fn sleepers() -> String {
    let found = std::process::Command::new("pgrep").args(["-f", "sleep 876543"]).output().unwrap();
    String::from_utf8_lossy(&found.stdout).into_owned()
}

/// Whether a job's folder is left.
fn has_left_overs(data: &Path) -> bool {
    std::fs::read_dir(data.join("jobs")).is_ok_and(|mut entries| entries.next().is_some())
}
