//! The public keys of runners and services: one list a client, read and written as a whole.

use crate::{Result, Tx};
use jobpass_domain::client_key::ClientKey;
use jobpass_domain::live_secret::SecretOwner;
use sqlx::PgExecutor;
use sqlx::types::Json;

/// Empty for a client that has none, and for one that there is not.
pub async fn list(db: impl PgExecutor<'_>, owner: SecretOwner) -> Result<Vec<ClientKey>> {
    let found = sqlx::query_scalar!(
        r#"select keys as "keys: Json<Vec<ClientKey>>" from client_keys where runner_id = $1 or service_id = $2"#,
        owner.runner_id(),
        owner.service_id()
    );
    Ok(found.fetch_optional(db).await?.map(|Json(keys)| keys).unwrap_or_default())
}

/// In place of those that were there; none at all takes them away. The owner's row is held by whoever calls.
pub async fn replace(tx: &mut Tx, owner: SecretOwner, keys: &[ClientKey]) -> Result<()> {
    sqlx::query!(
        "delete from client_keys where runner_id = $1 or service_id = $2",
        owner.runner_id(),
        owner.service_id()
    )
    .execute(tx.on())
    .await?;
    if keys.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "insert into client_keys (runner_id, service_id, keys) values ($1, $2, $3)",
        owner.runner_id(),
        owner.service_id(),
        Json(keys) as _
    )
    .execute(tx.on())
    .await?;
    Ok(())
}
