//! Callers that meet: whatever the order, one story is told. Every race runs on several connections, and
//! none of them sleeps.

use crate::support::{Reply, Server, World, settings, test_db};
use serde_json::{Value, json};
use sqlx::Connection as _;
use std::cell::Cell;

fn statuses(replies: &[Reply]) -> Vec<u16> {
    let mut statuses: Vec<_> = replies.iter().map(|reply| reply.status).collect();
    statuses.sort_unstable();
    statuses
}

fn text<'a>(minted: &'a Value, field: &str) -> &'a str {
    minted[field].as_str().unwrap()
}

/// All at once, each on a connection of its own.
macro_rules! at_once {
    ($($call:expr),+ $(,)?) => {{
        let replies: [Reply; _] = tokio::join!($($call),+).into();
        replies
    }};
}

async fn finish(world: &World, minted: &Value) -> Reply {
    let path = format!("/v1/jobs/{}/finish", text(minted, "job_id"));
    world.server.call("POST", &path, Some(&world.runner), None).await
}

#[tokio::test]
async fn rfc9110_13_1_1_of_two_maintainers_with_the_same_tag_one_wins() {
    let world = World::new().await;
    let (server, maintainer, owner) = (&world.server, world.person("maintainer"), world.person("owner"));
    for round in 0..10 {
        let made = world.grant(&["jobs:read"], json!({})).await;
        let path = format!("/v1/projects/acme%2Flib/grants/{}", made.text_at("/id"));
        let put = async |who: &str, note: &str| {
            let body = json!({ "source": { "project": "acme/web" }, "permissions": ["jobs:read"], "note": format!("{note} {round}") });
            server.call_with("PUT", &path, Some(who), Some(body), &[("if-match", made.header("etag"))]).await
        };
        let delete =
            async || server.call_with("DELETE", &path, Some(owner), None, &[("if-match", made.header("etag"))]).await;
        let replies = at_once!(put(maintainer, "a"), put(owner, "b"), put(maintainer, "c"));
        assert_eq!(statuses(&replies), [200, 412, 412]);
        assert_eq!(delete().await.status, 412);
    }
}

#[tokio::test]
async fn rfc9110_13_1_1_of_two_whole_lists_one_wins() {
    let world = World::new().await;
    let (server, grants) = (&world.server, "/v1/projects/acme%2Flib/grants");
    for _ in 0..10 {
        let tag = server.get(grants, world.admin()).await.expect(200).header("etag").to_owned();
        let put = async |who: &str, note: &str| {
            let body = json!({ "items": [{ "source": { "project": "acme/web" }, "permissions": ["jobs:read"], "note": note }] });
            server.call_with("PUT", grants, Some(who), Some(body), &[("if-match", &tag)]).await
        };
        let replies =
            at_once!(put(world.person("maintainer"), "a"), put(world.person("owner"), "b"), put(world.admin(), "c"));
        assert_eq!(statuses(&replies), [200, 412, 412]);
        let won = replies.iter().find(|reply| reply.status == 200).unwrap();
        assert_eq!(server.get(grants, world.admin()).await.expect(200).json["items"], won.json["items"]);
    }
}

#[tokio::test]
async fn rfc9110_13_1_1_of_two_patches_with_the_same_tag_one_wins() {
    let world = World::new().await;
    let (server, web) = (&world.server, "/v1/projects/acme%2Fweb");
    for round in 0..10 {
        let tag = server.get(web, world.admin()).await.expect(200).header("etag").to_owned();
        let patch = async |pattern: &str| {
            let body = json!({ "protected_refs": [format!("{pattern}{round}")] });
            server.call_with("PATCH", web, Some(world.admin()), Some(body), &[("if-match", &tag)]).await
        };
        assert_eq!(statuses(&at_once!(patch("a"), patch("b"))), [200, 412]);
    }
}

#[tokio::test]
async fn concurrent_mints_of_a_new_job_make_one_job() {
    let world = World::new().await;
    for round in 0..10 {
        let key = round.to_string();
        let mint = || world.try_mint(&key, json!({}));
        let replies = at_once!(mint(), mint(), mint(), mint());
        assert_eq!(statuses(&replies), [201; 4]);
        for id in ["pipeline_id", "job_id", "expires_at"] {
            assert!(replies.iter().all(|reply| reply.json[id] == replies[0].json[id]));
        }
    }
}

