//! Another CI's ID token in, a job token out: by token exchange (RFC 8693) and by the jwt-bearer grant (RFC 7523), under a trust rule.

use crate::private_key_jwt;
use crate::support::issuer::{Issuer, OURS};
use crate::support::signer::Signer;
use crate::support::{Reply, START, Server, World, merge, send};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use time::Duration;

const TOKEN: &str = "/oauth/token";
const RULES: &str = "/v1/projects/acme%2Fweb/trust-rules";
const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";
const ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";

/// An organisation whose `acme/web` trusts repository 42 of another CI.
struct Trusting {
    world: World,
    issuer: Issuer,
    /// The rule's id and path.
    rule: String,
    path: String,
}

impl Trusting {
    /// `change` is merged into the rule.
    async fn with(change: Value) -> Trusting {
        let issuer = Issuer::start().await;
        let world = World::on(Server::start_with(|settings| issuer.set(settings)).await).await;
        let mut this = Trusting { world, issuer, rule: String::new(), path: String::new() };
        this.rule = this.add_rule(change).await;
        this.path = format!("{RULES}/{}", this.rule);
        this
    }

    /// One that mints for protected refs.
    async fn new() -> Trusting {
        Trusting::with(json!({ "protected": true })).await
    }

    fn rule_body(&self, change: Value) -> Value {
        let mut rule =
            json!({ "name": "ci", "issuer": self.issuer.url, "ci": "github", "claims": { "repository_id": ["42"] } });
        merge(&mut rule, change);
        rule
    }

    async fn add_rule(&self, change: Value) -> String {
        let body = self.rule_body(change);
        self.world.server.post(RULES, self.world.person("maintainer"), body).await.expect(201).text_at("/id")
    }

    async fn put_rule(&self, change: Value) {
        let (maintainer, body) = (Some(self.world.person("maintainer")), Some(self.rule_body(change)));
        self.world.server.call_with("PUT", &self.path, maintainer, body, &[("if-match", "*")]).await.expect(200);
    }

    async fn exchange_with(&self, token: &str, more: &[(&str, &str)]) -> Reply {
        exchange(&self.world.server, token, more).await
    }

    /// Under the rules of `acme/web`.
    async fn exchange(&self, token: &str) -> Reply {
        self.exchange_with(token, &[("project", "acme/web")]).await
    }

    async fn grant(&self, token: &str) -> Reply {
        let form = [("grant_type", JWT_BEARER), ("assertion", token), ("project", "acme/web")];
        self.world.server.form(TOKEN, None, &form).await
    }

    /// A job token for these claims.
    async fn token(&self, jti: &str, change: Value) -> String {
        self.exchange(&self.issuer.token(jti, change)).await.expect(200).text_at("/access_token")
    }

    /// Of whom an ID token for the outside speaks that this job token gets.
    async fn subject_of_id_token(&self, token: &str) -> String {
        let form = [
            ("grant_type", EXCHANGE),
            ("subject_token", token),
            ("audience", "vault"),
            ("subject_token_type", "urn:ietf:params:oauth:token-type:access_token"),
            ("requested_token_type", ID_TOKEN),
        ];
        let reply = self.world.server.form(TOKEN, None, &form).await.expect(200);
        let claims = jsonwebtoken::dangerous::insecure_decode::<Value>(reply.text_at("/access_token")).unwrap().claims;
        claims["sub"].as_str().unwrap().to_owned()
    }

    async fn counts(&self) -> (i64, i64, i64, i64) {
        let mut sql = self.world.server.sql().await;
        let count =
            "select (select count(*) from pipelines), (select count(*) from jobs), (select count(*) from job_tokens),
            (select count(*) from used_assertions)";
        sqlx::query_as(count).fetch_one(&mut sql).await.unwrap()
    }
}

async fn exchange(server: &Server, token: &str, more: &[(&str, &str)]) -> Reply {
    let required = [("grant_type", EXCHANGE), ("subject_token", token), ("subject_token_type", ID_TOKEN)];
    let form: Vec<_> = required.iter().chain(more).copied().collect();
    server.form(TOKEN, None, &form).await
}

#[track_caller]
fn refused(reply: Reply, error: &str, why: &str) {
    let reply = reply.expect(400);
    assert_eq!(reply.json["error"], error, "{}", reply.text);
    let told = reply.text_at("/error_description");
    assert!(told.contains(why), "{told}");
    assert!(told.chars().all(|c| matches!(c, '\x20'..='\x21' | '\x23'..='\x5b' | '\x5d'..='\x7e')), "{told}");
}

const NO_RULE: &str = "the ID token is taken by no trust rule of that project, or not under that client id";

// ── RFC 8693: as the subject token of an exchange ────────────────────────────────────────────────────

