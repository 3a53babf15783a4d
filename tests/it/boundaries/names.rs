//! Which names the source mentions, and what they mean once imports, renames and re-exports are followed.
//!
//! It reads tokens, not items: so a path counts the same in an expression, a type, an attribute and within a
//! macro's brackets.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use syn::UseTree;

/// The files of a crate: their paths from its root (`src/app.rs`), and their texts.
pub type Tree = BTreeMap<String, String>;

/// A module of the crate by the names on the way to it; the crate itself is the empty one.
pub type Place = Vec<String>;

/// How many renames may follow one another.
const MAX_RENAMES: u32 = 16;

/// A path as somebody wrote it.
#[derive(Debug, Clone)]
pub struct Mention {
    pub file: String,
    pub line: usize,
    /// The module that it stands in.
    pub at: Place,
    pub segments: Vec<String>,
    pub kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `a::b` in code.
    Path,
    /// `use a::b`, also `pub use` and `use … as`.
    Import,
    /// `use a::b::*`.
    Glob,
    /// `a::b!`.
    Macro,
    /// The trait in `impl a::b for`.
    Implemented,
}

/// What a mention means.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// In this crate.
    Inside(Vec<String>),
    /// In another crate, whose name is the first.
    Outside(Vec<String>),
}

/// One word of the source that matters by itself.
#[derive(Debug, Clone)]
pub struct Word {
    pub file: String,
    pub line: usize,
    pub text: String,
}

/// All that the source says of names.
#[derive(Debug, Default)]
pub struct Names {
    pub mentions: Vec<Mention>,
    pub words: Vec<Word>,
    /// Ways to bring in source that this reader would not see: file, line, how.
    pub hidden: Vec<Word>,
    /// Files that attributes name, such as templates.
    pub attribute_texts: Vec<Word>,
    pub places: BTreeSet<Place>,
    aliases: BTreeMap<(Place, String), Vec<Vec<String>>>,
    globs: BTreeMap<Place, Vec<Vec<String>>>,
}

impl Names {
    /// Reads every Rust file of the tree; a file that is none is a fault of the test's own.
    pub fn read(tree: &Tree) -> Names {
        let mut names = Names::default();
        for (file, text) in tree.iter().filter(|(file, _)| file.ends_with(".rs")) {
            let tokens: TokenStream = text.parse().unwrap_or_else(|e| panic!("{file} is no Rust: {e}"));
            let place = place_of(file);
            names.places.insert(place.clone());
            names.scan(file, &place, tokens, None);
        }
        // One name alone was imported or made nearby, but for what a glob brings.
        let Names { mentions, globs, .. } = &mut names;
        mentions.retain(|it| it.segments.len() > 1 || it.kind != Kind::Path || globs.contains_key(&it.at));
        names
    }

    /// What a mention means: as it is written, and behind each rename on the way.
    pub fn targets(&self, mention: &Mention) -> BTreeSet<Target> {
        let mut found = BTreeSet::new();
        // An import's first name is never the name that it makes.
        self.resolve(&mention.at, &mention.segments, &mut found, MAX_RENAMES);
        found
    }

    fn resolve(&self, at: &[String], segments: &[String], found: &mut BTreeSet<Target>, fuel: u32) {
        let Some(first) = segments.first() else { return };
        if fuel == 0 {
            return;
        }
        match first.as_str() {
            "crate" | "ashlar" => self.walk(Vec::new(), &segments[1..], found, fuel),
            "" if segments.get(1).is_some_and(|name| name == "ashlar") => {
                self.walk(Vec::new(), &segments[2..], found, fuel);
            }
            "" => {
                found.insert(Target::Outside(segments[1..].to_vec()));
            }
            "self" | "super" => {
                let mut place = at.to_vec();
                let mut rest = segments;
                while let Some(step) = rest.first().filter(|step| *step == "super" || *step == "self") {
                    if step == "super" {
                        place.pop();
                    }
                    rest = &rest[1..];
                }
                self.walk(place, rest, found, fuel);
            }
            _ if !self.step(at, segments, found, fuel) => {
                found.insert(Target::Outside(segments.to_vec()));
            }
            _ => {}
        }
    }

