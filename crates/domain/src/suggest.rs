//! Suggestions: the fewest and narrowest grants that cover what was used, and what of the grants that are
//! there nobody used. Found by asking the decision about every recorded use.

use crate::decision::Target;
use crate::glob::Glob;
use crate::grant::{Conditions, Grant, Selectors};
use crate::ids::{GrantId, GroupId, ProjectId};
use crate::mode::{Mode, Visibility};
use crate::permission::{Permission, PermissionSet};
use crate::replay::{Recorded, Situation, Source, replay};
use crate::usage::{OTHER, Tally, Use, What};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use time::OffsetDateTime;
use uuid::Uuid;

#[cfg(test)]
mod tests;

/// How many refs, environments and names an evidence shows of each.
const SHOWN: usize = 10;

/// A recorded use, and how things stand between the two projects.
pub type Seen<'a> = (&'a Recorded, &'a Situation);

/// On what a suggestion rests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    pub tally: Tally,
    pub permissions: BTreeMap<Permission, Tally>,
    /// Some of the refs, environments and resource names that were seen.
    pub refs: BTreeSet<String>,
    pub environments: BTreeSet<String>,
    pub resource_names: BTreeSet<String>,
}

impl Evidence {
    fn of(recorded: &Recorded, permission: Permission) -> Evidence {
        let mut evidence = Evidence {
            tally: recorded.tally,
            permissions: BTreeMap::from([(permission, recorded.tally)]),
            refs: BTreeSet::new(),
            environments: BTreeSet::new(),
            resource_names: BTreeSet::new(),
        };
        evidence.refs.insert(recorded.used.run.ref_name.clone());
        evidence.environments.extend(recorded.used.run.environment.clone());
        evidence.resource_names.extend(recorded.used.resource_name.clone());
        evidence
    }

    fn add(&mut self, other: Evidence) {
        self.tally = self.tally.and(other.tally);
        for (permission, tally) in other.permissions {
            self.permissions.entry(permission).and_modify(|known| *known = known.and(tally)).or_insert(tally);
        }
        for (known, more) in [
            (&mut self.refs, other.refs),
            (&mut self.environments, other.environments),
            (&mut self.resource_names, other.resource_names),
        ] {
            known.extend(more);
            while known.len() > SHOWN {
                known.pop_last();
            }
        }
    }
}

/// A grant to a source that was seen, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub sources: BTreeSet<ProjectId>,
    /// `None`: to the one source. Else folded into this group.
    pub folded: Option<GroupId>,
    pub permissions: PermissionSet,
    pub conditions: Conditions,
    pub evidence: Evidence,
}

/// What was seen and is not part of any suggestion, with the reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Apart {
    /// Refused: anyone can try.
    pub denied: BTreeMap<(ProjectId, Permission), Evidence>,
    /// Let through, from forks: whoever can open a merge request can do it.
    pub forks: BTreeMap<(ProjectId, Permission), Evidence>,
    /// Let through, and no grant would help: a ceiling keeps it away.
    pub under_ceilings: BTreeMap<(ProjectId, Permission), Evidence>,
    /// Granted when it was seen, under conditions, and coarsened since: a grant without them would widen what is there.
    pub unclear: BTreeMap<(ProjectId, Permission), Evidence>,
}

