//! A client proves itself by what it signed (RFC 7521, 7523 and draft-ietf-oauth-rfc7523bis), at every endpoint that
//! authenticates clients; and nothing else that looks like it proves anything.

use crate::forged_id_tokens::forms;
use crate::support::issuer::Issuer;
use crate::support::signer::{Signer, encode, sign_by_secret};
use crate::support::{Reply, START, Server, Wire, World, merge, send};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU64, Ordering};
use time::Duration;
use tokio::task::JoinSet;

/// Whom every assertion is meant for, whichever replica gets it.
pub(crate) const ISSUER: &str = "https://jobpass.example.com";
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

pub(crate) fn named(settings: &mut jobpass::Settings) {
    settings.issuer = Some(ISSUER.to_owned());
}

pub(crate) async fn world() -> World {
    World::on(Server::start_with(named).await).await
}

/// The service of a world, with a key of its own.
struct Client {
    world: World,
    signer: Signer,
}

impl Client {
    async fn new() -> Client {
        Client::on(world().await).await
    }

    async fn on(world: World) -> Client {
        let signer = Signer::new(Algorithm::ES256, "one");
        register(&world, &format!("services/{}", world.service.0), &[&signer]).await;
        Client { world, signer }
    }

    fn id(&self) -> &str {
        &self.world.service.0
    }

    fn claims(&self, change: Value) -> Value {
        claims(&self.world.server, self.id(), change)
    }

    /// A good one but for this merge patch, in which null takes a claim away.
    fn assertion(&self, change: Value) -> String {
        self.signer.sign(&self.claims(change))
    }

    async fn introspect(&self, assertion: &str) -> Reply {
        introspect(&self.world.server, assertion, &[]).await
    }
}

/// What a client says of itself, good for five minutes.
pub(crate) fn claims(server: &Server, client: &str, change: Value) -> Value {
    static MADE: AtomicU64 = AtomicU64::new(0);
    let (now, jti) = (server.clock.now().unix_timestamp(), MADE.fetch_add(1, Ordering::Relaxed).to_string());
    let mut claims = json!({
        "iss": client, "sub": client, "aud": ISSUER, "iat": now, "exp": now + 300, "jti": jti,
    });
    merge(&mut claims, change);
    claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    claims
}

pub(crate) async fn register(world: &World, client: &str, signers: &[&Signer]) {
    let keys: Vec<_> = signers.iter().map(|signer| signer.jwk()).collect();
    put(world, client, json!({ "keys": keys })).await.expect(200);
}

async fn put(world: &World, client: &str, keys: Value) -> Reply {
    let path = format!("/v1/{client}/jwks");
    world.server.call_with("PUT", &path, Some(world.admin()), Some(keys), &[("if-match", "*")]).await
}

pub(crate) async fn post(server: &Server, path: &str, assertion: &str, more: &[(&str, &str)]) -> Reply {
    let form = [("client_assertion_type", JWT_BEARER), ("client_assertion", assertion)];
    let form: Vec<_> = form.iter().chain(more).copied().collect();
    server.form(path, None, &form).await
}

async fn introspect(server: &Server, assertion: &str, more: &[(&str, &str)]) -> Reply {
    let form: Vec<_> = [("token", "x")].iter().chain(more).copied().collect();
    post(server, "/oauth/introspect", assertion, &form).await
}

#[track_caller]
fn refused(reply: Reply, description: &str) {
    let reply = reply.expect(401);
    assert_eq!(reply.json["error"], "invalid_client");
    assert_eq!(reply.json["error_description"], description);
    assert!(reply.header("www-authenticate").starts_with("Basic realm=\"jobpass\""));
    assert_eq!(reply.header("cache-control"), "no-store");
}

/// Whatever is wrong before the signature holds is told alike.
#[track_caller]
fn unproven(reply: Reply) {
    refused(reply, "client authentication is missing, unknown, expired or revoked");
}

#[tokio::test]
async fn rfc7523_2_2_a_service_proves_itself_by_what_it_signed() {
    let client = Client::new().await;
    let token = client.world.token("1").await;
    for algorithm in [Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA, Algorithm::RS256] {
        let signer = Signer::new(algorithm, "this");
        register(&client.world, &format!("services/{}", client.id()), &[&Signer::new(algorithm, "that"), &signer])
            .await;
        let assertion = signer.sign(&client.claims(json!({})));
        let reply = post(&client.world.server, "/oauth/introspect", &assertion, &[("token", &token)]).await.expect(200);
        assert_eq!(reply.json["active"], true, "{algorithm:?}");
    }
}

