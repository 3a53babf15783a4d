//! The guard's own test: small houses in memory, each with one wrong stone.

use super::names::Tree;
use super::report;
use super::rules::check;

/// A house of two modules in which all is well.
fn house() -> Tree {
    let mut tree = Tree::new();
    let mut put = |file: &str, text: &str| tree.insert(file.into(), text.into());
    put("src/main.rs", "fn main() { ashlar::commands::run() }");
    put("src/lib.rs", "pub mod app; pub mod commands; pub mod modules; pub mod platform; pub mod use_cases;");
    put("src/commands/mod.rs", "use crate::app;\npub fn run() { app::modules(); }");
    put(
        "src/app.rs",
        "use crate::modules::{billing::Billing, profiles::Profiles};\nuse crate::platform::Module;\n\
         pub fn modules() -> Vec<Box<dyn Module>> { vec![Box::new(Billing), Box::new(Profiles)] }",
    );
    put("src/use_cases/mod.rs", "mod sign_up;");
    put(
        "src/use_cases/sign_up.rs",
        "use crate::modules::billing::{self, Account};\nfn sign_up(_: billing::Account) {}",
    );
    put("src/modules/mod.rs", "pub mod billing;\npub mod profiles;\n");
    put("src/platform/mod.rs", "pub mod db;\npub mod audit;\npub trait Module {}");
    put("src/platform/audit/mod.rs", "use super::db;\nstruct Owner(());\n".to_owned().as_str());
    put("src/platform/db/mod.rs", "mod statement;\npub use statement::{Owner, Statement};\nuse rusqlite::Connection;");
    put(
        "src/platform/db/statement.rs",
        "pub trait Owner {}\npub struct Statement;\n#[allow(unsafe_code)]\nstatic S: u8 = 0;",
    );
    put("migrations/audit/V1__audit.sql", "");
    for name in ["billing", "profiles"] {
        put(&format!("migrations/{name}/V1__{name}.sql"), "");
        put(
            &format!("src/modules/{name}/mod.rs"),
            &format!(
                "mod model;\nmod repository;\nmod sqlite;\npub use model::Account;\nuse crate::platform::db;\n\
                 struct Owner(());\nimpl db::Owner for Owner {{\n    const PATH: &'static str = module_path!();\n}}\n\
                 fn it() {{ Declaration {{ name: {name:?}, purpose: \"\", uses: &[] }} }}\n"
            ),
        );
        put(&format!("src/modules/{name}/model.rs"), "pub struct Account;\n");
        put(&format!("src/modules/{name}/repository.rs"), "use super::model::Account;\n");
        put(
            &format!("src/modules/{name}/sqlite.rs"),
            "use rusqlite::Row;\nuse crate::sql;\nfn it(_: &Row<'_>) { sql!(\"SELECT 1\"); }\n",
        );
    }
    tree
}

/// What the guard says of a house to whose `file` one `line` was added: codes and places.
#[track_caller]
fn found(file: &str, line: &str, expected: &str) {
    let mut tree = house();
    let text = tree.entry(file.into()).or_default();
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    let number = text.lines().count() + 1;
    text.push_str(line);
    expect(&tree, &format!("{expected} {file}:{number} "), line);
}

/// What the guard says of a house in whose `file` `old` was replaced.
#[track_caller]
fn replaced(file: &str, old: &str, new: &str, expected: &str) {
    let mut tree = house();
    let text = tree.get_mut(file).unwrap();
    assert!(text.contains(old), "{file} has no {old}");
    *text = text.replace(old, new);
    expect(&tree, expected, new);
}

#[track_caller]
fn expect(tree: &Tree, start: &str, planted: &str) {
    let violations = check(tree);
    assert!(
        violations.iter().any(|violation| violation.to_string().starts_with(start)),
        "not found: {start}\nplanted:   {planted}\nfound:\n{}",
        report(&violations)
    );
}

#[test]
fn a_clean_house_passes() {
    assert_eq!(report(&check(&house())), "");
}

