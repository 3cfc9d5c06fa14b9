//! One statement that loads all that a decision needs: the token and its job, the epochs, the target
//! with its floors, grants for this source, ceilings of both sides, and the actor's role.

use crate::error::stored;
use crate::member::role_numbered;
use crate::{Result, ceiling, grant, job};
use jobpass_domain::Role;
use jobpass_domain::catalogue::Catalogue;
use jobpass_domain::ceiling::Ceiling;
use jobpass_domain::decision::Target;
use jobpass_domain::grant::CredentialScope;
use jobpass_domain::ids::{GroupId, JobId, JobTokenId, PipelineId, ProjectId, RunnerId};
use jobpass_domain::job::JobState;
use jobpass_domain::job_token::{JobToken, Provenance, Revoked, TokenInfo};
use jobpass_domain::mode::{Mode, Visibility};
use jobpass_domain::permission::PermissionSet;
use jobpass_domain::pipeline::{RefType, Trigger};
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
    /// The role of the token's vouched-for actor on the target.
    pub actor_role: Option<Role>,
    pub source_ceilings: Vec<Ceiling>,
}

#[derive(Debug)]
pub struct LoadedToken {
    pub token: JobToken,
    pub info: TokenInfo,
    pub lease_until: Option<OffsetDateTime>,
}

