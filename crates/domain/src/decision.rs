//! The decision: one pure function that introspection, authorize, explain, replay and suggestions all
//! call. Whoever wants another answer changes its inputs, never the function.

use crate::catalogue::slots;
use crate::ceiling::{self, Ceiling};
use crate::grant::Grant;
use crate::grants::Grants;
use crate::ids::GrantId;
use crate::job_token::JobToken;
use crate::mode::{Mode, Visibility};
use crate::permission::{Action, Permission, PermissionSet, Slot};
use crate::reason::{Failed, Failures, Reason};
use crate::role::Role;
use std::collections::BTreeMap;
use time::OffsetDateTime;

#[cfg(test)]
mod invariant;
#[cfg(test)]
mod matrix;

/// What anyone may do to a public project, and a token of any project here to an internal one.
const ANYONE: PermissionSet = PermissionSet::of(slots::REPOSITORIES, &[Action::Read])
    .with(Permission { resource: slots::PACKAGES, action: Action::Read })
    .with(Permission { resource: slots::RELEASES, action: Action::Read });

/// The service that asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asker {
    pub audience: Option<String>,
    pub audience_required: bool,
    /// The permissions on the resource types it is shown.
    pub shown: Option<PermissionSet>,
}

/// The project that is asked about, as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub visibility: Visibility,
    /// The effective mode: the strictest of its own and the floors above it.
    pub mode: Mode,
    /// Grants on it and on the groups above it. Those for other sources do no harm.
    pub grants: Grants,
    /// Ceilings of side `target` on it and on the groups above it.
    pub ceilings: Vec<Ceiling>,
}

/// As many grants for one source as most targets have, if not fewer: for these, room is made once.
const USUAL_GRANTS: usize = 16;

/// What decides for a project that does not exist: a private one on which nothing was ever written.
static NOWHERE: Target =
    Target { visibility: Visibility::Private, mode: Mode::Enforced, grants: Grants::NONE, ceilings: vec![] };

/// Resource names that go with the question, one for a resource type.
pub type Names = BTreeMap<Slot, String>;

/// Everything that an answer depends on.
#[derive(Clone, Debug)]
pub struct Question<'a> {
    /// `None`: unknown.
    pub token: Option<&'a JobToken>,
    /// The role of the token's vouched-for actor on the target.
    pub actor_role: Option<Role>,
    /// What binds the token wherever it asks: ceilings of side `source` on its project and on the groups above it, and
    /// all of the instance.
    pub source_ceilings: &'a [Ceiling],
    /// `None`: the token's own holder.
    pub asker: Option<&'a Asker>,
    /// `None`: no project was named, or it does not exist.
    pub target: Option<&'a Target>,
    /// May be empty: then only `effective` and `selected` are of interest.
    pub asked: PermissionSet,
    pub names: &'a Names,
}

/// What a token holds through a selector: these permissions, for names that match one of the patterns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selected {
    pub resource: Slot,
    pub permissions: PermissionSet,
    pub patterns: Vec<String>,
}

/// A grant for this source that would have helped, had its conditions held; empty `failed`: it has expired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Near {
    pub grant: GrantId,
    pub failed: Failures,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Why the token counts for nothing here; `None` while it lives and is meant for the asker.
    pub dead: Option<Reason>,
    /// Whether something was asked and all of it is allowed.
    pub allowed: bool,
    /// For each permission asked, in catalogue order, why it is held or missing.
    pub outcomes: Vec<(Permission, Reason)>,
    /// What the token may do here without naming a resource.
    pub effective: PermissionSet,
    /// What it may do to some names only.
    pub selected: Vec<Selected>,
    /// Of what was asked and allowed, what `enforced` would refuse.
    pub enforced_would_deny: PermissionSet,
    pub mode: Option<Mode>,
    /// Whether a public project gives all that was asked to nobody in particular.
    pub anonymous: bool,
    pub matched: Vec<GrantId>,
    /// Of those, the ones that gave something of what was asked; all of them when nothing was named.
    pub needed: Vec<GrantId>,
    pub near: Vec<Near>,
    /// When the first of the matched grants expires.
    pub grants_until: Option<OffsetDateTime>,
}

impl Decision {
    /// What was asked and is refused.
    pub fn missing(&self) -> PermissionSet {
        self.outcomes.iter().filter(|(_, reason)| !reason.allows()).map(|(permission, _)| *permission).collect()
    }

    /// One reason for the whole: the first that applies among those that refuse, or else among those that allow.
    pub fn reason(&self) -> Option<Reason> {
        self.outcomes.iter().map(|(_, reason)| *reason).min_by_key(|reason| (reason.allows(), *reason)).or(self.dead)
    }

    /// What an answer marks as refused by `enforced`: said in `audit` only.
    pub fn would_deny(&self) -> PermissionSet {
        if self.mode == Some(Mode::Audit) { self.enforced_would_deny } else { PermissionSet::EMPTY }
    }
}

