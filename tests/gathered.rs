//! Mints and finishes that wait together are written together; to each its own answer, as if it had come alone.

use crate::support::{Reply, World};
use serde_json::{Value, json};
use sqlx::PgConnection;
use std::time::Duration;

/// Something of the database in a second connection's hands, until it is let go.
struct Held(PgConnection);

impl Held {
    async fn by(world: &World, statement: &'static str) -> Held {
        let mut sql = world.server.sql().await;
        sqlx::raw_sql(sqlx::AssertSqlSafe(format!("begin; {statement}"))).execute(&mut sql).await.unwrap();
        Held(sql)
    }

    async fn let_go(mut self) {
        sqlx::query("rollback").execute(&mut self.0).await.unwrap();
    }
}

/// Until this many of the server's connections wait for what somebody holds.
async fn waiting(world: &World, connections: i64) {
    let mut sql = world.server.sql().await;
    let waiting =
        "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    while sqlx::query_scalar::<_, i64>(waiting).fetch_one(&mut sql).await.unwrap() < connections {
        tokio::task::yield_now().await;
    }
}

async fn number(world: &World, query: String) -> i64 {
    let mut sql = world.server.sql().await;
    sqlx::query_scalar(sqlx::AssertSqlSafe(query)).fetch_one(&mut sql).await.unwrap()
}

async fn rows(world: &World, of: &str) -> i64 {
    number(world, format!("select count(*) from {of}")).await
}

/// By how many transactions what a table holds was written.
async fn transactions(world: &World, table: &str) -> i64 {
    number(world, format!("select count(distinct xmin::text) from {table}")).await
}

/// A call under way, made by a runner.
fn call(world: &World, path: &str, runner: &str, body: Option<Value>) -> tokio::task::JoinHandle<Reply> {
    let request = world.server.http.post(format!("{}{path}", world.server.url)).bearer_auth(runner);
    let request = match body {
        Some(body) => request.json(&body),
        None => request,
    };
    tokio::spawn(crate::support::send(request))
}

fn mint(world: &World, key: &str, change: Value) -> tokio::task::JoinHandle<Reply> {
    call(world, "/v1/job-tokens", &world.runner, Some(World::mint_body(key, change)))
}

/// As many batches of mints as may be under way, each waiting for what somebody holds: whatever comes now waits for them.
async fn two_under_way(world: &World) -> [tokio::task::JoinHandle<Reply>; 2] {
    let first = mint(world, "first", json!({}));
    waiting(world, 1).await;
    let second = mint(world, "second", json!({}));
    waiting(world, 2).await;
    [first, second]
}

async fn finish(world: &World, minted: &Value) -> Reply {
    let path = format!("/v1/jobs/{}/finish", minted["job_id"].as_str().unwrap());
    world.server.call("POST", &path, Some(&world.runner), None).await
}

/// Once what was sent before has had every chance to arrive: a few calls have gone there and back since.
async fn arrived(world: &World) {
    for _ in 0..10 {
        world.server.get("/v1/groups", world.admin()).await.expect(200);
    }
}

