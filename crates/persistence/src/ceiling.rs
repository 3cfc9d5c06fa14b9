//! Ceilings, as the question statement gathers them.

use crate::Result;
use crate::error::{parsed, stored};
use crate::grant::globs;
use jobpass_domain::catalogue::Catalogue;
use jobpass_domain::ceiling::{Ceiling, When};
use jobpass_domain::ids::CeilingId;
use jobpass_domain::permission::PermissionSet;
use jobpass_domain::pipeline::Trigger;
use jobpass_domain::provenance::CredentialScope;
use jobpass_domain::refs::RefPattern;
use serde::Deserialize;
use uuid::Uuid;

#[derive(Debug, Deserialize)]
pub(crate) struct Columns {
    id: Uuid,
    applies_when: Applies,
    at_most: Vec<String>,
}

/// `applies_when` as it is stored. An unknown condition is a defect, not a ceiling that applies never.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Applies {
    refs: Option<Vec<String>>,
    protected: Option<bool>,
    environments: Option<Vec<String>>,
    triggers: Option<Vec<String>>,
    from_fork: Option<bool>,
    vouched_by: Option<Vec<String>>,
}

pub(crate) fn all(columns: Vec<Columns>, catalogue: &Catalogue) -> Result<Vec<Ceiling>> {
    columns.into_iter().map(|one| one.into_ceiling(catalogue)).collect()
}

impl Columns {
    /// A permission that is unknown here is not allowed by the ceiling: it only gets lower.
    pub(crate) fn into_ceiling(self, catalogue: &Catalogue) -> Result<Ceiling> {
        let known = self.at_most.iter().filter_map(|text| catalogue.parse_ceiling(text).ok());
        let when = self.applies_when;
        let triggers = when.triggers.map(|names| names.iter().map(|name| stored(Trigger::named(name))).collect());
        let scopes =
            when.vouched_by.map(|names| names.iter().map(|name| stored(CredentialScope::named(name))).collect());
        Ok(Ceiling {
            id: CeilingId(self.id),
            at_most: known.fold(PermissionSet::EMPTY, PermissionSet::union),
            when: When {
                refs: parsed(when.refs.map(|refs| refs.into_iter().map(RefPattern::parse).collect()).transpose())?,
                protected: when.protected,
                environments: when.environments.map(globs).transpose()?,
                triggers: triggers.transpose()?,
                from_fork: when.from_fork,
                vouched_by: scopes.transpose()?,
            },
        })
    }
}
