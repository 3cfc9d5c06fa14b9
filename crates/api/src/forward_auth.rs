//! How a service's gateway asks (forward-auth).

use crate::Field;
use crate::registry::wire;
use jobpass_domain::forward_auth::{IdentityHeader, SourceKind};
use serde::{Deserialize, Serialize};

wire! {
    /// From where the question of a request is taken, and what the answer tells the service behind the gateway.
    request struct ForwardAuth {
        source: SourceKind,
        /// With `headers`: the header that the gateway sets to the request's method.
        #[serde(default)]
        #[cfg_attr(feature = "openapi", schema(example = "X-Forwarded-Method"))]
        method_header: Option<String>,
        /// With `headers`: the header that the gateway sets to the raw path, with the query.
        #[serde(default)]
        #[cfg_attr(feature = "openapi", schema(example = "X-Forwarded-Uri"))]
        path_header: Option<String>,
        /// With `fixed`: what every request needs in the service's own project.
        #[serde(default)]
        permissions: Option<Vec<String>>,
        /// Which of the identity headers have a value; null or absent: all; the others come empty.
        #[serde(default)]
        identity_headers: Option<Vec<IdentityHeader>>,
    }

    request struct ForwardAuthPatch {
        #[serde(default, skip_serializing_if = "Field::is_absent")]
        #[cfg_attr(feature = "openapi", schema(value_type = SourceKind, required = false))]
        source: Field<SourceKind>,
        #[serde(default, skip_serializing_if = "Field::is_absent")]
        #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, required = false))]
        method_header: Field<Option<String>>,
        #[serde(default, skip_serializing_if = "Field::is_absent")]
        #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, required = false))]
        path_header: Field<Option<String>>,
        #[serde(default, skip_serializing_if = "Field::is_absent")]
        #[cfg_attr(feature = "openapi", schema(value_type = Option<Vec<String>>, required = false))]
        permissions: Field<Option<Vec<String>>>,
        #[serde(default, skip_serializing_if = "Field::is_absent")]
        #[cfg_attr(feature = "openapi", schema(value_type = Option<Vec<IdentityHeader>>, required = false))]
        identity_headers: Field<Option<Vec<IdentityHeader>>>,
    }
}
