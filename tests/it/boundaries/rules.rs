//! The rules of the house, held against the source. Every violation is reported, each with its place.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use syn::visit::Visit;

use super::names::{Kind, Mention, Names, Target, Tree, Word, place_of};

/// The rooms below `src/`, each of which may name those behind it and none before it.
const ROOMS: [&str; 6] = ["main", "commands", "app", "use_cases", "modules", "platform"];
/// What every module consists of, at least.
const SHAPE: [&str; 4] = ["mod.rs", "model.rs", "repository.rs", "sqlite.rs"];
/// Crates through which SQLite can be reached.
const SQLITE_CRATES: [&str; 5] = ["rusqlite", "r2d2", "r2d2_sqlite", "refinery", "libsqlite3_sys"];
/// What a module may name of `rusqlite`: rows and values, never a connection.
const ROWS_AND_VALUES: [&str; 9] =
    ["Row", "Result", "Error", "types", "ToSql", "Params", "params", "named_params", "params_from_iter"];

/// Something in the source that the rules don't allow.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Violation {
    pub file: String,
    pub line: usize,
    pub code: u16,
    pub what: String,
    pub remedy: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Violation { file, line, code, what, remedy } = self;
        write!(f, "ASH-{code} {file}:{line} {what}\n  do     {remedy}")
    }
}

/// Which module uses which, and where first.
type Edges = BTreeMap<(String, String), (String, usize)>;

/// What a module's folder says of it.
#[derive(Debug, Default)]
struct Module {
    /// Declared in `uses`, with the line.
    uses: BTreeMap<String, usize>,
    declared: Option<(String, usize)>,
}

/// Holds the tree against all rules. It holds `src/**.rs`, and `migrations/**.sql` by name.
pub fn check(tree: &Tree) -> Vec<Violation> {
    let names = Names::read(tree);
    let modules = modules_of(tree);
    let mut house = House { tree, names: &names, modules, found: BTreeSet::new() };
    house.lists();
    house.shapes();
    house.arrows();
    house.words();
    house.owners();
    house.found.into_iter().collect()
}

/// The folders below `src/modules/`.
fn modules_of(tree: &Tree) -> BTreeMap<String, Module> {
    let mut modules: BTreeMap<String, Module> = BTreeMap::new();
    for (name, _) in tree.keys().filter_map(|file| file.strip_prefix("src/modules/")?.split_once('/')) {
        modules.entry(name.to_owned()).or_insert_with(|| read_declaration(tree, name));
    }
    modules
}

fn read_declaration(tree: &Tree, name: &str) -> Module {
    #[derive(Default)]
    struct Reader(Module);
    impl<'ast> Visit<'ast> for Reader {
        fn visit_expr_struct(&mut self, it: &'ast syn::ExprStruct) {
            if it.path.segments.last().is_some_and(|last| last.ident == "Declaration") {
                for field in &it.fields {
                    match &field.member {
                        syn::Member::Named(member) if member == "name" => self.0.declared = text(&field.expr),
                        syn::Member::Named(member) if member == "uses" => self.0.uses = texts(&field.expr),
                        _ => {}
                    }
                }
            }
            syn::visit::visit_expr_struct(self, it);
        }
    }
    let mut reader = Reader::default();
    if let Some(face) = tree.get(&format!("src/modules/{name}/mod.rs")) {
        reader.visit_file(&parse(face));
    }
    reader.0
}

struct House<'a> {
    tree: &'a Tree,
    names: &'a Names,
    modules: BTreeMap<String, Module>,
    found: BTreeSet<Violation>,
}

