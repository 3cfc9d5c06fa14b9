//! The roles against a server that answers well, badly or not at all.

use crate::canned::{self, Canned, Play, ok, problem, secret};
use crate::{Ask, Client, Error, Misconfigured, Runner, Secret};
use jobpass_api::{DecisionOrProblem, NewJobToken};
use jobpass_domain::ids::{JobId, RunnerId};
use jobpass_domain::token::Kind;
use serde_json::{Value, json};
use std::time::Duration;
use uuid::Uuid;

const ID: &str = "0191d2b4-0000-7000-8000-000000000000";

fn runner(server: &Canned) -> Runner {
    server.client().runner(RunnerId(Uuid::nil()), secret(Kind::Runner)).unwrap()
}

fn wanted() -> NewJobToken {
    let wanted = json!({
        "project": "acme/web",
        "pipeline": {"key": "1", "ref": "main", "ref_type": "branch", "sha": "abc", "trigger": "push"},
        "job": {"key": "1/build", "name": "build", "timeout_secs": 60},
    });
    serde_json::from_value(wanted).unwrap()
}

fn minted() -> Value {
    json!({
        "token": "jpj_minted", "id": ID, "project_id": ID, "pipeline_id": ID, "job_id": ID,
        "permissions": null, "expires_at": "2026-11-23T10:00:00Z",
    })
}

fn job() -> Value {
    json!({"id": ID, "pipeline_id": ID, "state": "running", "deadline_at": "2026-11-23T10:00:00Z"})
}

fn decision(allowed: bool) -> Value {
    json!({"allowed": allowed, "reason": "granted", "missing": [], "would_deny": [], "anonymous": false})
}

fn header<'a>(request: &'a str, name: &str) -> Option<&'a str> {
    request.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

#[tokio::test]
async fn a_mint_is_repeated_with_its_own_key() {
    for first in [Play::HangUp, problem(503, "unavailable")] {
        let server = Canned::playing([first, ok(&minted())]).await;
        let token = runner(&server).mint(&wanted()).await.unwrap();
        assert_eq!(token.token.expose(), "jpj_minted");
        assert!(!format!("{token:?}").contains("minted"));
        let keys: Vec<_> =
            server.requests().iter().map(|request| header(request, "idempotency-key").unwrap().to_owned()).collect();
        assert_eq!(keys.len(), 2);
        assert_eq!(keys[0], keys[1]);
    }
}

#[tokio::test]
async fn two_mints_have_two_keys() {
    let server = Canned::playing([ok(&minted()), ok(&minted())]).await;
    let runner = runner(&server);
    runner.mint(&wanted()).await.unwrap();
    runner.mint(&wanted()).await.unwrap();
    let requests = server.requests();
    assert_ne!(header(&requests[0], "idempotency-key"), header(&requests[1], "idempotency-key"));
}

#[tokio::test]
async fn a_refusal_and_a_timeout_are_not_repeated() {
    let server = Canned::playing([problem(409, "job_over"), Play::Hang]).await;
    let runner = runner(&server);
    let refused = runner.mint(&wanted()).await.unwrap_err();
    assert!(matches!(&refused, Error::Problem(problem) if problem.code == "job_over"), "{refused}");
    assert!(!refused.is_retryable());
    let silence = runner.mint(&wanted()).await.unwrap_err();
    assert!(matches!(silence, Error::Unreachable { timed_out: true, .. }), "{silence}");
    assert!(silence.is_retryable());
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn nobody_listens() {
    let service = canned::service(&canned::client(canned::nobody().await));
    let error = service.authorize(&secret(Kind::Job), &Ask::on("a", "packages:read").unwrap()).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { timed_out: false, .. }), "{error:?}");
}

#[tokio::test]
async fn keeping_alive_outlasts_an_outage_and_ends_with_the_job() {
    let plays = [ok(&job()), Play::HangUp, Play::HangUp, ok(&job()), problem(409, "job_over")];
    let server = Canned::playing(plays).await;
    let end = runner(&server).keep_alive(JobId(Uuid::nil()), Duration::from_millis(1)).await;
    assert_eq!(end.status(), Some(409));
    assert_eq!(server.requests().len(), 5);
}

