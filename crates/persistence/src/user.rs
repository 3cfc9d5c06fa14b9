//! Users and their API tokens.

use crate::error::parsed;
use crate::{Reads, Result, Tx};
use jobpass_domain::ids::{UserId, UserTokenId};
use jobpass_domain::text::UserName;
use jobpass_domain::token::TokenHash;
use jobpass_domain::user::{User, UserToken};
use sqlx::PgExecutor;
use time::OffsetDateTime;
use uuid::Uuid;

struct Row {
    id: Uuid,
    name: String,
    administrator: bool,
    created_at: OffsetDateTime,
}

impl Row {
    fn into_user(self) -> Result<User> {
        Ok(User {
            id: UserId(self.id),
            name: parsed(UserName::parse(self.name))?,
            administrator: self.administrator,
            created_at: self.created_at,
        })
    }
}

pub async fn insert(tx: &mut Tx, user: &User) -> Result<()> {
    sqlx::query!(
        "insert into users (id, name, administrator, created_at) values ($1, $2, $3, $4)",
        user.id.0,
        user.name.as_str(),
        user.administrator,
        user.created_at
    )
    .execute(tx.on())
    .await?;
    Ok(())
}

/// By id or name.
pub async fn find(db: impl PgExecutor<'_>, key: &str) -> Result<Option<User>> {
    let id = Uuid::parse_str(key).ok();
    sqlx::query_as!(Row, "select id, name, administrator, created_at from users where id = $1 or name = $2", id, key)
        .fetch_optional(db)
        .await?
        .map(Row::into_user)
        .transpose()
}

/// By ids or names.
pub async fn find_all(db: impl PgExecutor<'_>, keys: &[&str]) -> Result<Vec<User>> {
    let ids: Vec<_> = keys.iter().filter_map(|key| Uuid::parse_str(key).ok()).collect();
    sqlx::query_as!(
        Row,
        "select id, name, administrator, created_at from users where id = any($1) or name = any($2)",
        &ids,
        keys as _
    )
    .fetch_all(db)
    .await?
    .into_iter()
    .map(Row::into_user)
    .collect()
}

/// By id or name, held until the transaction ends.
pub async fn lock(tx: &mut Tx, key: &str) -> Result<Option<User>> {
    let id = Uuid::parse_str(key).ok();
    sqlx::query_as!(
        Row,
        "select id, name, administrator, created_at from users where id = $1 or name = $2 for update",
        id,
        key
    )
    .fetch_optional(tx.on())
    .await?
    .map(Row::into_user)
    .transpose()
}

pub async fn list(db: &Reads, after: Option<&str>, limit: i64) -> Result<Vec<User>> {
    sqlx::query_as!(
        Row,
        "select id, name, administrator, created_at from users
         where $1::text is null or name > $1 order by name limit $2",
        after,
        limit
    )
    .fetch_all(db)
    .await?
    .into_iter()
    .map(Row::into_user)
    .collect()
}

pub async fn update(tx: &mut Tx, user: &User) -> Result<()> {
    sqlx::query!(
        "update users set name = $2, administrator = $3 where id = $1",
        user.id.0,
        user.name.as_str(),
        user.administrator
    )
    .execute(tx.on())
    .await?;
    Ok(())
}

/// With the user go memberships and API tokens; no job ends.
pub async fn delete(tx: &mut Tx, user: UserId) -> Result<()> {
    sqlx::query!("delete from users where id = $1", user.0).execute(tx.on()).await?;
    Ok(())
}

pub async fn insert_token(tx: &mut Tx, token: &UserToken, hash: TokenHash) -> Result<()> {
    sqlx::query!(
        "insert into user_tokens (id, user_id, name, hash, read_only, expires_at, created_at) values ($1, $2, $3, $4, $5, $6, $7)",
        token.id.0,
        token.user.0,
        token.name,
        &hash.0[..],
        token.read_only,
        token.expires_at,
        token.created_at
    )
    .execute(tx.on())
    .await?;
    Ok(())
}

struct TokenRow {
    id: Uuid,
    user_id: Uuid,
    name: Option<String>,
    read_only: bool,
    expires_at: Option<OffsetDateTime>,
    created_at: OffsetDateTime,
}

impl From<TokenRow> for UserToken {
    fn from(row: TokenRow) -> UserToken {
        UserToken {
            id: UserTokenId(row.id),
            user: UserId(row.user_id),
            name: row.name,
            read_only: row.read_only,
            expires_at: row.expires_at,
            created_at: row.created_at,
        }
    }
}

/// Live tokens of one user, or of all; oldest first.
pub async fn list_tokens(
    db: &Reads,
    user: Option<UserId>,
    after: Option<Uuid>,
    now: OffsetDateTime,
    limit: i64,
) -> Result<Vec<UserToken>> {
    let rows = sqlx::query_as!(
        TokenRow,
        "select id, user_id, name, read_only, expires_at, created_at from user_tokens
         where ($1::uuid is null or user_id = $1) and ($2::uuid is null or id > $2)
           and revoked_at is null and (expires_at is null or expires_at > $3)
         order by id limit $4",
        user.map(Uuid::from),
        after,
        now,
        limit
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(UserToken::from).collect())
}

pub async fn find_token(db: impl PgExecutor<'_>, id: UserTokenId) -> Result<Option<UserToken>> {
    let row = sqlx::query_as!(
        TokenRow,
        "select id, user_id, name, read_only, expires_at, created_at from user_tokens where id = $1 and revoked_at is null",
        id.0
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(UserToken::from))
}

pub async fn revoke_token(tx: &mut Tx, id: UserTokenId) -> Result<()> {
    let now = tx.now();
    sqlx::query!("update user_tokens set revoked_at = $2 where id = $1 and revoked_at is null", id.0, now)
        .execute(tx.on())
        .await?;
    Ok(())
}

/// By hash; answers the token's id and user if it was live.
pub async fn revoke_token_by_hash(tx: &mut Tx, hash: TokenHash) -> Result<Option<(UserTokenId, UserId)>> {
    let now = tx.now();
    let row = sqlx::query!(
        "update user_tokens set revoked_at = $2 where hash = $1 and revoked_at is null returning id, user_id",
        &hash.0[..],
        now
    )
    .fetch_optional(tx.on())
    .await?;
    Ok(row.map(|row| (UserTokenId(row.id), UserId(row.user_id))))
}
