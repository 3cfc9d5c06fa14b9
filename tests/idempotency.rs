//! Idempotency-Key: a POST that creates is carried out once, and its answer given again, to the same
//! caller with the same credential, for as long as its token lives.

use crate::support::{Reply, World};
use serde_json::{Value, json};
use time::Duration;

async fn post(world: &World, path: &str, token: &str, key: &str, body: Value) -> Reply {
    world.server.call_with("POST", path, Some(token), Some(body), &[("idempotency-key", key)]).await
}

async fn mint(world: &World, key: &str) -> Reply {
    post(world, "/v1/job-tokens", &world.runner, key, World::mint_body("1", json!({}))).await
}

async fn count(world: &World, table: &str) -> i64 {
    let query = format!("select count(*) from {table}");
    sqlx::query_scalar(sqlx::AssertSqlSafe(query)).fetch_one(&mut world.server.sql().await).await.unwrap()
}

#[tokio::test]
async fn draft_idempotency_key_2_6_a_replay_is_the_same_byte_for_byte() {
    let world = World::new().await;
    let first = mint(&world, "\"k1\"").await.expect(201);
    for key in ["\"k1\"", "k1", " k1 "] {
        let again = mint(&world, key).await.expect(201);
        assert_eq!(
            (again.text.as_str(), again.header("content-type")),
            (first.text.as_str(), first.header("content-type"))
        );
    }
    assert_eq!(count(&world, "job_tokens").await, 1);
    assert_ne!(mint(&world, "k2").await.expect(201).text_at("/id"), first.text_at("/id"));
}

#[tokio::test]
async fn draft_idempotency_key_2_6_every_post_that_creates_replays_with_its_tag() {
    let world = World::new().await;
    let (runner, service) =
        (format!("/v1/runners/{}/secrets", world.runner_id), format!("/v1/services/{}/secrets", world.service.0));
    let holder = world.token("1").await;
    for (path, credential, body) in [
        ("/v1/groups", world.admin(), json!({ "path": "acme/team" })),
        ("/v1/projects", world.admin(), json!({ "path": "acme/api" })),
        ("/v1/users", world.admin(), json!({ "name": "zoe" })),
        ("/v1/user-tokens", world.admin(), json!({ "user": "guest" })),
        ("/v1/runners", world.admin(), json!({ "name": "r2" })),
        (runner.as_str(), world.admin(), json!({})),
        ("/v1/services", world.admin(), json!({ "name": "s2" })),
        (service.as_str(), world.admin(), json!({})),
        ("/v1/catalogue/resources", world.admin(), json!({ "name": "flags", "description": "d" })),
        (
            "/v1/projects/acme%2Flib/grants",
            world.admin(),
            json!({ "source": { "project": "acme/web" }, "permissions": ["jobs:read"] }),
        ),
        (
            "/v1/groups/acme/grants",
            world.admin(),
            json!({ "source": { "project": "acme/web" }, "permissions": ["jobs:read"] }),
        ),
        ("/v1/job-tokens/narrow", &holder, json!({ "permissions": ["jobs:read"] })),
    ] {
        let first = post(&world, path, credential, "k", body.clone()).await.expect(201);
        let again = post(&world, path, credential, "k", body).await.expect(201);
        assert_eq!((&again.text, again.header("etag")), (&first.text, first.header("etag")), "{path}");
    }
}

#[tokio::test]
async fn draft_idempotency_key_2_7_a_key_is_good_for_one_request() {
    let world = World::new().await;
    mint(&world, "k").await.expect(201);
    let other = World::mint_body("2", json!({}));
    post(&world, "/v1/job-tokens", &world.runner, "k", other).await.refused(422, "idempotency_key_reused");
    // The same words about something else are another request.
    let grant = json!({ "source": { "project": "acme/web" }, "permissions": ["jobs:read"] });
    post(&world, "/v1/projects/acme%2Flib/grants", world.admin(), "k", grant.clone()).await.expect(201);
    post(&world, "/v1/projects/acme%2Fweb/grants", world.admin(), "k", grant)
        .await
        .refused(422, "idempotency_key_reused");
    let second =
        world.server.post("/v1/runners", world.admin(), json!({ "name": "r2" })).await.expect(201).text_at("/id");
    post(&world, &format!("/v1/runners/{}/secrets", world.runner_id), world.admin(), "k", json!({})).await.expect(201);
    post(&world, &format!("/v1/runners/{second}/secrets"), world.admin(), "k", json!({}))
        .await
        .refused(422, "idempotency_key_reused");
}

