//! What bad input gets: a 4xx with a problem document that names the field. Never a 500, and never a
//! word of ours about what went wrong inside.

use crate::support::{Reply, Server, World, exchange, send};
use reqwest::Method;
use serde_json::{Value, json};

const SOME_ID: &str = "0193a2b4-0000-7000-8000-000000000000";

/// A request byte for byte, for what no well-behaved client sends.
async fn raw(server: &Server, method: &str, target: &str, headers: &str, body: Vec<u8>) -> Reply {
    let (addr, admin) = (server.running.addr, &server.admin);
    let head = format!(
        "{method} {target} HTTP/1.1\r\nhost: {addr}\r\nauthorization: Bearer {admin}\r\nconnection: close\r\n{headers}\r\n"
    );
    exchange(addr, head, body).await
}

/// A body as it is, as JSON.
async fn post_text(server: &Server, path: &str, token: &str, body: impl Into<reqwest::Body>) -> Reply {
    let request = server.http.post(format!("{}{path}", server.url)).bearer_auth(token);
    send(request.header("content-type", "application/json").body(body)).await
}

fn grant() -> Value {
    json!({ "source": { "project": "acme/web" }, "permissions": ["packages:read"] })
}

const GRANTS: &str = "/v1/projects/acme%2Flib/grants";

#[tokio::test]
async fn malformed_json_says_where() {
    let server = Server::start().await;
    for (body, place) in [
        ("{\"path\":\n  }", "line 2 column 3"),
        ("", "line 1 column 0"),
        ("{\"path\":\"a\"} x", "line 1 column 14"),
        ("{'path':1}", "line 1 column 2"),
        ("{\"path\":\"\\ud800\"}", "line 1"),
    ] {
        let reply = post_text(&server, "/v1/groups", &server.admin, body).await.refused(400, "malformed_json");
        assert!(reply.text_at("/detail").contains(place), "{}", reply.text);
    }
}

#[tokio::test]
async fn a_body_that_is_not_utf_8_is_malformed() {
    let server = Server::start().await;
    post_text(&server, "/v1/groups", &server.admin, b"{\"path\":\"\xff\"}".as_slice())
        .await
        .refused(400, "malformed_json");
}

#[tokio::test]
async fn json_too_deep_is_malformed() {
    let world = World::new().await;
    let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
    let body = format!("{{\"path\":{deep}}}");
    post_text(&world.server, "/v1/groups", world.admin(), body.clone()).await.expect(422);
    post_text(&world.server, "/v1/authorize", &world.service.1, body).await.refused(400, "malformed_json");
}

#[tokio::test]
async fn every_body_is_an_object() {
    let server = Server::start().await;
    for body in ["[]", "[\"acme\"]", "null", "\"acme\"", "5", "true"] {
        let refused = post_text(&server, "/v1/groups", &server.admin, body).await.invalid("", "wrong_type");
        assert_eq!(refused.json["errors"][0]["detail"], "the body is an object");
    }
    for body in ["[", "nul", "5 5", "[] x"] {
        post_text(&server, "/v1/groups", &server.admin, body).await.refused(400, "malformed_json");
    }
}

#[tokio::test]
async fn no_name_of_our_code_is_told() {
    let world = World::new().await;
    for item in [json!([]), json!(null), json!("x"), json!([1, 2])] {
        let list = world.server.put(GRANTS, world.admin(), json!({ "items": [item] })).await;
        let list = list.invalid("/items/0", "wrong_type");
        let batch = world.ask(json!({ "questions": [item] })).await.expect(200);
        assert_eq!(batch.json["decisions"][0]["errors"][0]["code"], "wrong_type");
        for text in [list.text, batch.text] {
            assert!(!text.contains("struct") && text.contains("object"), "{text}");
        }
    }
}

#[tokio::test]
async fn an_object_is_never_taken_from_a_list() {
    let world = World::new().await;
    let mut body = grant();
    body["source"] = json!(["acme/web", null, []]);
    world.server.post(GRANTS, world.admin(), body).await.invalid("/source", "wrong_type");
    let job = json!({ "job": ["k", "n", null, 5, null] });
    let mut mint = World::mint_body("1", json!({}));
    mint["job"] = job["job"].clone();
    world.server.post("/v1/job-tokens", &world.runner, mint).await.invalid("/job", "wrong_type");
}

