//! The keys that sign ID tokens. What is sealed is opened elsewhere.

use crate::error::stored;
use crate::{Result, Tx};
use jobpass_domain::ids::SigningKeyId;
use jobpass_domain::signing_key::{LONGEST_TOKEN, SKEW, SigningAlgorithm, SigningKey};
use sqlx::PgExecutor;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

/// How long a revoked key is told of.
const REMEMBERED: Duration = Duration::days(30);

/// A private key under a key of its own, which is sealed under the instance's encryption key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedKey {
    pub wrapped_key: Vec<u8>,
    pub sealed: Vec<u8>,
}

#[derive(Clone, Debug)]
pub struct StoredKey {
    pub key: SigningKey,
    /// `None`: it is revoked.
    pub sealed: Option<SealedKey>,
}

/// Whoever changes keys, makes the first ones among them, does so one after the other.
pub async fn lock(tx: &mut Tx) -> Result<()> {
    sqlx::query!("select pg_advisory_xact_lock(hashtextextended('jobpass.signing_keys', 0))").execute(tx.on()).await?;
    Ok(())
}

struct Row {
    id: Uuid,
    kid: String,
    algorithm: String,
    wrapped_key: Option<Vec<u8>>,
    sealed: Option<Vec<u8>>,
    published_at: OffsetDateTime,
    signs_from: OffsetDateTime,
    signs_until: Option<OffsetDateTime>,
    revoked_at: Option<OffsetDateTime>,
}

impl Row {
    fn into_stored(self) -> Result<StoredKey> {
        let Row { kid, published_at, signs_from, signs_until, revoked_at, .. } = self;
        let (id, algorithm) = (SigningKeyId(self.id), stored(SigningAlgorithm::named(&self.algorithm))?);
        let sealed = self.wrapped_key.zip(self.sealed);
        Ok(StoredKey {
            key: SigningKey { id, kid, algorithm, published_at, signs_from, signs_until, revoked_at },
            sealed: sealed.map(|(wrapped_key, sealed)| SealedKey { wrapped_key, sealed }),
        })
    }
}

/// All that are left, oldest first.
pub async fn list(db: impl PgExecutor<'_>) -> Result<Vec<StoredKey>> {
    let rows = sqlx::query_as!(
        Row,
        "select id, kid, algorithm, wrapped_key, sealed, published_at, signs_from, signs_until, revoked_at
         from signing_keys order by id"
    );
    rows.fetch_all(db).await?.into_iter().map(Row::into_stored).collect()
}

pub async fn insert(tx: &mut Tx, key: &SigningKey, sealed: &SealedKey) -> Result<()> {
    sqlx::query!(
        "insert into signing_keys (id, kid, algorithm, wrapped_key, sealed, published_at, signs_from, signs_until)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
        key.id.0,
        key.kid,
        key.algorithm.name(),
        sealed.wrapped_key,
        sealed.sealed,
        key.published_at,
        key.signs_from,
        key.signs_until
    )
    .execute(tx.on())
    .await?;
    Ok(())
}

/// When it signs: `until` `None`: until it has a successor.
pub async fn set_span(
    tx: &mut Tx,
    id: SigningKeyId,
    from: OffsetDateTime,
    until: Option<OffsetDateTime>,
) -> Result<()> {
    sqlx::query!("update signing_keys set signs_from = $2, signs_until = $3 where id = $1", id.0, from, until)
        .execute(tx.on())
        .await?;
    Ok(())
}

/// What was sealed is gone with it.
pub async fn revoke(tx: &mut Tx, id: SigningKeyId) -> Result<()> {
    let now = tx.now();
    sqlx::query!("update signing_keys set revoked_at = $2, wrapped_key = null, sealed = null where id = $1", id.0, now)
        .execute(tx.on())
        .await?;
    Ok(())
}

/// Whether it may sign: held until the transaction ends, so that a revocation waits for what is being signed, or is seen.
pub async fn hold_live(tx: &mut Tx, id: SigningKeyId) -> Result<bool> {
    let live = sqlx::query!("select id from signing_keys where id = $1 and revoked_at is null for share", id.0);
    Ok(live.fetch_optional(tx.on()).await?.is_some())
}

/// Forgets those of which nothing is left that they signed, and those that were revoked long ago.
pub(crate) async fn drop_over(db: impl PgExecutor<'_>, now: OffsetDateTime) -> Result<()> {
    let (retired, revoked) = (now - LONGEST_TOKEN - SKEW, now - REMEMBERED);
    sqlx::query!(
        "delete from signing_keys where revoked_at is null and signs_until <= $1 or revoked_at <= $2",
        retired,
        revoked
    )
    .execute(db)
    .await?;
    Ok(())
}
