//! A runner asks for a token: what it has to say, what is computed and never taken from it, and what
//! never changes after the first mint.

use crate::support::{Reply, World, merge};
use serde_json::{Value, json};
use time::Duration;

/// A runner of this scope: its token and id.
async fn runner(world: &World, body: Value) -> (String, String) {
    let mut with_name = json!({ "name": "r" });
    merge(&mut with_name, body);
    let made = world.server.post("/v1/runners", world.admin(), with_name).await.expect(201);
    (made.text_at("/token"), made.text_at("/id"))
}

async fn mint_by(world: &World, runner: &str, key: &str, change: Value) -> Reply {
    world.server.post("/v1/job-tokens", runner, World::mint_body(key, change)).await
}

/// What the holder sees of a token just minted.
async fn facts(world: &World, key: &str, change: Value) -> Value {
    let minted = world.mint(key, change).await;
    world.server.get("/v1/job-tokens/self", minted["token"].as_str().unwrap()).await.expect(200).json["token"].clone()
}

async fn protect(world: &World, patch: Value) {
    world.server.patch("/v1/projects/acme%2Fweb", world.admin(), patch).await.expect(200);
}

fn branch(name: &str) -> Value {
    json!({ "pipeline": { "ref": name } })
}

#[tokio::test]
async fn a_mint_answers_the_token_and_its_ids() {
    let world = World::new().await;
    let minted = world.try_mint("4711", json!({})).await.expect(201);
    let token = minted.text_at("/token");
    assert!(token.starts_with("jpj_") && token.len() == 53);
    assert_eq!(minted.json["permissions"], Value::Null);
    assert_eq!(minted.json["expires_at"], "2026-11-23T11:05:00Z", "the job's hour and five minutes");
    assert_eq!(minted.header("etag"), "");
    assert_eq!(minted.header("cache-control"), "no-store");
    let seen = world.server.get("/v1/job-tokens/self", &token).await.expect(200).json["token"].clone();
    for id in ["id", "project_id", "pipeline_id", "job_id"] {
        assert_eq!(seen[id], minted.json[id]);
    }
    assert_eq!(
        (seen["project"].as_str(), seen["pipeline"].as_str(), seen["job"].as_str()),
        (Some("acme/web"), Some("4711"), Some("4711/build"))
    );
    assert_eq!((&seen["protected"], &seen["runner_id"]), (&json!(true), &json!(world.runner_id)));
    assert!(seen.get("token").is_none());
    let audit = world.server.get("/v1/audit-events?project=acme%2Fweb", world.person("owner")).await.expect(200);
    assert!(audit.text.contains("job_token.minted") && !audit.text.contains(&token));
}

#[tokio::test]
async fn what_has_to_be_said() {
    let world = World::new().await;
    for pointer in [
        "/project",
        "/pipeline",
        "/job",
        "/pipeline/key",
        "/pipeline/ref",
        "/pipeline/ref_type",
        "/pipeline/sha",
        "/pipeline/trigger",
        "/job/key",
        "/job/name",
        "/job/timeout_secs",
    ] {
        let mut body = World::mint_body("1", json!({}));
        let (parent, field) = pointer.rsplit_once('/').unwrap();
        body.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(field);
        world.server.post("/v1/job-tokens", &world.runner, body).await.invalid(pointer, "required");
    }
    let least = json!({
        "project": "acme/web", "pipeline": { "key": "1", "ref": "main", "ref_type": "branch", "sha": "a", "trigger": "push" },
        "job": { "key": "1", "name": "n", "timeout_secs": 1 },
    });
    world.server.post("/v1/job-tokens", &world.runner, least).await.expect(201);
}

#[tokio::test]
async fn a_merge_request_says_whether_it_is_from_a_fork() {
    let world = World::new().await;
    let request =
        json!({ "pipeline": { "trigger": "merge_request", "ref": "refs/merge/1", "ref_type": "merge_request" } });
    let mut body = World::mint_body("1", request.clone());
    body["pipeline"].as_object_mut().unwrap().remove("from_fork");
    world.server.post("/v1/job-tokens", &world.runner, body.clone()).await.invalid("/pipeline/from_fork", "required");
    body["pipeline"]["from_fork"] = Value::Null;
    world.server.post("/v1/job-tokens", &world.runner, body).await.invalid("/pipeline/from_fork", "required");
    world.try_mint("1", request).await.expect(201);
    let source = json!({ "pipeline": { "ref": "topic", "fork_source": "else/where" } });
    world.try_mint("2", source).await.invalid("/pipeline/fork_source", "not_from_fork");
    let fork = json!({ "pipeline": { "ref": "topic", "from_fork": true, "fork_source": "else/where" } });
    let seen = facts(&world, "3", fork).await;
    assert_eq!((&seen["from_fork"], &seen["fork_source"]), (&json!(true), &json!("else/where")));
}

