//! How a job token lives and dies: leases, ends, every revocation, narrower tokens and leaks. Time moves
//! by hand.

use crate::support::{Reply, World};
use serde_json::{Value, json};
use time::Duration;

fn text<'a>(minted: &'a Value, field: &str) -> &'a str {
    minted[field].as_str().unwrap()
}

/// By the instance's runner, with no body at all.
async fn by_runner(world: &World, path: &str) -> Reply {
    world.server.call("POST", path, Some(&world.runner), None).await
}

async fn runner(world: &World, body: Value) -> Reply {
    world.server.post("/v1/runners", world.admin(), body).await.expect(201)
}

async fn narrow(world: &World, token: &str, body: Value) -> Reply {
    world.server.post("/v1/job-tokens/narrow", token, body).await
}

/// Why a token is refused, as a service is told.
async fn reason(world: &World, token: &str) -> String {
    world.authorize(token, &["packages:read"], json!({})).await.expect(200).text_at("/reason")
}

async fn leak(world: &World, token: &str) -> Reply {
    world.server.call("POST", "/v1/leaked-tokens", None, Some(json!({ "token": token }))).await
}

// ── Leases and ends ──────────────────────────────────────────────────────────────────────────────────

#[tokio::test]
async fn heartbeats_keep_the_lease() {
    let world = World::new().await;
    let minted = world.mint("1", json!({ "job": { "lease_secs": 60 } })).await;
    let heartbeat = format!("/v1/jobs/{}/heartbeat", text(&minted, "job_id"));
    for _ in 0..3 {
        world.server.clock.advance(Duration::seconds(59));
        let beat = by_runner(&world, &heartbeat).await.expect(200);
        assert_eq!(beat.json["state"], "running");
    }
    assert_eq!(by_runner(&world, &heartbeat).await.expect(200).json["lease_until"], "2026-11-23T10:03:57Z");
    assert!(world.is_active(text(&minted, "token")).await);
}

#[tokio::test]
async fn a_lost_lease_is_final() {
    let world = World::new().await;
    let minted = world.mint("1", json!({ "job": { "lease_secs": 60 } })).await;
    let (token, job) = (text(&minted, "token"), text(&minted, "job_id"));
    world.server.clock.advance(Duration::seconds(60));
    assert!(!world.is_active(token).await);
    assert_eq!(reason(&world, token).await, "lease_lost");
    by_runner(&world, &format!("/v1/jobs/{job}/heartbeat")).await.refused(409, "job_over");
    world.try_mint("1", json!({ "job": { "lease_secs": 60 } })).await.refused(409, "job_over");
    // Not even a clock that is set back brings it back.
    world.server.clock.advance(Duration::seconds(-30));
    by_runner(&world, &format!("/v1/jobs/{job}/heartbeat")).await.refused(409, "job_over");
    assert!(!world.is_active(token).await);
    let finish = by_runner(&world, &format!("/v1/jobs/{job}/finish")).await.expect(200);
    assert_eq!(finish.json["state"], "lost");
}

#[tokio::test]
async fn a_job_without_a_lease_needs_no_heartbeat() {
    let world = World::new().await;
    let minted = world.mint("1", json!({})).await;
    world.server.clock.advance(Duration::minutes(59));
    let beat = by_runner(&world, &format!("/v1/jobs/{}/heartbeat", text(&minted, "job_id"))).await.expect(200);
    assert_eq!(beat.json["lease_until"], Value::Null);
    assert!(world.is_active(text(&minted, "token")).await);
}

#[tokio::test]
async fn a_token_outlives_the_deadline_by_five_minutes() {
    let world = World::new().await;
    let token = world.token("1").await;
    world.server.clock.advance(Duration::seconds(65 * 60 - 1));
    assert!(world.is_active(&token).await);
    world.server.clock.advance(Duration::seconds(1));
    assert!(!world.is_active(&token).await);
    assert_eq!(reason(&world, &token).await, "expired");
    world.server.get("/v1/job-tokens/self", &token).await.refused(401, "bad_credential");
}

