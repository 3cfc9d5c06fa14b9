//! Whether the time of an answer tells what the answer does not: introspection of tokens that are unknown, revoked, over or not for the
//! asker; failed authentication as a client that exists or does not, by secret and by signature; and forged ID tokens for projects that
//! trust their issuer, do not, or are not there. Medians of interleaved calls, each beside one case that is measured twice: what
//! these two differ by is noise. Run by `make bench-timing`; as a test it runs one short round, so that it cannot rot.
#![expect(clippy::print_stdout, reason = "a benchmark speaks through it")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "as in a test")]

#[path = "../support/mod.rs"]
#[allow(dead_code, unused_imports, reason = "what the tests share, and this needs little of")]
mod support;

use jobpass_domain::token::{self, Kind};
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use support::issuer::{Issuer, OURS};
use support::signer::Signer;
use support::{START, Server, World, send};

const ROUNDS: usize = 3000;
/// By a fast and by a slow kind of signature.
const ALGORITHMS: [Algorithm; 2] = [Algorithm::ES256, Algorithm::RS256];

/// What is asked, and by whom.
struct Case {
    name: &'static str,
    path: &'static str,
    client: Option<(String, String)>,
    form: Vec<(&'static str, String)>,
    status: u16,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    // `cargo test` runs this, too, without `--bench`.
    let rounds = if std::env::args().any(|argument| argument == "--bench") { ROUNDS } else { 3 };
    let issuer = Issuer::start().await;
    let world = World::on(Server::start_with(|settings| issuer.set(settings)).await).await;
    world.grant(&["packages:read"], json!({})).await;
    let tokens = tokens(&world).await;
    measure("introspection in a project: inactive", &world, &tokens, rounds).await;
    measure("failed authentication: 401", &world, &clients(&world), rounds).await;
    for algorithm in ALGORITHMS {
        let cases = forged_assertions(&world, algorithm).await;
        measure(&format!("a forged assertion, {algorithm:?}: 401"), &world, &cases, rounds).await;
    }
    trust(&world, &issuer).await;
    for algorithm in ALGORITHMS {
        let cases = forged_id_tokens(&issuer, algorithm);
        measure(&format!("a forged ID token, {algorithm:?}: 400"), &world, &cases, rounds).await;
    }
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
    let case = |name, token: &str| introspection(name, &world.service, token, 200);
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
    let case = |name, id: &str| introspection(name, &(id.to_owned(), nobody.clone()), "x", 401);
    let unknown = "0123456789abcdef0123456789abcdef";
    vec![
        case("no such client", unknown),
        case("no such client, once more", unknown),
        case("a client, another's secret", &world.service.0),
    ]
}

fn introspection(name: &'static str, client: &(String, String), token: &str, status: u16) -> Case {
    let form = vec![("token", token.to_owned()), ("project", "acme/lib".to_owned())];
    Case { name, path: "/oauth/introspect", client: Some(client.clone()), form, status }
}

/// What somebody else signed in the name of clients of every kind: with a key, paused with a key, and without one.
async fn forged_assertions(world: &World, algorithm: Algorithm) -> Vec<Case> {
    let (genuine, forger) = (Signer::new(algorithm, "one"), Signer::new(algorithm, "one"));
    let keyless = service(world, None).await;
    let (known, paused) = (service(world, Some(&genuine)).await, service(world, Some(&genuine)).await);
    let path = format!("/v1/services/{paused}");
    world.server.patch(&path, world.admin(), json!({ "paused": true })).await.expect(200);
    let case = |name, id: &str| {
        let claims = json!({ "iss": id, "sub": id, "aud": OURS, "exp": START.unix_timestamp() + 300, "jti": "x" });
        let assertion = forger.sign(&claims);
        let by_jwt = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer".to_owned();
        let form = vec![("token", "x".to_owned()), ("client_assertion_type", by_jwt), ("client_assertion", assertion)];
        Case { name, path: "/oauth/introspect", client: None, form, status: 401 }
    };
    let unknown = "0123456789abcdef0123456789abcdef";
    vec![
        case("no such client", unknown),
        case("no such client, once more", unknown),
        case("a client without a key", &keyless),
        case("a paused client", &paused),
        case("a client with another key", &known),
    ]
}

/// The client id of a new one.
async fn service(world: &World, key: Option<&Signer>) -> String {
    let made = world.server.post("/v1/services", world.admin(), json!({ "name": "measured" })).await.expect(201);
    let id = made.text_at("/client_id");
    if let Some(signer) = key {
        let (path, keys) = (format!("/v1/services/{id}/jwks"), json!({ "keys": [signer.jwk()] }));
        world.server.call_with("PUT", &path, Some(world.admin()), Some(keys), &[("if-match", "*")]).await.expect(200);
    }
    id
}

/// `acme/web` trusts the issuer, whose keys are known from a first use.
async fn trust(world: &World, issuer: &Issuer) {
    let rule = json!({ "name": "ci", "issuer": issuer.url, "ci": "github", "claims": { "repository_id": ["42"] } });
    world.server.post("/v1/projects/acme%2Fweb/trust-rules", world.admin(), rule).await.expect(201);
    issuer.publish(Signer::new(Algorithm::RS256, "rsa").jwk());
    let first = issuer.token("first", json!({ "ref": "refs/heads/feature", "exp": day_after() }));
    let case = Case { status: 200, ..id_token("first", first, "acme/web") };
    time(world, &case).await;
}

/// What somebody else signed in the name of the issuer, under the names of its keys.
fn forged_id_tokens(issuer: &Issuer, algorithm: Algorithm) -> Vec<Case> {
    let forger = Signer::new(algorithm, if algorithm == Algorithm::RS256 { "rsa" } else { "k1" });
    let token = forger.sign(&issuer.claims("forged", json!({ "exp": day_after() })));
    let case = |name, project| Case { status: 400, ..id_token(name, token.clone(), project) };
    vec![
        case("no such project", "acme/nothing"),
        case("no such project, once more", "acme/nothing"),
        case("a project without a rule", "acme/lib"),
        case("a project that trusts the issuer", "acme/web"),
    ]
}

fn id_token(name: &'static str, token: String, project: &str) -> Case {
    let grant = "urn:ietf:params:oauth:grant-type:jwt-bearer".to_owned();
    let form = vec![("grant_type", grant), ("assertion", token), ("project", project.to_owned())];
    Case { name, path: "/oauth/token", client: None, form, status: 200 }
}

/// The clock goes on by more than an hour.
fn day_after() -> Value {
    json!(START.unix_timestamp() + 86_400)
}

async fn measure(title: &str, world: &World, cases: &[Case], rounds: usize) {
    let mut measured = vec![Vec::new(); cases.len()];
    for round in 0..rounds {
        // Another one is first each time: what follows what is no case's own.
        for index in (0..cases.len()).map(|index| (index + round) % cases.len()) {
            measured[index].push(time(world, &cases[index]).await);
        }
        // The limit on failures drains by this clock: two of one client and six of this address.
        world.server.clock.advance(time::Duration::milliseconds(1200));
    }
    report(title, cases, measured);
}

async fn time(world: &World, case: &Case) -> Duration {
    // What is kept of an answer would be measured otherwise, by whoever asks second.
    let mut request = world.server.http.post(format!("{}{}", world.server.url, case.path));
    request = request.form(&case.form).header("cache-control", "no-cache");
    if let Some((id, secret)) = &case.client {
        request = request.basic_auth(id, Some(secret));
    }
    let started = Instant::now();
    let reply = send(request).await;
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