impl House<'_> {
    fn report(&mut self, code: u16, file: &str, line: usize, what: String, remedy: impl Into<String>) {
        self.found.insert(Violation { file: file.into(), line, code, what, remedy: remedy.into() });
    }

    /// ASH-201 to ASH-204, ASH-212, ASH-213: who may name whom.
    fn arrows(&mut self) {
        let mut edges = Edges::new();
        for mention in &self.names.mentions {
            let targets = self.names.targets(mention);
            for target in &targets {
                match target {
                    Target::Inside(path) => self.arrow(mention, path, &targets, &mut edges),
                    Target::Outside(path) => self.outside(mention, path),
                }
            }
        }
        let used: BTreeSet<_> = edges.keys().cloned().collect();
        let mut declared = Vec::new();
        for (name, module) in &self.modules {
            for (other, line) in &module.uses {
                declared.push((name.clone(), other.clone(), *line));
            }
        }
        for (name, other, line) in declared {
            let face = format!("src/modules/{name}/mod.rs");
            if !self.modules.contains_key(&other) {
                let what = format!("module `{name}` declares that it uses `{other}`, and there is no such module");
                self.report(203, &face, line, what, "take it out of `uses`");
            } else if !used.contains(&(name.clone(), other.clone())) {
                let what = format!("module `{name}` declares that it uses `{other}`, and no code of it does");
                self.report(203, &face, line, what, "take it out of `uses`");
            }
        }
        self.cycles(&edges);
    }

    /// One meaning of a mention, of all that it has.
    fn arrow(&mut self, by: &Mention, path: &[String], all: &BTreeSet<Target>, edges: &mut Edges) {
        let Some(from) = room(&by.at) else { return };
        let own = module(&by.at);
        let whole = by.kind != Kind::Path && (path.is_empty() || path == ["modules"] || by.kind == Kind::Glob);
        if whole && (path.is_empty() || (path == ["modules"] && from != "app")) {
            let what = format!("`{}` names a whole room at once", by.segments.join("::"));
            return self.report(213, &by.file, by.line, what, "name the one module or item that is meant");
        }
        let Some(to) = room(path) else {
            if path.first().is_some_and(|first| first != "sql") && self.names.places.contains(&path[..1]) {
                let what = format!("`{}` is no room of this house", path[0]);
                self.report(202, &by.file, by.line, what, format!("the rooms are {}", ROOMS[1..].join(", ")));
            }
            return;
        };
        let level = |room: &str| ROOMS.iter().position(|known| *known == room);
        if level(to) < level(from) {
            let who = own.map_or_else(|| format!("`{from}`"), |name| format!("module `{name}`"));
            let what = format!("{who} names `{}`, and arrows run from `{to}` down to `{from}`", path.join("::"));
            let remedy = match from {
                "platform" => "the platform knows no module: take a trait that src/app.rs wires",
                "modules" => "hand it in as an argument, or move this code into a use case",
                _ => "move this code up, or what it needs down",
            };
            self.report(202, &by.file, by.line, what, remedy);
        }
        let Some(other) = path.get(1).filter(|name| to == "modules" && self.modules.contains_key(*name)) else {
            return;
        };
        let other = other.clone();
        if own == Some(&other) {
            return;
        }
        // What the face gives out may lie in a part.
        let through_face = all.iter().any(|target| match target {
            Target::Inside(path) => is(path, &["modules", &other]) && !self.is_part(path),
            Target::Outside(_) => false,
        });
        if let Some(part) = path.get(2).filter(|_| self.is_part(path) && !through_face) {
            let what = format!("`{}` is a private part of module `{other}`", path[..3].join("::"));
            let remedy = format!("call the face of `{other}` (src/modules/{other}/mod.rs) instead of its `{part}`");
            self.report(212, &by.file, by.line, what, remedy);
        }
        if let Some(own) = own {
            edges.entry((own.clone(), other.clone())).or_insert_with(|| (by.file.clone(), by.line));
            if !self.modules.get(own).is_some_and(|module| module.uses.contains_key(&other)) {
                let what = format!("module `{own}` uses `{other}`, which it does not declare");
                let remedy = format!("call it from a use case, or declare it in `uses` of src/modules/{own}/mod.rs");
                self.report(201, &by.file, by.line, what, remedy);
            }
        }
    }

    /// Whether `path` names something in a part of a module.
    fn is_part(&self, path: &[String]) -> bool {
        path.len() > 2 && self.names.places.contains(&path[..3])
    }

    /// Each module that can be reached from itself.
    fn cycles(&mut self, edges: &Edges) {
        for ((from, to), (file, line)) in edges {
            let mut reached = BTreeSet::from([to]);
            let mut grew = true;
            while grew {
                let next: BTreeSet<_> = edges.keys().filter(|(a, _)| reached.contains(a)).map(|(_, b)| b).collect();
                let before = reached.len();
                reached.extend(next);
                grew = reached.len() > before;
            }
            if reached.contains(from) {
                let what = format!("modules `{from}` and `{to}` use each other, directly or through others");
                let remedy = "let a use case call both, or make one module of them";
                self.found.insert(Violation {
                    file: file.clone(),
                    line: *line,
                    code: 204,
                    what,
                    remedy: remedy.to_owned(),
                });
            }
        }
    }

    /// ASH-205: SQLite is the database's, and rows and values each `sqlite.rs`'s.
    fn outside(&mut self, by: &Mention, path: &[String]) {
        let Some(name) = path.first().filter(|name| SQLITE_CRATES.contains(&name.as_str())) else { return };
        if in_db(&by.file) {
            return;
        }
        let rows = name == "rusqlite" && by.file.ends_with("/sqlite.rs");
        match path.get(1) {
            Some(item) if rows && ROWS_AND_VALUES.contains(&item.as_str()) => {}
            _ if rows => {
                let what = format!("`{}` is more than rows and values", path.join("::"));
                let remedy = format!("modules take no more of rusqlite than {}", ROWS_AND_VALUES.join(", "));
                self.report(205, &by.file, by.line, what, remedy);
            }
            _ => self.sqlite_named(&by.file, by.line, name),
        }
    }

    fn sqlite_named(&mut self, file: &str, line: usize, name: &str) {
        let what = format!("`{name}` is named outside of src/platform/db and the modules' sqlite.rs");
        self.report(205, file, line, what, "ask the module's repository, or platform::db");
    }

    /// ASH-205, ASH-209, ASH-210, ASH-213: words that stand in few files only, wherever and however they stand.
    fn words(&mut self) {
        let statement = "src/platform/db/statement.rs";
        for Word { file, line, text } in &self.names.words {
            match text.as_str() {
                "rusqlite" if file.ends_with("/sqlite.rs") => {}
                name if SQLITE_CRATES.contains(&name) && !in_db(file) => self.sqlite_named(file, *line, name),
                "unsafe" | "unsafe_code" if file != statement => {
                    let what = format!("`{text}` stands outside of what `sql!` expands to");
                    self.report(210, file, *line, what, "do it in safe Rust, or with a crate that does");
                }
                "linkme" | "distributed_slice" if file != statement => {
                    let what = format!("`{text}` stands outside of what `sql!` expands to");
                    self.report(209, file, *line, what, "write SQL in `sql!`, which registers it");
                }
                _ => {}
            }
        }
        for Word { file, line, text } in &self.names.hidden {
            let what = format!("`{text}` brings in source that this test can't follow");
            self.report(213, file, *line, what, "declare it with `mod` beside the code, or import it with `use`");
        }
        for Word { file, line, text } in &self.names.attribute_texts {
            let Some((other, _)) = text.strip_prefix("modules/").and_then(|rest| rest.split_once('/')) else {
                continue;
            };
            let at = place_of(file);
            if module(&at).is_none_or(|own| own != other) {
                let what = format!("`{text}` is a private part of module `{other}`");
                self.report(212, file, *line, what, "keep templates beside the code that fills them");
            }
        }
        for mention in &self.names.mentions {
            for target in self.names.targets(mention) {
                let Target::Inside(path) = target else { continue };
                let Mention { file, line, .. } = mention;
                let statement = is(&path, &["platform", "db", "Statement"])
                    || is(&path, &["platform", "db", "statement", "Statement"]);
                if statement && !in_db(file) {
                    let what = "`Statement` is made by hand".to_owned();
                    self.report(209, file, *line, what, "write SQL in `sql!`, which tags and registers it");
                }
                let sql =
                    is(&path, &["sql"]) || (mention.kind == Kind::Macro && path.last().is_some_and(|n| n == "sql"));
                if sql && !self.owns_sql(file) {
                    let what = "`sql!` stands outside of the files that may hold SQL".to_owned();
                    let remedy = "put the statement behind the repository's trait, in the module's sqlite.rs";
                    self.report(211, file, *line, what, remedy);
                }
                if file.starts_with("src/modules/")
                    && file.ends_with("/model.rs")
                    && path.len() > 1
                    && path[0] == "platform"
                    && ["db", "http", "audit", "jobs", "mail"].contains(&path[1].as_str())
                {
                    let what = format!("a model names `{}`, and models are pure", path.join("::"));
                    self.report(214, file, *line, what, "let the module's face or api.rs do it");
                }
            }
        }
        // A macro's name alone is no path of this crate: what is not imported is not found above.
        for mention in self.names.mentions.iter().filter(|m| m.kind == Kind::Macro) {
            let Mention { file, line, segments, .. } = mention;
            if segments.last().is_some_and(|name| name == "sql") && !self.owns_sql(file) {
                let what = "`sql!` stands outside of the files that may hold SQL".to_owned();
                let remedy = "put the statement behind the repository's trait, in the module's sqlite.rs";
                self.report(211, file, *line, what, remedy);
            }
        }
    }

    /// Whether SQL may stand in a file: a module's `sqlite.rs`, or one of its rooms', or the platform where it owns tables.
    fn owns_sql(&self, file: &str) -> bool {
        let at = place_of(file);
        match room(&at) {
            Some("modules") => file.matches('/').count() >= 3 && file.ends_with("/sqlite.rs"),
            Some("platform") => at.get(1).is_some_and(|owner| self.owner_has_migrations(owner)),
            _ => false,
        }
    }

    fn owner_has_migrations(&self, owner: &str) -> bool {
        let folder = format!("migrations/{owner}/");
        self.tree.keys().any(|file| file.starts_with(&folder))
    }

    /// ASH-206: the folders, the migrations and the lists in the code name the same modules.
    fn lists(&mut self) {
        let folders: Vec<String> = self.modules.keys().cloned().collect();
        for file in self.tree.keys().filter(|file| file.starts_with("src/") && file.ends_with(".rs")) {
            let at = place_of(file);
            let known = at.is_empty() || room(&at).is_some() || file == "src/build.rs";
            if !known {
                let what = format!("`{}` is no room of this house", at[0]);
                self.report(206, file, 1, what, format!("the rooms are {}", ROOMS[1..].join(", ")));
            }
            if at.len() == 2 && at[0] == "modules" && !file.ends_with("/mod.rs") {
                let what = format!("module `{}` is no folder", at[1]);
                self.report(206, file, 1, what, format!("make it src/modules/{}/mod.rs", at[1]));
            }
        }
        for folder in &folders {
            if !self.owner_has_migrations(folder) {
                let what = format!("module `{folder}` has no migrations");
                let remedy = format!("create its tables in migrations/{folder}/V1__{folder}.sql");
                self.report(206, &format!("src/modules/{folder}/mod.rs"), 1, what, remedy);
            }
        }
        let owners: BTreeMap<&str, &String> =
            self.tree.keys().filter_map(|f| Some((f.strip_prefix("migrations/")?.split_once('/')?.0, f))).collect();
        for (owner, file) in owners {
            let platform = format!("src/platform/{owner}/");
            if !self.modules.contains_key(owner) && !self.tree.keys().any(|file| file.starts_with(&platform)) {
                let what = format!("`{owner}` has migrations and is neither a module nor a part of the platform");
                self.report(206, file, 1, what, format!("make src/modules/{owner}/, or take these migrations away"));
            }
        }
        self.same("src/modules/mod.rs", &folders, listed_in_modules(self.tree), "declare `pub mod …;` for");
        let wired = self.wired_in_app();
        self.same("src/app.rs", &folders, wired, "list in `modules()`");
    }

    /// `listed` are names with their lines; they must be the folders in order of name.
    fn same(&mut self, file: &str, folders: &[String], listed: Vec<(String, usize)>, how: &str) {
        let line = listed.first().map_or(1, |(_, line)| *line);
        for folder in folders.iter().filter(|folder| !listed.iter().any(|(name, _)| name == *folder)) {
            let what = format!("module `{folder}` is not listed here");
            self.report(206, file, line, what, format!("{how} `{folder}`"));
        }
        for (name, line) in listed.iter().filter(|(name, _)| !folders.contains(name)) {
            let what = format!("`{name}` is listed here, and src/modules/{name}/ is missing");
            self.report(206, file, *line, what, "take it away, or make the module with scripts/new-module");
        }
        let sorted = listed.windows(2).find(|pair| pair[0].0 >= pair[1].0).map(|pair| pair[1].clone());
        if let Some((name, line)) = sorted {
            let what = format!("`{name}` is out of order");
            self.report(206, file, line, what, "list modules once each, in order of name");
        }
    }

    /// The modules that `modules()` of `src/app.rs` makes.
    fn wired_in_app(&self) -> Vec<(String, usize)> {
        let file = "src/app.rs";
        let Some(text) = self.tree.get(file) else { return Vec::new() };
        let syntax = parse(text);
        let list = syntax.items.iter().find_map(|item| match item {
            syn::Item::Fn(function) if function.sig.ident == "modules" => Some(&function.block),
            _ => None,
        });
        let Some(list) = list else { return Vec::new() };
        let mut found = Vec::new();
        for (ident, line) in names_in(list) {
            let mention =
                Mention { file: file.into(), line, at: place_of(file), segments: vec![ident], kind: Kind::Path };
            for target in self.names.targets(&mention) {
                if let Target::Inside(path) = target
                    && path.first().is_some_and(|room| room == "modules")
                    && let Some(name) = path.get(1)
                    && !found.contains(&(name.clone(), line))
                {
                    found.push((name.clone(), line));
                }
            }
        }
        found
    }

    /// ASH-207: whoever knows one module knows all.
    fn shapes(&mut self) {
        let names: Vec<String> = self.modules.keys().cloned().collect();
        for name in names {
            let face = format!("src/modules/{name}/mod.rs");
            for part in SHAPE {
                if !self.tree.contains_key(&format!("src/modules/{name}/{part}")) {
                    let what = format!("module `{name}` has no {part}");
                    self.report(207, &face, 1, what, "give it the shape that all modules have");
                }
            }
            let declared = self.modules[&name].declared.clone();
            match declared {
                None => {
                    self.report(207, &face, 1, format!("module `{name}` declares nothing"), "write its `Declaration`")
                }
                Some((said, line)) if said != name => {
                    let what = format!("module `{name}` calls itself `{said}`");
                    self.report(207, &face, line, what, "use the folder's name");
                }
                Some(_) => {}
            }
            let Some(text) = self.tree.get(&face) else { continue };
            let syntax = parse(text);
            for item in &syntax.items {
                if let syn::Item::Mod(part) = item
                    && !matches!(part.vis, syn::Visibility::Inherited)
                {
                    let what = format!("module `{name}` shows its part `{}`", part.ident);
                    self.report(
                        207,
                        &face,
                        line_of(part.ident.span()),
                        what,
                        "write `mod …;`, and `pub use` what others need",
                    );
                }
            }
            let keys: Vec<_> = syntax.items.iter().filter_map(key).collect();
            match keys[..] {
                [(_, true)] => {}
                [] => self.report(207, &face, 1, format!("module `{name}` has no key"), "write `struct Owner(());`"),
                _ => {
                    let line = keys.iter().find(|(_, good)| !good).unwrap_or(&keys[0]).0;
                    let what = format!("the key of module `{name}` is not `struct Owner(());`");
                    self.report(207, &face, line, what, "write exactly that: private, with nothing derived");
                }
            }
        }
    }

    /// ASH-208: nobody makes an owner but modules and the platform's owners, each of itself.
    fn owners(&mut self) {
        let mut proper: BTreeSet<(String, usize)> = BTreeSet::new();
        let mut having: BTreeSet<String> = BTreeSet::new();
        for (file, text) in self.tree.iter().filter(|(file, _)| file.starts_with("src/") && file.ends_with(".rs")) {
            for item in parse(text).items {
                let syn::Item::Impl(item) = item else { continue };
                let Some((path, at)) = trait_of(&item) else { continue };
                if path == "Owner" && is_proper_owner(&item) {
                    proper.insert((file.clone(), at));
                }
            }
        }
        for mention in self.names.mentions.iter().filter(|m| m.kind == Kind::Implemented) {
            let Mention { file, line, .. } = mention;
            let is_owner = self.names.targets(mention).iter().any(|target| match target {
                Target::Inside(path) => {
                    is(path, &["platform", "db", "Owner"]) || is(path, &["platform", "db", "statement", "Owner"])
                }
                Target::Outside(_) => false,
            });
            if !is_owner || in_db(file) {
                continue;
            }
            let at = place_of(file);
            let place = match room(&at) {
                Some("modules") => file.matches('/').count() == 3 && file.ends_with("/mod.rs"),
                Some("platform") => at.get(1).is_some_and(|owner| self.owner_has_migrations(owner)),
                _ => false,
            };
            if !place {
                let what = "an owner of tables is made here".to_owned();
                self.report(208, file, *line, what, "only a module's mod.rs makes its own key");
            } else if !proper.contains(&(file.clone(), *line)) {
                let what = "this key does not name its own module".to_owned();
                let remedy = "write `impl db::Owner for Owner { const PATH: &'static str = module_path!(); }`, exactly";
                self.report(208, file, *line, what, remedy);
            }
            having.extend(module(&at).cloned());
        }
        let without: Vec<String> = self.modules.keys().filter(|name| !having.contains(*name)).cloned().collect();
        for name in without {
            let what = format!("module `{name}` does not implement `db::Owner`");
            self.report(207, &format!("src/modules/{name}/mod.rs"), 1, what, "implement it for `struct Owner(());`");
        }
    }
}

