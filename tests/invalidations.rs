//! The feed of invalidations: what was changed is told, as tags that only the service knows which it was told them; who missed something
//! goes on or begins anew; and a stream ends with whatever it stands on.

use crate::support::feed::{Stream, request, until_followed};
use crate::support::{Reply, Server, Wire, World};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

const LIB: (&str, &str) = ("project", "acme/lib");

/// A world with a token that may read packages of `acme/lib`.
async fn granted() -> (World, Value) {
    let world = World::new().await;
    world.grant(&["packages:read"], json!({})).await;
    let minted = world.mint("1", json!({})).await;
    until_followed(&world.server, &world.service).await;
    (world, minted)
}

/// A world of which nothing is new to its server.
async fn settled() -> World {
    let world = World::new().await;
    until_followed(&world.server, &world.service).await;
    world
}

fn text(minted: &Value) -> &str {
    minted["token"].as_str().unwrap()
}

async fn another_service(world: &World) -> (String, String) {
    let made = world.server.post("/v1/services", world.admin(), json!({ "name": "another" })).await.expect(201);
    let another = (made.text_at("/client_id"), made.text_at("/client_secret"));
    until_followed(&world.server, &another).await;
    another
}

/// The answer that says how long it may be kept. None does while a replica has just started, or hears of a change of who asks.
async fn promised(ask: impl AsyncFn() -> Reply) -> Reply {
    let begun = Instant::now();
    loop {
        let reply = ask().await.expect(200);
        if reply.json.get("keep").is_some() || reply.headers.contains_key("jobpass-keep") {
            return reply;
        }
        assert!(begun.elapsed() < Duration::from_secs(4), "nothing is promised: {}", reply.text);
    }
}

/// What an answer to this service rests on, and up to which change it is true.
async fn asked(server: &Server, client: &(String, String), token: &str) -> (Vec<String>, i64) {
    let body = json!({ "token": token, "project": "acme/lib", "permissions": ["packages:read"], "keep": true });
    let keep = promised(async || {
        let request = server.http.post(format!("{}/v1/authorize", server.url)).basic_auth(&client.0, Some(&client.1));
        crate::support::send(request.json(&body)).await
    });
    let keep = &keep.await.json["keep"];
    let tags = keep["tags"].as_array().unwrap().iter().map(|tag| tag.as_str().unwrap().to_owned());
    (tags.collect(), keep["as_of"].as_i64().unwrap())
}

async fn revoke(world: &World, minted: &Value) {
    let path = format!("/v1/job-tokens/{}", minted["id"].as_str().unwrap());
    world.server.delete(&path, world.admin()).await.expect(200);
}

// ── What is told ─────────────────────────────────────────────────────────────────────────────────────

#[tokio::test]
async fn html_9_2_5_it_is_an_event_stream_that_begins_and_beats() {
    let world = settled().await;
    let begun = Instant::now();
    let (mut stream, opened) = Stream::open(&world.server, &world.service, &[]).await;
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    assert_eq!(stream.headers()["cache-control"], "no-cache");
    let beat = stream.next().await.unwrap();
    assert_eq!(opened.data, json!({ "beat_ms": 500, "bound_ms": 2000 }));
    assert_eq!((beat.name.as_str(), &beat.id), ("beat", &opened.id), "nothing was changed");
    let age = Duration::from_millis(beat.data["age_ms"].as_u64().unwrap());
    assert!(age <= begun.elapsed(), "it vouches for no moment that is to come");
}

#[tokio::test]
async fn what_rests_on_a_revoked_token_is_told() {
    let (world, minted) = granted().await;
    let (mut stream, _) = Stream::open(&world.server, &world.service, &[]).await;
    let (tags, as_of) = asked(&world.server, &world.service, text(&minted)).await;
    revoke(&world, &minted).await;
    let told = stream.until_told(&tags).await;
    assert_eq!(told.name, "changed");
    assert!(told.number() > as_of);
}

/// Whatever else an answer rests on is a ground of the cache of the server, whose tests know them all.
#[tokio::test]
async fn a_change_of_a_grant_is_told_on_every_replica() {
    let (world, minted) = granted().await;
    let other = Server::beside(&world.server).await;
    until_followed(&other, &world.service).await;
    let (mut stream, _) = Stream::open(&other, &world.service, &[]).await;
    let (tags, _) = asked(&world.server, &world.service, text(&minted)).await;
    let known_elsewhere = asked(&other, &world.service, text(&minted)).await.0;
    assert_eq!(tags, known_elsewhere, "one service knows one thing by one tag");
    world.grant(&["jobs:read"], json!({})).await;
    stream.until_told(&tags).await;
}