#[test]
fn a_module_that_names_another_is_found_however_it_is_written() {
    let file = "src/modules/billing/model.rs";
    for line in [
        "use crate::modules::profiles::Account;",
        "use crate::{modules::{profiles as p}};",
        "use crate::modules::{billing::Account, profiles::{self as q, Account as B}};",
        "pub use crate::modules::profiles::Account as Theirs;",
        "use super::super::profiles;",
        "use super::super::{profiles::Account};",
        "use ::ashlar::modules::profiles::Account;",
        "use ashlar::modules::profiles::Account;",
        "fn f() { crate::modules::profiles::Profiles.of(1); }",
        "fn f() -> crate::modules::profiles::Account { todo!() }",
        "fn f<T: super::super::profiles::Trait>() {}",
        "fn f() { let x: Vec<crate::modules::profiles::Account> = vec![]; }",
        "fn f() { println!(\"{}\", crate::modules::profiles::NAME); }",
        "fn f() { assert!(matches!(x, Some(crate::modules::profiles::Account { .. }))); }",
        "macro_rules! m { () => { $crate::modules::profiles::Account }; }",
        "macro_rules! m { () => { use $crate::modules::{profiles::Account}; }; }",
        "m! { use crate::modules::profiles; }",
        "m! { a => [ { crate::modules::profiles::NAME } ] }",
        "mod tests { use super::super::super::profiles::Account; }",
        "mod tests { fn f() { super::super::super::profiles::f(); } }",
        "#[serde(with = \"crate::modules::profiles::format\")] struct S;",
        "#[derive(crate::modules::profiles::Derive)] struct S;",
        "impl From<crate::modules::profiles::Account> for u8 {}",
        "fn f() { <crate::modules::profiles::Account as Clone>::clone(&x); }",
        "fn f() { let _ = 0..crate::modules::profiles::MAX; }",
        "fn f() { use crate::modules as m; m::profiles::f(); }",
        "use crate as house; fn f() { house::modules::profiles::f(); }",
        "use super::super as all; fn f() { all::profiles::f(); }",
        "use super::super::*; fn f() { profiles::f(); }",
    ] {
        found(file, line, "ASH-201");
    }
}

#[test]
fn a_re_export_hides_nothing() {
    let mut tree = house();
    // The platform gives a module out under a name of its own.
    tree.get_mut("src/platform/mod.rs").unwrap().push_str("\npub use crate::modules::profiles as people;\n");
    tree.get_mut("src/modules/billing/model.rs").unwrap().push_str("use crate::platform::people::Account as A;\n");

    expect(&tree, "ASH-202 src/platform/mod.rs:4 ", "pub use");
    expect(&tree, "ASH-201 src/modules/billing/model.rs:2 ", "through the platform");
}

#[test]
fn arrows_run_down_only() {
    found("src/platform/mod.rs", "use crate::modules::billing::Account;", "ASH-202");
    found("src/platform/audit/mod.rs", "fn f() { crate::app::modules(); }", "ASH-202");
    found("src/platform/audit/mod.rs", "use super::super::use_cases::sign_up;", "ASH-202");
    found("src/modules/billing/model.rs", "use crate::use_cases::sign_up;", "ASH-202");
    found("src/modules/billing/model.rs", "fn f() { crate::app::modules(); }", "ASH-202");
    found("src/use_cases/sign_up.rs", "use crate::app;", "ASH-202");
    found("src/use_cases/sign_up.rs", "use crate::commands::run;", "ASH-202");
    found("src/app.rs", "use crate::commands;", "ASH-202");
    found("src/helpers/mod.rs", "pub fn f() {}", "ASH-206");
}

#[test]
fn what_is_declared_is_used_and_what_is_used_is_declared() {
    let declared = "uses: &[\"profiles\"]";
    replaced("src/modules/billing/mod.rs", "uses: &[]", declared, "ASH-203 src/modules/billing/mod.rs:10 ");
    replaced("src/modules/billing/mod.rs", "uses: &[]", "uses: &[\"mail\"]", "ASH-203 src/modules/billing/mod.rs:10 ");

    let mut tree = house();
    let face = tree.get_mut("src/modules/billing/mod.rs").unwrap();
    *face = face.replace("uses: &[]", declared) + "use super::profiles::Account as Theirs;\n";
    assert_eq!(report(&check(&tree)), "");
}