#[tokio::test]
async fn rfc8693_2_2_1_an_id_token_of_a_trusted_ci_is_exchanged_for_a_job_token() {
    let trusting =
        Trusting::with(json!({ "protected": true, "permissions": ["packages:read"], "max_lifetime_secs": 600 })).await;
    let reply = trusting.exchange(&trusting.issuer.token("a", json!({ "environment": "staging" }))).await.expect(200);
    let members: BTreeSet<_> = reply.json.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(members, BTreeSet::from(["access_token", "issued_token_type", "token_type", "expires_in", "scope"]));
    assert_eq!(reply.json["issued_token_type"], "urn:ietf:params:oauth:token-type:access_token");
    assert_eq!((&reply.json["token_type"], &reply.json["expires_in"]), (&json!("Bearer"), &json!(900)));
    assert_eq!(reply.json["scope"], "packages:read");
    assert_eq!((reply.header("cache-control"), reply.header("pragma")), ("no-store", "no-cache"));

    let token = reply.text_at("/access_token");
    let seen = trusting.world.introspect(&token, &[]).await.expect(200).json;
    assert_eq!((&seen["active"], &seen["client_id"]), (&json!(true), &json!(trusting.rule)));
    let key = format!("{} 16062183829/1", trusting.issuer.url);
    for (name, expected) in [
        ("project", json!("acme/web")),
        ("pipeline", json!(key)),
        ("job", json!(format!("{key} 45330921120"))),
        ("ref", json!("main")),
        ("ref_type", json!("branch")),
        ("protected", json!(true)),
        ("sha", json!("a".repeat(40))),
        ("environment", json!("staging")),
        ("trigger", json!("push")),
        ("from_fork", json!(false)),
        ("actor_claimed", json!("octocat")),
    ] {
        assert_eq!(seen[name], expected, "{name}");
    }
    let own = trusting.world.server.get("/v1/job-tokens/self", &token).await.expect(200).json;
    assert_eq!((&own["token"]["trust_rule_id"], &own["token"]["runner_id"]), (&json!(trusting.rule), &json!(null)));
    let listed =
        trusting.world.server.get("/v1/projects/acme%2Fweb/job-tokens", trusting.world.person("maintainer")).await;
    assert_eq!(listed.expect(200).json["items"][0]["trust_rule_id"], json!(trusting.rule));
}

#[tokio::test]
async fn rfc8693_3_a_subject_token_may_be_called_a_jwt() {
    let trusting = Trusting::new().await;
    let token = trusting.issuer.token("a", json!({}));
    let form =
        [("grant_type", EXCHANGE), ("subject_token", &token), ("subject_token_type", JWT), ("project", "acme/web")];
    trusting.world.server.form(TOKEN, None, &form).await.expect(200);
}

#[tokio::test]
async fn rfc8693_2_2_2_an_id_token_that_is_not_taken_is_an_invalid_request() {
    let trusting = Trusting::new().await;
    refused(trusting.exchange("nonsense").await, "invalid_request", "is not a JWT");
    let other = trusting.issuer.token("a", json!({ "repository_id": "43" }));
    refused(trusting.exchange(&other).await, "invalid_request", NO_RULE);
    let token = trusting.issuer.token("b", json!({}));
    refused(trusting.exchange_with(&token, &[]).await, "invalid_request", "project is missing");
    let apart = [("project", "acme/lib"), ("client_id", &*trusting.rule)];
    refused(trusting.exchange_with(&token, &apart).await, "invalid_request", NO_RULE);
    refused(trusting.exchange_with(&token, &[("client_id", "x")]).await, "invalid_request", "no id of a trust rule");
    refused(trusting.exchange_with(&token, &[("project", "a\0b")]).await, "invalid_request", "no path and no id");
    trusting.exchange_with(&token, &[("client_id", &trusting.rule)]).await.expect(200);
    let token = trusting.issuer.token("c", json!({}));
    let agree = [("project", "acme/web"), ("client_id", &*trusting.rule)];
    trusting.exchange_with(&token, &agree).await.expect(200);
}

#[tokio::test]
async fn rfc8693_2_1_an_id_token_never_brings_more_than_its_rule_allows() {
    let trusting = Trusting::with(json!({ "protected": true, "permissions": ["packages:read", "jobs:read"] })).await;
    let asked = async |jti, scope| {
        let token = trusting.issuer.token(jti, json!({}));
        trusting.exchange_with(&token, &[("project", "acme/web"), ("scope", scope)]).await
    };
    assert_eq!(asked("a", "packages:read").await.expect(200).json["scope"], "packages:read");
    refused(asked("b", "packages:create").await, "invalid_scope", "more permissions than the trust rule allows");
    refused(asked("b", "packages:fly").await, "invalid_scope", "no such permission");
    refused(asked("b", " ").await, "invalid_scope", "names nothing");
    assert_eq!(asked("b", "").await.expect(200).json["scope"], "jobs:read packages:read", "a refusal used nothing up");
    let token = trusting.issuer.token("c", json!({}));
    let details = [("project", "acme/web"), ("authorization_details", "[]")];
    refused(trusting.exchange_with(&token, &details).await, "invalid_authorization_details", "narrow");
}

#[tokio::test]
async fn rfc8707_2_a_resource_becomes_the_audience_of_the_job_token() {
    let trusting = Trusting::new().await;
    let asked = async |jti, resource| {
        let token = trusting.issuer.token(jti, json!({}));
        trusting.exchange_with(&token, &[("project", "acme/web"), ("resource", resource)]).await
    };
    let token = asked("a", "https://registry.example").await.expect(200).text_at("/access_token");
    let own = trusting.world.server.get("/v1/job-tokens/self", &token).await.expect(200).json;
    assert_eq!(own["token"]["audience"], json!(["https://registry.example"]));
    assert!(!trusting.world.is_active(&token).await, "and it is not meant for another service");
    refused(asked("b", "registry").await, "invalid_target", "absolute URI");
    refused(asked("b", "https://registry.example#x").await, "invalid_target", "absolute URI");
}

