//! A token's row with its run's epoch and its job: what is each token's own. One statement for all that are asked about at once,
//! and one partition and one index touched for each.

use super::{Circumstances, LoadedToken};
use crate::error::stored;
use crate::{Line, Result, authorization_detail, job};
use jobpass_domain::catalogue::Catalogue;
use jobpass_domain::ids::{JobId, JobTokenId, PipelineId, ProjectId, UserId};
use jobpass_domain::job::JobState;
use jobpass_domain::job_token::{JobToken, Revoked, TokenInfo};
use jobpass_domain::minter::MinterId;
use jobpass_domain::pipeline::Trigger;
use jobpass_domain::provenance::{CredentialScope, Provenance};
use jobpass_domain::refs::RefType;
use jobpass_domain::token::{Hour, TokenHash};
use sqlx::PgExecutor;
use sqlx::types::Json;
use time::OffsetDateTime;
use uuid::Uuid;

/// In the order of what is asked; `None`: there is no such token.
pub async fn load(line: &Line, asked: &[(Hour, TokenHash)]) -> Result<Vec<Option<TokenRow>>> {
    let mut lent = line.lend().await?;
    let rows = load_on(lent.on()?, asked).await?;
    line.keep(lent);
    Ok(rows)
}

pub(super) async fn load_on(db: impl PgExecutor<'_>, asked: &[(Hour, TokenHash)]) -> Result<Vec<Option<TokenRow>>> {
    let hours: Vec<i32> = asked.iter().map(|(hour, _)| i32::try_from(hour.0).unwrap_or(i32::MAX)).collect();
    let hashes: Vec<Vec<u8>> = asked.iter().map(|(_, hash)| hash.0.to_vec()).collect();
    // A limit keeps the planner to one look-up by index for each, whatever it thinks of the tables. Subselects keep from it how many
    // are asked about: it would plan anew each time, for so many exactly, which takes longer than to look up twenty.
    let rows = sqlx::query_as!(
        Row,
        r#"
        select asked.position as "position!",
            token.id, token.project_id, token.pipeline_id, token.job_id, token.runner_id, token.trust_rule_id, token.root_id, token.ancestors,
            token.permissions, token.details as "details: Json<Vec<authorization_detail::Columns>>", token.audience, token.pipeline_key, token.job_key, token.job_name,
            token.ref as ref_name, token.ref_type, token.sha, token.protected, token.environment, token.trigger, token.from_fork,
            token.fork_source, token.actor_id, token.actor_claimed, token.minted_by, token.project_epoch, token.minter_epoch,
            token.issued_at, token.expires_at, token.revoked_because,
            coalesce(token.pipeline_epoch = run.epoch, false) as "run_is_current!",
            job.state as "job_state?", job.deadline_at as "deadline_at?", job.lease_until as "lease_until?"
        from unnest((select $1::int[]), (select $2::bytea[])) with ordinality as asked (hour, hash, position)
        cross join lateral (select * from job_tokens t where t.issued_hour = asked.hour and t.hash = asked.hash limit 1) token
        left join lateral (select epoch from pipelines where pipelines.id = token.pipeline_id limit 1) run on true
        left join lateral (select state, deadline_at, lease_until from jobs where jobs.id = token.job_id limit 1) job on true
        "#,
        &hours,
        &hashes,
    )
    .fetch_all(db)
    .await?;
    let mut found: Vec<Option<TokenRow>> = asked.iter().map(|_| None).collect();
    for row in rows {
        let minter = stored(MinterId::from_ids(row.runner_id, row.trust_rule_id))?;
        let place = usize::try_from(row.position - 1).ok().and_then(|index| found.get_mut(index));
        *stored(place)? = Some(TokenRow { minter, row });
    }
    Ok(found)
}

#[derive(Clone, Debug)]
pub struct TokenRow {
    minter: MinterId,
    row: Row,
}

#[derive(Clone, Debug)]
struct Row {
    /// Which of those that were asked about, from 1.
    position: i64,
    id: Uuid,
    project_id: Uuid,
    pipeline_id: Uuid,
    job_id: Uuid,
    runner_id: Option<Uuid>,
    trust_rule_id: Option<Uuid>,
    root_id: Uuid,
    ancestors: Vec<Uuid>,
    permissions: Option<Vec<String>>,
    details: Option<Json<Vec<authorization_detail::Columns>>>,
    audience: Option<Vec<String>>,
    pipeline_key: String,
    job_key: String,
    job_name: String,
    ref_name: String,
    ref_type: String,
    sha: String,
    protected: bool,
    environment: Option<String>,
    trigger: String,
    from_fork: bool,
    fork_source: Option<String>,
    actor_id: Option<Uuid>,
    actor_claimed: Option<String>,
    minted_by: String,
    project_epoch: i64,
    minter_epoch: i64,
    issued_at: OffsetDateTime,
    expires_at: OffsetDateTime,
    revoked_because: Option<String>,
    run_is_current: bool,
    job_state: Option<String>,
    deadline_at: Option<OffsetDateTime>,
    lease_until: Option<OffsetDateTime>,
}

