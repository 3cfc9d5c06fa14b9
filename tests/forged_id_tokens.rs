//! ID tokens that somebody made to be taken for a trusted CI's: each is signed in earnest, so that nothing but the rule that it
//! breaks speaks against it.

use crate::support::issuer::{Issuer, header};
use crate::support::signer::{Signer, encode, sign_by_secret};
use crate::support::{Server, World};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

const NO_RULE: &str = "is taken by no trust rule";

/// A world in which `acme/web` trusts this issuer, and `acme/lib` another one, whose certificate is trusted as well.
struct Target {
    world: World,
    issuer: Issuer,
    other: Issuer,
}

impl Target {
    async fn new() -> Target {
        let (issuer, other) = (Issuer::start().await, Issuer::start().await);
        issuer.vouch_for(&other);
        let world = World::on(Server::start_with(|settings| issuer.set(settings)).await).await;
        for (project, issuer) in [("acme%2Fweb", &issuer), ("acme%2Flib", &other)] {
            let rule = json!({
                "name": "ci", "issuer": issuer.url, "ci": "github", "claims": { "repository_id": ["42"] }, "protected": true,
            });
            world.server.post(&format!("/v1/projects/{project}/trust-rules"), world.admin(), rule).await.expect(201);
        }
        Target { world, issuer, other }
    }

    fn claims(&self, jti: &str) -> Value {
        self.issuer.claims(jti, json!({}))
    }

    async fn present(&self, project: &str, token: &str) -> crate::support::Reply {
        let form =
            [("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"), ("assertion", token), ("project", project)];
        self.world.server.form("/oauth/token", None, &form).await
    }

    async fn refused(&self, token: &str, why: &str) {
        let reply = self.present("acme/web", token).await.expect(400);
        assert_eq!(reply.json["error"], "invalid_grant", "{token}");
        assert!(reply.text_at("/error_description").contains(why), "{}: {token}", reply.text);
    }

    async fn taken(&self, token: &str) {
        self.present("acme/web", token).await.expect(200);
    }

    /// Nothing was minted so far, and no token used up.
    async fn untouched(&self) {
        let count = "select (select count(*) from pipelines) + (select count(*) from job_tokens) + (select count(*) from used_assertions)";
        let count: i64 = sqlx::query_scalar(count).fetch_one(&mut self.world.server.sql().await).await.unwrap();
        assert_eq!(count, 0);
    }
}

/// Every text in which a library might take a public key for a shared secret.
pub(crate) fn forms(signer: &Signer) -> Vec<Vec<u8>> {
    let lines: Vec<_> = STANDARD.encode(&signer.public).into_bytes().chunks(64).map(<[u8]>::to_vec).collect();
    let pem = format!(
        "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
        String::from_utf8(lines.join(&b'\n')).unwrap()
    );
    let jwk = signer.jwk();
    let numbers = ["n", "x", "y"].into_iter().filter_map(|name| jwk[name].as_str());
    let numbers = numbers.flat_map(|text| [text.as_bytes().to_vec(), URL_SAFE_NO_PAD.decode(text).unwrap()]);
    let mut forms = vec![
        pem.trim_end().as_bytes().to_vec(),
        pem.into_bytes(),
        signer.public.clone(),
        jwk.to_string().into_bytes(),
        vec![],
    ];
    forms.extend(numbers);
    forms
}

#[tokio::test]
async fn rfc8725_2_1_a_public_key_is_no_shared_secret() {
    let target = Target::new().await;
    let (stated, unstated) = (Signer::new(Algorithm::RS256, "rsa"), Signer::new(Algorithm::RS256, "rsa-any"));
    let mut without_algorithm = unstated.jwk();
    without_algorithm.as_object_mut().unwrap().remove("alg");
    target.issuer.publish(stated.jwk());
    target.issuer.publish(without_algorithm);
    let claims = target.claims("a");
    for signer in [&*target.issuer.signer(), &stated, &unstated] {
        let own = signer.header()["alg"].clone();
        for secret in forms(signer) {
            for change in [json!({ "alg": "HS256" }), json!({ "alg": "HS256", "kid": null }), json!({ "alg": own })] {
                let forged = sign_by_secret(&secret, &header(signer, change), &claims);
                target.refused(&forged, NO_RULE).await;
            }
        }
    }
    target.untouched().await;
    for signer in [&*target.issuer.signer(), &stated, &unstated] {
        target.taken(&signer.sign(&target.claims(&signer.kid))).await;
    }
}

#[tokio::test]
async fn rfc8725_2_1_a_symmetric_key_is_none_even_when_its_issuer_publishes_it() {
    let target = Target::new().await;
    let secret = b"published by mistake, and long enough";
    let key =
        json!({ "kty": "oct", "kid": "shared", "alg": "HS256", "use": "sig", "k": URL_SAFE_NO_PAD.encode(secret) });
    target.issuer.publish(key);
    let forged = sign_by_secret(secret, &json!({ "alg": "HS256", "kid": "shared" }), &target.claims("a"));
    target.refused(&forged, NO_RULE).await;
    target.untouched().await;
}

#[tokio::test]
async fn rfc8725_3_1_a_key_is_for_its_own_algorithm() {
    let target = Target::new().await;
    let rsa = Signer::new(Algorithm::RS256, "rsa");
    target.issuer.publish(rsa.jwk());
    let claims = target.claims("a");
    for algorithm in [Algorithm::RS384, Algorithm::RS512, Algorithm::PS256] {
        target.refused(&rsa.under(algorithm).sign(&claims), NO_RULE).await;
    }
    for alg in ["ES256", "PS256", "rs256", "none", ""] {
        target.refused(&rsa.sign_under(&header(&rsa, json!({ "alg": alg })), &claims), NO_RULE).await;
    }
    for alg in ["none", "None", "NONE", ""] {
        for kid in [json!("rsa"), json!(null)] {
            let message = encode(&header(&rsa, json!({ "alg": alg, "kid": kid })), &claims);
            target.refused(&format!("{message}."), "is not a JWT").await;
            target.refused(&format!("{message}.AAAA"), NO_RULE).await;
        }
    }
    target.untouched().await;
    target.taken(&rsa.sign(&claims)).await;
}