/// `target`: a project's id or path. A token whose project, run or runner is gone counts as revoked.
pub async fn load(
    db: impl PgExecutor<'_>,
    hour: Hour,
    hash: TokenHash,
    target: Option<&str>,
    catalogue: &Catalogue,
) -> Result<Loaded> {
    let target_id = target.and_then(|key| Uuid::parse_str(key).ok());
    let row = sqlx::query!(
        r#"
        with token as (select * from job_tokens where issued_hour = $1 and hash = $2),
        target as (select * from projects where id = $3 or path = $4)
        select
            token.id as "token_id?", token.project_id as "project_id?", token.pipeline_id as "pipeline_id?", token.job_id as "job_id?",
            token.runner_id as "runner_id?", token.permissions, token.audience, token.pipeline_key as "pipeline_key?",
            token.job_key as "job_key?", token.job_name as "job_name?", token.ancestors as "ancestors?", token.root_id as "root_id?", token.ref as "ref_name?", token.ref_type as "ref_type?", token.sha as "sha?",
            token.protected as "protected?", token.environment, token.trigger as "trigger?", token.from_fork as "from_fork?",
            token.fork_source, token.actor_claimed, token.minted_by as "minted_by?",
            token.issued_at as "issued_at?", token.expires_at as "expires_at?", token.revoked_because,
            coalesce(token.project_epoch = source.epoch and token.pipeline_epoch = pipelines.epoch
                and token.runner_epoch = runners.epoch, false) as "epochs_current!",
            source.path as "source_path?", source.chain as "source_chain?",
            jobs.state as "job_state?", jobs.deadline_at as "deadline_at?", jobs.lease_until as "lease_until?",
            actor.name as "actor?",
            target.visibility as "target_visibility?", target.mode as "target_mode?",
            array(select floor from groups where id = any(target.chain)) || (select floor from instance) as "floors!",
            (select max(role) from memberships m where m.user_id = token.actor_id
                and (m.project_id = target.id or m.group_id = any(target.chain))) as actor_role,
            coalesce((select jsonb_agg(to_jsonb(g)) from grants g
                where (g.project_id = target.id or g.group_id = any(target.chain))
                  and (g.source_project_id = token.project_id or g.source_group_id = any(source.chain))), '[]')
                as "grants!: Json<Vec<grant::Columns>>",
            coalesce((select jsonb_agg(to_jsonb(c)) from ceilings c
                where c.side = 'target' and target.id is not null
                  and (c.project_id = target.id or c.group_id = any(target.chain) or num_nonnulls(c.project_id, c.group_id) = 0)), '[]')
                as "target_ceilings!: Json<Vec<ceiling::Columns>>",
            coalesce((select jsonb_agg(to_jsonb(c)) from ceilings c
                where c.side = 'source' and token.id is not null
                  and (c.project_id = source.id or c.group_id = any(source.chain) or num_nonnulls(c.project_id, c.group_id) = 0)), '[]')
                as "source_ceilings!: Json<Vec<ceiling::Columns>>"
        from (select 1) as one
        left join token on true
        left join target on true
        left join projects source on source.id = token.project_id
        left join pipelines on pipelines.id = token.pipeline_id
        left join jobs on jobs.id = token.job_id
        left join runners on runners.id = token.runner_id
        left join users actor on actor.id = token.actor_id
        "#,
        i32::try_from(hour.0).unwrap_or(i32::MAX),
        &hash.0[..],
        target_id,
        target,
    )
    .fetch_one(db)
    .await?;

    let ceilings = |columns: Vec<ceiling::Columns>| {
        columns
            .into_iter()
            .map(|one| one.into_ceiling(catalogue))
            .collect::<Result<_>>()
    };
    let target = match (row.target_visibility, row.target_mode) {
        (Some(visibility), Some(mode)) => {
            let floors: Vec<Mode> = row
                .floors
                .iter()
                .map(|floor| stored(Mode::named(floor)))
                .collect::<Result<_>>()?;
            Some(Target {
                visibility: stored(Visibility::named(&visibility))?,
                mode: Mode::effective(stored(Mode::named(&mode))?, floors),
                grants: row
                    .grants
                    .0
                    .into_iter()
                    .map(|one| one.into_grant(catalogue))
                    .collect::<Result<_>>()?,
                ceilings: ceilings(row.target_ceilings.0)?,
            })
        }
        _ => None,
    };
    let source_ceilings = ceilings(row.source_ceilings.0)?;
    let actor_role = row.actor_role.map(|number| stored(role_numbered(number))).transpose()?;
    let Some(id) = row.token_id else {
        return Ok(Loaded {
            token: None,
            target,
            actor_role,
            source_ceilings,
        });
    };

    // A job that is gone with its project leaves a token that is dead either way.
    let job = match (row.job_state, row.deadline_at) {
        (Some(state), Some(deadline_at)) => stored(job::state(&state, deadline_at, row.lease_until))?,
        _ => JobState::Finished,
    };
    let known = row.permissions.as_ref().map(|texts| {
        texts
            .iter()
            .filter_map(|text| catalogue.parse(text).ok())
            .fold(PermissionSet::EMPTY, PermissionSet::union)
    });
    let token = JobToken {
        id: JobTokenId(id),
        project: ProjectId(stored(row.project_id)?),
        chain: row.source_chain.unwrap_or_default().into_iter().map(GroupId).collect(),
        run: Provenance {
            ref_name: stored(row.ref_name)?,
            ref_type: stored(row.ref_type.as_deref().and_then(RefType::named))?,
            protected: stored(row.protected)?,
            environment: row.environment,
            trigger: stored(row.trigger.as_deref().and_then(Trigger::named))?,
            from_fork: stored(row.from_fork)?,
            minted_by: stored(row.minted_by.as_deref().and_then(CredentialScope::named))?,
        },
        cap: known,
        audience: row.audience,
        expires_at: stored(row.expires_at)?,
        revoked: row.revoked_because.as_deref().map(|because| {
            if because == "parent" {
                Revoked::WithAncestor
            } else {
                Revoked::Itself
            }
        }),
        epochs_current: row.epochs_current,
        job,
    };
    let info = TokenInfo {
        id: token.id,
        project: token.project,
        project_path: row.source_path.unwrap_or_default(),
        pipeline: PipelineId(stored(row.pipeline_id)?),
        pipeline_key: stored(row.pipeline_key)?,
        job: JobId(stored(row.job_id)?),
        job_key: stored(row.job_key)?,
        job_name: stored(row.job_name)?,
        runner: RunnerId(stored(row.runner_id)?),
        ref_name: token.run.ref_name.clone(),
        ref_type: token.run.ref_type,
        sha: stored(row.sha)?,
        protected: token.run.protected,
        environment: token.run.environment.clone(),
        trigger: token.run.trigger,
        from_fork: token.run.from_fork,
        fork_source: row.fork_source,
        actor_claimed: if row.actor.is_some() { None } else { row.actor_claimed },
        actor: row.actor,
        cap: row.permissions,
        audience: token.audience.clone(),
        ancestors: row.ancestors.unwrap_or_default().into_iter().map(JobTokenId).collect(),
        root: JobTokenId(stored(row.root_id)?),
        issued_at: stored(row.issued_at)?,
        expires_at: token.expires_at,
    };
    let token = LoadedToken {
        token,
        info,
        lease_until: row.lease_until,
    };
    Ok(Loaded {
        token: Some(token),
        target,
        actor_role,
        source_ceilings,
    })
}
