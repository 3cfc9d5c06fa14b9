//! Public keys, as RFC 7517 writes them.

use jobpass_api as api;
use jobpass_domain::client_key::{ClientKey, KeyNumbers};

pub(crate) fn client_keys(keys: &[ClientKey]) -> api::ClientKeys {
    api::ClientKeys { keys: keys.iter().map(jwk).collect() }
}

fn jwk(key: &ClientKey) -> api::PublicJwk {
    let some = |text: &String| Some(text.clone());
    let (kty, [crv, x, y, n, e]) = match &key.numbers {
        KeyNumbers::Rsa { n, e } => ("RSA", [None, None, None, some(n), some(e)]),
        KeyNumbers::EllipticCurve { crv, x, y } => ("EC", [some(crv), some(x), some(y), None, None]),
        KeyNumbers::Edwards { crv, x } => ("OKP", [some(crv), some(x), None, None, None]),
    };
    let (kid, alg) = (key.kid.clone(), some(&key.alg));
    api::PublicJwk { kty: kty.to_owned(), kid, alg, r#use: Some("sig".to_owned()), crv, x, y, n, e }
}
