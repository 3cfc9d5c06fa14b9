//! A token for a job that starts: a runner asks for it, or a trust rule answers for another CI.

mod draft;

pub(crate) use draft::Draft;

use crate::once::{Life, once};
use crate::{App, Conflict, Once, Refusal, Rendered, RunnerCaller};
use jobpass_domain::audit::Actor;
use jobpass_domain::authorization_detail::ShownDetail;
use jobpass_domain::ids::{JobId, JobTokenId, PipelineId, ProjectId};
use jobpass_domain::job::JobFacts;
use jobpass_domain::minter::Minter;
use jobpass_domain::pipeline::{PipelineFacts, Trigger};
use jobpass_domain::runner::Runner;
use jobpass_domain::text::{AudienceUri, Label};
use jobpass_domain::token::TokenHash;
use jobpass_domain::{PermissionSet, Secret};
use jobpass_persistence::{Tx, job_token, project, runner};
use time::{Duration, OffsetDateTime};

/// The longest lease between two heartbeats, in seconds.
const MAX_LEASE_SECS: u32 = 3600;
/// The most entries of a cap.
const MAX_CAP: usize = 256;

/// What a runner states, or another CI in signed claims.
#[derive(Clone, Debug)]
pub struct Mint {
    /// Path or id.
    pub project: String,
    pub pipeline_key: Label,
    pub pipeline: PipelineFacts,
    /// Whether `from_fork` was said, or is assumed.
    pub fork_was_said: bool,
    /// The CI itself says that the ref is not protected there; this lowers, and nothing raises.
    pub unprotected_there: bool,
    pub job_key: Label,
    pub job: JobFacts,
    pub permissions: Option<Vec<String>>,
    pub audience: Option<Vec<AudienceUri>>,
}

#[derive(Debug)]
pub struct Minted {
    pub secret: Secret,
    pub id: JobTokenId,
    pub project: ProjectId,
    pub pipeline: PipelineId,
    pub job: JobId,
    pub cap: Option<Vec<String>>,
    /// What it is confined to, project by project.
    pub details: Option<Vec<ShownDetail>>,
    pub expires_at: OffsetDateTime,
}

impl App {
    pub async fn mint(
        &self,
        caller: &RunnerCaller,
        request: &Mint,
        idempotency: Option<&Once>,
        render: impl Fn(&Minted) -> Rendered,
    ) -> Result<Rendered, Refusal> {
        let runner = &*caller.runner;
        if let Some(kept) = self.replayed(idempotency, runner.id.0).await? {
            return Ok(kept);
        }
        let cap = self.cap(request.permissions.as_deref()).await?;
        check(request, self.settings.max_job_timeout)?;
        let project = project::find(self.db.read(), &request.project).await?.ok_or(Refusal::NotFound)?;
        if !runner.reaches(project.id, &project.chain) {
            return Err(Refusal::NotFound);
        }
        let context = self.context(Actor::Runner(runner.id), caller.request);
        let work = async |tx: &mut Tx| {
            let minter = hold(tx, runner).await?;
            let draft = Draft { minter: &minter, project: &project, request, cap, id_token_subject: None };
            let minted = draft.issue(tx, draft.protection()?).await?;
            let life = life(&minted);
            Ok((render(&minted), life))
        };
        self.transaction(context, async |tx: &mut Tx| once(tx, idempotency, runner.id.0, work).await).await
    }

    /// A cap in its canonical form, `None` for no cap; every entry must be known.
    pub(crate) async fn cap(&self, texts: Option<&[String]>) -> Result<Option<Vec<String>>, Refusal> {
        let Some(texts) = texts else { return Ok(None) };
        let permissions = self.at_most("/permissions", texts).await?;
        Ok(Some(self.catalogue().format(permissions)))
    }

    /// The permissions that limit a token, as they are listed at this pointer.
    pub(crate) async fn at_most(&self, pointer: &str, texts: &[String]) -> Result<PermissionSet, Refusal> {
        if texts.len() > MAX_CAP {
            return Err(Refusal::invalid(pointer, "too_many", format!("{} entries; at most {MAX_CAP}", texts.len())));
        }
        let catalogue = self.catalogue_for(texts).await?;
        catalogue.parse_all(texts).map_err(|(index, unknown)| {
            Refusal::invalid(format!("{pointer}/{index}"), "unknown_permission", unknown.to_string())
        })
    }
}

/// The runner as it is now, which it stays until the token is there: since it proved itself it may have been paused, deleted or
/// lowered. The epoch alone is that of its proof, so that what has ended meanwhile, as by a report of its secret, stays ended.
async fn hold(tx: &mut Tx, proven: &Runner) -> Result<Minter, Refusal> {
    let runner = runner::hold(tx, proven.id).await?.ok_or(Refusal::BadCredential)?;
    if runner.paused {
        return Err(Conflict::RunnerPaused.into());
    }
    Ok(Minter { epoch: proven.epoch, ..Minter::from(&runner) })
}

/// What can be said without a look at the database.
pub(crate) fn check(request: &Mint, max_timeout: Duration) -> Result<(), Refusal> {
    let max_secs = u32::try_from(max_timeout.whole_seconds()).unwrap_or(u32::MAX);
    if !(1..=max_secs).contains(&request.job.timeout_secs) {
        return Err(Refusal::invalid("/job/timeout_secs", "out_of_range", format!("from 1 to {max_secs} seconds")));
    }
    if request.job.lease_secs.is_some_and(|secs| !(1..=MAX_LEASE_SECS).contains(&secs)) {
        return Err(Refusal::invalid("/job/lease_secs", "out_of_range", format!("from 1 to {MAX_LEASE_SECS} seconds")));
    }
    if request.pipeline.trigger == Trigger::MergeRequest && !request.fork_was_said {
        return Err(Refusal::invalid(
            "/pipeline/from_fork",
            "required",
            "must be said when the trigger is merge_request",
        ));
    }
    if request.pipeline.fork_source.is_some() && !request.pipeline.from_fork {
        return Err(Refusal::invalid(
            "/pipeline/fork_source",
            "not_from_fork",
            "only a run from a fork has a fork source",
        ));
    }
    check_audience(request.audience.as_deref())
}

pub(crate) fn check_audience(audience: Option<&[AudienceUri]>) -> Result<(), Refusal> {
    let max = jobpass_domain::job_token::MAX_AUDIENCES;
    match audience {
        Some(list) if list.is_empty() || list.len() > max => {
            Err(Refusal::invalid("/audience", "out_of_range", format!("1 to {max} audiences, or null for any service")))
        }
        _ => Ok(()),
    }
}

/// The answer can be given again for as long as its token lives.
pub(crate) fn life(minted: &Minted) -> Life {
    let hash = TokenHash::of(minted.secret.expose());
    Life { token: Some((job_token::hour_of(minted.id), hash, minted.expires_at)) }
}
