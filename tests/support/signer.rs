//! Key pairs that sign what a test wants signed, right or wrong.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    Ed25519KeyPair, KeyPair as _,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use serde_json::{Value, json};

pub(crate) struct Signer {
    key: EncodingKey,
    /// The public half as X.509 has it, in DER.
    pub(crate) public: Vec<u8>,
    pub(crate) algorithm: Algorithm,
    pub(crate) kid: String,
}

impl Signer {
    pub(crate) fn new(algorithm: Algorithm, kid: &str) -> Signer {
        let (key, public) = match algorithm {
            Algorithm::ES256 => of_curve(&ECDSA_P256_SHA256_FIXED_SIGNING),
            Algorithm::ES384 => of_curve(&ECDSA_P384_SHA384_FIXED_SIGNING),
            Algorithm::EdDSA => {
                let pair = Ed25519KeyPair::generate().unwrap();
                (EncodingKey::from_ed_der(pair.to_pkcs8v1().unwrap().as_ref()), x509(pair.public_key()))
            }
            _ => {
                let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
                // PKCS #8 of 2048 bits is PKCS #1, which is wanted here, behind 26 bytes.
                let private = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).unwrap();
                (EncodingKey::from_rsa_der(&private.as_ref()[26..]), x509(pair.public_key()))
            }
        };
        Signer { key, public, algorithm, kid: kid.to_owned() }
    }

    /// The same key pair, used with another algorithm.
    pub(crate) fn under(&self, algorithm: Algorithm) -> Signer {
        Signer { key: self.key.clone(), public: self.public.clone(), algorithm, kid: self.kid.clone() }
    }

    /// The public half, as RFC 7517 writes it.
    pub(crate) fn jwk(&self) -> Value {
        let mut jwk = Jwk::from_encoding_key(&self.key, self.algorithm).unwrap();
        jwk.common.key_id = Some(self.kid.clone());
        serde_json::to_value(jwk).unwrap()
    }

    pub(crate) fn header(&self) -> Value {
        json!({ "alg": format!("{:?}", self.algorithm), "kid": self.kid })
    }

    pub(crate) fn sign(&self, claims: &Value) -> String {
        self.sign_under(&self.header(), claims)
    }

    /// Under whatever header.
    pub(crate) fn sign_under(&self, header: &Value, claims: &Value) -> String {
        self.sign_text(header, &claims.to_string())
    }

    /// Whatever text, under whatever header.
    pub(crate) fn sign_text(&self, header: &Value, text: &str) -> String {
        let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(text));
        let signature = crypto::sign(message.as_bytes(), &self.key, self.algorithm).unwrap();
        format!("{message}.{signature}")
    }
}

fn of_curve(curve: &'static EcdsaSigningAlgorithm) -> (EncodingKey, Vec<u8>) {
    let pair = EcdsaKeyPair::generate(curve).unwrap();
    (EncodingKey::from_ec_der(pair.to_pkcs8v1().unwrap().as_ref()), x509(pair.public_key()))
}

fn x509(public: &impl AsDer<PublicKeyX509Der<'static>>) -> Vec<u8> {
    public.as_der().unwrap().as_ref().to_vec()
}

/// What there is to sign.
pub(crate) fn encode(header: &Value, claims: &Value) -> String {
    format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()))
}

/// With a shared secret instead of a key.
pub(crate) fn sign_by_secret(secret: &[u8], header: &Value, claims: &Value) -> String {
    let message = encode(header, claims);
    let signature = crypto::sign(message.as_bytes(), &EncodingKey::from_secret(secret), Algorithm::HS256).unwrap();
    format!("{message}.{signature}")
}
