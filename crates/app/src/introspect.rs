//! Introspection (RFC 7662): what a presented token is, and what it may do in one project; and the same
//! for the holder who asks about itself.

use crate::authorize::project_asked;
use crate::cache::Kept;
use crate::feed::Keep;
use crate::load::{REFUSED_FOR, job_token};
use crate::usage::Counted;
use crate::{App, Holder, Refusal, ServiceCaller};
use bytes::Bytes;
use jobpass_domain::Catalogue;
use jobpass_domain::decision::{Decision, Names, decide};
use jobpass_domain::ground::Ground;
use jobpass_domain::job_token::TokenInfo;
use jobpass_domain::permission::PermissionSet;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use time::{Duration, OffsetDateTime};

/// What a service asks.
#[derive(Debug)]
pub struct Introspection<'a> {
    /// Whatever was presented.
    pub token: &'a str,
    /// Path or id, as it was asked.
    pub project: Option<&'a str>,
    pub permissions: &'a [String],
    /// Whether the asker follows the feed of invalidations, and would keep the answer.
    pub keep: bool,
}

/// A live token that is meant for the asking service.
#[derive(Debug)]
pub struct Active<'a> {
    pub info: &'a TokenInfo,
    pub decision: Decision,
    pub catalogue: Arc<Catalogue>,
    /// The project as it was asked, or the service's own; `None` when none was named.
    pub project: Option<String>,
    pub asked_permission: bool,
}

/// An answer. Its body is rendered once, and may be given many times.
#[derive(Debug)]
pub struct Introspected {
    /// `None`: not active, for whatever reason.
    pub body: Option<Bytes>,
    /// Until when the answer may be relied on: the one claim that differs each time it is given.
    pub rely_until: OffsetDateTime,
    /// Whether the asker may keep it, who asked for that.
    pub keep: Option<Keep>,
}

/// A finished answer.
#[derive(Debug)]
pub(crate) struct KeptAnswer {
    /// `None`: not active.
    pub(crate) body: Option<Bytes>,
    pub(crate) counted: Counted,
    /// What it rests on, for whoever would keep it.
    pub(crate) grounds: Box<[Ground]>,
}

impl App {
    /// `render`: the body of what is active, without the end of what it says.
    pub async fn introspect(
        &self,
        caller: &ServiceCaller,
        asked: &Introspection<'_>,
        render: impl Fn(&Active<'_>) -> Result<Bytes, Refusal>,
    ) -> Result<Introspected, Refusal> {
        let as_of = if asked.keep { self.as_of(caller) } else { None };
        let own = project_asked(caller, asked.project)?;
        let catalogue = self.catalogue_for(asked.permissions).await?;
        let permissions = catalogue
            .parse_all(asked.permissions)
            .map_err(|(_, unknown)| Refusal::invalid("permission", "unknown_permission", unknown.to_string()))?;
        let key = digest(caller, asked);
        let now = self.now();
        let answer = match self.kept_answer(&key, caller.fresh, now) {
            Some(kept) => kept,
            None => Box::pin(self.answer(caller, asked, (own.as_deref(), permissions), key, render)).await?,
        };
        self.count(&answer.value.counted, now);
        let keep = |as_of| self.may_keep(as_of, caller, answer.value.grounds.iter().copied(), answer.until);
        let keep = as_of.map(keep).transpose()?;
        let answer_until = now + Duration::seconds(caller.service.answer_seconds.into());
        let rely_until = answer.until.map_or(answer_until, |until| until.min(answer_until));
        Ok(Introspected { body: answer.value.body.clone(), rely_until, keep })
    }

    fn kept_answer(&self, key: &[u8; 32], fresh: bool, now: OffsetDateTime) -> Option<Arc<Kept<KeptAnswer>>> {
        let cache = &self.cache;
        if fresh {
            return None;
        }
        cache.answers.get(key, &cache.freshness, now).or_else(|| cache.refusals.get(key, &cache.freshness, now))
    }

    /// Loads, decides, renders, and keeps what comes of it.
    async fn answer(
        &self,
        caller: &ServiceCaller,
        asked: &Introspection<'_>,
        (project, permissions): (Option<&str>, PermissionSet),
        key: [u8; 32],
        render: impl Fn(&Active<'_>) -> Result<Bytes, Refusal>,
    ) -> Result<Arc<Kept<KeptAnswer>>, Refusal> {
        // What is answered is kept as an answer, and not once more as what it was made of.
        let loaded = self.load_anew(job_token(asked.token).as_ref(), project, caller.fresh).await?;
        let catalogue = self.catalogue();
        let now = self.now();
        let asker = caller.service.asker(&catalogue);
        let names = Names::new();
        let question = loaded.value.question(Some(&asker), permissions, &names);
        let decision = decide(&question, now);
        let job = loaded.value.token.as_ref().map(|known| known.info.job);
        let counted = self.counted(&question, loaded.value.target_id(), (caller.service.id, job), &decision);
        let decision_until = decision.grants_until;
        let body = match &loaded.value.token {
            Some(known) if decision.dead.is_none() => Some(render(&Active {
                info: &known.info,
                decision,
                catalogue,
                project: asked.project.map(str::to_owned).or_else(|| caller.service.project_path.clone()),
                asked_permission: !asked.permissions.is_empty(),
            })?),
            _ => None,
        };
        let is_active = body.is_some();
        let until = if is_active { decision_until } else { Some(now + REFUSED_FOR) };
        let grounds = if asked.keep { loaded.value.grounds().into() } else { Box::default() };
        let answer = loaded.derive(KeptAnswer { body, counted, grounds }, [Ground::Service(caller.service.id)], until);
        Ok(self.keep(key, Arc::new(answer), is_active))
    }

    fn keep(&self, key: [u8; 32], answer: Arc<Kept<KeptAnswer>>, is_active: bool) -> Arc<Kept<KeptAnswer>> {
        let cache = &self.cache;
        if is_active {
            cache.answers.put(key, Arc::clone(&answer), &cache.freshness, self.now());
        } else {
            cache.answers.remove(&key);
            cache.refusals.put(key, Arc::clone(&answer), &cache.freshness, self.now());
        }
        answer
    }

    /// What the holder's token may do in a project; one that does not exist grants nothing.
    pub async fn self_access(
        &self,
        holder: &Holder,
        project: &str,
        permissions: &[String],
    ) -> Result<(Decision, Arc<Catalogue>), Refusal> {
        let catalogue = self.catalogue_for(permissions).await?;
        let asked = catalogue
            .parse_all(permissions)
            .map_err(|(_, unknown)| Refusal::invalid("?permission", "unknown_permission", unknown.to_string()))?;
        let loaded = self.load_anew(Some(&holder.parsed), Some(project), false).await?.value;
        let names = Names::new();
        Ok((decide(&loaded.question(None, asked, &names), self.now()), catalogue))
    }
}

/// Names what was asked, by whom: nobody can make two questions share an answer.
fn digest(caller: &ServiceCaller, asked: &Introspection<'_>) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(caller.service.id.0.as_bytes());
    hash.update([u8::from(asked.keep)]);
    let texts =
        [Some(asked.token), asked.project].into_iter().chain(asked.permissions.iter().map(|one| Some(one.as_str())));
    for text in texts {
        // No text is as long as the mark of none.
        hash.update(text.map_or(u64::MAX, |text| u64::try_from(text.len()).unwrap_or(u64::MAX - 1)).to_be_bytes());
        hash.update(text.unwrap_or_default());
    }
    hash.finalize().into()
}