#[tokio::test]
async fn an_unknown_field_is_named() {
    let world = World::new().await;
    let server = &world.server;
    let with = |pointer: &str| {
        let mut body = grant();
        body["conditions"] = json!({});
        let (parent, field) = pointer.rsplit_once('/').unwrap();
        body.pointer_mut(parent).unwrap()[field] = json!(1);
        body
    };
    for pointer in ["/colour", "/source/colour", "/conditions/colour"] {
        server.post(GRANTS, world.admin(), with(pointer)).await.invalid(pointer, "unknown_field");
    }
    let list = json!({ "items": [grant(), grant(), grant(), with("/conditions/colour")] });
    server.put(GRANTS, world.admin(), list).await.invalid("/items/3/conditions/colour", "unknown_field");
    let odd = json!({ "path": "x", "a/b~c": 1 });
    server.post("/v1/groups", world.admin(), odd).await.invalid("/a~1b~0c", "unknown_field");
    let nested = World::mint_body("1", json!({ "pipeline": { "protected": true } }));
    server.post("/v1/job-tokens", &world.runner, nested).await.invalid("/pipeline/protected", "unknown_field");
}

#[tokio::test]
async fn a_missing_field_is_named() {
    let world = World::new().await;
    let server = &world.server;
    server.post("/v1/groups", world.admin(), json!({})).await.invalid("/path", "required");
    server
        .post(GRANTS, world.admin(), json!({ "source": { "project": "acme/web" } }))
        .await
        .invalid("/permissions", "required");
    server
        .post(GRANTS, world.admin(), json!({ "source": {}, "permissions": ["jobs:read"] }))
        .await
        .invalid("/source", "required");
    server
        .put(GRANTS, world.admin(), json!({ "items": [{ "source": {} }] }))
        .await
        .invalid("/items/0/permissions", "required");
    server.put("/v1/groups/acme/members/guest", world.admin(), json!({})).await.invalid("/role", "required");
}

#[tokio::test]
async fn a_wrong_type_is_named() {
    let world = World::new().await;
    let server = &world.server;
    for value in [json!(5), json!(["a"]), json!({}), json!(null), json!(true)] {
        server.post("/v1/groups", world.admin(), json!({ "path": value })).await.invalid("/path", "wrong_type");
    }
    server
        .post("/v1/users", world.admin(), json!({ "name": "x", "administrator": "yes" }))
        .await
        .invalid("/administrator", "wrong_type");
    let timeout = |value: Value| World::mint_body("1", json!({ "job": { "timeout_secs": value } }));
    for value in [json!("60"), json!(1.5), json!(-1), json!(1e300)] {
        let reply = server.post("/v1/job-tokens", &world.runner, timeout(value)).await.refused(422, "invalid");
        assert_eq!(reply.json["errors"][0]["pointer"], "/job/timeout_secs");
    }
    let mut body = grant();
    body["permissions"] = json!(["packages:read", 5]);
    server.post(GRANTS, world.admin(), body).await.invalid("/permissions/1", "wrong_type");
}

#[tokio::test]
async fn null_is_no_value_for_what_a_patch_cannot_unset() {
    let world = World::new().await;
    for field in ["path", "visibility", "mode", "protected_refs", "protected_environments"] {
        let patch = json!({ field: null });
        let reply = world.server.patch("/v1/projects/acme%2Fweb", world.admin(), patch).await.refused(422, "invalid");
        assert_eq!(reply.json["errors"][0]["pointer"], format!("/{field}"), "{}", reply.text);
    }
}

#[tokio::test]
async fn an_over_long_value_is_named() {
    let world = World::new().await;
    let (server, long) = (&world.server, "a".repeat(256));
    server.post("/v1/groups", world.admin(), json!({ "path": long })).await.invalid("/path", "invalid");
    server.post("/v1/users", world.admin(), json!({ "name": long })).await.invalid("/name", "invalid");
    server.post("/v1/runners", world.admin(), json!({ "name": long })).await.invalid("/name", "invalid");
    let note = json!({ "source": { "project": "acme/web" }, "permissions": ["jobs:read"], "note": "é".repeat(513) });
    server.post(GRANTS, world.admin(), note).await.invalid("/note", "invalid");
    let refs = json!({ "source": { "project": "acme/web" }, "permissions": ["jobs:read"], "conditions": { "refs": ["main", long] } });
    server.post(GRANTS, world.admin(), refs).await.invalid("/conditions/refs/1", "invalid");
    let key = World::mint_body("1", json!({ "pipeline": { "key": long } }));
    server.post("/v1/job-tokens", &world.runner, key).await.invalid("/pipeline/key", "invalid");
    // A path is bounded as a whole, too, when what lies above it is moved.
    let parent = "p".repeat(120);
    server.post("/v1/groups", world.admin(), json!({ "path": parent })).await.expect(201);
    server.post("/v1/groups", world.admin(), json!({ "path": format!("acme/{}", "c".repeat(120)) })).await.expect(201);
    server
        .post("/v1/projects", world.admin(), json!({ "path": format!("acme/{}/{}", "c".repeat(120), "d".repeat(100)) }))
        .await
        .expect(201);
    server
        .patch("/v1/groups/acme", world.admin(), json!({ "path": format!("{parent}/acme") }))
        .await
        .invalid("/path", "too_long");
}