#[tokio::test]
async fn finishing_a_job_ends_its_tokens_and_can_be_repeated() {
    let world = World::new().await;
    let minted = world.mint("1", json!({})).await;
    let (token, finish) = (text(&minted, "token"), format!("/v1/jobs/{}/finish", text(&minted, "job_id")));
    let child = narrow(&world, token, json!({})).await.expect(201).text_at("/token");
    let first = by_runner(&world, &finish).await.expect(200);
    assert_eq!(first.json["state"], "finished");
    assert_eq!(by_runner(&world, &finish).await.expect(200).json, first.json);
    assert_eq!(world.server.post(&finish, &world.runner, json!({})).await.expect(200).json, first.json);
    world.server.post(&finish, &world.runner, json!({ "x": 1 })).await.invalid("/x", "unknown_field");
    for dead in [token, &child] {
        assert!(!world.is_active(dead).await);
        assert_eq!(reason(&world, dead).await, "job_over");
    }
    world.try_mint("1", json!({})).await.refused(409, "job_over");
}

#[tokio::test]
async fn only_the_runner_that_opened_a_job_ends_it() {
    let world = World::new().await;
    let minted = world.mint("1", json!({})).await;
    let other = runner(&world, json!({ "name": "r2" })).await.text_at("/token");
    for verb in ["finish", "heartbeat"] {
        let path = format!("/v1/jobs/{}/{verb}", text(&minted, "job_id"));
        world.server.call("POST", &path, Some(&other), None).await.refused(404, "not_found");
        world.server.call("POST", &path, Some(world.admin()), None).await.refused(403, "wrong_caller");
    }
    assert!(world.is_active(text(&minted, "token")).await);
}

#[tokio::test]
async fn finishing_a_run_ends_the_jobs_of_its_runner_or_for_an_instance_runner_all() {
    let world = World::new().await;
    let scoped =
        runner(&world, json!({ "name": "r2", "project": "acme/web", "protected": true })).await.text_at("/token");
    let elsewhere = runner(&world, json!({ "name": "r3", "project": "acme/lib" })).await.text_at("/token");
    let first = world.mint("1", json!({})).await;
    let second = World::mint_body("1", json!({ "job": { "key": "1/deploy" } }));
    let second = world.server.post("/v1/job-tokens", &scoped, second).await.expect(201).json;
    let finish = format!("/v1/pipelines/{}/finish", text(&first, "pipeline_id"));

    world.server.call("POST", &finish, Some(&elsewhere), None).await.refused(404, "not_found");
    let ended = world.server.call("POST", &finish, Some(&scoped), None).await.expect(200);
    assert_eq!((&ended.json["jobs_finished"], &ended.json["id"]), (&json!(1), &first["pipeline_id"]));
    assert!(world.is_active(text(&first, "token")).await && !world.is_active(text(&second, "token")).await);

    assert_eq!(by_runner(&world, &finish).await.expect(200).json["jobs_finished"], 1);
    assert!(!world.is_active(text(&first, "token")).await);
    assert_eq!(by_runner(&world, &finish).await.expect(200).json["jobs_finished"], 0);
    // A retry is a later job of the same run.
    world.try_mint("1", json!({ "job": { "key": "1/build-2" } })).await.expect(201);
}

