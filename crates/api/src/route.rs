//! Routes: which method and path of a service demands which permissions.

use crate::registry::wire;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use time::OffsetDateTime;

wire! {
    response struct Route {
        table: String,
        /// `GIT`: what `git` asks over HTTP for a push (or, with `git-upload-pack`, for a fetch), and a server over SSH.
        method: String,
        /// `:parameter` is one segment, `*glob` one or more, and what stands in `(…)` may be left out.
        path: String,
        /// All of them are demanded, every action on its own; empty where the route is refused.
        permissions: Vec<String>,
        /// The parameter that is the project; null: the service or the call names it.
        project: Option<String>,
        /// Resource type to name, with parameters of the path in braces.
        resource_names: BTreeMap<String, String>,
        /// Whether permissions govern it; what they do not govern is never allowed.
        controllable: bool,
    }

    response struct RouteTableSummary {
        name: String,
        /// Grows with every change.
        version: i64,
        built_in: bool,
        #[serde(default, with = "time::serde::rfc3339::option")]
        created_at: Option<OffsetDateTime>,
        #[serde(default, with = "time::serde::rfc3339::option")]
        updated_at: Option<OffsetDateTime>,
    }

    response struct RouteTable {
        name: String,
        version: i64,
        built_in: bool,
        /// What paths may begin with; they are read with and without it.
        base: Option<String>,
        routes: Vec<Route>,
        /// The text as it was put; null for the built-in table.
        yaml: Option<String>,
        #[serde(default, with = "time::serde::rfc3339::option")]
        created_at: Option<OffsetDateTime>,
        #[serde(default, with = "time::serde::rfc3339::option")]
        updated_at: Option<OffsetDateTime>,
    }

    /// A table as it is written: the text that is put is this, in YAML.
    #[derive(Default, PartialEq, Eq)]
    request struct NewRouteTable {
        /// What paths may begin with; they are read with and without it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        base: Option<String>,
        routes: Vec<NewRoute>,
    }

    #[derive(Default, PartialEq, Eq)]
    request struct NewRoute {
        method: String,
        /// `:parameter` is one segment, `*glob` one or more, and what stands in `(…)` may be left out.
        path: String,
        /// All of them are demanded.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        permissions: Option<Vec<String>>,
        /// In place of permissions: described, and never allowed.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        refused: bool,
        /// The parameter that is the project.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        project: Option<String>,
        /// Resource type to name, with parameters of the path in braces.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        resource_names: BTreeMap<String, String>,
        /// Further parameters that take `%2F`.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        encoded_slash: Vec<String>,
    }
}