#[tokio::test]
async fn nul_is_refused_wherever_a_text_may_stand() {
    let world = World::new().await;
    let (server, admin) = (&world.server, world.admin());
    server.post("/v1/groups", admin, json!({ "path": "a\0b" })).await.invalid("/path", "invalid");
    server.post("/v1/users", admin, json!({ "name": "a\0b" })).await.invalid("/name", "invalid");
    server.post("/v1/user-tokens", admin, json!({ "user": "a\0b" })).await.invalid("/user", "invalid");
    server.post("/v1/runners", admin, json!({ "name": "a\0b" })).await.invalid("/name", "invalid");
    server
        .post("/v1/services", admin, json!({ "name": "a", "audience": "https://a\0b" }))
        .await
        .invalid("/audience", "invalid");
    server
        .post("/v1/services", admin, json!({ "name": "a", "resources": ["a\0b"] }))
        .await
        .invalid("/resources/0", "unknown_resource");
    server
        .post("/v1/catalogue/resources", admin, json!({ "name": "a", "description": "a\0b" }))
        .await
        .invalid("/description", "invalid");
    for (field, pointer) in [
        (json!({ "source": { "project": "a\0b" } }), "/source/project"),
        (json!({ "note": "a\0b" }), "/note"),
        (json!({ "conditions": { "refs": ["a\0b"] } }), "/conditions/refs/0"),
        (json!({ "selectors": { "packages": ["a\0b"] } }), "/selectors/packages/0"),
    ] {
        let mut body = grant();
        for (key, value) in field.as_object().unwrap() {
            body[key] = value.clone();
        }
        server.post(GRANTS, admin, body).await.invalid(pointer, "invalid");
    }
    for pointer in [
        "/project",
        "/pipeline/key",
        "/pipeline/ref",
        "/pipeline/sha",
        "/pipeline/actor",
        "/job/key",
        "/job/name",
        "/job/environment",
    ] {
        let mut body = World::mint_body("1", json!({}));
        *body.pointer_mut(pointer).unwrap() = json!("a\0b");
        server.post("/v1/job-tokens", &world.runner, body).await.invalid(pointer, "invalid");
    }
    world
        .ask(json!({ "token": "a\0b", "project": "a\0b", "permissions": ["jobs:read"] }))
        .await
        .invalid("/project", "invalid");
    server.post("/v1/leaked-tokens", admin, json!({ "token": "a\0b" })).await.invalid("/token", "malformed");
    for list in ["groups", "projects", "users", "runners", "services", "user-tokens", "audit-events"] {
        server.get(&format!("/v1/{list}?after=a%00b"), admin).await.invalid("?after", "invalid");
    }
    server.get("/v1/audit-events?project=%00", admin).await.invalid("?project", "invalid");
    server.get("/v1/job-tokens/self?project=%00", &world.token("1").await).await.invalid("?project", "invalid");
}

