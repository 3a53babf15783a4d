//! How often strangers may try to sign in or sign up: per client address and per account.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use crate::platform::addresses::share_of;
use crate::platform::error::{Error, Result};

/// Attempts a minute; as many may come at once.
#[derive(Debug, Clone, Copy)]
pub struct AttemptLimits {
    pub sign_in_per_address: NonZeroU32,
    pub sign_in_per_account: NonZeroU32,
    pub sign_up_per_address: NonZeroU32,
}

/// Mails that one account may have sent to it by whoever asks: so many at once, and then one each so often.
const MAILS_AT_ONCE: NonZeroU32 = NonZeroU32::new(3).unwrap();
const MAIL_EVERY: Duration = Duration::from_secs(10 * 60);

/// After so many attempts, the counts that no longer matter are dropped: what strangers can make us remember is bounded
/// by how fast they may try.
const TIDY_EVERY: u32 = 4096;

/// Counts attempts, in memory: a restart forgives.
pub struct Attempts {
    counted: AtomicU32,
    sign_in_address: DefaultKeyedRateLimiter<IpAddr>,
    sign_in_account: DefaultKeyedRateLimiter<String>,
    sign_up_address: DefaultKeyedRateLimiter<IpAddr>,
    mail_account: DefaultKeyedRateLimiter<String>,
}

impl Attempts {
    pub(super) fn new(limits: AttemptLimits) -> Self {
        Attempts {
            counted: AtomicU32::new(0),
            sign_in_address: RateLimiter::keyed(Quota::per_minute(limits.sign_in_per_address)),
            sign_in_account: RateLimiter::keyed(Quota::per_minute(limits.sign_in_per_account)),
            sign_up_address: RateLimiter::keyed(Quota::per_minute(limits.sign_up_per_address)),
            // A period of nothing would be none.
            mail_account: RateLimiter::keyed(
                Quota::with_period(MAIL_EVERY).unwrap_or(Quota::per_minute(MAILS_AT_ONCE)).allow_burst(MAILS_AT_ONCE),
            ),
        }
    }

    /// Counts an attempt to sign in to `account`, written in the one way that accounts are told apart by; to none where
    /// what was typed can be nobody's. [`Error::Limited`] if there were too many.
    pub fn sign_in(&self, client: IpAddr, account: Option<String>) -> Result<()> {
        self.check(&self.sign_in_address, &share_of(client))?;
        account.map_or(Ok(()), |account| self.check(&self.sign_in_account, &account))
    }

    /// Counts an attempt to prove a password again, by someone who is signed in.
    pub fn prove_again(&self, user: crate::platform::ids::UserId) -> Result<()> {
        self.check(&self.sign_in_account, &user.to_string())
    }

    /// Counts an attempt to sign up, or to use a one-time link.
    pub fn sign_up(&self, client: IpAddr) -> Result<()> {
        self.check(&self.sign_up_address, &share_of(client))
    }

    /// Counts a mail that somebody asks for, to an account that may be theirs; `account` as for [`Attempts::sign_in`].
    pub fn mail(&self, account: &str) -> Result<()> {
        self.check(&self.mail_account, &account.to_owned())
    }

    /// Drops the counts that no longer matter, so that memory stays bounded.
    pub(super) fn forget_old(&self) {
        self.sign_in_address.retain_recent();
        self.sign_in_account.retain_recent();
        self.sign_up_address.retain_recent();
        self.mail_account.retain_recent();
    }

    fn check<K: std::hash::Hash + Eq + Clone>(&self, limiter: &DefaultKeyedRateLimiter<K>, key: &K) -> Result<()> {
        if self.counted.fetch_add(1, Ordering::Relaxed) % TIDY_EVERY == TIDY_EVERY - 1 {
            self.forget_old();
        }
        limiter.check_key(key).map_err(|not_until| {
            let wait = not_until.wait_time_from(DefaultClock::default().now());
            Error::Limited { retry_after_s: wait.as_secs() + 1 }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_strangers_make_us_remember_is_bounded() {
        // At this rate an attempt is forgotten after 10 µs.
        let often = NonZeroU32::new(6_000_000).unwrap();
        let limits =
            AttemptLimits { sign_in_per_address: often, sign_in_per_account: often, sign_up_per_address: often };
        let attempts = Attempts::new(limits);

        for n in 0..50_000_u32 {
            attempts.sign_in(IpAddr::from(n.to_be_bytes()), Some(format!("p{n}@example.org"))).unwrap();
        }

        assert!(attempts.sign_in_account.len() <= TIDY_EVERY as usize, "{}", attempts.sign_in_account.len());
        assert!(attempts.sign_in_address.len() <= TIDY_EVERY as usize, "{}", attempts.sign_in_address.len());
    }
}
