//! Client credentials (RFC 6749, section 4.4): a runner that proves itself gets a token for ten minutes, does with it what it does
//! with its secret, and loses it with whatever it was got with.

use crate::private_key_jwt::{ISSUER, claims, named, post, register, world};
use crate::support::signer::Signer;
use crate::support::{Reply, START, Server, World, send};
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};
use time::Duration;

const GRANT: (&str, &str) = ("grant_type", "client_credentials");

/// By the runner's id and secret.
async fn ask(world: &World, more: &[(&str, &str)]) -> Reply {
    let form: Vec<_> = [GRANT].iter().chain(more).copied().collect();
    world.server.form("/oauth/token", Some((&world.runner_id, &world.runner)), &form).await
}

async fn get(world: &World) -> String {
    ask(world, &[]).await.expect(200).text_at("/access_token")
}

async fn mints(world: &World, token: &str, key: &str) -> Reply {
    world.server.post("/v1/job-tokens", token, World::mint_body(key, json!({}))).await
}

/// A runner with a key of its own.
async fn with_key() -> (World, Signer) {
    let (world, signer) = (world().await, Signer::new(Algorithm::ES256, "one"));
    register(&world, &format!("runners/{}", world.runner_id), &[&signer]).await;
    (world, signer)
}

async fn by_key(world: &World, signer: &Signer) -> Reply {
    let assertion = signer.sign(&claims(&world.server, &world.runner_id, json!({})));
    post(&world.server, "/oauth/token", &assertion, &[GRANT]).await
}

#[track_caller]
fn error(reply: Reply, status: u16, error: &str) {
    assert_eq!(reply.expect(status).json["error"], error);
}

#[tokio::test]
async fn rfc6749_4_4_3_a_runner_that_proves_itself_gets_a_token() {
    let (world, signer) = with_key().await;
    for reply in [ask(&world, &[]).await, by_key(&world, &signer).await] {
        let reply = reply.expect(200);
        let token = reply.text_at("/access_token");
        assert_eq!(reply.json, json!({ "access_token": token, "token_type": "Bearer", "expires_in": 600 }));
        assert_eq!(reply.header("cache-control"), "no-store");
        assert_eq!(reply.header("pragma"), "no-cache");
        assert_eq!(reply.header("content-type"), "application/json");
        assert!(token.starts_with("jpr_") && jobpass_domain::token::parse(&token).is_some());
    }
    let body = [("client_id", world.runner_id.as_str()), ("client_secret", &world.runner), GRANT];
    world.server.form("/oauth/token", None, &body).await.expect(200);
    let url = format!("{}/oauth/token", world.server.url);
    send(world.server.http.post(url).bearer_auth(&world.runner).form(&[GRANT])).await.expect(200);
}

#[tokio::test]
async fn rfc6749_4_4_a_runner_does_with_it_what_it_does_with_its_secret() {
    let (world, signer) = with_key().await;
    let token = by_key(&world, &signer).await.expect(200).text_at("/access_token");
    let minted = mints(&world, &token, "1").await.expect(201);
    let (job, of_job) = (minted.text_at("/job_id"), minted.text_at("/token"));
    assert!(world.is_active(&of_job).await);
    world.server.post(&format!("/v1/jobs/{job}/heartbeat"), &token, json!({})).await.expect(200);
    // It is the same runner: what was begun with the one is ended with the other.
    world.server.post(&format!("/v1/jobs/{job}/finish"), &world.runner, json!({})).await.expect(200);
    let other = world.token("2").await;
    let revoked = world.server.form("/oauth/revoke", Some((&world.runner_id, &token)), &[("token", &other)]).await;
    revoked.expect(200);
    assert!(!world.is_active(&other).await);
}

#[tokio::test]
async fn rfc6749_4_4_it_opens_what_runners_open_and_nothing_else() {
    let world = World::new().await;
    let token = get(&world).await;
    assert_eq!(world.introspect(&token, &[]).await.expect(200).json, json!({ "active": false }));
    world.server.get("/v1/runners", &token).await.refused(403, "wrong_caller");
    world.server.get("/v1/job-tokens/self", &token).await.refused(403, "wrong_caller");
}

