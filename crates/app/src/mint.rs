//! A token for a job that starts: a runner asks for it, or a trust rule answers for another CI.

mod batch;
mod draft;
mod gathered;

pub(crate) use batch::{Batch, Outcome, Stopped};
pub(crate) use draft::Draft;
pub(crate) use gathered::Mints;

use self::draft::issue;
use self::gathered::Asked;
use crate::once::{Life, once};
use crate::{App, Once, Refusal, Rendered, RunnerCaller};
use jobpass_domain::audit::Actor;
use jobpass_domain::authorization_detail::ShownDetail;
use jobpass_domain::ids::{JobId, JobTokenId, PipelineId, ProjectId};
use jobpass_domain::job::{GRACE, JobFacts};
use jobpass_domain::pipeline::{PipelineFacts, Trigger};
use jobpass_domain::text::{AudienceUri, Label};
use jobpass_domain::token::TokenHash;
use jobpass_domain::{PermissionSet, Secret};
use jobpass_persistence::job::IfHeld;
use jobpass_persistence::{Tx, caller, job_token, project, runner};
use std::sync::Arc;
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

impl Mint {
    /// When its token expires at the latest: a job that is known already has less time left.
    pub(crate) fn expires_at(&self, now: OffsetDateTime) -> OffsetDateTime {
        now + Duration::seconds(self.job.timeout_secs.into()) + GRACE
    }
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
    /// Without an Idempotency-Key it is written together with whatever else waits; with one, in a transaction of its own, in which
    /// the answer is kept, too.
    pub async fn mint(
        self: &Arc<Self>,
        by: &RunnerCaller,
        request: Mint,
        idempotency: Option<&Once>,
        render: impl Fn(&Minted) -> Rendered,
    ) -> Result<Rendered, Refusal> {
        if let Some(kept) = self.replayed(idempotency, by.runner.id.0).await? {
            return Ok(kept);
        }
        let cap = self.cap(request.permissions.as_deref()).await?;
        check(&request, self.settings.max_job_timeout)?;
        let (runner, proof) = (Arc::clone(&by.runner), by.proof.clone());
        let asked = Arc::new(Asked { runner, proof, request, cap, request_id: by.request });
        if idempotency.is_none() {
            match self.mint_together(Arc::clone(&asked)).await? {
                Ok(minted) => return Ok(render(&minted)),
                Err(Stopped::Refused(refusal)) => return Err(refusal),
                Err(Stopped::Alone) => {}
            }
        }
        self.mint_alone(&asked, idempotency, render).await
    }

    async fn mint_alone(
        &self,
        asked: &Asked,
        idempotency: Option<&Once>,
        render: impl Fn(&Minted) -> Rendered,
    ) -> Result<Rendered, Refusal> {
        let id = asked.runner.id;
        let project = project::find(self.db.read(), &asked.request.project).await?.ok_or(Refusal::NotFound)?;
        let context = self.context(Actor::Runner(id), asked.request_id);
        let now = context.now;
        let work = async |tx: &mut Tx| {
            let runner = runner::hold(tx, id).await?.ok_or(Refusal::BadCredential)?;
            // What has ended its tokens since may have ended its secret, too.
            if runner.epoch != asked.runner.epoch && !caller::still_proves(tx, id, &asked.proof, now).await? {
                return Err(Refusal::BadCredential);
            }
            let minted = issue_one(tx, asked.draft(&runner, &project)?).await?;
            let life = life(&minted);
            Ok((render(&minted), life))
        };
        let expires_at = asked.request.expires_at(now);
        self.minting(context, expires_at, async |tx: &mut Tx| once(tx, idempotency, id.0, work).await).await
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

/// One alone, which waits for what others hold.
pub(crate) async fn issue_one(tx: &mut Tx, draft: Draft<'_>) -> Result<Minted, Refusal> {
    match issue(tx, Batch::of([draft]), IfHeld::Wait).await?.pop() {
        Some(Ok(minted)) => Ok(minted),
        Some(Err(Stopped::Refused(refusal))) => Err(refusal),
        Some(Err(Stopped::Alone)) | None => Err(Refusal::Unavailable("its job went away meanwhile".to_owned())),
    }
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
