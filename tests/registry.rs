//! Groups, projects, people, runners and services: made, read, changed, moved and deleted; who sees them,
//! what goes with them, and what the audit log says of it.

use crate::support::{Reply, Server, World};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use time::Duration;

async fn patch_if(server: &Server, path: &str, token: &str, tag: &str, body: Value) -> Reply {
    server.call_with("PATCH", path, Some(token), Some(body), &[("if-match", tag)]).await
}

async fn delete_if(server: &Server, path: &str, token: &str, tag: &str) -> Reply {
    server.call_with("DELETE", path, Some(token), None, &[("if-match", tag)]).await
}

/// Follows `next` from page to page; the values at a pointer.
async fn all_pages(server: &Server, list: &str, token: &str, limit: usize, pointer: &str) -> Vec<String> {
    let (mut found, mut after) = (Vec::new(), String::new());
    loop {
        let join = if list.contains('?') { '&' } else { '?' };
        let page = server.get(&format!("{list}{join}limit={limit}{after}"), token).await.expect(200);
        let items = page.json["items"].as_array().unwrap();
        assert!(items.len() <= limit);
        found.extend(items.iter().map(|item| item.pointer(pointer).unwrap().to_string()));
        match page.json["next"].as_str() {
            Some(next) => after = format!("&after={}", next.replace('/', "%2F").replace('@', "%40")),
            None => return found,
        }
    }
}

/// The actions of the audit events about something.
async fn actions(world: &World, query: &str, subject: &str) -> Vec<String> {
    let events = world.server.get(&format!("/v1/audit-events?limit=1000{query}"), world.admin()).await.expect(200);
    let events = events.json["items"].as_array().unwrap();
    let about = events.iter().filter(|event| event["subject_id"] == subject);
    about.map(|event| event["action"].as_str().unwrap().to_owned()).collect()
}

async fn group(world: &World, path: &str) -> Reply {
    world.server.post("/v1/groups", world.admin(), json!({ "path": path })).await.expect(201)
}

async fn project(world: &World, path: &str) -> Reply {
    world.server.post("/v1/projects", world.admin(), json!({ "path": path })).await.expect(201)
}

/// A problem without what may differ: the request's id.
fn without_id(reply: &Reply) -> String {
    reply.text.replace(reply.header("x-request-id"), "")
}

// ── Every kind of thing ──────────────────────────────────────────────────────────────────────────────

#[tokio::test]
async fn rfc9110_13_1_1_each_thing_is_changed_and_deleted_as_it_was_seen_or_not_at_all() {
    let world = World::new().await;
    let (server, admin) = (&world.server, world.admin());
    for (list, key, body, patch) in [
        ("/v1/groups", "/path", json!({ "path": "acme/team" }), json!({ "floor": "audit" })),
        ("/v1/projects", "/path", json!({ "path": "acme/api" }), json!({ "visibility": "public" })),
        ("/v1/users", "/name", json!({ "name": "zoe" }), json!({ "administrator": true })),
        ("/v1/runners", "/id", json!({ "name": "r2", "group": "acme" }), json!({ "paused": true })),
        ("/v1/services", "/client_id", json!({ "name": "s2" }), json!({ "resources": ["packages"], "paused": true })),
    ] {
        let made = server.post(list, admin, body).await.expect(201);
        let key = made.text_at(key);
        let path = format!("{list}/{}", key.replace('/', "%2F"));
        let read = server.get(&path, admin).await.expect(200);
        assert_eq!(read.header("etag"), made.header("etag"), "{list}");
        assert!(read.header("etag").starts_with('"'), "{list}");
        assert!(server.get(list, admin).await.json["items"].as_array().unwrap().contains(&read.json), "{list}");

        patch_if(server, &path, admin, "\"other\"", patch.clone()).await.refused(412, "precondition_failed");
        patch_if(server, &path, admin, &format!("W/{}", read.header("etag")), patch.clone())
            .await
            .refused(412, "precondition_failed");
        let changed = patch_if(server, &path, admin, &format!("\"other\", {}", read.header("etag")), patch.clone())
            .await
            .expect(200);
        for (field, value) in patch.as_object().unwrap() {
            assert_eq!(&changed.json[field], value, "{list}");
        }
        assert_ne!(changed.header("etag"), read.header("etag"), "{list}");
        assert_eq!(server.get(&path, admin).await.json, changed.json, "{list}");
        let same = server.patch(&path, admin, json!({})).await.expect(200);
        assert_eq!(same.header("etag"), changed.header("etag"), "{list}");

        delete_if(server, &path, admin, read.header("etag")).await.refused(412, "precondition_failed");
        delete_if(server, &path, admin, changed.header("etag")).await.expect(204);
        server.get(&path, admin).await.refused(404, "not_found");
        server.delete(&path, admin).await.refused(404, "not_found");
        server.patch(&path, admin, patch).await.refused(404, "not_found");
    }
}

#[tokio::test]
async fn every_change_is_audited_with_its_request() {
    let world = World::new().await;
    let (server, admin) = (&world.server, world.admin());
    for (list, id, body, noun) in [
        ("/v1/groups", "/id", json!({ "path": "acme/team" }), "group"),
        ("/v1/projects", "/id", json!({ "path": "acme/api" }), "project"),
        ("/v1/users", "/id", json!({ "name": "zoe" }), "user"),
        ("/v1/runners", "/id", json!({ "name": "r2" }), "runner"),
        ("/v1/services", "/client_id", json!({ "name": "s2" }), "service"),
    ] {
        server.clock.advance(Duration::seconds(1));
        let made = server.post(list, admin, body).await.expect(201);
        let id = made.text_at(id);
        server.clock.advance(Duration::seconds(1));
        server.patch(&format!("{list}/{id}"), admin, json!({})).await.expect(200);
        server.clock.advance(Duration::seconds(1));
        server.delete(&format!("{list}/{id}"), admin).await.expect(204);
        let subject = uuid::Uuid::parse_str(&id).unwrap().to_string();
        let expected = ["deleted", "updated", "created"].map(|verb| format!("{noun}.{verb}"));
        assert_eq!(actions(&world, "", &subject).await, expected);
        let events = server.get("/v1/audit-events?limit=3", admin).await.expect(200);
        assert_eq!(events.json["items"][2]["request_id"], made.header("x-request-id"), "{noun}");
        assert_eq!(events.json["items"][2]["before"], Value::Null, "{noun}");
        assert!(
            events.json["items"][1]["before"].is_object() && events.json["items"][1]["after"].is_object(),
            "{noun}"
        );
        assert_eq!(events.json["items"][0]["after"], Value::Null, "{noun}");
        assert!(!events.text.contains("jpr_") && !events.text.contains("jps_"));
    }
}

