//! ID tokens: a job token in, and out comes what a cloud or a vault outside takes instead of a stored secret.

use crate::support::{Reply, Server, World};
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{DecodingKey, Validation, decode, decode_header};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use time::Duration;

const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";
const VAULT: &str = "https://vault.example";

async fn exchange(world: &World, subject: &str, more: &[(&str, &str)]) -> Reply {
    let required = [
        ("grant_type", EXCHANGE),
        ("subject_token", subject),
        ("subject_token_type", ACCESS_TOKEN),
        ("requested_token_type", ID_TOKEN),
    ];
    let form: Vec<_> = required.iter().chain(more).copied().collect();
    world.server.form("/oauth/token", None, &form).await
}

/// An ID token for the vault.
pub(crate) async fn id_token(world: &World, subject: &str, more: &[(&str, &str)]) -> String {
    let more: Vec<_> = [("audience", VAULT)].iter().chain(more).copied().collect();
    exchange(world, subject, &more).await.expect(200).text_at("/access_token")
}

/// As a reader with this key set verifies it, by another library; answers the claims. Times are the test's.
pub(crate) fn verify(token: &str, keys: &Value) -> Value {
    let keys: JwkSet = serde_json::from_value(keys.clone()).unwrap();
    let head = decode_header(token).unwrap();
    let key = keys.find(head.kid.as_ref().unwrap()).expect("the key is in the set");
    assert_eq!(key.common.key_algorithm.unwrap().to_string(), format!("{:?}", head.alg));
    let mut rules = Validation::new(head.alg);
    rules.validate_exp = false;
    rules.validate_aud = false;
    decode::<Value>(token, &DecodingKey::from_jwk(key).unwrap(), &rules).unwrap().claims
}

async fn key_set(server: &Server) -> Value {
    server.call("GET", "/oauth/jwks", None, None).await.expect(200).json
}

async fn claims(world: &World, subject: &str, more: &[(&str, &str)]) -> Value {
    verify(&id_token(world, subject, more).await, &key_set(&world.server).await)
}

#[track_caller]
fn assert_error(reply: Reply, error: &str) {
    let reply = reply.expect(400);
    assert_eq!(reply.json["error"], json!(error), "{}", reply.text);
}

