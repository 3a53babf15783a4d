//! The modules' borders, as the source draws them: the second of the three guards. The first is the compiler
//! (see `platform::db::Owner`), the third SQLite itself.

mod names;
mod planted;
mod rules;

use std::path::Path;

use ashlar::app::MIGRATIONS;
use ashlar::platform::db::{Schema, Statement};
use names::Tree;
use rules::{Violation, check};

/// The source and the names of the migrations below `root`.
pub fn read_tree(root: &Path) -> Tree {
    let mut tree = Tree::new();
    for folder in ["src", "migrations"] {
        read_folder(root, &root.join(folder), &mut tree);
    }
    tree
}

fn read_folder(root: &Path, folder: &Path, tree: &mut Tree) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let kind = path.extension().and_then(|kind| kind.to_str());
        if path.is_dir() {
            read_folder(root, &path, tree);
        } else if matches!(kind, Some("rs" | "sql")) {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            tree.insert(name, std::fs::read_to_string(&path).unwrap());
        }
    }
}

/// What is wrong with the source below `root`; empty if nothing is.
pub fn violations_of(root: &Path) -> String {
    report(&check(&read_tree(root)))
}

fn report(violations: &[Violation]) -> String {
    violations.iter().map(|violation| format!("{violation}\n")).collect()
}

#[test]
fn the_source_keeps_its_boundaries() {
    let violations = violations_of(Path::new(env!("CARGO_MANIFEST_DIR")));

    assert!(violations.is_empty(), "\n{violations}");
}

#[test]
fn sqlite_refuses_a_statement_on_another_modules_table_and_says_what_to_do() {
    static REACHES: Statement = Statement::new(
        "ashlar::modules::billing::sqlite",
        "/*ashlar::modules::billing::sqlite*/ SELECT display_name FROM profiles WHERE user_id = ?1",
        "src/modules/billing/sqlite.rs",
        12,
    );

    let refused = Schema::prove(MIGRATIONS).unwrap().check([&REACHES]).unwrap_err();

    assert_eq!(
        refused.to_string(),
        "ASH-101 module `billing` may not read `profiles.display_name` (owned by `profiles`)\n  \
           in     src/modules/billing/sqlite.rs:12: SELECT display_name FROM profiles WHERE user_id = ?1\n  \
           do     call the face of `profiles` (src/modules/profiles/mod.rs) from a use case"
    );
}

#[test]
fn every_statement_of_the_program_keeps_to_its_owners_tables() {
    let (schema, matrix) = ashlar::app::prove().unwrap();

    let foreign: Vec<_> =
        matrix.iter().filter(|row| schema.ownership().owner_of(&row.table) != Some(row.module)).collect();
    assert_eq!(foreign, Vec::<&ashlar::platform::db::Use>::new());
    for module in ashlar::app::declarations() {
        assert!(matrix.iter().any(|row| row.module == module.name), "`{}` reads and writes nothing", module.name);
    }
}
