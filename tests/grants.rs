//! Grants, on projects and on groups: what can be written, who may name what, and how writers that meet
//! are told apart.

use crate::support::{Reply, World, merge};
use jobpass_persistence::question;
use serde_json::{Value, json};
use time::Duration;

const GRANTS: &str = "/v1/projects/acme%2Flib/grants";

/// A grant for `acme/web`; `change` is merged in.
fn body(change: Value) -> Value {
    let mut body = json!({ "source": { "project": "acme/web" }, "permissions": ["packages:read"] });
    merge(&mut body, change);
    body
}

/// By the maintainer of `acme`.
async fn post(world: &World, change: Value) -> Reply {
    world.server.post(GRANTS, world.person("maintainer"), body(change)).await
}

async fn put_if(world: &World, path: &str, tag: &str, body: Value) -> Reply {
    world.server.call_with("PUT", path, Some(world.person("maintainer")), Some(body), &[("if-match", tag)]).await
}

async fn delete_if(world: &World, path: &str, tag: &str) -> Reply {
    world.server.call_with("DELETE", path, Some(world.person("maintainer")), None, &[("if-match", tag)]).await
}

async fn list(world: &World) -> Reply {
    world.server.get(GRANTS, world.person("maintainer")).await.expect(200)
}

fn ids(list: &Reply) -> Vec<String> {
    list.json["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_grant_is_made_read_listed_put_and_deleted() {
    let world = World::new().await;
    let made = post(&world, json!({ "note": "for the build" })).await.expect(201);
    let path = format!("{GRANTS}/{}", made.text_at("/id"));
    let read = world.server.get(&path, world.person("maintainer")).await.expect(200);
    assert_eq!((&read.json, read.header("etag")), (&made.json, made.header("etag")));
    assert_eq!(list(&world).await.json["items"], json!([read.json]));

    world.server.clock.advance(Duration::seconds(1));
    let put = put_if(&world, &path, read.header("etag"), body(json!({ "permissions": ["packages:create"] })))
        .await
        .expect(200);
    assert_eq!(put.json["permissions"], json!(["packages:create"]));
    assert_eq!(put.json["note"], "");
    assert_eq!(put.json["id"], made.json["id"]);
    assert_eq!(put.json["created_at"], made.json["created_at"]);
    assert_ne!(put.json["updated_at"], made.json["updated_at"]);

    delete_if(&world, &path, put.header("etag")).await.expect(204);
    world.server.get(&path, world.person("maintainer")).await.refused(404, "not_found");
    delete_if(&world, &path, put.header("etag")).await.refused(404, "not_found");
}

#[tokio::test]
async fn a_grant_as_it_is_shown() {
    let world = World::new().await;
    let owner = world.server.get("/v1/users/maintainer", world.person("maintainer")).await.text_at("/id");
    let source = world.server.get("/v1/groups/acme", world.admin()).await.text_at("/id");
    let change = json!({
        "source": { "project": null, "group": "acme", "except": ["acme/web"] },
        "permissions": ["packages:read", "repositories:admin"],
        "conditions": {
            "refs": ["main", "tag:v*"], "protected_refs_only": true, "environments": ["prod*"], "triggers": ["push", "api"],
            "allow_forks": true, "within_actor_role": true, "vouched_by": "group",
        },
        "selectors": { "packages": ["npm/@acme/*"] }, "expires_at": "2027-01-01T00:00:00Z", "note": "n",
    });
    let mut made = post(&world, change.clone()).await.expect(201).json;
    made["id"] = Value::Null;
    let mut expected = json!({
        "id": null, "source": { "group": "acme", "id": source, "except": ["acme/web"] }, "permissions": ["repositories:admin", "packages:read"],
        "last_needed_at": null, "created_by": owner, "created_at": "2026-11-23T10:00:00Z", "updated_at": "2026-11-23T10:00:00Z",
    });
    for field in ["conditions", "selectors", "expires_at", "note"] {
        expected[field] = change[field].clone();
    }
    assert_eq!(made, expected);
}

#[tokio::test]
async fn every_write_is_audited() {
    let world = World::new().await;
    world.server.clock.advance(Duration::seconds(1));
    let made = post(&world, json!({})).await.expect(201);
    let path = format!("{GRANTS}/{}", made.text_at("/id"));
    world.server.clock.advance(Duration::seconds(1));
    let put = put_if(&world, &path, "*", body(json!({ "note": "n" }))).await.expect(200);
    world.server.clock.advance(Duration::seconds(1));
    delete_if(&world, &path, put.header("etag")).await.expect(204);
    let events =
        world.server.get("/v1/audit-events?project=acme%2Flib&limit=3", world.person("owner")).await.expect(200).json;
    for (index, action) in ["grant.deleted", "grant.updated", "grant.created"].into_iter().enumerate() {
        let event = &events["items"][index];
        assert_eq!((event["action"].as_str(), &event["subject_id"]), (Some(action), &made.json["id"]));
    }
    assert_eq!(
        (&events["items"][1]["before"]["note"], &events["items"][1]["after"]["note"]),
        (&json!(""), &json!("n"))
    );
}

#[tokio::test]
async fn grants_are_the_maintainers() {
    let world = World::new().await;
    let path = format!("{GRANTS}/{}", post(&world, json!({})).await.expect(201).text_at("/id"));
    for person in ["guest", "reporter", "developer"] {
        world.server.get(GRANTS, world.person(person)).await.refused(403, "forbidden");
        world.server.get(&path, world.person(person)).await.refused(403, "forbidden");
        world.server.post(GRANTS, world.person(person), body(json!({}))).await.refused(403, "forbidden");
    }
    world.server.get(GRANTS, world.person("stranger")).await.refused(404, "not_found");
    // A grant is reached only through the place that it lives on.
    for other in ["projects/acme%2Fweb", "groups/acme"] {
        let elsewhere = path.replace("projects/acme%2Flib", other);
        world.server.get(&elsewhere, world.person("maintainer")).await.refused(404, "not_found");
        put_if(&world, &elsewhere, "*", body(json!({}))).await.refused(404, "not_found");
        delete_if(&world, &elsewhere, "*").await.refused(404, "not_found");
    }
}

// ── If-Match ─────────────────────────────────────────────────────────────────────────────────────────

#[tokio::test]
async fn rfc6585_3_a_write_over_another_needs_what_was_seen() {
    let world = World::new().await;
    let (server, maintainer) = (&world.server, world.person("maintainer"));
    let made = post(&world, json!({})).await.expect(201);
    let path = format!("{GRANTS}/{}", made.text_at("/id"));
    server.put(&path, maintainer, body(json!({}))).await.refused(428, "precondition_required");
    server.delete(&path, maintainer).await.refused(428, "precondition_required");
    server.put(GRANTS, maintainer, json!({ "items": [] })).await.refused(428, "precondition_required");

    world.server.clock.advance(Duration::seconds(1));
    put_if(&world, &path, made.header("etag"), body(json!({ "note": "n" }))).await.expect(200);
    for stale in [made.header("etag"), "\"x\"", "x", ""] {
        put_if(&world, &path, stale, body(json!({}))).await.refused(412, "precondition_failed");
        delete_if(&world, &path, stale).await.refused(412, "precondition_failed");
        put_if(&world, GRANTS, stale, json!({ "items": [] })).await.refused(412, "precondition_failed");
    }
    delete_if(&world, &path, "*").await.expect(204);
}

#[tokio::test]
async fn rfc9110_13_1_1_a_refused_write_leaves_the_tags_as_they_were() {
    let world = World::new().await;
    let made = post(&world, json!({})).await.expect(201);
    let before = list(&world).await;
    post(&world, json!({ "permissions": [] })).await.invalid("/permissions", "empty");
    put_if(&world, GRANTS, "\"stale\"", json!({ "items": [] })).await.refused(412, "precondition_failed");
    let after = list(&world).await;
    assert_eq!(after.header("etag"), before.header("etag"));
    assert_eq!(ids(&after), [made.text_at("/id")]);
}

#[tokio::test]
async fn rfc9110_8_8_3_each_write_gives_the_list_a_new_tag() {
    let world = World::new().await;
    let empty = list(&world).await;
    let path = format!("{GRANTS}/{}", post(&world, json!({})).await.expect(201).text_at("/id"));
    let one = list(&world).await;
    put_if(&world, &path, "*", body(json!({ "note": "n" }))).await.expect(200);
    let changed = list(&world).await;
    delete_if(&world, &path, "*").await.expect(204);
    let none = list(&world).await;
    let tags: std::collections::BTreeSet<_> =
        [&empty, &one, &changed, &none].map(|reply| reply.header("etag").to_owned()).into();
    assert_eq!(tags.len(), 4);
}

// ── The whole list ───────────────────────────────────────────────────────────────────────────────────

#[tokio::test]
async fn replacing_the_list_keeps_what_is_the_same() {
    let world = World::new().await;
    let keep = post(&world, json!({ "note": "keep", "expires_at": "2027-01-01T00:00:00Z" })).await.expect(201);
    let gone = post(&world, json!({ "note": "gone" })).await.expect(201);
    let tag = list(&world).await.header("etag").to_owned();
    world.server.clock.advance(Duration::seconds(1));
    let items = [body(json!({ "note": "new" })), body(json!({ "note": "keep", "expires_at": "2027-01-01T00:00:00Z" }))];
    let replaced = put_if(&world, GRANTS, &tag, json!({ "items": items })).await.expect(200);
    assert_eq!(replaced.json["items"].as_array().unwrap().len(), 2);
    assert_eq!(replaced.json["items"][0], keep.json);
    assert_eq!(replaced.json["items"][1]["note"], "new");
    assert!(!ids(&replaced).contains(&gone.text_at("/id")));
    assert_eq!(list(&world).await.header("etag"), replaced.header("etag"));
    // The tag of the answer is good for the next write.
    put_if(&world, GRANTS, &tag, json!({ "items": [] })).await.refused(412, "precondition_failed");
    let emptied = put_if(&world, GRANTS, replaced.header("etag"), json!({ "items": [] })).await.expect(200);
    assert_eq!(emptied.json["items"], json!([]));
}

#[tokio::test]
async fn a_replaced_list_tells_audit_of_each_grant() {
    let world = World::new().await;
    let gone = post(&world, json!({})).await.expect(201).text_at("/id");
    world.server.clock.advance(Duration::seconds(1));
    let replaced = put_if(&world, GRANTS, "*", json!({ "items": [body(json!({ "note": "new" }))] })).await.expect(200);
    let events =
        world.server.get("/v1/audit-events?project=acme%2Flib&limit=2", world.person("owner")).await.expect(200).json;
    let mut told: Vec<_> = events["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| (event["action"].as_str().unwrap(), event["subject_id"].as_str().unwrap()))
        .collect();
    told.sort_unstable();
    assert_eq!(told, [("grant.created", ids(&replaced)[0].as_str()), ("grant.deleted", gone.as_str())]);
}

#[tokio::test]
async fn one_fault_in_a_list_changes_nothing() {
    let world = World::new().await;
    let made = post(&world, json!({})).await.expect(201);
    let items = json!({ "items": [body(json!({})), body(json!({ "permissions": ["nope:read"] }))] });
    put_if(&world, GRANTS, "*", items).await.invalid("/items/1/permissions/0", "unknown_permission");
    let items = json!({ "items": [body(json!({ "source": { "project": "acme/nope" } }))] });
    put_if(&world, GRANTS, "*", items).await.invalid("/items/0/source/project", "not_found");
    assert_eq!(ids(&list(&world).await), [made.text_at("/id")]);
}

#[tokio::test]
async fn the_same_grant_twice_is_kept_twice() {
    let world = World::new().await;
    let items = json!({ "items": [body(json!({})), body(json!({}))] });
    let first = put_if(&world, GRANTS, "*", items.clone()).await.expect(200);
    let again = put_if(&world, GRANTS, first.header("etag"), items).await.expect(200);
    assert_eq!(first.json["items"], again.json["items"]);
    assert_eq!(ids(&first).len(), 2);
}

// ── What can be written ──────────────────────────────────────────────────────────────────────────────

#[tokio::test]
async fn permissions_are_shown_by_their_canonical_names() {
    let world = World::new().await;
    for (written, shown) in [
        (json!(["READ_PACKAGES"]), json!(["packages:read"])),
        (json!(["ADMIN_TERRAFORM_STATE"]), json!(["terraform_state:admin"])),
        (
            json!(["containers:create", "repositories:read", "containers:read"]),
            json!(["repositories:read", "containers:read", "containers:create"]),
        ),
        (json!(["jobs:delete", "jobs:update", "jobs:create", "jobs:read"]), json!(["jobs:admin"])),
        (json!(["jobs:read", "jobs:read"]), json!(["jobs:read"])),
    ] {
        assert_eq!(post(&world, json!({ "permissions": written })).await.expect(201).json["permissions"], shown);
    }
    for (wrong, index) in [
        (json!(["packages:write"]), 0),
        (json!(["jobs:read", "*:read"]), 1),
        (json!(["everything"]), 0),
        (json!(["ADMIN_WORK_ITEMS"]), 0),
    ] {
        post(&world, json!({ "permissions": wrong }))
            .await
            .invalid(&format!("/permissions/{index}"), "unknown_permission");
    }
    post(&world, json!({ "permissions": "all" })).await.invalid("/permissions", "invalid");
}

#[tokio::test]
async fn everything_is_as_of_the_last_save() {
    let world = World::new().await;
    let made = post(&world, json!({ "permissions": "everything" })).await.expect(201);
    assert_eq!((&made.json["permissions"], made.json.get("not_covered")), (&json!("everything"), None));
    let added = json!({ "name": "vault_secrets", "description": "Secrets" });
    world.server.post("/v1/catalogue/resources", world.admin(), added).await.expect(201);

    let path = format!("{GRANTS}/{}", made.text_at("/id"));
    let read = world.server.get(&path, world.person("maintainer")).await.expect(200);
    assert_eq!(read.json["not_covered"], json!(["vault_secrets:admin"]));
    let token = world.token("1").await;
    let allowed = async |permission: &str| {
        world.authorize(&token, &[permission], json!({})).await.expect(200).json["allowed"].as_bool().unwrap()
    };
    assert!(allowed("jobs:delete").await && !allowed("vault_secrets:read").await);

    let saved =
        put_if(&world, &path, read.header("etag"), body(json!({ "permissions": "everything" }))).await.expect(200);
    assert_eq!(saved.json.get("not_covered"), None);
    assert!(allowed("vault_secrets:read").await);
}

#[tokio::test]
async fn an_empty_list_grants_nothing_so_it_is_refused() {
    let world = World::new().await;
    for (change, pointer) in [
        (json!({ "permissions": [] }), "/permissions"),
        (json!({ "conditions": { "refs": [] } }), "/conditions/refs"),
        (json!({ "conditions": { "environments": [] } }), "/conditions/environments"),
        (json!({ "conditions": { "triggers": [] } }), "/conditions/triggers"),
        (json!({ "selectors": { "packages": [] } }), "/selectors/packages"),
    ] {
        post(&world, change).await.invalid(pointer, "empty");
    }
    let none = json!({ "conditions": { "refs": null, "environments": null, "triggers": null }, "selectors": {} });
    post(&world, none).await.expect(201);
}

#[tokio::test]
async fn a_pattern_that_cannot_be_is_refused() {
    let world = World::new().await;
    for pattern in ["", "a***", "*a*a*a*a*a*a*a*a*", "tag:", "branch:", "a\nb"] {
        post(&world, json!({ "conditions": { "refs": [pattern] } })).await.invalid("/conditions/refs/0", "invalid");
    }
    post(&world, json!({ "conditions": { "environments": ["prod", "***"] } }))
        .await
        .invalid("/conditions/environments/1", "invalid");
    post(&world, json!({ "selectors": { "packages": ["npm/***"] } })).await.invalid("/selectors/packages/0", "invalid");
}

#[tokio::test]
async fn selectors_select_what_is_granted_by_name() {
    let world = World::new().await;
    post(&world, json!({ "selectors": { "packages": ["npm/*"] } })).await.expect(201);
    post(&world, json!({ "selectors": { "containers": ["app"] } }))
        .await
        .invalid("/selectors/containers", "nothing_selected");
    post(&world, json!({ "selectors": { "nope": ["app"] } })).await.invalid("/selectors/nope", "unknown_resource");
    let jobs = json!({ "permissions": ["jobs:read"], "selectors": { "jobs": ["app"] } });
    post(&world, jobs).await.invalid("/selectors/jobs", "no_names");
}

#[tokio::test]
async fn lists_and_expiry_have_limits() {
    let world = World::new().await;
    let many = vec!["main"; 101];
    post(&world, json!({ "conditions": { "refs": many } })).await.invalid("/conditions/refs", "too_many");
    post(&world, json!({ "selectors": { "packages": many } })).await.invalid("/selectors/packages", "too_many");
    let except = vec!["acme/web"; 101];
    post(&world, json!({ "source": { "project": null, "group": "acme", "except": except } }))
        .await
        .invalid("/source/except", "too_many");
    post(&world, json!({ "conditions": { "refs": vec!["main"; 100] } })).await.expect(201);
    for past in ["2026-11-23T10:00:00Z", "2020-01-01T00:00:00Z"] {
        post(&world, json!({ "expires_at": past })).await.invalid("/expires_at", "past");
    }
    post(&world, json!({ "expires_at": "tomorrow" })).await.invalid("/expires_at", "invalid");
    post(&world, json!({ "expires_at": "2026-11-23T10:00:01Z" })).await.expect(201);
    for wrong in [json!({ "triggers": ["never"] }), json!({ "vouched_by": "project" })] {
        post(&world, json!({ "conditions": wrong })).await.refused(422, "invalid");
    }
}

#[tokio::test]
async fn no_more_than_10_000_grants_live_in_one_place() {
    let world = World::new().await;
    let id = post(&world, json!({})).await.expect(201).text_at("/id");
    let more = "insert into grants select (jsonb_populate_record(g, jsonb_build_object('id', gen_random_uuid()))).* from grants g, generate_series(2, 10000) where g.id = $1";
    sqlx::query(more).bind(uuid::Uuid::parse_str(&id).unwrap()).execute(&mut world.server.sql().await).await.unwrap();
    post(&world, json!({})).await.refused(409, "too_many_grants");
    let items = vec![body(json!({})); 10_001];
    put_if(&world, GRANTS, "*", json!({ "items": items })).await.refused(409, "too_many_grants");
}

/// However many there are on a project, a decision reads those that can match the source.
#[tokio::test]
async fn only_grants_that_can_match_the_source_are_loaded() {
    let world = World::new().await;
    post(&world, json!({})).await.expect(201);
    post(&world, json!({ "source": { "project": null, "group": "acme" } })).await.expect(201);
    let other = json!({ "source": { "project": "other/app" }, "permissions": ["jobs:read"] });
    let id = world.server.post(GRANTS, world.admin(), other).await.expect(201).text_at("/id");
    let more = "insert into grants select (jsonb_populate_record(g, jsonb_build_object('id', gen_random_uuid()))).* from grants g, generate_series(2, 9998) where g.id = $1";
    sqlx::query(more).bind(uuid::Uuid::parse_str(&id).unwrap()).execute(&mut world.server.sql().await).await.unwrap();
    let token = world.token("p1").await;
    let parsed = jobpass_domain::token::parse(&token).unwrap();
    let catalogue = jobpass_domain::Catalogue::default();
    let mut sql = world.server.sql().await;
    let loaded = question::load(&mut sql, parsed.hour, parsed.hash, Some("acme/lib"), &catalogue).await.unwrap();
    assert_eq!(loaded.circumstances.target.as_ref().unwrap().grants.len(), 2);
    assert_eq!(world.authorize(&token, &["packages:read"], json!({})).await.expect(200).json["allowed"], true);
}

// ── Sources ──────────────────────────────────────────────────────────────────────────────────────────

#[tokio::test]
async fn a_source_is_one_project_or_one_group() {
    let world = World::new().await;
    let source = async |source: Value| {
        let body = json!({ "source": source, "permissions": ["jobs:read"] });
        world.server.post(GRANTS, world.person("maintainer"), body).await
    };
    source(json!({})).await.invalid("/source", "required");
    source(json!({ "project": "acme/web", "group": "acme" })).await.invalid("/source", "one_source");
    source(json!({ "project": "acme/web", "except": ["acme/lib"] })).await.invalid("/source/except", "needs_group");
    source(json!({ "project": "acme/lib" })).await.expect(201);
    let id = world.server.get("/v1/projects/acme%2Fweb", world.admin()).await.text_at("/id");
    assert_eq!(source(json!({ "project": id })).await.expect(201).text_at("/source/project"), "acme/web");
}

#[tokio::test]
async fn exceptions_lie_under_the_source() {
    let world = World::new().await;
    let (server, admin) = (&world.server, world.admin());
    server.post("/v1/groups", admin, json!({ "path": "acme/team" })).await.expect(201);
    server.patch("/v1/projects/other%2Fapp", admin, json!({ "visibility": "public" })).await.expect(200);
    let except = async |except: Value| {
        post(&world, json!({ "source": { "project": null, "group": "acme", "except": except } })).await
    };
    except(json!(["acme/web", "other/app"])).await.invalid("/source/except/1", "outside_source");
    except(json!(["acme"])).await.invalid("/source/except/0", "outside_source");
    except(json!(["other"])).await.invalid("/source/except/0", "outside_source");
    except(json!(["acme/nope"])).await.invalid("/source/except/0", "not_found");
    let made = except(json!(["acme/team", "acme/web"])).await.expect(201);
    assert_eq!(made.json["source"]["except"], json!(["acme/team", "acme/web"]));
    server.patch("/v1/projects/acme%2Fweb", admin, json!({ "path": "acme/site" })).await.expect(200);
    assert_eq!(list(&world).await.json["items"][0]["source"]["except"], json!(["acme/site", "acme/team"]));
}

#[tokio::test]
async fn a_hidden_source_is_worded_as_a_missing_one() {
    let world = World::new().await;
    for (hidden, missing, pointer) in [
        (json!({ "project": "other/app" }), json!({ "project": "other/xxx" }), "/source/project"),
        (json!({ "project": null, "group": "other" }), json!({ "project": null, "group": "xxxxx" }), "/source/group"),
        (
            json!({ "project": null, "group": "acme", "except": ["other/app"] }),
            json!({ "project": null, "group": "acme", "except": ["other/xxx"] }),
            "/source/except/0",
        ),
    ] {
        let hidden = post(&world, json!({ "source": hidden })).await.invalid(pointer, "not_found");
        let missing = post(&world, json!({ "source": missing })).await.invalid(pointer, "not_found");
        assert_eq!(hidden.json["errors"], missing.json["errors"]);
    }
    // Visible to anyone signed in is enough.
    world
        .server
        .patch("/v1/projects/other%2Fapp", world.admin(), json!({ "visibility": "internal" }))
        .await
        .expect(200);
    post(&world, json!({ "source": { "project": "other/app" } })).await.expect(201);
    post(&world, json!({ "source": { "project": null, "group": "other" } })).await.expect(201);
}

// ── On groups ────────────────────────────────────────────────────────────────────────────────────────

/// What a maintainer sends back of a grant as it is shown.
fn as_written(shown: &Value) -> Value {
    let mut written = shown.clone();
    for field in ["id", "not_covered", "last_needed_at", "created_by", "created_at", "updated_at"] {
        written.as_object_mut().unwrap().remove(field);
    }
    written
}

#[tokio::test]
async fn what_is_shown_can_be_put_back() {
    let world = World::new().await;
    let (server, admin) = (&world.server, world.admin());
    for path in ["other/lib", "other/end"] {
        server.post("/v1/projects", admin, json!({ "path": path })).await.expect(201);
    }
    for path in ["other/app", "other/lib", "other/end"] {
        let path = format!("/v1/projects/{}", path.replace('/', "%2F"));
        server.patch(&path, admin, json!({ "visibility": "internal" })).await.expect(200);
    }
    let group = json!({ "project": null, "group": "other", "except": ["other/lib", "other/end"] });
    post(&world, json!({ "source": { "project": "other/app" }, "note": "a" })).await.expect(201);
    server.clock.advance(Duration::seconds(1));
    post(&world, json!({ "source": group, "note": "b" })).await.expect(201);
    server.clock.advance(Duration::seconds(1));
    post(&world, json!({ "expires_at": "2026-11-23T11:00:00Z", "note": "c" })).await.expect(201);
    // Now the first is hidden, the second is hidden with one exception moved out of it, and the third is over.
    for path in ["other/app", "other/lib", "other/end"] {
        let path = format!("/v1/projects/{}", path.replace('/', "%2F"));
        server.patch(&path, admin, json!({ "visibility": "private" })).await.expect(200);
    }
    server.post("/v1/groups", admin, json!({ "path": "third" })).await.expect(201);
    server.patch("/v1/projects/other%2Fend", admin, json!({ "path": "third/end" })).await.expect(200);
    server.clock.advance(Duration::hours(2));

    let before = list(&world).await;
    let items: Vec<_> = before.json["items"].as_array().unwrap().iter().map(as_written).collect();
    let after = put_if(&world, GRANTS, before.header("etag"), json!({ "items": items })).await.expect(200);
    assert_eq!(after.json["items"], before.json["items"], "what is the same stays as it is");
    for (item, note) in before.json["items"].as_array().unwrap().iter().zip(["x", "y", "z"]) {
        let path = format!("{GRANTS}/{}", item["id"].as_str().unwrap());
        let tag = server.get(&path, world.person("maintainer")).await.header("etag").to_owned();
        let mut changed = as_written(item);
        changed["note"] = json!(note);
        let put = put_if(&world, &path, &tag, changed).await.expect(200);
        assert_eq!((&put.json["source"], &put.json["note"]), (&item["source"], &json!(note)));
    }
    // Another expiry that has passed is one too many.
    let path = format!("{GRANTS}/{}", before.text_at("/items/2/id"));
    let tag = server.get(&path, world.person("maintainer")).await.header("etag").to_owned();
    let past = body(json!({ "expires_at": "2026-11-23T11:00:01Z" }));
    put_if(&world, &path, &tag, past).await.invalid("/expires_at", "past");
    let mut items = items;
    items[0]["expires_at"] = json!("2026-11-23T11:00:00Z");
    let tag = list(&world).await.header("etag").to_owned();
    put_if(&world, GRANTS, &tag, json!({ "items": items })).await.invalid("/items/0/expires_at", "past");
    // What no grant here names stays hidden.
    let other = json!({ "source": { "project": "third/end" }, "permissions": ["packages:read"] });
    let elsewhere = "/v1/projects/acme%2Fweb/grants";
    server.post(elsewhere, world.person("maintainer"), other).await.invalid("/source/project", "not_found");
}

#[tokio::test]
async fn the_id_of_a_source_agrees_with_what_it_is_called() {
    let world = World::new().await;
    let made = post(&world, json!({})).await.expect(201);
    let id = made.text_at("/source/id");
    let group = json!({ "project": null, "group": "acme" });
    let of_group = post(&world, json!({ "source": group })).await.expect(201).text_at("/source/id");
    post(&world, json!({ "source": { "id": id } })).await.expect(201);
    post(&world, json!({ "source": { "project": id, "id": id.to_uppercase() } })).await.expect(201);
    for other in [of_group.as_str(), "0193a2b4-0000-7000-8000-000000000000"] {
        post(&world, json!({ "source": { "id": other } })).await.invalid("/source/id", "differs");
    }
    let mut differs = group.clone();
    differs["id"] = json!(id);
    post(&world, json!({ "source": differs })).await.invalid("/source/id", "differs");
    post(&world, json!({ "source": { "project": null, "id": id } })).await.invalid("/source", "required");
    post(&world, json!({ "source": { "id": "x" } })).await.invalid("/source/id", "invalid");
}

/// Who was seen at work here is no secret to its maintainers.
#[tokio::test]
async fn a_project_whose_jobs_were_seen_here_can_be_granted_to() {
    let world = World::new().await;
    let server = &world.server;
    let minted = world.mint("1", json!({ "project": "other/app" })).await;
    let (token, id) = (minted["token"].as_str().unwrap(), minted["project_id"].as_str().unwrap());
    for key in ["other/app", id] {
        let hidden =
            post(&world, json!({ "source": { "project": key } })).await.invalid("/source/project", "not_found");
        let missing = post(&world, json!({ "source": { "project": "other/nope" } }))
            .await
            .invalid("/source/project", "not_found");
        assert_eq!(hidden.json["errors"], missing.json["errors"]);
    }
    world.authorize(token, &["packages:read"], json!({})).await.expect(200);
    for key in ["other/app", id] {
        post(&world, json!({ "source": { "project": key } })).await.expect(201);
    }
    // Where it was seen, and on the groups above; not next door, nor is its group known by it.
    let source = json!({ "source": { "project": "other/app" }, "permissions": ["jobs:read"] });
    let maintainer = world.person("maintainer");
    server.post("/v1/groups/acme/grants", maintainer, source.clone()).await.expect(201);
    server.post("/v1/projects/acme%2Fweb/grants", maintainer, source).await.invalid("/source/project", "not_found");
    let group = json!({ "project": null, "group": "other" });
    post(&world, json!({ "source": group })).await.invalid("/source/group", "not_found");
    assert_eq!(world.authorize(token, &["packages:read"], json!({})).await.expect(200).json["allowed"], true);
}

#[tokio::test]
async fn what_was_seen_too_long_ago_is_forgotten() {
    let world = World::new().await;
    let token = world.mint("1", json!({ "project": "other/app" })).await;
    world.authorize(token["token"].as_str().unwrap(), &["packages:read"], json!({})).await.expect(200);
    world.server.get("/v1/projects/acme%2Flib/usage", world.person("maintainer")).await.expect(200);
    let source = json!({ "source": { "project": "other/app" } });
    world.server.clock.advance(Duration::days(i64::from(jobpass_domain::usage::USAGE_RETENTION_DAYS)));
    let made = post(&world, source.clone()).await.expect(201);
    delete_if(&world, &format!("{GRANTS}/{}", made.text_at("/id")), made.header("etag")).await.expect(204);
    world.server.clock.advance(Duration::days(1));
    post(&world, source).await.invalid("/source/project", "not_found");
}

#[tokio::test]
async fn a_groups_grants_apply_to_all_below_and_are_changed_there_only() {
    let world = World::new().await;
    let made =
        world.server.post("/v1/groups/acme/grants", world.person("maintainer"), body(json!({}))).await.expect(201);
    let path = format!("/v1/groups/acme/grants/{}", made.text_at("/id"));
    let read = world.server.get(&path, world.person("maintainer")).await.expect(200);
    assert_eq!(read.header("etag"), made.header("etag"));
    assert_eq!(list(&world).await.json["items"], json!([]));
    let token = world.token("1").await;
    for project in ["acme/lib", "acme/web"] {
        let answer = world.authorize(&token, &["packages:read"], json!({ "project": project })).await.expect(200);
        assert_eq!(answer.json["reason"], "granted", "{project}");
    }
    let elsewhere = world.authorize(&token, &["packages:read"], json!({ "project": "other/app" })).await.expect(200);
    assert_eq!(elsewhere.json["reason"], "no_grant");
    // A maintainer of a project below is none of the group.
    world
        .server
        .put("/v1/projects/acme%2Flib/members/guest", world.admin(), json!({ "role": "owner" }))
        .await
        .expect(200);
    world.server.get(GRANTS, world.person("guest")).await.expect(200);
    world.server.get(&path, world.person("guest")).await.refused(403, "forbidden");
    world.server.post("/v1/groups/acme/grants", world.person("guest"), body(json!({}))).await.refused(403, "forbidden");

    let put = put_if(&world, &path, read.header("etag"), body(json!({ "note": "n" }))).await.expect(200);
    delete_if(&world, &path, read.header("etag")).await.refused(412, "precondition_failed");
    delete_if(&world, &path, put.header("etag")).await.expect(204);
    let all = world.server.get("/v1/groups/acme/grants", world.person("maintainer")).await.expect(200);
    let replaced = put_if(&world, "/v1/groups/acme/grants", all.header("etag"), json!({ "items": [body(json!({}))] }))
        .await
        .expect(200);
    assert_eq!(replaced.json["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_deleted_author_leaves_the_grant() {
    let world = World::new().await;
    let made = post(&world, json!({})).await.expect(201);
    world.server.delete("/v1/users/maintainer", world.admin()).await.expect(204);
    let read = world.server.get(&format!("{GRANTS}/{}", made.text_at("/id")), world.admin()).await.expect(200);
    assert_eq!(read.json["created_by"], Value::Null);
}
