//! One statement that loads all that a decision needs: the token and its job, the epochs, the target
//! with its floors, grants for this source, ceilings of both sides, and the actor's role.

use crate::error::stored;
use crate::member::role_numbered;
use crate::{Result, authorization_detail, ceiling, grant, job, situation};
use jobpass_domain::Role;
use jobpass_domain::catalogue::Catalogue;
use jobpass_domain::ceiling::Ceiling;
use jobpass_domain::decision::Target;
use jobpass_domain::ids::{GroupId, JobId, JobTokenId, PipelineId, ProjectId};
use jobpass_domain::job::JobState;
use jobpass_domain::job_token::{JobToken, Revoked, TokenInfo};
use jobpass_domain::minter::MinterId;
use jobpass_domain::pipeline::Trigger;
use jobpass_domain::provenance::CredentialScope;
use jobpass_domain::provenance::Provenance;
use jobpass_domain::refs::RefType;
use jobpass_domain::token::{Hour, TokenHash};
use sqlx::PgExecutor;
use sqlx::types::Json;
use time::OffsetDateTime;
use uuid::Uuid;

/// What a decision needs, and what an answer tells besides.
#[derive(Debug, Default)]
pub struct Loaded {
    pub token: Option<LoadedToken>,
    pub target: Option<Target>,
    pub target_id: Option<ProjectId>,
    /// The role of the token's vouched-for actor on the target.
    pub actor_role: Option<Role>,
    /// With those of the instance, which bind whatever is asked about.
    pub source_ceilings: Vec<Ceiling>,
}

#[derive(Debug)]
pub struct LoadedToken {
    pub token: JobToken,
    pub info: TokenInfo,
    pub lease_until: Option<OffsetDateTime>,
}

/// `target`: a project's id or path. A token whose project, run or minting credential is gone counts as revoked.
pub async fn load(
    db: impl PgExecutor<'_>,
    hour: Hour,
    hash: TokenHash,
    target: Option<&str>,
    catalogue: &Catalogue,
) -> Result<Loaded> {
    let mut row = select(db, hour, hash, target).await?;
    let target_id = row.target_id.map(ProjectId);
    Ok(Loaded {
        target: row.target(catalogue)?,
        target_id,
        actor_role: row.actor_role.map(|number| stored(role_numbered(number))).transpose()?,
        source_ceilings: ceiling::all(std::mem::take(&mut row.source_ceilings.0), catalogue),
        token: row.into_token(catalogue)?.map(|known| match target {
            Some(asked) => LoadedToken { token: known.token.in_project(asked, target_id), ..known },
            None => known,
        }),
    })
}

