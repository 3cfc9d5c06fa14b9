//! Replay: a recorded use decided once more, as things stand or as they would stand; and what a change
//! would do to the uses that were seen. It brings other inputs to the decision, never another decision.

use crate::ceiling::{Ceiling, When};
use crate::decision::{Asker, Decision, Names, Question, Target, decide};
use crate::grant::Grant;
use crate::ids::{GroupId, JobTokenId, ProjectId};
use crate::job::JobState;
use crate::job_token::JobToken;
use crate::permission::{Permission, PermissionSet};
use crate::provenance::Provenance;
use crate::reason::Reason;
use crate::usage::{OTHER, Tally, Use, What};
use std::collections::{BTreeMap, BTreeSet};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

/// All that a decision about jobs of one source on one target depends on, but for the job itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Situation {
    /// With the grants that cover the source, and no others.
    pub target: Target,
    pub source: Source,
}

/// The project that a token comes from, as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    pub project: ProjectId,
    /// The groups above it.
    pub chain: Vec<GroupId>,
    /// Ceilings of side `source` on it and on the groups above it, and all of the instance.
    pub ceilings: Vec<Ceiling>,
}

/// A use, and how often it was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    pub used: Use,
    pub tally: Tally,
}

/// Decides what a live token of a job such as this one would be told. `shown`: to which permissions the
/// service that asked is limited; for unnamed use.
pub fn replay(used: &Use, situation: &Situation, shown: Option<PermissionSet>, now: OffsetDateTime) -> Decision {
    let worst = used.is_coarse().then(|| worst_case(used, situation));
    decided(used, worst.as_ref().unwrap_or(situation), shown, now)
}

fn decided(used: &Use, situation: &Situation, shown: Option<PermissionSet>, now: OffsetDateTime) -> Decision {
    let Situation { target, source } = situation;
    let token = live_token(&used.run, source, now);
    let names = named(used);
    let asker = Asker { shown, ..Asker::default() };
    let asked = match used.what {
        What::Named(permission) => PermissionSet::EMPTY.with(permission),
        What::Unnamed(_) => PermissionSet::EMPTY,
    };
    let question = Question {
        token: Some(&token),
        actor_role: used.actor_role,
        source_ceilings: &source.ceilings,
        asker: Some(&asker),
        target: Some(target),
        asked,
        names: &names,
    };
    decide(&question, now)
}

/// A token as it was minted for a job such as this one: alive, and without a cap.
pub(crate) fn live_token(run: &Provenance, source: &Source, now: OffsetDateTime) -> JobToken {
    let deadline_at = now + Duration::HOUR;
    JobToken {
        id: JobTokenId(Uuid::nil()),
        project: source.project,
        chain: source.chain.clone(),
        run: run.clone(),
        cap: None,
        details: None,
        audience: None,
        expires_at: deadline_at,
        revoked: None,
        epochs_current: true,
        job: JobState::Running { deadline_at, lease_until: None },
    }
}

fn named(used: &Use) -> Names {
    match (used.what, &used.resource_name) {
        (What::Named(permission), Some(name)) if name != OTHER => Names::from([(permission.resource, name.clone())]),
        _ => Names::new(),
    }
}

/// What is not known is taken to fail every condition on it, and to meet every ceiling's.
fn worst_case(used: &Use, situation: &Situation) -> Situation {
    let any_ref = used.run.ref_name == OTHER;
    let any_environment = used.run.environment.as_deref() == Some(OTHER);
    let covers = |grant: &Grant| {
        let by_ref = any_ref && grant.conditions.refs.is_some();
        let by_environment = any_environment && grant.conditions.environments.is_some();
        !by_ref && !by_environment
    };
    let binds = |ceiling: &mut Ceiling| {
        let When { refs, environments, .. } = &mut ceiling.when;
        *refs = refs.take().filter(|_| !any_ref);
        *environments = environments.take().filter(|_| !any_environment);
    };
    let mut worst = situation.clone();
    worst.target.grants.edit(|grants| grants.retain(covers));
    worst.target.ceilings.iter_mut().chain(&mut worst.source.ceilings).for_each(binds);
    worst
}

/// What is not known is taken to meet every condition on it, and to fail every ceiling's: if it is refused even
/// so, it is refused for sure.
fn best_case(used: &Use, situation: &Situation) -> Situation {
    let any_ref = used.run.ref_name == OTHER;
    let any_environment = used.run.environment.as_deref() == Some(OTHER);
    let any_name = used.resource_name.as_deref() == Some(OTHER);
    let may_miss = |ceiling: &Ceiling| {
        (any_ref && ceiling.when.refs.is_some()) || (any_environment && ceiling.when.environments.is_some())
    };
    let mut best = situation.clone();
    let loosen = |grant: &mut Grant| {
        grant.conditions.refs = grant.conditions.refs.take().filter(|_| !any_ref);
        grant.conditions.environments = grant.conditions.environments.take().filter(|_| !any_environment);
        if any_name {
            grant.selectors.0.clear();
        }
    };
    best.target.grants.edit(|grants| grants.iter_mut().for_each(loosen));
    best.target.ceilings.retain(|ceiling| !may_miss(ceiling));
    best.source.ceilings.retain(|ceiling| !may_miss(ceiling));
    best
}

