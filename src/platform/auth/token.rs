//! Tokens: 256 random bits, given out once and kept only as a hash.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::platform::error::{Error, Result};

/// What a session, an API client or a one-time link is known by. Whoever has it is let in.
#[derive(Clone)]
pub struct Token([u8; 32]);

impl Token {
    pub fn new() -> Result<Token> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(|e| Error::internal("drawing a token", e))?;
        Ok(Token(bytes))
    }

    /// Reads what [`Token::reveal`] gave out.
    pub fn parse(text: &str) -> Option<Token> {
        if text.len() > 64 {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        bytes.try_into().ok().map(Token)
    }

    /// The token as text, for the one who is to have it. Never log it.
    pub fn reveal(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// What the database keeps. The token is random, so a plain hash can't be guessed back, and finding a row by
    /// it gives away no timing of the token itself.
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.0).into()
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}