/// Nothing that was kept can be true any more: of what has no ground of its own.
#[tokio::test]
async fn what_changes_everything_is_a_reset_and_the_stream_begins_anew() {
    let world = settled().await;
    let (mut stream, _) = Stream::open(&world.server, &world.service, &[]).await;
    world.server.post("/v1/catalogue/resources", world.admin(), vault()).await.expect(201);
    let told = stream.news().await.unwrap();
    assert_eq!(told.name, "reset");
    assert!(told.tags().is_empty());
    stream.until_over().await;
    let (mut next, _) = Stream::open(&world.server, &world.service, &[("last-event-id", &told.id.unwrap())]).await;
    assert_eq!(next.next().await.unwrap().name, "beat");
}

fn vault() -> Value {
    json!({ "name": "vault_secrets", "description": "Secrets of a vault" })
}

#[tokio::test]
async fn a_service_learns_nothing_of_what_another_one_is_asked_about() {
    let (world, minted) = granted().await;
    let another = another_service(&world).await;
    let (mut own, _) = Stream::open(&world.server, &world.service, &[]).await;
    let (mut theirs, _) = Stream::open(&world.server, &another, &[]).await;
    let known = asked(&world.server, &world.service, text(&minted)).await.0;
    let known_there = asked(&world.server, &another, text(&minted)).await.0;
    revoke(&world, &minted).await;
    let told: BTreeSet<String> = own.until_told(&known).await.tags().into_iter().map(str::to_owned).collect();
    let told_there = theirs.until_told(&known_there).await;
    for tag in told_there.tags() {
        assert!(!told.contains(tag) && !known.iter().any(|known| known == tag), "{tag} is known to both");
    }
    for id in ["id", "job_id", "project_id"] {
        assert!(!told_there.data.to_string().contains(minted[id].as_str().unwrap()));
    }
}

// ── Going on ─────────────────────────────────────────────────────────────────────────────────────────

#[tokio::test]
async fn html_9_2_4_whoever_comes_again_is_told_what_it_missed() {
    let (world, first) = granted().await;
    let second = world.mint("2", json!({})).await;
    let (stream, opened) = Stream::open(&world.server, &world.service, &[]).await;
    let position = opened.id.unwrap();
    let tags = [
        asked(&world.server, &world.service, text(&first)).await.0,
        asked(&world.server, &world.service, text(&second)).await.0,
    ];
    let only = |one: &[String], other: &[String]| -> Vec<String> {
        one.iter().filter(|tag| !other.contains(tag)).cloned().collect()
    };
    let (of_first, of_second) = (only(&tags[0], &tags[1]), only(&tags[1], &tags[0]));
    drop(stream);
    revoke(&world, &first).await;
    let since = format!("/v1/invalidations?since={position}");
    let server = world.server.restart().await;
    let world = World { server, ..world };
    let (mut by_query, opened) = Stream::open_at(&world.server, &world.service, &since, &[]).await;
    assert_eq!(opened.id.as_ref(), Some(&position), "from there it goes on, if it breaks off at once");
    let told = by_query.until_told(&of_first).await;
    revoke(&world, &second).await;
    by_query.until_told(&of_second).await;

    // What was heard counts, and not what was asked at first.
    let heard = told.id.unwrap();
    let (mut by_header, opened) =
        Stream::open_at(&world.server, &world.service, &since, &[("last-event-id", &heard)]).await;
    assert_eq!(opened.id, Some(heard));
    let missed = by_header.news().await.unwrap();
    assert!(missed.tags().iter().any(|tag| of_second.iter().any(|known| known == tag)));
    assert!(!missed.tags().iter().any(|tag| of_first.iter().any(|known| known == tag)), "told before");
}

