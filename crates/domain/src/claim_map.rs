//! What the signed claims of a CI say of a run and its job. A map never makes more of a claim than it says: what is missing and
//! what is unknown gets the most careful value, and a claim that a job cannot be told without is a refusal.

mod buildkite;
mod circleci;
mod forgejo;
mod github;
mod gitlab;
mod kubernetes;

use crate::claims::Claims;
use crate::pipeline::{PipelineFacts, Trigger};
use crate::refs::RefType;
use crate::text::Label;
use crate::trust_rule::Ci;
use thiserror::Error;

/// Whether a run is one of a fork's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fork {
    /// The claims prove that it is not.
    No,
    /// They prove that it is, or that it may run what anybody sent; with whose, where that is said.
    Yes(Option<Label>),
    /// They leave it open.
    Unsaid,
}

/// A job as the claims tell it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CiJob {
    /// The run, in the CI's own words; a further attempt is a run of its own.
    pub run: String,
    /// `None`: the claims do not tell the jobs of a run apart.
    pub job: Option<String>,
    pub name: Option<Label>,
    pub environment: Option<Label>,
    pub git_ref: GitRef,
    pub sha: Label,
    pub trigger: Trigger,
    pub fork: Fork,
    /// Whoever started it there.
    pub actor: Option<Label>,
    /// The CI itself says that the ref is not protected, or lets people set it freely.
    pub unprotected: bool,
}

