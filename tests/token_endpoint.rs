//! The token endpoint (RFC 6749, section 3.2) and the one grant that it has: token exchange (RFC 8693), a
//! job token in, a narrower one out.

use crate::support::tls::{Certificate, Files};
use crate::support::{Reply, Server, World, settings};
use jobpass::{Clock, Failure};
use serde_json::json;
use time::Duration;

const TOKEN: &str = "/oauth/token";
const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

/// A token exchange; `more` follows what is required.
async fn exchange(world: &World, subject: &str, more: &[(&str, &str)]) -> Reply {
    let required = [("grant_type", EXCHANGE), ("subject_token", subject), ("subject_token_type", ACCESS_TOKEN)];
    let form: Vec<_> = required.iter().chain(more).copied().collect();
    world.server.form(TOKEN, None, &form).await
}

fn assert_error(reply: Reply, error: &str) {
    let reply = reply.expect(400);
    assert_eq!(reply.json["error"], json!(error), "{}", reply.text);
}

async fn scope_in_lib(world: &World, token: &str) -> String {
    world.introspect(token, &[("project", "acme/lib")]).await.expect(200).text_at("/scope")
}

// ── RFC 8693 ─────────────────────────────────────────────────────────────────────────────────────────

#[tokio::test]
async fn rfc8693_2_2_1_a_job_token_is_exchanged_for_a_narrower_one() {
    let world = World::new().await;
    world.grant(&["packages:admin"], json!({})).await;
    let subject = world.token("1").await;
    let reply = exchange(&world, &subject, &[("scope", "packages:read")]).await.expect(200);
    let token = reply.text_at("/access_token");
    let expected = json!({
        "access_token": token,
        "issued_token_type": ACCESS_TOKEN,
        "token_type": "Bearer",
        "expires_in": 3600 + 300,
        "scope": "packages:read",
    });
    assert_eq!(reply.json, expected);
    assert_ne!(token, subject);
    assert_eq!(scope_in_lib(&world, &token).await, "packages:read");
    assert_eq!(scope_in_lib(&world, &subject).await.split(' ').count(), 4);
}

#[tokio::test]
async fn rfc8693_2_1_grant_type_and_subject_token_are_required() {
    let world = World::new().await;
    let subject = world.token("1").await;
    let whole = [("grant_type", EXCHANGE), ("subject_token", &subject), ("subject_token_type", ACCESS_TOKEN)];
    world.server.form(TOKEN, None, &whole).await.expect(200);
    for left_out in 0..whole.len() {
        let mut form = whole.to_vec();
        form.remove(left_out);
        assert_error(world.server.form(TOKEN, None, &form).await, "invalid_request");
    }
}

#[tokio::test]
async fn rfc8693_2_1_only_access_tokens_go_in_and_come_out() {
    let world = World::new().await;
    let subject = world.token("1").await;
    let jwt = "urn:ietf:params:oauth:token-type:jwt";
    let form = [("grant_type", EXCHANGE), ("subject_token", subject.as_str()), ("subject_token_type", jwt)];
    assert_error(world.server.form(TOKEN, None, &form).await, "invalid_request");
    assert_error(exchange(&world, &subject, &[("requested_token_type", jwt)]).await, "invalid_request");
    exchange(&world, &subject, &[("requested_token_type", ACCESS_TOKEN)]).await.expect(200);
}

#[tokio::test]
async fn rfc8693_2_1_actor_tokens_are_refused() {
    let world = World::new().await;
    let subject = world.token("1").await;
    for more in [&[("actor_token", subject.as_str())][..], &[("actor_token_type", ACCESS_TOKEN)]] {
        assert_error(exchange(&world, &subject, more).await, "invalid_request");
    }
}

#[tokio::test]
async fn rfc8693_2_2_2_a_dead_subject_token_is_an_invalid_request() {
    let world = World::new().await;
    let revoked = world.token("1").await;
    world.server.delete("/v1/job-tokens/self", &revoked).await.expect(204);
    let expired = world.token("2").await;
    world.server.clock.advance(Duration::seconds(3900));
    for subject in ["x", &revoked, &expired, &world.runner, world.admin(), &world.service.1] {
        assert_error(exchange(&world, subject, &[]).await, "invalid_request");
    }
}

