//! `Idempotency-Key`: what is asked twice with the same key happens once.
//!
//! The record is written in the savepoint of the effect, so there is never one without the other. Writes go one
//! after another, so a second request in flight simply finds the record of the first.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{ChaCha20Poly1305, Key, Nonce};
use hmac::{Hmac, Mac};
use serde::Serialize;
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::platform::actor::Actor;
use crate::platform::auth::Caller;
use crate::platform::clock::Time;
use crate::platform::db::{self, Database, Tables, UnitOfWork};
use crate::platform::error::{Error, Result};
use crate::platform::ids::UserId;
use crate::sql;

/// How long an answer is kept, in seconds: 24 hours.
const KEPT_S: i64 = 24 * 60 * 60;
const MAX_KEY_BYTES: usize = 255;
/// ChaCha20-Poly1305's (RFC 8439).
const NONCE_BYTES: usize = 12;

/// The key to this owner's tables; no one else can make one.
struct Owner(());

impl db::Owner for Owner {
    const PATH: &'static str = module_path!();
}

/// A key that a client made up for one request and its repetitions.
#[derive(Debug, Clone)]
pub struct IdempotencyKey(Vec<u8>);

impl IdempotencyKey {
    pub fn parse(value: &[u8]) -> Result<Self> {
        if value.is_empty() || value.len() > MAX_KEY_BYTES || !value.iter().all(u8::is_ascii_graphic) {
            return Err(Error::Malformed(format!(
                "`Idempotency-Key` takes 1 to {MAX_KEY_BYTES} visible ASCII characters without spaces"
            )));
        }
        Ok(IdempotencyKey(value.to_vec()))
    }
}

/// A wish for a change: who asks, and under which key.
#[derive(Debug, Clone)]
pub struct Call {
    pub(in crate::platform) caller: Caller,
    key: Option<(IdempotencyKey, String)>,
    body: Vec<u8>,
}

impl Call {
    /// `key` comes with the route it holds for.
    pub fn new(caller: Caller, key: Option<(IdempotencyKey, String)>) -> Self {
        Call { caller, key, body: Vec::new() }
    }

    /// With the body that a repetition must bring again.
    pub fn with_body(mut self, body: &[u8]) -> Self {
        if self.key.is_some() {
            self.body = body.to_vec();
        }
        self
    }
}

impl From<Actor> for Call {
    fn from(by: Actor) -> Self {
        Call::new(by.into(), None)
    }
}

/// What a change gave, or gave when it was asked for first.
#[derive(Debug)]
pub enum Saved<T> {
    Fresh(T),
    /// The first answer's JSON.
    Replayed(Vec<u8>),
}

impl<T> Saved<T> {
    /// The value, for callers that never send a key.
    pub fn fresh(self) -> Result<T> {
        match self {
            Saved::Fresh(value) => Ok(value),
            Saved::Replayed(_) => Err(Error::Internal("an answer was replayed to a caller without a key".into())),
        }
    }
}