#[tokio::test]
async fn rfc9864_2_ed25519_has_two_names() {
    let client = Client::new().await;
    let signer = Signer::new(Algorithm::EdDSA, "one");
    for name in ["Ed25519", "EdDSA"] {
        let mut jwk = signer.jwk();
        jwk["alg"] = json!(name);
        put(&client.world, &format!("services/{}", client.id()), json!({ "keys": [jwk] })).await.expect(200);
        let assertion = signer.sign_under(&json!({ "alg": name, "kid": "one" }), &client.claims(json!({})));
        client.introspect(&assertion).await.expect(200);
    }
}

#[tokio::test]
async fn rfc7523_2_2_a_runner_proves_itself_by_what_it_signed() {
    let world = world().await;
    let signer = Signer::new(Algorithm::EdDSA, "one");
    register(&world, &format!("runners/{}", world.runner_id), &[&signer]).await;
    let assertion = || signer.sign(&claims(&world.server, &world.runner_id, json!({})));
    let token = world.token("1").await;
    let exchange = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("subject_token", token.as_str()),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:access_token"),
    ];
    post(&world.server, "/oauth/token", &assertion(), &exchange).await.expect(200);
    post(&world.server, "/oauth/revoke", &assertion(), &[("token", &token)]).await.expect(200);
    assert!(!world.is_active(&token).await);
    // It is a runner, and no service.
    unproven(post(&world.server, "/oauth/introspect", &assertion(), &[("token", &token)]).await);
}

#[tokio::test]
async fn rfc7523_3_a_service_revokes_nothing_and_proves_itself_first() {
    let client = Client::new().await;
    let server = &client.world.server;
    let reply = post(server, "/oauth/revoke", &client.assertion(json!({})), &[("token", "x")]).await.expect(400);
    assert_eq!(reply.json["error"], "unauthorized_client");
    unproven(
        post(server, "/oauth/revoke", &Signer::new(Algorithm::ES256, "one").sign(&client.claims(json!({}))), &[]).await,
    );
}

#[tokio::test]
async fn rfc7521_4_2_both_parameters_are_required() {
    let client = Client::new().await;
    let server = &client.world.server;
    let assertion = client.assertion(json!({}));
    for half in [("client_assertion", assertion.as_str()), ("client_assertion_type", JWT_BEARER)] {
        let reply = server.form("/oauth/introspect", None, &[("token", "x"), half]).await.expect(400);
        assert_eq!(reply.json["error"], "invalid_request");
    }
    let saml = "urn:ietf:params:oauth:client-assertion-type:saml2-bearer";
    let form = [("token", "x"), ("client_assertion", assertion.as_str()), ("client_assertion_type", saml)];
    unproven(server.form("/oauth/introspect", None, &form).await);
    // None of them used it up.
    client.introspect(&assertion).await.expect(200);
}

#[tokio::test]
async fn rfc7521_4_2_client_id_names_the_same_client() {
    let client = Client::new().await;
    let server = &client.world.server;
    let assertion = client.assertion(json!({}));
    for other in ["another", client.world.runner_id.as_str(), &client.id().to_uppercase()] {
        let reply = introspect(server, &assertion, &[("client_id", other)]).await.expect(400);
        assert_eq!(reply.json["error"], "invalid_request");
    }
    introspect(server, &assertion, &[("client_id", client.id())]).await.expect(200);
}

#[tokio::test]
async fn rfc6749_2_3_an_assertion_stands_beside_no_other_method() {
    let client = Client::new().await;
    let server = &client.world.server;
    let (id, secret) = &client.world.service;
    let assertion = client.assertion(json!({}));
    let form = [("token", "x"), ("client_assertion_type", JWT_BEARER), ("client_assertion", &assertion)];
    let url = format!("{}/oauth/introspect", server.url);
    for reply in [
        introspect(server, &assertion, &[("client_id", id), ("client_secret", secret)]).await,
        server.form("/oauth/introspect", Some((id, secret)), &form).await,
        send(server.http.post(url).bearer_auth(secret).form(&form)).await,
    ] {
        assert_eq!(reply.expect(400).json["error"], "invalid_request");
    }
    client.introspect(&assertion).await.expect(200);
}

