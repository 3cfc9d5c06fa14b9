//! Questions by method and path, and the tables that they are read by.

use crate::support::{Reply, Server, World, merge, send};
use serde_json::{Value, json};
use std::process::Command;

const LIB: &str = "/api/v4/projects/acme%2Flib";

/// One question about a route; `change` is merged in.
async fn ask(world: &World, token: &str, method: &str, path: &str, change: Value) -> Reply {
    let mut body = json!({ "token": token, "method": method, "path": path });
    merge(&mut body, change);
    world.ask(body).await
}

/// What was demanded, and why the answer is as it is.
async fn asked(world: &World, token: &str, method: &str, path: &str) -> (Value, String) {
    let reply = ask(world, token, method, path, json!({})).await.expect(200);
    (reply.json["permissions"].clone(), reply.text_at("/reason"))
}

async fn write(server: &Server, method: &str, name: &str, yaml: &str, headers: &[(&str, &str)]) -> Reply {
    let url = format!("{}/v1/route-tables/{name}", server.url);
    let request = server.http.request(method.parse().unwrap(), url).bearer_auth(&server.admin);
    let request = request.header("content-type", "application/yaml").body(yaml.to_owned());
    send(headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))).await
}

async fn put(server: &Server, name: &str, yaml: &str, if_match: Option<&str>) -> Reply {
    let headers: Vec<_> = if_match.iter().map(|tag| ("if-match", *tag)).collect();
    write(server, "PUT", name, yaml, &headers).await
}

/// The world's service goes by this table from now on.
async fn go_by(world: &World, table: &str) {
    let path = format!("/v1/services/{}", world.service.0);
    let reply = world.server.patch(&path, world.admin(), json!({ "route_table": table })).await.expect(200);
    assert_eq!(reply.text_at("/route_table"), table);
}

