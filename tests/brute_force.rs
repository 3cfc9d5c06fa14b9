//! Whoever keeps failing to prove itself is told to wait, by address and by the client it claims to be; whoever proves itself never
//! is, wherever it comes from and whatever others do.

use crate::support::process::{Process, jobpass};
use crate::support::{Reply, Server, World, http_client, send, test_db};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jobpass::{ClientAddressHeader, Settings};
use jobpass_domain::token;
use serde_json::json;
use time::Duration;

/// Failures in a minute.
const OF_AN_ADDRESS: usize = 300;
const OF_A_CLIENT: usize = 100;

/// A world behind proxies on loopback, from where the tests come.
async fn behind_proxies(change: impl FnOnce(&mut Settings)) -> World {
    let trust = |settings: &mut Settings| {
        settings.proxies.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap(), "10.0.0.0/8".parse().unwrap()];
        change(settings);
    };
    World::on(Server::start_with(trust).await).await
}

/// An introspection by whoever these credentials of Basic say, with further headers.
async fn introspect(world: &World, (id, secret): (&str, &str), headers: &[(&str, &str)]) -> Reply {
    let request = world.server.http.post(format!("{}/oauth/introspect", world.server.url));
    let request = request.basic_auth(id, Some(secret)).form(&[("token", "x")]);
    send(headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))).await
}

/// A call with a bad token, from where these headers say.
async fn guess(world: &World, headers: &[(&str, &str)]) -> Reply {
    world.server.call_with("GET", "/v1/catalogue", Some("jpu_guess"), None, headers).await
}

/// Repeats an attempt for as long as it is answered with this status: how often, and what came then.
async fn until_limited(status: u16, attempt: impl AsyncFn() -> Reply) -> (usize, Reply) {
    for before in 0..=OF_AN_ADDRESS {
        let reply = attempt().await;
        if reply.status != status {
            return (before, reply);
        }
    }
    panic!("no limit");
}

// ── What is told ─────────────────────────────────────────────────────────────────────────────────────