#[tokio::test]
async fn limits_of_timeout_lease_cap_and_audience() {
    let world = World::new().await;
    for seconds in [0, 86_401] {
        world
            .try_mint("1", json!({ "job": { "timeout_secs": seconds } }))
            .await
            .invalid("/job/timeout_secs", "out_of_range");
    }
    for seconds in [0, 3601] {
        world
            .try_mint("1", json!({ "job": { "lease_secs": seconds } }))
            .await
            .invalid("/job/lease_secs", "out_of_range");
    }
    world
        .try_mint("1", json!({ "permissions": ["jobs:read", "nope:read"] }))
        .await
        .invalid("/permissions/1", "unknown_permission");
    world.try_mint("1", json!({ "permissions": vec!["jobs:read"; 257] })).await.invalid("/permissions", "too_many");
    world.try_mint("1", json!({ "audience": [] })).await.invalid("/audience", "out_of_range");
    world.try_mint("1", json!({ "audience": vec!["https://a.example"; 9] })).await.invalid("/audience", "out_of_range");
    world
        .try_mint("1", json!({ "audience": ["https://a.example", "registry"] }))
        .await
        .invalid("/audience/1", "invalid");
    world
        .try_mint(
            "1",
            json!({ "job": { "timeout_secs": 86_400, "lease_secs": 3600 }, "audience": vec!["https://a.example"; 8] }),
        )
        .await
        .expect(201);
}

#[tokio::test]
async fn a_cap_is_told_by_its_canonical_names() {
    let world = World::new().await;
    let minted = world.mint("1", json!({ "permissions": ["READ_JOBS", "packages:admin"] })).await;
    assert_eq!(minted["permissions"], json!(["jobs:read", "packages:admin"]));
    assert_eq!(world.mint("2", json!({ "permissions": [] })).await["permissions"], json!([]));
}

// ── Facts ────────────────────────────────────────────────────────────────────────────────────────────

#[tokio::test]
async fn facts_never_change() {
    let world = World::new().await;
    let fork = json!({ "pipeline": { "ref": "topic", "from_fork": true, "fork_source": "a/b", "actor": "guest" }, "job": { "environment": "staging", "lease_secs": 60 } });
    world.mint("1", fork.clone()).await;
    for (part, field, value) in [
        ("pipeline", "ref", json!("main")),
        ("pipeline", "ref_type", json!("tag")),
        ("pipeline", "sha", json!("b")),
        ("pipeline", "trigger", json!("api")),
        ("pipeline", "actor", json!(null)),
        ("pipeline", "fork_source", json!("c/d")),
        ("job", "name", json!("deploy")),
        ("job", "environment", json!(null)),
        ("job", "timeout_secs", json!(60)),
        ("job", "lease_secs", json!(null)),
    ] {
        let mut change = fork.clone();
        change[part][field] = value;
        let reply = world.try_mint("1", change).await.refused(409, "facts_differ");
        assert_eq!(reply.json["errors"][0]["pointer"], format!("/{part}/{field}"), "{}", reply.text);
    }
    world.try_mint("1", fork).await.expect(201);
}

#[tokio::test]
async fn the_same_key_in_another_project_is_another_run() {
    let world = World::new().await;
    let first = world.mint("1", json!({})).await;
    let other = world.mint("1", json!({ "project": "acme/lib", "pipeline": { "sha": "b" } })).await;
    assert_ne!(first["pipeline_id"], other["pipeline_id"]);
}

#[tokio::test]
async fn a_job_is_the_runners_that_opened_it() {
    let world = World::new().await;
    world.mint("1", json!({})).await;
    let (other, _) = runner(&world, json!({ "protected": true })).await;
    mint_by(&world, &other, "1", json!({})).await.refused(409, "job_of_other_runner");
    // The run is everyone's.
    mint_by(&world, &other, "1", json!({ "job": { "key": "1/deploy" } })).await.expect(201);
}

#[tokio::test]
async fn the_deadline_is_fixed_at_the_first_mint() {
    let world = World::new().await;
    let first = world.mint("1", json!({})).await;
    world.server.clock.advance(Duration::minutes(30));
    let second = world.mint("1", json!({})).await;
    assert_ne!(first["id"], second["id"]);
    assert_eq!((&first["job_id"], &first["expires_at"]), (&second["job_id"], &second["expires_at"]));
    world.server.clock.advance(Duration::minutes(30));
    world.try_mint("1", json!({})).await.refused(409, "job_over");
}

