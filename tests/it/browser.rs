//! The pages in a real browser: every form by hand, by keyboard alone, narrow and wide, light and dark.
//!
//! Needs `chromium` and `chromedriver`; says so and passes where they are missing. Leaves pictures of what it saw
//! in `target/screenshots/`.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fantoccini::elements::Element;
use fantoccini::key::Key;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};

use crate::support::{PASSWORD, TestApp, ashlar_ok, skip};

const PATIENCE: Duration = Duration::from_secs(60);
const NEW_PASSWORD: &str = "copper-window-saturday";
/// 80 characters, one word too long for a phone.
const LONG_NAME: &str = "Hubert Blaine Wolfeschlegelsteinhausenbergerdorff of the Western Harbour Offices";

/// A browser of its own, and the driver that steers it.
#[derive(Clone)]
struct Browser {
    client: Client,
    driver: String,
    origin: String,
}

struct Driver(Child);

impl Drop for Driver {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Runs `test` in a browser that is closed again whatever happens.
async fn in_browser<F>(origin: &str, args: &[&str], test: impl FnOnce(Browser) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let (Some(chromium), Some(chromedriver)) = (on_path("chromium"), on_path("chromedriver")) else {
        skip("the pages in a browser", "chromium and chromedriver are not both on the PATH");
        return;
    };
    let profile = tempfile::tempdir().unwrap();
    let (_driver, address) = start_driver(&chromedriver);
    let profile_flag = format!("--user-data-dir={}", profile.path().display());
    let mut flags = vec![
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--hide-scrollbars",
        &profile_flag,
    ];
    flags.extend(args);
    let Value::Object(wishes) = json!({ "goog:chromeOptions": { "binary": chromium, "args": flags } }) else {
        unreachable!("it is written as an object")
    };
    let client = ClientBuilder::new(HttpConnector::new()).capabilities(wishes).connect(&address).await.unwrap();
    let browser = Browser { client: client.clone(), driver: address, origin: origin.to_owned() };
    let outcome = tokio::spawn(test(browser)).await;
    client.close().await.unwrap();
    outcome.unwrap();
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// On a free port, which it prints.
fn start_driver(chromedriver: &Path) -> (Driver, String) {
    let mut child =
        Command::new(chromedriver).arg("--port=0").stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let port = lines.map(Result::unwrap).find_map(|line| {
        line.split_once("successfully on port ").map(|(_, port)| port.trim_end_matches('.').to_owned())
    });
    let address = format!("http://127.0.0.1:{}", port.unwrap());
    (Driver(child), address)
}

impl Browser {
    async fn go(&self, path: &str) {
        let url = if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", self.origin) };
        self.client.goto(&url).await.unwrap();
    }

    async fn find(&self, locator: Locator<'_>) -> Element {
        self.client.wait().at_most(PATIENCE).for_element(locator).await.unwrap()
    }

    /// Types into the control with this id, in place of what is there.
    async fn fill(&self, id: &str, text: &str) {
        let control = self.find(Locator::Id(id)).await;
        control.clear().await.unwrap();
        control.send_keys(text).await.unwrap();
    }

    async fn press(&self, button: &str) {
        self.leave_by(&format!("//button[normalize-space()='{button}']")).await;
    }

    async fn follow(&self, link: &str) {
        // A person's name stands beside their picture.
        let text = format!("normalize-space()='{link}' or bdi[normalize-space()='{link}']");
        let link = format!("//a[({text}) and not(@aria-current)]");
        self.leave_by(&link).await;
    }

    /// Clicks and waits until this page is gone: what is looked for next must not be found on it.
    async fn leave_by(&self, xpath: &str) {
        let page = self.find(Locator::Css("html")).await;
        self.find(Locator::XPath(xpath)).await.click().await.unwrap();
        let start = Instant::now();
        while page.tag_name().await.is_ok() {
            assert!(start.elapsed() < PATIENCE, "{xpath} leads nowhere");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until the page shows a text.
    async fn see(&self, text: &str) {
        let shown = format!("//main[contains(normalize-space(), '{text}')]");
        if self.client.wait().at_most(PATIENCE).for_element(Locator::XPath(&shown)).await.is_err() {
            let main = self.find(Locator::Css("main")).await.text().await.unwrap();
            panic!("{text:?} is not on {}:\n{main}", self.client.current_url().await.unwrap());
        }
    }

    async fn value(&self, id: &str) -> String {
        self.find(Locator::Id(id)).await.prop("value").await.unwrap().unwrap()
    }

    /// Types at whatever has the focus.
    async fn keys(&self, keys: &str) {
        self.client.active_element().await.unwrap().send_keys(keys).await.unwrap();
    }

    /// Commands that only this browser knows.
    async fn devtools(&self, command: &str, params: Value) -> Value {
        let session = self.client.session_id().await.unwrap().unwrap();
        let url = format!("{}/session/{session}/goog/cdp/execute", self.driver);
        let wish = json!({ "cmd": command, "params": params });
        let answer = crate::support::client().post(url).json(&wish).send().await.unwrap();
        answer.json::<Value>().await.unwrap()["value"].take()
    }

    async fn screen(&self, width: u32, dark: bool) {
        let size = json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500 });
        self.devtools("Emulation.setDeviceMetricsOverride", size).await;
        let scheme = if dark { "dark" } else { "light" };
        let scheme = json!({ "name": "prefers-color-scheme", "value": scheme });
        // Else the pictures catch colours midway.
        let still = json!({ "name": "prefers-reduced-motion", "value": "reduce" });
        let media = json!({ "features": [scheme, still] });
        self.devtools("Emulation.setEmulatedMedia", media).await;
    }

    /// Keeps pictures of the whole page, wide and narrow, light and dark; it must fit each.
    async fn pictures(&self, name: &str) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/screenshots");
        std::fs::create_dir_all(&folder).unwrap();
        for (width, dark) in [(1440, false), (390, true), (390, false), (1440, true)] {
            self.screen(width, dark).await;
            let sizes = "return [document.documentElement.scrollWidth, document.documentElement.scrollHeight]";
            let sizes = self.client.execute(sizes, vec![]).await.unwrap();
            let (shown, height) = (sizes[0].as_u64().unwrap(), sizes[1].as_u64().unwrap().min(6000));
            assert!(shown <= u64::from(width), "{name} is {shown} wide on a screen of {width}");
            let clip = json!({ "x": 0, "y": 0, "width": width, "height": height, "scale": 1 });
            let wish = json!({ "captureBeyondViewport": true, "clip": clip });
            let picture = self.devtools("Page.captureScreenshot", wish).await;
            let png = STANDARD.decode(picture["data"].as_str().unwrap()).unwrap();
            let scheme = if dark { "dark" } else { "light" };
            std::fs::write(folder.join(format!("{name}-{width}-{scheme}.png")), png).unwrap();
        }
        self.screen(1440, false).await;
    }

    async fn sign_in(&self, email: &str, password: &str) {
        self.go("/sign-in").await;
        self.fill("email", email).await;
        self.fill("password", password).await;
        self.press("Sign in").await;
    }
}

#[tokio::test]
async fn from_set_up_to_deleting_a_person() {
    let app = TestApp::start_with(&["--costs-every", "1 second"]).await;
    let link = app.set_up_link.clone().unwrap();
    in_browser(&app.origin, &[], |browser| async move {
        // The owner sets the unit up.
        browser.go(&link).await;
        browser.pictures("set-up").await;
        browser.fill("email", "owner@example.org").await;
        browser.fill("display_name", "Marit Solheim").await;
        browser.fill("password", PASSWORD).await;
        browser.press("Create the owner account").await;
        browser.see("Ashlar is set up").await;
        browser.pictures("home").await;
        browser.press("Sign out").await;
        browser.see("You are signed out").await;

        // A person signs up, is told of a taken address, and loses nothing they typed.
        browser.follow("Create an account").await;
        browser.fill("email", "owner@example.org").await;
        browser.fill("display_name", "Ines Okafor").await;
        browser.fill("password", PASSWORD).await;
        browser.press("Create account").await;
        browser.see("This address is taken").await;
        browser.pictures("sign-up-refused").await;
        assert_eq!(browser.value("display_name").await, "Ines Okafor");
        assert_eq!(browser.value("password").await, "");
        assert_eq!(browser.client.active_element().await.unwrap().attr("id").await.unwrap().unwrap(), "email");
        browser.fill("email", "ines@example.org").await;
        browser.fill("password", PASSWORD).await;
        browser.press("Create account").await;
        browser.see("Your account is ready").await;
        let staff_links = browser.client.find_all(Locator::Css("nav a[href='/people']")).await.unwrap();
        assert!(staff_links.is_empty(), "members have no staff navigation");
        browser.press("Sign out").await;

        // They sign in and edit their profile; a wrong field keeps the rest.
        browser.sign_in("ines@example.org", PASSWORD).await;
        browser.see("ines@example.org").await;
        browser.fill("display_name", LONG_NAME).await;
        browser.fill("bio", "Purchasing.\nIn Gdańsk on Thursdays.").await;
        browser.fill("phone", "call me").await;
        browser.press("Save profile").await;
        browser.see("The profile was not saved").await;
        browser.pictures("profile-refused").await;
        assert_eq!(browser.value("bio").await, "Purchasing.\nIn Gdańsk on Thursdays.");
        assert_eq!(browser.value("phone").await, "call me");
        browser.fill("phone", "+48 22 555 01 23").await;
        browser.press("Save profile").await;
        browser.see("The profile is saved").await;
        browser.pictures("home-long").await;
        browser.press("Sign out").await;

        // The owner adds a person, finds them, and gives them a link.
        browser.sign_in("owner@example.org", PASSWORD).await;
        browser.follow("People").await;
        browser.pictures("people").await;
        browser.follow("Add a person").await;
        browser.fill("email", "tomasz@example.org").await;
        browser.fill("display_name", "Tomasz Wieczorek").await;
        browser.fill("currency", "XBT").await;
        browser.press("Add person").await;
        browser.see("The person was not added").await;
        browser.pictures("add-person-refused").await;
        browser.fill("currency", "PLN").await;
        browser.press("Add person").await;
        browser.see("The person is added").await;
        browser.press("Create link").await;
        browser.see("This link is shown once").await;
        browser.pictures("password-link").await;
        let password_link = browser.value("link").await;
        browser.follow("I have copied it").await;
        browser.see("password_link.issued").await;
        browser.pictures("person").await;
        browser.press("Sign out").await;

        browser.go(&password_link).await;
        browser.see("tomasz@example.org").await;
        browser.pictures("set-password").await;
        browser.fill("password", NEW_PASSWORD).await;
        browser.press("Save the password").await;
        browser.see("Your password is set").await;
        browser.go(&password_link).await;
        browser.see("This link no longer works").await;
        browser.sign_in("tomasz@example.org", NEW_PASSWORD).await;
        browser.see("tomasz@example.org").await;
        browser.go("/people").await;
        browser.see("Only staff and owners may do this").await;
        browser.pictures("forbidden").await;
        browser.go("/").await;
        browser.press("Sign out").await;

        // The owner disables them, sees it in the trail, and deletes them.
        browser.sign_in("owner@example.org", PASSWORD).await;
        browser.follow("People").await;
        browser.fill("q", "wieczo").await;
        browser.press("Search").await;
        browser.follow("Tomasz Wieczorek").await;
        browser.press("Disable account").await;
        browser.see("disabled and signed out everywhere").await;
        browser.follow("All entries").await;
        browser.see("person.changed").await;
        browser.pictures("audit").await;
        browser.follow("Modules").await;
        browser.see("billing_accounts").await;
        browser.pictures("modules").await;
        browser.follow("Costs").await;
        browser.see("CPU by module").await;
        browser.pictures("costs").await;
        browser.follow("API docs").await;
        browser.find(Locator::Css("#op-add_person summary")).await.click().await.unwrap();
        browser.see("Request body").await;
        browser.pictures("api-docs").await;
        browser.follow("People").await;
        browser.follow("Tomasz Wieczorek").await;
        browser.follow("Delete person…").await;
        browser.fill("confirm", "someone@example.org").await;
        browser.press("Delete person").await;
        browser.see("Nothing was deleted").await;
        browser.pictures("delete-refused").await;
        browser.fill("confirm", "tomasz@example.org").await;
        browser.press("Delete person").await;
        browser.see("The person and their data are deleted").await;
        browser.fill("q", "wieczo").await;
        browser.press("Search").await;
        browser.see("Nobody matches").await;
        browser.pictures("nobody").await;

        // The last owner can't leave.
        browser.go("/me/close").await;
        browser.fill("confirm", "owner@example.org").await;
        browser.press("Close my account").await;
        browser.see("Your account is still open").await;
        browser.pictures("close-refused").await;
    })
    .await;
}

#[tokio::test]
async fn signing_in_needs_no_mouse() {
    let app = TestApp::start().await;
    app.sign_up("ann@example.org").await;
    in_browser(&app.origin, &[], |browser| async move {
        let (tab, enter) = (String::from(char::from(Key::Tab)), String::from(char::from(Key::Enter)));
        browser.go("/sign-in?next=/api/docs").await;
        browser.see("Sign in").await;
        browser.keys(&format!("ann@example.org{tab}")).await;
        browser.keys("wrong-but-long-enough").await;
        browser.keys(&enter).await;
        browser.see("Wrong address or password").await;
        assert_eq!(browser.value("email").await, "ann@example.org");
        // The focus waits at the field that was wrong.
        browser.keys(PASSWORD).await;
        browser.keys(&tab).await;
        browser.keys(&enter).await;
        browser.see("Version").await;

        // The first stop on a page leads past the navigation.
        browser.go("/").await;
        browser.find(Locator::Css("body")).await.send_keys(&tab).await.unwrap();
        assert_eq!(browser.client.active_element().await.unwrap().text().await.unwrap(), "Skip to content");
        browser.keys(&enter).await;
        let mut stops = 0;
        while browser.client.active_element().await.unwrap().attr("id").await.unwrap().as_deref() != Some("bio") {
            browser.keys(&tab).await;
            stops += 1;
            assert!(stops < 20, "the bio can't be reached by keyboard");
        }
        browser.keys(&format!("Mason{tab}")).await;
        browser.keys(&enter).await;
        browser.see("The profile is saved").await;
        assert_eq!(browser.value("bio").await, "Mason");
    })
    .await;
}

/// On plain http, but for loopback, browsers say nothing of the site a form comes from: its origin must do.
#[tokio::test]
async fn forms_work_on_plain_http_in_a_local_network() {
    let app = TestApp::start().await;
    let email = "ann@example.org";
    app.sign_up(email).await;
    let port = app.origin.rsplit(':').next().unwrap();
    let origin = format!("http://ashlar.test:{port}");
    let rules = "--host-resolver-rules=MAP ashlar.test 127.0.0.1";
    in_browser(&origin, &[rules, "--disable-features=HttpsUpgrades"], |browser| async move {
        browser.sign_in(email, PASSWORD).await;
        browser.see(email).await;
        browser.press("Sign out").await;
        browser.see("You are signed out").await;
    })
    .await;
}

#[tokio::test]
async fn two_hundred_people_are_read_page_by_page() {
    let app = TestApp::start().await;
    let (_, token) = app.person("owner@example.org", "owner");
    for n in 0..200 {
        let name = if n == 1 { LONG_NAME.to_owned() } else { format!("Person {n}") };
        let person = json!({ "email": format!("person{n}@example.org"), "display_name": name });
        let added = app.post("/api/people", &person).bearer_auth(&token).send().await.unwrap();
        assert_eq!(added.status(), 201);
    }
    let link = ashlar_ok(&app.folder, &["user", "password-link", "--email", "owner@example.org"]);
    let path = link.trim().rsplit_once("/password/").map(|(_, token)| format!("/password/{token}")).unwrap();
    in_browser(&app.origin, &[], |browser| async move {
        browser.go(&path).await;
        browser.fill("password", PASSWORD).await;
        browser.press("Save the password").await;
        browser.see("Your password is set").await;
        browser.sign_in("owner@example.org", PASSWORD).await;
        browser.follow("People").await;
        browser.see("50 people, and more").await;
        browser.pictures("people-full").await;
        for _ in 0..4 {
            browser.follow("Next page").await;
        }
        browser.see("Person 199").await;
        browser.follow("First page").await;
        browser.see("50 people, and more").await;
        browser.fill("q", "wolfeschlegel").await;
        browser.press("Search").await;
        browser.see("1 person").await;
        browser.follow(LONG_NAME).await;
        browser.see("Recent audit entries").await;
        browser.pictures("person-long").await;
        browser.follow("Audit").await;
        browser.see("50 entries, and more").await;
        browser.pictures("audit-full").await;
    })
    .await;
}

#[tokio::test]
async fn an_owner_uploads_a_backup_and_restores_it() {
    let app = TestApp::start().await;
    app.person("owner@example.org", "owner");
    let link = ashlar_ok(&app.folder, &["user", "password-link", "--email", "owner@example.org"]);
    // The command doesn't know on which port this one serves.
    let link = link.trim()[link.find("/password/").unwrap()..].to_owned();
    let kept = tempfile::tempdir().unwrap();
    let (junk, file) = (kept.path().join("junk.db"), kept.path().join("unit.db"));
    std::fs::write(&junk, "junk").unwrap();
    let folder = app.folder.clone();
    in_browser(&app.origin, &[], |browser| async move {
        browser.go(&link).await;
        browser.fill("password", PASSWORD).await;
        browser.press("Save the password").await;
        ashlar_ok(&folder, &["backup", "--to", file.to_str().unwrap()]);
        ashlar_ok(&folder, &["user", "create", "--email", "late@example.org", "--display-name", "Late Comer"]);
        browser.sign_in("owner@example.org", PASSWORD).await;
        browser.follow("Backups").await;
        browser.follow("Restore…").await;
        browser.see("There is none yet").await;
        browser.pictures("restore-empty").await;

        let upload = async |file: &Path| {
            browser.find(Locator::Id("file")).await.send_keys(file.to_str().unwrap()).await.unwrap();
            browser.press("Upload and check").await;
        };
        upload(&junk).await;
        browser.see("junk.db is no SQLite database").await;
        browser.pictures("restore-refused").await;
        upload(&file).await;
        browser.see("1 who joined since then").await;
        browser.pictures("restore-confirm").await;
        browser.press("Keep what is here").await;
        browser.see("nothing was changed").await;
        upload(&file).await;
        browser.fill("password", NEW_PASSWORD).await;
        browser.press("Restore").await;
        browser.see("This is not your password").await;
        browser.fill("password", PASSWORD).await;
        browser.press("Restore").await;

        // By itself, wherever it had to wait.
        browser.see("The backup is restored").await;
        browser.pictures("restored").await;
        browser.sign_in("owner@example.org", PASSWORD).await;
        browser.follow("Backups").await;
        browser.follow("Restore…").await;
        browser.see("The last restore").await;
        browser.see("replaced/").await;
        browser.pictures("restore").await;
        browser.go("/people?q=late").await;
        browser.see("Nobody").await;
    })
    .await;
}

#[tokio::test]
async fn files_are_dropped_paused_resumed_and_looked_at() {
    let app = TestApp::start_with(&["--media-max-size", "20 MiB"]).await;
    app.sign_up("ann@example.org").await;
    let (_, owner) = app.person("owner@example.org", "owner");
    let kept = tempfile::tempdir().unwrap();
    let (one, two) = (kept.path().join("one.gif"), kept.path().join(format!("{LONG_NAME}.txt")));
    std::fs::write(&one, crate::avatars::GIF).unwrap();
    std::fs::write(&two, "words").unwrap();
    in_browser(&app.origin, &[], |browser| async move {
        browser.sign_in("ann@example.org", PASSWORD).await;
        browser.follow("Media").await;
        browser.see("No files yet").await;
        browser.pictures("media-empty").await;
        let drop = async |name: &str, bytes: usize| {
            let script = "const files = new DataTransfer();
                files.items.add(new File([new Uint8Array(arguments[1]).fill(7)], arguments[0]));
                const drop = new DragEvent('drop', { dataTransfer: files, cancelable: true });
                document.getElementById('uploads').dispatchEvent(drop);";
            browser.client.execute(script, vec![json!(name), json!(bytes)]).await.unwrap();
        };
        let click = async |button: &str| {
            let button = format!("//button[normalize-space()='{button}']");
            browser.find(Locator::XPath(&button)).await.click().await.unwrap();
        };

        // Slow enough to be seen, and stopped on its way.
        let slow = |bytes_a_second: i64| {
            json!({ "offline": false, "latency": 0, "downloadThroughput": -1, "uploadThroughput": bytes_a_second })
        };
        browser.devtools("Network.enable", json!({})).await;
        browser.devtools("Network.emulateNetworkConditions", slow(3_000_000)).await;
        // By the page itself, which is quicker than whoever steers it.
        let pause = "const timer = setInterval(() => {
                const [bar, button] = document.querySelectorAll('.transfer .progress, .transfer button');
                if (bar?.value > 500000) { clearInterval(timer); button.click(); }
            }, 1);";
        browser.client.execute(pause, vec![]).await.unwrap();
        drop("film.bin", 9_000_000).await;
        browser.see("Paused").await;
        browser.pictures("media-paused").await;
        let shown = "return document.querySelector('.transfer .progress').value";
        let at = browser.client.execute(shown, vec![]).await.unwrap();
        tokio::time::sleep(Duration::from_millis(700)).await;
        assert_eq!(browser.client.execute(shown, vec![]).await.unwrap(), at, "it is paused");
        browser.devtools("Network.emulateNetworkConditions", slow(-1)).await;
        click("Resume").await;
        browser.see("film.bin 8.6 MiB").await;

        // More than one at once, and what is refused.
        let paths = format!("{}\n{}", one.display(), two.display());
        browser.find(Locator::Id("file")).await.send_keys(&paths).await.unwrap();
        click("Upload").await;
        browser.find(Locator::Css(".tile-picture img")).await;
        drop("large.bin", 21 << 20).await;
        drop("empty.bin", 0).await;
        browser.see("The file is too large.").await;
        browser.see("The file is empty.").await;
        browser.pictures("media").await;
        browser.leave_by("//a[contains(., 'one.gif')]").await;
        browser.see("Nowhere").await;
        browser.pictures("media-item").await;
        browser.press("Make a link").await;
        browser.see("Whoever has it sees the file").await;

        // One's own picture.
        browser.follow("Home").await;
        browser.leave_by("//button[@name='avatar_id']").await;
        browser.see("This is your picture now.").await;
        browser.find(Locator::Css(".masthead img.face")).await;
        browser.pictures("home-picture").await;
    })
    .await;

    let people = app.ask("GET /api/people", &owner, Value::Null).await;
    let ann =
        people.body["items"].as_array().unwrap().iter().find(|it| it["user"]["email"] == "ann@example.org").unwrap();
    assert!(on_path("chromium").is_none() || ann["profile"]["avatar_id"].is_string(), "{ann}");
}