#[tokio::test]
async fn a_deletion_is_seen_by_the_owners_of_the_group_above() {
    let world = World::new().await;
    let owner = world.person("owner");
    world.server.delete("/v1/projects/acme%2Fweb", owner).await.expect(204);
    let events = world.server.get("/v1/audit-events?group=acme&limit=1000", owner).await.expect(200);
    let is_deletion = |event: &&Value| event["action"] == "project.deleted";
    let deletion = events.json["items"].as_array().unwrap().iter().find(is_deletion).unwrap();
    assert_eq!(deletion["before"]["path"], "acme/web");
}

#[tokio::test]
async fn what_is_deleted_or_moved_leaves_its_history_to_the_groups_above() {
    let world = World::new().await;
    let (server, admin, owner) = (&world.server, world.admin(), world.person("owner"));
    group(&world, "acme/team").await;
    let api = project(&world, "acme/team/api").await.text_at("/id");
    let web = server.get("/v1/projects/acme%2Fweb", admin).await.text_at("/id");
    for path in [&api, &web] {
        server.patch(&format!("/v1/projects/{path}"), admin, json!({ "mode": "audit" })).await.expect(200);
    }
    let history = async |group: &str, person: &str, project: &str| {
        let events = server.get(&format!("/v1/audit-events?group={group}&limit=1000"), person).await.expect(200);
        let events = events.json["items"].as_array().unwrap().clone();
        events.iter().filter(|event| event["project_id"] == project).count()
    };
    let before = (history("acme", owner, &api).await, history("acme", owner, &web).await);
    server.delete(&format!("/v1/projects/{api}"), admin).await.expect(204);
    server.delete("/v1/groups/acme%2Fteam", admin).await.expect(204);
    server.patch(&format!("/v1/projects/{web}"), admin, json!({ "path": "other/web" })).await.expect(200);
    assert_eq!((history("acme", owner, &api).await, history("acme", owner, &web).await), before);
    // And what was before it came is not the new group's to read.
    assert_eq!(history("other", world.person("stranger"), &web).await, 1);
    // Events of before the chain was kept are found as they lie now.
    sqlx::query("update audit_events set chain = null").execute(&mut server.sql().await).await.unwrap();
    assert_eq!(history("other", world.person("stranger"), &web).await, before.1 + 1);
    assert_eq!(history("acme", owner, &api).await, 0);
}

#[tokio::test]
async fn audit_events_are_the_owners_and_the_administrators() {
    let world = World::new().await;
    let server = &world.server;
    let of = "/v1/audit-events?project=acme%2Fweb";
    let seen = server.get(of, world.person("owner")).await.expect(200);
    assert_eq!(seen.json["items"][0]["action"], "project.created");
    server.get("/v1/audit-events?group=acme", world.person("owner")).await.expect(200);
    server.get(of, world.person("maintainer")).await.refused(403, "forbidden");
    server.get(of, world.person("stranger")).await.refused(404, "not_found");
    server.get("/v1/audit-events", world.person("owner")).await.refused(403, "forbidden");
    let below = all_pages(server, "/v1/audit-events?group=acme", world.admin(), 3, "/action").await;
    assert!(
        below.contains(&"\"project.created\"".to_owned()) && below.contains(&"\"member.set\"".to_owned()),
        "{below:?}"
    );
    assert!(!below.contains(&"\"user.created\"".to_owned()), "{below:?}");
}

#[tokio::test]
async fn pages_follow_each_other_without_gap_or_repeat() {
    let world = World::new().await;
    let (server, admin) = (&world.server, world.admin());
    for n in 0..5 {
        project(&world, &format!("acme/p{n}")).await;
        group(&world, &format!("acme/g{n}")).await;
        server.post("/v1/runners", admin, json!({ "name": "r", "project": "acme/web" })).await.expect(201);
        server.post("/v1/services", admin, json!({ "name": "s" })).await.expect(201);
        world.grant(&["jobs:read"], json!({ "note": n.to_string() })).await;
        world.token(&n.to_string()).await;
    }
    for (list, id) in [
        ("/v1/groups", "/path"),
        ("/v1/projects", "/path"),
        ("/v1/users", "/name"),
        ("/v1/user-tokens", "/id"),
        ("/v1/runners", "/id"),
        ("/v1/services", "/client_id"),
        ("/v1/audit-events", "/id"),
        ("/v1/groups/acme/members", "/user"),
        ("/v1/projects/acme%2Flib/grants", "/id"),
        ("/v1/projects/acme%2Fweb/job-tokens", "/id"),
    ] {
        let whole = all_pages(server, list, admin, 1000, id).await;
        assert!(whole.len() >= 5, "{list}: {whole:?}");
        for limit in [1, 2, whole.len()] {
            assert_eq!(all_pages(server, list, admin, limit, id).await, whole, "{list} by {limit}");
        }
        assert_eq!(whole.iter().collect::<BTreeSet<_>>().len(), whole.len(), "{list}");
    }
}

// ── Groups and projects ──────────────────────────────────────────────────────────────────────────────

#[tokio::test]
async fn whoever_creates_it_owns_it() {
    let world = World::new().await;
    let (server, maintainer) = (&world.server, world.person("maintainer"));
    for (list, kind, path) in [("/v1/groups", "groups", "acme/team"), ("/v1/projects", "projects", "acme/api")] {
        server.post(list, maintainer, json!({ "path": path })).await.expect(201);
        let members =
            server.get(&format!("/v1/{kind}/{}/members", path.replace('/', "%2F")), maintainer).await.expect(200);
        let mine = members.json["items"].as_array().unwrap().iter().find(|member| member["on"] == path).unwrap();
        assert_eq!((mine["user"].as_str(), mine["role"].as_str()), (Some("maintainer"), Some("owner")));
    }
}

