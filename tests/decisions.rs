//! Decisions, end to end: a grant, a job's token and a question by a service over HTTP. What each case
//! should say is in the golden matrix of the domain; here it is asked through every layer.

use crate::support::{Reply, World};
use serde_json::{Value, json};

const READ: &[&str] = &["packages:read"];

fn text<'a>(minted: &'a Value, field: &str) -> &'a str {
    minted[field].as_str().unwrap()
}

/// The reason of one question about `packages:read` on `acme/lib`, by a token of a job minted with `change`.
async fn reason(world: &World, key: &str, change: Value) -> String {
    let minted = world.mint(key, change).await;
    world.authorize(text(&minted, "token"), READ, json!({})).await.expect(200).text_at("/reason")
}

async fn set_lib(world: &World, patch: Value) {
    world.server.patch("/v1/projects/acme%2Flib", world.admin(), patch).await.expect(200);
}

/// Another service, as client id and secret.
async fn service(world: &World, body: Value) -> (String, String) {
    let made = world.server.post("/v1/services", world.admin(), body).await.expect(201);
    (made.text_at("/client_id"), made.text_at("/client_secret"))
}

async fn ask_as(world: &World, service: &(String, String), body: Value) -> Reply {
    world.server.post("/v1/authorize", &service.1, body).await
}

#[tokio::test]
async fn nothing_is_open_until_somebody_grants_it() {
    let world = World::new().await;
    let minted = world.mint("1", json!({})).await;
    for project in ["acme/lib", "acme/web", "other/app", "acme/nope"] {
        let answer =
            world.authorize(text(&minted, "token"), READ, json!({ "project": project })).await.expect(200).json;
        let expected = (&json!(false), &json!("no_grant"), &json!(["packages:read"]));
        assert_eq!((&answer["allowed"], &answer["reason"], &answer["missing"]), expected, "{project}");
    }
    world.grant(READ, json!({})).await;
    let answer = world.authorize(text(&minted, "token"), READ, json!({})).await.expect(200).json;
    let subject = json!({
        "project_id": minted["project_id"], "project": "acme/web", "pipeline_id": minted["pipeline_id"], "job_id": minted["job_id"],
        "token_id": minted["id"], "ref": "main", "protected": true,
    });
    let expected = json!({
        "allowed": true, "reason": "granted", "missing": [], "would_deny": [], "anonymous": false, "reasons": [], "subject": subject,
    });
    assert_eq!(answer, expected);
}

#[tokio::test]
async fn a_project_is_named_by_path_or_id() {
    let world = World::new().await;
    world.grant(READ, json!({})).await;
    let id = world.server.get("/v1/projects/acme%2Flib", world.admin()).await.text_at("/id");
    let answer = world.authorize(&world.token("1").await, READ, json!({ "project": id })).await.expect(200);
    assert_eq!(answer.json["allowed"], true);
}

#[tokio::test]
async fn each_condition_has_its_reason() {
    let job =
        |pipeline: Value, environment: Value| json!({ "pipeline": pipeline, "job": { "environment": environment } });
    for (condition, good, bad, expected) in [
        (
            json!({ "refs": ["main"] }),
            job(json!({}), json!(null)),
            job(json!({ "ref": "topic" }), json!(null)),
            "condition_ref",
        ),
        (
            json!({ "refs": ["tag:v*"] }),
            job(json!({ "ref": "v1", "ref_type": "tag" }), json!(null)),
            job(json!({ "ref": "v1" }), json!(null)),
            "condition_ref",
        ),
        (
            json!({ "protected_refs_only": true }),
            job(json!({}), json!(null)),
            job(json!({ "ref": "topic" }), json!(null)),
            "condition_protected",
        ),
        (
            json!({ "environments": ["prod*"] }),
            job(json!({}), json!("prod-eu")),
            job(json!({}), json!("staging")),
            "condition_environment",
        ),
        (
            json!({ "environments": ["prod*"] }),
            job(json!({}), json!("prod")),
            job(json!({}), json!(null)),
            "condition_environment",
        ),
        (
            json!({ "triggers": ["push", "api"] }),
            job(json!({ "trigger": "api" }), json!(null)),
            job(json!({ "trigger": "schedule" }), json!(null)),
            "condition_trigger",
        ),
        (
            json!({ "allow_forks": true }),
            job(json!({ "from_fork": true }), json!(null)),
            job(json!({}), json!(null)),
            "granted",
        ),
        (json!({}), job(json!({}), json!(null)), job(json!({ "from_fork": true }), json!(null)), "condition_fork"),
        (
            json!({ "within_actor_role": true }),
            job(json!({ "actor": "reporter" }), json!(null)),
            job(json!({ "actor": "guest" }), json!(null)),
            "condition_role",
        ),
        (
            json!({ "within_actor_role": true }),
            job(json!({ "actor": "owner" }), json!(null)),
            job(json!({}), json!(null)),
            "condition_role",
        ),
    ] {
        let world = World::new().await;
        world.grant(READ, json!({ "conditions": condition })).await;
        assert_eq!(reason(&world, "good", good).await, "granted", "{condition}");
        assert_eq!(reason(&world, "bad", bad).await, expected, "{condition}");
    }
}

