//! What all modules share. It knows no module.

pub mod actor;
pub mod addresses;
pub mod audit;
pub mod auth;
pub mod backup;
pub mod bucket;
pub mod bytes;
pub mod clock;
pub mod config;
pub mod costs;
pub mod db;
pub mod error;
pub mod files;
pub mod http;
pub mod ids;
pub mod jobs;
pub mod mail;
pub mod metering;
pub mod module;
pub mod money;
pub mod objects;
pub mod outgoing;
pub mod pace;
pub mod replica;
pub mod scratch;
pub mod secret;
pub mod signed;
pub mod telemetry;
pub mod text;
pub mod threads;
pub mod uses;

use std::sync::{Arc, OnceLock};

use auth::{Auth, Caller, Principal, Token};
use config::{MediaLimits, PaymentSettings};
use db::{Database, Snapshot, UnitOfWork};
use error::Result;
use http::page::{self, Viewer};
use http::{Call, Head, ListenerStats, Refusal, Request, Saved, SiteSettings};
use ids::UserId;
use mail::{Mailer, Recipient};
use replica::Replica;
use tokio::sync::watch;
use uses::Uses;

/// Finds who looks at a page, as its head shows them; `app.rs` wires what knows their names.
pub type FindViewer = Arc<dyn Fn(&Snapshot<'_>, &Principal) -> Result<Viewer> + Send + Sync>;

/// Finds where mail to a person goes; none where they are gone. `app.rs` wires what knows their addresses.
pub type FindRecipient = Arc<dyn Fn(&Snapshot<'_>, UserId) -> Result<Option<Recipient>> + Send + Sync>;

/// What every module is handed. Clones share it.
#[derive(Clone)]
pub struct Platform {
    pub database: Database,
    pub auth: Auth,
    pub mailer: Mailer,
    pub site: Arc<SiteSettings>,
    pub nav: Arc<page::Nav>,
    pub viewer: FindViewer,
    pub recipient: FindRecipient,
    /// How browsers reach this server: `https://ashlar.example.org`.
    pub origin: Arc<str>,
    /// The replica, where one is kept.
    pub replica: Arc<OnceLock<Replica>>,
    /// Turns true when the server stops, or makes way for a restored database: what waits for news ends then.
    pub leaving: Arc<watch::Sender<bool>>,
    /// What may be uploaded.
    pub media: MediaLimits,
    /// Where what is uploaded is kept instead of in the database.
    pub media_place: Option<Arc<str>>,
    /// Who uses what another module has.
    pub uses: Arc<dyn Uses>,
    /// Who moves money, and where webhooks may go.
    pub payments: PaymentSettings,
    /// Figures of the listener.
    pub connections: Arc<ListenerStats>,
}

impl Platform {
    /// One snapshot: who asks, whether they may, what they asked for.
    pub async fn read<P, T, F>(&self, name: &'static str, request: &Request<P>, body: F) -> Result<T>
    where
        F: FnOnce(&Snapshot<'_>, &Principal) -> Result<T> + Send + 'static,
        T: Send + 'static,
    {
        self.database.read(name, self.signed_in(request.token()?, body)).await
    }

    /// As [`Platform::read`], with who looks at the page that shows it.
    pub async fn look<P, T, F>(&self, name: &'static str, request: &Request<P>, body: F) -> Result<(Viewer, T)>
    where
        F: FnOnce(&Snapshot<'_>, &Principal) -> Result<T> + Send + 'static,
        T: Send + 'static,
    {
        let viewer = self.viewer.clone();
        self.read(name, request, move |snapshot, who| {
            let content = body(snapshot, who)?;
            Ok((viewer(snapshot, who)?, content))
        })
        .await
    }

    /// A page of the console, with a form on it that may have been refused.
    pub fn show(
        &self,
        head: &Head,
        viewer: &Viewer,
        title: &str,
        refused: &Refusal,
        content: &impl askama::Template,
    ) -> Result<warp::reply::Response> {
        let response = page::console(refused.status(), head, &self.nav, viewer, title, content)?;
        Ok(refused.stamp(response))
    }

    /// As [`Platform::read`], off the threads that serve requests: for reads of a length nobody bounds.
    pub async fn scan<P, T, F>(&self, name: &'static str, request: &Request<P>, body: F) -> Result<T>
    where
        F: FnOnce(&Snapshot<'_>, &Principal) -> Result<T> + Send + 'static,
        T: Send + 'static,
    {
        self.database.scan(name, self.signed_in(request.token()?, body)).await
    }

    /// `body` with who asks, found in its own snapshot.
    fn signed_in<T, F>(&self, token: Token, body: F) -> impl FnOnce(&Snapshot<'_>) -> Result<T> + Send + use<T, F>
    where
        F: FnOnce(&Snapshot<'_>, &Principal) -> Result<T> + Send + 'static,
    {
        let auth = self.auth.clone();
        move |snapshot: &Snapshot<'_>| {
            let who = auth.principal(snapshot, &token)?;
            body(snapshot, &who)
        }
    }

    /// Who asks.
    pub async fn principal<P>(&self, request: &Request<P>) -> Result<Principal> {
        self.read("principal", request, |_, who| Ok(*who)).await
    }

    /// Runs `body` as one unit of work, if whoever asks is still who they were when they were let in.
    pub async fn change<T, F>(&self, name: &'static str, caller: Caller, body: F) -> Result<T>
    where
        F: FnOnce(&UnitOfWork<'_>) -> Result<T> + Send + 'static,
        T: Send + 'static,
    {
        let change = self.still(caller, body);
        self.database.write(name, caller.by, change).await
    }

    /// As [`Platform::change`], once for each `Idempotency-Key`.
    pub async fn write<T, F>(&self, name: &'static str, call: Call, body: F) -> Result<Saved<T>>
    where
        F: FnOnce(&UnitOfWork<'_>) -> Result<T> + Send + 'static,
        T: serde::Serialize + Send + 'static,
    {
        let change = self.still(call.caller, body);
        http::write(&self.database, name, call, change).await
    }

    /// `body` behind a second look at the caller's rights, in the transaction that uses them.
    fn still<T, F>(&self, caller: Caller, body: F) -> impl FnOnce(&UnitOfWork<'_>) -> Result<T> + Send + use<T, F>
    where
        F: FnOnce(&UnitOfWork<'_>) -> Result<T> + Send + 'static,
    {
        let auth = self.auth.clone();
        move |work: &UnitOfWork<'_>| {
            auth.must_still_be(work, &caller)?;
            body(work)
        }
    }
}
