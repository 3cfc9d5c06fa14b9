//! RFC 8725: what must not be taken.

use super::*;
use jsonwebtoken::jwk::{CommonParameters, OctetKeyParameters, OctetKeyType};
use jsonwebtoken::{EncodingKey, Header as Head, encode};
use serde_json::Map;
use serde_json::json;
use time::macros::datetime;
use time::{Duration, OffsetDateTime};

const NOW: OffsetDateTime = datetime!(2026-11-23 10:00 UTC);
const EXPECTED: Expected<'_> = Expected {
    issuer: "https://ci.example",
    audience: "https://jobpass.example",
    alone: false,
    max_life: Duration::HOUR,
};

struct Signer {
    key: EncodingKey,
    algorithm: Algorithm,
    set: JwkSet,
}

/// A key pair of this algorithm, and the set that publishes it as `one`.
fn signer(algorithm: Algorithm) -> Signer {
    use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
    use aws_lc_rs::rsa::{KeyPair, KeySize};
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    };
    let key = match algorithm {
        Algorithm::ES256 => {
            let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
            EncodingKey::from_ec_der(pair.to_pkcs8v1().unwrap().as_ref())
        }
        Algorithm::ES384 => {
            let pair = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
            EncodingKey::from_ec_der(pair.to_pkcs8v1().unwrap().as_ref())
        }
        Algorithm::EdDSA => {
            EncodingKey::from_ed_der(Ed25519KeyPair::generate().unwrap().to_pkcs8v1().unwrap().as_ref())
        }
        _ => {
            let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
            // PKCS #8 of 2048 bits is PKCS #1, which is wanted here, behind 26 bytes.
            EncodingKey::from_rsa_der(&AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).unwrap().as_ref()[26..])
        }
    };
    let mut public = Jwk::from_encoding_key(&key, algorithm).unwrap();
    public.common.key_id = Some("one".to_owned());
    Signer { key, algorithm, set: JwkSet { keys: vec![public] } }
}

impl Signer {
    fn sign(&self, claims: &Value) -> String {
        let head = Head { kid: Some("one".to_owned()), ..Head::new(self.algorithm) };
        encode(&head, claims, &self.key).unwrap()
    }
}

fn claims(change: impl FnOnce(&mut Map<String, Value>)) -> Value {
    let now = NOW.unix_timestamp();
    let mut claims = json!({
        "iss": EXPECTED.issuer, "aud": EXPECTED.audience, "sub": "repo:acme/web", "jti": "j1", "iat": now, "exp": now + 300,
    });
    change(claims.as_object_mut().unwrap());
    claims
}

fn read(text: &str, keys: &JwkSet) -> Result<Claims, BadJwt> {
    let claims = Unverified::parse(text)?.verify(keys)?.claims;
    claims.check(&EXPECTED, NOW)?;
    Ok(claims)
}

#[track_caller]
fn refused(text: &str, keys: &JwkSet, why: BadJwt) {
    assert_eq!(read(text, keys).err(), Some(why));
}

/// A text with this header and good claims, which this key pair signed.
fn with_header(signer: &Signer, header: &Value) -> String {
    let [header, claims] = [header, &claims(|_| {})].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
    let message = format!("{header}.{claims}");
    let signature = crypto::sign(message.as_bytes(), &signer.key, signer.algorithm).unwrap();
    format!("{message}.{signature}")
}

#[test]
fn rfc7519_7_2_what_is_signed_and_fresh_is_taken() {
    for algorithm in [Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA, Algorithm::RS256] {
        let signer = signer(algorithm);
        let taken = read(&signer.sign(&claims(|_| {})), &signer.set).unwrap();
        assert_eq!(taken.text("sub"), Some("repo:acme/web"), "{algorithm:?}");
    }
}

#[test]
fn rfc8725_2_1_no_algorithm_but_the_keys_own() {
    let signer = signer(Algorithm::RS256);
    let none = with_header(&signer, &json!({ "alg": "none", "kid": "one" }));
    refused(&none, &signer.set, BadJwt::Algorithm);
    let unsigned = format!("{}.", none.rsplit_once('.').unwrap().0);
    refused(&unsigned, &signer.set, BadJwt::Malformed);
    for other in ["None", "HS256", "RS512", "PS256", "ES256", "EdDSA", "rs256", ""] {
        refused(&with_header(&signer, &json!({ "alg": other, "kid": "one" })), &signer.set, BadJwt::Algorithm);
    }
}