#[tokio::test]
async fn whose_word_is_taken() {
    let world = World::new().await;
    let made = world.grant(READ, json!({ "conditions": { "vouched_by": "group" } })).await;
    let grant = format!("/v1/projects/acme%2Flib/grants/{}", made.text_at("/id"));
    let mut tokens = vec![world.token("instance").await];
    for (key, scope) in [("group", json!({ "group": "acme" })), ("project", json!({ "project": "acme/web" }))] {
        let mut body = json!({ "name": "r", "protected": true });
        body.as_object_mut().unwrap().extend(scope.as_object().unwrap().clone());
        let runner = world.server.post("/v1/runners", world.admin(), body).await.expect(201).text_at("/token");
        tokens.push(
            world
                .server
                .post("/v1/job-tokens", &runner, World::mint_body(key, json!({})))
                .await
                .expect(201)
                .text_at("/token"),
        );
    }
    let reasons = async || {
        let mut reasons = Vec::new();
        for token in &tokens {
            reasons.push(world.authorize(token, READ, json!({})).await.expect(200).text_at("/reason"));
        }
        reasons
    };
    assert_eq!(reasons().await, ["granted", "granted", "condition_vouched_by"]);
    let body =
        json!({ "source": { "project": "acme/web" }, "permissions": READ, "conditions": { "vouched_by": "instance" } });
    world.server.call_with("PUT", &grant, Some(world.admin()), Some(body), &[("if-match", "*")]).await.expect(200);
    assert_eq!(reasons().await, ["granted", "condition_vouched_by", "condition_vouched_by"]);
}

#[tokio::test]
async fn a_grant_expires() {
    let world = World::new().await;
    world.grant(READ, json!({ "expires_at": "2026-11-23T10:10:00Z" })).await;
    let token = world.token("1").await;
    let reason = async || world.authorize(&token, READ, json!({})).await.expect(200).text_at("/reason");
    assert_eq!(reason().await, "granted");
    world.server.clock.advance(time::Duration::minutes(10));
    assert_eq!(reason().await, "grant_expired");
}

#[tokio::test]
async fn a_cap_binds() {
    let world = World::new().await;
    world.grant(&["packages:admin"], json!({})).await;
    assert_eq!(reason(&world, "1", json!({ "permissions": ["packages:read"] })).await, "granted");
    assert_eq!(reason(&world, "2", json!({ "permissions": ["packages:create"] })).await, "token_cap");
    assert_eq!(reason(&world, "3", json!({ "permissions": [] })).await, "token_cap");
}

#[tokio::test]
async fn several_permissions_are_all_or_nothing_each_with_its_reason() {
    let world = World::new().await;
    world.grant(&["packages:read", "jobs:read"], json!({ "conditions": { "refs": ["topic"] } })).await;
    world.grant(READ, json!({})).await;
    let token = world.token("1").await;
    let answer =
        world.authorize(&token, &["packages:read", "jobs:read", "packages:delete"], json!({})).await.expect(200).json;
    assert_eq!((&answer["allowed"], &answer["missing"]), (&json!(false), &json!(["jobs:read", "packages:delete"])));
    assert_eq!(answer["reason"], "condition_ref");
    let reasons = json!([{ "permission": "jobs:read", "reason": "condition_ref" }, { "permission": "packages:delete", "reason": "no_grant" }]);
    assert_eq!(answer["reasons"], reasons);
    let expanded = world.authorize(&token, &["ADMIN_BADGES"], json!({})).await.expect(200).json;
    assert_eq!(expanded["missing"], json!(["badges:read", "badges:create", "badges:update", "badges:delete"]));
}