const FLAGS: &str = "\
# who may set flags
base: /flags/v1
routes:
  - method: GET
    path: /apps/:app/flags
    permissions: [feature_flags:read]
    project: app
  - method: PUT
    path: /apps/:app/flags/*flag
    permissions: [feature_flags:update, jobs:read]
    project: app
    resource_names: { feature_flags: \"flag/{flag}\" }
  - { method: GET, path: /current, permissions: [feature_flags:read] }
  - { method: DELETE, path: /apps/:app, refused: true }
  - { method: GIT, path: /*project.git/git-upload-pack, permissions: [repositories:read], project: project }
";

/// A world with an operator's resource type and table, by which its service goes.
async fn world_with_flags() -> World {
    let world = World::new().await;
    let new = json!({ "name": "feature_flags", "description": "Flags", "name_form": "flag/name" });
    world.server.post("/v1/catalogue/resources", world.admin(), new).await.expect(201);
    put(&world.server, "flags", FLAGS, None).await.expect(201);
    go_by(&world, "flags").await;
    world
}

#[tokio::test]
async fn a_route_demands_its_permissions_in_its_project() {
    let world = World::new().await;
    world
        .grant(
            &["packages:create", "packages:read", "repositories:update", "terraform_state:update"],
            json!({ "selectors": { "packages": ["npm/@acme/*", "generic/tool"], "terraform_state": ["prod"] } }),
        )
        .await;
    let token = world.token("1").await;
    for (method, path, permissions, reason) in [
        ("PUT", format!("{LIB}/packages/npm/@acme%2Fui"), "packages:create", "granted"),
        ("PUT", format!("{LIB}/packages/npm/left-pad"), "packages:create", "resource_name"),
        ("GET", format!("{LIB}/packages/npm/@acme/ui/-/@acme/ui-1.0.0.tgz"), "packages:read", "granted"),
        ("GET", format!("{LIB}/packages/generic/tool/1.0/linux/tool.bin"), "packages:read", "granted"),
        ("HEAD", format!("{LIB}/packages/generic/tool/1.0/tool.bin"), "packages:read", "granted"),
        ("PUT", format!("{LIB}/packages/generic/tool/1.0/tool.bin/authorize"), "packages:create", "granted"),
        ("GET", format!("{LIB}/packages"), "packages:read", "resource_name_missing"),
        ("DELETE", format!("{LIB}/packages/7"), "packages:delete", "no_grant"),
        ("POST", format!("{LIB}/terraform/state/prod/lock"), "terraform_state:update", "granted"),
        ("DELETE", format!("{LIB}/terraform/state/prod/lock"), "terraform_state:update", "granted"),
        ("POST", format!("{LIB}/terraform/state/dev"), "terraform_state:update", "resource_name"),
        ("GET", format!("{LIB}/badges/render"), "badges:update", "no_grant"),
        ("POST", "/acme/lib.git/git-receive-pack".to_owned(), "repositories:update", "granted"),
        ("GET", "/acme/lib.git/info/refs?service=git-receive-pack".to_owned(), "repositories:update", "granted"),
        ("POST", "/acme/web.git/git-receive-pack".to_owned(), "repositories:update", "no_grant"),
        ("GET", "/projects/no%2Fsuch/jobs".to_owned(), "jobs:read", "no_grant"),
    ] {
        let expected = (json!([permissions]), reason.to_owned());
        assert_eq!(asked(&world, &token, method, &path).await, expected, "{method} {path}");
    }
    let reply = ask(&world, &token, "PUT", &format!("{LIB}/packages/npm/@acme%2Fui"), json!({})).await.expect(200);
    assert_eq!((&reply.json["allowed"], &reply.json["project"]), (&json!(true), &json!("acme/lib")));
    let by_permission = world.authorize(&token, &["packages:read"], json!({})).await.expect(200).json;
    assert!(by_permission.get("permissions").is_none() && by_permission.get("project").is_none());
    let dead = ask(&world, "jpj_x", "GET", &format!("{LIB}/jobs"), json!({})).await.expect(200);
    assert_eq!((&dead.json["allowed"], dead.text_at("/reason")), (&json!(false), "unknown".to_owned()));
}

#[tokio::test]
async fn all_permissions_of_a_route_are_demanded() {
    let world = World::new().await;
    world.grant(&["deployments:create"], json!({})).await;
    let token = world.token("1").await;
    let path = format!("{LIB}/deployments");
    let both = json!(["deployments:create", "environments:create"]);
    let reply = ask(&world, &token, "POST", &path, json!({})).await.expect(200);
    assert_eq!((&reply.json["permissions"], &reply.json["missing"]), (&both, &json!(["environments:create"])));
    world.grant(&["environments:create"], json!({})).await;
    assert_eq!(asked(&world, &token, "POST", &path).await, (both, "granted".to_owned()));
}

#[tokio::test]
async fn a_route_that_cannot_be_answered_is_refused() {
    let world = World::new().await;
    world.grant(&["jobs:admin", "packages:admin", "repositories:admin"], json!({})).await;
    let token = world.token("1").await;
    for (method, path, code) in [
        ("GET", "/api/v4/projects/acme%2Flib", "unknown_route"),
        ("get", "/api/v4/projects/acme%2Flib/jobs", "unknown_route"),
        ("PATCH", "/api/v4/projects/acme%2Flib/jobs", "unknown_route"),
        ("POST", "/acme/lib.git/git-upload-pack", "unknown_route"),
        ("GET", "/acme/lib.git/info/refs?service=git-upload-pack", "unknown_route"),
        ("GET", "/api/v4/projects/acme%2Flib/packages/conan/v1/ping", "uncontrollable_route"),
        ("GET", "/api/v4/job", "uncontrollable_route"),
        ("POST", "/api/v4/projects/acme%2Flib/trigger/pipeline", "uncontrollable_route"),
        ("GET", "api/v4/projects/acme%2Flib/jobs", "bad_path"),
        ("GET", "/api/v4/projects/acme%2Flib/jobs/", "bad_path"),
        ("GET", "/api/v4//projects/acme%2Flib/jobs", "bad_path"),
        ("GET", "/api/v4/projects/acme%2Flib/x/../jobs", "bad_path"),
        ("GET", "/api/v4/projects/acme%2Flib/x/%2e%2e/jobs", "bad_path"),
        ("GET", "/api/v4/projects/acme%252Flib/jobs", "bad_path"),
        ("GET", "/api/v4/projects/acme%2F..%2Fweb/jobs", "bad_path"),
        ("GET", "/api/v4/projects/acme%2Flib/jobs;x", "bad_path"),
        ("GET", "/api/v4/projects/acme%5Clib/jobs", "bad_path"),
        ("GET", "/api/v4/projects/acme%2Flib/jobs%00", "bad_path"),
        ("GET", "/api/v4/projects/acme%2Flib/jobs/1%2F2/artifacts", "bad_path"),
        ("GET", "", "bad_path"),
    ] {
        ask(&world, &token, method, path, json!({})).await.invalid("/path", code);
    }
}

#[tokio::test]
async fn a_question_is_by_permissions_or_by_route() {
    let world = World::new().await;
    let ask = async |body: Value| {
        let mut question = json!({ "token": "x", "project": "acme/lib" });
        merge(&mut question, body);
        world.ask(question).await
    };
    let path = "/projects/acme%2Flib/jobs";
    ask(json!({})).await.invalid("/permissions", "required");
    ask(json!({ "method": "GET" })).await.invalid("/path", "required");
    ask(json!({ "path": path })).await.invalid("/method", "required");
    ask(json!({ "method": "GET", "path": path, "permissions": ["jobs:read"] }))
        .await
        .invalid("/permissions", "not_both");
    ask(json!({ "method": "GET", "permissions": [] })).await.invalid("/permissions", "not_both");
    ask(json!({ "permissions": null, "method": "GET", "path": path })).await.expect(200);
    ask(json!({ "method": 5, "path": path })).await.invalid("/method", "wrong_type");
}

#[tokio::test]
async fn a_project_named_twice_is_the_same() {
    let world = World::new().await;
    let id = |path: &str| {
        let path = format!("/v1/projects/{}", path.replace('/', "%2F"));
        let world = &world;
        async move { world.server.get(&path, world.admin()).await.expect(200).text_at("/id") }
    };
    let (lib, web) = (id("acme/lib").await, id("acme/web").await);
    let jobs = "/projects/acme%2Flib/jobs";
    for same in ["acme/lib", &lib, &lib.to_uppercase()] {
        ask(&world, "x", "GET", jobs, json!({ "project": same })).await.expect(200);
        ask(&world, "x", "GET", &format!("/projects/{lib}/jobs"), json!({ "project": same })).await.expect(200);
    }
    for other in ["acme/web", &web, "no/such", "x"] {
        ask(&world, "x", "GET", jobs, json!({ "project": other })).await.invalid("/project", "other_project");
    }
    // Both lead nowhere, which is no reason to take one for the other.
    ask(&world, "x", "GET", "/projects/no%2Fsuch/jobs", json!({ "project": "nor/this" }))
        .await
        .invalid("/project", "other_project");
}

#[tokio::test]
async fn a_route_without_project_needs_one_from_the_call_or_the_service() {
    let world = World::new().await;
    world.grant(&["packages:read"], json!({})).await;
    let token = world.token("1").await;
    let path = "/api/v4/packages/npm/-/package/@acme%2Fui/dist-tags";
    ask(&world, &token, "GET", path, json!({})).await.invalid("/project", "required");
    let reply = ask(&world, &token, "GET", path, json!({ "project": "acme/lib" })).await.expect(200);
    assert_eq!((reply.text_at("/reason"), reply.text_at("/project")), ("granted".to_owned(), "acme/lib".to_owned()));

    let new = json!({ "name": "of lib", "project": "acme/lib" });
    let own = world.server.post("/v1/services", world.admin(), new).await.expect(201);
    let own = World { service: (own.text_at("/client_id"), own.text_at("/client_secret")), ..world };
    assert_eq!(asked(&own, &token, "GET", path).await.1, "granted");
    assert_eq!(asked(&own, &token, "GET", &format!("{LIB}/packages")).await.1, "granted");
    ask(&own, &token, "GET", "/projects/acme%2Fweb/packages", json!({})).await.invalid("/path", "other_project");
    ask(&own, &token, "GET", path, json!({ "project": "acme/web" })).await.invalid("/project", "other_project");
}

#[tokio::test]
async fn a_name_named_twice_is_the_same() {
    let world = World::new().await;
    world.grant(&["packages:read"], json!({ "selectors": { "packages": ["npm/ui"] } })).await;
    let token = world.token("1").await;
    let path = format!("{LIB}/packages/npm/ui");
    for same in [
        json!({ "resource_name": "npm/ui" }),
        json!({ "resource_names": { "packages": "npm/ui" } }),
        json!({ "resource_name": "npm/ui", "resource_names": { "packages": "npm/ui" } }),
    ] {
        assert_eq!(ask(&world, &token, "GET", &path, same).await.expect(200).text_at("/reason"), "granted");
    }
    let other = json!({ "resource_name": "npm/x" });
    ask(&world, &token, "GET", &path, other).await.invalid("/resource_name", "other_name");
    let other = json!({ "resource_names": { "packages": "npm/x" } });
    ask(&world, &token, "GET", &path, other).await.invalid("/resource_names/packages", "other_name");
    // Where the path names nothing, the call may.
    let named = json!({ "resource_name": "npm/ui" });
    let reply = ask(&world, &token, "GET", &format!("{LIB}/packages/7"), named).await.expect(200);
    assert_eq!(reply.text_at("/reason"), "granted");
}

#[tokio::test]
async fn in_a_batch_a_fault_stands_in_its_place() {
    let world = World::new().await;
    world.grant(&["jobs:read"], json!({})).await;
    let token = world.token("1").await;
    let question = |path: &str| json!({ "token": token, "method": "GET", "path": path });
    let paths = ["/projects/acme%2Flib/jobs", "/nowhere", "/job", "/a//b", "/packages/npm/-/package/x/dist-tags"];
    let questions: Vec<_> = paths.into_iter().map(question).collect();
    let answer = world.ask(json!({ "questions": questions })).await.expect(200).json;
    assert_eq!(answer["decisions"][0]["allowed"], true);
    let codes: Vec<_> = (1..5).map(|n| answer["decisions"][n]["errors"][0]["code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["unknown_route", "uncontrollable_route", "bad_path", "required"]);
    assert!((1..5).all(|n| answer["decisions"][n]["allowed"] == false));
}

#[tokio::test]
async fn the_catalogue_lists_every_route() {
    let world = World::new().await;
    let read = async || world.server.get("/v1/catalogue", world.admin()).await.expect(200);
    let before = read().await;
    let routes = before.json["routes"].as_array().unwrap();
    assert_eq!(routes.len(), 210);
    assert_eq!(routes.iter().filter(|route| route["controllable"] == false).count(), 32);
    let publish = routes.iter().find(|route| route["path"] == "/projects/:id/packages/npm/:package_name").unwrap();
    assert_eq!(
        publish,
        &json!({
            "table": "gitlab", "method": "PUT", "path": "/projects/:id/packages/npm/:package_name",
            "permissions": ["packages:create"], "project": "id", "resource_names": { "packages": "npm/{package_name}" },
            "controllable": true,
        })
    );
    put(&world.server, "own", "routes: [{ method: GET, path: /x, permissions: [jobs:admin] }]", None).await.expect(201);
    let after = read().await;
    assert_ne!(after.header("etag"), before.header("etag"));
    assert_ne!(after.json["version"], before.json["version"]);
    let own = after.json["routes"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((&own["table"], &own["permissions"][3]), (&json!("own"), &json!("jobs:delete")));
    let known = [("if-none-match", after.header("etag"))];
    world.server.call_with("GET", "/v1/catalogue", Some(world.admin()), None, &known).await.expect(304);
}

#[tokio::test]
async fn a_service_goes_by_an_operators_table() {
    let world = world_with_flags().await;
    world
        .grant(
            &["feature_flags:read", "feature_flags:update", "jobs:read", "repositories:read"],
            json!({ "selectors": { "feature_flags": ["flag/dark/*"] } }),
        )
        .await;
    let token = world.token("1").await;
    let update = json!(["jobs:read", "feature_flags:update"]);
    for path in ["/apps/acme%2Flib/flags/dark/mode", "/flags/v1/apps/acme%2Flib/flags/dark%2Fmode"] {
        assert_eq!(asked(&world, &token, "PUT", path).await, (update.clone(), "granted".to_owned()), "{path}");
    }
    assert_eq!(asked(&world, &token, "PUT", "/apps/acme%2Flib/flags/light").await.1, "resource_name");
    assert_eq!(asked(&world, &token, "POST", "/acme/lib.git/git-upload-pack").await.1, "granted");
    ask(&world, &token, "GET", "/current", json!({})).await.invalid("/project", "required");
    ask(&world, &token, "DELETE", "/apps/acme%2Flib", json!({})).await.invalid("/path", "uncontrollable_route");
    ask(&world, &token, "GET", &format!("{LIB}/jobs"), json!({})).await.invalid("/path", "unknown_route");
    go_by(&world, "gitlab").await;
    assert_eq!(asked(&world, &token, "GET", &format!("{LIB}/jobs")).await.1, "granted");
}

#[tokio::test]
async fn a_new_version_counts_at_once_on_every_replica() {
    let world = world_with_flags().await;
    world.grant(&["jobs:read"], json!({})).await;
    let token = world.token("1").await;
    let table = |action: &str| {
        format!("routes: [{{ method: GET, path: '/apps/:app', permissions: ['jobs:{action}'], project: app }}]")
    };
    let reason = async || asked(&world, &token, "GET", "/apps/acme%2Flib").await.1;
    put(&world.server, "flags", &table("read"), Some("*")).await.expect(200);
    assert_eq!(reason().await, "granted");
    put(&world.server, "flags", &table("update"), Some("*")).await.expect(200);
    assert_eq!(reason().await, "no_grant");
    // As another replica would write it.
    let mut sql = world.server.sql().await;
    sqlx::query("update route_tables set yaml = $1, version = version + 1 where name = 'flags'")
        .bind(table("read"))
        .execute(&mut sql)
        .await
        .unwrap();
    assert_eq!(reason().await, "granted");
    // A table of the same name that came after it starts at version 1 again.
    go_by(&world, "gitlab").await;
    world
        .server
        .call_with("DELETE", "/v1/route-tables/flags", Some(world.admin()), None, &[("if-match", "*")])
        .await
        .expect(204);
    put(&world.server, "flags", &table("delete"), None).await.expect(201);
    go_by(&world, "flags").await;
    assert_eq!(asked(&world, &token, "GET", "/apps/acme%2Flib").await.0, json!(["jobs:delete"]));
}

#[tokio::test]
async fn tables_are_versioned() {
    let world = world_with_flags().await;
    let server = &world.server;
    let first = server.get("/v1/route-tables/flags", world.person("guest")).await.expect(200);
    assert_eq!(
        (&first.json["version"], &first.json["yaml"], &first.json["base"]),
        (&json!(1), &json!(FLAGS), &json!("/flags/v1"))
    );
    assert_eq!(first.json["routes"].as_array().unwrap().len(), 5);
    let tag = first.header("etag").to_owned();
    assert!(tag.starts_with('"'));
    server
        .call_with("GET", "/v1/route-tables/flags", Some(world.admin()), None, &[("if-none-match", &tag)])
        .await
        .expect(304);

    // The same text is no new version; another is.
    let same = put(server, "flags", FLAGS, Some(&tag)).await.expect(200);
    assert_eq!((&same.json["version"], same.header("etag")), (&json!(1), tag.as_str()));
    let second = put(server, "flags", "routes: []", Some(&tag)).await.expect(200);
    assert_eq!(second.json["version"], 2);
    assert_ne!(second.header("etag"), tag);

    put(server, "flags", FLAGS, None).await.refused(428, "precondition_required");
    put(server, "flags", FLAGS, Some(&tag)).await.refused(412, "precondition_failed");
    write(server, "PUT", "flags", FLAGS, &[("if-none-match", "*")]).await.refused(412, "precondition_failed");
    put(server, "none", FLAGS, Some("*")).await.refused(412, "precondition_failed");
    write(server, "PUT", "more", "routes: []", &[("if-none-match", "*")]).await.expect(201);

    let events = server.get("/v1/audit-events", world.admin()).await.expect(200).json;
    let actions: Vec<_> =
        events["items"].as_array().unwrap().iter().map(|event| event["action"].as_str().unwrap()).collect();
    let mut of_tables: Vec<_> = actions.into_iter().filter(|action| action.starts_with("route_table.")).collect();
    // All of one moment, so in no order.
    of_tables.sort_unstable();
    assert_eq!(of_tables, ["route_table.created", "route_table.created", "route_table.updated"]);

    let mut names = Vec::new();
    let mut after = String::new();
    loop {
        let page = server.get(&format!("/v1/route-tables?limit=1{after}"), world.admin()).await.expect(200);
        names.push((page.text_at("/items/0/name"), page.json["items"][0]["version"].clone()));
        let Some(next) = page.json["next"].as_str() else { break };
        after = format!("&after={next}");
    }
    let named = |name: &str, version: i64| (name.to_owned(), json!(version));
    assert_eq!(names, [named("flags", 2), named("gitlab", 1), named("more", 1)]);
}

#[tokio::test]
async fn a_table_in_use_stays_and_the_built_in_one_always() {
    let world = world_with_flags().await;
    let server = &world.server;
    let delete = async |name: &str, headers: &[(&str, &str)]| {
        server.call_with("DELETE", &format!("/v1/route-tables/{name}"), Some(world.admin()), None, headers).await
    };
    delete("flags", &[]).await.refused(428, "precondition_required");
    delete("flags", &[("if-match", "\"x\"")]).await.refused(412, "precondition_failed");
    delete("flags", &[("if-match", "*")]).await.refused(409, "in_use");
    go_by(&world, "gitlab").await;
    delete("flags", &[("if-match", "*")]).await.expect(204);
    delete("flags", &[("if-match", "*")]).await.refused(404, "not_found");
    server.get("/v1/route-tables/flags", world.admin()).await.refused(404, "not_found");

    delete("gitlab", &[("if-match", "*")]).await.refused(409, "built_in");
    put(server, "gitlab", "routes: []", Some("*")).await.refused(409, "built_in");
    let built_in = server.get("/v1/route-tables/gitlab", world.admin()).await.expect(200).json;
    assert_eq!(
        (&built_in["built_in"], &built_in["yaml"], &built_in["base"]),
        (&json!(true), &json!(null), &json!("/api/v4"))
    );
    for name in ["Flags", "1", "a%2Fb", &"a".repeat(64)] {
        put(server, name, "routes: []", None).await.invalid("/name", "invalid");
    }
}

#[tokio::test]
async fn a_service_names_a_table_that_is_there() {
    let world = World::new().await;
    let (server, admin) = (&world.server, world.admin());
    let service = server.post("/v1/services", admin, json!({ "name": "s" })).await.expect(201);
    assert_eq!(service.text_at("/route_table"), "gitlab");
    let path = format!("/v1/services/{}", service.text_at("/client_id"));
    let unknown = json!({ "name": "s", "route_table": "flags" });
    server.post("/v1/services", admin, unknown.clone()).await.invalid("/route_table", "unknown_route_table");
    server.patch(&path, admin, json!({ "route_table": "flags" })).await.invalid("/route_table", "unknown_route_table");
    put(server, "flags", "routes: []", None).await.expect(201);
    let made = server.post("/v1/services", admin, unknown).await.expect(201);
    assert_eq!(made.text_at("/route_table"), "flags");
    server.patch(&path, admin, json!({ "route_table": null })).await.invalid("/route_table", "wrong_type");
}

#[tokio::test]
async fn a_bad_table_is_refused_as_a_whole_with_line_and_column() {
    let world = world_with_flags().await;
    let before = world.server.get("/v1/route-tables/flags", world.admin()).await.expect(200).text;
    for (yaml, pointer, code, place) in [
        (FLAGS.replace("who may set flags", "x\nbase: /y"), "", "duplicate_field", "line 3 column 1: `base`"),
        (
            FLAGS.replace("project: app", "project: app\n    colour: red"),
            "",
            "unknown_field",
            "line 8 column 5: unknown field `colour`",
        ),
        (
            FLAGS.replace("feature_flags:read]\n    p", "flags:read]\n    p"),
            "/routes/0/permissions/0",
            "unknown_permission",
            "line 6 column 19: ",
        ),
        (
            FLAGS.replace("project: app\n    resource", "project: ap\n    resource"),
            "/routes/1/project",
            "unknown_parameter",
            "line 11 column 14: ",
        ),
        (
            FLAGS.replace("{flag}", "{flags}"),
            "/routes/1/resource_names/feature_flags",
            "unknown_parameter",
            "line 12 column 38: ",
        ),
        (FLAGS.replace("/current", "/apps/:id/flags"), "/routes/2/path", "ambiguous", "line 13 column 26: "),
        (FLAGS.replace("routes:", "routes"), "", "malformed_yaml", "line "),
        ("- a".to_owned(), "", "wrong_type", "line 1 column 1: "),
    ] {
        let reply = put(&world.server, "flags", &yaml, Some("*")).await.invalid(pointer, code);
        let detail = reply.text_at("/errors/0/detail");
        assert!(detail.starts_with(place), "{detail}\n{yaml}");
    }
    let two = FLAGS.replace("GET", "get");
    let reply = put(&world.server, "flags", &two, Some("*")).await.refused(422, "invalid");
    assert_eq!(reply.json["errors"].as_array().unwrap().len(), 2);
    let large = format!("# {}\nroutes: []", "x".repeat(8 * 1024 * 1024));
    put(&world.server, "flags", &large, Some("*")).await.refused(413, "too_large");
    let url = format!("{}/v1/route-tables/flags", world.server.url);
    let request = world.server.http.put(&url).bearer_auth(world.admin()).header("if-match", "*");
    send(request.try_clone().unwrap().body(FLAGS)).await.refused(415, "not_yaml");
    send(request.try_clone().unwrap().json(&json!({ "routes": [] }))).await.refused(415, "not_yaml");
    let not_text = request.header("content-type", "application/yaml").body(b"routes: [\xff]".as_slice());
    send(not_text).await.invalid("", "malformed_yaml");
    let after = world.server.get("/v1/route-tables/flags", world.admin()).await.expect(200).text;
    assert_eq!(after, before, "nothing changed");
}

#[test]
fn the_command_line_checks_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("flags.yaml");
    let check = |yaml: &str, more: &[&str]| {
        std::fs::write(&file, yaml).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_jobpass"));
        let output = command.args(["routes", "check"]).arg(&file).args(more).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let (code, out, err) = check(FLAGS, &["--resource", "feature_flags"]);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    let (code, out, err) = check(FLAGS, &[]);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    let place = |line_and_column: &str| format!("{}:{line_and_column}: ", file.display());
    let lines: Vec<_> = err.lines().collect();
    assert_eq!(lines.len(), 3, "{err}");
    assert!(lines[0].starts_with(&place("6:19")) && lines[1].starts_with(&place("10:19")), "{err}");
    let (code, _, err) = check("routes: []\nroutes: []\n", &[]);
    assert_eq!(code, Some(1));
    assert!(err.starts_with(&place("2:1")), "{err}");
}

#[test]
fn the_guides_table_has_no_fault() {
    let guide = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/guides/routes.md")).unwrap();
    let yaml = guide.split("```yaml\n").nth(1).unwrap().split("```").next().unwrap();
    let own = jobpass_domain::Catalogue::default();
    let faults = jobpass_app::read_routes(yaml, &own).unwrap_err();
    // What only the operator's catalogue knows is all that is wrong with it.
    assert!(faults.iter().all(|one| one.fault.detail.contains("no such permission")), "{faults:?}");
    assert_eq!(faults.len(), 3);
}
