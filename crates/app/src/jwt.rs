//! Signed texts that others made (RFC 7515, 7519), read as RFC 8725 wants it: the key says which algorithm is taken, never the
//! text; nothing in the text says where a key is; and no claim is believed before the signature holds. Which claims are
//! asked for is in `jwt/claims.rs`.

mod claims;
mod decoy;

pub(crate) use claims::{Claims, Expected};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use decoy::decoy;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, KeyAlgorithm, PublicKeyUse, ThumbprintHash};
use jsonwebtoken::{Algorithm, DecodingKey, crypto};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use thiserror::Error;
use time::OffsetDateTime;

/// The longest text that is looked at, in bytes. CI's ID tokens have one to four thousand.
pub(crate) const MAX_JWT: usize = 16 * 1024;
/// The shortest modulus of an RSA key, in bytes: 2048 bits (RFC 7518, section 3.3).
const MIN_RSA: usize = 256;
/// The most keys of a set that are tried.
pub(crate) const MAX_KEYS: usize = 64;

/// The algorithms that are taken, each from keys that are for it (RFC 7518, section 3.1; RFC 8037; RFC 9864): never `none`, and
/// nothing symmetric.
pub const SIGNING_ALGORITHMS: [&str; 10] =
    ["ES256", "ES384", "Ed25519", "EdDSA", "PS256", "PS384", "PS512", "RS256", "RS384", "RS512"];

/// Why a text is not taken; told to whoever presented it, so it repeats nothing of the text.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub(crate) enum BadJwt {
    #[error("is longer than {MAX_JWT} bytes")]
    TooLong,
    #[error("is not a JWT in compact form")]
    Malformed,
    #[error("is nested, encrypted or has critical extensions; a plain signed JWT is wanted")]
    NotPlain,
    #[error("is signed with an algorithm that its key is not for")]
    Algorithm,
    #[error("names a key that its issuer does not have")]
    UnknownKey,
    #[error("its signature does not hold")]
    Signature,
    #[error("has no `{0}`, or one of another type")]
    Missing(&'static str),
    #[error("is of another issuer")]
    Issuer,
    #[error("is not meant for this issuer")]
    Audience,
    #[error("has expired")]
    Expired,
    #[error("is not valid yet")]
    NotYet,
    #[error("lives too long")]
    TooLongLived,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    typ: Option<String>,
    kid: Option<String>,
    cty: Option<String>,
    crit: Option<Value>,
    zip: Option<Value>,
    enc: Option<Value>,
}

/// A text that has the form of a JWT, and of which nothing is known to be true.
pub(crate) struct Unverified<'t> {
    header: Header,
    claims: Claims,
    signed: &'t str,
    signature: &'t str,
}

impl<'t> Unverified<'t> {
    pub(crate) fn parse(text: &'t str) -> Result<Unverified<'t>, BadJwt> {
        if text.len() > MAX_JWT {
            return Err(BadJwt::TooLong);
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(BadJwt::Malformed)?;
        let (head, payload) = signed.split_once('.').ok_or(BadJwt::Malformed)?;
        if payload.contains('.') || signature.is_empty() {
            return Err(BadJwt::Malformed);
        }
        let header: Header = json(head)?;
        let nested = header.cty.as_deref().is_some_and(|cty| cty.to_ascii_lowercase().ends_with("jwt"));
        if nested || header.crit.is_some() || header.zip.is_some() || header.enc.is_some() {
            return Err(BadJwt::NotPlain);
        }
        Ok(Unverified { header, claims: Claims(json(payload)?), signed, signature })
    }

    /// Whose it claims to be: to look for the keys by which to find out, and for nothing else.
    pub(crate) fn claimed_issuer(&self) -> Option<&str> {
        self.claims.text("iss")
    }

    /// What it says that it is a text of (RFC 8725, section 3.11).
    pub(crate) fn typ(&self) -> Option<&str> {
        self.header.typ.as_deref()
    }

    /// What speaks against it whoever signed it: what is found tells of the text alone, and nothing that it says is believed.
    pub(crate) fn weigh(&self, expected: &Expected<'_>, now: OffsetDateTime) -> Result<(), BadJwt> {
        self.claims.check_but_jti(expected, now)
    }

    /// Whether the key that it names is among these.
    pub(crate) fn has_key_among(&self, keys: &JwkSet) -> bool {
        self.key(keys).is_ok()
    }

    /// Who it claims to speak of; the same holds.
    pub(crate) fn claimed_subject(&self) -> Option<&str> {
        self.claims.text("sub")
    }

    /// What it says, if one of these keys signed it. Where none could have, a decoy is tried: whoever is refused waits equally long.
    pub(crate) fn verify(self, keys: &JwkSet) -> Result<Signed<'t, '_>, BadJwt> {
        match self.fitting(keys) {
            Ok((key, algorithm)) if self.is_signed_by(key, algorithm) => {
                Ok(Signed { claims: self.claims, key, text: self.signed })
            }
            Ok(_) => Err(BadJwt::Signature),
            Err(why) => {
                if let Some((key, algorithm)) = decoy(&self.header.alg, self.signature) {
                    self.is_signed_by(&key, algorithm);
                }
                Err(why)
            }
        }
    }

    /// The key that it names, and the algorithm of both; none where a look tells that its signature cannot hold.
    fn fitting<'k>(&self, keys: &'k JwkSet) -> Result<(&'k Jwk, Algorithm), BadJwt> {
        let key = self.key(keys)?;
        let algorithm = algorithm_of(key).filter(|one| is_named(*one, &self.header.alg)).ok_or(BadJwt::Algorithm)?;
        if in_range(key, self.signature) { Ok((key, algorithm)) } else { Err(BadJwt::Signature) }
    }

    fn is_signed_by(&self, key: &Jwk, algorithm: Algorithm) -> bool {
        let decoding = DecodingKey::from_jwk(key);
        let verify =
            |decoding: DecodingKey| crypto::verify(self.signature, self.signed.as_bytes(), &decoding, algorithm);
        decoding.and_then(verify).unwrap_or(false)
    }

    /// The key that it names; or, where it names none, the only one that could have signed it.
    fn key<'k>(&self, keys: &'k JwkSet) -> Result<&'k Jwk, BadJwt> {
        let mut candidates = keys.keys.iter().take(MAX_KEYS).filter(|key| match &self.header.kid {
            Some(kid) => key.common.key_id.as_ref() == Some(kid),
            None => algorithm_of(key).is_some_and(|algorithm| is_named(algorithm, &self.header.alg)),
        });
        match (candidates.next(), candidates.next()) {
            (Some(only), None) => Ok(only),
            _ => Err(BadJwt::UnknownKey),
        }
    }
}