#[tokio::test]
async fn rfc6749_4_4_3_it_cannot_be_renewed() {
    let world = World::new().await;
    let token = get(&world).await;
    error(world.server.form("/oauth/token", Some((&world.runner_id, &token)), &[GRANT]).await, 401, "invalid_client");
    let url = format!("{}/oauth/token", world.server.url);
    error(send(world.server.http.post(url).bearer_auth(&token).form(&[GRANT])).await, 401, "invalid_client");
    let refresh = [("grant_type", "refresh_token"), ("refresh_token", &token)];
    error(world.server.form("/oauth/token", None, &refresh).await, 400, "unsupported_grant_type");
}

#[tokio::test]
async fn rfc6749_4_4_2_the_client_authenticates() {
    let world = World::new().await;
    error(world.server.form("/oauth/token", None, &[GRANT]).await, 401, "invalid_client");
    let wrong = world.server.form("/oauth/token", Some((&world.runner_id, "jpr_wrong")), &[GRANT]).await;
    error(wrong, 401, "invalid_client");
    error(
        world.server.form("/oauth/token", None, &[GRANT, ("client_id", &world.runner_id)]).await,
        401,
        "invalid_client",
    );
}

#[tokio::test]
async fn rfc6749_5_2_services_are_not_for_this_grant() {
    let world = World::new().await;
    let (id, secret) = &world.service;
    error(world.server.form("/oauth/token", Some((id, secret)), &[GRANT]).await, 400, "unauthorized_client");
}

#[tokio::test]
async fn rfc6749_3_3_it_has_no_scope() {
    let world = World::new().await;
    for scope in ["packages:read", "openid", "nonsense"] {
        error(ask(&world, &[("scope", scope)]).await, 400, "invalid_scope");
    }
    ask(&world, &[("scope", "")]).await.expect(200);
    let details = r#"[{"type":"jobpass_project","project":"acme/lib","permissions":["packages:read"]}]"#;
    error(ask(&world, &[("authorization_details", details)]).await, 400, "invalid_authorization_details");
}

#[tokio::test]
async fn rfc8707_2_it_is_for_this_issuer_alone() {
    let world = world().await;
    ask(&world, &[("resource", ISSUER)]).await.expect(200);
    ask(&world, &[("resource", ISSUER), ("audience", ISSUER)]).await.expect(200);
    for target in ["https://other.example.com", "/relative", "https://jobpass.example.com#x", "no uri"] {
        error(ask(&world, &[("resource", target)]).await, 400, "invalid_target");
        error(ask(&world, &[("audience", target)]).await, 400, "invalid_target");
        error(ask(&world, &[("resource", ISSUER), ("resource", target)]).await, 400, "invalid_target");
    }
}

#[tokio::test]
async fn rfc6749_5_1_it_expires() {
    let world = World::new().await;
    let token = get(&world).await;
    world.server.clock.advance(Duration::seconds(599));
    mints(&world, &token, "1").await.expect(201);
    world.server.clock.advance(Duration::seconds(1));
    mints(&world, &token, "2").await.refused(401, "bad_credential");
    world.server.form("/oauth/revoke", Some((&world.runner_id, &token)), &[("token", "x")]).await.expect(401);
    // A start sweeps.
    assert_eq!(stored(&world.server).await, 1);
    let again = world.server.restart().await;
    while stored(&again).await > 0 {
        tokio::task::yield_now().await;
    }
}

async fn stored(server: &Server) -> i64 {
    let count = sqlx::query_scalar("select count(*) from runner_access_tokens");
    count.fetch_one(&mut server.sql().await).await.unwrap()
}

