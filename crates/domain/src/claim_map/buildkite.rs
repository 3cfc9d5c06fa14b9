//! Buildkite. The claims do not tell a pull request's build from a push, and whoever starts a build by hand or over the API names
//! its branch freely; so only the ref of a build that a webhook or a schedule started is taken for one.

use super::{CiJob, Fork, GitRef, Unreadable, optional_label, required, required_label};
use crate::claims::Claims;
use crate::pipeline::Trigger;
use crate::refs::RefType;
use crate::text::Label;

pub(super) fn read(claims: Claims<'_>) -> Result<CiJob, Unreadable> {
    let [organization, pipeline, number] =
        ["organization_slug", "pipeline_slug", "build_number"].map(|name| required(claims, name));
    let trigger = trigger(claims.text("build_source").as_deref());
    let branch = optional_label(claims, "build_branch")?;
    let named = match optional_label(claims, "build_tag")? {
        Some(name) => GitRef { name, ref_type: RefType::Tag },
        None => GitRef { name: branch.clone().ok_or(Unreadable("build_branch"))?, ref_type: RefType::Branch },
    };
    // What may be made up matches no pattern: no condition, no ceiling, no protection, and no subject of an ID token.
    let is_proven = matches!(trigger, Trigger::Push | Trigger::Schedule);
    let git_ref = if is_proven { named } else { GitRef { ref_type: RefType::MergeRequest, ..named } };
    Ok(CiJob {
        run: format!("{}/{}/{}", organization?, pipeline?, number?),
        job: Some(required(claims, "job_id")?),
        name: optional_label(claims, "step_key")?,
        environment: None,
        git_ref,
        sha: required_label(claims, "build_commit")?,
        trigger,
        fork: fork(branch.as_deref()),
        actor: optional_label(claims, "build_creator")?,
        unprotected: false,
    })
}

fn trigger(source: Option<&str>) -> Trigger {
    match source {
        Some("webhook") => Trigger::Push,
        Some("schedule") => Trigger::Schedule,
        Some("ui") => Trigger::Manual,
        Some("trigger_job") => Trigger::Pipeline,
        _ => Trigger::Api,
    }
}

/// A fork's branch is written `owner:branch`, but by a setting of the pipeline that can be off.
fn fork(branch: Option<&str>) -> Fork {
    match branch.and_then(|branch| branch.split_once(':')) {
        Some((owner, _)) => Fork::Yes(Label::parse(owner).ok()),
        None => Fork::Unsaid,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::tests::{git_ref, label, may_be_protected, read};
    use super::*;
    use crate::trust_rule::Ci;
    use serde_json::{Value, json};

    pub(crate) fn build() -> Value {
        json!({
            "iss": "https://agent.buildkite.com", "aud": "https://jobpass.example", "jti": "0194b014-8517-7cef-b232-76a827315f08",
            "sub": "organization:acme:pipeline:web:ref:refs/heads/main:commit:b5ffe3ae:step:build", "organization_slug": "acme",
            "organization_id": "0184990a-4770-4a11", "pipeline_slug": "web", "pipeline_id": "0184990a-4771-4b22", "build_number": 5,
            "build_branch": "main", "build_tag": null, "build_commit": "b5ffe3aeea51cec6c41aef16e45ee6bce47d8810", "step_key": "build",
            "job_id": "01945ecf-80f0-41e8-9b83-a2970a9305a1", "agent_id": "01945ecf-8bcf-40a6-9d70-a765db9a0928",
            "build_source": "webhook", "runner_environment": "buildkite-hosted",
        })
    }

    #[test]
    fn a_build_in_full() {
        let job = read(Ci::Buildkite, &build(), json!({})).unwrap();
        let expected = CiJob {
            run: "acme/web/5".to_owned(),
            job: Some("01945ecf-80f0-41e8-9b83-a2970a9305a1".to_owned()),
            name: Some(label("build")),
            environment: None,
            git_ref: git_ref(RefType::Branch, "main"),
            sha: label("b5ffe3aeea51cec6c41aef16e45ee6bce47d8810"),
            trigger: Trigger::Push,
            fork: Fork::Unsaid,
            actor: None,
            unprotected: false,
        };
        assert_eq!(job, expected);
        assert!(job.facts(false).from_fork, "left open, it counts as a fork's");
        assert!(may_be_protected(&job), "where maintainers exclude forks");
    }

    #[test]
    fn a_branch_that_somebody_may_have_made_up_is_none() {
        for (source, trigger, expected) in [
            (json!("webhook"), Trigger::Push, true),
            (json!("schedule"), Trigger::Schedule, true),
            (json!("ui"), Trigger::Manual, false),
            (json!("api"), Trigger::Api, false),
            (json!("trigger_job"), Trigger::Pipeline, false),
            (json!(null), Trigger::Api, false),
        ] {
            let job = read(Ci::Buildkite, &build(), json!({ "build_source": source })).unwrap();
            assert_eq!((job.trigger, may_be_protected(&job)), (trigger, expected), "{source}");
            let tag = read(Ci::Buildkite, &build(), json!({ "build_source": source, "build_tag": "v1" })).unwrap();
            for (job, of_its_own) in [(&job, RefType::Branch), (&tag, RefType::Tag)] {
                let ref_type = if expected { of_its_own } else { RefType::MergeRequest };
                assert_eq!(job.git_ref.ref_type, ref_type, "{source}");
            }
        }
    }

    #[test]
    fn forks_tags_and_what_is_missing() {
        let with = |change| read(Ci::Buildkite, &build(), change);
        let fork = with(json!({ "build_branch": "mallory:main" })).unwrap();
        assert_eq!((&fork.fork, may_be_protected(&fork)), (&Fork::Yes(Some(label("mallory"))), false));
        assert!(fork.facts(true).from_fork, "what is proved is not the maintainers' to exclude");
        assert_eq!(with(json!({ "build_tag": "v1" })).unwrap().git_ref, git_ref(RefType::Tag, "v1"));
        let fork = with(json!({ "build_tag": "v1", "build_branch": "mallory:main" })).unwrap();
        assert!(fork.facts(true).from_fork);
        for claim in ["organization_slug", "pipeline_slug", "build_number", "build_branch", "build_commit", "job_id"] {
            assert_eq!(with(json!({ claim: null })), Err(Unreadable(claim)), "{claim}");
        }
    }
}
