//! Idempotency-Key: answers kept in the transaction that gave them.

use crate::{Result, Tx, question};
use jobpass_domain::Catalogue;
use jobpass_domain::job_token::JobToken;
use jobpass_domain::token::{Hour, TokenHash};
use sqlx::{PgConnection, PgExecutor};
use time::OffsetDateTime;
use uuid::Uuid;

/// Whose key, for which operation.
#[derive(Clone, Debug)]
pub struct Key<'a> {
    pub caller: Uuid,
    pub operation: &'a str,
    pub key: &'a str,
}

#[derive(Debug)]
pub struct Kept {
    pub fingerprint: Vec<u8>,
    pub sealed_answer: Vec<u8>,
    /// The job token in the answer, whose end ends the replay.
    pub token: Option<(Hour, TokenHash)>,
}

/// Whether no other call with this key is under way; held until the transaction ends.
pub async fn claim(tx: &mut Tx, key: &Key<'_>) -> Result<bool> {
    let name = format!("jobpass.idempotency:{}:{}:{}", key.caller, key.operation, key.key);
    Ok(sqlx::query_scalar!(r#"select pg_try_advisory_xact_lock(hashtextextended($1, 0)) as "claimed!""#, name)
        .fetch_one(tx.on())
        .await?)
}

pub async fn find(db: impl PgExecutor<'_>, key: &Key<'_>, now: OffsetDateTime) -> Result<Option<Kept>> {
    let row = sqlx::query!(
        "select fingerprint, sealed_answer, token_hour, token_hash from idempotency_keys
         where caller_id = $1 and operation = $2 and key = $3 and expires_at > $4",
        key.caller,
        key.operation,
        key.key,
        now
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| {
        let hour = row.token_hour.and_then(|hour| u32::try_from(hour).ok()).map(Hour);
        let hash = row.token_hash.and_then(|hash| hash.try_into().ok()).map(TokenHash);
        Kept { fingerprint: row.fingerprint, sealed_answer: row.sealed_answer, token: hour.zip(hash) }
    }))
}

/// The job token in a kept answer, as it is now.
pub async fn token(db: &mut PgConnection, kept: &Kept) -> Result<Option<JobToken>> {
    let Some((hour, hash)) = kept.token else { return Ok(None) };
    let loaded = question::load(db, hour, hash, None, &Catalogue::default()).await?;
    Ok(loaded.token.map(|known| known.token))
}

pub async fn keep(tx: &mut Tx, key: &Key<'_>, kept: &Kept, expires_at: OffsetDateTime) -> Result<()> {
    let now = tx.now();
    sqlx::query!(
        "insert into idempotency_keys (caller_id, operation, key, fingerprint, sealed_answer, token_hour, token_hash, created_at, expires_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         on conflict (caller_id, operation, key) do update
         set fingerprint = excluded.fingerprint, sealed_answer = excluded.sealed_answer, token_hour = excluded.token_hour,
             token_hash = excluded.token_hash, created_at = excluded.created_at, expires_at = excluded.expires_at",
        key.caller,
        key.operation,
        key.key,
        kept.fingerprint,
        kept.sealed_answer,
        kept.token.map(|(hour, _)| i32::try_from(hour.0).unwrap_or(i32::MAX)),
        kept.token.as_ref().map(|(_, hash)| &hash.0[..]),
        now,
        expires_at
    )
    .execute(tx.on())
    .await?;
    Ok(())
}