/// A text whose signature holds.
#[derive(Debug)]
pub(crate) struct Signed<'t, 'k> {
    pub(crate) claims: Claims,
    pub(crate) key: &'k Jwk,
    /// All that is signed.
    text: &'t str,
}

impl Signed<'_, '_> {
    /// By what one that was used is known again: its `jti`, or where its issuer gives none, all that is signed; and the key. Anybody
    /// may name a key of their own for an issuer, and use up nothing but what that key signs.
    pub(crate) fn fingerprint(&self) -> Result<[u8; 32], BadJwt> {
        let key = self.key.thumbprint(ThumbprintHash::SHA256).map_err(|_| BadJwt::UnknownKey)?;
        let named = self.claims.text("jti").is_some_and(|jti| !jti.is_empty());
        let text = if named { self.claims.fingerprint() } else { Sha256::digest(self.text).into() };
        Ok(Sha256::new().chain_update(key).chain_update(text).finalize().into())
    }
}

/// The one algorithm that a public key is for: as the key states it, else what its type is commonly used with. `None`: it is for
/// no signature that is taken. Symmetric keys never are (RFC 8725, section 2.1).
pub(crate) fn algorithm_of(key: &Jwk) -> Option<Algorithm> {
    let signs = key.common.public_key_use.as_ref().is_none_or(|usage| *usage == PublicKeyUse::Signature);
    let usual = match &key.algorithm {
        AlgorithmParameters::RSA(rsa) => {
            let modulus = URL_SAFE_NO_PAD.decode(&rsa.n).ok()?;
            (modulus.iter().skip_while(|byte| **byte == 0).count() >= MIN_RSA).then_some(Algorithm::RS256)?
        }
        AlgorithmParameters::EllipticCurve(ec) if ec.curve == EllipticCurve::P256 => Algorithm::ES256,
        AlgorithmParameters::EllipticCurve(ec) if ec.curve == EllipticCurve::P384 => Algorithm::ES384,
        AlgorithmParameters::OctetKeyPair(okp) if okp.curve == EllipticCurve::Ed25519 => Algorithm::EdDSA,
        _ => return None,
    };
    let rsa = usual == Algorithm::RS256;
    let stated = match key.common.key_algorithm {
        None => usual,
        Some(KeyAlgorithm::RS384) if rsa => Algorithm::RS384,
        Some(KeyAlgorithm::RS512) if rsa => Algorithm::RS512,
        Some(KeyAlgorithm::PS256) if rsa => Algorithm::PS256,
        Some(KeyAlgorithm::PS384) if rsa => Algorithm::PS384,
        Some(KeyAlgorithm::PS512) if rsa => Algorithm::PS512,
        Some(stated) => (stated.to_string() == named(usual)).then_some(usual)?,
    };
    signs.then_some(stated)
}

/// Whether an RSA signature is as long as the modulus, and less (RFC 8017, section 5.2.2): what is not is refused without arithmetic,
/// and the time of that would tell how long the key is. Others have one length.
fn in_range(key: &Jwk, signature: &str) -> bool {
    let AlgorithmParameters::RSA(rsa) = &key.algorithm else { return true };
    let number = |text: &str| URL_SAFE_NO_PAD.decode(text).ok();
    let (Some(modulus), Some(signature)) = (number(&rsa.n), number(signature)) else { return false };
    let modulus: Vec<_> = modulus.into_iter().skip_while(|byte| *byte == 0).collect();
    signature.len() == modulus.len() && signature < modulus
}

/// As it stands in a header (RFC 7518, section 3.1).
pub(crate) fn named(algorithm: Algorithm) -> String {
    format!("{algorithm:?}")
}

/// The one `EdDSA` that is taken has two names.
fn is_named(algorithm: Algorithm, name: &str) -> bool {
    named(algorithm) == name || (algorithm == Algorithm::EdDSA && name == "Ed25519")
}

fn json<T: for<'de> Deserialize<'de>>(part: &str) -> Result<T, BadJwt> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| BadJwt::Malformed)?;
    serde_json::from_slice(&bytes).map_err(|_| BadJwt::Malformed)
}

#[cfg(test)]
#[path = "jwt/tests.rs"]
mod tests;