#[tokio::test]
async fn selectors_bind_by_resource_name() {
    let world = World::new().await;
    world
        .grant(
            &["packages:read", "containers:read", "jobs:read"],
            json!({ "selectors": { "packages": ["npm/@acme/*"], "containers": ["app/**"] } }),
        )
        .await;
    let token = world.token("1").await;
    for (permissions, named, reason) in [
        (&["packages:read"][..], json!({}), "resource_name_missing"),
        (&["packages:read"], json!({ "resource_name": "npm/@acme/ui" }), "granted"),
        (&["packages:read"], json!({ "resource_name": "npm/@acme/ui/x" }), "resource_name"),
        (&["packages:read"], json!({ "resource_names": { "packages": "npm/@acme/ui" } }), "granted"),
        (&["packages:read"], json!({ "resource_names": { "containers": "app/x" } }), "resource_name_missing"),
        (
            &["packages:read", "containers:read"],
            json!({ "resource_names": { "packages": "npm/@acme/ui", "containers": "app/a/b" } }),
            "granted",
        ),
        (
            &["packages:read", "containers:read"],
            json!({ "resource_names": { "packages": "npm/@acme/ui", "containers": "x" } }),
            "resource_name",
        ),
        (&["jobs:read"], json!({}), "granted"),
    ] {
        let answer = world.authorize(&token, permissions, named.clone()).await.expect(200);
        assert_eq!(answer.text_at("/reason"), reason, "{permissions:?} {named}");
    }
    world
        .authorize(&token, &["packages:read", "jobs:read"], json!({ "resource_name": "x" }))
        .await
        .invalid("/resource_name", "ambiguous");
    let twice = json!({ "resource_name": "x", "resource_names": { "packages": "y" } });
    world.authorize(&token, READ, twice).await.invalid("/resource_name", "named_twice");
    world
        .authorize(&token, READ, json!({ "resource_names": { "nope": "y" } }))
        .await
        .invalid("/resource_names/nope", "unknown_resource");
    let odd = json!({ "resource_names": { "a/b~c": "x" } });
    world.authorize(&token, READ, odd).await.invalid("/resource_names/a~1b~0c", "unknown_resource");
    // A further grant without a selector frees the permission.
    world.grant(READ, json!({})).await;
    assert_eq!(world.authorize(&token, READ, json!({})).await.expect(200).json["allowed"], true);
}

// ── Modes ────────────────────────────────────────────────────────────────────────────────────────────

#[tokio::test]
async fn below_enforced_the_actors_role_counts_and_audit_marks_it() {
    for (mode, allowed, reason, would_deny) in [
        ("legacy", true, "granted", json!([])),
        ("audit", true, "granted", json!(["packages:create"])),
        ("enforced", false, "no_grant", json!([])),
    ] {
        let world = World::new().await;
        set_lib(&world, json!({ "mode": mode })).await;
        world.grant(READ, json!({})).await;
        let minted = world.mint("1", json!({ "pipeline": { "actor": "developer" } })).await;
        let answer = world
            .authorize(text(&minted, "token"), &["packages:read", "packages:create"], json!({}))
            .await
            .expect(200)
            .json;
        assert_eq!(
            (&answer["allowed"], &answer["reason"], &answer["would_deny"]),
            (&json!(allowed), &json!(reason), &would_deny),
            "{mode}"
        );
    }
}

#[tokio::test]
async fn each_role_inherits_what_it_may() {
    let world = World::new().await;
    set_lib(&world, json!({ "mode": "legacy" })).await;
    for (actor, permission, allowed) in [
        ("guest", "packages:read", false),
        ("reporter", "packages:read", true),
        ("reporter", "secure_files:read", false),
        ("reporter", "terraform_state:read", false),
        ("reporter", "packages:create", false),
        ("developer", "secure_files:read", true),
        ("developer", "packages:update", true),
        ("developer", "terraform_state:update", false),
        ("developer", "releases:delete", true),
        ("developer", "packages:delete", false),
        ("maintainer", "terraform_state:delete", true),
        ("owner", "secure_files:delete", true),
        ("stranger", "packages:read", false),
        ("admin", "packages:read", true),
    ] {
        let minted = world.mint(&format!("{actor}-{permission}"), json!({ "pipeline": { "actor": actor } })).await;
        let answer = world.authorize(text(&minted, "token"), &[permission], json!({})).await.expect(200);
        assert_eq!(answer.json["allowed"], allowed, "{actor} {permission}");
    }
}