    /// Follows `rest` from `place` downwards.
    fn walk(&self, mut place: Place, rest: &[String], found: &mut BTreeSet<Target>, fuel: u32) {
        found.insert(Target::Inside([&place[..], rest].concat()));
        for (n, name) in rest.iter().enumerate() {
            let below = [&place[..], std::slice::from_ref(name)].concat();
            if !self.places.contains(&below) {
                self.step(&place, &rest[n..], found, fuel);
                return;
            }
            place = below;
        }
    }

    /// Follows what `segments` begin with where that is known in `at`: a renamed import, a module, or a glob's.
    fn step(&self, at: &[String], segments: &[String], found: &mut BTreeSet<Target>, fuel: u32) -> bool {
        let Some(first) = segments.first() else { return false };
        if let Some(meanings) = self.aliases.get(&(at.to_vec(), first.clone())) {
            for meaning in meanings {
                let whole = [&meaning[..], &segments[1..]].concat();
                if meaning.first() == Some(first) {
                    // `use rusqlite::Row`, or `use billing::Account` beside `mod billing`.
                    let below = [at, std::slice::from_ref(first)].concat();
                    if self.places.contains(&below) {
                        self.walk(at.to_vec(), &whole, found, fuel - 1);
                    } else {
                        found.insert(Target::Outside(whole));
                    }
                } else {
                    self.resolve(at, &whole, found, fuel - 1);
                }
            }
            return true;
        }
        if self.places.contains(&[at, std::slice::from_ref(first)].concat()) {
            self.walk(at.to_vec(), segments, found, fuel);
            return true;
        }
        let mut through_glob = false;
        for glob in self.globs.get(at).into_iter().flatten() {
            let mut origins = BTreeSet::new();
            self.resolve(at, glob, &mut origins, fuel - 1);
            for origin in origins {
                match origin {
                    Target::Inside(place) if place != at && self.places.contains(&place) => {
                        let known = self.places.contains(&[&place[..], std::slice::from_ref(first)].concat())
                            || self.aliases.contains_key(&(place.clone(), first.clone()));
                        if known {
                            self.walk(place, segments, found, fuel - 1);
                            through_glob = true;
                        } else {
                            // An item of that module, perhaps: for those who look for it by name.
                            found.insert(Target::Inside([&place[..], segments].concat()));
                        }
                    }
                    _ => {}
                }
            }
        }
        through_glob
    }