#[tokio::test]
async fn sixteen_live_tokens_for_a_job() {
    let world = World::new().await;
    let mut last = Value::Null;
    for _ in 0..16 {
        last = world.mint("1", json!({})).await;
    }
    world.try_mint("1", json!({})).await.refused(409, "too_many_tokens");
    // Narrowed ones do not count, dead ones neither.
    let token = last["token"].as_str().unwrap();
    world.server.post("/v1/job-tokens/narrow", token, json!({})).await.expect(201);
    world.server.delete("/v1/job-tokens/self", token).await.expect(204);
    world.try_mint("1", json!({})).await.expect(201);
    world.try_mint("1", json!({})).await.refused(409, "too_many_tokens");
    world.server.post("/v1/projects/acme%2Fweb/revoke-tokens", world.admin(), json!({})).await.expect(200);
    world.try_mint("1", json!({})).await.expect(201);
}

// ── Protection ───────────────────────────────────────────────────────────────────────────────────────

#[tokio::test]
async fn protection_is_computed_from_the_projects_patterns() {
    let world = World::new().await;
    protect(&world, json!({ "protected_refs": ["main", "release/*", "tag:v*"] })).await;
    for (number, (change, protected)) in [
        (branch("main"), true),
        (branch("Main"), false),
        (branch("main2"), false),
        (branch("release/1"), true),
        (branch("release/1/x"), false),
        (json!({ "pipeline": { "ref": "main", "ref_type": "tag" } }), false),
        (json!({ "pipeline": { "ref": "v1", "ref_type": "tag" } }), true),
        (json!({ "pipeline": { "ref": "main", "from_fork": true } }), false),
        (json!({ "pipeline": { "ref": "main", "trigger": "merge_request" } }), false),
        (json!({ "pipeline": { "ref": "main", "ref_type": "merge_request" } }), false),
        (json!({ "pipeline": { "ref": "main", "trigger": "schedule" } }), true),
    ]
    .into_iter()
    .enumerate()
    {
        let seen = facts(&world, &number.to_string(), change.clone()).await;
        assert_eq!(seen["protected"], protected, "{change}");
    }
}

#[tokio::test]
async fn no_pattern_protects_nothing() {
    let world = World::new().await;
    protect(&world, json!({ "protected_refs": [] })).await;
    assert_eq!(facts(&world, "1", json!({})).await["protected"], false);
}

#[tokio::test]
async fn protection_is_frozen_at_mint() {
    let world = World::new().await;
    let before = world.token("1").await;
    protect(&world, json!({ "protected_refs": [] })).await;
    let seen = world.server.get("/v1/job-tokens/self", &before).await.expect(200);
    assert_eq!(seen.json["token"]["protected"], true);
    assert_eq!(facts(&world, "1", json!({})).await["protected"], false);
}

#[tokio::test]
async fn only_a_protected_runner_serves_protected_refs() {
    let world = World::new().await;
    let (plain, id) = runner(&world, json!({})).await;
    mint_by(&world, &plain, "1", json!({})).await.refused(403, "runner_not_protected");
    mint_by(&world, &plain, "2", branch("topic")).await.expect(201);
    world.server.patch(&format!("/v1/runners/{id}"), world.admin(), json!({ "protected": true })).await.expect(200);
    mint_by(&world, &plain, "1", json!({})).await.expect(201);
}

#[tokio::test]
async fn a_protected_environment_needs_a_protected_ref() {
    let world = World::new().await;
    protect(&world, json!({ "protected_environments": ["prod*"] })).await;
    let on =
        |name: &str, environment: &str| json!({ "pipeline": { "ref": name }, "job": { "environment": environment } });
    world.try_mint("1", on("topic", "production")).await.refused(403, "protected_environment");
    world.try_mint("2", on("topic", "staging")).await.expect(201);
    world.try_mint("3", on("main", "production")).await.expect(201);
}

// ── Runners ──────────────────────────────────────────────────────────────────────────────────────────

