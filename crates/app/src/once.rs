//! Idempotency-Key: a POST that creates is carried out once, and its answer is given again.
//!
//! The answer may hold a secret, so it is kept only sealed, under a key derived from the caller's own
//! credential and the Idempotency-Key; the database holds neither.

use crate::{App, Conflict, Refusal, entropy};
use chacha20poly1305::aead::{Aead, KeyInit};
use chacha20poly1305::{ChaCha20Poly1305, Key, Nonce};
use jobpass_domain::job_token::JobToken;
use jobpass_domain::token::{Hour, Kind, Parsed, TokenHash};
use jobpass_persistence::Tx;
use jobpass_persistence::idempotency::{self, Kept};
use sha2::{Digest, Sha256};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

/// How long an answer is kept when no token's life says otherwise.
const KEPT: Duration = Duration::hours(24);

/// An answer as it goes out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// The entity tag of what was made, without the quotes.
    pub etag: Option<String>,
    pub body: Vec<u8>,
}

/// An Idempotency-Key with the request that it came with.
pub struct Once {
    operation: &'static str,
    key: String,
    fingerprint: [u8; 32],
    seal: ChaCha20Poly1305,
}

impl std::fmt::Debug for Once {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Once").field("operation", &self.operation).finish_non_exhaustive()
    }
}

/// How long an answer can be given again.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Life {
    /// The job token in the answer, whose end ends the replay.
    pub(crate) token: Option<(Hour, TokenHash, OffsetDateTime)>,
}

impl Once {
    /// `credential`: the text that the caller presented; `path` and `request`: what it is about, and the body as
    /// it was read. The same body sent for another project is another request.
    pub fn new(operation: &'static str, key: &str, credential: &str, path: &str, request: &[u8]) -> Once {
        // The credential is 256 random bits: one hash is a key derivation, and stretching would add nothing.
        let sealing = digest(&[b"jobpass idempotency v1", credential.as_bytes(), key.as_bytes()]);
        Once {
            operation,
            key: key.to_owned(),
            fingerprint: digest(&[operation.as_bytes(), path.as_bytes(), request]),
            seal: ChaCha20Poly1305::new(&Key::from(sealing)),
        }
    }

    fn key(&self, caller: Uuid) -> idempotency::Key<'_> {
        idempotency::Key { caller, operation: self.operation, key: &self.key }
    }

    /// A random nonce, then the sealed answer.
    fn seal(&self, answer: &Rendered) -> Result<Vec<u8>, Refusal> {
        let mut plain = answer.etag.clone().unwrap_or_default().into_bytes();
        plain.push(b'\n');
        plain.extend_from_slice(&answer.body);
        let nonce = entropy::nonce()?;
        let sealed = self.seal.encrypt(&Nonce::from(nonce), plain.as_slice());
        let sealed = sealed.map_err(|_| Refusal::Internal("could not seal an answer".to_owned()))?;
        Ok([nonce.as_slice(), &sealed].concat())
    }

    fn open(&self, kept: &[u8]) -> Result<Rendered, Refusal> {
        let (nonce, sealed) = kept.split_first_chunk().ok_or(Conflict::SealedByOtherCredential)?;
        let plain = self.seal.decrypt(&Nonce::from(*nonce), sealed).map_err(|_| Conflict::SealedByOtherCredential)?;
        let end = plain.iter().position(|byte| *byte == b'\n').unwrap_or(0);
        let (etag, body) = plain.split_at(end);
        let etag = String::from_utf8_lossy(etag).into_owned();
        Ok(Rendered { etag: (!etag.is_empty()).then_some(etag), body: body.get(1..).unwrap_or_default().to_vec() })
    }
}

fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

impl App {
    /// What was answered to this request before. It is looked for before the request is weighed anew: what it says may
    /// have been good then and be refused by now.
    pub(crate) async fn replayed(&self, once: Option<&Once>, caller: Uuid) -> Result<Option<Rendered>, Refusal> {
        let Some(once) = once else { return Ok(None) };
        let (db, now) = (self.db.read(), self.now());
        let Some(kept) = idempotency::find(db, &once.key(caller), now).await? else { return Ok(None) };
        let token = match kept.token {
            Some((hour, hash)) => {
                self.load_anew(Some(&Parsed { kind: Kind::Job, hash, hour }), None, true).await?.value.token
            }
            None => None,
        };
        replay(once, &kept, token.as_ref().map(|known| &known.token), now).map(Some)
    }
}

/// Answers again what was answered before, or else does the work and keeps its answer, in this transaction.
pub(crate) async fn once(
    tx: &mut Tx,
    once: Option<&Once>,
    caller: Uuid,
    work: impl AsyncFnOnce(&mut Tx) -> Result<(Rendered, Life), Refusal>,
) -> Result<Rendered, Refusal> {
    let Some(once) = once else { return Ok(work(tx).await?.0) };
    let key = once.key(caller);
    if !idempotency::claim(tx, &key).await? {
        return Err(Conflict::RequestInFlight.into());
    }
    let now = tx.now();
    if let Some(kept) = idempotency::find(tx.on(), &key, now).await? {
        tx.nothing_to_audit();
        let token = idempotency::token(tx.on(), &kept).await?;
        return replay(once, &kept, token.as_ref(), now);
    }
    let (answer, life) = work(tx).await?;
    let kept = Kept {
        fingerprint: once.fingerprint.to_vec(),
        sealed_answer: once.seal(&answer)?,
        token: life.token.map(|(hour, hash, _)| (hour, hash)),
    };
    let expires_at = life.token.map_or(tx.now() + KEPT, |(_, _, at)| at);
    idempotency::keep(tx, &key, &kept, expires_at).await?;
    Ok(answer)
}

/// `token`: the job token in the answer, as it is now.
fn replay(once: &Once, kept: &Kept, token: Option<&JobToken>, now: OffsetDateTime) -> Result<Rendered, Refusal> {
    if kept.fingerprint != once.fingerprint {
        return Err(Refusal::KeyReused);
    }
    if kept.token.is_some() && token.is_none_or(|token| token.death(now).is_some()) {
        return Err(Conflict::ReplayedTokenDead.into());
    }
    once.open(&kept.sealed_answer)
}
