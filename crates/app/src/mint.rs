//! A token for a job that starts: a runner asks for it, or a trust rule answers for another CI.

use crate::once::{Life, once};
use crate::{App, Conflict, Once, Refusal, Rendered, RunnerCaller, entropy};
use jobpass_domain::audit::{Actor, Change};
use jobpass_domain::authorization_detail::ShownDetail;
use jobpass_domain::ids::{JobId, JobTokenId, PipelineId, UserId};
use jobpass_domain::job::{GRACE, JobFacts, MAX_LIVE_TOKENS};
use jobpass_domain::minter::{Minter, MinterId};
use jobpass_domain::pipeline::{PipelineFacts, Trigger, is_protected_environment};
use jobpass_domain::place::Place;
use jobpass_domain::project::Project;
use jobpass_domain::text::{AudienceUri, Label};
use jobpass_domain::token::{self, TokenHash};
use jobpass_domain::{PermissionSet, Secret};
use jobpass_persistence::job::{KnownJob, NewJob};
use jobpass_persistence::job_token::NewToken;
use jobpass_persistence::pipeline::KnownPipeline;
use jobpass_persistence::{Tx, id_at, job, job_token, pipeline, project, user};
use serde_json::json;
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
    pub project: jobpass_domain::ids::ProjectId,
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
        let runner = &caller.runner;
        if let Some(kept) = self.replayed(idempotency, runner.id.0).await? {
            return Ok(kept);
        }
        let cap = self.cap(request.permissions.as_deref()).await?;
        check(request, self.settings.max_job_timeout)?;
        let project = project::find(self.db.read(), &request.project).await?.ok_or(Refusal::NotFound)?;
        if !runner.reaches(project.id, &project.chain) {
            return Err(Refusal::NotFound);
        }
        if runner.paused {
            return Err(Conflict::RunnerPaused.into());
        }
        let minter = Minter::from(runner);
        let draft = Draft { minter: &minter, project: &project, request, cap };
        let protected = draft.protection()?;
        let context = self.context(Actor::Runner(runner.id), caller.request);
        let work = async |tx: &mut Tx| {
            let minted = draft.issue(tx, protected).await?;
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

/// A mint under way: whatever the credential is, it is one and the same.
pub(crate) struct Draft<'d> {
    pub(crate) minter: &'d Minter,
    pub(crate) project: &'d Project,
    pub(crate) request: &'d Mint,
    pub(crate) cap: Option<Vec<String>>,
}

