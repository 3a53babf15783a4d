//! Many closures of all kinds at once: what is there afterwards is what the answers said.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Kind {
    Good,
    Fails,
    Panics,
    /// Meets a taken key and goes on.
    Swallows,
    /// Writes for the other owner while it reads its own rows.
    Nested,
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        4 => Just(Kind::Good),
        1 => Just(Kind::Fails),
        1 => Just(Kind::Panics),
        1 => Just(Kind::Swallows),
        2 => Just(Kind::Nested),
    ]
}

fn run(work: &UnitOfWork<'_>, kind: Kind, name: &str) -> Result<()> {
    match kind {
        Kind::Good => add(work, name),
        Kind::Fails => add(work, name).and(Err(Error::Stale)),
        Kind::Panics => add(work, name).map(|()| panic!("on purpose")),
        Kind::Swallows => {
            add(work, name).ok();
            add(work, &format!("{name} once more"))
        }
        Kind::Nested => {
            add(work, name)?;
            let sql = sql_of!("ann", "SELECT name FROM things WHERE name = ?1");
            let noted = work.tables(Ann).fetch_optional(sql, [name], |row| {
                let name: String = row.get(0)?;
                let noted = note(work, &name);
                // Back in the outer owner's scope: its rows are still to be had.
                names_of_things(work)
                    .map(|names| (noted, names.contains(&name)))
                    .map_err(|_| rusqlite::Error::InvalidQuery)
            })?;
            match noted {
                Some((noted, true)) => noted,
                _ => Err(Error::Internal("the row just written was not found".into())),
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_there_is_what_the_answers_said(closures in prop::collection::vec((kind(), 0..40_u8), 1..200)) {
        let house = House::new();
        // The answers come in the order of the queue, and so does the model.
        let (mut things, mut notes) = (BTreeSet::new(), BTreeSet::new());
        let answers: Vec<_> = closures
            .into_iter()
            .map(|(kind, name)| {
                let name = format!("name {name}");
                let body = (kind.clone(), name.clone());
                (kind, name, house.database.queue(move |work| run(work, body.0, &body.1)))
            })
            .collect();
        for (kind, name, answer) in answers {
            let more = format!("{name} once more");
            let expected = match kind {
                Kind::Good => things.insert(name),
                Kind::Fails | Kind::Panics => false,
                Kind::Swallows if things.contains(&more) => false,
                Kind::Swallows => {
                    things.insert(name);
                    things.insert(more)
                }
                Kind::Nested if things.contains(&name) || notes.contains(&name) => false,
                Kind::Nested => things.insert(name.clone()) && notes.insert(name),
            };
            let answer = answer.blocking_recv().unwrap();
            prop_assert_eq!(answer.is_ok(), expected, "{:?}", answer);
        }
        prop_assert_eq!(house.database.things(), things.into_iter().collect::<Vec<_>>());
        let there: Vec<String> = house.database.read_blocking("notes", |snapshot| {
            snapshot.tables(Bob).fetch_all(sql_of!("bob", "SELECT text FROM notes ORDER BY text"), (), |row| row.get(0))
        }).unwrap();
        prop_assert_eq!(there, notes.into_iter().collect::<Vec<_>>());
    }
}