#[tokio::test]
async fn a_runner_finishes_what_it_began_though_the_project_has_moved_away() {
    let world = World::new().await;
    let of_group = runner(&world, json!({ "name": "r2", "group": "acme", "protected": true })).await.text_at("/token");
    let idle = runner(&world, json!({ "name": "r3", "group": "acme", "protected": true })).await.text_at("/token");
    let minted =
        world.server.post("/v1/job-tokens", &of_group, World::mint_body("1", json!({}))).await.expect(201).json;
    let others = world.mint("1", json!({ "job": { "key": "1/other" } })).await;
    world.server.patch("/v1/projects/acme%2Fweb", world.admin(), json!({ "path": "other/web" })).await.expect(200);
    let finish = format!("/v1/pipelines/{}/finish", text(&minted, "pipeline_id"));
    world.server.call("POST", &finish, Some(&idle), None).await.refused(404, "not_found");
    let ended = world.server.call("POST", &finish, Some(&of_group), None).await.expect(200);
    assert_eq!(ended.json["jobs_finished"], 1);
    assert!(!world.is_active(text(&minted, "token")).await && world.is_active(text(&others, "token")).await);
    world.server.call("POST", &finish, Some(&of_group), None).await.expect(200);
}

// ── Revocation ───────────────────────────────────────────────────────────────────────────────────────

/// Two tokens of one job, one of another job of the run, one of another run, one of another project.
async fn five_tokens(world: &World) -> Vec<Value> {
    vec![
        world.mint("1", json!({})).await,
        world.mint("1", json!({})).await,
        world.mint("1", json!({ "job": { "key": "1/deploy" } })).await,
        world.mint("2", json!({})).await,
        world.mint("3", json!({ "project": "acme/lib" })).await,
    ]
}

async fn alive(world: &World, tokens: &[Value]) -> Vec<bool> {
    let mut alive = Vec::new();
    for token in tokens {
        alive.push(world.is_active(text(token, "token")).await);
    }
    alive
}

#[tokio::test]
async fn each_revocation_ends_what_it_names_and_nothing_else() {
    let world = World::new().await;
    let (server, maintainer) = (&world.server, world.person("maintainer"));
    let tokens = five_tokens(&world).await;
    let first = &tokens[0];

    let one = server.delete(&format!("/v1/job-tokens/{}", text(first, "id")), maintainer).await.expect(200);
    assert_eq!(one.json["tokens"], 1);
    assert_eq!(alive(&world, &tokens).await, [false, true, true, true, true]);
    assert_eq!(
        server.delete(&format!("/v1/job-tokens/{}", text(first, "id")), maintainer).await.expect(200).json["tokens"],
        0
    );

    let job = server
        .post(&format!("/v1/jobs/{}/revoke-tokens", text(first, "job_id")), maintainer, json!({}))
        .await
        .expect(200);
    assert_eq!(job.json["tokens"], 1);
    assert_eq!(alive(&world, &tokens).await, [false, false, true, true, true]);

    server
        .post(&format!("/v1/pipelines/{}/revoke-tokens", text(first, "pipeline_id")), maintainer, json!({}))
        .await
        .expect(200);
    assert_eq!(alive(&world, &tokens).await, [false, false, false, true, true]);

    server.post("/v1/projects/acme%2Fweb/revoke-tokens", maintainer, json!({})).await.expect(200);
    assert_eq!(alive(&world, &tokens).await, [false, false, false, false, true]);

    server.post(&format!("/v1/runners/{}/revoke-tokens", world.runner_id), world.admin(), json!({})).await.expect(200);
    assert_eq!(alive(&world, &tokens).await, [false; 5]);
    assert_eq!(reason(&world, text(first, "token")).await, "revoked");

    // The jobs go on: each may get a new token, which lives.
    let fresh = world.token("1").await;
    assert!(world.is_active(&fresh).await);
}

