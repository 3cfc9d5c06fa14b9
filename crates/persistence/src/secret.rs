//! The live secrets of runners and services: two at a time, by slot.

use crate::{Result, Tx};
use jobpass_domain::ids::{RunnerId, SecretId, ServiceId};
use jobpass_domain::runner::LiveSecret;
use jobpass_domain::token::TokenHash;
use sqlx::PgPool;
use time::OffsetDateTime;
use uuid::Uuid;

struct Row {
    id: Uuid,
    expires_at: Option<OffsetDateTime>,
    created_at: OffsetDateTime,
}

impl From<Row> for LiveSecret {
    fn from(row: Row) -> LiveSecret {
        LiveSecret {
            id: SecretId(row.id),
            expires_at: row.expires_at,
            created_at: row.created_at,
        }
    }
}

/// Takes a free slot, one whose secret has expired included; answers whether there was one.
pub async fn insert_for_runner(tx: &mut Tx, runner: RunnerId, secret: &LiveSecret, hash: TokenHash) -> Result<bool> {
    sqlx::query!(
        "delete from runner_secrets where runner_id = $1 and expires_at <= $2",
        runner.0,
        secret.created_at
    )
    .execute(tx.on())
    .await?;
    let added = sqlx::query!(
        "insert into runner_secrets (id, runner_id, slot, hash, expires_at, created_at)
         select $1, $2, free, $3, $4, $5 from generate_series(0, 1) free
         where not exists (select from runner_secrets where runner_id = $2 and slot = free)
         order by free limit 1",
        secret.id.0,
        runner.0,
        &hash.0[..],
        secret.expires_at,
        secret.created_at
    )
    .execute(tx.on())
    .await?;
    Ok(added.rows_affected() == 1)
}

/// Takes a free slot, one whose secret has expired included; answers whether there was one.
pub async fn insert_for_service(tx: &mut Tx, service: ServiceId, secret: &LiveSecret, hash: TokenHash) -> Result<bool> {
    sqlx::query!(
        "delete from service_secrets where service_id = $1 and expires_at <= $2",
        service.0,
        secret.created_at
    )
    .execute(tx.on())
    .await?;
    let added = sqlx::query!(
        "insert into service_secrets (id, service_id, slot, hash, expires_at, created_at)
         select $1, $2, free, $3, $4, $5 from generate_series(0, 1) free
         where not exists (select from service_secrets where service_id = $2 and slot = free)
         order by free limit 1",
        secret.id.0,
        service.0,
        &hash.0[..],
        secret.expires_at,
        secret.created_at
    )
    .execute(tx.on())
    .await?;
    Ok(added.rows_affected() == 1)
}

pub async fn list_of_runner(db: &PgPool, runner: RunnerId, now: OffsetDateTime) -> Result<Vec<LiveSecret>> {
    let rows = sqlx::query_as!(
        Row,
        "select id, expires_at, created_at from runner_secrets
         where runner_id = $1 and (expires_at is null or expires_at > $2) order by id",
        runner.0,
        now
    );
    Ok(rows.fetch_all(db).await?.into_iter().map(LiveSecret::from).collect())
}

pub async fn list_of_service(db: &PgPool, service: ServiceId, now: OffsetDateTime) -> Result<Vec<LiveSecret>> {
    let rows = sqlx::query_as!(
        Row,
        "select id, expires_at, created_at from service_secrets
         where service_id = $1 and (expires_at is null or expires_at > $2) order by id",
        service.0,
        now
    );
    Ok(rows.fetch_all(db).await?.into_iter().map(LiveSecret::from).collect())
}

/// Answers whether the runner had it.
pub async fn delete_of_runner(tx: &mut Tx, runner: RunnerId, secret: SecretId) -> Result<bool> {
    let gone = sqlx::query!(
        "delete from runner_secrets where runner_id = $1 and id = $2",
        runner.0,
        secret.0
    )
    .execute(tx.on())
    .await?;
    Ok(gone.rows_affected() == 1)
}

/// Answers whether the service had it.
pub async fn delete_of_service(tx: &mut Tx, service: ServiceId, secret: SecretId) -> Result<bool> {
    let gone = sqlx::query!(
        "delete from service_secrets where service_id = $1 and id = $2",
        service.0,
        secret.0
    )
    .execute(tx.on())
    .await?;
    Ok(gone.rows_affected() == 1)
}

/// By hash; answers whose it was.
pub async fn delete_runner_secret(tx: &mut Tx, hash: TokenHash) -> Result<Option<RunnerId>> {
    let id = sqlx::query_scalar!(
        "delete from runner_secrets where hash = $1 returning runner_id",
        &hash.0[..]
    );
    Ok(id.fetch_optional(tx.on()).await?.map(RunnerId))
}

/// By hash; answers whose it was.
pub async fn delete_service_secret(tx: &mut Tx, hash: TokenHash) -> Result<Option<ServiceId>> {
    let id = sqlx::query_scalar!(
        "delete from service_secrets where hash = $1 returning service_id",
        &hash.0[..]
    );
    Ok(id.fetch_optional(tx.on()).await?.map(ServiceId))
}
