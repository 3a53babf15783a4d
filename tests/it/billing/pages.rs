//! Billing's pages over HTTP: who may see what, what forms refuse and keep, and that what is made is what was shown.

use reqwest::RequestBuilder;

use crate::support::TestApp;

const LONG_NAME: &str = "Hubert Blaine Wolfeschlegelsteinhausenbergerdorff of the Western Harbour Offices";

/// A shop with one plan and one more, an owner, a member of staff, and two members.
struct Shop {
    app: TestApp,
    owner: String,
    staff: String,
    ann: (String, String),
    bob: (String, String),
}

pub struct Page {
    pub status: u16,
    pub location: String,
    pub text: String,
}

pub async fn send(request: RequestBuilder) -> Page {
    let response = request.send().await.unwrap();
    let location = response.headers().get("location").map_or("", |to| to.to_str().unwrap()).to_owned();
    Page { status: response.status().as_u16(), location, text: response.text().await.unwrap() }
}

impl Page {
    /// Sent on; returns where to, without what the next page says of it.
    pub fn led(&self) -> &str {
        assert_eq!(self.status, 303, "{}", self.text);
        self.location.split('?').next().unwrap()
    }

    pub fn must_show(&self, texts: &[&str]) {
        for text in texts {
            assert!(self.text.contains(text), "{text:?} is not on:\n{}", self.text);
        }
    }

    pub fn must_not_show(&self, texts: &[&str]) {
        for text in texts {
            assert!(!self.text.contains(text), "{text:?} is on:\n{}", self.text);
        }
    }

    /// The value of the first field of this name.
    pub fn value(&self, name: &str) -> String {
        let (_, after) = self.text.split_once(&format!("name=\"{name}\"")).unwrap_or_else(|| {
            panic!("there is no {name} on:\n{}", self.text);
        });
        after.split_once("value=\"").unwrap().1.split('"').next().unwrap().to_owned()
    }

    /// The document on it, from its first to its last line, without what stands around it.
    fn document(&self) -> &str {
        let (_, after) = self.text.split_once("<section class=\"card sheet\"").expect("it shows a document");
        after.split_once("</section>").unwrap().0
    }
}

impl Shop {
    async fn open() -> Shop {
        let app = TestApp::start().await;
        let (_, owner) = app.person("owner@example.org", "owner");
        let (_, staff) = app.person("staff@example.org", "staff");
        let (ann, bob) = (app.person("ann@example.org", "member"), app.person("bob@example.org", "member"));
        let shop = Shop { app, owner, staff, ann, bob };
        let settings = [
            ("name", "Ashlar Ltd"),
            ("line1", "1 Quarry Lane"),
            ("postcode", "10115"),
            ("city", "Berlin"),
            ("country", "DE"),
            ("tax_id", "DE123456789"),
            ("email", "billing@example.org"),
            ("iban", "DE89 3704 0044 0532 0130 00"),
            ("payment_terms_days", "14"),
            ("invoice_series", "INV"),
            ("credit_note_series", "CN"),
            ("retry_days", "1, 3"),
            ("give_up_day", "14"),
            ("version", "0"),
        ];
        assert_eq!(shop.post("/billing/settings", &shop.owner, &settings).await.led(), "/billing/settings");
        let rate = [("name", "VAT 20 %"), ("category", "standard"), ("percent", "20"), ("country", "DE")];
        assert_eq!(shop.post("/billing/tax-rates/add", &shop.staff, &rate).await.led(), "/billing/catalogue");
        let added = shop.post("/billing/products/add", &shop.staff, &[("name", "Team")]).await;
        let product = added.location.split_once("product_id=").unwrap().1.split('&').next().unwrap().to_owned();
        for (plan, price) in [("team", "10"), ("large", "30.50")] {
            let form = shop.get("/billing/prices/add", &shop.staff).await;
            let fields = [
                ("product_id", product.as_str()),
                ("plan", plan),
                ("unit_price", price),
                ("currency", "EUR"),
                ("interval", "month"),
                ("interval_count", "1"),
                ("is_per_seat", "true"),
                ("trial_days", "0"),
                ("tax_rate_id", &option(&form.text, "VAT 20 %")),
            ];
            assert_eq!(shop.post("/billing/prices/add", &shop.staff, &fields).await.led(), "/billing/catalogue");
        }
        let edit = format!("/billing/accounts/{}/edit", shop.ann.0);
        let version = shop.get(&edit, &shop.staff).await.value("version");
        let address = [("line1", "5 Long Street"), ("postcode", "10117"), ("city", "Berlin"), ("country", "de")];
        let fields: Vec<_> = address.into_iter().chain([("name", "Ann Lee"), ("version", &version)]).collect();
        assert_eq!(shop.post(&edit, &shop.staff, &fields).await.led(), format!("/billing/accounts/{}", shop.ann.0));
        shop
    }