#[tokio::test]
async fn a_revocation_is_one_audit_event() {
    let world = World::new().await;
    let minted = world.mint("1", json!({})).await;
    for (path, action, subject) in [
        (format!("/v1/jobs/{}/revoke-tokens", text(&minted, "job_id")), "job.tokens_revoked", &minted["job_id"]),
        (
            format!("/v1/pipelines/{}/revoke-tokens", text(&minted, "pipeline_id")),
            "pipeline.tokens_revoked",
            &minted["pipeline_id"],
        ),
        ("/v1/projects/acme%2Fweb/revoke-tokens".to_owned(), "project.tokens_revoked", &minted["project_id"]),
        (format!("/v1/runners/{}/revoke-tokens", world.runner_id), "runner.tokens_revoked", &json!(world.runner_id)),
    ] {
        world.server.clock.advance(Duration::seconds(1));
        let reply = world.server.post(&path, world.admin(), json!({})).await.expect(200);
        let events = world.server.get("/v1/audit-events?limit=2", world.admin()).await.expect(200).json;
        assert_eq!((&events["items"][0]["action"], &events["items"][0]["subject_id"]), (&json!(action), subject));
        assert_eq!(events["items"][0]["request_id"], reply.header("x-request-id"));
        assert_ne!(events["items"][1]["request_id"], reply.header("x-request-id"));
    }
}

#[tokio::test]
async fn revocation_is_the_maintainers() {
    let world = World::new().await;
    let minted = world.mint("1", json!({})).await;
    let paths = [
        ("DELETE", format!("/v1/job-tokens/{}", text(&minted, "id"))),
        ("POST", format!("/v1/jobs/{}/revoke-tokens", text(&minted, "job_id"))),
        ("POST", format!("/v1/pipelines/{}/revoke-tokens", text(&minted, "pipeline_id"))),
        ("POST", "/v1/projects/acme%2Fweb/revoke-tokens".to_owned()),
    ];
    for (method, path) in paths {
        world.server.call(method, &path, Some(world.person("developer")), None).await.refused(403, "forbidden");
        world.server.call(method, &path, Some(world.person("stranger")), None).await.refused(404, "not_found");
        world.server.call(method, &path, Some(&world.runner), None).await.refused(403, "wrong_caller");
    }
    let runner = format!("/v1/runners/{}/revoke-tokens", world.runner_id);
    world.server.post(&runner, world.person("owner"), json!({})).await.refused(404, "not_found");
    assert!(world.is_active(text(&minted, "token")).await);
}

#[tokio::test]
async fn live_tokens_are_listed_without_their_text() {
    let world = World::new().await;
    let tokens = five_tokens(&world).await;
    let path = "/v1/projects/acme%2Fweb/job-tokens";
    let listed = async || world.server.get(path, world.person("maintainer")).await.expect(200);
    assert_eq!(listed().await.json["items"].as_array().unwrap().len(), 4);
    assert!(!listed().await.text.contains("jpj_"));
    world
        .server
        .post(&format!("/v1/pipelines/{}/revoke-tokens", text(&tokens[0], "pipeline_id")), world.admin(), json!({}))
        .await
        .expect(200);
    let left = listed().await;
    assert_eq!(left.json["items"][0]["id"], tokens[3]["id"]);
    assert_eq!(left.json["items"].as_array().unwrap().len(), 1);
    world.server.get(path, world.person("developer")).await.refused(403, "forbidden");
}

#[tokio::test]
async fn deleting_a_project_or_runner_ends_what_was_minted_under_it() {
    let world = World::new().await;
    let second = runner(&world, json!({ "name": "r2", "protected": true })).await;
    let of_web = world.mint("1", json!({})).await;
    let of_lib = world.mint("2", json!({ "project": "acme/lib" })).await;
    let by_second = World::mint_body("3", json!({ "project": "acme/lib" }));
    let by_second = world.server.post("/v1/job-tokens", &second.text_at("/token"), by_second).await.expect(201).json;

    world.server.delete(&format!("/v1/runners/{}", second.text_at("/id")), world.admin()).await.expect(204);
    assert!(!world.is_active(text(&by_second, "token")).await && world.is_active(text(&of_lib, "token")).await);
    world.server.delete("/v1/projects/acme%2Fweb", world.admin()).await.expect(204);
    assert!(!world.is_active(text(&of_web, "token")).await && world.is_active(text(&of_lib, "token")).await);
    assert_eq!(reason(&world, text(&of_web, "token")).await, "revoked");
    by_runner(&world, &format!("/v1/jobs/{}/finish", text(&of_web, "job_id"))).await.refused(404, "not_found");
}