#[tokio::test]
async fn rfc7523_3_an_assertion_without_a_claim_is_refused() {
    let client = Client::new().await;
    for name in ["aud", "exp", "jti"] {
        refused(
            client.introspect(&client.assertion(json!({ name: null }))).await,
            &format!("the assertion has no `{name}`, or one of another type"),
        );
        refused(
            client.introspect(&client.assertion(json!({ name: {} }))).await,
            &format!("the assertion has no `{name}`, or one of another type"),
        );
    }
    refused(
        client.introspect(&client.assertion(json!({ "iss": null }))).await,
        "the assertion has no `iss`, or one of another type",
    );
    unproven(client.introspect(&client.assertion(json!({ "sub": null }))).await);
    refused(
        client.introspect(&client.assertion(json!({ "jti": "" }))).await,
        "the assertion has no `jti`, or one of another type",
    );
}

#[tokio::test]
async fn rfc7523_3_issuer_and_subject_are_the_client() {
    let client = Client::new().await;
    let other = client.world.server.post("/v1/services", client.world.admin(), json!({ "name": "other" })).await;
    let other = other.expect(201).text_at("/client_id");
    let hyphenated = uuid::Uuid::parse_str(client.id()).unwrap().to_string();
    for iss in [other.as_str(), &hyphenated, "https://ci.example.com", "", &client.id().to_uppercase()] {
        refused(
            client.introspect(&client.assertion(json!({ "iss": iss }))).await,
            "the assertion is of another issuer",
        );
    }
    for sub in [
        other.as_str(),
        &hyphenated,
        "https://ci.example.com",
        "",
        &client.id().to_uppercase(),
        "0".repeat(32).as_str(),
    ] {
        unproven(client.introspect(&client.assertion(json!({ "sub": sub }))).await);
        unproven(client.introspect(&client.assertion(json!({ "sub": sub, "iss": sub }))).await);
    }
}

#[tokio::test]
async fn rfc7523bis_4_the_audience_is_the_issuer_alone() {
    let client = Client::new().await;
    let (url, here) = (ISSUER, &client.world.server.url);
    client.introspect(&client.assertion(json!({ "aud": [url] }))).await.expect(200);
    for aud in [
        json!(format!("{url}/oauth/introspect")),
        json!(format!("{url}/oauth/token")),
        json!(format!("{url}/")),
        json!(here),
        json!([url, "https://other.example.com"]),
        json!([url, url]),
        json!([]),
        json!(""),
        json!([[url]]),
    ] {
        refused(
            client.introspect(&client.assertion(json!({ "aud": aud }))).await,
            "the assertion is not meant for this issuer",
        );
    }
}

#[tokio::test]
async fn rfc7523_3_an_assertion_has_its_time() {
    let client = Client::new().await;
    let now = START.unix_timestamp();
    let expired = "the assertion has expired";
    let early = "the assertion is not valid yet";
    let long = "the assertion lives too long";
    for (change, why) in [
        (json!({ "exp": now - 60 }), expired),
        (json!({ "exp": now - 3600, "iat": now - 3700 }), expired),
        (json!({ "exp": 0 }), expired),
        (json!({ "nbf": now + 61 }), early),
        (json!({ "iat": now + 61 }), early),
        (json!({ "exp": now + 3601 }), long),
        (json!({ "exp": now + 3601, "iat": null }), long),
        (json!({ "exp": now + 60, "iat": now - 3600 }), long),
        (json!({ "exp": now + 3_000_000_000 }), long),
        (json!({ "exp": 253_402_300_799_i64 }), "the assertion has no `exp`, or one of another type"),
        (json!({ "nbf": -377_705_116_800_i64 }), "the assertion has no `nbf`, or one of another type"),
    ] {
        refused(client.introspect(&client.assertion(change)).await, why);
    }
    // The clocks of others differ from ours by a minute at most.
    for change in [
        json!({ "exp": now - 59 }),
        json!({ "nbf": now + 60 }),
        json!({ "iat": now + 60 }),
        json!({ "exp": now + 3600 }),
    ] {
        client.introspect(&client.assertion(change)).await.expect(200);
    }
}

#[tokio::test]
async fn rfc7523_3_an_assertion_proves_once() {
    let client = Client::new().await;
    let assertion = client.assertion(json!({}));
    client.introspect(&assertion).await.expect(200);
    refused(client.introspect(&assertion).await, "the assertion was used before");
    let replica = Server::beside_with(&client.world.server, named).await;
    refused(introspect(&replica, &assertion, &[]).await, "the assertion was used before");
    // It is the `jti` that counts, whatever else is signed with it, for as long as it could be taken.
    let now = START.unix_timestamp();
    client.introspect(&client.assertion(json!({ "jti": "same", "exp": now + 60 }))).await.expect(200);
    client.world.server.clock.advance(Duration::seconds(119));
    let longer = client.assertion(json!({ "jti": "same", "exp": now + 900 }));
    refused(client.introspect(&longer).await, "the assertion was used before");
    client.introspect(&client.assertion(json!({ "jti": "Same" }))).await.expect(200);
}

