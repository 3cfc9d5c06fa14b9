//! Where the keys of other CIs come from, and what an issuer that misbehaves can do: nothing, to anybody but its own.

use crate::support::issuer::{Fault, Issuer, OURS};
use crate::support::process::{failed, jobpass};
use crate::support::{Reply, START, Server, World};
use jobpass::Settings;
use serde_json::{Value, json};
use std::time::Instant;
use time::Duration;

/// How long a fetch may take, and a little more.
const IN_TIME: std::time::Duration = std::time::Duration::from_secs(8);
/// What needs no fetch, or one that is refused at once, on a machine that is busy.
const AT_ONCE: std::time::Duration = std::time::Duration::from_secs(3);

/// How often one host is asked within half a minute.
const OF_A_HOST: usize = 30;

async fn world(issuer: &Issuer, change: impl FnOnce(&mut Settings)) -> World {
    let server = Server::start_with(|settings| {
        issuer.set(settings);
        change(settings);
    });
    World::on(server.await).await
}

async fn trust(world: &World, project: &str, change: Value) {
    let mut rule = json!({ "name": "ci", "ci": "github", "claims": { "repository_id": ["42"] }, "protected": true });
    crate::support::merge(&mut rule, change);
    let path = format!("/v1/projects/{}/trust-rules", project.replace('/', "%2F"));
    world.server.post(&path, world.admin(), rule).await.expect(201);
}

/// A world in which `acme/web` trusts this issuer.
async fn trusting(issuer: &Issuer) -> World {
    let world = world(issuer, |_| {}).await;
    trust(&world, "acme/web", json!({ "issuer": issuer.url })).await;
    world
}

async fn exchange(world: &World, project: &str, token: &str) -> Reply {
    let form =
        [("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"), ("assertion", token), ("project", project)];
    world.server.form("/oauth/token", None, &form).await
}

async fn minted(world: &World) -> i64 {
    sqlx::query_scalar("select count(*) from job_tokens").fetch_one(&mut world.server.sql().await).await.unwrap()
}

/// A token is refused like any other that no rule takes, in time, and nothing is minted.
async fn refused(world: &World, token: &str, within: std::time::Duration) {
    let before = minted(world).await;
    let began = Instant::now();
    let reply = exchange(world, "acme/web", token).await.expect(400);
    assert!(began.elapsed() < within, "{:?}", began.elapsed());
    assert_eq!(reply.json["error"], "invalid_grant");
    assert!(reply.text_at("/error_description").contains("is taken by no trust rule"), "{}", reply.text);
    assert_eq!(minted(world).await, before);
}

// ── What is kept, and for how long ───────────────────────────────────────────────────────────────────

