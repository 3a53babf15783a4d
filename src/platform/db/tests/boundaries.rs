//! SQL that reaches beyond its owner, or at the transaction that all share.

use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::ffi;

use super::scope::{Scope, within};
use super::*;

/// What no statement of a module may be, each refused at start and when it runs.
const HOSTILE: &[&str] = &[
    // Others' tables, by all ways and spellings.
    "SELECT text FROM notes",
    "SELECT count(*) FROM notes",
    "SELECT EXISTS (SELECT 1 FROM notes)",
    "SELECT text FROM NOTES",
    "SELECT \"text\" FROM \"Notes\"",
    "SELECT text FROM [notes]",
    "SELECT text FROM main.notes",
    "SELECT t.text FROM things, notes AS t",
    "SELECT name FROM things UNION SELECT text FROM notes",
    "SELECT name FROM things WHERE name IN notes",
    "INSERT INTO things (name) SELECT text FROM notes",
    "INSERT INTO notes VALUES ('x')",
    "INSERT INTO notes VALUES ('x') ON CONFLICT DO NOTHING",
    "REPLACE INTO notes VALUES ('x')",
    "UPDATE notes SET text = 'x'",
    "UPDATE things SET name = text FROM notes",
    "DELETE FROM notes",
    "DELETE FROM things WHERE name IN (SELECT text FROM notes)",
    "WITH w AS (SELECT text FROM notes) SELECT * FROM w",
    "WITH notes AS (SELECT text FROM main.notes) SELECT * FROM notes",
    "WITH things AS (SELECT text AS name FROM notes) SELECT name FROM things",
    "SELECT secret FROM unit",
    // Nobody's tables.
    "SELECT name FROM sqlite_schema",
    "SELECT count(*) FROM sqlite_schema",
    "SELECT name FROM sqlite_master",
    "SELECT name FROM sqlite_temp_schema",
    "SELECT * FROM pragma_table_info('notes')",
    "SELECT count(*) FROM pragma_database_list",
    "SELECT name FROM pragma_function_list",
    "SELECT * FROM dbstat",
    "UPDATE sqlite_schema SET sql = ''",
    // The shared transaction.
    "BEGIN",
    "BEGIN IMMEDIATE",
    "COMMIT",
    "END",
    "ROLLBACK",
    "SAVEPOINT closure",
    "RELEASE closure",
    "ROLLBACK TO closure",
    // The connection and the schema.
    "ATTACH ':memory:' AS other",
    "DETACH main",
    "PRAGMA query_only = 1",
    "PRAGMA foreign_keys = OFF",
    "PRAGMA defer_foreign_keys = ON",
    "PRAGMA writable_schema = ON",
    "PRAGMA wal_checkpoint(TRUNCATE)",
    "PRAGMA table_info(notes)",
    "PRAGMA data_version = 1",
    "VACUUM",
    "VACUUM INTO '/tmp/ashlar-stolen.db'",
    "ANALYZE",
    "REINDEX",
    "CREATE TABLE mine (id)",
    "CREATE TABLE mine AS SELECT * FROM things",
    "CREATE TEMP TABLE mine (id)",
    "CREATE TEMP VIEW mine AS SELECT * FROM notes",
    "CREATE TEMP TRIGGER mine AFTER INSERT ON things BEGIN DELETE FROM notes; END",
    "CREATE VIEW mine AS SELECT * FROM things",
    "CREATE TRIGGER mine AFTER INSERT ON things BEGIN DELETE FROM things; END",
    "CREATE INDEX mine ON things (size)",
    "CREATE VIRTUAL TABLE mine USING fts5(text)",
    "ALTER TABLE things RENAME TO others",
    "ALTER TABLE things ADD COLUMN more",
    "DROP TABLE things",
    "DROP TABLE notes",
    "SELECT load_extension('x')",
    "SELECT LOAD_EXTENSION('x')",
    // More than one statement, and none.
    "SELECT 1; DELETE FROM things",
    "INSERT INTO things (name) VALUES ('a'); COMMIT",
];

#[test]
fn hostile_sql_is_refused_at_start() {
    let schema = Schema::prove(ALL).unwrap();

    let passed: Vec<_> = HOSTILE.iter().filter(|text| schema.check([of_ann(text)]).is_ok()).collect();

    assert!(passed.is_empty(), "{passed:#?}");
}