#[tokio::test]
async fn who_may_create_where() {
    let world = World::new().await;
    let server = &world.server;
    server.post("/v1/groups", world.person("owner"), json!({ "path": "mine" })).await.refused(403, "forbidden");
    server.post("/v1/groups", world.person("developer"), json!({ "path": "acme/x" })).await.refused(403, "forbidden");
    server.post("/v1/projects", world.person("developer"), json!({ "path": "acme/x" })).await.refused(403, "forbidden");
    server.post("/v1/projects", world.person("maintainer"), json!({ "path": "acme/x" })).await.expect(201);
    server.post("/v1/projects", world.admin(), json!({ "path": "x" })).await.invalid("/path", "no_group");
    // A group that is hidden is worded as one that does not exist.
    let hidden = server
        .post("/v1/projects", world.person("owner"), json!({ "path": "other/x" }))
        .await
        .invalid("/path", "not_found");
    let missing = server
        .post("/v1/projects", world.person("owner"), json!({ "path": "nope/x" }))
        .await
        .invalid("/path", "not_found");
    assert_eq!(without_id(&hidden).replace("other", "nope"), without_id(&missing));
}

#[tokio::test]
async fn one_namespace_of_paths() {
    let world = World::new().await;
    let server = &world.server;
    for (list, path) in [("/v1/groups", "acme/web"), ("/v1/projects", "acme/web"), ("/v1/groups", "acme")] {
        server.post(list, world.admin(), json!({ "path": path })).await.refused(409, "path_taken");
    }
    server
        .patch("/v1/projects/acme%2Fweb", world.admin(), json!({ "path": "acme/lib" }))
        .await
        .refused(409, "path_taken");
    server.patch("/v1/groups/acme", world.admin(), json!({ "path": "other" })).await.refused(409, "path_taken");
}

#[tokio::test]
async fn the_highest_role_counts_from_above_or_here() {
    let world = World::new().await;
    let server = &world.server;
    let grants = "/v1/projects/acme%2Fweb/grants";
    server.get(grants, world.person("guest")).await.refused(403, "forbidden");
    let set = server
        .put("/v1/projects/acme%2Fweb/members/guest", world.person("owner"), json!({ "role": "maintainer" }))
        .await
        .expect(200);
    assert_eq!(
        (set.json["user"].as_str(), set.json["role"].as_str(), set.json["on"].as_str()),
        (Some("guest"), Some("maintainer"), Some("acme/web"))
    );
    server.get(grants, world.person("guest")).await.expect(200);
    server.get("/v1/projects/acme%2Flib/grants", world.person("guest")).await.refused(403, "forbidden");
    server
        .put("/v1/projects/acme%2Fweb/members/owner", world.person("owner"), json!({ "role": "guest" }))
        .await
        .expect(200);
    server.delete("/v1/projects/acme%2Fweb/members/guest", world.person("owner")).await.expect(204);
    server.get(grants, world.person("guest")).await.refused(403, "forbidden");
    server.delete("/v1/projects/acme%2Fweb/members/guest", world.person("owner")).await.refused(404, "not_found");
    server
        .put("/v1/projects/acme%2Fweb/members/nobody", world.person("owner"), json!({ "role": "guest" }))
        .await
        .refused(404, "not_found");
    server
        .put("/v1/projects/acme%2Fweb/members/guest", world.person("maintainer"), json!({ "role": "guest" }))
        .await
        .refused(403, "forbidden");
}

