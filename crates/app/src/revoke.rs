//! Revocation: of one token with all that was narrowed from it, of a job, and by raising an epoch of a
//! whole run, project or runner.

use crate::finish::end;
use crate::{App, Holder, Person, ProjectAccess, Refusal, RunnerCaller};
use jobpass_domain::Role;
use jobpass_domain::audit::{Actor, Change};
use jobpass_domain::ids::{JobId, JobTokenId, PipelineId, RunnerId};
use jobpass_domain::job::JobState;
use jobpass_domain::minter::MinterId;
use jobpass_domain::place::Place;
use jobpass_domain::token::{self, Kind};
use jobpass_persistence::job::KnownJob;
use jobpass_persistence::job_token::Whereabouts;
use jobpass_persistence::{Tx, job, job_token, pipeline, project, runner};
use serde_json::json;
use uuid::Uuid;

impl App {
    /// By a maintainer of the token's project. Answers how many tokens were live.
    pub async fn token_revoke(&self, person: &Person, id: JobTokenId) -> Result<u64, Refusal> {
        let token = job_token::whereabouts(self.db.read(), id).await?.ok_or(Refusal::NotFound)?;
        self.project(person.clone(), &token.project.to_string()).await?.require(Role::Maintainer)?;
        self.revoke_one(person.actor(), person.request, &token, "revoked").await
    }

    /// The holder gives the token up.
    pub async fn token_give_up(&self, holder: &Holder) -> Result<u64, Refusal> {
        let token = job_token::whereabouts(self.db.read(), holder.id()).await?.ok_or(Refusal::NotFound)?;
        self.revoke_one(Actor::JobToken(holder.id()), holder.request, &token, "given_up").await
    }

    /// RFC 7009, section 2.1, by the runner that minted the token: whatever else is presented stays as it is.
    pub async fn token_revoke_by_runner(&self, caller: &RunnerCaller, text: &str) -> Result<(), Refusal> {
        let Some(token) = self.find_by_text(text).await? else {
            return Ok(());
        };
        if token.minter == MinterId::Runner(caller.runner.id) {
            self.revoke_one(Actor::Runner(caller.runner.id), caller.request, &token, "revoked").await?;
        }
        Ok(())
    }

    /// RFC 7009, section 2.1, by a holder: the own token, or one that was narrowed from it.
    pub async fn token_revoke_by_holder(&self, holder: &Holder, text: &str) -> Result<(), Refusal> {
        let Some(token) = self.find_by_text(text).await? else {
            return Ok(());
        };
        let narrowed = job_token::ancestors(self.db.read(), token.id).await?;
        if token.id == holder.id() || narrowed.contains(&holder.id()) {
            self.revoke_one(Actor::JobToken(holder.id()), holder.request, &token, "given_up").await?;
        }
        Ok(())
    }

    /// Where the job token with this text belongs; `None` for whatever is none.
    pub(crate) async fn find_by_text(&self, text: &str) -> Result<Option<Whereabouts>, Refusal> {
        let Some(parsed) = token::parse(text).filter(|parsed| parsed.kind == Kind::Job) else {
            return Ok(None);
        };
        let Some(id) = job_token::id_by_hash(self.db.read(), parsed.hour, parsed.hash).await? else {
            return Ok(None);
        };
        Ok(job_token::whereabouts(self.db.read(), id).await?)
    }

    pub async fn job_revoke_tokens(&self, person: &Person, id: JobId) -> Result<u64, Refusal> {
        let known = job::find(self.db.read(), id).await?.ok_or(Refusal::NotFound)?;
        self.project(person.clone(), &known.project.to_string()).await?.require(Role::Maintainer)?;
        let context = self.context(person.actor(), person.request);
        self.transaction(context, async |tx: &mut Tx| {
            job::lock(tx, id).await?.ok_or(Refusal::NotFound)?;
            let revoked = job_token::revoke_of_job(tx, id).await?;
            tx.audit(&changed("job.tokens_revoked", "job", id.0, Place::Project(known.project), Some(revoked))).await?;
            Ok(revoked)
        })
        .await
    }

    pub async fn pipeline_revoke_tokens(&self, person: &Person, id: PipelineId) -> Result<(), Refusal> {
        let (project, _) = pipeline::project_of(self.db.read(), id).await?.ok_or(Refusal::NotFound)?;
        self.project(person.clone(), &project.to_string()).await?.require(Role::Maintainer)?;
        let context = self.context(person.actor(), person.request);
        self.transaction(context, async |tx: &mut Tx| {
            pipeline::raise_epoch(tx, id).await?;
            tx.audit(&changed("pipeline.tokens_revoked", "pipeline", id.0, Place::Project(project), None))
                .await
                .map_err(Refusal::from)
        })
        .await
    }

    /// Everything minted for the project so far.
    pub async fn project_revoke_tokens(&self, access: ProjectAccess) -> Result<(), Refusal> {
        let ProjectAccess { person, project, .. } = access.require(Role::Maintainer)?;
        let context = self.context(person.actor(), person.request);
        self.transaction(context, async |tx: &mut Tx| {
            project::raise_epoch(tx, project.id).await?;
            tx.audit(&changed("project.tokens_revoked", "project", project.id.0, Place::Project(project.id), None))
                .await
                .map_err(Refusal::from)
        })
        .await
    }

    /// Everything minted under the runner so far.
    pub async fn runner_revoke_tokens(&self, person: &Person, id: RunnerId) -> Result<(), Refusal> {
        let known = self.find_runner(person, id).await?;
        let context = self.context(person.actor(), person.request);
        self.transaction(context, async |tx: &mut Tx| {
            runner::raise_epoch(tx, id).await?;
            tx.audit(&changed("runner.tokens_revoked", "runner", id.0, known.scope, None)).await.map_err(Refusal::from)
        })
        .await
    }

    pub(crate) async fn revoke_one(
        &self,
        actor: Actor,
        request: Uuid,
        token: &Whereabouts,
        because: &str,
    ) -> Result<u64, Refusal> {
        let context = self.context(actor, request);
        self.transaction(context, async |tx: &mut Tx| {
            // The lock that a narrowing takes, too: what it makes is either seen here or never made.
            let job = job::lock(tx, token.job).await?;
            let revoked = job_token::revoke(tx, token, because).await?;
            if revoked == 0 {
                tx.nothing_to_audit();
            } else {
                let place = Place::Project(token.project);
                let change = changed("job_token.revoked", "job_token", token.id.0, place, Some(revoked));
                tx.audit(&Change { reason: Some(because.to_owned()), ..change }).await?;
            }
            if let Some(job) = job.filter(|job| revoked > 0 && ends_its_job(token, because, job)) {
                end(tx, &job, JobState::Finished).await?;
            }
            Ok(revoked)
        })
        .await
    }
}

/// A job of another CI has no runner here that would finish it: giving up the token that was minted for it does.
fn ends_its_job(token: &Whereabouts, because: &str, job: &KnownJob) -> bool {
    let of_rule = matches!(token.minter, MinterId::TrustRule(_));
    of_rule && because == "given_up" && token.id == token.root && matches!(job.state, JobState::Running { .. })
}

fn changed(
    action: &'static str,
    subject_kind: &'static str,
    subject: Uuid,
    place: Place,
    tokens: Option<u64>,
) -> Change {
    let after = tokens.map(|tokens| json!({ "tokens": tokens }).to_string());
    Change { action, subject_kind, subject, place, before: None, after, reason: None }
}