#[tokio::test]
async fn deleting_a_user_ends_no_job() {
    let world = World::new().await;
    let minted = world.mint("1", json!({ "pipeline": { "actor": "developer" } })).await;
    world.server.delete("/v1/users/developer", world.admin()).await.expect(204);
    assert!(world.is_active(text(&minted, "token")).await);
}

#[tokio::test]
async fn giving_up_ends_the_token_and_what_was_narrowed_from_it() {
    let world = World::new().await;
    let parent = world.token("1").await;
    let sibling = world.token("1").await;
    let child = narrow(&world, &parent, json!({})).await.expect(201).text_at("/token");
    let grandchild = narrow(&world, &child, json!({})).await.expect(201).text_at("/token");
    world.server.delete("/v1/job-tokens/self", &child).await.expect(204);
    assert_eq!(
        (reason(&world, &child).await.as_str(), reason(&world, &grandchild).await.as_str()),
        ("revoked", "parent")
    );
    assert!(world.is_active(&parent).await && world.is_active(&sibling).await);
    world.server.delete("/v1/job-tokens/self", &child).await.refused(401, "bad_credential");
}

// ── Narrower tokens ──────────────────────────────────────────────────────────────────────────────────

#[tokio::test]
async fn narrowing_never_gives_more() {
    let world = World::new().await;
    let parent = world.mint("1", json!({ "permissions": ["packages:read", "jobs:admin"], "audience": ["https://a.example", "https://b.example"] })).await;
    let parent = text(&parent, "token");
    for (body, pointer, fault) in [
        (json!({ "permissions": ["packages:create"] }), "/permissions", "more_than_parent"),
        (json!({ "permissions": ["packages:read", "badges:read"] }), "/permissions", "more_than_parent"),
        (json!({ "permissions": ["nope:read"] }), "/permissions/0", "unknown_permission"),
        (json!({ "expires_at": "2026-11-23T11:05:01Z" }), "/expires_at", "longer_than_parent"),
        (json!({ "expires_at": "2026-11-23T10:00:00Z" }), "/expires_at", "past"),
        (json!({ "audience": ["https://c.example"] }), "/audience", "other_than_parent"),
        (json!({ "audience": ["https://a.example", "https://c.example"] }), "/audience", "other_than_parent"),
        (json!({ "audience": [] }), "/audience", "out_of_range"),
    ] {
        narrow(&world, parent, body).await.invalid(pointer, fault);
    }
    let same =
        narrow(&world, parent, json!({ "permissions": null, "expires_at": null, "audience": null })).await.expect(201);
    assert_eq!(
        (&same.json["permissions"], &same.json["expires_at"]),
        (&json!(["jobs:admin", "packages:read"]), &json!("2026-11-23T11:05:00Z"))
    );
    let less = json!({ "permissions": ["jobs:read"], "expires_at": "2026-11-23T10:10:00Z", "audience": ["https://b.example"] });
    let less = narrow(&world, parent, less).await.expect(201);
    let seen = world.server.get("/v1/job-tokens/self", &less.text_at("/token")).await.expect(200).json["token"].clone();
    assert_eq!((&seen["permissions"], &seen["audience"]), (&json!(["jobs:read"]), &json!(["https://b.example"])));
    world.server.clock.advance(Duration::minutes(10));
    world.server.get("/v1/job-tokens/self", &less.text_at("/token")).await.refused(401, "bad_credential");
    world.server.get("/v1/job-tokens/self", parent).await.expect(200);
}

