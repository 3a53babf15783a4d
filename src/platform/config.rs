//! Settings: flags over `ASHLAR_*` variables over `DIR/ashlar.toml` over defaults.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use super::addresses::Network;
use super::auth::AttemptLimits;
use super::backup::{BackupSettings, Every, Keep, Packing, Recipient};
use super::bytes::Bytes;
use super::db::Tuning;
use super::error::{Error, Result};
use super::http::{Limits, Proxies, SiteSettings};
use super::mail::{MailSettings, SecretUrl};
use super::outgoing::Reach;
use super::replica::Schedule;
use super::secret::Secret;

/// Long enough for a busy machine, short enough for whoever waits after a worker has died.
const JOB_LEASE: Duration = Duration::from_secs(60);
/// The finest step of the history.
const COSTS_EVERY: Every = Every(Some(Duration::from_secs(60)));

/// What can be set, each by flag, variable or file; nothing must be.
#[derive(Debug, Clone, Default, Deserialize, clap::Args)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Where to listen for HTTP [default: 127.0.0.1:8080]
    #[arg(long, env = "ASHLAR_LISTEN", value_name = "ADDRESS:PORT")]
    pub listen: Option<SocketAddr>,

    /// Where to serve /metrics without a token, for Prometheus on the same machine [default: nowhere]
    #[arg(long, env = "ASHLAR_METRICS_LISTEN", value_name = "ADDRESS:PORT")]
    pub metrics_listen: Option<SocketAddr>,

    /// How browsers reach this server, where a proxy stands before it [default: http:// and the listening address]
    #[arg(long, env = "ASHLAR_PUBLIC_ORIGIN", value_name = "https://NAME")]
    pub public_origin: Option<String>,

    /// Proxies whose X-Forwarded-For is believed, separated by commas [default: none]
    #[arg(long, env = "ASHLAR_TRUSTED_PROXIES", value_name = "NETWORK,…", value_delimiter = ',')]
    pub trusted_proxies: Option<Vec<Network>>,

    /// What to log: error, warn, info, debug, or by part (info,ashlar::platform::http=debug) [default: info]
    #[arg(long, env = "ASHLAR_LOG", value_name = "LEVEL")]
    pub log: Option<String>,

    /// Connections at once, within what the system allows [default: 4096]
    #[arg(long, env = "ASHLAR_MAX_CONNECTIONS", value_name = "N")]
    pub max_connections: Option<usize>,

    /// Connections at once from one address; trusted proxies are free of it [default: 1024]
    #[arg(long, env = "ASHLAR_MAX_CONNECTIONS_PER_ADDRESS", value_name = "N")]
    pub max_connections_per_address: Option<usize>,

    /// Connections that read the database [default: 4]
    #[arg(long, env = "ASHLAR_READERS", value_name = "N")]
    pub readers: Option<NonZeroU32>,

    /// Writes that are committed together, at most [default: 512]
    #[arg(long, env = "ASHLAR_MAX_GROUP", value_name = "N")]
    pub max_group: Option<NonZeroU32>,

    /// Where every change is copied to within a second: file:///PATH, s3://BUCKET/PREFIX, or `external` beside a Litestream
    /// sidecar [default: nowhere]
    #[arg(long, env = "ASHLAR_REPLICA", value_name = "URL")]
    pub replica: Option<String>,

    /// Milliseconds between two increments of the replica [default: 1000]
    #[arg(long, env = "ASHLAR_REPLICA_INTERVAL_MS", value_name = "N")]
    pub replica_interval_ms: Option<NonZeroU32>,

    /// How far back states can be restored from the replica: 30 days, or off for as far as it goes [default: 7 days]
    #[arg(long, env = "ASHLAR_REPLICA_KEEP", value_name = "TIME")]
    pub replica_keep: Option<Every>,

    /// Sign-ins a minute from one address [default: 60]
    #[arg(long, env = "ASHLAR_SIGN_INS_PER_ADDRESS", value_name = "N")]
    pub sign_ins_per_address: Option<NonZeroU32>,

    /// Sign-ins a minute to one account [default: 10]
    #[arg(long, env = "ASHLAR_SIGN_INS_PER_ACCOUNT", value_name = "N")]
    pub sign_ins_per_account: Option<NonZeroU32>,

    /// Sign-ups a minute from one address [default: 60]
    #[arg(long, env = "ASHLAR_SIGN_UPS_PER_ADDRESS", value_name = "N")]
    pub sign_ups_per_address: Option<NonZeroU32>,

    /// How often a backup is made: 12 hours, or off [default: 1 day]
    #[arg(long, env = "ASHLAR_BACKUP_EVERY", value_name = "TIME")]
    pub backup_every: Option<Every>,

    /// Where backups are kept; it must exist [default: DIR/backups, which is made]
    #[arg(long, env = "ASHLAR_BACKUP_FOLDER", value_name = "FOLDER")]
    pub backup_folder: Option<PathBuf>,

    /// Days of which the last backup is kept [default: 7]
    #[arg(long, env = "ASHLAR_BACKUP_KEEP_DAILY", value_name = "N")]
    pub backup_keep_daily: Option<u32>,

    /// Weeks of which the last backup is kept [default: 4]
    #[arg(long, env = "ASHLAR_BACKUP_KEEP_WEEKLY", value_name = "N")]
    pub backup_keep_weekly: Option<u32>,

    /// Months of which the last backup is kept [default: 12]
    #[arg(long, env = "ASHLAR_BACKUP_KEEP_MONTHLY", value_name = "N")]
    pub backup_keep_monthly: Option<u32>,

    /// Whether backups are compressed with zstd [default: false]
    #[arg(long, env = "ASHLAR_BACKUP_COMPRESS", value_name = "true|false")]
    pub backup_compress: Option<bool>,

    /// Whom backups are encrypted for, separated by commas: public keys of `age-keygen` [default: nobody]
    #[arg(long, env = "ASHLAR_BACKUP_RECIPIENTS", value_name = "age1…,…", value_delimiter = ',')]
    pub backup_recipients: Option<Vec<Recipient>>,

    /// How often the newest backup is restored for a trial: 30 days, or off [default: 7 days]
    #[arg(long, env = "ASHLAR_DRILL_EVERY", value_name = "TIME")]
    pub drill_every: Option<Every>,

    /// How long a job is its worker's without a word from it [default: 1 minute]
    #[arg(long, env = "ASHLAR_JOB_LEASE", value_name = "TIME")]
    pub job_lease: Option<Every>,

    /// How often it is written down what each module costs, or off; a crash loses as much [default: 1 minute]
    #[arg(long, env = "ASHLAR_COSTS_EVERY", value_name = "TIME")]
    pub costs_every: Option<Every>,

    /// The largest file that may be uploaded [default: 1 GiB]
    #[arg(long, env = "ASHLAR_MEDIA_MAX_SIZE", value_name = "SIZE")]
    pub media_max_size: Option<Bytes>,

    /// All files of a person together, at most [default: 4 GiB]
    #[arg(long, env = "ASHLAR_MEDIA_QUOTA", value_name = "SIZE")]
    pub media_quota: Option<Bytes>,

    /// How long an upload is waited for that does not go on [default: 1 day]
    #[arg(long, env = "ASHLAR_MEDIA_UPLOAD_KEEP", value_name = "TIME")]
    pub media_upload_keep: Option<Every>,

    /// Where uploaded files are kept instead of in the database: file:///PATH or s3://BUCKET/PREFIX; `ashlar media move`
    /// brings those there that are elsewhere [default: the database]
    #[arg(long, env = "ASHLAR_MEDIA_PLACE", value_name = "URL")]
    pub media_place: Option<String>,

    /// The server that takes our mail: smtps://USER:PASSWORD@HOST for TLS, smtp://USER:PASSWORD@HOST:587 for STARTTLS; to
    /// this machine smtp:// is plain, elsewhere with ?tls=none. It bears a password, which is never logged nor shown: set it
    /// in the file or by the variable, since flags show in lists of processes [default: mail is kept and shown in the outbox]
    #[arg(long, env = "ASHLAR_SMTP_URL", value_name = "URL", hide_env_values = true)]
    pub smtp_url: Option<SecretUrl>,

    /// From whom mail comes: 'Ashlar <ashlar@example.org>' [default: nobody; smtp_url needs it]
    #[arg(long, env = "ASHLAR_MAIL_FROM", value_name = "ADDRESS")]
    pub mail_from: Option<String>,

    /// The secret key of a Stripe account, which charges cards: sk_live_…. It is never logged nor shown: set it in the file or
    /// by the variable [default: no cards are charged]
    #[arg(long, env = "ASHLAR_STRIPE_SECRET_KEY", value_name = "KEY", hide_env_values = true)]
    pub stripe_secret_key: Option<Secret>,

    /// What Stripe signs its webhooks to /api/billing/webhooks/stripe with: whsec_… [default: none; stripe_secret_key needs it]
    #[arg(long, env = "ASHLAR_STRIPE_WEBHOOK_SECRET", value_name = "SECRET", hide_env_values = true)]
    pub stripe_webhook_secret: Option<Secret>,

    /// Where Stripe is [default: https://api.stripe.com]
    #[arg(long, env = "ASHLAR_STRIPE_API", value_name = "URL")]
    pub stripe_api: Option<String>,

    /// Whether our webhooks may go to addresses of inner networks and this machine, and without TLS [default: false]
    #[arg(long, env = "ASHLAR_WEBHOOKS_TO_INNER_NETWORKS", value_name = "true|false")]
    pub webhooks_to_inner_networks: Option<bool>,

    /// The largest backup that may be uploaded to be restored [default: 4 GiB]
    #[arg(long, env = "ASHLAR_MAX_RESTORE_UPLOAD", value_name = "SIZE")]
    pub max_restore_upload: Option<Bytes>,
}

