//! The pages, as a browser without script asks for them.

use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};

use crate::support::{PASSWORD, TestApp, ashlar_ok};

const OTHER_PASSWORD: &str = "copper-window-saturday";

impl TestApp {
    /// A page, with a session's cookie.
    pub fn page(&self, path: &str, token: &str) -> RequestBuilder {
        self.get(path).header("cookie", format!("ashlar={token}"))
    }

    /// A form sent from a page of this site; without a token, by nobody.
    pub fn form(&self, path: &str, token: &str, fields: &[(&str, &str)]) -> RequestBuilder {
        let request = self
            .request(Method::POST, path)
            .header("sec-fetch-site", "same-origin")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(serde_urlencoded::to_string(fields).unwrap());
        if token.is_empty() { request } else { request.header("cookie", format!("ashlar={token}")) }
    }
}

async fn send(request: RequestBuilder) -> Response {
    request.send().await.unwrap()
}

/// Status and text.
async fn read(request: RequestBuilder) -> (u16, String) {
    let response = send(request).await;
    (response.status().as_u16(), response.text().await.unwrap())
}

fn header<'r>(response: &'r Response, name: &str) -> &'r str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

pub fn token_of(response: &Response) -> String {
    let cookie = header(response, "set-cookie");
    cookie.strip_prefix("ashlar=").unwrap().split(';').next().unwrap().to_owned()
}

