//! Copies while others write, and their end midway.

use std::cell::Cell;

use super::*;
use crate::platform::clock::Time;

const MIB: usize = 1024 * 1024;
const AT: i64 = 1_800_000_000_000;

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_copy_is_one_state_whatever_is_written_between_its_pieces() {
    let house = House::new();
    house.database.write_now(|work| add_big(work, "before", 12 * MIB)).unwrap();
    let kept = tempfile::tempdir().unwrap();
    let path = kept.path().join("copy.db");
    let pieces = Cell::new(0);

    let watch = |done: u64, total: u64| {
        pieces.set(pieces.get() + 1);
        assert!(done <= total && total > 12 * MIB as u64);
        let name = format!("meanwhile {}", pieces.get());
        house.database.write_now(move |work| add_big(work, &name, MIB))
    };
    drop(house.database.copy(Time::from_ms(AT), &path, &watch).unwrap());

    assert!(pieces.get() > 2, "it was copied in one piece");
    assert_eq!(house.database.things().len(), pieces.get() + 1);
    assert_eq!(names(kept.path()), ["copy.db"]);
    let copy = Connection::open(&path).unwrap();
    let things: Vec<String> = super::super::schema::names(&copy, "SELECT name FROM things").unwrap();
    assert_eq!(things, ["before"]);
    let said = stamp_of(&path).unwrap().unwrap();
    assert_eq!((said.made_at, said.rows["things"], said.rows["notes"]), (Time::from_ms(AT), 1, 0));
}

#[test]
fn a_copy_that_is_ended_midway_leaves_nothing() {
    let house = House::new();
    house.database.write_now(|work| add_big(work, "before", 12 * MIB)).unwrap();
    let kept = tempfile::tempdir().unwrap();

    let ended = house
        .database
        .copy(Time::from_ms(AT), &kept.path().join("copy.db"), &|_, _| Err(Error::Overloaded("stopping")));

    assert!(matches!(ended, Err(Error::Overloaded(_))));
    assert!(names(kept.path()).is_empty());
    house.database.write_now(|work| add(work, "after")).unwrap();
}
