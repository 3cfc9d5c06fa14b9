//! The invariant, on random questions: effective ⊆ cap ∩ ceilings ∩ (granted ∪ anyone ∪ role below
//! enforced); a grant never takes away; an unknown anything is a no.

use super::matrix::{NOW, SOURCE, live_token};
use super::*;
use crate::ceiling::When;
use crate::glob::Glob;
use crate::grant::{Conditions, Selectors, Source, VouchedBy};
use crate::ids::{CeilingId, GroupId, ProjectId};
use crate::permission::tests::any_set;
use crate::pipeline::Trigger;
use crate::refs::RefPattern;
use proptest::option;
use proptest::prelude::*;
use time::Duration;
use uuid::Uuid;

/// Group above the token's project is `2`; others cover nothing.
fn source() -> impl Strategy<Value = Source> {
    prop_oneof![
        Just(Source::Project(SOURCE)),
        Just(Source::Project(ProjectId(Uuid::from_u128(5)))),
        (2u128..4, any::<bool>()).prop_map(|(group, except)| Source::Group {
            group: GroupId(Uuid::from_u128(group)),
            except: if except { vec![SOURCE.0] } else { vec![] },
        }),
    ]
}

fn conditions() -> impl Strategy<Value = Conditions> {
    let refs = option::of(
        prop::sample::select(vec!["main", "dev", "tag:**"]).prop_map(|p| vec![RefPattern::parse(p).unwrap()]),
    );
    let environments =
        option::of(prop::sample::select(vec!["**", "prod/*", "test"]).prop_map(|p| vec![Glob::parse(p).unwrap()]));
    let triggers = option::of(prop::sample::subsequence(Trigger::ALL.to_vec(), 1..4));
    let vouched_by = prop::sample::select(VouchedBy::ALL.to_vec());
    (refs, any::<bool>(), environments, triggers, any::<bool>(), any::<bool>(), vouched_by).prop_map(
        |(refs, protected_refs_only, environments, triggers, allow_forks, within_actor_role, vouched_by)| Conditions {
            refs,
            protected_refs_only,
            environments,
            triggers,
            allow_forks,
            within_actor_role,
            vouched_by,
        },
    )
}

fn grants() -> impl Strategy<Value = Vec<Grant>> {
    let selectors =
        prop::collection::btree_map(0u8..4, prop::sample::select(vec!["a*", "b"]), 0..3).prop_map(|entries| {
            Selectors(
                entries
                    .into_iter()
                    .map(|(slot, glob)| (Slot::new(slot).unwrap(), vec![Glob::parse(glob).unwrap()]))
                    .collect(),
            )
        });
    let one = (source(), any_set(), conditions(), selectors, option::of(-5i64..5), any::<u128>()).prop_map(
        |(source, permissions, conditions, selectors, expires_in, id)| Grant {
            id: GrantId(Uuid::from_u128(id)),
            source,
            permissions,
            conditions,
            selectors,
            expires_at: expires_in.map(|hours| NOW + Duration::hours(hours)),
        },
    );
    prop::collection::vec(one, 0..6)
}

fn ceilings() -> impl Strategy<Value = Vec<Ceiling>> {
    let one = (any_set(), option::of(any::<bool>()), option::of(any::<bool>())).prop_map(
        |(at_most, protected, from_fork)| Ceiling {
            id: CeilingId(Uuid::from_u128(1)),
            when: When { protected, from_fork, ..When::default() },
            at_most,
        },
    );
    prop::collection::vec(one, 0..3)
}

#[derive(Clone, Debug)]
struct Random {
    token: JobToken,
    role: Option<Role>,
    asker: Asker,
    target: Target,
    source_ceilings: Vec<Ceiling>,
    asked: PermissionSet,
    names: Names,
}

prop_compose! {
    fn random()(
        cap in option::of(any_set()), protected: bool, from_fork: bool, expires_in in -2i64..20,
        role in option::of(prop::sample::select(Role::ALL.to_vec())),
        shown in option::of(any_set()),
        visibility in prop::sample::select(Visibility::ALL.to_vec()), mode in prop::sample::select(Mode::ALL.to_vec()),
        grants in grants(), target_ceilings in ceilings(), source_ceilings in ceilings(), asked in any_set(),
        names in prop::collection::btree_map(0u8..4, "[ab]{1,2}", 0..3),
    ) -> Random {
        let mut token = live_token();
        token.cap = cap;
        token.run.protected = protected;
        token.run.from_fork = from_fork;
        token.expires_at = NOW + Duration::hours(expires_in);
        Random {
            token, role, source_ceilings, asked,
            asker: Asker { shown, ..Asker::default() },
            target: Target { visibility, mode, grants: grants.into(), ceilings: target_ceilings },
            names: names.into_iter().map(|(slot, name)| (Slot::new(slot).unwrap(), name)).collect(),
        }
    }
}

