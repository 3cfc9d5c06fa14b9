use super::*;
use crate::ceiling::{Ceiling, When};
use crate::grant::Source as GrantSource;
use crate::ids::{CeilingId, JobId, ServiceId};
use crate::permission::Action;
use crate::pipeline::Trigger;
use crate::provenance::{CredentialScope, Provenance};
use crate::reason::Reason;
use crate::refs::{RefPattern, RefType};
use crate::usage::Verdict;
use proptest::prelude::*;
use time::macros::datetime;

const NOW: OffsetDateTime = datetime!(2026-11-23 10:00 UTC);
const TARGET: ProjectId = ProjectId(Uuid::from_u128(100));

fn permission(index: u8) -> Permission {
    let resource = crate::permission::Slot::new(index / 4).unwrap();
    Permission { resource, action: Action::ALL[usize::from(index % 4)] }
}

#[derive(Clone, Debug)]
struct Facts {
    source: u128,
    permission: u8,
    protected: bool,
    environment: Option<u8>,
    from_fork: bool,
    allowed: bool,
}

fn recorded(facts: &Facts) -> Recorded {
    Recorded {
        used: Use {
            target: TARGET,
            source: ProjectId(Uuid::from_u128(facts.source)),
            what: What::Named(permission(facts.permission)),
            run: Provenance {
                ref_name: if facts.protected { "main" } else { "topic" }.to_owned(),
                ref_type: RefType::Branch,
                protected: facts.protected,
                environment: facts.environment.map(|n| format!("env-{n}")),
                trigger: Trigger::Push,
                from_fork: facts.from_fork,
                minted_by: CredentialScope::Instance,
            },
            actor_role: None,
            resource_name: None,
            verdict: Verdict { allowed: facts.allowed, reason: Some(Reason::Role), would_deny: true },
        },
        tally: Tally::once(NOW, JobId(Uuid::nil())),
    }
}

fn situation(source: u128, grants: Vec<Grant>) -> Situation {
    Situation {
        target: Target { visibility: Visibility::Private, mode: Mode::Legacy, grants: grants.into(), ceilings: vec![] },
        source: Source { project: ProjectId(Uuid::from_u128(source)), chain: chain(source), ceilings: vec![] },
    }
}

/// Sources 0 and 1 lie in one subgroup, 2 and 3 in another, all under one group.
fn chain(source: u128) -> Vec<GroupId> {
    [50, 60 + source / 2].map(|id| GroupId(Uuid::from_u128(id))).to_vec()
}

fn grant(wanted: &Wanted) -> Grant {
    let source = match wanted.folded {
        Some(group) => GrantSource::Group { group, except: vec![] },
        None => GrantSource::Project(*wanted.sources.first().unwrap()),
    };
    Grant {
        id: GrantId(Uuid::nil()),
        source,
        permissions: wanted.permissions,
        conditions: wanted.conditions.clone(),
        selectors: Selectors::default(),
        expires_at: None,
    }
}

fn any_facts() -> impl Strategy<Value = Facts> {
    (0u128..4, 0u8..6, any::<bool>(), prop::option::of(0u8..2), any::<bool>(), any::<bool>()).prop_map(
        |(source, permission, protected, environment, from_fork, allowed)| Facts {
            source,
            permission,
            protected,
            environment,
            from_fork,
            allowed,
        },
    )
}

proptest! {
    /// What was let through goes on in `enforced`, and nothing of what was refused or came from a fork is opened
    /// that no honest use needed, folded or not.
    #[test]
    fn suggestions_cover_what_was_let_through_and_no_more(uses in prop::collection::vec(any_facts(), 0..24), folds in any::<bool>()) {
        let uses: Vec<_> = uses.iter().map(recorded).collect();
        let before: BTreeMap<_, _> = (0..4).map(|source| (ProjectId(Uuid::from_u128(source)), situation(source, vec![]))).collect();
        let seen: Vec<Seen<'_>> = uses.iter().map(|one| (one, &before[&one.used.source])).collect();
        let (mut proposals, apart) = wanted(&seen, NOW);
        let number = |id: ProjectId| id.0.as_u128();
        if folds {
            proposals = fold(proposals, |source| chain(number(source)), |_| true);
        }
        let grants: Vec<_> = proposals.iter().map(grant).collect();
        for one in &uses {
            let after = enforced(&situation(number(one.used.source), grants.clone()));
            let now_allowed = replay(&one.used, &after, None, NOW).allowed;
            let honest = one.used.verdict.allowed && !one.used.run.from_fork;
            prop_assert!(!honest || now_allowed, "{one:?}");
            prop_assert!(!one.used.run.from_fork || !now_allowed, "a fork was let in: {one:?}");
            let What::Named(permission) = one.used.what else { unreachable!() };
            let somebody_needs = uses.iter().any(|other| {
                let same = other.used.what == one.used.what && (folds || other.used.source == one.used.source);
                same && other.used.verdict.allowed && !other.used.run.from_fork
            });
            prop_assert!(!now_allowed || somebody_needs);
            let key = (one.used.source, permission);
            prop_assert!(!(one.used.verdict.allowed && one.used.run.from_fork) || apart.forks.contains_key(&key));
            prop_assert!(one.used.verdict.allowed || apart.denied.contains_key(&key));
        }
        if !folds {
            // No two for one source that could be one.
            for (index, a) in proposals.iter().enumerate() {
                prop_assert!(proposals[index + 1..].iter().all(|b| a.sources != b.sources || a.conditions != b.conditions));
            }
        }
    }
}