/// The room that a place lies in.
fn room(place: &[String]) -> Option<&'static str> {
    let first = place.first()?.trim_matches(['(', ')']);
    ROOMS.iter().find(|room| **room == first).copied()
}

/// The module that a place lies in.
fn module(place: &[String]) -> Option<&String> {
    place.get(1).filter(|_| place[0] == "modules")
}

fn in_db(file: &str) -> bool {
    file.starts_with("src/platform/db/")
}

/// Whether `path` is `start` or lies in it.
fn is(path: &[String], start: &[&str]) -> bool {
    path.len() >= start.len() && path.iter().zip(start).all(|(a, b)| a == b)
}

/// The line of an item that makes the key, and whether it makes it as it should.
fn key(item: &syn::Item) -> Option<(usize, bool)> {
    match item {
        syn::Item::Struct(it) if it.ident == "Owner" => {
            let one_unit = matches!(&it.fields, syn::Fields::Unnamed(fields)
                if fields.unnamed.len() == 1 && is_private_unit(&fields.unnamed[0]));
            let private = matches!(it.vis, syn::Visibility::Inherited);
            let bare = it.attrs.iter().all(|attribute| attribute.path().is_ident("doc"));
            Some((line_of(it.ident.span()), one_unit && private && bare))
        }
        syn::Item::Enum(it) if it.ident == "Owner" => Some((line_of(it.ident.span()), false)),
        syn::Item::Type(it) if it.ident == "Owner" => Some((line_of(it.ident.span()), false)),
        _ => None,
    }
}

