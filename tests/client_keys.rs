//! The public keys of runners and services: who may set them, and which keys are taken.

use crate::support::signer::Signer;
use crate::support::{Reply, World};
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};
use time::Duration;

/// RFC 8037, appendix A.2.
const X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

fn ed25519(change: &Value) -> Value {
    let mut jwk = json!({ "kty": "OKP", "kid": "one", "crv": "Ed25519", "x": X });
    jwk.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    jwk.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    jwk
}

async fn put(world: &World, person: &str, path: &str, keys: &[Value]) -> Reply {
    let body = Some(json!({ "keys": keys }));
    world.server.call_with("PUT", path, Some(person), body, &[("if-match", "*")]).await
}

fn of_service(world: &World) -> String {
    format!("/v1/services/{}/jwks", world.service.0)
}

#[tokio::test]
async fn rfc7517_5_what_was_put_is_shown_and_nothing_else() {
    let world = World::new().await;
    for path in [of_service(&world), format!("/v1/runners/{}/jwks", world.runner_id)] {
        let (server, admin) = (&world.server, world.admin());
        assert_eq!(server.get(&path, admin).await.expect(200).json, json!({ "keys": [] }));
        let mut keys = vec![ed25519(&json!({ "x5t": "more", "key_ops": ["verify"] }))];
        for algorithm in [Algorithm::ES256, Algorithm::ES384, Algorithm::RS256] {
            keys.push(Signer::new(algorithm, &format!("{algorithm:?}")).jwk());
        }
        let mut rsa = keys[3].clone();
        (rsa["kid"], rsa["alg"]) = (json!("pss"), json!("PS512"));
        keys.push(rsa);
        let told = put(&world, admin, &path, &keys).await.expect(200);
        let shown = server.get(&path, admin).await.expect(200);
        assert_eq!((shown.json.clone(), shown.header("etag")), (told.json.clone(), told.header("etag")));
        let first = json!({ "kty": "OKP", "kid": "one", "alg": "EdDSA", "use": "sig", "crv": "Ed25519", "x": X });
        assert_eq!(shown.json["keys"][0], first);
        for (index, alg) in ["EdDSA", "ES256", "ES384", "RS256", "PS512"].into_iter().enumerate() {
            let (shown, sent) = (&shown.json["keys"][index], &keys[index]);
            assert_eq!((&shown["alg"], &shown["kid"]), (&json!(alg), &sent["kid"]));
            for number in ["x", "y", "n", "e", "crv", "kty"] {
                assert_eq!(shown.get(number), sent.get(number), "{alg} {number}");
            }
        }
        // As it was shown it can be put back.
        let again = shown.json["keys"].as_array().unwrap().clone();
        assert_eq!(put(&world, admin, &path, &again).await.expect(200).json, told.json);
        server.delete(&path, admin).await.expect(204);
        assert_eq!(server.get(&path, admin).await.expect(200).json, json!({ "keys": [] }));
    }
}

#[tokio::test]
async fn rfc7517_9_3_private_and_shared_keys_are_refused_and_not_repeated() {
    let world = World::new().await;
    let path = of_service(&world);
    let private = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";
    for (member, jwk) in [
        ("d", ed25519(&json!({ "d": private }))),
        ("p", json!({ "kty": "RSA", "kid": "one", "n": "AQAB", "e": "AQAB", "p": private })),
        ("k", json!({ "kty": "oct", "kid": "one", "k": private })),
        ("k", ed25519(&json!({ "k": private }))),
    ] {
        let reply = put(&world, world.admin(), &path, &[jwk]).await;
        let reply = reply.invalid(&format!("/keys/0/{member}"), "private_key");
        assert!(!reply.text.contains(private));
    }
    assert_eq!(world.server.get(&path, world.admin()).await.expect(200).json, json!({ "keys": [] }));
}