/// Settings as they hold.
#[derive(Debug, Clone)]
pub struct Settings {
    pub listen: SocketAddr,
    pub metrics_listen: Option<SocketAddr>,
    pub site: Arc<SiteSettings>,
    pub log: String,
    pub max_connections: usize,
    pub max_connections_per_address: usize,
    pub attempts: AttemptLimits,
    pub database: Tuning,
    pub replica: ReplicaSettings,
    pub backups: BackupSettings,
    pub job_lease: Duration,
    pub costs_every: Every,
    pub media: MediaLimits,
    /// Where files are kept instead of in the database.
    pub media_place: Option<Arc<str>>,
    pub mail: MailSettings,
    pub payments: PaymentSettings,
    pub max_restore_upload: Bytes,
}

/// Who moves money, and where webhooks may go.
#[derive(Debug, Clone)]
pub struct PaymentSettings {
    pub stripe: Option<StripeSettings>,
    pub webhooks: Reach,
}

#[derive(Debug, Clone)]
pub struct StripeSettings {
    pub secret_key: Secret,
    pub webhook_secret: Secret,
    /// `https://api.stripe.com`
    pub api: String,
}

impl StripeSettings {
    /// # Errors
    /// If one of the two secrets is missing.
    fn parse(key: Option<Secret>, webhook: Option<Secret>, api: Option<String>) -> Result<Option<StripeSettings>> {
        let given = |secret: Option<Secret>| secret.filter(|secret| !secret.reveal().is_empty());
        let api = api.unwrap_or_else(|| "https://api.stripe.com".into()).trim_end_matches('/').to_owned();
        match (given(key), given(webhook)) {
            (None, None) => Ok(None),
            (Some(secret_key), Some(webhook_secret)) => Ok(Some(StripeSettings { secret_key, webhook_secret, api })),
            _ => Err(Error::Internal(
                "of stripe_secret_key and stripe_webhook_secret one is set, and the other is not: Stripe needs both, or \
                 paid invoices would not be known as paid"
                    .into(),
            )),
        }
    }
}