#[tokio::test]
async fn being_an_administrator_lends_a_job_nothing() {
    let world = World::new().await;
    set_lib(&world, json!({ "mode": "legacy" })).await;
    world.server.post("/v1/users", world.admin(), json!({ "name": "root", "administrator": true })).await.expect(201);
    assert_eq!(reason(&world, "1", json!({ "pipeline": { "actor": "root" } })).await, "no_grant");
}

#[tokio::test]
async fn an_actor_nobody_vouches_for_has_no_role() {
    let world = World::new().await;
    set_lib(&world, json!({ "mode": "legacy" })).await;
    let plain = world
        .server
        .post("/v1/runners", world.admin(), json!({ "name": "r", "protected": true }))
        .await
        .expect(201)
        .text_at("/token");
    let body = World::mint_body("1", json!({ "pipeline": { "actor": "owner" } }));
    let token = world.server.post("/v1/job-tokens", &plain, body).await.expect(201).text_at("/token");
    assert_eq!(world.authorize(&token, READ, json!({})).await.expect(200).text_at("/reason"), "no_grant");
}

#[tokio::test]
async fn a_floor_above_counts_at_once() {
    let world = World::new().await;
    set_lib(&world, json!({ "mode": "legacy" })).await;
    let minted = world.mint("1", json!({ "pipeline": { "actor": "developer" } })).await;
    let answer = async || world.authorize(text(&minted, "token"), READ, json!({})).await.expect(200).json;
    for (floor, allowed, would_deny) in
        [("legacy", true, json!([])), ("audit", true, json!(READ)), ("enforced", false, json!([]))]
    {
        world.server.patch("/v1/groups/acme?confirm=true", world.admin(), json!({ "floor": floor })).await.expect(200);
        let answer = answer().await;
        assert_eq!((&answer["allowed"], &answer["would_deny"]), (&json!(allowed), &would_deny), "{floor}");
    }
}

#[tokio::test]
async fn roles_are_live() {
    let world = World::new().await;
    set_lib(&world, json!({ "mode": "legacy" })).await;
    let minted = world.mint("1", json!({ "pipeline": { "actor": "guest" } })).await;
    let reason = async || world.authorize(text(&minted, "token"), READ, json!({})).await.expect(200).text_at("/reason");
    assert_eq!(reason().await, "no_grant");
    world
        .server
        .put("/v1/projects/acme%2Flib/members/guest", world.admin(), json!({ "role": "reporter" }))
        .await
        .expect(200);
    assert_eq!(reason().await, "role");
    world.server.delete("/v1/projects/acme%2Flib/members/guest", world.admin()).await.expect(204);
    assert_eq!(reason().await, "no_grant");
}

// ── Anyone ───────────────────────────────────────────────────────────────────────────────────────────

#[tokio::test]
async fn what_is_public_or_internal_gives_to_anyone() {
    for (visibility, allowed, anonymous) in
        [("private", false, false), ("internal", true, false), ("public", true, true)]
    {
        let world = World::new().await;
        set_lib(&world, json!({ "visibility": visibility })).await;
        let token = world.token("1").await;
        for permission in ["repositories:read", "packages:read", "releases:read"] {
            let answer = world.authorize(&token, &[permission], json!({})).await.expect(200).json;
            let reason = if allowed { "anyone" } else { "no_grant" };
            let expected = (&json!(allowed), &json!(reason), &json!(anonymous));
            assert_eq!(
                (&answer["allowed"], &answer["reason"], &answer["anonymous"]),
                expected,
                "{visibility} {permission}"
            );
        }
        let more = world.authorize(&token, &["packages:read", "jobs:read"], json!({})).await.expect(200).json;
        assert_eq!((&more["allowed"], &more["anonymous"]), (&json!(false), &json!(false)));
    }
}