/// The grants that would cover what was let through and is not granted yet; and what is set apart.
pub fn wanted(seen: &[Seen<'_>], now: OffsetDateTime) -> (Vec<Wanted>, Apart) {
    let mut apart = Apart::default();
    let mut needs = BTreeMap::<(ProjectId, Permission), Need>::new();
    for (recorded, situation) in seen {
        let used = &recorded.used;
        let What::Named(permission) = used.what else { continue };
        if replay(used, &enforced(situation), None, now).allowed {
            continue;
        }
        let key = (used.source, permission);
        let evidence = Evidence::of(recorded, permission);
        let set_apart = if !used.verdict.allowed {
            &mut apart.denied
        } else if used.run.from_fork {
            &mut apart.forks
        } else if used.is_coarse() && !used.verdict.would_deny {
            &mut apart.unclear
        } else if !replay(used, &with_grant(situation, permission), None, now).allowed {
            &mut apart.under_ceilings
        } else {
            gather(&mut needs, key, Need::of(used, evidence), Need::add);
            continue;
        };
        gather(set_apart, key, evidence, Evidence::add);
    }
    (by_source(needs), apart)
}

fn gather<K: Ord, V>(all: &mut BTreeMap<K, V>, key: K, one: V, add: fn(&mut V, V)) {
    match all.entry(key) {
        Entry::Vacant(none) => {
            none.insert(one);
        }
        Entry::Occupied(mut known) => add(known.get_mut(), one),
    }
}

/// Uses of one permission by one source, and what they have in common.
struct Need {
    protected: bool,
    /// `None`: no environment, or not always the same.
    environment: Option<Glob>,
    evidence: Evidence,
}

impl Need {
    fn of(used: &Use, evidence: Evidence) -> Need {
        Need { protected: used.run.protected, environment: one_environment(used), evidence }
    }

    fn add(&mut self, other: Need) {
        self.protected &= other.protected;
        self.environment = self.environment.take().filter(|one| other.environment.as_ref() == Some(one));
        self.evidence.add(other.evidence);
    }

    fn conditions(&self) -> Conditions {
        Conditions {
            protected_refs_only: self.protected,
            environments: self.environment.clone().map(|one| vec![one]),
            ..Conditions::default()
        }
    }
}

/// The environment as a condition that means it and no other.
fn one_environment(used: &Use) -> Option<Glob> {
    let name = used.run.environment.as_deref().filter(|name| *name != OTHER && !name.contains(['*', '?']))?;
    Glob::parse(name).ok()
}

/// One grant for each source and each kind of conditions: permissions that were used more freely do not widen
/// those that were not.
fn by_source(needs: BTreeMap<(ProjectId, Permission), Need>) -> Vec<Wanted> {
    let mut wanted = Vec::<Wanted>::new();
    for ((source, permission), need) in needs {
        let conditions = need.conditions();
        let same = |known: &&mut Wanted| known.sources.contains(&source) && known.conditions == conditions;
        match wanted.iter_mut().rev().take_while(|known| known.sources.contains(&source)).find(same) {
            Some(known) => {
                known.permissions = known.permissions.with(permission);
                known.evidence.add(need.evidence);
            }
            None => wanted.push(Wanted {
                sources: BTreeSet::from([source]),
                folded: None,
                permissions: PermissionSet::EMPTY.with(permission),
                conditions,
                evidence: need.evidence,
            }),
        }
    }
    wanted
}

/// Folds sources that want the same into the nearest group above all of them. `chain`: the groups above a
/// project, from the top down. `may`: whether a group may be named.
pub fn fold(
    wanted: Vec<Wanted>,
    chain: impl Fn(ProjectId) -> Vec<GroupId>,
    may: impl Fn(GroupId) -> bool,
) -> Vec<Wanted> {
    let top = |one: &Wanted| one.sources.first().and_then(|source| chain(*source).first().copied());
    let mut alike = Vec::<Vec<Wanted>>::new();
    for one in wanted {
        let is_alike = |known: &&mut Vec<Wanted>| {
            known.first().is_some_and(|known| {
                known.permissions == one.permissions && known.conditions == one.conditions && top(known) == top(&one)
            })
        };
        match alike.iter_mut().find(is_alike) {
            Some(known) => known.push(one),
            None => alike.push(vec![one]),
        }
    }
    let folded = |several: Vec<Wanted>| {
        let sources: BTreeSet<_> = several.iter().flat_map(|one| one.sources.iter().copied()).collect();
        match nearest_common(&sources, &chain).filter(|group| sources.len() > 1 && may(*group)) {
            Some(group) => {
                several.into_iter().reduce(Wanted::and).map(|one| one.folded_into(group)).into_iter().collect()
            }
            None => several,
        }
    };
    alike.into_iter().flat_map(folded).collect()
}

impl Wanted {
    fn and(mut self, other: Wanted) -> Wanted {
        self.sources.extend(other.sources);
        self.evidence.add(other.evidence);
        self
    }

    fn folded_into(self, group: GroupId) -> Wanted {
        Wanted { folded: Some(group), ..self }
    }
}

fn nearest_common(sources: &BTreeSet<ProjectId>, chain: impl Fn(ProjectId) -> Vec<GroupId>) -> Option<GroupId> {
    let mut chains = sources.iter().map(|source| chain(*source));
    let first = chains.next()?;
    let common = chains.fold(first, |common, other| {
        common.into_iter().zip(other).take_while(|(a, b)| a == b).map(|(a, _)| a).collect()
    });
    common.last().copied()
}

/// What of a grant somebody used: all that any use seen could have needed it for. What is not known counts as
/// used: unnamed use, and what was coarsened.
pub fn used_of(grant: &Grant, seen: &[Seen<'_>], now: OffsetDateTime) -> PermissionSet {
    let covered = |(recorded, situation): &&Seen<'_>| {
        recorded.used.verdict.allowed && grant.source.covers(situation.source.project, &situation.source.chain)
    };
    seen.iter().filter(covered).fold(PermissionSet::EMPTY, |used, (recorded, situation)| {
        let alone = only(grant, &recorded.used, &situation.source);
        let decision = replay(&certain(&recorded.used), &alone, None, now);
        match recorded.used.what {
            What::Named(permission) if decision.allowed => used.with(permission),
            What::Named(_) => used,
            What::Unnamed(_) => {
                decision.selected.iter().fold(used.union(decision.effective), |used, one| used.union(one.permissions))
            }
        }
    })
}

/// The grant by itself, as if it covered what was coarsened: nobody can say that it did not.
fn only(grant: &Grant, used: &Use, source: &Source) -> Situation {
    let mut grant = Grant { expires_at: None, ..grant.clone() };
    if used.run.ref_name == OTHER {
        grant.conditions.refs = None;
    }
    if used.run.environment.as_deref() == Some(OTHER) {
        grant.conditions.environments = None;
    }
    if used.resource_name.as_deref() == Some(OTHER) {
        grant.selectors = Selectors::default();
    }
    let target =
        Target { visibility: Visibility::Private, mode: Mode::Enforced, grants: vec![grant].into(), ceilings: vec![] };
    Situation { target, source: Source { ceilings: vec![], ..source.clone() } }
}

/// The use as if nothing of it had been coarsened: what the grant asks of that is dropped already.
fn certain(used: &Use) -> Use {
    let plain = |text: &String| if text == OTHER { String::new() } else { text.clone() };
    let mut used = used.clone();
    used.run.ref_name = plain(&used.run.ref_name);
    used.run.environment = used.run.environment.as_ref().map(plain);
    used.resource_name = used.resource_name.as_ref().map(plain);
    used
}

fn enforced(situation: &Situation) -> Situation {
    let mut situation = situation.clone();
    situation.target.mode = Mode::Enforced;
    situation
}

/// As if the source were granted this without any condition.
fn with_grant(situation: &Situation, permission: Permission) -> Situation {
    let mut situation = enforced(situation);
    let given = Grant {
        id: GrantId(Uuid::nil()),
        source: crate::grant::Source::Project(situation.source.project),
        permissions: PermissionSet::EMPTY.with(permission),
        conditions: Conditions { allow_forks: true, ..Conditions::default() },
        selectors: Selectors::default(),
        expires_at: None,
    };
    situation.target.grants.edit(|grants| grants.push(given));
    situation
}
