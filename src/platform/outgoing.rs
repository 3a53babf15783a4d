//! HTTP requests that go out of the house: within limits of time and size, without redirects and proxies, and to
//! addresses of inner networks only where that is allowed.
//!
//! The resolver itself checks what a name stands for, so a connection can go nowhere but to an address that was checked:
//! a name that changes its mind between the check and the connection gains nothing.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, LazyLock, OnceLock};
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Method, Url};
use tokio::runtime::{Builder, Runtime};

use super::addresses::is_public;
use super::error::{Error, Result};

const CONNECT: Duration = Duration::from_secs(10);
/// From the connection to the last byte of the answer.
const WHOLE: Duration = Duration::from_secs(20);
/// Of an answer, so much is read; the rest is left.
const MAX_ANSWER_BYTES: usize = 512 * 1024;

/// Connections that are kept need somebody to look after them between two requests.
static RUNTIME: LazyLock<std::io::Result<Runtime>> =
    LazyLock::new(|| Builder::new_multi_thread().worker_threads(1).thread_name("outgoing").enable_all().build());

/// Where requests go out. Clones share its connections.
#[derive(Clone)]
pub struct Outgoing {
    reach: Reach,
    client: Arc<OnceLock<Client>>,
}

/// Where they may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// To addresses that anyone can reach, over TLS.
    Public,
    /// Anywhere, this machine included.
    Anywhere,
}

pub struct Asked<'a> {
    pub method: Method,
    pub url: &'a str,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
}

pub struct Answered {
    pub status: u16,
    /// For how long not to come again.
    pub retry_after: Option<Duration>,
    /// What of it was read.
    pub body: Vec<u8>,
}

impl Reach {
    /// What can be told of a target by its name alone.
    ///
    /// # Errors
    /// Why nothing can go there.
    pub fn check(self, url: &str) -> Result<Url, String> {
        let url = Url::parse(url).map_err(|_| "no address: write it like https://example.org/hooks".to_owned())?;
        let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').to_owned();
        match (url.scheme(), self) {
            ("https", _) | ("http", Reach::Anywhere) => {}
            _ => return Err("it must begin with https://".to_owned()),
        }
        if host.is_empty() || !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
            return Err("it must name a host, and no user, password or fragment".to_owned());
        }
        // The resolver never sees an address that stands there as such.
        match host.parse::<IpAddr>() {
            Ok(address) if self == Reach::Public && !is_public(address) => Err(inner(&host)),
            _ => Ok(url),
        }
    }
}

impl Outgoing {
    pub fn new(reach: Reach) -> Outgoing {
        Outgoing { reach, client: Arc::default() }
    }

    /// Sends a request and waits for its answer; for threads that may wait.
    ///
    /// # Errors
    /// Why there was none, without the query, which may bear a secret.
    pub fn send(&self, asked: Asked<'_>) -> Result<Answered, String> {
        let url = self.reach.check(asked.url)?;
        let client = self.client().map_err(|e| e.to_string())?;
        let runtime = RUNTIME.as_ref().map_err(|e| format!("what sends requests could not start: {e}"))?;
        let mut request = client.request(asked.method, url).body(asked.body);
        for (name, value) in asked.headers {
            let value = HeaderValue::from_str(&value).map_err(|_| format!("`{name}` can't be sent"))?;
            request = request.header(HeaderName::from_static(name), value);
        }
        runtime.block_on(async {
            let mut response = request.send().await.map_err(because)?;
            let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
            let mut body = Vec::new();
            while let Some(piece) = response.chunk().await.map_err(because)? {
                let room = MAX_ANSWER_BYTES - body.len();
                body.extend_from_slice(&piece[..piece.len().min(room)]);
                if body.len() == MAX_ANSWER_BYTES {
                    break;
                }
            }
            Ok(Answered { status: response.status().as_u16(), retry_after: retry_after.map(Duration::from_secs), body })
        })
    }

    fn client(&self) -> Result<&Client> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        rustls::crypto::ring::default_provider().install_default().ok(); // Somebody has done it before.
        let client = Client::builder()
            .connect_timeout(CONNECT)
            .timeout(WHOLE)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .dns_resolver(Arc::new(Checked(self.reach)))
            .user_agent(concat!("ashlar/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|e| Error::internal("starting what sends requests", e))?;
        Ok(self.client.get_or_init(|| client))
    }
}

/// Resolves names, and refuses those of which any address is an inner one.
struct Checked(Reach);

impl Resolve for Checked {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = self.0;
        Box::pin(async move {
            let name = name.as_str().to_owned();
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            if reach == Reach::Public && !found.iter().all(|address| is_public(address.ip())) {
                return Err(inner(&name).into());
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

fn inner(host: &str) -> String {
    format!("{host} is an address of an inner network: webhooks_to_inner_networks would allow it")
}

/// The last cause, which says most.
fn because(error: reqwest::Error) -> String {
    if error.is_timeout() {
        return format!("no answer within {} s", WHOLE.as_secs());
    }
    let mut cause: &dyn std::error::Error = &error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn webhooks_go_over_tls_to_public_hosts_only() {
        let public = |url| Reach::Public.check(url).is_ok();

        assert!(public("https://example.org/hooks?a=1") && public("https://1.1.1.1:8443/"));
        for wrong in [
            "http://example.org",
            "ftp://example.org",
            "https://",
            "https://u:p@example.org",
            "https://127.0.0.1",
            "https://[::1]/",
            "https://[::ffff:10.0.0.1]/",
            "https://0x7f.1/",
            "https://2130706433/",
            "https://169.254.169.254/latest/meta-data",
            "nonsense",
        ] {
            assert!(!public(wrong), "{wrong}");
        }
        assert!(Reach::Anywhere.check("http://127.0.0.1:9/").is_ok());
    }

    #[test]
    fn a_name_that_stands_for_an_inner_address_is_refused() {
        let asked = Asked { method: Method::GET, url: "https://localhost/", headers: Vec::new(), body: Vec::new() };

        let refused = Outgoing::new(Reach::Public).send(asked).err().unwrap();

        assert!(refused.contains("inner network"), "{refused}");
    }
}
