//! The keys that sign ID tokens, and the authority that container registries trust.

use crate::registry::wire;
use jobpass_domain::signing_key::{Phase, SigningAlgorithm};
use jobpass_domain::text::Label;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use time::OffsetDateTime;
use uuid::Uuid;

wire! {
    response struct SigningKeys {
        items: Vec<SigningKey>,
    }

    /// Its public part is in the key set.
    response struct SigningKey {
        id: Uuid,
        /// As in the header of what it signs: the public key's thumbprint (RFC 7638).
        kid: String,
        algorithm: SigningAlgorithm,
        phase: Phase,
        #[serde(with = "time::serde::rfc3339")]
        published_at: OffsetDateTime,
        #[serde(with = "time::serde::rfc3339")]
        signs_from: OffsetDateTime,
        /// When its successor takes over; null: it has none yet.
        #[serde(with = "time::serde::rfc3339::option")]
        signs_until: Option<OffsetDateTime>,
        #[serde(with = "time::serde::rfc3339::option")]
        revoked_at: Option<OffsetDateTime>,
    }

    request struct RotateKeys {
        /// Absent or null: all.
        #[serde(default)]
        algorithm: Option<SigningAlgorithm>,
        /// Why; kept in the audit event.
        #[serde(default)]
        #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
        reason: Option<Label>,
    }

    request struct RevokeKey {
        /// Why; kept in the audit event.
        #[serde(default)]
        #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
        reason: Option<Label>,
    }

    request struct ReplaceAuthority {
        /// Why; kept in the audit event.
        #[serde(default)]
        #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
        reason: Option<Label>,
    }

    response struct RegistryAuthority {
        /// As `/oauth/registry-authority.pem` has it (RFC 7468).
        certificate: String,
    }

    /// RFC 7517, section 5.
    response struct KeySet {
        #[cfg_attr(feature = "openapi", schema(value_type = Vec<Object>))]
        keys: Vec<Map<String, Value>>,
    }
}