#[tokio::test]
async fn mints_that_wait_are_written_together_and_each_has_its_own_answer() {
    let world = World::new().await;
    let server = &world.server;
    let other = json!({ "name": "other", "protected": true });
    let other = server.post("/v1/runners", world.admin(), other).await.expect(201).text_at("/token");
    let modest = json!({ "name": "modest" });
    let modest = server.post("/v1/runners", world.admin(), modest).await.expect(201).text_at("/token");
    let paused = server.post("/v1/runners", world.admin(), json!({ "name": "paused" })).await.expect(201);
    let path = format!("/v1/runners/{}", paused.text_at("/id"));
    server.patch(&path, world.admin(), json!({ "paused": true })).await.expect(200);
    for job in ["known", "over"] {
        world.mint(job, json!({})).await;
    }
    finish(&world, &world.mint("over", json!({})).await).await.expect(200);
    for _ in 0..15 {
        world.token("full").await;
    }
    let before = (rows(&world, "pipelines").await, rows(&world, "job_tokens").await);

    let held = Held::by(&world, "lock table pipelines in exclusive mode").await;
    let first = two_under_way(&world).await;
    let body = |key: &str, change| Some(World::mint_body(key, change));
    let mut good: Vec<_> = (0..24).map(|n| mint(&world, &format!("new {n}"), json!({}))).collect();
    good.extend((0..8).map(|_| mint(&world, "same", json!({}))));
    good.extend(["known", "full"].map(|key| mint(&world, key, json!({}))));
    let elsewhere = mint(&world, "known", json!({ "project": "acme/lib" }));
    let tokens = "/v1/job-tokens";
    let refused = [
        (mint(&world, "known", json!({ "pipeline": { "sha": "b" } })), 409, "facts_differ"),
        (mint(&world, "known", json!({ "job": { "timeout_secs": 60 } })), 409, "facts_differ"),
        (call(&world, tokens, &other, body("known", json!({}))), 409, "job_of_other_runner"),
        (mint(&world, "over", json!({})), 409, "job_over"),
        (mint(&world, "nowhere", json!({ "project": "acme/nowhere" })), 404, "not_found"),
        (call(&world, tokens, &modest, body("lower", json!({}))), 403, "runner_not_protected"),
        (call(&world, tokens, &paused.text_at("/token"), body("paused", json!({}))), 409, "runner_paused"),
    ];
    arrived(&world).await;
    held.let_go().await;

    for (call, status, code) in refused {
        call.await.unwrap().refused(status, code);
    }
    let mut minted = Vec::new();
    for call in first.into_iter().chain(good).chain([elsewhere]) {
        minted.push(call.await.unwrap().expect(201));
    }
    world.try_mint("full", json!({})).await.refused(409, "too_many_tokens");
    for reply in &minted {
        assert!(world.is_active(&reply.text_at("/token")).await);
        let event = "select request_id from audit_events where subject_id = $1 and action = 'job_token.minted' and actor_id = $2";
        let id = |text: &str| uuid::Uuid::parse_str(text).unwrap();
        let event = sqlx::query_scalar(event).bind(id(&reply.text_at("/id"))).bind(id(&world.runner_id));
        let request: uuid::Uuid = event.fetch_one(&mut server.sql().await).await.unwrap();
        assert_eq!(request, id(reply.header("x-request-id")));
    }
    let same: std::collections::BTreeSet<_> = minted.iter().map(|reply| reply.text_at("/job_id")).collect();
    assert_eq!(same.len(), 2 + 24 + 1 + 2 + 1, "eight mints of one job made one job");
    assert_eq!(rows(&world, "job_tokens").await, before.1 + 37);
    assert_eq!(rows(&world, "pipelines").await, before.0 + 2 + 24 + 1 + 1, "what was refused left nothing behind");
    let transactions = transactions(&world, "pipelines").await;
    assert!(transactions < 3 + 2 + 14, "{transactions} transactions");
}

#[tokio::test]
async fn who_disagrees_within_one_batch_is_refused_alone() {
    let world = World::new().await;
    let held = Held::by(&world, "lock table pipelines in exclusive mode").await;
    let first = two_under_way(&world).await;
    let contested: Vec<_> =
        ["a", "b", "a", "b"].map(|sha| mint(&world, "contested", json!({ "pipeline": { "sha": sha } }))).into();
    let crowd: Vec<_> = (0..17).map(|_| mint(&world, "crowd", json!({}))).collect();
    arrived(&world).await;
    held.let_go().await;
    for call in first {
        call.await.unwrap().expect(201);
    }
    let mut statuses = Vec::new();
    for call in contested {
        let reply = call.await.unwrap();
        statuses.push(reply.status);
        match reply.status {
            201 => assert!(world.is_active(&reply.text_at("/token")).await),
            _ => drop(reply.refused(409, "facts_differ")),
        }
    }
    assert!(statuses == [201, 409, 201, 409] || statuses == [409, 201, 409, 201], "{statuses:?}");
    let mut minted = 0;
    for call in crowd {
        let reply = call.await.unwrap();
        match reply.status {
            201 => minted += 1,
            _ => drop(reply.refused(409, "too_many_tokens")),
        }
    }
    assert_eq!(minted, 16);
}

#[tokio::test]
async fn what_somebody_holds_keeps_no_neighbour_waiting() {
    for (held, key) in [
        ("select from jobs where key = 'known/build' for update", "known"),
        ("select from projects where path = 'acme/lib' for update", "new"),
        ("select from runners where name = 'held' for update", "new"),
    ] {
        let world = World::new().await;
        let runner = json!({ "name": "held", "protected": true });
        let runner = world.server.post("/v1/runners", world.admin(), runner).await.expect(201).text_at("/token");
        let body = |key: &str| World::mint_body(key, json!({ "project": "acme/lib" }));
        world.server.post("/v1/job-tokens", &runner, body("known")).await.expect(201);
        let held = Held::by(&world, held).await;
        let kept = call(&world, "/v1/job-tokens", &runner, Some(body(key)));
        waiting(&world, 1).await;
        for n in 0..8 {
            finish(&world, &world.mint(&n.to_string(), json!({})).await).await.expect(200);
        }
        assert!(!kept.is_finished());
        held.let_go().await;
        kept.await.unwrap().expect(201);
    }
}

