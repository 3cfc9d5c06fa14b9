//! Ceilings over REST: who may put them, what they bind, and how they are written.

use crate::support::{Reply, World};
use serde_json::{Value, json};

const LIB: &str = "/v1/projects/acme%2Flib/ceilings";

async fn put(world: &World, path: &str, by: &str, tag: &str, items: Value) -> Reply {
    let body = Some(json!({ "items": items }));
    world.server.call_with("PUT", path, Some(by), body, &[("if-match", tag)]).await
}

async fn allowed(world: &World, token: &str, permission: &str) -> Value {
    world.authorize(token, &[permission], json!({})).await.expect(200).json
}

#[tokio::test]
async fn owners_put_them_and_maintainers_look() {
    let world = World::new().await;
    let items = json!([{ "side": "target", "when": { "refs": ["topic/*"] }, "at_most": ["*:read"] }]);
    put(&world, LIB, world.person("maintainer"), "*", items.clone()).await.refused(403, "forbidden");
    let made = put(&world, LIB, world.person("owner"), "*", items.clone()).await.expect(200);
    let mut shown = made.json["items"][0].clone();
    assert!(shown["id"].is_string());
    shown.as_object_mut().unwrap().remove("id");
    assert_eq!(shown, items[0]);
    let read = world.server.get(LIB, world.person("maintainer")).await.expect(200);
    assert_eq!((read.header("etag"), &read.json), (made.header("etag"), &made.json));
    put(&world, LIB, world.person("owner"), "\"stale\"", json!([])).await.refused(412, "precondition_failed");
    world.server.put(LIB, world.person("owner"), json!({ "items": [] })).await.refused(428, "precondition_required");

    // What GET shows can be put back, and stays what it is.
    let again =
        put(&world, LIB, world.person("owner"), made.header("etag"), made.json["items"].clone()).await.expect(200);
    assert_eq!(again.json, made.json);
    let events = world.server.get("/v1/audit-events?project=acme%2Flib", world.person("owner")).await.expect(200);
    let puts = events.json["items"].as_array().unwrap().iter().filter(|event| event["action"] == "ceilings.updated");
    assert_eq!(puts.count(), 1, "the same again is no change");
}

#[tokio::test]
async fn a_ceiling_binds_whatever_grants_say_from_either_side() {
    let world = World::new().await;
    world.grant(&["packages:admin"], json!({})).await;
    let token = world.token("p1").await;
    assert_eq!(allowed(&world, &token, "packages:create").await["allowed"], true);
    let at_most = json!([{ "at_most": ["packages:read", "packages:update"] }]);
    put(&world, LIB, world.person("owner"), "*", at_most).await.expect(200);
    assert_eq!(allowed(&world, &token, "packages:create").await["reason"], "ceiling");
    assert_eq!(allowed(&world, &token, "packages:update").await["allowed"], true);
    let source = json!([{ "side": "source", "at_most": ["packages:read"] }]);
    put(&world, "/v1/projects/acme%2Fweb/ceilings", world.person("owner"), "*", source).await.expect(200);
    assert_eq!(allowed(&world, &token, "packages:update").await["reason"], "ceiling");
    assert_eq!(allowed(&world, &token, "packages:read").await["allowed"], true);
    put(&world, "/v1/groups/acme/ceilings", world.person("owner"), "*", json!([{ "at_most": [] }])).await.expect(200);
    assert_eq!(allowed(&world, &token, "packages:read").await["reason"], "ceiling");
}

#[tokio::test]
async fn the_shipped_rule_for_forks_is_the_administrators_alone() {
    let world = World::new().await;
    let path = "/v1/instance/ceilings";
    world.server.get(path, world.person("owner")).await.refused(403, "forbidden");
    let shipped = world.server.get(path, world.admin()).await.expect(200);
    assert_eq!(
        shipped.json,
        json!({ "items": [{ "id": "00000000-0000-7000-8000-000000000001", "side": "target", "when": { "from_fork": true }, "at_most": ["*:read"] }] })
    );
    world.grant(&["packages:admin"], json!({ "conditions": { "allow_forks": true } })).await;
    let fork = json!({ "pipeline": { "from_fork": true, "fork_source": "evil/web" } });
    let token = world.mint("f1", fork).await["token"].as_str().unwrap().to_owned();
    assert_eq!(allowed(&world, &token, "packages:read").await["allowed"], true);
    assert_eq!(allowed(&world, &token, "packages:create").await["reason"], "ceiling");
    put(&world, path, world.person("owner"), "*", json!([])).await.refused(403, "forbidden");
    put(&world, path, world.admin(), shipped.header("etag"), json!([])).await.expect(200);
    assert_eq!(allowed(&world, &token, "packages:create").await["allowed"], true);
}

