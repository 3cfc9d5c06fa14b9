//! What a decision costs, beside the hash that every look-up of a token needs: one table, medians of interleaved
//! rounds. Run by `make bench`; as a test it runs one short round, so that it cannot rot.
#![expect(clippy::print_stdout, reason = "a benchmark speaks through it")]
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
use sha2::{Digest, Sha256};
use std::hint::black_box;
use std::time::{Duration, Instant};
use time::OffsetDateTime;
use uuid::Uuid;

const NOW: OffsetDateTime = time::macros::datetime!(2026-11-23 10:00 UTC);
const SOURCE: ProjectId = ProjectId(Uuid::from_u128(1));
/// An odd number, so that the median is one of them.
const ROUNDS: usize = 15;

/// What is measured, by its name.
type Case<'a> = (&'a str, Box<dyn Fn() + 'a>);

fn main() {
    // `cargo test` runs this, too, without `--bench`.
    let rounds = if std::env::args().any(|argument| argument == "--bench") { ROUNDS } else { 1 };
    let token = live_token();
    // What is on the target: ten for this source, the rest for others; only the former are ever loaded.
    let all: Vec<Grant> = (0..10_000).map(grant).collect();
    let loaded: Vec<Grant> = all.iter().filter(|grant| grant.source.covers(SOURCE, &token.chain)).cloned().collect();
    let for_one: Vec<Grant> = all.iter().map(|one| Grant { source: Source::Project(SOURCE), ..one.clone() }).collect();
    let [ten, unfiltered, worst] = [loaded, all, for_one].map(target);
    let text = "jpj_0000000000000000000000000000000000000000000000000";
    let cases: Vec<Case<'_>> = vec![
        ("floor: sha-256 of a token", Box::new(|| hash(text))),
        ("decide: 10,000 on the target, the 10 that can match loaded", Box::new(|| ask(&token, &ten))),
        ("decide: 10,000 on the target, had all been loaded", Box::new(|| ask(&token, &unfiltered))),
        ("decide: 10,000 for this very source", Box::new(|| ask(&token, &worst))),
    ];
    let mut measured = vec![Vec::new(); cases.len()];
    for _ in 0..rounds {
        for ((_, case), times) in cases.iter().zip(&mut measured) {
            times.push(nanoseconds(case));
        }
    }
    report(&cases.iter().map(|(name, _)| *name).collect::<Vec<_>>(), measured);
}

fn report(names: &[&str], measured: Vec<Vec<f64>>) {
    let medians: Vec<f64> = measured.into_iter().map(median).collect();
    let floor = medians.first().copied().unwrap_or(1.0);
    println!("{:<60} {:>12} {:>10}", "", "ns", "× floor");
    for (name, nanoseconds) in names.iter().zip(medians) {
        println!("{name:<60} {nanoseconds:>12.0} {:>10.2}", nanoseconds / floor);
    }
}

/// For at least 20 ms, so that the clock's own cost does not count.
fn nanoseconds(case: &dyn Fn()) -> f64 {
    let (mut times, started) = (0u32, Instant::now());
    loop {
        (0..10).for_each(|_| case());
        times += 10;
        let elapsed = started.elapsed();
        if elapsed >= Duration::from_millis(20) {
            return elapsed.as_secs_f64() * 1e9 / f64::from(times);
        }
    }
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn hash(text: &str) {
    black_box(Sha256::digest(black_box(text)));
}

fn ask(token: &JobToken, target: &Target) {
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
    Target { visibility: Visibility::Private, mode: Mode::Enforced, grants, ceilings: vec![] }
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

fn live_token() -> JobToken {
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