#[tokio::test]
async fn concurrent_mints_that_disagree_leave_one_story() {
    let world = World::new().await;
    for round in 0..10 {
        let key = round.to_string();
        let mint = |sha: &'static str| world.try_mint(&key, json!({ "pipeline": { "sha": sha } }));
        let replies = at_once!(mint("a"), mint("b"));
        assert_eq!(statuses(&replies), [201, 409]);
        assert!(replies.iter().any(|reply| reply.json["code"] == "facts_differ"));
    }
}

#[tokio::test]
async fn concurrent_mints_never_pass_the_limit() {
    let world = World::new().await;
    for _ in 0..14 {
        world.token("1").await;
    }
    let mint = || world.try_mint("1", json!({}));
    let replies = at_once!(mint(), mint(), mint(), mint(), mint());
    assert_eq!(statuses(&replies), [201, 201, 409, 409, 409]);
}

#[tokio::test]
async fn no_descendant_survives_a_revocation() {
    let world = World::new().await;
    for round in 0..20 {
        let parent = world.mint(&round.to_string(), json!({})).await;
        let token = text(&parent, "token");
        let path = format!("/v1/job-tokens/{}", text(&parent, "id"));
        let narrow = || world.server.post("/v1/job-tokens/narrow", token, json!({}));
        let [first, second, revoked, third] =
            at_once!(narrow(), narrow(), world.server.delete(&path, world.admin()), narrow());
        revoked.expect(200);
        assert!(!world.is_active(token).await);
        for child in [first, second, third] {
            match child.status {
                201 => assert!(!world.is_active(&child.text_at("/token")).await),
                _ => drop(child.refused(401, "bad_credential")),
            }
        }
    }
}

#[tokio::test]
async fn no_token_survives_the_finish_of_its_job() {
    let world = World::new().await;
    for round in 0..20 {
        let key = round.to_string();
        let first = world.mint(&key, json!({})).await;
        let [late, finished, later] =
            at_once!(world.try_mint(&key, json!({})), finish(&world, &first), world.try_mint(&key, json!({})));
        finished.expect(200);
        for reply in [late, later] {
            match reply.status {
                201 => assert!(!world.is_active(&reply.text_at("/token")).await),
                _ => drop(reply.refused(409, "job_over")),
            }
        }
        assert!(!world.is_active(text(&first, "token")).await);
    }
}

/// Somebody changes the runner while a mint, which has read it before, waits for its row.
async fn mint_while_runner_is(world: &World, changed: &str) -> Reply {
    let mut sql = world.server.sql().await;
    sqlx::query("begin").execute(&mut sql).await.unwrap();
    let id = uuid::Uuid::parse_str(&world.runner_id).unwrap();
    sqlx::query("select from runners where id = $1 for update").bind(id).execute(&mut sql).await.unwrap();
    // One that does not wait has read too early.
    let over = Cell::new(false);
    let change = async {
        let waiting = "select exists (select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock')";
        let mut other = world.server.sql().await;
        while !over.get() && !sqlx::query_scalar::<_, bool>(waiting).fetch_one(&mut other).await.unwrap() {
            tokio::task::yield_now().await;
        }
        sqlx::raw_sql(sqlx::AssertSqlSafe(format!("{changed} where id = '{id}'; commit")))
            .execute(&mut sql)
            .await
            .unwrap();
    };
    let mint = async {
        let reply = world.try_mint("1", json!({})).await;
        over.set(true);
        reply
    };
    let (reply, ()) = tokio::join!(mint, change);
    reply
}

