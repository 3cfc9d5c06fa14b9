//! The public keys by which runners and services sign their assertions (RFC 7517, 7523). Which keys are strong
//! enough is for whoever registers them to say; the arithmetic behind that is not here.

use serde::{Deserialize, Serialize};

/// The most keys of one client: some in use, some to change over to.
pub const MAX_CLIENT_KEYS: usize = 8;

/// A public key, and the one algorithm that it is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientKey {
    /// Unlike that of every other key of the client.
    pub kid: String,
    /// As it stands in the header of what the key signs (RFC 7518, section 3.1).
    pub alg: String,
    #[serde(flatten)]
    pub numbers: KeyNumbers,
}

/// The numbers of a public key, base64url-coded (RFC 7518, section 6; RFC 8037).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kty")]
pub enum KeyNumbers {
    #[serde(rename = "RSA")]
    Rsa { n: String, e: String },
    #[serde(rename = "EC")]
    EllipticCurve { crv: String, x: String, y: String },
    #[serde(rename = "OKP")]
    Edwards { crv: String, x: String },
}
