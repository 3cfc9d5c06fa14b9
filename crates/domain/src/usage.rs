//! Usage: which source did what on which target, counted. What is counted as one is here, and how it
//! coarsens; where it is kept is not.

use crate::decision::{Decision, Question};
use crate::ids::{JobId, ProjectId, ServiceId};
use crate::permission::Permission;
use crate::pipeline::Trigger;
use crate::provenance::Provenance;
use crate::reason::Reason;
use crate::role::Role;
use sha2::{Digest, Sha256};
use std::collections::{HashMap, HashSet};
use time::OffsetDateTime;
use uuid::Uuid;

/// Stands for every ref, environment or resource name beyond those that are told apart. No conditional grant
/// is assumed to cover it.
pub const OTHER: &str = "*other*";

/// How many distinct refs, environments and resource names are told apart at a time for one source's use of one
/// permission on one target; of each.
pub const MAX_VALUES: usize = 100;

/// A value that was not seen for so many days makes room for another: branches come and go.
pub const VALUE_DAYS: u16 = 30;

/// The longest value that is told apart, in bytes; a longer one is other.
const MAX_VALUE: usize = 255;

/// For how many days back suggestions and replays look, unless asked otherwise: pipelines that run once a
/// quarter are pipelines, too.
pub const WINDOW_DAYS: u16 = 90;

/// For how many days usage is kept, unless a setting says otherwise.
pub const USAGE_RETENTION_DAYS: u16 = 400;

/// What is counted as one: the same thing, done under the same circumstances, with the same answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Use {
    pub target: ProjectId,
    pub source: ProjectId,
    pub what: What,
    pub run: Provenance,
    /// Of the vouched-for actor, on the target.
    pub actor_role: Option<Role>,
    pub resource_name: Option<String>,
    pub verdict: Verdict,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum What {
    Named(Permission),
    /// Introspection without a permission, by this service: what was then done with the scope it showed is
    /// not known.
    Unnamed(ServiceId),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Verdict {
    pub allowed: bool,
    /// `None` for unnamed use of a live token.
    pub reason: Option<Reason>,
    /// Allowed, and `enforced` would refuse it.
    pub would_deny: bool,
}

/// How often, from when to when, and which job did it last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tally {
    pub count: u64,
    pub first_at: OffsetDateTime,
    pub last_at: OffsetDateTime,
    pub last_job: JobId,
}

impl Tally {
    pub const fn once(at: OffsetDateTime, job: JobId) -> Tally {
        Tally { count: 1, first_at: at, last_at: at, last_job: job }
    }

    /// Both together.
    #[must_use]
    pub fn and(self, other: Tally) -> Tally {
        let last_job = if other.last_at >= self.last_at { other.last_job } else { self.last_job };
        Tally {
            count: self.count.saturating_add(other.count),
            first_at: self.first_at.min(other.first_at),
            last_at: self.last_at.max(other.last_at),
            last_job,
        }
    }
}

impl Use {
    /// What a decision is counted as: once for each permission asked, or once as unnamed. A token that is
    /// unknown has no source, and a question without a project no target: neither is counted here.
    pub fn of(
        question: &Question<'_>,
        target: ProjectId,
        service: ServiceId,
        decision: &Decision,
    ) -> impl Iterator<Item = Use> {
        let one = move |what: What, resource_name: Option<String>, verdict: Verdict| {
            let token = question.token?;
            let (source, run) = (token.project, told(&token.run));
            Some(Use { target, source, what, run, actor_role: question.actor_role, resource_name, verdict })
        };
        let named = decision.outcomes.iter().filter_map(move |(permission, reason)| {
            let allowed = reason.allows();
            let would_deny = allowed && decision.enforced_would_deny.contains(*permission);
            let name = question.names.get(&permission.resource).cloned().map(value);
            one(What::Named(*permission), name, Verdict { allowed, reason: Some(*reason), would_deny })
        });
        let unnamed = question.asked.is_empty().then(|| {
            let allowed = !decision.effective.is_empty() || !decision.selected.is_empty();
            one(What::Unnamed(service), None, Verdict { allowed, reason: decision.dead, would_deny: false })
        });
        named.chain(unnamed.flatten())
    }

    /// Refused, or from a fork: anyone can cause it, and as many different ones as they like.
    pub fn is_untrusted(&self) -> bool {
        !self.verdict.allowed || self.run.from_fork
    }

    /// Whether some of it is not known any more.
    pub fn is_coarse(&self) -> bool {
        let environment = self.run.environment.as_deref();
        self.run.ref_name == OTHER || environment == Some(OTHER) || self.resource_name.as_deref() == Some(OTHER)
    }

    /// The same without what it is told apart by most: for when there is no room for more.
    #[must_use]
    pub fn coarse(self) -> Use {
        let other = || OTHER.to_owned();
        Use {
            run: Provenance { ref_name: other(), environment: self.run.environment.map(|_| other()), ..self.run },
            resource_name: self.resource_name.map(|_| other()),
            ..self
        }
    }
}

