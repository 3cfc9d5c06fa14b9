//! What would break: a dry run writes nothing and says what the change would be and do, and a step up is
//! refused while it would refuse what was seen.

use crate::support::{Reply, World, merge};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use time::Duration;

const LIB: &str = "/v1/projects/acme%2Flib";
const GRANTS: &str = "/v1/projects/acme%2Flib/grants";

async fn mode(world: &World, query: &str, mode: &str) -> Reply {
    let body = json!({ "mode": mode, "reason": "least privilege" });
    world.server.patch(&format!("{LIB}{query}"), world.person("maintainer"), body).await
}

/// A token of a job that the developer started; `change` is merged into the mint.
async fn by_role(world: &World, key: &str, change: Value) -> String {
    let mut body = json!({ "pipeline": { "actor": "developer" } });
    merge(&mut body, change);
    world.mint(key, body).await["token"].as_str().unwrap().to_owned()
}

async fn uses(world: &World, token: &str, permission: &str) {
    world.authorize(token, &[permission], json!({})).await.expect(200);
}

fn rows<'a>(impact: &'a Value, kind: &str) -> Vec<(&'a str, &'a str, u64)> {
    let rows = impact[kind].as_array().unwrap().iter();
    rows.map(|row| {
        let text = |name: &str| row[name].as_str().unwrap_or_default();
        (text("source"), text("permission"), row["count"].as_u64().unwrap())
    })
    .collect()
}

