//! Guardrails above grants: at most this, for whoever and whatever matches. Ceilings only take away.

use crate::glob::Glob;
use crate::ids::CeilingId;
use crate::permission::PermissionSet;
use crate::pipeline::Trigger;
use crate::provenance::{CredentialScope, Provenance};
use crate::refs::RefPattern;
use serde::{Deserialize, Serialize};

/// The most ceilings on one instance, group or project, unless a setting says otherwise.
pub const MAX_CEILINGS: usize = 100;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Binds decisions about projects at or below.
    #[default]
    Target,
    /// Binds tokens of projects at or below.
    Source,
}

impl Side {
    pub const fn name(self) -> &'static str {
        match self {
            Side::Target => "target",
            Side::Source => "source",
        }
    }

    pub fn named(name: &str) -> Option<Side> {
        [Side::Target, Side::Source].into_iter().find(|side| side.name() == name)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ceiling {
    pub id: CeilingId,
    pub when: When,
    pub at_most: PermissionSet,
}

/// A ceiling with what people and the record need of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedCeiling {
    pub ceiling: Ceiling,
    pub side: Side,
    /// As it was written: `*:read` means types that come later, too.
    pub at_most: Vec<String>,
}

/// To which runs a ceiling applies: all that is given must hold; nothing given applies always.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct When {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refs: Option<Vec<RefPattern>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protected: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environments: Option<Vec<Glob>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub triggers: Option<Vec<Trigger>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_fork: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vouched_by: Option<Vec<CredentialScope>>,
}

impl When {
    pub fn holds(&self, run: &Provenance) -> bool {
        let in_environments = |patterns: &Vec<Glob>| {
            run.environment.as_ref().is_some_and(|name| patterns.iter().any(|pattern| pattern.matches(name)))
        };
        self.refs.as_ref().is_none_or(|refs| refs.iter().any(|pattern| pattern.matches(run.ref_type, &run.ref_name)))
            && self.protected.is_none_or(|protected| protected == run.protected)
            && self.environments.as_ref().is_none_or(in_environments)
            && self.triggers.as_ref().is_none_or(|triggers| triggers.contains(&run.trigger))
            && self.from_fork.is_none_or(|from_fork| from_fork == run.from_fork)
            && self.vouched_by.as_ref().is_none_or(|scopes| scopes.contains(&run.minted_by))
    }
}

/// What all matching ceilings leave.
pub fn leave<'a>(ceilings: impl IntoIterator<Item = &'a Ceiling>, run: &Provenance) -> PermissionSet {
    ceilings
        .into_iter()
        .filter(|ceiling| ceiling.when.holds(run))
        .fold(PermissionSet::ALL, |left, ceiling| left.intersect(ceiling.at_most))
}
