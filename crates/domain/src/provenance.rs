//! Where a token comes from, and whose word that is.

use crate::pipeline::Trigger;
use crate::refs::RefType;
use serde::{Deserialize, Serialize};

/// Where a token comes from: facts of its run and job that conditions ask about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Provenance {
    pub ref_name: String,
    pub ref_type: RefType,
    pub protected: bool,
    pub environment: Option<String>,
    pub trigger: Trigger,
    pub from_fork: bool,
    /// The scope of the credential whose word all this is.
    pub minted_by: CredentialScope,
}

/// The scope of a minting credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum CredentialScope {
    Project,
    Group,
    Instance,
}

impl CredentialScope {
    pub const ALL: [CredentialScope; 3] = [CredentialScope::Project, CredentialScope::Group, CredentialScope::Instance];

    pub const fn name(self) -> &'static str {
        match self {
            CredentialScope::Project => "project",
            CredentialScope::Group => "group",
            CredentialScope::Instance => "instance",
        }
    }

    pub fn named(name: &str) -> Option<CredentialScope> {
        CredentialScope::ALL.into_iter().find(|scope| scope.name() == name)
    }
}