#[tokio::test]
async fn a_step_up_that_would_refuse_what_was_seen_is_409_and_changes_nothing() {
    let world = World::new().await;
    mode(&world, "", "legacy").await.expect(200);
    let token = by_role(&world, "p1", json!({})).await;
    uses(&world, &token, "packages:read").await;
    uses(&world, &token, "packages:read").await;
    uses(&world, &token, "packages:delete").await;
    mode(&world, "", "audit").await.expect(200);

    let refused = mode(&world, "", "enforced").await.refused(409, "would_break");
    let impact = &refused.json["impact"];
    assert_eq!(rows(impact, "would_refuse"), [("acme/web", "packages:read", 2)]);
    assert_eq!(impact["would_refuse"][0]["reasons"], json!(["no_grant"]));
    assert_eq!(impact["would_refuse"][0]["last_seen_at"], "2026-11-23T10:00:00Z");
    assert_eq!(world.server.get(LIB, world.admin()).await.json["mode"], "audit");

    // Granted, it is safe; and a confirmed step is taken whatever breaks.
    world.grant(&["packages:read"], json!({})).await;
    let stepped = mode(&world, "", "enforced").await.expect(200);
    assert_eq!(stepped.json["mode"], "enforced");
    let events = world.server.get("/v1/audit-events?project=acme%2Flib", world.person("owner")).await.expect(200);
    let last = events.json["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|event| event["action"] == "project.updated" && event["after"]["mode"] == "enforced");
    let last = last.unwrap();
    assert_eq!((&last["reason"], &last["before"]["mode"]), (&json!("least privilege"), &json!("audit")));
}

#[tokio::test]
async fn a_confirmed_step_is_taken_and_a_step_back_needs_none() {
    let world = World::new().await;
    mode(&world, "", "legacy").await.expect(200);
    let token = by_role(&world, "p1", json!({})).await;
    uses(&world, &token, "packages:read").await;
    mode(&world, "", "enforced").await.refused(409, "would_break");
    mode(&world, "?confirm=true", "enforced").await.expect(200);
    mode(&world, "", "legacy").await.expect(200);
}

#[tokio::test]
async fn uses_older_than_the_window_count_only_when_asked_for() {
    let world = World::new().await;
    mode(&world, "", "legacy").await.expect(200);
    let token = by_role(&world, "p1", json!({})).await;
    uses(&world, &token, "packages:read").await;
    world.server.clock.advance(Duration::days(91));
    mode(&world, "?dry_run=true&window_days=92", "enforced").await.expect(200);
    let wide = mode(&world, "?dry_run=true&window_days=92", "enforced").await.expect(200).json;
    assert_eq!(rows(&wide["impact"], "would_refuse").len(), 1);
    mode(&world, "?window_days=92", "enforced").await.refused(409, "would_break");
    mode(&world, "", "enforced").await.expect(200);
}

#[tokio::test]
async fn unnamed_use_is_unknown_and_never_safe() {
    let world = World::new().await;
    mode(&world, "", "legacy").await.expect(200);
    let token = by_role(&world, "p1", json!({})).await;
    world.introspect(&token, &[("project", "acme/lib")]).await.expect(200);
    let refused = mode(&world, "", "enforced").await.refused(409, "would_break");
    let impact = &refused.json["impact"];
    assert_eq!(impact["would_refuse"], json!([]));
    let unknown = &impact["unknown"][0];
    assert_eq!((&unknown["source"], &unknown["service_id"]), (&json!("acme/web"), &json!(world.service.0)));
    assert!(unknown["could_lose"].as_array().unwrap().contains(&json!("repositories:update")), "{unknown}");
    mode(&world, "?confirm=true", "enforced").await.expect(200);
    // Now nothing more can be lost; and it is told as unknown all the same.
    let again = mode(&world, "?dry_run=true", "enforced").await.expect(200).json;
    assert_eq!(again["impact"]["unknown"][0]["could_lose"], json!([]));
}

#[tokio::test]
async fn a_dry_run_of_each_change_of_grants_writes_nothing_and_tells_the_diff() {
    let world = World::new().await;
    let made = world.grant(&["packages:read", "jobs:read"], json!({})).await;
    let token = world.token("p1").await;
    uses(&world, &token, "packages:read").await;
    uses(&world, &token, "releases:read").await;
    let list = world.server.get(GRANTS, world.person("maintainer")).await.expect(200);
    let one = format!("{GRANTS}/{}", made.text_at("/id"));
    let call = async |method: &str, path: &str, tag: &str, body: Option<Value>| {
        let person = Some(world.person("maintainer"));
        let path = format!("{path}?dry_run=true");
        world.server.call_with(method, &path, person, body, &[("if-match", tag)]).await.expect(200).json
    };
    let body = |permissions: &[&str]| json!({ "source": { "project": "acme/web" }, "permissions": permissions });

    let created = call("POST", GRANTS, "*", Some(body(&["releases:read"]))).await;
    assert_eq!(created["dry_run"], true);
    assert_eq!(created["changes"][0]["action"], "grant.created");
    assert_eq!(rows(&created["impact"], "would_allow"), [("acme/web", "releases:read", 1)]);
    assert_eq!(created["impact"]["would_refuse"], json!([]));

    let narrowed = call("PUT", &one, made.header("etag"), Some(body(&["jobs:read"]))).await;
    assert_eq!(narrowed["changes"][0]["before"]["permissions"], json!(["jobs:read", "packages:read"]));
    assert_eq!(narrowed["changes"][0]["after"]["permissions"], json!(["jobs:read"]));
    assert_eq!(rows(&narrowed["impact"], "would_refuse"), [("acme/web", "packages:read", 1)]);

    let deleted = call("DELETE", &one, made.header("etag"), None).await;
    assert_eq!(deleted["changes"][0]["action"], "grant.deleted");
    assert_eq!(rows(&deleted["impact"], "would_refuse"), [("acme/web", "packages:read", 1)]);

    let items = json!({ "items": [body(&["packages:read", "jobs:read"]), body(&["releases:read"])] });
    let replaced = call("PUT", GRANTS, list.header("etag"), Some(items)).await;
    assert_eq!(replaced["changes"].as_array().unwrap().len(), 1);
    assert_eq!(replaced["impact"]["would_refuse"], json!([]));

    let after = world.server.get(GRANTS, world.person("maintainer")).await.expect(200);
    assert_eq!((after.header("etag"), &after.json["items"].as_array().unwrap().len()), (list.header("etag"), &1));
    let events = world.server.get("/v1/audit-events?project=acme%2Flib", world.person("owner")).await.expect(200);
    let grants = events.json["items"].as_array().unwrap().iter().filter(|event| event["subject_kind"] == "grant");
    assert_eq!(grants.count(), 1);
}

#[tokio::test]
async fn bad_input_and_lost_preconditions_are_told_in_a_dry_run_too() {
    let world = World::new().await;
    let post = async |body: Value| {
        world.server.post(&format!("{GRANTS}?dry_run=true"), world.person("maintainer"), body).await
    };
    post(json!({ "source": { "project": "acme/web" }, "permissions": [] })).await.invalid("/permissions", "empty");
    let (path, by) = (format!("{GRANTS}?dry_run=true"), Some(world.person("maintainer")));
    let stale = [("if-match", "\"stale\"")];
    let put = world.server.call_with("PUT", &path, by, Some(json!({ "items": [] })), &stale).await;
    put.refused(412, "precondition_failed");
    let by = world.person("developer");
    let body = json!({ "source": { "project": "acme/web" }, "permissions": ["jobs:read"] });
    world.server.post(&format!("{GRANTS}?dry_run=true"), by, body).await.refused(403, "forbidden");
}

#[tokio::test]
async fn floors_of_groups_and_of_the_instance_step_up_the_same_way() {
    let world = World::new().await;
    mode(&world, "", "legacy").await.expect(200);
    let token = by_role(&world, "p1", json!({})).await;
    uses(&world, &token, "packages:read").await;
    let floor = json!({ "floor": "enforced", "reason": "policy" });
    let group =
        world.server.patch("/v1/groups/acme", world.person("owner"), floor.clone()).await.refused(409, "would_break");
    assert_eq!(group.json["impact"]["would_refuse"][0]["project"], "acme/lib");
    let put = async |query: &str| {
        let body = Some(json!({ "floor": "enforced", "default_mode": "enforced", "reason": "policy" }));
        let path = format!("/v1/instance/settings{query}");
        world.server.call_with("PUT", &path, Some(world.admin()), body, &[("if-match", "*")]).await
    };
    put("").await.refused(409, "would_break");
    let dry = put("?dry_run=true").await.expect(200).json;
    assert_eq!(rows(&dry["impact"], "would_refuse"), [("acme/web", "packages:read", 1)]);
    assert_eq!(world.server.get(LIB, world.admin()).await.json["effective_mode"], "legacy");
    put("?confirm=true").await.expect(200);
    assert_eq!(world.server.get(LIB, world.admin()).await.json["effective_mode"], "enforced");
    world.server.patch("/v1/groups/acme", world.person("owner"), floor).await.expect(200);
}

#[tokio::test]
async fn a_move_tells_which_uses_it_would_refuse_and_allow() {
    let world = World::new().await;
    world.server.post("/v1/groups", world.admin(), json!({ "path": "acme/inner" })).await.expect(201);
    let grant = json!({ "source": { "group": "acme" }, "permissions": ["packages:read"] });
    world.server.post(GRANTS, world.admin(), grant).await.expect(201);
    let token = world.token("p1").await;
    uses(&world, &token, "packages:read").await;
    let away =
        world.server.patch("/v1/projects/acme%2Fweb?dry_run=true", world.admin(), json!({ "path": "other/web" }));
    let away = away.await.expect(200).json;
    assert_eq!(rows(&away["impact"], "would_refuse"), [("other/web", "packages:read", 1)]);
    let inside =
        world.server.patch("/v1/projects/acme%2Fweb?dry_run=true", world.admin(), json!({ "path": "acme/inner/web" }));
    assert_eq!(inside.await.expect(200).json["impact"]["would_refuse"], json!([]));
    world.server.get("/v1/projects/acme%2Fweb", world.admin()).await.expect(200);
}

#[tokio::test]
async fn what_was_coarsened_is_not_assumed_to_be_covered_by_a_condition() {
    let world = World::new().await;
    world.grant(&["packages:read"], json!({ "selectors": { "packages": ["npm/**"] } })).await;
    let token = world.token("p1").await;
    for n in 0..101 {
        let name = json!({ "resource_name": format!("npm/{n}") });
        world.authorize(&token, &["packages:read"], name).await.expect(200);
    }
    // The grant as it is covers all of them; a change that leaves it alone is no threat to what is not known.
    let other = json!({ "source": { "project": "other/app" }, "permissions": ["jobs:read"] });
    let dry = world.server.post(&format!("{GRANTS}?dry_run=true"), world.admin(), other).await.expect(200).json;
    assert_eq!(dry["impact"]["would_refuse"], json!([]));
    // A change for this very source is told: who can say that the hundred and first name still matches?
    let more = json!({ "source": { "project": "acme/web" }, "permissions": ["jobs:read"] });
    let dry = world.server.post(&format!("{GRANTS}?dry_run=true"), world.admin(), more).await.expect(200).json;
    let unknown = &dry["impact"]["unknown"][0];
    assert_eq!((&unknown["permission"], &unknown["count"]), (&json!("packages:read"), &json!(1)));
    assert_eq!(unknown["could_lose"], json!(["packages:read"]));
    // What nothing could cover any more is refused for sure.
    let list = world.server.get(GRANTS, world.person("maintainer")).await.expect(200);
    let (by, tag) = (Some(world.person("maintainer")), [("if-match", list.header("etag"))]);
    let (path, none) = (format!("{GRANTS}?dry_run=true"), Some(json!({ "items": [] })));
    let gone = world.server.call_with("PUT", &path, by, none, &tag).await.expect(200).json;
    assert_eq!(rows(&gone["impact"], "would_refuse"), [("acme/web", "packages:read", 101)]);
}

/// The record says that a grant covered it, so a step up is no reason to think otherwise.
#[tokio::test]
async fn a_step_up_is_not_stopped_by_what_was_granted_and_coarsened() {
    let world = World::new().await;
    mode(&world, "", "audit").await.expect(200);
    world.grant(&["packages:read"], json!({ "conditions": { "refs": ["feature/**", "main"] } })).await;
    for n in 0..102 {
        let minted = world.mint(&format!("p{n}"), json!({ "pipeline": { "ref": format!("feature/{n}") } })).await;
        uses(&world, minted["token"].as_str().unwrap(), "packages:read").await;
    }
    let dry = mode(&world, "?dry_run=true", "enforced").await.expect(200).json;
    assert_eq!(dry["impact"]["would_refuse"], json!([]));
    assert_eq!(dry["impact"]["unknown"][0]["permission"], "packages:read");
    mode(&world, "", "enforced").await.expect(200);
}

#[tokio::test]
async fn what_forks_did_is_told_as_such() {
    let world = World::new().await;
    mode(&world, "", "legacy").await.expect(200);
    let fork = json!({ "pipeline": { "from_fork": true, "actor": "developer" } });
    for (key, job) in [("p1", json!({})), ("p2", fork)] {
        let token = by_role(&world, key, job).await;
        uses(&world, &token, "packages:read").await;
    }
    let dry = mode(&world, "?dry_run=true", "enforced").await.expect(200).json;
    let mut forks: Vec<_> =
        dry["impact"]["would_refuse"].as_array().unwrap().iter().map(|row| row["from_fork"].to_string()).collect();
    forks.sort();
    assert_eq!(forks, ["false", "true"]);
}

#[tokio::test]
async fn a_move_under_an_enforced_floor_is_a_step_up() {
    let world = World::new().await;
    mode(&world, "", "legacy").await.expect(200);
    let strict = json!({ "path": "strict", "floor": "enforced" });
    world.server.post("/v1/groups", world.admin(), strict).await.expect(201);
    world.server.post("/v1/groups", world.admin(), json!({ "path": "acme/mv" })).await.expect(201);
    let (lib, mv) = ("/v1/projects/acme%2Fmv%2Flib", "/v1/groups/acme%2Fmv");
    world.server.patch(LIB, world.admin(), json!({ "path": "acme/mv/lib" })).await.expect(200);
    let token = by_role(&world, "p1", json!({})).await;
    let read = json!({ "project": "acme/mv/lib" });
    world.authorize(&token, &["packages:read"], read).await.expect(200);
    for (place, path) in [(lib, "strict/lib"), (mv, "strict/mv")] {
        let refused = world.server.patch(place, world.admin(), json!({ "path": path })).await;
        let refused = refused.refused(409, "would_break");
        assert_eq!(rows(&refused.json["impact"], "would_refuse"), [("acme/web", "packages:read", 1)]);
        world.server.get(place, world.admin()).await.expect(200);
    }
    let harmless = world.server.patch(mv, world.admin(), json!({ "path": "acme/moved" })).await;
    harmless.expect(200);
    let (moved, path) = ("/v1/groups/acme%2Fmoved?confirm=true", json!({ "path": "strict/mv" }));
    world.server.patch(moved, world.admin(), path).await.expect(200);
    let now = world.server.get("/v1/projects/strict%2Fmv%2Flib", world.admin()).await.expect(200);
    assert_eq!(now.json["effective_mode"], "enforced");
}

#[tokio::test]
async fn a_target_out_of_sight_is_never_named() {
    let world = World::new().await;
    let token = world.token("p1").await;
    world.introspect(&token, &[("project", "other/app")]).await.expect(200);
    let (web, owner) = ("/v1/projects/acme%2Fweb", world.person("owner"));
    let ceilings = async |at_most: Value| {
        let body = Some(json!({ "items": [{ "side": "source", "at_most": at_most }] }));
        let path = format!("{web}/ceilings?dry_run=true");
        let put = world.server.call_with("PUT", &path, Some(owner), body, &[("if-match", "*")]).await;
        put.expect(200).json["impact"].clone()
    };
    let renamed = async |path: &str| {
        let patch = world.server.patch(&format!("{web}?dry_run=true"), owner, json!({ "path": path })).await;
        patch.expect(200).json["impact"].clone()
    };
    // Merely looked at, by its id: nothing was given, and nothing is lost.
    for impact in [ceilings(json!(["*:read"])).await, renamed("acme/site").await] {
        assert_eq!(impact["unknown"], json!([]));
    }

    let grant = json!({ "source": { "project": "acme/web" }, "permissions": ["packages:read"] });
    world.server.post("/v1/projects/other%2Fapp/grants", world.admin(), grant).await.expect(201);
    let ask = json!({ "token": token, "project": "other/app", "permissions": ["packages:read"] });
    world.ask(ask).await.expect(200);
    world.introspect(&token, &[("project", "other/app")]).await.expect(200);
    assert_eq!(renamed("acme/site").await["unknown"], json!([]));
    let impact = ceilings(json!([])).await;
    for row in [&impact["would_refuse"][0], &impact["unknown"][0]] {
        assert_eq!(
            (&row["source"], &row["project"], &row["project_id"]),
            (&json!("acme/web"), &Value::Null, &Value::Null)
        );
    }
    assert!(!impact.to_string().contains("other"), "{impact}");

    world
        .server
        .patch("/v1/projects/other%2Fapp", world.admin(), json!({ "visibility": "internal" }))
        .await
        .expect(200);
    assert_eq!(ceilings(json!([])).await["would_refuse"][0]["project"], "other/app");
}

#[tokio::test]
async fn the_dry_run_of_a_move_lists_the_grants_gained_and_lost() {
    let world = World::new().await;
    let (server, admin) = (&world.server, world.admin());
    server.post("/v1/groups", admin, json!({ "path": "acme/inner" })).await.expect(201);
    server.post("/v1/projects", admin, json!({ "path": "acme/inner/app" })).await.expect(201);
    server.put("/v1/projects/acme%2Fweb/members/stranger", admin, json!({ "role": "owner" })).await.expect(200);
    let grant = async |place: &str, source: Value| {
        let body = json!({ "source": source, "permissions": ["packages:read"] });
        server.post(&format!("/v1/{place}/grants"), admin, body).await.expect(201).text_at("/id")
    };
    let ours = grant("groups/acme", json!({ "project": "acme/lib" })).await;
    let theirs = grant("groups/other", json!({ "group": "other" })).await;
    let to_acme = grant("projects/acme%2Flib", json!({ "group": "acme" })).await;
    let to_all_but_inner = grant("projects/acme%2Flib", json!({ "group": "acme", "except": ["acme/inner"] })).await;
    let to_other = grant("projects/other%2Fapp", json!({ "group": "other" })).await;
    let planned = async |place: &str, by: &str, path: &str| {
        let patch = server.patch(&format!("/v1/{place}?dry_run=true"), by, json!({ "path": path })).await;
        let changes = patch.expect(200).json["changes"].clone();
        let moved = changes.as_array().unwrap().iter().filter(|change| change["subject_kind"] == "grant");
        let row = |change: &Value| {
            let described = !(change["before"].is_null() && change["after"].is_null());
            (
                change["action"].as_str().unwrap().to_owned(),
                change["subject_id"].as_str().unwrap().to_owned(),
                described,
            )
        };
        moved.map(row).collect::<BTreeSet<_>>()
    };
    let row = |action: &str, id: &str, described: bool| (format!("grant.{action}"), id.to_owned(), described);

    assert_eq!(
        planned("projects/acme%2Fweb", admin, "other/web").await,
        BTreeSet::from([
            row("lost", &ours, true),
            row("gained", &theirs, true),
            row("lost", &to_acme, true),
            row("lost", &to_all_but_inner, true),
            row("gained", &to_other, true),
        ])
    );
    // An owner of what moves and of where it goes, and of nothing where it was.
    assert_eq!(
        planned("projects/acme%2Fweb", world.person("stranger"), "other/web").await,
        BTreeSet::from([row("lost", &ours, false), row("gained", &theirs, true), row("gained", &to_other, true)])
    );
    assert_eq!(
        planned("projects/acme%2Fweb", admin, "acme/inner/web").await,
        BTreeSet::from([row("lost", &to_all_but_inner, true)])
    );
    assert_eq!(
        planned("groups/acme%2Finner", admin, "other/inner").await,
        BTreeSet::from([
            row("lost", &ours, true),
            row("gained", &theirs, true),
            row("lost", &to_acme, true),
            row("gained", &to_other, true),
        ])
    );
    assert_eq!(planned("projects/acme%2Fweb", admin, "acme/renamed").await, BTreeSet::new());
    let events = server.get("/v1/audit-events?group=acme", admin).await.expect(200).json.to_string();
    assert!(!events.contains("grant.lost"), "{events}");
}