#[tokio::test]
async fn bad_ceilings_are_refused_as_a_whole() {
    let world = World::new().await;
    let put = async |items: Value| put(&world, LIB, world.person("owner"), "*", items).await;
    put(json!([{ "at_most": ["*:read"] }, { "at_most": ["nope:read"] }]))
        .await
        .invalid("/items/1/at_most/0", "unknown_permission");
    put(json!([{ "at_most": [], "when": { "moon": true } }])).await.invalid("/items/0/when/moon", "unknown_field");
    for list in ["refs", "environments", "triggers", "vouched_by"] {
        let never = json!([{ "at_most": [], "when": { list: [] } }]);
        put(never).await.invalid(&format!("/items/0/when/{list}"), "empty");
    }
    put(json!([{ "at_most": [], "when": { "refs": ["a["] }, "side": "middle" }])).await.expect(422);
    put(json!([{ "at_most": [], "id": "00000000-0000-7000-8000-000000000001" }]))
        .await
        .invalid("/items/0/id", "not_found");
    let many: Vec<_> = (0..101).map(|_| json!({ "at_most": [] })).collect();
    let reply = put(Value::Array(many)).await.invalid("/items", "too_many");
    assert_eq!(reply.text_at("/errors/0/detail"), "101 ceilings; at most 100");
    assert_eq!(world.server.get(LIB, world.person("owner")).await.json, json!({ "items": [] }));
}

#[tokio::test]
async fn a_dry_run_tells_what_a_ceiling_would_refuse() {
    let world = World::new().await;
    world.grant(&["packages:admin"], json!({})).await;
    let token = world.token("p1").await;
    allowed(&world, &token, "packages:create").await;
    let path = format!("{LIB}?dry_run=true");
    let dry = put(&world, &path, world.person("owner"), "*", json!([{ "at_most": ["*:read"] }])).await.expect(200).json;
    assert_eq!(dry["changes"][0]["action"], "ceilings.updated");
    assert_eq!(dry["impact"]["would_refuse"][0]["reasons"], json!(["ceiling"]));
    // On the side of the source it is found as well.
    let path = "/v1/projects/acme%2Fweb/ceilings?dry_run=true";
    let source = json!([{ "side": "source", "at_most": ["*:read"] }]);
    let dry = put(&world, path, world.person("owner"), "*", source).await.expect(200).json;
    assert_eq!(dry["impact"]["would_refuse"][0]["project"], "acme/lib");
    assert_eq!(allowed(&world, &token, "packages:create").await["allowed"], true);
}

#[tokio::test]
async fn settings_of_the_instance() {
    let world = World::new().await;
    let path = "/v1/instance/settings";
    world.server.get(path, world.person("owner")).await.refused(403, "forbidden");
    let settings = world.server.get(path, world.admin()).await.expect(200);
    assert_eq!(settings.json, json!({ "floor": "legacy", "default_mode": "enforced" }));
    let body = json!({ "floor": "audit", "default_mode": "audit", "reason": "rollout" });
    world.server.put(path, world.admin(), body.clone()).await.refused(428, "precondition_required");
    let tag = [("if-match", settings.header("etag"))];
    let changed = world.server.call_with("PUT", path, Some(world.admin()), Some(body), &tag).await.expect(200);
    assert_eq!(changed.json, json!({ "floor": "audit", "default_mode": "audit" }));
    let made = world.server.post("/v1/projects", world.admin(), json!({ "path": "acme/new" })).await.expect(201);
    assert_eq!((&made.json["mode"], &made.json["effective_mode"]), (&json!("audit"), &json!("audit")));
    let patch = world.server.patch("/v1/projects/acme%2Fnew", world.admin(), json!({ "mode": "legacy" })).await;
    patch.refused(409, "mode_below_floor");
    let events = world.server.get("/v1/audit-events", world.admin()).await.expect(200);
    let event =
        events.json["items"].as_array().unwrap().iter().find(|event| event["action"] == "instance.updated").unwrap();
    assert_eq!(event["reason"], "rollout");
}
