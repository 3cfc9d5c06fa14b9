//! The Docker Registry v2 token protocol: a container registry sends its client here, and the client comes back with what the
//! registry can verify by itself.

use crate::support::{Reply, Server, World, send};
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde_json::{Value, json};
use std::fmt::Write as _;
use time::Duration;
use tokio_rustls::rustls::client::verify_server_cert_signed_by_trust_anchor;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, UnixTime};
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::{RootCertStore, crypto};

/// As a client asks: the job token as the password of any user.
async fn ask(world: &World, token: &str, scopes: &[&str]) -> Reply {
    let query: Vec<_> = [("service", world.service.0.as_str())]
        .into_iter()
        .chain(scopes.iter().map(|scope| ("scope", *scope)))
        .collect();
    let request = world.server.http.get(format!("{}/oauth/registry-token", world.server.url)).query(&query);
    send(request.basic_auth("job", Some(token))).await
}

/// The certificate that registries are to trust.
async fn authority(server: &Server) -> String {
    let reply = server.call("GET", "/oauth/registry-authority.pem", None, None).await.expect(200);
    assert_eq!(reply.header("content-type"), "application/pem-certificate-chain");
    reply.text
}

/// The certificate in a token, if the authority vouches for it.
fn vouched_for(server: &Server, authority: &str, token: &str) -> Option<CertificateDer<'static>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.as_bytes()).unwrap()).unwrap();
    let leaf = CertificateDer::from(STANDARD.decode(&decode_header(token).unwrap().x5c.unwrap()[0]).unwrap());
    let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(
        server.clock.now().unix_timestamp().try_into().unwrap(),
    ));
    let algorithms = crypto::aws_lc_rs::default_provider().signature_verification_algorithms.all;
    let parsed = ParsedCertificate::try_from(&leaf).unwrap();
    verify_server_cert_signed_by_trust_anchor(&parsed, &roots, &[], now, algorithms).ok().map(|()| leaf.into_owned())
}

/// As a registry verifies: the certificate in the token by the one that it was given, the signature by that; answers the claims.
async fn verify(server: &Server, token: &str) -> Value {
    assert_eq!(decode_header(token).unwrap().alg, Algorithm::ES256);
    let leaf = vouched_for(server, &authority(server).await, token).unwrap();
    // The point of the leaf's key on P-256: what follows the head of its bit string.
    let head_of_point = [0x03, 0x42, 0x00];
    let at = leaf.windows(3).position(|bytes| bytes == head_of_point).unwrap() + 3;
    let mut rules = Validation::new(Algorithm::ES256);
    (rules.validate_exp, rules.validate_aud) = (false, false);
    decode::<Value>(token, &DecodingKey::from_ec_der(&leaf[at..at + 65]), &rules).unwrap().claims
}

/// What the registry reads of the answer to these scopes: `name actions`.
async fn access(world: &World, token: &str, scopes: &[&str]) -> Vec<String> {
    let reply = ask(world, token, scopes).await.expect(200);
    let claims = verify(&world.server, &reply.text_at("/token")).await;
    let access = claims["access"].as_array().unwrap().iter().map(|one| {
        assert_eq!(one["type"], "repository");
        let actions: Vec<_> =
            one["actions"].as_array().unwrap().iter().map(|action| action.as_str().unwrap()).collect();
        format!("{} {}", one["name"].as_str().unwrap(), actions.join(","))
    });
    access.collect()
}

