//! Trust rules over REST: what can be written, who may, and what is refused. What they mint is in `trusted_cis.rs`.

use crate::support::{Reply, World, merge};
use serde_json::{Value, json};

const RULES: &str = "/v1/projects/acme%2Fweb/trust-rules";

/// A rule that GitHub's own repository 42 may mint by; `change` is merged in.
fn rule(change: Value) -> Value {
    let mut rule = json!({
        "name": "github", "issuer": "https://token.actions.githubusercontent.com", "ci": "github",
        "claims": { "repository_id": ["42"] },
    });
    merge(&mut rule, change);
    rule
}

async fn create(world: &World, change: Value) -> Reply {
    world.server.post(RULES, world.person("maintainer"), rule(change)).await
}

async fn put(world: &World, path: &str, tag: &str, body: Value) -> Reply {
    let maintainer = Some(world.person("maintainer"));
    world.server.call_with("PUT", path, maintainer, Some(body), &[("if-match", tag)]).await
}

/// What was done to rules, sorted: all of it in the one moment that the clock shows.
async fn actions(world: &World) -> Vec<String> {
    let path = "/v1/audit-events?project=acme%2Fweb";
    let events = world.server.get(path, world.person("owner")).await.expect(200).json;
    let events = events["items"].as_array().unwrap().iter().map(|event| event["action"].as_str().unwrap().to_owned());
    let mut actions: Vec<_> = events.filter(|action| action.starts_with("trust_rule.")).collect();
    actions.sort();
    actions
}

#[tokio::test]
async fn a_rule_is_written_read_changed_and_deleted() {
    let world = World::new().await;
    let made = create(&world, json!({ "permissions": ["packages:read", "packages:create"] })).await.expect(201);
    let path = format!("{RULES}/{}", made.text_at("/id"));
    let shown = json!({
        "id": made.json["id"], "project_id": made.json["project_id"], "name": "github", "ci": "github", "jwks_uri": null,
        "issuer": "https://token.actions.githubusercontent.com", "claims": { "repository_id": ["42"] },
        "permissions": ["packages:read", "packages:create"], "protected": false, "excludes_forks": false,
        "max_lifetime_secs": 3600, "paused": false, "created_at": made.json["created_at"],
    });
    assert_eq!(made.json, shown);
    let read = world.server.get(&path, world.person("maintainer")).await.expect(200);
    assert_eq!((&read.json, read.header("etag")), (&shown, made.header("etag")));
    let listed = world.server.get(RULES, world.person("owner")).await.expect(200);
    assert_eq!(listed.json["items"], json!([shown]));

    let body = rule(json!({ "name": "renamed", "paused": true, "protected": true, "max_lifetime_secs": 60 }));
    world.server.put(&path, world.person("maintainer"), body.clone()).await.refused(428, "precondition_required");
    let changed = put(&world, &path, made.header("etag"), body.clone()).await.expect(200);
    assert_eq!((&changed.json["name"], &changed.json["paused"]), (&json!("renamed"), &json!(true)));
    assert_eq!(changed.json["permissions"], json!(null), "what is left out is as if it had never been said");
    put(&world, &path, made.header("etag"), body).await.refused(412, "precondition_failed");

    world.server.delete(&path, world.person("maintainer")).await.refused(428, "precondition_required");
    let tag = [("if-match", changed.header("etag"))];
    world.server.call_with("DELETE", &path, Some(world.person("maintainer")), None, &tag).await.expect(204);
    world.server.get(&path, world.person("maintainer")).await.refused(404, "not_found");
    assert_eq!(actions(&world).await, ["trust_rule.created", "trust_rule.deleted", "trust_rule.updated"]);
}

