//! A key pair: made, opened, shown (RFC 7517), and signed with (RFC 7515).

use crate::Refusal;
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jobpass_domain::signing_key::SigningAlgorithm;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::fmt;
use zeroize::Zeroizing;

pub(crate) enum KeyPair {
    Rs256(Box<RsaKeyPair>),
    Es256(EcdsaKeyPair),
    EdDsa(Ed25519KeyPair),
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyPair(…)")
    }
}

fn failed<E>(what: &'static str) -> impl FnOnce(E) -> Refusal {
    move |_| Refusal::Internal(what.to_owned())
}

impl KeyPair {
    /// Takes a tenth of a second for RSA: not for a thread that answers requests.
    pub(crate) fn generate(algorithm: SigningAlgorithm) -> Result<KeyPair, Refusal> {
        let made = match algorithm {
            SigningAlgorithm::Rs256 => {
                RsaKeyPair::generate(KeySize::Rsa2048).map(|pair| KeyPair::Rs256(Box::new(pair)))
            }
            SigningAlgorithm::Es256 => EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map(KeyPair::Es256),
            SigningAlgorithm::EdDsa => Ed25519KeyPair::generate().map(KeyPair::EdDsa),
        };
        made.map_err(failed("could not make a key"))
    }

    /// PKCS #8, as `private` gives it.
    pub(crate) fn open(algorithm: SigningAlgorithm, pkcs8: &[u8]) -> Result<KeyPair, Refusal> {
        let read = match algorithm {
            SigningAlgorithm::Rs256 => RsaKeyPair::from_pkcs8(pkcs8).map(|pair| KeyPair::Rs256(Box::new(pair))),
            SigningAlgorithm::Es256 => {
                EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8).map(KeyPair::Es256)
            }
            SigningAlgorithm::EdDsa => Ed25519KeyPair::from_pkcs8(pkcs8).map(KeyPair::EdDsa),
        };
        read.map_err(failed("a stored key is none"))
    }

    /// PKCS #8.
    pub(crate) fn private(&self) -> Result<Zeroizing<Vec<u8>>, Refusal> {
        let bytes = match self {
            KeyPair::Rs256(pair) => AsDer::<Pkcs8V1Der<'_>>::as_der(&**pair).map(|der| der.as_ref().to_vec()),
            KeyPair::Es256(pair) => pair.to_pkcs8v1().map(|document| document.as_ref().to_vec()),
            KeyPair::EdDsa(pair) => pair.to_pkcs8v1().map(|document| document.as_ref().to_vec()),
        };
        bytes.map(Zeroizing::new).map_err(failed("could not write a key"))
    }

    /// The members that RFC 7638 hashes, in its order, and no others: RFC 7518, section 6, and RFC 8037, section 2.
    fn public(&self) -> Value {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match self {
            KeyPair::Rs256(pair) => {
                let public = pair.public_key();
                let (n, e) = (public.modulus(), public.exponent());
                let [n, e] = [n, e].map(|number| text(number.big_endian_without_leading_zero()));
                json!({ "e": e, "kty": "RSA", "n": n })
            }
            KeyPair::Es256(pair) => {
                // An uncompressed point: 4, x, y.
                let point = pair.public_key().as_ref();
                let (x, y) = point.get(1..).unwrap_or_default().split_at(point.len() / 2);
                json!({ "crv": "P-256", "kty": "EC", "x": text(x), "y": text(y) })
            }
            KeyPair::EdDsa(pair) => json!({ "crv": "Ed25519", "kty": "OKP", "x": text(pair.public_key().as_ref()) }),
        }
    }

    /// RFC 7638, section 3: the members in order, without space, hashed.
    pub(crate) fn thumbprint(&self) -> String {
        URL_SAFE_NO_PAD.encode(Sha256::digest(self.public().to_string()))
    }

    pub(crate) fn algorithm(&self) -> SigningAlgorithm {
        match self {
            KeyPair::Rs256(_) => SigningAlgorithm::Rs256,
            KeyPair::Es256(_) => SigningAlgorithm::Es256,
            KeyPair::EdDsa(_) => SigningAlgorithm::EdDsa,
        }
    }

    /// As the key set shows it (RFC 7517, section 4).
    pub(crate) fn jwk(&self, kid: &str) -> Map<String, Value> {
        let mut jwk = match self.public() {
            Value::Object(members) => members,
            _ => Map::new(),
        };
        jwk.insert("use".to_owned(), json!("sig"));
        jwk.insert("alg".to_owned(), json!(self.algorithm().name()));
        jwk.insert("kid".to_owned(), json!(kid));
        jwk
    }

    /// RFC 7518, sections 3.3 and 3.4, and RFC 8037, section 3.1.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Refusal> {
        let signed = match self {
            KeyPair::Rs256(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature).map(|()| signature)
            }
            KeyPair::Es256(pair) => {
                pair.sign(&SystemRandom::new(), message).map(|signature| signature.as_ref().to_vec())
            }
            KeyPair::EdDsa(pair) => pair.try_sign(message).map(|signature| signature.as_ref().to_vec()),
        };
        signed.map_err(failed("could not sign"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jwt::Unverified;
    use jsonwebtoken::jwk::{Jwk, JwkSet, ThumbprintHash};

    fn jwk(pair: &KeyPair) -> Jwk {
        serde_json::from_value(Value::Object(pair.jwk("one"))).unwrap()
    }

    /// As another library reads and verifies it.
    #[test]
    fn what_is_signed_can_be_verified_by_what_is_shown() {
        for algorithm in SigningAlgorithm::ALL {
            let pair = KeyPair::generate(algorithm).unwrap();
            let again = KeyPair::open(algorithm, &pair.private().unwrap()).unwrap();
            assert_eq!(again.jwk("one"), pair.jwk("one"));
            assert_eq!(jwk(&pair).thumbprint(ThumbprintHash::SHA256).unwrap(), pair.thumbprint());
            let head = URL_SAFE_NO_PAD.encode(json!({ "alg": algorithm.name(), "kid": "one" }).to_string());
            let message =
                format!("{head}.{}", URL_SAFE_NO_PAD.encode(r#"{"iss":"i","sub":"s","aud":"a","exp":1,"iat":1}"#));
            let token = format!("{message}.{}", URL_SAFE_NO_PAD.encode(again.sign(message.as_bytes()).unwrap()));
            let set = JwkSet { keys: vec![jwk(&pair)] };
            assert!(Unverified::parse(&token).unwrap().verify(&set).is_ok(), "{algorithm:?}");
            let other = JwkSet { keys: vec![jwk(&KeyPair::generate(algorithm).unwrap())] };
            assert!(Unverified::parse(&token).unwrap().verify(&other).is_err());
        }
    }

    #[test]
    fn nothing_private_is_shown() {
        for algorithm in SigningAlgorithm::ALL {
            let pair = KeyPair::generate(algorithm).unwrap();
            for name in ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] {
                assert!(!pair.jwk("one").contains_key(name), "{name}");
            }
            assert_eq!(format!("{pair:?}"), "KeyPair(…)");
            assert!(KeyPair::open(algorithm, b"none").is_err());
        }
    }
}
