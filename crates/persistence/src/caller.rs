//! Who presents a credential: one statement by its hash. That a credential has expired counts as unknown.

use crate::error::parsed;
use crate::{Result, runner, service};
use jobpass_domain::forward_auth::DraftForwardAuth;
use jobpass_domain::ids::{ServiceId, UserId, UserTokenId};
use jobpass_domain::runner::Runner;
use jobpass_domain::service::Service;
use jobpass_domain::text::UserName;
use jobpass_domain::token::TokenHash;
use jobpass_domain::user::User;
use sqlx::PgPool;
use sqlx::types::Json;
use time::OffsetDateTime;

/// A user by one of the user's API tokens.
#[derive(Debug)]
pub struct UserByToken {
    pub user: User,
    pub token: UserTokenId,
    pub read_only: bool,
}

pub async fn user(db: &PgPool, hash: TokenHash, now: OffsetDateTime) -> Result<Option<UserByToken>> {
    let row = sqlx::query!(
        "select u.id, u.name, u.administrator, u.created_at, t.id as token_id, t.read_only
         from user_tokens t join users u on u.id = t.user_id
         where t.hash = $1 and t.revoked_at is null and (t.expires_at is null or t.expires_at > $2)",
        &hash.0[..],
        now
    )
    .fetch_optional(db)
    .await?;
    row.map(|row| {
        let name = parsed(UserName::parse(row.name))?;
        let user = User { id: UserId(row.id), name, administrator: row.administrator, created_at: row.created_at };
        Ok(UserByToken { user, token: UserTokenId(row.token_id), read_only: row.read_only })
    })
    .transpose()
}

pub async fn runner(db: &PgPool, hash: TokenHash, now: OffsetDateTime) -> Result<Option<Runner>> {
    sqlx::query_as!(
        runner::Row,
        r#"select r.id, r.name, r.group_id, r.project_id, coalesce(g.path, p.path) as scope_path, r.protected, r.asserts_actor,
            r.paused, r.epoch, r.created_at
         from secrets s join runners r on r.id = s.runner_id
         left join groups g on g.id = r.group_id left join projects p on p.id = r.project_id
         where s.hash = $1 and (s.expires_at is null or s.expires_at > $2)"#,
        &hash.0[..],
        now
    )
    .fetch_optional(db)
    .await?
    .map(runner::Row::into_runner)
    .transpose()
}

/// `id`: the client id that came with the secret; `None` for a secret presented as Bearer.
pub async fn service(
    db: &PgPool,
    id: Option<ServiceId>,
    hash: TokenHash,
    now: OffsetDateTime,
) -> Result<Option<Service>> {
    sqlx::query_as!(
        service::Row,
        r#"select s.id, s.name, s.resources, s.project_id, p.path as "project_path?", s.audience, s.audience_required,
            s.answer_seconds, s.paused, s.route_table, s.forward_auth as "forward_auth: Json<DraftForwardAuth>",
            s.created_at
         from secrets k join services s on s.id = k.service_id
         left join projects p on p.id = s.project_id
         where k.hash = $1 and ($2::uuid is null or s.id = $2) and not s.paused and (k.expires_at is null or k.expires_at > $3)"#,
        &hash.0[..],
        id.map(uuid::Uuid::from),
        now
    )
    .fetch_optional(db)
    .await?
    .map(service::Row::into_service)
    .transpose()
}
