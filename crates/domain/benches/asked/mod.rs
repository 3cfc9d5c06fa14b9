//! What the benchmarks decide: a live token of a job, and targets with ten grants that can match or ten thousand.
#![allow(dead_code, reason = "not every benchmark asks all of it")]
#![expect(clippy::expect_used, reason = "made-up patterns that parse")]

use jobpass_domain::catalogue::slots;
use jobpass_domain::decision::{Asker, Names, Question, Target};
use jobpass_domain::grant::{Conditions, Grant, Selectors, Source};
use jobpass_domain::ids::{GrantId, GroupId, JobTokenId, ProjectId};
use jobpass_domain::job::JobState;
use jobpass_domain::job_token::JobToken;
use jobpass_domain::mode::{Mode, Visibility};
use jobpass_domain::pipeline::Trigger;
use jobpass_domain::provenance::{CredentialScope, Provenance};
use jobpass_domain::refs::{RefPattern, RefType};
use jobpass_domain::{Action, PermissionSet, decide};
use std::hint::black_box;
use time::OffsetDateTime;
use uuid::Uuid;

const NOW: OffsetDateTime = time::macros::datetime!(2026-11-23 10:00 UTC);
const SOURCE: ProjectId = ProjectId(Uuid::from_u128(1));
pub(crate) const TEXT: &str = "jpj_25l21SzmGZ2iw4jF3K0zPxTzLMzE8rUghJ6G6DxCik30OG0wv";

/// Ten thousand on the target, of which ten are for this source; all of these, the ten alone, and as many for this source alone.
pub(crate) struct Targets {
    pub(crate) ten: Target,
    pub(crate) unfiltered: Target,
    pub(crate) one_source: Target,
}

pub(crate) fn targets(token: &JobToken) -> Targets {
    let all: Vec<Grant> = (0..10_000).map(grant).collect();
    let loaded = all.iter().filter(|grant| grant.source.covers(SOURCE, &token.chain)).cloned().collect();
    let for_one = all.iter().map(|one| Grant { source: Source::Project(SOURCE), ..one.clone() }).collect();
    Targets { ten: target(loaded), unfiltered: target(all), one_source: target(for_one) }
}

pub(crate) fn ask(token: &JobToken, target: &Target) {
    let (asker, names) = (Asker::default(), Names::new());
    let question = Question {
        token: Some(token),
        actor_role: None,
        source_ceilings: &[],
        asker: Some(&asker),
        target: Some(target),
        asked: PermissionSet::of(slots::PACKAGES, &[Action::Read]),
        names: &names,
    };
    black_box(decide(black_box(&question), NOW));
}

fn target(grants: Vec<Grant>) -> Target {
    Target { visibility: Visibility::Private, mode: Mode::Enforced, grants: grants.into(), ceilings: vec![] }
}

/// Every thousandth is for this source; each with a condition or two, as people write them.
fn grant(n: u128) -> Grant {
    let source = if n.is_multiple_of(1_000) { SOURCE } else { ProjectId(Uuid::from_u128(1_000 + n)) };
    Grant {
        id: GrantId(Uuid::from_u128(n)),
        source: Source::Project(source),
        permissions: PermissionSet::of(slots::PACKAGES, &[Action::Read, Action::Create]),
        conditions: Conditions {
            refs: n.is_multiple_of(2).then(|| vec![RefPattern::parse("release/*").expect("a pattern")]),
            protected_refs_only: n.is_multiple_of(3),
            ..Conditions::default()
        },
        selectors: Selectors::default(),
        expires_at: None,
    }
}

pub(crate) fn live_token() -> JobToken {
    let deadline_at = NOW + time::Duration::HOUR;
    JobToken {
        id: JobTokenId(Uuid::from_u128(2)),
        project: SOURCE,
        chain: (0..3).map(|n| GroupId(Uuid::from_u128(10 + n))).collect(),
        run: Provenance {
            ref_name: "main".to_owned(),
            ref_type: RefType::Branch,
            protected: true,
            environment: None,
            trigger: Trigger::Push,
            from_fork: false,
            minted_by: CredentialScope::Instance,
        },
        cap: None,
        details: None,
        audience: None,
        expires_at: deadline_at,
        revoked: None,
        epochs_current: true,
        job: JobState::Running { deadline_at, lease_until: None },
    }
}
