//! Keys that nobody has. A text for which there is no key is verified by one of them, in vain: so the time of a refusal does not
//! tell which clients, rules and keys there are.

use super::is_named;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use jsonwebtoken::jwk::{
    AlgorithmParameters, CommonParameters, EllipticCurve, EllipticCurveKeyParameters, Jwk, OctetKeyPairParameters,
    RSAKeyParameters,
};
use std::ops::RangeInclusive;

/// Points whose private halves were never kept.
const P256: [&str; 2] = ["O7gJqpCLxMNprg1q5yoqO8YVpg14VIclim3HD-mSH9Y", "gX8BLtTUQsPgOw0wZwqKK-QNdKSjgzedj_QZNIoZPB0"];
const P384: [&str; 2] = [
    "lU7vvJQQcbwv0bF1teWFGXx1hcRRSo-hz1jv4qDu0sWbY9o7CXSGx1p2IrXj7Xgq",
    "KbQMaILTRR4BY83M0gOFxxoGv3BIUjrvO36HUaeVEthY_sNbrSIoCiaQWWxlDmcT",
];
const ED25519: &str = "CEhQjpxZtbfRFbnF5zogjdDamya5H_ULPN7w6tniWTg";
/// The lengths of RSA keys for which there is arithmetic, in bytes.
const RSA: RangeInclusive<usize> = 256..=1024;
const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
];

/// One for the algorithm that a header names, and for RSA as long as the signature. `None`: no key there is would have verified it.
/// The modulus of all ones is the largest of its length, so it is never what a signature is out of range of.
pub(super) fn decoy(alg: &str, signature: &str) -> Option<(Jwk, Algorithm)> {
    let algorithm = ALGORITHMS.into_iter().find(|algorithm| is_named(*algorithm, alg))?;
    let parameters = match algorithm {
        Algorithm::ES256 => point(EllipticCurve::P256, P256),
        Algorithm::ES384 => point(EllipticCurve::P384, P384),
        Algorithm::EdDSA => AlgorithmParameters::OctetKeyPair(OctetKeyPairParameters {
            curve: EllipticCurve::Ed25519,
            x: ED25519.to_owned(),
            ..OctetKeyPairParameters::default()
        }),
        _ => {
            let length = URL_SAFE_NO_PAD.decode(signature).ok()?.len();
            let n = RSA.contains(&length).then(|| URL_SAFE_NO_PAD.encode(vec![0xff; length]))?;
            AlgorithmParameters::RSA(RSAKeyParameters { n, e: "AQAB".to_owned(), ..RSAKeyParameters::default() })
        }
    };
    Some((Jwk { common: CommonParameters::default(), algorithm: parameters }, algorithm))
}

fn point(curve: EllipticCurve, [x, y]: [&str; 2]) -> AlgorithmParameters {
    let (x, y) = (x.to_owned(), y.to_owned());
    AlgorithmParameters::EllipticCurve(EllipticCurveKeyParameters {
        curve,
        x,
        y,
        ..EllipticCurveKeyParameters::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jwt::{SIGNING_ALGORITHMS, in_range};
    use crate::vet_key::vet;
    use serde_json::Value;

    /// What is no key is refused before there is any work.
    #[test]
    fn there_is_a_real_one_for_every_algorithm_that_is_taken() {
        for alg in SIGNING_ALGORITHMS {
            for length in [256, 384, 511, 1024] {
                let (jwk, algorithm) = decoy(alg, &URL_SAFE_NO_PAD.encode(vec![7; length])).unwrap();
                let Value::Object(mut members) = serde_json::to_value(&jwk).unwrap() else { panic!("a JWK") };
                members.insert("kid".to_owned(), "decoy".into());
                members.insert("alg".to_owned(), alg.into());
                let vetted = vet(&members).unwrap();
                assert!(is_named(algorithm, alg) && is_named(algorithm, &vetted.alg), "{alg}");
            }
        }
    }

    #[test]
    fn there_is_none_where_no_key_would_do_any_work() {
        let signature = URL_SAFE_NO_PAD.encode([7; 256]);
        for alg in ["none", "HS256", "HS512", "ES512", "rs256", ""] {
            assert!(decoy(alg, &signature).is_none(), "{alg}");
        }
        for length in [0, 64, 255, 1025] {
            assert!(decoy("RS256", &URL_SAFE_NO_PAD.encode(vec![7; length])).is_none(), "{length}");
        }
        assert!(decoy("RS256", "no base64!").is_none());
    }

    #[test]
    fn whatever_is_in_range_of_some_key_of_this_length_is_in_range_of_it() {
        let mut largest = [0xff; 256];
        largest[255] = 0xfe;
        let largest = URL_SAFE_NO_PAD.encode(largest);
        let (jwk, _) = decoy("PS256", &largest).unwrap();
        assert!(in_range(&jwk, &largest));
        assert!(!in_range(&jwk, &URL_SAFE_NO_PAD.encode([0xff; 256])));
    }
}
