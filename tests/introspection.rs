//! RFC 7662 clause by clause, and what the design adds to it: an answer is for one project, for one
//! service, and no longer than it may be relied on.

use crate::caching::within_the_bound;
use crate::support::{Reply, START, World, http_client, settings};
use jobpass_domain::token::{Hour, generate_job_token};
use serde_json::{Value, json};
use time::Duration;

const INACTIVE: &str = r#"{"active":false}"#;
const LIB: (&str, &str) = ("project", "acme/lib");

fn start() -> i64 {
    START.unix_timestamp()
}

/// Id and secret of a further service, registered with this body.
async fn service(world: &World, mut body: Value) -> (String, String) {
    body.as_object_mut().unwrap().entry("name").or_insert(json!("further"));
    let made = world.server.post("/v1/services", world.admin(), body).await.expect(201);
    (made.text_at("/client_id"), made.text_at("/client_secret"))
}

async fn introspect_by(world: &World, (id, secret): &(String, String), token: &str, more: &[(&str, &str)]) -> Reply {
    let form: Vec<_> = [("token", token)].into_iter().chain(more.iter().copied()).collect();
    world.server.form("/oauth/introspect", Some((id, secret)), &form).await
}

async fn minted_text(world: &World, key: &str, change: Value) -> String {
    world.mint(key, change).await["token"].as_str().unwrap().to_owned()
}

/// A job token of the right shape and checksum that nobody minted.
fn unknown_token() -> String {
    generate_job_token(Hour::of_unix(start()), [7; 32]).expose().to_owned()
}

async fn set_mode(world: &World, mode: &str) {
    let body = json!({ "mode": mode });
    world.server.patch("/v1/projects/acme%2Flib", world.admin(), body).await.expect(200);
}

// ── RFC 7662 ─────────────────────────────────────────────────────────────────────────────────────────

#[tokio::test]
async fn rfc7662_2_1_a_form_is_answered_with_json() {
    let world = World::new().await;
    let token = world.token("1").await;
    let reply = world.introspect(&token, &[]).await.expect(200);
    assert_eq!(reply.header("content-type"), "application/json");
    assert_eq!(reply.json["active"], json!(true));
}

#[tokio::test]
async fn rfc7662_2_1_caller_is_authenticated_before_the_token_is_looked_at() {
    let world = World::new().await;
    let live = world.token("1").await;
    for client in [None, Some((world.service.0.as_str(), "wrong"))] {
        let mut answers = vec![];
        for form in [vec![("token", live.as_str())], vec![("token", "garbage")], vec![]] {
            answers.push(world.server.form("/oauth/introspect", client, &form).await.expect(401).text);
        }
        assert_eq!(answers[0], answers[1]);
        assert_eq!(answers[0], answers[2]);
    }
}

