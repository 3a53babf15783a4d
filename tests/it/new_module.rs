//! `scripts/new-module`, on a copy of the tree: what it makes compiles, passes its tests and keeps the boundaries.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Instant;

use crate::boundaries::read_tree;

const NAME: &str = "support_tickets";

/// A copy of the tree as it is now, changes included, without what is ignored.
struct Copy {
    root: PathBuf,
}

impl Copy {
    /// Below `target`, so that what is compiled there can be linked to.
    fn new(name: &str) -> Copy {
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("new-module").join(name);
        fs::remove_dir_all(&root).or_else(|e| if root.exists() { Err(e) } else { Ok(()) }).unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut list = Command::new("git");
        // Whoever owns the clone: only its list of files is read.
        list.args(["-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"])
            .current_dir(source);
        let list = String::from_utf8(succeed(&mut list).stdout).unwrap();
        for file in list.split('\0').filter(|file| source.join(file).is_file()) {
            let to = root.join(file);
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(source.join(file), to).unwrap();
        }
        Copy { root }
    }

    fn new_module(&self, names: &[&str]) -> Output {
        Command::new(self.root.join("scripts/new-module")).args(names).output().unwrap()
    }

    /// Cargo in the copy, with the dependencies that are compiled already.
    fn cargo(&self, args: &[&str]) -> Command {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        for (name, _) in std::env::vars().filter(|(name, _)| is_of_this_crate(name)) {
            command.env_remove(name);
        }
        command.args(args).current_dir(&self.root).env("CARGO_TARGET_DIR", self.target());
        command
    }

    fn target(&self) -> PathBuf {
        self.root.with_extension("target")
    }

    /// Links what this build has compiled into the copy's own target folder: not one dependency is built again,
    /// and the program that other tests run stays what it is.
    fn link_dependencies(&self) -> PathBuf {
        let built = Path::new(env!("CARGO_BIN_EXE_ashlar")).parent().unwrap();
        let profile = self.target().join(built.file_name().unwrap());
        fs::remove_dir_all(self.target()).or_else(|e| if self.target().exists() { Err(e) } else { Ok(()) }).unwrap();
        for folder in ["deps", "build", ".fingerprint"] {
            link_all(&built.join(folder), &profile.join(folder));
        }
        profile
    }
}

/// What cargo tells a test of the crate it belongs to.
fn is_of_this_crate(name: &str) -> bool {
    ["CARGO_PKG_", "CARGO_BIN_", "CARGO_MANIFEST_", "CARGO_CRATE_", "CARGO_TARGET_TMPDIR", "ASHLAR_"]
        .iter()
        .any(|start| name.starts_with(start))
}

fn link_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            link_all(&path, &target);
        } else if path.file_name().is_some_and(|name| !name.to_string_lossy().starts_with("ashlar-")) {
            // A compiler that works beside this test may take a file away meanwhile.
            fs::hard_link(&path, &target).or_else(|e| if path.exists() { Err(e) } else { Ok(()) }).unwrap();
        }
    }
}

fn succeed(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}\n{}", text_of(&output));
    output
}