fn is_private_unit(field: &syn::Field) -> bool {
    matches!(field.vis, syn::Visibility::Inherited)
        && matches!(&field.ty, syn::Type::Tuple(tuple) if tuple.elems.is_empty())
}

/// The last name of an implemented trait, and its line.
fn trait_of(item: &syn::ItemImpl) -> Option<(String, usize)> {
    let last = item.trait_.as_ref()?.0.segments.last()?;
    Some((last.ident.to_string(), line_of(last.ident.span())))
}

/// `impl … Owner for Owner { const PATH: &'static str = module_path!(); }`
fn is_proper_owner(item: &syn::ItemImpl) -> bool {
    let for_owner = matches!(&*item.self_ty, syn::Type::Path(path) if path.path.is_ident("Owner"));
    let [syn::ImplItem::Const(path)] = &item.items[..] else { return false };
    let own = matches!(&path.expr, syn::Expr::Macro(call)
        if call.mac.path.is_ident("module_path") && call.mac.tokens.is_empty());
    for_owner && path.ident == "PATH" && own
}

fn listed_in_modules(tree: &Tree) -> Vec<(String, usize)> {
    let Some(text) = tree.get("src/modules/mod.rs") else { return Vec::new() };
    let items = parse(text).items;
    let mods = items.iter().filter_map(|item| match item {
        syn::Item::Mod(it) => Some((it.ident.to_string(), line_of(it.ident.span()))),
        _ => None,
    });
    mods.collect()
}

