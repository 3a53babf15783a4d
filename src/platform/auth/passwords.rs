//! Passwords: rules, and hashing them in a bounded pool of its own.
//!
//! Argon2id with m = 19 MiB, t = 2, p = 1.
//! Source: OWASP Password Storage Cheat Sheet; for the rules NIST SP 800-63B, 3.1.1.2.

use std::sync::Arc;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use tokio::sync::Semaphore;
use unicode_normalization::UnicodeNormalization;

use crate::platform::error::{Error, Result};
use crate::platform::metering::{self, Ticket};

const MIN_CHARS: usize = 12;
const MAX_CHARS: usize = 256;
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// Passwords that may wait to be hashed; more are refused at once.
const MAX_WAITING: usize = 256;
/// Words that common passwords are made of, one a line.
const COMMON: &str = include_str!("common_passwords.txt");

/// A password as somebody typed it; never shown, never logged.
#[derive(Clone)]
pub struct Password(String);

impl Password {
    /// Takes a password that is to be set; [`Error::Invalid`] of `field` if it is too easy to guess.
    pub fn new(text: String, field: &'static str) -> Result<Password> {
        let Password(text) = Password::attempt(text);
        let chars = text.chars().count();
        if chars < MIN_CHARS {
            return Err(Error::invalid(field, format!("too short: {MIN_CHARS} to {MAX_CHARS} characters")));
        }
        if chars > MAX_CHARS {
            return Err(Error::invalid(field, format!("too long: {MIN_CHARS} to {MAX_CHARS} characters")));
        }
        if is_common(&text) {
            return Err(Error::invalid(field, "too common: it would be among the first that are tried"));
        }
        Ok(Password(text))
    }

    /// Takes a password that is to be compared.
    pub fn attempt(text: String) -> Password {
        // Keyboards differ in how they compose `é`; it is the same password.
        Password(text.nfc().collect())
    }
}

/// What the database keeps of a password.
#[derive(Clone)]
pub struct HashedPassword(String);

impl HashedPassword {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Common words, alone or repeated, with digits and signs around; the keyboard's rows; few different characters.
fn is_common(password: &str) -> bool {
    let lower = password.to_lowercase();
    let mut different: Vec<char> = lower.chars().collect();
    different.sort_unstable();
    different.dedup();
    if different.len() < 5 || "01234567890123456789".contains(&*lower) {
        return true;
    }
    let letters: String = lower.chars().filter(|c| c.is_alphabetic()).collect();
    let words = || COMMON.lines().map(str::trim).filter(|word| !word.is_empty());
    letters.is_empty() && lower.chars().filter(char::is_ascii_digit).count() > 8
        || words().any(|word| word == lower)
        || words().any(|word| !letters.is_empty() && letters.replace(word, "").is_empty())
}

/// Hashes on a few threads only, so that sign-ins can't take the machine from everything else.
#[derive(Clone)]
pub(super) struct HashingPool {
    turns: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

impl HashingPool {
    pub fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        HashingPool {
            turns: Arc::new(Semaphore::new(cores.div_ceil(2))),
            waiting: Arc::new(Semaphore::new(MAX_WAITING)),
        }
    }

    pub async fn hash(&self, password: Password) -> Result<HashedPassword> {
        self.run(move || hash(&password)).await
    }

    /// Whether `password` has this hash; where there is none, false after as much work.
    pub async fn verify(&self, hash: Option<String>, password: Password) -> Result<bool> {
        self.run(move || {
            let hash = hash.unwrap_or_else(|| NOBODYS_HASH.to_owned());
            let hash = PasswordHash::new(&hash).map_err(|e| Error::internal("reading a password hash", e))?;
            Ok(hasher()?.verify_password(password.0.as_bytes(), &hash).is_ok())
        })
        .await
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
        let _place =
            self.waiting.try_acquire().map_err(|_| Error::Overloaded("too many passwords are being checked"))?;
        let turn = self.turns.clone().acquire_owned().await.map_err(|e| Error::internal("waiting to hash", e))?;
        let ticket = Ticket::here();
        // The turn goes with the work: a caller who leaves does not make room for one more.
        tokio::task::spawn_blocking(move || {
            let _turn = turn;
            metering::long_in(metering::room("auth"), ticket, work)
        })
        .await
        .map_err(|e| Error::internal("hashing", e))?
    }
}

/// The hash of a password that nobody has, with the parameters of all others.
const NOBODYS_HASH: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5J3Mgc2FsdCE$5lwT3T8pV0o5oB0o9oGX0bXq8yHfZ4H0lPqk3mK9c6A";

pub(super) fn hash(password: &Password) -> Result<HashedPassword> {
    let mut salt = [0_u8; 16];
    getrandom::fill(&mut salt).map_err(|e| Error::internal("drawing a salt", e))?;
    let hash: PasswordHash = hasher()?
        .hash_password_with_salt(password.0.as_bytes(), &salt)
        .map_err(|e| Error::internal("hashing a password", e))?;
    Ok(HashedPassword(hash.to_string()))
}

fn hasher() -> Result<Argon2<'static>> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(|e| Error::internal("Argon2's parameters", e))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_has_12_to_256_characters_of_any_kind() {
        assert!(Password::new("ünïcödé wörd".into(), "password").is_ok());
        assert!(Password::new("elevenchars".into(), "password").is_err());
        assert!(Password::new("correct horse battery".repeat(12), "password").is_ok());
        assert!(Password::new("x7".repeat(129), "password").is_err());
    }

    #[test]
    fn common_ones_are_refused_in_any_dress() {
        for common in [
            "password1234",
            "Password!!!!",
            "passwordpassword",
            "123456789012",
            "qwertyuiop12",
            "aaaaaaaaaaaaa",
            "Welcome12345",
            "iloveyou2024",
            "letmein!!!!!",
            "abcabcabcabc",
            "administrator1",
        ] {
            assert!(Password::new(common.into(), "password").is_err(), "{common}");
        }
        for fine in ["quarry ladder 92 moss", "violet-anvil-tuesday", "zJ4!kPq0Lw9s"] {
            assert!(Password::new(fine.into(), "password").is_ok(), "{fine}");
        }
    }

    #[tokio::test]
    async fn a_hash_admits_its_password_and_no_other() {
        let pool = HashingPool::new();
        let hash = pool.hash(Password::attempt("violet-anvil-tuesday".into())).await.unwrap();

        assert!(hash.as_str().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert!(pool.verify(Some(hash.0.clone()), Password::attempt("violet-anvil-tuesday".into())).await.unwrap());
        assert!(!pool.verify(Some(hash.0), Password::attempt("violet-anvil-wednesday".into())).await.unwrap());
    }

    #[tokio::test]
    async fn nobodys_password_takes_the_work_of_anybodys_and_is_wrong() {
        let nobodys = PasswordHash::new(NOBODYS_HASH).unwrap();

        assert_eq!(nobodys.params.to_string(), "m=19456,t=2,p=1");
        assert!(!HashingPool::new().verify(None, Password::attempt(String::new())).await.unwrap());
    }
}