    async fn get(&self, path: &str, token: &str) -> Page {
        send(self.app.page(path, token)).await
    }

    async fn post(&self, path: &str, token: &str, fields: &[(&str, &str)]) -> Page {
        send(self.app.form(path, token, fields)).await
    }

    /// Does what a page with a preview shows; returns the preview and where it led.
    async fn wish(&self, path: &str, token: &str, fields: &[(&str, &str)]) -> (Page, String) {
        let query = serde_urlencoded::to_string(fields).unwrap();
        let seen = self.get(&format!("{path}?{query}"), token).await;
        assert_eq!(seen.status, 200, "{}", seen.text);
        let hidden = ["version", "key", "seal"].map(|name| (name, seen.value(name)));
        let mut all = fields.to_vec();
        all.extend(hidden.iter().map(|(name, value)| (*name, value.as_str())));
        let done = self.post(path, token, &all).await;
        let led = done.led().to_owned();
        // Sent twice, it is done once.
        assert_eq!(self.post(path, token, &all).await.led(), led);
        (seen, led)
    }

    async fn subscribe(&self, user: &str, seats: &str) -> (Page, String) {
        let path = format!("/billing/accounts/{user}/subscribe");
        self.wish(&path, &self.staff, &[("plan", "team"), ("seats", seats)]).await
    }
}

/// The value of the option that is called so.
fn option(html: &str, label: &str) -> String {
    let (before, _) = html.split_once(&format!(">{label}<")).unwrap_or_else(|| panic!("no {label} in {html}"));
    before.rsplit_once("value=\"").unwrap().1.split('"').next().unwrap().to_owned()
}

/// The addresses of all links to invoices of the console, as they stand on the page.
fn invoices_on(page: &Page) -> Vec<String> {
    let links = page.text.split("href=\"/billing/invoices/").skip(1).map(|rest| rest.split('"').next().unwrap());
    links.filter(|id| id.len() == 36).map(|id| format!("/billing/invoices/{id}")).collect()
}

#[tokio::test]
async fn an_empty_unit_says_what_to_do_first_and_a_full_one_what_is_open() {
    let app = TestApp::start().await;
    let (_, staff) = app.person("staff@example.org", "staff");
    let first = send(app.page("/billing", &staff)).await;
    first.must_show(&["Before the first invoice", "Nothing is open", "No invoices yet"]);

    let shop = Shop::open().await;
    shop.subscribe(&shop.ann.0, "3").await;

    let page = shop.get("/billing", &shop.staff).await;
    page.must_show(&["36.00\u{a0}EUR", "30.00\u{a0}EUR", "INV-"]);
    page.must_not_show(&["Before the first invoice"]);
    let open = shop.get("/billing/invoices?state=open", &shop.staff).await;
    open.must_show(&["36.00\u{a0}EUR"]);
    shop.get("/billing/invoices?state=overdue", &shop.staff).await.must_show(&["No such invoices"]);
}

