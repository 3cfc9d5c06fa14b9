//! Forward-auth: what a gateway is told about the request before it. Byte for byte, because what gateways and clients
//! make of a path and of headers is what can go wrong here; and never another status than 200, 401 and 403.

use crate::support::{Reply, Server, Wire, World, exchange, merge};
use serde_json::{Value, json};
use std::fmt::Write as _;
use time::Duration;

const IDENTITY: [&str; 10] = [
    "jobpass-project",
    "jobpass-project-id",
    "jobpass-pipeline-id",
    "jobpass-job-id",
    "jobpass-token-id",
    "jobpass-subject",
    "jobpass-ref",
    "jobpass-protected",
    "jobpass-permissions",
    "jobpass-would-deny",
];
const NPM: &str = "/api/v4/projects/acme%2Flib/packages/npm/@acme%2Fui";

/// A service with a gateway before it.
struct Gateway {
    client_id: String,
    secret: String,
}

impl Gateway {
    async fn new(world: &World, forward_auth: Value, change: Value) -> Gateway {
        let mut body = json!({ "name": "gateway", "forward_auth": forward_auth });
        merge(&mut body, change);
        let made = world.server.post("/v1/services", world.admin(), body).await.expect(201);
        Gateway { client_id: made.text_at("/client_id"), secret: made.text_at("/client_secret") }
    }

    /// By two headers, as most gateways do it.
    async fn by_headers(world: &World) -> Gateway {
        Gateway::new(world, by_headers(), json!({})).await
    }

    /// By the method and the path of the request itself, as Envoy does it.
    async fn by_request(world: &World) -> Gateway {
        Gateway::new(world, json!({ "source": "request" }), json!({})).await
    }

    /// Always the same permissions on `acme/lib`.
    async fn fixed(world: &World, permissions: &[&str]) -> Gateway {
        let set = json!({ "source": "fixed", "permissions": permissions });
        Gateway::new(world, set, json!({ "project": "acme/lib" })).await
    }

    fn path(&self) -> String {
        format!("/v1/forward-auth/{}", self.client_id)
    }

    /// One request of the gateway, proven; `below`: what follows the client id.
    async fn ask(&self, world: &World, method: &str, below: &str, headers: &[(&str, &str)]) -> Reply {
        let proof = [("X-Jobpass-Service", self.secret.as_str())];
        call(&world.server, method, &format!("{}{below}", self.path()), &[&proof, headers].concat()).await
    }

    /// About a method and a path, with a token as Bearer.
    async fn about(&self, world: &World, token: &str, method: &str, path: &str) -> Reply {
        let bearer = format!("Bearer {token}");
        let headers = [("X-Forwarded-Method", method), ("X-Forwarded-Uri", path), ("Authorization", bearer.as_str())];
        self.ask(world, "GET", "", &headers).await
    }
}

fn by_headers() -> Value {
    json!({ "source": "headers", "method_header": "X-Forwarded-Method", "path_header": "X-Forwarded-Uri" })
}

/// Sent as it is; what comes back is one of the three answers, whole in every respect.
async fn call(server: &Server, method: &str, target: &str, headers: &[(&str, &str)]) -> Reply {
    let addr = server.running.addr;
    let mut head = format!("{method} {target} HTTP/1.1\r\nhost: {addr}\r\nconnection: close\r\n");
    for (name, value) in headers {
        let _ = write!(head, "{name}: {value}\r\n");
    }
    head.push_str("\r\n");
    let reply = exchange(addr, head, vec![]).await;
    check(&reply);
    reply
}

#[track_caller]
fn check(reply: &Reply) {
    let all = |name: &str| reply.headers.get_all(name).iter().count();
    assert_ne!(reply.header("jobpass-reason"), "", "{reply:?}");
    assert_ne!(reply.header("x-request-id"), "", "{reply:?}");
    assert_eq!((reply.header("cache-control"), all("cache-control")), ("no-store", 1));
    match reply.status {
        200 => {
            assert!(IDENTITY.iter().all(|name| all(name) == 1), "{reply:?}");
            assert_eq!(reply.text, "");
        }
        401 | 403 => {
            assert_eq!(reply.header("content-type"), "text/plain; charset=utf-8");
            assert!(reply.text.is_empty() || reply.text.starts_with("Jobpass: "), "{}", reply.text);
            assert!(!reply.text.contains("jpj_") || reply.text.contains("jpj_[hidden]"), "{}", reply.text);
            assert!(IDENTITY.iter().all(|name| all(name) == 0), "{reply:?}");
        }
        other => panic!("{other} is no answer for a gateway: {reply:?}"),
    }
}

trait Told {
    /// This status for this reason.
    fn told(self, status: u16, reason: &str) -> Reply;
    fn challenges(&self) -> Vec<String>;
}

