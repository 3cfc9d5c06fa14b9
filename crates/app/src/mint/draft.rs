//! The mint itself, of one or of many: the same for runners and for trust rules.

use super::{Batch, Mint, Minted, Outcome, Stopped};
use crate::{Conflict, Refusal, entropy};
use jobpass_domain::audit::{Actor, Change};
use jobpass_domain::ids::{JobId, JobTokenId, PipelineId, UserId};
use jobpass_domain::job::{GRACE, MAX_LIVE_TOKENS};
use jobpass_domain::minter::{Minter, MinterId};
use jobpass_domain::pipeline::{PipelineFacts, is_protected_environment};
use jobpass_domain::place::Place;
use jobpass_domain::project::Project;
use jobpass_domain::token::{self, TokenHash};
use jobpass_domain::user::User;
use jobpass_persistence::audit::Event;
use jobpass_persistence::job::{IfHeld, NewJob, OpenJob};
use jobpass_persistence::job_token::NewToken;
use jobpass_persistence::pipeline::{KnownPipeline, NewPipeline};
use jobpass_persistence::{Tx, id_at, job, job_token, pipeline, user};
use serde_json::json;
use std::borrow::Cow;
use std::collections::HashMap;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

/// A mint under way: whatever the credential is, it is one and the same.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Draft<'d> {
    pub(crate) by: Actor,
    pub(crate) request_id: Uuid,
    pub(crate) minter: Minter,
    pub(crate) project: &'d Project,
    pub(crate) request: &'d Mint,
    pub(crate) cap: Option<&'d [String]>,
    /// Of whom the ID token spoke by which it is minted, for the record.
    pub(crate) id_token_subject: Option<&'d str>,
}

/// A draft of which it is known whether its token is protected.
struct Weighed<'d> {
    draft: Draft<'d>,
    facts: Cow<'d, PipelineFacts>,
    protected: bool,
}

/// A draft whose run and job are open, and held.
struct Opened<'d> {
    weighed: Weighed<'d>,
    pipeline: PipelineId,
    job: OpenJob,
}

/// Opens runs and jobs where they are new, and writes the tokens with their audit events. Whoever opens a run or a job gets a token
/// for it; so what is refused leaves nothing behind, and its neighbours' transaction can be committed.
pub(crate) async fn issue(tx: &mut Tx, drafts: Batch<Draft<'_>>, if_held: IfHeld) -> Result<Vec<Outcome>, Refusal> {
    let now = tx.now();
    let drafts = drafts.sift(Draft::weigh);
    let runs = pipeline::open_all(tx, &drafts.each(|draft| draft.run(now))).await?;
    let drafts = drafts.join(runs).sift(|(draft, run)| draft.same_run(&run));
    let jobs = job::open_all(tx, &drafts.each(|(draft, run)| draft.job(*run, now)), if_held).await?;
    let drafts = drafts.join(jobs).sift(|((draft, run), job)| draft.same_job(run, job, now));
    let drafts = within_limit(tx, drafts).await?;
    write(tx, drafts).await
}

impl<'d> Draft<'d> {
    fn weigh(self) -> Result<Weighed<'d>, Refusal> {
        let protected = self.protection()?;
        let mut facts = Cow::Borrowed(&self.request.pipeline);
        if let (MinterId::TrustRule(_), Some(_)) = (self.minter.id, &facts.actor) {
            // Other CIs name whoever started the job, and jobs of one run may have been started by several.
            facts.to_mut().actor = None;
        }
        Ok(Weighed { draft: self, facts, protected })
    }

    /// Computed, never taken from the caller; refused rather than lowered, but where the CI itself takes it back.
    fn protection(&self) -> Result<bool, Refusal> {
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
}

impl<'d> Weighed<'d> {
    fn run(&self, now: OffsetDateTime) -> NewPipeline<'_> {
        let Draft { project, request, .. } = self.draft;
        NewPipeline { id: PipelineId(id_at(now)), project: project.id, key: &request.pipeline_key, facts: &self.facts }
    }

    fn same_run(self, run: &KnownPipeline) -> Result<(Weighed<'d>, PipelineId), Refusal> {
        match run.facts.first_difference(&self.facts) {
            Some(field) => Err(Conflict::FactsDiffer(format!("/pipeline/{field}")).into()),
            None => Ok((self, run.id)),
        }
    }

    fn job(&self, run: PipelineId, now: OffsetDateTime) -> NewJob<'_> {
        let Draft { minter, request, .. } = self.draft;
        NewJob {
            id: JobId(id_at(now)),
            pipeline: run,
            minter: minter.id,
            key: &request.job_key,
            facts: &request.job,
            deadline_at: now + Duration::seconds(request.job.timeout_secs.into()),
            lease_until: request.job.lease_secs.map(|secs| now + Duration::seconds(secs.into())),
        }
    }

    /// The job, held: nobody else adds or ends its tokens until this transaction is over.
    fn same_job(self, run: PipelineId, job: Option<OpenJob>, now: OffsetDateTime) -> Result<Opened<'d>, Stopped> {
        let Draft { minter, request, .. } = self.draft;
        let job = job.ok_or(Stopped::Alone)?;
        if job.minter != minter.id {
            return Err(Refusal::from(Conflict::JobOfOtherRunner).into());
        }
        if let Some(field) = job.facts.first_difference(&request.job) {
            return Err(Refusal::from(Conflict::FactsDiffer(format!("/job/{field}"))).into());
        }
        job.state.may_mint(now).map_err(|over| Refusal::from(Conflict::JobOver(over)))?;
        Ok(Opened { weighed: self, pipeline: run, job })
    }
}