#[tokio::test]
async fn rfc8693_2_2_2_a_target_that_is_no_uri_or_not_the_tokens_is_an_invalid_target() {
    let world = World::new().await;
    let minted = world.mint("1", json!({ "audience": ["https://a.example", "https://b.example"] })).await;
    let subject = minted["token"].as_str().unwrap();
    for target in ["https://c.example", "no uri", "https://a.example#x", "/relative"] {
        assert_error(exchange(&world, subject, &[("audience", target)]).await, "invalid_target");
        assert_error(exchange(&world, subject, &[("resource", target)]).await, "invalid_target");
    }
    // RFC 8707 lets it come more than once; one that cannot be spoils them all.
    for both in [("https://a.example", "https://c.example"), ("https://a.example", "no uri")] {
        assert_error(exchange(&world, subject, &[("resource", both.0), ("resource", both.1)]).await, "invalid_target");
    }
    let both = [("resource", "https://a.example"), ("resource", "https://b.example")];
    let kept = exchange(&world, subject, &both).await.expect(200).text_at("/access_token");
    let shown = world.server.get("/v1/job-tokens/self", &kept).await.expect(200);
    assert_eq!(shown.json["token"]["audience"], json!(["https://a.example", "https://b.example"]));
    let many: Vec<_> = (0..9).map(|n| format!("https://a.example/{n}")).collect();
    let many: Vec<_> = many.iter().map(|target| ("resource", target.as_str())).collect();
    assert_error(exchange(&world, subject, &many).await, "invalid_target");
    let narrowed = exchange(&world, subject, &[("resource", "https://a.example")]).await.expect(200);
    let shown = world.server.get("/v1/job-tokens/self", &narrowed.text_at("/access_token")).await.expect(200);
    assert_eq!(shown.json["token"]["audience"], json!(["https://a.example"]));
}

#[tokio::test]
async fn rfc8693_1_a_token_never_widens() {
    let world = World::new().await;
    let minted = world.mint("1", json!({ "permissions": ["packages:read"] })).await;
    let subject = minted["token"].as_str().unwrap();
    assert_error(exchange(&world, subject, &[("scope", "packages:read packages:create")]).await, "invalid_scope");
    // An empty list that was joined with blanks is not the widest one.
    assert_error(exchange(&world, subject, &[("scope", "  ")]).await, "invalid_scope");
    let same = exchange(&world, subject, &[]).await.expect(200);
    assert_eq!(same.json["scope"], "packages:read");
}

#[tokio::test]
async fn rfc8693_2_2_1_expires_in_is_what_is_left_of_the_subject_token() {
    let world = World::new().await;
    let subject = world.token("1").await;
    world.server.clock.advance(Duration::seconds(1000));
    assert_eq!(exchange(&world, &subject, &[]).await.expect(200).json["expires_in"], json!(2900));
}

#[tokio::test]
async fn rfc8693_2_1_a_new_token_dies_with_the_subject_token() {
    let world = World::new().await;
    let subject = world.token("1").await;
    let token = exchange(&world, &subject, &[]).await.expect(200).text_at("/access_token");
    assert!(world.is_active(&token).await);
    world.server.delete("/v1/job-tokens/self", &subject).await.expect(204);
    assert!(!world.is_active(&token).await);
}

// ── RFC 6749 ─────────────────────────────────────────────────────────────────────────────────────────

#[tokio::test]
async fn rfc6749_3_2_the_token_endpoint_takes_post_only() {
    let world = World::new().await;
    for method in ["GET", "PUT", "DELETE"] {
        let reply = world.server.call(method, TOKEN, None, None).await.expect(405);
        assert_eq!(reply.header("allow"), "POST");
        assert_eq!(reply.json["error"], "invalid_request");
    }
}

#[tokio::test]
async fn rfc6749_5_2_an_unknown_grant_type_is_unsupported() {
    let world = World::new().await;
    for grant in ["implicit", "password", "refresh_token", "authorization_code", "x"] {
        assert_error(world.server.form(TOKEN, None, &[("grant_type", grant)]).await, "unsupported_grant_type");
    }
}

#[tokio::test]
async fn rfc6749_5_2_a_missing_grant_type_is_an_invalid_request() {
    let world = World::new().await;
    for form in [vec![], vec![("grant_type", "")]] {
        assert_error(world.server.form(TOKEN, None, &form).await, "invalid_request");
    }
}

#[tokio::test]
async fn rfc6749_3_2_parameters_come_once_and_unknown_ones_are_ignored() {
    let world = World::new().await;
    let subject = world.token("1").await;
    for repeated in [("scope", "packages:read"), ("colour", "red"), ("grant_type", EXCHANGE)] {
        assert_error(exchange(&world, &subject, &[repeated, repeated]).await, "invalid_request");
    }
    let without_value =
        exchange(&world, &subject, &[("scope", ""), ("audience", ""), ("colour", "red")]).await.expect(200);
    assert_eq!(without_value.json.get("scope"), None);
}

#[tokio::test]
async fn rfc6749_2_3_a_client_that_authenticates_must_do_so_rightly() {
    let world = World::new().await;
    let subject = world.token("1").await;
    let form = [("grant_type", EXCHANGE), ("subject_token", &subject), ("subject_token_type", ACCESS_TOKEN)];
    for client in [(&world.service.0, &world.service.1), (&world.runner_id, &world.runner)] {
        world.server.form(TOKEN, Some((client.0, client.1)), &form).await.expect(200);
    }
    let reply = world.server.form(TOKEN, Some((&world.service.0, "wrong")), &form).await.expect(401);
    assert_eq!(reply.json["error"], "invalid_client");
    assert!(reply.header("www-authenticate").starts_with("Basic realm="));
}

