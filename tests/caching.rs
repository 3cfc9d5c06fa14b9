//! What is kept in memory: answered without the database, dropped by whatever changes it, at once where the change was made and
//! within the bound elsewhere, and never given when something may have been missed.

use crate::support::{Reply, Server, World};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const LIB: (&str, &str) = ("project", "acme/lib");
/// The shipped bound, and as much again for machines that are busy.
const BOUND: Duration = Duration::from_secs(4);

/// A world whose answers last a day, with a token that may read packages of `acme/lib`.
async fn kept() -> (World, String) {
    let world = World::new().await;
    world.grant(&["packages:read"], json!({})).await;
    let token = world.token("1").await;
    (world, token)
}

async fn introspect(server: &Server, world: &World, token: &str) -> Value {
    let client = Some((world.service.0.as_str(), world.service.1.as_str()));
    server.form("/oauth/introspect", client, &[("token", token), LIB]).await.expect(200).json
}

/// Whether the token may read packages of `acme/lib`: asked alone, and twice in a batch.
async fn may_read(server: &Server, world: &World, token: &str, headers: &[(&str, &str)]) -> [bool; 3] {
    let question = json!({ "token": token, "project": "acme/lib", "permissions": ["packages:read"] });
    let ask = async |body: Value| {
        server.call_with("POST", "/v1/authorize", Some(&world.service.1), Some(body), headers).await.expect(200).json
    };
    let alone = ask(question.clone()).await;
    let batch = ask(json!({ "questions": [question, question] })).await["decisions"].clone();
    assert_eq!(batch[0], batch[1]);
    [&alone, &batch[0], &batch[1]].map(|decision| decision["allowed"].as_bool().unwrap())
}

async fn fresh(world: &World, token: &str) -> Reply {
    let url = format!("{}/oauth/introspect", world.server.url);
    let request = world.server.http.post(url).basic_auth(&world.service.0, Some(&world.service.1));
    crate::support::send(request.header("cache-control", "max-age=0, No-Cache").form(&[("token", token), LIB])).await
}

/// Behind the server's back, as nothing but these tests does.
async fn revoke_in_secret(world: &World) {
    let statement = "update job_tokens set revoked_at = issued_at, revoked_because = 'revoked'";
    sqlx::query(statement).execute(&mut world.server.sql().await).await.unwrap();
}

/// A server keeps nothing until it has caught up with the change log for the first time.
async fn until_kept(server: &Server, world: &World, token: &str) {
    within_the_bound("kept", async || {
        introspect(server, world, token).await;
        revoke_in_secret(world).await;
        let kept = introspect(server, world, token).await["active"] == true;
        let undo = "update job_tokens set revoked_at = null, revoked_because = null";
        sqlx::query(undo).execute(&mut world.server.sql().await).await.unwrap();
        // What was found revoked is known to be for a second.
        world.server.clock.advance(time::Duration::seconds(1));
        kept
    })
    .await;
}

/// Asks until the answer is such, for as long as it may take.
pub(crate) async fn within_the_bound(what: &str, ask: impl AsyncFn() -> bool) {
    let begun = Instant::now();
    while !ask().await {
        assert!(begun.elapsed() < BOUND, "{what}: not after {BOUND:?}");
    }
}

