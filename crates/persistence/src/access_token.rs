//! Short-lived tokens of runners, as hashes, each with what it was got with.

use crate::{Result, Tx};
use jobpass_domain::access_token::{AccessToken, RunnerProof};
use jobpass_domain::ids::{AccessTokenId, RunnerId};
use jobpass_domain::token::TokenHash;

/// How many of the runner's live.
pub async fn count(tx: &mut Tx, runner: RunnerId) -> Result<i64> {
    let now = tx.now();
    let live = sqlx::query_scalar!(
        r#"select count(*) as "live!" from runner_access_tokens where runner_id = $1 and expires_at > $2"#,
        runner.0,
        now
    );
    Ok(live.fetch_one(tx.on()).await?)
}

/// What was got with an access token there is not: the schema refuses it.
pub async fn insert(tx: &mut Tx, token: &AccessToken, hash: TokenHash) -> Result<()> {
    let (secret, kid) = match &token.proof {
        RunnerProof::Secret { id, .. } => (Some(id.0), None),
        RunnerProof::Key(key) => (None, Some(key.kid.as_str())),
        RunnerProof::AccessToken(_) => (None, None),
    };
    sqlx::query!(
        "insert into runner_access_tokens (id, hash, runner_id, secret_id, kid, expires_at, created_at)
         values ($1, $2, $3, $4, $5, $6, $7)",
        token.id.0,
        &hash.0[..],
        token.runner.0,
        secret,
        kid,
        token.expires_at,
        token.created_at
    )
    .execute(tx.on())
    .await?;
    Ok(())
}

/// `None` when the runner does not have it.
pub async fn delete(tx: &mut Tx, runner: RunnerId, hash: TokenHash) -> Result<Option<AccessTokenId>> {
    let gone = sqlx::query_scalar!(
        "delete from runner_access_tokens where runner_id = $1 and hash = $2 returning id",
        runner.0,
        &hash.0[..]
    );
    Ok(gone.fetch_optional(tx.on()).await?.map(AccessTokenId))
}

/// Those that were got with other keys than these.
pub async fn delete_of_other_keys(tx: &mut Tx, runner: RunnerId, kids: &[String]) -> Result<()> {
    sqlx::query!(
        "delete from runner_access_tokens where runner_id = $1 and kid is not null and kid <> all($2)",
        runner.0,
        kids
    )
    .execute(tx.on())
    .await?;
    Ok(())
}