#[tokio::test]
async fn a_runner_reaches_what_lies_in_its_scope() {
    let world = World::new().await;
    world.server.post("/v1/groups", world.admin(), json!({ "path": "acme/team" })).await.expect(201);
    world.server.post("/v1/projects", world.admin(), json!({ "path": "acme/team/api" })).await.expect(201);
    let (of_project, _) = runner(&world, json!({ "project": "acme/web", "protected": true })).await;
    let (of_group, _) = runner(&world, json!({ "group": "acme", "protected": true })).await;
    for (runner, project, status) in [
        (&of_project, "acme/web", 201),
        (&of_project, "acme/lib", 404),
        (&of_project, "other/app", 404),
        (&of_group, "acme/web", 201),
        (&of_group, "acme/team/api", 201),
        (&of_group, "other/app", 404),
        (&world.runner, "acme/web", 201),
        (&world.runner, "other/app", 201),
        (&world.runner, "acme/nope", 404),
    ] {
        let key = format!("{project} {}", &runner[..12]);
        let reply = mint_by(&world, runner, &key, json!({ "project": project })).await.expect(status);
        if status == 404 {
            reply.refused(404, "not_found");
        }
    }
}

#[tokio::test]
async fn out_of_scope_is_missing_byte_for_byte() {
    let world = World::new().await;
    let (of_project, _) = runner(&world, json!({ "project": "acme/web" })).await;
    let outside = mint_by(&world, &of_project, "1", json!({ "project": "acme/lib" })).await.refused(404, "not_found");
    let missing = mint_by(&world, &of_project, "1", json!({ "project": "acme/nope" })).await.refused(404, "not_found");
    assert_eq!(
        outside.text.replace(outside.header("x-request-id"), ""),
        missing.text.replace(missing.header("x-request-id"), "")
    );
}

#[tokio::test]
async fn a_runner_follows_a_project_that_moves_out_of_its_scope() {
    let world = World::new().await;
    let (of_group, _) = runner(&world, json!({ "group": "acme", "protected": true })).await;
    mint_by(&world, &of_group, "1", json!({})).await.expect(201);
    world.server.patch("/v1/projects/acme%2Fweb", world.admin(), json!({ "path": "other/web" })).await.expect(200);
    mint_by(&world, &of_group, "2", json!({ "project": "other/web" })).await.refused(404, "not_found");
}

#[tokio::test]
async fn a_paused_runner_mints_nothing_and_what_it_minted_lives_on() {
    let world = World::new().await;
    let token = world.token("1").await;
    let path = format!("/v1/runners/{}", world.runner_id);
    world.server.patch(&path, world.admin(), json!({ "paused": true })).await.expect(200);
    world.try_mint("1", json!({})).await.refused(409, "runner_paused");
    assert!(world.is_active(&token).await);
    world.server.patch(&path, world.admin(), json!({ "paused": false })).await.expect(200);
    world.try_mint("1", json!({})).await.expect(201);
}

// ── Actors ───────────────────────────────────────────────────────────────────────────────────────────

#[tokio::test]
async fn an_actor_is_vouched_for_by_a_runner_that_asserts() {
    let world = World::new().await;
    let id = world.server.get("/v1/users/developer", world.admin()).await.text_at("/id");
    for (key, actor) in [("1", "developer"), ("2", id.as_str())] {
        let seen = facts(&world, key, json!({ "pipeline": { "actor": actor } })).await;
        assert_eq!((&seen["actor"], seen.get("actor_claimed")), (&json!("developer"), None));
    }
}

#[tokio::test]
async fn any_other_actor_is_claimed() {
    let world = World::new().await;
    let (plain, _) = runner(&world, json!({ "protected": true })).await;
    let unknown = facts(&world, "1", json!({ "pipeline": { "actor": "nobody" } })).await;
    assert_eq!((&unknown["actor"], &unknown["actor_claimed"]), (&Value::Null, &json!("nobody")));
    let minted = mint_by(&world, &plain, "2", json!({ "pipeline": { "actor": "developer" } })).await.expect(201);
    let seen =
        world.server.get("/v1/job-tokens/self", &minted.text_at("/token")).await.expect(200).json["token"].clone();
    assert_eq!((&seen["actor"], &seen["actor_claimed"]), (&Value::Null, &json!("developer")));
}

#[tokio::test]
async fn a_deleted_actor_is_claimed_and_has_no_role() {
    let world = World::new().await;
    world.server.patch("/v1/projects/acme%2Flib", world.admin(), json!({ "mode": "legacy" })).await.expect(200);
    let minted = world.mint("1", json!({ "pipeline": { "actor": "developer" } })).await;
    let token = minted["token"].as_str().unwrap();
    let answer = async || world.authorize(token, &["packages:create"], json!({})).await.expect(200).json;
    assert_eq!(answer().await["reason"], "role");
    world.server.delete("/v1/users/developer", world.admin()).await.expect(204);
    assert_eq!(answer().await["reason"], "no_grant");
    let seen = world.server.get("/v1/job-tokens/self", token).await.expect(200).json["token"].clone();
    assert_eq!((&seen["actor"], &seen["actor_claimed"]), (&Value::Null, &json!("developer")));
}