/// Without those whose job has as many live tokens as it may, those before them in this batch included.
async fn within_limit<'d>(tx: &mut Tx, drafts: Batch<Opened<'d>>) -> Result<Batch<Opened<'d>>, Refusal> {
    let known = drafts.each(|draft| (!draft.job.is_new).then_some(draft.job.id));
    let mut live = job_token::count_minted(tx, &known.into_iter().flatten().collect::<Vec<_>>()).await?;
    Ok(drafts.sift(|draft| {
        let live = live.entry(draft.job.id).or_default();
        if *live >= MAX_LIVE_TOKENS {
            return Err(Refusal::from(Conflict::TooManyTokens { limit: MAX_LIVE_TOKENS }));
        }
        *live += 1;
        Ok(draft)
    }))
}

async fn write(tx: &mut Tx, drafts: Batch<Opened<'_>>) -> Result<Vec<Outcome>, Refusal> {
    let actors = vouched_actors(tx, &drafts).await?;
    let now = tx.now();
    let drafts = drafts.sift(|draft| draft.mint(&actors, now));
    let written = job_token::insert_all(tx, &drafts.each(|(_, _, token)| token)).await?;
    let drafts = drafts.sift(|(draft, minted, token)| {
        let is_there = written.contains(&token.id);
        is_there.then_some((draft, minted)).ok_or(Refusal::NotFound)
    });
    let events = drafts.each(|(draft, minted)| draft.event(minted));
    if events.is_empty() {
        tx.nothing_to_audit();
    } else {
        tx.audit_all(events).await?;
    }
    Ok(drafts.outcomes(|(_, minted)| minted))
}

/// The users that actors are, by what they are called, if the credential's word is taken; silently none where there is none.
async fn vouched_actors(tx: &mut Tx, drafts: &Batch<Opened<'_>>) -> Result<HashMap<String, UserId>, Refusal> {
    let named: Vec<_> = drafts.each(Opened::vouched_actor).into_iter().flatten().collect();
    if named.is_empty() {
        return Ok(HashMap::new());
    }
    let users = user::find_all(tx.on(), &named).await?;
    let called = |name: &str, user: &User| &*user.name == name || Uuid::parse_str(name).is_ok_and(|id| id == user.id.0);
    let find = |name: &str| users.iter().find(|user| called(name, user)).map(|user| (name.to_owned(), user.id));
    Ok(named.into_iter().filter_map(find).collect())
}

impl Opened<'_> {
    fn vouched_actor(&self) -> Option<&str> {
        let draft = &self.weighed.draft;
        draft.request.pipeline.actor.as_deref().filter(|_| draft.minter.asserts_actor)
    }

    fn mint(self, actors: &HashMap<String, UserId>, now: OffsetDateTime) -> Result<(Self, Minted, NewToken), Refusal> {
        let Draft { minter, project, request, cap, .. } = self.weighed.draft;
        let id = JobTokenId(id_at(now));
        let minted = Minted {
            id,
            project: project.id,
            pipeline: self.pipeline,
            job: self.job.id,
            expires_at: self.job.deadline_at + GRACE,
            secret: token::generate_job_token(job_token::hour_of(id), entropy::token_bytes()?),
            cap: cap.map(<[String]>::to_vec),
            details: None,
        };
        let token = NewToken {
            id,
            hash: TokenHash::of(minted.secret.expose()),
            job: self.job.id,
            cap: minted.cap.clone(),
            audience: request.audience.as_ref().map(|list| list.iter().map(|uri| uri.as_str().to_owned()).collect()),
            protected: self.weighed.protected,
            actor: self.vouched_actor().and_then(|name| actors.get(name).copied()),
            actor_claimed: request.pipeline.actor.as_deref().map(str::to_owned),
            minted_by: minter.scope.scope(),
            minter_epoch: minter.epoch,
            expires_at: minted.expires_at,
        };
        Ok((self, minted, token))
    }

    fn event(&self, minted: &Minted) -> Event {
        let Draft { by, request_id, project, request, id_token_subject, .. } = self.weighed.draft;
        let mut after = json!({
            "pipeline_id": minted.pipeline, "job_id": minted.job, "pipeline": request.pipeline_key, "job": request.job_key,
            "ref": request.pipeline.ref_name, "protected": self.weighed.protected, "permissions": minted.cap,
        });
        if let (Some(after), Some(subject)) = (after.as_object_mut(), id_token_subject) {
            after.insert("id_token_subject".to_owned(), subject.into());
        }
        let change = Change {
            action: "job_token.minted",
            subject_kind: "job_token",
            subject: minted.id.0,
            place: Place::Project(project.id),
            before: None,
            after: Some(after.to_string()),
            reason: None,
        };
        Event { actor: by, request_id: Some(request_id), change }
    }
}
