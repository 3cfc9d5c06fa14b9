//! Replay: a recorded use decided once more, as things stand or as they would stand; and what a change
//! would do to the uses that were seen. It brings other inputs to the decision, never another decision.

use crate::ceiling::{Ceiling, When};
use crate::decision::{Asker, Decision, Names, Question, Target, decide};
use crate::grant::Grant;
use crate::ids::{GroupId, JobTokenId, ProjectId, ServiceId};
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
    let worst = is_coarse(used).then(|| worst_case(used, situation));
    let Situation { target, source } = worst.as_ref().unwrap_or(situation);
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

fn is_coarse(used: &Use) -> bool {
    let environment = used.run.environment.as_deref();
    used.run.ref_name == OTHER || environment == Some(OTHER) || used.resource_name.as_deref() == Some(OTHER)
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
    worst.target.grants.retain(covers);
    worst.target.ceilings.iter_mut().chain(&mut worst.source.ceilings).for_each(binds);
    worst
}

/// What a change does to the uses that were seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Impact {
    /// Let through so far, refused after the change.
    pub would_refuse: BTreeMap<(ProjectId, ProjectId, Permission), Flip>,
    /// Refused so far, let through after the change.
    pub would_allow: BTreeMap<(ProjectId, ProjectId, Permission), Flip>,
    /// Nobody knows what was done: by target, source and service.
    pub unknown: BTreeMap<(ProjectId, ProjectId, ServiceId), Unknown>,
}

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
    /// Whether all that was seen is sure to go on: nothing refused, and nothing unknown that loses something.
    pub fn is_safe(&self) -> bool {
        self.would_refuse.is_empty() && self.unknown.values().all(|unknown| unknown.could_lose.is_empty())
    }

    /// Weighs one recorded use, decided before and after.
    pub fn weigh(
        &mut self,
        recorded: &Recorded,
        (before, after): (&Situation, &Situation),
        shown: Option<PermissionSet>,
        now: OffsetDateTime,
    ) {
        let Recorded { used, tally } = recorded;
        let (then, later) = (replay(used, before, shown, now), replay(used, after, shown, now));
        match used.what {
            What::Unnamed(service) => {
                let could_lose = if used.verdict.allowed { lost(&then, &later) } else { PermissionSet::EMPTY };
                let unknown = Unknown { tally: *tally, could_lose };
                self.unknown
                    .entry((used.target, used.source, service))
                    .and_modify(|known| known.add(&unknown))
                    .or_insert(unknown);
            }
            What::Named(permission) => {
                // Of what was coarsened, the record knows better than the worst case that it was let through.
                let allowed = then.allowed || (is_coarse(used) && used.verdict.allowed);
                let flips = match (allowed, later.allowed) {
                    (true, false) if used.verdict.allowed => &mut self.would_refuse,
                    (false, true) if !used.verdict.allowed => &mut self.would_allow,
                    _ => return,
                };
                let key = (used.target, used.source, permission);
                let flip = Flip { tally: *tally, reasons: later.reason().into_iter().collect() };
                flips.entry(key).and_modify(|known| known.add(&flip)).or_insert(flip);
            }
        }
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