    /// `line` is set within a text that is read as code: its own lines mean nothing.
    fn scan(&mut self, file: &str, at: &[String], tokens: TokenStream, line: Option<usize>) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let line_of = |token: &TokenTree| line.unwrap_or_else(|| token.span().start().line);
        let mut n = 0;
        while n < tokens.len() {
            match &tokens[n] {
                TokenTree::Punct(mark) if mark.as_char() == '#' => {
                    let inner = usize::from(is_mark(tokens.get(n + 1), '!'));
                    if let Some(TokenTree::Group(group)) = tokens.get(n + 1 + inner)
                        && group.delimiter() == Delimiter::Bracket
                    {
                        self.attribute(file, at, group, line);
                        n += 2 + inner;
                        continue;
                    }
                    n += 1;
                }
                TokenTree::Group(group) => {
                    self.scan(file, at, group.stream(), line);
                    n += 1;
                }
                TokenTree::Ident(_) if word(tokens.get(n)) == Some("mod".into()) => match tokens.get(n + 2) {
                    Some(TokenTree::Group(body)) if body.delimiter() == Delimiter::Brace => {
                        let mut below = at.to_vec();
                        below.push(word(tokens.get(n + 1)).unwrap_or_default());
                        self.places.insert(below.clone());
                        self.scan(file, &below, body.stream(), line);
                        n += 3;
                    }
                    // `mod x;` is a file, which is read by itself.
                    Some(TokenTree::Punct(end)) if end.as_char() == ';' => n += 3,
                    _ => n += 1,
                },
                TokenTree::Ident(_) if word(tokens.get(n)) == Some("use".into()) => {
                    let end = (n..tokens.len()).find(|i| is_mark(tokens.get(*i), ';')).unwrap_or(tokens.len());
                    n = self.import(file, at, &tokens[n + 1..end], line).map_or(n + 1, |()| end);
                }
                token => match path(&tokens, n) {
                    Some((segments, end, last)) => {
                        self.note(file, line_of(token), &segments);
                        if segments[0] == "extern" && word(tokens.get(end)) == Some("crate".into()) {
                            self.hide(file, line_of(token), "extern crate");
                        }
                        let bang = is_mark(tokens.get(end), '!') && !is_mark(tokens.get(end + 1), '=');
                        if bang
                            && segments.last().is_some_and(|name| name == "include")
                            && let Some(TokenTree::Group(group)) = tokens.get(end + 1)
                            && let Some(TokenTree::Literal(_)) = group.stream().into_iter().next()
                        {
                            self.hide(file, line_of(token), "include!");
                        }
                        let kind = match () {
                            () if bang => Kind::Macro,
                            () if word(tokens.get(end)) == Some("for".into()) => Kind::Implemented,
                            () => Kind::Path,
                        };
                        let line = line.unwrap_or(last);
                        self.mentions.push(Mention { file: file.into(), line, at: at.to_vec(), segments, kind });
                        n = end;
                    }
                    None => n += 1,
                },
            }
        }
    }

    /// `#[…]`: its tokens, and texts in it that are code (`serde(with = "a::b")`).
    fn attribute(&mut self, file: &str, at: &[String], group: &Group, line: Option<usize>) {
        let name = word(group.stream().into_iter().next().as_ref()).unwrap_or_default();
        let own_line = line.unwrap_or_else(|| group.span_open().start().line);
        match name.as_str() {
            "doc" => return,
            "path" => self.hide(file, own_line, "#[path]"),
            _ => {}
        }
        self.scan(file, at, group.stream(), line);
        let mut texts = Vec::new();
        literals(group.stream(), &mut texts);
        for (text, line) in texts {
            let line = line.unwrap_or(own_line);
            if text.contains("::")
                && let Ok(code) = text.parse()
            {
                self.scan(file, at, code, Some(line));
            }
            self.attribute_texts.push(Word { file: file.into(), line, text });
        }
    }

    fn import(&mut self, file: &str, at: &[String], tokens: &[TokenTree], line: Option<usize>) -> Option<()> {
        // `$crate` means what `crate` does.
        let code: TokenStream = tokens.iter().filter(|t| !is_mark(Some(t), '$')).cloned().collect();
        let wrapped: TokenStream = [quote_use(), code].into_iter().collect::<TokenStream>();
        let item: syn::ItemUse = syn::parse2([wrapped, ";".parse().ok()?].into_iter().collect()).ok()?;
        let start = if item.leading_colon.is_some() { vec![String::new()] } else { Vec::new() };
        self.leaves(file, at, &item.tree, start, line);
        Some(())
    }

    fn leaves(&mut self, file: &str, at: &[String], tree: &UseTree, mut so_far: Vec<String>, line: Option<usize>) {
        let (name, alias, span, kind) = match tree {
            UseTree::Path(path) => {
                self.note(file, line.unwrap_or(path.ident.span().start().line), &[plain(&path.ident)]);
                so_far.push(plain(&path.ident));
                return self.leaves(file, at, &path.tree, so_far, line);
            }
            UseTree::Group(group) => {
                for each in &group.items {
                    self.leaves(file, at, each, so_far.clone(), line);
                }
                return;
            }
            UseTree::Name(name) => (plain(&name.ident), None, name.ident.span(), Kind::Import),
            UseTree::Rename(name) => (plain(&name.ident), Some(plain(&name.rename)), name.ident.span(), Kind::Import),
            UseTree::Glob(glob) => (String::new(), None, glob.star_token.spans[0], Kind::Glob),
        };
        let line = line.unwrap_or(span.start().line);
        if kind == Kind::Glob {
            self.globs.entry(at.to_vec()).or_default().push(so_far.clone());
        } else {
            // `{self, b}` names what stands before the braces.
            if name != "self" || so_far.is_empty() {
                so_far.push(name);
            }
            self.note(file, line, &so_far[so_far.len() - 1..]);
            let known_as = alias.or_else(|| so_far.last().cloned()).unwrap_or_default();
            self.aliases.entry((at.to_vec(), known_as)).or_default().push(so_far.clone());
        }
        self.mentions.push(Mention { file: file.into(), line, at: at.to_vec(), segments: so_far, kind });
    }

    fn note(&mut self, file: &str, line: usize, segments: &[String]) {
        let words = segments.iter().map(|text| Word { file: file.into(), line, text: text.clone() });
        self.words.extend(words);
    }

    fn hide(&mut self, file: &str, line: usize, how: &str) {
        self.hidden.push(Word { file: file.into(), line, text: how.into() });
    }
}

