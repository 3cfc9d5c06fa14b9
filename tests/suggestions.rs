//! Suggestions: from what was let through, by honest jobs, and nothing else; applied in one transaction.

use crate::support::{Reply, Server, World, merge};
use serde_json::{Value, json};
use time::Duration;

const LIB: &str = "/v1/projects/acme%2Flib";
const SUGGESTIONS: &str = "/v1/projects/acme%2Flib/suggestions";

/// `acme/lib` in `legacy`, where a developer's jobs are let through.
async fn legacy() -> World {
    let world = World::new().await;
    world.server.patch(LIB, world.person("maintainer"), json!({ "mode": "legacy" })).await.expect(200);
    world
}

async fn uses(world: &World, key: &str, change: Value, permissions: &[&str]) {
    let mut body = json!({ "pipeline": { "actor": "developer" } });
    merge(&mut body, change);
    let minted = world.mint(key, body).await;
    for permission in permissions {
        world.authorize(minted["token"].as_str().unwrap(), &[permission], json!({})).await.expect(200);
    }
}

async fn suggestions(world: &World, query: &str) -> Reply {
    world.server.get(&format!("{SUGGESTIONS}{query}"), world.person("maintainer")).await.expect(200)
}

async fn apply(world: &World, query: &str, tag: &str, choice: Value) -> Reply {
    let path = format!("{SUGGESTIONS}/apply{query}");
    let by = Some(world.person("maintainer"));
    world.server.call_with("POST", &path, by, Some(choice), &[("if-match", tag)]).await
}

fn new_grants(reply: &Reply) -> Vec<Value> {
    let items = reply.json["items"].as_array().unwrap().iter();
    items.filter(|item| item["action"] == "create").map(|item| item["new_grant"].clone()).collect()
}

#[tokio::test]
async fn one_grant_for_each_source_and_kind_of_conditions_with_its_evidence() {
    let world = legacy().await;
    uses(&world, "p1", json!({}), &["packages:read", "jobs:read"]).await;
    uses(&world, "p2", json!({ "pipeline": { "ref": "topic" } }), &["packages:read"]).await;
    let deploy = json!({ "job": { "environment": "production" } });
    uses(&world, "p3", deploy, &["environments:update"]).await;
    uses(&world, "p4", json!({ "project": "other/app" }), &["packages:read"]).await;

    let found = suggestions(&world, "").await;
    let grants = new_grants(&found);
    let about = |source: &str, permissions: &[&str]| {
        let mut matching = grants
            .iter()
            .filter(|grant| grant["source"]["project"] == source && grant["permissions"] == json!(permissions));
        let grant = matching.next().unwrap_or_else(|| panic!("{source} {permissions:?}: {grants:#?}"));
        (grant["conditions"]["protected_refs_only"].clone(), grant["conditions"]["environments"].clone())
    };
    assert_eq!(grants.len(), 4, "{grants:#?}");
    assert_eq!(about("acme/web", &["packages:read"]), (json!(false), json!(null)));
    assert_eq!(about("acme/web", &["jobs:read"]), (json!(true), json!(null)));
    assert_eq!(about("acme/web", &["environments:update"]), (json!(true), json!(["production"])));
    assert_eq!(about("other/app", &["packages:read"]), (json!(true), json!(null)));
    let evidence = &found.json["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|item| {
            item["new_grant"]["permissions"] == json!(["packages:read"])
                && item["new_grant"]["source"]["project"] == "acme/web"
        })
        .unwrap()["evidence"];
    assert_eq!((&evidence["count"], &evidence["refs"]), (&json!(2), &json!(["main", "topic"])));
}