/// A claim without which the job cannot be told.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("the claim `{0}` is missing, or not what it should be")]
pub struct Unreadable(pub &'static str);

impl CiJob {
    /// By the map of this CI.
    pub fn read(ci: Ci, claims: Claims<'_>) -> Result<CiJob, Unreadable> {
        match ci {
            Ci::GitHub => github::read(claims),
            Ci::GitLab => gitlab::read(claims),
            Ci::Buildkite => buildkite::read(claims),
            Ci::Forgejo => forgejo::read(claims),
            Ci::CircleCi => circleci::read(claims),
            Ci::Kubernetes => kubernetes::read(claims),
        }
    }

    /// The facts of the run. `excludes_forks`: maintainers say that what the claims leave open is not from a fork.
    pub fn facts(&self, excludes_forks: bool) -> PipelineFacts {
        let (from_fork, fork_source) = match &self.fork {
            Fork::No => (false, None),
            Fork::Yes(source) => (true, source.clone()),
            Fork::Unsaid => (!excludes_forks, None),
        };
        PipelineFacts {
            ref_name: self.git_ref.name.clone(),
            ref_type: self.git_ref.ref_type,
            sha: self.sha.clone(),
            trigger: self.trigger,
            actor: self.actor.clone(),
            from_fork,
            fork_source,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitRef {
    pub name: Label,
    /// What is neither a branch nor a tag counts as a merge request's: it matches no pattern.
    pub ref_type: RefType,
}

impl GitRef {
    /// From a full ref.
    fn parse(full: &str) -> Option<GitRef> {
        let (ref_type, name) = if let Some(branch) = full.strip_prefix("refs/heads/") {
            (RefType::Branch, branch)
        } else if let Some(tag) = full.strip_prefix("refs/tags/") {
            (RefType::Tag, tag)
        } else if full.starts_with("refs/") {
            (RefType::MergeRequest, full)
        } else {
            return None;
        };
        Some(GitRef { name: Label::parse(name).ok()?, ref_type })
    }
}

/// What stands for a ref or a commit that the claims do not name.
fn unknown() -> Result<Label, Unreadable> {
    Label::parse("unknown").map_err(|_| Unreadable("ref"))
}

/// A claim that must be there.
fn required(claims: Claims<'_>, name: &'static str) -> Result<String, Unreadable> {
    claims.text(name).ok_or(Unreadable(name))
}

fn required_label(claims: Claims<'_>, name: &'static str) -> Result<Label, Unreadable> {
    Label::parse(required(claims, name)?).map_err(|_| Unreadable(name))
}

/// A claim that may be missing, but not be something else.
fn optional_label(claims: Claims<'_>, name: &'static str) -> Result<Option<Label>, Unreadable> {
    if claims.get(name).is_none_or(serde_json::Value::is_null) {
        return Ok(None);
    }
    let text = claims.get(name).filter(|value| !value.is_array() && !value.is_object()).ok_or(Unreadable(name))?;
    if text.as_str() == Some("") {
        return Ok(None);
    }
    required_label(claims, name).map(Some)
}

/// Whether a flag is there and says no; CIs write it as a text or as a boolean.
fn denies(claims: Claims<'_>, name: &str) -> bool {
    claims.text(name).is_some_and(|flag| flag != "true")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::refs::RefPattern;
    use proptest::prelude::*;
    use serde_json::{Map, Value, json};

    /// What a map makes of these claims, with a change merged in; null takes a claim away.
    pub(super) fn read(ci: Ci, claims: &Value, change: Value) -> Result<CiJob, Unreadable> {
        let mut claims = claims.as_object().unwrap().clone();
        let Value::Object(change) = change else { panic!("a change is an object") };
        claims.extend(change);
        CiJob::read(ci, Claims(&claims))
    }

    pub(super) fn label(text: &str) -> Label {
        Label::parse(text).unwrap()
    }

    pub(super) fn git_ref(ref_type: RefType, name: &str) -> GitRef {
        GitRef { name: label(name), ref_type }
    }

    /// Whether it would count as protected where everything is, before what the CI says against it.
    pub(super) fn may_be_protected(job: &CiJob) -> bool {
        let everything = [RefPattern::parse("**").unwrap(), RefPattern::parse("tag:**").unwrap()];
        !job.unprotected && job.facts(true).is_protected(&everything)
    }

    #[test]
    fn a_ref_is_what_its_prefix_says() {
        for (full, expected) in [
            ("refs/heads/main", Some(git_ref(RefType::Branch, "main"))),
            ("refs/heads/refs/heads/main", Some(git_ref(RefType::Branch, "refs/heads/main"))),
            ("refs/tags/v1", Some(git_ref(RefType::Tag, "v1"))),
            ("refs/pull/7/merge", Some(git_ref(RefType::MergeRequest, "refs/pull/7/merge"))),
            ("refs/heads/", None),
            ("main", None),
            ("", None),
        ] {
            assert_eq!(GitRef::parse(full), expected, "{full}");
        }
    }

    fn any_claim() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(json!(null)),
            Just(json!("")),
            Just(json!("a\0b")),
            Just(json!("x".repeat(300))),
            Just(json!(["main"])),
            Just(json!({ "ref": "main" })),
            Just(json!(-1)),
            Just(json!(1.5)),
            Just(json!(true)),
            Just(json!("refs/heads/main")),
            Just(json!("pull_request_target")),
            Just(json!("merge_request_event")),
        ]
    }

    /// A realistic set of claims of each CI.
    fn claims_of(ci: Ci) -> Map<String, Value> {
        let claims = match ci {
            Ci::GitHub => github::tests::push(),
            Ci::GitLab => gitlab::tests::push(),
            Ci::Buildkite => buildkite::tests::build(),
            Ci::Forgejo => forgejo::tests::push(),
            Ci::CircleCi => circleci::tests::job(),
            Ci::Kubernetes => kubernetes::tests::pod(),
        };
        claims.as_object().unwrap().clone()
    }

    proptest! {
        #[test]
        fn whatever_the_claims_are_no_fork_is_ever_protected(
            ci in prop::sample::select(&Ci::ALL[..]), changes in prop::collection::vec((any::<prop::sample::Index>(), any_claim()), 0..4),
            excludes_forks: bool,
        ) {
            let mut claims = claims_of(ci);
            for (at, value) in changes {
                let name = at.get(&claims.keys().cloned().collect::<Vec<_>>()).clone();
                claims.insert(name, value);
            }
            let Ok(job) = CiJob::read(ci, Claims(&claims)) else { return Ok(()) };
            let everything = [RefPattern::parse("**").unwrap(), RefPattern::parse("tag:**").unwrap()];
            let facts = job.facts(excludes_forks);
            prop_assert!(!(facts.from_fork && facts.is_protected(&everything)));
            prop_assert!(job.fork == Fork::Unsaid || facts.from_fork == (job.fork != Fork::No));
            prop_assert!(facts.fork_source.is_none() || facts.from_fork);
        }
    }
}
