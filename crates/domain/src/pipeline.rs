//! A pipeline run and what its runner says of it. Whether it is protected is computed here and never
//! taken from a caller.

use crate::glob::Glob;
use crate::refs::{RefPattern, RefType};
use crate::text::Label;
use serde::{Deserialize, Serialize};

/// For how many days a run is kept after its last job, unless it is set otherwise.
pub const RUN_RETENTION_DAYS: u16 = 90;
/// The fewest: no token of a job that may run for seven days is live any more.
pub const MIN_RUN_RETENTION_DAYS: u16 = 8;

/// What started the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    Push,
    Schedule,
    MergeRequest,
    Manual,
    Api,
    Pipeline,
}

impl Trigger {
    pub const ALL: [Trigger; 6] =
        [Trigger::Push, Trigger::Schedule, Trigger::MergeRequest, Trigger::Manual, Trigger::Api, Trigger::Pipeline];

    pub const fn name(self) -> &'static str {
        match self {
            Trigger::Push => "push",
            Trigger::Schedule => "schedule",
            Trigger::MergeRequest => "merge_request",
            Trigger::Manual => "manual",
            Trigger::Api => "api",
            Trigger::Pipeline => "pipeline",
        }
    }

    pub fn named(name: &str) -> Option<Trigger> {
        Trigger::ALL.into_iter().find(|trigger| trigger.name() == name)
    }
}

/// The facts of a run: stated at its first mint, never changed after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PipelineFacts {
    pub ref_name: Label,
    pub ref_type: RefType,
    pub sha: Label,
    pub trigger: Trigger,
    /// A user's name or id as the CI knows it.
    pub actor: Option<Label>,
    pub from_fork: bool,
    pub fork_source: Option<Label>,
}

impl PipelineFacts {
    /// The name of the first fact that differs, as the wire spells it.
    pub fn first_difference(&self, other: &PipelineFacts) -> Option<&'static str> {
        [
            ("ref", self.ref_name != other.ref_name),
            ("ref_type", self.ref_type != other.ref_type),
            ("sha", self.sha != other.sha),
            ("trigger", self.trigger != other.trigger),
            ("actor", self.actor != other.actor),
            ("from_fork", self.from_fork != other.from_fork),
            ("fork_source", self.fork_source != other.fork_source),
        ]
        .into_iter()
        .find_map(|(name, differs)| differs.then_some(name))
    }

    /// The ref matches a pattern of the run's project, and the run is neither from a fork nor a merge request.
    pub fn is_protected(&self, protected_refs: &[RefPattern]) -> bool {
        !self.from_fork
            && self.trigger != Trigger::MergeRequest
            && protected_refs.iter().any(|pattern| pattern.matches(self.ref_type, &self.ref_name))
    }
}

/// Whether an environment is one of the project's protected ones.
pub fn is_protected_environment(environment: &str, protected: &[Glob]) -> bool {
    protected.iter().any(|pattern| pattern.matches(environment))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(ref_name: &str) -> PipelineFacts {
        PipelineFacts {
            ref_name: Label::parse(ref_name).unwrap(),
            ref_type: RefType::Branch,
            sha: Label::parse("a").unwrap(),
            trigger: Trigger::Push,
            actor: None,
            from_fork: false,
            fork_source: None,
        }
    }

    #[test]
    fn protection_is_computed() {
        let patterns = [RefPattern::parse("main").unwrap(), RefPattern::parse("tag:v*").unwrap()];
        assert!(push("main").is_protected(&patterns));
        assert!(!push("feature").is_protected(&patterns));
        assert!(!push("main").is_protected(&[]));
        assert!(!PipelineFacts { from_fork: true, ..push("main") }.is_protected(&patterns));
        assert!(!PipelineFacts { trigger: Trigger::MergeRequest, ..push("main") }.is_protected(&patterns));
        assert!(!PipelineFacts { ref_type: RefType::MergeRequest, ..push("main") }.is_protected(&patterns));
        assert!(PipelineFacts { ref_type: RefType::Tag, ..push("v1") }.is_protected(&patterns));
    }

    #[test]
    fn differences_are_named() {
        assert_eq!(push("main").first_difference(&push("main")), None);
        assert_eq!(push("main").first_difference(&push("dev")), Some("ref"));
        assert_eq!(
            push("main").first_difference(&PipelineFacts { from_fork: true, ..push("main") }),
            Some("from_fork")
        );
    }
}
