//! Bearer credentials at the REST API (RFC 6750), and the problem details (RFC 9457) that it answers.

use crate::support::{Reply, Wire, World, send};
use serde_json::{Value, json};
use time::Duration;

async fn catalogue(world: &World, authorization: &[&str]) -> Reply {
    let request = world.server.http.get(format!("{}/v1/catalogue", world.server.url));
    send(authorization.iter().fold(request, |request, value| request.header("authorization", *value))).await
}

/// An API token of `developer`, asked for with this body.
async fn user_token(world: &World, mut body: Value) -> Reply {
    body["user"] = json!("developer");
    world.server.post("/v1/user-tokens", world.admin(), body).await.expect(201)
}

const INVALID_TOKEN: &str = r#"Bearer realm="jobpass", error="invalid_token""#;

// ── RFC 6750 ─────────────────────────────────────────────────────────────────────────────────────────

#[tokio::test]
async fn rfc6750_2_1_the_scheme_is_case_insensitive() {
    let world = World::new().await;
    for scheme in ["Bearer", "bearer", "BEARER"] {
        catalogue(&world, &[&format!("{scheme} {}", world.admin())]).await.expect(200);
    }
}

#[tokio::test]
async fn rfc6750_3_no_credential_is_challenged_without_an_error() {
    let world = World::new().await;
    let reply = catalogue(&world, &[]).await.expect(401);
    assert_eq!(reply.header("www-authenticate"), r#"Bearer realm="jobpass""#);
    assert_eq!(reply.json["code"], "no_credential");
}

#[tokio::test]
async fn rfc6750_3_1_a_malformed_or_unknown_credential_is_invalid_token() {
    let world = World::new().await;
    let bad_checksum = format!("{}000000", &world.admin()[..47]);
    for value in ["Bearer", "Bearer x", "Basic eDp5", "Digest x", &format!("Bearer {bad_checksum}"), world.admin()] {
        let reply = catalogue(&world, &[value]).await.expect(401);
        assert_eq!(reply.header("www-authenticate"), INVALID_TOKEN, "{value}");
        assert_eq!(reply.json["code"], "bad_credential");
    }
}

#[tokio::test]
async fn rfc6750_3_1_an_expired_credential_is_invalid_token() {
    let world = World::new().await;
    let token = user_token(&world, json!({ "expires_at": "2026-11-23T10:01:00Z" })).await.text_at("/token");
    world.server.get("/v1/catalogue", &token).await.expect(200);
    world.server.clock.advance(Duration::minutes(1));
    let reply = world.server.get("/v1/catalogue", &token).await.expect(401);
    assert_eq!(reply.header("www-authenticate"), INVALID_TOKEN);
}

#[tokio::test]
async fn rfc6750_3_1_a_revoked_credential_is_invalid_token() {
    let world = World::new().await;
    let made = user_token(&world, json!({})).await;
    let (id, token) = (made.text_at("/id"), made.text_at("/token"));
    world.server.get("/v1/catalogue", &token).await.expect(200);
    world.server.delete(&format!("/v1/user-tokens/{id}"), world.admin()).await;
    let reply = world.server.get("/v1/catalogue", &token).await.expect(401);
    assert_eq!(reply.header("www-authenticate"), INVALID_TOKEN);
}

#[tokio::test]
async fn rfc6750_3_1_two_credentials_are_an_invalid_request() {
    let world = World::new().await;
    let good = format!("Bearer {}", world.admin());
    for values in [[good.as_str(), good.as_str()], [good.as_str(), "Basic eDp5"]] {
        let reply = catalogue(&world, &values).await.expect(400);
        assert_eq!(reply.header("www-authenticate"), r#"Bearer realm="jobpass", error="invalid_request""#);
    }
}

#[tokio::test]
async fn rfc6750_3_1_the_wrong_kind_of_caller_is_insufficient_scope() {
    let world = World::new().await;
    let token = world.token("1").await;
    for bearer in [&token, &world.runner, &world.service.1] {
        let reply = world.server.get("/v1/catalogue", bearer).await.expect(403);
        assert_eq!(reply.header("www-authenticate"), r#"Bearer realm="jobpass", error="insufficient_scope""#);
        assert_eq!(reply.json["code"], "wrong_caller");
    }
}

#[tokio::test]
async fn rfc6750_3_1_a_read_only_token_that_writes_is_insufficient_scope() {
    let world = World::new().await;
    let token = user_token(&world, json!({ "read_only": true })).await.text_at("/token");
    world.server.get("/v1/catalogue", &token).await.expect(200);
    let reply = world.server.post("/v1/projects", &token, json!({ "path": "acme/new" })).await.expect(403);
    assert_eq!(reply.header("www-authenticate"), r#"Bearer realm="jobpass", error="insufficient_scope""#);
}

#[tokio::test]
async fn rfc6750_3_a_challenge_has_one_realm_and_at_most_one_error() {
    let world = World::new().await;
    let twice = format!("Bearer {}", world.admin());
    for authorization in [&[][..], &["Bearer x"], &[&twice, &twice], &[&format!("Bearer {}", world.runner)]] {
        let reply = catalogue(&world, authorization).await;
        assert_eq!(reply.headers.get_all("www-authenticate").iter().count(), 1);
        let challenge = reply.header("www-authenticate");
        assert_eq!(challenge.matches("realm=").count(), 1, "{challenge}");
        assert!(challenge.matches("error=").count() <= 1, "{challenge}");
    }
}

#[tokio::test]
async fn rfc6750_2_3_a_token_in_the_query_is_refused() {
    let world = World::new().await;
    let token = world.token("1").await;
    for (path, credential) in [("/v1/catalogue", world.admin()), ("/v1/job-tokens/self", &token)] {
        let in_query = format!("{path}?access_token={credential}");
        world.server.call("GET", &in_query, None, None).await.expect(400);
        world.server.get(&in_query, credential).await.expect(400);
    }
}

#[tokio::test]
async fn rfc6750_5_3_a_token_ends_with_its_job() {
    let world = World::new().await;
    let minted = world.mint("1", json!({ "job": { "timeout_secs": 600 } })).await;
    let token = minted["token"].as_str().unwrap();
    assert_eq!(minted["expires_at"], "2026-11-23T10:15:00Z", "the deadline and five minutes");
    world.server.get("/v1/job-tokens/self", token).await.expect(200);
    world.server.clock.advance(Duration::minutes(15));
    world.server.get("/v1/job-tokens/self", token).await.expect(401);
}

// ── RFC 9457 ─────────────────────────────────────────────────────────────────────────────────────────

fn assert_problem(reply: Reply, status: u16, code: &str) -> Reply {
    let reply = reply.expect(status);
    assert_eq!(reply.header("content-type"), "application/problem+json");
    assert_eq!(reply.json["status"], json!(status));
    assert_eq!(reply.json["type"], json!(format!("urn:jobpass:problem:{code}")));
    assert_eq!(reply.json["code"], json!(code));
    assert!(reply.json["title"].is_string());
    reply
}

#[tokio::test]
async fn rfc9457_3_every_refusal_is_a_problem() {
    let world = World::new().await;
    let (server, admin) = (&world.server, world.admin());
    assert_problem(server.get("/v1/catalogue", "x").await, 401, "bad_credential");
    assert_problem(server.get("/v1/catalogue", &world.runner).await, 403, "wrong_caller");
    assert_problem(server.get("/v1/projects/acme%2Fnone", admin).await, 404, "not_found");
    assert_problem(server.get("/no/such/route", admin).await, 404, "not_found");
    assert_problem(server.post("/v1/groups", admin, json!({ "path": "acme" })).await, 409, "path_taken");
    let too_large = json!({ "path": "x".repeat(65 * 1024) });
    assert_problem(server.post("/v1/groups", admin, too_large).await, 413, "too_large");
    let reply = assert_problem(server.call("PUT", "/v1/groups", Some(admin), None).await, 405, "method_not_allowed");
    assert!(reply.header("allow").contains("GET"), "{}", reply.header("allow"));
}

#[tokio::test]
async fn rfc9457_3_a_body_that_is_no_json_is_a_problem() {
    let world = World::new().await;
    let post = || world.server.http.post(format!("{}/v1/groups", world.server.url)).bearer_auth(world.admin());
    assert_problem(send(post().body("{}")).await, 415, "not_json");
    assert_problem(send(post().header("content-type", "application/json").body("{")).await, 400, "malformed_json");
}

#[tokio::test]
async fn rfc9457_3_2_each_fault_has_its_pointer() {
    let world = World::new().await;
    let body = json!({ "path": "acme/new", "colour": "red" });
    let reply = assert_problem(world.server.post("/v1/projects", world.admin(), body).await, 422, "invalid");
    assert_eq!(reply.json["errors"][0]["pointer"], "/colour");
    assert_eq!(reply.json["errors"][0]["code"], "unknown_field");
}

#[tokio::test]
async fn rfc9457_3_1_5_a_problem_carries_the_id_of_its_request() {
    let world = World::new().await;
    let one = world.server.get("/v1/catalogue", "x").await.expect(401);
    let two = world.server.get("/v1/catalogue", "x").await.expect(401);
    assert_eq!(one.text_at("/request_id"), one.header("x-request-id"));
    assert_ne!(one.text_at("/request_id"), two.text_at("/request_id"));
}

#[tokio::test]
async fn rfc9457_5_a_problem_tells_nothing_of_the_inside() {
    let world = World::new().await;
    let hostile = "/v1/projects/%27%20or%201%3D1%20--";
    let reply = assert_problem(world.server.get(hostile, world.admin()).await, 404, "not_found");
    let mut keys: Vec<_> = reply.json.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["code", "request_id", "status", "title", "type"]);

    // Nor when something is wrong there.
    let (server, wire) = Wire::before_a_server().await;
    wire.cut().await;
    let reply = assert_problem(server.get(hostile, &server.admin).await, 503, "unavailable");
    let text = reply.text.to_lowercase();
    for inside in ["postgres", "sql", "pool", "connect", "socket", "127.0.0.1", "select", ".rs", "refused", "/tmp"] {
        assert!(!text.contains(inside), "{inside}: {text}");
    }
}

#[tokio::test]
async fn rfc9111_5_2_2_5_what_needs_a_credential_is_not_stored() {
    let world = World::new().await;
    for path in ["/v1/catalogue", "/v1/projects/acme%2Flib", "/v1/projects/acme%2Fnone"] {
        assert_eq!(world.server.get(path, world.admin()).await.header("cache-control"), "no-store", "{path}");
    }
    let minted = world.try_mint("1", json!({})).await.expect(201);
    assert_eq!(minted.header("cache-control"), "no-store");
}
