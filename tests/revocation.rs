//! RFC 7009: a runner revokes what it minted, a holder what it holds, and a service nothing.

use crate::support::{Reply, Wire, World, send};
use serde_json::{Value, json};
use tokio::task::JoinSet;

const REVOKE: &str = "/oauth/revoke";

async fn revoke(world: &World, token: &str) -> Reply {
    world.server.form(REVOKE, Some((&world.runner_id, &world.runner)), &[("token", token)]).await
}

async fn revoke_as_bearer(world: &World, bearer: &str, token: &str) -> Reply {
    let request = world.server.http.post(format!("{}{REVOKE}", world.server.url)).bearer_auth(bearer);
    send(request.form(&[("token", token)])).await
}

/// Id and token of a further runner.
async fn further_runner(world: &World) -> (String, String) {
    let made =
        world.server.post("/v1/runners", world.admin(), json!({ "name": "r2", "protected": true })).await.expect(201);
    (made.text_at("/id"), made.text_at("/token"))
}

async fn narrow(world: &World, token: &str) -> String {
    world.server.post("/v1/job-tokens/narrow", token, json!({})).await.expect(201).text_at("/token")
}

async fn audited(world: &World, action: &str) -> i64 {
    let mut db = world.server.sql().await;
    let count = sqlx::query_scalar("select count(*) from audit_events where action = $1").bind(action);
    count.fetch_one(&mut db).await.unwrap()
}

#[tokio::test]
async fn rfc7009_2_1_the_runner_that_minted_a_token_revokes_it() {
    let world = World::new().await;
    let token = world.token("1").await;
    let reply = revoke(&world, &token).await.expect(200);
    assert_eq!(reply.text, "");
    assert_eq!(reply.header("cache-control"), "no-store");
    assert!(!world.is_active(&token).await);
}

#[tokio::test]
async fn rfc7009_2_1_a_runner_may_come_as_bearer() {
    let world = World::new().await;
    let token = world.token("1").await;
    revoke_as_bearer(&world, &world.runner, &token).await.expect(200);
    assert!(!world.is_active(&token).await);
}

#[tokio::test]
async fn rfc7009_2_1_a_runner_revokes_what_a_holder_narrowed() {
    let world = World::new().await;
    let token = world.token("1").await;
    let child = narrow(&world, &token).await;
    revoke(&world, &child).await.expect(200);
    assert!(!world.is_active(&child).await);
    assert!(world.is_active(&token).await);
}

#[tokio::test]
async fn rfc7009_2_1_a_holder_revokes_its_own_token() {
    let world = World::new().await;
    let token = world.token("1").await;
    revoke_as_bearer(&world, &token, &token).await.expect(200);
    assert!(!world.is_active(&token).await);
}

#[tokio::test]
async fn rfc7009_2_1_a_holder_revokes_what_was_narrowed_from_its_token() {
    let world = World::new().await;
    let parent = world.token("1").await;
    let child = narrow(&world, &parent).await;
    revoke_as_bearer(&world, &parent, &child).await.expect(200);
    assert!(!world.is_active(&child).await);
    assert!(world.is_active(&parent).await);
}

#[tokio::test]
async fn rfc7009_2_1_a_holder_revokes_neither_parent_nor_sibling() {
    let world = World::new().await;
    let parent = world.token("1").await;
    let (child, sibling) = (narrow(&world, &parent).await, narrow(&world, &parent).await);
    for token in [&parent, &sibling] {
        revoke_as_bearer(&world, &child, token).await.expect(200);
        assert!(world.is_active(token).await);
    }
}

#[tokio::test]
async fn rfc7009_2_2_an_invalid_token_is_answered_like_a_revoked_one() {
    let world = World::new().await;
    let token = world.token("1").await;
    revoke(&world, &token).await.expect(200);
    for text in [&token, "x", "\0", "' or 1=1 --"] {
        assert_eq!(revoke(&world, text).await.expect(200).text, "");
    }
    assert_eq!(audited(&world, "job_token.revoked").await, 1);
}

#[tokio::test]
async fn rfc7009_2_1_a_wrong_token_type_hint_is_ignored() {
    let world = World::new().await;
    for (key, hint) in [("1", "access_token"), ("2", "refresh_token"), ("3", "no such thing")] {
        let token = world.token(key).await;
        let form = [("token", token.as_str()), ("token_type_hint", hint)];
        world.server.form(REVOKE, Some((&world.runner_id, &world.runner)), &form).await.expect(200);
        assert!(!world.is_active(&token).await, "{hint}");
    }
}

