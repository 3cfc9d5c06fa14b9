//! Whether a JWK is a public key that may prove a client (RFC 7517): it has a name, holds nothing private, is strong enough,
//! and is a key at all. What else the JWK says is left out (RFC 7517, section 4).

use crate::Fault;
use crate::jwt::{algorithm_of, named};
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
    RsaPublicKeyComponents, VerificationAlgorithm,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jobpass_domain::client_key::{ClientKey, KeyNumbers};
use jobpass_domain::text::Label;
use jsonwebtoken::jwk::Jwk;
use serde_json::{Map, Value};

/// The members that only a private or a shared key has (RFC 7518, sections 6.2.2, 6.3.2 and 6.4.1).
const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// The key, without what is not used of it; or what is wrong, repeating nothing that may be secret.
pub(crate) fn vet(jwk: &Map<String, Value>) -> Result<ClientKey, Fault> {
    if let Some(private) = PRIVATE.into_iter().find(|name| jwk.contains_key(*name)) {
        let detail =
            "this is a private or shared key; register the public half alone, and make a new pair: this one was sent";
        return Err(Fault::new(format!("/{private}"), "private_key", detail));
    }
    let kid = jwk.get("kid").and_then(Value::as_str).and_then(|kid| Label::parse(kid).ok());
    let kid = kid.ok_or_else(|| Fault::new("/kid", "required", "a key has a `kid` of 1 to 255 visible characters"))?;
    let malformed = || Fault::new("", "malformed", "is not a public key as RFC 7517 writes it");
    let numbers: KeyNumbers = serde_json::from_value(Value::Object(jwk.clone())).map_err(|_| malformed())?;
    let mut readable = jwk.clone();
    // RFC 9864 has this name for what the library knows by its older one.
    if jwk.get("alg").is_some_and(|alg| alg == "Ed25519") {
        readable.insert("alg".to_owned(), "EdDSA".into());
    }
    let parsed: Jwk = serde_json::from_value(Value::Object(readable)).map_err(|_| malformed())?;
    let weak = "is for signatures that are not taken: RSA from 2048 bits, P-256, P-384 or Ed25519 are";
    let algorithm = algorithm_of(&parsed).ok_or_else(|| Fault::new("", "unfit_key", weak))?;
    if !is_a_key(&numbers) {
        return Err(malformed());
    }
    Ok(ClientKey { kid: kid.to_string(), alg: named(algorithm), numbers })
}

/// Whether the numbers lie on their curve, or are a modulus with an exponent: a key that could never verify would fail only later.
fn is_a_key(numbers: &KeyNumbers) -> bool {
    let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).ok();
    let parses =
        |algorithm: &'static dyn VerificationAlgorithm, bytes: &[u8]| ParsedPublicKey::new(algorithm, bytes).is_ok();
    match numbers {
        KeyNumbers::Rsa { n, e } => decode(n).zip(decode(e)).is_some_and(|(n, e)| {
            let der: Result<PublicKeyX509Der<'_>, _> = RsaPublicKeyComponents { n, e }.as_der();
            der.is_ok_and(|der| parses(&RSA_PKCS1_2048_8192_SHA256, der.as_ref()))
        }),
        KeyNumbers::EllipticCurve { crv, x, y } => {
            let point =
                [Some(vec![4]), decode(x), decode(y)].into_iter().collect::<Option<Vec<_>>>().map(|it| it.concat());
            let curve: &'static dyn VerificationAlgorithm =
                if crv == "P-384" { &ECDSA_P384_SHA384_FIXED } else { &ECDSA_P256_SHA256_FIXED };
            point.is_some_and(|point| parses(curve, &point))
        }
        KeyNumbers::Edwards { x, .. } => decode(x).is_some_and(|x| parses(&ED25519, &x)),
    }
}
