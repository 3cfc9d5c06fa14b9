//! GitHub Actions. The claims do not say whose commit a pull request's run is of; so only events that somebody with write
//! access brings about, on a ref of the repository itself, count as not from a fork.

use super::{CiJob, Fork, GitRef, Unreadable, denies, optional_label, required, required_label};
use crate::claims::Claims;
use crate::pipeline::Trigger;

pub(super) fn read(claims: Claims<'_>) -> Result<CiJob, Unreadable> {
    let attempt = required(claims, "run_attempt")?;
    run(claims, &attempt, claims.text("check_run_id"))
}

/// What GitHub and those that took its workflows over have in common.
pub(super) fn run(claims: Claims<'_>, attempt: &str, job: Option<String>) -> Result<CiJob, Unreadable> {
    let event = required(claims, "event_name")?;
    Ok(CiJob {
        run: format!("{}/{attempt}", required(claims, "run_id")?),
        job,
        name: optional_label(claims, "workflow")?,
        environment: optional_label(claims, "environment")?,
        git_ref: GitRef::parse(&required(claims, "ref")?).ok_or(Unreadable("ref"))?,
        sha: required_label(claims, "sha")?,
        trigger: trigger(&event),
        fork: fork(&event),
        actor: optional_label(claims, "actor")?,
        unprotected: denies(claims, "ref_protected"),
    })
}

fn trigger(event: &str) -> Trigger {
    match event {
        "push" | "create" | "release" => Trigger::Push,
        "schedule" => Trigger::Schedule,
        "workflow_dispatch" => Trigger::Manual,
        "workflow_run" => Trigger::Pipeline,
        "merge_group" => Trigger::MergeRequest,
        other if other.starts_with("pull_request") => Trigger::MergeRequest,
        _ => Trigger::Api,
    }
}

fn fork(event: &str) -> Fork {
    match event {
        "push" | "create" | "release" | "schedule" | "workflow_dispatch" | "repository_dispatch" => Fork::No,
        // Without an identity for forks unless a setting of the repository gives them one.
        "pull_request" => Fork::Unsaid,
        // They run on a branch of the repository what a stranger's pull request, run, issue or comment set going.
        _ => Fork::Yes(None),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::tests::{git_ref, label, may_be_protected, read};
    use super::*;
    use crate::refs::RefType;
    use crate::trust_rule::Ci;
    use serde_json::{Value, json};

    pub(crate) fn push() -> Value {
        json!({
            "iss": "https://token.actions.githubusercontent.com", "aud": "https://jobpass.example", "jti": "4a576b35-ff09-41c5-af2c-ca62dd89b76a",
            "sub": "repo:acme/web:environment:production", "ref": "refs/heads/main", "sha": "7f93a73b8273af5d35fcd70661704c1cadc57054",
            "repository": "acme/web", "repository_owner": "acme", "repository_owner_id": "7", "repository_id": "42",
            "repository_visibility": "private", "run_id": "16062183829", "run_number": "10", "run_attempt": "2",
            "check_run_id": "45330921120", "actor": "octocat", "actor_id": "12", "workflow": "release", "head_ref": "", "base_ref": "",
            "event_name": "push", "ref_protected": "true", "ref_type": "branch", "runner_environment": "github-hosted",
            "workflow_ref": "acme/web/.github/workflows/release.yml@refs/heads/main", "environment": "production",
            "job_workflow_ref": "acme/web/.github/workflows/release.yml@refs/heads/main",
        })
    }

    #[test]
    fn a_push_in_full() {
        let job = read(Ci::GitHub, &push(), json!({})).unwrap();
        let expected = CiJob {
            run: "16062183829/2".to_owned(),
            job: Some("45330921120".to_owned()),
            name: Some(label("release")),
            environment: Some(label("production")),
            git_ref: git_ref(RefType::Branch, "main"),
            sha: label("7f93a73b8273af5d35fcd70661704c1cadc57054"),
            trigger: Trigger::Push,
            fork: Fork::No,
            actor: Some(label("octocat")),
            unprotected: false,
        };
        assert_eq!(job, expected);
        assert!(may_be_protected(&job));
    }

    #[test]
    fn an_event_says_who_may_have_brought_the_run_about() {
        for (event, trigger, fork) in [
            ("push", Trigger::Push, Fork::No),
            ("release", Trigger::Push, Fork::No),
            ("schedule", Trigger::Schedule, Fork::No),
            ("workflow_dispatch", Trigger::Manual, Fork::No),
            ("repository_dispatch", Trigger::Api, Fork::No),
            ("pull_request", Trigger::MergeRequest, Fork::Unsaid),
            ("pull_request_target", Trigger::MergeRequest, Fork::Yes(None)),
            ("pull_request_review", Trigger::MergeRequest, Fork::Yes(None)),
            ("merge_group", Trigger::MergeRequest, Fork::Yes(None)),
            ("workflow_run", Trigger::Pipeline, Fork::Yes(None)),
            ("issue_comment", Trigger::Api, Fork::Yes(None)),
            ("discussion", Trigger::Api, Fork::Yes(None)),
            ("an_event_of_next_year", Trigger::Api, Fork::Yes(None)),
        ] {
            let job = read(Ci::GitHub, &push(), json!({ "event_name": event })).unwrap();
            assert_eq!((job.trigger, &job.fork), (trigger, &fork), "{event}");
            assert_eq!(may_be_protected(&job), fork == Fork::No, "{event}");
        }
    }

    #[test]
    fn what_is_missing_or_lowers() {
        let with = |change| read(Ci::GitHub, &push(), change);
        assert!(with(json!({ "ref_protected": "false" })).unwrap().unprotected);
        assert!(with(json!({ "ref_protected": false })).unwrap().unprotected);
        let bare = with(json!({ "check_run_id": null, "workflow": null, "environment": null, "actor": null })).unwrap();
        assert_eq!((bare.job, bare.name, bare.environment, bare.actor), (None, None, None, None));
        for claim in ["event_name", "run_id", "run_attempt", "ref", "sha"] {
            for bad in [json!(null), json!(""), json!(["x"]), json!({})] {
                assert_eq!(with(json!({ claim: bad })).map_err(|Unreadable(name)| name), Err(claim), "{claim}");
            }
        }
        assert_eq!(with(json!({ "ref": "main" })), Err(Unreadable("ref")));
        assert_eq!(with(json!({ "environment": ["a"] })), Err(Unreadable("environment")));
        assert_eq!(with(json!({ "sha": "x".repeat(300) })), Err(Unreadable("sha")));
    }
}
