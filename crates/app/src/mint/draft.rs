//! The mint itself: one and the same for runners and for trust rules.

use super::{Mint, Minted};
use crate::{Conflict, Refusal, entropy};
use jobpass_domain::audit::Change;
use jobpass_domain::ids::{JobId, JobTokenId, PipelineId, UserId};
use jobpass_domain::job::{GRACE, MAX_LIVE_TOKENS};
use jobpass_domain::minter::{Minter, MinterId};
use jobpass_domain::pipeline::is_protected_environment;
use jobpass_domain::place::Place;
use jobpass_domain::project::Project;
use jobpass_domain::token::{self, TokenHash};
use jobpass_persistence::job::{KnownJob, NewJob};
use jobpass_persistence::job_token::NewToken;
use jobpass_persistence::pipeline::KnownPipeline;
use jobpass_persistence::{Tx, id_at, job, job_token, pipeline, user};
use serde_json::json;
use time::Duration;

/// A mint under way: whatever the credential is, it is one and the same.
pub(crate) struct Draft<'d> {
    pub(crate) minter: &'d Minter,
    pub(crate) project: &'d Project,
    pub(crate) request: &'d Mint,
    pub(crate) cap: Option<Vec<String>>,
    /// Of whom the ID token spoke by which it is minted, for the record.
    pub(crate) id_token_subject: Option<&'d str>,
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
        let Draft { minter, project, request, cap, .. } = self;
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
        let mut after = json!({
            "pipeline_id": minted.pipeline, "job_id": minted.job, "pipeline": request.pipeline_key, "job": request.job_key,
            "ref": request.pipeline.ref_name, "protected": protected, "permissions": minted.cap,
        });
        if let (Some(after), Some(subject)) = (after.as_object_mut(), self.id_token_subject) {
            after.insert("id_token_subject".to_owned(), subject.into());
        }
        Change {
            action: "job_token.minted",
            subject_kind: "job_token",
            subject: minted.id.0,
            place: Place::Project(self.project.id),
            before: None,
            after: Some(after.to_string()),
            reason: None,
        }
    }
}