#[tokio::test]
async fn what_is_made_is_what_the_preview_showed() {
    let shop = Shop::open().await;

    let (seen, subscription) = shop.subscribe(&shop.ann.0, "3").await;
    let made = invoices_on(&shop.get(&subscription, &shop.staff).await);
    assert_eq!(made.len(), 1);
    assert_eq!(shop.get(&made[0], &shop.staff).await.document(), seen.document());

    let change = [("plan", "large"), ("seats", "2"), ("when", "now")];
    let (seen, led) = shop.wish(&format!("{subscription}/change"), &shop.staff, &change).await;
    assert_eq!(led, subscription);
    let page = shop.get(&subscription, &shop.staff).await;
    page.must_show(&["Changed from team × 3 to large × 2"]);
    let made = invoices_on(&page);
    assert_eq!(made.len(), 2);
    assert_eq!(shop.get(&made[0], &shop.staff).await.document(), seen.document());

    let (seen, _) =
        shop.wish(&format!("{subscription}/cancel"), &shop.staff, &[("when", "now"), ("credit", "true")]).await;
    seen.must_show(&["This credit note is made at once"]);
    let page = shop.get(&subscription, &shop.staff).await;
    assert_eq!(shop.get(&invoices_on(&page)[0], &shop.staff).await.document(), seen.document());
}

#[tokio::test]
async fn what_has_changed_since_the_preview_is_not_made() {
    let shop = Shop::open().await;
    let path = format!("/billing/accounts/{}/subscribe", shop.ann.0);
    let seen = shop.get(&format!("{path}?plan=team&seats=3"), &shop.staff).await;
    let (key, seal) = (seen.value("key"), seen.value("seal"));

    let other = [("plan", "team"), ("seats", "4"), ("version", "0"), ("key", key.as_str()), ("seal", seal.as_str())];
    let refused = shop.post(&path, &shop.staff, &other).await;

    assert_eq!(refused.status, 409);
    refused.must_show(&["another by now", "48.00\u{a0}EUR"]);
    assert_eq!(refused.value("seats"), "4");
    shop.get(&format!("/billing/accounts/{}", shop.ann.0), &shop.staff).await.must_not_show(&["INV-"]);
}

#[tokio::test]
async fn members_see_their_own_and_nothing_else() {
    let shop = Shop::open().await;
    let (_, subscription) = shop.subscribe(&shop.ann.0, "3").await;
    let invoice = invoices_on(&shop.get(&subscription, &shop.staff).await).remove(0);
    let account = format!("/billing/accounts/{}", shop.ann.0);

    assert_eq!(shop.get("/billing", &shop.ann.1).await.led(), "/billing/me");
    shop.get("/billing/me", &shop.ann.1).await.must_show(&["To pay", "DE89370400440532013000", "INV-", "Team"]);
    let own = shop.get(&subscription, &shop.ann.1).await;
    own.must_show(&["Time line", "Change…", "Cancel…"]);
    own.must_not_show(&[">Pause<"]);
    let own = shop.get(&invoice, &shop.ann.1).await;
    own.must_show(&["1 Quarry Lane"]);
    own.must_not_show(&["Void…", "Give up…", "Record a payment"]);

    for path in [&subscription, &invoice, &format!("{subscription}/change")] {
        assert_eq!(shop.get(path, &shop.bob.1).await.status, 404, "{path}");
    }
    let staffs = ["/billing/invoices", "/billing/catalogue", "/billing/settings", "/billing/payments", &account];
    for path in staffs.into_iter().chain(["/billing/accounts", "/billing/subscriptions", "/billing/prices/add"]) {
        assert_eq!(shop.get(path, &shop.ann.1).await.status, 403, "{path}");
    }
    let pay = shop.post(&format!("{account}/payments"), &shop.ann.1, &[("amount", "36")]).await;
    let void = shop.post(&format!("{invoice}/void"), &shop.ann.1, &[("version", "1")]).await;
    let pause = shop.post(&format!("{subscription}/pause"), &shop.ann.1, &[]).await;
    assert_eq!((pay.status, void.status, pause.status), (403, 403, 403));
    assert_eq!(shop.post("/billing/settings", &shop.staff, &[("name", "Mine")]).await.status, 403);
    shop.get("/billing/me", &shop.bob.1).await.must_not_show(&["INV-"]);
}

