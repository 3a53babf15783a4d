//! Bringing files to this program's schema, and leaving alone what is not ours.

use std::fs;

use super::*;

/// The owner `ann` with one migration of this text.
macro_rules! ann_with {
    ($($sql:literal),+) => {{
        static OWNERS: &[Migrations] = &[
            Migrations { owner: "ann", files: &[$(("V1__x", $sql)),+] },
            BOB,
            UNIT,
        ];
        OWNERS
    }};
}

fn refused(migrations: &'static [Migrations]) -> String {
    match Schema::prove(migrations) {
        Ok(_) => panic!("it was let through"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn migrations_that_reach_into_others_tables_are_refused() {
    for migrations in [
        ann_with!("CREATE TABLE a (note TEXT REFERENCES notes (text));"),
        ann_with!("CREATE TABLE a (note TEXT REFERENCES Notes);"),
        ann_with!("CREATE TABLE a (b); CREATE TRIGGER t AFTER INSERT ON a BEGIN DELETE FROM notes; END;"),
        ann_with!("CREATE TABLE a (b); CREATE TRIGGER t AFTER UPDATE OF b ON a BEGIN DELETE FROM notes; END;"),
        ann_with!("CREATE TRIGGER t AFTER INSERT ON notes BEGIN SELECT 1; END;"),
        ann_with!("CREATE VIEW v AS SELECT text FROM notes;"),
        ann_with!("CREATE INDEX i ON notes (text);"),
        ann_with!("INSERT INTO notes VALUES ('x');"),
        ann_with!("UPDATE notes SET text = 'x';"),
        ann_with!("DROP TABLE notes;"),
        ann_with!("ALTER TABLE notes ADD COLUMN more;"),
        ann_with!("CREATE TABLE a AS SELECT * FROM notes;"),
        // The same table twice, in any case.
        ann_with!("CREATE TABLE notes (text);"),
        ann_with!("CREATE TABLE NOTES (text);"),
    ] {
        let why = refused(migrations);
        assert!(why.contains("ASH-104"), "{}: {why}", migrations[0].files[0].1);
    }
}

#[test]
fn migrations_that_could_end_a_shared_transaction_or_leave_the_database_are_refused() {
    for migrations in [
        ann_with!("CREATE TABLE a (b UNIQUE ON CONFLICT ROLLBACK);"),
        ann_with!("CREATE TABLE a (b); CREATE TRIGGER t AFTER INSERT ON a BEGIN SELECT raise ( rollback, 'x'); END;"),
        ann_with!("CREATE TABLE a (b PRIMARY KEY, c REFERENCES a DEFERRABLE INITIALLY DEFERRED);"),
        ann_with!(
            "CREATE TABLE a (b); CREATE TRIGGER t AFTER INSERT ON a BEGIN INSERT OR ROLLBACK INTO a VALUES (1); END;"
        ),
        ann_with!("CREATE TABLE a (b); COMMIT;"),
        ann_with!("CREATE TABLE a (b); END TRANSACTION;"),
        ann_with!("ROLLBACK; CREATE TABLE a (b);"),
        ann_with!("PRAGMA foreign_keys = ON;"),
        ann_with!("ATTACH ':memory:' AS other;"),
        ann_with!("CREATE TEMP TABLE a (b);"),
        ann_with!("CREATE TABLE a (b); VACUUM;"),
    ] {
        let why = refused(migrations);
        assert!(why.contains("ASH-104"), "{}: {why}", migrations[0].files[0].1);
    }
}

#[test]
fn two_owners_may_both_count_their_rows() {
    static OWNERS: &[Migrations] = &[
        Migrations { owner: "ann", files: &[("V1__a", "CREATE TABLE a (id INTEGER PRIMARY KEY AUTOINCREMENT);")] },
        Migrations { owner: "bob", files: &[("V1__b", "CREATE TABLE b (id INTEGER PRIMARY KEY AUTOINCREMENT);")] },
        UNIT,
    ];

    let house = House::of(OWNERS);

    let insert = of_ann("INSERT INTO a DEFAULT VALUES");
    house.database.write_now(|work| work.tables(Ann).execute(insert, ())).unwrap();
}

#[test]
fn a_migration_that_drops_anothers_table_if_it_is_there_is_refused_and_changes_nothing() {
    // Alone it drops nothing, so the first proof finds nothing wrong with it.
    static SLY: &[Migrations] = &[
        ANN,
        BOB,
        UNIT,
        Migrations { owner: "zoe", files: &[("V1__sly", "DROP TABLE IF EXISTS things; CREATE TABLE z (a);")] },
    ];
    let house = House::new();
    house.database.write_now(|work| add(work, "kept")).unwrap();
    house.database.close();

    let proven = refused(SLY);
    // As if the proof had let it through.
    let mut schema = Schema::prove(ALL).unwrap();
    schema.migrations = SLY;
    let run = migrate(house.database.folder(), &schema, &Clock::system()).unwrap_err().to_string();

    assert!(proven.contains("`things`") && proven.contains("`zoe`"), "{proven}");
    assert!(run.contains("`things`") && run.contains("as it was before"), "{run}");
    assert_eq!(open(house.folder.path(), ALL).unwrap().things(), ["kept"]);
}

/// A closed unit's folder.
fn unit() -> TempDir {
    let House { database, folder } = House::new();
    database.write_now(|work| add(work, "kept")).unwrap();
    database.close();
    folder
}

/// Opens a folder that must be refused, and returns why; the database file stays as it is to the byte.
fn refused_untouched(folder: &Path, migrations: &'static [Migrations]) -> String {
    let file = folder.join("ashlar.db");
    let before = fs::read(&file).unwrap();
    let why = match open(folder, migrations) {
        Ok(_) => panic!("it was opened"),
        Err(error) => error.to_string(),
    };
    assert!(fs::read(&file).unwrap() == before, "the file was changed: {why}");
    assert!(!folder.join("backups").exists());
    why
}

#[test]
fn a_file_that_is_no_database_of_ours_is_refused_and_stays_untouched() {
    let folder = unit();
    let file = folder.path().join("ashlar.db");
    let sound = fs::read(&file).unwrap();
    let mut foreign = sound.clone();
    foreign[68..72].copy_from_slice(&7_i32.to_be_bytes());

    for (content, expected) in [
        (Vec::new(), "too short"),
        (b"hello".to_vec(), "too short"),
        (vec![b'x'; 10_000], "no SQLite database"),
        (foreign, "another program"),
        (sound[..sound.len() - 4096].to_vec(), "can't be read"),
        (sound[..5000].to_vec(), "can't be read"),
    ] {
        fs::write(&file, content).unwrap();
        let why = refused_untouched(folder.path(), ALL);
        assert!(why.contains(expected), "{expected}: {why}");
    }
}

#[test]
fn a_newer_schema_is_refused_and_stays_untouched() {
    static OLDER: &[Migrations] = &[Migrations { owner: "ann", files: &[] }, BOB, UNIT];
    let folder = unit();

    let newer = refused_untouched(folder.path(), OLDER);
    let unknown = refused_untouched(folder.path(), &[ANN, UNIT]);

    assert!(newer.contains("newer schema") && newer.contains("`ann` is at 1"), "{newer}");
    assert!(unknown.contains("unknown module `bob`"), "{unknown}");
}

#[test]
fn a_migration_that_was_edited_after_it_ran_is_refused() {
    static EDITED: &[Migrations] =
        &[ANN, Migrations { owner: "bob", files: &[("V1__notes", "CREATE TABLE notes (a);")] }, UNIT];
    let folder = unit();

    let why = refused_untouched(folder.path(), EDITED);

    assert!(why.contains("bob/V1__notes"), "{why}");
}

static GROWN: &[Migrations] = &[
    ANN,
    Migrations { owner: "bob", files: &[BOB.files[0], ("V2__more", "ALTER TABLE notes ADD COLUMN more TEXT;")] },
    UNIT,
];

#[test]
fn a_database_is_copied_before_it_is_migrated() {
    let folder = unit();

    let database = open(folder.path(), GROWN).unwrap();

    assert_eq!(database.things(), ["kept"]);
    let copies: Vec<_> = fs::read_dir(folder.path().join("backups")).unwrap().map(|e| e.unwrap().path()).collect();
    assert_eq!(copies.len(), 1, "{copies:?}");
    assert_eq!(verify(&copies[0], &copies[0], database.schema()).unwrap(), ["bob/V2__more"]);
}

#[test]
fn beside_a_server_pending_migrations_are_refused() {
    let folder = unit();

    let schema = Schema::prove(GROWN).unwrap();
    let opened =
        Database::open(&Folder::at(folder.path()).unwrap(), schema, Clock::system(), Role::Beside, Tuning::default());

    assert!(opened.err().unwrap().to_string().contains("ashlar migrate"));
}

#[test]
fn a_failing_migration_leaves_the_database_as_it_was() {
    static FAILING: &[Migrations] = &[
        Migrations { owner: "ann", files: &[ANN.files[0], ("V2__more", "ALTER TABLE things ADD COLUMN more TEXT;")] },
        Migrations {
            owner: "bob",
            files: &[
                BOB.files[0],
                ("V2__fine", "CREATE TABLE fine (a);"),
                ("V3__fails", "INSERT INTO notes (text) SELECT 'x' UNION ALL SELECT 'kept';"),
            ],
        },
        UNIT,
    ];
    let House { database, folder } = House::new();
    database.write_now(|work| add(work, "kept").and_then(|()| note(work, "kept"))).unwrap();
    database.close();

    // Twice, as a supervisor would start it again.
    for _ in 0..2 {
        let why = open(folder.path(), FAILING).err().unwrap().to_string();
        assert!(why.contains("`bob`") && why.contains("as it was before"), "{why}");
    }

    let raw = open_raw(&folder.path().join("ashlar.db")).unwrap();
    let shape = schema::names(&raw, "SELECT name FROM sqlite_schema WHERE name = 'fine' OR sql LIKE '%more TEXT%'");
    assert!(shape.unwrap().is_empty());
    assert_eq!(open(folder.path(), ALL).unwrap().things(), ["kept"]);
}

#[test]
fn a_migration_that_breaks_a_foreign_key_is_refused_and_undone() {
    static FIRST: &str = "CREATE TABLE p (id INTEGER PRIMARY KEY); CREATE TABLE c (p INTEGER REFERENCES p);
                          INSERT INTO p VALUES (1); INSERT INTO c VALUES (1);";
    static BEFORE: &[Migrations] = &[Migrations { owner: "ann", files: &[("V1__a", FIRST)] }, UNIT];
    static AFTER: &[Migrations] =
        &[Migrations { owner: "ann", files: &[("V1__a", FIRST), ("V2__b", "DELETE FROM p;")] }, UNIT];
    let folder = tempfile::tempdir().unwrap();
    open(folder.path(), BEFORE).unwrap().close();

    let why = open(folder.path(), AFTER).err().unwrap().to_string();

    assert!(why.contains("foreign key"), "{why}");
    open(folder.path(), BEFORE).unwrap();
}

#[test]
fn what_a_creation_killed_half_way_left_is_cleared_away() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["ashlar.db.new", "ashlar.db.new-journal", "ashlar.db.new-wal"] {
        fs::write(folder.path().join(name), "half").unwrap();
    }

    open(folder.path(), ALL).unwrap().write_now(|work| add(work, "first")).unwrap();

    assert!(!folder.path().join("ashlar.db.new").exists());
    assert!(!folder.path().join("ashlar.db.new-journal").exists());
}

#[test]
fn a_log_without_its_database_is_refused_since_it_may_hold_data() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("ashlar.db-wal"), "frames").unwrap();

    let why = open(folder.path(), ALL).err().unwrap().to_string();

    assert!(why.contains("ashlar.db-wal"), "{why}");
    assert!(!folder.path().join("ashlar.db").exists());
}