#[test]
fn rfc8725_2_1_a_public_key_is_no_shared_secret() {
    let signer = signer(Algorithm::RS256);
    let AlgorithmParameters::RSA(rsa) = &signer.set.keys[0].algorithm else { panic!("an RSA key") };
    let secret = EncodingKey::from_secret(rsa.n.as_bytes());
    let head = Head { kid: Some("one".to_owned()), ..Head::new(Algorithm::HS256) };
    refused(&encode(&head, &claims(|_| {}), &secret).unwrap(), &signer.set, BadJwt::Algorithm);
    // Nor is a symmetric key that somebody publishes.
    let parameters = OctetKeyParameters { key_type: OctetKeyType::Octet, value: URL_SAFE_NO_PAD.encode(&rsa.n) };
    let common = CommonParameters { key_id: Some("one".to_owned()), ..CommonParameters::default() };
    let set = JwkSet { keys: vec![Jwk { common, algorithm: AlgorithmParameters::OctetKey(parameters) }] };
    refused(&encode(&head, &claims(|_| {}), &secret).unwrap(), &set, BadJwt::Algorithm);
}

#[test]
fn rfc8725_3_5_short_rsa_keys_are_not_taken() {
    let mut set = signer(Algorithm::RS256).set;
    let AlgorithmParameters::RSA(rsa) = &mut set.keys[0].algorithm else { panic!("an RSA key") };
    rsa.n = URL_SAFE_NO_PAD.encode([0xff; 128]);
    assert_eq!(algorithm_of(&set.keys[0]), None);
}

#[test]
fn rfc7515_4_1_keys_come_from_the_issuer_alone() {
    let (ours, theirs) = (signer(Algorithm::ES256), signer(Algorithm::ES256));
    refused(&theirs.sign(&claims(|_| {})), &ours.set, BadJwt::Signature);
    for (name, value) in [
        ("jwk", serde_json::to_value(&theirs.set.keys[0]).unwrap()),
        ("jku", json!("https://evil.example/jwks")),
        ("x5u", json!("https://evil.example/x5c")),
    ] {
        let header = json!({ "alg": "ES256", "kid": "one", name: value });
        refused(&with_header(&theirs, &header), &ours.set, BadJwt::Signature);
    }
    for kid in ["two", "../../../dev/null", "one' or '1'='1", "one\0", ""] {
        refused(&with_header(&ours, &json!({ "alg": "ES256", "kid": kid })), &ours.set, BadJwt::UnknownKey);
    }
}

#[test]
fn rfc7515_4_1_4_without_kid_only_where_one_key_fits() {
    let signer = signer(Algorithm::ES256);
    let text = encode(&Head::new(Algorithm::ES256), &claims(|_| {}), &signer.key).unwrap();
    assert!(read(&text, &signer.set).is_ok());
    let two = JwkSet { keys: [&signer.set.keys[..], &super::tests::signer(Algorithm::ES256).set.keys[..]].concat() };
    refused(&text, &two, BadJwt::UnknownKey);
}

#[test]
fn rfc7515_4_1_11_nothing_critical_nested_or_encrypted() {
    let signer = signer(Algorithm::ES256);
    for (name, value) in [
        ("cty", json!("JWT")),
        ("cty", json!("application/jwt")),
        ("crit", json!(["b64"])),
        ("crit", json!([])),
        ("zip", json!("DEF")),
        ("enc", json!("A256GCM")),
    ] {
        let header = json!({ "alg": "ES256", "kid": "one", name: value });
        refused(&with_header(&signer, &header), &signer.set, BadJwt::NotPlain);
    }
}

#[test]
fn what_is_no_jwt() {
    let signer = signer(Algorithm::ES256);
    let good = signer.sign(&claims(|_| {}));
    let nested = format!("{good}.{good}");
    for text in ["", ".", "..", "...", "a.b.c", "jpj_0", &nested, "e30.e30.", &format!("{good}="), &format!(" {good}")]
    {
        assert!(read(text, &signer.set).is_err(), "{text}");
    }
    refused(&"a".repeat(MAX_JWT + 1), &signer.set, BadJwt::TooLong);
    let (message, _) = good.rsplit_once('.').unwrap();
    refused(&format!("{message}.{}", URL_SAFE_NO_PAD.encode([0; 64])), &signer.set, BadJwt::Signature);
}

