//! Job tokens: written and found by hash, one time partition a look-up.

mod mint;

pub use mint::{NewToken, count_minted, insert_all};

use crate::error::stored;
use crate::{Reads, Result, Tx, authorization_detail};
use jobpass_domain::Catalogue;
use jobpass_domain::authorization_detail::AuthorizationDetail;
use jobpass_domain::ids::{JobId, JobTokenId, PipelineId, ProjectId};
use jobpass_domain::job_token::TokenInfo;
use jobpass_domain::minter::MinterId;
use jobpass_domain::pipeline::Trigger;
use jobpass_domain::refs::RefType;
use jobpass_domain::token::{Hour, TokenHash};
use sqlx::types::Json;
use sqlx::{PgConnection, PgExecutor};
use time::OffsetDateTime;
use uuid::Uuid;

/// The hour of issue, which a token's id shares with its text.
pub fn hour_of(id: JobTokenId) -> Hour {
    let (seconds, _) = id.0.get_timestamp().map_or((0, 0), |timestamp| timestamp.to_unix());
    Hour::of_unix(i64::try_from(seconds).unwrap_or(0))
}

fn number(hour: Hour) -> i32 {
    i32::try_from(hour.0).unwrap_or(i32::MAX)
}

/// A narrowed token: everything else is its parent's.
#[derive(Debug)]
pub struct NewChild {
    pub id: JobTokenId,
    pub hash: TokenHash,
    pub cap: Option<Vec<String>>,
    pub details: Option<Vec<AuthorizationDetail>>,
    pub audience: Option<Vec<String>>,
    pub expires_at: OffsetDateTime,
}

pub async fn insert_child(tx: &mut Tx, parent: JobTokenId, child: &NewChild, catalogue: &Catalogue) -> Result<()> {
    let now = tx.now();
    sqlx::query!(
        "insert into job_tokens (issued_hour, id, hash, project_id, pipeline_id, job_id, runner_id, trust_rule_id, root_id, ancestors,
            permissions, audience, pipeline_key, job_key, job_name, ref, ref_type, sha, protected, environment, trigger, from_fork,
            fork_source, actor_id, actor_claimed, minted_by, project_epoch, pipeline_epoch, minter_epoch, issued_at, expires_at, details)
         select $1, $2, $3, project_id, pipeline_id, job_id, runner_id, trust_rule_id, root_id, ancestors || id, $4, $5, pipeline_key, job_key,
            job_name, ref, ref_type, sha, protected, environment, trigger, from_fork, fork_source, actor_id, actor_claimed, minted_by,
            project_epoch, pipeline_epoch, minter_epoch, $6, $7, $10
         from job_tokens where issued_hour = $8 and id = $9",
        number(hour_of(child.id)),
        child.id.0,
        &child.hash.0[..],
        child.cap.as_deref(),
        child.audience.as_deref(),
        now,
        child.expires_at,
        number(hour_of(parent)),
        parent.0,
        authorization_detail::columns(child.details.as_deref(), catalogue) as _
    )
    .execute(tx.on())
    .await?;
    Ok(())
}

/// How many live tokens were narrowed from a root.
pub async fn count_narrowed(tx: &mut Tx, root: JobTokenId) -> Result<i64> {
    let now = tx.now();
    Ok(sqlx::query_scalar!(
        r#"select count(*) as "count!" from job_tokens
         where root_id = $1 and cardinality(ancestors) > 0 and revoked_at is null and expires_at > $2"#,
        root.0,
        now
    )
    .fetch_one(tx.on())
    .await?)
}

/// Where a token belongs: what a revocation has to know before it takes the job's lock.
#[derive(Clone, Copy, Debug)]
pub struct Whereabouts {
    pub id: JobTokenId,
    pub job: JobId,
    pub project: ProjectId,
    pub minter: MinterId,
    pub root: JobTokenId,
}

/// The tokens that this one was narrowed from, the root first.
pub async fn ancestors(db: impl PgExecutor<'_>, id: JobTokenId) -> Result<Vec<JobTokenId>> {
    let ids = sqlx::query_scalar!(
        "select ancestors from job_tokens where issued_hour = $1 and id = $2",
        number(hour_of(id)),
        id.0
    );
    Ok(ids.fetch_optional(db).await?.unwrap_or_default().into_iter().map(JobTokenId).collect())
}

pub async fn whereabouts(db: impl PgExecutor<'_>, id: JobTokenId) -> Result<Option<Whereabouts>> {
    let row = sqlx::query!(
        "select id, job_id, project_id, runner_id, trust_rule_id, root_id from job_tokens where issued_hour = $1 and id = $2",
        number(hour_of(id)),
        id.0
    )
    .fetch_optional(db)
    .await?;
    row.map(|row| {
        Ok(Whereabouts {
            id: JobTokenId(row.id),
            job: JobId(row.job_id),
            project: ProjectId(row.project_id),
            minter: stored(MinterId::from_ids(row.runner_id, row.trust_rule_id))?,
            root: JobTokenId(row.root_id),
        })
    })
    .transpose()
}

pub async fn id_by_hash(db: impl PgExecutor<'_>, hour: Hour, hash: TokenHash) -> Result<Option<JobTokenId>> {
    let id = sqlx::query_scalar!(
        "select id from job_tokens where issued_hour = $1 and hash = $2",
        number(hour),
        &hash.0[..]
    );
    Ok(id.fetch_optional(db).await?.map(JobTokenId))
}

