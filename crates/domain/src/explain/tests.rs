use super::*;
use crate::ceiling::When;
use crate::ids::ProjectId;
use crate::permission::Action;
use crate::pipeline::Trigger;
use crate::provenance::CredentialScope;
use crate::replay::Source;
use proptest::prelude::*;
use time::macros::datetime;

const NOW: OffsetDateTime = datetime!(2026-11-23 10:00 UTC);

fn slot(index: u8) -> crate::permission::Slot {
    crate::permission::Slot::new(index).unwrap()
}

fn any_set() -> impl Strategy<Value = PermissionSet> {
    prop::collection::vec((0u8..2, 0usize..4), 0..5).prop_map(|list| {
        list.into_iter()
            .map(|(index, action)| crate::Permission { resource: slot(index), action: Action::ALL[action] })
            .collect()
    })
}

fn any_run() -> impl Strategy<Value = Provenance> {
    let refs = prop::sample::select(vec!["main", "topic", "odd*name"]);
    let types = prop::sample::select(vec![RefType::Branch, RefType::Tag, RefType::MergeRequest]);
    let environment = prop::option::of(prop::sample::select(vec!["prod", "test?"]));
    (refs, types, any::<bool>(), environment, any::<bool>()).prop_map(
        |(name, ref_type, protected, environment, from_fork)| Provenance {
            ref_name: name.to_owned(),
            ref_type,
            protected,
            environment: environment.map(str::to_owned),
            trigger: Trigger::Push,
            from_fork,
            minted_by: CredentialScope::Project,
        },
    )
}

fn any_conditions() -> impl Strategy<Value = Conditions> {
    (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>()).prop_map(|(main, protected, forks, role)| Conditions {
        refs: main.then(|| vec![RefPattern::parse("main").unwrap()]),
        protected_refs_only: protected,
        allow_forks: forks,
        within_actor_role: role,
        ..Conditions::default()
    })
}

fn any_grant() -> impl Strategy<Value = Grant> {
    let selector = prop::option::of(prop::sample::select(vec!["npm/a", "npm/*"]));
    (any_set(), any_conditions(), selector, any::<bool>()).prop_map(|(permissions, conditions, selector, expired)| {
        Grant {
            id: GrantId(Uuid::from_u128(7)),
            source: GrantSource::Project(ProjectId(Uuid::nil())),
            permissions,
            conditions,
            selectors: Selectors(
                selector.map(|glob| (slot(0), vec![Glob::parse(glob).unwrap()])).into_iter().collect(),
            ),
            expires_at: expired.then_some(NOW),
        }
    })
}

fn any_ceiling() -> impl Strategy<Value = Ceiling> {
    (any_set(), prop::option::of(any::<bool>()), 1u128..1000).prop_map(|(at_most, from_fork, id)| Ceiling {
        id: CeilingId(Uuid::from_u128(id)),
        when: When { from_fork, ..When::default() },
        at_most,
    })
}

fn any_situation() -> impl Strategy<Value = Situation> {
    let several = |ceilings| prop::collection::vec(ceilings, 0..2);
    let mode = prop::sample::select(Mode::ALL.to_vec());
    let visibility = prop::sample::select(Visibility::ALL.to_vec());
    (prop::collection::vec(any_grant(), 0..3), several(any_ceiling()), several(any_ceiling()), mode, visibility)
        .prop_map(|(grants, on_target, on_source, mode, visibility)| Situation {
            target: Target { visibility, mode, grants: grants.into(), ceilings: on_target },
            source: Source { project: ProjectId(Uuid::nil()), chain: vec![], ceilings: on_source },
        })
}

fn any_hypothesis() -> impl Strategy<Value = Hypothesis> {
    let role = prop::option::of(prop::sample::select(Role::ALL.to_vec()));
    let name = prop::option::of(prop::sample::select(vec!["npm/a", "npm/b", "npm/*"]));
    (any_run(), role, any_set().prop_filter("asks nothing", |set| !set.is_empty()), name).prop_map(
        |(run, actor_role, asked, name)| Hypothesis {
            run,
            actor_role,
            asked,
            names: name.map(|name| (slot(0), name.to_owned())).into_iter().collect(),
        },
    )
}

proptest! {
    /// The change that is told makes it a yes, and there always is one; the steps add up to the answer.
    #[test]
    fn what_is_told_is_so(hypothesis in any_hypothesis(), situation in any_situation()) {
        let told = explain(&hypothesis, &situation, NOW);
        let Steps { by_mode, ceilings_leave, granted, anyone, inherited } = told.steps;
        let asked = hypothesis.asked;
        prop_assert_eq!(asked.minus(told.decision.missing()), by_mode.intersect(ceilings_leave));
        let counted = if situation.target.mode == Mode::Enforced { granted.union(anyone) } else { granted.union(anyone).union(inherited) };
        prop_assert_eq!(by_mode, counted);
        let given = told.grants.iter().fold(PermissionSet::EMPTY, |given, grant| given.union(grant.gives));
        prop_assert_eq!(given, granted);
        for grant in &told.grants {
            let reasons = grant.expired || !grant.failed.is_empty() || !grant.other_names.is_empty();
            prop_assert!(grant.lists == grant.gives || reasons, "{grant:?}");
        }
        if told.decision.allowed {
            prop_assert!(told.smallest_change.is_none());
            return Ok(());
        }
        let change = told.smallest_change.expect("there is always a change");
        let mut after = situation.clone();
        for ceiling in after.target.ceilings.iter_mut().chain(&mut after.source.ceilings) {
            for (_, more) in change.raise.iter().filter(|(id, _)| *id == ceiling.id) {
                prop_assert!(asked.implies(*more));
                ceiling.at_most = ceiling.at_most.union(*more);
            }
        }
        after.target.grants.edit(|grants| grants.extend(change.grant.clone()));
        prop_assert!(hypothesis.decision(&after, NOW).allowed);
        if let Some(grant) = change.grant {
            prop_assert!(asked.implies(grant.permissions));
            let elsewhere = Hypothesis { run: Provenance { ref_name: "elsewhere".into(), protected: false, ref_type: RefType::Branch, ..hypothesis.run.clone() }, ..hypothesis.clone() };
            let mut alone = bare(&situation);
            alone.target.grants = vec![grant].into();
            let literal = !hypothesis.run.ref_name.contains('*') && hypothesis.run.ref_type != RefType::MergeRequest;
            prop_assert!(!literal || elsewhere.holds(&alone, NOW).is_empty(), "it opens no more than it must");
        }
    }
}