#[test]
fn hostile_sql_is_refused_when_it_runs_and_harms_nobody() {
    let house = House::new();
    house.database.write_now(|work| add(work, "kept").and_then(|()| note(work, "kept"))).unwrap();

    for text in HOSTILE {
        let statement = of_ann(text);
        let release = house.database.hold_the_writer();
        let before = house.database.queue(|work| add(work, "before"));
        let hostile = house.database.queue(|work| {
            add(work, "partial")?;
            work.tables(Ann).fetch_all(statement, (), |_| Ok(())).map(drop)
        });
        let after = house.database.queue(|work| add(work, "after"));
        drop(release);

        assert!(hostile.blocking_recv().unwrap().is_err(), "{text}");
        before.blocking_recv().unwrap().unwrap_or_else(|error| panic!("{text}: {error}"));
        after.blocking_recv().unwrap().unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(house.database.things(), ["after", "before", "kept"], "{text}");
        let clean = sql_of!("ann", "DELETE FROM things WHERE name <> 'kept'");
        house.database.write_now(|work| work.tables(Ann).execute(clean, ())).unwrap();
    }
    let raw = open_raw(&house.database.folder().database()).unwrap();
    assert_eq!(raw.query_row("SELECT text FROM notes", [], |row| row.get::<_, String>(0)).unwrap(), "kept");
}

#[test]
fn hostile_sql_is_refused_to_readers() {
    let house = House::new();

    for text in HOSTILE {
        let statement = of_ann(text);
        let read = house.database.read_blocking("t", |s| s.tables(Ann).fetch_all(statement, (), |_| Ok(())));
        assert!(read.is_err(), "{text}");
    }
}

#[test]
fn honest_sql_passes() {
    let schema = Schema::prove(ALL).unwrap();

    for text in [
        "SELECT 1",
        "SELECT count(*) FROM things",
        "SELECT count(*) FROM (SELECT DISTINCT size FROM things)",
        "SELECT name FROM Things AS t WHERE EXISTS (SELECT 1 FROM THINGS WHERE size > t.size)",
        "WITH big AS (SELECT name FROM things WHERE size > 9) SELECT name FROM big",
        "WITH big AS (SELECT name FROM things WHERE size > 9) SELECT count(*) FROM big",
        "WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 9) SELECT i FROM n",
        "SELECT value FROM json_each(?1)",
        "SELECT count(*) FROM JSON_EACH(?1)",
        "INSERT INTO things (name) VALUES (?1) ON CONFLICT (name) DO UPDATE SET size = excluded.size RETURNING size",
        "DELETE FROM things",
        "SELECT 'INSERT OR ROLLBACK' -- or rollback",
    ] {
        schema.check([of_ann(text)]).unwrap_or_else(|error| panic!("{text}: {error}"));
    }
}

#[test]
fn the_refusal_names_owner_table_place_and_way_out() {
    let house = House::new();

    let refused = house.database.write_now(|work| work.tables(Ann).execute(of_ann("DELETE FROM notes"), ()));

    let text = refused.unwrap_err().to_string();
    for part in ["ASH-101", "`ann`", "`notes`", "owned by `bob`", "tests/mod.rs", "DELETE FROM notes", "the face of"] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
}

#[test]
fn the_matrix_tells_who_reads_and_writes_what() {
    let schema = Schema::prove(ALL).unwrap();

    let uses = schema
        .check([
            sql_of!("ann", "UPDATE things SET size = size + 1"),
            sql_of!("bob", "SELECT count(*) FROM notes"),
            sql_of!("ann", "SELECT name FROM THINGS"),
        ])
        .unwrap();

    let row = |module, table: &str, write| Use { module, table: table.into(), read: true, write };
    assert_eq!(uses, [row("ann", "things", true), row("bob", "notes", false)]);
}

#[test]
fn what_a_foreign_key_deletes_along_counts_as_written() {
    static FAMILY: &[Migrations] = &[
        Migrations {
            owner: "ann",
            files: &[(
                "V1__family",
                "CREATE TABLE parents (id INTEGER PRIMARY KEY);
                 CREATE TABLE children (parent INTEGER REFERENCES parents (id) ON DELETE CASCADE);",
            )],
        },
        UNIT,
    ];

    let uses = Schema::prove(FAMILY).unwrap().check([of_ann("DELETE FROM parents")]).unwrap();

    assert!(uses.iter().any(|u| u.table == "children" && u.write), "{uses:?}");
}