impl TokenRow {
    /// Which circumstances are the token's: its project, the credential that minted it, and its vouched-for actor.
    pub fn origin(&self) -> (ProjectId, MinterId, Option<UserId>) {
        (ProjectId(self.row.project_id), self.minter, self.row.actor_id.map(UserId))
    }

    /// Whether it was minted under an epoch that these circumstances have not seen: they were loaded before it was raised.
    pub fn is_ahead_of(&self, around: &Circumstances) -> bool {
        around.source.as_ref().is_none_or(|source| source.epoch < self.row.project_epoch)
            || around.minter_epoch.is_none_or(|epoch| epoch < self.row.minter_epoch)
    }

    /// The token as it stands among its circumstances.
    pub(super) fn among(self, around: &Circumstances, catalogue: &Catalogue) -> Result<LoadedToken> {
        let token = self.facts(around, catalogue)?;
        let lease_until = self.row.lease_until;
        Ok(LoadedToken { info: self.into_info(&token, around), token, lease_until })
    }

    /// What the decision needs.
    fn facts(&self, around: &Circumstances, catalogue: &Catalogue) -> Result<JobToken> {
        let row = &self.row;
        let revoked = |because: &str| if because == "parent" { Revoked::WithAncestor } else { Revoked::Itself };
        let source = around.source.as_ref();
        Ok(JobToken {
            id: JobTokenId(row.id),
            project: ProjectId(row.project_id),
            chain: source.map(|source| source.chain.clone()).unwrap_or_default(),
            run: self.provenance()?,
            cap: row.permissions.as_deref().map(|texts| catalogue.known(texts)),
            details: authorization_detail::read(row.details.as_ref(), catalogue),
            audience: row.audience.clone(),
            expires_at: row.expires_at,
            revoked: row.revoked_because.as_deref().map(revoked),
            epochs_current: row.run_is_current
                && source.is_some_and(|source| source.epoch == row.project_epoch)
                && around.minter_epoch == Some(row.minter_epoch),
            job: self.job()?,
        })
    }

    fn provenance(&self) -> Result<Provenance> {
        let row = &self.row;
        Ok(Provenance {
            ref_name: row.ref_name.clone(),
            ref_type: stored(RefType::named(&row.ref_type))?,
            protected: row.protected,
            environment: row.environment.clone(),
            trigger: stored(Trigger::named(&row.trigger))?,
            from_fork: row.from_fork,
            minted_by: stored(CredentialScope::named(&row.minted_by))?,
        })
    }

    /// A job that is gone with its project leaves a token that is dead either way.
    fn job(&self) -> Result<JobState> {
        match (&self.row.job_state, self.row.deadline_at) {
            (Some(state), Some(deadline_at)) => stored(job::state(state, deadline_at, self.row.lease_until)),
            _ => Ok(JobState::Finished),
        }
    }

    /// What an answer tells besides.
    fn into_info(self, token: &JobToken, around: &Circumstances) -> TokenInfo {
        let TokenRow { minter, row } = self;
        TokenInfo {
            id: token.id,
            project: token.project,
            project_path: around.source.as_ref().map(|source| source.path.clone()).unwrap_or_default(),
            pipeline: PipelineId(row.pipeline_id),
            pipeline_key: row.pipeline_key,
            job: JobId(row.job_id),
            job_key: row.job_key,
            job_name: row.job_name,
            minter,
            ref_name: row.ref_name,
            ref_type: token.run.ref_type,
            sha: row.sha,
            protected: row.protected,
            environment: row.environment,
            trigger: token.run.trigger,
            from_fork: row.from_fork,
            fork_source: row.fork_source,
            actor_claimed: if around.actor.is_some() { None } else { row.actor_claimed },
            actor: around.actor.clone(),
            cap: row.permissions,
            details: authorization_detail::shown(row.details),
            audience: row.audience,
            ancestors: row.ancestors.into_iter().map(JobTokenId).collect(),
            root: JobTokenId(row.root_id),
            issued_at: row.issued_at,
            expires_at: row.expires_at,
        }
    }
}
