//! A database that takes what it is sent and answers nothing, as a stuck disk or a lost route makes of it; and its return.

use crate::support::{Reply, Server, Wire, World, send};
use reqwest::RequestBuilder;
use serde_json::json;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// What a call waits for the database, and as much again for machines that are busy.
const GIVEN_UP: Duration = Duration::from_secs(10);
/// A second, and as much again.
const BACK: Duration = Duration::from_secs(2);
const FLOOD: usize = 2_000;

fn introspection(world: &World, token: &str) -> RequestBuilder {
    let request = world.server.http.post(format!("{}/oauth/introspect", world.server.url));
    request.basic_auth(&world.service.0, Some(&world.service.1)).form(&[("token", token), ("project", "acme/lib")])
}

fn question(world: &World, token: &str) -> RequestBuilder {
    let request = world.server.http.post(format!("{}/v1/authorize", world.server.url));
    let body = json!({ "token": token, "project": "acme/lib", "permissions": ["packages:read"] });
    request.basic_auth(&world.service.0, Some(&world.service.1)).json(&body)
}

fn mint(world: &World, key: &str) -> RequestBuilder {
    let request = world.server.http.post(format!("{}/v1/job-tokens", world.server.url));
    request.bearer_auth(&world.runner).json(&World::mint_body(key, json!({})))
}

/// Neither an allow nor a no, and when to ask again.
#[track_caller]
fn not_known(reply: &Reply) {
    assert_eq!(reply.status, 503, "{}", reply.text);
    assert_eq!(reply.header("retry-after"), "1");
}

/// Answered at all is answered at once where no database is needed.
async fn status(server: &Server, path: &str) -> u16 {
    send(server.http.get(format!("{}{path}", server.url)).timeout(Duration::from_secs(2))).await.status
}

/// A server whose database has been stuck for longer than anything is answered without it.
async fn stuck() -> (World, Wire, String) {
    let (server, wire) = Wire::before_a_server().await;
    let world = World::on(server).await;
    world.grant(&["packages:read"], json!({})).await;
    let token = world.token("1").await;
    for request in [introspection(&world, &token), question(&world, &token)] {
        send(request).await.expect(200);
    }
    wire.get_stuck();
    let begun = Instant::now();
    while status(&world.server, "/readyz").await == 200 {
        assert!(begun.elapsed() < BACK, "it is not ready, and says so");
    }
    // Until the bound is over, what is known is answered from memory.
    while send(question(&world, &token)).await.status == 200 {
        assert!(begun.elapsed() < GIVEN_UP, "the bound is two seconds");
    }
    (world, wire, token)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_let_in_nobody_hangs_and_within_a_second_all_is_well_again() {
    let (world, wire, token) = stuck().await;
    assert_eq!(status(&world.server, "/healthz").await, 200);
    let begun = Instant::now();
    for request in [introspection(&world, &token), question(&world, &token), mint(&world, "2")] {
        not_known(&send(request).await);
    }
    assert!(begun.elapsed() < 3 * GIVEN_UP);

    wire.go_on();
    let begun = Instant::now();
    while send(introspection(&world, &token)).await.status != 200 {
        assert!(begun.elapsed() < BACK, "not yet");
    }
    send(question(&world, &token)).await.expect(200);
    send(mint(&world, "3")).await.expect(201);
    while status(&world.server, "/readyz").await != 200 {
        assert!(begun.elapsed() < BACK, "not ready");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_does_not_pile_up() {
    let (world, wire, token) = stuck().await;
    let begun = Instant::now();
    let mut calls = JoinSet::new();
    for number in 0..FLOOD {
        let request = match number % 3 {
            0 => introspection(&world, &token),
            1 => question(&world, &token),
            _ => mint(&world, &number.to_string()),
        };
        calls.spawn(send(request));
    }
    while let Some(reply) = calls.join_next().await {
        not_known(&reply.unwrap());
    }
    assert!(begun.elapsed() < GIVEN_UP, "{:?} for {FLOOD} calls", begun.elapsed());

    wire.go_on();
    let begun = Instant::now();
    while send(introspection(&world, &token)).await.status != 200 {
        assert!(begun.elapsed() < BACK, "what was refused stands in nobody's way");
    }
}

/// What waits when it gets stuck is answered like what comes later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_under_way_when_it_gets_stuck_is_given_up() {
    let (server, wire) = Wire::before_a_server().await;
    let world = World::on(server).await;
    let token = world.token("1").await;
    let mut calls = JoinSet::new();
    wire.get_stuck();
    let begun = Instant::now();
    for number in 0..50 {
        calls.spawn(send(introspection(&world, &token).header("cache-control", "no-cache")));
        calls.spawn(send(mint(&world, &number.to_string())));
    }
    while let Some(reply) = calls.join_next().await {
        not_known(&reply.unwrap());
    }
    assert!(begun.elapsed() < GIVEN_UP, "{:?}", begun.elapsed());
    wire.go_on();
    let begun = Instant::now();
    while send(introspection(&world, &token)).await.status != 200 {
        assert!(begun.elapsed() < BACK);
    }
}
