//! Usage: what is counted, how it is read, and that nothing of it is lost.

use crate::support::{Server, World};
use serde_json::{Value, json};
use time::Duration;

const USAGE: &str = "/v1/projects/acme%2Flib/usage";

async fn usage(world: &World, query: &str) -> Vec<Value> {
    let reply = world.server.get(&format!("{USAGE}{query}"), world.person("maintainer")).await.expect(200);
    reply.json["items"].as_array().unwrap().clone()
}

fn fields<'a>(entries: &'a [Value], names: &[&str]) -> Vec<Vec<&'a Value>> {
    entries.iter().map(|entry| names.iter().map(|name| &entry[*name]).collect()).collect()
}

#[tokio::test]
async fn each_permission_asked_is_counted_with_all_its_circumstances() {
    let world = World::new().await;
    let grant = world.grant(&["packages:read"], json!({})).await;
    let job = json!({ "pipeline": { "actor": "developer" }, "job": { "environment": "production" } });
    let minted = world.mint("p1", job).await;
    let token = minted["token"].as_str().unwrap();
    let asked = json!({ "resource_names": { "packages": "npm/ui" } });
    for _ in 0..3 {
        world.authorize(token, &["packages:read", "packages:delete"], asked.clone()).await.expect(200);
    }

    let entries = usage(&world, "").await;
    assert_eq!(entries.len(), 2, "{entries:?}");
    let [denied, allowed] = &entries[..] else { panic!() };
    assert_eq!(
        *allowed,
        json!({
            "source_project_id": minted["project_id"], "source": "acme/web", "permission": "packages:read",
            "verdict": "allowed", "reason": "granted", "would_deny": false, "ref": "main", "ref_type": "branch",
            "protected": true, "environment": "production", "trigger": "push", "from_fork": false,
            "minted_by": "instance", "actor_role": "developer", "resource_name": "npm/ui", "count": 3,
            "first_seen_at": "2026-11-23T10:00:00Z", "last_seen_at": "2026-11-23T10:00:00Z", "last_job_id": minted["job_id"],
        })
    );
    assert_eq!(
        (&denied["permission"], &denied["verdict"], &denied["reason"]),
        (&json!("packages:delete"), &json!("denied"), &json!("no_grant"))
    );
    let path = format!("/v1/projects/acme%2Flib/grants/{}", grant.text_at("/id"));
    let shown = world.server.get(&path, world.person("maintainer")).await.expect(200);
    assert_eq!(shown.json["last_needed_at"], "2026-11-23T10:00:00Z");
    assert_eq!(shown.header("etag"), grant.header("etag"), "that it was needed is no change of it");
}

#[tokio::test]
async fn a_grant_that_gave_nothing_that_was_asked_was_not_needed() {
    let world = World::new().await;
    world.grant(&["packages:read"], json!({})).await;
    world.grant(&["releases:read"], json!({})).await;
    world.grant(&["packages:read"], json!({ "conditions": { "refs": ["other"] } })).await;
    let token = world.token("p1").await;
    world.authorize(&token, &["packages:read"], json!({})).await.expect(200);
    world.server.clock.advance(Duration::days(31));
    let list = |query: &str| format!("/v1/projects/acme%2Flib/grants{query}");
    let needed = async |query: &str| {
        let reply = world.server.get(&list(query), world.person("maintainer")).await.expect(200);
        let grants = reply.json["items"].as_array().unwrap().clone();
        (grants.len(), grants.iter().filter(|grant| grant["last_needed_at"] == "2026-11-23T10:00:00Z").count())
    };
    assert_eq!(needed("").await, (3, 1));
    assert_eq!(needed("?unused_days=32").await, (2, 0));
    assert_eq!(needed("?unused_days=31").await, (2, 0));
    assert_eq!(needed("?unused_days=30").await, (3, 1));
}

#[tokio::test]
async fn introspection_counts_by_permission_or_as_unnamed() {
    let world = World::new().await;
    world.grant(&["packages:read"], json!({ "selectors": { "packages": ["npm/*"] } })).await;
    let token = world.token("p1").await;
    world.introspect(&token, &[("project", "acme/lib")]).await.expect(200);
    world.introspect(&token, &[("project", "acme/lib"), ("permission", "packages:read jobs:read")]).await.expect(200);
    world.introspect(&token, &[]).await.expect(200);
    let entries = usage(&world, "").await;
    let expected = [
        vec![json!(null), json!("allowed"), json!(null), json!(world.service.0)],
        vec![json!("jobs:read"), json!("denied"), json!("no_grant"), json!(null)],
        vec![json!("packages:read"), json!("denied"), json!("resource_name_missing"), json!(null)],
    ];
    let found = fields(&entries, &["permission", "verdict", "reason", "service_id"]);
    assert_eq!(found, expected.iter().map(|row| row.iter().collect::<Vec<_>>()).collect::<Vec<_>>());
    assert_eq!(usage(&world, "?unnamed=true").await.len(), 1);
    // Held through a selector and shown: that counts as needed, for nobody knows what was done.
    let grants = world.server.get("/v1/projects/acme%2Flib/grants", world.person("maintainer")).await.expect(200);
    assert_eq!(grants.json["items"][0]["last_needed_at"], "2026-11-23T10:00:00Z");
}

