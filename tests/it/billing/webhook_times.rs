//! Webhooks over days, by a clock that is moved; and after a restore, when nothing goes out by itself.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ashlar::app;
use ashlar::modules::billing::{
    Billing, BillingEvent, Cancellation, NewWebhookEndpoint, WebhookDelivery, WebhookDeliveryFilter,
    WebhookDeliveryState, When,
};
use ashlar::platform::clock::{Clock, Time};
use ashlar::platform::config::{Options, Settings};
use ashlar::platform::db::{Database, Folder, Lock, Role, Tuning};
use ashlar::platform::jobs::{Kinds, Workers};
use ashlar::platform::module::Module;
use ashlar::platform::outgoing::Reach;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::fake::{Asked, Fake, beside, until};
use super::pages::send;
use super::webhooks::{INNER, deliveries, listen, receiver};
use super::{Books, TEAM};
use crate::support::{TestApp, ashlar_ok};

/// In the past, so that the ids of other tests in this process keep their order.
const START: &str = "2024-03-01T12:00:00Z";
const DAY_S: i64 = 24 * 60 * 60;
const HOUR_S: i64 = 60 * 60;
const PATIENCE: Duration = Duration::from_secs(20);

/// A receiver that refuses some types of events, which can be changed.
#[derive(Clone, Default)]
struct Moody(Arc<Mutex<BTreeSet<&'static str>>>);

impl Moody {
    fn refusing(kinds: &[&'static str]) -> (Moody, Fake) {
        let moody = Moody(Arc::new(Mutex::new(kinds.iter().copied().collect())));
        let it = moody.clone();
        let fake = Fake::start(move |asked| match it.0.lock().unwrap().contains(&*kind_of(asked)) {
            true => (500, "", "not now".into()),
            false => (204, "", String::new()),
        });
        (moody, fake)
    }

    fn takes_all(&self) {
        self.0.lock().unwrap().clear();
    }
}

fn kind_of(asked: &Asked) -> String {
    asked.json()["type"].as_str().unwrap().to_owned()
}

fn kinds_of(fake: &Fake) -> Vec<String> {
    fake.asked().iter().map(kind_of).collect()
}

/// A unit whose jobs run in this process, at a time of its own.
struct Unit {
    books: Books,
    workers: Workers,
    _lock: Lock,
}

impl Unit {
    /// Opens the unit of `folder` when the clock stands at `now`; `before` comes before its jobs run.
    fn at(folder: TempDir, now: Time, before: impl FnOnce(&Books)) -> Unit {
        let at = Folder::at(folder.path()).unwrap();
        let lock = at.lock().unwrap();
        let (schema, _) = app::prove().unwrap();
        let clock = Clock::fixed(now.as_ms());
        let database = Database::open(&at, schema, clock, Role::Server, Tuning::default()).unwrap();
        let options = Options { webhooks_to_inner_networks: Some(true), ..Options::default() };
        let app = app::compose(database.clone(), &Settings::load(options, &at.settings()).unwrap());
        let books = Books { database: database.clone(), folder };
        before(&books);
        let workers = Workers::new(database, Kinds::new(Billing.jobs(&app.platform)).unwrap(), PATIENCE);
        tokio::spawn(workers.clone().run());
        Unit { books, workers, _lock: lock }
    }

    /// Stops it, and opens it again at another time.
    async fn then_at(self, now: Time, before: impl FnOnce(&Books)) -> Unit {
        self.workers.stop(PATIENCE).await;
        let Unit { books: Books { database, folder }, workers, _lock } = self;
        drop((database, workers, _lock));
        Unit::at(folder, now, before)
    }

    fn delivery(&self, kind: &str) -> WebhookDelivery {
        let all = self
            .books
            .read(|snapshot| Billing.webhook_deliveries(snapshot, &WebhookDeliveryFilter::default(), None, 100));
        all.into_iter().find(|one| one.event_type.as_str() == kind).unwrap_or_else(|| panic!("no delivery of {kind}"))
    }

    fn events(&self) -> Vec<BillingEvent> {
        self.books.read(|snapshot| Billing.events(snapshot, None, 100))
    }

    async fn tried(&self, kind: &str, attempts: u32) -> WebhookDelivery {
        until(&format!("try {attempts} of {kind}"), || self.delivery(kind).attempts == attempts).await;
        self.delivery(kind)
    }
}

/// Somebody subscribes and pays, and an endpoint at `origin` is told.
fn begin(books: &Books, origin: &str) {
    let new = NewWebhookEndpoint { url: origin.to_owned(), description: None, event_types: Vec::new() };
    books.write(move |work| Billing.add_webhook_endpoint(work, new, Reach::Anywhere)).unwrap();
    let seller = json!({ "seller": { "name": "Ashlar Ltd", "address": {} } });
    let settings = serde_json::from_value(seller).unwrap();
    books.write(move |work| Billing.change_settings(work, settings, |_| Ok(()))).unwrap();
    books.sell(TEAM);
    let ann = books.account("EUR", "2026-06-01");
    books.subscribe(ann, "team", 1);
    books.pay(ann, 1200, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_three_days_it_is_given_up_and_what_waited_behind_it_goes_out() {
    let (moody, fake) = Moody::refusing(&["invoice.finalized"]);
    let start: Time = START.parse().unwrap();
    let unit = Unit::at(tempfile::tempdir().unwrap(), start, |books| begin(books, &fake.origin));
    unit.tried("invoice.finalized", 1).await;
    unit.tried("payment.recorded", 1).await;
    unit.tried("subscription.created", 1).await;
    assert_eq!(unit.delivery("invoice.paid").job, None);

    let unit = unit.then_at(start.plus_seconds(3 * DAY_S - 1), |_| {}).await;
    let waiting = unit.tried("invoice.finalized", 2).await;
    assert_eq!((waiting.state, waiting.ended_at), (WebhookDeliveryState::Waiting, None));
    assert!(!kinds_of(&fake).contains(&"invoice.paid".to_owned()));

    let over = start.plus_seconds(3 * DAY_S + 7 * HOUR_S);
    let unit = unit.then_at(over, |_| {}).await;
    let ended = unit.tried("invoice.finalized", 3).await;
    assert_eq!((ended.state, ended.ended_at), (WebhookDeliveryState::Failed, Some(over)));
    assert_eq!(ended.why.as_deref(), Some("the endpoint answered 500"));
    unit.tried("invoice.paid", 1).await;
    assert_eq!(kinds_of(&fake).last().map(String::as_str), Some("invoice.paid"));
    let attempts = unit.books.read(|snapshot| Billing.webhook_attempts(snapshot, ended.id, 10));
    let said: Vec<_> = attempts.iter().map(|one| (one.number, one.status, one.tried_at)).collect();
    assert_eq!(said, [(3, Some(500), over), (2, Some(500), start.plus_seconds(3 * DAY_S - 1)), (1, Some(500), start),]);

    // Repeated, it has another three days.
    unit.books.write(move |work| Billing.repeat_webhook_delivery(work, ended.id)).unwrap();
    let again = unit.tried("invoice.finalized", 4).await;
    assert_eq!(again.state, WebhookDeliveryState::Waiting);
    moody.takes_all();
    let unit = unit.then_at(over.plus_seconds(3 * DAY_S - HOUR_S), |_| {}).await;
    let taken = unit.tried("invoice.finalized", 5).await;
    assert_eq!(taken.state, WebhookDeliveryState::Delivered);
    unit.workers.stop(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_forgotten_after_a_month_unless_something_waits() {
    let (_, fake) = Moody::refusing(&["subscription.created"]);
    let start: Time = START.parse().unwrap();
    let unit = Unit::at(tempfile::tempdir().unwrap(), start, |books| begin(books, &fake.origin));
    unit.tried("invoice.paid", 1).await;
    unit.tried("subscription.created", 1).await;
    let unit = unit.then_at(start.plus_seconds(4 * DAY_S), |_| {}).await;
    let refused = unit.tried("subscription.created", 2).await;
    let taken = unit.delivery("invoice.paid");
    assert_eq!(refused.state, WebhookDeliveryState::Failed);
    // Not a moment before.
    let unit = unit.then_at(start.plus_seconds(30 * DAY_S - 1), |_| {}).await;
    until("a sweep", || swept(&unit)).await;
    assert_eq!(unit.events().len(), 4);

    let repeat = move |books: &Books| {
        books.write(move |work| Billing.repeat_webhook_delivery(work, refused.id)).unwrap();
    };
    let unit = unit.then_at(start.plus_seconds(30 * DAY_S + 2 * HOUR_S), repeat).await;
    until("the sweep", || unit.events().len() == 1).await;
    let kept = unit.tried("subscription.created", 3).await;
    assert_eq!(kept.state, WebhookDeliveryState::Waiting);
    let gone = unit.books.read(|snapshot| Billing.webhook_attempts(snapshot, taken.id, 10));
    assert!(gone.is_empty(), "{gone:?}");
    assert_eq!(unit.books.read(|snapshot| Billing.webhook_attempts(snapshot, kept.id, 10)).len(), 3);

    let unit = unit.then_at(start.plus_seconds(34 * DAY_S), |_| {}).await;
    unit.tried("subscription.created", 4).await;
    let unit = unit.then_at(start.plus_seconds(34 * DAY_S + 2 * HOUR_S), |_| {}).await;
    until("the last sweep", || unit.events().is_empty()).await;
    unit.workers.stop(PATIENCE).await;
}

/// Whether this opening has swept: its job has come and is done.
fn swept(unit: &Unit) -> bool {
    use ashlar::platform::jobs::{self, State};
    let all = unit.books.read(|snapshot| jobs::list(snapshot, None, Some("billing.sweep"), None, 1));
    all.first().is_some_and(|job| job.state == State::Done && job.ended_at == Some(unit.books.database.clock().now()))
}

/// A unit that was restored while things waited for a receiver that takes all by now.
struct Restored {
    app: TestApp,
    owner: String,
    endpoint: String,
    fake: Fake,
    books: Books,
    _folders: [TempDir; 2],
}

/// Of one invoice two events wait, one behind the other; of a subscription one, and another has come since the restore.
async fn restored() -> Restored {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let all = ["subscription.created", "invoice.finalized", "payment.recorded"];
    let (moody, fake) = Moody::refusing(&all);
    let folder = folders[0].path();
    let mut app = TestApp::start_in(folder, &[INNER]).await;
    let (_, owner) = app.person("owner@example.org", "owner");
    let (endpoint, _) = listen(&app, &owner, json!({ "url": fake.origin })).await;
    let books = beside(&app);
    books.sell(TEAM);
    let ann = books.account("EUR", "2026-06-01");
    let subscription = books.subscribe(ann, "team", 1).id;
    books.pay(ann, 1200, None);
    fake.wait_for(3, |_| true).await;
    drop(books);
    app.stop();
    let file = folders[1].path().join("unit.db");
    let file = file.to_str().unwrap();
    ashlar_ok(folder, &["backup", "--to", file]);
    ashlar_ok(folder, &["restore", "--from", file]);

    moody.takes_all();
    let app = TestApp::start_in(folder, &[INNER]).await;
    let owner = ashlar_ok(folder, &["user", "token", "--email", "owner@example.org"]).trim().to_owned();
    let books = beside(&app);
    let cancel = Cancellation { when: When::Now, credit: false };
    books.write(move |work| Billing.cancel(work, subscription, &cancel, |_| Ok(()))).unwrap();
    Restored { app, owner, endpoint, fake, books, _folders: folders }
}

impl Restored {
    /// Tries all at once; nothing comes of it.
    async fn must_be_held(&self) {
        let before = self.fake.asked().len();
        for one in deliveries(&self.app, &self.owner, "").await {
            if let Some(job) = one["job"].as_str() {
                self.app.ask(&format!("POST /api/jobs/{job}/retry"), &self.owner, Value::Null).await;
            }
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(self.fake.asked().len(), before);
        let page = send(self.app.page(&format!("/billing/webhooks/{}", self.endpoint), &self.owner)).await;
        page.must_show(&["Nothing is sent at present", "Held since a restore"]);
        send(self.app.page("/billing/webhooks", &self.owner)).await.must_show(&["Nothing is sent at present"]);
    }

    async fn release(&self, discard: bool) -> usize {
        let before = self.fake.asked().len();
        let released = self.app.ask("POST /api/outbox/release", &self.owner, json!({ "discard": discard })).await;
        assert_eq!(released.status, 200, "{}", released.text);
        before
    }
}

#[tokio::test]
async fn what_waited_at_a_restore_is_held_and_then_sent_in_order() {
    let unit = restored().await;
    unit.must_be_held().await;

    let before = unit.release(false).await;

    unit.fake.wait_for(before + 5, |_| true).await;
    let told = kinds_of(&unit.fake).split_off(before);
    let place = |kind: &str| told.iter().position(|one| one == kind).unwrap_or_else(|| panic!("no {kind}: {told:?}"));
    assert!(place("invoice.finalized") < place("invoice.paid"));
    assert!(place("subscription.created") < place("subscription.cancelled"));
    let page = send(unit.app.page(&format!("/billing/webhooks/{}", unit.endpoint), &unit.owner)).await;
    page.must_not_show(&["Nothing is sent at present"]);
}

#[tokio::test]
async fn what_waited_at_a_restore_can_be_discarded_whole_and_what_has_come_since_is_sent() {
    let unit = restored().await;
    unit.must_be_held().await;

    let before = unit.release(true).await;

    unit.fake.wait_for(before + 1, |_| true).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(kinds_of(&unit.fake).split_off(before), ["subscription.cancelled"]);
    for one in deliveries(&unit.app, &unit.owner, "&state=failed").await {
        assert!(one["why"].as_str().unwrap().contains("restored"), "{one}");
    }
    assert_eq!(deliveries(&unit.app, &unit.owner, "&state=failed").await.len(), 4);
    assert!(deliveries(&unit.app, &unit.owner, "&state=waiting").await.is_empty());
    drop(unit.books);
}

#[tokio::test]
async fn whose_job_is_discarded_is_not_sent_but_what_comes_behind_it_is() {
    let app = TestApp::start_with(&[INNER]).await;
    let (_, owner) = app.person("owner@example.org", "owner");
    let fake = receiver(&[]);
    let pause = async |paused: bool| {
        let answer = app.ask("PATCH /api/job-kinds/billing.webhook", &owner, json!({ "paused": paused })).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    };
    pause(true).await;
    let kinds = json!(["invoice.finalized", "invoice.paid"]);
    listen(&app, &owner, json!({ "url": fake.origin, "event_types": kinds })).await;
    let books = beside(&app);
    books.sell(TEAM);
    let ann = books.account("EUR", "2026-06-01");
    books.subscribe(ann, "team", 1);
    books.pay(ann, 1200, None);
    let first = deliveries(&app, &owner, "").await.pop().unwrap();
    let job = first["job"].as_str().unwrap();
    assert_eq!(app.ask(&format!("DELETE /api/jobs/{job}"), &owner, Value::Null).await.status, 204);
    let page = format!("/billing/deliveries/{}", first["id"].as_str().unwrap());
    send(app.page(&page, &owner)).await.must_show(&["Its job was discarded"]);

    pause(false).await;
    drop(books);
    let books = beside(&app);
    books.write(|work| ashlar::platform::jobs::enqueue(work, &Sweep)).unwrap();

    let told = fake.wait_for(1, |_| true).await;
    assert_eq!(kind_of(&told[0]), "invoice.paid");
    send(app.page(&page, &owner)).await.must_show(&[">Given up<", "Its job was discarded", ">Repeat<"]);
}

/// The job that the clock asks for every hour.
#[derive(serde::Serialize, serde::Deserialize)]
struct Sweep;

impl ashlar::platform::jobs::Payload for Sweep {
    const KIND: &'static str = "billing.sweep";
}