#[tokio::test]
async fn tries_that_were_refused_and_forks_are_set_apart_and_never_applied() {
    let world = legacy().await;
    uses(&world, "p1", json!({}), &["packages:read", "packages:delete"]).await;
    let fork = json!({ "pipeline": { "from_fork": true, "trigger": "merge_request", "ref_type": "merge_request" } });
    uses(&world, "p2", fork, &["releases:read", "releases:create"]).await;

    let found = suggestions(&world, "").await;
    let permissions: Vec<_> = new_grants(&found).iter().map(|grant| grant["permissions"].clone()).collect();
    assert_eq!(permissions, [json!(["packages:read"])]);
    let apart = |kind: &str| -> Vec<String> {
        found.json[kind].as_array().unwrap().iter().map(|one| one["permission"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(apart("forks"), ["releases:read"]);
    let mut denied = apart("denied");
    denied.sort();
    assert_eq!(denied, ["packages:delete", "releases:create"]);

    let applied = apply(&world, "", found.header("etag"), json!({ "all": true })).await.expect(200);
    assert_eq!(applied.json["applied"].as_array().unwrap().len(), 1);
    let grants = world.server.get(&format!("{LIB}/grants"), world.person("maintainer")).await.expect(200);
    assert_eq!(grants.header("etag"), applied.header("etag"));
    assert_eq!(grants.json["items"][0]["permissions"], json!(["packages:read"]));
    assert_eq!(grants.json["items"][0]["note"], "suggested from usage: seen 1×, last on 2026-11-23");
    assert_eq!(new_grants(&suggestions(&world, "").await).len(), 0);
}

#[tokio::test]
async fn what_a_ceiling_keeps_away_is_told_and_not_suggested() {
    let world = legacy().await;
    uses(&world, "p1", json!({}), &["packages:read", "packages:create"]).await;
    let ceilings = json!({ "items": [{ "at_most": ["*:read"] }] });
    let (path, by) = (format!("{LIB}/ceilings"), Some(world.person("owner")));
    world.server.call_with("PUT", &path, by, Some(ceilings), &[("if-match", "*")]).await.expect(200);
    let found = suggestions(&world, "").await;
    assert_eq!(new_grants(&found).len(), 1);
    assert_eq!(found.json["under_ceilings"][0]["permission"], "packages:create");
}

#[tokio::test]
async fn folding_names_a_group_and_whom_else_it_lets_in() {
    let world = legacy().await;
    for path in ["acme/app", "acme/idle"] {
        world.server.post("/v1/projects", world.admin(), json!({ "path": path })).await.expect(201);
    }
    for (key, project) in [("p1", "acme/web"), ("p2", "acme/app"), ("p3", "other/app")] {
        uses(&world, key, json!({ "project": project }), &["packages:read"]).await;
    }
    assert_eq!(new_grants(&suggestions(&world, "").await).len(), 3);
    let folded = suggestions(&world, "?fold=true").await;
    let items = folded.json["items"].as_array().unwrap();
    assert_eq!(items.len(), 2, "{items:#?}");
    let group = items.iter().find(|item| item["new_grant"]["source"]["group"] == "acme").unwrap();
    assert_eq!(group["lets_in"], json!(["acme/idle", "acme/lib"]));
    assert_eq!(group["evidence"]["count"], 2);
    // Folded is another answer: its tag is no good for the plain one.
    apply(&world, "", folded.header("etag"), json!({ "all": true })).await.refused(412, "precondition_failed");
    apply(&world, "?fold=true", folded.header("etag"), json!({ "all": true })).await.expect(200);
    assert_eq!(new_grants(&suggestions(&world, "").await).len(), 0);
}

#[tokio::test]
async fn a_group_that_the_person_is_no_member_of_is_not_named() {
    let world = legacy().await;
    world.server.post("/v1/projects", world.admin(), json!({ "path": "other/second" })).await.expect(201);
    for (key, project) in [("p1", "other/app"), ("p2", "other/second")] {
        uses(&world, key, json!({ "project": project }), &["packages:read"]).await;
    }
    let folded = suggestions(&world, "?fold=true").await;
    assert!(new_grants(&folded).iter().all(|grant| grant["source"]["project"].is_string()));
    let admin = world.server.get(&format!("{SUGGESTIONS}?fold=true"), world.admin()).await.expect(200);
    assert_eq!(new_grants(&admin)[0]["source"]["group"], "other");
}

#[tokio::test]
async fn what_nobody_used_for_the_whole_window_is_suggested_for_removal() {
    let world = World::new().await;
    world.grant(&["packages:read", "packages:create"], json!({})).await;
    world.grant(&["releases:read"], json!({})).await;
    world.grant(&["jobs:read"], json!({ "conditions": { "refs": ["main"] } })).await;
    world.server.clock.advance(Duration::days(89));
    assert_eq!(suggestions(&world, "").await.json["items"], json!([]), "a young grant is left alone");
    uses(&world, "p1", json!({}), &["packages:read", "jobs:read"]).await;
    world.server.clock.advance(Duration::days(2));

    let found = suggestions(&world, "").await;
    let items = found.json["items"].as_array().unwrap();
    assert_eq!(items.len(), 2, "{items:#?}");
    let narrow = items.iter().find(|item| item["action"] == "narrow").unwrap();
    assert_eq!((&narrow["keeps"], &narrow["unused"]), (&json!(["packages:read"]), &json!(["packages:create"])));
    let delete = items.iter().find(|item| item["action"] == "delete").unwrap();
    assert_eq!(delete["grant"]["permissions"], json!(["releases:read"]));

    // One of them, by its id.
    let one = apply(&world, "", found.header("etag"), json!({ "ids": [delete["id"]] })).await.expect(200);
    assert_eq!(one.json["applied"], json!([delete["id"]]));
    let stale = apply(&world, "", found.header("etag"), json!({ "all": true })).await;
    stale.refused(412, "precondition_failed");
    let rest = suggestions(&world, "").await;
    apply(&world, "", rest.header("etag"), json!({ "all": true })).await.expect(200);
    let grants = world.server.get(&format!("{LIB}/grants"), world.person("maintainer")).await.expect(200);
    let mut left: Vec<_> =
        grants.json["items"].as_array().unwrap().iter().map(|one| one["permissions"].to_string()).collect();
    left.sort();
    assert_eq!(left, ["[\"jobs:read\"]", "[\"packages:read\"]"]);
}

#[tokio::test]
async fn unnamed_use_keeps_a_grant_and_suggests_nothing() {
    let world = World::new().await;
    world.grant(&["packages:read"], json!({})).await;
    let token = world.token("p1").await;
    world.introspect(&token, &[("project", "acme/lib")]).await.expect(200);
    world.server.clock.advance(Duration::days(30));
    world.server.patch(LIB, world.person("maintainer"), json!({ "mode": "audit" })).await.expect(200);
    let found = suggestions(&world, "?window_days=30").await;
    assert_eq!(found.json["items"], json!([]));
    assert_eq!(found.json["unnamed"][0]["source"], "acme/web");
}

#[tokio::test]
async fn applying_can_be_rehearsed_and_bad_choices_are_refused() {
    let world = legacy().await;
    uses(&world, "p1", json!({}), &["packages:read"]).await;
    let found = suggestions(&world, "").await;
    let tag = found.header("etag");
    let dry = apply(&world, "?dry_run=true", tag, json!({ "all": true })).await.expect(200);
    assert_eq!(dry.json["changes"][0]["action"], "grant.created");
    apply(&world, "", tag, json!({ "ids": ["nope"] })).await.invalid("/ids/0", "not_found");
    apply(&world, "", tag, json!({})).await.invalid("", "one_choice");
    apply(&world, "", tag, json!({ "all": true, "ids": ["x"] })).await.invalid("", "one_choice");
    let path = format!("{SUGGESTIONS}/apply");
    world
        .server
        .post(&path, world.person("maintainer"), json!({ "all": true }))
        .await
        .refused(428, "precondition_required");
    assert_eq!(new_grants(&suggestions(&world, "").await).len(), 1);
}

/// A job that was granted something under conditions cannot widen that by doing it in a hundred ways.
#[tokio::test]
async fn what_was_granted_under_conditions_and_coarsened_is_never_suggested_without_them() {
    let world = World::new().await;
    let narrow = json!({ "conditions": { "refs": ["rel/*"] }, "selectors": { "packages": ["npm/evil/*"] } });
    world.grant(&["packages:create"], narrow).await;
    for n in 0..105 {
        let minted = world.mint(&format!("p{n}"), json!({ "pipeline": { "ref": format!("rel/{n}") } })).await;
        let name = json!({ "resource_name": format!("npm/evil/{n}") });
        let answer = world.authorize(minted["token"].as_str().unwrap(), &["packages:create"], name).await.expect(200);
        assert_eq!(answer.json["allowed"], true);
    }
    let found = suggestions(&world, "").await;
    assert_eq!(found.json["items"], json!([]));
    assert_eq!(found.json["unclear"][0]["permission"], "packages:create");
}

#[tokio::test]
async fn a_window_is_no_longer_than_what_is_kept_and_what_was_needed_stays() {
    let world = World::on(Server::start_with(|settings| settings.usage_retention_days = 30).await).await;
    world.grant(&["packages:read"], json!({})).await;
    world.server.clock.advance(Duration::days(10));
    uses(&world, "p1", json!({}), &["packages:read"]).await;
    world.server.clock.advance(Duration::days(29));
    let found = suggestions(&world, "?window_days=90").await;
    assert_eq!((&found.json["window_days"], &found.json["items"]), (&json!(30), &json!([])));
    world.server.clock.advance(Duration::days(2));
    assert_eq!(suggestions(&world, "").await.json["items"][0]["action"], "delete");
}