#[tokio::test]
async fn rfc6749_10_10_only_its_hash_is_kept() {
    let world = World::new().await;
    let token = get(&world).await;
    let row: String = sqlx::query_scalar("select to_jsonb(t)::text from runner_access_tokens t")
        .fetch_one(&mut world.server.sql().await)
        .await
        .unwrap();
    assert!(!row.contains(&token) && !row.contains(&token[4..20]), "{row}");
    let events = world.server.get("/v1/audit-events?limit=1000", world.admin()).await.expect(200);
    assert!(!events.text.contains(&token[..20]));
    let issued = events.json["items"].as_array().unwrap();
    let issued = issued.iter().find(|event| event["action"] == "runner.access_token_issued").unwrap();
    assert_eq!((&issued["actor_id"], &issued["subject_id"]), (&json!(world.runner_id), &json!(world.runner_id)));
    assert_eq!(issued["after"]["expires_at"], "2026-11-23T10:10:00Z");
}

#[tokio::test]
async fn rfc7009_2_1_the_runner_revokes_its_own() {
    let world = World::new().await;
    let (first, second) = (get(&world).await, get(&world).await);
    let by_secret = Some((world.runner_id.as_str(), world.runner.as_str()));
    world.server.form("/oauth/revoke", by_secret, &[("token", &first)]).await.expect(200);
    mints(&world, &first, "1").await.refused(401, "bad_credential");
    world.server.form("/oauth/revoke", by_secret, &[("token", &first)]).await.expect(200);
    // Itself, too; and the hint says nothing.
    let hinted = [("token", second.as_str()), ("token_type_hint", "refresh_token")];
    world.server.form("/oauth/revoke", Some((&world.runner_id, &second)), &hinted).await.expect(200);
    mints(&world, &second, "2").await.refused(401, "bad_credential");
    mints(&world, &world.runner, "3").await.expect(201);
}

#[tokio::test]
async fn rfc7009_2_1_that_of_another_runner_stays() {
    let world = World::new().await;
    let other = world.server.post("/v1/runners", world.admin(), json!({ "name": "other" })).await.expect(201);
    let theirs = get(&world).await;
    let by_other = Some((other.json["id"].as_str().unwrap(), other.json["token"].as_str().unwrap()));
    world.server.form("/oauth/revoke", by_other, &[("token", &theirs)]).await.expect(200);
    mints(&world, &theirs, "1").await.expect(201);
}

#[tokio::test]
async fn rfc7009_2_1_it_dies_with_the_secret_that_it_was_got_with() {
    let world = World::new().await;
    let (server, admin) = (&world.server, world.admin());
    let secrets = format!("/v1/runners/{}/secrets", world.runner_id);
    let first = server.get(&secrets, admin).await.expect(200).text_at("/items/0/id");
    let by_first = get(&world).await;
    let second = server.post(&secrets, admin, json!({})).await.expect(201);
    let by_second = server.form("/oauth/token", Some((&world.runner_id, &second.text_at("/secret"))), &[GRANT]).await;
    let by_second = by_second.expect(200).text_at("/access_token");
    server.delete(&format!("{secrets}/{first}"), admin).await.expect(204);
    mints(&world, &by_first, "1").await.refused(401, "bad_credential");
    mints(&world, &by_second, "2").await.expect(201);
}

#[tokio::test]
async fn rfc6749_5_1_it_never_outlives_the_secret_that_it_was_got_with() {
    let world = World::new().await;
    let secrets = format!("/v1/runners/{}/secrets", world.runner_id);
    let end = json!({ "expires_at": "2026-11-23T10:01:00Z" });
    let short = world.server.post(&secrets, world.admin(), end).await.expect(201).text_at("/secret");
    let reply = world.server.form("/oauth/token", Some((&world.runner_id, &short)), &[GRANT]).await.expect(200);
    assert_eq!(reply.json["expires_in"], 60);
    world.server.clock.advance(Duration::seconds(60));
    mints(&world, &reply.text_at("/access_token"), "1").await.refused(401, "bad_credential");
}

#[tokio::test]
async fn rfc7009_2_1_it_dies_with_the_key_that_it_was_got_with() {
    let (world, first) = with_key().await;
    let second = Signer::new(Algorithm::ES256, "two");
    let path = format!("runners/{}", world.runner_id);
    register(&world, &path, &[&first, &second]).await;
    let by_first = by_key(&world, &first).await.expect(200).text_at("/access_token");
    let by_second = by_key(&world, &second).await.expect(200).text_at("/access_token");
    let by_secret = get(&world).await;
    // Another key under the same name is another key.
    register(&world, &path, &[&Signer::new(Algorithm::ES256, "one"), &second]).await;
    mints(&world, &by_first, "1").await.refused(401, "bad_credential");
    mints(&world, &by_second, "2").await.expect(201);
    world.server.delete(&format!("/v1/{path}/jwks"), world.admin()).await.expect(204);
    mints(&world, &by_second, "3").await.refused(401, "bad_credential");
    mints(&world, &by_secret, "4").await.expect(201);
}