/// Decides. A dead token, an unknown project, a name that does not match: whatever is not certain is a no.
pub fn decide(question: &Question<'_>, now: OffsetDateTime) -> Decision {
    let dead = death(question, now);
    let held = match (question.token, dead) {
        (Some(token), None) => Held::load(question, token, question.target.unwrap_or(&NOWHERE), now),
        _ => Held::default(),
    };
    let outcomes: Vec<_> = question.asked.iter().map(|one| (one, held.outcome(one, question, dead))).collect();
    let allowed: PermissionSet = outcomes.iter().filter(|(_, reason)| reason.allows()).map(|(one, _)| *one).collect();
    Decision {
        dead,
        allowed: !outcomes.is_empty() && allowed == question.asked,
        effective: held.without_name().intersect(held.left),
        enforced_would_deny: allowed.minus(held.enforced_gives()),
        mode: question.target.map(|target| target.mode),
        anonymous: is_anonymous(question),
        near: held.nearly_matched(question.asked.minus(allowed)),
        outcomes,
        selected: held.selected,
        matched: held.matched,
        needed: held.needed,
        grants_until: held.grants_until,
    }
}

/// Steps 1 and 2: the token lives, and it is meant for the asker.
fn death(question: &Question<'_>, now: OffsetDateTime) -> Option<Reason> {
    let Some(token) = question.token else {
        return Some(Reason::Unknown);
    };
    let meant_for = |asker: &Asker| token.is_meant_for(asker.audience.as_deref(), asker.audience_required);
    token.death(now).or_else(|| question.asker.is_some_and(|asker| !meant_for(asker)).then_some(Reason::Audience))
}

/// Asked without a token, a public project gives this all the same.
fn is_anonymous(question: &Question<'_>) -> bool {
    let public = question.target.is_some_and(|target| target.visibility == Visibility::Public);
    public && !question.asked.is_empty() && ANYONE.implies(question.asked)
}

/// What a live token holds on the target, by where it comes from.
#[derive(Default)]
struct Held<'a> {
    /// By grants, whatever the name.
    free: PermissionSet,
    /// By grants, for the names that were given.
    named: PermissionSet,
    /// By grants, for one name or another.
    somehow: PermissionSet,
    selected: Vec<Selected>,
    anyone: PermissionSet,
    /// By the actor's role; empty in `enforced`.
    inherited: PermissionSet,
    cap: PermissionSet,
    shown: PermissionSet,
    /// What cap, the asker's resource types and the ceilings that bind the token wherever it asks leave.
    wherever: PermissionSet,
    /// What of that the ceilings of the target and its groups leave: nothing goes beyond it.
    left: PermissionSet,
    /// What of that the question is about: all of it when nothing was named.
    at_stake: PermissionSet,
    matched: Vec<GrantId>,
    needed: Vec<GrantId>,
    /// Grants for this source that give nothing, or not all that they list; looked for only when something is missing.
    misses: Vec<Weighed<'a>>,
    grants_until: Option<OffsetDateTime>,
}

/// A grant for this source, by itself.
struct Weighed<'a> {
    grant: &'a Grant,
    expired: bool,
    /// Conditions that fail for every permission of the grant.
    failed: Failures,
    /// What only the actor's role keeps away.
    role_denies: PermissionSet,
}

