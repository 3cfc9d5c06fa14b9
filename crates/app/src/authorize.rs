//! The decision endpoint: may this token do all of this to that, yes or no and why.

use crate::cache::{Kept, Shelf, Weight};
use crate::feed::Keep;
use crate::refusal::escape;
use crate::usage::Counted;
use crate::{App, AskedRoute, Refusal, ServiceCaller};
use bytes::Bytes;
use jobpass_domain::decision::{Decision, Names, decide};
use jobpass_domain::ground::Ground;
use jobpass_domain::job_token::TokenInfo;
use jobpass_domain::permission::PermissionSet;
use jobpass_domain::{Catalogue, Secret};
use jobpass_persistence::question::Loaded;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::Arc;
use uuid::Uuid;

/// The most permissions in one question.
const MAX_ASKED: usize = 256;

#[derive(Debug)]
pub struct Ask {
    /// Whatever was presented.
    pub token: Secret,
    /// Path or id.
    pub project: Option<String>,
    pub permissions: Vec<String>,
    pub resource_name: Option<String>,
    /// Resource type to name.
    pub resource_names: BTreeMap<String, String>,
    /// Instead of permissions: what the route demands is asked.
    pub route: Option<AskedRoute>,
    /// Whether the asker follows the feed of invalidations, and would keep the answer.
    pub keep: bool,
}

#[derive(Debug)]
pub struct Answer {
    pub decision: Decision,
    pub catalogue: Arc<Catalogue>,
    loaded: Arc<Kept<Loaded>>,
    /// What the route made of the question, when it was asked by method and path.
    pub by_route: Option<Ask>,
    /// Whether the asker may keep it, who asked for that.
    pub keep: Option<Keep>,
    counted: Counted,
}

/// A decision as it is answered: rendered once, and given many times.
#[derive(Debug)]
pub(crate) struct KeptDecision {
    body: Bytes,
    counted: Counted,
}

impl Weight for KeptDecision {
    fn bytes(&self) -> usize {
        self.body.len() + self.counted.bytes()
    }
}

impl Answer {
    /// Whose token it is, while it lives and is meant for the asker.
    pub fn subject(&self) -> Option<&TokenInfo> {
        let known = self.loaded.value.token.as_ref().filter(|_| self.decision.dead.is_none());
        known.map(|known| &known.info)
    }
}

impl App {
    pub async fn authorize(&self, caller: &ServiceCaller, ask: &Ask) -> Result<Answer, Refusal> {
        let answer = self.decide(caller, ask).await?;
        self.count(&answer.counted, self.now());
        Ok(answer)
    }

    /// What was answered to this caller when it asked in the very same words, while that may be given again.
    pub fn known_decision(&self, caller: &ServiceCaller, words: &[u8]) -> Option<Bytes> {
        if caller.fresh {
            return None;
        }
        let (key, cache, now) = (digest(caller, words), &self.cache, self.now());
        let get = |shelf: &Shelf<_, _>| shelf.get(&key, &cache.freshness, now);
        let kept = get(&cache.decisions).or_else(|| get(&cache.dead))?;
        self.count(&kept.value.counted, now);
        Some(kept.value.body.clone())
    }

    /// The same as [`App::authorize`], and what `render` makes of it is kept for whoever asks in these words again.
    pub async fn authorize_in_words(
        &self,
        caller: &ServiceCaller,
        words: &[u8],
        ask: &Ask,
        render: impl FnOnce(&Answer) -> Result<Bytes, Refusal>,
    ) -> Result<Bytes, Refusal> {
        let answer = self.authorize(caller, ask).await?;
        let body = render(&answer)?;
        // What a route demands may change without any ground of a decision; and to what change it is true is told anew each time.
        if answer.by_route.is_none() && !ask.keep {
            self.keep_decision(digest(caller, words), caller, answer, body.clone());
        }
        Ok(body)
    }

    fn keep_decision(&self, key: [u8; 32], caller: &ServiceCaller, answer: Answer, body: Bytes) {
        let Answer { decision, loaded, counted, .. } = answer;
        let decided = KeptDecision { body, counted };
        let kept = loaded.derive(decided, [Ground::Service(caller.service.id)], decision.grants_until);
        let cache = &self.cache;
        let shelf = if decision.dead.is_none() {
            &cache.decisions
        } else {
            cache.decisions.remove(&key);
            &cache.dead
        };
        shelf.put(key, Arc::new(kept), &cache.freshness, self.now());
    }