#[tokio::test]
async fn a_dead_or_capped_token_gets_no_less_than_none() {
    let world = World::new().await;
    set_lib(&world, json!({ "visibility": "public" })).await;
    let capped = world.mint("1", json!({ "permissions": [] })).await;
    let dead = world.token("2").await;
    world.server.delete("/v1/job-tokens/self", &dead).await.expect(204);
    for (token, reason) in
        [(text(&capped, "token"), "token_cap"), (&dead, "revoked"), ("nonsense", "unknown"), ("", "unknown")]
    {
        let answer = world.authorize(token, READ, json!({})).await.expect(200).json;
        let expected = (&json!(false), &json!(reason), &json!(true));
        assert_eq!((&answer["allowed"], &answer["reason"], &answer["anonymous"]), expected, "{reason}");
    }
    set_lib(&world, json!({ "visibility": "internal" })).await;
    assert_eq!(world.authorize(&dead, READ, json!({})).await.expect(200).json["anonymous"], false);
}

// ── Ceilings, groups, services ───────────────────────────────────────────────────────────────────────

#[tokio::test]
async fn the_shipped_ceiling_lets_a_fork_at_most_read() {
    let world = World::new().await;
    let all = &["packages:admin", "containers:admin"];
    world.grant(all, json!({ "conditions": { "allow_forks": true } })).await;
    let fork = world.mint("1", json!({ "pipeline": { "from_fork": true } })).await;
    let ask = async |token: &str, permission: &str| {
        world.authorize(token, &[permission], json!({})).await.expect(200).text_at("/reason")
    };
    assert_eq!(ask(text(&fork, "token"), "packages:read").await, "granted");
    assert_eq!(ask(text(&fork, "token"), "containers:create").await, "ceiling");
    // It binds roles, too.
    set_lib(&world, json!({ "mode": "legacy" })).await;
    let fork = world.mint("2", json!({ "pipeline": { "from_fork": true, "actor": "owner" } })).await;
    assert_eq!(ask(text(&fork, "token"), "jobs:read").await, "role");
    assert_eq!(ask(text(&fork, "token"), "jobs:create").await, "ceiling");
}

#[tokio::test]
async fn a_group_source_covers_what_is_under_it_now_or_later_but_the_exceptions() {
    let world = World::new().await;
    let (server, admin) = (&world.server, world.admin());
    server.post("/v1/groups", admin, json!({ "path": "acme/out" })).await.expect(201);
    let body = json!({ "source": { "group": "acme", "except": ["acme/web", "acme/out"] }, "permissions": READ });
    server.post("/v1/projects/acme%2Flib/grants", admin, body).await.expect(201);
    for path in ["acme/later", "acme/out/deep"] {
        server.post("/v1/projects", admin, json!({ "path": path })).await.expect(201);
    }
    for (project, reason) in [
        ("acme/web", "no_grant"),
        ("acme/lib", "granted"),
        ("acme/later", "granted"),
        ("acme/out/deep", "no_grant"),
        ("other/app", "no_grant"),
    ] {
        assert_eq!(self::reason(&world, project, json!({ "project": project })).await, reason, "{project}");
    }
    // An exception is an id: it holds when the project is renamed.
    server.patch("/v1/projects/acme%2Fweb", admin, json!({ "path": "acme/site" })).await.expect(200);
    assert_eq!(self::reason(&world, "renamed", json!({ "project": "acme/site" })).await, "no_grant");
}