fn text_of(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn a_new_module_compiles_passes_its_tests_and_keeps_the_boundaries() {
    let start = Instant::now();
    let copy = Copy::new("tree");
    let profile = copy.link_dependencies();

    let made = copy.new_module(&[NAME]);
    assert!(made.status.success(), "{}", text_of(&made));

    succeed(&mut copy.cargo(&["fmt", "--check"]));
    let release: &[&str] = if profile.ends_with("release") { &["--release"] } else { &[] };
    let tests = ["test", "--offline", "--message-format", "short", "--lib", "--bins", "--test", "it"];
    let filter = ["--", NAME, "boundaries::", "personal_data::"];
    let output = text_of(&succeed(&mut copy.cargo(&[&tests, release, &filter].concat())));
    for rule in [
        "modules::support_tickets::model::tests::all_wrong_fields_are_named_at_once ... ok",
        "support_tickets::the_same_key_adds_once ... ok",
        "boundaries::the_source_keeps_its_boundaries ... ok",
        "personal_data::a_closed_account_leaves_no_row_that_tells_of_its_person ... ok",
    ] {
        assert!(output.contains(rule), "{rule} is missing in\n{output}");
    }
    let warnings: Vec<_> = output.lines().filter(|line| line.contains(NAME) && line.contains("warning")).collect();
    assert!(warnings.is_empty(), "{warnings:?}");
    assert!(!output.contains("Compiling rusqlite"), "dependencies were built again:\n{output}");

    let modules = succeed(Command::new(profile.join("ashlar")).args(["modules", "--json"]));
    assert!(text_of(&modules).contains(NAME), "{}", text_of(&modules));

    the_compiler_guards_the_border(&copy, release);
    eprintln!("a new module took {} s to be made, built and tested", start.elapsed().as_secs());
}

/// The first of the three guards, in the place where it has to hold: from one module to another.
fn the_compiler_guards_the_border(copy: &Copy, release: &[&str]) {
    let face = copy.root.join(format!("src/modules/{NAME}/mod.rs"));
    let good = fs::read_to_string(&face).unwrap();
    let build = [&["build", "--offline", "--lib", "--message-format", "short"], release].concat();
    let reach = |key: &str| {
        let reach = format!("\npub fn reach(work: &UnitOfWork<'_>) {{\n    let _ = work.tables({key});\n}}\n");
        fs::write(&face, good.clone() + &reach).unwrap();
        copy.cargo(&build).output().unwrap()
    };

    let own = reach("Owner(())");
    assert!(own.status.success(), "{}", text_of(&own));
    for (key, error) in [
        ("super::billing::Owner(())", "E0603"),
        ("crate::modules::profiles::Owner(())", "E0603"),
        ("super::profiles::sqlite::Owner(())", "E0603"),
    ] {
        let foreign = reach(key);
        assert!(!foreign.status.success(), "`work.tables({key})` compiles in another module");
        assert!(text_of(&foreign).contains(error), "{}", text_of(&foreign));
    }
    fs::write(&face, good).unwrap();
}

#[test]
fn names_that_make_no_module_are_refused_and_nothing_is_written() {
    let copy = Copy::new("refused");
    let before = read_tree(&copy.root);

    for (names, why) in [
        (&[][..], "usage"),
        (&["a", "b", "c"], "usage"),
        (&[""], "no name for a module"),
        (&["Notes"], "no name for a module"),
        (&["my-notes"], "no name for a module"),
        (&["../notes"], "no name for a module"),
        (&["notes;rm"], "no name for a module"),
        (&["_notes"], "no name for a module"),
        (&["notes_"], "no name for a module"),
        (&["notes2"], "no name for a module"),
        (&["nötes"], "no name for a module"),
        (&["--force"], "no name for a module"),
        (&["note"], "does not look like a plural"),
        (&["address"], "does not look like a plural"),
        (&["sheep", "sheep"], "must differ"),
        (&["types"], "`type` is a keyword"),
        (&["matches"], "`match` is a keyword"),
        (&["impl"], "is a keyword"),
        (&["values"], "means something else"),
        (&["owners"], "means something else"),
        (&["billing", "bill"], "there is a module `billing` already"),
        (&["users"], "there is a module `users` already"),
        (&["sessions"], "is taken"),
        (&["password_links"], "is an address of something else"),
        (&[&"x".repeat(60)], "longer than 40"),
    ] {
        let refused = copy.new_module(names);
        assert!(!refused.status.success(), "{names:?} was taken");
        assert!(text_of(&refused).contains(why), "{names:?}: {}", text_of(&refused));
    }

    assert_eq!(read_tree(&copy.root), before);
}

#[test]
fn lists_stay_in_order_wherever_the_name_falls() {
    let copy = Copy::new("order");
    let long = "customer_relationship_meeting_protocols";
    for names in [&["zebras"][..], &["accounts"], &["monkeys"], &["statuses", "status"], &["billing_notes"], &[long]] {
        let made = copy.new_module(names);
        assert!(made.status.success(), "{names:?}: {}", text_of(&made));
    }

    let again = copy.new_module(&["monkeys"]);
    assert!(text_of(&again).contains("there is a module `monkeys` already"), "{}", text_of(&again));
    assert_eq!(crate::boundaries::violations_of(&copy.root), "");
    succeed(&mut copy.cargo(&["fmt", "--check"]));
}
