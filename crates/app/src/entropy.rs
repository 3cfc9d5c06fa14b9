//! The one door for random bytes: the operating system's.

use crate::Refusal;
use jobpass_domain::token::RANDOM;

/// Random bytes for one token. A machine without randomness mints nothing.
pub(crate) fn token_bytes() -> Result<[u8; RANDOM], Refusal> {
    bytes()
}

/// A key to seal with.
pub(crate) fn key() -> Result<[u8; 32], Refusal> {
    bytes()
}

/// A nonce for one sealed answer.
pub(crate) fn nonce() -> Result<[u8; 12], Refusal> {
    bytes()
}

#[expect(clippy::disallowed_methods, reason = "this is the door")]
fn bytes<const N: usize>() -> Result<[u8; N], Refusal> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| Refusal::Internal(format!("no randomness: {error}")))?;
    Ok(bytes)
}