impl Random {
    fn question(&self) -> Question<'_> {
        Question {
            token: Some(&self.token),
            actor_role: self.role,
            source_ceilings: &self.source_ceilings,
            asker: Some(&self.asker),
            target: Some(&self.target),
            asked: self.asked,
            names: &self.names,
        }
    }

    fn decide(&self) -> Decision {
        decide(&self.question(), NOW)
    }

    fn with(&self, change: impl Fn(&mut Random)) -> Random {
        let mut other = self.clone();
        change(&mut other);
        other
    }

    /// The definition for one permission, written down a second time and as plainly as it can be.
    fn may(&self, one: Permission, by_name: bool) -> bool {
        let run = &self.token.run;
        let role = |one| self.role.is_some_and(|role| role.allows().contains(one));
        let granted = self.target.grants.iter().any(|grant| {
            let within_selector = match grant.selectors.0.get(&one.resource) {
                None => true,
                Some(patterns) => {
                    by_name
                        && self
                            .names
                            .get(&one.resource)
                            .is_some_and(|name| patterns.iter().any(|glob| glob.matches(name)))
                }
            };
            grant.source.covers(self.token.project, &self.token.chain)
                && grant.permissions.contains(one)
                && grant.expires_at.is_none_or(|at| at > NOW)
                && grant.conditions.failures(run).is_empty()
                && (!grant.conditions.within_actor_role || role(one))
                && within_selector
        });
        let anyone = self.target.visibility != Visibility::Private && ANYONE.contains(one);
        let inherited = self.target.mode != Mode::Enforced && role(one);
        let ceilings = self.target.ceilings.iter().chain(&self.source_ceilings);
        self.token.expires_at > NOW
            && (granted || anyone || inherited)
            && self.token.cap.is_none_or(|cap| cap.contains(one))
            && self.asker.shown.is_none_or(|shown| shown.contains(one))
            && ceilings.filter(|ceiling| ceiling.when.holds(run)).all(|ceiling| ceiling.at_most.contains(one))
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(800))]

    #[test]
    fn effective_is_exactly_the_definition(case in random()) {
        let decision = case.decide();
        for one in PermissionSet::ALL.iter() {
            prop_assert_eq!(decision.effective.contains(one), case.may(one, false), "{:?}", one);
        }
        for (one, reason) in &decision.outcomes {
            prop_assert_eq!(reason.allows(), case.may(*one, true), "{:?} {:?}", one, reason);
        }
        prop_assert_eq!(decision.allowed, !case.asked.is_empty() && decision.missing().is_empty());
    }

    #[test]
    fn a_grant_never_takes_away(case in random(), more in grants()) {
        let wider = case.with(|other| other.target.grants.edit(|grants| grants.extend(more.clone())));
        prop_assert!(wider.decide().effective.implies(case.decide().effective));
        prop_assert!(case.decide().missing().implies(wider.decide().missing()));
    }

    #[test]
    fn the_order_of_grants_never_matters(case in random()) {
        let turned = case.with(|other| other.target.grants.edit(|grants| grants.reverse()));
        prop_assert_eq!(turned.decide().effective, case.decide().effective);
        prop_assert_eq!(turned.decide().outcomes, case.decide().outcomes);
    }

    #[test]
    fn cap_and_ceilings_only_take_away(case in random(), cap in any_set(), more in ceilings()) {
        let narrower = case.with(|other| {
            other.token.cap = Some(other.token.cap.map_or(cap, |old| old.intersect(cap)));
            other.target.ceilings.extend(more.clone());
        });
        prop_assert!(case.decide().effective.implies(narrower.decide().effective));
        prop_assert!(cap.implies(narrower.decide().effective));
    }

    #[test]
    fn enforced_gives_no_more_than_legacy(case in random()) {
        let [legacy, audit, enforced] = Mode::ALL.map(|mode| case.with(|other| other.target.mode = mode).decide());
        prop_assert_eq!(legacy.effective, audit.effective);
        prop_assert!(legacy.effective.implies(enforced.effective));
        prop_assert!(legacy.would_deny().is_empty() && enforced.would_deny().is_empty());
        prop_assert_eq!(audit.would_deny(), enforced.missing().minus(audit.missing()));
    }

    #[test]
    fn a_hidden_target_and_a_missing_one_are_alike(case in random()) {
        let case = case.with(|other| {
            other.role = None;
            other.target.visibility = Visibility::Private;
            let Random { token, target, .. } = other;
            target.grants.edit(|grants| grants.retain(|grant| !grant.source.covers(token.project, &token.chain)));
        });
        let hidden = Decision { mode: None, ..case.decide() };
        prop_assert_eq!(hidden, decide(&Question { target: None, ..case.question() }, NOW));
    }

    #[test]
    fn an_unknown_anything_is_a_no(case in random()) {
        let nobody = Question { token: None, ..case.question() };
        let nowhere = Question { target: None, ..case.question() };
        for decision in [decide(&nobody, NOW), decide(&nowhere, NOW)] {
            prop_assert!(!decision.allowed && decision.effective.is_empty() && decision.selected.is_empty());
            prop_assert_eq!(decision.missing(), case.asked);
        }
    }
}
