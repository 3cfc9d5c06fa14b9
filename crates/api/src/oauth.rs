//! The OAuth endpoints: RFC 7662, 8414, 8693 and the errors of RFC 6749.

use crate::SecretText;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use time::OffsetDateTime;

/// RFC 7662, section 2.2. An inactive one is exactly `{"active":false}`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Introspection {
    pub active: bool,
    #[serde(flatten, default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Box<ActiveToken>>,
}

/// By hand: a flattened option would be taken for a null beside `active`.
#[cfg(feature = "openapi")]
impl utoipa::PartialSchema for Introspection {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        use utoipa::openapi::Ref;
        use utoipa::openapi::schema::{AdditionalProperties, AllOfBuilder, ObjectBuilder, OneOfBuilder, Schema, Type};
        let active = |value: bool| ObjectBuilder::new().schema_type(Type::Boolean).enum_values(Some([value]));
        let object = |value| ObjectBuilder::new().property("active", active(value)).required("active");
        let inactive = object(false).additional_properties(Some(AdditionalProperties::FreeForm(false)));
        let alive = AllOfBuilder::new().item(Ref::from_schema_name("ActiveToken")).item(object(true));
        Schema::OneOf(OneOfBuilder::new().item(inactive).item(alive).build()).into()
    }
}

#[cfg(feature = "openapi")]
impl utoipa::ToSchema for Introspection {
    fn schemas(schemas: &mut Vec<(String, utoipa::openapi::RefOr<utoipa::openapi::schema::Schema>)>) {
        schemas.push(("ActiveToken".to_owned(), <ActiveToken as utoipa::PartialSchema>::schema()));
        <ActiveToken as utoipa::ToSchema>::schemas(schemas);
    }
}

/// What an active token says; times are `NumericDate`, seconds since 1970 (RFC 7519, section 2).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ActiveToken {
    /// The earliest of token, lease and what the service's `answer_seconds` allow. It stands first, so that an answer that is given
    /// again can be given with another.
    pub exp: i64,
    /// Permissions in the project asked about, each on its own; empty when none was named.
    pub scope: String,
    /// The minting credential: a runner or a trust rule.
    pub client_id: String,
    /// `project:<id>:job:<id>`
    pub sub: String,
    pub aud: Vec<String>,
    pub iss: String,
    pub iat: i64,
    pub nbf: i64,
    pub jti: String,
    pub token_type: String,
    /// RFC 9396; absent when no project was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization_details: Option<Vec<AuthorizationDetail>>,
    /// The token's own end.
    pub token_expires_at: i64,
    pub project_id: String,
    pub project: String,
    pub pipeline_id: String,
    pub pipeline: String,
    pub job_id: String,
    pub job: String,
    pub r#ref: String,
    pub ref_type: String,
    pub sha: String,
    pub protected: bool,
    pub environment: Option<String>,
    pub trigger: String,
    pub from_fork: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fork_source: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor_claimed: Option<String>,
    /// Of the permissions asked with `permission`, what `enforced` would refuse; in `audit` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub would_deny: Option<Vec<String>>,
}

/// RFC 9396, section 2; `type` is `jobpass_project`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AuthorizationDetail {
    pub r#type: String,
    /// As it was asked.
    pub project: String,
    pub permissions: Vec<String>,
    /// Resource type to patterns; absent: any name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub selectors: BTreeMap<String, Vec<String>>,
}

/// RFC 6749, section 5.2.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OAuthError {
    pub error: String,
    pub error_description: String,
}

/// RFC 6749, section 5.1, and RFC 8693, section 2.2.1.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TokenResponse {
    pub access_token: SecretText,
    /// Of a token exchange.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issued_token_type: Option<String>,
    pub token_type: String,
    pub expires_in: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// RFC 9396, section 7: as granted; absent: the token is not confined to projects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization_details: Option<Vec<AuthorizationDetail>>,
}

/// As clients of the Docker Registry v2 token protocol read it: some take `token`, others `access_token`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RegistryToken {
    pub token: SecretText,
    pub access_token: SecretText,
    /// What was granted, of what was asked.
    pub scope: String,
    /// Seconds.
    pub expires_in: i64,
    #[serde(with = "time::serde::rfc3339")]
    pub issued_at: OffsetDateTime,
}

/// RFC 8414, section 2.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Metadata {
    pub issuer: String,
    pub jwks_uri: String,
    pub token_endpoint: String,
    pub token_endpoint_auth_methods_supported: Vec<String>,
    pub token_endpoint_auth_signing_alg_values_supported: Vec<String>,
    pub introspection_endpoint: String,
    pub introspection_endpoint_auth_methods_supported: Vec<String>,
    pub introspection_endpoint_auth_signing_alg_values_supported: Vec<String>,
    pub revocation_endpoint: String,
    pub revocation_endpoint_auth_methods_supported: Vec<String>,
    pub revocation_endpoint_auth_signing_alg_values_supported: Vec<String>,
    pub response_types_supported: Vec<String>,
    pub grant_types_supported: Vec<String>,
    pub scopes_supported: Vec<String>,
    pub authorization_details_types_supported: Vec<String>,
    pub service_documentation: String,
}

/// OpenID Connect Discovery 1.0, section 3: what RFC 8414 tells, and how to verify ID tokens.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OpenidConfiguration {
    #[serde(flatten)]
    pub metadata: Metadata,
    /// Must be named; whoever asks there is refused.
    pub authorization_endpoint: String,
    pub subject_types_supported: Vec<String>,
    pub id_token_signing_alg_values_supported: Vec<String>,
    pub claims_supported: Vec<String>,
}