#[test]
fn the_tables_of_litestream_are_tolerated() {
    let folder = unit();
    open_raw(&folder.path().join("ashlar.db"))
        .unwrap()
        .execute_batch(
            "CREATE TABLE _litestream_seq (id INTEGER PRIMARY KEY, seq INTEGER);
             CREATE TABLE _litestream_lock (id INTEGER);",
        )
        .unwrap();

    let database = open(folder.path(), GROWN).unwrap();

    assert_eq!(database.things(), ["kept"]);
    let peek = database
        .read_blocking("t", |s| s.tables(Ann).fetch_all(of_ann("SELECT seq FROM _litestream_seq"), (), |_| Ok(())));
    assert!(peek.is_err());
}

#[test]
fn a_failing_migration_takes_back_those_that_ran_with_it() {
    let two = Migrations {
        owner: "ann",
        files: &[("V1__fine", "CREATE TABLE fine (a);"), ("V2__fails", "INSERT INTO nothing VALUES (1);")],
    };
    let mut connection = Connection::open_in_memory().unwrap();

    let why = two.run(&mut connection, Default::default()).unwrap_err();

    assert!(why.contains("nothing"), "{why}");
    let tables = schema::names(&connection, "SELECT name FROM sqlite_schema WHERE name = 'fine'").unwrap();
    assert!(tables.is_empty());
}