#[tokio::test]
async fn rfc8725_3_5_weak_keys_and_what_is_none_are_refused() {
    let world = World::new().await;
    let path = of_service(&world);
    let mut ec = Signer::new(Algorithm::ES256, "one").jwk();
    ec.as_object_mut().unwrap().remove("alg");
    let rsa = Signer::new(Algorithm::RS256, "one").jwk();
    let with = |jwk: &Value, name: &str, value: Value| {
        let mut jwk = jwk.clone();
        jwk[name] = value;
        jwk
    };
    let short = "_".repeat(171); // 1024 bits
    for (jwk, pointer, fault) in [
        (with(&rsa, "n", json!(short)), "/keys/0", "unfit_key"),
        (with(&rsa, "alg", json!("HS256")), "/keys/0", "unfit_key"),
        (with(&rsa, "alg", json!("none")), "/keys/0", "unfit_key"),
        (with(&rsa, "alg", json!("ES256")), "/keys/0", "unfit_key"),
        (with(&rsa, "use", json!("enc")), "/keys/0", "unfit_key"),
        (with(&rsa, "e", json!("AQ")), "/keys/0", "malformed"),
        (with(&rsa, "e", json!("")), "/keys/0", "malformed"),
        (with(&ec, "crv", json!("P-521")), "/keys/0", "unfit_key"),
        (with(&ec, "crv", json!("P-384")), "/keys/0", "malformed"),
        (with(&ec, "crv", json!("secp256k1")), "/keys/0", "unfit_key"),
        (with(&ec, "y", ec["x"].clone()), "/keys/0", "malformed"),
        (with(&ec, "x", json!("AA")), "/keys/0", "malformed"),
        (with(&ec, "x", json!("!")), "/keys/0", "malformed"),
        (with(&ec, "x", json!(1)), "/keys/0", "malformed"),
        (ed25519(&json!({ "x": null })), "/keys/0", "malformed"),
        (ed25519(&json!({ "x": "AA" })), "/keys/0", "malformed"),
        (ed25519(&json!({ "crv": "X25519" })), "/keys/0", "unfit_key"),
        (ed25519(&json!({ "kty": null })), "/keys/0", "malformed"),
        (ed25519(&json!({ "kty": "oct" })), "/keys/0", "malformed"),
        (ed25519(&json!({ "kid": null })), "/keys/0/kid", "required"),
        (ed25519(&json!({ "kid": "" })), "/keys/0/kid", "required"),
        (ed25519(&json!({ "kid": 7 })), "/keys/0/kid", "required"),
        (ed25519(&json!({ "kid": "a\u{0}" })), "/keys/0/kid", "required"),
        (ed25519(&json!({ "kid": "a".repeat(256) })), "/keys/0/kid", "required"),
    ] {
        let sent = jwk.to_string();
        let reply = put(&world, world.admin(), &path, &[jwk]).await;
        assert_eq!(reply.status, 422, "{sent}: {}", reply.text);
        assert_eq!(
            (&reply.json["errors"][0]["pointer"], &reply.json["errors"][0]["code"]),
            (&json!(pointer), &json!(fault)),
            "{sent}"
        );
    }
    assert_eq!(world.server.get(&path, world.admin()).await.expect(200).json, json!({ "keys": [] }));
}

#[tokio::test]
async fn a_list_of_keys_is_bounded_and_its_names_differ() {
    let world = World::new().await;
    let (path, admin) = (of_service(&world), world.admin());
    let many = |count: usize| (0..count).map(|n| ed25519(&json!({ "kid": n.to_string() }))).collect::<Vec<_>>();
    put(&world, admin, &path, &many(8)).await.expect(200);
    put(&world, admin, &path, &many(9)).await.invalid("/keys", "out_of_range");
    put(&world, admin, &path, &[]).await.invalid("/keys", "out_of_range");
    let twice = [ed25519(&json!({})), ed25519(&json!({ "kid": "two" })), ed25519(&json!({}))];
    put(&world, admin, &path, &twice).await.invalid("/keys/2/kid", "repeated");
    for (body, pointer, fault) in [
        (json!({}), "/keys", "required"),
        (json!({ "keys": [], "more": 1 }), "/more", "unknown_field"),
        (json!({ "keys": ["x"] }), "/keys/0", "wrong_type"),
        (json!({ "keys": {} }), "/keys", "wrong_type"),
    ] {
        let reply = world.server.call_with("PUT", &path, Some(admin), Some(body), &[("if-match", "*")]).await;
        reply.invalid(pointer, fault);
    }
    assert_eq!(world.server.get(&path, admin).await.expect(200).json["keys"].as_array().unwrap().len(), 8);
}