#[tokio::test]
async fn a_job_token_is_exchanged_for_a_registry_token() {
    let world = World::new().await;
    world.grant(&["containers:read", "containers:create"], json!({})).await;
    let minted = world.mint("1", json!({})).await;
    let reply =
        ask(&world, minted["token"].as_str().unwrap(), &["repository:acme/lib/app:pull,push"]).await.expect(200);
    assert_eq!((reply.header("cache-control"), reply.header("pragma")), ("no-store", "no-cache"));
    assert_eq!(reply.json["token"], reply.json["access_token"]);
    assert_eq!((&reply.json["expires_in"], &reply.json["issued_at"]), (&json!(300), &json!("2026-11-23T10:00:00Z")));
    assert_eq!(reply.json["scope"], "repository:acme/lib/app:pull,push");
    let mut told = verify(&world.server, &reply.text_at("/token")).await;
    assert!(told.as_object_mut().unwrap().remove("jti").unwrap().is_string());
    let now = world.server.clock.now().unix_timestamp();
    let (project, job) = (minted["project_id"].as_str().unwrap(), minted["job_id"].as_str().unwrap());
    assert_eq!(
        told,
        json!({
            "iss": world.server.url, "aud": world.service.0, "sub": format!("project:{project}:job:{job}"),
            "iat": now, "nbf": now - 5, "exp": now + 300,
            "access": [{ "type": "repository", "name": "acme/lib/app", "actions": ["pull", "push"] }],
        })
    );
}

#[tokio::test]
async fn only_what_is_granted_is_in_it() {
    let world = World::new().await;
    let token = world.token("1").await;
    let all = ["repository:acme/lib/app:pull,push,delete"];
    assert_eq!(access(&world, &token, &all).await, [""; 0]);
    world.grant(&["containers:read"], json!({})).await;
    assert_eq!(access(&world, &token, &all).await, ["acme/lib/app pull"]);
    world.grant(&["containers:delete"], json!({})).await;
    assert_eq!(access(&world, &token, &all).await, ["acme/lib/app delete,pull"]);
    assert_eq!(access(&world, &token, &["repository:acme/lib:pull"]).await, ["acme/lib pull"]);
    assert_eq!(access(&world, &token, &["repository:acme/lib/app:*"]).await, [""; 0]);
    world.grant(&["containers:admin"], json!({})).await;
    assert_eq!(access(&world, &token, &["repository:acme/lib/app:*"]).await, ["acme/lib/app *"]);
}

#[tokio::test]
async fn selectors_hold_by_the_path_below_the_project() {
    let world = World::new().await;
    world.grant(&["containers:read"], json!({ "selectors": { "containers": ["app", "tools/*"] } })).await;
    let token = world.token("1").await;
    for (name, granted) in [("app", true), ("tools/lint", true), ("tools/lint/x", false), ("apple", false), ("", false)]
    {
        let name = format!("acme/lib/{name}");
        let name = name.trim_end_matches('/');
        let told = access(&world, &token, &[&format!("repository:{name}:pull")]).await;
        assert_eq!(!told.is_empty(), granted, "{name}");
    }
}