#[tokio::test]
async fn a_runner_that_is_paused_deleted_or_lowered_during_a_mint_mints_nothing() {
    for (change, status, code) in [
        ("update runners set paused = true", 409, "runner_paused"),
        ("update runners set protected = false", 403, "runner_not_protected"),
        ("delete from runners", 401, "bad_credential"),
    ] {
        let world = World::new().await;
        mint_while_runner_is(&world, change).await.refused(status, code);
        let minted = "select (select count(*) from pipelines) + (select count(*) from job_tokens)";
        let minted: i64 = sqlx::query_scalar(minted).fetch_one(&mut world.server.sql().await).await.unwrap();
        assert_eq!(minted, 0, "{change}");
    }
}

#[tokio::test]
async fn what_ends_a_runners_tokens_ends_the_one_that_it_mints_meanwhile() {
    let world = World::new().await;
    let before = world.token("0").await;
    let raised = "update runners set epoch = epoch + 1";
    // Its secret is still there: it mints after the revocation, whatever was read of it before.
    let minted = mint_while_runner_is(&world, raised).await.expect(201);
    assert!(world.is_active(&minted.text_at("/token")).await);
    assert!(!world.is_active(&before).await);
    let leaked = format!("delete from secrets where runner_id = '{}'; {raised}", world.runner_id);
    mint_while_runner_is(&world, &leaked).await.refused(401, "bad_credential");
}

/// Each holds the runner first, then the project: neither waits for what the other has.
#[tokio::test]
async fn a_mint_and_the_end_of_its_project_never_wait_for_each_other() {
    let world = World::new().await;
    let (server, admin) = (&world.server, world.admin());
    for round in 0..20 {
        let project = format!("acme/p{round}");
        let path = format!("/v1/projects/{}", project.replace('/', "%2F"));
        server.post("/v1/projects", admin, json!({ "path": project })).await.expect(201);
        let runner = json!({ "name": "r", "project": project, "protected": true });
        let runner = server.post("/v1/runners", admin, runner).await.expect(201).text_at("/token");
        let mint = async |key: &str| {
            let body = World::mint_body(key, json!({ "project": project }));
            server.post("/v1/job-tokens", &runner, body).await
        };
        mint("1").await.expect(201);
        let [a, b, deleted, c, d] = at_once!(mint("1"), mint("2"), server.delete(&path, admin), mint("1"), mint("3"));
        deleted.expect(204);
        for reply in [a, b, c, d] {
            assert!(matches!(reply.status, 201 | 401 | 404), "{}", reply.text);
            if reply.status == 201 {
                assert!(!world.is_active(&reply.text_at("/token")).await);
            }
        }
    }
}

#[tokio::test]
async fn a_heartbeat_and_a_finish_agree() {
    let world = World::new().await;
    for round in 0..10 {
        let minted = world.mint(&round.to_string(), json!({ "job": { "lease_secs": 60 } })).await;
        let path = format!("/v1/jobs/{}/heartbeat", text(&minted, "job_id"));
        let beat = || world.server.call("POST", &path, Some(&world.runner), None);
        let [one, finished, two] = at_once!(beat(), finish(&world, &minted), beat());
        finished.expect(200);
        assert!([one, two].iter().all(|reply| reply.status == 200 || reply.status == 409));
        assert_eq!(finish(&world, &minted).await.expect(200).json["state"], "finished");
    }
}

#[tokio::test]
async fn opposite_moves_make_no_circle() {
    let world = World::new().await;
    let server = &world.server;
    for round in 0..10 {
        let (a, b) = (format!("acme/a{round}"), format!("acme/b{round}"));
        for path in [&a, &b] {
            server.post("/v1/groups", world.admin(), json!({ "path": path })).await.expect(201);
        }
        let mv = async |from: &str, to: String| {
            server
                .patch(&format!("/v1/groups/{}", from.replace('/', "%2F")), world.admin(), json!({ "path": to }))
                .await
        };
        let replies = at_once!(mv(&a, format!("{b}/a")), mv(&b, format!("{a}/b")));
        let statuses = statuses(&replies);
        assert!(statuses[0] == 200 && (400..500).contains(&statuses[1]), "{statuses:?}");
    }
    let circles = "select count(*) from groups g where (select count(*) from unnest(chain) one where one = g.id) <> 1 or chain[cardinality(chain)] <> id";
    let circles: i64 = sqlx::query_scalar(circles).fetch_one(&mut server.sql().await).await.unwrap();
    assert_eq!(circles, 0);
}