const ENDINGS: &[&str] = &[
    "INSERT OR ROLLBACK INTO things (name) VALUES ('kept')",
    "UPDATE OR ROLLBACK things SET name = 'kept' WHERE name <> 'kept'",
];

#[test]
fn statements_that_could_end_the_shared_transaction_are_refused_at_start() {
    let schema = Schema::prove(ALL).unwrap();

    for text in [
        ENDINGS[0],
        ENDINGS[1],
        "insert or\n/* x */ rollback into things (name) values ('x')",
        "INSERT OR -- x\n ROLLBACK INTO things (name) VALUES ('x')",
        "INSERT OR \u{feff} ROLLBACK INTO things (name) VALUES ('x')",
        "WITH w AS (SELECT 1) INSERT OR ROLLBACK INTO things (name) SELECT * FROM w",
    ] {
        let refused = schema.check([of_ann(text)]).unwrap_err().to_string();
        assert!(refused.contains("ASH-106"), "{text}: {refused}");
    }
}

#[test]
fn nobody_is_told_success_when_a_statement_ends_the_shared_transaction() {
    for ending in ENDINGS {
        let house = House::new();
        house.database.write_now(|work| add(work, "kept")).unwrap();
        let statement = of_ann(ending);

        let release = house.database.hold_the_writer();
        let before = house.database.queue(|work| add(work, "before"));
        let hostile = house.database.queue(|work| {
            add(work, "partial")?;
            // Swallows each error and claims success.
            work.tables(Ann).execute(statement, ()).ok();
            add(work, "zombie").ok();
            note(work, "zombie").ok();
            Ok(())
        });
        let after = house.database.queue(|work| add(work, "after"));
        drop(release);

        let before = before.blocking_recv().unwrap();
        assert!(matches!(before, Err(Error::Lost(_))), "{ending}: {before:?}");
        let hostile = hostile.blocking_recv().unwrap();
        assert!(matches!(hostile, Err(Error::Lost(_))), "{ending}: {hostile:?}");
        // It stands in the next group, which is sound.
        after.blocking_recv().unwrap().unwrap();
        assert_eq!(house.database.things(), ["after", "kept"], "{ending}");
        house.database.write_now(|work| note(work, "zombie")).unwrap();
    }
}

#[test]
fn a_closure_whose_last_statement_ends_the_transaction_does_not_succeed() {
    let house = House::new();
    house.database.write_now(|work| add(work, "kept")).unwrap();

    let answer = house.database.write_now(|work| {
        add(work, "partial")?;
        work.tables(Ann).execute(of_ann(ENDINGS[0]), ()).ok();
        Ok(())
    });

    assert!(matches!(answer, Err(Error::Lost(_))), "{answer:?}");
    assert_eq!(house.database.things(), ["kept"]);
}

#[test]
fn a_transaction_ended_while_rows_are_read_fails_the_group() {
    let house = House::new();
    house.database.write_now(|work| add(work, "kept").and_then(|()| add(work, "other"))).unwrap();

    let answer = house.database.write_now(|work| {
        add(work, "partial")?;
        let read = work.tables(Ann).fetch_all(sql_of!("ann", "SELECT name FROM things"), (), |_| {
            work.tables(Ann).execute(of_ann(ENDINGS[0]), ()).ok();
            add(work, "zombie").ok();
            Ok(())
        });
        read.map(drop).or(Ok(()))
    });

    assert!(matches!(answer, Err(Error::Lost(_))), "{answer:?}");
    assert_eq!(house.database.things(), ["kept", "other"]);
}

#[test]
fn the_connection_itself_vetoes_a_commit_that_the_writer_did_not_arm() {
    let house = House::new();
    house.database.write_now(|work| add(work, "kept")).unwrap();
    let schema = Schema::prove(ALL).unwrap();
    let armed = std::sync::Arc::new(AtomicBool::new(false));
    let path = house.database.folder().database();
    let writer = connection::open_writer(&path, schema.owners.clone(), armed.clone()).unwrap();

    connection::kernel(&writer, "BEGIN IMMEDIATE").unwrap();
    let (ended, zombie) = within(Scope::Owner("ann"), || {
        (writer.execute(ENDINGS[0], []), writer.execute("INSERT INTO things (name) VALUES ('zombie')", []))
    });

    assert!(ended.is_err() && writer.is_autocommit());
    let rusqlite::Error::SqliteFailure(failure, _) = zombie.unwrap_err() else { panic!("not SQLite's error") };
    assert_eq!(failure.extended_code, ffi::SQLITE_CONSTRAINT_COMMITHOOK);
    assert_eq!(house.database.things(), ["kept"]);
    armed.store(true, Ordering::Relaxed);
    within(Scope::Owner("ann"), || writer.execute("INSERT INTO things (name) VALUES ('armed')", [])).unwrap();
    assert_eq!(house.database.things(), ["armed", "kept"]);
}

