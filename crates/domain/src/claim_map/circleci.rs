//! `CircleCI`. The claims name neither the commit nor the job nor the trigger, and no ref where a webhook of one's own started the
//! pipeline. A fork's pull request builds a branch `pull/<number>`. In a job that was run again with SSH somebody sits and types:
//! it is a run of its own, for which the ref does not speak.

use super::{CiJob, Fork, GitRef, Unreadable, optional_label, required, unknown};
use crate::claims::Claims;
use crate::pipeline::Trigger;
use crate::refs::RefType;
use crate::text::Label;

pub(super) fn read(claims: Claims<'_>) -> Result<CiJob, Unreadable> {
    let vcs_ref = optional_label(claims, "oidc.circleci.com/vcs-ref")?;
    let named = match vcs_ref.as_deref() {
        Some(full) => GitRef::parse(full).ok_or(Unreadable("oidc.circleci.com/vcs-ref"))?,
        None => GitRef { name: unknown()?, ref_type: RefType::MergeRequest },
    };
    let pull =
        |name: &str| name.strip_prefix("pull/").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    let fork = match vcs_ref {
        Some(_) if pull(&named.name) || named.ref_type == RefType::MergeRequest => Fork::Yes(None),
        Some(_) => Fork::No,
        None => Fork::Unsaid,
    };
    let pipeline = required(claims, "oidc.circleci.com/pipeline-id")?;
    let by_hand = claims.text("oidc.circleci.com/ssh-rerun").as_deref() != Some("false");
    // What matches no pattern meets no condition, and is no subject that a cloud trusts. A known run's ref never changes.
    let (run, git_ref) = if by_hand {
        (format!("{pipeline}/ssh"), GitRef { ref_type: RefType::MergeRequest, ..named })
    } else {
        (pipeline, named)
    };
    Ok(CiJob {
        run,
        job: None,
        name: None,
        environment: None,
        git_ref,
        sha: unknown()?,
        trigger: Trigger::Api,
        fork,
        actor: user(claims),
        unprotected: by_hand,
    })
}

/// `org/…/project/…/user/<id>…`
fn user(claims: Claims<'_>) -> Option<Label> {
    let subject = claims.text("sub")?;
    let (_, rest) = subject.split_once("/user/")?;
    Label::parse(rest.split('/').next()?).ok()
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::tests::{git_ref, label, may_be_protected, read};
    use super::*;
    use crate::trust_rule::Ci;
    use serde_json::{Value, json};

    pub(crate) fn job() -> Value {
        json!({
            "iss": "https://oidc.circleci.com/org/0189-aa", "aud": "https://jobpass.example",
            "sub": "org/0189-aa/project/0189-bb/user/0189-cc/vcs-origin/github.com/acme/web/vcs-ref/refs/heads/main",
            "oidc.circleci.com/project-id": "0189-bb", "oidc.circleci.com/org-id": "0189-aa", "oidc.circleci.com/pipeline-id": "0189-dd",
            "oidc.circleci.com/pipeline-definition-id": "0189-ee", "oidc.circleci.com/context-ids": ["0189-ff"],
            "oidc.circleci.com/vcs-origin": "github.com/acme/web", "oidc.circleci.com/vcs-ref": "refs/heads/main",
            "oidc.circleci.com/ssh-rerun": false,
        })
    }

    #[test]
    fn a_job_in_full() {
        let read = read(Ci::CircleCi, &job(), json!({})).unwrap();
        let expected = CiJob {
            run: "0189-dd".to_owned(),
            job: None,
            name: None,
            environment: None,
            git_ref: git_ref(RefType::Branch, "main"),
            sha: label("unknown"),
            trigger: Trigger::Api,
            fork: Fork::No,
            actor: Some(label("0189-cc")),
            unprotected: false,
        };
        assert_eq!(read, expected);
        assert!(may_be_protected(&read));
    }

    #[test]
    fn what_may_be_anybodys_is_not_protected() {
        for (change, fork) in [
            (json!({ "oidc.circleci.com/vcs-ref": "refs/heads/pull/7" }), Fork::Yes(None)),
            (json!({ "oidc.circleci.com/vcs-ref": "refs/heads/pull/7/head" }), Fork::Yes(None)),
            (json!({ "oidc.circleci.com/vcs-ref": "refs/pull/7/head" }), Fork::Yes(None)),
            (json!({ "oidc.circleci.com/vcs-ref": null }), Fork::Unsaid),
            (json!({ "oidc.circleci.com/ssh-rerun": true }), Fork::No),
            (json!({ "oidc.circleci.com/ssh-rerun": null }), Fork::No),
        ] {
            let job = read(Ci::CircleCi, &job(), change.clone()).unwrap();
            assert_eq!((&job.fork, may_be_protected(&job)), (&fork, false), "{change}");
        }
        let own = read(Ci::CircleCi, &job(), json!({ "oidc.circleci.com/vcs-ref": "refs/heads/pull/review" })).unwrap();
        assert_eq!(own.fork, Fork::No);
    }

    #[test]
    fn who_types_into_a_job_does_not_speak_for_its_ref() {
        for (rerun, run, ref_type) in [
            (json!(false), "0189-dd", RefType::Branch),
            (json!("false"), "0189-dd", RefType::Branch),
            (json!(true), "0189-dd/ssh", RefType::MergeRequest),
            (json!("true"), "0189-dd/ssh", RefType::MergeRequest),
            (json!("perhaps"), "0189-dd/ssh", RefType::MergeRequest),
            (json!(null), "0189-dd/ssh", RefType::MergeRequest),
        ] {
            let job = read(Ci::CircleCi, &job(), json!({ "oidc.circleci.com/ssh-rerun": rerun })).unwrap();
            assert_eq!((&*job.run, &job.git_ref), (run, &git_ref(ref_type, "main")), "{rerun}");
        }
    }

    #[test]
    fn what_is_missing() {
        let with = |change| read(Ci::CircleCi, &job(), change);
        let pipeline = "oidc.circleci.com/pipeline-id";
        assert_eq!(with(json!({ pipeline: null })), Err(Unreadable(pipeline)));
        let vcs_ref = "oidc.circleci.com/vcs-ref";
        assert_eq!(with(json!({ vcs_ref: "main" })), Err(Unreadable(vcs_ref)));
        assert_eq!(with(json!({ "sub": "org/x" })).unwrap().actor, None);
    }
}