#[tokio::test]
async fn a_change_of_the_floor_never_undoes_a_move() {
    let world = World::new().await;
    let server = &world.server;
    for round in 0..10 {
        let made =
            server.post("/v1/groups", world.admin(), json!({ "path": format!("acme/g{round}") })).await.expect(201);
        let path = format!("/v1/groups/{}", made.text_at("/id"));
        let mv = || server.patch(&path, world.admin(), json!({ "path": format!("other/g{round}") }));
        let floor = || server.patch(&path, world.admin(), json!({ "floor": "audit" }));
        assert_eq!(statuses(&at_once!(floor(), mv(), floor())), [200; 3]);
        let after = server.get(&path, world.admin()).await.expect(200);
        assert_eq!(
            (after.json["path"].as_str(), &after.json["floor"]),
            (Some(format!("other/g{round}").as_str()), &json!("audit"))
        );
    }
}

#[tokio::test]
async fn one_path_is_taken_once() {
    let world = World::new().await;
    for round in 0..10 {
        let body = || json!({ "path": format!("acme/p{round}") });
        let replies = at_once!(
            world.server.post("/v1/projects", world.admin(), body()),
            world.server.post("/v1/groups", world.admin(), body()),
            world.server.post("/v1/projects", world.person("owner"), body()),
        );
        assert_eq!(statuses(&replies), [201, 409, 409]);
    }
}

#[tokio::test]
async fn what_is_deleted_meanwhile_is_missing_and_nothing_dangles() {
    let world = World::new().await;
    let (server, admin) = (&world.server, world.admin());
    for round in 0..20 {
        let group = format!("acme/g{round}");
        server.post("/v1/groups", admin, json!({ "path": group })).await.expect(201);
        let source = server
            .post("/v1/projects", admin, json!({ "path": format!("acme/s{round}") }))
            .await
            .expect(201)
            .text_at("/id");
        let grant = || json!({ "source": { "project": source }, "permissions": ["jobs:read"] });
        let except = json!({ "source": { "group": "acme", "except": [source] }, "permissions": ["jobs:read"] });
        let (source_path, group_path) =
            (format!("/v1/projects/{source}"), format!("/v1/groups/{}", group.replace('/', "%2F")));
        let (on_source, member) = (format!("{source_path}/grants"), format!("{source_path}/members/guest"));
        let replies = at_once!(
            server.post("/v1/projects/acme%2Flib/grants", admin, grant()),
            server.post("/v1/groups/acme/grants", admin, except),
            server.delete(&source_path, admin),
            server.post("/v1/projects/acme%2Flib/grants", admin, grant()),
            server.post(
                &on_source,
                admin,
                json!({ "source": { "project": "acme/web" }, "permissions": ["jobs:read"] })
            ),
            server.put(&member, admin, json!({ "role": "guest" })),
            world.try_mint(&source, json!({ "project": source })),
            server.post("/v1/runners", admin, json!({ "name": "r", "project": source })),
            server.delete(&group_path, admin),
            server.post("/v1/projects", admin, json!({ "path": format!("{group}/p") })),
        );
        for reply in &replies {
            assert!(reply.status < 500, "{}", reply.text);
        }
    }
    let dangling = "select count(*) from grants g where
        g.source_project_id is not null and not exists (select from projects p where p.id = g.source_project_id)
        or exists (select from unnest(g.except_ids) one where not exists (select from projects p where p.id = one))";
    let dangling: i64 = sqlx::query_scalar(dangling).fetch_one(&mut server.sql().await).await.unwrap();
    assert_eq!(dangling, 0);
}