#[tokio::test]
async fn many_scopes_are_each_answered() {
    let world = World::new().await;
    world.grant(&["containers:read"], json!({})).await;
    let token = world.token("1").await;
    let mount = [
        "repository:acme/lib/a:pull repository:other/app/b:pull",
        "repository:acme/lib/c:pull,push",
        "registry:catalog:*",
    ];
    assert_eq!(access(&world, &token, &mount).await, ["acme/lib/a pull", "acme/lib/c pull"]);
    let many: Vec<_> = (0..17).map(|n| format!("repository:acme/lib/{n}:pull")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    assert_eq!(ask(&world, &token, &many).await.expect(400).json["error"], "invalid_scope");
    assert_eq!(access(&world, &token, &many[1..]).await.len(), 16);
}

#[tokio::test]
async fn names_that_a_registry_might_read_otherwise_are_nobodys() {
    let world = World::new().await;
    world.grant(&["containers:admin"], json!({})).await;
    let token = world.token("1").await;
    for name in [
        "acme/lib/../web/app",
        "acme/lib//app",
        "/acme/lib/app",
        "acme/lib/",
        "acme/lib/./app",
        "ACME/lib/app",
        "acme%2Flib/app",
    ] {
        assert_eq!(access(&world, &token, &[&format!("repository:{name}:pull")]).await, [""; 0], "{name}");
    }
    for bad in ["repository", "repository:acme/lib", "repository:acme/lib:", "repository::pull"] {
        assert_eq!(ask(&world, &token, &[bad]).await.expect(400).json["error"], "invalid_scope", "{bad}");
    }
}

#[tokio::test]
async fn a_login_asks_for_nothing_and_gets_it() {
    let world = World::new().await;
    let token = world.token("1").await;
    assert_eq!(access(&world, &token, &[]).await, [""; 0]);
}

#[tokio::test]
async fn rfc7617_2_a_dead_token_is_challenged() {
    let world = World::new().await;
    let minted = world.mint("1", json!({})).await;
    let token = minted["token"].as_str().unwrap();
    let path = format!("/v1/jobs/{}/finish", minted["job_id"].as_str().unwrap());
    world.server.post(&path, &world.runner, json!({})).await.expect(200);
    for dead in [token, "jpj_none", "", &world.runner, &world.service.1, world.person("owner")] {
        let reply = ask(&world, dead, &["repository:acme/lib/app:pull"]).await.expect(401);
        assert_eq!(reply.json["error"], "invalid_client");
        assert!(reply.header("www-authenticate").starts_with("Basic realm="), "{}", reply.header("www-authenticate"));
    }
    let path = format!("/oauth/registry-token?service={}", world.service.0);
    let reply = world.server.call("GET", &path, None, None).await.expect(401);
    assert!(reply.header("www-authenticate").starts_with("Basic realm="));
}

#[tokio::test]
async fn it_ends_with_the_job_token_and_after_five_minutes() {
    let world = World::new().await;
    let minted = world.mint("1", json!({ "job": { "timeout_secs": 1 } })).await;
    world.server.clock.advance(Duration::seconds(100));
    let reply = ask(&world, minted["token"].as_str().unwrap(), &[]).await.expect(200);
    // A second, and the grace of five minutes, less what is over.
    assert_eq!(reply.json["expires_in"], 201);
}

#[tokio::test]
async fn it_is_for_one_registry_that_may_see_the_token() {
    let world = World::new().await;
    let register = |body: Value| world.server.post("/v1/services", world.admin(), body);
    let other = register(json!({ "name": "own", "project": "acme/web" })).await.expect(201).text_at("/client_id");
    let choosy = json!({ "name": "c", "audience": "https://registry.example", "audience_required": true });
    let choosy = register(choosy).await.expect(201).text_at("/client_id");
    world.grant(&["containers:read"], json!({})).await;
    let token = world.token("1").await;
    let at = |service: String, token: String| {
        let server = &world.server;
        let query = [("service", service), ("scope", "repository:acme/lib/app:pull".to_owned())];
        send(
            server
                .http
                .get(format!("{}/oauth/registry-token", server.url))
                .query(&query)
                .basic_auth("job", Some(token)),
        )
    };
    // One that serves another project is told nothing of this one.
    assert_eq!(at(other, token.clone()).await.expect(200).json["scope"], "");
    at(choosy.clone(), token.clone()).await.expect(401);
    let meant = world.mint("2", json!({ "audience": ["https://registry.example"] })).await;
    let meant = meant["token"].as_str().unwrap().to_owned();
    assert_eq!(at(choosy.clone(), meant.clone()).await.expect(200).json["scope"], "repository:acme/lib/app:pull");
    at(world.service.0.clone(), meant).await.expect(401);
    for unknown in ["", "registry", "00000000000070008000000000000000"] {
        assert_eq!(
            at(unknown.to_owned(), token.clone()).await.expect(400).json["error"],
            "invalid_request",
            "{unknown}"
        );
    }
    let path = format!("/v1/services/{}", world.service.0);
    world.server.patch(&path, world.admin(), json!({ "paused": true })).await.expect(200);
    at(world.service.0.clone(), token).await.expect(400);
}

#[tokio::test]
async fn what_a_job_asks_a_registry_for_is_usage_of_the_service() {
    let world = World::new().await;
    let token = world.token("1").await;
    access(&world, &token, &["repository:acme/lib/app:push"]).await;
    let usage = world.server.get("/v1/projects/acme%2Flib/usage", world.person("maintainer")).await.expect(200);
    let seen = &usage.json["items"][0];
    assert_eq!(
        (&seen["permission"], &seen["verdict"]),
        (&json!("containers:create"), &json!("denied")),
        "{}",
        usage.text
    );
}

#[tokio::test]
async fn the_authority_stays_and_what_signs_changes_by_itself() {
    let world = World::new().await;
    let certificate = |reply: Reply| decode_header(reply.text_at("/token")).unwrap().x5c.unwrap();
    let first_authority = authority(&world.server).await;
    let token = world.mint("1", json!({ "job": { "timeout_secs": 86_400 } })).await["token"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let first = certificate(ask(&world, &token, &[]).await.expect(200));
    assert_eq!(certificate(ask(&world, &token, &[]).await.expect(200)), first);
    world.server.clock.advance(Duration::days(1));
    let reply = ask(&world, &token, &[]).await.expect(200);
    verify(&world.server, &reply.text_at("/token")).await;
    assert_ne!(certificate(reply), first);
    // Another replica has the authority, and a key of its own.
    let other = Server::beside(&world.server).await;
    assert_eq!(authority(&other).await, first_authority);
}

#[tokio::test]
async fn a_leaked_authority_is_replaced_at_once_on_every_replica() {
    let world = World::new().await;
    let (server, other) = (&world.server, Server::beside(&world.server).await);
    let token = world.token("1").await;
    let registry_token = async || ask(&world, &token, &[]).await.expect(200).text_at("/token");
    let (leaked, before) = (authority(server).await, registry_token().await);
    let path = "/v1/registry-authority/replace";
    let body = json!({ "reason": "a backup was stolen" });
    let replaced = server.post(path, world.admin(), body).await.expect(200).text_at("/certificate");
    assert_ne!(replaced, leaked);
    assert_eq!(authority(server).await, replaced);

    let after = registry_token().await;
    assert!(vouched_for(server, &replaced, &after).is_some());
    assert!(vouched_for(server, &leaked, &after).is_none(), "a registry takes nothing before it has the certificate");
    assert!(vouched_for(server, &replaced, &before).is_none(), "nor what the leaked one vouched for, after");
    // As each replica does once a second, and when it starts.
    other.running.app.prepare().await.unwrap();
    assert_eq!(authority(&other).await, replaced);
    assert_eq!(authority(&Server::beside(server).await).await, replaced);
    server.post(path, world.admin(), json!({ "colour": 1 })).await.invalid("/colour", "unknown_field");

    let events = server.get("/v1/audit-events", world.admin()).await.expect(200).json;
    let events = events["items"].as_array().unwrap().iter();
    let found: Vec<_> = events.filter(|event| event["action"] == "registry_authority.replaced").collect();
    assert_eq!((found.len(), &found[0]["reason"]), (1, &json!("a backup was stolen")));
    let fingerprint = |pem: &str| {
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        let mut hex = String::new();
        for byte in digest(&SHA256, &der).as_ref() {
            write!(hex, "{byte:02X}").unwrap();
        }
        json!({ "sha256_fingerprint": hex })
    };
    assert_eq!((&found[0]["before"], &found[0]["after"]), (&fingerprint(&leaked), &fingerprint(&replaced)));
}

#[tokio::test]
async fn a_registry_token_is_no_id_token_and_opens_nothing_here() {
    let world = World::new().await;
    world.grant(&["containers:read"], json!({})).await;
    let token = world.token("1").await;
    let registry = ask(&world, &token, &["repository:acme/lib/app:pull"]).await.expect(200).text_at("/token");
    assert!(!world.is_active(&registry).await);
    ask(&world, &registry, &[]).await.expect(401);
    // The key set, which readers of ID tokens trust, does not hold what signed it.
    let keys = world.server.call("GET", "/oauth/jwks", None, None).await.expect(200);
    assert_eq!(decode_header(&registry).unwrap().kid, None);
    assert_eq!(keys.json["keys"].as_array().unwrap().len(), 3);
}
