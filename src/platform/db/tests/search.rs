//! Full-text search within an owner's tables: FTS5 runs SQL of its own, also at the commit.

use super::*;

const FAY: Migrations = Migrations {
    owner: "fay",
    files: &[(
        "V1__pages",
        "CREATE TABLE pages (id INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT;
         CREATE VIRTUAL TABLE pages_words USING fts5(text, content = 'pages', content_rowid = 'id');
         CREATE TRIGGER pages_added AFTER INSERT ON pages BEGIN
             INSERT INTO pages_words (rowid, text) VALUES (new.id, new.text);
         END;
         CREATE TRIGGER pages_removed AFTER DELETE ON pages BEGIN
             INSERT INTO pages_words (pages_words, rowid, text) VALUES ('delete', old.id, old.text);
         END;
         INSERT INTO pages (text) VALUES ('the first page');",
    )],
};
static WITH_SEARCH: &[Migrations] = &[ANN, FAY, UNIT];

struct Fay;
impl Owner for Fay {
    const PATH: &'static str = "ashlar::modules::fay::sqlite";
}

fn add_page(work: &UnitOfWork<'_>, text: &str) -> Result<()> {
    work.tables(Fay).execute(sql_of!("fay", "INSERT INTO pages (text) VALUES (?1)"), [text]).map(drop)
}

fn found(database: &Database, word: &'static str) -> Vec<String> {
    let sql = sql_of!(
        "fay",
        "SELECT highlight(pages_words, 0, '[', ']') FROM pages_words WHERE pages_words MATCH ?1 ORDER BY rank"
    );
    database.read_blocking("find", |snapshot| snapshot.tables(Fay).fetch_all(sql, [word], |row| row.get(0))).unwrap()
}

#[test]
fn the_first_write_of_a_fresh_process_reaches_the_index() {
    let house = House::of(WITH_SEARCH);
    house.database.write_now(|work| add_page(work, "a stone wall")).unwrap();
    house.database.close();

    // Another connection knows nothing of the index yet, as a fresh process.
    let database = open(house.folder.path(), WITH_SEARCH).unwrap();
    database.write_now(|work| add_page(work, "another stone")).unwrap();
    let first = database.write_now(|work| {
        add_page(work, "a stone that fails")?;
        Err::<(), _>(Error::Stale)
    });

    assert!(matches!(first, Err(Error::Stale)));
    let mut stones = found(&database, "stone");
    stones.sort();
    assert_eq!(stones, ["a [stone] wall", "another [stone]"]);
    assert_eq!(found(&database, "first"), ["the [first] page"]);
    database
        .write_now(|work| {
            work.tables(Fay).execute(sql_of!("fay", "DELETE FROM pages WHERE text = 'another stone'"), ())
        })
        .unwrap();
    assert_eq!(found(&database, "stone"), ["a [stone] wall"]);
    database
        .write_now(|work| {
            work.tables(Fay)
                .execute(sql_of!("fay", "INSERT INTO pages_words (pages_words) VALUES ('integrity-check')"), ())
        })
        .unwrap();
}

#[test]
fn the_search_of_one_owner_is_closed_to_another() {
    let schema = Schema::prove(WITH_SEARCH).unwrap();

    for text in [
        "SELECT text FROM pages_words",
        "SELECT block FROM pages_words_data",
        "INSERT INTO pages_words (pages_words) VALUES ('rebuild')",
    ] {
        let refused = schema.check([of_ann(text)]).unwrap_err().to_string();
        assert!(refused.contains("owned by `fay`"), "{refused}");
    }
}

#[test]
fn statements_that_search_pass_the_check_at_start() {
    let schema = Schema::prove(WITH_SEARCH).unwrap();

    let uses = schema.check([sql_of!("fay", "SELECT rowid FROM pages_words WHERE pages_words MATCH ?1")]).unwrap();

    assert!(uses.iter().any(|u| u.module == "fay" && u.table == "pages_words" && u.read && !u.write), "{uses:?}");
}