#[tokio::test]
async fn staff_look_after_members_and_owners_after_all() {
    let shop = Shop::open().await;
    let (boss, _) = shop.app.person("boss@example.org", "owner");
    let path = format!("/billing/accounts/{boss}/subscribe");
    let (_, subscription) = shop.wish(&path, &shop.owner, &[("plan", "team"), ("seats", "1")]).await;
    let invoice = invoices_on(&shop.get(&subscription, &shop.owner).await).remove(0);

    for path in [&path, &subscription, &invoice, &format!("/billing/accounts/{boss}")] {
        assert_eq!(shop.get(path, &shop.staff).await.status, 403, "{path}");
    }
    shop.get("/billing/invoices", &shop.staff).await.must_not_show(&["boss"]);
    shop.get("/billing/invoices", &shop.owner).await.must_show(&["boss"]);
    let seen = shop.get(&format!("/billing/accounts?q={}", "BOSS"), &shop.owner).await;
    seen.must_show(&["boss"]);
    shop.get("/billing/accounts?q=boss", &shop.staff).await.must_show(&["Nobody matches"]);
}

#[tokio::test]
async fn people_change_and_end_their_own_plan_as_far_as_it_is_theirs_to_do() {
    let shop = Shop::open().await;
    let token = &shop.ann.1;
    let (seen, subscription) = shop.wish("/billing/me/subscribe", token, &[("plan", "team"), ("seats", "2")]).await;
    seen.must_show(&["24.00\u{a0}EUR", "Ashlar Ltd"]);

    // When it ends, and what comes back, is for staff to say.
    let cancel = [("when", "now"), ("credit", "true")];
    shop.wish(&format!("{subscription}/cancel"), token, &cancel).await;
    let page = shop.get(&subscription, token).await;
    page.must_show(&["Ends with its period", "Keep it as it is…"]);
    assert_eq!(invoices_on(&page).len(), 1);
    shop.wish(&format!("{subscription}/resume"), token, &[]).await;
    shop.get(&subscription, token).await.must_not_show(&["Ends with its period"]);

    let details = shop.get("/billing/me/details", token).await;
    let version = details.value("version");
    let fields = [("name", LONG_NAME), ("tax_id", "12345"), ("currency", "EUR"), ("version", version.as_str())];
    let refused = shop.post("/billing/me/details", token, &fields).await;
    assert_eq!(refused.status, 422);
    refused.must_show(&["The details were not saved", "With its country", "id=\"tax_id-error\""]);
    assert_eq!((refused.value("name").as_str(), refused.value("tax_id").as_str()), (LONG_NAME, "12345"));
    let fields = [("name", LONG_NAME), ("payment_terms_days", "365"), ("version", version.as_str())];
    assert_eq!(shop.post("/billing/me/details", token, &fields).await.led(), "/billing/me");
    let account = shop.get(&format!("/billing/accounts/{}", shop.ann.0), &shop.staff).await;
    account.must_show(&[LONG_NAME, "As in the settings"]);
    let late = shop.post("/billing/me/details", token, &[("name", "Late"), ("version", version.as_str())]).await;
    assert_eq!(late.status, 412, "two changes at once");
}