/// Each holds the owner first: neither waits for what the other has.
#[tokio::test]
async fn a_leak_report_and_the_end_of_its_owner_never_wait_for_each_other() {
    let world = World::new().await;
    let (server, admin) = (&world.server, world.admin());
    let leak =
        async |token: &str| server.call("POST", "/v1/leaked-tokens", None, Some(json!({ "token": token }))).await;
    for round in 0..20 {
        let runner = server.post("/v1/runners", admin, json!({ "name": "r" })).await.expect(201);
        let second = format!("/v1/runners/{}/secrets", runner.text_at("/id"));
        let second = server.post(&second, admin, json!({})).await.expect(201).text_at("/secret");
        let service = server.post("/v1/services", admin, json!({ "name": "s" })).await.expect(201);
        let name = format!("u{round}");
        server.post("/v1/users", admin, json!({ "name": name })).await.expect(201);
        let user = server.post("/v1/user-tokens", admin, json!({ "user": name })).await.expect(201);
        let (first, service_secret, user_token) =
            (runner.text_at("/token"), service.text_at("/client_secret"), user.text_at("/token"));
        let paths = [
            format!("/v1/runners/{}", runner.text_at("/id")),
            format!("/v1/services/{}", service.text_at("/client_id")),
            format!("/v1/users/{name}"),
        ];
        let replies = at_once!(
            leak(&first),
            server.delete(&paths[0], admin),
            leak(&second),
            leak(&service_secret),
            server.delete(&paths[1], admin),
            leak(&user_token),
            server.delete(&paths[2], admin),
        );
        for reply in &replies {
            assert!(reply.status < 300, "{}", reply.text);
        }
        for dead in [&first, &second, &user_token] {
            server.get("/v1/groups", dead).await.refused(401, "bad_credential");
        }
    }
}

#[tokio::test]
async fn the_third_of_three_secrets_made_at_once_is_refused() {
    let world = World::new().await;
    let path = format!("/v1/runners/{}/secrets", world.runner_id);
    let make = || world.server.post(&path, world.admin(), json!({}));
    assert_eq!(statuses(&at_once!(make(), make(), make())), [201, 409, 409]);
}

#[tokio::test]
async fn draft_idempotency_key_2_6_of_the_same_request_twice_at_once_one_is_carried_out() {
    let world = World::new().await;
    for round in 0..10 {
        let key = [("idempotency-key", "k")];
        let body = World::mint_body(&round.to_string(), json!({}));
        let post = || world.server.call_with("POST", "/v1/job-tokens", Some(&world.runner), Some(body.clone()), &key);
        let replies = at_once!(post(), post(), post());
        let minted: Vec<_> = replies.iter().filter(|reply| reply.status == 201).map(|reply| &reply.text).collect();
        assert!(!minted.is_empty() && minted.iter().all(|text| *text == minted[0]) || round > 0);
        assert!(replies.iter().all(|reply| [201, 409, 422].contains(&reply.status)));
    }
    let tokens: i64 =
        sqlx::query_scalar("select count(*) from job_tokens").fetch_one(&mut world.server.sql().await).await.unwrap();
    assert_eq!(tokens, 1);
}

#[tokio::test]
async fn a_change_counts_on_every_replica() {
    let world = World::new().await;
    let second = jobpass::start(settings(world.server.db.url()), world.server.clock.clone()).await.unwrap();
    let token = world.token("1").await;
    let seen = async || {
        let url = format!("http://{}/v1/job-tokens/self", second.addr);
        world.server.http.get(url).bearer_auth(&token).send().await.unwrap().status().as_u16()
    };
    assert_eq!(seen().await, 200);
    world.server.delete("/v1/job-tokens/self", &token).await.expect(204);
    assert_eq!(seen().await, 401);
}

#[tokio::test]
async fn replicas_that_start_at_once_on_an_empty_database_migrate_it_once() {
    let db = test_db().await;
    let mut sql = sqlx::PgConnection::connect_with(&db.options()).await.unwrap();
    sqlx::raw_sql("drop schema public cascade; create schema public").execute(&mut sql).await.unwrap();
    let clock = jobpass::Clock::manual(crate::support::START);
    let start = || jobpass::start(settings(db.url()), clock.clone());
    let (one, two, three) = tokio::join!(start(), start(), start());
    for started in [one, two, three] {
        let replica = started.unwrap();
        replica.app.bootstrap_admin().await.unwrap();
    }
    let server = Server::start_on(db, |_| {}).await;
    server.get("/v1/users", &server.admin).await.expect(200);
}