#[tokio::test]
async fn what_cannot_be_gone_on_from_is_a_reset() {
    let (world, _) = granted().await;
    let (_, opened) = Stream::open(&world.server, &world.service, &[]).await;
    let (number, mark) = opened.id.as_deref().unwrap().split_once('-').unwrap();
    let (another, ahead, forgotten) = ("0".repeat(32), format!("999999-{mark}"), format!("-7-{mark}"));
    for heard in ["", "x", &format!("{number}-{another}"), &ahead, &forgotten, number] {
        let (mut stream, again) = Stream::open(&world.server, &world.service, &[("last-event-id", heard)]).await;
        assert_eq!(again.id, None, "whoever breaks off here has not heard of the reset");
        let reset = stream.next().await.unwrap();
        assert_eq!((reset.name.as_str(), reset.number().to_string()), ("reset", number.to_owned()), "{heard}");
        assert_eq!(stream.next().await.unwrap().name, "beat", "and it goes on");
    }
}

#[tokio::test]
async fn a_parameter_that_nobody_reads_is_refused() {
    let world = World::new().await;
    let path = "/v1/invalidations?colour=red";
    world.server.get(path, &world.service.1).await.invalid("?colour", "unknown_parameter");
}

// ── Its end ──────────────────────────────────────────────────────────────────────────────────────────

#[tokio::test]
async fn it_ends_when_the_service_is_changed_or_its_secret_is_over() {
    let world = settled().await;
    let other = Server::beside(&world.server).await;
    let service = format!("/v1/services/{}", world.service.0);
    let until = json!({ "expires_at": "2026-11-23T11:00:00Z" });
    let second = world.server.post(&format!("{service}/secrets"), world.admin(), until).await.expect(201);
    let by_second = (world.service.0.clone(), second.text_at("/secret"));
    for server in [&world.server, &other] {
        until_followed(server, &world.service).await;
    }
    let (stream, _) = Stream::open(&world.server, &by_second, &[]).await;
    world.server.clock.advance(time::Duration::hours(1));
    stream.until_over().await;
    assert_eq!(request(&world.server, &by_second, "/v1/invalidations", &[]).await.status(), 401);

    let (here, _) = Stream::open(&world.server, &world.service, &[]).await;
    let (there, _) = Stream::open(&other, &world.service, &[]).await;
    world.server.patch(&service, world.admin(), json!({ "paused": true })).await.expect(200);
    here.until_over().await;
    there.until_over().await;
    for server in [&world.server, &other] {
        assert_eq!(request(server, &world.service, "/v1/invalidations", &[]).await.status(), 401);
    }
}

