//! Explain: why a job of that kind is told yes or no, step by step, and the smallest change that would make
//! it a yes. Every part is an answer of the decision to a question with less in it.

use crate::ceiling::Ceiling;
use crate::decision::{Decision, Names, Question, Target, decide};
use crate::glob::Glob;
use crate::grant::{Conditions, Grant, Selectors, Source as GrantSource};
use crate::grants::Grants;
use crate::ids::{CeilingId, GrantId};
use crate::mode::{Mode, Visibility};
use crate::permission::PermissionSet;
use crate::provenance::Provenance;
use crate::reason::{Failed, Reason};
use crate::refs::{RefPattern, RefType};
use crate::replay::{Situation, live_token};
use crate::role::Role;
use time::OffsetDateTime;
use uuid::Uuid;

#[cfg(test)]
mod tests;

/// A job that might run, and what it might ask.
#[derive(Clone, Debug)]
pub struct Hypothesis {
    pub run: Provenance,
    /// Of a vouched-for actor, on the target.
    pub actor_role: Option<Role>,
    pub asked: PermissionSet,
    pub names: Names,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    pub decision: Decision,
    pub steps: Steps,
    /// Every grant whose source covers the job's project.
    pub grants: Vec<WeighedGrant>,
    /// Every ceiling that binds the target or the source.
    pub ceilings: Vec<WeighedCeiling>,
    /// `None` when all is allowed, or when no change here could help.
    pub smallest_change: Option<SmallestChange>,
}

/// Of what is asked, what each step of the decision gives or leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Steps {
    pub granted: PermissionSet,
    /// By the actor's role, whatever the mode.
    pub inherited: PermissionSet,
    pub anyone: PermissionSet,
    /// Of those, what the mode counts.
    pub by_mode: PermissionSet,
    /// Of what is asked, what all ceilings that apply leave.
    pub ceilings_leave: PermissionSet,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WeighedGrant {
    pub grant: GrantId,
    /// Of what is asked, what it lists.
    pub lists: PermissionSet,
    /// Of what is asked, what it gives to this job.
    pub gives: PermissionSet,
    pub expired: bool,
    /// The conditions that do not hold.
    pub failed: Vec<Failed>,
    /// What it lists, but for other names.
    pub other_names: PermissionSet,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WeighedCeiling {
    pub ceiling: CeilingId,
    pub applies: bool,
    /// Of what is asked, what it takes away.
    pub takes: PermissionSet,
}

/// What opens least and suffices: permissions that ceilings must leave, and one grant for exactly this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SmallestChange {
    pub raise: Vec<(CeilingId, PermissionSet)>,
    pub grant: Option<Grant>,
}

/// Explains what a job under this hypothesis would be told.
pub fn explain(hypothesis: &Hypothesis, situation: &Situation, now: OffsetDateTime) -> Explanation {
    let decision = hypothesis.decision(situation, now);
    Explanation {
        steps: steps(hypothesis, situation, now),
        grants: situation.target.grants.iter().map(|grant| weigh(grant, hypothesis, situation, now)).collect(),
        ceilings: ceilings(hypothesis, situation),
        smallest_change: if decision.allowed { None } else { smallest(hypothesis, situation, &decision, now) },
        decision,
    }
}

impl Hypothesis {
    fn decision(&self, situation: &Situation, now: OffsetDateTime) -> Decision {
        let token = live_token(&self.run, &situation.source, now);
        let question = Question {
            token: Some(&token),
            actor_role: self.actor_role,
            source_ceilings: &situation.source.ceilings,
            asker: None,
            target: Some(&situation.target),
            asked: self.asked,
            names: &self.names,
        };
        decide(&question, now)
    }

    /// What is allowed of what is asked.
    fn holds(&self, situation: &Situation, now: OffsetDateTime) -> PermissionSet {
        self.asked.minus(self.decision(situation, now).missing())
    }
}

/// The situation with nothing but what is put back.
fn bare(situation: &Situation) -> Situation {
    let mut bare = situation.clone();
    bare.target =
        Target { visibility: Visibility::Private, mode: Mode::Enforced, grants: Grants::NONE, ceilings: vec![] };
    bare.source.ceilings = vec![];
    bare
}

fn steps(hypothesis: &Hypothesis, situation: &Situation, now: OffsetDateTime) -> Steps {
    let Target { visibility, mode, grants, .. } = &situation.target;
    let with = |put_back: &dyn Fn(&mut Target)| {
        let mut bare = bare(situation);
        put_back(&mut bare.target);
        hypothesis.holds(&bare, now)
    };
    let granted = with(&|target| target.grants.clone_from(grants));
    let inherited = with(&|target| target.mode = Mode::Legacy);
    let anyone = with(&|target| target.visibility = *visibility);
    let by_mode = with(&|target| {
        target.grants.clone_from(grants);
        (target.visibility, target.mode) = (*visibility, *mode);
    });
    let all = ceilings(hypothesis, situation);
    let ceilings_leave = all.iter().fold(hypothesis.asked, |left, ceiling| left.minus(ceiling.takes));
    Steps { granted, inherited, anyone, by_mode, ceilings_leave }
}