#[tokio::test]
async fn a_dead_token_is_counted_as_what_killed_it() {
    let world = World::new().await;
    let token = world.token("p1").await;
    world.server.delete("/v1/job-tokens/self", &token).await.expect(204);
    world.authorize(&token, &["packages:read"], json!({})).await.expect(200);
    world.introspect(&token, &[("project", "acme/lib")]).await.expect(200);
    world.authorize(&"jpj_".repeat(4), &["packages:read"], json!({})).await.expect(200);
    let entries = usage(&world, "").await;
    assert_eq!(entries.len(), 2);
    assert!(entries.iter().all(|entry| entry["verdict"] == "denied" && entry["reason"] == "revoked"), "{entries:?}");
}

#[tokio::test]
async fn after_a_hundred_values_the_rest_is_one() {
    let world = World::new().await;
    world.grant(&["packages:read"], json!({})).await;
    let token = world.token("p1").await;
    for n in 0..103 {
        let name = json!({ "resource_name": format!("npm/{n}") });
        world.authorize(&token, &["packages:read"], name).await.expect(200);
        if n % 40 == 0 {
            usage(&world, "").await;
        }
    }
    // What is refused makes up names as it likes, and takes no room from what is let through.
    world.authorize(&token, &["packages:delete"], json!({ "resource_name": "npm/0" })).await.expect(200);
    let entries = usage(&world, "?permission=packages:read&limit=1000").await;
    assert_eq!(entries.len(), 101);
    let other: Vec<_> = entries.iter().filter(|entry| entry["resource_name"] == "*other*").collect();
    assert_eq!((other.len(), &other[0]["count"]), (1, &json!(3)));
}

