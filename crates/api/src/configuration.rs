//! A project or a group as one file has it: everything about it that maintainers and owners set. GET shows the
//! whole, in the form that PUT takes.

use crate::registry::wire;
use crate::{NewCeiling, NewGrant};
use jobpass_domain::Role;
use jobpass_domain::glob::Glob;
use jobpass_domain::mode::{Mode, Visibility};
use jobpass_domain::refs::RefPattern;
use jobpass_domain::text::{Label, UserName};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

wire! {
    /// What is left out is left as it is; what is given is the whole of it.
    #[derive(Default)]
    request struct ProjectConfiguration {
        /// Owners only, if it is a change.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        visibility: Option<Visibility>,
        /// Its own mode.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mode: Option<Mode>,
        /// Patterns such as `main`, `branch:release/*`, `tag:v*`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schema(value_type = Option<Vec<String>>))]
        protected_refs: Option<Vec<RefPattern>>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schema(value_type = Option<Vec<String>>))]
        protected_environments: Option<Vec<Glob>>,
        /// User name to role, on the project itself; owners only, if it is a change.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schema(value_type = Option<BTreeMap<String, Role>>))]
        members: Option<BTreeMap<UserName, Role>>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        grants: Option<Vec<NewGrant>>,
        /// Owners only, if it is a change.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ceilings: Option<Vec<NewCeiling>>,
        /// Why the project is set otherwise; kept in the audit event. Never shown.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
        reason: Option<Label>,
    }

    /// What is left out is left as it is; what is given is the whole of it.
    #[derive(Default)]
    request struct GroupConfiguration {
        /// The least strict mode of any project below; owners only, if it is a change.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        floor: Option<Mode>,
        /// User name to role, on the group itself; owners only, if it is a change.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schema(value_type = Option<BTreeMap<String, Role>>))]
        members: Option<BTreeMap<UserName, Role>>,
        /// They count for every project under the group.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        grants: Option<Vec<NewGrant>>,
        /// They bind every project under the group; owners only, if it is a change.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ceilings: Option<Vec<NewCeiling>>,
        /// Why the group is set otherwise; kept in the audit event. Never shown.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
        reason: Option<Label>,
    }
}