impl Told for Reply {
    #[track_caller]
    fn told(self, status: u16, reason: &str) -> Reply {
        assert_eq!((self.status, self.header("jobpass-reason")), (status, reason), "{}", self.text);
        self
    }

    fn challenges(&self) -> Vec<String> {
        self.headers.get_all("www-authenticate").iter().map(|value| value.to_str().unwrap().to_owned()).collect()
    }
}

/// A world in which jobs of `acme/web` may read and create packages of `acme/lib`.
async fn world() -> World {
    let world = World::new().await;
    world.grant(&["packages:read", "packages:create"], json!({})).await;
    world
}

// ── The client's token ───────────────────────────────────────────────────────────────────────────────

#[tokio::test]
async fn rfc6750_2_1_a_bearer_token_decides() {
    let world = world().await;
    let (gateway, token) = (Gateway::by_headers(&world).await, world.token("1").await);
    gateway.about(&world, &token, "GET", NPM).await.told(200, "granted");
    gateway.about(&world, &token, "PUT", NPM).await.told(200, "granted");
    for scheme in ["bearer", "BEARER", "Bearer  "] {
        let value = format!("{scheme} {token}");
        let headers = [("x-forwarded-method", "GET"), ("x-forwarded-uri", NPM), ("authorization", value.as_str())];
        gateway.ask(&world, "GET", "", &headers).await.told(200, "granted");
    }
}

#[tokio::test]
async fn rfc7617_2_the_token_is_the_password_of_basic_whatever_the_user() {
    let world = world().await;
    let (gateway, token) = (Gateway::fixed(&world, &["packages:read"]).await, world.token("1").await);
    for user in ["job", "__token__", "", "ü"] {
        let basic = basic(&format!("{user}:{token}"));
        gateway.ask(&world, "GET", "", &[("Authorization", &basic)]).await.told(200, "granted");
    }
    for pair in [format!("{token}:"), token.clone(), format!("a:{token}:b")] {
        let reply = gateway.ask(&world, "GET", "", &[("Authorization", &basic(&pair))]).await;
        reply.told(401, "unknown");
    }
}

fn basic(pair: &str) -> String {
    use base64::Engine as _;
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
}

#[tokio::test]
async fn cargos_bare_token_and_the_headers_of_gitlab_are_taken() {
    let world = world().await;
    let (gateway, token) = (Gateway::fixed(&world, &["packages:read"]).await, world.token("1").await);
    for name in ["Authorization", "Job-Token", "JOB-TOKEN", "private-token"] {
        gateway.ask(&world, "GET", "", &[(name, &token)]).await.told(200, "granted");
        // A gateway may set a header that the client did not send.
        gateway.ask(&world, "GET", "", &[("Authorization", ""), (name, &token)]).await.told(200, "granted");
    }
    // Another name is another header, whatever CGI would make of it.
    for name in ["Job_Token", "Private_Token", "Token", "X-Job-Token", "Proxy-Authorization"] {
        gateway.ask(&world, "GET", "", &[(name, &token)]).await.told(401, "no_token");
    }
}

#[tokio::test]
async fn rfc6750_3_no_token_is_challenged_for_a_password_and_for_bearer() {
    let world = world().await;
    let gateway = Gateway::by_headers(&world).await;
    let headers = [("X-Forwarded-Method", "GET"), ("X-Forwarded-Uri", NPM)];
    let reply = gateway.ask(&world, "GET", "", &headers).await.told(401, "no_token");
    // Basic first: git and nginx look no further.
    assert_eq!(reply.challenges(), ["Basic realm=\"jobpass\"", "Bearer realm=\"jobpass\""]);
}

#[tokio::test]
async fn rfc6750_3_1_a_dead_token_is_invalid() {
    let world = world().await;
    let gateway = Gateway::by_headers(&world).await;
    let minted = async |key: &str| {
        let minted = world.mint(key, json!({})).await;
        let text = |name: &str| minted[name].as_str().unwrap().to_owned();
        (text("token"), text("id"), text("job_id"))
    };
    let refused = async |token: &str, reason: &str| {
        let reply = gateway.about(&world, token, "GET", NPM).await.told(401, reason);
        let bearer = "Bearer realm=\"jobpass\", error=\"invalid_token\"";
        assert_eq!(reply.challenges(), ["Basic realm=\"jobpass\"", bearer]);
        assert_eq!(reply.text, format!("Jobpass: this token is not valid here ({reason}).\n"));
    };
    let (revoked, id, _) = minted("1").await;
    gateway.about(&world, &revoked, "GET", NPM).await.told(200, "granted");
    world.server.delete(&format!("/v1/job-tokens/{id}"), world.admin()).await.expect(200);
    refused(&revoked, "revoked").await;
    let (over, _, job) = minted("2").await;
    world.server.post(&format!("/v1/jobs/{job}/finish"), &world.runner, json!({})).await.expect(200);
    refused(&over, "job_over").await;
    let (expired, _, _) = minted("3").await;
    world.server.clock.advance(Duration::hours(2));
    refused(&expired, "expired").await;
    for unknown in ["x", &expired[..52], world.admin(), &world.runner, &world.service.1] {
        refused(unknown, "unknown").await;
    }
}