// ── RFC 7523: as the assertion of a grant ────────────────────────────────────────────────────────────

#[tokio::test]
async fn rfc7523_2_1_an_assertion_brings_a_job_token() {
    let trusting = Trusting::new().await;
    let reply = trusting.grant(&trusting.issuer.token("a", json!({}))).await.expect(200);
    assert!(trusting.world.is_active(&reply.text_at("/access_token")).await);
    refused(
        trusting.world.server.form(TOKEN, None, &[("grant_type", JWT_BEARER), ("project", "acme/web")]).await,
        "invalid_request",
        "assertion is missing",
    );
}

#[tokio::test]
async fn rfc7523_3_1_an_assertion_that_is_not_taken_is_an_invalid_grant() {
    let trusting = Trusting::new().await;
    refused(trusting.grant("nonsense").await, "invalid_grant", "is not a JWT");
    let other = trusting.issuer.token("a", json!({ "repository_id": "43" }));
    refused(trusting.grant(&other).await, "invalid_grant", NO_RULE);
    let token = trusting.issuer.token("b", json!({}));
    trusting.grant(&token).await.expect(200);
    refused(trusting.grant(&token).await, "invalid_grant", "was used before");
}

/// Each is wrong in one respect; nothing is minted, and the token that is right in all is taken after.
#[tokio::test]
async fn rfc7523_3_whatever_is_wrong_with_an_assertion_nothing_is_minted() {
    let trusting = Trusting::new().await;
    let now = START.unix_timestamp();
    for (change, why) in [
        (json!({ "iss": null }), "has no `iss`"),
        (json!({ "iss": "https://elsewhere.example" }), NO_RULE),
        (json!({ "iss": "nul\0" }), "no issuer's"),
        (json!({ "iss": 7 }), "has no `iss`"),
        (json!({ "sub": null }), "has no `sub`"),
        (json!({ "aud": null }), "has no `aud`"),
        (json!({ "aud": "https://elsewhere.example" }), "is not meant for this issuer"),
        (json!({ "aud": [OURS, "https://elsewhere.example"] }), "is not meant for this issuer"),
        (json!({ "aud": format!("{OURS}/") }), "is not meant for this issuer"),
        (json!({ "exp": null }), "has no `exp`"),
        (json!({ "exp": "tomorrow" }), "has no `exp`"),
        (json!({ "exp": now - 60 }), "has expired"),
        (json!({ "nbf": now + 61 }), "is not valid yet"),
        (json!({ "iat": now + 61 }), "is not valid yet"),
        (json!({ "exp": now + 86401 }), "lives too long"),
        (json!({ "iat": now - 86400 }), "lives too long"),
        (json!({ "repository_id": null }), NO_RULE),
        (json!({ "event_name": null }), "the claim `event_name` is missing"),
        (json!({ "ref": "main" }), "the claim `ref` is missing, or not what it should be"),
        (json!({ "run_id": "x".repeat(300) }), "at too great a length"),
    ] {
        let token = trusting.issuer.token("a", change.clone());
        refused(trusting.exchange(&token).await, "invalid_request", why);
        refused(trusting.grant(&token).await, "invalid_grant", why);
    }
    assert_eq!(trusting.counts().await, (0, 0, 0, 0));
    trusting.token("a", json!({})).await;
}

#[tokio::test]
async fn rfc7523_3_an_assertion_is_taken_until_its_end_and_a_minute() {
    let trusting = Trusting::new().await;
    let token = trusting.issuer.token("a", json!({}));
    let late = trusting.issuer.token("b", json!({}));
    trusting.world.server.clock.advance(Duration::seconds(359));
    trusting.exchange(&token).await.expect(200);
    trusting.world.server.clock.advance(Duration::seconds(1));
    refused(trusting.exchange(&late).await, "invalid_request", "has expired");
}

// ── RFC 6749: beside a client's authentication ───────────────────────────────────────────────────────

