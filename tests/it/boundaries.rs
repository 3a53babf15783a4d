//! The modules' borders, as the source draws them: the second of the three guards. The first is the compiler
//! (see `platform::db::Owner`), the third SQLite itself.

mod names;
mod rules;

use std::path::Path;

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

fn report(violations: &[Violation]) -> String {
    violations.iter().map(|violation| format!("{violation}\n")).collect()
}

#[test]
fn the_source_keeps_its_boundaries() {
    let violations = check(&read_tree(Path::new(env!("CARGO_MANIFEST_DIR"))));

    assert!(violations.is_empty(), "\n{}", report(&violations));
}