#[tokio::test]
async fn rfc6750_3_1_a_token_that_may_too_little_has_insufficient_scope() {
    let world = world().await;
    let (gateway, token) = (Gateway::by_headers(&world).await, world.token("1").await);
    let path = "/api/v4/projects/acme%2Flib/packages/7";
    let reply = gateway.about(&world, &token, "DELETE", path).await.told(403, "no_grant");
    let challenge = "Bearer realm=\"jobpass\", error=\"insufficient_scope\", scope=\"packages:delete\"";
    assert_eq!(reply.challenges(), [challenge]);
    assert_eq!(reply.text, "Jobpass: this job's token lacks packages:delete on acme/lib (no_grant).\n");
    // What is hidden is refused like what is missing.
    let about = async |project: &str| {
        let reply = gateway.about(&world, &token, "GET", &format!("/projects/other%2F{project}/packages")).await;
        reply.told(403, "no_grant").text.replace(project, "…")
    };
    assert_eq!(about("app").await, about("nope").await);
}

#[tokio::test]
async fn rfc6750_3_1_two_tokens_are_refused() {
    let world = world().await;
    let (gateway, token) = (Gateway::fixed(&world, &["packages:read"]).await, world.token("1").await);
    let bearer = format!("Bearer {token}");
    for other in ["Authorization", "Job-Token", "Private-Token"] {
        let headers = [("Authorization", bearer.as_str()), (other, token.as_str())];
        gateway.ask(&world, "GET", "", &headers).await.told(403, "two_tokens");
    }
    let headers = [("Job-Token", token.as_str()), ("Job-Token", token.as_str())];
    gateway.ask(&world, "GET", "", &headers).await.told(403, "two_tokens");
}

#[tokio::test]
async fn rfc6750_2_3_a_token_in_the_forwarded_query_is_refused() {
    let world = world().await;
    let (gateway, own) = (Gateway::by_headers(&world).await, Gateway::by_request(&world).await);
    let token = world.token("1").await;
    let bearer = format!("Bearer {token}");
    for name in ["access_token", "job_token", "private_token", "Job_Token", "job%5Ftoken", "c;job_token"] {
        let path = format!("{NPM}?a=b&{name}={token}");
        let headers = [("X-Forwarded-Method", "GET"), ("X-Forwarded-Uri", path.as_str())];
        gateway.ask(&world, "GET", "", &headers).await.told(403, "token_in_query");
        gateway.about(&world, &token, "GET", &path).await.told(403, "token_in_query");
        own.ask(&world, "GET", &path, &[("Authorization", &bearer)]).await.told(403, "token_in_query");
    }
    gateway.about(&world, &token, "GET", &format!("{NPM}?page=2")).await.told(200, "granted");
}

#[tokio::test]
async fn a_public_project_needs_no_token_and_a_dead_one_does_no_harm() {
    let world = world().await;
    let (server, gateway) = (&world.server, Gateway::by_headers(&world).await);
    let headers = [("X-Forwarded-Method", "GET"), ("X-Forwarded-Uri", NPM)];
    gateway.ask(&world, "GET", "", &headers).await.told(401, "no_token");
    let lib = "/v1/projects/acme%2Flib";
    server.patch(lib, world.person("owner"), json!({ "visibility": "public" })).await.expect(200);

    let nobody = gateway.ask(&world, "GET", "", &headers).await.told(200, "anyone");
    assert_eq!(nobody.header("jobpass-permissions"), "packages:read");
    let none =
        IDENTITY.iter().filter(|name| **name != "jobpass-permissions").all(|name| nobody.header(name).is_empty());
    assert!(none, "{nobody:?}");
    let dead = gateway.about(&world, "jpj_nothing", "GET", NPM).await.told(200, "anyone");
    assert_eq!(dead.header("jobpass-subject"), "");
    let capped = world.mint("2", json!({ "permissions": ["jobs:read"] })).await["token"].as_str().unwrap().to_owned();
    let capped = gateway.about(&world, &capped, "GET", NPM).await.told(200, "anyone");
    assert_eq!(capped.header("jobpass-subject"), "", "it lends no name to what it may not do");

    let write = [("X-Forwarded-Method", "PUT"), ("X-Forwarded-Uri", NPM)];
    gateway.ask(&world, "GET", "", &write).await.told(401, "no_token");
}