#[tokio::test]
async fn an_uncapped_token_may_take_any_cap_and_audience() {
    let world = World::new().await;
    let parent = world.token("1").await;
    let child =
        narrow(&world, &parent, json!({ "permissions": [], "audience": ["https://a.example"] })).await.expect(201);
    assert_eq!(child.json["permissions"], json!([]));
    assert!(!world.is_active(&child.text_at("/token")).await, "meant for another service");
}

#[tokio::test]
async fn tokens_are_narrowed_eight_times_in_a_row() {
    let world = World::new().await;
    let mut tokens = vec![world.token("1").await];
    for depth in 0..8 {
        tokens.push(narrow(&world, &tokens[depth], json!({})).await.expect(201).text_at("/token"));
    }
    narrow(&world, &tokens[8], json!({})).await.invalid("", "too_deep");
    // The end of one is the end of all below it.
    world.server.delete("/v1/job-tokens/self", &tokens[3]).await.expect(204);
    for (depth, token) in tokens.iter().enumerate() {
        assert_eq!(world.is_active(token).await, depth < 3, "{depth}");
    }
}

#[tokio::test]
async fn at_most_64_live_descendants() {
    let world = World::new().await;
    let root = world.token("1").await;
    let child = narrow(&world, &root, json!({})).await.expect(201).text_at("/token");
    for number in 0..63 {
        let parent = if number % 2 == 0 { &root } else { &child };
        narrow(&world, parent, json!({})).await.expect(201);
    }
    narrow(&world, &root, json!({})).await.refused(409, "too_many_narrowed");
    narrow(&world, &child, json!({})).await.refused(409, "too_many_narrowed");
    // Another token of the job has its own; and what died makes room.
    let other = world.token("1").await;
    narrow(&world, &other, json!({})).await.expect(201);
    world.server.delete("/v1/job-tokens/self", &child).await.expect(204);
    narrow(&world, &root, json!({})).await.expect(201);
}

// ── Leaks ────────────────────────────────────────────────────────────────────────────────────────────

#[tokio::test]
async fn a_leaked_job_token_dies_with_what_was_narrowed_from_it() {
    let world = World::new().await;
    let token = world.token("1").await;
    let child = narrow(&world, &token, json!({})).await.expect(201).text_at("/token");
    leak(&world, &token).await.expect(204);
    assert!(!world.is_active(&token).await && !world.is_active(&child).await);
    leak(&world, &token).await.expect(204);
}

#[tokio::test]
async fn a_leaked_user_token_dies_alone() {
    let world = World::new().await;
    let second = world
        .server
        .post("/v1/user-tokens", world.person("guest"), json!({ "user": "guest" }))
        .await
        .expect(201)
        .text_at("/token");
    leak(&world, &second).await.expect(204);
    world.server.get("/v1/groups", &second).await.refused(401, "bad_credential");
    world.server.get("/v1/groups", world.person("guest")).await.expect(200);
}

#[tokio::test]
async fn a_leaked_runner_token_ends_what_was_minted_under_the_runner() {
    let world = World::new().await;
    let token = world.token("1").await;
    let secrets = format!("/v1/runners/{}/secrets", world.runner_id);
    let second = world.server.post(&secrets, world.admin(), json!({})).await.expect(201).text_at("/secret");
    leak(&world, &world.runner).await.expect(204);
    assert!(!world.is_active(&token).await);
    world.try_mint("2", json!({})).await.refused(401, "bad_credential");
    world.server.post("/v1/job-tokens", &second, World::mint_body("2", json!({}))).await.expect(201);
}

#[tokio::test]
async fn a_leaked_service_secret_opens_nothing() {
    let world = World::new().await;
    leak(&world, &world.service.1).await.expect(204);
    world.ask(json!({})).await.refused(401, "bad_credential");
}

