//! GitLab. `project_*` names where the code comes from: the fork, in the pipeline of a fork's merge request that runs in the target
//! project; `job_project_*` (18.4 and later) names where the job runs. The two together prove which of both it is.

use super::{CiJob, Fork, GitRef, Unreadable, denies, optional_label, required, required_label};
use crate::claims::Claims;
use crate::pipeline::Trigger;
use crate::refs::RefType;

pub(super) fn read(claims: Claims<'_>) -> Result<CiJob, Unreadable> {
    let source = required(claims, "pipeline_source")?;
    let trigger = trigger(&source);
    Ok(CiJob {
        run: required(claims, "pipeline_id")?,
        job: Some(required(claims, "job_id")?),
        name: None,
        environment: optional_label(claims, "environment")?,
        git_ref: git_ref(claims, trigger)?,
        sha: required_label(claims, "sha")?,
        trigger,
        fork: fork(claims, &source, trigger)?,
        actor: optional_label(claims, "user_login")?,
        unprotected: denies(claims, "ref_protected"),
    })
}

/// A merge request's pipeline names its source branch, which in a fork may be called like ours.
fn git_ref(claims: Claims<'_>, trigger: Trigger) -> Result<GitRef, Unreadable> {
    let name = required_label(claims, "ref")?;
    let merge_request = |text: &str| text.starts_with("refs/merge-requests/");
    let path = claims.text("ref_path");
    let ref_type = match required(claims, "ref_type")?.as_str() {
        _ if trigger == Trigger::MergeRequest => RefType::MergeRequest,
        _ if merge_request(&name) || path.is_some_and(|path| merge_request(&path)) => RefType::MergeRequest,
        "branch" => RefType::Branch,
        "tag" => RefType::Tag,
        _ => return Err(Unreadable("ref_type")),
    };
    Ok(GitRef { name, ref_type })
}

fn trigger(source: &str) -> Trigger {
    match source {
        "push" | "webide" => Trigger::Push,
        "schedule" => Trigger::Schedule,
        "merge_request_event" | "external_pull_request_event" => Trigger::MergeRequest,
        "web" | "chat" => Trigger::Manual,
        "pipeline" | "parent_pipeline" => Trigger::Pipeline,
        _ => Trigger::Api,
    }
}