#[test]
fn a_statement_runs_in_its_own_owners_tables_only() {
    let house = House::new();
    let of_bob = sql_of!("bob", "SELECT text FROM notes");
    house.database.write_now(|work| note(work, "secret")).unwrap();

    // Prepared and cached in its owner's scope first.
    let own = |s: &Snapshot<'_>| s.tables(Bob).fetch_all(of_bob, (), |row| row.get::<_, String>(0));
    assert_eq!(house.database.read_blocking("t", own).unwrap(), ["secret"]);
    let lent = house.database.read_blocking("t", |s| {
        own(s)?;
        s.tables(Ann).fetch_all(of_bob, (), |row| row.get::<_, String>(0))
    });

    assert!(lent.unwrap_err().to_string().contains("ASH-103"));
}

#[test]
fn one_text_of_two_owners_is_two_statements() {
    let house = House::new();
    house.database.write_now(|work| note(work, "secret")).unwrap();

    let taken = house.database.read_blocking("t", |s| {
        s.tables(Bob).fetch_all(sql_of!("bob", "SELECT text FROM notes"), (), |_| Ok(()))?;
        s.tables(Ann).fetch_all(sql_of!("ann", "SELECT text FROM notes"), (), |_| Ok(()))
    });

    assert!(taken.unwrap_err().to_string().contains("ASH-101"));
}

#[test]
#[should_panic(expected = "tag")]
fn a_statement_without_its_owners_tag_can_not_be_made() {
    Statement::new(Ann::PATH, "SELECT text FROM notes", file!(), line!());
}

#[test]
#[should_panic(expected = "tag")]
fn a_statement_with_another_owners_tag_can_not_be_made() {
    Statement::new(Ann::PATH, "/*ashlar::modules::bob::sqlite*/ SELECT text FROM notes", file!(), line!());
}

#[test]
fn a_schema_that_could_end_the_shared_transaction_harms_one_group_only() {
    static SLY: &[Migrations] = &[
        Migrations {
            owner: "ann",
            files: &[
                ANN.files[0],
                (
                    "V2__sly",
                    "CREATE TABLE children (thing TEXT REFERENCES things (name) DEFERRABLE INITIALLY DEFERRED);
                     CREATE TABLE once (name TEXT UNIQUE ON CONFLICT ROLLBACK);
                     CREATE TABLE vetoed (a);
                     CREATE TRIGGER veto BEFORE INSERT ON vetoed BEGIN SELECT RAISE(ROLLBACK, 'no'); END;",
                ),
            ],
        },
        BOB,
        UNIT,
    ];
    // As if the proof had let it through.
    let mut schema = Schema::prove(ALL).unwrap();
    schema.migrations = SLY;
    let owners = std::sync::Arc::make_mut(&mut schema.owners);
    for table in ["children", "once", "vetoed"] {
        owners.claim(table, "ann");
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = Folder::at(folder.path()).unwrap();
    let database = Database::open(&folder, schema, Clock::system(), Role::Server, Tuning::default()).unwrap();

    for text in [
        // Found at the commit only, which leaves the transaction open.
        "INSERT INTO children VALUES ('nobody')",
        "INSERT INTO once VALUES ('a'), ('a')",
        "INSERT INTO vetoed VALUES (1)",
    ] {
        let statement = of_ann(text);
        let release = database.hold_the_writer();
        let before = database.queue(|work| add(work, "before"));
        let hostile = database.queue(|work| {
            work.tables(Ann).execute(statement, ()).ok();
            Ok(())
        });
        drop(release);

        let before = before.blocking_recv().unwrap();
        assert!(matches!(before, Err(Error::Lost(_))), "{text}: {before:?}");
        let hostile = hostile.blocking_recv().unwrap();
        assert!(matches!(hostile, Err(Error::Lost(_))), "{text}: {hostile:?}");
        assert!(database.things().is_empty(), "{text}");
    }
    database.write_now(|work| add(work, "later")).unwrap();
    assert_eq!(database.things(), ["later"]);
}