#[tokio::test]
async fn days_to_pay_of_an_account_are_set_and_emptied_again() {
    let shop = Shop::open().await;
    let account = format!("/billing/accounts/{}", shop.ann.0);
    let edit = format!("{account}/edit");
    for (typed, shown) in [("30", "<dt>Days to pay</dt><dd>30</dd>"), ("", "As in the settings")] {
        let form = shop.get(&edit, &shop.staff).await;
        let version = form.value("version");
        let fields = [("name", "Ann Lee"), ("payment_terms_days", typed), ("version", version.as_str())];
        let refused = [("name", "Ann Lee"), ("payment_terms_days", "soon"), ("version", version.as_str())];
        shop.post(&edit, &shop.staff, &refused).await.must_show(&["id=\"payment_terms_days-error\"", "value=\"soon\""]);
        assert_eq!(shop.post(&edit, &shop.staff, &fields).await.led(), account);
        assert_eq!(shop.get(&edit, &shop.staff).await.value("payment_terms_days"), typed);
        shop.get(&account, &shop.staff).await.must_show(&[shown]);
    }
}

#[tokio::test]
async fn payments_are_recorded_once_and_given_back() {
    let shop = Shop::open().await;
    let (_, subscription) = shop.subscribe(&shop.ann.0, "3").await;
    let invoice = invoices_on(&shop.get(&subscription, &shop.staff).await).remove(0);
    let path = format!("/billing/accounts/{}/payments", shop.ann.0);
    let form = shop.get(&format!("{path}?invoice={}", invoice.rsplit('/').next().unwrap()), &shop.staff).await;
    assert_eq!(form.value("amount"), "36.00");
    let (key, day) = (form.value("key"), form.value("received_on"));

    for (amount, wrong) in [("36,00", "Write an amount like 19.99"), ("0", "More than 0"), ("-5", "More than 0")] {
        let fields =
            [("amount", amount), ("received_on", day.as_str()), ("reference", "from <Ann>"), ("key", key.as_str())];
        let refused = shop.post(&path, &shop.staff, &fields).await;
        assert_eq!(refused.status, 422);
        refused.must_show(&["The payment was not recorded", wrong, "from &#60;Ann&#62;"]);
        assert_eq!(refused.value("amount"), amount);
    }
    let late = [("amount", "1"), ("received_on", "9999-01-01"), ("key", key.as_str())];
    shop.post(&path, &shop.staff, &late).await.must_show(&["id=\"received_on-error\""]);
    let fields = [("amount", "40"), ("received_on", day.as_str()), ("key", key.as_str())];
    let recorded = shop.post(&path, &shop.staff, &fields).await;
    assert_eq!(shop.post(&path, &shop.staff, &fields).await.location, recorded.location);
    let again = shop.post(&path, &shop.staff, &[("amount", "41"), ("key", key.as_str())]).await;
    assert_eq!(again.status, 409);
    again.must_show(&["This form was sent before"]);

    shop.get(&invoice, &shop.staff).await.must_show(&[">Paid<"]);
    let payment = recorded.led().to_owned();
    shop.get(&payment, &shop.staff).await.must_show(&["INV-", "36.00\u{a0}EUR"]);
    let key = shop.get(&payment, &shop.staff).await.value("key");
    let refused = shop.post(&payment, &shop.staff, &[("amount", "40.01"), ("key", key.as_str())]).await;
    refused.must_show(&["at most 40.00\u{a0}EUR", "value=\"40.01\""]);
    let key = refused.value("key");
    let fields = [("amount", "10"), ("reason", "Sent twice"), ("key", key.as_str())];
    assert_eq!(shop.post(&payment, &shop.staff, &fields).await.led(), payment);
    shop.get(&payment, &shop.staff).await.must_show(&["Sent twice", "10.00\u{a0}EUR"]);
    shop.get(&invoice, &shop.staff).await.must_show(&["6.00\u{a0}EUR</strong> to pay"]);
}