/// Runs `body` as one unit of work, or gives the first answer again if this call has been answered before.
///
/// # Errors
/// 422 if the key was used with another body. An error of `body` leaves no record: nothing happened.
pub async fn write<T, F>(database: &Database, name: &'static str, call: Call, body: F) -> Result<Saved<T>>
where
    F: FnOnce(&UnitOfWork<'_>) -> Result<T> + Send + 'static,
    T: Serialize + Send + 'static,
{
    let Call { caller: Caller { by, .. }, key, body: sent } = call;
    let Some((key, route)) = key else {
        return database.write(name, by, body).await.map(Saved::Fresh);
    };
    let keys = Keys::derive(&database.unit().secret, by.user, &route, &key, &sent);
    database
        .write(name, by, move |work| {
            let records = work.tables(Owner(()));
            if let Some((mac, answer)) = find(&records, &keys.id, work.now())? {
                if !bool::from(mac.ct_eq(&keys.body)) {
                    return Err(used_before());
                }
                return keys.open(&answer).map(Saved::Replayed);
            }
            let value = body(work)?;
            let answer = serde_json::to_vec(&value).map_err(|e| Error::internal("writing an answer", e))?;
            insert(&records, &keys, &keys.seal(&answer)?, work.person(), work.now())?;
            Ok(Saved::Fresh(value))
        })
        .await
}

/// The first answer of this call, where it has been given before: for what must not begin twice.
///
/// # Errors
/// As [`write`].
pub async fn replayed(database: &Database, call: &Call) -> Result<Option<Vec<u8>>> {
    let Some((key, route)) = &call.key else { return Ok(None) };
    let keys = Keys::derive(&database.unit().secret, call.caller.by.user, route, key, &call.body);
    let answer = database.read("replayed", move |snapshot| {
        let Some((mac, answer)) = find(&snapshot.tables(Owner(())), &keys.id, snapshot.now())? else { return Ok(None) };
        if !bool::from(mac.ct_eq(&keys.body)) {
            return Err(used_before());
        }
        keys.open(&answer).map(Some)
    });
    answer.await
}

fn used_before() -> Error {
    Error::invalid("Idempotency-Key", "this key was used with another body before")
}

/// Forgets the answers that concern a person; returns how many.
pub fn erase(work: &UnitOfWork<'_>, person: UserId) -> Result<usize> {
    work.tables(Owner(())).execute(sql!("DELETE FROM idempotency_records WHERE person = ?1"), [person])
}

/// Forgets what is too old to be asked for; returns how many.
pub fn sweep(work: &UnitOfWork<'_>) -> Result<usize> {
    let oldest = work.now().plus_seconds(-KEPT_S);
    work.tables(Owner(())).execute(sql!("DELETE FROM idempotency_records WHERE created_at < ?1"), [oldest])
}

fn find(records: &Tables<'_, Owner>, id: &[u8; 32], now: Time) -> Result<Option<([u8; 32], Vec<u8>)>> {
    records.fetch_optional(
        sql!("SELECT body_mac, answer FROM idempotency_records WHERE key_hash = ?1 AND created_at >= ?2"),
        (id, now.plus_seconds(-KEPT_S)),
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
}

fn insert(records: &Tables<'_, Owner>, keys: &Keys, answer: &[u8], person: Option<UserId>, now: Time) -> Result<()> {
    records
        .execute(
            sql!(
                "INSERT INTO idempotency_records (key_hash, body_mac, answer, person, created_at)
                 VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (key_hash) DO UPDATE SET body_mac = ?2, answer = ?3, person = ?4, created_at = ?5"
            ),
            (&keys.id, &keys.body, answer, person, now),
        )
        .map(drop)
}

/// What is derived from a client's key: the key itself is kept nowhere, and without it the answer stays sealed.
struct Keys {
    id: [u8; 32],
    body: [u8; 32],
    seal: [u8; 32],
}

impl Keys {
    fn derive(secret: &[u8; 32], user: Option<UserId>, route: &str, key: &IdempotencyKey, sent: &[u8]) -> Keys {
        let user = user.map_or([0; 16], |user| user.uuid().into_bytes());
        let scope: [&[u8]; 3] = [&user, route.as_bytes(), &key.0];
        let seal = mac(secret, b"idempotency seal", &scope);
        // Under a key that is kept nowhere: bodies hold passwords, and the unit's secret is in every backup.
        let body = mac(&seal, b"idempotency body", &[sent]);
        Keys { id: mac(secret, b"idempotency id", &scope), seal, body }
    }

    /// The sealed answer, behind the nonce it was sealed with.
    fn seal(&self, answer: &[u8]) -> Result<Vec<u8>> {
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(|e| Error::internal("drawing a nonce", e))?;
        let sealed = ChaCha20Poly1305::new(&Key::from(self.seal))
            .encrypt(&Nonce::from(nonce), Payload { msg: answer, aad: &self.id })
            .map_err(|_| Error::Internal("an answer could not be sealed".into()))?;
        Ok([&nonce[..], &sealed].concat())
    }

    fn open(&self, kept: &[u8]) -> Result<Vec<u8>> {
        let broken = || Error::Internal("a kept answer could not be opened".into());
        let (nonce, sealed) = kept.split_first_chunk::<NONCE_BYTES>().ok_or_else(broken)?;
        ChaCha20Poly1305::new(&Key::from(self.seal))
            .decrypt(&Nonce::from(*nonce), Payload { msg: sealed, aad: &self.id })
            .map_err(|_| broken())
    }
}

/// HMAC-SHA-256 over length-prefixed parts, so that no two lists of parts read the same.
fn mac(secret: &[u8; 32], purpose: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    // HMAC takes keys of any length.
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).unwrap_or_else(|_| unreachable!("HMAC takes any key"));
    for part in std::iter::once(&purpose).chain(parts) {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_body_under_two_keys_leaves_nothing_alike() {
        let keys = |key: &[u8]| Keys::derive(&[7; 32], None, "POST /", &IdempotencyKey(key.to_vec()), b"secret");

        let (one, two) = (keys(b"one"), keys(b"two"));

        assert_ne!(one.id, two.id);
        assert_ne!(one.body, two.body);
        assert_ne!(one.seal, two.seal);
    }
}