#[tokio::test]
async fn a_field_stands_once() {
    let world = World::new().await;
    let (server, admin) = (&world.server, world.admin());
    post_text(server, "/v1/groups", admin, r#"{"path":"a","path":"b"}"#).await.invalid("/path", "duplicate_field");
    let grant = r#"{"source":{"project":"acme/web","project":"acme/lib"},"permissions":["jobs:read"]}"#;
    post_text(server, GRANTS, admin, grant).await.invalid("/source/project", "duplicate_field");
    let question = r#"{"token":"","project":"acme/web","project":"acme/lib","permissions":["jobs:read"]}"#;
    post_text(server, "/v1/authorize", &world.service.1, question).await.invalid("/project", "duplicate_field");
}

#[tokio::test]
async fn a_body_has_64_kib_at_most() {
    let server = Server::start().await;
    let of = |length: usize| format!("{{\"path\":\"{}\"}}", "a".repeat(length - 11));
    post_text(&server, "/v1/groups", &server.admin, of(65_536)).await.invalid("/path", "invalid");
    post_text(&server, "/v1/groups", &server.admin, of(65_537)).await.refused(413, "too_large");
    let declared = "content-type: application/json\r\ncontent-length: 99999999999\r\n";
    raw(&server, "POST", "/v1/groups", declared, vec![]).await.refused(413, "too_large");
    let chunked = "content-type: application/json\r\ntransfer-encoding: chunked\r\n";
    let body = format!("{:x}\r\n{}\r\n0\r\n\r\n", 65_537, of(65_537));
    raw(&server, "POST", "/v1/groups", chunked, body.into_bytes()).await.refused(413, "too_large");
}

#[tokio::test]
async fn a_list_of_grants_may_have_8_mib() {
    let world = World::new().await;
    let put = async |body: String| {
        let request = world.server.http.put(format!("{}{GRANTS}", world.server.url)).bearer_auth(world.admin());
        send(request.header("content-type", "application/json").body(body)).await
    };
    let item = grant().to_string();
    let list = format!("{{\"items\":[{},{{}}]}}", vec![item; 3000].join(","));
    assert!(list.len() > 64 * 1024);
    put(list).await.invalid("/items/3000/source", "required");
    put(" ".repeat(8 * 1024 * 1024 + 1)).await.refused(413, "too_large");
}

#[tokio::test]
async fn no_token_is_echoed() {
    let world = World::new().await;
    let server = &world.server;
    let secret = "Yv3fQ0mKx7".repeat(5);
    for kind in ["jpj", "jpr", "jps", "jpu"] {
        let token = format!("{kind}_{secret}");
        let value = json!(token);
        let mint = |change: Value| server.post("/v1/job-tokens", &world.runner, World::mint_body("1", change));
        let post = |path: &'static str, body: Value| server.post(path, world.admin(), body);
        let ask = json!({ "token": "t", "project": "acme/lib", "permissions": ["jobs:read"], "resource_names": { &token: "n" } });
        let batch = json!({ "questions": [{ &token: 1 }, ask] });
        let refused = [
            ("an enum", mint(json!({ "pipeline": { "trigger": value } })).await),
            ("a number", mint(json!({ "job": { "timeout_secs": value } })).await),
            ("a permission", mint(json!({ "permissions": [value] })).await),
            ("a path", post("/v1/groups", json!({ "path": value })).await),
            ("an unknown field", post("/v1/groups", json!({ &token: 1 })).await),
            ("an unknown field below", mint(json!({ "job": { &token: 1 } })).await),
            (
                "a pattern",
                post(
                    "/v1/projects",
                    json!({ "path": "acme/x", "protected_refs": [format!("{token}{}", "*x".repeat(9))] }),
                )
                .await,
            ),
            (
                "a selector",
                post(
                    GRANTS,
                    json!({ "source": { "project": "acme/web" }, "permissions": ["packages:read"],
                "selectors": { &token: ["x"] } }),
                )
                .await,
            ),
            ("a name in the query", server.get(&format!("/v1/groups?{token}=1"), world.admin()).await),
            ("a value in the query", server.get(&format!("/v1/groups?limit={token}"), world.admin()).await),
            ("a time", post("/v1/user-tokens", json!({ "user": "guest", "expires_at": value })).await),
            ("a resource name", world.ask(ask.clone()).await),
            ("a batch", world.ask(batch).await),
            ("a path in the URL", server.get(&format!("/v1/projects/{token}"), world.admin()).await),
            ("not JSON", post_text(server, "/v1/groups", world.admin(), format!("{{\"path\": {token}}}")).await),
        ];
        for (what, reply) in refused {
            assert!((400..500).contains(&reply.status) || what == "a batch", "{what}: {}", reply.text);
            assert!(!reply.text.contains(&secret), "{what}: {}", reply.text);
        }
        let form = [("token", token.as_str()), ("project", &token), ("permission", &token), (&token, &token)];
        let reply =
            server.form("/oauth/introspect", Some((&world.service.0, &world.service.1)), &form).await.expect(400);
        assert!(!reply.text.contains(&secret), "{}", reply.text);
        let narrow = [("grant_type", token.as_str()), ("subject_token", &token), ("scope", &token)];
        assert!(!server.form("/oauth/token", None, &narrow).await.text.contains(&secret));
    }
}

#[tokio::test]
async fn only_json_is_read() {
    let server = Server::start().await;
    let post = async |content_type: Option<&str>| {
        let mut request = server.http.post(format!("{}/v1/groups", server.url)).bearer_auth(&server.admin).body("{}");
        if let Some(content_type) = content_type {
            request = request.header("content-type", content_type);
        }
        send(request).await
    };
    for wrong in [
        None,
        Some("text/plain"),
        Some("application/x-www-form-urlencoded"),
        Some("application/jsonp"),
        Some("text/json"),
        Some("application/json; charset=utf-16"),
        Some("application/json; charset=utf-8; charset=latin1"),
        Some("application/merge-patch+json;charset=\"ISO-8859-1\""),
    ] {
        post(wrong).await.refused(415, "not_json");
    }
    for right in [
        "application/json",
        "Application/JSON; charset=utf-8",
        "application/json;CharSet=\"UTF-8\"",
        "application/json; profile=x",
        "application/merge-patch+json",
    ] {
        post(Some(right)).await.invalid("/path", "required");
    }
}

#[tokio::test]
async fn what_does_not_exist_is_not_found_whatever_it_is_called() {
    let world = World::new().await;
    let names = [
        SOME_ID,
        "nope",
        "acme%2Fnope",
        "%00",
        "acme%00",
        "%ff",
        "..%2F..%2Fetc",
        "acme%2F..%2Facme%2Fweb",
        "%2F",
        "*",
        "'%20or%20''='",
    ];
    let paths = [
        "/v1/groups/{}",
        "/v1/projects/{}",
        "/v1/projects/{}/grants",
        "/v1/groups/{}/members",
        "/v1/users/{}",
        "/v1/runners/{}",
        "/v1/services/{}",
        "/v1/user-tokens/{}",
        "/v1/projects/acme%2Flib/grants/{}",
        "/v1/runners/{}/secrets",
    ];
    for path in paths {
        for name in names {
            let path = path.replace("{}", name);
            let reply = raw(&world.server, "GET", &path, "", vec![]).await;
            assert_eq!(reply.status, 404, "{path}: {}", reply.text);
            reply.refused(404, "not_found");
        }
    }
}

#[tokio::test]
async fn dots_in_a_path_lead_nowhere() {
    let server = Server::start().await;
    for target in ["/v1/groups/../users", "/v1/./users", "/v1//users", "/../v1/users", "/v1/groups/%2e%2e/users"] {
        raw(&server, "GET", target, "", vec![]).await.refused(404, "not_found");
    }
    for path in ["acme/../x", "..", "./a", "a//b", "/a", "a/", "a/.b", "a\\b", SOME_ID] {
        server.post("/v1/groups", &server.admin, json!({ "path": path })).await.invalid("/path", "invalid");
    }
}

#[tokio::test]
async fn a_group_never_lies_inside_itself() {
    let world = World::new().await;
    let server = &world.server;
    for path in ["acme/a", "acme/a/b"] {
        server.post("/v1/groups", world.admin(), json!({ "path": path })).await.expect(201);
    }
    for path in ["acme/acme", "acme/a/acme", "acme/a/b/x"] {
        server.patch("/v1/groups/acme", world.admin(), json!({ "path": path })).await.refused(409, "group_cycle");
    }
}

#[tokio::test]
async fn groups_nest_32_deep() {
    let server = Server::start().await;
    let path = |depth: usize| vec!["g"; depth].join("/");
    for depth in 1..=32 {
        server.post("/v1/groups", &server.admin, json!({ "path": path(depth) })).await.expect(201);
    }
    server.post("/v1/groups", &server.admin, json!({ "path": path(33) })).await.invalid("/path", "too_deep");
}

#[tokio::test]
async fn a_page_is_bounded_and_its_parameters_are_known() {
    let world = World::new().await;
    let lists = [
        "/v1/groups",
        "/v1/projects",
        "/v1/users",
        "/v1/user-tokens",
        "/v1/runners",
        "/v1/services",
        "/v1/audit-events",
        "/v1/groups/acme/members",
        "/v1/projects/acme%2Fweb/members",
        "/v1/groups/acme/grants",
        GRANTS,
        "/v1/projects/acme%2Fweb/job-tokens",
    ];
    for list in lists {
        for limit in ["0", "1001", "-1", "abc", "", "99999999999999999999", "1.5"] {
            world.server.get(&format!("{list}?limit={limit}"), world.admin()).await.invalid("?limit", "out_of_range");
        }
        world.server.get(&format!("{list}?limit=1000"), world.admin()).await.expect(200);
        world.server.get(&format!("{list}?colour=red"), world.admin()).await.invalid("?colour", "unknown_parameter");
    }
    for list in [
        "/v1/user-tokens",
        "/v1/runners",
        "/v1/services",
        "/v1/audit-events",
        GRANTS,
        "/v1/projects/acme%2Fweb/job-tokens",
    ] {
        world.server.get(&format!("{list}?after=nope"), world.admin()).await.invalid("?after", "bad_cursor");
    }
    for list in ["/v1/groups", "/v1/users", GRANTS] {
        world
            .server
            .get(&format!("{list}?project=acme%2Fweb"), world.admin())
            .await
            .invalid("?project", "unknown_parameter");
    }
    world
        .server
        .get("/v1/audit-events?project=acme%2Fweb&group=acme", world.admin())
        .await
        .invalid("?group", "one_place");
}

/// Most of all `dry_run`: a write that was meant as a question must not happen.
#[tokio::test]
async fn a_parameter_that_is_repeated_is_refused() {
    let world = World::new().await;
    let (server, admin) = (&world.server, world.admin());
    let lib = "/v1/projects/acme%2Flib";
    let path = format!("{lib}?dry_run=true&dry_run=false");
    server.patch(&path, admin, json!({ "mode": "legacy" })).await.invalid("?dry_run", "repeated");
    assert_eq!(server.get(lib, admin).await.json["mode"], "enforced");
    for (path, pointer) in [
        ("/v1/groups?limit=1&limit=2".to_owned(), "?limit"),
        (format!("{lib}/grants?unused_days=1&unused_days=2"), "?unused_days"),
        (format!("{lib}/usage?verdict=allowed&verdict=denied"), "?verdict"),
        (format!("{lib}/suggestions?fold=true&fold=true"), "?fold"),
        ("/v1/audit-events?project=acme%2Flib&project=acme%2Fweb".to_owned(), "?project"),
    ] {
        server.get(&path, admin).await.invalid(pointer, "repeated");
    }
    let path = format!("{lib}/suggestions/apply?fold=true&fold=false");
    let apply = Some(json!({ "all": true }));
    server.call_with("POST", &path, Some(admin), apply, &[("if-match", "*")]).await.invalid("?fold", "repeated");
    let token = world.token("p1").await;
    let path = "/v1/job-tokens/self?project=acme/lib&permission=jobs:read&permission=packages:read";
    server.get(path, &token).await.expect(200);
    server.get(&format!("{path}&project=acme/web"), &token).await.invalid("?project", "repeated");
}

#[tokio::test]
async fn a_write_takes_no_parameter_that_it_does_not_know() {
    let world = World::new().await;
    let server = &world.server;
    server
        .post("/v1/groups?dry_run=true", world.admin(), json!({ "path": "x" }))
        .await
        .invalid("?dry_run", "unknown_parameter");
    server.post(&format!("{GRANTS}?dry_run=maybe"), world.admin(), grant()).await.invalid("?dry_run", "invalid");
    server.post(&format!("{GRANTS}?dryrun=true"), world.admin(), grant()).await.invalid("?dryrun", "unknown_parameter");
    server
        .put("/v1/projects/acme%2Fweb/members/guest?dry_run=true", world.admin(), json!({ "role": "owner" }))
        .await
        .invalid("?dry_run", "unknown_parameter");
    server
        .post("/v1/projects/acme%2Fweb/revoke-tokens?colour=red", world.admin(), json!({}))
        .await
        .invalid("?colour", "unknown_parameter");
    assert_eq!(server.get(GRANTS, world.admin()).await.expect(200).json["items"], json!([]));
}

#[tokio::test]
async fn a_token_in_the_query_is_never_read() {
    let server = Server::start().await;
    for name in ["access_token", "token", "private_token", "job_token", "client_secret"] {
        let path = format!("/v1/groups?{name}={}", server.admin);
        let reply = server.call("GET", &path, None, None).await.refused(400, "bad_request");
        assert!(!reply.text.contains(&server.admin));
    }
}

#[tokio::test]
async fn unknown_routes_and_methods() {
    let server = Server::start().await;
    for path in ["/", "/v1", "/v1/", "/v1/nope", "/v1/groups/", "/v2/groups", "/v1/job-tokens/self/x"] {
        server.call("GET", path, None, None).await.refused(404, "not_found");
    }
    for (method, path, allow) in [
        ("DELETE", "/v1/groups", "GET,HEAD,POST"),
        ("PUT", "/v1/groups/acme", "GET,HEAD,PATCH,DELETE"),
        ("GET", "/v1/job-tokens", "POST"),
        ("TRACE", "/v1/users", "GET,HEAD,POST"),
    ] {
        let reply = server.call(method, path, Some(&server.admin), None).await.refused(405, "method_not_allowed");
        let sorted = |list: &str| {
            let mut methods: Vec<_> = list.split(',').map(|one| one.trim().to_owned()).collect();
            methods.sort();
            methods
        };
        assert_eq!(sorted(reply.header("allow")), sorted(allow), "{method} {path}");
    }
}

// ── Every operation that takes a body ────────────────────────────────────────────────────────────────

/// A body that the operation would take.
fn good_body(method: &str, template: &str) -> Value {
    let key = format!("sweep-{}", template.len());
    match (method, template) {
        (_, "/v1/groups/{group}") => json!({ "path": "acme", "floor": "legacy" }),
        (_, "/v1/groups") => json!({ "path": "acme/new", "floor": "legacy" }),
        (_, "/v1/projects") => {
            json!({ "path": "acme/new", "visibility": "private", "mode": "enforced", "protected_refs": ["main"], "protected_environments": ["prod*"] })
        }
        (_, "/v1/projects/{project}") => {
            json!({ "path": "acme/web", "visibility": "private", "mode": "enforced", "protected_refs": ["main"], "protected_environments": [], "reason": "why" })
        }
        ("PUT", template) if template.ends_with("/members/{user}") => json!({ "role": "reporter" }),
        (_, "/v1/users") => json!({ "name": "new", "administrator": false }),
        (_, "/v1/users/{user}") => json!({ "name": "guest", "administrator": false }),
        (_, "/v1/user-tokens") => {
            json!({ "user": "guest", "name": "n", "read_only": true, "expires_at": "2027-01-01T00:00:00Z" })
        }
        (_, "/v1/runners") => {
            json!({ "name": "n", "project": "acme/web", "group": null, "protected": false, "asserts_actor": false, "expires_at": null })
        }
        (_, "/v1/runners/{runner}") => {
            json!({ "name": "r1", "protected": true, "asserts_actor": true, "paused": false })
        }
        (_, "/v1/services") => {
            json!({ "name": "n", "resources": ["packages"], "project": "acme/web", "audience": "https://a.example", "audience_required": true, "answer_seconds": 60, "route_table": "gitlab",
                "forward_auth": { "source": "fixed", "method_header": null, "path_header": null, "permissions": ["jobs:read"], "identity_headers": ["jobpass-ref"] } })
        }
        (_, "/v1/services/{service}") => {
            json!({ "name": "n", "resources": null, "audience": null, "audience_required": false, "answer_seconds": 60, "paused": false, "route_table": "gitlab",
                "forward_auth": { "source": "headers", "method_header": "x-method", "path_header": "x-path", "permissions": null, "identity_headers": null } })
        }
        (_, template) if template.ends_with("/trust-rules") || template.ends_with("/trust-rules/{rule}") => json!({
            "name": "n", "issuer": "https://ci.example", "jwks_uri": "https://ci.example/keys", "ci": "github",
            "claims": { "repository_id": ["42"], "ref": ["refs/heads/*"] }, "permissions": ["jobs:read"], "protected": false,
            "excludes_forks": false, "max_lifetime_secs": 60, "paused": false,
        }),
        (_, template) if template.ends_with("/secrets") => json!({ "expires_at": "2027-01-01T00:00:00Z" }),
        (_, "/v1/catalogue/resources") => json!({ "name": "new", "description": "d", "name_form": "f" }),
        ("PUT", template) if template.ends_with("/grants") => json!({ "items": [good_grant()] }),
        (_, template) if template.contains("/grants") => good_grant(),
        (_, "/v1/job-tokens") => {
            World::mint_body(&key, json!({ "permissions": ["jobs:read"], "audience": ["https://a.example"] }))
        }
        (_, "/v1/job-tokens/narrow") => {
            json!({ "permissions": ["jobs:read"], "expires_at": "2026-11-23T10:30:00Z", "audience": ["https://a.example"] })
        }
        (_, "/v1/authorize") => {
            json!({ "token": "t", "project": "acme/lib", "permissions": ["jobs:read"], "resource_name": "n", "resource_names": { "packages": "n" } })
        }
        (_, "/v1/leaked-tokens") => json!({ "token": "t" }),
        // JSON is YAML.
        (_, "/v1/route-tables/{table}") => json!({
            "base": "/v1",
            "routes": [{
                "method": "GET", "path": "/x/:id(/)(*rest)", "permissions": ["packages:read"], "refused": false, "project": "id",
                "resource_names": { "packages": "npm/{id}" }, "encoded_slash": ["id"],
            }],
        }),
        (_, "/v1/signing-keys/{key}/revoke") => json!({ "reason": "leaked" }),
        // All others take no body, or an empty one.
        _ => json!({}),
    }
}

fn good_grant() -> Value {
    json!({
        "source": { "group": "acme", "except": ["acme/lib"] },
        "permissions": ["packages:read"],
        "conditions": {
            "refs": ["main"], "protected_refs_only": false, "environments": ["prod*"], "triggers": ["push"], "allow_forks": false,
            "within_actor_role": false, "vouched_by": "any",
        },
        "selectors": { "packages": ["npm/*"] }, "expires_at": null, "note": "n",
    })
}

/// Pointers to everything in a value, itself included.
fn pointers(value: &Value, at: &str, all: &mut Vec<String>) {
    all.push(at.to_owned());
    match value {
        Value::Object(fields) => fields.iter().for_each(|(key, value)| pointers(value, &format!("{at}/{key}"), all)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, value)| pointers(value, &format!("{at}/{index}"), all));
        }
        _ => {}
    }
}