#[test]
fn modules_that_use_each_other_are_found() {
    let mut tree = house();
    for (name, other) in [("billing", "profiles"), ("profiles", "billing")] {
        let face = tree.get_mut(&format!("src/modules/{name}/mod.rs")).unwrap();
        *face = face.replace("uses: &[]", &format!("uses: &[{other:?}]"));
        face.push_str(&format!("use super::{other}::Account as Theirs;\n"));
    }

    expect(&tree, "ASH-204 src/modules/billing/mod.rs:11 ", "");
    expect(&tree, "ASH-204 src/modules/profiles/mod.rs:11 ", "");
}

#[test]
fn sqlite_is_named_in_its_places_only() {
    for line in [
        "use rusqlite::Row;",
        "use ::rusqlite::Row;",
        "use {rusqlite as r};",
        "fn f(_: &rusqlite::Row<'_>) {}",
        "fn f() -> ::rusqlite::Result<()> { Ok(()) }",
        "fn f() { m!(rusqlite::params![1]); }",
        "fn f() { m!(x, { use rusqlite as r; }); }",
        "extern crate rusqlite as r;",
        "use r#rusqlite::Row;",
        "use r2d2_sqlite::rusqlite::Row;",
        "use r2d2_sqlite::SqliteConnectionManager;",
        "use refinery::Runner;",
        "#[doc(alias = \"x\")] #[serde(with = \"rusqlite::types\")] struct S;",
    ] {
        found("src/modules/billing/model.rs", line, "ASH-205");
        found("src/use_cases/sign_up.rs", line, "ASH-205");
        found("src/platform/audit/mod.rs", line, "ASH-205");
        found("src/app.rs", line, "ASH-205");
    }
    for line in [
        "use rusqlite::Connection;",
        "use rusqlite as r; fn f() { r::Connection::open(\"data/ashlar.db\"); }",
        "fn f() { rusqlite::Connection::open(\"data/ashlar.db\"); }",
        "use r2d2_sqlite::SqliteConnectionManager;",
        "use rusqlite::*;",
    ] {
        found("src/modules/billing/sqlite.rs", line, "ASH-205");
    }
    let mut tree = house();
    tree.get_mut("src/modules/billing/sqlite.rs").unwrap().push_str("pub(super) use rusqlite::types as kinds;\n");
    tree.get_mut("src/modules/billing/model.rs").unwrap().push_str("use super::sqlite::kinds::Value;\n");
    expect(&tree, "ASH-205 src/modules/billing/model.rs:2 ", "re-exported");
}

#[test]
fn the_lists_of_modules_can_not_drift() {
    replaced(
        "src/modules/mod.rs",
        "pub mod billing;\n",
        "",
        "ASH-206 src/modules/mod.rs:1 module `billing` is not listed",
    );
    replaced("src/modules/mod.rs", "billing;", "notes;", "ASH-206 src/modules/mod.rs:1 `notes` is listed");
    let other_order = "pub mod profiles;\npub mod billing;";
    let in_order = "pub mod billing;\npub mod profiles;";
    replaced("src/modules/mod.rs", in_order, other_order, "ASH-206 src/modules/mod.rs:2 `billing` is out of order");
    replaced("src/app.rs", "Box::new(Billing), ", "", "ASH-206 src/app.rs:3 module `billing` is not listed");
    let swapped = "Box::new(Profiles), Box::new(Billing)";
    replaced("src/app.rs", "Box::new(Billing), Box::new(Profiles)", swapped, "ASH-206 src/app.rs:3 `billing` is out");

    let mut tree = house();
    tree.remove("migrations/billing/V1__billing.sql");
    expect(&tree, "ASH-206 src/modules/billing/mod.rs:1 module `billing` has no migrations", "");

    let mut tree = house();
    tree.insert("migrations/notes/V1__notes.sql".into(), String::new());
    expect(&tree, "ASH-206 migrations/notes/V1__notes.sql:1 ", "");

    let mut tree = house();
    tree.insert("src/modules/notes/mod.rs".into(), String::new());
    expect(&tree, "ASH-206 src/modules/mod.rs:1 module `notes` is not listed", "");
    expect(&tree, "ASH-206 src/app.rs:3 module `notes` is not listed", "");

    let mut tree = house();
    tree.insert("src/modules/notes.rs".into(), String::new());
    expect(&tree, "ASH-206 src/modules/notes.rs:1 ", "");
}