// ── The gateway ──────────────────────────────────────────────────────────────────────────────────────

#[tokio::test]
async fn rfc9110_15_5_2_a_gateway_that_does_not_prove_itself_is_challenged() {
    let world = world().await;
    let (server, token) = (&world.server, world.token("1").await);
    let (gateway, other) = (Gateway::fixed(&world, &["packages:read"]).await, Gateway::by_headers(&world).await);
    let bearer = format!("Bearer {token}");
    let authorization = ("Authorization", bearer.as_str());
    let proof = "X-Jobpass-Service";
    gateway.ask(&world, "GET", "", &[authorization]).await.told(200, "granted");

    let secret = gateway.secret.as_str();
    let unproven: [&[(&str, &str)]; 8] = [
        &[authorization],
        &[authorization, (proof, "")],
        &[authorization, (proof, &other.secret)],
        &[authorization, (proof, &token)],
        &[authorization, (proof, world.admin())],
        &[authorization, (proof, secret), (proof, secret)],
        &[authorization, ("X_Jobpass_Service", secret)],
        &[("Authorization", secret)],
    ];
    for headers in unproven {
        let reply = call(server, "GET", &gateway.path(), headers).await.told(401, "gateway");
        assert_eq!(reply.challenges(), ["Bearer realm=\"jobpass gateways\""]);
    }
    for client in [other.client_id.as_str(), &"0".repeat(32), "x", "%2F", "..", ""] {
        let headers = [authorization, (proof, secret)];
        call(server, "GET", &format!("/v1/forward-auth/{client}/x"), &headers).await.told(401, "gateway");
    }
    let service = format!("/v1/services/{}", gateway.client_id);
    server.patch(&service, world.admin(), json!({ "paused": true })).await.expect(200);
    gateway.ask(&world, "GET", "", &[authorization]).await.told(401, "gateway");
}

#[tokio::test]
async fn a_service_that_is_not_set_up_for_it_lets_nothing_through() {
    let world = world().await;
    let gateway = Gateway::new(&world, Value::Null, json!({})).await;
    gateway.about(&world, &world.token("1").await, "GET", NPM).await.told(403, "not_set_up");
}

#[tokio::test]
async fn nothing_but_the_three_answers_leaves_here() {
    let world = world().await;
    let server = &world.server;
    for path in ["", "/", "//", "/x", "/x/", "/x/y/../z", "/x?access_token=y"] {
        let reply = call(server, "GET", &format!("/v1/forward-auth{path}"), &[]).await;
        assert_ne!(reply.status, 200, "{path}");
    }
    let other = server.call("GET", "/v1/forward-authority", None, None).await;
    other.refused(404, "not_found");
}

#[tokio::test]
async fn rfc9110_9_1_every_method_is_asked_about_and_none_is_an_error() {
    let world = world().await;
    let (by_headers, own) = (Gateway::by_headers(&world).await, Gateway::by_request(&world).await);
    let token = world.token("1").await;
    let bearer = format!("Bearer {token}");
    let headers = [("Authorization", bearer.as_str()), ("X-Forwarded-Method", "GET"), ("X-Forwarded-Uri", NPM)];
    for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "BREW"] {
        by_headers.ask(&world, method, "", &headers).await.told(200, "granted");
        let reply = own.ask(&world, method, NPM, &headers).await;
        let (status, reason) = match method {
            "GET" | "HEAD" | "PUT" => (200, "granted"),
            _ => (403, "unknown_route"),
        };
        reply.told(status, reason);
        let nobody = call(&world.server, method, &own.path(), &[]).await;
        nobody.told(401, "gateway");
    }
    let body = [("Authorization", bearer.as_str()), ("Content-Length", "100000"), ("Content-Type", "text/x")];
    own.ask(&world, "PUT", NPM, &body).await.told(200, "granted");
}

#[tokio::test]
async fn large_headers_and_long_paths_are_answered_too() {
    let world = world().await;
    let (gateway, token) = (Gateway::by_headers(&world).await, world.token("1").await);
    let large = "x".repeat(200_000);
    let bearer = format!("Bearer {token}");
    let mut headers = vec![("X-Forwarded-Method", "GET"), ("X-Forwarded-Uri", NPM), ("Cookie", large.as_str())];
    gateway.ask(&world, "GET", "", &headers).await.told(401, "no_token");
    headers.push(("Authorization", &bearer));
    headers.extend((0..80).map(|_| ("X-Other", "y")));
    gateway.ask(&world, "GET", "", &headers).await.told(200, "granted");
    gateway.about(&world, &large, "GET", NPM).await.told(401, "unknown");
    gateway.about(&world, &token, &large, NPM).await.told(403, "unknown_route");
    for path in [format!("/{large}"), format!("/projects/{}", "a/".repeat(5000)), format!("{NPM}?{large}")] {
        let reply = gateway.about(&world, &token, "GET", &path).await;
        assert_eq!(reply.status, if path.starts_with(NPM) { 200 } else { 403 });
    }
    let own = Gateway::by_request(&world).await;
    own.ask(&world, "GET", &format!("/{}", "a".repeat(5000)), &[("Authorization", &bearer)])
        .await
        .told(403, "bad_path");
}

