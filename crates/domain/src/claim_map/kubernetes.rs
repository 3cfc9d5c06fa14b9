//! Kubernetes service accounts, by a token that is bound to a pod. A pod has no ref, so nothing of it is ever protected; and
//! whose code it runs is not said.

use super::{CiJob, Fork, GitRef, Unreadable, optional_label, required, unknown};
use crate::claims::Claims;
use crate::pipeline::Trigger;
use crate::refs::RefType;

pub(super) fn read(claims: Claims<'_>) -> Result<CiJob, Unreadable> {
    let pod = required(claims, "kubernetes.io/pod/uid")?;
    Ok(CiJob {
        run: pod.clone(),
        job: Some(pod),
        name: optional_label(claims, "kubernetes.io/pod/name")?,
        environment: None,
        git_ref: GitRef { name: unknown()?, ref_type: RefType::MergeRequest },
        sha: unknown()?,
        trigger: Trigger::Api,
        fork: Fork::Unsaid,
        actor: optional_label(claims, "sub")?,
        unprotected: true,
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::tests::{git_ref, label, may_be_protected, read};
    use super::*;
    use crate::trust_rule::Ci;
    use serde_json::{Value, json};

    pub(crate) fn pod() -> Value {
        json!({
            "iss": "https://kubernetes.default.svc.cluster.local", "aud": ["https://jobpass.example"],
            "sub": "system:serviceaccount:ci:builder", "jti": "aed34954-b33a-4142-b1ec-389d6bbb4936",
            "kubernetes.io": {
                "namespace": "ci", "node": { "name": "node-1", "uid": "646e7c5e" }, "pod": { "name": "build-x7k", "uid": "5e0bd49b" },
                "serviceaccount": { "name": "builder", "uid": "14ee3fa4" },
            },
        })
    }

    #[test]
    fn a_pod_in_full() {
        let job = read(Ci::Kubernetes, &pod(), json!({})).unwrap();
        let expected = CiJob {
            run: "5e0bd49b".to_owned(),
            job: Some("5e0bd49b".to_owned()),
            name: Some(label("build-x7k")),
            environment: None,
            git_ref: git_ref(RefType::MergeRequest, "unknown"),
            sha: label("unknown"),
            trigger: Trigger::Api,
            fork: Fork::Unsaid,
            actor: Some(label("system:serviceaccount:ci:builder")),
            unprotected: true,
        };
        assert_eq!(job, expected);
        assert!(!may_be_protected(&job), "even where forks are excluded and every ref is protected");

        let unbound = json!({ "kubernetes.io": { "namespace": "ci", "serviceaccount": { "name": "builder", "uid": "14ee3fa4" } } });
        assert_eq!(read(Ci::Kubernetes, &pod(), unbound), Err(Unreadable("kubernetes.io/pod/uid")));
    }
}
