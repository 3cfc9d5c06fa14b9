//! Trust rules: whose ID tokens bring job tokens.

use crate::registry::wire;
use jobpass_domain::claims::ClaimPatterns;
use jobpass_domain::text::{HttpsUrl, Label};
use jobpass_domain::trust_rule::{Ci, DEFAULT_LIFETIME_SECS};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

wire! {
    request struct NewTrustRule {
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        name: Label,
        /// Compared with the token's `iss`, byte for byte.
        #[cfg_attr(feature = "openapi", schema(value_type = String, example = "https://token.actions.githubusercontent.com"))]
        issuer: HttpsUrl,
        /// Where its keys are; null or absent: where its discovery document says.
        #[serde(default)]
        #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
        jwks_uri: Option<HttpsUrl>,
        /// Whose claims they are: how run and job are read from them.
        ci: Ci,
        /// Claim to patterns; every claim must match one of its own. One that names something for ever must be exact.
        #[cfg_attr(feature = "openapi", schema(value_type = std::collections::BTreeMap<String, Vec<String>>))]
        claims: ClaimPatterns,
        /// At most this; null or absent: no cap; empty: nothing.
        #[serde(default)]
        permissions: Option<Vec<String>>,
        /// Whether it gets tokens for protected refs.
        #[serde(default)]
        protected: bool,
        /// You say that the CI gives this identity to no fork: what its claims leave open counts as not from a fork.
        #[serde(default)]
        excludes_forks: bool,
        /// The deadline of a job, in seconds from its first token.
        #[serde(default = "default_lifetime")]
        max_lifetime_secs: u32,
        /// A paused rule mints nothing; what it minted lives on.
        #[serde(default)]
        paused: bool,
    }

    response struct TrustRule {
        id: Uuid,
        project_id: Uuid,
        name: String,
        issuer: String,
        jwks_uri: Option<String>,
        ci: Ci,
        #[cfg_attr(feature = "openapi", schema(value_type = std::collections::BTreeMap<String, Vec<String>>))]
        claims: ClaimPatterns,
        permissions: Option<Vec<String>>,
        protected: bool,
        excludes_forks: bool,
        max_lifetime_secs: u32,
        paused: bool,
        #[serde(with = "time::serde::rfc3339")]
        created_at: OffsetDateTime,
    }
}

const fn default_lifetime() -> u32 {
    DEFAULT_LIFETIME_SECS
}
