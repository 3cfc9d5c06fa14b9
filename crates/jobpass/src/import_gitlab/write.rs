//! The file that is written: YAML, what has its default value left out.

use jobpass_api::{Conditions, NewGrant, NewSource, Permissions};
use jobpass_domain::Path;
use jobpass_domain::mode::Mode;
use jobpass_domain::text::Note;
use serde::Serialize;
use std::collections::BTreeMap;

#[derive(Debug, Serialize)]
pub(super) struct File {
    version: u8,
    projects: BTreeMap<Path, Project>,
}

#[derive(Debug, Serialize)]
pub(super) struct Project {
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<Mode>,
    grants: Vec<Grant>,
}

#[derive(Debug, Serialize)]
struct Grant {
    source: NewSource,
    permissions: Permissions,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    conditions: BTreeMap<&'static str, bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<Note>,
}

impl File {
    pub(super) fn new(projects: BTreeMap<Path, Project>) -> File {
        File { version: 1, projects }
    }

    pub(super) fn to_yaml(&self) -> Result<String, serde_saphyr::SerializeError> {
        let mut options = serde_saphyr::SerializerOptions::default();
        // A long path stays on its line.
        options.prefer_block_scalars = false;
        serde_saphyr::to_string_with_options(self, options)
    }
}

impl Project {
    pub(super) fn new(mode: Option<Mode>, grants: Vec<NewGrant>) -> Project {
        Project { mode, grants: grants.into_iter().map(Grant::from).collect() }
    }
}

impl From<NewGrant> for Grant {
    fn from(grant: NewGrant) -> Grant {
        // The one condition that an import sets.
        let Conditions { within_actor_role, .. } = grant.conditions;
        Grant {
            source: grant.source,
            permissions: grant.permissions,
            conditions: within_actor_role.then_some(("within_actor_role", true)).into_iter().collect(),
            note: grant.note,
        }
    }
}