#[tokio::test]
async fn what_was_answered_is_answered_from_memory_until_no_cache_asks_for_what_is_so() {
    let (world, token) = kept().await;
    until_kept(&world.server, &world, &token).await;
    revoke_in_secret(&world).await;
    assert_eq!(introspect(&world.server, &world, &token).await["scope"], "packages:read", "from memory");
    assert_eq!(fresh(&world, &token).await.expect(200).text, r#"{"active":false}"#);
    assert_eq!(introspect(&world.server, &world, &token).await["active"], false, "what is so replaced what was kept");
}

#[tokio::test]
async fn a_question_in_the_same_words_is_answered_from_memory_alone_or_among_others() {
    let (world, token) = kept().await;
    until_kept(&world.server, &world, &token).await;
    assert_eq!(may_read(&world.server, &world, &token, &[]).await, [true; 3]);
    revoke_in_secret(&world).await;
    assert_eq!(may_read(&world.server, &world, &token, &[]).await, [true; 3], "from memory");
    assert_eq!(may_read(&world.server, &world, &token, &[("cache-control", "no-cache")]).await, [false; 3]);
    assert_eq!(may_read(&world.server, &world, &token, &[]).await, [false; 3], "what is so replaced what was kept");
}

#[tokio::test]
async fn with_a_bound_of_nothing_nothing_is_kept() {
    let world = World::on(Server::start_with(|settings| settings.cache_staleness_ms = 0).await).await;
    let token = world.token("1").await;
    assert_eq!(introspect(&world.server, &world, &token).await["active"], true);
    revoke_in_secret(&world).await;
    assert_eq!(introspect(&world.server, &world, &token).await["active"], false);
}

#[tokio::test]
async fn exp_is_told_anew_each_time() {
    let (world, token) = kept().await;
    let first = introspect(&world.server, &world, &token).await;
    world.server.clock.advance(time::Duration::seconds(10));
    let mut second = introspect(&world.server, &world, &token).await;
    assert_eq!(second["exp"].as_i64().unwrap(), first["exp"].as_i64().unwrap() + 10);
    second["exp"] = first["exp"].clone();
    assert_eq!(second, first);
}

#[tokio::test]
async fn what_time_ends_ends_in_memory_too() {
    let (world, token) = kept().await;
    let leased = world.mint("2", json!({ "job": { "lease_secs": 60 } })).await["token"].as_str().unwrap().to_owned();
    world.grant(&["jobs:read"], json!({ "expires_at": "2026-11-23T10:00:30Z" })).await;
    let scope = async |token: &str| introspect(&world.server, &world, token).await["scope"].clone();
    for token in [&token, &leased] {
        assert_eq!(scope(token).await, "jobs:read packages:read");
    }
    world.server.clock.advance(time::Duration::seconds(30));
    assert_eq!(scope(&token).await, "packages:read", "a grant has expired");
    world.server.clock.advance(time::Duration::seconds(30));
    assert_eq!(scope(&leased).await, Value::Null, "a lease is lost");
    world.server.clock.advance(time::Duration::hours(2));
    assert_eq!(scope(&token).await, Value::Null, "the token is over");
}

/// What is done to the world, and what the answer then says at `/scope`, or nothing when it is not active.
type Case = (&'static str, &'static str, String, Value, Option<&'static str>);

fn cases(world: &World, ids: &Value) -> Vec<Case> {
    let id = |name: &str| ids[name].as_str().unwrap().to_owned();
    let (client, runner) = (&world.service.0, &world.runner_id);
    let read = "packages:read";
    let at = |path: &str| path.to_owned();
    vec![
        (
            "POST",
            "a grant more",
            at("/v1/projects/acme%2Flib/grants"),
            json!({ "source": { "project": "acme/web" }, "permissions": ["jobs:read"] }),
            Some("jobs:read packages:read"),
        ),
        (
            "DELETE",
            "and gone again",
            format!("/v1/projects/acme%2Flib/grants/{}", id("grant")),
            Value::Null,
            Some("jobs:read"),
        ),
        (
            "POST",
            "a group's grant",
            at("/v1/groups/acme/grants"),
            json!({ "source": { "group": "acme" }, "permissions": [read] }),
            Some("jobs:read packages:read"),
        ),
        (
            "PUT",
            "a ceiling",
            at("/v1/projects/acme%2Flib/ceilings"),
            json!({ "items": [{ "side": "target", "when": {}, "at_most": [read] }] }),
            Some(read),
        ),
        (
            "PATCH",
            "what a service is shown",
            format!("/v1/services/{client}"),
            json!({ "resources": ["jobs"] }),
            Some(""),
        ),
        ("PATCH", "and all again", format!("/v1/services/{client}"), json!({ "resources": null }), Some(read)),
        (
            "PATCH",
            "another name for the target",
            at("/v1/projects/acme%2Flib?confirm=true"),
            json!({ "path": "acme/books" }),
            Some(""),
        ),
        ("PATCH", "and the old one", at("/v1/projects/acme%2Fbooks"), json!({ "path": "acme/lib" }), Some(read)),
        (
            "PATCH",
            "a move of the source",
            at("/v1/projects/acme%2Fweb?confirm=true"),
            json!({ "path": "other/web" }),
            Some(""),
        ),
        ("PATCH", "and back", at("/v1/projects/other%2Fweb"), json!({ "path": "acme/web" }), Some(read)),
        ("PATCH", "an open target", at("/v1/projects/acme%2Flib"), json!({ "visibility": "public" }), Some(read)),
        ("POST", "the end of what the runner minted", format!("/v1/runners/{runner}/revoke-tokens"), Value::Null, None),
    ]
}

/// On the replica that made the change before it has answered; on another, once the change log was read there.
#[tokio::test]
async fn every_change_drops_what_rests_on_it_here_and_elsewhere() {
    let world = World::new().await;
    let grant = world.grant(&["packages:read"], json!({})).await.text_at("/id");
    let token = world.token("1").await;
    let other = Server::beside(&world.server).await;
    let scope = async |server: &Server| introspect(server, &world, &token).await["scope"].clone();
    for server in [&world.server, &other] {
        until_kept(server, &world, &token).await;
        assert_eq!(scope(server).await, "packages:read");
    }
    for (method, what, path, body, expected) in cases(&world, &json!({ "grant": grant })) {
        let etag = world.server.get(&path, world.admin()).await;
        let tag = etag.headers.get("etag").map(|tag| tag.to_str().unwrap().to_owned());
        let headers: Vec<_> = tag.iter().map(|tag| ("if-match", tag.as_str())).collect();
        let body = (!body.is_null()).then_some(body);
        let done = world.server.call_with(method, &path, Some(world.admin()), body, &headers).await;
        assert!((200..300).contains(&done.status), "{what}: {}", done.text);
        let expected = expected.map_or(Value::Null, Value::from);
        let may = [expected.as_str().is_some_and(|scope| scope.contains("packages:read")); 3];
        assert_eq!(scope(&world.server).await, expected, "{what}, here");
        assert_eq!(may_read(&world.server, &world, &token, &[]).await, may, "{what}, here");
        within_the_bound(what, async || scope(&other).await == expected).await;
        within_the_bound(what, async || may_read(&other, &world, &token, &[]).await == may).await;
    }
}

#[tokio::test]
async fn a_job_that_ends_ends_what_is_kept_of_its_tokens() {
    let (world, token) = kept().await;
    let other = Server::beside(&world.server).await;
    let minted = world.mint("2", json!({})).await;
    let finished = minted["token"].as_str().unwrap();
    let narrowed =
        world.server.post("/v1/job-tokens/narrow", finished, json!({ "permissions": ["packages:read"] })).await;
    let narrowed = narrowed.expect(201).text_at("/token");
    for server in [&world.server, &other] {
        until_kept(server, &world, &token).await;
        for token in [&token, finished, &narrowed] {
            assert_eq!(introspect(server, &world, token).await["active"], true);
        }
    }
    let path = format!("/v1/jobs/{}/finish", minted["job_id"].as_str().unwrap());
    world.server.call("POST", &path, Some(&world.runner), None).await.expect(200);
    for dead in [finished, &narrowed] {
        assert_eq!(introspect(&world.server, &world, dead).await["active"], false);
        within_the_bound("finished", async || introspect(&other, &world, dead).await["active"] == false).await;
    }
    assert_eq!(introspect(&world.server, &world, &token).await["active"], true);
}

/// As after a restored database, or a replica that was away for longer than changes are kept.
#[tokio::test]
async fn a_history_with_a_gap_drops_everything() {
    let (world, token) = kept().await;
    until_kept(&world.server, &world, &token).await;
    revoke_in_secret(&world).await;
    let another = "update changes set mark = gen_random_uuid() where number = (select max(number) from changes)";
    sqlx::query(another).execute(&mut world.server.sql().await).await.unwrap();
    within_the_bound("lost", async || introspect(&world.server, &world, &token).await["active"] == false).await;
}

#[tokio::test]
async fn a_paused_or_changed_caller_is_not_let_in_from_memory() {
    let (world, token) = kept().await;
    let other = Server::beside(&world.server).await;
    let client = (world.service.0.as_str(), world.service.1.as_str());
    let status =
        async |server: &Server| server.form("/oauth/introspect", Some(client), &[("token", &token)]).await.status;
    assert_eq!((status(&world.server).await, status(&other).await), (200, 200));
    let path = format!("/v1/services/{}", client.0);
    world.server.patch(&path, world.admin(), json!({ "paused": true })).await.expect(200);
    assert_eq!(status(&world.server).await, 401);
    within_the_bound("paused", async || status(&other).await == 401).await;
}

#[tokio::test]
async fn uses_are_counted_when_they_are_answered_from_memory() {
    let (world, token) = kept().await;
    until_kept(&world.server, &world, &token).await;
    let service = json!({ "name": "another" });
    let service = world.server.post("/v1/services", world.admin(), service).await.expect(201);
    let client = (service.text_at("/client_id"), service.text_at("/client_secret"));
    for _ in 0..5 {
        let form = [("token", token.as_str()), LIB, ("permission", "packages:read")];
        world.server.form("/oauth/introspect", Some((&client.0, &client.1)), &form).await.expect(200);
    }
    let server = world.server.restart().await;
    let path = "/v1/projects/acme%2Flib/usage?permission=packages:read";
    let usage = server.get(path, &server.admin).await.expect(200);
    assert_eq!(usage.json["items"][0]["count"], 5, "{}", usage.text);
}

#[tokio::test]
async fn the_bound_and_what_is_held_are_in_the_metrics() {
    let (world, token) = kept().await;
    introspect(&world.server, &world, &token).await;
    let metrics = world.server.get("/metrics", "").await.expect(200).text;
    assert!(metrics.contains("jobpass_cache_staleness_bound_seconds 2"), "{metrics}");
    assert!(metrics.contains("jobpass_cache_bytes"), "{metrics}");
}