/// What a change does to the uses that were seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Impact {
    /// Let through so far, refused after the change.
    pub would_refuse: BTreeMap<FlipKey, Flip>,
    /// Refused so far, let through after the change.
    pub would_allow: BTreeMap<FlipKey, Flip>,
    /// Nobody knows what was done, or whether a condition still covers it: by target, source and what.
    pub unknown: BTreeMap<(ProjectId, ProjectId, What), Unknown>,
}

/// Target, source, permission, and whether from forks.
pub type FlipKey = (ProjectId, ProjectId, Permission, bool);

/// Uses of one permission by one source on one target, that a change turns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flip {
    pub tally: Tally,
    /// What the answer would be.
    pub reasons: BTreeSet<Reason>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown {
    pub tally: Tally,
    /// What the scope that was shown would no longer hold.
    pub could_lose: PermissionSet,
}

impl Impact {
    /// Whether all that was seen goes on: nothing refused, and no unnamed use that loses something. What was granted
    /// when it was seen, and coarsened since, is told and no obstacle: the record says that a grant covered it.
    pub fn is_safe(&self) -> bool {
        let harmless = |(key, unknown): (&(ProjectId, ProjectId, What), &Unknown)| {
            matches!(key.2, What::Named(_)) || unknown.could_lose.is_empty()
        };
        self.would_refuse.is_empty() && self.unknown.iter().all(harmless)
    }

    /// Weighs one recorded use, decided before and after.
    pub fn weigh(
        &mut self,
        recorded: &Recorded,
        (before, after): (&Situation, &Situation),
        shown: Option<PermissionSet>,
        now: OffsetDateTime,
    ) {
        let (then, later) = (replay(&recorded.used, before, shown, now), replay(&recorded.used, after, shown, now));
        match recorded.used.what {
            What::Unnamed(_) => {
                let allowed = recorded.used.verdict.allowed;
                self.tell(recorded, if allowed { lost(&then, &later) } else { PermissionSet::EMPTY });
            }
            What::Named(permission) if recorded.used.is_coarse() => {
                let best = decided(&recorded.used, &best_case(&recorded.used, after), shown, now);
                self.weigh_coarse(recorded, permission, &later, &best);
            }
            What::Named(permission) if then.allowed != later.allowed => self.flip(recorded, permission, &later),
            What::Named(_) => {}
        }
    }

    /// Of what was coarsened, the record knows better than any replay that it was let through. No condition is taken to
    /// cover it; but what a grant covered when it was seen, and may cover still, is not said to be refused, either.
    fn weigh_coarse(&mut self, recorded: &Recorded, permission: Permission, later: &Decision, best: &Decision) {
        let verdict = recorded.used.verdict;
        if verdict.allowed == later.allowed {
            return;
        }
        if verdict.allowed && !verdict.would_deny && best.allowed {
            self.tell(recorded, PermissionSet::EMPTY.with(permission));
        } else {
            self.flip(recorded, permission, later);
        }
    }

    /// As it was seen, so it must have been let through to be refused, and refused to be let through.
    fn flip(&mut self, recorded: &Recorded, permission: Permission, later: &Decision) {
        let Recorded { used, tally } = recorded;
        if used.verdict.allowed == later.allowed {
            return;
        }
        let flips = if later.allowed { &mut self.would_allow } else { &mut self.would_refuse };
        let key = (used.target, used.source, permission, used.run.from_fork);
        let flip = Flip { tally: *tally, reasons: later.reason().into_iter().collect() };
        flips.entry(key).and_modify(|known| known.add(&flip)).or_insert(flip);
    }

    fn tell(&mut self, recorded: &Recorded, could_lose: PermissionSet) {
        let Recorded { used, tally } = recorded;
        let unknown = Unknown { tally: *tally, could_lose };
        let key = (used.target, used.source, used.what);
        self.unknown.entry(key).and_modify(|known| known.add(&unknown)).or_insert(unknown);
    }
}

impl Flip {
    fn add(&mut self, other: &Flip) {
        self.tally = self.tally.and(other.tally);
        self.reasons.extend(&other.reasons);
    }
}

impl Unknown {
    fn add(&mut self, other: &Unknown) {
        self.tally = self.tally.and(other.tally);
        self.could_lose = self.could_lose.union(other.could_lose);
    }
}

/// What was shown and is no longer: for any name, or for some.
fn lost(before: &Decision, after: &Decision) -> PermissionSet {
    let for_some = before
        .selected
        .iter()
        .filter(|selected| !after.selected.contains(selected))
        .fold(PermissionSet::EMPTY, |lost, selected| lost.union(selected.permissions));
    before.effective.union(for_some).minus(after.effective)
}
