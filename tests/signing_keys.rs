//! The keys that sign ID tokens, from the first start to the emergency: during a rotation no valid token ever fails, and no
//! server starts with an encryption key that does not fit.

use crate::id_tokens::{id_token, verify};
use crate::support::{ENCRYPTION_KEY, Server, Wire, World, settings, test_db};
use jobpass::{Clock, Failure};
use serde_json::{Value, json};
use sqlx::Row as _;
use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use time::Duration;

const LEAD: Duration = Duration::hours(2);
/// What lives longest, and how far a reader's clock may be behind.
const RETENTION: Duration = Duration::minutes(15);

async fn kids(server: &Server) -> BTreeSet<String> {
    let set = server.call("GET", "/oauth/jwks", None, None).await.expect(200).json;
    set["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

async fn keys(server: &Server) -> Vec<Value> {
    server.get("/v1/signing-keys", &server.admin).await.expect(200).json["items"].as_array().unwrap().clone()
}

/// `algorithm phase`, sorted.
fn phases(keys: &[Value]) -> Vec<String> {
    let text = |key: &Value, name: &str| key[name].as_str().unwrap().to_owned();
    let mut phases: Vec<_> =
        keys.iter().map(|key| format!("{} {}", text(key, "algorithm"), text(key, "phase"))).collect();
    phases.sort();
    phases
}

async fn rotate(server: &Server, body: Value) -> Vec<Value> {
    let answer = server.post("/v1/signing-keys/rotate", &server.admin, body).await.expect(200);
    answer.json["items"].as_array().unwrap().clone()
}

fn kid_of(token: &str) -> String {
    jsonwebtoken::decode_header(token).unwrap().kid.unwrap()
}

#[tokio::test]
async fn rfc7517_5_the_key_set_holds_public_members_of_distinct_keys() {
    let server = Server::start().await;
    let reply = server.call("GET", "/oauth/jwks", None, None).await.expect(200);
    assert_eq!(reply.header("content-type"), "application/json");
    let mut shapes: Vec<_> = reply.json["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| {
            assert_eq!(key["use"], "sig");
            let names: Vec<_> = key.as_object().unwrap().keys().cloned().collect();
            (key["alg"].as_str().unwrap().to_owned(), key["kty"].as_str().unwrap().to_owned(), names.join(" "))
        })
        .collect();
    shapes.sort();
    let shape = |alg: &str, kty: &str, names: &str| (alg.to_owned(), kty.to_owned(), names.to_owned());
    assert_eq!(
        shapes,
        [
            shape("ES256", "EC", "alg crv kid kty use x y"),
            shape("EdDSA", "OKP", "alg crv kid kty use x"),
            shape("RS256", "RSA", "alg e kid kty n use"),
        ]
    );
    assert_eq!(kids(&server).await.len(), 3);
}

#[tokio::test]
async fn rfc9110_13_1_2_a_key_set_that_is_known_is_not_sent_again() {
    let server = Server::start().await;
    let first = server.call("GET", "/oauth/jwks", None, None).await.expect(200);
    let etag = first.header("etag").to_owned();
    // A cached set is renewed long before a key that it lacks signs.
    assert_eq!(first.header("cache-control"), "public, max-age=900");
    assert!(Duration::seconds(900) < LEAD);
    let reply = server.call_with("GET", "/oauth/jwks", None, None, &[("if-none-match", &etag)]).await.expect(304);
    assert_eq!((reply.text.as_str(), reply.header("etag")), ("", etag.as_str()));
    rotate(&server, json!({})).await;
    server.call_with("GET", "/oauth/jwks", None, None, &[("if-none-match", &etag)]).await.expect(200);
}

/// It comes from memory: whoever verifies depends on no database here.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rfc7517_5_the_key_set_needs_no_database() {
    let (server, wire) = Wire::before_a_server().await;
    let before = kids(&server).await;
    wire.cut().await;
    assert_eq!(kids(&server).await, before);
    assert!(!before.is_empty());
}

#[tokio::test]
async fn during_a_rotation_no_valid_token_fails() {
    let world = World::new().await;
    let server = &world.server;
    let token =
        world.mint("1", json!({ "job": { "timeout_secs": 80_000 } })).await["token"].as_str().unwrap().to_owned();
    let old = kid_of(&id_token(&world, &token, &[]).await);
    let made = rotate(server, json!({ "algorithm": "RS256", "reason": "drill" })).await;
    assert_eq!(phases(&made), ["ES256 signing", "EdDSA signing", "RS256 published", "RS256 signing"]);
    // Who kept the key set from now on for two hours can verify all that follows.
    let kept = server.call("GET", "/oauth/jwks", None, None).await.expect(200).json;
    server.clock.advance(LEAD - Duration::SECOND);
    let last = id_token(&world, &token, &[]).await;
    assert_eq!(kid_of(&last), old);
    server.clock.advance(Duration::SECOND);
    let first = id_token(&world, &token, &[]).await;
    assert_ne!(kid_of(&first), old);
    verify(&first, &kept);
    assert_eq!(phases(&keys(server).await), ["ES256 signing", "EdDSA signing", "RS256 retiring", "RS256 signing"]);
    // The old key is there until the last token that it signed is over.
    server.clock.advance(RETENTION - Duration::SECOND);
    verify(&last, &server.call("GET", "/oauth/jwks", None, None).await.expect(200).json);
    server.clock.advance(Duration::SECOND);
    assert!(!kids(server).await.contains(&old));
}