#[tokio::test]
async fn rfc7515_4_1_keys_come_from_the_issuer_alone() {
    let target = Target::new().await;
    let claims = target.claims("a");
    let stranger = Signer::new(Algorithm::ES256, "k1");
    target.refused(&stranger.sign(&claims), NO_RULE).await;
    for kid in [json!("k1"), json!("stranger"), json!(null)] {
        for (name, value) in [
            ("jwk", stranger.jwk()),
            ("jku", json!(format!("{}/keys", target.other.url))),
            ("x5u", json!(format!("{}/keys", target.other.url))),
            ("x5c", json!([STANDARD.encode(&stranger.public)])),
        ] {
            let header = header(&stranger, json!({ "kid": kid, name: value }));
            target.refused(&stranger.sign_under(&header, &claims), NO_RULE).await;
        }
    }
    assert_eq!(target.other.looks(), 0, "nobody is asked for keys because a text says so");
    target.untouched().await;
    // What is beside the point does no harm.
    let header = header(&target.issuer.signer(), json!({ "jwk": stranger.jwk() }));
    target.taken(&target.issuer.signer().sign_under(&header, &claims)).await;
}

#[tokio::test]
async fn rfc7515_4_1_4_a_kid_is_a_name_among_the_issuers_keys_and_nothing_else() {
    let target = Target::new().await;
    // The other's keys are known here, under a name that the issuer has not.
    target.other.rotate(false);
    target.present("acme/lib", &target.other.token("known", json!({}))).await.expect(200);
    let others = target.other.signer();
    assert_eq!((&*others.kid, target.other.looks()), ("k2", 2));
    let stranger = Signer::new(Algorithm::ES256, "k1");
    let claims = target.claims("a");
    let by_url = format!("{}/keys", target.other.url);
    for kid in [
        "k2",
        &by_url,
        &format!("{by_url}#k2"),
        "../../../../dev/null",
        "/proc/self/environ",
        "k1' or '1'='1",
        "k1'; drop table trust_rules; --",
        "k1 union select 'k2'",
        "k1\u{0}",
        "k1\n",
        "K1",
        "",
        "*",
    ] {
        for signer in [&*others, &stranger, &*target.issuer.signer()] {
            let header = header(signer, json!({ "kid": kid }));
            target.refused(&signer.sign_under(&header, &claims), NO_RULE).await;
        }
    }
    // Nor does it help to be the other, in the name of the issuer's project.
    target.refused(&target.other.token("b", json!({})), NO_RULE).await;
    target.taken(&target.issuer.sign(&claims)).await;
}

#[tokio::test]
async fn rfc8725_3_11_nothing_nested_encrypted_or_critical_is_taken() {
    let target = Target::new().await;
    let (signer, claims) = (target.issuer.signer(), target.claims("a"));
    let signed = |change: Value| target.issuer.sign_with(change, &claims);
    for change in [
        json!({ "cty": "JWT" }),
        json!({ "cty": "jwt" }),
        json!({ "cty": "application/jwt" }),
        json!({ "crit": ["exp"] }),
        json!({ "crit": ["b64"], "b64": true }),
        json!({ "crit": [] }),
        json!({ "crit": "exp", "exp": 1 }),
        json!({ "enc": "A256GCM" }),
        json!({ "zip": "DEF" }),
    ] {
        target.refused(&signed(change), "nested, encrypted or has critical extensions").await;
    }
    // A token in a token, both signed by the issuer (RFC 7519, section 5.2); with a header that says so, and without.
    let inner = target.issuer.sign(&claims);
    let nested = |change: Value, text: &str| signer.sign_text(&header(&signer, change), text);
    target.refused(&nested(json!({ "cty": "JWT" }), &inner), "nested").await;
    target.refused(&nested(json!({}), &inner), "is not a JWT").await;
    target.refused(&nested(json!({}), &json!(inner).to_string()), "is not a JWT").await;
    for typ in ["at+jwt", "logout+jwt", "client-authentication+jwt", ""] {
        target.refused(&signed(json!({ "typ": typ })), "of another type").await;
    }
    target.untouched().await;
    target.taken(&target.issuer.sign_with(json!({ "typ": null, "kid": null }), &claims)).await;
}

#[tokio::test]
async fn rfc7515_5_2_what_was_changed_after_it_was_signed_is_refused() {
    let target = Target::new().await;
    let good = target.issuer.token("a", json!({}));
    let parts: Vec<_> = good.split('.').collect();
    let other = target.issuer.token("b", json!({ "ref": "refs/heads/other" }));
    let others: Vec<_> = other.split('.').collect();
    let huge = "A".repeat(20_000);
    for (token, why) in [
        ([parts[0], others[1], parts[2]].join("."), NO_RULE),
        ([parts[0], parts[1], others[2]].join("."), NO_RULE),
        ([parts[0], parts[1], &URL_SAFE_NO_PAD.encode([0; 64])].join("."), NO_RULE),
        (format!("{good}.x.y"), "is not a JWT"),
        (format!("{good}="), NO_RULE),
        ([parts[0], &huge, parts[2]].join("."), "is longer than"),
    ] {
        target.refused(&token, why).await;
    }
    target.untouched().await;
    target.taken(&good).await;
}
