//! How a client proves itself at the OAuth endpoints (RFC 6749, section 2.3), shown at introspection.

use crate::support::{Reply, World, send};
use base64::Engine as _;
use serde_json::json;
use std::fmt::Write as _;

/// The value of an `Authorization` header as `curl -u` makes it: nothing is encoded before base64.
fn basic(pair: &str) -> String {
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
}

/// Every byte as `%XX`: more than any client library does.
fn percent_encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        write!(out, "%{byte:02X}").unwrap();
        out
    })
}

/// An introspection of `x` with these values of `Authorization`.
async fn introspect(world: &World, authorization: &[&str], more: &[(&str, &str)]) -> Reply {
    let form: Vec<_> = [("token", "x")].iter().chain(more).copied().collect();
    let request = world.server.http.post(format!("{}/oauth/introspect", world.server.url)).form(&form);
    send(authorization.iter().fold(request, |request, value| request.header("authorization", *value))).await
}

fn assert_invalid_client(reply: Reply, scheme: &str) {
    let reply = reply.expect(401);
    assert_eq!(reply.json["error"], "invalid_client");
    let challenge = reply.header("www-authenticate");
    assert!(challenge.starts_with(&format!("{scheme} realm=\"jobpass\"")), "{challenge}");
}

#[tokio::test]
async fn rfc6749_2_3_1_basic_is_form_decoded() {
    let world = World::new().await;
    let (id, secret) = &world.service;
    let encoded = basic(&format!("{}:{}", percent_encoded(id), percent_encoded(secret)));
    introspect(&world, &[&encoded], &[]).await.expect(200);
}

#[tokio::test]
async fn rfc6749_2_3_1_basic_may_come_unencoded() {
    let world = World::new().await;
    let (id, secret) = &world.service;
    introspect(&world, &[&basic(&format!("{id}:{secret}"))], &[]).await.expect(200);
    let needs_no_encoding = |c: char| c.is_ascii_alphanumeric() || c == '_';
    assert!(id.chars().chain(secret.chars()).all(needs_no_encoding), "{id} {secret}");
}

#[tokio::test]
async fn rfc7617_2_basic_is_split_at_the_first_colon() {
    let world = World::new().await;
    let (id, secret) = &world.service;
    for pair in [format!("{id}:{secret}:x"), format!(":{id}:{secret}"), format!("{id}%3A{secret}")] {
        assert_invalid_client(introspect(&world, &[&basic(&pair)], &[]).await, "Basic");
    }
}

#[tokio::test]
async fn rfc6749_2_3_1_credentials_may_stand_in_the_body() {
    let world = World::new().await;
    let (id, secret) = &world.service;
    introspect(&world, &[], &[("client_id", id), ("client_secret", secret)]).await.expect(200);
}

#[tokio::test]
async fn rfc6749_2_3_1_a_body_secret_needs_its_client_id() {
    let world = World::new().await;
    let reply = introspect(&world, &[], &[("client_secret", &world.service.1)]).await.expect(400);
    assert_eq!(reply.json["error"], "invalid_request");
}

#[tokio::test]
async fn rfc6749_3_2_1_the_same_client_id_beside_basic_is_tolerated() {
    let world = World::new().await;
    let (id, secret) = &world.service;
    let header = basic(&format!("{id}:{secret}"));
    introspect(&world, &[&header], &[("client_id", id)]).await.expect(200);
    let other = introspect(&world, &[&header], &[("client_id", "another")]).await.expect(400);
    assert_eq!(other.json["error"], "invalid_request");
}

#[tokio::test]
async fn rfc6749_2_3_1_credentials_in_the_query_are_refused() {
    let world = World::new().await;
    let (id, secret) = &world.service;
    let path = format!("/oauth/introspect?client_id={id}&client_secret={secret}");
    let reply = world.server.form(&path, None, &[("token", "x")]).await.expect(400);
    assert_eq!(reply.json["error"], "invalid_request");
}

#[tokio::test]
async fn rfc6749_2_3_two_methods_in_one_request_are_refused() {
    let world = World::new().await;
    let (id, secret) = &world.service;
    let by_basic = basic(&format!("{id}:{secret}"));
    let by_bearer = format!("Bearer {secret}");
    let in_body = [("client_id", id.as_str()), ("client_secret", secret.as_str())];
    for reply in [
        introspect(&world, &[&by_basic], &in_body).await,
        introspect(&world, &[&by_bearer], &in_body).await,
        introspect(&world, &[&by_basic, &by_bearer], &[]).await,
        introspect(&world, &[&by_basic, &by_basic], &[]).await,
    ] {
        assert_eq!(reply.expect(400).json["error"], "invalid_request");
    }
}

#[tokio::test]
async fn rfc6749_5_2_failed_basic_is_challenged() {
    let world = World::new().await;
    let (id, secret) = &world.service;
    let hyphenated = uuid::Uuid::parse_str(id).unwrap().to_string();
    for pair in [
        format!("{id}:wrong"),
        format!("{id}:"),
        format!("unknown:{secret}"),
        format!("{hyphenated}:{secret}"),
        format!("{}:{secret}", "0".repeat(32)),
        format!("{id}:{}", world.runner),
        id.clone(),
    ] {
        assert_invalid_client(introspect(&world, &[&basic(&pair)], &[]).await, "Basic");
    }
    for value in ["Basic", "Basic !!!", "Digest x", "Negotiate"] {
        assert_invalid_client(introspect(&world, &[value], &[]).await, "Basic");
    }
}

#[tokio::test]
async fn rfc6749_5_2_failed_body_credentials_are_challenged() {
    let world = World::new().await;
    let (id, _) = &world.service;
    assert_invalid_client(introspect(&world, &[], &[("client_id", id), ("client_secret", "wrong")]).await, "Basic");
    assert_invalid_client(introspect(&world, &[], &[("client_id", id)]).await, "Basic");
}

#[tokio::test]
async fn rfc6749_5_2_the_secret_of_another_client_is_invalid_client() {
    let world = World::new().await;
    let other = world.server.post("/v1/services", world.admin(), json!({ "name": "other" })).await.expect(201);
    let pair = format!("{}:{}", world.service.0, other.text_at("/client_secret"));
    assert_invalid_client(introspect(&world, &[&basic(&pair)], &[]).await, "Basic");
}

#[tokio::test]
async fn rfc6749_5_2_a_paused_client_is_invalid_client() {
    let world = World::new().await;
    let (id, secret) = &world.service;
    world.server.patch(&format!("/v1/services/{id}"), world.admin(), json!({ "paused": true })).await.expect(200);
    assert_invalid_client(introspect(&world, &[&basic(&format!("{id}:{secret}"))], &[]).await, "Basic");
}

#[tokio::test]
async fn rfc9110_11_1_a_scheme_is_case_insensitive() {
    let world = World::new().await;
    let (id, secret) = &world.service;
    let encoded = basic(&format!("{id}:{secret}"));
    for scheme in ["basic ", "BASIC ", "bAsIc   "] {
        introspect(&world, &[&encoded.replace("Basic ", scheme)], &[]).await.expect(200);
    }
    introspect(&world, &[&format!("bearer {secret}")], &[]).await.expect(200);
}