#[tokio::test]
async fn a_revocation_speaks_oauth() {
    let refusal = json!({"error": "invalid_client", "error_description": "no"}).to_string();
    let server = Canned::playing([Play::Answer(200, String::new()), Play::Answer(401, refusal)]).await;
    let runner = runner(&server);
    runner.revoke(&secret(Kind::Job)).await.unwrap();
    let error = runner.revoke(&secret(Kind::Job)).await.unwrap_err();
    assert!(matches!(&error, Error::OAuth { status: 401, error, .. } if error == "invalid_client"), "{error}");
    let request = &server.requests()[0];
    assert!(request.starts_with("POST /oauth/revoke "));
    assert!(header(request, "authorization").unwrap().starts_with("Basic "));
    assert!(request.ends_with(&format!("token={}", secret(Kind::Job).expose())));
}

#[tokio::test]
async fn what_is_not_an_answer_is_an_error() {
    let contradiction = json!({"allowed": true, "reason": "granted", "missing": ["packages:read"], "would_deny": [], "anonymous": false});
    for play in [
        Play::Answer(200, "<html>".into()),
        Play::Answer(200, "{}".into()),
        Play::Answer(500, "oops".into()),
        Play::Answer(302, String::new()),
        ok(&contradiction),
        problem(422, "invalid"),
    ] {
        let server = Canned::playing([play]).await;
        let ask = Ask::on("acme/lib", "packages:read").unwrap();
        let error = server.service().authorize(&secret(Kind::Job), &ask).await.unwrap_err();
        assert!(!error.is_retryable(), "{error}");
        assert!(!format!("{error:?}").contains(secret(Kind::Job).expose()));
    }
}

#[tokio::test]
async fn many_questions_take_several_calls() {
    let refused = json!({"allowed": false, "reason": "invalid", "errors": []});
    let first: Vec<_> = (0..100).map(|_| decision(true)).collect();
    let server = Canned::playing([ok(&json!({"decisions": first})), ok(&json!({"decisions": [refused]}))]).await;
    let (token, ask) = (secret(Kind::Job), Ask::on("acme/lib", "packages:read").unwrap());
    let decisions = server.service().authorize_many(&vec![(&token, &ask); 101]).await.unwrap();
    assert_eq!(decisions.len(), 101);
    assert!(decisions[..100].iter().all(DecisionOrProblem::allowed));
    assert!(!decisions[100].allowed());
}

#[tokio::test]
async fn a_missing_decision_spoils_the_batch() {
    let server = Canned::playing([ok(&json!({"decisions": [decision(true)]}))]).await;
    let (token, ask) = (secret(Kind::Job), Ask::on("acme/lib", "packages:read").unwrap());
    assert!(server.service().authorize_many(&[(&token, &ask), (&token, &ask)]).await.is_err());
}

#[tokio::test]
async fn introspection() {
    let server = Canned::playing([ok(&json!({"active": false})), ok(&json!({"active": true}))]).await;
    let service = server.service();
    assert!(!service.introspect(&secret(Kind::Job), Some("acme/lib"), None).await.unwrap().active);
    assert!(service.introspect(&secret(Kind::Job), None, None).await.is_err());
    assert!(server.requests()[0].ends_with("&project=acme%2Flib"));
}

#[tokio::test]
async fn a_holder_asks_about_a_project() {
    let access = json!({"project": "acme/lib", "permissions": ["packages:read"], "missing": []});
    let token = json!({
        "id": ID, "project_id": ID, "project": "acme/web", "pipeline_id": ID, "pipeline": "1", "job_id": ID, "job": "1/b",
        "job_name": "b", "ref": "main", "ref_type": "branch", "sha": "abc", "protected": true, "environment": null,
        "trigger": "push", "from_fork": false, "fork_source": null, "runner_id": ID, "permissions": null, "audience": null,
        "issued_at": "2026-11-23T10:00:00Z", "expires_at": "2026-11-23T10:00:00Z",
    });
    let both = ok(&json!({"token": token, "access": access}));
    let server = Canned::playing([both, ok(&json!({"token": token})), Play::Answer(204, String::new())]).await;
    let holder = server.client().holder(secret(Kind::Job)).unwrap();
    assert_eq!(
        holder.access_to("acme/lib", &["packages:read", "packages:create"]).await.unwrap().permissions,
        ["packages:read"]
    );
    assert_eq!(holder.whoami().await.unwrap().project, "acme/web");
    holder.give_up().await.unwrap();
    assert!(
        server.requests()[0]
            .starts_with("GET /v1/job-tokens/self?project=acme%2Flib&permission=packages%3Aread+packages%3Acreate ")
    );
}