#[tokio::test]
async fn rfc6585_4_an_address_that_keeps_failing_is_told_to_wait() {
    let world = World::new().await;
    let (failures, limited) = until_limited(401, async || guess(&world, &[]).await).await;
    assert_eq!(failures, OF_AN_ADDRESS);
    let limited = limited.refused(429, "too_many_failures");
    // A fifth of a second gives one back; a second is the least that the header can say.
    assert_eq!(limited.header("retry-after"), "1");
    assert_eq!(limited.header("ratelimit"), r#""address";r=0;t=1"#);
    assert_eq!(limited.header("cache-control"), "no-store");

    world.server.clock.advance(Duration::seconds(1));
    let (failures, _) = until_limited(401, async || guess(&world, &[]).await).await;
    assert_eq!(failures, 5);
    world.server.clock.advance(Duration::minutes(1));
    let (failures, _) = until_limited(401, async || guess(&world, &[]).await).await;
    assert_eq!(failures, OF_AN_ADDRESS);
}

#[tokio::test]
async fn rfc6585_4_at_the_oauth_endpoints_it_is_an_oauth_error() {
    let world = World::new().await;
    let (failures, limited) =
        until_limited(401, async || introspect(&world, (&world.service.0, "wrong"), &[]).await).await;
    assert_eq!(failures, OF_A_CLIENT);
    let limited = limited.expect(429);
    assert_eq!(limited.header("content-type"), "application/json");
    assert_eq!(limited.json["error"], "temporarily_unavailable");
    assert_eq!(limited.header("retry-after"), "1");
    assert_eq!(limited.header("cache-control"), "no-store");
}

#[tokio::test]
async fn draft_ratelimit_headers_4_a_failure_is_told_what_is_left_before_it_is_limited() {
    let world = World::new().await;
    let first = guess(&world, &[]).await.expect(401);
    assert_eq!(first.header("ratelimit-policy"), r#""address";q=300;w=60"#);
    assert_eq!(first.header("ratelimit"), r#""address";r=299;t=1"#);
    assert_eq!(first.header("retry-after"), "");
    let second = introspect(&world, ("somebody", "wrong"), &[]).await.expect(401);
    assert_eq!(second.header("ratelimit-policy"), r#""address";q=300;w=60, "client";q=100;w=60"#);
    assert_eq!(second.header("ratelimit"), r#""address";r=298;t=1, "client";r=99;t=1"#);
    let valid = world.server.get("/v1/catalogue", world.admin()).await.expect(200);
    assert_eq!((valid.header("ratelimit-policy"), valid.header("ratelimit")), ("", ""));
}

#[tokio::test]
async fn whether_a_client_exists_is_not_told_by_its_limit() {
    let world = behind_proxies(|_| {}).await;
    let unknown = "0".repeat(32);
    for (client, address) in [(&*world.service.0, "192.0.2.1"), (&unknown, "192.0.2.2")] {
        let attempt = async || introspect(&world, (client, "wrong"), &[("x-forwarded-for", address)]).await;
        let (failures, limited) = until_limited(401, attempt).await;
        assert_eq!(failures, OF_A_CLIENT);
        assert_eq!(limited.header("ratelimit"), r#""address";r=199;t=21, "client";r=0;t=1"#);
    }
}

#[tokio::test]
async fn failures_are_among_the_figures() {
    let db = test_db().await;
    let server = Process::start(jobpass().args(["serve", "--listen", "127.0.0.1:0"]).env("DATABASE_URL", db.url()));
    let http = http_client();
    for _ in 0..3 {
        send(http.get(format!("{}/v1/catalogue", server.url)).bearer_auth("jpu_guess")).await.expect(401);
    }
    let figures = send(http.get(format!("{}/metrics", server.url))).await.expect(200).text;
    assert!(figures.contains("jobpass_failures_total{limited=\"false\"} 3"), "{figures}");
    server.stopped();
}

// ── Who is never limited ─────────────────────────────────────────────────────────────────────────────

#[tokio::test]
async fn rfc6749_2_3_1_guesses_never_starve_a_valid_caller() {
    let world = World::new().await;
    let token = world.token("1").await;
    until_limited(401, async || world.server.get("/v1/job-tokens/self", "jpj_guess").await).await.1.expect(429);
    for _ in 0..20 {
        assert!(world.is_active(&token).await);
    }
    world.server.get("/v1/job-tokens/self", &token).await.expect(200);
}

#[tokio::test]
async fn rfc6749_2_3_1_guesses_in_the_name_of_a_client_never_starve_it() {
    let world = World::new().await;
    let (id, secret) = &world.service;
    until_limited(401, async || introspect(&world, (id, "wrong"), &[]).await).await.1.expect(429);
    for _ in 0..20 {
        introspect(&world, (id, secret), &[]).await.expect(200);
    }
}

#[tokio::test]
async fn rfc9110_11_6_1_to_ask_for_the_challenge_is_no_failure() {
    let world = World::new().await;
    for _ in 0..OF_AN_ADDRESS + 10 {
        let challenge = world.server.call("GET", "/v1/catalogue", None, None).await.refused(401, "no_credential");
        assert_eq!(challenge.header("ratelimit"), "");
    }
    let challenged = world.server.form("/oauth/introspect", None, &[("token", "x")]).await.expect(401);
    assert_eq!(challenged.header("ratelimit"), "");
}

#[tokio::test]
async fn what_a_proven_caller_is_refused_is_no_failure() {
    let world = World::new().await;
    let token = world.token("1").await;
    let form = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("subject_token", &token),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:access_token"),
        ("scope", "no:such"),
    ];
    for _ in 0..OF_AN_ADDRESS + 10 {
        let refused = world.server.form("/oauth/token", None, &form).await.expect(400);
        assert_eq!((&refused.json["error"], refused.header("ratelimit")), (&json!("invalid_scope"), ""));
    }
}

/// All clients of a gateway share its address, and git's first request never has a token.
#[tokio::test]
async fn what_clients_of_a_gateway_are_refused_is_no_failure() {
    let (world, gateway) = gateway(World::new().await).await;
    for _ in 0..OF_AN_ADDRESS + 10 {
        for token in [None, Some("jpj_guess")] {
            let refused = forward_auth(&world, (&gateway.0, Some(&gateway.1)), token, &[]).await.expect(401);
            assert_eq!(refused.header("ratelimit"), "");
        }
    }
    guess(&world, &[]).await.expect(401);
}

// ── Gateways ─────────────────────────────────────────────────────────────────────────────────────────

/// A service with forward-auth: its client id and secret.
async fn gateway(world: World) -> (World, (String, String)) {
    let service = json!({
        "name": "gateway", "project": "acme/lib", "resources": null,
        "forward_auth": { "source": "fixed", "permissions": ["packages:read"] },
    });
    let made = world.server.post("/v1/services", world.admin(), service).await.expect(201);
    (world, (made.text_at("/client_id"), made.text_at("/client_secret")))
}

async fn forward_auth(
    world: &World,
    (id, secret): (&str, Option<&str>),
    token: Option<&str>,
    headers: &[(&str, &str)],
) -> Reply {
    let request = world.server.http.get(format!("{}/v1/forward-auth/{id}", world.server.url));
    let bearer = token.map(|token| format!("Bearer {token}"));
    let own = [("x-jobpass-service", secret), ("authorization", bearer.as_deref())];
    let own = own.into_iter().filter_map(|(name, value)| value.map(|value| (name, value)));
    send(own.chain(headers.iter().copied()).fold(request, |request, (name, value)| request.header(name, value))).await
}

/// A gateway understands 401 and 403 alone.
#[tokio::test]
async fn rfc6749_2_3_1_guesses_of_a_gateways_secret_are_limited() {
    let (world, (id, secret)) = gateway(World::new().await).await;
    world.grant(&["packages:read"], json!({})).await;
    let token = world.token("1").await;
    let first = forward_auth(&world, (&id, Some("wrong")), None, &[]).await.expect(401);
    assert_eq!(first.header("jobpass-reason"), "gateway");
    assert_eq!(first.header("ratelimit"), r#""address";r=299;t=1, "client";r=99;t=1"#);
    // Without a secret there is no guess.
    assert_eq!(forward_auth(&world, (&id, None), None, &[]).await.expect(401).header("ratelimit"), "");
    let (failures, limited) =
        until_limited(401, async || forward_auth(&world, (&id, Some("wrong")), None, &[]).await).await;
    assert_eq!(failures, OF_A_CLIENT - 1);
    let limited = limited.expect(403);
    assert_eq!((limited.header("jobpass-reason"), limited.header("retry-after")), ("too_many_failures", "1"));
    assert_eq!(limited.header("ratelimit"), r#""address";r=199;t=21, "client";r=0;t=1"#);
    assert_eq!(limited.header("content-type"), "text/plain; charset=utf-8");

    // Whoever proves itself goes on, with good tokens and bad ones; so does the client elsewhere.
    forward_auth(&world, (&id, Some(&secret)), Some(&token), &[]).await.expect(200);
    forward_auth(&world, (&id, Some(&secret)), None, &[]).await.expect(401);
    introspect(&world, (&id, &secret), &[]).await.expect(200);
    introspect(&world, (&id, "wrong"), &[]).await.expect(429);
    world.server.clock.advance(Duration::seconds(1));
    forward_auth(&world, (&id, Some("wrong")), None, &[]).await.expect(401);
}

#[tokio::test]
async fn rfc6749_2_3_1_a_gateway_that_guesses_for_many_is_limited_by_its_address() {
    let world = behind_proxies(|_| {}).await;
    let from = |address| [("x-forwarded-for", address)];
    for n in 0..OF_AN_ADDRESS {
        let id = format!("{n:032x}");
        forward_auth(&world, (&id, Some("wrong")), None, &from("192.0.2.1")).await.expect(401);
    }
    let other = "f".repeat(32);
    forward_auth(&world, (&other, Some("wrong")), None, &from("192.0.2.1")).await.expect(403);
    forward_auth(&world, (&other, Some("wrong")), None, &from("192.0.2.2")).await.expect(401);
}

// ── Whom the limits are on ───────────────────────────────────────────────────────────────────────────

#[tokio::test]
async fn rfc6749_2_3_1_one_client_guessed_from_many_addresses_is_slowed() {
    let world = behind_proxies(|_| {}).await;
    let (id, secret) = &world.service;
    for host in 0..OF_A_CLIENT {
        let from = format!("192.0.2.{host}");
        let reply = if host % 2 == 0 {
            introspect(&world, (id, "wrong"), &[("x-forwarded-for", &from)]).await
        } else {
            let form = [("token", "x"), ("client_id", id), ("client_secret", "wrong")];
            let request = world.server.http.post(format!("{}/oauth/introspect", world.server.url)).form(&form);
            send(request.header("x-forwarded-for", &from)).await
        };
        reply.expect(401);
    }
    let elsewhere = [("x-forwarded-for", "198.51.100.1")];
    introspect(&world, (id, "wrong"), &elsewhere).await.expect(429);
    introspect(&world, (id, secret), &elsewhere).await.expect(200);
    introspect(&world, ("another", "wrong"), &elsewhere).await.expect(401);
}

#[tokio::test]
async fn rfc7523_3_2_assertions_that_a_client_did_not_sign_count_in_its_name() {
    let world = behind_proxies(|_| {}).await;
    let (id, secret) = &world.service;
    let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let claims = json!({ "iss": id, "sub": id, "aud": world.server.url, "exp": 1_900_000_000, "jti": "1" });
    let forged = format!("{}.{}.{}", part(json!({ "alg": "ES256", "typ": "JWT" })), part(claims), "A".repeat(86));
    let form = [
        ("token", "x"),
        ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
        ("client_assertion", &forged),
    ];
    let attempt = async |from: &str| {
        let request = world.server.http.post(format!("{}/oauth/introspect", world.server.url)).form(&form);
        send(request.header("x-forwarded-for", from)).await
    };
    for host in 0..OF_A_CLIENT {
        attempt(&format!("192.0.2.{host}")).await.expect(401);
    }
    attempt("198.51.100.1").await.expect(429);
    introspect(&world, (id, secret), &[("x-forwarded-for", "198.51.100.1")]).await.expect(200);
}

#[tokio::test]
async fn rfc6749_2_3_1_guessed_subject_tokens_are_limited() {
    let world = World::new().await;
    let token = world.token("1").await;
    let exchange = async |subject: &str| {
        let form = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
            ("subject_token", subject),
            ("subject_token_type", "urn:ietf:params:oauth:token-type:access_token"),
        ];
        world.server.form("/oauth/token", None, &form).await
    };
    let (guesses, limited) = until_limited(400, async || exchange("guess").await).await;
    assert_eq!(guesses, OF_AN_ADDRESS);
    limited.expect(429);
    exchange(&token).await.expect(200);
}

#[tokio::test]
async fn rfc6585_4_calls_that_need_no_credential_are_limited() {
    let world = World::new().await;
    let unknown = token::generate(token::Kind::Runner, [7; 32]);
    let report = async || {
        let body = json!({ "token": unknown.expose() });
        world.server.call("POST", "/v1/leaked-tokens", None, Some(body)).await
    };
    let first = report().await.expect(204);
    assert_eq!(first.header("ratelimit-policy"), r#""address";q=300;w=60"#);
    assert_eq!(first.header("ratelimit"), r#""address";r=299;t=1"#);
    let (reports, limited) = until_limited(204, report).await;
    assert_eq!(reports, OF_AN_ADDRESS - 1);
    let limited = limited.refused(429, "too_many_failures");
    assert_eq!(limited.header("ratelimit-policy"), r#""address";q=300;w=60"#);
    assert_eq!(limited.header("cache-control"), "no-store");
    world.server.get("/v1/catalogue", world.admin()).await.expect(200);
}

// ── Where they come from ─────────────────────────────────────────────────────────────────────────────

#[tokio::test]
async fn each_client_behind_a_proxy_has_a_limit_of_its_own() {
    let world = behind_proxies(|_| {}).await;
    let from = async |address: &str| guess(&world, &[("x-forwarded-for", address)]).await;
    until_limited(401, async || from("192.0.2.1").await).await.1.expect(429);
    from("192.0.2.2").await.expect(401);
    // Of the one that was limited, whatever it writes before what the proxies add, in one header or two.
    from("1.2.3.4, 192.0.2.1").await.expect(429);
    from("1.2.3.4, 192.0.2.1, 10.0.0.7").await.expect(429);
    let twice = [("x-forwarded-for", "5.6.7.8"), ("x-forwarded-for", "192.0.2.1")];
    guess(&world, &twice).await.expect(429);
    guess(&world, &[("x-forwarded-for", "192.0.2.1"), ("forwarded", "for=5.6.7.8")]).await.expect(429);
}

#[tokio::test]
async fn of_ipv6_a_64_is_one_client() {
    let world = behind_proxies(|_| {}).await;
    for host in 0..OF_AN_ADDRESS {
        guess(&world, &[("x-forwarded-for", &format!("2001:db8:0:1::{host:x}"))]).await.expect(401);
    }
    guess(&world, &[("x-forwarded-for", "2001:db8:0:1:ffff::1")]).await.expect(429);
    guess(&world, &[("x-forwarded-for", "2001:db8:0:2::1")]).await.expect(401);
}

#[tokio::test]
async fn nobody_but_a_trusted_proxy_says_where_a_call_comes_from() {
    let elsewhere = |settings: &mut Settings| settings.proxies.trusted_proxies = vec!["10.0.0.0/8".parse().unwrap()];
    for server in [Server::start().await, Server::start_with(elsewhere).await] {
        let world = World::on(server).await;
        for host in 0..OF_AN_ADDRESS {
            guess(&world, &[("x-forwarded-for", &format!("192.0.2.{}", host % 256))]).await.expect(401);
        }
        guess(&world, &[("x-forwarded-for", "198.51.100.1"), ("forwarded", "for=198.51.100.1")]).await.expect(429);
    }
}

#[tokio::test]
async fn rfc7239_4_forwarded_says_where_a_call_comes_from_where_it_is_chosen() {
    let forwarded = |settings: &mut Settings| settings.proxies.client_address_header = ClientAddressHeader::Forwarded;
    let world = behind_proxies(forwarded).await;
    let from = async |value: &str| guess(&world, &[("forwarded", value)]).await;
    until_limited(401, async || from("for=192.0.2.1").await).await.1.expect(429);
    from("for=192.0.2.2").await.expect(401);
    from("for=\"[2001:db8::1]:4711\";proto=https").await.expect(401);
    from("for=1.2.3.4, for=\"192.0.2.1:4711\";proto=https, for=10.0.0.7").await.expect(429);
    guess(&world, &[("forwarded", "for=192.0.2.1"), ("x-forwarded-for", "5.6.7.8")]).await.expect(429);
}