#[test]
fn rfc7523_3_claims_that_are_asked_for() {
    let signer = signer(Algorithm::ES256);
    let now = NOW.unix_timestamp();
    let case = |name: &'static str, value: Option<Value>, why: Option<BadJwt>| {
        let claims = claims(|all| match value.clone() {
            Some(value) => drop(all.insert(name.to_owned(), value)),
            None => drop(all.remove(name)),
        });
        assert_eq!(read(&signer.sign(&claims), &signer.set).err(), why, "{name} {value:?}");
    };
    for name in ["iss", "aud", "sub", "jti", "exp"] {
        case(name, None, Some(BadJwt::Missing(name)));
        case(name, Some(json!({})), Some(BadJwt::Missing(name)));
    }
    case("iss", Some(json!("https://ci.example/")), Some(BadJwt::Issuer));
    case("iss", Some(json!("https://CI.example")), Some(BadJwt::Issuer));
    case("iss", Some(json!(["https://ci.example"])), Some(BadJwt::Missing("iss")));
    case("aud", Some(json!("other")), Some(BadJwt::Audience));
    case("aud", Some(json!([])), Some(BadJwt::Audience));
    case("aud", Some(json!(["other", EXPECTED.audience])), None);
    case("aud", Some(json!([EXPECTED.audience, 1])), Some(BadJwt::Audience));
    case("iat", None, None);
    // Clock skew: a minute, and not a second more.
    case("exp", Some(json!(now - 59)), None);
    case("exp", Some(json!(now - 60)), Some(BadJwt::Expired));
    case("nbf", Some(json!(now + 60)), None);
    case("nbf", Some(json!(now + 61)), Some(BadJwt::NotYet));
    case("iat", Some(json!(now + 61)), Some(BadJwt::NotYet));
    case("exp", Some(json!(now + 3600)), None);
    case("exp", Some(json!(now + 3601)), Some(BadJwt::TooLongLived));
    case("exp", Some(json!("1")), Some(BadJwt::Missing("exp")));
    case("exp", Some(json!(1e300)), Some(BadJwt::Missing("exp")));
    case("exp", Some(json!(i64::MAX)), Some(BadJwt::Missing("exp")));
    case("exp", Some(json!(253_402_300_799_i64)), Some(BadJwt::Missing("exp")));
    case("nbf", Some(json!(-377_705_116_800_i64)), Some(BadJwt::Missing("nbf")));
    case("exp", Some(json!(-1)), Some(BadJwt::Expired));
    case("jti", Some(json!("")), Some(BadJwt::Missing("jti")));
}

#[test]
fn rfc7523bis_the_audience_stands_alone() {
    let signer = signer(Algorithm::ES256);
    let alone = Expected { alone: true, ..EXPECTED };
    let check = |aud: Value| {
        let text = signer.sign(&claims(|all| drop(all.insert("aud".to_owned(), aud))));
        Unverified::parse(&text).unwrap().verify(&signer.set).unwrap().claims.check(&alone, NOW)
    };
    assert_eq!(check(json!(EXPECTED.audience)), Ok(()));
    assert_eq!(check(json!([EXPECTED.audience])), Ok(()));
    assert_eq!(check(json!([EXPECTED.audience, "other"])), Err(BadJwt::Audience));
}

#[test]
fn each_is_known_again_by_issuer_and_jti() {
    let of = |iss: &str, jti: &str| {
        Claims(
            claims(|all| all.extend([("iss".to_owned(), json!(iss)), ("jti".to_owned(), json!(jti))]))
                .as_object()
                .unwrap()
                .clone(),
        )
        .fingerprint()
    };
    assert_eq!(of("a", "bc"), of("a", "bc"));
    assert_ne!(of("a", "bc"), of("ab", "c"));
    assert_ne!(of("a", "bc"), of("b", "bc"));
}

proptest::proptest! {
    #[test]
    fn no_text_breaks_it(text in "[ -~]{0,80}", head in ".{0,40}", payload in ".{0,40}") {
        let set = JwkSet { keys: vec![] };
        let made = format!("{}.{}.{}", URL_SAFE_NO_PAD.encode(&head), URL_SAFE_NO_PAD.encode(&payload), URL_SAFE_NO_PAD.encode(&text));
        for one in [text, made] {
            proptest::prop_assert!(read(&one, &set).is_err());
        }
    }
}
