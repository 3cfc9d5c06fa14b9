//! The public keys of runners and services, as RFC 7517 writes them.

use crate::registry::wire;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::fmt;

/// A JWK as it came. Somebody may send a private key by mistake, so it is never shown.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UncheckedJwk(pub Map<String, Value>);

impl fmt::Debug for UncheckedJwk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UncheckedJwk(…)")
    }
}

wire! {
    request struct NewClientKeys {
        /// 1 to 8 public keys, each with a `kid` of its own; members that are not known are left out.
        #[cfg_attr(feature = "openapi", schema(value_type = Vec<PublicJwk>, min_items = 1, max_items = 8))]
        keys: Vec<UncheckedJwk>,
    }

    response struct ClientKeys {
        keys: Vec<PublicJwk>,
    }

    response struct PublicJwk {
        /// `RSA`, `EC` or `OKP`.
        kty: String,
        kid: String,
        /// The one algorithm that it is for; left out when it is registered, the usual one of its type.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        alg: Option<String>,
        /// `sig`
        #[serde(default, skip_serializing_if = "Option::is_none")]
        r#use: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        crv: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        x: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        y: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        n: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        e: Option<String>,
    }
}