#[tokio::test]
async fn a_second_rotation_waits_for_the_first() {
    let server = Server::start().await;
    let once = rotate(&server, json!({})).await;
    assert_eq!(once.len(), 6);
    assert_eq!(rotate(&server, json!({})).await, once);
}

#[tokio::test]
async fn time_rotates_keys() {
    let world = World::new().await;
    let server = &world.server;
    let first = kids(server).await;
    server.clock.advance(Duration::days(30) - LEAD);
    server.running.app.tend_keys().await.unwrap();
    assert_eq!(keys(server).await.len(), 6);
    assert!(first.is_subset(&kids(server).await));
    server.clock.advance(LEAD);
    let token = world.token("1").await;
    assert!(!first.contains(&kid_of(&id_token(&world, &token, &[]).await)));
}

#[tokio::test]
async fn a_revoked_key_is_gone_at_once_on_every_replica() {
    let world = World::new().await;
    let other = Server::beside(&world.server).await;
    let token = world.token("1").await;
    let leaked = kid_of(&id_token(&world, &token, &[]).await);
    let key = keys(&world.server).await.into_iter().find(|key| key["kid"] == leaked.as_str()).unwrap();
    let path = format!("/v1/signing-keys/{}/revoke", key["id"].as_str().unwrap());
    let after = other.post(&path, &other.admin, json!({ "reason": "leaked" })).await.expect(200).json;
    assert_eq!(
        phases(after["items"].as_array().unwrap()),
        ["ES256 signing", "EdDSA signing", "RS256 revoked", "RS256 signing"]
    );
    assert!(!kids(&other).await.contains(&leaked));
    // The one that did not hear of it does not sign with it either.
    assert_ne!(kid_of(&id_token(&world, &token, &[]).await), leaked);
    assert!(!kids(&world.server).await.contains(&leaked));
    // Once is enough; and what is revoked is not kept, sealed or not.
    let again = other.post(&path, &other.admin, json!({})).await.expect(200).json;
    assert_eq!(again["items"].as_array().unwrap().len(), 4);
    let mut sql = other.sql().await;
    let row = sqlx::query("select wrapped_key, sealed from signing_keys where kid = $1").bind(&leaked);
    let row = row.fetch_one(&mut sql).await.unwrap();
    assert_eq!(row.get::<Option<Vec<u8>>, _>("sealed"), None);
    assert_eq!(row.get::<Option<Vec<u8>>, _>("wrapped_key"), None);
}

#[tokio::test]
async fn a_key_that_waits_follows_a_revoked_one() {
    let server = Server::start().await;
    let made = rotate(&server, json!({ "algorithm": "ES256" })).await;
    let of = |keys: &[Value], phase: &str| {
        let found = keys.iter().find(|key| key["algorithm"] == "ES256" && key["phase"] == phase);
        found.map(|key| key["id"].as_str().unwrap().to_owned())
    };
    let (signing, waiting) = (of(&made, "signing").unwrap(), of(&made, "published"));
    let path = format!("/v1/signing-keys/{signing}/revoke");
    let after = server.post(&path, &server.admin, json!({})).await.expect(200).json;
    assert_eq!(of(after["items"].as_array().unwrap(), "signing"), waiting);
}

#[tokio::test]
async fn a_key_that_does_not_exist_is_not_found() {
    let server = Server::start().await;
    let path = "/v1/signing-keys/00000000-0000-7000-8000-000000000000/revoke";
    server.post(path, &server.admin, json!({})).await.refused(404, "not_found");
    server
        .post("/v1/signing-keys/rotate", &server.admin, json!({ "algorithm": "HS256" }))
        .await
        .invalid("/algorithm", "invalid");
    server
        .post("/v1/signing-keys/rotate", &server.admin, json!({ "colour": 1 }))
        .await
        .invalid("/colour", "unknown_field");
}