#[test]
fn every_module_has_the_same_shape() {
    let face = "src/modules/billing/mod.rs";
    for part in ["model", "repository", "sqlite"] {
        let mut tree = house();
        tree.remove(&format!("src/modules/billing/{part}.rs"));
        expect(&tree, &format!("ASH-207 {face}:1 module `billing` has no {part}.rs"), "");
        for shown in ["pub mod", "pub(crate) mod", "pub(super) mod"] {
            let line = if part == "model" {
                1
            } else if part == "repository" {
                2
            } else {
                3
            };
            let new = format!("{shown} {part};");
            replaced(face, &format!("mod {part};"), &new, &format!("ASH-207 {face}:{line} module `billing` shows"));
        }
    }
    for key in [
        "pub struct Owner(());",
        "pub(crate) struct Owner(());",
        "struct Owner(pub ());",
        "struct Owner(pub(crate) ());",
        "struct Owner;",
        "struct Owner();",
        "#[derive(Default)] struct Owner(());",
        "enum Owner { It }",
        "type Owner = u8;",
    ] {
        replaced(face, "struct Owner(());", key, &format!("ASH-207 {face}:6 "));
    }
    replaced(face, "struct Owner(());\n", "", &format!("ASH-207 {face}:1 module `billing` has no key"));
    replaced(face, "name: \"billing\"", "name: \"bills\"", &format!("ASH-207 {face}:10 module `billing` calls itself"));
    replaced(face, "Declaration", "Something", &format!("ASH-207 {face}:1 module `billing` declares nothing"));
}

#[test]
fn nobody_makes_another_modules_key() {
    let face = "src/modules/billing/mod.rs";
    for line in [
        "impl crate::platform::db::Owner for Forged { const PATH: &'static str = module_path!(); }",
        "use crate::platform::db as d; impl d::Owner for Forged {}",
        "use crate::platform::db::Owner as O; impl O for Forged {}",
        "use crate::platform::db::*; impl Owner for Forged {}",
        "m! { impl crate::platform::db::Owner for Forged {} }",
        "mod inner { struct Owner(()); impl crate::platform::db::Owner for Owner { const PATH: &'static str = \"a\"; } }",
    ] {
        found("src/modules/billing/model.rs", line, "ASH-208");
        found("src/use_cases/sign_up.rs", line, "ASH-208");
        found("src/app.rs", line, "ASH-208");
        found("src/platform/audit/mod.rs", line, "ASH-208");
    }
    let path = "const PATH: &'static str = module_path!();";
    for forged in [
        "const PATH: &'static str = \"ashlar::modules::profiles\";",
        "const PATH: &'static str = concat!(\"ashlar::modules::\", \"profiles\");",
        "const PATH: &'static str = module_path!(); const NAME: &'static str = \"profiles\";",
        "const NAME: &'static str = \"profiles\";",
    ] {
        replaced(face, path, forged, &format!("ASH-208 {face}:7 "));
    }
    replaced(face, "impl db::Owner for Owner", "impl db::Owner for Other", &format!("ASH-208 {face}:7 "));
    replaced(face, "impl db::Owner", "impl Display", &format!("ASH-207 {face}:1 module `billing` does not implement"));
}

#[test]
fn statements_are_made_by_sql_alone() {
    for line in [
        "use crate::platform::db::Statement;",
        "static S: crate::platform::db::Statement = crate::platform::db::Statement::new(\"a\", \"b\", \"c\", 1);",
        "use crate::platform::db as d; static S: u8 = d::Statement::new();",
        "use crate::platform::db::*; fn f() { Statement { owner: \"profiles\" }; }",
        "fn f() { m!(crate::platform::db::Statement { text: \"/*profiles*/\" }); }",
    ] {
        found("src/modules/billing/sqlite.rs", line, "ASH-209");
        found("src/use_cases/sign_up.rs", line, "ASH-209");
    }
    found("src/modules/billing/sqlite.rs", "#[linkme::distributed_slice(S)] static A: u8 = 1;", "ASH-209");
}