#[tokio::test]
async fn a_leaked_one_is_killed_with_what_was_minted() {
    let world = World::new().await;
    let (token, other) = (get(&world).await, get(&world).await);
    let minted = mints(&world, &token, "1").await.expect(201).text_at("/token");
    let report = json!({ "token": token });
    world.server.call("POST", "/v1/leaked-tokens", None, Some(report)).await.expect(204);
    mints(&world, &token, "2").await.refused(401, "bad_credential");
    assert!(!world.is_active(&minted).await);
    mints(&world, &other, "3").await.expect(201);
    // A leaked secret takes along what was got with it.
    world.server.call("POST", "/v1/leaked-tokens", None, Some(json!({ "token": world.runner }))).await.expect(204);
    mints(&world, &other, "4").await.refused(401, "bad_credential");
}

#[tokio::test]
async fn it_dies_with_its_runner() {
    let world = World::new().await;
    let token = get(&world).await;
    world.server.delete(&format!("/v1/runners/{}", world.runner_id), world.admin()).await.expect(204);
    mints(&world, &token, "1").await.refused(401, "bad_credential");
    assert_eq!(stored(&world.server).await, 0);
}

#[tokio::test]
async fn a_paused_runner_tends_its_jobs_and_mints_nothing() {
    let world = World::new().await;
    let minted = world.mint("1", json!({})).await;
    let path = format!("/v1/runners/{}", world.runner_id);
    world.server.patch(&path, world.admin(), json!({ "paused": true })).await.expect(200);
    let token = get(&world).await;
    mints(&world, &token, "2").await.refused(409, "runner_paused");
    let job = minted["job_id"].as_str().unwrap();
    world.server.post(&format!("/v1/jobs/{job}/finish"), &token, json!({})).await.expect(200);
}

#[tokio::test]
async fn there_are_at_most_a_thousand_of_a_runner() {
    let world = World::new().await;
    let fill = "insert into runner_access_tokens (id, hash, runner_id, kid, expires_at, created_at)
        select gen_random_uuid(), sha256(n::text::bytea), $1, 'k', $2, $2 - interval '10 minutes'
        from generate_series(1, 999) n";
    let id = uuid::Uuid::parse_str(&world.runner_id).unwrap();
    let end = START + Duration::seconds(600);
    sqlx::query(fill).bind(id).bind(end).execute(&mut world.server.sql().await).await.unwrap();
    get(&world).await;
    error(ask(&world, &[]).await, 400, "invalid_request");
    // Another runner's are counted apart, and those that have expired not at all.
    let other = world.server.post("/v1/runners", world.admin(), json!({ "name": "other" })).await.expect(201);
    let by_other = (other.json["id"].as_str().unwrap(), other.json["token"].as_str().unwrap());
    world.server.form("/oauth/token", Some(by_other), &[GRANT]).await.expect(200);
    world.server.clock.advance(Duration::seconds(600));
    get(&world).await;
}

#[tokio::test]
async fn every_replica_knows_it() {
    let (world, signer) = with_key().await;
    let replica = Server::beside_with(&world.server, named).await;
    let token = by_key(&world, &signer).await.expect(200).text_at("/access_token");
    let minted: Value = replica.post("/v1/job-tokens", &token, World::mint_body("1", json!({}))).await.expect(201).json;
    let form = [("token", minted["token"].as_str().unwrap())];
    replica.form("/oauth/revoke", Some((&world.runner_id, &token)), &form).await.expect(200);
    replica.form("/oauth/revoke", Some((&world.runner_id, &world.runner)), &[("token", &token)]).await.expect(200);
    mints(&world, &token, "2").await.refused(401, "bad_credential");
}