#[tokio::test]
async fn what_happens_to_keys_is_audited_and_shows_no_secret() {
    let server = Server::start().await;
    let made = rotate(&server, json!({ "algorithm": "EdDSA", "reason": "drill" })).await;
    let waiting = made.iter().find(|key| key["phase"] == "published").unwrap()["id"].as_str().unwrap();
    server
        .post(&format!("/v1/signing-keys/{waiting}/revoke"), &server.admin, json!({ "reason": "no" }))
        .await
        .expect(200);
    let events = server.get("/v1/audit-events?limit=1000", &server.admin).await.expect(200);
    let mut told: Vec<_> = events.json["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|event| event["subject_kind"] == "signing_key")
        .map(|event| {
            assert_eq!(
                event["after"].as_object().unwrap().keys().collect::<Vec<_>>(),
                ["algorithm", "kid", "signs_from"]
            );
            [&event["action"], &event["actor_kind"], &event["reason"]]
                .map(|text| text.as_str().unwrap_or("-").to_owned())
                .join(" ")
        })
        .collect();
    told.sort();
    assert_eq!(
        told,
        [
            "signing_key.published system -",
            "signing_key.published system -",
            "signing_key.published system -",
            "signing_key.published user drill",
            "signing_key.revoked user no",
        ]
    );
}

// ── the encryption key ───────────────────────────────────────────────────────────────────────────────

#[tokio::test]
async fn replicas_that_start_at_once_make_one_set_of_keys() {
    let db = test_db().await;
    let clock = Clock::manual(crate::support::START);
    let start = || jobpass::start(settings(db.url()), clock.clone());
    let (one, two, three) = tokio::join!(start(), start(), start());
    let running = [one.unwrap(), two.unwrap(), three.unwrap()];
    let sets: Vec<_> = running.iter().map(|running| running.app.published_keys()).collect();
    assert_eq!(sets[0].len(), 3);
    assert!(sets.iter().all(|set| *set == sets[0]));
    for running in running {
        running.stop().await;
    }
}

#[tokio::test]
async fn keys_outlive_a_restart() {
    let server = Server::start().await;
    let before = kids(&server).await;
    assert_eq!(kids(&server.restart().await).await, before);
}

#[tokio::test]
async fn with_another_encryption_key_nothing_starts_and_nothing_changes() {
    let server = Server::start().await;
    let before = kids(&server).await;
    let mut other = settings(server.db.url());
    other.keys.key = Some(Arc::new(jobpass::Secret::new("ff".repeat(32))));
    match jobpass::start(other, server.clock.clone()).await {
        Err(Failure::Database(text)) => assert!(text.contains("another encryption key"), "{text}"),
        other => panic!("{other:?}"),
    }
    let server = server.restart().await;
    assert_eq!(kids(&server).await, before);
    assert_eq!(keys(&server).await.len(), 3);
}

#[tokio::test]
async fn a_text_that_is_no_encryption_key_is_refused() {
    let db = test_db().await;
    for bad in ["", "secret", &ENCRYPTION_KEY[2..]] {
        let mut wanted = settings(db.url());
        wanted.keys.key = Some(Arc::new(jobpass::Secret::new(bad.to_owned())));
        let started = jobpass::start(wanted, Clock::system()).await;
        assert!(matches!(started, Err(Failure::Key)), "{bad}");
    }
}

/// A server by the default: a file in this data folder.
async fn start_in(folder: &std::path::Path, url: String) -> Result<jobpass::Running, Failure> {
    let mut wanted = settings(url);
    wanted.keys.key = None;
    wanted.database.data_dir = Some(folder.to_owned());
    jobpass::start(wanted, Clock::manual(crate::support::START)).await
}

#[tokio::test]
async fn the_first_start_makes_a_file_that_is_never_written_again() {
    let (db, place) = (test_db().await, tempfile::tempdir().unwrap());
    let folder = place.path().join("data");
    let file = folder.join("encryption.key");
    let running = start_in(&folder, db.url()).await.unwrap();
    let made = running.app.published_keys();
    running.stop().await;
    let text = std::fs::read(&file).unwrap();
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1);

    let running = start_in(&folder, db.url()).await.unwrap();
    assert_eq!(running.app.published_keys(), made);
    running.stop().await;
    assert_eq!(std::fs::read(&file).unwrap(), text);

    // Without it there is no start, and no new one that would fit nothing.
    std::fs::remove_file(&file).unwrap();
    let missing = start_in(&folder, db.url()).await;
    assert!(matches!(missing, Err(Failure::KeyMissing(path)) if path == file));
    assert!(!file.exists());

    std::fs::write(&file, "short").unwrap();
    assert!(matches!(start_in(&folder, db.url()).await, Err(Failure::KeyFile(path)) if path == file));
    assert_eq!(std::fs::read(&file).unwrap(), b"short");
}

#[tokio::test]
async fn a_named_file_must_be_there() {
    let db = test_db().await;
    let mut wanted = settings(db.url());
    wanted.keys.key = None;
    wanted.keys.key_file = Some(PathBuf::from("/nowhere/encryption.key"));
    let started = jobpass::start(wanted, Clock::system()).await;
    assert!(matches!(started, Err(Failure::KeyUnreadable { .. })));
}