#[tokio::test]
async fn an_invoice_is_made_by_hand_looked_at_finalised_and_credited() {
    let shop = Shop::open().await;
    let path = format!("/billing/accounts/{}/invoices/add", shop.ann.0);
    let form = shop.get(&path, &shop.staff).await;
    let rate = option(&form.text, "VAT 20 %");
    let lines = |price: &'static str, act: &'static str| {
        vec![
            ("rows", "3".to_owned()),
            ("line_1_description", "Masonry <fine>".to_owned()),
            ("line_1_quantity", "1.5".to_owned()),
            ("line_1_price", price.to_owned()),
            ("line_1_tax", rate.clone()),
            ("line_2_description", "Sand".to_owned()),
            ("line_2_price", "0.125".to_owned()),
            ("line_2_tax", rate.clone()),
            ("discount_percent", "10".to_owned()),
            ("do", act.to_owned()),
        ]
    };
    let post = async |path: &str, fields: Vec<(&str, String)>| {
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        shop.post(path, &shop.staff, &fields).await
    };

    let refused = post(&path, lines("ten", "preview")).await;
    assert_eq!(refused.status, 422);
    refused.must_show(&["id=\"line_1_price-error\"", "Masonry &#60;fine&#62;"]);
    assert_eq!(refused.value("line_1_price"), "ten");
    let grown = post(&path, lines("100", "more")).await;
    grown.must_show(&["line_6_price"]);
    assert_eq!(grown.value("line_1_quantity"), "1.5");
    let seen = post(&path, lines("100", "preview")).await;
    // 1.5 × 100, and 0.125 rounded to 0.13; less 10 %, and 20 % on that.
    seen.must_show(&["150.00\u{a0}EUR", "0.13\u{a0}EUR", "135.12\u{a0}EUR", "162.14\u{a0}EUR"]);
    let draft = post(&path, lines("100", "save")).await.led().to_owned();
    assert_eq!(shop.get(&draft, &shop.ann.1).await.status, 404, "a draft is nobody's yet");

    let page = shop.get(&draft, &shop.staff).await;
    page.must_show(&["This is a draft"]);
    assert_eq!(page.document(), seen.document());
    let (version, seal) = (page.value("version"), page.value("seal"));
    let stale = shop.post(&format!("{draft}/finalize"), &shop.staff, &[("version", &version), ("seal", "other")]).await;
    assert_eq!(stale.status, 409);
    let fields = [("version", version.as_str()), ("seal", seal.as_str())];
    assert_eq!(shop.post(&format!("{draft}/finalize"), &shop.staff, &fields).await.led(), draft);
    let page = shop.get(&draft, &shop.staff).await;
    assert_eq!(page.document(), seen.document());
    assert_eq!(shop.post(&format!("{draft}/finalize"), &shop.staff, &fields).await.status, 409, "finalised twice");

    let credit = format!("{draft}/credit");
    let mut whole = lines("200", "preview");
    post(&credit, whole.clone()).await.must_show(&["only 162.14\u{a0}EUR of the invoice are left"]);
    whole = lines("100", "preview");
    let seen = post(&credit, whole.clone()).await;
    whole.retain(|(name, _)| *name != "do");
    whole.extend([("do", "save".to_owned()), ("seal", seen.value("seal")), ("key", seen.value("key"))]);
    let note = post(&credit, whole).await.led().to_owned();
    assert_eq!(shop.get(&note, &shop.staff).await.document(), seen.document());
    shop.get(&draft, &shop.staff).await.must_show(&["CN-", ">Paid<"]);
}

