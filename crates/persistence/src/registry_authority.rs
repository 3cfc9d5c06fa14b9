//! The authority that container registries trust: one row, once the first server has started.

use crate::signing_key::SealedKey;
use crate::{Result, Tx};
use sqlx::PgExecutor;
use uuid::Uuid;

#[derive(Clone, Debug)]
pub struct StoredAuthority {
    pub id: Uuid,
    /// DER.
    pub certificate: Vec<u8>,
    pub sealed: SealedKey,
}

pub async fn find(db: impl PgExecutor<'_>) -> Result<Option<StoredAuthority>> {
    let row = sqlx::query!("select id, certificate, wrapped_key, sealed from registry_authority");
    Ok(row.fetch_optional(db).await?.map(|row| StoredAuthority {
        id: row.id,
        certificate: row.certificate,
        sealed: SealedKey { wrapped_key: row.wrapped_key, sealed: row.sealed },
    }))
}

/// Makes room for another; its key is gone with it.
pub async fn delete(tx: &mut Tx) -> Result<()> {
    sqlx::query!("delete from registry_authority").execute(tx.on()).await?;
    Ok(())
}

pub async fn insert(tx: &mut Tx, authority: &StoredAuthority) -> Result<()> {
    let now = tx.now();
    sqlx::query!(
        "insert into registry_authority (id, certificate, wrapped_key, sealed, created_at) values ($1, $2, $3, $4, $5)",
        authority.id,
        authority.certificate,
        authority.sealed.wrapped_key,
        authority.sealed.sealed,
        now
    )
    .execute(tx.on())
    .await?;
    Ok(())
}