/// The run as it is counted.
fn told(run: &Provenance) -> Provenance {
    let mut run = run.clone();
    run.ref_name = value(run.ref_name);
    run.environment = run.environment.map(value);
    run
}

/// A caller's text as it is counted: one that reads like what was coarsened is not taken for it, and what no store
/// could tell apart is other.
fn value(text: String) -> String {
    if text == OTHER {
        format!("'{OTHER}'")
    } else if text.len() > MAX_VALUE {
        OTHER.to_owned()
    } else {
        text
    }
}

impl Use {
    /// Names it in a store: the same on every replica and in every version, for what is stored stays.
    pub fn key(&self) -> Uuid {
        let mut hash = Sha256::new();
        let mut part = |bytes: &[u8]| {
            hash.update(u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(bytes);
        };
        part(self.target.0.as_bytes());
        part(self.source.0.as_bytes());
        match self.what {
            What::Named(Permission { resource, action }) => {
                part(&[u8::try_from(resource.index()).unwrap_or(u8::MAX)]);
                part(action.name().as_bytes());
            }
            What::Unnamed(service) => part(service.0.as_bytes()),
        }
        let run = &self.run;
        part(run.ref_name.as_bytes());
        part(run.ref_type.name().as_bytes());
        part(&[u8::from(run.protected), u8::from(run.from_fork), u8::from(run.environment.is_some())]);
        part(run.environment.as_deref().unwrap_or_default().as_bytes());
        part(run.trigger.name().as_bytes());
        part(run.minted_by.name().as_bytes());
        part(self.actor_role.map_or("", Role::name).as_bytes());
        part(&[u8::from(self.resource_name.is_some())]);
        part(self.resource_name.as_deref().unwrap_or_default().as_bytes());
        part(&[u8::from(self.verdict.allowed), u8::from(self.verdict.would_deny)]);
        part(self.verdict.reason.map_or("", Reason::name).as_bytes());
        let whole: [u8; 32] = hash.finalize().into();
        let half = whole.first_chunk::<16>().copied().unwrap_or_default();
        Uuid::from_bytes(half)
    }
}

/// Which uses are looked for; `None`: whatever it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Path or id.
    pub source: Option<String>,
    pub unnamed: Option<bool>,
    pub allowed: Option<bool>,
    pub reason: Option<Reason>,
    pub would_deny: Option<bool>,
    pub ref_name: Option<String>,
    pub environment: Option<String>,
    pub resource_name: Option<String>,
    pub protected: Option<bool>,
    pub trigger: Option<Trigger>,
    pub from_fork: Option<bool>,
    /// Seen at this time or later.
    pub since: Option<OffsetDateTime>,
    /// Seen before this time.
    pub until: Option<OffsetDateTime>,
}

/// Within what values are told apart: one source's use of one permission on one target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cell {
    pub target: ProjectId,
    pub source: ProjectId,
    /// `None`: unnamed use.
    pub permission: Option<Permission>,
    /// What was refused, and what came from forks: a hostile job that makes up names spoils the record of its
    /// like, and of nobody else.
    pub untrusted: bool,
}

/// What is told apart by its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    Ref,
    Environment,
    ResourceName,
}

impl Kind {
    pub const ALL: [Kind; 3] = [Kind::Ref, Kind::Environment, Kind::ResourceName];