/// How a client authenticates: by a header, or by what is in the form.
#[derive(Debug)]
struct Way {
    authorization: Option<String>,
    form: Vec<(&'static str, String)>,
}

/// All that a client has, with and without `client_id` where either will do.
fn ways(server: &Server, id: &str, secret: &str, signer: &Signer) -> [Way; 7] {
    let way =
        |authorization: Option<String>, form: &[&[(&'static str, String)]]| Way { authorization, form: form.concat() };
    let basic = || Some(format!("Basic {}", STANDARD.encode(format!("{id}:{secret}"))));
    let bearer = || Some(format!("Bearer {secret}"));
    let named = [("client_id", id.to_owned())];
    let signed = || {
        let assertion = signer.sign(&private_key_jwt::claims(server, id, json!({ "aud": OURS })));
        [("client_assertion_type", ASSERTION.to_owned()), ("client_assertion", assertion)]
    };
    [
        way(basic(), &[]),
        way(basic(), &[&named]),
        way(None, &[&named, &[("client_secret", secret.to_owned())]]),
        way(None, &[&signed()]),
        way(None, &[&signed(), &named]),
        way(bearer(), &[]),
        way(bearer(), &[&named]),
    ]
}

/// An ID token as either grant takes it.
fn grants(token: &str) -> [Vec<(&'static str, String)>; 2] {
    let form =
        |pairs: &[(&'static str, &str)]| pairs.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    [
        form(&[("grant_type", EXCHANGE), ("subject_token", token), ("subject_token_type", ID_TOKEN)]),
        form(&[("grant_type", JWT_BEARER), ("assertion", token)]),
    ]
}

async fn present(server: &Server, grant: &[(&str, String)], way: &Way, project: Option<&str>) -> Reply {
    let project = project.map(|project| ("project", project.to_owned()));
    let form: Vec<_> = grant.iter().chain(&way.form).chain(&project).collect();
    let request = server.http.post(format!("{}{TOKEN}", server.url)).form(&form);
    send(way.authorization.iter().fold(request, |request, value| request.header("authorization", value))).await
}

#[tokio::test]
async fn rfc6749_2_3_a_client_that_authenticates_is_no_trust_rule() {
    let trusting = Trusting::new().await;
    let World { server, service, runner, runner_id, .. } = &trusting.world;
    let (by_service, by_runner) = (Signer::new(Algorithm::ES256, "one"), Signer::new(Algorithm::RS256, "one"));
    private_key_jwt::register(&trusting.world, &format!("services/{}", service.0), &[&by_service]).await;
    private_key_jwt::register(&trusting.world, &format!("runners/{runner_id}"), &[&by_runner]).await;
    let mut jti = 0;
    for (id, secret, signer) in [(&service.0, &service.1, &by_service), (runner_id, runner, &by_runner)] {
        for grant in 0..2 {
            for (way, again) in ways(server, id, secret, signer).into_iter().zip(ways(server, id, secret, signer)) {
                jti += 1;
                let change = json!({ "check_run_id": jti.to_string() });
                let grant = &grants(&trusting.issuer.token(&jti.to_string(), change))[grant];
                let reply = present(server, grant, &way, None).await;
                refused(reply, "invalid_request", "project is missing");
                let reply = present(server, grant, &again, Some("acme/web")).await.expect(200);
                let seen = trusting.world.introspect(&reply.text_at("/access_token"), &[]).await.expect(200).json;
                assert_eq!(seen["client_id"], json!(trusting.rule), "{again:?}");
            }
        }
    }
    assert_eq!(jti, 28);
}

#[tokio::test]
async fn rfc6749_3_2_1_beside_a_proof_client_id_is_the_clients_own() {
    let trusting = Trusting::new().await;
    let World { server, service, runner, .. } = &trusting.world;
    let named = || vec![("client_id", trusting.rule.clone())];
    let grants = grants(&trusting.issuer.token("a", json!({})));
    for grant in &grants {
        for secret in [&service.1, runner] {
            let way = Way { authorization: Some(format!("Bearer {secret}")), form: named() };
            let reply = present(server, grant, &way, Some("acme/web")).await;
            refused(reply, "invalid_request", "not the client that authenticates");
        }
    }
    assert_eq!(trusting.counts().await, (0, 0, 0, 0));
    let alone = Way { authorization: None, form: named() };
    present(server, &grants[0], &alone, Some("acme/web")).await.expect(200);
}

// ── Once ─────────────────────────────────────────────────────────────────────────────────────────────

#[tokio::test]
async fn rfc7523_3_an_assertion_is_taken_once_for_as_long_as_it_could_be() {
    let trusting = Trusting::new().await;
    let token = trusting.issuer.token("a", json!({}));
    trusting.exchange(&token).await.expect(200);
    refused(trusting.exchange(&token).await, "invalid_request", "was used before");
    let same_jti = trusting.issuer.token("a", json!({ "run_id": "2" }));
    refused(trusting.exchange(&same_jti).await, "invalid_request", "was used before");
    let in_other_project = [("project", "acme/lib")];
    trusting
        .world
        .server
        .post(
            "/v1/projects/acme%2Flib/trust-rules",
            trusting.world.person("maintainer"),
            trusting.rule_body(json!({ "protected": true })),
        )
        .await
        .expect(201);
    refused(trusting.exchange_with(&token, &in_other_project).await, "invalid_request", "was used before");

    // Up to the last moment of its leeway it is known, whatever is swept meanwhile; after that it has expired.
    trusting.world.server.clock.advance(Duration::seconds(359));
    trusting.world.server.sweep().await;
    refused(trusting.exchange(&token).await, "invalid_request", "was used before");
    trusting.world.server.clock.advance(Duration::seconds(1));
    trusting.world.server.sweep().await;
    refused(trusting.exchange(&token).await, "invalid_request", "has expired");
    assert_eq!(trusting.counts().await.3, 1, "a replica whose clock is behind still finds it");
    trusting.world.server.clock.advance(Duration::seconds(60));
    trusting.world.server.sweep().await;
    assert_eq!(trusting.counts().await, (1, 1, 1, 0), "then it is forgotten");
}

/// Two replicas, two connections, one moment.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_that_bring_one_id_token_at_once_one_gets_a_job_token() {
    let trusting = Trusting::new().await;
    let server = &trusting.world.server;
    let replica = Server::beside_with(server, |settings| trusting.issuer.set(settings)).await;
    for round in 0..8 {
        let token = trusting.issuer.token(&format!("round-{round}"), json!({}));
        let project = [("project", "acme/web")];
        let both = [server, &replica].map(|server| exchange(server, &token, &project));
        let more = [server, &replica].map(|server| exchange(server, &token, &project));
        let ([a, b], [c, d]) = (both, more);
        let replies = tokio::join!(a, b, c, d);
        let mut statuses = [replies.0.status, replies.1.status, replies.2.status, replies.3.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 400, 400, 400], "round {round}");
    }
    assert_eq!(trusting.counts().await, (1, 1, 8, 8));
}

#[tokio::test]
async fn a_mint_that_fails_uses_nothing_up_and_writes_nothing() {
    let trusting = Trusting::new().await;
    trusting.token("a", json!({})).await;
    let before = trusting.counts().await;
    // The run is known with another commit: the transaction fails after the token was taken in it.
    let token = trusting.issuer.token("b", json!({ "sha": "b".repeat(40) }));
    refused(trusting.exchange(&token).await, "invalid_request", "A fact was stated otherwise before");
    assert_eq!(trusting.counts().await, before);
    sqlx::query("delete from job_tokens").execute(&mut trusting.world.server.sql().await).await.unwrap();
    sqlx::query("delete from pipelines").execute(&mut trusting.world.server.sql().await).await.unwrap();
    trusting.exchange(&token).await.expect(200);
}

#[tokio::test]
async fn an_id_token_without_a_jti_is_taken_once_all_the_same() {
    let trusting = Trusting::new().await;
    let token = trusting.issuer.token("", json!({ "jti": null, "check_run_id": null }));
    let first = trusting.exchange(&token).await.expect(200).text_at("/access_token");
    refused(trusting.exchange(&token).await, "invalid_request", "was used before");
    let other = trusting.issuer.token("", json!({ "jti": null, "check_run_id": null, "nonce": 2 }));
    let second = trusting.exchange(&other).await.expect(200).text_at("/access_token");
    let job = async |token: &str| trusting.world.introspect(token, &[]).await.expect(200).text_at("/job_id");
    assert_ne!(job(&first).await, job(&second).await, "jobs that are not told apart are one each");
}

// ── What is told to whom ─────────────────────────────────────────────────────────────────────────────

#[tokio::test]
async fn hidden_and_missing_are_told_alike_and_nobody_is_asked_for_keys_whom_no_rule_names() {
    let trusting = Trusting::new().await;
    let stranger = Issuer::start().await;
    let token = trusting.issuer.token("a", json!({}));
    let mut told = BTreeSet::new();
    let unknown = "0191d2b4-0000-7000-8000-000000000000";
    let others = trusting.issuer.token("b", json!({ "repository_id": "43" }));
    let forged = stranger.sign(&trusting.issuer.claims("c", json!({})));
    for (token, by) in [
        (&token, ("project", "acme/lib")),
        (&token, ("project", "acme/nothing")),
        (&token, ("project", unknown)),
        (&token, ("client_id", unknown)),
        (&stranger.token("a", json!({})), ("project", "acme/web")),
        (&stranger.token("a", json!({})), ("client_id", &trusting.rule)),
        (&others, ("project", "acme/web")),
        (&others, ("client_id", &trusting.rule)),
        (&forged, ("project", "acme/web")),
    ] {
        let reply = trusting.exchange_with(token, &[by]).await.expect(400);
        told.insert((reply.text, reply.headers.len()));
    }
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(stranger.looks(), 0);
    assert_eq!(trusting.counts().await, (0, 0, 0, 0));
}

// ── The rule as a minting credential ─────────────────────────────────────────────────────────────────

#[tokio::test]
async fn an_unprotected_rule_is_refused_a_protected_ref_never_given_a_lesser_token() {
    let trusting = Trusting::with(json!({})).await;
    let token = trusting.issuer.token("a", json!({}));
    refused(trusting.exchange(&token).await, "unauthorized_client", "only a protected trust rule");
    // A claim that lowers does not help: the ref is still one for which only a protected rule mints.
    let lowered = trusting.issuer.token("b", json!({ "ref_protected": "false" }));
    refused(trusting.exchange(&lowered).await, "unauthorized_client", "only a protected trust rule");
    assert_eq!(trusting.counts().await, (0, 0, 0, 0));
    let feature = trusting.token("a", json!({ "ref": "refs/heads/feature" })).await;
    assert_eq!(trusting.world.introspect(&feature, &[]).await.expect(200).json["protected"], false);
    // A further rule that may is chosen by itself, and by name.
    let protected = trusting.add_rule(json!({ "protected": true, "claims": { "ref": ["refs/heads/main"] } })).await;
    let minted = trusting.token("c", json!({ "run_id": "2" })).await;
    assert_eq!(trusting.world.introspect(&minted, &[]).await.expect(200).json["client_id"], json!(protected));
    let named = [("client_id", &*trusting.rule)];
    refused(
        trusting.exchange_with(&trusting.issuer.token("d", json!({})), &named).await,
        "unauthorized_client",
        "protected",
    );
}

#[tokio::test]
async fn a_claim_lowers_protection_and_never_raises_it() {
    let trusting = Trusting::new().await;
    let facts = async |jti, change| {
        let token = trusting.token(jti, change).await;
        let seen = trusting.world.introspect(&token, &[]).await.expect(200).json;
        (seen["protected"].clone(), seen["from_fork"].clone(), seen["trigger"].clone())
    };
    let run = |n: u32, change: Value| {
        let mut claims = json!({ "run_id": n.to_string() });
        merge(&mut claims, change);
        claims
    };
    let (yes, no) = (json!(true), json!(false));
    assert_eq!(facts("a", run(1, json!({}))).await, (yes.clone(), no.clone(), json!("push")));
    assert_eq!(facts("b", run(2, json!({ "ref_protected": "false" }))).await, (no.clone(), no.clone(), json!("push")));
    let raised = run(3, json!({ "ref": "refs/heads/feature", "ref_protected": "true" }));
    assert_eq!(facts("c", raised).await, (no.clone(), no.clone(), json!("push")));
    // On `main` of the repository itself, but set going by whoever opened a pull request.
    let target = run(4, json!({ "event_name": "pull_request_target" }));
    assert_eq!(facts("d", target).await, (no.clone(), yes.clone(), json!("merge_request")));
    let after = run(5, json!({ "event_name": "workflow_run" }));
    assert_eq!(facts("e", after).await, (no.clone(), yes.clone(), json!("pipeline")));
    let pull = || json!({ "event_name": "pull_request", "ref": "refs/pull/7/merge" });
    assert_eq!(facts("f", run(6, pull())).await, (no.clone(), yes, json!("merge_request")));
    trusting.put_rule(json!({ "protected": true, "excludes_forks": true })).await;
    assert_eq!(facts("g", run(7, pull())).await, (no.clone(), no.clone(), json!("merge_request")));
    assert_eq!(facts("h", run(8, json!({ "event_name": "pull_request_target" }))).await.1, json!(true));
}

#[tokio::test]
async fn a_protected_environment_is_for_protected_refs_only() {
    let trusting = Trusting::new().await;
    let change = json!({ "protected_environments": ["prod*"] });
    trusting
        .world
        .server
        .patch("/v1/projects/acme%2Fweb", trusting.world.person("maintainer"), change)
        .await
        .expect(200);
    trusting.token("a", json!({ "environment": "production" })).await;
    for (jti, change) in [
        ("b", json!({ "run_id": "2", "environment": "production", "ref": "refs/heads/feature" })),
        ("c", json!({ "run_id": "3", "environment": "production", "ref_protected": "false" })),
        ("d", json!({ "run_id": "4", "environment": "production", "event_name": "pull_request_target" })),
    ] {
        let token = trusting.issuer.token(jti, change);
        refused(trusting.exchange(&token).await, "unauthorized_client", "a protected environment");
    }
}

#[tokio::test]
async fn the_actor_of_another_ci_lends_no_role() {
    let trusting = Trusting::new().await;
    let legacy = json!({ "mode": "legacy" });
    trusting
        .world
        .server
        .patch("/v1/projects/acme%2Flib", trusting.world.person("maintainer"), legacy)
        .await
        .expect(200);
    let token = trusting.token("a", json!({ "actor": "owner" })).await;
    let decision = trusting.world.authorize(&token, &["packages:create"], json!({})).await.expect(200);
    assert_eq!(decision.json["allowed"], false, "{}", decision.text);
    trusting.world.grant(&["packages:create"], json!({ "conditions": { "vouched_by": "any" } })).await;
    let decision = trusting.world.authorize(&token, &["packages:create"], json!({})).await.expect(200);
    assert_eq!(decision.json["allowed"], true, "{}", decision.text);
}

#[tokio::test]
async fn jobs_of_one_run_may_have_been_started_by_several_people() {
    let trusting = Trusting::new().await;
    let actor = async |jti, change| {
        let token = trusting.token(jti, change).await;
        trusting.world.introspect(&token, &[]).await.expect(200).json["actor_claimed"].clone()
    };
    assert_eq!(actor("a", json!({ "actor": "alice" })).await, "alice");
    assert_eq!(actor("b", json!({ "actor": "bob", "check_run_id": "2" })).await, "bob");
    assert_eq!(trusting.counts().await, (1, 2, 2, 2));
}

#[tokio::test]
async fn a_token_dies_with_what_its_rule_allows_it() {
    let trusting = Trusting::with(json!({ "protected": true, "max_lifetime_secs": 60 })).await;
    let token = trusting.token("a", json!({})).await;
    trusting.world.server.clock.advance(Duration::seconds(359));
    assert!(trusting.world.is_active(&token).await, "a minute, and the grace of every job");
    let now = START + Duration::seconds(359);
    refused(
        trusting.exchange(&trusting.issuer.token_at("b", now, json!({}))).await,
        "invalid_request",
        "The job is over",
    );
    trusting.world.server.clock.advance(Duration::seconds(1));
    assert!(!trusting.world.is_active(&token).await);
}

#[tokio::test]
async fn giving_up_the_token_finishes_its_job() {
    let trusting = Trusting::new().await;
    let server = &trusting.world.server;
    let (first, second) = (trusting.token("a", json!({})).await, trusting.token("b", json!({})).await);
    let narrow = |token| server.post("/v1/job-tokens/narrow", token, json!({ "permissions": [] }));
    let narrowed = narrow(&first).await.expect(201).text_at("/token");
    server.delete("/v1/job-tokens/self", &narrowed).await.expect(204);
    assert!(trusting.world.is_active(&first).await, "what was narrowed is given up by itself");
    let narrowed = narrow(&first).await.expect(201).text_at("/token");
    server.delete("/v1/job-tokens/self", &first).await.expect(204);
    for token in [&first, &second, &narrowed] {
        assert!(!trusting.world.is_active(token).await);
    }
    refused(trusting.exchange(&trusting.issuer.token("c", json!({}))).await, "invalid_request", "The job is over");

    // The same by OAuth's own way.
    let third = trusting.token("d", json!({ "check_run_id": "2" })).await;
    let fourth = trusting.token("e", json!({ "check_run_id": "2" })).await;
    let request =
        server.http.post(format!("{}/oauth/revoke", server.url)).bearer_auth(&third).form(&[("token", &third)]);
    send(request).await.expect(200);
    assert!(!trusting.world.is_active(&fourth).await);
    let states: Vec<String> =
        sqlx::query_scalar("select state from jobs").fetch_all(&mut server.sql().await).await.unwrap();
    assert_eq!(states, ["finished", "finished"]);
    let events =
        server.get("/v1/audit-events?project=acme%2Fweb", trusting.world.person("owner")).await.expect(200).json;
    let finished = events["items"].as_array().unwrap().iter().filter(|event| event["action"] == "job.finished").count();
    assert_eq!(finished, 2);
}

#[tokio::test]
async fn a_job_of_a_runner_goes_on_when_a_token_is_given_up() {
    let world = World::new().await;
    let (first, second) = (world.token("k").await, world.token("k").await);
    world.server.delete("/v1/job-tokens/self", &first).await.expect(204);
    assert!(world.is_active(&second).await);
}

#[tokio::test]
async fn revoking_pausing_and_deleting_a_rule() {
    let trusting = Trusting::new().await;
    let (server, maintainer) = (&trusting.world.server, trusting.world.person("maintainer"));
    let first = trusting.token("a", json!({})).await;
    server.post(&format!("{}/revoke-tokens", trusting.path), maintainer, json!({})).await.expect(200);
    assert!(!trusting.world.is_active(&first).await);
    let second = trusting.token("b", json!({})).await;
    assert!(trusting.world.is_active(&second).await, "only what was minted before");

    trusting.put_rule(json!({ "protected": true, "paused": true })).await;
    refused(
        trusting.exchange(&trusting.issuer.token("c", json!({}))).await,
        "invalid_request",
        "The trust rule is paused",
    );
    assert!(trusting.world.is_active(&second).await, "pausing ends nothing");
    trusting.put_rule(json!({ "protected": true })).await;
    let narrowed = server.post("/v1/job-tokens/narrow", &second, json!({})).await.expect(201).text_at("/token");

    server.call_with("DELETE", &trusting.path, Some(maintainer), None, &[("if-match", "*")]).await.expect(204);
    for token in [&second, &narrowed] {
        assert!(!trusting.world.is_active(token).await);
    }
    refused(trusting.exchange(&trusting.issuer.token("c", json!({}))).await, "invalid_request", NO_RULE);
}

#[tokio::test]
async fn a_job_belongs_to_the_credential_that_opened_it() {
    let trusting = Trusting::new().await;
    let token = trusting.token("a", json!({})).await;
    let seen = trusting.world.introspect(&token, &[]).await.expect(200).json;
    let change = json!({
        "pipeline": { "key": seen["pipeline"], "sha": seen["sha"] }, "job": { "key": seen["job"], "name": "build", "timeout_secs": 3600 },
    });
    trusting.world.try_mint("x", change).await.refused(409, "job_of_other_runner");
    let job = seen["job_id"].as_str().unwrap();
    let finish = format!("/v1/jobs/{job}/finish");
    trusting.world.server.post(&finish, &trusting.world.runner, json!({})).await.refused(404, "not_found");
    let client = Some((&*trusting.world.runner_id, &*trusting.world.runner));
    trusting.world.server.form("/oauth/revoke", client, &[("token", &token)]).await.expect(200);
    assert!(trusting.world.is_active(&token).await, "another credential's token stays");
    // Whoever runs everything may end a run whoever began it.
    let finish = format!("/v1/pipelines/{}/finish", seen["pipeline_id"].as_str().unwrap());
    trusting.world.server.post(&finish, &trusting.world.runner, json!({})).await.expect(200);
    assert!(!trusting.world.is_active(&token).await);
}

#[tokio::test]
async fn a_mint_is_in_the_audit_history_by_its_rule() {
    let trusting = Trusting::new().await;
    trusting.token("a", json!({})).await;
    let events = trusting
        .world
        .server
        .get("/v1/audit-events?project=acme%2Fweb", trusting.world.person("owner"))
        .await
        .expect(200)
        .json;
    let minted =
        events["items"].as_array().unwrap().iter().find(|event| event["action"] == "job_token.minted").unwrap();
    assert_eq!((&minted["actor_kind"], &minted["actor_id"]), (&json!("trust_rule"), &json!(trusting.rule)));
    assert_eq!(minted["after"]["id_token_subject"], "repo:acme/web:ref:refs/heads/main");
    assert_eq!(minted["after"]["protected"], true);
}

/// Whoever starts a Buildkite build by hand or over the API says which branch it is of.
#[tokio::test]
async fn a_ref_that_may_be_made_up_opens_nothing_that_a_ref_opens() {
    let buildkite = json!({
        "ci": "buildkite", "claims": { "pipeline_id": ["42"] }, "excludes_forks": true, "protected": true,
    });
    let trusting = Trusting::with(buildkite).await;
    trusting.world.grant(&["packages:read"], json!({ "conditions": { "refs": ["main"] } })).await;
    for (jti, source, expected) in
        [("a", "webhook", true), ("b", "api", false), ("c", "ui", false), ("d", "trigger_job", false)]
    {
        let build = json!({
            "pipeline_id": "42", "organization_slug": "acme", "pipeline_slug": "web", "build_number": jti, "build_branch": "main",
            "build_commit": "a".repeat(40), "job_id": jti, "build_source": source,
        });
        let token = trusting.token(jti, build).await;
        let asked = trusting.world.authorize(&token, &["packages:read"], json!({})).await.expect(200).json;
        assert_eq!(asked["allowed"], expected, "{source}");
        let subject = trusting.subject_of_id_token(&token).await;
        assert_eq!(subject.ends_with(":ref_type:branch:ref:main"), expected, "{subject}");
    }
}

/// In a `CircleCI` job that was run again with SSH somebody sits and types; the pipeline's ref is not theirs to speak for.
#[tokio::test]
async fn a_job_that_is_run_again_by_hand_opens_nothing_that_its_ref_opens() {
    let circleci = json!({ "ci": "circleci", "claims": { "oidc.circleci.com/project-id": ["42"] }, "protected": true });
    let trusting = Trusting::with(circleci).await;
    trusting.world.grant(&["packages:read"], json!({ "conditions": { "refs": ["main"] } })).await;
    for (jti, rerun, expected) in
        [("a", json!(false), true), ("b", json!(true), false), ("c", json!(null), false), ("d", json!("false"), true)]
    {
        let job = json!({
            "oidc.circleci.com/project-id": "42", "oidc.circleci.com/pipeline-id": "one",
            "oidc.circleci.com/vcs-ref": "refs/heads/main", "oidc.circleci.com/ssh-rerun": rerun,
        });
        let token = trusting.token(jti, job).await;
        let asked = trusting.world.authorize(&token, &["packages:read"], json!({})).await.expect(200).json;
        assert_eq!(asked["allowed"], expected, "{rerun}");
        let seen = trusting.world.introspect(&token, &[]).await.expect(200).json;
        let ref_type = if expected { "branch" } else { "merge_request" };
        assert_eq!((&seen["protected"], &seen["ref_type"]), (&json!(expected), &json!(ref_type)), "{rerun}");
        let subject = trusting.subject_of_id_token(&token).await;
        assert_eq!(subject.ends_with(":ref_type:branch:ref:main"), expected, "{subject}");
    }
}

#[tokio::test]
async fn a_rule_that_changes_while_its_token_is_weighed_mints_nothing() {
    let trusting = Trusting::new().await;
    let token = trusting.issuer.token("a", json!({}));
    // Whoever changes the rule holds its row; the exchange has read it, and waits.
    let mut sql = trusting.world.server.sql().await;
    sqlx::query("begin").execute(&mut sql).await.unwrap();
    sqlx::query("update trust_rules set permissions = '{}'").execute(&mut sql).await.unwrap();
    let change = async {
        let waiting = "select exists (select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock')";
        let mut other = trusting.world.server.sql().await;
        while !sqlx::query_scalar::<_, bool>(waiting).fetch_one(&mut other).await.unwrap() {
            tokio::task::yield_now().await;
        }
        sqlx::query("commit").execute(&mut sql).await.unwrap();
    };
    let (reply, ()) = tokio::join!(trusting.exchange(&token), change);
    refused(reply, "invalid_request", "has changed meanwhile");
    assert_eq!(trusting.counts().await, (0, 0, 0, 0));
    // Nothing was used up, and the new terms hold.
    assert_eq!(trusting.exchange(&token).await.expect(200).json["scope"], "");
}

#[tokio::test]
async fn nobody_uses_up_what_another_key_signs() {
    let (issuer, other) = (Issuer::start().await, Issuer::start().await);
    issuer.vouch_for(&other);
    let world = World::on(Server::start_with(|settings| issuer.set(settings)).await).await;
    let mut rule = json!({
        "name": "ci", "issuer": issuer.url, "ci": "github", "claims": { "repository_id": ["42"] }, "protected": true,
    });
    world.server.post(RULES, world.person("maintainer"), rule.clone()).await.expect(201);
    rule["jwks_uri"] = json!(format!("{}/keys", other.url));
    world.server.post("/v1/projects/other%2Fapp/trust-rules", world.person("stranger"), rule).await.expect(201);
    // The stranger signs in the other's name, with a `jti` that will be.
    let claims = issuer.claims("a", json!({}));
    exchange(&world.server, &other.sign(&claims), &[("project", "other/app")]).await.expect(200);
    let genuine = issuer.sign(&claims);
    exchange(&world.server, &genuine, &[("project", "acme/web")]).await.expect(200);
    refused(exchange(&world.server, &genuine, &[("project", "acme/web")]).await, "invalid_request", "was used before");
}

#[tokio::test]
async fn a_rule_for_another_ci_stands_in_nobodys_way() {
    let trusting =
        Trusting::with(json!({ "ci": "gitlab", "claims": { "project_id": ["9"] }, "protected": true })).await;
    let token = trusting.issuer.token("a", json!({ "project_id": "9" }));
    refused(trusting.exchange(&token).await, "invalid_request", "does not tell its job");
    trusting.add_rule(json!({ "protected": true })).await;
    trusting.exchange(&token).await.expect(200);
}
