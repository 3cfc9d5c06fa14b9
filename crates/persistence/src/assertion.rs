//! Assertions that were used: each is taken once, and that it was is written in the transaction of what it brought about.

use crate::{Result, Tx};
use time::OffsetDateTime;

/// Takes an assertion; answers whether it is the first time. `hash`: SHA-256 of issuer and `jti`. `expires_at`: from when on
/// nobody would take it anyhow, whatever leeway is given. Of two at once the second waits for the first to commit or roll back.
pub async fn take(tx: &mut Tx, hash: [u8; 32], expires_at: OffsetDateTime) -> Result<bool> {
    let taken = sqlx::query!(
        "insert into used_assertions (hash, expires_at) values ($1, $2) on conflict (hash) do nothing",
        &hash[..],
        expires_at
    );
    Ok(taken.execute(tx.on()).await?.rows_affected() == 1)
}
