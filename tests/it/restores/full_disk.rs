//! On a disk that is really full: a small tmpfs, which takes root to mount.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::console::{Console, Page};
use crate::commands::{add, backup, content, has_unfinished, people, restore, set, stderr};
use crate::support::{TestApp, ashlar_ok, skip};

struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// None where it can't be mounted; says why.
    fn mount(mib: u32) -> Option<SmallDisk> {
        let folder = tempfile::tempdir().unwrap();
        let size = format!("size={mib}m");
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder.path()).output();
        if mount.is_ok_and(|done| done.status.success()) {
            return Some(SmallDisk(folder));
        }
        skip("a restore on a full disk", "no small one could be mounted without root");
        None
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Takes all room but for so many bytes.
    fn fill_but(&self, bytes: u64) {
        let disk = rustix::fs::statvfs(self.path()).unwrap();
        let free = disk.f_bavail * disk.f_frsize;
        fs::write(self.path().join("filler"), vec![1; (free - bytes) as usize]).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(self.path()).status().ok();
    }
}

#[test]
fn a_disk_without_room_for_the_backup_is_said_and_the_unit_stays_as_it_is() {
    let Some(disk) = SmallDisk::mount(4) else { return };
    add(disk.path(), "ann@example.org");
    let kept = tempfile::tempdir().unwrap();
    let file = kept.path().join("unit.db");
    backup(disk.path(), &file);
    let packed = kept.path().join("unit.db.zst");
    ashlar_ok(disk.path(), &["backup", "--compress", "--to", packed.to_str().unwrap()]);
    add(disk.path(), "ben@example.org");
    let size = fs::metadata(&file).unwrap().len();

    // There is no room for the copy; there is, and none for what has to be changed in it.
    for (file, room, why) in [
        (&file, size / 2, "the disk has room for"),
        (&file, size + 16 * 1024, "the disk has room for"),
        (&packed, size / 2, "the disk is full"),
        (&packed, size + 16 * 1024, "the disk has room for"),
    ] {
        disk.fill_but(room);
        let before = content(disk.path());

        let output = restore(disk.path(), file);

        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains(why), "{}", stderr(&output));
        assert_eq!(content(disk.path()), before);
        fs::remove_file(disk.path().join("filler")).unwrap();
        assert_eq!(people(disk.path()), set(&["ann@example.org", "ben@example.org"]));
    }
    assert!(restore(disk.path(), &file).status.success());
    assert_eq!(people(disk.path()), set(&["ann@example.org"]));
}

#[tokio::test]
async fn an_upload_that_fills_the_disk_is_refused_and_removed() {
    let Some(disk) = SmallDisk::mount(8) else { return };
    let app = TestApp::start_in(disk.path(), &[]).await;
    let (_, token) = app.person("o@example.org", "owner");
    let console = Console { app, token };
    let large = vec![7; 12 << 20];

    let announced = console.upload("large.db", &large).await;
    let pieces: Vec<Result<Vec<u8>, std::io::Error>> = {
        let form = console.upload_form("large.db", &large, &console.token).build().unwrap();
        form.body().unwrap().as_bytes().unwrap().chunks(65_536).map(|piece| Ok(piece.to_vec())).collect()
    };
    let chunked = console
        .upload_form("large.db", b"", &console.token)
        .body(reqwest::Body::wrap_stream(futures_util::stream::iter(pieces)));
    let found_out = Page::of(chunked).await;

    for refused in [announced, found_out] {
        assert_eq!(refused.status, 507, "{}", refused.text);
        assert!(refused.text.contains("The disk is full"), "{}", refused.text);
    }
    assert!(!has_unfinished(disk.path()));
    console.app.sign_up("ann@example.org").await;
}

#[tokio::test]
async fn a_disk_that_is_nearly_full_makes_the_server_not_ready() {
    let Some(disk) = SmallDisk::mount(64) else { return };
    let app = TestApp::start_in(disk.path(), &[]).await;
    let ready = async || app.ask("GET /api/ready", "", serde_json::Value::Null).await.status;

    assert_eq!(ready().await, 200);
    disk.fill_but(8 << 20);
    assert_eq!(ready().await, 507);
    fs::remove_file(disk.path().join("filler")).unwrap();
    assert_eq!(ready().await, 200);
}