#[test]
fn conditions_are_those_that_all_uses_share() {
    let facts = |protected, environment| Facts {
        source: 0,
        permission: 0,
        protected,
        environment,
        from_fork: false,
        allowed: true,
    };
    let conditions = |uses: &[Facts]| {
        let uses: Vec<_> = uses.iter().map(recorded).collect();
        let situation = situation(0, vec![]);
        let seen: Vec<_> = uses.iter().map(|one| (one, &situation)).collect();
        let (proposals, _) = wanted(&seen, NOW);
        assert_eq!(proposals.len(), 1);
        let Conditions { protected_refs_only, environments, .. } = proposals[0].conditions.clone();
        (protected_refs_only, environments.map(|globs| globs[0].as_str().to_owned()))
    };
    assert_eq!(conditions(&[facts(true, Some(1)), facts(true, Some(1))]), (true, Some("env-1".to_owned())));
    assert_eq!(conditions(&[facts(true, Some(1)), facts(false, Some(1))]), (false, Some("env-1".to_owned())));
    assert_eq!(conditions(&[facts(true, Some(1)), facts(true, Some(0))]), (true, None));
    assert_eq!(conditions(&[facts(true, Some(1)), facts(true, None)]), (true, None));
}

#[test]
fn what_a_ceiling_keeps_away_is_no_suggestion() {
    let facts = Facts { source: 0, permission: 1, protected: true, environment: None, from_fork: false, allowed: true };
    let mut situation = situation(0, vec![]);
    let at_most = PermissionSet::any_resource(Action::Read);
    situation.target.ceilings.push(Ceiling { id: CeilingId(Uuid::nil()), when: When::default(), at_most });
    let one = recorded(&facts);
    let (proposals, apart) = wanted(&[(&one, &situation)], NOW);
    assert!(proposals.is_empty());
    assert_eq!(apart.under_ceilings.len(), 1);
}

#[test]
fn what_is_not_known_counts_as_used() {
    let grant = Grant {
        id: GrantId(Uuid::nil()),
        source: GrantSource::Project(ProjectId(Uuid::from_u128(0))),
        permissions: [permission(0), permission(1)].into_iter().collect(),
        conditions: Conditions { refs: Some(vec![RefPattern::parse("release/*").unwrap()]), ..Conditions::default() },
        selectors: Selectors::default(),
        expires_at: None,
    };
    let facts = Facts { source: 0, permission: 0, protected: true, environment: None, from_fork: false, allowed: true };
    let situation = situation(0, vec![]);
    let used = |change: fn(&mut Use)| {
        let mut one = recorded(&facts);
        change(&mut one.used);
        used_of(&grant, &[(&one, &situation)], NOW)
    };
    assert_eq!(used(|_| {}), PermissionSet::EMPTY, "on main it gives nothing");
    assert_eq!(used(|one| one.run.ref_name = "release/1".into()), PermissionSet::EMPTY.with(permission(0)));
    assert_eq!(used(|one| one.run.ref_name = OTHER.into()), PermissionSet::EMPTY.with(permission(0)));
    let unnamed = used(|one| {
        one.what = What::Unnamed(ServiceId(Uuid::nil()));
        one.run.ref_name = "release/1".into();
    });
    assert_eq!(unnamed, grant.permissions);
    assert_eq!(used(|one| one.verdict.allowed = false), PermissionSet::EMPTY);
}
