//! A person's picture: one of their files, uploaded or chosen, seen by those who look after them, gone with the file.

use std::time::Duration;

use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

use crate::support::TestApp;

/// A picture that is worked on.
pub const GIF: &[u8] =
    b"GIF89a\x02\0\x02\0\x80\0\0\xff\0\0\0\0\xff!\xf9\x04\0\0\0\0\0,\0\0\0\0\x02\0\x02\0\0\x02\x03D\x02\x05\0;";

impl TestApp {
    /// A picture of someone's that is ready; its id.
    async fn picture(&self, token: &str) -> String {
        let id = self.upload(token, "me.gif", GIF.to_vec()).await.body["id"].as_str().unwrap().to_owned();
        self.ready(token, &id).await;
        id
    }

    async fn ready(&self, token: &str, id: &str) {
        for _ in 0..400 {
            if self.ask(&format!("GET /api/media/{id}"), token, Value::Null).await.body["state"] == "ready" {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{id} is not ready");
    }

    /// What a form with a file is answered.
    async fn send_file(&self, path: &str, token: &str, bytes: &[u8]) -> reqwest::Response {
        let form = Form::new().part("file", Part::bytes(bytes.to_vec()).file_name("me.gif"));
        let cookie = self.page("/", token).build().unwrap().headers()["cookie"].clone();
        let request = self.request(Method::POST, path).header("sec-fetch-site", "same-origin").header("cookie", cookie);
        request.multipart(form).send().await.unwrap()
    }

    async fn text(&self, path: &str, token: &str) -> String {
        self.page(path, token).send().await.unwrap().text().await.unwrap()
    }
}

#[tokio::test]
async fn a_picture_of_ones_own_stands_for_a_person_until_it_goes() {
    let app = TestApp::start().await;
    let (id, ann) = app.person("ann@example.org", "member");
    let (_, staff) = app.person("staff@example.org", "staff");
    let (_, bob) = app.person("bob@example.org", "member");
    let avatar = format!("/api/profiles/{id}/avatar");
    let status = async |token: &str| app.get(&avatar).bearer_auth(token).send().await.unwrap().status().as_u16();
    assert_eq!(status(&ann).await, 404);

    let picture = app.picture(&ann).await;
    let patch = format!("PATCH /api/profiles/{id}");
    let set = app.ask(&patch, &ann, json!({ "avatar_id": picture })).await;
    assert_eq!((set.status, &set.body["avatar_id"]), (200, &json!(picture)), "{}", set.text);

    let seen = app.get(&avatar).bearer_auth(&staff).send().await.unwrap();
    assert_eq!((seen.status().as_u16(), seen.headers()["content-type"].to_str().unwrap()), (200, "image/jpeg"));
    assert_eq!((status(&ann).await, status(&bob).await), (200, 403));
    let address = format!("/people/{id}/avatar");
    assert_eq!(app.page(&address, &staff).send().await.unwrap().status(), 200);
    for (page, who) in [("/people".to_owned(), &staff), (format!("/people/{id}"), &staff), ("/media".to_owned(), &ann)]
    {
        assert!(app.text(&page, who).await.contains(&format!("src=\"{address}\"")), "{page}");
    }
    assert!(app.text(&format!("/media/{picture}"), &ann).await.contains("<a href=\"/#picture\">Your picture</a>"));
    let export = app.ask(&format!("GET /api/people/{id}/export"), &ann, Value::Null).await;
    assert_eq!(export.body["modules"]["profiles"]["avatar_id"], json!(picture));

    // Taken back by hand, and with the file.
    assert_eq!(app.ask(&patch, &ann, json!({ "avatar_id": null })).await.body["avatar_id"], Value::Null);
    assert!(app.text(&format!("/media/{picture}"), &ann).await.contains("Nowhere"));
    assert_eq!(app.ask(&patch, &ann, json!({ "avatar_id": picture })).await.status, 200);
    assert_eq!(app.ask(&format!("DELETE /api/media/{picture}"), &ann, Value::Null).await.status, 204);
    let profile = app.ask(&format!("GET /api/profiles/{id}"), &ann, Value::Null).await;
    assert_eq!(profile.body["avatar_id"], Value::Null);
    assert_eq!(status(&staff).await, 404);
}

#[tokio::test]
async fn what_is_no_picture_of_ones_own_is_refused() {
    let app = TestApp::start().await;
    let (id, ann) = app.person("ann@example.org", "member");
    let (_, bob) = app.person("bob@example.org", "member");
    let others = app.picture(&bob).await;
    let text = app.upload(&ann, "me.gif", b"no picture".to_vec()).await.body["id"].as_str().unwrap().to_owned();

    for wrong in [others.as_str(), &text, "00000000-0000-7000-8000-000000000000", "me.gif", ""] {
        let answer = app.ask(&format!("PATCH /api/profiles/{id}"), &ann, json!({ "avatar_id": wrong })).await;
        assert_eq!((answer.status, answer.wrong_fields()), (422, vec!["avatar_id"]), "{wrong}: {}", answer.text);
    }
    let files = app.ask("GET /api/media", &ann, Value::Null).await.body["items"].as_array().unwrap().len();
    let refused = app.send_file("/me/picture", &ann, b"no picture either").await;
    assert_eq!(refused.status(), 422);
    assert!(refused.text().await.unwrap().contains("This is no picture"));
    // Neither the file nor the picture, since both are one transaction.
    let after = app.ask("GET /api/media", &ann, Value::Null).await.body["items"].as_array().unwrap().len();
    assert_eq!(after, files);
}

#[tokio::test]
async fn the_home_page_takes_a_picture_and_shows_what_becomes_of_it() {
    let app = TestApp::start().await;
    let (id, ann) = app.person("ann@example.org", "member");

    let taken = app.send_file("/me/picture", &ann, GIF).await;
    assert_eq!(
        (taken.status().as_u16(), &taken.headers()["location"]),
        (303, &"/?done=picture-changed#picture".parse().unwrap())
    );
    let profile = app.ask(&format!("GET /api/profiles/{id}"), &ann, Value::Null).await.body;
    let first = profile["avatar_id"].as_str().unwrap().to_owned();
    app.ready(&ann, &first).await;
    let home = app.text("/", &ann).await;
    assert!(home.contains(&format!("src=\"/people/{id}/avatar\" alt=\"Your picture\"")), "{home}");

    // Another of one's media, and none.
    let second = app.picture(&ann).await;
    assert!(app.text("/", &ann).await.contains(&format!("value=\"{second}\"")));
    let chosen = app.form("/me/picture/choice", &ann, &[("avatar_id", &second)]).send().await.unwrap();
    assert_eq!(chosen.status(), 303);
    let profile = app.ask(&format!("GET /api/profiles/{id}"), &ann, Value::Null).await.body;
    assert_eq!(profile["avatar_id"], json!(second));
    assert_eq!(app.form("/me/picture/choice", &ann, &[("avatar_id", "")]).send().await.unwrap().status(), 303);
    assert!(app.text("/", &ann).await.contains("You have no picture."));
    // Members find their media by the navigation.
    assert!(app.text("/", &ann).await.contains("<a href=\"/media\">Media</a>"));
}

#[tokio::test]
async fn doctor_finds_a_picture_that_is_gone() {
    let mut app = TestApp::start().await;
    let (id, ann) = app.person("ann@example.org", "member");
    let picture = app.picture(&ann).await;
    assert_eq!(app.ask(&format!("PATCH /api/profiles/{id}"), &ann, json!({ "avatar_id": picture })).await.status, 200);
    app.stop();
    let database = rusqlite::Connection::open(app.folder.join("ashlar.db")).unwrap();
    database.execute("UPDATE profiles SET avatar_id = randomblob(16) WHERE avatar_id IS NOT NULL", []).unwrap();
    drop(database);

    let sick = crate::support::ashlar(&app.folder, &["doctor"]);
    let said = String::from_utf8_lossy(&sick.stdout).into_owned() + &String::from_utf8_lossy(&sick.stderr);
    assert!(sick.status.code() == Some(1) && said.contains("which does not exist or is another's"), "{said}");
    crate::support::ashlar_ok(&app.folder, &["doctor", "--fix"]);
    crate::support::ashlar_ok(&app.folder, &["doctor"]);
}