#[tokio::test]
async fn a_hidden_project_and_a_missing_one_are_answered_alike() {
    let world = World::new().await;
    let hidden = "other/app";
    let mut sql = world.server.sql().await;
    // By a ceiling on the hidden project and on the group above it, a fork, a cap, and what the service is shown.
    sqlx::query(
        "insert into ceilings (id, project_id, group_id, position, side, applies_when, at_most, created_at)
         select $1, id, null, 0, 'target', '{}'::jsonb, '{jobs:read}'::text[], created_at from projects where path = $3
         union all select $2, null, group_id, 0, 'target', '{}', '{jobs:read}', created_at from projects where path = $3",
    )
    .bind(uuid::Uuid::from_u128(1))
    .bind(uuid::Uuid::from_u128(2))
    .bind(hidden)
    .execute(&mut sql)
    .await
    .unwrap();
    let packages = service(&world, json!({ "name": "s", "resources": ["packages"] })).await;
    let fork = json!({ "pipeline": { "trigger": "merge_request", "from_fork": true } });
    let actor = json!({ "pipeline": { "actor": "owner" } });
    let mut reasons = std::collections::BTreeSet::new();
    for (key, change) in [("1", json!({})), ("2", json!({ "permissions": READ })), ("3", fork), ("4", actor)] {
        let token = world.mint(key, change).await;
        for permission in ["packages:read", "packages:create", "jobs:read", "containers:delete"] {
            let looked = async |project: &str| {
                let query = format!("project={}&permission={permission}", project.replace('/', "%2F"));
                let own =
                    world.server.get(&format!("/v1/job-tokens/self?{query}"), text(&token, "token")).await.expect(200);
                let question =
                    json!({ "token": text(&token, "token"), "project": project, "permissions": [permission] });
                let asked = world.ask(question.clone()).await.expect(200);
                let shown = ask_as(&world, &packages, question).await.expect(200);
                let more = [("project", project), ("permission", permission)];
                let seen = world.introspect(text(&token, "token"), &more).await.expect(200);
                [own.text, asked.text, shown.text, seen.text].map(|text| text.replace(project, "…"))
            };
            let there = looked(hidden).await;
            assert_eq!(there, looked("other/nope").await, "{key} {permission}");
            let answer: Value = serde_json::from_str(&there[1]).unwrap();
            reasons.insert(answer["reason"].as_str().unwrap().to_owned());
        }
    }
    assert_eq!(reasons.iter().collect::<Vec<_>>(), ["ceiling", "no_grant", "token_cap"]);
    // To those who hold something there, a ceiling says that it is one.
    let token = world.mint("5", json!({})).await;
    let grant = json!({ "source": { "project": "acme/web" }, "permissions": READ });
    world.server.post("/v1/projects/other%2Fapp/grants", world.admin(), grant).await.expect(201);
    let answer = world.authorize(text(&token, "token"), READ, json!({ "project": hidden })).await;
    assert_eq!(answer.text_at("/reason"), "ceiling");
}

#[tokio::test]
async fn a_service_for_one_project_answers_for_it_alone() {
    let world = World::new().await;
    world.grant(READ, json!({})).await;
    let service = service(&world, json!({ "name": "s", "project": "acme/lib" })).await;
    let id = world.server.get("/v1/projects/acme%2Flib", world.admin()).await.text_at("/id");
    let token = world.token("1").await;
    // However the id is written, it is the same.
    let (upper, simple) = (id.to_uppercase(), id.replace('-', ""));
    for project in [json!(null), json!("acme/lib"), json!(id), json!(upper), json!(simple)] {
        let answer = ask_as(&world, &service, json!({ "token": token, "project": project, "permissions": READ }))
            .await
            .expect(200);
        assert_eq!(answer.json["allowed"], true, "{project}");
    }
    for project in ["acme/web", "acme/nope"] {
        ask_as(&world, &service, json!({ "token": token, "project": project, "permissions": READ }))
            .await
            .invalid("/project", "other_project");
    }
    world.ask(json!({ "token": token, "permissions": READ })).await.invalid("/project", "required");
}

#[tokio::test]
async fn a_service_sees_what_is_meant_for_it() {
    let world = World::new().await;
    world.grant(READ, json!({})).await;
    let here = service(&world, json!({ "name": "s", "audience": "https://here.example" })).await;
    let strict =
        service(&world, json!({ "name": "s", "audience": "https://here.example", "audience_required": true })).await;
    let none = world.token("1").await;
    let meant = world.mint("2", json!({ "audience": ["https://here.example", "https://b.example"] })).await;
    let other = world.mint("3", json!({ "audience": ["https://b.example"] })).await;
    let reason = async |service: &(String, String), token: &str| {
        let answer = ask_as(&world, service, json!({ "token": token, "project": "acme/lib", "permissions": READ }))
            .await
            .expect(200);
        assert_eq!(answer.json.get("subject").is_some(), answer.json["reason"] != "audience");
        answer.text_at("/reason")
    };
    for (token, lenient_says, strict_says, other_says) in [
        (none.as_str(), "granted", "audience", "granted"),
        (text(&meant, "token"), "granted", "granted", "audience"),
        (text(&other, "token"), "audience", "audience", "audience"),
    ] {
        assert_eq!(reason(&here, token).await, lenient_says);
        assert_eq!(reason(&strict, token).await, strict_says);
        assert_eq!(reason(&world.service, token).await, other_says);
    }
}