/// How much may be uploaded, and whether it stays in the database.
#[derive(Debug, Clone, Copy)]
pub struct MediaLimits {
    /// One file, at most.
    pub max_size: Bytes,
    /// All files of a person, at most.
    pub quota: Bytes,
    /// An upload that does not go on is given up after so long, in seconds.
    pub upload_keep_s: i64,
    /// Contents are moved out of the database once nothing is to be made of them.
    pub is_outside: bool,
}

impl Default for MediaLimits {
    fn default() -> Self {
        MediaLimits { max_size: Bytes(1 << 30), quota: Bytes(4 << 30), upload_keep_s: 24 * 60 * 60, is_outside: false }
    }
}

/// Who copies the database's changes elsewhere.
#[derive(Debug, Clone)]
pub enum ReplicaSettings {
    Nobody,
    /// A Litestream sidecar.
    External,
    Ours {
        url: String,
        schedule: Schedule,
    },
}

impl Settings {
    /// Puts `flags` (clap has read the variables into them) over the file at `path`, where there is one.
    ///
    /// # Errors
    /// If the file can't be read, has an unknown key or a wrong value; the text names it.
    pub fn load(flags: Options, path: &Path) -> Result<Settings> {
        let file: Options = match std::fs::read_to_string(path) {
            Ok(text) => toml::from_str(&text).map_err(|e| wrong_file(path, &text, &e))?,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Options::default(),
            Err(e) => return Err(Error::internal(&format!("reading {}", path.display()), e)),
        };
        let per_minute = |n: u32| NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN);
        let public_origin = flags.public_origin.or(file.public_origin).map(origin).transpose()?;
        let proxies = flags.trusted_proxies.or(file.trusted_proxies).unwrap_or_default();
        let proxies = Proxies(proxies.into_iter().map(|Network(net)| net).collect());
        let schedule = Schedule::default();
        let interval = flags.replica_interval_ms.or(file.replica_interval_ms);
        let keep = flags.replica_keep.or(file.replica_keep);
        let schedule = Schedule {
            interval: interval.map_or(schedule.interval, |ms| Duration::from_millis(ms.get().into())),
            keep: keep.map_or(schedule.keep, |Every(time)| time.unwrap_or(Duration::MAX)),
            ..schedule
        };
        let replica = match flags.replica.or(file.replica) {
            None => ReplicaSettings::Nobody,
            Some(external) if external == "external" => ReplicaSettings::External,
            Some(url) => ReplicaSettings::Ours { url, schedule },
        };
        let (tuning, limits) = (Tuning::default(), Limits::default());
        let keep = Keep::default();
        let backups = BackupSettings {
            every: flags.backup_every.or(file.backup_every).unwrap_or(Every::days(1)),
            folder: flags.backup_folder.or(file.backup_folder),
            keep: Keep {
                daily: flags.backup_keep_daily.or(file.backup_keep_daily).unwrap_or(keep.daily),
                weekly: flags.backup_keep_weekly.or(file.backup_keep_weekly).unwrap_or(keep.weekly),
                monthly: flags.backup_keep_monthly.or(file.backup_keep_monthly).unwrap_or(keep.monthly),
            },
            packing: Packing {
                compress: flags.backup_compress.or(file.backup_compress).unwrap_or(false),
                recipients: flags.backup_recipients.or(file.backup_recipients).unwrap_or_default(),
            },
            drill_every: flags.drill_every.or(file.drill_every).unwrap_or(Every::days(7)),
        };
        let media_place = flags.media_place.or(file.media_place).map(|place| Arc::from(place.trim_end_matches('/')));
        let from = flags.mail_from.or(file.mail_from);
        let mail = MailSettings::parse(flags.smtp_url.or(file.smtp_url), from.as_deref())?;
        Ok(Settings {
            listen: flags.listen.or(file.listen).unwrap_or(SocketAddr::from(([127, 0, 0, 1], 8080))),
            metrics_listen: flags.metrics_listen.or(file.metrics_listen),
            site: Arc::new(SiteSettings { public_origin, proxies }),
            log: flags.log.or(file.log).unwrap_or_else(|| "info".into()),
            max_connections: flags.max_connections.or(file.max_connections).unwrap_or(limits.max_connections),
            max_connections_per_address: flags
                .max_connections_per_address
                .or(file.max_connections_per_address)
                .unwrap_or(limits.max_connections_per_address),
            database: Tuning {
                readers: flags.readers.or(file.readers).map_or(tuning.readers, NonZeroU32::get),
                max_group: flags.max_group.or(file.max_group).map_or(tuning.max_group, |n| n.get() as usize),
                ..tuning
            },
            replica,
            backups,
            media: {
                let limits = MediaLimits::default();
                let keep = flags.media_upload_keep.or(file.media_upload_keep).and_then(|Every(time)| time);
                MediaLimits {
                    max_size: flags.media_max_size.or(file.media_max_size).unwrap_or(limits.max_size),
                    quota: flags.media_quota.or(file.media_quota).unwrap_or(limits.quota),
                    upload_keep_s: keep.map_or(limits.upload_keep_s, |keep| keep.as_secs() as i64),
                    is_outside: media_place.is_some(),
                }
            },
            media_place,
            mail,
            payments: PaymentSettings {
                stripe: StripeSettings::parse(
                    flags.stripe_secret_key.or(file.stripe_secret_key),
                    flags.stripe_webhook_secret.or(file.stripe_webhook_secret),
                    flags.stripe_api.or(file.stripe_api),
                )?,
                webhooks: match flags.webhooks_to_inner_networks.or(file.webhooks_to_inner_networks) {
                    Some(true) => Reach::Anywhere,
                    _ => Reach::Public,
                },
            },
            job_lease: flags.job_lease.or(file.job_lease).and_then(|Every(time)| time).unwrap_or(JOB_LEASE),
            costs_every: flags.costs_every.or(file.costs_every).unwrap_or(COSTS_EVERY),
            max_restore_upload: flags.max_restore_upload.or(file.max_restore_upload).unwrap_or(Bytes(4 << 30)),
            attempts: AttemptLimits {
                sign_in_per_address: flags.sign_ins_per_address.or(file.sign_ins_per_address).unwrap_or(per_minute(60)),
                sign_in_per_account: flags.sign_ins_per_account.or(file.sign_ins_per_account).unwrap_or(per_minute(10)),
                sign_up_per_address: flags.sign_ups_per_address.or(file.sign_ups_per_address).unwrap_or(per_minute(60)),
            },
        })
    }

    /// How browsers reach this server.
    pub fn origin(&self) -> String {
        self.site.public_origin.clone().unwrap_or_else(|| format!("http://{}", self.listen))
    }
}

/// One line that names the place.
fn wrong_file(path: &Path, text: &str, error: &toml::de::Error) -> Error {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let (line, why) = (before.matches('\n').count() + 1, error.message().replace('\n', " "));
    Error::Internal(format!("{} is wrong in line {line}: {why}", path.display()))
}

/// Scheme, host and port, as browsers write an origin.
fn origin(text: String) -> Result<String> {
    let text = text.trim_end_matches('/').to_ascii_lowercase();
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    match host {
        Some(host) if !host.is_empty() && !host.contains(['/', '?', '#', '@', ' ']) => Ok(text),
        _ => Err(Error::Internal(format!("public_origin is `{text}`: write it like https://ashlar.example.org"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_settings_that_the_readme_shows_hold() {
        let readme = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md"));
        let shown = readme.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ashlar.toml");
        std::fs::write(&file, shown).unwrap();

        let settings = Settings::load(Options::default(), &file).unwrap();

        assert_eq!(settings.origin(), "https://ashlar.example.org");
        assert!(settings.site.is_secure());
        assert!(settings.site.proxies.trusts([127, 0, 0, 1].into()));
        assert!(!settings.site.proxies.trusts([127, 0, 0, 2].into()));
    }
}