    async fn decide(&self, caller: &ServiceCaller, ask: &Ask) -> Result<Answer, Refusal> {
        let as_of = if ask.keep { self.as_of(caller) } else { None };
        let by_route = self.resolve_route(caller, ask).await?;
        let ask = by_route.as_ref().unwrap_or(ask);
        let catalogue = self.catalogue_for(&ask.permissions).await?;
        let asked = asked(&ask.permissions, &catalogue)?;
        let names = names(ask.resource_name.as_deref(), &ask.resource_names, asked, &catalogue)?;
        let project = project_asked(caller, ask.project.as_deref())?;
        let project =
            project.ok_or_else(|| Refusal::invalid("/project", "required", "name the project that is asked about"))?;
        let loaded = self.load(ask.token.expose(), Some(&project), caller.fresh).await?;
        let asker = caller.service.asker(&catalogue);
        let question = loaded.value.question(Some(&asker), asked, &names);
        let decision = decide(&question, self.now());
        let job = loaded.value.token.as_ref().map(|known| known.info.job);
        let counted = self.counted(&question, loaded.value.target_id(), (caller.service.id, job), &decision);
        let keep = match as_of {
            Some(as_of) => {
                // Whether two names are of one project was asked, too.
                let paths = by_route.is_some().then_some(Ground::Paths);
                let grounds = loaded.value.grounds().into_iter().chain(paths);
                let until = [loaded.until, decision.grants_until].into_iter().flatten().min();
                Some(self.may_keep(as_of, caller, grounds, until)?)
            }
            None => None,
        };
        Ok(Answer { decision, catalogue, loaded, by_route, keep, counted })
    }
}

/// Names a question by who asks it, and how.
fn digest(caller: &ServiceCaller, words: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(caller.service.id.0.as_bytes()).chain_update(words).finalize().into()
}

/// The project that a service asks about: its own, or the one it names. Naming another than its own is an error.
pub(crate) fn project_asked(caller: &ServiceCaller, named: Option<&str>) -> Result<Option<String>, Refusal> {
    let service = &caller.service;
    let Some(own) = service.project else {
        return Ok(named.map(str::to_owned));
    };
    let is_own = |named: &str| Uuid::parse_str(named) == Ok(own.0) || Some(named) == service.project_path.as_deref();
    if named.is_some_and(|named| !is_own(named)) {
        return Err(Refusal::invalid(
            "/project",
            "other_project",
            "this service is registered for one project, and it is not this one",
        ));
    }
    Ok(Some(own.to_string()))
}

pub(crate) fn asked(permissions: &[String], catalogue: &Catalogue) -> Result<PermissionSet, Refusal> {
    if permissions.is_empty() {
        return Err(Refusal::invalid("/permissions", "empty", "name at least one permission"));
    }
    if permissions.len() > MAX_ASKED {
        return Err(Refusal::invalid(
            "/permissions",
            "too_many",
            format!("{} permissions; at most {MAX_ASKED}", permissions.len()),
        ));
    }
    catalogue.parse_all(permissions).map_err(|(index, unknown)| {
        Refusal::invalid(format!("/permissions/{index}"), "unknown_permission", unknown.to_string())
    })
}

pub(crate) fn names(
    resource_name: Option<&str>,
    resource_names: &BTreeMap<String, String>,
    asked: PermissionSet,
    catalogue: &Catalogue,
) -> Result<Names, Refusal> {
    let mut names = Names::new();
    for (resource, name) in resource_names {
        let unknown = || {
            let pointer = format!("/resource_names/{}", escape(resource));
            Refusal::invalid(pointer, "unknown_resource", "no such resource type")
        };
        names.insert(catalogue.find(resource).ok_or_else(unknown)?.slot, name.clone());
    }
    let Some(name) = resource_name else {
        return Ok(names);
    };
    let mut resources = asked.resources();
    match (resources.next(), resources.next()) {
        (Some(only), None) if !names.contains_key(&only) => {
            names.insert(only, name.to_owned());
            Ok(names)
        }
        (Some(_), None) => Err(Refusal::invalid("/resource_name", "named_twice", "stands in resource_names, too")),
        _ => Err(Refusal::invalid(
            "/resource_name",
            "ambiguous",
            "the permissions share no one resource type; use resource_names",
        )),
    }
}