#[test]
fn what_is_allowed_to_the_tables_own_shape_is_allowed() {
    static SHAPES: &[Migrations] = &[
        Migrations {
            owner: "ann",
            files: &[
                (
                    "V1__a",
                    "CREATE TABLE p (id INTEGER PRIMARY KEY, a TEXT CHECK (a <> '')) STRICT; CREATE INDEX i ON p (a);",
                ),
                ("V2__b", "ALTER TABLE p ADD COLUMN b TEXT NOT NULL DEFAULT 'x' CHECK (b <> '');"),
                ("V3__c", "ALTER TABLE p RENAME COLUMN b TO c; ALTER TABLE p DROP COLUMN c; DROP INDEX i;"),
                (
                    "V4__d",
                    "CREATE TABLE q (id INTEGER PRIMARY KEY, p INTEGER REFERENCES p (id)) STRICT;
                           CREATE VIEW v AS SELECT q.id, a FROM q JOIN p ON p.id = q.p;
                           CREATE TRIGGER t AFTER DELETE ON p BEGIN DELETE FROM q WHERE p = old.id; END;",
                ),
                (
                    "V5__e",
                    "CREATE TABLE p_new (id INTEGER PRIMARY KEY, a TEXT) STRICT; INSERT INTO p_new SELECT id, a FROM p;
                           DROP VIEW v; DROP TRIGGER t; DROP TABLE p; ALTER TABLE p_new RENAME TO p;",
                ),
            ],
        },
        UNIT,
    ];

    let house = House::of(SHAPES);

    house.database.write_now(|work| work.tables(Ann).execute(of_ann("INSERT INTO q (p) VALUES (NULL)"), ())).unwrap();
}
