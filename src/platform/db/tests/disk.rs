//! A disk that is really full: a small tmpfs, which takes root to mount.

use std::process::Command;

use super::*;

struct SmallDisk(TempDir);

impl SmallDisk {
    /// None where it can't be mounted; says why.
    fn mount(mib: u32) -> Option<SmallDisk> {
        let folder = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={mib}m"), "tmpfs"])
            .arg(folder.path())
            .output();
        let why = match mounted {
            Ok(done) if done.status.success() => return Some(SmallDisk(folder)),
            Ok(failed) => String::from_utf8_lossy(&failed.stderr).lines().next().unwrap_or("no reason").to_owned(),
            Err(error) => error.to_string(),
        };
        skip("a full disk", &format!("no small one could be mounted without root ({why})"));
        None
    }

    fn fill(&self, bytes: usize) -> PathBuf {
        let filler = self.0.path().join("filler");
        std::fs::write(&filler, vec![0; bytes]).unwrap();
        filler
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(self.0.path()).status().ok();
    }
}

const MIB: usize = 1024 * 1024;

/// A group whose second member writes `pieces` of a MiB each: none of it may be there, and after `make_room` it goes on.
fn a_full_disk_harms_one_group_only(pieces: usize) {
    let Some(disk) = SmallDisk::mount(8) else { return };
    let database = open(disk.0.path(), ALL).unwrap();
    database.write_now(|work| add(work, "before")).unwrap();
    let filler = disk.fill(5 * MIB);

    let release = database.hold_the_writer();
    let first = database.queue(|work| add(work, "first"));
    let swallowed = database.queue(move |work| {
        // Who swallows the error is told the truth all the same.
        (0..pieces).find(|n| add_big(work, &format!("big {n}"), MIB).is_err());
        Ok(())
    });
    let third = database.queue(|work| add(work, "third"));
    drop(release);

    let first = first.blocking_recv().unwrap();
    assert!(matches!(first, Err(Error::DiskFull)), "{first:?}");
    let swallowed = swallowed.blocking_recv().unwrap();
    assert!(matches!(swallowed, Err(Error::DiskFull)), "{swallowed:?}");
    let mut expected = vec!["before"];
    // Where the disk filled up before its turn, the third is in the next group, which may find room.
    match third.blocking_recv().unwrap() {
        Ok(()) => expected.push("third"),
        Err(error) => assert!(matches!(error, Error::DiskFull), "{error:?}"),
    }
    assert_eq!(database.things(), expected);

    std::fs::remove_file(filler).unwrap();
    database.write_now(|work| add_big(work, "again", MIB)).unwrap();
    expected.insert(0, "again");
    assert_eq!(database.things(), expected);
    database.close();
    super::super::copy::check(&open_raw(&database.folder().database()).unwrap()).unwrap();
}

#[test]
fn a_disk_that_fills_up_within_a_closure_fails_its_whole_group_and_no_other() {
    // More than the writer's cache holds, so that pages go to the disk before the commit.
    a_full_disk_harms_one_group_only(40);
}

#[test]
fn a_disk_that_fills_up_at_the_commit_fails_its_whole_group_and_no_other() {
    a_full_disk_harms_one_group_only(4);
}

#[test]
fn a_disk_that_fills_up_within_a_statement_of_many_rows_leaves_no_transaction_open() {
    let Some(disk) = SmallDisk::mount(8) else { return };
    let database = open(disk.0.path(), ALL).unwrap();

    // SQLite takes back this statement only, and keeps the transaction: the writer has to end it.
    let many = sql_of!(
        "ann",
        "INSERT INTO things (name, body)
         WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 40)
         SELECT 'big ' || i, zeroblob(1000000) FROM n"
    );
    let refused = database.write_now(|work| {
        add(work, "partial")?;
        work.tables(Ann).execute(many, ()).ok();
        Ok(())
    });

    assert!(matches!(refused, Err(Error::DiskFull)), "{refused:?}");
    assert!(database.things().is_empty());
    database.write_now(|work| add(work, "later")).unwrap();
    assert_eq!(database.things(), ["later"]);
}

#[test]
fn a_disk_without_any_room_left_still_answers_reads_and_says_that_it_is_full() {
    let Some(disk) = SmallDisk::mount(2) else { return };
    let database = open(disk.0.path(), ALL).unwrap();
    database.write_now(|work| add(work, "before")).unwrap();
    let filler = disk.0.path().join("filler");
    // Until nothing at all fits any more.
    std::io::copy(&mut std::io::repeat(0), &mut std::fs::File::create(&filler).unwrap()).unwrap_err();

    for n in 0..5 {
        let refused = database.write_now(move |work| add_big(work, &n.to_string(), 20_000));
        assert!(matches!(refused, Err(Error::DiskFull)), "{refused:?}");
        assert_eq!(database.things(), ["before"]);
    }

    std::fs::remove_file(filler).unwrap();
    database.write_now(|work| add(work, "later")).unwrap();
    assert_eq!(database.things(), ["before", "later"]);
}

#[test]
fn a_copy_that_finds_no_room_leaves_nothing_and_harms_nothing() {
    let Some(disk) = SmallDisk::mount(12) else { return };
    let database = open(disk.0.path(), ALL).unwrap();
    database.write_now(|work| add_big(work, "before", 3 * MIB)).unwrap();
    let filler = disk.fill(7 * MIB);
    let path = disk.0.path().join("copy.db");

    let refused = database.copy(database.clock().now(), &path, super::super::copy::UNWATCHED);

    assert!(matches!(refused, Err(Error::DiskFull)), "{refused:?}");
    let left = std::fs::read_dir(disk.0.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(left.into_iter().all(|name| !name.to_str().unwrap().starts_with("copy")), "something was left");
    database.write_now(|work| add(work, "after")).unwrap();
    std::fs::remove_file(filler).unwrap();
    drop(database.copy(database.clock().now(), &path, super::super::copy::UNWATCHED).unwrap());
    assert_eq!(rows_of(&path).unwrap()["things"], 2);
}