/// Revokes a token and all that was narrowed from it, in one statement. Answers how many were live.
pub async fn revoke(tx: &mut Tx, token: &Whereabouts, because: &str) -> Result<u64> {
    let now = tx.now();
    let revoked = sqlx::query!(
        "update job_tokens set revoked_at = $1, revoked_because = case when id = $2 then $3 else 'parent' end
         where ((issued_hour = $4 and id = $2) or (root_id = $5 and cardinality(ancestors) > 0 and $2 = any(ancestors)))
           and revoked_at is null",
        now,
        token.id.0,
        because,
        number(hour_of(token.id)),
        token.root.0
    )
    .execute(tx.on())
    .await?;
    Ok(revoked.rows_affected())
}

/// Revokes every token of a job. Answers how many were live.
pub async fn revoke_of_job(tx: &mut Tx, job: JobId) -> Result<u64> {
    let now = tx.now();
    let revoked = sqlx::query!(
        "update job_tokens set revoked_at = $1, revoked_because = 'revoked' where job_id = $2 and revoked_at is null and expires_at > $1",
        now,
        job.0
    )
    .execute(tx.on())
    .await?;
    Ok(revoked.rows_affected())
}

struct InfoRow {
    id: Uuid,
    project_id: Uuid,
    project_path: String,
    pipeline_id: Uuid,
    pipeline_key: String,
    job_id: Uuid,
    job_key: String,
    job_name: String,
    runner_id: Option<Uuid>,
    trust_rule_id: Option<Uuid>,
    ref_name: String,
    ref_type: String,
    sha: String,
    protected: bool,
    environment: Option<String>,
    trigger: String,
    from_fork: bool,
    fork_source: Option<String>,
    actor: Option<String>,
    actor_claimed: Option<String>,
    permissions: Option<Vec<String>>,
    details: Option<Json<Vec<authorization_detail::Columns>>>,
    audience: Option<Vec<String>>,
    ancestors: Vec<Uuid>,
    root_id: Uuid,
    issued_at: OffsetDateTime,
    expires_at: OffsetDateTime,
}

impl InfoRow {
    fn into_info(self) -> Result<TokenInfo> {
        Ok(TokenInfo {
            id: JobTokenId(self.id),
            project: ProjectId(self.project_id),
            project_path: self.project_path,
            pipeline: PipelineId(self.pipeline_id),
            pipeline_key: self.pipeline_key,
            job: JobId(self.job_id),
            job_key: self.job_key,
            job_name: self.job_name,
            minter: stored(MinterId::from_ids(self.runner_id, self.trust_rule_id))?,
            ref_name: self.ref_name,
            ref_type: stored(RefType::named(&self.ref_type))?,
            sha: self.sha,
            protected: self.protected,
            environment: self.environment,
            trigger: stored(Trigger::named(&self.trigger))?,
            from_fork: self.from_fork,
            fork_source: self.fork_source,
            actor_claimed: if self.actor.is_some() { None } else { self.actor_claimed },
            actor: self.actor,
            cap: self.permissions,
            details: authorization_detail::shown(self.details),
            audience: self.audience,
            ancestors: self.ancestors.into_iter().map(JobTokenId).collect(),
            root: JobTokenId(self.root_id),
            issued_at: self.issued_at,
            expires_at: self.expires_at,
        })
    }
}

/// By id: a token's facts, live or not.
pub async fn info(connection: &mut PgConnection, id: JobTokenId) -> Result<Option<TokenInfo>> {
    sqlx::query_as!(
        InfoRow,
        r#"select t.id, t.project_id, p.path as project_path, t.pipeline_id, t.pipeline_key, t.job_id, t.job_key, t.job_name,
            t.runner_id, t.trust_rule_id,
            t.ref as ref_name, t.ref_type, t.sha, t.protected, t.environment, t.trigger, t.from_fork, t.fork_source,
            u.name as "actor?", t.actor_claimed, t.permissions, t.details as "details: Json<Vec<authorization_detail::Columns>>", t.audience, t.ancestors, t.root_id, t.issued_at, t.expires_at
         from job_tokens t join projects p on p.id = t.project_id left join users u on u.id = t.actor_id
         where t.issued_hour = $1 and t.id = $2"#,
        number(hour_of(id)),
        id.0
    )
    .fetch_optional(connection)
    .await?
    .map(InfoRow::into_info)
    .transpose()
}

/// Live tokens of a project, newest first.
pub async fn list(
    db: &Reads,
    project: ProjectId,
    after: Option<JobTokenId>,
    now: OffsetDateTime,
    limit: i64,
) -> Result<Vec<TokenInfo>> {
    sqlx::query_as!(
        InfoRow,
        r#"select t.id, t.project_id, p.path as project_path, t.pipeline_id, t.pipeline_key, t.job_id, t.job_key, t.job_name,
            t.runner_id, t.trust_rule_id,
            t.ref as ref_name, t.ref_type, t.sha, t.protected, t.environment, t.trigger, t.from_fork, t.fork_source,
            u.name as "actor?", t.actor_claimed, t.permissions, t.details as "details: Json<Vec<authorization_detail::Columns>>", t.audience, t.ancestors, t.root_id, t.issued_at, t.expires_at
         from job_tokens t join projects p on p.id = t.project_id join pipelines l on l.id = t.pipeline_id
         join jobs j on j.id = t.job_id left join runners r on r.id = t.runner_id left join trust_rules e on e.id = t.trust_rule_id
         left join users u on u.id = t.actor_id
         where t.project_id = $1 and ($2::uuid is null or t.id < $2) and t.revoked_at is null and t.expires_at > $3
           and t.project_epoch = p.epoch and t.pipeline_epoch = l.epoch and t.minter_epoch = coalesce(r.epoch, e.epoch)
           and j.state = 'running' and (j.lease_until is null or j.lease_until > $3)
         order by t.id desc limit $4"#,
        project.0,
        after.map(Uuid::from),
        now,
        limit
    )
    .fetch_all(db)
    .await?
    .into_iter()
    .map(InfoRow::into_info)
    .collect()
}