fn hostile() -> Vec<Value> {
    vec![
        json!(null),
        json!(true),
        json!(-1),
        json!(9_007_199_254_740_993_u64),
        json!(1e308),
        json!(""),
        json!("a\0b"),
        json!("%00"),
        json!("\u{feff}'; drop table users; --"),
        json!("../../etc"),
        json!("x".repeat(5000)),
        json!("9999-12-31T23:59:59Z"),
        json!("0000-01-01T00:00:00Z"),
        json!(SOME_ID),
        json!([]),
        json!([null]),
        json!({}),
        json!({ "": "" }),
        json!(vec!["jobs:read"; 2000]),
    ]
}

#[tokio::test]
async fn no_operation_breaks_whatever_it_is_sent() {
    let world = World::new().await;
    let server = &world.server;
    let document = server.call("GET", "/openapi.json", None, None).await.expect(200).json;
    let granted = world.grant(&["packages:read"], json!({})).await.text_at("/id");
    let run = world.mint("run", json!({})).await;
    let id = |name: &str| run[name].as_str().unwrap().to_owned();
    let rules = "/v1/projects/acme%2Flib/trust-rules";
    let trusted = server.post(rules, world.admin(), good_body("POST", rules)).await.expect(201).text_at("/id");
    let key = server.get("/v1/signing-keys", world.admin()).await.expect(200).text_at("/items/0/id");
    let mut tried = 0;
    for (template, operations) in document["paths"].as_object().unwrap() {
        for method in ["POST", "PUT", "PATCH"] {
            if operations[method.to_lowercase()].is_null() || template.starts_with("/oauth/") {
                continue;
            }
            let mut path = template.clone();
            for (name, value) in [
                ("{project}", "acme%2Flib"),
                ("{group}", "acme"),
                ("{user}", "guest"),
                ("{runner}", &world.runner_id),
                ("{service}", &world.service.0),
                ("{grant}", &granted),
                ("{rule}", &trusted),
                ("{key}", &key),
                ("{table}", "own"),
                ("{job}", &id("job_id")),
                ("{pipeline}", &id("pipeline_id")),
            ] {
                path = path.replace(name, value);
            }
            assert!(!path.contains('{'), "a parameter that this test does not know: {path}");
            let holder = world.token(&format!("holder-{template}")).await;
            let runners =
                template == "/v1/job-tokens" || template.ends_with("/finish") || template.ends_with("/heartbeat");
            let credential = match template.as_str() {
                "/v1/job-tokens/narrow" => &holder,
                "/v1/authorize" => &world.service.1,
                _ if runners => &world.runner,
                _ => world.admin(),
            };
            let mut bodies = vec![good_body(method, template)];
            let mut content_type = "application/json";
            match template.as_str() {
                "/v1/authorize" => {
                    bodies.push(json!({ "token": "t", "method": "GET", "path": "/projects/acme%2Flib/jobs" }));
                }
                "/v1/route-tables/{table}" => {
                    let table = format!("{}{path}", server.url);
                    let request =
                        server.http.put(table).bearer_auth(world.admin()).header("content-type", "application/yaml");
                    send(request.body(bodies[0].to_string())).await.expect(201);
                    content_type = "application/yaml";
                }
                _ => {}
            }
            let all = bodies.iter().flat_map(|good| {
                let mut all = Vec::new();
                pointers(good, "", &mut all);
                all.into_iter().map(move |pointer| (good, pointer))
            });
            for (good, pointer) in all {
                for value in hostile() {
                    let mut body = good.clone();
                    *body.pointer_mut(&pointer).unwrap() = value.clone();
                    let request = server
                        .http
                        .request(Method::from_bytes(method.as_bytes()).unwrap(), format!("{}{path}", server.url));
                    let reply = send(
                        request
                            .bearer_auth(credential)
                            .header("if-match", "*")
                            .header("content-type", content_type)
                            .body(body.to_string()),
                    )
                    .await;
                    assert!(reply.status < 500, "{method} {path} {pointer} = {value}: {}", reply.text);
                    assert!(![401, 403].contains(&reply.status), "{method} {path} {pointer} = {value}: {}", reply.text);
                    if reply.status >= 400 {
                        let (status, code) = (reply.status, reply.text_at("/code"));
                        reply.refused(status, &code);
                    }
                    tried += 1;
                }
            }
        }
    }
    assert!(tried > 1000, "{tried}");
}
