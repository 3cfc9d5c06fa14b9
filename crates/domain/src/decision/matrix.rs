//! The golden matrix of decisions: `matrix.golden` is for people to read in a diff.
//! `UPDATE_GOLDEN=1 cargo test -p jobpass-domain` writes it anew.

use super::*;
use crate::Catalogue;
use crate::ceiling::When;
use crate::glob::Glob;
use crate::grant::{Conditions, Selectors, Source, VouchedBy};
use crate::grants::Grants;
use crate::ids::{CeilingId, GroupId, JobTokenId, ProjectId};
use crate::job::JobState;
use crate::job_token::Revoked;
use crate::pipeline::Trigger;
use crate::provenance::{CredentialScope, Provenance};
use crate::refs::{RefPattern, RefType};
use std::fmt::Write as _;
use time::{Duration, macros::datetime};
use uuid::Uuid;

pub(super) const NOW: OffsetDateTime = datetime!(2026-11-23 10:00 UTC);
pub(super) const SOURCE: ProjectId = ProjectId(Uuid::from_u128(1));
const GROUP: GroupId = GroupId(Uuid::from_u128(2));
const OTHER: Uuid = Uuid::from_u128(9);

/// One situation; changed from `plain()` by each row of the matrix.
struct Case {
    token: Option<JobToken>,
    role: Option<Role>,
    asker: Asker,
    target: Target,
    source_ceilings: Vec<Ceiling>,
    asked: PermissionSet,
    names: Names,
}

pub(super) fn set(text: &str) -> PermissionSet {
    let catalogue = Catalogue::default();
    text.split_whitespace()
        .map(|one| catalogue.parse_ceiling(one).unwrap())
        .fold(PermissionSet::EMPTY, PermissionSet::union)
}

pub(super) fn live_token() -> JobToken {
    JobToken {
        id: JobTokenId(Uuid::from_u128(3)),
        project: SOURCE,
        chain: vec![GROUP],
        run: Provenance {
            ref_name: "main".into(),
            ref_type: RefType::Branch,
            protected: true,
            environment: Some("prod/eu".into()),
            trigger: Trigger::Push,
            from_fork: false,
            minted_by: CredentialScope::Group,
        },
        cap: None,
        details: None,
        audience: None,
        expires_at: NOW + Duration::hours(1),
        revoked: None,
        epochs_current: true,
        job: JobState::Running { deadline_at: NOW + Duration::minutes(55), lease_until: None },
    }
}

pub(super) fn grant(permissions: &str) -> Grant {
    Grant {
        id: GrantId(Uuid::from_u128(7)),
        source: Source::Project(SOURCE),
        permissions: set(permissions),
        conditions: Conditions::default(),
        selectors: Selectors::default(),
        expires_at: None,
    }
}

fn ceiling(when: When, at_most: &str) -> Ceiling {
    Ceiling { id: CeilingId(Uuid::from_u128(8)), when, at_most: set(at_most) }
}

/// A live token of a job on a protected branch asks to read packages of a private project without grants.
fn plain() -> Case {
    Case {
        token: Some(live_token()),
        role: None,
        asker: Asker::default(),
        target: Target {
            visibility: Visibility::Private,
            mode: Mode::Enforced,
            grants: Grants::NONE,
            ceilings: vec![],
        },
        source_ceilings: vec![],
        asked: set("packages:read"),
        names: Names::new(),
    }
}

fn granted() -> Case {
    with_grant(|_| {})
}

fn with_grant(change: impl Fn(&mut Grant)) -> Case {
    let mut case = plain();
    let mut one = grant("packages:read packages:create");
    change(&mut one);
    case.target.grants.edit(|grants| grants.push(one));
    case
}

fn with_token(change: impl Fn(&mut JobToken)) -> Case {
    let mut case = granted();
    if let Some(token) = &mut case.token {
        change(token);
    }
    case
}