#[tokio::test]
async fn from_who_sells_to_the_first_invoice_and_its_payment() {
    let app = TestApp::start().await;
    let link = app.set_up_link.clone().unwrap();
    in_browser(&app.origin, &[], |browser| async move {
        browser.go(&link).await;
        browser.fill("email", "owner@example.org").await;
        browser.fill("display_name", LONG_NAME).await;
        browser.fill("password", PASSWORD).await;
        browser.press("Create the owner account").await;
        browser.follow("Billing").await;
        browser.see("Before the first invoice").await;
        browser.pictures("billing-empty").await;

        browser.follow("Settings").await;
        browser.fill("name", "Ashlar Masonry Ltd").await;
        browser.fill("iban", "DE88 3704 0044 0532 0130 00").await;
        browser.press("Save settings").await;
        browser.see("Its check digits are wrong").await;
        browser.pictures("billing-settings-refused").await;
        assert_eq!(browser.value("name").await, "Ashlar Masonry Ltd");
        browser.fill("iban", "DE89 3704 0044 0532 0130 00").await;
        browser.press("Save settings").await;
        browser.see("The settings are saved").await;
        browser.follow("Overview").await;
        browser.follow("Add a tax rate").await;
        browser.fill("name", "VAT 19 %").await;
        browser.fill("percent", "19").await;
        browser.press("Add tax rate").await;
        browser.see("The tax rate is added").await;
        browser.follow("Add a product").await;
        browser.fill("name", LONG_NAME).await;
        browser.press("Save product").await;
        browser.see("Now give it a price").await;
        browser.fill("plan", "team-monthly").await;
        browser.fill("unit_price", "1234567.89").await;
        browser.press("Add price").await;
        browser.see("The price is added").await;
        browser.pictures("billing-catalogue").await;

        browser.follow("Accounts").await;
        browser.follow(LONG_NAME).await;
        browser.follow("Subscribe…").await;
        browser.press("See what it does").await;
        browser.see("This invoice is made at once").await;
        browser.pictures("billing-preview").await;
        browser.press("Begin it").await;
        browser.see("The subscription has begun").await;
        browser.pictures("billing-subscription").await;
        browser.leave_by("//a[starts-with(normalize-space(), 'INV-')]").await;
        browser.pictures("billing-invoice").await;
        browser.follow("Record a payment").await;
        browser.press("Record payment").await;
        browser.see("The payment is recorded").await;
        browser.follow("Billing").await;
        browser.see("Nothing is open").await;
        browser.pictures("billing-overview").await;
        browser.go("/billing/me").await;
        browser.pictures("billing-me").await;
    })
    .await;
}
