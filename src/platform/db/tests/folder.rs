//! One process holds a unit's folder.

use super::*;

#[test]
fn a_second_holder_is_refused_and_told_who_holds_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let folder = Folder::at(folder.path()).unwrap();

    // The lock belongs to the open file, so a second one in this process stands for another process.
    let held = folder.lock().unwrap();
    let refused = folder.lock().unwrap_err().to_string();

    assert!(refused.contains(&format!("process {}", std::process::id())), "{refused}");
    drop(held);
    // Another test may just be starting a program, which holds a copy of each open file for a moment.
    let start = std::time::Instant::now();
    while folder.lock().is_err() {
        assert!(start.elapsed().as_secs() < 5, "the lock was not released");
    }
}

#[test]
fn a_stale_lock_file_of_a_killed_process_holds_nobody_up() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ashlar.lock"), "123456789\n").unwrap();

    let _held = Folder::at(folder.path()).unwrap().lock().unwrap();

    let holder = std::fs::read_to_string(folder.path().join("ashlar.lock")).unwrap();
    assert_eq!(holder, format!("{}\n", std::process::id()));
}

#[test]
fn a_missing_folder_is_named_with_the_way_out() {
    let folder = tempfile::tempdir().unwrap();

    let refused = Folder::at(&folder.path().join("none")).unwrap_err().to_string();

    assert!(refused.contains("mkdir -p"), "{refused}");
}