#[tokio::test]
async fn rfc6749_3_3_an_unknown_scope_is_invalid() {
    let world = World::new().await;
    let subject = world.token("1").await;
    for scope in ["colour:read", "packages", "packages:read colour:read"] {
        assert_error(exchange(&world, &subject, &[("scope", scope)]).await, "invalid_scope");
    }
}

#[tokio::test]
async fn rfc6749_5_1_scope_is_told_expanded_when_it_is_limited() {
    let world = World::new().await;
    let subject = world.token("1").await;
    let scope = |reply: Reply| reply.expect(200).json.get("scope").cloned();
    assert_eq!(scope(exchange(&world, &subject, &[]).await), None, "no limit: as asked");
    let asked = ("scope", "READ_JOBS packages:admin");
    let each = "jobs:read packages:read packages:create packages:update packages:delete";
    assert_eq!(scope(exchange(&world, &subject, &[asked]).await), Some(json!(each)));
}

#[tokio::test]
async fn rfc6749_5_1_no_answer_with_a_token_is_stored() {
    let world = World::new().await;
    let subject = world.token("1").await;
    let reply = exchange(&world, &subject, &[]).await.expect(200);
    assert_eq!(reply.header("content-type"), "application/json");
    assert_eq!(reply.header("cache-control"), "no-store");
    assert_eq!(reply.header("pragma"), "no-cache");
    assert_eq!(reply.json.get("refresh_token"), None);
}

#[tokio::test]
async fn rfc6749_5_2_errors_are_plain_and_echo_nothing() {
    let world = World::new().await;
    let subject = world.token("1").await;
    let marker = "zebra\"\\\u{7f}";
    for reply in [
        world.server.form(TOKEN, None, &[("grant_type", marker)]).await,
        exchange(&world, marker, &[]).await,
        exchange(&world, &subject, &[("scope", marker)]).await,
        exchange(&world, &subject, &[("audience", marker)]).await,
        exchange(&world, &subject, &[("requested_token_type", marker)]).await,
        world.server.form(TOKEN, Some((marker, marker)), &[]).await,
        world.introspect(&subject, &[("permission", marker)]).await,
        world.introspect(&subject, &[("project", marker)]).await,
        world.server.form("/oauth/revoke?token=zebra", None, &[]).await,
    ] {
        assert!(matches!(reply.status, 400 | 401), "{}", reply.text);
        assert_eq!(reply.header("content-type"), "application/json");
        let members = reply.json.as_object().unwrap();
        assert_eq!(members.keys().collect::<Vec<_>>(), ["error", "error_description"]);
        for text in members.values() {
            let allowed = |c| matches!(c, '\u{20}' | '\u{21}' | '\u{23}'..='\u{5b}' | '\u{5d}'..='\u{7e}');
            assert!(text.as_str().unwrap().chars().all(allowed), "{}", reply.text);
        }
        assert!(!reply.text.contains("zebra"), "{}", reply.text);
    }
}

#[tokio::test]
async fn rfc6749_5_2_whatever_fails_under_oauth_is_an_oauth_error() {
    let world = World::new().await;
    for reply in [
        world.server.call("GET", TOKEN, None, None).await.expect(405),
        world.server.call("GET", "/oauth/no-such-endpoint", None, None).await.expect(404),
    ] {
        assert_eq!(reply.header("content-type"), "application/json");
        let members = reply.json.as_object().unwrap();
        assert_eq!(members.keys().collect::<Vec<_>>(), ["error", "error_description"]);
    }
}

#[tokio::test]
async fn rfc6749_10_10_a_token_has_more_than_160_random_bits() {
    let world = World::new().await;
    let (one, two) = (world.token("1").await, world.token("1").await);
    // 4 of prefix, 4 of the hour, 39 random ones of 62, 6 of checksum.
    assert_eq!(one.len(), 4 + 4 + 39 + 6);
    assert!(39.0 * 62_f64.log2() >= 160.0);
    assert_eq!(one[..8], two[..8], "prefix and hour");
    assert_ne!(one[8..47], two[8..47]);
    assert!(one[4..].chars().all(|c| c.is_ascii_alphanumeric()), "{one}");
}

#[tokio::test]
async fn rfc6749_3_2_plain_http_is_spoken_on_loopback_only() {
    let mut open = settings("postgres://nowhere.invalid".to_owned());
    open.listen = "0.0.0.0:0".parse().unwrap();
    let started = jobpass::start(open, Clock::system()).await;
    assert!(matches!(started, Err(Failure::PlainHttp(_))));
    let behind_proxy = |settings: &mut jobpass::Settings| {
        settings.listen = "0.0.0.0:0".parse().unwrap();
        settings.behind_tls_proxy = true;
    };
    Server::start_with(behind_proxy).await;
    let files = Files::with(&Certificate::new());
    let with_tls = |settings: &mut jobpass::Settings| {
        settings.listen = "0.0.0.0:0".parse().unwrap();
        files.set(settings);
    };
    assert!(Server::start_with(with_tls).await.url.starts_with("https://"));
}