#[tokio::test]
async fn draft_idempotency_key_2_2_keys_are_each_callers_and_each_operations_own() {
    let world = World::new().await;
    let other = world
        .server
        .post("/v1/runners", world.admin(), json!({ "name": "r2", "protected": true }))
        .await
        .expect(201)
        .text_at("/token");
    let first = mint(&world, "k").await.expect(201);
    let second = post(&world, "/v1/job-tokens", &other, "k", World::mint_body("2", json!({}))).await.expect(201);
    assert_ne!(first.text_at("/id"), second.text_at("/id"));
    post(&world, "/v1/users", world.admin(), "k", json!({ "name": "zoe" })).await.expect(201);
    post(&world, "/v1/groups", world.admin(), "k", json!({ "path": "zoe" })).await.expect(201);
    post(&world, "/v1/groups", world.person("owner"), "k", json!({ "path": "acme/zoe" })).await.expect(201);
}

#[tokio::test]
async fn a_refusal_is_not_kept() {
    let world = World::new().await;
    let body = json!({ "path": "new/team" });
    post(&world, "/v1/groups", world.admin(), "k", body.clone()).await.invalid("/path", "not_found");
    world.server.post("/v1/groups", world.admin(), json!({ "path": "new" })).await.expect(201);
    post(&world, "/v1/groups", world.admin(), "k", body).await.expect(201);
}

#[tokio::test]
async fn draft_idempotency_key_2_1_what_is_no_key() {
    let world = World::new().await;
    for key in ["", "\"\"", &"k".repeat(256)] {
        mint(&world, key).await.refused(400, "bad_request");
    }
    mint(&world, &"k".repeat(255)).await.expect(201);
    let two = [("idempotency-key", "a"), ("idempotency-key", "b")];
    let body = World::mint_body("1", json!({}));
    world
        .server
        .call_with("POST", "/v1/job-tokens", Some(&world.runner), Some(body), &two)
        .await
        .refused(400, "bad_request");
}

#[tokio::test]
async fn draft_idempotency_key_2_7_the_second_of_two_at_once_is_told_so() {
    let world = World::new().await;
    world.token("1").await;
    // Whoever holds the job's row keeps the first request waiting inside its transaction.
    let mut sql = world.server.sql().await;
    sqlx::query("begin").execute(&mut sql).await.unwrap();
    sqlx::query("select from jobs for update").execute(&mut sql).await.unwrap();
    let second = async {
        // Once the first waits for the row, it holds the key.
        let waiting = "select exists (select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock')";
        let mut other = world.server.sql().await;
        while !sqlx::query_scalar::<_, bool>(waiting).fetch_one(&mut other).await.unwrap() {
            tokio::task::yield_now().await;
        }
        let refused = mint(&world, "k").await.refused(409, "request_in_flight");
        sqlx::query("rollback").execute(&mut sql).await.unwrap();
        refused
    };
    let (first, _) = tokio::join!(mint(&world, "k"), second);
    let first = first.expect(201);
    assert_eq!(mint(&world, "k").await.expect(201).text, first.text);
}

/// What was answered stays so, though the same request would be refused by now.
#[tokio::test]
async fn a_replay_is_not_weighed_anew() {
    let world = World::new().await;
    let (server, admin, maintainer) = (&world.server, world.admin(), world.person("maintainer"));
    server.patch("/v1/projects/other%2Fapp", admin, json!({ "visibility": "internal" })).await.expect(200);
    let runner = server.post("/v1/runners", admin, json!({ "name": "r" })).await.expect(201);
    let (runner_path, runner) = (format!("/v1/runners/{}", runner.text_at("/id")), runner.text_at("/token"));
    let secrets = format!("{runner_path}/secrets");
    let soon = json!("2026-11-23T10:30:00Z");
    let dev = json!({ "pipeline": { "ref": "dev" } });
    let grant = json!({ "source": { "project": "other/app" }, "permissions": ["jobs:read"], "expires_at": soon });
    let requests = [
        ("/v1/job-tokens", runner.as_str(), World::mint_body("1", dev)),
        ("/v1/projects/acme%2Flib/grants", maintainer, grant),
        ("/v1/user-tokens", maintainer, json!({ "user": "maintainer", "expires_at": soon })),
        ("/v1/runners", maintainer, json!({ "name": "r", "project": "acme/web", "expires_at": soon })),
        (&secrets, admin, json!({ "expires_at": soon })),
        ("/v1/groups", maintainer, json!({ "path": "acme/team" })),
        ("/v1/projects", maintainer, json!({ "path": "acme/api" })),
        ("/v1/services", admin, json!({ "name": "s", "project": "acme/lib" })),
    ];
    let all = async || {
        let mut texts = Vec::new();
        for (path, token, body) in requests.clone() {
            texts.push(post(&world, path, token, "k", body).await.expect(201).text);
        }
        texts
    };
    let first = all().await;
    server.clock.advance(Duration::minutes(31));
    server
        .patch("/v1/projects/acme%2Fweb", admin, json!({ "protected_refs": ["**"], "path": "acme/site" }))
        .await
        .expect(200);
    server.patch("/v1/projects/acme%2Flib", admin, json!({ "visibility": "public" })).await.expect(200);
    server.patch("/v1/projects/other%2Fapp", admin, json!({ "visibility": "private" })).await.expect(200);
    server.patch(&runner_path, admin, json!({ "paused": true })).await.expect(200);
    assert_eq!(all().await, first);
    // Whoever may no longer do it is not answered.
    server.put("/v1/groups/acme/members/maintainer", admin, json!({ "role": "developer" })).await.expect(200);
    let (path, token, body) = requests[1].clone();
    post(&world, path, token, "k", body).await.refused(403, "forbidden");
}