#[tokio::test]
async fn failures_are_never_limited_for_they_are_those_of_many_clients() {
    let world = world().await;
    let (gateway, token) = (Gateway::fixed(&world, &["packages:read"]).await, world.token("1").await);
    for _ in 0..330 {
        let request = world.server.http.get(format!("{}{}", world.server.url, gateway.path()));
        crate::support::send(request.header("x-jobpass-service", &gateway.secret)).await.told(401, "no_token");
    }
    call(&world.server, "GET", &gateway.path(), &[]).await.told(401, "gateway");
    gateway.ask(&world, "GET", "", &[("Authorization", &token)]).await.told(200, "granted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn once_the_database_has_been_away_for_longer_than_the_bound_nothing_passes() {
    let (server, wire) = Wire::before_a_server().await;
    let world = World::on(server).await;
    world.grant(&["packages:read"], json!({})).await;
    let (gateway, token) = (Gateway::by_headers(&world).await, world.token("1").await);
    gateway.about(&world, &token, "GET", NPM).await.told(200, "granted");
    wire.cut().await;
    let begun = std::time::Instant::now();
    while gateway.about(&world, &token, "GET", NPM).await.status == 200 {
        assert!(begun.elapsed() < std::time::Duration::from_secs(4), "the bound is two seconds");
    }
    let reply = gateway.about(&world, &token, "GET", NPM).await.told(403, "unavailable");
    assert_eq!(reply.header("retry-after"), "1");
    assert_eq!(reply.challenges(), Vec::<String>::new(), "another token would not help");
    gateway.ask(&world, "HEAD", "", &[]).await.told(403, "unavailable");
}

// ── What is asked about ──────────────────────────────────────────────────────────────────────────────

#[tokio::test]
async fn method_and_path_come_from_the_two_headers_and_from_nowhere_else() {
    let world = world().await;
    let (gateway, token) = (Gateway::by_headers(&world).await, world.token("1").await);
    let bearer = format!("Bearer {token}");
    let ask = async |below: &str, headers: &[(&str, &str)]| {
        gateway.ask(&world, "GET", below, &[&[("Authorization", bearer.as_str())], headers].concat()).await
    };
    let (method, path) = (("X-Forwarded-Method", "GET"), ("X-Forwarded-Uri", NPM));
    ask("", &[method, path]).await.told(200, "granted");
    ask("", &[("x-FORWARDED-method", "GET"), ("X-FORWARDED-URI", NPM)]).await.told(200, "granted");
    ask("/other?x=y", &[method, path]).await.told(200, "granted");

    let delete = ("X-Forwarded-Method", "DELETE");
    let other = ("X-Forwarded-Uri", "/api/v4/projects/acme%2Fweb/packages");
    let bad: [&[(&str, &str)]; 10] = [
        &[],
        &[method],
        &[path],
        // One of the two may be the client's own, and nobody knows which.
        &[method, method, path],
        &[delete, method, path],
        &[method, path, path],
        &[method, other, path],
        // Not the headers that are set, whatever else gateways use.
        &[("X_Forwarded_Method", "GET"), ("X_Forwarded_Uri", NPM)],
        &[("X-Original-Method", "GET"), ("X-Original-URI", NPM)],
        &[method, ("X-Forwarded-Uri", "/projects/ü/packages")],
    ];
    for headers in bad {
        ask(NPM, headers).await.told(403, "bad_source");
    }
    // Joined on the way, they are one that means nothing.
    ask("", &[("X-Forwarded-Method", "DELETE, GET"), path]).await.told(403, "unknown_route");
    ask("", &[method, ("X-Forwarded-Uri", &format!("/x, {NPM}"))]).await.told(403, "bad_path");
    for more in [("X-Original-URI", "/x"), ("X-HTTP-Method-Override", "DELETE"), ("X-Rewrite-URL", "/x")] {
        ask("", &[method, path, more]).await.told(200, "granted");
    }
}

#[tokio::test]
async fn with_its_own_path_no_header_says_otherwise() {
    let world = world().await;
    let (gateway, token) = (Gateway::by_request(&world).await, world.token("1").await);
    let bearer = format!("Bearer {token}");
    let ask = async |method: &str, below: &str, headers: &[(&str, &str)]| {
        gateway.ask(&world, method, below, &[&[("Authorization", bearer.as_str())], headers].concat()).await
    };
    ask("PUT", NPM, &[]).await.told(200, "granted");
    ask("GET", &format!("{NPM}?x=y"), &[]).await.told(200, "granted");
    ask("DELETE", NPM, &[("X-Forwarded-Method", "GET")]).await.told(403, "unknown_route");
    ask("GET", "/x", &[("X-Forwarded-Uri", NPM), ("X-Envoy-Original-Path", NPM)]).await.told(403, "unknown_route");
    for below in ["", "?path=/x"] {
        ask("GET", below, &[]).await.told(403, "bad_path");
    }
    for (below, reason) in REFUSED {
        ask("GET", below, &[]).await.told(403, reason);
    }
}

/// What a gateway and the service behind it might read in two ways, and what nobody described.
const REFUSED: [(&str, &str); 20] = [
    ("/", "bad_path"),
    ("//api/v4/projects/acme%2Flib/packages", "bad_path"),
    ("/api/v4/projects/acme%2Flib/packages/", "bad_path"),
    ("/api/v4/projects/acme%2Flib/../acme%2Fweb/packages", "bad_path"),
    ("/api/v4/projects/acme%2Flib/./packages", "bad_path"),
    ("/api/v4/projects/acme%2Flib/%2e%2e/packages", "bad_path"),
    ("/api/v4/projects/acme%2Flib/.%2E/packages", "bad_path"),
    ("/api/v4/projects/acme%2Flib//packages", "bad_path"),
    ("/api/v4/projects/acme%2F..%2Flib/packages", "bad_path"),
    ("/api/v4/projects/acme%252Flib/packages", "bad_path"),
    ("/api/v4/projects/acme%5Clib/packages", "bad_path"),
    ("/api/v4/projects/acme%2Flib/packages;x", "bad_path"),
    ("/api/v4/projects/acme%2Flib/packages%3Bx", "bad_path"),
    ("/api/v4/projects/acme%2Flib/packages%00", "bad_path"),
    ("/api/v4/projects/acme%2Flib/packages%0d%0aX:y", "bad_path"),
    ("/api/v4/projects/acme%2Flib/packages%zz", "bad_path"),
    // A slash that a router would see where the service behind might not.
    ("/api/v4/projects/acme%2Flib%2Fpackages", "unknown_route"),
    ("/api/v4%2Fprojects/acme%2Flib/packages", "unknown_route"),
    ("/API/v4/projects/acme%2Flib/packages", "unknown_route"),
    ("/api/v4/projects/acme%2Flib/nothing", "unknown_route"),
];

#[tokio::test]
async fn a_path_that_can_be_read_in_two_ways_is_refused() {
    let world = world().await;
    let (gateway, token) = (Gateway::by_headers(&world).await, world.token("1").await);
    for (path, reason) in REFUSED {
        gateway.about(&world, &token, "GET", path).await.told(403, reason);
    }
    let more = [
        "http://lib.example/api/v4/projects/acme%2Flib/packages",
        "lib.example:443",
        "*",
        "api/v4/projects/acme%2Flib/packages",
        "/api/v4/projects/acme%2Flib/packages#x",
        "/api/v4/projects/acme%2Flib/packages?x=y#z",
        "/api/v4/projects/acme\\lib/packages",
        "/api/v4/projects/acme lib/packages",
    ];
    for path in more {
        gateway.about(&world, &token, "GET", path).await.told(403, "bad_path");
    }
    for method in ["get", "Get", "GET "] {
        let status = gateway.about(&world, &token, method, NPM).await.status;
        assert_eq!(
            status,
            if method == "GET " { 200 } else { 403 },
            "{method:?}: a header's value ends before white space"
        );
    }
    let refused = "/projects/acme%2Flib/registry/repositories/7";
    gateway.about(&world, &token, "DELETE", refused).await.told(403, "uncontrollable_route");
}

#[tokio::test]
async fn what_is_fixed_needs_no_path() {
    let world = world().await;
    let token = world.token("1").await;
    let read = Gateway::fixed(&world, &["READ_PACKAGES"]).await;
    let admin = Gateway::fixed(&world, &["packages:admin"]).await;
    read.about(&world, &token, "DELETE", "/whatever/../it%00is").await.told(200, "granted");
    read.ask(&world, "BREW", "/a//b", &[("Job-Token", &token)]).await.told(200, "granted");
    let reply = admin.ask(&world, "GET", "", &[("Job-Token", &token)]).await.told(403, "no_grant");
    assert!(reply.text.contains("packages:update, packages:delete on "), "{}", reply.text);
}

#[tokio::test]
async fn a_service_of_one_project_is_asked_about_no_other() {
    let world = world().await;
    let token = world.token("1").await;
    let gateway = Gateway::new(&world, by_headers(), json!({ "project": "acme/lib" })).await;
    gateway.about(&world, &token, "GET", NPM).await.told(200, "granted");
    let other = NPM.replace("acme%2Flib", "acme%2Fweb");
    gateway.about(&world, &token, "GET", &other).await.told(403, "other_project");
    // A route that names none means its own.
    gateway.about(&world, &token, "GET", "/packages/maven/a/b/c.jar").await.told(200, "granted");
    let anywhere = Gateway::by_headers(&world).await;
    anywhere.about(&world, &token, "GET", "/packages/maven/a/b/c.jar").await.told(403, "required");
}

#[tokio::test]
async fn a_service_is_not_told_of_what_it_is_not_shown() {
    let world = world().await;
    let token = world.token("1").await;
    let hidden = Gateway::new(&world, by_headers(), json!({ "resources": ["jobs"] })).await;
    hidden.about(&world, &token, "GET", NPM).await.told(403, "audience");
    let strict =
        Gateway::new(&world, by_headers(), json!({ "audience": "https://a.example", "audience_required": true })).await;
    strict.about(&world, &token, "GET", NPM).await.told(401, "audience");
}

// ── Who it is ────────────────────────────────────────────────────────────────────────────────────────

#[tokio::test]
async fn the_headers_of_200_say_who_it_is_and_never_what_the_client_said() {
    let world = world().await;
    let gateway = Gateway::by_headers(&world).await;
    let minted = world.mint("1", json!({ "pipeline": { "ref": "zweig/ü, 50%" } })).await;
    let text = |name: &str| minted[name].as_str().unwrap();
    let reply = gateway.about(&world, text("token"), "PUT", NPM).await.told(200, "granted");
    let told = IDENTITY.map(|name| reply.header(name));
    let subject = format!("project:{}:job:{}", text("project_id"), text("job_id"));
    let expected = [
        "acme/web",
        text("project_id"),
        text("pipeline_id"),
        text("job_id"),
        text("id"),
        &subject,
        "zweig/%C3%BC%2C%2050%25",
        "false",
        "packages:create",
        "",
    ];
    assert_eq!(told, expected);

    let bearer = format!("Bearer {}", text("token"));
    let mut headers: Vec<_> = IDENTITY.iter().map(|name| (*name, "forged")).collect();
    headers.extend([("Authorization", bearer.as_str()), ("X-Forwarded-Method", "PUT"), ("X-Forwarded-Uri", NPM)]);
    let forged = gateway.ask(&world, "GET", "", &headers).await.told(200, "granted");
    assert_eq!(IDENTITY.map(|name| forged.header(name)), expected);
}

#[tokio::test]
async fn a_service_chooses_what_it_is_told_and_the_rest_comes_empty() {
    let world = world().await;
    let token = world.token("1").await;
    for chosen in [json!([]), json!(["jobpass-project", "jobpass-protected"])] {
        let mut set = by_headers();
        merge(&mut set, json!({ "identity_headers": chosen }));
        let gateway = Gateway::new(&world, set, json!({})).await;
        let reply = gateway.about(&world, &token, "GET", NPM).await.told(200, "granted");
        let told: Vec<_> = IDENTITY.into_iter().filter(|name| !reply.header(name).is_empty()).collect();
        assert_eq!(json!(told), chosen);
    }
}

#[tokio::test]
async fn in_audit_mode_the_answer_says_what_enforced_would_refuse() {
    let world = World::new().await;
    let (server, gateway) = (&world.server, Gateway::by_headers(&world).await);
    server.patch("/v1/projects/acme%2Flib", world.person("owner"), json!({ "mode": "audit" })).await.expect(200);
    let minted = world.mint("1", json!({ "pipeline": { "actor": "developer" } })).await;
    let reply = gateway.about(&world, minted["token"].as_str().unwrap(), "PUT", NPM).await.told(200, "role");
    assert_eq!(reply.header("jobpass-would-deny"), "packages:create");
}

#[tokio::test]
async fn each_answer_counts_as_use() {
    let world = world().await;
    let (gateway, token) = (Gateway::by_headers(&world).await, world.token("1").await);
    gateway.about(&world, &token, "GET", NPM).await.told(200, "granted");
    gateway.about(&world, &token, "DELETE", "/projects/acme%2Flib/packages/7").await.told(403, "no_grant");
    gateway.about(&world, "jpj_nobody", "GET", NPM).await.told(401, "unknown");
    let usage = world.server.get("/v1/projects/acme%2Flib/usage", world.person("maintainer")).await.expect(200);
    let mut seen: Vec<_> = usage.json["items"].as_array().unwrap().iter().collect();
    seen.sort_by_key(|item| item["permission"].as_str());
    let seen: Vec<_> = seen.iter().map(|item| (item["permission"].as_str().unwrap(), &item["count"])).collect();
    assert_eq!(seen, [("packages:delete", &json!(1)), ("packages:read", &json!(1))]);
}

// ── Setting it up ────────────────────────────────────────────────────────────────────────────────────

#[tokio::test]
async fn how_a_gateway_asks_is_set_merged_and_audited() {
    let world = World::new().await;
    let (server, admin) = (&world.server, world.admin());
    let made = server.post("/v1/services", admin, json!({ "name": "s" })).await.expect(201);
    assert_eq!(made.json["forward_auth"], Value::Null);
    let path = format!("/v1/services/{}", made.text_at("/client_id"));
    let patch = async |set: Value| server.patch(&path, admin, json!({ "forward_auth": set })).await;

    let whole = json!({
        "source": "headers", "method_header": "x-forwarded-method", "path_header": "x-forwarded-uri",
        "permissions": null, "identity_headers": null,
    });
    assert_eq!(patch(by_headers()).await.expect(200).json["forward_auth"], whole);
    let told = patch(json!({ "identity_headers": ["jobpass-ref"] })).await.expect(200);
    let mut merged = whole.clone();
    merge(&mut merged, json!({ "identity_headers": ["jobpass-ref"] }));
    assert_eq!(told.json["forward_auth"], merged, "what a merge patch leaves out stays");
    assert_eq!(server.patch(&path, admin, json!({ "name": "t" })).await.expect(200).json["forward_auth"], merged);
    patch(json!({ "source": "request" })).await.invalid("/forward_auth/method_header", "not_both");
    let own = json!({ "source": "request", "method_header": null, "path_header": null });
    assert_eq!(patch(own).await.expect(200).json["forward_auth"]["source"], "request");
    assert_eq!(patch(Value::Null).await.expect(200).json["forward_auth"], Value::Null);

    let events = server.get("/v1/audit-events?limit=1000", admin).await.expect(200);
    let updated: Vec<_> =
        events.json["items"].as_array().unwrap().iter().filter(|event| event["action"] == "service.updated").collect();
    assert_eq!(updated.len(), 5);
    let sources =
        |side: &str| -> Vec<_> { updated.iter().map(|event| event[side]["forward_auth"]["source"].as_str()).collect() };
    let (headers, request) = (Some("headers"), Some("request"));
    let mut after = sources("after");
    after.sort_unstable();
    assert_eq!(after, [None, headers, headers, headers, request]);
}

#[tokio::test]
async fn what_cannot_be_set_is_named() {
    let world = World::new().await;
    let (server, admin) = (&world.server, world.admin());
    let create = async |set: Value| {
        let body = json!({ "name": "s", "project": "acme/lib", "forward_auth": set });
        server.post("/v1/services", admin, body).await
    };
    for (set, pointer, code) in [
        (json!({}), "/forward_auth/source", "required"),
        (json!([]), "/forward_auth", "wrong_type"),
        (json!({ "source": "guess" }), "/forward_auth/source", "invalid"),
        (json!({ "source": "request", "colour": 1 }), "/forward_auth/colour", "unknown_field"),
        (json!({ "source": "headers" }), "/forward_auth/method_header", "required"),
        (json!({ "source": "headers", "method_header": "a" }), "/forward_auth/path_header", "required"),
        (
            json!({ "source": "headers", "method_header": "a_b", "path_header": "c" }),
            "/forward_auth/method_header",
            "invalid",
        ),
        (
            json!({ "source": "headers", "method_header": "a", "path_header": "Cookie" }),
            "/forward_auth/path_header",
            "reserved",
        ),
        (
            json!({ "source": "headers", "method_header": "a", "path_header": "A" }),
            "/forward_auth/path_header",
            "named_twice",
        ),
        (json!({ "source": "fixed" }), "/forward_auth/permissions", "required"),
        (json!({ "source": "fixed", "permissions": [] }), "/forward_auth/permissions", "out_of_range"),
        (
            json!({ "source": "fixed", "permissions": ["jobs:read", "x:y"] }),
            "/forward_auth/permissions/1",
            "unknown_permission",
        ),
        (json!({ "source": "request", "permissions": ["jobs:read"] }), "/forward_auth/permissions", "not_both"),
        (json!({ "source": "request", "identity_headers": ["x-user"] }), "/forward_auth/identity_headers/0", "invalid"),
    ] {
        create(set).await.invalid(pointer, code);
    }
    let fixed = json!({ "name": "s", "forward_auth": { "source": "fixed", "permissions": ["jobs:read"] } });
    server.post("/v1/services", admin, fixed).await.invalid("/project", "required");
}