#[tokio::test]
async fn rfc7009_2_1_a_client_that_fails_to_authenticate_is_challenged() {
    let world = World::new().await;
    let token = world.token("1").await;
    let (other_id, _) = further_runner(&world).await;
    for client in [None, Some((world.runner_id.as_str(), "wrong")), Some((other_id.as_str(), world.runner.as_str()))] {
        let reply = world.server.form(REVOKE, client, &[("token", &token)]).await.expect(401);
        assert_eq!(reply.json["error"], "invalid_client");
        assert_eq!(reply.header("www-authenticate"), r#"Basic realm="jobpass", charset="UTF-8""#);
    }
    let user = revoke_as_bearer(&world, world.admin(), &token).await.expect(401);
    assert_eq!(user.header("www-authenticate"), r#"Bearer realm="jobpass", error="invalid_token""#);
    assert!(world.is_active(&token).await);
}

#[tokio::test]
async fn rfc7009_2_1_the_token_of_another_runner_stays() {
    let world = World::new().await;
    let token = world.token("1").await;
    let (id, secret) = further_runner(&world).await;
    let reply = world.server.form(REVOKE, Some((&id, &secret)), &[("token", &token)]).await.expect(200);
    assert_eq!(reply.text, "");
    assert!(world.is_active(&token).await);
}

#[tokio::test]
async fn rfc7009_2_1_a_service_is_refused_before_the_token_is_looked_at() {
    let world = World::new().await;
    let token = world.token("1").await;
    let client = Some((world.service.0.as_str(), world.service.1.as_str()));
    let mut answers = vec![];
    for form in [vec![("token", token.as_str())], vec![("token", "x")], vec![]] {
        let reply = world.server.form(REVOKE, client, &form).await.expect(400);
        assert_eq!(reply.json["error"], "unauthorized_client");
        answers.push(reply.text);
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[0], answers[2]);
    assert!(world.is_active(&token).await);
}

#[tokio::test]
async fn rfc7009_2_1_revoking_a_token_revokes_what_was_narrowed_from_it() {
    let world = World::new().await;
    let token = world.token("1").await;
    let child = narrow(&world, &token).await;
    let grandchild = narrow(&world, &child).await;
    revoke(&world, &token).await.expect(200);
    for token in [&token, &child, &grandchild] {
        assert!(!world.is_active(token).await);
    }
}

#[tokio::test]
async fn rfc7009_2_1_the_other_tokens_of_the_job_stay() {
    let world = World::new().await;
    let (one, two) = (world.token("1").await, world.token("1").await);
    revoke(&world, &one).await.expect(200);
    assert!(!world.is_active(&one).await);
    assert!(world.is_active(&two).await);
}

#[tokio::test]
async fn rfc7009_2_2_1_a_missing_token_is_an_invalid_request() {
    let world = World::new().await;
    let client = Some((world.runner_id.as_str(), world.runner.as_str()));
    for form in [vec![], vec![("token", "")], vec![("token", "a"), ("token", "b")]] {
        let reply = world.server.form(REVOKE, client, &form).await.expect(400);
        assert_eq!(reply.json["error"], "invalid_request", "{form:?}");
    }
}

#[tokio::test]
async fn rfc7009_2_2_1_other_kinds_of_token_are_unsupported() {
    let world = World::new().await;
    let token = world.token("1").await;
    for credential in [&world.runner, &world.service.1, world.admin()] {
        for reply in [revoke(&world, credential).await, revoke_as_bearer(&world, &token, credential).await] {
            assert_eq!(reply.expect(400).json["error"], "unsupported_token_type");
        }
    }
    assert!(world.is_active(&token).await, "runner and service still work");
}

#[tokio::test]
async fn rfc7009_2_get_is_refused() {
    let world = World::new().await;
    let reply = world.server.call("GET", REVOKE, None, None).await.expect(405);
    assert_eq!(reply.header("allow"), "POST");
    assert_eq!(reply.json["error"], "invalid_request");
}

#[tokio::test]
async fn rfc7009_2_1_fifty_revocations_at_once_are_one() {
    let world = World::new().await;
    let token = world.token("1").await;
    let mut calls = JoinSet::new();
    for _ in 0..50 {
        let request = world.server.http.post(format!("{}{REVOKE}", world.server.url));
        let request = request.basic_auth(&world.runner_id, Some(&world.runner));
        calls.spawn(send(request.form(&[("token", &token)])));
    }
    for reply in calls.join_all().await {
        reply.expect(200);
    }
    assert!(!world.is_active(&token).await);
    assert_eq!(audited(&world, "job_token.revoked").await, 1);
}

// ── RFC 7009, section 2.2.1: a database that is away ─────────────────────────────────────────────────

#[tokio::test]
async fn rfc7009_2_2_1_a_revocation_that_was_not_stored_is_503() {
    let (server, wire) = Wire::before_a_server().await;
    let world = World::on(server).await;
    let token = world.token("1").await;
    wire.cut().await;

    let reply = revoke(&world, &token).await.expect(503);
    assert_eq!(reply.json["error"], "temporarily_unavailable");
    assert_eq!(reply.header("retry-after"), "1");
    let asked: Value = world.introspect(&token, &[]).await.expect(503).json;
    assert_eq!(asked["error"], "temporarily_unavailable", "never an allow, and never a no either");
}

/// No browser calls here, so no page of another origin may.
#[tokio::test]
async fn rfc7009_2_3_no_page_of_another_origin_calls() {
    let world = World::new().await;
    for path in ["/oauth/revoke", "/oauth/introspect", "/oauth/token", "/v1/job-tokens"] {
        let url = format!("{}{path}", world.server.url);
        let preflight = world.server.http.request(reqwest::Method::OPTIONS, &url);
        let preflight = preflight.header("access-control-request-method", "POST");
        let call = world.server.http.post(&url).form(&[("token", "x")]);
        for request in [preflight, call] {
            let reply = send(request.header("origin", "https://evil.example")).await;
            assert!(reply.status >= 400, "{path}: {}", reply.status);
            assert!(reply.headers.keys().all(|name| !name.as_str().starts_with("access-control")), "{path}");
        }
    }
}
