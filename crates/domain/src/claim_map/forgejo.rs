//! Forgejo Actions, whose workflows and claims follow GitHub's. Older versions say nothing of attempts and of jobs.

use super::{CiJob, Unreadable, github};
use crate::claims::Claims;

pub(super) fn read(claims: Claims<'_>) -> Result<CiJob, Unreadable> {
    let attempt = claims.text("run_attempt").unwrap_or_else(|| "1".to_owned());
    github::run(claims, &attempt, None)
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::Fork;
    use super::super::tests::{git_ref, label, may_be_protected, read};
    use super::*;
    use crate::pipeline::Trigger;
    use crate::refs::RefType;
    use crate::trust_rule::Ci;
    use serde_json::{Value, json};

    pub(crate) fn push() -> Value {
        json!({
            "iss": "https://code.example/api/actions", "sub": "repo:acme-7/web-42:ref:refs/tags/v1", "aud": "https://jobpass.example",
            "actor": "alice", "actor_id": 12, "repository": "acme/web", "repository_id": 42, "repository_owner": "acme",
            "repository_owner_id": 7, "ref": "refs/tags/v1", "ref_type": "tag", "ref_protected": false, "sha": "b5ffe3ae",
            "event_name": "push", "run_id": 1201, "run_number": 7, "run_attempt": 1, "workflow": "release.yml",
            "workflow_ref": "acme/web/.forgejo/workflows/release.yml@refs/tags/v1", "base_ref": "", "head_ref": "",
        })
    }

    #[test]
    fn a_push_in_full() {
        let expected = CiJob {
            run: "1201/1".to_owned(),
            job: None,
            name: Some(label("release.yml")),
            environment: None,
            git_ref: git_ref(RefType::Tag, "v1"),
            sha: label("b5ffe3ae"),
            trigger: Trigger::Push,
            fork: Fork::No,
            actor: Some(label("alice")),
            unprotected: true,
        };
        assert_eq!(read(Ci::Forgejo, &push(), json!({})), Ok(expected));
        assert_eq!(read(Ci::Forgejo, &push(), json!({ "run_attempt": null })).unwrap().run, "1201/1");
        assert_eq!(read(Ci::Forgejo, &push(), json!({ "run_attempt": 3 })).unwrap().run, "1201/3");
    }

    #[test]
    fn a_pull_request_is_never_protected() {
        for (event, fork) in [("pull_request", Fork::Unsaid), ("pull_request_target", Fork::Yes(None))] {
            let change = json!({ "event_name": event, "ref": "refs/heads/main", "ref_protected": true });
            let job = read(Ci::Forgejo, &push(), change).unwrap();
            assert_eq!((&job.fork, may_be_protected(&job)), (&fork, false), "{event}");
        }
    }
}
