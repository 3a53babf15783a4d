//! Compiles `migrations/<owner>/V<n>__<what>.sql` into the program.
//!
//! Written here because refinery's macro does not notice a file that is added.

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
    fs::write(Path::new(&env::var("OUT_DIR")?).join("migrations.rs"), code)?;
    Ok(())
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