#[tokio::test]
async fn the_set_up_link_makes_the_owner_once() {
    let app = TestApp::start().await;
    let link = app.set_up_link.clone().unwrap();
    let path = link.strip_prefix(&app.origin).unwrap();
    let fields = [("email", "o@example.org"), ("display_name", "Olu"), ("password", PASSWORD), ("currency", "EUR")];

    let (status, page) = read(app.get(path)).await;
    assert_eq!((status, page.contains("Create the owner account")), (200, true));
    let made = send(app.form(path, "", &fields)).await;
    assert_eq!((made.status().as_u16(), header(&made, "location")), (303, "/?done=set-up"));
    let (status, home) = read(app.page("/?done=set-up", &token_of(&made))).await;
    assert_eq!(status, 200);
    assert!(home.contains("Ashlar is set up") && home.contains(r#"<span class="badge">Owner</span>"#));

    for again in [app.get(path), app.form(path, "", &fields), app.get("/set-up/nonsense")] {
        let (status, page) = read(again).await;
        assert_eq!(status, 404);
        assert!(page.contains("This link no longer works"));
    }
}

#[tokio::test]
async fn a_form_of_another_site_is_refused() {
    let app = TestApp::start().await;
    let (_, token) = app.person("ann@example.org", "member");
    let fields = [("confirm", "ann@example.org")];

    // A browser that says nothing of the site names the origin, or is not believed.
    let kinds = [("sec-fetch-site", "cross-site"), ("sec-fetch-site", "same-site"), ("origin", "http://evil.example")];
    for (name, value) in kinds.into_iter().chain([("origin", "null"), ("accept", "text/html")]) {
        let mut request = app.form("/me/close", &token, &fields).build().unwrap();
        request.headers_mut().remove("sec-fetch-site");
        request.headers_mut().insert(name, value.parse().unwrap());
        assert_eq!(app.client.execute(request).await.unwrap().status(), 403, "{name}: {value}");
    }

    assert_eq!(send(app.page("/", &token)).await.status(), 200);
}

#[tokio::test]
async fn signing_in_sets_a_cookie_that_scripts_cannot_read() {
    let app = TestApp::start().await;
    app.sign_up("ann@example.org").await;

    let fields = [("email", "ann@example.org"), ("password", PASSWORD)];
    let signed_in = send(app.form("/sign-in", "", &fields)).await;

    assert_eq!((signed_in.status().as_u16(), header(&signed_in, "location")), (303, "/"));
    let cookie = header(&signed_in, "set-cookie");
    for part in ["; Path=/", "; Max-Age=2592000", "; HttpOnly", "; SameSite=Lax"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(!cookie.contains("Secure"), "browsers drop it on plain http");
    let token = token_of(&signed_in);
    assert_eq!(header(&send(app.page("/sign-in", &token)).await, "location"), "/");

    let out = send(app.form("/sign-out", &token, &[])).await;
    assert_eq!((out.status().as_u16(), header(&out, "location")), (303, "/sign-in?done=signed-out"));
    assert!(header(&out, "set-cookie").contains("Max-Age=0"));
    assert_eq!(header(&send(app.page("/", &token)).await, "location"), "/sign-in", "the session itself has ended");
}

#[tokio::test]
async fn on_https_the_cookie_is_secure_and_bound_to_the_host() {
    let app = TestApp::start_with(&["--public-origin", "https://ashlar.example.org"]).await;
    app.sign_up("ann@example.org").await;

    let signed_in = send(app.form("/sign-in", "", &[("email", "ann@example.org"), ("password", PASSWORD)])).await;

    let cookie = header(&signed_in, "set-cookie");
    assert!(cookie.starts_with("__Host-ashlar=") && cookie.ends_with("; Secure"), "{cookie}");
    let token = cookie.strip_prefix("__Host-ashlar=").unwrap().split(';').next().unwrap();
    let home = |name: &str| app.get("/").header("cookie", format!("{name}={token}"));
    assert_eq!(send(home("__Host-ashlar")).await.status(), 200);
    assert_eq!(send(home("ashlar")).await.status(), 303, "another host of the domain could have set it");
}

#[tokio::test]
async fn whoever_is_not_signed_in_is_sent_to_sign_in_and_back() {
    let app = TestApp::start().await;
    app.sign_up("ann@example.org").await;

    let asked = send(app.get("/people?q=a%26b")).await;
    assert_eq!((asked.status().as_u16(), header(&asked, "location")), (303, "/sign-in?next=%2Fpeople%3Fq%3Da%2526b"));
    let (_, page) = read(app.get(header(&asked, "location"))).await;
    assert!(page.contains(r#"name="next" value="/people?q=a%26b""#), "{page}");

    let fields = |next| [("email", "ann@example.org"), ("password", PASSWORD), ("next", next)];
    assert_eq!(header(&send(app.form("/sign-in", "", &fields("/api/docs"))).await, "location"), "/api/docs");
    for elsewhere in ["//evil.example", "https://evil.example/", "/\\evil.example", "/\t/evil.example", "javascript:1"]
    {
        let signed_in = send(app.form("/sign-in", "", &fields(elsewhere))).await;
        assert_eq!((signed_in.status().as_u16(), header(&signed_in, "location")), (303, "/"), "{elsewhere:?}");
    }
    let (_, page) = read(app.get("/sign-in?next=//evil.example")).await;
    assert!(!page.contains("evil"));
}

#[tokio::test]
async fn what_was_typed_stays_but_never_a_password() {
    let app = TestApp::start().await;
    app.sign_up("ann@example.org").await;

    let sign_up = |email, password| {
        let fields = [("email", email), ("display_name", "Zoë \"Z\""), ("password", password), ("currency", "CHF")];
        app.form("/sign-up", "", &fields)
    };
    let (status, page) = read(sign_up("ann@EXAMPLE.org", OTHER_PASSWORD)).await;
    assert_eq!(status, 409);
    assert!(page.contains(r#"value="ann@EXAMPLE.org""#) && page.contains(r#"value="CHF""#));
    assert!(
        page.contains("Zoë &#34;Z&#34;")
            && page.contains(r#"<p class="error" id="email-error">This address is taken.</p>"#)
    );
    assert!(!page.contains(OTHER_PASSWORD));

    let (status, page) = read(sign_up("no address", "short")).await;
    assert_eq!(status, 422);
    assert!(page.contains("id=\"email-error\"") && page.contains("id=\"password-error\""));
    assert!(page.contains(r#"aria-describedby="password-hint password-error" aria-invalid="true""#));

    let wrong = [("email", "ann@example.org"), ("password", OTHER_PASSWORD)];
    let (status, page) = read(app.form("/sign-in", "", &wrong)).await;
    assert_eq!(status, 422);
    assert!(page.contains("Wrong address or password.") && page.contains(r#"value="ann@example.org""#));
    assert!(!page.contains(OTHER_PASSWORD));
}

#[tokio::test]
async fn too_many_attempts_are_told_when_to_come_back() {
    let app = TestApp::start_with(&["--sign-ins-per-account", "2"]).await;
    let wrong = [("email", "ann@example.org"), ("password", OTHER_PASSWORD)];
    for _ in 0..2 {
        assert_eq!(send(app.form("/sign-in", "", &wrong)).await.status(), 422);
    }

    let refused = send(app.form("/sign-in", "", &wrong)).await;

    assert_eq!(refused.status(), 429);
    assert!(header(&refused, "retry-after").parse::<u32>().unwrap() > 0);
    let page = refused.text().await.unwrap();
    assert!(page.contains("Too many attempts") && page.contains(r#"value="ann@example.org""#));
}

#[tokio::test]
async fn members_see_neither_staff_pages_nor_links_to_them() {
    let app = TestApp::start().await;
    let (owner, _) = app.person("owner@example.org", "owner");
    let (member, token) = app.person("ann@example.org", "member");

    let (_, home) = read(app.page("/", &token)).await;
    for path in ["/people", "/audit", "/modules"] {
        assert!(!home.contains(&format!("href=\"{path}\"")), "{path}");
    }
    assert!(home.contains("href=\"/api/docs\""));
    let people = ["/people", "/people/add", "/audit", "/modules"].map(str::to_owned);
    let one = [&owner, &member].map(|id| format!("/people/{id}"));
    let deeds = ["edit", "delete"].map(|deed| format!("/people/{owner}/{deed}"));
    let wrong = ["/people?cursor=x", "/audit?cursor=x"].map(str::to_owned);
    for path in people.iter().chain(&one).chain(&deeds).chain(&wrong) {
        let (status, page) = read(app.page(path, &token)).await;
        assert_eq!(status, 403, "{path}");
        assert!(page.contains("Only staff and owners may do this."), "{path}");
    }
    for (path, fields) in [
        (format!("/people/{owner}"), vec![("state", "disabled")]),
        (format!("/people/{owner}/delete"), vec![("confirm", "owner@example.org")]),
        (format!("/people/{owner}/password-link"), vec![]),
        ("/people/add".to_owned(), vec![("email", "x@example.org"), ("display_name", "X"), ("currency", "EUR")]),
    ] {
        assert_eq!(send(app.form(&path, &token, &fields)).await.status(), 403, "{path}");
    }
}

#[tokio::test]
async fn staff_look_after_members_and_owners_after_all() {
    let app = TestApp::start().await;
    let (owner, owners) = app.person("owner@example.org", "owner");
    let (_, staffs) = app.person("staff@example.org", "staff");
    let (member, _) = app.person("ann@example.org", "member");

    let (status, page) = read(app.page(&format!("/people/{member}"), &staffs)).await;
    assert_eq!(status, 200);
    assert!(page.contains("Create link") && !page.contains("Change role") && !page.contains("Disable account"));
    assert_eq!(send(app.page(&format!("/people/{owner}"), &staffs)).await.status(), 403);
    assert_eq!(send(app.form(&format!("/people/{member}"), &staffs, &[("role", "staff")])).await.status(), 403);

    let (_, page) = read(app.page(&format!("/people/{member}"), &owners)).await;
    assert!(page.contains("Change role") && page.contains("Disable account"));
    let disabled = send(app.form(&format!("/people/{member}"), &owners, &[("state", "disabled")])).await;
    assert_eq!(header(&disabled, "location"), format!("/people/{member}?done=disabled"));
    let (status, page) = read(app.form(&format!("/people/{owner}"), &owners, &[("role", "member")])).await;
    assert_eq!(status, 409);
    assert!(page.contains("This is the last active owner"));
}

#[tokio::test]
async fn names_are_shown_and_never_run() {
    let app = TestApp::start().await;
    let (_, owner) = app.person("owner@example.org", "owner");
    let name = "<script>alert(\"x\")</script> & Sons";
    let person = json!({ "email": "ann@example.org", "display_name": name });
    let person: Value =
        app.post("/api/people", &person).bearer_auth(&owner).send().await.unwrap().json().await.unwrap();
    let id = person["user"]["id"].as_str().unwrap();

    let own = ["edit", "delete"].map(|deed| format!("/people/{id}/{deed}"));
    let one = [format!("/people/{id}"), "/people".into(), "/audit".into(), "/people?q=%3Cscript%3Ealert(1)".into()];
    for path in own.iter().chain(&one) {
        let (status, page) = read(app.page(path, &owner)).await;
        assert_eq!(status, 200, "{path}");
        assert!(!page.contains("<script"), "{path}");
        assert!(page.contains("&#60;script&#62;"), "{path}");
    }
    let (_, page) = read(app.page("/?done=%3Cscript%3E", &owner)).await;
    let shown = ["<script>", "&#60;script", "%3Cscript"].iter().any(|text| page.contains(text));
    assert!(!shown, "text from the address is not shown");
}

#[tokio::test]
async fn a_password_link_sets_a_password_once() {
    let app = TestApp::start().await;
    let (_, owner) = app.person("owner@example.org", "owner");
    let (ann, old) = app.person("ann@example.org", "member");

    let made = send(app.form(&format!("/people/{ann}/password-link"), &owner, &[])).await;
    assert_eq!((made.status().as_u16(), header(&made, "cache-control")), (201, "no-store"));
    let page = made.text().await.unwrap();
    let link = page.split("value=\"").nth(1).unwrap().split('"').next().unwrap();
    let path = link.strip_prefix(&app.origin).unwrap();

    let (status, page) = read(app.get(path)).await;
    assert_eq!((status, page.contains("ann@example.org")), (200, true));
    assert_eq!(send(app.form(path, "", &[("password", "short")])).await.status(), 422, "and the link stays good");
    let set = send(app.form(path, "", &[("password", PASSWORD)])).await;
    assert_eq!((set.status().as_u16(), header(&set, "location")), (303, "/sign-in?done=password-set"));
    let signed_in = send(app.form("/sign-in", "", &[("email", "ann@example.org"), ("password", PASSWORD)])).await;
    assert_eq!(header(&signed_in, "location"), "/");
    assert_eq!(send(app.page("/", &old)).await.status(), 303, "earlier sessions have ended");
    assert_eq!(send(app.get(path)).await.status(), 404);
    assert_eq!(send(app.form(path, "", &[("password", OTHER_PASSWORD)])).await.status(), 404);
}

#[tokio::test]
async fn a_profile_edited_meanwhile_is_not_overwritten() {
    let app = TestApp::start().await;
    let ann = app.sign_up("ann@example.org").await;
    let token = ann["token"].as_str().unwrap();
    let fields = |bio, version| {
        let name = ("display_name", "Ann Lee");
        [name, ("bio", bio), ("locale", ""), ("time_zone", ""), ("pronouns", ""), ("phone", ""), ("version", version)]
    };

    let saved = send(app.form("/me/profile", token, &fields("Mason", "1"))).await;
    assert_eq!(header(&saved, "location"), "/?done=profile-saved");
    let (status, page) = read(app.form("/me/profile", token, &fields("Carpenter", "1"))).await;

    assert_eq!(status, 412);
    assert!(page.contains("It has changed since you read it") && page.contains("Carpenter"));
    let mut wrong = fields("Carpenter", "2");
    wrong[5] = ("phone", "call me");
    let (status, page) = read(app.form("/me/profile", token, &wrong)).await;
    assert_eq!(status, 422);
    assert!(page.contains("id=\"phone-error\"") && page.contains("call me") && page.contains("Carpenter"));
}

#[tokio::test]
async fn a_changed_password_ends_the_other_sessions() {
    let app = TestApp::start().await;
    let first = app.sign_up("ann@example.org").await;
    let signed_in = send(app.form("/sign-in", "", &[("email", "ann@example.org"), ("password", PASSWORD)])).await;
    let (first, second) = (first["token"].as_str().unwrap(), token_of(&signed_in));

    let change =
        |old, new| app.form("/me/password", &second, &[("old", old), ("new", new), ("end_other_sessions", "true")]);
    let (status, page) = read(change(OTHER_PASSWORD, "garden-seven-piano")).await;
    assert_eq!((status, page.contains("This is not your password.")), (422, true));
    assert_eq!(header(&send(change(PASSWORD, OTHER_PASSWORD)).await, "location"), "/?done=password-changed");

    assert_eq!(send(app.page("/", first)).await.status(), 303);
    assert_eq!(send(app.page("/", &second)).await.status(), 200);
}

#[tokio::test]
async fn closing_an_account_needs_its_address_typed_and_another_owner() {
    let app = TestApp::start().await;
    let (_, owner) = app.person("owner@example.org", "owner");
    let ann = app.sign_up("ann@example.org").await;
    let token = ann["token"].as_str().unwrap();

    let (status, page) = read(app.form("/me/close", token, &[("confirm", "bob@example.org")])).await;
    assert_eq!((status, page.contains("id=\"confirm-error\"")), (422, true));
    let closed = send(app.form("/me/close", token, &[("confirm", "Ann@example.org ")])).await;
    assert_eq!(header(&closed, "location"), "/sign-in?done=closed");
    assert!(!ashlar_ok(&app.folder, &["user", "list"]).contains("ann@"));

    let (status, page) = read(app.form("/me/close", &owner, &[("confirm", "owner@example.org")])).await;
    assert_eq!(status, 409);
    assert!(page.contains("make someone else an owner first"));
}

#[tokio::test]
async fn an_export_is_a_file_to_keep() {
    let app = TestApp::start().await;
    let (_, owner) = app.person("owner@example.org", "owner");
    let (ann, token) = app.person("ann@example.org", "member");

    for (path, token) in [("/me/export".to_owned(), &token), (format!("/people/{ann}/export"), &owner)] {
        let export = send(app.page(&path, token)).await;
        assert!(header(&export, "content-disposition").starts_with("attachment; filename="));
        let export: Value = export.json().await.unwrap();
        assert_eq!(export["modules"]["users"]["email"], "ann@example.org");
    }
}

#[tokio::test]
async fn lists_go_on_page_by_page() {
    let app = TestApp::start().await;
    let (_, owner) = app.person("owner@example.org", "owner");
    for n in 0..60 {
        let person = json!({ "email": format!("p{n}@example.org"), "display_name": format!("Person {n}") });
        assert_eq!(app.post("/api/people", &person).bearer_auth(&owner).send().await.unwrap().status(), 201);
    }

    for (path, filter) in [("/people?q=person", "q=person"), ("/audit", "")] {
        let (_, first) = read(app.page(path, &owner)).await;
        let next = first.split("href=\"").find(|part| part.contains("rel=\"next\"")).unwrap();
        let next = next.split('"').next().unwrap().replace("&#38;", "&");
        assert!(next.contains(filter) && next.contains("cursor="), "{next}");
        let (status, second) = read(app.page(&next, &owner)).await;
        assert_eq!(status, 200);
        assert!(!second.contains("rel=\"next\"") && second.contains("href=\"/people"));
    }
    let (_, none) = read(app.page("/people?q=nobody-like-this", &owner)).await;
    assert!(none.contains("Nobody matches"));
    assert_eq!(send(app.page("/people?cursor=x", &owner)).await.status(), 422);
}

#[tokio::test]
async fn the_map_and_the_reference_show_what_is_there() {
    let app = TestApp::start().await;
    let (_, owner) = app.person("owner@example.org", "owner");

    let (_, map) = read(app.page("/modules", &owner)).await;
    for text in [
        "billing_accounts",
        "profile_words",
        "auth_sessions",
        "Plans, subscriptions, invoices, payments, and the ledger",
    ] {
        assert!(map.contains(text), "{text}");
    }
    let document: Value = app.get("/api/openapi.json").send().await.unwrap().json().await.unwrap();
    let docs = send(app.page("/api/docs", &owner)).await;
    assert!(header(&docs, "content-security-policy").contains("style-src 'self'"));
    let docs = docs.text().await.unwrap();
    for path in document["paths"].as_object().unwrap().keys() {
        assert!(docs.contains(&format!("<code>{path}</code>")), "{path}");
    }
    for schema in document["components"]["schemas"].as_object().unwrap().keys() {
        assert!(docs.contains(&format!("id=\"schema-{schema}\"")), "{schema}");
    }
}

#[tokio::test]
async fn the_stylesheet_is_kept_until_it_changes() {
    let app = TestApp::start().await;
    let page = send(app.get("/sign-in")).await;
    assert_eq!(header(&page, "cache-control"), "no-store");
    let page = page.text().await.unwrap();
    let href = page.split("rel=\"stylesheet\" href=\"").nth(1).unwrap().split('"').next().unwrap();

    let style = send(app.get(href)).await;
    assert_eq!(header(&style, "cache-control"), "public, max-age=31536000, immutable");
    assert_eq!(header(&style, "content-type"), "text/css; charset=utf-8");
    let other = send(app.get("/assets/ashlar.css?v=other")).await;
    assert_eq!(header(&other, "cache-control"), "public, max-age=300");
    assert_eq!(send(app.get("/favicon.ico")).await.status(), 200);
    let (status, page) = read(app.get("/nothing-here")).await;
    assert_eq!((status, page.contains("There is nothing at this address.")), (404, true));
}

#[tokio::test]
async fn the_api_is_described_to_everyone() {
    let app = TestApp::start().await;

    let docs = app.get("/api/docs").send().await.unwrap();

    assert_eq!(docs.status(), 200);
    let text = docs.text().await.unwrap();
    assert!(text.contains("/api/sign-up") && text.contains("Sign in") && !text.contains("Sign out"), "{text}");
}