fn but(mut case: Case, change: impl Fn(&mut Case)) -> Case {
    change(&mut case);
    case
}

fn with_condition(change: impl Fn(&mut Conditions)) -> Case {
    with_grant(|grant| change(&mut grant.conditions))
}

fn in_selector(name: Option<&str>) -> Case {
    but(
        with_grant(|grant| {
            grant.selectors.0.insert(slots::PACKAGES, vec![Glob::parse("npm/@acme/*").unwrap()]);
        }),
        |case| case.names = name.map(|name| (slots::PACKAGES, name.to_owned())).into_iter().collect(),
    )
}

#[expect(clippy::unnecessary_wraps, reason = "what a condition holds")]
fn globs(patterns: &[&str]) -> Option<Vec<Glob>> {
    Some(patterns.iter().map(|pattern| Glob::parse(*pattern).unwrap()).collect())
}

#[expect(clippy::unnecessary_wraps, reason = "what a condition holds")]
fn refs(patterns: &[&str]) -> Option<Vec<RefPattern>> {
    Some(patterns.iter().map(|pattern| RefPattern::parse(*pattern).unwrap()).collect())
}

/// The rows, a section each.
fn sections() -> Vec<(&'static str, Vec<(&'static str, Case)>)> {
    vec![
        ("— grants —", grants()),
        ("— the token —", tokens()),
        ("— the asker —", askers()),
        ("— cap and ceilings —", ceilings()),
        ("— conditions —", conditions()),
        ("— selectors —", selectors()),
        ("— the actor's role —", roles()),
        ("— anyone —", anyone()),
    ]
}

fn developer(case: Case) -> Case {
    but(case, |case| case.role = Some(Role::Developer))
}

fn visible(visibility: Visibility, case: Case) -> Case {
    but(case, |case| case.target.visibility = visibility)
}

fn under_ceiling(when: &When, at_most: &str) -> Case {
    but(granted(), |case| {
        case.target.ceilings.push(ceiling(when.clone(), at_most));
    })
}

fn always(at_most: &str) -> Case {
    under_ceiling(&When::default(), at_most)
}

#[expect(clippy::needless_pass_by_value, reason = "each is written in its row")]
fn ceiling_when(when: When) -> Case {
    under_ceiling(&when, "jobs:read")
}

fn with_run(case: Case, change: impl Fn(&mut Provenance)) -> Case {
    but(case, |case| {
        if let Some(token) = &mut case.token {
            change(&mut token.run);
        }
    })
}

fn grants() -> Vec<(&'static str, Case)> {
    vec![
        ("no grant", plain()),
        ("a grant", granted()),
        ("a grant of another permission", with_grant(|grant| grant.permissions = set("jobs:admin"))),
        ("a grant for another project", with_grant(|grant| grant.source = Source::Project(ProjectId(OTHER)))),
        (
            "a grant for the group above",
            with_grant(|grant| grant.source = Source::Group { group: GROUP, except: vec![] }),
        ),
        (
            "… less this project",
            with_grant(|grant| grant.source = Source::Group { group: GROUP, except: vec![SOURCE.0] }),
        ),
        (
            "a grant for another group",
            with_grant(|grant| grant.source = Source::Group { group: GroupId(OTHER), except: vec![] }),
        ),
        ("a grant that has expired", with_grant(|grant| grant.expires_at = Some(NOW))),
        ("a grant that expires in a second", with_grant(|grant| grant.expires_at = Some(NOW + Duration::SECOND))),
        ("two asked, both granted", but(granted(), |case| case.asked = set("packages:read packages:create"))),
        ("two asked, one granted", but(granted(), |case| case.asked = set("packages:read packages:delete"))),
    ]
}

