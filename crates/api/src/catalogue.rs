//! What can be permitted.

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Catalogue {
    /// Changes whenever the list does.
    pub version: String,
    pub actions: Vec<String>,
    pub resources: Vec<Resource>,
    /// Which method and path demands which permissions, table by table.
    pub routes: Vec<crate::Route>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Resource {
    pub name: String,
    pub description: String,
    /// The version that brought it, or `operator`.
    pub since: String,
    /// What a resource name looks like; null where there are no names.
    pub name_form: Option<String>,
    pub permissions: Vec<String>,
    pub aliases: Vec<Alias>,
    pub operator_defined: bool,
}

/// Another CI's name for a permission, read on input.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Alias {
    pub alias: String,
    pub permission: String,
}

/// A resource type of your own.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NewResource {
    /// `[a-z][a-z0-9_]*`, up to 63 bytes.
    pub name: String,
    pub description: String,
    #[serde(default)]
    pub name_form: Option<String>,
}