#[tokio::test]
async fn whoever_has_the_link_sees_the_invoice_and_nothing_else() {
    let shop = Shop::open().await;
    let (_, subscription) = shop.subscribe(&shop.ann.0, "3").await;
    let invoice = invoices_on(&shop.get(&subscription, &shop.staff).await).remove(0);
    let page = shop.get(&invoice, &shop.ann.1).await;
    let (_, link) = page.text.split_once("value=\"/invoices/").unwrap();
    let link = format!("/invoices/{}", link.split('"').next().unwrap());

    let shown = shop.app.get(&link).send().await.unwrap();
    assert_eq!((shown.status().as_u16(), shown.headers()["x-robots-tag"].to_str().unwrap()), (200, "noindex"));
    let shown = Page { status: 200, location: String::new(), text: shown.text().await.unwrap() };
    shown.must_show(&[
        "Team, 3 seats",
        "€30.00",
        "Tax 20% on €30.00",
        "€36.00</strong> to pay by",
        "DE89370400440532013000",
    ]);
    shown.must_not_show(&["/billing/"]);

    for (form, content_type, start) in [("pdf", "application/pdf", "%PDF-"), ("xml", "application/xml", "<?xml")] {
        let file = shop.app.get(&format!("{link}/{form}")).send().await.unwrap();
        assert_eq!((file.status().as_u16(), file.headers()["content-type"].to_str().unwrap()), (200, content_type));
        let named = file.headers()["content-disposition"].to_str().unwrap().to_owned();
        assert!(named.contains("filename=\"INV-") && named.ends_with(&format!(".{form}\"")), "{named}");
        let bytes = file.bytes().await.unwrap();
        assert!(bytes.starts_with(start.as_bytes()));
        let id = invoice.rsplit('/').next().unwrap();
        let own = shop.app.page(&format!("/billing/invoices/{id}/{form}"), &shop.ann.1).send().await.unwrap();
        assert_eq!(own.bytes().await.unwrap(), bytes, "the same bytes each time");
        let path = format!("/api/billing/invoices/{id}.{form}");
        assert_eq!(shop.app.ask(&format!("GET {path}"), &shop.bob.1, serde_json::Value::Null).await.status, 404);
        let over = shop.app.get(&path).bearer_auth(&shop.staff).send().await.unwrap();
        assert_eq!(over.bytes().await.unwrap(), bytes);
        assert_eq!(shop.app.get(&format!("/invoices/{id}/{form}")).send().await.unwrap().status(), 404);
    }

    let altered = format!("{}A", &link[..link.len() - 1]);
    let altered = if altered == link { format!("{}B", &link[..link.len() - 1]) } else { altered };
    let id = invoice.rsplit('/').next().unwrap();
    for path in [altered, format!("/invoices/{id}"), "/invoices/x".into()] {
        assert_eq!(shop.app.get(&path).send().await.unwrap().status(), 404, "{path}");
    }
}

#[tokio::test]
async fn what_staff_void_or_give_up_says_what_it_means_first() {
    let shop = Shop::open().await;
    let (_, subscription) = shop.subscribe(&shop.ann.0, "3").await;
    shop.subscribe(&shop.bob.0, "1").await;
    let invoice = invoices_on(&shop.get(&subscription, &shop.staff).await).remove(0);

    let page = shop.get(&format!("{invoice}/void"), &shop.staff).await;
    page.must_show(&["Its number stays", "36.00\u{a0}EUR"]);
    let version = page.value("version");
    assert_eq!(shop.post(&format!("{invoice}/void"), &shop.staff, &[("version", "99")]).await.status, 412);
    assert_eq!(shop.post(&format!("{invoice}/void"), &shop.staff, &[("version", &version)]).await.led(), invoice);
    let page = shop.get(&invoice, &shop.staff).await;
    page.must_show(&[">Void<"]);
    page.must_not_show(&["Give up…", "Record a payment", "Credit…"]);
    let other = invoices_on(&shop.get("/billing/invoices?state=open", &shop.staff).await).remove(0);
    assert_eq!(shop.post(&format!("{other}/give-up"), &shop.staff, &[("version", "1")]).await.led(), other);
    shop.get(&other, &shop.staff).await.must_show(&[">Uncollectible<"]);
    shop.get("/billing", &shop.staff).await.must_show(&["Nothing is open"]);
}