/// The one statement. Every part is there or not: the token, and what it is asked about.
async fn select(db: impl PgExecutor<'_>, hour: Hour, hash: TokenHash, target: Option<&str>) -> Result<Row> {
    let target_id = target.and_then(|key| Uuid::parse_str(key).ok());
    let row = sqlx::query_as!(
        Row,
        r#"
        with token as (select * from job_tokens where issued_hour = $1 and hash = $2),
        target as (select * from projects where id = $3 or path = $4)
        select
            token.id as "token_id?", token.project_id as "project_id?", token.pipeline_id as "pipeline_id?", token.job_id as "job_id?",
            token.runner_id, token.trust_rule_id, token.permissions, token.details as "details: Json<Vec<authorization_detail::Columns>>", token.audience, token.pipeline_key as "pipeline_key?",
            token.job_key as "job_key?", token.job_name as "job_name?", token.ancestors as "ancestors?", token.root_id as "root_id?", token.ref as "ref_name?", token.ref_type as "ref_type?", token.sha as "sha?",
            token.protected as "protected?", token.environment, token.trigger as "trigger?", token.from_fork as "from_fork?",
            token.fork_source, token.actor_claimed, token.minted_by as "minted_by?",
            token.issued_at as "issued_at?", token.expires_at as "expires_at?", token.revoked_because,
            coalesce(token.project_epoch = source.epoch and token.pipeline_epoch = pipelines.epoch
                and token.minter_epoch = coalesce(runners.epoch, trust_rules.epoch), false) as "epochs_current!",
            source.path as "source_path?", source.chain as "source_chain?",
            jobs.state as "job_state?", jobs.deadline_at as "deadline_at?", jobs.lease_until as "lease_until?",
            actor.name as "actor?",
            target.id as "target_id?", target.visibility as "target_visibility?", target.mode as "target_mode?",
            array(select floor from groups where id = any(target.chain)) || (select floor from instance) as "floors!",
            (select max(role) from memberships m where m.user_id = token.actor_id
                and (m.project_id = target.id or m.group_id = any(target.chain))) as actor_role,
            coalesce((select jsonb_agg(to_jsonb(g)) from grants g
                where (g.project_id = target.id or g.group_id = any(target.chain))
                  and (g.source_project_id = token.project_id or g.source_group_id = any(source.chain))), '[]')
                as "grants!: Json<Vec<grant::Columns>>",
            coalesce((select jsonb_agg(to_jsonb(c)) from ceilings c
                where c.side = 'target' and (c.project_id = target.id or c.group_id = any(target.chain))), '[]')
                as "target_ceilings!: Json<Vec<ceiling::Columns>>",
            coalesce((select jsonb_agg(to_jsonb(c)) from ceilings c
                where (c.side = 'source' and (c.project_id = source.id or c.group_id = any(source.chain)))
                   or num_nonnulls(c.project_id, c.group_id) = 0), '[]')
                as "source_ceilings!: Json<Vec<ceiling::Columns>>"
        from (select 1) as one
        left join token on true
        left join target on true
        left join projects source on source.id = token.project_id
        left join pipelines on pipelines.id = token.pipeline_id
        left join jobs on jobs.id = token.job_id
        left join runners on runners.id = token.runner_id
        left join trust_rules on trust_rules.id = token.trust_rule_id
        left join users actor on actor.id = token.actor_id
        "#,
        i32::try_from(hour.0).unwrap_or(i32::MAX),
        &hash.0[..],
        target_id,
        target,
    );
    Ok(row.fetch_one(db).await?)
}

/// The columns of the statement: first the token's, then its job's and its project's, then the target's.
struct Row {
    token_id: Option<Uuid>,
    project_id: Option<Uuid>,
    pipeline_id: Option<Uuid>,
    job_id: Option<Uuid>,
    runner_id: Option<Uuid>,
    trust_rule_id: Option<Uuid>,
    root_id: Option<Uuid>,
    ancestors: Option<Vec<Uuid>>,
    permissions: Option<Vec<String>>,
    details: Option<Json<Vec<authorization_detail::Columns>>>,
    audience: Option<Vec<String>>,
    pipeline_key: Option<String>,
    job_key: Option<String>,
    job_name: Option<String>,
    ref_name: Option<String>,
    ref_type: Option<String>,
    sha: Option<String>,
    protected: Option<bool>,
    environment: Option<String>,
    trigger: Option<String>,
    from_fork: Option<bool>,
    fork_source: Option<String>,
    actor: Option<String>,
    actor_claimed: Option<String>,
    minted_by: Option<String>,
    issued_at: Option<OffsetDateTime>,
    expires_at: Option<OffsetDateTime>,
    revoked_because: Option<String>,
    epochs_current: bool,
    job_state: Option<String>,
    deadline_at: Option<OffsetDateTime>,
    lease_until: Option<OffsetDateTime>,
    source_path: Option<String>,
    source_chain: Option<Vec<Uuid>>,
    source_ceilings: Json<Vec<ceiling::Columns>>,
    target_id: Option<Uuid>,
    target_visibility: Option<String>,
    target_mode: Option<String>,
    floors: Vec<String>,
    actor_role: Option<i16>,
    grants: Json<Vec<grant::Columns>>,
    target_ceilings: Json<Vec<ceiling::Columns>>,
}