/// The module that a file is: `src/modules/billing/api.rs` is `modules::billing::api`.
pub fn place_of(file: &str) -> Place {
    let inner = file.trim_start_matches("src/").trim_end_matches(".rs");
    match inner {
        "lib" => Vec::new(),
        // Crates of their own.
        "main" | "build" => vec![format!("({inner})")],
        _ => inner.split('/').filter(|part| *part != "mod").map(str::to_owned).collect(),
    }
}

/// The path that begins at token `n`: its segments, the first token behind it, and the line of its last segment.
/// A path that begins with `::` has an empty first segment.
fn path(tokens: &[TokenTree], mut n: usize) -> Option<(Vec<String>, usize, usize)> {
    let before = |back: usize, mark| n >= back && is_mark(tokens.get(n - back), mark);
    let mut segments = Vec::new();
    if is_double_colon(tokens, n) {
        // `<T as Trait>::Item` goes on a type; `-> ::a` and `=> ::a` begin anew.
        if before(1, '>') && !before(2, '-') && !before(2, '=') {
            return None;
        }
        segments.push(String::new());
        n += 2;
    } else if before(1, '\'') || (before(1, '.') && !before(2, '.')) {
        return None;
    }
    let mut last = tokens.get(n)?.span().start().line;
    segments.push(word(tokens.get(n))?);
    n += 1;
    while is_double_colon(tokens, n)
        && let Some(next) = word(tokens.get(n + 2))
    {
        segments.push(next);
        last = tokens[n + 2].span().start().line;
        n += 3;
    }
    Some((segments, n, last))
}

fn is_double_colon(tokens: &[TokenTree], n: usize) -> bool {
    is_mark(tokens.get(n), ':') && is_mark(tokens.get(n + 1), ':')
}

fn is_mark(token: Option<&TokenTree>, mark: char) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == mark)
}

fn word(token: Option<&TokenTree>) -> Option<String> {
    match token {
        Some(TokenTree::Ident(ident)) => Some(plain(ident)),
        _ => None,
    }
}

/// `r#use` is the name `use`.
fn plain(ident: &proc_macro2::Ident) -> String {
    let text = ident.to_string();
    text.strip_prefix("r#").unwrap_or(&text).to_owned()
}

fn quote_use() -> TokenStream {
    TokenTree::Ident(proc_macro2::Ident::new("use", proc_macro2::Span::call_site())).into()
}

/// The texts in `tokens`, with their lines.
fn literals(tokens: TokenStream, found: &mut Vec<(String, Option<usize>)>) {
    for token in tokens {
        match token {
            TokenTree::Group(group) => literals(group.stream(), found),
            TokenTree::Literal(literal) => {
                let line = literal.span().start().line;
                if let syn::Lit::Str(text) = syn::Lit::new(literal) {
                    found.push((text.value(), Some(line)));
                }
            }
            _ => {}
        }
    }
}