#[tokio::test]
async fn each_leak_is_audited_and_an_unknown_token_is_no_different() {
    let world = World::new().await;
    let unknown = world.server.post("/v1/user-tokens", world.admin(), json!({ "user": "guest" })).await.expect(201);
    world.server.delete(&format!("/v1/user-tokens/{}", unknown.text_at("/id")), world.admin()).await.expect(204);
    world.server.clock.advance(Duration::seconds(1));
    for (token, action) in [
        (world.token("1").await, "job_token.revoked"),
        (world.person("guest").to_owned(), "user_token.leaked"),
        (world.service.1.clone(), "service.secret_leaked"),
        (world.runner.clone(), "runner.secret_leaked"),
    ] {
        world.server.clock.advance(Duration::seconds(1));
        leak(&world, &token).await.expect(204);
        leak(&world, &unknown.text_at("/token")).await.expect(204);
        let event =
            world.server.get("/v1/audit-events?limit=1", world.admin()).await.expect(200).json["items"][0].clone();
        assert_eq!(
            (&event["action"], &event["actor_kind"], &event["reason"]),
            (&json!(action), &json!("anyone"), &json!("leaked"))
        );
    }
    for malformed in ["", "jpj_x", "not a token", &world.runner[..52]] {
        leak(&world, malformed).await.invalid("/token", "malformed");
    }
}

// ── A job token opens nothing else ───────────────────────────────────────────────────────────────────

#[tokio::test]
async fn a_job_token_opens_narrow_and_self_and_nothing_else() {
    let world = World::new().await;
    let token = world.token("1").await;
    let document = world.server.call("GET", "/openapi.json", None, None).await.expect(200).json;
    let mut tried = 0;
    for (template, operations) in document["paths"].as_object().unwrap() {
        let open = ["/v1/job-tokens/narrow", "/v1/job-tokens/self", "/v1/leaked-tokens", "/healthz", "/readyz"];
        // Forward-auth asks the gateway for its secret, not a caller for a credential.
        let asked_by_a_gateway = template.starts_with("/v1/forward-auth/");
        if open.contains(&template.as_str()) || asked_by_a_gateway || !template.starts_with("/v1/") {
            continue;
        }
        let filled = template.replace("{project}", "acme%2Fweb").replace("{group}", "acme");
        let path: String = filled
            .split('/')
            .map(|part| if part.starts_with('{') { "0193a2b4-0000-7000-8000-000000000000" } else { part })
            .collect::<Vec<_>>()
            .join("/");
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            if !operations[method.to_lowercase()].is_null() {
                let body = (method != "GET").then(|| json!({}));
                world.server.call(method, &path, Some(&token), body).await.refused(403, "wrong_caller");
                tried += 1;
            }
        }
    }
    assert!(tried > 40, "{tried}");
    assert!(world.is_active(&token).await);
}

#[tokio::test]
async fn self_tells_what_the_token_may_do_in_a_project() {
    let world = World::new().await;
    world.grant(&["packages:read", "jobs:read"], json!({})).await;
    let minted = world.mint("1", json!({ "permissions": ["packages:admin"] })).await;
    let path = "/v1/job-tokens/self?project=acme%2Flib&permission=packages:read%20jobs:read&permission=packages:create";
    let access = world.server.get(path, text(&minted, "token")).await.expect(200).json["access"].clone();
    assert_eq!((&access["project"], &access["permissions"]), (&json!("acme/lib"), &json!(["packages:read"])));
    assert_eq!(
        access["missing"],
        json!([{ "permission": "jobs:read", "reason": "token_cap" }, { "permission": "packages:create", "reason": "no_grant" }])
    );
    // What is hidden is no different from what does not exist.
    let other = world.server.get("/v1/job-tokens/self?project=other%2Fapp", text(&minted, "token")).await.expect(200);
    let missing = world.server.get("/v1/job-tokens/self?project=other%2Fxxx", text(&minted, "token")).await.expect(200);
    assert_eq!(other.text.replace("app", "xxx"), missing.text);
    world
        .server
        .get("/v1/job-tokens/self?colour=red", text(&minted, "token"))
        .await
        .invalid("?colour", "unknown_parameter");
}