fn parse(text: &str) -> syn::File {
    // `Names::read` has read it as tokens before.
    syn::parse_file(text).unwrap_or_else(|e| panic!("no Rust file: {e}\n{text}"))
}

fn line_of(span: proc_macro2::Span) -> usize {
    span.start().line
}

fn text(expr: &syn::Expr) -> Option<(String, usize)> {
    match expr {
        syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) => Some((text.value(), line_of(text.span()))),
        _ => None,
    }
}

fn texts(expr: &syn::Expr) -> BTreeMap<String, usize> {
    match expr {
        syn::Expr::Reference(reference) => texts(&reference.expr),
        syn::Expr::Array(array) => array.elems.iter().filter_map(text).collect(),
        _ => BTreeMap::new(),
    }
}

/// Every name in a body, with its line.
fn names_in(body: &syn::Block) -> Vec<(String, usize)> {
    struct Reader(Vec<(String, usize)>);
    impl<'ast> Visit<'ast> for Reader {
        fn visit_macro(&mut self, it: &'ast syn::Macro) {
            flatten(it.tokens.clone(), &mut self.0);
        }
        fn visit_path(&mut self, it: &'ast syn::Path) {
            self.0.extend(it.segments.first().map(|first| (first.ident.to_string(), line_of(first.ident.span()))));
            syn::visit::visit_path(self, it);
        }
    }
    let mut reader = Reader(Vec::new());
    reader.visit_block(body);
    reader.0
}

/// Every name in `tokens`, with its line.
fn flatten(tokens: proc_macro2::TokenStream, found: &mut Vec<(String, usize)>) {
    for token in tokens {
        match token {
            proc_macro2::TokenTree::Group(group) => flatten(group.stream(), found),
            proc_macro2::TokenTree::Ident(ident) => found.push((ident.to_string(), line_of(ident.span()))),
            _ => {}
        }
    }
}
