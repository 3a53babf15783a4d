//! Compiles `migrations/<owner>/V<n>__<what>.sql` into the program, and which use case calls which module's face.
//!
//! The first is written here because refinery's macro does not notice a file that is added.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;
use std::{env, fs};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("migrations");
    let mut code = String::from("&[\n");
    watch(&root);
    for owner in sorted(&root)? {
        watch(&root.join(&owner));
        writeln!(code, "    crate::platform::db::Migrations {{ owner: {owner:?}, files: &[")?;
        let mut files = sorted(&root.join(&owner))?;
        files.retain(|file| file.ends_with(".sql"));
        // V10 comes after V9.
        files.sort_by_key(|file| number(file));
        for file in files {
            let path = root.join(&owner).join(&file);
            watch(&path);
            writeln!(code, "        ({:?}, include_str!({path:?})),", file.trim_end_matches(".sql"))?;
        }
        writeln!(code, "    ] }},")?;
    }
    code.push(']');
    let out = env::var("OUT_DIR")?;
    fs::write(Path::new(&out).join("migrations.rs"), code)?;
    fs::write(Path::new(&out).join("face_calls.rs"), face_calls(&root.with_file_name("src"))?)?;
    Ok(())
}

/// The calls of faces in `src/use_cases/`, as rows of use case, module and function: what would go over the network if
/// that module were elsewhere.
fn face_calls(source: &Path) -> std::io::Result<String> {
    watch(&source.join("modules"));
    let mut modules = sorted(&source.join("modules"))?;
    modules.retain(|name| !name.contains('.'));
    let mut rows = BTreeSet::new();
    let mut folders = vec![source.join("use_cases")];
    while let Some(folder) = folders.pop() {
        watch(&folder);
        for name in sorted(&folder)? {
            let path = folder.join(&name);
            if path.is_dir() {
                folders.push(path);
            } else if name.ends_with(".rs") {
                watch(&path);
                let whole = path.strip_prefix(source.join("use_cases")).unwrap_or(&path).with_extension("");
                let use_case = match &*whole.to_string_lossy() {
                    // What several of them share.
                    "mod" => "use_cases".to_owned(),
                    name => name.trim_end_matches("/mod").to_owned(),
                };
                let code = code_of(&fs::read_to_string(&path)?);
                for module in &modules {
                    let calls = calls_of(&code, module);
                    rows.extend(calls.into_iter().map(|call| (use_case.clone(), module.clone(), call)));
                }
            }
        }
    }
    Ok(format!("&{:?}", rows.into_iter().collect::<Vec<_>>()))
}

/// A file's code without comments, tests and blanks.
fn code_of(text: &str) -> String {
    let text = text.split("#[cfg(test)]").next().unwrap_or_default();
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.flat_map(str::chars).filter(|c| !c.is_whitespace()).collect()
}

/// What is called of a module: `.users.get(`, or of all modules, `module.erase(`.
fn calls_of(code: &str, module: &str) -> BTreeSet<String> {
    let face: String = module[..1].to_uppercase() + &module[1..];
    let mut calls = BTreeSet::new();
    let mut found = |before: &str| {
        for (at, _) in code.match_indices(before) {
            let rest = &code[at + before.len()..];
            let name: String = rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
            if !name.is_empty() && rest[name.len()..].starts_with('(') && name != "declaration" && name != "clone" {
                calls.insert(name);
            }
        }
    };
    found(&format!(".{module}."));
    found(&format!("{face}."));
    if code.contains(".modules.iter()") {
        found("{module.");
        found(",module.");
    }
    calls
}

fn sorted(folder: &Path) -> std::io::Result<Vec<String>> {
    let mut names = fs::read_dir(folder)?
        .map(|entry| entry.map(|e| e.file_name().to_string_lossy().into_owned()))
        .collect::<std::io::Result<Vec<_>>>()?;
    names.retain(|name| !name.starts_with('.'));
    names.sort();
    Ok(names)
}

/// The `n` of `V<n>__what.sql`; refinery itself refuses other names when the program starts.
fn number(file: &str) -> u32 {
    file.trim_start_matches(['V', 'U']).split("__").next().and_then(|n| n.parse().ok()).unwrap_or(u32::MAX)
}

fn watch(path: &Path) {
    println!("cargo::rerun-if-changed={}", path.display());
}