fn fork(claims: Claims<'_>, source: &str, trigger: Trigger) -> Result<Fork, Unreadable> {
    let of_code = required(claims, "project_id")?;
    Ok(match claims.text("job_project_id") {
        // Of a repository elsewhere; the claims know nothing of its forks.
        _ if source == "external_pull_request_event" => Fork::Unsaid,
        Some(of_job) if of_job != of_code => Fork::Yes(optional_label(claims, "project_path")?),
        // Before 18.4: a merge request, and what such a pipeline set going, may be a fork's.
        None if matches!(trigger, Trigger::MergeRequest | Trigger::Pipeline) => Fork::Unsaid,
        _ => Fork::No,
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::tests::{git_ref, label, may_be_protected, read};
    use super::*;
    use crate::trust_rule::Ci;
    use serde_json::{Value, json};

    pub(crate) fn push() -> Value {
        json!({
            "iss": "https://gitlab.example", "aud": "https://jobpass.example", "jti": "235b3a54-b797-45c7-ae9a-f72d7bc6ef5b",
            "sub": "project_path:acme/web:ref_type:branch:ref:main", "namespace_id": "72", "namespace_path": "acme", "project_id": "20",
            "project_path": "acme/web", "job_project_id": "20", "job_project_path": "acme/web", "user_id": "1", "user_login": "alice",
            "user_email": "alice@example.com", "pipeline_id": "574", "pipeline_source": "push", "job_id": "302", "ref": "main",
            "ref_type": "branch", "ref_path": "refs/heads/main", "ref_protected": "true", "environment": "production",
            "environment_protected": "false", "runner_id": 1, "runner_environment": "self-hosted", "sha": "714a629c0b401fdce83e847fc9589983fc6f46bc",
            "project_visibility": "private", "ci_config_ref_uri": "gitlab.example/acme/web//.gitlab-ci.yml@refs/heads/main",
        })
    }

    #[test]
    fn a_push_in_full() {
        let job = read(Ci::GitLab, &push(), json!({})).unwrap();
        let expected = CiJob {
            run: "574".to_owned(),
            job: Some("302".to_owned()),
            name: None,
            environment: Some(label("production")),
            git_ref: git_ref(RefType::Branch, "main"),
            sha: label("714a629c0b401fdce83e847fc9589983fc6f46bc"),
            trigger: Trigger::Push,
            fork: Fork::No,
            actor: Some(label("alice")),
            unprotected: false,
        };
        assert_eq!(job, expected);
        assert!(may_be_protected(&job));
    }

    #[test]
    fn a_source_says_whose_code_it_may_be() {
        let fork = || Fork::Yes(Some(label("mallory/web")));
        let from_fork = json!({ "project_id": "99", "project_path": "mallory/web" });
        for (source, change, trigger, expected) in [
            ("web", json!({}), Trigger::Manual, Fork::No),
            ("schedule", json!({}), Trigger::Schedule, Fork::No),
            ("trigger", json!({}), Trigger::Api, Fork::No),
            ("push", json!({ "job_project_id": null }), Trigger::Push, Fork::No),
            ("merge_request_event", json!({}), Trigger::MergeRequest, Fork::No),
            ("merge_request_event", from_fork.clone(), Trigger::MergeRequest, fork()),
            ("merge_request_event", json!({ "job_project_id": null }), Trigger::MergeRequest, Fork::Unsaid),
            ("parent_pipeline", json!({}), Trigger::Pipeline, Fork::No),
            ("parent_pipeline", from_fork, Trigger::Pipeline, fork()),
            ("parent_pipeline", json!({ "job_project_id": null }), Trigger::Pipeline, Fork::Unsaid),
            ("external_pull_request_event", json!({}), Trigger::MergeRequest, Fork::Unsaid),
        ] {
            let mut change = change;
            change["pipeline_source"] = json!(source);
            let job = read(Ci::GitLab, &push(), change.clone()).unwrap();
            assert_eq!((job.trigger, &job.fork), (trigger, &expected), "{change}");
            let could_be = trigger != Trigger::MergeRequest && !matches!(expected, Fork::Yes(_));
            assert_eq!(may_be_protected(&job), could_be, "{change}");
        }
    }

    #[test]
    fn the_ref_of_a_merge_request_is_no_branch() {
        let with = |change| read(Ci::GitLab, &push(), change).unwrap();
        assert_eq!(
            with(json!({ "pipeline_source": "merge_request_event" })).git_ref,
            git_ref(RefType::MergeRequest, "main")
        );
        let child = json!({ "pipeline_source": "parent_pipeline", "ref_path": "refs/merge-requests/7/head" });
        assert_eq!(with(child).git_ref.ref_type, RefType::MergeRequest);
        let named = json!({ "ref": "refs/merge-requests/7/head", "ref_path": null });
        assert_eq!(with(named).git_ref.ref_type, RefType::MergeRequest);
        let tag = json!({ "ref": "v1", "ref_type": "tag", "ref_path": "refs/tags/v1" });
        assert_eq!(with(tag).git_ref, git_ref(RefType::Tag, "v1"));
    }

    #[test]
    fn what_is_missing_or_lowers() {
        let with = |change| read(Ci::GitLab, &push(), change);
        assert!(with(json!({ "ref_protected": "false" })).unwrap().unprotected);
        for claim in ["pipeline_source", "pipeline_id", "job_id", "ref", "ref_type", "sha", "project_id"] {
            for bad in [json!(null), json!(""), json!(["x"])] {
                assert_eq!(with(json!({ claim: bad })).map_err(|Unreadable(name)| name), Err(claim), "{claim}");
            }
        }
        assert_eq!(with(json!({ "ref_type": "commit" })), Err(Unreadable("ref_type")));
    }
}