fn tokens() -> Vec<(&'static str, Case)> {
    vec![
        ("unknown", but(granted(), |case| case.token = None)),
        ("revoked", with_token(|token| token.revoked = Some(Revoked::Itself))),
        ("an epoch was raised", with_token(|token| token.epochs_current = false)),
        (
            "revoked and expired",
            with_token(|token| {
                token.revoked = Some(Revoked::Itself);
                token.expires_at = NOW;
            }),
        ),
        ("expired", with_token(|token| token.expires_at = NOW)),
        ("the job is finished", with_token(|token| token.job = JobState::Finished)),
        ("the job is lost", with_token(|token| token.job = JobState::Lost)),
        (
            "the lease has lapsed",
            with_token(|token| token.job = JobState::Running { deadline_at: NOW, lease_until: Some(NOW) }),
        ),
        (
            "in the grace after the deadline",
            with_token(|token| token.job = JobState::Running { deadline_at: NOW, lease_until: None }),
        ),
        ("an ancestor was revoked", with_token(|token| token.revoked = Some(Revoked::WithAncestor))),
    ]
}

fn askers() -> Vec<(&'static str, Case)> {
    vec![
        ("meant for another service", with_token(|token| token.audience = Some(vec!["https://a.example".into()]))),
        (
            "meant for this service",
            but(with_token(|token| token.audience = Some(vec!["https://a.example".into()])), |case| {
                case.asker.audience = Some("https://a.example".into());
            }),
        ),
        (
            "no audience, one is required",
            but(granted(), |case| {
                case.asker.audience = Some("https://a.example".into());
                case.asker.audience_required = true;
            }),
        ),
        ("the resource type is not shown to it", but(granted(), |case| case.asker.shown = Some(set("jobs:admin")))),
    ]
}

fn ceilings() -> Vec<(&'static str, Case)> {
    vec![
        ("capped to it", with_token(|token| token.cap = Some(set("packages:read")))),
        ("capped to something else", with_token(|token| token.cap = Some(set("jobs:read")))),
        ("capped to nothing", with_token(|token| token.cap = Some(PermissionSet::EMPTY))),
        ("a ceiling that includes it", always("*:read")),
        ("a ceiling that does not", always("*:create")),
        ("a ceiling of nothing", always("")),
        ("a ceiling, and no grant", but(always(""), |case| case.target.grants.edit(Vec::clear))),
        (
            "a ceiling, no name for the selector",
            but(in_selector(None), |case| {
                case.target.ceilings.push(ceiling(When::default(), "jobs:read"));
            }),
        ),
        ("a ceiling for forks, not from a fork", ceiling_when(When { from_fork: Some(true), ..When::default() })),
        ("a ceiling for this ref", ceiling_when(When { refs: refs(&["main"]), ..When::default() })),
        ("a ceiling for unprotected refs", ceiling_when(When { protected: Some(false), ..When::default() })),
        ("a ceiling for this environment", ceiling_when(When { environments: globs(&["prod/*"]), ..When::default() })),
        ("a ceiling for another trigger", ceiling_when(When { triggers: Some(vec![Trigger::Api]), ..When::default() })),
        (
            "a ceiling for project runners",
            ceiling_when(When { vouched_by: Some(vec![CredentialScope::Project]), ..When::default() }),
        ),
        (
            "a ceiling for group runners",
            ceiling_when(When { vouched_by: Some(vec![CredentialScope::Group]), ..When::default() }),
        ),
        (
            "a ceiling on the source's side",
            but(granted(), |case| case.source_ceilings.push(ceiling(When::default(), "jobs:read"))),
        ),
        ("… and no grant", but(plain(), |case| case.source_ceilings.push(ceiling(When::default(), "jobs:read")))),
        (
            "capped to something else, and no grant",
            but(plain(), |case| {
                case.token.iter_mut().for_each(|token| token.cap = Some(set("jobs:read")));
            }),
        ),
    ]
}