fn token_of(minted: &Value) -> String {
    minted["token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn rfc8693_2_2_1_a_job_token_is_exchanged_for_an_id_token() {
    let world = World::new().await;
    let subject = world.token("1").await;
    let reply = exchange(&world, &subject, &[("audience", "sts.amazonaws.com")]).await.expect(200);
    let token = reply.text_at("/access_token");
    let expected =
        json!({ "access_token": token, "issued_token_type": ID_TOKEN, "token_type": "N_A", "expires_in": 600 });
    assert_eq!(reply.json, expected);
    assert_eq!((reply.header("cache-control"), reply.header("pragma")), ("no-store", "no-cache"));
}

#[tokio::test]
async fn oidc_core_2_an_id_token_in_full() {
    let world = World::new().await;
    let change = json!({ "pipeline": { "actor": "developer" }, "job": { "environment": "prod" } });
    let minted = world.mint("4711", change).await;
    let group = world.server.get("/v1/groups/acme", world.admin()).await.expect(200).text_at("/id");
    let mut told = claims(&world, &token_of(&minted), &[]).await;
    assert!(told.as_object_mut().unwrap().remove("jti").unwrap().is_string());
    let now = world.server.clock.now().unix_timestamp();
    let project = minted["project_id"].as_str().unwrap();
    let expected = json!({
        "iss": world.server.url, "aud": VAULT, "iat": now, "nbf": now - 5, "exp": now + 600,
        "sub": format!("project:{project}:ref_type:branch:ref:main:environment:prod"),
        "project_id": project, "project_path": "acme/web", "namespace_id": group, "namespace_path": "acme",
        "ref": "main", "ref_type": "branch", "ref_protected": "true", "sha": "a".repeat(40), "environment": "prod",
        "trigger": "push", "from_fork": "false",
        "pipeline_id": minted["pipeline_id"], "pipeline_key": "4711",
        "job_id": minted["job_id"], "job_key": "4711/build", "job_name": "build", "job_token_id": minted["id"],
        "runner_id": world.runner_id, "minted_by": "instance", "actor": "developer",
    });
    assert_eq!(told, expected);
}

#[tokio::test]
async fn rfc7518_3_1_each_algorithm_on_request() {
    let world = World::new().await;
    let subject = world.token("1").await;
    let keys = key_set(&world.server).await;
    for (asked, used) in [
        (&[][..], "RS256"),
        (&[("id_token_signed_response_alg", "ES256")][..], "ES256"),
        (&[("id_token_signed_response_alg", "EdDSA")][..], "EdDSA"),
    ] {
        let token = id_token(&world, &subject, asked).await;
        verify(&token, &keys);
        let head = decode_header(&token).unwrap();
        assert_eq!((format!("{:?}", head.alg).as_str(), head.typ.as_deref()), (used, Some("JWT")));
    }
    for bad in ["none", "HS256", "rs256"] {
        let more = [("audience", VAULT), ("id_token_signed_response_alg", bad)];
        assert_error(exchange(&world, &subject, &more).await, "invalid_request");
    }
}

#[tokio::test]
async fn rfc7519_4_1_3_an_id_token_names_whom_it_is_for() {
    let world = World::new().await;
    let subject = world.token("1").await;
    assert_error(exchange(&world, &subject, &[]).await, "invalid_request");
    assert_error(exchange(&world, &subject, &[("audience", "")]).await, "invalid_request");
    let resource = ("resource", "https://vault.example/v1");
    let both = claims(&world, &subject, &[resource]).await;
    assert_eq!(both["aud"], json!([VAULT, "https://vault.example/v1"]));
    let one = exchange(&world, &subject, &[resource]).await.expect(200).text_at("/access_token");
    assert_eq!(verify(&one, &key_set(&world.server).await)["aud"], "https://vault.example/v1");
    let long = "x".repeat(256);
    for bad in [("audience", "a\nb"), ("audience", &long), ("resource", "vault"), ("resource", "https://v.example/#f")]
    {
        assert_error(exchange(&world, &subject, &[bad]).await, "invalid_target");
    }
    assert_error(exchange(&world, &subject, &[("audience", VAULT), ("audience", "second")]).await, "invalid_target");
    // Nobody here may take one of our own for a foreign one.
    assert_error(exchange(&world, &subject, &[("audience", &world.server.url)]).await, "invalid_target");
}

#[tokio::test]
async fn an_id_token_ends_with_the_job_token() {
    let world = World::new().await;
    let minted = world.mint("1", json!({ "job": { "timeout_secs": 60 } })).await;
    let told = claims(&world, &token_of(&minted), &[]).await;
    // A minute, and the grace of five.
    assert_eq!(told["exp"], world.server.clock.now().unix_timestamp() + 360);
    world.server.clock.advance(Duration::seconds(359));
    let told = claims(&world, &token_of(&minted), &[]).await;
    assert_eq!(told["exp"], world.server.clock.now().unix_timestamp() + 1);
}

#[tokio::test]
async fn a_fork_never_looks_like_the_project() {
    let world = World::new().await;
    let fork = json!({ "pipeline": { "from_fork": true, "fork_source": "mallory/web" } });
    let told = claims(&world, &token_of(&world.mint("1", fork).await), &[]).await;
    let own = claims(&world, &world.token("2").await, &[]).await;
    assert!(own["sub"].as_str().unwrap().starts_with("project:"));
    assert_eq!(told["sub"], format!("fork:{}", own["sub"].as_str().unwrap()));
    assert_eq!((&told["from_fork"], &told["ref_protected"]), (&json!("true"), &json!("false")));
    assert_eq!(told["fork_source"], "mallory/web");
}

#[tokio::test]
async fn a_name_cannot_forge_a_subject() {
    let world = World::new().await;
    let change = json!({ "pipeline": { "ref": "x:environment:prod" } });
    let told = claims(&world, &token_of(&world.mint("1", change).await), &[]).await;
    assert!(told["sub"].as_str().unwrap().ends_with(":ref:x%3Aenvironment%3Aprod"), "{}", told["sub"]);
    assert_eq!(told["ref"], "x:environment:prod");
}

#[tokio::test]
async fn a_token_that_was_made_to_open_less_gets_none() {
    let world = World::new().await;
    let capped = token_of(&world.mint("1", json!({ "permissions": ["packages:read"] })).await);
    let whole = world.token("2").await;
    let narrowed = world.server.post("/v1/job-tokens/narrow", &whole, json!({})).await.expect(201).text_at("/token");
    let details = json!({ "authorization_details":
        [{ "type": "jobpass_project", "project": "acme/lib", "permissions": ["packages:read"] }] });
    let confined = world.server.post("/v1/job-tokens/narrow", &whole, details).await.expect(201).text_at("/token");
    for token in [capped, narrowed, confined] {
        let reply = exchange(&world, &token, &[("audience", VAULT)]).await;
        assert_error(reply, "invalid_request");
    }
    for more in [("scope", "packages:read"), ("authorization_details", "[]")] {
        assert_error(exchange(&world, &whole, &[("audience", VAULT), more]).await, "invalid_scope");
    }
}

#[tokio::test]
async fn rfc8707_2_a_token_for_some_gets_id_tokens_for_these_alone() {
    let world = World::new().await;
    let token = token_of(&world.mint("1", json!({ "audience": [VAULT] })).await);
    assert_eq!(claims(&world, &token, &[]).await["aud"], VAULT);
    assert_error(exchange(&world, &token, &[("audience", "https://other.example")]).await, "invalid_target");
    let both = [("audience", VAULT), ("resource", "https://other.example")];
    assert_error(exchange(&world, &token, &both).await, "invalid_target");
}

#[tokio::test]
async fn rfc8693_2_2_2_a_dead_token_gets_none() {
    let world = World::new().await;
    let minted = world.mint("1", json!({})).await;
    let path = format!("/v1/jobs/{}/finish", minted["job_id"].as_str().unwrap());
    world.server.post(&path, &world.runner, json!({})).await.expect(200);
    for subject in [token_of(&minted).as_str(), "jpj_none", &world.runner, world.person("owner"), ""] {
        assert_error(exchange(&world, subject, &[("audience", VAULT)]).await, "invalid_request");
    }
}

#[tokio::test]
async fn rfc9700_2_an_id_token_opens_nothing_here() {
    let world = World::new().await;
    world.grant(&["packages:read"], json!({})).await;
    let token = id_token(&world, &world.token("1").await, &[]).await;
    assert!(!world.is_active(&token).await);
    let asked = world.authorize(&token, &["packages:read"], json!({})).await.expect(200).json;
    assert_eq!((&asked["allowed"], &asked["reason"]), (&json!(false), &json!("unknown")));
    world.server.get("/v1/job-tokens/self", &token).await.expect(401);
    assert_error(exchange(&world, &token, &[("audience", VAULT)]).await, "invalid_request");
}

#[tokio::test]
async fn each_is_audited_on_the_project_without_its_text() {
    let world = World::new().await;
    let minted = world.mint("1", json!({})).await;
    let token = id_token(&world, &token_of(&minted), &[]).await;
    let jti = verify(&token, &key_set(&world.server).await)["jti"].clone();
    let events = world.server.get("/v1/audit-events?project=acme%2Fweb", world.person("owner")).await.expect(200);
    let mut events_of = events.json["items"].as_array().unwrap().iter();
    let event = events_of.rfind(|event| event["action"] == "id_token.issued").unwrap();
    assert_eq!(event["subject_id"], jti);
    assert_eq!((&event["actor_kind"], &event["actor_id"]), (&json!("job_token"), &minted["id"]));
    assert_eq!(event["after"]["audience"], json!([VAULT]));
    let signature = token.rsplit('.').next().unwrap();
    assert!(!events.text.contains(signature));
}

// ── discovery ────────────────────────────────────────────────────────────────────────────────────────

const CONFIGURATION: &str = "/.well-known/openid-configuration";

#[tokio::test]
async fn oidc_discovery_3_the_configuration_in_full() {
    let server = Server::start().await;
    let reply = server.call("GET", CONFIGURATION, None, None).await.expect(200);
    assert_eq!(
        (reply.header("content-type"), reply.header("cache-control")),
        ("application/json", "public, max-age=300")
    );
    assert!(reply.header("etag").starts_with('"'));
    let told = reply.json;
    assert_eq!(told["issuer"], server.url);
    assert_eq!(told["jwks_uri"], format!("{}/oauth/jwks", server.url));
    assert_eq!(told["authorization_endpoint"], format!("{}/oauth/authorize", server.url));
    assert_eq!(told["subject_types_supported"], json!(["public"]));
    assert_eq!(told["id_token_signing_alg_values_supported"], json!(["RS256", "ES256", "EdDSA"]));
    // All that RFC 8414 tells is told here, too.
    let metadata = server.call("GET", "/.well-known/oauth-authorization-server", None, None).await.expect(200).json;
    for (name, value) in metadata.as_object().unwrap() {
        assert_eq!(&told[name], value, "{name}");
    }
}

#[tokio::test]
async fn oidc_discovery_3_claims_supported_are_those_that_there_are() {
    let world = World::new().await;
    let fork = json!({
        "pipeline": { "from_fork": true, "fork_source": "m/w", "actor": "nobody" }, "job": { "environment": "dev" },
    });
    let vouched = json!({ "pipeline": { "actor": "developer" } });
    let mut seen = BTreeSet::new();
    for (key, change) in [("1", fork), ("2", vouched)] {
        let told = claims(&world, &token_of(&world.mint(key, change).await), &[]).await;
        seen.extend(told.as_object().unwrap().keys().cloned());
    }
    let told = world.server.call("GET", CONFIGURATION, None, None).await.expect(200).json;
    let listed: BTreeSet<_> =
        told["claims_supported"].as_array().unwrap().iter().map(|one| one.as_str().unwrap().to_owned()).collect();
    // In the place of `runner_id`, where a trust rule minted.
    seen.insert("trust_rule_id".to_owned());
    assert_eq!(listed, seen);
}

#[tokio::test]
async fn rfc6749_4_1_2_1_nobody_signs_in() {
    let server = Server::start().await;
    let reply = server.call("GET", "/oauth/authorize?response_type=code&client_id=x", None, None).await.expect(400);
    assert_eq!(reply.json["error"], "unsupported_response_type");
}

#[tokio::test]
async fn rfc8414_3_1_the_path_of_an_issuer_comes_last() {
    let issuer = "https://ci.example.com/jobpass/eu";
    let server = Server::start_with(|settings| settings.issuer = Some(issuer.to_owned())).await;
    let path = "/.well-known/oauth-authorization-server";
    let told = server.call("GET", &format!("{path}/jobpass/eu"), None, None).await.expect(200).json;
    assert_eq!(told["issuer"], issuer);
    for other in ["/jobpass", "/jobpass/eu/", "/jobpass/us", "/"] {
        server.call("GET", &format!("{path}{other}"), None, None).await.refused(404, "not_found");
    }
    // As a proxy that takes the path away would ask.
    assert_eq!(server.call("GET", CONFIGURATION, None, None).await.expect(200).json["issuer"], issuer);
}