#[tokio::test]
async fn a_rule_binds_on_an_id_that_never_passes_to_somebody_else() {
    let world = World::new().await;
    for (ci, claims, good) in [
        ("github", json!({ "repository_id": ["42"] }), true),
        ("github", json!({ "repository_owner_id": ["7"], "ref": ["refs/heads/*"] }), true),
        ("github", json!({ "repository": ["acme/web"], "ref": ["refs/heads/main"] }), false),
        ("github", json!({ "repository_id": ["*"] }), false),
        ("github", json!({ "repository_id": ["42", "4?"] }), false),
        ("github", json!({}), false),
        ("gitlab", json!({ "project_id": ["42"] }), true),
        ("gitlab", json!({ "project_path": ["acme/web"] }), false),
        ("gitlab", json!({ "repository_id": ["42"] }), false),
        ("buildkite", json!({ "pipeline_id": ["0189"] }), true),
        ("buildkite", json!({ "pipeline_slug": ["web"], "organization_slug": ["acme"] }), false),
        ("forgejo", json!({ "repository_id": ["42"] }), true),
        ("forgejo", json!({ "sub": ["repo:acme/web:ref:refs/heads/main"] }), false),
        ("circleci", json!({ "oidc.circleci.com/project-id": ["0189"] }), true),
        ("circleci", json!({ "oidc.circleci.com/vcs-origin": ["github.com/acme/web"] }), false),
        ("kubernetes", json!({ "kubernetes.io/serviceaccount/uid": ["0189"] }), true),
        ("kubernetes", json!({ "sub": ["system:serviceaccount:ci:builder"] }), false),
    ] {
        let body = json!({ "name": "r", "issuer": "https://ci.example", "ci": ci, "claims": claims });
        let reply = world.server.post(RULES, world.person("maintainer"), body).await;
        if good {
            reply.expect(201);
        } else {
            reply.invalid("/claims", "no_immutable_id");
        }
    }
}

#[tokio::test]
async fn what_cannot_be_is_told_at_its_pointer() {
    let world = World::new().await;
    for (change, pointer, code) in [
        (json!({ "issuer": "http://ci.example" }), "/issuer", "invalid"),
        (json!({ "issuer": "https://ci.example?x=1" }), "/issuer", "invalid"),
        (json!({ "jwks_uri": "file:///etc/passwd" }), "/jwks_uri", "invalid"),
        (json!({ "ci": "jenkins" }), "/ci", "invalid"),
        (json!({ "colour": "red" }), "/colour", "unknown_field"),
        (json!({ "claims": { "repository_id": [] } }), "/claims/repository_id", "out_of_range"),
        (json!({ "claims": { "a/b": [] } }), "/claims/a~1b", "out_of_range"),
        (json!({ "claims": { "": ["x"] } }), "/claims/", "invalid"),
        (json!({ "claims": { "ref": "main" } }), "/claims/ref", "wrong_type"),
        (json!({ "claims": { "ref": ["a***"] } }), "/claims/ref/0", "invalid"),
        (json!({ "permissions": ["packages:fly"] }), "/permissions/0", "unknown_permission"),
        (json!({ "max_lifetime_secs": 0 }), "/max_lifetime_secs", "out_of_range"),
        (json!({ "max_lifetime_secs": 86401 }), "/max_lifetime_secs", "out_of_range"),
    ] {
        create(&world, change).await.invalid(pointer, code);
    }
    let many: serde_json::Map<_, _> = (0..33).map(|n| (format!("c{n}"), json!(["x"]))).collect();
    create(&world, json!({ "claims": many })).await.invalid("/claims", "too_many");
    assert_eq!(actions(&world).await, [""; 0]);
}

#[tokio::test]
async fn a_project_has_a_bounded_number_of_rules() {
    let world = World::new().await;
    for _ in 0..64 {
        create(&world, json!({})).await.expect(201);
    }
    create(&world, json!({})).await.refused(409, "too_many_trust_rules");
}

#[tokio::test]
async fn a_rule_of_another_project_is_not_there() {
    let world = World::new().await;
    let made = create(&world, json!({})).await.expect(201);
    for path in [
        format!("/v1/projects/acme%2Flib/trust-rules/{}", made.text_at("/id")),
        format!("{RULES}/0191d2b4-0000-7000-8000-000000000000"),
    ] {
        world.server.get(&path, world.person("maintainer")).await.refused(404, "not_found");
        put(&world, &path, "*", rule(json!({}))).await.refused(404, "not_found");
        let revoke = format!("{path}/revoke-tokens");
        world.server.post(&revoke, world.person("maintainer"), json!({})).await.refused(404, "not_found");
    }
}

#[tokio::test]
async fn a_project_is_deleted_with_its_rules() {
    let world = World::new().await;
    create(&world, json!({})).await.expect(201);
    world.server.delete("/v1/projects/acme%2Fweb", world.person("owner")).await.expect(204);
    let left: i64 =
        sqlx::query_scalar("select count(*) from trust_rules").fetch_one(&mut world.server.sql().await).await.unwrap();
    assert_eq!(left, 0);
}