    pub const fn name(self) -> &'static str {
        match self {
            Kind::Ref => "ref",
            Kind::Environment => "environment",
            Kind::ResourceName => "resource_name",
        }
    }

    pub fn named(name: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// The values that are told apart so far. The first [`MAX_VALUES`] of a kind in a cell are; all others are one.
#[derive(Debug, Default)]
pub struct Values {
    told: HashMap<(Cell, Kind), HashSet<String>>,
    /// Those that were met by [`Values::bounded`].
    seen: HashSet<(Cell, Kind, String)>,
}

impl Values {
    /// A value that is told apart already.
    pub fn know(&mut self, cell: Cell, kind: Kind, value: String) {
        self.told.entry((cell, kind)).or_default().insert(value);
    }

    /// The values that were met: known before, or told apart from now on.
    pub fn seen(&self) -> impl Iterator<Item = (Cell, Kind, &str)> {
        self.seen.iter().map(|(cell, kind, value)| (*cell, *kind, value.as_str()))
    }

    /// The use with every value beyond the bound as `*other*`.
    #[must_use]
    pub fn bounded(&mut self, mut used: Use) -> Use {
        let cell = used.cell();
        self.bound(cell, Kind::Ref, &mut used.run.ref_name);
        if let Some(environment) = &mut used.run.environment {
            self.bound(cell, Kind::Environment, environment);
        }
        if let Some(name) = &mut used.resource_name {
            self.bound(cell, Kind::ResourceName, name);
        }
        used
    }

    fn bound(&mut self, cell: Cell, kind: Kind, value: &mut String) {
        let values = self.told.entry((cell, kind)).or_default();
        if value == OTHER {
            return;
        }
        if values.len() < MAX_VALUES || values.contains(value) {
            values.insert(value.clone());
            self.seen.insert((cell, kind, value.clone()));
        } else {
            OTHER.clone_into(value);
        }
    }
}

impl Use {
    pub fn cell(&self) -> Cell {
        let permission = match self.what {
            What::Named(permission) => Some(permission),
            What::Unnamed(_) => None,
        };
        Cell { target: self.target, source: self.source, permission, untrusted: self.is_untrusted() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::slots;
    use crate::permission::Action;
    use crate::provenance::CredentialScope;
    use crate::refs::RefType;
    use time::macros::datetime;

    fn used(ref_name: &str) -> Use {
        Use {
            target: ProjectId(Uuid::from_u128(1)),
            source: ProjectId(Uuid::from_u128(2)),
            what: What::Named(Permission { resource: slots::PACKAGES, action: Action::Read }),
            run: Provenance {
                ref_name: ref_name.to_owned(),
                ref_type: RefType::Branch,
                protected: false,
                environment: None,
                trigger: Trigger::Push,
                from_fork: false,
                minted_by: CredentialScope::Instance,
            },
            actor_role: None,
            resource_name: None,
            verdict: Verdict { allowed: true, reason: Some(Reason::Granted), would_deny: false },
        }
    }

    #[test]
    fn a_hundred_values_are_told_apart_and_the_rest_is_other() {
        let mut values = Values::default();
        for n in 0..MAX_VALUES {
            let name = format!("branch-{n}");
            assert_eq!(values.bounded(used(&name)).run.ref_name, name);
        }
        assert_eq!(values.bounded(used("one-more")).run.ref_name, OTHER);
        assert_eq!(values.bounded(used("branch-7")).run.ref_name, "branch-7");
        let elsewhere = Use { source: ProjectId(Uuid::from_u128(3)), ..used("one-more") };
        assert_eq!(values.bounded(elsewhere).run.ref_name, "one-more");
        let refused = Use { verdict: Verdict { allowed: false, ..used("x").verdict }, ..used("one-more") };
        assert_eq!(values.bounded(refused).run.ref_name, "one-more");
    }

    #[test]
    fn a_text_that_reads_like_other_is_not_taken_for_it_and_a_long_one_is_other() {
        let run = Provenance { environment: Some(OTHER.into()), ..used(&"x".repeat(256)).run };
        let run = told(&run);
        assert_eq!((run.ref_name.as_str(), run.environment.as_deref()), (OTHER, Some("'*other*'")));
        assert_eq!(value("x".repeat(255)), "x".repeat(255));
    }

    #[test]
    fn only_what_was_met_is_seen() {
        let mut values = Values::default();
        values.know(used("main").cell(), Kind::Ref, "old".to_owned());
        assert_eq!(values.bounded(used("main")), used("main"));
        assert_eq!(values.seen().map(|(_, _, value)| value).collect::<Vec<_>>(), ["main"]);
    }

    #[test]
    fn every_part_counts_for_the_key() {
        let one = used("main");
        let others = [
            used("maim"),
            Use { target: ProjectId(Uuid::from_u128(9)), ..one.clone() },
            Use { source: ProjectId(Uuid::from_u128(9)), ..one.clone() },
            Use { what: What::Unnamed(ServiceId(Uuid::from_u128(9))), ..one.clone() },
            Use { run: Provenance { ref_type: RefType::Tag, ..one.run.clone() }, ..one.clone() },
            Use { run: Provenance { protected: true, ..one.run.clone() }, ..one.clone() },
            Use { run: Provenance { from_fork: true, ..one.run.clone() }, ..one.clone() },
            Use { run: Provenance { environment: Some(String::new()), ..one.run.clone() }, ..one.clone() },
            Use { run: Provenance { trigger: Trigger::Api, ..one.run.clone() }, ..one.clone() },
            Use { run: Provenance { minted_by: CredentialScope::Group, ..one.run.clone() }, ..one.clone() },
            Use { actor_role: Some(Role::Guest), ..one.clone() },
            Use { resource_name: Some(String::new()), ..one.clone() },
            Use { verdict: Verdict { would_deny: true, ..one.verdict }, ..one.clone() },
            Use { verdict: Verdict { allowed: false, ..one.verdict }, ..one.clone() },
            Use { verdict: Verdict { reason: Some(Reason::Role), ..one.verdict }, ..one.clone() },
        ];
        let keys: HashSet<_> = others.iter().chain([&one]).map(Use::key).collect();
        assert_eq!(keys.len(), others.len() + 1);
        assert_eq!(one.key(), used("main").key());
    }

    #[test]
    fn tallies_add_up_in_any_order() {
        let (early, late) = (datetime!(2026-11-23 10:00 UTC), datetime!(2026-11-24 10:00 UTC));
        let (first, second) = (JobId(Uuid::from_u128(1)), JobId(Uuid::from_u128(2)));
        let (a, b) = (Tally::once(early, first), Tally::once(late, second));
        let both = Tally { count: 2, first_at: early, last_at: late, last_job: second };
        assert_eq!((a.and(b), b.and(a)), (both, both));
    }
}