fn conditions() -> Vec<(&'static str, Case)> {
    vec![
        ("from a fork", but(with_token(|token| token.run.from_fork = true), |_| {})),
        (
            "from a fork, allowed",
            with_run(with_condition(|conditions| conditions.allow_forks = true), |run| run.from_fork = true),
        ),
        ("this ref", with_condition(|conditions| conditions.refs = refs(&["main"]))),
        ("another ref", with_condition(|conditions| conditions.refs = refs(&["release/*", "tag:main"]))),
        ("protected refs only, protected", with_condition(|conditions| conditions.protected_refs_only = true)),
        (
            "protected refs only, unprotected",
            with_run(with_condition(|conditions| conditions.protected_refs_only = true), |run| run.protected = false),
        ),
        ("this environment", with_condition(|conditions| conditions.environments = globs(&["prod/**"]))),
        ("another environment", with_condition(|conditions| conditions.environments = globs(&["prod"]))),
        (
            "an environment, the job names none",
            with_run(with_condition(|conditions| conditions.environments = globs(&["**"])), |run| {
                run.environment = None;
            }),
        ),
        ("another trigger", with_condition(|conditions| conditions.triggers = Some(vec![Trigger::Schedule]))),
        ("vouched by a group's runner", with_condition(|conditions| conditions.vouched_by = VouchedBy::Group)),
        ("vouched by the instance only", with_condition(|conditions| conditions.vouched_by = VouchedBy::Instance)),
        ("within the actor's role, no actor", with_condition(|conditions| conditions.within_actor_role = true)),
        (
            "within the role of a reporter",
            but(with_condition(|conditions| conditions.within_actor_role = true), |case| {
                case.role = Some(Role::Reporter);
            }),
        ),
        (
            "ref and trigger fail: the ref is told",
            with_condition(|conditions| {
                conditions.refs = refs(&["x"]);
                conditions.triggers = Some(vec![Trigger::Api]);
            }),
        ),
        (
            "the grant with fewest failures is told",
            but(
                with_condition(|conditions| {
                    conditions.refs = refs(&["x"]);
                    conditions.triggers = Some(vec![Trigger::Api]);
                }),
                |case| {
                    let mut nearer = grant("packages:read");
                    nearer.conditions.triggers = Some(vec![Trigger::Api]);
                    case.target.grants.edit(|grants| grants.push(nearer));
                },
            ),
        ),
    ]
}

fn selectors() -> Vec<(&'static str, Case)> {
    vec![
        ("a name that matches", in_selector(Some("npm/@acme/ui"))),
        ("a name that does not", in_selector(Some("npm/left-pad"))),
        ("no name", in_selector(None)),
        (
            "a selector on another resource",
            with_grant(|grant| {
                grant.selectors.0.insert(slots::CONTAINERS, vec![Glob::parse("x").unwrap()]);
            }),
        ),
        (
            "no name, but a second grant without selector",
            but(in_selector(None), |case| case.target.grants.edit(|grants| grants.push(grant("packages:read")))),
        ),
    ]
}

fn roles() -> Vec<(&'static str, Case)> {
    vec![
        ("a developer, no grant", developer(plain())),
        ("a developer asks to delete", but(developer(plain()), |case| case.asked = set("packages:delete"))),
        ("a guest, no grant", but(plain(), |case| case.role = Some(Role::Guest))),
        (
            "an owner asks for everything",
            but(plain(), |case| {
                case.role = Some(Role::Owner);
                case.asked = Catalogue::default().everything();
            }),
        ),
        ("a developer, with a grant", developer(granted())),
        ("a developer, no name for the selector", developer(in_selector(None))),
        ("a developer, capped", developer(with_token(|token| token.cap = Some(set("jobs:read"))))),
        ("a developer, under a ceiling", developer(always("jobs:read"))),
    ]
}