/// One grant by itself.
fn weigh(grant: &Grant, hypothesis: &Hypothesis, situation: &Situation, now: OffsetDateTime) -> WeighedGrant {
    let mut alone = bare(situation);
    alone.target.grants = vec![grant.clone()].into();
    let lists = grant.permissions.intersect(hypothesis.asked);
    let decision = Hypothesis { asked: lists, ..hypothesis.clone() }.decision(&alone, now);
    let by_name = |reason: Reason| matches!(reason, Reason::ResourceName | Reason::ResourceNameMissing);
    let other_names = decision.outcomes.iter().filter(|(_, reason)| by_name(*reason)).map(|(one, _)| *one).collect();
    WeighedGrant {
        grant: grant.id,
        lists,
        gives: lists.minus(decision.missing()),
        expired: grant.has_expired(now),
        failed: decision.near.into_iter().flat_map(|near| near.failed.iter()).collect(),
        other_names,
    }
}

fn ceilings(hypothesis: &Hypothesis, situation: &Situation) -> Vec<WeighedCeiling> {
    let weigh = |ceiling: &Ceiling| {
        let applies = ceiling.when.holds(&hypothesis.run);
        let takes = if applies { hypothesis.asked.minus(ceiling.at_most) } else { PermissionSet::EMPTY };
        WeighedCeiling { ceiling: ceiling.id, applies, takes }
    };
    situation.target.ceilings.iter().chain(&situation.source.ceilings).map(weigh).collect()
}

/// Found by trying: what is answered is a change after which the decision says yes.
fn smallest(
    hypothesis: &Hypothesis,
    situation: &Situation,
    decision: &Decision,
    now: OffsetDateTime,
) -> Option<SmallestChange> {
    let raise: Vec<_> = ceilings(hypothesis, situation)
        .into_iter()
        .filter(|ceiling| !ceiling.takes.is_empty())
        .map(|ceiling| (ceiling.ceiling, ceiling.takes))
        .collect();
    let mut changed = situation.clone();
    for ceiling in changed.target.ceilings.iter_mut().chain(&mut changed.source.ceilings) {
        for (_, takes) in raise.iter().filter(|(id, _)| *id == ceiling.id) {
            ceiling.at_most = ceiling.at_most.union(*takes);
        }
    }
    let missing = if raise.is_empty() { decision.missing() } else { hypothesis.decision(&changed, now).missing() };
    let grant = (!missing.is_empty()).then(|| exactly(hypothesis, situation, missing));
    changed.target.grants.edit(|grants| grants.extend(grant.clone()));
    hypothesis.decision(&changed, now).allowed.then_some(SmallestChange { raise, grant })
}

/// A grant for this source, these permissions and circumstances such as these, and nothing else.
fn exactly(hypothesis: &Hypothesis, situation: &Situation, permissions: PermissionSet) -> Grant {
    let run = &hypothesis.run;
    let conditions = Conditions {
        refs: if run.protected { None } else { this_ref(run).map(|pattern| vec![pattern]) },
        protected_refs_only: run.protected,
        environments: run.environment.as_deref().and_then(literally).map(|pattern| vec![pattern]),
        triggers: Some(vec![run.trigger]),
        allow_forks: run.from_fork,
        ..Conditions::default()
    };
    let selectors = hypothesis
        .names
        .iter()
        .filter(|(resource, _)| permissions.resources().any(|one| one == **resource))
        .filter_map(|(resource, name)| Some((*resource, vec![literally(name)?])));
    Grant {
        id: GrantId(Uuid::nil()),
        source: GrantSource::Project(situation.source.project),
        permissions,
        conditions,
        selectors: Selectors(selectors.collect()),
        expires_at: None,
    }
}

/// A pattern that means this text and no other; `None` when there is none.
fn literally(text: &str) -> Option<Glob> {
    if text.contains(['*', '?']) { None } else { Glob::parse(text).ok() }
}

/// A pattern of refs names branches and tags; a merge request's ref is neither.
fn this_ref(run: &Provenance) -> Option<RefPattern> {
    literally(&run.ref_name)?;
    let prefix = match run.ref_type {
        RefType::Branch => "branch:",
        RefType::Tag => "tag:",
        RefType::MergeRequest => return None,
    };
    RefPattern::parse(format!("{prefix}{}", run.ref_name)).ok()
}