#[test]
fn unsafe_code_is_found() {
    for line in [
        "fn f() { unsafe { g() } }",
        "unsafe fn f() {}",
        "unsafe impl Send for Account {}",
        "#[allow(unsafe_code)] mod a {}",
        "mod a { #![allow(unsafe_code)] }",
        "#[expect(unsafe_code, reason = \"\")] mod a {}",
        "#[cfg_attr(all(), allow(unsafe_code))] mod a {}",
        "m! { unsafe { g() } }",
        "#[unsafe(no_mangle)] fn f() {}",
    ] {
        found("src/modules/billing/model.rs", line, "ASH-210");
        found("src/platform/audit/mod.rs", line, "ASH-210");
        found("src/main.rs", line, "ASH-210");
        found("src/build.rs", line, "ASH-210");
    }
}

#[test]
fn sql_stands_in_its_files_only() {
    for line in [
        "use crate::sql;",
        "use crate::sql as q; fn f() { q!(\"SELECT 1\"); }",
        "fn f() { crate::sql!(\"SELECT 1\"); }",
        "fn f() { sql!(\"SELECT 1\"); }",
        "fn f() { m!(crate::sql!(\"SELECT 1\")); }",
        "macro_rules! q { () => { $crate::sql!(\"SELECT 1\") }; }",
    ] {
        found("src/modules/billing/model.rs", line, "ASH-211");
        found("src/modules/billing/repository.rs", line, "ASH-211");
        found("src/use_cases/sign_up.rs", line, "ASH-211");
        found("src/app.rs", line, "ASH-211");
        found("src/platform/mod.rs", line, "ASH-211");
    }
    let mut tree = house();
    tree.get_mut("src/platform/audit/mod.rs").unwrap().push_str("fn f() { crate::sql!(\"SELECT 1\"); }");
    assert_eq!(report(&check(&tree)), "");
}

#[test]
fn private_parts_stay_private() {
    for line in [
        "use crate::modules::profiles::model::Account as A;",
        "fn f() { crate::modules::profiles::sqlite::f(); }",
        "use crate::modules::profiles as p; fn f() { p::repository::f(); }",
        "#[template(path = \"modules/profiles/templates/list.html\")] struct T;",
    ] {
        found("src/use_cases/sign_up.rs", line, "ASH-212");
        found("src/modules/billing/model.rs", line, "ASH-212");
        found("src/app.rs", line, "ASH-212");
    }
}

#[test]
fn source_that_can_not_be_followed_is_refused() {
    for line in [
        "#[path = \"../profiles/model.rs\"] mod theirs;",
        "include!(\"../profiles/model.rs\");",
        "extern crate self as house;",
        "use crate::*;",
        "use crate::modules::*;",
        "use super::super::*;",
        "use crate as house;",
        "use crate::{self as house};",
    ] {
        found("src/modules/billing/model.rs", line, "ASH-213");
    }
    found("src/use_cases/sign_up.rs", "use crate::modules::*;", "ASH-213");
}

#[test]
fn models_are_pure() {
    found("src/modules/billing/model.rs", "use crate::platform::db::Snapshot;", "ASH-214");
    found("src/modules/billing/model.rs", "fn f() { crate::platform::audit::record(); }", "ASH-214");
}

#[test]
fn all_is_reported_at_once_with_its_place_and_the_way_out() {
    let mut tree = house();
    tree.get_mut("src/modules/billing/model.rs").unwrap().push_str("use super::super::profiles::Account as A;\n");
    tree.get_mut("src/modules/profiles/model.rs").unwrap().push_str("\n\nfn f() { unsafe {} }\n");

    assert_eq!(
        report(&check(&tree)),
        "ASH-201 src/modules/billing/model.rs:2 module `billing` uses `profiles`, which it does not declare\n  \
           do     call it from a use case, or declare it in `uses` of src/modules/billing/mod.rs\n\
         ASH-210 src/modules/profiles/model.rs:4 `unsafe` stands outside of what `sql!` expands to\n  \
           do     do it in safe Rust, or with a crate that does\n"
    );
}

#[test]
fn comments_texts_and_documentation_name_what_they_like() {
    let mut tree = house();
    tree.get_mut("src/modules/billing/model.rs").unwrap().push_str(
        "/// See `crate::modules::profiles::Account` and rusqlite.\n\
         fn f() { let unsafe_ = \"crate::modules::profiles rusqlite unsafe\"; x.rusqlite(); }\n",
    );
    assert_eq!(report(&check(&tree)), "");
}
