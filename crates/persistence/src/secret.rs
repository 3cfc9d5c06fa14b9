//! The live secrets of runners and services: two at a time, by slot.

use crate::{Reads, Result, Tx};
use jobpass_domain::ids::SecretId;
use jobpass_domain::live_secret::{LiveSecret, SecretOwner};
use jobpass_domain::token::TokenHash;
use sqlx::PgExecutor;
use time::OffsetDateTime;

/// Takes a free slot, one whose secret has expired included; answers whether there was one.
pub async fn insert(tx: &mut Tx, owner: SecretOwner, secret: &LiveSecret, hash: TokenHash) -> Result<bool> {
    sqlx::query!(
        "delete from secrets where (runner_id = $1 or service_id = $2) and expires_at <= $3",
        owner.runner_id(),
        owner.service_id(),
        secret.created_at
    )
    .execute(tx.on())
    .await?;
    let added = sqlx::query!(
        "insert into secrets (id, runner_id, service_id, slot, hash, expires_at, created_at)
         select $1, $2, $3, free, $4, $5, $6 from generate_series(0, 1) free
         where not exists (select from secrets where (runner_id = $2 or service_id = $3) and slot = free)
         order by free limit 1",
        secret.id.0,
        owner.runner_id(),
        owner.service_id(),
        &hash.0[..],
        secret.expires_at,
        secret.created_at
    )
    .execute(tx.on())
    .await?;
    Ok(added.rows_affected() == 1)
}

/// Oldest first.
pub async fn list(db: &Reads, owner: SecretOwner, now: OffsetDateTime) -> Result<Vec<LiveSecret>> {
    let rows = sqlx::query!(
        "select id, expires_at, created_at from secrets
         where (runner_id = $1 or service_id = $2) and (expires_at is null or expires_at > $3) order by id",
        owner.runner_id(),
        owner.service_id(),
        now
    );
    let rows = rows.fetch_all(db).await?;
    Ok(rows
        .into_iter()
        .map(|row| LiveSecret { id: SecretId(row.id), expires_at: row.expires_at, created_at: row.created_at })
        .collect())
}

/// Answers whether the owner had it.
pub async fn delete(tx: &mut Tx, owner: SecretOwner, secret: SecretId) -> Result<bool> {
    let gone = sqlx::query!(
        "delete from secrets where (runner_id = $1 or service_id = $2) and id = $3",
        owner.runner_id(),
        owner.service_id(),
        secret.0
    );
    Ok(gone.execute(tx.on()).await?.rows_affected() == 1)
}

/// Whether the owner still has it.
pub async fn exists(db: impl PgExecutor<'_>, owner: SecretOwner, secret: SecretId) -> Result<bool> {
    let found = sqlx::query_scalar!(
        r#"select exists (select from secrets where (runner_id = $1 or service_id = $2) and id = $3) as "found!""#,
        owner.runner_id(),
        owner.service_id(),
        secret.0
    );
    Ok(found.fetch_one(db).await?)
}

/// Whose a secret is, or an access token that was got for one.
pub async fn owner(db: impl PgExecutor<'_>, hash: TokenHash) -> Result<Option<SecretOwner>> {
    let found = sqlx::query!(
        "select runner_id, service_id from secrets where hash = $1
         union all select runner_id, null from runner_access_tokens where hash = $1",
        &hash.0[..]
    );
    let found = found.fetch_optional(db).await?;
    Ok(found.and_then(|row| SecretOwner::from_ids(row.runner_id, row.service_id)))
}

/// By hash; answers whose it was.
pub async fn delete_by_hash(tx: &mut Tx, hash: TokenHash) -> Result<Option<SecretOwner>> {
    let gone = sqlx::query!(
        "with tokens as (delete from runner_access_tokens where hash = $1 returning runner_id),
            secrets as (delete from secrets where hash = $1 returning runner_id, service_id)
         select runner_id, service_id from secrets union all select runner_id, null from tokens",
        &hash.0[..]
    );
    let gone = gone.fetch_optional(tx.on()).await?;
    Ok(gone.and_then(|row| SecretOwner::from_ids(row.runner_id, row.service_id)))
}
