//! Errors of `/v1`: RFC 9457 problem details.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// `application/problem+json` (RFC 9457, section 3).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Problem {
    /// Stable: `urn:jobpass:problem:` and the code.
    pub r#type: String,
    /// The code alone, as in `type`.
    pub code: String,
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Also in the header `X-Request-Id`; quote it when asking for help.
    pub request_id: Uuid,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// On 403: what the caller would need, such as `maintainer`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
    /// On 409 `would_break`: what would no longer work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub impact: Option<crate::Impact>,
}

/// What is wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FieldError {
    /// JSON pointer into the request body (RFC 6901), or `?name` for a query parameter.
    pub pointer: String,
    pub code: String,
    pub detail: String,
}