impl Row {
    fn target(&mut self, catalogue: &Catalogue) -> Result<Option<Target>> {
        let (Some(visibility), Some(mode)) = (&self.target_visibility, &self.target_mode) else { return Ok(None) };
        let grants = std::mem::take(&mut self.grants.0);
        let grants = grants.into_iter().map(|one| one.into_grant(catalogue)).collect::<Result<_>>()?;
        let ceilings = ceiling::all(std::mem::take(&mut self.target_ceilings.0), catalogue);
        situation::target(visibility, mode, &self.floors, grants, ceilings).map(Some)
    }

    fn into_token(self, catalogue: &Catalogue) -> Result<Option<LoadedToken>> {
        if self.token_id.is_none() {
            return Ok(None);
        }
        let lease_until = self.lease_until;
        let token = self.facts(catalogue)?;
        Ok(Some(LoadedToken { info: self.into_info(&token)?, token, lease_until }))
    }

    /// What the decision needs.
    fn facts(&self, catalogue: &Catalogue) -> Result<JobToken> {
        let revoked = |because: &str| if because == "parent" { Revoked::WithAncestor } else { Revoked::Itself };
        Ok(JobToken {
            id: JobTokenId(stored(self.token_id)?),
            project: ProjectId(stored(self.project_id)?),
            chain: self.source_chain.iter().flatten().copied().map(GroupId).collect(),
            run: self.provenance()?,
            cap: self.permissions.as_deref().map(|texts| catalogue.known(texts)),
            details: authorization_detail::read(self.details.as_ref(), catalogue),
            audience: self.audience.clone(),
            expires_at: stored(self.expires_at)?,
            revoked: self.revoked_because.as_deref().map(revoked),
            epochs_current: self.epochs_current,
            job: self.job()?,
        })
    }

    fn provenance(&self) -> Result<Provenance> {
        Ok(Provenance {
            ref_name: stored(self.ref_name.clone())?,
            ref_type: stored(self.ref_type.as_deref().and_then(RefType::named))?,
            protected: stored(self.protected)?,
            environment: self.environment.clone(),
            trigger: stored(self.trigger.as_deref().and_then(Trigger::named))?,
            from_fork: stored(self.from_fork)?,
            minted_by: stored(self.minted_by.as_deref().and_then(CredentialScope::named))?,
        })
    }

    /// A job that is gone with its project leaves a token that is dead either way.
    fn job(&self) -> Result<JobState> {
        match (&self.job_state, self.deadline_at) {
            (Some(state), Some(deadline_at)) => stored(job::state(state, deadline_at, self.lease_until)),
            _ => Ok(JobState::Finished),
        }
    }

    /// What an answer tells besides.
    fn into_info(self, token: &JobToken) -> Result<TokenInfo> {
        Ok(TokenInfo {
            id: token.id,
            project: token.project,
            project_path: self.source_path.unwrap_or_default(),
            pipeline: PipelineId(stored(self.pipeline_id)?),
            pipeline_key: stored(self.pipeline_key)?,
            job: JobId(stored(self.job_id)?),
            job_key: stored(self.job_key)?,
            job_name: stored(self.job_name)?,
            minter: stored(MinterId::from_ids(self.runner_id, self.trust_rule_id))?,
            ref_name: token.run.ref_name.clone(),
            ref_type: token.run.ref_type,
            sha: stored(self.sha)?,
            protected: token.run.protected,
            environment: self.environment,
            trigger: token.run.trigger,
            from_fork: token.run.from_fork,
            fork_source: self.fork_source,
            actor_claimed: if self.actor.is_some() { None } else { self.actor_claimed },
            actor: self.actor,
            cap: self.permissions,
            details: authorization_detail::shown(self.details),
            audience: self.audience,
            ancestors: self.ancestors.unwrap_or_default().into_iter().map(JobTokenId).collect(),
            root: JobTokenId(stored(self.root_id)?),
            issued_at: stored(self.issued_at)?,
            expires_at: token.expires_at,
        })
    }
}