#[test]
fn a_role_takes_only_its_own_kind_of_secret() {
    let client = Client::builder("http://localhost").build().unwrap();
    assert!(matches!(client.holder(secret(Kind::Runner)), Err(Misconfigured::Credential { prefix: "jpj_" })));
    assert!(matches!(client.service("abc", secret(Kind::Job)), Err(Misconfigured::Credential { prefix: "jps_" })));
    assert!(client.runner(RunnerId(Uuid::nil()), Secret::new(String::new())).is_err());
    let runner = client.runner(RunnerId(Uuid::nil()), secret(Kind::Runner)).unwrap();
    assert!(!format!("{runner:?}").contains("jpr_"));
}

fn maintainer(canned: &Canned) -> crate::Maintainer {
    canned.client().maintainer(secret(Kind::User)).unwrap()
}

fn listed(paths: &[&str], next: Option<&str>) -> Play {
    let group =
        |path: &&str| json!({ "id": ID, "path": path, "floor": "legacy", "created_at": "2026-11-23T10:00:00Z" });
    ok(&json!({ "items": paths.iter().map(group).collect::<Vec<_>>(), "next": next }))
}

#[tokio::test]
async fn lists_are_read_to_their_last_page() {
    let canned = Canned::playing([listed(&["a", "b"], Some("b")), listed(&["c"], None)]).await;
    let groups = maintainer(&canned).groups().await.unwrap();
    assert_eq!(groups.iter().map(|group| group.path.as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);
    let requests = canned.requests();
    assert!(requests[0].starts_with("GET /v1/groups?limit=1000 "), "{}", requests[0]);
    assert!(requests[1].starts_with("GET /v1/groups?limit=1000&after=b "), "{}", requests[1]);
}

#[tokio::test]
async fn what_is_put_names_what_was_read() {
    let canned =
        Canned::playing([ok(&json!({ "dry_run": true, "changes": [], "impact": impact() })), problem(412, "x")]).await;
    let wanted = crate::Tagged { value: jobpass_api::ProjectConfiguration::default(), etag: "\"t\"".to_owned() };
    let put = crate::Put { confirmed: true, window_days: Some(7) };
    let dry = maintainer(&canned).rehearse("a/b", &wanted, put).await.unwrap();
    assert!(dry.changes.is_empty());
    let stale = maintainer(&canned).put_configuration("a/b", &wanted, put).await.unwrap_err();
    assert_eq!(stale.status(), Some(412));
    let [rehearsed, put] = canned.requests().try_into().unwrap();
    let line = "PUT /v1/projects/a%2Fb/configuration?confirm=true&window_days=7";
    assert!(rehearsed.starts_with(&format!("{line}&dry_run=true ")) && put.starts_with(&format!("{line} ")), "{put}");
    assert!(put.contains("if-match: \"t\"\r\n") && put.ends_with("{}"), "{put}");
}

#[tokio::test]
async fn what_is_hidden_is_none_and_what_has_no_tag_is_no_answer() {
    let canned = Canned::playing([problem(404, "not_found"), ok(&json!({}))]).await;
    let read = async || maintainer(&canned).configuration::<jobpass_api::ProjectConfiguration>("a/b").await;
    assert!(read().await.unwrap().is_none());
    assert!(matches!(read().await, Err(Error::Unexpected { .. })));
}

fn impact() -> serde_json::Value {
    json!({ "window_days": 90, "would_refuse": [], "would_allow": [], "unknown": [], "left_out": 0 })
}