#[tokio::test]
async fn keys_are_fetched_once_and_kept() {
    let issuer = Issuer::start().await;
    let world = trusting(&issuer).await;
    for n in 0..5 {
        exchange(&world, "acme/web", &issuer.token(&n.to_string(), json!({}))).await.expect(200);
    }
    assert_eq!(issuer.looks(), 2, "the discovery document and the keys");
    world.server.clock.advance(Duration::minutes(10));
    exchange(
        &world,
        "acme/web",
        &issuer.token_at("late", START + Duration::minutes(10), json!({ "check_run_id": "late" })),
    )
    .await
    .expect(200);
    assert_eq!(issuer.looks(), 4, "then they are looked at anew");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_who_need_keys_at_once_one_fetches() {
    let issuer = Issuer::start().await;
    let world = trusting(&issuer).await;
    let tokens = [0, 1, 2, 3].map(|n| issuer.token(&n.to_string(), json!({ "check_run_id": n })));
    let [a, b, c, d] = tokens.each_ref().map(|token| exchange(&world, "acme/web", token));
    let (a, b, c, d) = tokio::join!(a, b, c, d);
    for reply in [a, b, c, d] {
        reply.expect(200);
    }
    assert_eq!(issuer.looks(), 2);
}

#[tokio::test]
async fn an_unknown_key_is_looked_for_once_in_half_a_minute() {
    let issuer = Issuer::start().await;
    let world = trusting(&issuer).await;
    exchange(&world, "acme/web", &issuer.token("a", json!({}))).await.expect(200);
    for n in 0..20 {
        let claims = issuer.claims(&n.to_string(), json!({}));
        let unknown = issuer.sign_with(json!({ "kid": format!("made-up-{n}") }), &claims);
        refused(&world, &unknown, AT_ONCE).await;
    }
    assert_eq!(issuer.looks(), 2, "less than half a minute after the first fetch: none");
    world.server.clock.advance(Duration::seconds(30));
    for n in 0..20 {
        let claims = issuer.claims(&n.to_string(), json!({}));
        let unknown = issuer.sign_with(json!({ "kid": format!("made-up-{n}") }), &claims);
        refused(&world, &unknown, AT_ONCE).await;
    }
    assert_eq!(issuer.looks(), 4, "one more");
    exchange(&world, "acme/web", &issuer.token("b", json!({}))).await.expect(200);
}

/// Whoever writes many rules, each with another address of keys, makes nobody send a flood to one host.
#[tokio::test]
async fn one_host_is_asked_so_often_however_many_issuers_name_it() {
    let issuer = Issuer::start().await;
    let world = world(&issuer, |_| {}).await;
    let named = |n: usize| format!("https://ci{n}.example");
    for n in 0..=OF_A_HOST {
        trust(
            &world,
            "acme/web",
            json!({ "issuer": named(n), "jwks_uri": format!("{}/keys/{n}", issuer.url), "name": format!("ci{n}") }),
        )
        .await;
    }
    let token = |n: usize| issuer.token(&n.to_string(), json!({ "iss": named(n), "run_id": n }));
    for n in 0..OF_A_HOST {
        exchange(&world, "acme/web", &token(n)).await.expect(200);
    }
    refused(&world, &token(OF_A_HOST), AT_ONCE).await;
    assert_eq!(issuer.looks(), OF_A_HOST);
    // What is known already goes on, and half a minute later there is room again.
    let again = issuer.token("again", json!({ "iss": named(0), "run_id": "again" }));
    exchange(&world, "acme/web", &again).await.expect(200);
    world.server.clock.advance(Duration::seconds(30));
    exchange(&world, "acme/web", &token(OF_A_HOST)).await.expect(200);
    assert_eq!(issuer.looks(), OF_A_HOST + 1);
}

#[tokio::test]
async fn an_issuer_may_rotate_its_keys_at_any_time() {
    let issuer = Issuer::start().await;
    let world = trusting(&issuer).await;
    let old = issuer.token("old", json!({}));
    exchange(&world, "acme/web", &issuer.token("a", json!({}))).await.expect(200);
    issuer.rotate(true);
    let new = issuer.token("new", json!({}));
    refused(&world, &new, AT_ONCE).await;
    exchange(&world, "acme/web", &old).await.expect(200);
    world.server.clock.advance(Duration::seconds(30));
    exchange(&world, "acme/web", &new).await.expect(200);
    let withdrawn = Issuer::claims(&issuer, "x", json!({}));
    let withdrawn = issuer.sign_with(json!({ "kid": "k1" }), &withdrawn);
    refused(&world, &withdrawn, AT_ONCE).await;
}

#[tokio::test]
async fn old_keys_outlast_an_issuer_that_is_away_for_an_hour() {
    let issuer = Issuer::start().await;
    let world = trusting(&issuer).await;
    exchange(&world, "acme/web", &issuer.token("a", json!({}))).await.expect(200);
    issuer.fault(Fault::Status(503));
    world.server.clock.advance(Duration::minutes(59));
    exchange(&world, "acme/web", &issuer.token_at("b", START + Duration::minutes(59), json!({ "check_run_id": "b" })))
        .await
        .expect(200);
    world.server.clock.advance(Duration::minutes(1));
    refused(&world, &issuer.token_at("c", START + Duration::hours(1), json!({ "check_run_id": "c" })), AT_ONCE).await;
    issuer.fault(None);
    world.server.clock.advance(Duration::seconds(30));
    exchange(
        &world,
        "acme/web",
        &issuer.token_at("d", START + Duration::seconds(3630), json!({ "check_run_id": "d" })),
    )
    .await
    .expect(200);
}

#[tokio::test]
async fn a_failure_is_remembered_for_half_a_minute() {
    let issuer = Issuer::start().await;
    let world = trusting(&issuer).await;
    issuer.fault(Fault::Status(500));
    let token = issuer.token("a", json!({}));
    for _ in 0..5 {
        refused(&world, &token, AT_ONCE).await;
    }
    assert_eq!(issuer.looks(), 1);
    issuer.fault(None);
    refused(&world, &token, AT_ONCE).await;
    world.server.clock.advance(Duration::seconds(30));
    exchange(&world, "acme/web", &token).await.expect(200);
}

// ── Issuers that misbehave ───────────────────────────────────────────────────────────────────────────

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_issuer_that_hangs_keeps_nobody_else_waiting() {
    let (hanging, other) = (Issuer::start().await, Issuer::start().await);
    other.vouch_for(&hanging);
    let world = trusting(&other).await;
    trust(&world, "acme/lib", json!({ "issuer": hanging.url })).await;
    hanging.fault(Fault::Hang);
    let token = hanging.token("a", json!({}));
    let waits = async {
        let began = Instant::now();
        exchange(&world, "acme/lib", &token).await.expect(400);
        assert!(began.elapsed() < IN_TIME, "{:?}", began.elapsed());
        exchange(&world, "acme/lib", &token).await.expect(400);
    };
    let goes_on = async {
        for n in 0..10 {
            let began = Instant::now();
            exchange(&world, "acme/web", &other.token(&n.to_string(), json!({}))).await.expect(200);
            world.server.get("/v1/projects/acme%2Fweb", world.admin()).await.expect(200);
            assert!(began.elapsed() < AT_ONCE, "{:?}", began.elapsed());
        }
    };
    tokio::join!(waits, goes_on);
    assert_eq!(hanging.looks(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_who_hangs_up_takes_no_fetch_with_it() {
    let issuer = Issuer::start().await;
    let world = trusting(&issuer).await;
    issuer.fault(Fault::Hang);
    let token = issuer.token("a", json!({}));
    let server = &world.server;
    let request = server.http.post(format!("{}/oauth/token", server.url)).timeout(std::time::Duration::from_secs(2));
    let form = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
        ("assertion", &*token),
        ("project", "acme/web"),
    ];
    assert!(request.form(&form).send().await.unwrap_err().is_timeout());
    refused(&world, &token, IN_TIME).await;
    assert_eq!(issuer.looks(), 1, "the fetch that the first began is the one that the second waits for");
}

#[tokio::test]
async fn whatever_an_issuer_answers_it_is_refused_fast() {
    let elsewhere = Issuer::start().await;
    let key = elsewhere.url.clone() + "/keys";
    let many: Vec<_> =
        (0..65).map(|n| json!({ "kty": "OKP", "crv": "Ed25519", "x": "AA", "kid": n.to_string() })).collect();
    for fault in [
        Fault::Huge,
        Fault::Redirect(key.clone()),
        Fault::Status(404),
        Fault::Status(204),
        Fault::Discovery(json!({ "issuer": "https://elsewhere.example", "jwks_uri": key })),
        Fault::Discovery(json!({ "issuer": "", "jwks_uri": key })),
        Fault::Discovery(json!({ "jwks_uri": key })),
        Fault::Discovery(json!([])),
        Fault::Keys(json!({ "keys": many })),
        Fault::Keys(json!({ "keys": [] })),
        Fault::Keys(json!({ "keys": [{ "kty": "oct", "k": "c2VjcmV0", "kid": "k1", "alg": "HS256" }] })),
        Fault::Keys(json!("nothing")),
        Fault::Keys(json!({})),
    ] {
        let issuer = Issuer::start().await;
        let world = trusting(&issuer).await;
        let shown = format!("{fault:?}").chars().take(60).collect::<String>();
        issuer.fault(fault);
        refused(&world, &issuer.token("a", json!({})), AT_ONCE).await;
        assert!(issuer.looks() <= 2, "{shown}");
        // It mends its ways, and is taken again.
        issuer.fault(None);
        world.server.clock.advance(Duration::seconds(30));
        exchange(&world, "acme/web", &issuer.token("a", json!({}))).await.expect(200);
    }
    assert_eq!(elsewhere.looks(), 0, "nobody is led elsewhere");
}

#[tokio::test]
async fn a_discovery_document_leads_to_no_address_that_is_not_admitted() {
    for target in [
        "http://127.0.0.1:1/keys",
        "https://10.0.0.1/keys",
        "https://[::1]:1/keys",
        "https://169.254.169.254/",
        "file:///etc/passwd",
        "nonsense",
    ] {
        let issuer = Issuer::start().await;
        let world = trusting(&issuer).await;
        issuer.fault(Fault::Discovery(json!({ "issuer": issuer.url, "jwks_uri": target })));
        refused(&world, &issuer.token("a", json!({})), AT_ONCE).await;
        assert_eq!(issuer.looks(), 1, "{target}");
    }
}

#[tokio::test]
async fn a_rule_may_say_where_the_keys_are() {
    let issuer = Issuer::start().await;
    let world = world(&issuer, |_| {}).await;
    let named = "https://ci.example";
    trust(&world, "acme/web", json!({ "issuer": named, "jwks_uri": format!("{}/keys", issuer.url) })).await;
    exchange(&world, "acme/web", &issuer.token("a", json!({ "iss": named }))).await.expect(200);
    assert_eq!(issuer.looks(), 1, "and no discovery document is asked for");
}

// ── Where may be connected to ────────────────────────────────────────────────────────────────────────

#[tokio::test]
async fn an_address_that_is_not_public_is_not_connected_to() {
    let issuer = Issuer::start().await;
    let world = world(&issuer, |settings| settings.issuers.allowed_issuer_networks.clear()).await;
    for url in [issuer.url.clone(), issuer.by_name()] {
        trust(&world, "acme/web", json!({ "issuer": url })).await;
        refused(&world, &issuer.token("a", json!({ "iss": url })), AT_ONCE).await;
    }
    trust(&world, "acme/web", json!({ "issuer": "https://ci.example", "jwks_uri": format!("{}/keys", issuer.url) }))
        .await;
    refused(&world, &issuer.token("a", json!({ "iss": "https://ci.example" })), AT_ONCE).await;
    assert_eq!(issuer.looks(), 0);
}

#[tokio::test]
async fn a_name_is_judged_by_the_addresses_that_it_has() {
    let issuer = Issuer::start().await;
    let other =
        |settings: &mut Settings| settings.issuers.allowed_issuer_networks = vec!["10.0.0.0/8".parse().unwrap()];
    let narrow = world(&issuer, other).await;
    trust(&narrow, "acme/web", json!({ "issuer": issuer.by_name() })).await;
    refused(&narrow, &issuer.token("a", json!({ "iss": issuer.by_name() })), AT_ONCE).await;
    assert_eq!(issuer.looks(), 0);
    let world = world(&issuer, |_| {}).await;
    trust(&world, "acme/web", json!({ "issuer": issuer.by_name(), "jwks_uri": format!("{}/keys", issuer.by_name()) }))
        .await;
    exchange(&world, "acme/web", &issuer.token("a", json!({ "iss": issuer.by_name() }))).await.expect(200);
}

#[tokio::test]
async fn a_certificate_of_nobody_who_is_trusted_is_refused() {
    let (issuer, other) = (Issuer::start().await, Issuer::start().await);
    let world = world(&other, |_| {}).await;
    trust(&world, "acme/web", json!({ "issuer": issuer.url })).await;
    refused(&world, &issuer.token("a", json!({})), AT_ONCE).await;
    assert_eq!(issuer.looks(), 0);
}

#[tokio::test]
async fn settings_that_cannot_be_used_stop_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, "no certificate").unwrap();
    let missing = folder.path().join("none.pem");
    for (value, why) in [(&file, "holds no certificate in PEM"), (&missing, "none.pem")] {
        let mut command = jobpass();
        command.args(["serve", "--listen", "127.0.0.1:0", "--issuer", OURS, "--issuer-ca-file"]).arg(value);
        command.env("DATABASE_URL", "postgres://localhost:1/none");
        let told = failed(&mut command);
        assert!(told.contains(why) && told.contains("--issuer-ca-file"), "{told}");
    }
}