#[tokio::test]
async fn it_ends_at_once_when_the_server_stops() {
    let world = settled().await;
    let (stream, _) = Stream::open(&world.server, &world.service, &[]).await;
    let begun = Instant::now();
    tokio::join!(stream.until_over(), world.server.running.stop());
    assert!(begun.elapsed() < Duration::from_secs(8), "a stream that does not end holds a stop up for ten seconds");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_ends_when_the_database_is_lost_and_none_begins_until_it_is_back() {
    let (server, wire) = Wire::before_a_server().await;
    let world = World::on(server).await;
    until_followed(&world.server, &world.service).await;
    let (stream, _) = Stream::open(&world.server, &world.service, &[]).await;
    wire.cut().await;
    stream.until_over().await;
    let refused = request(&world.server, &world.service, "/v1/invalidations", &[]).await;
    assert_eq!(refused.status(), 503);
    assert_eq!(refused.headers()["retry-after"], "1");
}

#[tokio::test]
async fn so_many_streams_of_one_service_and_no_more() {
    let world = settled().await;
    let another = another_service(&world).await;
    let mut streams = Vec::new();
    for _ in 0..32 {
        streams.push(Stream::open(&world.server, &world.service, &[]).await);
    }
    world.server.get("/v1/invalidations", &world.service.1).await.refused(409, "too_many_streams");
    Stream::open(&world.server, &another, &[]).await;
    streams.pop();
    let begun = Instant::now();
    while request(&world.server, &world.service, "/v1/invalidations", &[]).await.status() != 200 {
        assert!(begun.elapsed() < Duration::from_secs(4), "its place is free");
    }
}

// ── What an answer says of itself ────────────────────────────────────────────────────────────────────

fn keep(reply: &Reply) -> Option<(i64, u64, usize)> {
    let (as_of, rest) =
        reply.headers.get("jobpass-keep")?.to_str().unwrap().strip_prefix("as-of=")?.split_once(", for-ms=")?;
    let (time, tags) = rest.split_once(", tags=(")?;
    let tags = tags.strip_suffix(')')?.split(' ').filter(|tag| tag.len() == 24).count();
    Some((as_of.parse().unwrap(), time.parse().unwrap(), tags))
}

#[tokio::test]
async fn an_answer_says_how_long_it_may_be_kept_to_whom_asks_for_it() {
    let (world, minted) = granted().await;
    let (_, opened) = Stream::open(&world.server, &world.service, &[]).await;
    let decide = async |token: &str| {
        promised(async || world.authorize(token, &["packages:read"], json!({ "keep": true })).await).await.json
    };
    let introspect =
        async |token: &str| promised(async || world.introspect(token, &[LIB, ("keep", "true")]).await).await;
    let decision = decide(text(&minted)).await;
    assert_eq!((&decision["allowed"], &decision["keep"]["for_ms"]), (&json!(true), &json!(60_000)));
    assert!(decision["keep"]["as_of"].as_i64().unwrap() >= opened.number());
    let dead = decide("unknown").await;
    assert_eq!(dead["keep"]["for_ms"], 1_000, "no longer than it is known here");
    let silent = world.authorize(text(&minted), &["packages:read"], json!({})).await.expect(200).json;
    assert_eq!(silent.get("keep"), None);

    // The token, its job, run, project and credential, the target, their group, and the service.
    let introspected = introspect(text(&minted)).await;
    let (as_of, time, tags) = keep(&introspected).unwrap();
    assert!(as_of >= opened.number());
    assert_eq!((time, tags), (60_000, 8));
    let inactive = introspect("unknown").await;
    assert_eq!((inactive.text.as_str(), keep(&inactive).unwrap().1), (r#"{"active":false}"#, 1_000));
    assert_eq!(keep(&world.introspect(text(&minted), &[LIB]).await), None);
}

#[tokio::test]
async fn what_ends_by_itself_is_kept_no_longer() {
    let (world, _) = granted().await;
    Stream::open(&world.server, &world.service, &[]).await;
    let for_ms = async |token: &str| {
        let asked = ["packages:read", "jobs:read"];
        let decision = promised(async || world.authorize(token, &asked, json!({ "keep": true })).await).await;
        decision.json["keep"]["for_ms"].clone()
    };
    let leased = world.mint("leased", json!({ "job": { "lease_secs": 30 } })).await;
    assert_eq!(for_ms(text(&leased)).await, 30_000);
    world.grant(&["jobs:read"], json!({ "expires_at": "2026-11-23T10:00:20Z" })).await;
    assert_eq!(for_ms(text(&leased)).await, 20_000);
}

#[tokio::test]
async fn an_answer_of_forward_auth_says_so_in_a_header() {
    let (world, minted) = granted().await;
    Stream::open(&world.server, &world.service, &[]).await;
    let gateway = json!({ "name": "gateway", "project": "acme/lib", "forward_auth": { "source": "fixed", "permissions": ["packages:read"] } });
    let gateway = world.server.post("/v1/services", world.admin(), gateway).await.expect(201);
    let ask = async |keep: &[(&str, &str)]| {
        let path = format!("/v1/forward-auth/{}", gateway.text_at("/client_id"));
        let secret = gateway.text_at("/client_secret");
        let headers = [&[("x-jobpass-service", secret.as_str())], keep].concat();
        world.server.call_with("GET", &path, Some(text(&minted)), None, &headers).await.expect(200)
    };
    let told = promised(async || ask(&[("jobpass-keep", "true")]).await).await;
    assert_eq!(keep(&told).unwrap().1, 60_000);
    assert_eq!(keep(&ask(&[]).await), None);
}

/// An operator who wants nothing kept here has nothing kept elsewhere.
#[tokio::test]
async fn with_a_bound_of_nothing_nothing_may_be_kept() {
    let world = World::on(Server::start_with(|settings| settings.cache_staleness_ms = 0).await).await;
    let token = world.token("1").await;
    let (mut stream, opened) = Stream::open_at(&world.server, &world.service, "/v1/invalidations", &[]).await;
    assert_eq!(opened.data["bound_ms"], 0);
    stream.next().await.unwrap();
    assert_eq!(
        world.authorize(&token, &["packages:read"], json!({ "keep": true })).await.expect(200).json.get("keep"),
        None
    );
}