#[tokio::test]
async fn a_batch_that_fails_as_a_whole_fails_for_one_alone() {
    let world = World::new().await;
    let poison = "create function poison() returns trigger language plpgsql as
        $$ begin if new.key = 'poison' then raise exception 'poison'; end if; return new; end $$;
        create trigger poison before insert on pipelines for each row execute function poison()";
    sqlx::raw_sql(poison).execute(&mut world.server.sql().await).await.unwrap();
    let held = Held::by(&world, "lock table pipelines in exclusive mode").await;
    let first = two_under_way(&world).await;
    let poison = mint(&world, "poison", json!({}));
    let good: Vec<_> = (0..8).map(|n| mint(&world, &n.to_string(), json!({}))).collect();
    arrived(&world).await;
    held.let_go().await;
    poison.await.unwrap().refused(500, "internal");
    for call in first.into_iter().chain(good) {
        call.await.unwrap().expect(201);
    }
}

#[tokio::test]
async fn whoever_goes_away_loses_nothing_for_others() {
    let world = World::new().await;
    let held = Held::by(&world, "lock table pipelines in exclusive mode").await;
    let gone = two_under_way(&world).await;
    let waits = mint(&world, "third", json!({}));
    arrived(&world).await;
    for call in gone {
        call.abort();
        assert!(call.await.unwrap_err().is_cancelled());
    }
    held.let_go().await;
    waits.await.unwrap().expect(201);
    while rows(&world, "pipelines where key in ('first', 'second')").await < 2 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_stuck_database_is_told_in_time_and_forgotten_within_a_second() {
    let world = World::new().await;
    let minted = world.mint("before", json!({})).await;
    let held = Held::by(&world, "lock table job_tokens, jobs in access exclusive mode").await;
    let stuck: Vec<_> = (0..3).map(|n| mint(&world, &n.to_string(), json!({}))).collect();
    let stuck_finish =
        call(&world, &format!("/v1/jobs/{}/finish", minted["job_id"].as_str().unwrap()), &world.runner, None);
    for call in stuck.into_iter().chain([stuck_finish]) {
        assert_eq!(call.await.unwrap().refused(503, "unavailable").header("retry-after"), "1");
    }
    held.let_go().await;
    let again = async {
        while world.try_mint("after", json!({})).await.status != 201 {}
        while finish(&world, &minted).await.status != 200 {}
    };
    tokio::time::timeout(Duration::from_secs(1), again).await.expect("within a second");
}

#[tokio::test]
async fn finishes_that_wait_are_written_together_and_each_has_its_own_answer() {
    let world = World::new().await;
    let server = &world.server;
    let other =
        server.post("/v1/runners", world.admin(), json!({ "name": "other" })).await.expect(201).text_at("/token");
    let lapsed = world.mint("lapsed", json!({ "job": { "lease_secs": 10 } })).await;
    let mut jobs = Vec::new();
    for n in 0..16 {
        jobs.push(world.mint(&n.to_string(), json!({})).await);
    }
    server.clock.advance(time::Duration::seconds(10));

    let held = Held::by(&world, "lock table jobs in exclusive mode").await;
    let path = |minted: &Value| format!("/v1/jobs/{}/finish", minted["job_id"].as_str().unwrap());
    let first = call(&world, &path(&jobs[0]), &world.runner, None);
    waiting(&world, 1).await;
    let rest: Vec<_> = jobs.iter().skip(1).map(|job| call(&world, &path(job), &world.runner, None)).collect();
    let twice = call(&world, &path(&jobs[1]), &world.runner, None);
    let lost = call(&world, &path(&lapsed), &world.runner, None);
    let of_other = call(&world, &path(&jobs[2]), &other, None);
    let nowhere = call(&world, &format!("/v1/jobs/{}/finish", uuid::Uuid::nil()), &world.runner, None);
    arrived(&world).await;
    held.let_go().await;

    for call in [first, twice].into_iter().chain(rest) {
        assert_eq!(call.await.unwrap().expect(200).json["state"], "finished");
    }
    assert_eq!(lost.await.unwrap().expect(200).json["state"], "lost");
    of_other.await.unwrap().refused(404, "not_found");
    nowhere.await.unwrap().refused(404, "not_found");
    for minted in jobs.iter().chain([&lapsed]) {
        assert!(!world.is_active(minted["token"].as_str().unwrap()).await);
    }
    assert_eq!(rows(&world, "audit_events where action = 'job.finished'").await, 16);
    assert_eq!(rows(&world, "audit_events where action = 'job.lost'").await, 1);
    let transactions = transactions(&world, "jobs").await;
    assert!(transactions <= 9, "{transactions} transactions");
}