#[tokio::test]
async fn a_replay_after_the_tokens_death_is_refused() {
    let world = World::new().await;
    let first = mint(&world, "k").await.expect(201);
    world.server.delete("/v1/job-tokens/self", &first.text_at("/token")).await.expect(204);
    mint(&world, "k").await.refused(409, "job_over");
    mint(&world, "k2").await.expect(201);
    world
        .server
        .call("POST", &format!("/v1/jobs/{}/finish", first.text_at("/job_id")), Some(&world.runner), None)
        .await
        .expect(200);
    mint(&world, "k2").await.refused(409, "job_over");
    mint(&world, "k3").await.refused(409, "job_over");
}

#[tokio::test]
async fn draft_idempotency_key_2_3_a_replay_after_the_tokens_expiry_is_refused() {
    let world = World::new().await;
    mint(&world, "k").await.expect(201);
    world.server.clock.advance(Duration::minutes(64));
    mint(&world, "k").await.expect(201);
    world.server.clock.advance(Duration::minutes(1));
    mint(&world, "k").await.refused(409, "job_over");
}

#[tokio::test]
async fn draft_idempotency_key_2_3_an_answer_without_a_token_is_kept_for_a_day() {
    let world = World::new().await;
    let create = async || post(&world, "/v1/users", world.admin(), "k", json!({ "name": "zoe" })).await;
    let first = create().await.expect(201);
    world.server.clock.advance(Duration::seconds(24 * 3600 - 1));
    assert_eq!(create().await.expect(201).text, first.text);
    world.server.clock.advance(Duration::seconds(1));
    create().await.refused(409, "name_taken");
}

#[tokio::test]
async fn draft_idempotency_key_5_only_the_credential_that_asked_opens_the_answer() {
    let world = World::new().await;
    mint(&world, "k").await.expect(201);
    let secrets = format!("/v1/runners/{}/secrets", world.runner_id);
    let rotated = world.server.post(&secrets, world.admin(), json!({})).await.expect(201).text_at("/secret");
    post(&world, "/v1/job-tokens", &rotated, "k", World::mint_body("1", json!({}))).await.refused(409, "sealed");
    assert_eq!(count(&world, "job_tokens").await, 1);
}

/// As the text of a `bytea` shows it.
fn hex(text: &str) -> String {
    let digits = text.bytes().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| char::from_digit(digit.into(), 16).unwrap()).collect()
}

#[tokio::test]
async fn draft_idempotency_key_5_the_database_holds_no_secret() {
    let world = World::new().await;
    let minted = mint(&world, "k").await.expect(201).text_at("/token");
    let user = post(&world, "/v1/user-tokens", world.admin(), "k", json!({ "user": "guest" }))
        .await
        .expect(201)
        .text_at("/token");
    let tables: Vec<String> =
        sqlx::query_scalar("select quote_ident(tablename) from pg_tables where schemaname = 'public'")
            .fetch_all(&mut world.server.sql().await)
            .await
            .unwrap();
    let secrets = [minted, user, world.runner.clone(), world.service.1.clone(), world.admin().to_owned()];
    for table in tables {
        let query = format!("select coalesce(string_agg(t::text, ' '), '') from {table} t");
        let dump: String =
            sqlx::query_scalar(sqlx::AssertSqlSafe(query)).fetch_one(&mut world.server.sql().await).await.unwrap();
        for secret in &secrets {
            assert!(!dump.contains(secret) && !dump.contains(&hex(secret)), "{table}");
        }
    }
    let sealed: Vec<u8> = sqlx::query_scalar("select sealed_answer from idempotency_keys limit 1")
        .fetch_one(&mut world.server.sql().await)
        .await
        .unwrap();
    assert!(!String::from_utf8_lossy(&sealed).contains("expires_at"));
}

#[tokio::test]
async fn a_replay_is_not_audited_again() {
    let world = World::new().await;
    mint(&world, "k").await.expect(201);
    let before = count(&world, "audit_events").await;
    mint(&world, "k").await.expect(201);
    assert_eq!(count(&world, "audit_events").await, before);
}