impl Draft<'_> {
    /// Computed, never taken from the caller; refused rather than lowered, but where the CI itself takes it back.
    pub(crate) fn protection(&self) -> Result<bool, Refusal> {
        let Draft { minter, project, request, .. } = self;
        let matches = request.pipeline.is_protected(&project.protected_refs);
        if matches && !minter.protected {
            return Err(Refusal::RunnerNotProtected);
        }
        let protected = matches && !request.unprotected_there;
        let environment = request.job.environment.as_deref();
        if !protected && environment.is_some_and(|name| is_protected_environment(name, &project.protected_environments))
        {
            return Err(Refusal::ProtectedEnvironment);
        }
        Ok(protected)
    }

    /// Opens run and job where they are new, and writes the token with its audit event.
    pub(crate) async fn issue(&self, tx: &mut Tx, protected: bool) -> Result<Minted, Refusal> {
        let run = self.open_pipeline(tx).await?;
        let job = self.open_job(tx, &run).await?;
        let minted = self.mint(tx, &run, &job, protected).await?;
        tx.audit(&self.event(&minted, protected)).await?;
        Ok(minted)
    }

    async fn open_pipeline(&self, tx: &mut Tx) -> Result<KnownPipeline, Refusal> {
        let id = PipelineId(id_at(tx.now()));
        let mut facts = self.request.pipeline.clone();
        if let MinterId::TrustRule(_) = self.minter.id {
            // Other CIs name whoever started the job, and jobs of one run may have been started by several.
            facts.actor = None;
        }
        let known = pipeline::open(tx, id, self.project.id, &self.request.pipeline_key, &facts).await?;
        match known.facts.first_difference(&facts) {
            Some(field) => Err(Conflict::FactsDiffer(format!("/pipeline/{field}")).into()),
            None => Ok(known),
        }
    }

    /// The job, held: nobody else adds or ends its tokens until this transaction is over.
    async fn open_job(&self, tx: &mut Tx, run: &KnownPipeline) -> Result<KnownJob, Refusal> {
        let Draft { minter, request, .. } = self;
        let now = tx.now();
        let new = NewJob {
            id: JobId(id_at(now)),
            pipeline: run.id,
            minter: minter.id,
            key: &request.job_key,
            facts: &request.job,
            deadline_at: now + Duration::seconds(request.job.timeout_secs.into()),
            lease_until: request.job.lease_secs.map(|secs| now + Duration::seconds(secs.into())),
        };
        let known = job::open(tx, &new).await?;
        if known.minter != minter.id {
            return Err(Conflict::JobOfOtherRunner.into());
        }
        if let Some(field) = known.facts.first_difference(&request.job) {
            return Err(Conflict::FactsDiffer(format!("/job/{field}")).into());
        }
        known.state.may_mint(now).map_err(Conflict::JobOver)?;
        if job_token::count_minted(tx, known.id).await? >= MAX_LIVE_TOKENS {
            return Err(Conflict::TooManyTokens { limit: MAX_LIVE_TOKENS }.into());
        }
        Ok(known)
    }

    async fn mint(&self, tx: &mut Tx, run: &KnownPipeline, job: &KnownJob, protected: bool) -> Result<Minted, Refusal> {
        let Draft { minter, project, request, cap } = self;
        let id = JobTokenId(id_at(tx.now()));
        let minted = Minted {
            id,
            project: project.id,
            pipeline: run.id,
            job: job.id,
            expires_at: job.deadline_at + GRACE,
            secret: token::generate_job_token(job_token::hour_of(id), entropy::token_bytes()?),
            cap: cap.clone(),
            details: None,
        };
        let token = NewToken {
            id,
            hash: TokenHash::of(minted.secret.expose()),
            project: project.id,
            pipeline: run.id,
            job: job.id,
            minter: minter.id,
            cap: minted.cap.clone(),
            audience: request.audience.as_ref().map(|list| list.iter().map(|uri| uri.as_str().to_owned()).collect()),
            pipeline_key: &request.pipeline_key,
            job_key: &request.job_key,
            job_name: &request.job.name,
            facts: &request.pipeline,
            protected,
            environment: request.job.environment.as_deref(),
            actor: self.vouched_actor(tx).await?,
            minted_by: minter.scope.scope(),
            pipeline_epoch: run.epoch,
            minter_epoch: minter.epoch,
            expires_at: minted.expires_at,
        };
        job_token::insert(tx, &token).await?;
        Ok(minted)
    }

    /// The user that the actor is, if the credential's word is taken and there is such a user; silently none otherwise.
    async fn vouched_actor(&self, tx: &mut Tx) -> Result<Option<UserId>, Refusal> {
        match &self.request.pipeline.actor {
            Some(actor) if self.minter.asserts_actor => Ok(user::find(tx.on(), actor).await?.map(|user| user.id)),
            _ => Ok(None),
        }
    }

    fn event(&self, minted: &Minted, protected: bool) -> Change {
        let request = self.request;
        Change {
            action: "job_token.minted",
            subject_kind: "job_token",
            subject: minted.id.0,
            place: Place::Project(self.project.id),
            before: None,
            after: Some(
                json!({
                    "pipeline_id": minted.pipeline, "job_id": minted.job, "pipeline": request.pipeline_key, "job": request.job_key,
                    "ref": request.pipeline.ref_name, "protected": protected, "permissions": minted.cap,
                })
                .to_string(),
            ),
            reason: None,
        }
    }
}

/// The answer can be given again for as long as its token lives.
pub(crate) fn life(minted: &Minted) -> Life {
    let hash = TokenHash::of(minted.secret.expose());
    Life { token: Some((job_token::hour_of(minted.id), hash, minted.expires_at)) }
}