#[tokio::test]
async fn filters_pages_and_unused_days() {
    let world = World::new().await;
    world.grant(&["packages:admin"], json!({})).await;
    let first = world.token("p1").await;
    for permission in ["packages:read", "packages:create", "packages:update", "packages:delete", "jobs:read"] {
        world.authorize(&first, &[permission], json!({})).await.expect(200);
    }
    world.server.clock.advance(Duration::days(40));
    let second = world.mint("p2", json!({ "pipeline": { "ref": "topic" } })).await;
    world.authorize(second["token"].as_str().unwrap(), &["packages:read"], json!({})).await.expect(200);

    let count = async |query: &str| usage(&world, query).await.len();
    assert_eq!(count("").await, 6);
    assert_eq!(count("?source=acme/web").await, 6);
    assert_eq!(count("?source=acme/lib").await, 0);
    assert_eq!(count("?verdict=denied").await, 1);
    assert_eq!(count("?reason=no_grant&permission=jobs:read").await, 1);
    assert_eq!(count("?permission=packages:admin").await, 5);
    assert_eq!(count("?ref=topic").await, 1);
    assert_eq!(count("?protected=false").await, 1);
    assert_eq!(count("?unused_days=30").await, 5);
    assert_eq!(count("?since=2026-12-01T00:00:00Z").await, 1);
    assert_eq!(count("?until=2026-12-01T00:00:00Z&trigger=push&from_fork=false&would_deny=false").await, 5);

    let mut seen = Vec::new();
    let mut after = String::new();
    loop {
        let reply = world.server.get(&format!("{USAGE}?limit=2{after}"), world.person("maintainer")).await.expect(200);
        seen.extend(reply.json["items"].as_array().unwrap().clone());
        match reply.json["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    assert_eq!(seen, usage(&world, "").await);
    for (query, pointer) in [
        ("?verdict=maybe", "?verdict"),
        ("?since=yesterday", "?since"),
        ("?unused_days=0", "?unused_days"),
        ("?reason=because", "?reason"),
        ("?after=x", "?after"),
        ("?protected=1", "?protected"),
        ("?format=xml", "?format"),
    ] {
        let reply = world.server.get(&format!("{USAGE}{query}"), world.person("maintainer")).await;
        assert_eq!(reply.refused(422, "invalid").text_at("/errors/0/pointer"), pointer);
    }
}

#[tokio::test]
async fn csv_holds_all_rows_and_no_formula() {
    let world = World::new().await;
    let token = world.mint("p1", json!({ "pipeline": { "ref": "=cmd|calc" } })).await;
    for n in 0..120 {
        let asked = json!({ "token": token["token"], "project": "acme/lib", "permissions": ["packages:read"], "resource_name": format!("a,\"{n}") });
        world.ask(asked).await.expect(200);
    }
    let reply = world.server.get(&format!("{USAGE}?format=csv"), world.person("maintainer")).await.expect(200);
    assert_eq!(reply.header("content-type"), "text/csv; charset=utf-8");
    let lines: Vec<_> = reply.text.lines().collect();
    assert_eq!(lines.len(), 1 + 101);
    assert!(lines[0].starts_with("source_project_id,source,permission,"), "{}", lines[0]);
    assert!(lines[1..].iter().all(|line| line.contains(",'=cmd|calc,")), "{}", lines[1]);
    assert_eq!(reply.text.matches(",\"a,\"\"").count(), 100, "a comma and a quote are quoted");
}

#[tokio::test]
async fn a_clean_stop_loses_nothing() {
    let world = World::new().await;
    let token = world.token("p1").await;
    for _ in 0..25 {
        world.authorize(&token, &["packages:read"], json!({})).await.expect(200);
    }
    let World { server, people, .. } = world;
    let again = server.restart().await;
    let reply = again.get(USAGE, &people["maintainer"]).await.expect(200);
    assert_eq!(reply.json["items"][0]["count"], 25);
}

#[tokio::test]
async fn two_replicas_count_together() {
    let world = World::new().await;
    let second = Server::beside(&world.server).await;
    let token = world.token("p1").await;
    let body = json!({ "token": token, "project": "acme/lib", "permissions": ["packages:read"] });
    let ask = async |url: &str| {
        let request = world.server.http.post(format!("{url}/v1/authorize"));
        let reply = request.basic_auth(&world.service.0, Some(&world.service.1)).json(&body).send().await.unwrap();
        assert_eq!(reply.status(), 200);
    };
    for _ in 0..4 {
        ask(&world.server.url).await;
        ask(&second.url).await;
    }
    // Each replica writes what it has when it is asked.
    second.get(USAGE, world.person("maintainer")).await.expect(200);
    assert_eq!(usage(&world, "").await[0]["count"], 8);
}

#[tokio::test]
async fn figures_are_told_in_prometheus_format() {
    let world = World::new().await;
    let token = world.token("p1").await;
    world.authorize(&token, &["packages:read"], json!({})).await.expect(200);
    let reply = world.server.http.get(format!("{}/metrics", world.server.url)).send().await.unwrap();
    assert_eq!(reply.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    let text = reply.text().await.unwrap();
    assert!(text.contains("jobpass_decisions_total{verdict=\"denied\"}"), "{text}");
}

#[tokio::test]
async fn what_is_older_than_the_retention_is_not_shown_and_then_dropped() {
    let world = World::on(Server::start_with(|settings| settings.usage_retention_days = 30).await).await;
    let token = world.token("p1").await;
    world.authorize(&token, &["packages:read"], json!({ "resource_name": "npm/ui" })).await.expect(200);
    world.server.clock.advance(Duration::days(30));
    assert_eq!(usage(&world, "").await.len(), 1);
    world.server.clock.advance(Duration::seconds(1));
    assert_eq!(usage(&world, "").await.len(), 0);

    // A month goes when all of it is too old; a start sweeps.
    world.server.clock.advance(Duration::days(402));
    let World { server, .. } = world;
    let again = server.restart().await;
    for table in ["usage", "usage_values"] {
        let is_empty = format!("select not exists (select from {table})");
        let mut sql = again.sql().await;
        while !sqlx::query_scalar::<_, bool>(sqlx::AssertSqlSafe(is_empty.clone())).fetch_one(&mut sql).await.unwrap() {
            tokio::task::yield_now().await;
        }
    }
}

/// A path can hold a name that no index takes, and a job can call itself anything.
#[tokio::test]
async fn no_name_that_a_job_makes_up_stops_the_counting() {
    let world = World::new().await;
    let token = world.token("p1").await;
    let name: String =
        (0..3900u32).map(|n| char::from_digit(n.wrapping_mul(2_654_435_761) >> 27 & 31, 36).unwrap()).collect();
    let path = format!("/api/v4/projects/acme%2Flib/packages/maven/{name}/f.jar");
    let asked = json!({ "token": token, "method": "GET", "path": path });
    world.ask(asked).await.invalid("/path", "bad_name");
    let other = world.mint("p2", json!({ "job": { "environment": "*other*" } })).await;
    world.authorize(other["token"].as_str().unwrap(), &["packages:read"], json!({})).await.expect(200);
    let entries = usage(&world, "").await;
    assert_eq!(fields(&entries, &["environment", "count"]), [[&json!("'*other*'"), &json!(1)]]);
}