#[tokio::test]
async fn rfc7523_3_a_jti_is_its_issuers_own() {
    let client = Client::new().await;
    let world = &client.world;
    register(world, &format!("runners/{}", world.runner_id), &[&client.signer]).await;
    client.introspect(&client.assertion(json!({ "jti": "same" }))).await.expect(200);
    let theirs = client.signer.sign(&claims(&world.server, &world.runner_id, json!({ "jti": "same" })));
    post(&world.server, "/oauth/revoke", &theirs, &[("token", "x")]).await.expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rfc7523_3_of_many_at_once_one_is_proven() {
    let client = Client::new().await;
    let replica = Server::beside_with(&client.world.server, named).await;
    for _ in 0..5 {
        let assertion = client.assertion(json!({}));
        let both = [&client.world.server, &replica];
        let mut calls = JoinSet::new();
        for server in both.into_iter().cycle().take(8) {
            let form = [("token", "x"), ("client_assertion_type", JWT_BEARER), ("client_assertion", &assertion)];
            calls.spawn(send(server.http.post(format!("{}/oauth/introspect", server.url)).form(&form)));
        }
        let statuses: Vec<_> = calls.join_all().await.into_iter().map(|reply| reply.status).collect();
        assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
        assert_eq!(statuses.iter().filter(|status| **status == 401).count(), 7, "{statuses:?}");
    }
}

#[tokio::test]
async fn rfc7523_3_what_cannot_be_recorded_proves_nothing() {
    let (server, wire) = Wire::before_a_server_with(named).await;
    let client = Client::on(World::on(server).await).await;
    wire.cut().await;
    let reply = client.introspect(&client.assertion(json!({}))).await.expect(503);
    assert_eq!(reply.json["error"], "temporarily_unavailable");
}

#[tokio::test]
async fn rfc8725_2_1_neither_none_nor_a_public_key_as_secret() {
    let client = Client::new().await;
    let rsa = Signer::new(Algorithm::RS256, "rsa");
    register(&client.world, &format!("services/{}", client.id()), &[&client.signer, &rsa]).await;
    let claims = client.claims(json!({}));
    for alg in ["none", "None", "NONE", ""] {
        for kid in [json!("one"), json!(null)] {
            let message = encode(&json!({ "alg": alg, "kid": kid }), &claims);
            unproven(client.introspect(&format!("{message}.")).await);
            unproven(client.introspect(&format!("{message}.AAAA")).await);
        }
    }
    for secret in forms(&rsa).into_iter().chain([client.world.service.1.clone().into_bytes()]) {
        for alg in ["HS256", "RS256"] {
            let header = json!({ "alg": alg, "kid": "rsa" });
            unproven(client.introspect(&sign_by_secret(&secret, &header, &claims)).await);
        }
    }
    // A key is for its own algorithm.
    for alg in ["RS512", "PS256", "ES256", "rs256"] {
        unproven(client.introspect(&rsa.sign_under(&json!({ "alg": alg, "kid": "rsa" }), &claims)).await);
    }
    client.introspect(&rsa.sign(&claims)).await.expect(200);
}

#[tokio::test]
async fn rfc7515_4_1_no_key_but_the_registered() {
    // A place of keys that the server could reach, and where the stranger's lies.
    let elsewhere = Issuer::start().await;
    let settings = |settings: &mut jobpass::Settings| {
        elsewhere.set(settings);
        named(settings);
    };
    let client = Client::on(World::on(Server::start_with(settings).await).await).await;
    let claims = client.claims(json!({}));
    let stranger = Signer::new(Algorithm::ES256, "one");
    elsewhere.publish(stranger.jwk());
    unproven(client.introspect(&stranger.sign(&claims)).await);
    for (name, value) in [
        ("jwk", stranger.jwk()),
        ("jku", json!(format!("{}/keys", elsewhere.url))),
        ("x5u", json!(format!("{}/keys", elsewhere.url))),
        ("x5c", json!([STANDARD.encode(&stranger.public)])),
    ] {
        let header = json!({ "alg": "ES256", "kid": "one", name: value });
        unproven(client.introspect(&stranger.sign_under(&header, &claims)).await);
    }
    assert_eq!(elsewhere.looks(), 0, "nobody is asked for keys because a text says so");
    for kid in ["two", "", "../../../../dev/null", "one' or '1'='1", "one\u{0}", "one|id", "ONE"] {
        let header = json!({ "alg": "ES256", "kid": kid });
        unproven(client.introspect(&client.signer.sign_under(&header, &claims)).await);
    }
    // The key of another client is not this one's.
    let world = &client.world;
    register(world, &format!("runners/{}", world.runner_id), &[&stranger]).await;
    unproven(client.introspect(&stranger.sign(&claims)).await);
    // Without a name the only key that fits counts.
    client.introspect(&client.signer.sign_under(&json!({ "alg": "ES256" }), &claims)).await.expect(200);
    let second = Signer::new(Algorithm::ES256, "two");
    register(world, &format!("services/{}", client.id()), &[&client.signer, &second]).await;
    let unnamed = client.signer.sign_under(&json!({ "alg": "ES256" }), &client.claims(json!({})));
    unproven(client.introspect(&unnamed).await);
}

#[tokio::test]
async fn rfc8725_3_11_nothing_huge_nested_encrypted_or_malformed() {
    let client = Client::new().await;
    let good = client.assertion(json!({}));
    let huge = client.assertion(json!({ "more": "a".repeat(16 * 1024) }));
    let deep = format!("{}.{}.AAAA", "[".repeat(6000), "[".repeat(6000));
    let nested =
        client.signer.sign_under(&json!({ "alg": "ES256", "kid": "one", "cty": "JWT" }), &client.claims(json!({})));
    let critical =
        client.signer.sign_under(&json!({ "alg": "ES256", "kid": "one", "crit": ["exp"] }), &client.claims(json!({})));
    let (message, signature) = good.rsplit_once('.').unwrap();
    for text in [
        huge.as_str(),
        &deep,
        &nested,
        &critical,
        "x",
        "...",
        "a.b.c.d.e",
        &good.replace('.', "%2E"),
        &format!("{good}="),
        &format!(" {good}"),
        &format!("{message}."),
        &format!("{message}.{signature}.{signature}"),
        &format!("{message}.{}", signature.chars().rev().collect::<String>()),
        client.world.service.1.as_str(),
        "\u{0}",
    ] {
        unproven(client.introspect(text).await);
    }
    client.introspect(&good).await.expect(200);
}

#[tokio::test]
async fn rfc7523_3_a_key_that_is_taken_away_proves_nothing() {
    let client = Client::new().await;
    let world = &client.world;
    let next = Signer::new(Algorithm::ES256, "two");
    let path = format!("services/{}", client.id());
    register(world, &path, &[&client.signer, &next]).await;
    client.introspect(&client.assertion(json!({}))).await.expect(200);
    client.introspect(&next.sign(&client.claims(json!({})))).await.expect(200);
    register(world, &path, &[&next]).await;
    unproven(client.introspect(&client.assertion(json!({}))).await);
    client.introspect(&next.sign(&client.claims(json!({})))).await.expect(200);
    world.server.delete(&format!("/v1/{path}/jwks"), world.admin()).await.expect(204);
    unproven(client.introspect(&next.sign(&client.claims(json!({})))).await);
    // The secret is another way, and goes on.
    assert!(!world.is_active("x").await);
}

#[tokio::test]
async fn rfc7523_3_a_paused_or_deleted_client_proves_nothing() {
    let client = Client::new().await;
    let (server, admin) = (&client.world.server, client.world.admin());
    let path = format!("/v1/services/{}", client.id());
    server.patch(&path, admin, json!({ "paused": true })).await.expect(200);
    let assertion = client.assertion(json!({}));
    unproven(client.introspect(&assertion).await);
    server.patch(&path, admin, json!({ "paused": false })).await.expect(200);
    client.introspect(&assertion).await.expect(200);
    server.delete(&path, admin).await.expect(204);
    unproven(client.introspect(&client.assertion(json!({}))).await);
}

#[tokio::test]
async fn rfc7523_3_2_the_client_is_proven_before_anything_else_is_looked_at() {
    let client = Client::new().await;
    let server = &client.world.server;
    let forged = Signer::new(Algorithm::ES256, "one").sign(&client.claims(json!({})));
    for path in ["/oauth/introspect", "/oauth/revoke", "/oauth/token"] {
        unproven(post(server, path, &forged, &[]).await);
    }
    let reply = post(server, "/oauth/introspect", &client.assertion(json!({})), &[]).await.expect(400);
    assert_eq!(reply.json["error_description"], "token is missing");
}
