//! Who presents a credential: one statement by its hash. That a credential has expired counts as unknown.

use crate::error::parsed;
use crate::{Reads, Result, Tx, runner, service};
use jobpass_domain::access_token::RunnerProof;
use jobpass_domain::forward_auth::DraftForwardAuth;
use jobpass_domain::ids::{AccessTokenId, RunnerId, SecretId, ServiceId, UserId, UserTokenId};
use jobpass_domain::runner::Runner;
use jobpass_domain::service::Service;
use jobpass_domain::text::UserName;
use jobpass_domain::token::TokenHash;
use jobpass_domain::user::User;
use sqlx::types::Json;
use time::OffsetDateTime;

/// A user by one of the user's API tokens.
#[derive(Debug)]
pub struct UserByToken {
    pub user: User,
    pub token: UserTokenId,
    pub read_only: bool,
    pub expires_at: Option<OffsetDateTime>,
}

/// A service by one of its secrets.
#[derive(Debug)]
pub struct ServiceBySecret {
    pub service: Service,
    /// When the secret expires.
    pub expires_at: Option<OffsetDateTime>,
}

pub async fn user(db: &Reads, hash: TokenHash, now: OffsetDateTime) -> Result<Option<UserByToken>> {
    let row = sqlx::query!(
        "select u.id, u.name, u.administrator, u.created_at, t.id as token_id, t.read_only, t.expires_at
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
        Ok(UserByToken { user, token: UserTokenId(row.token_id), read_only: row.read_only, expires_at: row.expires_at })
    })
    .transpose()
}

/// A runner by a secret, or by an access token that it got for one; with the end of what it is proven by.
pub async fn runner(
    db: &Reads,
    hash: TokenHash,
    now: OffsetDateTime,
) -> Result<Option<(Runner, RunnerProof, Option<OffsetDateTime>)>> {
    let row = sqlx::query!(
        r#"select r.id, r.name, r.group_id, r.project_id, coalesce(g.path, p.path) as scope_path, r.protected, r.asserts_actor,
            r.paused, r.epoch, r.created_at, held.id as "proof!", held.is_secret as "is_secret!", held.expires_at
         from (select runner_id, id, true as is_secret, expires_at from secrets where hash = $1
            union all select runner_id, id, false, expires_at from runner_access_tokens where hash = $1) held
         join runners r on r.id = held.runner_id
         left join groups g on g.id = r.group_id left join projects p on p.id = r.project_id
         where held.expires_at is null or held.expires_at > $2"#,
        &hash.0[..],
        now
    );
    let Some(row) = row.fetch_optional(db).await? else { return Ok(None) };
    let proof = if row.is_secret {
        RunnerProof::Secret { id: SecretId(row.proof), expires_at: row.expires_at }
    } else {
        RunnerProof::AccessToken(AccessTokenId(row.proof))
    };
    let runner = runner::Row {
        id: row.id,
        name: row.name,
        group_id: row.group_id,
        project_id: row.project_id,
        scope_path: row.scope_path,
        protected: row.protected,
        asserts_actor: row.asserts_actor,
        paused: row.paused,
        epoch: row.epoch,
        created_at: row.created_at,
    };
    Ok(Some((runner.into_runner()?, proof, row.expires_at)))
}

/// Whether a runner's secret, or an access token of it, is still there. A key proves by what it signs, each time anew.
pub async fn still_proves(tx: &mut Tx, runner: RunnerId, proof: &RunnerProof, now: OffsetDateTime) -> Result<bool> {
    let id = match proof {
        RunnerProof::Secret { id, .. } => id.0,
        RunnerProof::AccessToken(id) => id.0,
        RunnerProof::Key(_) => return Ok(false),
    };
    let found = sqlx::query_scalar!(
        r#"select exists (select from secrets where id = $1 and runner_id = $2 and (expires_at is null or expires_at > $3)
            union all select from runner_access_tokens where id = $1 and runner_id = $2 and expires_at > $3) as "found!""#,
        id,
        runner.0,
        now
    );
    Ok(found.fetch_one(tx.on()).await?)
}

/// `id`: the client id that came with the secret; `None` for a secret presented as Bearer.
pub async fn service(
    db: &Reads,
    id: Option<ServiceId>,
    hash: TokenHash,
    now: OffsetDateTime,
) -> Result<Option<ServiceBySecret>> {
    let row = sqlx::query!(
        r#"select s.id, s.name, s.resources, s.project_id, p.path as "project_path?", s.audience, s.audience_required,
            s.answer_seconds, s.paused, s.route_table, s.forward_auth as "forward_auth: Json<DraftForwardAuth>",
            s.created_at, k.expires_at
         from secrets k join services s on s.id = k.service_id
         left join projects p on p.id = s.project_id
         where k.hash = $1 and ($2::uuid is null or s.id = $2) and not s.paused and (k.expires_at is null or k.expires_at > $3)"#,
        &hash.0[..],
        id.map(uuid::Uuid::from),
        now
    )
    .fetch_optional(db)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let service = service::Row {
        id: row.id,
        name: row.name,
        resources: row.resources,
        project_id: row.project_id,
        project_path: row.project_path,
        audience: row.audience,
        audience_required: row.audience_required,
        answer_seconds: row.answer_seconds,
        paused: row.paused,
        route_table: row.route_table,
        forward_auth: row.forward_auth,
        created_at: row.created_at,
    };
    Ok(Some(ServiceBySecret { service: service.into_service()?, expires_at: row.expires_at }))
}
