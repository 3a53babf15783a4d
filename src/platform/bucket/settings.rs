//! Where a bucket is and who is let in: from its address and the usual environment variables.

use std::time::Duration;

use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::client::ClientOptions;
use object_store::path::Path;
use object_store::{BackoffConfig, RetryConfig};
use reqwest::header::{HeaderMap, HeaderValue, IF_NONE_MATCH};

use super::Named;
use crate::platform::error::{Error, Result};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// What a connection needs.
pub struct Settings {
    pub bucket: String,
    pub prefix: Path,
    /// `https://s3.eu-central-1.amazonaws.com`
    pub endpoint: String,
    region: String,
    key: String,
    secret: String,
    token: Option<String>,
}

/// What `s3://BUCKET/PREFIX` needs; `what` it is the address of, and `variable` looks up the environment.
///
/// # Errors
/// If the address is none, or a variable is missing or wrong; the text names it.
pub fn read(address: &str, what: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<Settings> {
    let refused = |why: &str| Error::Internal(format!("`{address}` is no {what}: {why}"));
    let (bucket, prefix) = address.strip_prefix("s3://").unwrap_or_default().split_once('/').unwrap_or_else(|| {
        // Without a prefix.
        (address.strip_prefix("s3://").unwrap_or_default(), "")
    });
    let is_in_a_bucket = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '.' || c == '-';
    if bucket.len() < 3 || !bucket.chars().all(is_in_a_bucket) {
        return Err(refused("write s3://BUCKET/PREFIX; a bucket's name has lower-case letters, digits, `-` and `.`"));
    }
    let prefix = Path::parse(prefix).map_err(|_| refused("its prefix has an empty or unusual part"))?;
    if prefix.as_ref().contains('?') {
        return Err(refused("it takes no `?`: the endpoint and the region come from AWS_ENDPOINT_URL and AWS_REGION"));
    }

    let variable = |names: &[&str]| first(names, variable);
    let needed = |names: &[&str]| {
        variable(names)?.ok_or_else(|| Error::Internal(format!("s3://{bucket} needs {}, which is not set", names[0])))
    };
    let endpoint = variable(&["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"])?;
    let region = match variable(&["AWS_REGION", "AWS_DEFAULT_REGION"])? {
        Some(region) => region,
        // Servers other than Amazon's take any; this is the one that they expect.
        None if endpoint.is_some() => "us-east-1".to_owned(),
        None => needed(&["AWS_REGION"])?,
    };
    let endpoint = endpoint.unwrap_or_else(|| format!("https://s3.{region}.amazonaws.com"));
    let may_be_plain = variable(&["AWS_ALLOW_HTTP"])?.is_some_and(|allowed| allowed == "true" || allowed == "1");
    must_be_safe(&endpoint, may_be_plain)?;
    Ok(Settings {
        key: needed(&["AWS_ACCESS_KEY_ID"])?,
        secret: needed(&["AWS_SECRET_ACCESS_KEY"])?,
        token: variable(&["AWS_SESSION_TOKEN"])?,
        bucket: bucket.to_owned(),
        prefix,
        endpoint: endpoint.trim_end_matches('/').to_owned(),
        region,
    })
}

/// The first of these variables that is set to something.
fn first(names: &[&str], variable: &dyn Fn(&str) -> Option<String>) -> Result<Option<String>> {
    let found =
        names.iter().find_map(|name| variable(name).filter(|value| !value.is_empty()).map(|value| (name, value)));
    match found {
        Some((name, value)) if !value.bytes().all(|b| b.is_ascii_graphic()) => {
            Err(Error::Internal(format!("{name} holds a space, a line break or a letter that is not ASCII")))
        }
        found => Ok(found.map(|(_, value)| value)),
    }
}

/// Refuses an endpoint over which anyone on the way could read what is sent.
fn must_be_safe(endpoint: &str, may_be_plain: bool) -> Result<()> {
    let refused = |why: &str| Err(Error::Internal(format!("AWS_ENDPOINT_URL {why}")));
    // Not shown: it may hold a password.
    let Some(url) = endpoint.parse::<reqwest::Url>().ok().filter(|url| url.username().is_empty()) else {
        return refused("is no address: write it as in https://s3.example.org");
    };
    let is_here = match url.host_str() {
        Some("localhost") => true,
        Some(host) => host.trim_matches(['[', ']']).parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback()),
        None => false,
    };
    match url.scheme() {
        "https" => Ok(()),
        "http" if is_here || may_be_plain => Ok(()),
        "http" => refused("is not encrypted: use https, or set AWS_ALLOW_HTTP=true if nobody else can listen"),
        _ => refused("begins neither with https:// nor with http://"),
    }
}

impl Settings {
    /// What messages call it.
    pub fn named(&self) -> Named {
        let shown = match self.prefix.is_root() {
            true => format!("s3://{}", self.bucket),
            false => format!("s3://{}/{}", self.bucket, self.prefix),
        };
        Named { shown, bucket: self.bucket.clone(), endpoint: self.endpoint.clone() }
    }

    /// A client; with `only_new`, one whose every request asks that there be no such object yet.
    pub fn connect(&self, only_new: bool) -> Result<AmazonS3> {
        // The one TLS implementation of this program. If it is chosen already, so much the better.
        rustls::crypto::ring::default_provider().install_default().ok();
        let mut options = ClientOptions::new()
            .with_connect_timeout(CONNECT_TIMEOUT)
            // How long the whole may take depends on its size: `patience` says, and whoever asks sees to it.
            .with_timeout_disabled()
            .with_allow_http(true);
        if only_new {
            let mut headers = HeaderMap::new();
            headers.insert(IF_NONE_MATCH, HeaderValue::from_static("*"));
            options = options.with_default_headers(headers);
        }
        // Whoever calls tries again; this is for a connection that was closed while nobody used it.
        let backoff = BackoffConfig { init_backoff: Duration::from_millis(100), ..BackoffConfig::default() };
        let retry = RetryConfig { backoff, max_retries: 2, retry_timeout: Duration::from_secs(5) };
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&self.bucket)
            .with_endpoint(&self.endpoint)
            .with_region(&self.region)
            .with_access_key_id(&self.key)
            .with_secret_access_key(&self.secret)
            .with_client_options(options)
            .with_allow_http(true)
            .with_retry(retry);
        if let Some(token) = &self.token {
            builder = builder.with_token(token);
        }
        builder.build().map_err(|e| Error::internal(&format!("connecting to s3://{}", self.bucket), e))
    }
}