#[tokio::test]
async fn rfc7662_2_3_a_wrong_secret_is_invalid_client() {
    let world = World::new().await;
    let client = (world.service.0.clone(), "wrong".to_owned());
    let reply = introspect_by(&world, &client, "any", &[]).await.expect(401);
    assert_eq!(reply.header("www-authenticate"), r#"Basic realm="jobpass", charset="UTF-8""#);
    let description = "client authentication is missing, unknown, expired or revoked";
    assert_eq!(reply.json, json!({ "error": "invalid_client", "error_description": description }));
}

#[tokio::test]
async fn rfc7662_2_3_a_bad_bearer_is_challenged_as_bearer() {
    let world = World::new().await;
    let live = world.token("1").await;
    let url = format!("{}/oauth/introspect", world.server.url);
    for bearer in ["wrong", &live, &world.runner, world.admin()] {
        let request = world.server.http.post(&url).bearer_auth(bearer).form(&[("token", &live)]);
        let reply = crate::support::send(request).await.expect(401);
        assert_eq!(reply.header("www-authenticate"), r#"Bearer realm="jobpass", error="invalid_token""#);
    }
}

#[tokio::test]
async fn rfc7662_2_2_unknown_and_malformed_tokens_are_exactly_inactive() {
    let world = World::new().await;
    let live = world.token("1").await;
    let bad_checksum = format!("{}000000", &live[..47]);
    for text in [&unknown_token(), &bad_checksum, "x", &world.runner, world.admin(), &world.service.1] {
        for more in [&[][..], &[LIB]] {
            assert_eq!(world.introspect(text, more).await.expect(200).text, INACTIVE, "{text}");
        }
    }
}

#[tokio::test]
async fn rfc7662_2_2_a_revoked_token_is_exactly_inactive() {
    let world = World::new().await;
    let token = world.token("1").await;
    world.server.delete("/v1/job-tokens/self", &token).await.expect(204);
    assert_eq!(world.introspect(&token, &[LIB]).await.expect(200).text, INACTIVE);
}

#[tokio::test]
async fn rfc7662_2_2_an_expired_token_is_exactly_inactive() {
    let world = World::new().await;
    let token = world.token("1").await;
    world.server.clock.advance(Duration::seconds(3600 + 300 - 1));
    assert!(world.is_active(&token).await);
    world.server.clock.advance(Duration::seconds(1));
    assert_eq!(world.introspect(&token, &[LIB]).await.expect(200).text, INACTIVE);
}

#[tokio::test]
async fn rfc7662_2_2_a_token_of_a_finished_job_is_exactly_inactive() {
    let world = World::new().await;
    let minted = world.mint("1", json!({})).await;
    let finish = format!("/v1/jobs/{}/finish", minted["job_id"].as_str().unwrap());
    world.server.post(&finish, &world.runner, json!({})).await.expect(200);
    let token = minted["token"].as_str().unwrap();
    assert_eq!(world.introspect(token, &[LIB]).await.expect(200).text, INACTIVE);
}

#[tokio::test]
async fn rfc7662_2_2_a_token_whose_lease_is_lost_is_exactly_inactive() {
    let world = World::new().await;
    let token = minted_text(&world, "1", json!({ "job": { "lease_secs": 30 } })).await;
    world.server.clock.advance(Duration::seconds(29));
    assert!(world.is_active(&token).await);
    world.server.clock.advance(Duration::seconds(1));
    assert_eq!(world.introspect(&token, &[LIB]).await.expect(200).text, INACTIVE);
}

#[tokio::test]
async fn rfc7662_2_2_a_token_for_other_services_is_exactly_inactive() {
    let world = World::new().await;
    let token = minted_text(&world, "1", json!({ "audience": ["https://a.example"] })).await;
    let meant = service(&world, json!({ "name": "a", "audience": "https://a.example" })).await;
    let other = service(&world, json!({ "name": "b", "audience": "https://b.example" })).await;
    assert_eq!(introspect_by(&world, &other, &token, &[]).await.expect(200).text, INACTIVE);
    assert_eq!(world.introspect(&token, &[]).await.expect(200).text, INACTIVE, "a service without audience");
    let active = introspect_by(&world, &meant, &token, &[]).await.expect(200);
    assert_eq!(active.json["aud"], json!(["https://a.example"]));
}

#[tokio::test]
async fn rfc7662_2_1_any_token_type_hint_gives_the_same_answer() {
    let world = World::new().await;
    let token = world.token("1").await;
    let without = world.introspect(&token, &[LIB]).await.expect(200).text;
    for hint in ["access_token", "refresh_token", "no such thing", ""] {
        let with = world.introspect(&token, &[LIB, ("token_type_hint", hint)]).await.expect(200).text;
        assert_eq!(with, without, "{hint}");
    }
}

#[tokio::test]
async fn rfc7662_2_1_a_token_is_given_exactly_once() {
    let world = World::new().await;
    let client = Some((world.service.0.as_str(), world.service.1.as_str()));
    for form in [vec![], vec![("token", "")], vec![("token", "a"), ("token", "a")], vec![("token", "a"), ("token", "")]]
    {
        let reply = world.server.form("/oauth/introspect", client, &form).await.expect(400);
        assert_eq!(reply.json["error"], "invalid_request", "{form:?}");
    }
}

#[tokio::test]
async fn rfc7662_2_2_an_active_answer_in_full() {
    let world = World::new().await;
    world.grant(&["packages:read"], json!({})).await;
    let change = json!({ "pipeline": { "actor": "developer" }, "job": { "environment": "prod" } });
    let minted = world.mint("4711", change).await;
    let told = world.introspect(minted["token"].as_str().unwrap(), &[LIB]).await.expect(200);
    let (project, job) = (minted["project_id"].as_str().unwrap(), minted["job_id"].as_str().unwrap());
    let expected = json!({
        "active": true,
        "scope": "packages:read",
        "client_id": world.runner_id,
        "sub": format!("project:{project}:job:{job}"),
        "aud": [world.service.0],
        "iss": world.server.url,
        "exp": start() + 60,
        "iat": start(),
        "nbf": start() - 5,
        "jti": minted["id"],
        "token_type": "Bearer",
        "authorization_details": [{ "type": "jobpass_project", "project": "acme/lib", "permissions": ["packages:read"] }],
        "token_expires_at": start() + 3600 + 300,
        "project_id": project,
        "project": "acme/web",
        "pipeline_id": minted["pipeline_id"],
        "pipeline": "4711",
        "job_id": job,
        "job": "4711/build",
        "ref": "main",
        "ref_type": "branch",
        "sha": "a".repeat(40),
        "protected": true,
        "environment": "prod",
        "trigger": "push",
        "from_fork": false,
        "actor": "developer",
    });
    assert_eq!(told.json, expected);
}

#[tokio::test]
async fn rfc7519_2_times_are_whole_seconds() {
    let world = World::new().await;
    world.server.clock.advance(Duration::milliseconds(1500));
    let token = world.token("1").await;
    let told = world.introspect(&token, &[]).await.expect(200).json;
    assert_eq!(told["iat"].as_i64(), Some(start() + 1));
    assert_eq!(told["nbf"].as_i64(), Some(start() - 4));
    assert_eq!(told["exp"].as_i64(), Some(start() + 61));
    assert_eq!(told["token_expires_at"].as_i64(), Some(start() + 3901));
}

#[tokio::test]
async fn rfc7662_2_2_a_service_is_told_of_its_resource_types_only() {
    let world = World::new().await;
    world.grant(&["packages:read", "releases:read"], json!({})).await;
    let token = world.token("1").await;
    assert_eq!(world.introspect(&token, &[LIB]).await.json["scope"], "packages:read releases:read");
    let packages = service(&world, json!({ "resources": ["packages"] })).await;
    let told = introspect_by(&world, &packages, &token, &[LIB]).await.expect(200).json;
    assert_eq!(told["scope"], "packages:read");
    assert_eq!(told["authorization_details"][0]["permissions"], json!(["packages:read"]));
}

#[tokio::test]
async fn rfc7662_4_get_is_refused() {
    let world = World::new().await;
    let reply = world.server.call("GET", "/oauth/introspect", None, None).await.expect(405);
    assert_eq!(reply.header("allow"), "POST");
    assert_eq!(reply.header("content-type"), "application/json");
    assert_eq!(reply.json["error"], "invalid_request");
}

#[tokio::test]
async fn rfc7662_2_1_a_token_in_the_query_is_refused() {
    let world = World::new().await;
    let token = world.token("1").await;
    let path = format!("/oauth/introspect?token={token}");
    let client = Some((world.service.0.as_str(), world.service.1.as_str()));
    let reply = world.server.form(&path, client, &[("token", &token)]).await.expect(400);
    assert_eq!(reply.json["error"], "invalid_request");
}

#[tokio::test]
async fn rfc9111_5_2_2_5_no_answer_is_stored() {
    let world = World::new().await;
    let token = world.token("1").await;
    let active = world.introspect(&token, &[]).await.expect(200);
    let inactive = world.introspect("x", &[]).await.expect(200);
    let refused = world.introspect("", &[]).await.expect(400);
    let unknown = world.server.form("/oauth/introspect", None, &[("token", "x")]).await.expect(401);
    for reply in [active, inactive, refused, unknown] {
        assert_eq!(reply.header("cache-control"), "no-store");
        assert_eq!(reply.header("pragma"), "no-cache");
    }
}

#[tokio::test]
async fn rfc7662_4_a_revocation_is_seen_at_once_where_it_was_made_and_elsewhere_within_the_bound() {
    let world = World::new().await;
    let token = world.token("1").await;
    let second = jobpass::start(settings(world.server.db.url()), world.server.clock.clone()).await.unwrap();
    let ask_second = async || {
        let url = format!("http://{}/oauth/introspect", second.addr);
        let request = http_client().post(url).basic_auth(&world.service.0, Some(&world.service.1));
        crate::support::send(request.form(&[("token", &token)])).await.expect(200)
    };
    assert_eq!(ask_second().await.json["active"], json!(true));
    assert!(world.is_active(&token).await);
    world.server.delete("/v1/job-tokens/self", &token).await.expect(204);
    assert_eq!(world.introspect(&token, &[]).await.expect(200).text, INACTIVE);
    within_the_bound("revoked", async || ask_second().await.text == INACTIVE).await;
    second.stop().await;
}

#[tokio::test]
async fn rfc7662_2_1_unknown_parameters_are_ignored() {
    let world = World::new().await;
    let token = world.token("1").await;
    let without = world.introspect(&token, &[LIB]).await.expect(200).text;
    let more = [LIB, ("resource", "https://a.example"), ("scope", "x"), ("colour", "red")];
    assert_eq!(world.introspect(&token, &more).await.expect(200).text, without);
}

#[tokio::test]
async fn rfc7662_2_1_hostile_tokens_are_inactive() {
    let world = World::new().await;
    for token in ["\0", "' or 1=1 --", "jpj_\u{1f980}", " ", &"a".repeat(60_000)] {
        for more in [&[][..], &[LIB]] {
            assert_eq!(world.introspect(token, more).await.expect(200).text, INACTIVE);
        }
    }
}

#[tokio::test]
async fn rfc7662_2_1_a_form_that_is_none_is_refused() {
    let world = World::new().await;
    let (id, secret) = &world.service;
    let too_large = format!("token={}", "a".repeat(1 << 20)).into_bytes();
    for body in [too_large, b"token=%ff".to_vec(), b"token=\xff".to_vec()] {
        let request =
            world.server.http.post(format!("{}/oauth/introspect", world.server.url)).basic_auth(id, Some(secret));
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(body);
        let reply = crate::support::send(request).await.expect(400);
        assert_eq!(reply.json["error"], "invalid_request");
    }
}

#[tokio::test]
async fn rfc7662_2_1_a_json_body_is_refused() {
    let world = World::new().await;
    let (id, secret) = &world.service;
    let request = world.server.http.post(format!("{}/oauth/introspect", world.server.url)).basic_auth(id, Some(secret));
    let reply = crate::support::send(request.json(&json!({ "token": "x" }))).await.expect(400);
    assert_eq!(reply.json["error"], "invalid_request");
}

#[tokio::test]
async fn rfc7662_2_1_a_project_that_can_be_none_is_refused() {
    let world = World::new().await;
    let token = world.token("1").await;
    for project in ["\0", "acme/lib\n", &"a".repeat(10_000)] {
        for token in [&token, "x"] {
            let reply = world.introspect(token, &[("project", project)]).await.expect(400);
            assert_eq!(reply.json["error"], "invalid_request");
        }
    }
}

// ── What the design adds ─────────────────────────────────────────────────────────────────────────────

#[tokio::test]
async fn without_a_project_nothing_is_permitted() {
    let world = World::new().await;
    world.grant(&["packages:read"], json!({})).await;
    let own = json!({ "source": { "project": "acme/web" }, "permissions": ["packages:read"] });
    world.server.post("/v1/projects/acme%2Fweb/grants", world.person("maintainer"), own).await.expect(201);
    let token = world.token("1").await;
    for more in [&[][..], &[("permission", "packages:read")]] {
        let told = world.introspect(&token, more).await.expect(200).json;
        assert_eq!(told["active"], json!(true));
        assert_eq!(told["scope"], "");
        assert_eq!(told.get("authorization_details"), None);
        assert_eq!(told.get("would_deny"), None);
    }
}

#[tokio::test]
async fn a_service_of_one_project_answers_for_that_one() {
    let world = World::new().await;
    world.grant(&["packages:read"], json!({})).await;
    let token = world.token("1").await;
    let of_lib = service(&world, json!({ "project": "acme/lib" })).await;
    let told = introspect_by(&world, &of_lib, &token, &[]).await.expect(200).json;
    assert_eq!(told["scope"], "packages:read");
    assert_eq!(told["authorization_details"][0]["project"], "acme/lib");

    let lib = world.server.get("/v1/projects/acme%2Flib", world.admin()).await.expect(200).text_at("/id");
    let by_id = introspect_by(&world, &of_lib, &token, &[("project", &lib)]).await.expect(200).json;
    assert_eq!(by_id["scope"], "packages:read");
    assert_eq!(by_id["authorization_details"][0]["project"], json!(lib));
}

#[tokio::test]
async fn a_service_of_one_project_may_not_name_another() {
    let world = World::new().await;
    let live = world.token("1").await;
    let of_lib = service(&world, json!({ "project": "acme/lib" })).await;
    for project in ["acme/web", "acme/no-such-thing"] {
        for token in [&live, "x"] {
            let reply = introspect_by(&world, &of_lib, token, &[("project", project)]).await.expect(400);
            assert_eq!(reply.json["error"], "invalid_request");
        }
    }
}

#[tokio::test]
async fn an_unknown_project_is_answered_like_one_that_grants_nothing() {
    let world = World::new().await;
    let token = world.token("1").await;
    for permission in ["", "packages:read"] {
        let ask = async |project: &str| {
            let more = [("project", project), ("permission", permission)];
            world.introspect(&token, &more).await.expect(200).text.replace(project, "…")
        };
        let nothing = ask("other/app").await;
        assert_eq!(ask("other/none").await, nothing);
        assert_eq!(ask("018f2f6e-0000-7000-8000-000000000000").await, nothing);
        assert!(nothing.contains(r#""scope":"""#), "{nothing}");
        assert!(nothing.contains(r#"{"type":"jobpass_project","project":"…","permissions":[]}"#), "{nothing}");
    }
}

#[tokio::test]
async fn exp_is_the_end_of_what_the_service_may_rely_on() {
    let world = World::new().await;
    let patient = service(&world, json!({ "answer_seconds": 3600 })).await;
    let exp = async |client: &(String, String), token: &str, more: &[(&str, &str)]| {
        introspect_by(&world, client, token, more).await.expect(200).json["exp"].as_i64().unwrap() - start()
    };

    let token = minted_text(&world, "1", json!({ "job": { "timeout_secs": 100 } })).await;
    assert_eq!(exp(&world.service, &token, &[]).await, 60, "the service's answer_seconds");
    assert_eq!(exp(&patient, &token, &[]).await, 400, "the token's own end");

    let leased = minted_text(&world, "2", json!({ "job": { "lease_secs": 45 } })).await;
    assert_eq!(exp(&patient, &leased, &[]).await, 45, "the lease");
    assert_eq!(exp(&world.service, &leased, &[]).await, 45, "the lease");

    world.grant(&["packages:read"], json!({ "expires_at": "2026-11-23T10:00:30Z" })).await;
    assert_eq!(exp(&patient, &token, &[LIB]).await, 30, "the grant that the answer rests on");
    assert_eq!(exp(&patient, &token, &[]).await, 400, "no grant is in the answer");
}

#[tokio::test]
async fn exp_moves_with_the_clock_and_the_heartbeat() {
    let world = World::new().await;
    let minted = world.mint("1", json!({ "job": { "lease_secs": 45 } })).await;
    let token = minted["token"].as_str().unwrap();
    world.server.clock.advance(Duration::seconds(20));
    assert_eq!(world.introspect(token, &[]).await.json["exp"], json!(start() + 45));
    let heartbeat = format!("/v1/jobs/{}/heartbeat", minted["job_id"].as_str().unwrap());
    world.server.post(&heartbeat, &world.runner, json!({})).await.expect(200);
    assert_eq!(world.introspect(token, &[]).await.json["exp"], json!(start() + 20 + 45));
}

#[tokio::test]
async fn scope_lists_every_permission_on_its_own() {
    let world = World::new().await;
    world.grant(&["packages:admin", "jobs:read"], json!({})).await;
    let token = world.token("1").await;
    let told = world.introspect(&token, &[LIB]).await.expect(200).json;
    let each = ["jobs:read", "packages:read", "packages:create", "packages:update", "packages:delete"];
    assert_eq!(told["scope"], each.join(" "));
    assert_eq!(told["authorization_details"][0]["permissions"], json!(each));
}

#[tokio::test]
async fn rfc9396_9_2_a_selector_shows_in_authorization_details_and_never_in_scope() {
    let world = World::new().await;
    let selectors = json!({ "selectors": { "packages": ["npm/@acme/*"] } });
    world.grant(&["packages:read", "releases:read"], selectors).await;
    let token = world.token("1").await;
    let told = world.introspect(&token, &[LIB]).await.expect(200).json;
    assert_eq!(told["scope"], "releases:read");
    let details = json!([
        { "type": "jobpass_project", "project": "acme/lib", "permissions": ["releases:read"] },
        {
            "type": "jobpass_project", "project": "acme/lib", "permissions": ["packages:read"],
            "selectors": { "packages": ["npm/@acme/*"] },
        },
    ]);
    assert_eq!(told["authorization_details"], details);
}

#[tokio::test]
async fn rfc9396_9_2_a_selector_of_a_type_that_is_not_shown_is_left_out() {
    let world = World::new().await;
    world.grant(&["packages:read"], json!({ "selectors": { "packages": ["npm/*"] } })).await;
    let releases = service(&world, json!({ "resources": ["releases"] })).await;
    let token = world.token("1").await;
    let told = introspect_by(&world, &releases, &token, &[LIB]).await.expect(200).json;
    let details = json!([{ "type": "jobpass_project", "project": "acme/lib", "permissions": [] }]);
    assert_eq!(told["authorization_details"], details);
}

#[tokio::test]
async fn the_cap_of_a_token_limits_its_scope() {
    let world = World::new().await;
    world.grant(&["packages:admin"], json!({})).await;
    let token = minted_text(&world, "1", json!({ "permissions": ["packages:read"] })).await;
    assert_eq!(world.introspect(&token, &[LIB]).await.expect(200).json["scope"], "packages:read");
}

#[tokio::test]
async fn a_service_that_requires_an_audience_sees_only_tokens_that_name_it() {
    let world = World::new().await;
    let audience = json!({ "audience": "https://a.example", "audience_required": true });
    let strict = service(&world, audience).await;
    let named = minted_text(&world, "1", json!({ "audience": ["https://a.example", "https://b.example"] })).await;
    let unnamed = world.token("2").await;
    assert_eq!(introspect_by(&world, &strict, &unnamed, &[LIB]).await.expect(200).text, INACTIVE);
    let told = introspect_by(&world, &strict, &named, &[LIB]).await.expect(200).json;
    assert_eq!(told["aud"], json!(["https://a.example", "https://b.example"]));
}

#[tokio::test]
async fn audit_says_what_enforced_would_deny() {
    let world = World::new().await;
    world.grant(&["packages:read"], json!({})).await;
    set_mode(&world, "audit").await;
    let token = minted_text(&world, "1", json!({ "pipeline": { "actor": "developer" } })).await;
    let asked = ("permission", "packages:read packages:create releases:admin");
    let told = world.introspect(&token, &[LIB, asked]).await.expect(200).json;
    let beyond = ["packages:create", "releases:read", "releases:create", "releases:update", "releases:delete"];
    assert_eq!(told["would_deny"], json!(beyond));
    assert_eq!(world.introspect(&token, &[LIB]).await.json.get("would_deny"), None, "nothing was asked");
}

#[tokio::test]
async fn legacy_and_enforced_mark_nothing() {
    let world = World::new().await;
    world.grant(&["packages:read"], json!({})).await;
    let token = minted_text(&world, "1", json!({ "pipeline": { "actor": "developer" } })).await;
    for (mode, reads_jobs) in [("enforced", false), ("legacy", true)] {
        set_mode(&world, mode).await;
        let told = world.introspect(&token, &[LIB, ("permission", "jobs:read")]).await.expect(200).json;
        assert_eq!(told["would_deny"], json!([]), "{mode}");
        let scope: Vec<_> = told["scope"].as_str().unwrap().split(' ').collect();
        assert_eq!(scope.contains(&"jobs:read"), reads_jobs, "{mode}");
    }
}

#[tokio::test]
async fn an_unknown_permission_is_an_invalid_scope() {
    let world = World::new().await;
    let token = world.token("1").await;
    for token in [&token, "x"] {
        let reply = world.introspect(token, &[LIB, ("permission", "packages:read colour:read")]).await.expect(400);
        assert_eq!(reply.json, json!({ "error": "invalid_scope", "error_description": "no such permission" }));
    }
}

#[tokio::test]
async fn an_actor_is_named_only_when_a_runner_vouches_for_it() {
    let world = World::new().await;
    let told = async |runner: &str, key: &str, actor: &str| {
        let body = World::mint_body(key, json!({ "pipeline": { "actor": actor } }));
        let token = world.server.post("/v1/job-tokens", runner, body).await.expect(201).text_at("/token");
        let told = world.introspect(&token, &[]).await.expect(200).json;
        (told.get("actor").cloned(), told.get("actor_claimed").cloned())
    };
    let body = json!({ "name": "r2", "protected": true });
    let other = world.server.post("/v1/runners", world.admin(), body).await.expect(201).text_at("/token");
    assert_eq!(told(&world.runner, "1", "developer").await, (Some(json!("developer")), None));
    assert_eq!(told(&world.runner, "2", "nobody").await, (None, Some(json!("nobody"))));
    assert_eq!(told(&other, "3", "developer").await, (None, Some(json!("developer"))));
}
