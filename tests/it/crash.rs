//! Pulling the plug: `kill -9` under load, again and again on the same folder.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::support::{PASSWORD, TestApp, ashlar_ok};

const ROUNDS: u64 = 20;
const ADDERS: u64 = 6;
const SIGN_UPS: u64 = 2;

/// Keeps adding people until the server is gone; returns those it acknowledged, by id.
async fn load(client: reqwest::Client, origin: String, token: Option<String>, tag: String) -> BTreeMap<String, String> {
    let mut acknowledged = BTreeMap::new();
    for n in 0.. {
        let email = format!("{tag}-{n}@example.org");
        let request = match &token {
            Some(token) => client
                .post(format!("{origin}/api/people"))
                .bearer_auth(token)
                .json(&json!({ "email": email, "display_name": "Load" })),
            None => client
                .post(format!("{origin}/api/sign-up"))
                .json(&json!({ "email": email, "display_name": "Load", "password": PASSWORD })),
        };
        let Ok(answer) = request.send().await else { break };
        assert_eq!(answer.status(), 201);
        // The status alone acknowledges; a body that is cut off must not hide that.
        let id = answer.json::<Value>().await.ok().and_then(|body| Some(body["user"]["id"].as_str()?.to_owned()));
        acknowledged.insert(email, id.unwrap_or_default());
    }
    acknowledged
}

/// A moment that differs from round to round and from run to run.
fn random_ms(below: u64) -> u64 {
    uuid::Uuid::now_v7().as_u128() as u64 % below
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_was_acknowledged_before_a_kill_is_there_whole_and_nobody_else_is_half_there() {
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged: BTreeMap<String, String> = BTreeMap::new();
    let mut token = String::new();
    let mut starts = Vec::new();
    for round in 0..ROUNDS {
        let start = Instant::now();
        let mut app = TestApp::start_in(folder.path(), &["--log", "error"]).await;
        starts.push(start.elapsed());
        if round == 0 {
            token = app.person("owner@example.org", "owner").1;
        }
        let clients: Vec<_> = (0..ADDERS + SIGN_UPS)
            .map(|client| {
                let token = (client < ADDERS).then(|| token.clone());
                tokio::spawn(load(app.client.clone(), app.origin.clone(), token, format!("r{round}c{client}")))
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(50 + random_ms(600))).await;
        app.kill();
        for client in clients {
            acknowledged.extend(client.await.unwrap());
        }
    }

    // Some may be slow where the machine has more to do, not most: what a kill leaves must not be waited for.
    starts.sort();
    assert!(starts[starts.len() / 2] < Duration::from_secs(3), "starting again took {starts:?}");
    ashlar_ok(folder.path(), &["doctor"]);
    let listed: BTreeMap<String, String> = ashlar_ok(folder.path(), &["user", "list", "--json"])
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|person| {
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            assert_eq!(person["profile"]["user_id"], person["user"]["id"]);
            assert_eq!(person["account"]["user_id"], person["user"]["id"]);
            (text(&person["user"]["email"]), text(&person["user"]["id"]))
        })
        .collect();
    assert!(acknowledged.len() > 100, "only {} people were added: no load", acknowledged.len());
    for (email, id) in &acknowledged {
        let found = listed.get(email).unwrap_or_else(|| panic!("{email} was acknowledged and is gone"));
        assert!(id.is_empty() || id == found, "{email} is someone else");
    }
    let raw = Connection::open(folder.path().join("ashlar.db")).unwrap();
    let ids = |sql: &str| -> BTreeSet<Vec<u8>> {
        raw.prepare(sql).unwrap().query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    let users = ids("SELECT id FROM users");
    assert_eq!(users.len(), listed.len());
    assert_eq!(ids("SELECT user_id FROM profiles"), users);
    assert_eq!(ids("SELECT user_id FROM billing_accounts"), users);
    assert_eq!(ids("SELECT DISTINCT user_id FROM profile_words"), users);
    assert!(ids("SELECT user_id FROM auth_passwords").is_subset(&users));
    println!("{} people acknowledged, {} there", acknowledged.len(), listed.len());
}
