//! Whether the time of an answer tells what the answer does not: introspection of tokens that are unknown, revoked, over or not for the
//! asker, and failed authentication as a client that exists or does not. Medians of interleaved calls, each beside one case that is
//! measured twice: what these two differ by is noise. Run by `make bench`; as a test it runs one short round, so that it cannot rot.
#![expect(clippy::print_stdout, reason = "a benchmark speaks through it")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "as in a test")]

#[path = "../support/mod.rs"]
#[allow(dead_code, unused_imports, reason = "what the tests share, and this needs little of")]
mod support;

use jobpass_domain::token::{self, Kind};
use serde_json::json;
use std::time::{Duration, Instant};
use support::World;

const ROUNDS: usize = 3000;

/// What is asked, and by whom.
struct Case {
    name: &'static str,
    client: (String, String),
    token: String,
    status: u16,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    // `cargo test` runs this, too, without `--bench`.
    let rounds = if std::env::args().any(|argument| argument == "--bench") { ROUNDS } else { 3 };
    let world = World::new().await;
    world.grant(&["packages:read"], json!({})).await;
    let tokens = tokens(&world).await;
    measure("introspection in a project: inactive", &world, &tokens, rounds).await;
    measure("failed authentication: 401", &world, &clients(&world), rounds).await;
}

/// Dead tokens of every kind, all of a token's shape.
async fn tokens(world: &World) -> Vec<Case> {
    let revoked = world.token("revoked").await;
    // Of the same hour as the others: else it would be looked for in no partition at all, which its text tells by itself.
    let hour = token::parse(&revoked).unwrap().hour;
    let unknown = token::generate_job_token(hour, [7; 32]).expose().to_owned();
    world.server.delete("/v1/job-tokens/self", &revoked).await.expect(204);
    let over = world.mint("over", json!({})).await;
    let finish = format!("/v1/jobs/{}/finish", over["job_id"].as_str().unwrap());
    world.server.post(&finish, &world.runner, json!({})).await.expect(200);
    let elsewhere = world.mint("elsewhere", json!({ "audience": ["https://elsewhere.example"] })).await;
    let case = |name, token: &str| Case { name, client: world.service.clone(), token: token.to_owned(), status: 200 };
    vec![
        case("unknown", &unknown),
        case("unknown, once more", &unknown),
        case("revoked", &revoked),
        case("its job is over", over["token"].as_str().unwrap()),
        case("for another service", elsewhere["token"].as_str().unwrap()),
    ]
}

/// A secret that is nobody's, by client ids of every kind.
fn clients(world: &World) -> Vec<Case> {
    let nobody = token::generate(Kind::Service, [7; 32]).expose().to_owned();
    let case =
        |name, id: &str| Case { name, client: (id.to_owned(), nobody.clone()), token: "x".to_owned(), status: 401 };
    let unknown = "0123456789abcdef0123456789abcdef";
    vec![
        case("no such client", unknown),
        case("no such client, once more", unknown),
        case("a client, another's secret", &world.service.0),
    ]
}

async fn measure(title: &str, world: &World, cases: &[Case], rounds: usize) {
    let mut measured = vec![Vec::new(); cases.len()];
    for round in 0..rounds {
        // Another one is first each time: what follows what is no case's own.
        for index in (0..cases.len()).map(|index| (index + round) % cases.len()) {
            measured[index].push(time(world, &cases[index]).await);
        }
        // The limit on failures drains by this clock: two of one client and three of this address.
        world.server.clock.advance(time::Duration::milliseconds(1200));
    }
    report(title, cases, measured);
}

async fn time(world: &World, case: &Case) -> Duration {
    let (id, secret) = &case.client;
    let started = Instant::now();
    let reply = world
        .server
        .form("/oauth/introspect", Some((id, secret)), &[("token", &case.token), ("project", "acme/lib")])
        .await;
    let took = started.elapsed();
    assert_eq!(reply.status, case.status, "{}: {}", case.name, reply.text);
    took
}

fn report(title: &str, cases: &[Case], measured: Vec<Vec<Duration>>) {
    let medians: Vec<f64> = measured.into_iter().map(median).collect();
    println!("\n{title:<52} {:>10} {:>10}", "µs", "× first");
    for (case, micros) in cases.iter().zip(&medians) {
        println!("{:<52} {micros:>10.1} {:>10.3}", case.name, micros / medians[0]);
    }
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1e6
}
