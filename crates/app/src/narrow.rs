//! The holder of a job token makes a narrower one: never more permissions, life or audiences than its own.

use crate::confine::shown;
use crate::mint::{check_audience, life};
use crate::once::once;
use crate::{App, Conflict, DraftDetail, Holder, Minted, Once, Refusal, Rendered, entropy};
use jobpass_domain::audit::{Actor, Change};
use jobpass_domain::ids::JobTokenId;
use jobpass_domain::job_token::{CannotNarrow, MAX_DESCENDANTS, Narrowing};
use jobpass_domain::place::Place;
use jobpass_domain::text::AudienceUri;
use jobpass_domain::token::{self, TokenHash};
use jobpass_persistence::job_token::NewChild;
use jobpass_persistence::{Tx, id_at, job, job_token, question};
use serde_json::json;
use time::OffsetDateTime;

/// `None` keeps the parent's.
#[derive(Clone, Debug, Default)]
pub struct Narrow {
    pub permissions: Option<Vec<String>>,
    pub details: Option<Vec<DraftDetail>>,
    pub expires_at: Option<OffsetDateTime>,
    pub audience: Option<Vec<AudienceUri>>,
}

impl App {
    pub async fn narrow(
        &self,
        holder: &Holder,
        request: &Narrow,
        idempotency: Option<&Once>,
        render: impl Fn(&Minted) -> Rendered,
    ) -> Result<Rendered, Refusal> {
        check_audience(request.audience.as_deref())?;
        let cap = self.cap(request.permissions.as_deref()).await?;
        let details = self.details(request.details.as_deref()).await?;
        let catalogue = self.catalogue();
        let narrowing = Narrowing {
            permissions: cap.as_deref().and_then(|texts| catalogue.parse_all(texts).ok()),
            details: details.clone(),
            expires_at: request.expires_at,
            audience: request.audience.as_ref().map(|list| list.iter().map(|uri| uri.as_str().to_owned()).collect()),
        };
        let context = self.context(Actor::JobToken(holder.id()), holder.request);
        let work = async |tx: &mut Tx| {
            let now = tx.now();
            job::lock(tx, holder.info.job).await?;
            // Under the job's lock: a revocation that came first is seen, one that comes now waits.
            let parsed = &holder.parsed;
            let loaded = question::load(tx.on(), parsed.hour, parsed.hash, None, &catalogue).await?;
            let parent = loaded.token.filter(|known| known.token.death(now).is_none()).ok_or(Refusal::BadCredential)?;
            let depth = i16::try_from(parent.info.ancestors.len()).unwrap_or(i16::MAX);
            let narrowed = narrowing.clone().of(&parent.token, depth, now).map_err(refusal)?;
            if job_token::count_narrowed(tx, parent.info.root).await? >= MAX_DESCENDANTS {
                return Err(Conflict::TooManyNarrowed { limit: MAX_DESCENDANTS }.into());
            }
            let id = JobTokenId(id_at(now));
            let minted = Minted {
                secret: token::generate_job_token(job_token::hour_of(id), entropy::token_bytes()?),
                id,
                project: parent.info.project,
                pipeline: parent.info.pipeline,
                job: parent.info.job,
                cap: narrowed.cap.map(|cap| catalogue.format(cap)),
                details: narrowed.details.as_deref().map(|details| shown(details, &catalogue)),
                expires_at: narrowed.expires_at,
            };
            let child = NewChild {
                id,
                hash: TokenHash::of(minted.secret.expose()),
                cap: minted.cap.clone(),
                details: narrowed.details,
                audience: narrowed.audience,
                expires_at: narrowed.expires_at,
            };
            job_token::insert_child(tx, parent.token.id, &child, &catalogue).await?;
            tx.audit(&event(&minted, parent.token.id)).await?;
            Ok((render(&minted), life(&minted)))
        };
        // It lives no longer than its parent.
        let expires_at = holder.info.expires_at;
        self.minting(context, expires_at, async |tx: &mut Tx| once(tx, idempotency, holder.id().0, work).await).await
    }
}

fn refusal(cannot: CannotNarrow) -> Refusal {
    let (pointer, code) = match cannot {
        CannotNarrow::Permissions => ("/permissions", "more_than_parent"),
        CannotNarrow::Details => ("/authorization_details", "more_than_parent"),
        CannotNarrow::Longer => ("/expires_at", "longer_than_parent"),
        CannotNarrow::Past => ("/expires_at", "past"),
        CannotNarrow::Audience => ("/audience", "other_than_parent"),
        CannotNarrow::TooDeep => ("", "too_deep"),
    };
    Refusal::invalid(pointer, code, cannot.to_string())
}

fn event(minted: &Minted, parent: JobTokenId) -> Change {
    Change {
        action: "job_token.narrowed",
        subject_kind: "job_token",
        subject: minted.id.0,
        place: Place::Project(minted.project),
        before: None,
        after: Some(json!({ "parent_id": parent, "permissions": minted.cap, "job_id": minted.job }).to_string()),
        reason: None,
    }
}