#[tokio::test]
async fn a_service_is_shown_its_resource_types() {
    let world = World::new().await;
    world.grant(&["packages:read", "jobs:read"], json!({})).await;
    let packages = service(&world, json!({ "name": "s", "resources": ["packages"] })).await;
    let nothing = service(&world, json!({ "name": "s", "resources": [] })).await;
    let token = world.token("1").await;
    for (service, permission, reason) in [
        (&packages, "packages:read", "granted"),
        (&packages, "jobs:read", "audience"),
        (&nothing, "packages:read", "audience"),
    ] {
        let answer =
            ask_as(&world, service, json!({ "token": token, "project": "acme/lib", "permissions": [permission] }))
                .await
                .expect(200);
        assert_eq!(answer.text_at("/reason"), reason);
    }
}

// ── Questions ────────────────────────────────────────────────────────────────────────────────────────

#[tokio::test]
async fn a_question_that_cannot_be_answered() {
    let world = World::new().await;
    let token = world.token("1").await;
    world.authorize(&token, &[], json!({})).await.invalid("/permissions", "empty");
    world
        .authorize(&token, &["jobs:read", "nope:read"], json!({}))
        .await
        .invalid("/permissions/1", "unknown_permission");
    world.authorize(&token, &["jobs:read"; 257], json!({})).await.invalid("/permissions", "too_many");
    world.authorize(&token, READ, json!({ "colour": 1 })).await.invalid("/colour", "unknown_field");
    world.ask(json!({ "project": "acme/lib", "permissions": READ })).await.invalid("/token", "required");
}

#[tokio::test]
async fn one_bad_question_in_a_batch_is_refused_in_its_place() {
    let world = World::new().await;
    world.grant(READ, json!({})).await;
    let token = world.token("1").await;
    let good = json!({ "token": token, "project": "acme/lib", "permissions": READ });
    let unknown = json!({ "token": token, "project": "acme/lib", "permissions": ["nope:read"] });
    let odd = json!({ "token": token, "project": "acme/lib", "permissions": READ, "colour": 1 });
    let answer = world.ask(json!({ "questions": [good, unknown, odd, "x", good] })).await.expect(200).json;
    let decisions = answer["decisions"].as_array().unwrap();
    assert_eq!(decisions.len(), 5);
    assert_eq!(decisions[0], decisions[4]);
    assert_eq!(decisions[0]["allowed"], true);
    for (index, pointer, code) in
        [(1, "/permissions/0", "unknown_permission"), (2, "/colour", "unknown_field"), (3, "", "wrong_type")]
    {
        let refused = &decisions[index];
        assert_eq!((&refused["allowed"], &refused["reason"]), (&json!(false), &json!("invalid")));
        assert_eq!((&refused["errors"][0]["pointer"], &refused["errors"][0]["code"]), (&json!(pointer), &json!(code)));
    }
}

#[tokio::test]
async fn a_batch_has_1_to_100_questions() {
    let world = World::new().await;
    let question = json!({ "token": world.token("1").await, "project": "acme/lib", "permissions": READ });
    world.ask(json!({ "questions": [] })).await.invalid("/questions", "out_of_range");
    world.ask(json!({ "questions": vec![question.clone(); 101] })).await.invalid("/questions", "out_of_range");
    let answer = world.ask(json!({ "questions": vec![question; 100] })).await.expect(200);
    assert_eq!(answer.json["decisions"].as_array().unwrap().len(), 100);
    world.ask(json!({ "questions": [], "token": "x" })).await.invalid("/token", "unknown_field");
}

#[tokio::test]
async fn a_new_resource_type_is_decided_at_once() {
    let world = World::new().await;
    let added = json!({ "name": "vault_secrets", "description": "Secrets", "name_form": "the path" });
    world.server.post("/v1/catalogue/resources", world.admin(), added).await.expect(201);
    world.grant(&["vault_secrets:read"], json!({ "selectors": { "vault_secrets": ["kv/web/*"] } })).await;
    set_lib(&world, json!({ "mode": "legacy" })).await;
    let minted = world.mint("1", json!({ "pipeline": { "actor": "owner" } })).await;
    let ask = async |permission: &str, name: &str| {
        world
            .authorize(text(&minted, "token"), &[permission], json!({ "resource_name": name }))
            .await
            .expect(200)
            .text_at("/reason")
    };
    assert_eq!(ask("vault_secrets:read", "kv/web/key").await, "granted");
    assert_eq!(ask("vault_secrets:read", "kv/lib/key").await, "resource_name");
    assert_eq!(
        ask("vault_secrets:update", "kv/web/key").await,
        "no_grant",
        "no role inherits what an operator defined"
    );
}