#[tokio::test]
async fn hidden_is_missing_byte_for_byte() {
    let world = World::new().await;
    let (server, stranger) = (&world.server, world.person("stranger"));
    let runner = server
        .post("/v1/runners", world.admin(), json!({ "name": "r", "project": "acme/web" }))
        .await
        .expect(201)
        .text_at("/id");
    let run = world.mint("1", json!({})).await;
    let id = |name: &str| run[name].as_str().unwrap().to_owned();
    let unknown = uuid::Uuid::nil().to_string();
    for (method, hidden, missing, body) in [
        ("GET", "/v1/projects/acme%2Fweb".to_owned(), "/v1/projects/acme%2Fnope".to_owned(), None),
        ("GET", format!("/v1/projects/{}", id("project_id")), format!("/v1/projects/{unknown}"), None),
        (
            "PATCH",
            "/v1/projects/acme%2Fweb".to_owned(),
            "/v1/projects/acme%2Fnope".to_owned(),
            Some(json!({ "mode": "audit" })),
        ),
        ("DELETE", "/v1/projects/acme%2Fweb".to_owned(), "/v1/projects/acme%2Fnope".to_owned(), None),
        ("GET", "/v1/projects/acme%2Fweb/grants".to_owned(), "/v1/projects/acme%2Fnope/grants".to_owned(), None),
        (
            "PUT",
            "/v1/projects/acme%2Fweb/members/guest".to_owned(),
            "/v1/projects/acme%2Fnope/members/guest".to_owned(),
            Some(json!({ "role": "guest" })),
        ),
        ("GET", "/v1/groups/acme".to_owned(), "/v1/groups/nope".to_owned(), None),
        ("DELETE", "/v1/groups/acme".to_owned(), "/v1/groups/nope".to_owned(), None),
        ("GET", "/v1/users/owner".to_owned(), "/v1/users/nobody".to_owned(), None),
        ("GET", format!("/v1/runners/{runner}"), format!("/v1/runners/{unknown}"), None),
        (
            "POST",
            format!("/v1/runners/{runner}/revoke-tokens"),
            format!("/v1/runners/{unknown}/revoke-tokens"),
            Some(json!({})),
        ),
        (
            "POST",
            format!("/v1/jobs/{}/revoke-tokens", id("job_id")),
            format!("/v1/jobs/{unknown}/revoke-tokens"),
            Some(json!({})),
        ),
        (
            "POST",
            format!("/v1/pipelines/{}/revoke-tokens", id("pipeline_id")),
            format!("/v1/pipelines/{unknown}/revoke-tokens"),
            Some(json!({})),
        ),
        ("DELETE", format!("/v1/job-tokens/{}", id("id")), format!("/v1/job-tokens/{unknown}"), None),
        (
            "GET",
            "/v1/audit-events?project=acme%2Fweb".to_owned(),
            "/v1/audit-events?project=acme%2Fnope".to_owned(),
            None,
        ),
    ] {
        let hidden = server.call(method, &hidden, Some(stranger), body.clone()).await.refused(404, "not_found");
        let missing = server.call(method, &missing, Some(stranger), body).await.refused(404, "not_found");
        assert_eq!(without_id(&hidden), without_id(&missing));
    }
    let mine = server.get("/v1/projects", stranger).await.expect(200);
    assert_eq!(mine.json["items"].as_array().unwrap().len(), 1);
    assert_eq!(mine.json["items"][0]["path"], "other/app");
    let groups = server.get("/v1/groups", stranger).await.expect(200);
    assert_eq!(groups.json["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn what_is_public_or_internal_is_seen_with_the_groups_above_it() {
    for visibility in ["public", "internal"] {
        let world = World::new().await;
        let (server, stranger) = (&world.server, world.person("stranger"));
        server
            .patch("/v1/projects/acme%2Fweb", world.person("owner"), json!({ "visibility": visibility }))
            .await
            .expect(200);
        server.get("/v1/projects/acme%2Fweb", stranger).await.expect(200);
        server.get("/v1/groups/acme", stranger).await.expect(200);
        server.get("/v1/projects/acme%2Fweb/grants", stranger).await.refused(403, "forbidden");
        server.get("/v1/projects/acme%2Fweb/members", stranger).await.refused(403, "forbidden");
        server.get("/v1/groups/acme/members", stranger).await.refused(403, "forbidden");
        server.get("/v1/projects/acme%2Flib", stranger).await.refused(404, "not_found");
    }
}

#[tokio::test]
async fn visibility_and_path_are_the_owners_the_rest_the_maintainers() {
    let world = World::new().await;
    let (server, web) = (&world.server, "/v1/projects/acme%2Fweb");
    for patch in [
        json!({ "visibility": "public" }),
        json!({ "path": "acme/site" }),
        json!({ "mode": "audit", "path": "acme/site" }),
    ] {
        server.patch(web, world.person("maintainer"), patch).await.refused(403, "forbidden");
    }
    let patch = json!({ "mode": "audit", "protected_refs": ["main", "tag:v*"], "protected_environments": ["prod*"], "reason": "tidy" });
    let changed = server.patch(web, world.person("maintainer"), patch).await.expect(200);
    assert_eq!(changed.json["protected_refs"], json!(["main", "tag:v*"]));
    assert_eq!(changed.json["effective_mode"], "audit");
    let events = server.get("/v1/audit-events?project=acme%2Fweb", world.person("owner")).await.expect(200);
    let update =
        events.json["items"].as_array().unwrap().iter().find(|event| event["action"] == "project.updated").unwrap();
    assert_eq!(update["reason"], "tidy");
    server.patch(web, world.person("developer"), json!({ "mode": "legacy" })).await.refused(403, "forbidden");
    server
        .patch("/v1/groups/acme", world.person("maintainer"), json!({ "floor": "audit" }))
        .await
        .refused(403, "forbidden");
    server.delete(web, world.person("maintainer")).await.refused(403, "forbidden");
}

#[tokio::test]
async fn too_many_patterns() {
    let world = World::new().await;
    let patch = json!({ "protected_refs": vec!["main"; 101] });
    world.server.patch("/v1/projects/acme%2Fweb", world.admin(), patch).await.invalid("/protected_refs", "too_many");
}

#[tokio::test]
async fn a_rename_takes_along_what_lies_below_and_ids_stay() {
    let world = World::new().await;
    let server = &world.server;
    group(&world, "acme/team").await;
    let api = project(&world, "acme/team/api").await.text_at("/id");
    let granted =
        world.grant(&["packages:read"], json!({ "source": { "project": "acme/team/api" } })).await.text_at("/id");
    let minted = world.mint("1", json!({ "project": "acme/team/api" })).await;
    let token = minted["token"].as_str().unwrap();

    server.patch("/v1/groups/acme%2Fteam", world.person("owner"), json!({ "path": "acme/crew" })).await.expect(200);

    server.get("/v1/groups/acme%2Fteam", world.admin()).await.refused(404, "not_found");
    server.get("/v1/projects/acme%2Fteam%2Fapi", world.admin()).await.refused(404, "not_found");
    assert_eq!(server.get("/v1/projects/acme%2Fcrew%2Fapi", world.admin()).await.expect(200).text_at("/id"), api);
    assert_eq!(
        server.get(&format!("/v1/projects/{api}"), world.admin()).await.expect(200).text_at("/path"),
        "acme/crew/api"
    );
    let grant = server.get(&format!("/v1/projects/acme%2Flib/grants/{granted}"), world.admin()).await.expect(200);
    assert_eq!(grant.text_at("/source/project"), "acme/crew/api");
    assert_eq!(world.authorize(token, &["packages:read"], json!({})).await.expect(200).json["allowed"], true);
}

#[tokio::test]
async fn a_move_needs_the_owner_of_both_ends() {
    let world = World::new().await;
    let (server, web) = (&world.server, "/v1/projects/acme%2Fweb");
    let to = json!({ "path": "other/web" });
    server.patch(web, world.person("owner"), to.clone()).await.invalid("/path", "not_found");
    server.put("/v1/groups/other/members/owner", world.admin(), json!({ "role": "maintainer" })).await.expect(200);
    server.patch(web, world.person("owner"), to.clone()).await.refused(403, "forbidden");
    server.put("/v1/groups/other/members/owner", world.admin(), json!({ "role": "owner" })).await.expect(200);
    server.patch(web, world.person("owner"), to).await.expect(200);
    // Roles come from above: the members of acme are no members there.
    server.get("/v1/projects/other%2Fweb", world.person("developer")).await.refused(404, "not_found");
    server.get("/v1/projects/other%2Fweb", world.person("stranger")).await.expect(200);
}

#[tokio::test]
async fn a_rename_in_place_needs_the_owner_of_what_is_renamed_alone() {
    let world = World::new().await;
    let server = &world.server;
    group(&world, "acme/team").await;
    project(&world, "acme/team/api").await;
    for (member, role) in [("stranger", "owner"), ("guest", "maintainer")] {
        let path = format!("/v1/groups/acme%2Fteam/members/{member}");
        server.put(&path, world.admin(), json!({ "role": role })).await.expect(200);
    }
    let (owner, maintainer) = (world.person("stranger"), world.person("guest"));
    let to = |path: &str| json!({ "path": path });
    server.patch("/v1/groups/acme%2Fteam", maintainer, to("acme/crew")).await.refused(403, "forbidden");
    server.patch("/v1/groups/acme%2Fteam", owner, to("acme/crew")).await.expect(200);
    server.patch("/v1/projects/acme%2Fcrew%2Fapi", owner, to("acme/crew/rest")).await.expect(200);
    // To another place it needs the owner of that place, too.
    server.patch("/v1/groups/acme%2Fcrew", owner, to("other/crew")).await.expect(200);
    server.patch("/v1/groups/other%2Fcrew", owner, to("acme/crew2")).await.invalid("/path", "not_found");
    // The top is the administrators'.
    let refused = server.patch("/v1/groups/other", owner, to("another")).await.refused(403, "forbidden");
    assert_eq!(refused.json["missing"], json!(["administrator"]));
    assert!(refused.text_at("/detail").contains("at the top"), "{}", refused.text);
    server.patch("/v1/groups/other%2Fcrew", owner, to("crew")).await.refused(403, "forbidden");
    server.post("/v1/groups", owner, to("mine")).await.refused(403, "forbidden");
    server.patch("/v1/groups/other", world.admin(), to("another")).await.expect(200);
}

#[tokio::test]
async fn a_move_changes_which_group_grants_count() {
    let world = World::new().await;
    let server = &world.server;
    let body = json!({ "source": { "group": "other" }, "permissions": ["packages:read"] });
    server.post("/v1/projects/acme%2Flib/grants", world.admin(), body).await.expect(201);
    let token = world.token("1").await;
    let allowed = async || {
        world.authorize(&token, &["packages:read"], json!({})).await.expect(200).json["allowed"].as_bool().unwrap()
    };
    assert!(!allowed().await);
    server.patch("/v1/projects/acme%2Fweb", world.admin(), json!({ "path": "other/web" })).await.expect(200);
    assert!(allowed().await);
    let back = ("/v1/projects/other%2Fweb?confirm=true", json!({ "path": "acme/web" }));
    server.patch(back.0, world.admin(), back.1).await.expect(200);
    assert!(!allowed().await);
}

#[tokio::test]
async fn a_patch_that_repeats_the_path_moves_nothing() {
    let world = World::new().await;
    let patch = json!({ "path": "acme", "floor": "audit" });
    let changed = world.server.patch("/v1/groups/acme", world.person("owner"), patch).await.expect(200);
    assert_eq!(changed.json["floor"], "audit");
    world
        .server
        .patch("/v1/projects/acme%2Fweb", world.person("owner"), json!({ "path": "acme/web" }))
        .await
        .expect(200);
}

#[tokio::test]
async fn a_path_left_or_deleted_is_retired() {
    let world = World::new().await;
    let (server, owner) = (&world.server, world.person("owner"));
    server.patch("/v1/projects/acme%2Fweb", owner, json!({ "path": "acme/site" })).await.expect(200);
    server.delete("/v1/projects/acme%2Flib", owner).await.expect(204);
    for path in ["acme/web", "acme/lib"] {
        server.post("/v1/projects", owner, json!({ "path": path })).await.refused(409, "path_retired");
        server.post("/v1/groups", owner, json!({ "path": path })).await.refused(409, "path_retired");
        server.patch("/v1/projects/acme%2Fsite", owner, json!({ "path": path })).await.refused(409, "path_retired");
        server.post("/v1/projects", world.admin(), json!({ "path": path })).await.expect(201);
    }
}

#[tokio::test]
async fn a_renamed_group_is_renamed_back_by_an_administrator_with_all_below() {
    let world = World::new().await;
    let server = &world.server;
    group(&world, "acme/team").await;
    project(&world, "acme/team/api").await;
    let rename = async |token: &str, from: &str, to: &str| {
        server.patch(&format!("/v1/groups/{}", from.replace('/', "%2F")), token, json!({ "path": to })).await
    };
    rename(world.person("owner"), "acme/team", "acme/crew").await.expect(200);
    rename(world.person("owner"), "acme/crew", "acme/team").await.refused(409, "path_retired");
    rename(world.admin(), "acme/crew", "acme/team").await.expect(200);
    server.get("/v1/projects/acme%2Fteam%2Fapi", world.admin()).await.expect(200);
    // What lies below counts, too: here only the path of the project is retired.
    rename(world.person("owner"), "acme/team", "acme/crew2").await.expect(200);
    group(&world, "acme/team").await;
    server.delete("/v1/groups/acme%2Fteam", world.admin()).await.expect(204);
    group(&world, "acme/team").await;
    server.patch("/v1/groups/acme%2Fteam", world.admin(), json!({ "path": "acme/x" })).await.expect(200);
    rename(world.person("owner"), "acme/crew2", "acme/team").await.refused(409, "path_retired");
    rename(world.admin(), "acme/crew2", "acme/team").await.expect(200);
}

#[tokio::test]
async fn only_an_empty_group_is_deleted() {
    let world = World::new().await;
    let (server, owner) = (&world.server, world.person("owner"));
    server.delete("/v1/groups/acme", owner).await.refused(409, "group_not_empty");
    group(&world, "acme/team").await;
    group(&world, "acme/team/sub").await;
    server.delete("/v1/groups/acme%2Fteam", owner).await.refused(409, "group_not_empty");
    server.delete("/v1/groups/acme%2Fteam%2Fsub", owner).await.expect(204);
    server.delete("/v1/groups/acme%2Fteam", owner).await.expect(204);
}

#[tokio::test]
async fn a_deleted_source_takes_its_grants_along_and_each_target_is_told() {
    let world = World::new().await;
    let (server, admin) = (&world.server, world.admin());
    group(&world, "acme/team").await;
    let on = async |place: &str, source: Value| {
        let body = json!({ "source": source, "permissions": ["packages:read"] });
        server.post(&format!("/v1/{place}/grants"), admin, body).await.expect(201).text_at("/id")
    };
    let on_project = on("projects/acme%2Flib", json!({ "project": "acme/web" })).await;
    let on_group = on("groups/other", json!({ "project": "acme/web" })).await;
    let of_group = on("projects/acme%2Flib", json!({ "group": "acme/team" })).await;
    let except = on("projects/acme%2Flib", json!({ "group": "acme", "except": ["acme/web", "acme/team"] })).await;

    server.delete("/v1/projects/acme%2Fweb", admin).await.expect(204);
    server.delete("/v1/groups/acme%2Fteam", admin).await.expect(204);

    for (grant, place, query) in [
        (&on_project, "projects/acme%2Flib", "&project=acme%2Flib"),
        (&of_group, "projects/acme%2Flib", "&project=acme%2Flib"),
        (&on_group, "groups/other", "&group=other"),
    ] {
        server.get(&format!("/v1/{place}/grants/{grant}"), admin).await.refused(404, "not_found");
        assert!(actions(&world, query, grant).await.contains(&"grant.deleted".to_owned()));
    }
    let left = server.get(&format!("/v1/projects/acme%2Flib/grants/{except}"), admin).await.expect(200);
    assert_eq!(left.json["source"].get("except"), None);
    let dangling: i64 = sqlx::query_scalar("select count(*) from grants where cardinality(except_ids) > 0")
        .fetch_one(&mut server.sql().await)
        .await
        .unwrap();
    assert_eq!(dangling, 0);
}

#[tokio::test]
async fn a_deleted_project_takes_its_runners_and_services_along() {
    let world = World::new().await;
    let (server, admin) = (&world.server, world.admin());
    let runner = server
        .post("/v1/runners", admin, json!({ "name": "r", "project": "acme/web" }))
        .await
        .expect(201)
        .text_at("/id");
    let service = server.post("/v1/services", admin, json!({ "name": "s", "project": "acme/web" })).await.expect(201);
    server.delete("/v1/projects/acme%2Fweb", admin).await.expect(204);
    server.get(&format!("/v1/runners/{runner}"), admin).await.refused(404, "not_found");
    server.get(&format!("/v1/services/{}", service.text_at("/client_id")), admin).await.refused(404, "not_found");
    server.post("/v1/authorize", &service.text_at("/client_secret"), json!({})).await.refused(401, "bad_credential");
}

#[tokio::test]
async fn a_mode_never_lies_below_the_floor() {
    let world = World::new().await;
    let (server, owner, web) = (&world.server, world.person("owner"), "/v1/projects/acme%2Fweb");
    assert_eq!(server.get(web, owner).await.expect(200).json["mode"], "enforced");
    server.patch(web, owner, json!({ "mode": "legacy" })).await.expect(200);
    server.patch("/v1/groups/acme", owner, json!({ "floor": "audit" })).await.expect(200);
    let now = server.get(web, owner).await.expect(200);
    assert_eq!((now.json["mode"].as_str(), now.json["effective_mode"].as_str()), (Some("legacy"), Some("audit")));
    server.patch(web, owner, json!({ "mode": "legacy" })).await.refused(409, "mode_below_floor");
    server.patch(web, owner, json!({ "protected_refs": [] })).await.expect(200);
    server.patch(web, owner, json!({ "mode": "audit" })).await.expect(200);
    server
        .post("/v1/projects", owner, json!({ "path": "acme/new", "mode": "legacy" }))
        .await
        .refused(409, "mode_below_floor");
    server.post("/v1/projects", owner, json!({ "path": "acme/new", "mode": "audit" })).await.expect(201);
}

// ── People, runners, services ────────────────────────────────────────────────────────────────────────

#[tokio::test]
async fn names_are_taken_once() {
    let world = World::new().await;
    let server = &world.server;
    server.post("/v1/users", world.admin(), json!({ "name": "owner" })).await.refused(409, "name_taken");
    server.patch("/v1/users/guest", world.admin(), json!({ "name": "owner" })).await.refused(409, "name_taken");
    server
        .post("/v1/catalogue/resources", world.admin(), json!({ "name": "packages", "description": "d" }))
        .await
        .refused(409, "name_taken");
}

#[tokio::test]
async fn people_see_themselves() {
    let world = World::new().await;
    let server = &world.server;
    let me = server.get("/v1/users/guest", world.person("guest")).await.expect(200);
    server.get(&format!("/v1/users/{}", me.text_at("/id")), world.person("guest")).await.expect(200);
    server.get("/v1/users/owner", world.person("guest")).await.refused(404, "not_found");
    server.get("/v1/users", world.person("owner")).await.refused(403, "forbidden");
    server.patch("/v1/users/guest", world.admin(), json!({ "name": "visitor" })).await.expect(200);
    assert_eq!(
        server.get("/v1/users/visitor", world.person("guest")).await.expect(200).text_at("/id"),
        me.text_at("/id")
    );
}

#[tokio::test]
async fn user_tokens_are_ones_own() {
    let world = World::new().await;
    let (server, guest) = (&world.server, world.person("guest"));
    let made = server.post("/v1/user-tokens", guest, json!({ "user": "guest", "name": "laptop" })).await.expect(201);
    let path = format!("/v1/user-tokens/{}", made.text_at("/id"));
    server.post("/v1/user-tokens", guest, json!({ "user": "owner" })).await.refused(403, "forbidden");
    server.post("/v1/user-tokens", world.admin(), json!({ "user": "nobody" })).await.invalid("/user", "not_found");
    assert_eq!(server.get("/v1/user-tokens", guest).await.expect(200).json["items"].as_array().unwrap().len(), 2);
    server.get(&path, world.person("owner")).await.refused(404, "not_found");
    server.delete(&path, world.person("owner")).await.refused(404, "not_found");
    server.get("/v1/groups", &made.text_at("/token")).await.expect(200);
    server.delete(&path, guest).await.expect(204);
    server.get("/v1/groups", &made.text_at("/token")).await.refused(401, "bad_credential");
    server.get(&path, guest).await.refused(404, "not_found");
}

#[tokio::test]
async fn a_secret_is_shown_once() {
    let world = World::new().await;
    let (server, admin) = (&world.server, world.admin());
    for (list, id, body, field, prefix) in [
        ("/v1/user-tokens", "/id", json!({ "user": "guest" }), "token", "jpu_"),
        ("/v1/runners", "/id", json!({ "name": "r" }), "token", "jpr_"),
        ("/v1/services", "/client_id", json!({ "name": "s" }), "client_secret", "jps_"),
    ] {
        let made = server.post(list, admin, body).await.expect(201);
        let secret = made.json[field].as_str().unwrap();
        assert!(secret.starts_with(prefix) && secret.len() == 53, "{list}");
        let read = server.get(&format!("{list}/{}", made.text_at(id)), admin).await.expect(200);
        assert_eq!(read.json.get(field), None, "{list}");
        assert!(!server.get(list, admin).await.text.contains(prefix), "{list}");
    }
    assert!(!server.get("/v1/audit-events?limit=1000", admin).await.text.contains("jpu_"));
}

#[tokio::test]
async fn a_read_only_token_reads() {
    let world = World::new().await;
    let server = &world.server;
    let body = json!({ "user": "owner", "read_only": true });
    let token = server.post("/v1/user-tokens", world.person("owner"), body).await.expect(201).text_at("/token");
    server.get("/v1/groups/acme", &token).await.expect(200);
    server.post("/v1/groups", &token, json!({ "path": "acme/x" })).await.refused(403, "read_only");
    server.post("/v1/user-tokens", &token, json!({ "user": "owner" })).await.refused(403, "read_only");
    server.patch("/v1/groups/acme", &token, json!({})).await.refused(403, "read_only");
    server.delete("/v1/projects/acme%2Fweb", &token).await.refused(403, "read_only");
}

#[tokio::test]
async fn user_and_runner_tokens_expire() {
    let world = World::new().await;
    let (server, admin) = (&world.server, world.admin());
    let at = "2026-11-23T11:00:00Z";
    let user = server
        .post("/v1/user-tokens", admin, json!({ "user": "guest", "expires_at": at }))
        .await
        .expect(201)
        .text_at("/token");
    let runner =
        server.post("/v1/runners", admin, json!({ "name": "r", "expires_at": at })).await.expect(201).text_at("/token");
    let alive = async || {
        let user = server.get("/v1/groups", &user).await.status;
        let runner = server.post("/v1/job-tokens", &runner, json!({})).await.status;
        (user, runner)
    };
    server.clock.advance(Duration::seconds(3599));
    assert_eq!(alive().await, (200, 422));
    server.clock.advance(Duration::seconds(1));
    assert_eq!(alive().await, (401, 401));
    for list in ["/v1/user-tokens", "/v1/runners"] {
        let body = if list == "/v1/runners" {
            json!({ "name": "r", "expires_at": at })
        } else {
            json!({ "user": "guest", "expires_at": at })
        };
        server.post(list, admin, body).await.invalid("/expires_at", "past");
    }
}

#[tokio::test]
async fn secrets_rotate_without_an_outage() {
    let world = World::new().await;
    let (server, admin) = (&world.server, world.admin());
    for (list, id, first, probe) in [
        ("/v1/runners", &world.runner_id, &world.runner, "/v1/job-tokens"),
        ("/v1/services", &world.service.0, &world.service.1, "/v1/authorize"),
    ] {
        let works = async |secret: &str| server.post(probe, secret, json!({})).await.status == 422;
        let secrets = format!("{list}/{id}/secrets");
        let old = server.get(&secrets, admin).await.expect(200).text_at("/items/0/id");
        let second = server.post(&secrets, admin, json!({})).await.expect(201);
        let new = second.text_at("/secret");
        assert!(works(first).await && works(&new).await, "{list}");
        server.post(&secrets, admin, json!({})).await.refused(409, "two_live_secrets");
        assert!(!server.get(&secrets, admin).await.expect(200).text.contains(&new));
        server.delete(&format!("{secrets}/{old}"), admin).await.expect(204);
        server.delete(&format!("{secrets}/{old}"), admin).await.refused(404, "not_found");
        assert!(!works(first).await && works(&new).await, "{list}");
        // One that has expired makes room.
        server.post(&secrets, admin, json!({ "expires_at": "2026-11-23T10:00:01Z" })).await.expect(201);
        server.post(&secrets, admin, json!({})).await.refused(409, "two_live_secrets");
        server.clock.advance(Duration::seconds(1));
        server.post(&secrets, admin, json!({})).await.expect(201);
        server.clock.advance(Duration::seconds(-1));
    }
}

#[tokio::test]
async fn a_secret_is_deleted_only_through_its_own_owner() {
    let world = World::new().await;
    let (server, admin) = (&world.server, world.admin());
    let other = server.post("/v1/runners", admin, json!({ "name": "r2" })).await.expect(201).text_at("/id");
    let secret =
        server.get(&format!("/v1/runners/{}/secrets", world.runner_id), admin).await.expect(200).text_at("/items/0/id");
    server.delete(&format!("/v1/runners/{other}/secrets/{secret}"), admin).await.refused(404, "not_found");
    server.delete(&format!("/v1/services/{}/secrets/{secret}", world.service.0), admin).await.refused(404, "not_found");
}

#[tokio::test]
async fn scoped_runners_are_the_maintainers() {
    let world = World::new().await;
    let (server, maintainer) = (&world.server, world.person("maintainer"));
    let create = async |token: &str, body: Value| server.post("/v1/runners", token, body).await;
    let made = create(maintainer, json!({ "name": "r", "project": "acme/web", "protected": true })).await.expect(201);
    assert_eq!((made.json["project"].as_str(), made.json["group"].as_str()), (Some("acme/web"), None));
    create(maintainer, json!({ "name": "r", "group": "acme" })).await.expect(201);
    create(maintainer, json!({ "name": "r" })).await.refused(403, "forbidden");
    create(maintainer, json!({ "name": "r", "project": "acme/web", "asserts_actor": true }))
        .await
        .refused(403, "forbidden");
    create(maintainer, json!({ "name": "r", "project": "acme/web", "group": "acme" }))
        .await
        .invalid("/group", "one_scope");
    create(maintainer, json!({ "name": "r", "project": "other/app" })).await.invalid("/project", "not_found");
    create(maintainer, json!({ "name": "r", "group": "other" })).await.invalid("/group", "not_found");
    create(world.person("developer"), json!({ "name": "r", "project": "acme/web" })).await.refused(403, "forbidden");
    let path = format!("/v1/runners/{}", made.text_at("/id"));
    server.patch(&path, maintainer, json!({ "asserts_actor": true })).await.refused(403, "forbidden");
    server.patch(&path, maintainer, json!({ "paused": true })).await.expect(200);
    server.get(&path, world.person("developer")).await.refused(404, "not_found");
    server.get(&format!("/v1/runners/{}", world.runner_id), maintainer).await.refused(404, "not_found");
    assert_eq!(server.get("/v1/runners", maintainer).await.expect(200).json["items"].as_array().unwrap().len(), 2);
    assert_eq!(server.get("/v1/runners", world.person("stranger")).await.expect(200).json["items"], json!([]));
}

/// Whoever has the secret of such a runner can be anyone: it is never had by a scope's maintainers.
#[tokio::test]
async fn a_runner_whose_word_about_the_actor_is_taken_is_the_administrators() {
    let world = World::new().await;
    let (server, admin, maintainer) = (&world.server, world.admin(), world.person("maintainer"));
    let body = json!({ "name": "r", "project": "acme/web", "asserts_actor": true });
    let made = server.post("/v1/runners", admin, body).await.expect(201);
    let path = format!("/v1/runners/{}", made.text_at("/id"));
    let secrets = format!("{path}/secrets");
    for person in [maintainer, world.person("owner")] {
        let refused = server.post(&secrets, person, json!({})).await.refused(403, "forbidden");
        assert_eq!(refused.json["missing"], json!(["administrator"]));
        let first = server.get(&secrets, person).await.expect(200).text_at("/items/0/id");
        server.delete(&format!("{secrets}/{first}"), person).await.refused(403, "forbidden");
        server.patch(&path, person, json!({ "protected": true })).await.refused(403, "forbidden");
        server.patch(&path, person, json!({ "paused": true })).await.expect(200);
        server.patch(&path, person, json!({ "paused": false })).await.refused(403, "forbidden");
        server.patch(&path, person, json!({ "name": "renamed" })).await.expect(200);
    }
    server.post(&secrets, admin, json!({})).await.expect(201);
    server.patch(&path, admin, json!({ "paused": false, "protected": true })).await.expect(200);
    // Without the flag it is a runner like another.
    server.patch(&path, maintainer, json!({ "paused": true })).await.expect(200);
    server.patch(&path, maintainer, json!({ "asserts_actor": false, "paused": false })).await.expect(200);
    let first = server.get(&secrets, maintainer).await.expect(200).text_at("/items/0/id");
    server.delete(&format!("{secrets}/{first}"), maintainer).await.expect(204);
    server.post(&secrets, maintainer, json!({})).await.expect(201);
    server.patch(&path, maintainer, json!({ "asserts_actor": true })).await.refused(403, "forbidden");
}

#[tokio::test]
async fn what_a_service_is_registered_with() {
    let world = World::new().await;
    let (server, admin) = (&world.server, world.admin());
    let create = async |body: Value| server.post("/v1/services", admin, body).await;
    create(json!({ "name": "s", "audience_required": true })).await.invalid("/audience", "required");
    create(json!({ "name": "s", "audience": "registry" })).await.invalid("/audience", "invalid");
    create(json!({ "name": "s", "resources": ["packages", "nope"] })).await.invalid("/resources/1", "unknown_resource");
    create(json!({ "name": "s", "project": "acme/nope" })).await.invalid("/project", "not_found");
    for seconds in [0, 3601] {
        create(json!({ "name": "s", "answer_seconds": seconds })).await.invalid("/answer_seconds", "out_of_range");
    }
    let body = json!({ "name": "s", "resources": [], "project": "acme/web", "audience": "https://r.example", "audience_required": true });
    let made = create(body).await.expect(201);
    assert_eq!((made.json["answer_seconds"].as_u64(), &made.json["resources"]), (Some(60), &json!([])));
    let path = format!("/v1/services/{}", made.text_at("/client_id"));
    server.patch(&path, admin, json!({ "audience": null })).await.invalid("/audience", "required");
    let changed = server
        .patch(&path, admin, json!({ "audience": null, "audience_required": false, "resources": null }))
        .await
        .expect(200);
    assert_eq!((&changed.json["audience"], &changed.json["resources"]), (&Value::Null, &Value::Null));
    server.patch(&path, admin, json!({ "project": "acme/lib" })).await.invalid("/project", "unknown_field");
    server.patch(&path, admin, json!({ "paused": true })).await.expect(200);
    server.post("/v1/authorize", &made.text_at("/client_secret"), json!({})).await.refused(401, "bad_credential");
    server.get("/v1/services", world.person("owner")).await.refused(403, "forbidden");
}

#[tokio::test]
async fn a_deleted_user_is_out() {
    let world = World::new().await;
    let server = &world.server;
    server.delete("/v1/users/guest", world.admin()).await.expect(204);
    server.get("/v1/groups", world.person("guest")).await.refused(401, "bad_credential");
    assert!(!server.get("/v1/groups/acme/members", world.admin()).await.text.contains("\"guest\",\"user_id\""));
}

#[tokio::test]
async fn an_operator_adds_resource_types() {
    let world = World::new().await;
    let (server, admin) = (&world.server, world.admin());
    let before = server.get("/v1/catalogue", world.person("guest")).await.expect(200);
    assert_eq!(before.json["resources"].as_array().unwrap().len(), 13);
    let known = [("if-none-match", before.header("etag"))];
    assert_eq!(server.call_with("GET", "/v1/catalogue", Some(admin), None, &known).await.status, 304);
    let body = json!({ "name": "vault_secrets", "description": "Secrets", "name_form": "the path" });
    server.post("/v1/catalogue/resources", world.person("owner"), body.clone()).await.refused(403, "forbidden");
    server.post("/v1/catalogue/resources", admin, body.clone()).await.expect(201);
    server.post("/v1/catalogue/resources", admin, body).await.refused(409, "name_taken");
    for name in ["", "Vault", "1a", "a-b", "a:b"] {
        server
            .post("/v1/catalogue/resources", admin, json!({ "name": name, "description": "d" }))
            .await
            .invalid("/name", "invalid");
    }
    let after = server.get("/v1/catalogue", admin).await.expect(200);
    assert_ne!(after.header("etag"), before.header("etag"));
    let added = &after.json["resources"][13];
    assert_eq!((added["name"].as_str(), added["operator_defined"].as_bool()), (Some("vault_secrets"), Some(true)));
    assert_eq!(added["permissions"][0], "vault_secrets:read");
}

#[tokio::test]
async fn no_more_resource_types_than_fit() {
    let server = Server::start().await;
    let add = async |n: usize| {
        server
            .post("/v1/catalogue/resources", &server.admin, json!({ "name": format!("t{n}"), "description": "d" }))
            .await
    };
    for n in 0..32 {
        add(n).await.expect(201);
    }
    add(32).await.refused(409, "no_free_slot");
}
