//! The layer in front of a service that always says yes, beside a Jobpass that plays every part.

use super::{REASON, Refusal, RequirePermission, WOULD_DENY};
use crate::canned::{self, Canned, Play, ok, problem, secret};
use crate::{Ask, ResourceService};
use axum::body::Body;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, Request, Response, StatusCode};
use jobpass_api::{Decision, Subject};
use jobpass_domain::token::Kind;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use tower::{Layer, ServiceExt, service_fn};

const ID: &str = "0191d2b4-0000-7000-8000-000000000000";
const PATH: &str = "/acme%2Flib/npm/@acme/ui";

struct Seen {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Seen {
    fn header(&self, name: &str) -> Vec<&str> {
        self.headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
    }
}

/// Says who was let in.
async fn handler(request: Request<Body>) -> Result<Response<Body>, Infallible> {
    let subject = request.extensions().get::<Subject>().map(|subject| subject.project.clone());
    assert!(request.extensions().get::<Decision>().is_some());
    Ok(Response::new(Body::from(format!("let in {subject:?}"))))
}

fn guard(service: ResourceService) -> RequirePermission {
    RequirePermission::on_path(service, "packages:create", "/{project}/npm/{*rest}").unwrap().realm("Pack\"ages")
}

async fn send(guard: &RequirePermission, request: Request<Body>) -> Seen {
    let (parts, body) = guard.layer(service_fn(handler)).oneshot(request).await.unwrap().into_parts();
    let body = axum::body::to_bytes(body, 1 << 16).await.unwrap();
    Seen { status: parts.status, headers: parts.headers, body: String::from_utf8(body.to_vec()).unwrap() }
}

fn with_token() -> Request<Body> {
    let bearer = format!("Bearer {}", secret(Kind::Job).expose());
    Request::put(PATH).header("authorization", bearer).body(Body::from("a package")).unwrap()
}

async fn when(play: Play) -> Seen {
    let server = Canned::playing([play]).await;
    send(&guard(server.service()), with_token()).await
}

fn decision(changes: &Value) -> Play {
    let mut decision = json!({
        "allowed": false, "reason": "no_grant", "missing": ["packages:create"], "would_deny": [], "anonymous": false,
        "subject": {
            "project_id": ID, "project": "acme/web", "pipeline_id": ID, "job_id": ID, "token_id": ID, "ref": "main",
            "protected": true,
        },
    });
    for (name, value) in changes.as_object().unwrap() {
        decision[name] = value.clone();
    }
    ok(&decision)
}

#[tokio::test]
async fn granted() {
    let server = Canned::playing([decision(&json!({"allowed": true, "reason": "granted", "missing": []}))]).await;
    let seen = send(&guard(server.service()), with_token()).await;
    assert_eq!((seen.status, seen.body.as_str()), (StatusCode::OK, "let in Some(\"acme/web\")"));
    assert!(seen.header(WOULD_DENY).is_empty());
    let requests = server.requests();
    let question: Value = serde_json::from_str(requests[0].split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!(question["project"], "acme/lib");
    assert_eq!(question["permissions"], json!(["packages:create"]));
    assert_eq!(question["token"], secret(Kind::Job).expose());
}

#[tokio::test]
async fn granted_for_now() {
    let audit = json!({"allowed": true, "reason": "role", "missing": [], "would_deny": ["packages:create"]});
    let seen = when(decision(&audit)).await;
    assert_eq!(seen.status, StatusCode::OK);
    assert_eq!(seen.header(WOULD_DENY), ["packages:create"]);
}

#[tokio::test]
async fn refused() {
    let seen = when(decision(&json!({}))).await;
    assert_eq!(seen.status, StatusCode::FORBIDDEN);
    assert_eq!(seen.header("content-type"), ["text/plain; charset=utf-8"]);
    assert_eq!(seen.header(REASON), ["no_grant"]);
    assert_eq!(seen.body, "Jobpass: this job's token lacks packages:create on acme/lib (no_grant).\n");
    assert!(seen.header("www-authenticate").is_empty());
}

#[tokio::test]
async fn refused_for_several_reasons() {
    let reasons = json!([
        {"permission": "packages:read", "reason": "token_cap"},
        {"permission": "packages:create", "reason": "no_grant"},
    ]);
    let missing = json!(["packages:read", "packages:create"]);
    let seen = when(decision(&json!({"reason": "token_cap", "missing": missing, "reasons": reasons}))).await;
    let text = "Jobpass: this job's token lacks packages:read (token_cap), packages:create (no_grant) on acme/lib.\n";
    assert_eq!(seen.body, text);
}

#[tokio::test]
async fn a_dead_token_is_challenged() {
    for reason in ["unknown", "revoked", "expired", "job_over", "lease_lost", "parent", "audience"] {
        let seen = when(decision(&json!({"reason": reason, "subject": null}))).await;
        assert_eq!(seen.status, StatusCode::UNAUTHORIZED, "{reason}");
        assert_eq!(seen.body, format!("Jobpass: this token is not valid here ({reason}).\n"));
        let challenges = ["Basic realm=\"Packages\"", "Bearer realm=\"Packages\", error=\"invalid_token\""];
        assert_eq!(seen.header("www-authenticate"), challenges);
    }
}

#[tokio::test]
async fn a_service_that_is_not_shown_the_resource_does_not_call_the_token_dead() {
    assert_eq!(when(decision(&json!({"reason": "audience"}))).await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn what_anyone_may_do_a_dead_token_may_too() {
    let anyone = json!({"reason": "expired", "subject": null, "anonymous": true});
    let server = Canned::playing([decision(&anyone), decision(&anyone)]).await;
    let guard = guard(server.service());
    let seen = send(&guard, with_token()).await;
    assert_eq!((seen.status, seen.body.as_str()), (StatusCode::OK, "let in None"));
    assert_eq!(send(&guard.anonymous(false), with_token()).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn without_a_usable_token_nobody_is_asked() {
    let guard = guard(canned::service(&canned::client(canned::nobody().await)));
    for authorization in [None, Some("Basic OnNlY3JldA"), Some("Negotiate abc"), Some("Bearer ")] {
        let mut request = Request::get(PATH);
        if let Some(authorization) = authorization {
            request = request.header("authorization", authorization);
        }
        let seen = send(&guard, request.body(Body::empty()).unwrap()).await;
        assert_eq!(seen.status, StatusCode::UNAUTHORIZED, "{authorization:?}");
        assert_eq!(seen.header("www-authenticate"), ["Basic realm=\"Packages\"", "Bearer realm=\"Packages\""]);
    }
}

#[tokio::test]
async fn the_password_of_basic_is_a_token() {
    let server = Canned::playing([decision(&json!({"allowed": true, "missing": []}))]).await;
    let pair = STANDARD.encode(format!("anyone:{}", secret(Kind::Job).expose()));
    let request = Request::get(PATH).header("authorization", format!("basic {pair}")).body(Body::empty());
    assert_eq!(send(&guard(server.service()), request.unwrap()).await.status, StatusCode::OK);
    assert!(server.requests()[0].contains(secret(Kind::Job).expose()));
}

#[tokio::test]
async fn two_tokens_are_none() {
    let guard = guard(canned::service(&canned::client(canned::nobody().await)));
    let mut request = with_token();
    request.headers_mut().append("authorization", "Bearer other".parse().unwrap());
    assert_eq!(send(&guard, request).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn it_fails_closed() {
    for play in [
        Play::Hang,
        Play::HangUp,
        Play::Answer(200, "<html>welcome</html>".into()),
        Play::Answer(200, r#"{"allowed":true}"#.into()),
        Play::Answer(200, "true".into()),
        Play::Answer(204, String::new()),
        Play::Answer(302, String::new()),
        Play::Answer(
            500,
            r#"{"allowed":true,"reason":"granted","missing":[],"would_deny":[],"anonymous":true}"#.into(),
        ),
        problem(401, "unauthenticated"),
        problem(422, "invalid"),
        problem(429, "too_many_requests"),
        problem(503, "unavailable"),
        decision(&json!({"allowed": true})),
        decision(&json!({"allowed": "true"})),
    ] {
        no_decision(&when(play).await);
    }
    let guard = guard(canned::service(&canned::client(canned::nobody().await)));
    no_decision(&send(&guard, with_token()).await);
}

fn no_decision(seen: &Seen) {
    assert_eq!(seen.status, StatusCode::SERVICE_UNAVAILABLE, "{}", seen.body);
    assert_eq!(seen.header("retry-after"), ["2"]);
    assert_eq!(seen.header(REASON), ["unavailable"]);
    assert!(seen.body.starts_with("Jobpass: no decision"));
}

#[tokio::test]
async fn a_path_that_is_not_clear_is_not_asked_about() {
    let guard = guard(canned::service(&canned::client(canned::nobody().await)));
    for (path, status) in [("/acme%2F..%2Flib/npm/x", 400), ("/acme%2Flib/npm/%2e%2e", 400), ("/acme%2Flib/pip/x", 404)]
    {
        let mut request = with_token();
        *request.uri_mut() = path.parse().unwrap();
        assert_eq!(send(&guard, request).await.status, status, "{path}");
    }
}

#[tokio::test]
async fn a_rule_of_ones_own() {
    let server = Canned::playing([decision(&json!({}))]).await;
    let guard = RequirePermission::by_rule(server.service(), |parts| match parts.method.as_str() {
        "PUT" => Ok(Ask::on("acme/lib", "packages:create")?.and("packages:update")),
        _ => Err(Refusal::forbidden("this registry only takes packages")),
    });
    assert_eq!(send(&guard, with_token()).await.status, StatusCode::FORBIDDEN);
    let mut request = with_token();
    *request.method_mut() = http::Method::DELETE;
    assert_eq!(send(&guard, request).await.body, "Jobpass: this registry only takes packages.\n");
    assert!(server.requests()[0].contains(r#"["packages:create","packages:update"]"#));
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn the_body_of_a_refused_request_is_read() {
    let (mut sender, body) = tokio::io::duplex(16);
    let body = Body::from_stream(tokio_util::io::ReaderStream::new(body));
    let (parts, _) = with_token().into_parts();
    let server = Canned::playing([decision(&json!({}))]).await;
    let guard = guard(server.service());
    let write = async move { tokio::io::AsyncWriteExt::write_all(&mut sender, &vec![0; 100_000]).await };
    let (seen, written) = tokio::join!(send(&guard, Request::from_parts(parts, body)), write);
    assert_eq!(seen.status, StatusCode::FORBIDDEN);
    written.unwrap();
}

#[tokio::test]
async fn a_body_that_is_too_long_or_not_yet_sent_is_left_alone() {
    for (name, value) in [("content-length", "100000000"), ("expect", "100-continue")] {
        let server = Canned::playing([decision(&json!({}))]).await;
        let mut request = with_token().map(|_| Body::from_stream(tokio_util::io::ReaderStream::new(Untouchable)));
        request.headers_mut().insert(name, value.parse().unwrap());
        assert_eq!(send(&guard(server.service()), request).await.status, StatusCode::FORBIDDEN);
    }
}

struct Untouchable;

impl tokio::io::AsyncRead for Untouchable {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        panic!("the body was read")
    }
}