impl<'a> Held<'a> {
    fn load(question: &Question<'a>, token: &JobToken, target: &'a Target, now: OffsetDateTime) -> Held<'a> {
        let role = question.actor_role.map_or(PermissionSet::EMPTY, Role::allows);
        let cap = token.cap.unwrap_or(PermissionSet::ALL);
        let shown = question.asker.and_then(|asker| asker.shown).unwrap_or(PermissionSet::ALL);
        let wherever = cap.intersect(shown).intersect(ceiling::leave(question.source_ceilings, &token.run));
        let left = wherever.intersect(ceiling::leave(&target.ceilings, &token.run));
        let mut held = Held {
            anyone: if target.visibility == Visibility::Private { PermissionSet::EMPTY } else { ANYONE },
            inherited: if target.mode == Mode::Enforced { PermissionSet::EMPTY } else { role },
            cap,
            shown,
            wherever,
            left,
            at_stake: if question.asked.is_empty() { left } else { left.intersect(question.asked) },
            ..Held::default()
        };
        let mut weighed = Vec::with_capacity(USUAL_GRANTS);
        weighed.extend(target.grants.of(token.project, &token.chain).map(|grant| Weighed::by(grant, token, role, now)));
        for grant in &weighed {
            held.add(grant, question);
        }
        if !held.gives(question.asked) {
            weighed.retain(Weighed::is_miss);
            held.misses = weighed;
        }
        let Held { free, left, .. } = held;
        held.selected.retain_mut(|selected| {
            selected.permissions = selected.permissions.minus(free).intersect(left);
            !selected.permissions.is_empty()
        });
        held
    }

    /// Step 3: grants only add; their order never matters.
    fn add(&mut self, weighed: &Weighed<'a>, question: &Question<'_>) {
        let (grant, gives) = (weighed.grant, weighed.gives());
        if gives.is_empty() {
            return;
        }
        self.matched.push(grant.id);
        self.somehow = self.somehow.union(gives);
        self.grants_until = self.grants_until.into_iter().chain(grant.expires_at).min();
        let mut given = grant.selectors.free(gives);
        self.free = self.free.union(given);
        for (&resource, patterns) in &grant.selectors.0 {
            let permissions = gives.intersect(PermissionSet::admin(resource));
            if permissions.is_empty() {
                continue;
            }
            if question.names.get(&resource).is_some_and(|name| patterns.iter().any(|pattern| pattern.matches(name))) {
                self.named = self.named.union(permissions);
                given = given.union(permissions);
            }
            let patterns = patterns.iter().map(|pattern| pattern.as_str().to_owned()).collect();
            self.selected.push(Selected { resource, permissions, patterns });
        }
        // Without a name asked about, what is held through a selector is shown, and so needed.
        let shown = if question.asked.is_empty() { gives } else { given };
        if !shown.intersect(self.at_stake).is_empty() {
            self.needed.push(grant.id);
        }
    }

    fn without_name(&self) -> PermissionSet {
        self.free.union(self.anyone).union(self.inherited)
    }

    /// What `enforced` gives to this question: granted or for anyone.
    fn enforced_gives(&self) -> PermissionSet {
        self.free.union(self.named).union(self.anyone)
    }

    /// Whether nothing of this is missing.
    fn gives(&self, asked: PermissionSet) -> bool {
        self.enforced_gives().union(self.inherited).intersect(self.left).implies(asked)
    }

    fn outcome(&self, asked: Permission, question: &Question<'_>, dead: Option<Reason>) -> Reason {
        if let Some(dead) = dead {
            return dead;
        }
        if !self.wherever.contains(asked) {
            return self.kept_away(asked);
        }
        // A ceiling of the target speaks only to those who hold something there: to all others it would tell a
        // hidden project from a missing one.
        if !self.left.contains(asked) && self.somehow.union(self.inherited).union(self.anyone).contains(asked) {
            return Reason::Ceiling;
        }
        if self.free.union(self.named).contains(asked) {
            Reason::Granted
        } else if self.inherited.contains(asked) {
            Reason::Role
        } else if self.anyone.contains(asked) {
            Reason::Anyone
        } else {
            self.missing(asked, question.names)
        }
    }

    /// By what says nothing of the target: it is asked first, for a missing one too.
    fn kept_away(&self, asked: Permission) -> Reason {
        if !self.shown.contains(asked) {
            Reason::Audience
        } else if !self.cap.contains(asked) {
            Reason::TokenCap
        } else {
            Reason::Ceiling
        }
    }

    fn missing(&self, asked: Permission, names: &Names) -> Reason {
        if self.selected.iter().any(|selected| selected.permissions.contains(asked)) {
            return if names.contains_key(&asked.resource) {
                Reason::ResourceName
            } else {
                Reason::ResourceNameMissing
            };
        }
        let could_help = || self.misses.iter().filter(|miss| miss.grant.permissions.contains(asked));
        let nearest = could_help()
            .filter(|miss| !miss.expired)
            .map(|miss| miss.failures(asked))
            .min_by_key(|failed| (failed.len(), failed.first()));
        match nearest.and_then(Failures::first) {
            Some(condition) => Reason::Condition(condition),
            None if could_help().any(|miss| miss.expired) => Reason::GrantExpired,
            None => Reason::NoGrant,
        }
    }

    fn nearly_matched(&self, missing: PermissionSet) -> Vec<Near> {
        self.misses
            .iter()
            .filter(|miss| !miss.grant.permissions.intersect(missing).is_empty())
            .map(|miss| {
                let by_role = !miss.role_denies.intersect(missing).is_empty();
                Near { grant: miss.grant.id, failed: miss.failed.with(Failed::Role, by_role) }
            })
            .collect()
    }
}

impl<'a> Weighed<'a> {
    fn by(grant: &'a Grant, token: &JobToken, role: PermissionSet, now: OffsetDateTime) -> Weighed<'a> {
        let within_role = grant.conditions.within_actor_role;
        Weighed {
            grant,
            expired: grant.has_expired(now),
            failed: grant.conditions.failures(&token.run),
            role_denies: if within_role { grant.permissions.minus(role) } else { PermissionSet::EMPTY },
        }
    }

    fn gives(&self) -> PermissionSet {
        let holds = !self.expired && self.failed.is_empty();
        if holds { self.grant.permissions.minus(self.role_denies) } else { PermissionSet::EMPTY }
    }

    /// Whether it gives nothing, or not all that it lists.
    fn is_miss(&self) -> bool {
        self.gives() != self.grant.permissions
    }

    /// Every condition that keeps this permission away.
    fn failures(&self, asked: Permission) -> Failures {
        self.failed.with(Failed::Role, self.role_denies.contains(asked))
    }
}