fn anyone() -> Vec<(&'static str, Case)> {
    vec![
        ("public", visible(Visibility::Public, plain())),
        ("public, and a developer", developer(visible(Visibility::Public, plain()))),
        ("internal", visible(Visibility::Internal, plain())),
        (
            "public, capped to nothing",
            visible(Visibility::Public, with_token(|token| token.cap = Some(PermissionSet::EMPTY))),
        ),
        ("public, a dead token", visible(Visibility::Public, with_token(|token| token.job = JobState::Finished))),
        (
            "public, asks to create",
            but(visible(Visibility::Public, plain()), |case| case.asked = set("packages:create")),
        ),
        ("internal, a dead token", visible(Visibility::Internal, with_token(|token| token.job = JobState::Finished))),
    ]
}

fn answer(case: &Case, mode: Mode) -> String {
    let target = Target { mode, ..case.target.clone() };
    let question = Question {
        token: case.token.as_ref(),
        actor_role: case.role,
        source_ceilings: &case.source_ceilings,
        asker: Some(&case.asker),
        target: Some(&target),
        asked: case.asked,
        names: &case.names,
    };
    let decision = decide(&question, NOW);
    let mut out = format!("{} {}", if decision.allowed { "yes" } else { "no " }, decision.reason().unwrap().name());
    if !decision.would_deny().is_empty() {
        out.push_str(" !");
    }
    if decision.anonymous {
        out.push_str(" ~");
    }
    out
}

fn render() -> String {
    let mut out = String::from(
        "What a token may do: packages:read, if the row says nothing else, on a private project where it has a grant.\n\
         !  in audit: enforced would refuse it (`would_deny`)      ~  a public project gives it to nobody in particular (`anonymous`)\n\n",
    );
    let _ = writeln!(out, "{:<48}{:<28}{:<28}enforced", "", "legacy", "audit");
    for (section, cases) in sections() {
        let _ = writeln!(out, "\n{section}");
        for (name, case) in cases {
            let [legacy, audit, enforced] = Mode::ALL.map(|mode| answer(&case, mode));
            let _ = writeln!(out, "{name:<48}{legacy:<28}{audit:<28}{enforced}");
        }
    }
    out.push_str("\nWhat a role lends below enforced: r read, c create, u update, d delete\n\n");
    let catalogue = Catalogue::default();
    let _ = writeln!(out, "{:<20}{}", "", Role::ALL.map(|role| format!("{:<12}", role.name())).concat().trim_end());
    for resource in catalogue.types() {
        let letters = Role::ALL.map(|role| {
            let held =
                |action: &Action| role.allows().contains(Permission { resource: resource.slot, action: *action });
            format!(
                "{:<12}",
                Action::ALL
                    .iter()
                    .map(|action| if held(action) { &action.name()[..1] } else { "-" })
                    .collect::<String>()
            )
        });
        let _ = writeln!(out, "{:<20}{}", resource.name, letters.concat().trim_end());
    }
    out
}

#[test]
fn golden_matrix() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/decision/matrix.golden");
    let now = render();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, &now).unwrap();
    }
    let golden = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        golden == now,
        "decisions differ from {path}; see the difference with\n  UPDATE_GOLDEN=1 cargo test -p jobpass-domain && git diff"
    );
}

#[test]
fn every_reason_stands_in_the_matrix() {
    use Reason as R;
    let golden = render();
    let conditions = Failed::ALL;
    let others = [
        R::Unknown,
        R::Revoked,
        R::Expired,
        R::JobOver,
        R::LeaseLost,
        R::Parent,
        R::Audience,
        R::TokenCap,
        R::Ceiling,
        R::ResourceNameMissing,
        R::ResourceName,
        R::GrantExpired,
        R::NoGrant,
        R::Granted,
        R::Role,
        R::Anyone,
    ];
    for reason in others.into_iter().chain(conditions.map(R::Condition)) {
        assert!(
            golden.contains(&format!(" {} ", reason.name())) || golden.contains(&format!(" {}\n", reason.name())),
            "{reason:?}"
        );
    }
}