#[tokio::test]
async fn keys_are_changed_by_who_has_seen_them() {
    let world = World::new().await;
    let (server, admin, path) = (&world.server, world.admin(), of_service(&world));
    let body = || Some(json!({ "keys": [ed25519(&json!({}))] }));
    server.put(&path, admin, body().unwrap()).await.refused(428, "precondition_required");
    let none = server.get(&path, admin).await.expect(200).header("etag").to_owned();
    let condition = |tag: &str| [("if-match", tag.to_owned())];
    let send = async |method: &str, tag: &str, body: Option<Value>| {
        let [(name, value)] = condition(tag);
        server.call_with(method, &path, Some(admin), body, &[(name, &value)]).await
    };
    let made = send("PUT", &none, body()).await.expect(200);
    send("PUT", &none, body()).await.refused(412, "precondition_failed");
    send("DELETE", &none, None).await.refused(412, "precondition_failed");
    send("DELETE", made.header("etag"), None).await.expect(204);
    server.delete(&path, admin).await.expect(204);
}

#[tokio::test]
async fn keys_are_set_by_who_may_make_the_secrets() {
    let world = World::new().await;
    let (server, admin) = (&world.server, world.admin());
    let (maintainer, developer, stranger) =
        (world.person("maintainer"), world.person("developer"), world.person("stranger"));
    let keys = [ed25519(&json!({}))];
    let made = server.post("/v1/runners", maintainer, json!({ "name": "r", "project": "acme/web" })).await.expect(201);
    let path = format!("/v1/runners/{}/jwks", made.text_at("/id"));
    put(&world, maintainer, &path, &keys).await.expect(200);
    for person in [developer, stranger] {
        server.get(&path, person).await.refused(404, "not_found");
        put(&world, person, &path, &keys).await.refused(404, "not_found");
        server.delete(&path, person).await.refused(404, "not_found");
    }
    // A runner that asserts actors can be anyone: administrators alone give it a way in.
    server.patch(path.trim_end_matches("/jwks"), admin, json!({ "asserts_actor": true })).await.expect(200);
    put(&world, maintainer, &path, &keys).await.refused(403, "forbidden");
    server.delete(&path, maintainer).await.refused(403, "forbidden");
    server.get(&path, maintainer).await.expect(200);
    put(&world, admin, &path, &keys).await.expect(200);
    for missing in
        ["/v1/runners/00000000-0000-7000-8000-000000000000/jwks", "/v1/services/00000000000070008000000000000000/jwks"]
    {
        server.get(missing, admin).await.refused(404, "not_found");
        put(&world, admin, missing, &keys).await.refused(404, "not_found");
        server.delete(missing, admin).await.refused(404, "not_found");
    }
}

#[tokio::test]
async fn a_change_of_keys_is_audited() {
    let world = World::new().await;
    let (server, admin, path) = (&world.server, world.admin(), of_service(&world));
    server.clock.advance(Duration::SECOND);
    put(&world, admin, &path, &[ed25519(&json!({}))]).await.expect(200);
    server.clock.advance(Duration::SECOND);
    server.delete(&path, admin).await.expect(204);
    let events = server.get("/v1/audit-events?limit=1000", admin).await.expect(200).json;
    let [deleted, set, ..] = &events["items"].as_array().unwrap()[..] else { panic!("two events") };
    for event in [deleted, set] {
        assert_eq!((&event["action"], &event["subject_kind"]), (&json!("service.keys_changed"), &json!("service")));
        assert_eq!(event["subject_id"].as_str().unwrap().replace('-', ""), world.service.0);
    }
    assert_eq!((&set["before"]["keys"], &deleted["after"]["keys"]), (&json!([]), &json!([])));
    assert_eq!((&set["after"]["keys"][0]["kid"], &set["after"]["keys"][0]["x"]), (&json!("one"), &json!(X)));
    assert_eq!(set["after"], deleted["before"]);
}

#[tokio::test]
async fn keys_go_with_their_owner() {
    let world = World::new().await;
    put(&world, world.admin(), &of_service(&world), &[ed25519(&json!({}))]).await.expect(200);
    put(&world, world.admin(), &format!("/v1/runners/{}/jwks", world.runner_id), &[ed25519(&json!({}))])
        .await
        .expect(200);
    world.server.delete(&format!("/v1/services/{}", world.service.0), world.admin()).await.expect(204);
    world.server.delete(&format!("/v1/runners/{}", world.runner_id), world.admin()).await.expect(204);
    world.server.get(&of_service(&world), world.admin()).await.refused(404, "not_found");
    let left: i64 =
        sqlx::query_scalar("select count(*) from client_keys").fetch_one(&mut world.server.sql().await).await.unwrap();
    assert_eq!(left, 0);
}
