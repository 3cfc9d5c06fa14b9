//! What is stored forgets by itself: tokens by the day, audit events by the month, runs and records in batches, and never too early.

use crate::support::{Server, World};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgConnection};
use time::{Duration, OffsetDateTime};

async fn number(sql: &mut PgConnection, query: &str) -> i64 {
    sqlx::query_scalar(AssertSqlSafe(query.to_owned())).fetch_one(sql).await.unwrap()
}

async fn run(sql: &mut PgConnection, statements: &str) {
    sqlx::raw_sql(AssertSqlSafe(statements.to_owned())).execute(sql).await.unwrap();
}

/// Until the query says so.
async fn until(sql: &mut PgConnection, query: &str) {
    while !sqlx::query_scalar::<_, bool>(AssertSqlSafe(query.to_owned())).fetch_one(&mut *sql).await.unwrap() {
        tokio::task::yield_now().await;
    }
}

const DAYS: &str = "select count(*) from pg_inherits where inhparent = 'job_tokens'::regclass
    and inhrelid::regclass::text = 'job_tokens_' || (extract(epoch from timestamptz '2026-11-23') / 86400)::integer";

fn at(world: &World, time: OffsetDateTime) {
    world.server.clock.advance(time - world.server.clock.now());
}

#[tokio::test]
async fn a_day_of_tokens_goes_when_its_last_one_is_over_and_not_before() {
    let world = World::new().await;
    let mut sql = world.server.sql().await;
    let short = world.token("short").await;
    let long = world.mint("long", json!({ "job": { "timeout_secs": 86400 } })).await;
    let long = (long["token"].as_str().unwrap(), long["id"].as_str().unwrap());
    // The last is over at 10:05 on the next day; it is recorded by the hour.
    at(&world, time::macros::datetime!(2026-11-24 10:04:59 UTC));
    world.server.sweep().await;
    assert!(world.is_active(long.0).await && !world.is_active(&short).await);
    assert_eq!(number(&mut sql, "select count(*) from job_tokens").await, 2);
    at(&world, time::macros::datetime!(2026-11-24 10:59:59 UTC));
    world.server.sweep().await;
    assert_eq!(number(&mut sql, DAYS).await, 1);
    at(&world, time::macros::datetime!(2026-11-24 11:00 UTC));
    let next = world.token("next").await;
    world.server.sweep().await;
    assert_eq!(number(&mut sql, DAYS).await, 0);
    assert_eq!(
        number(
            &mut sql,
            "select count(*) from pg_class where relname like 'job_tokens_2%' and not relispartition and relkind = 'r'"
        )
        .await,
        0
    );
    assert_eq!(number(&mut sql, "select count(*) from token_days").await, 1);
    assert_eq!(number(&mut sql, "select count(*) from job_tokens").await, 1);

    for token in [long.0, &short] {
        assert_eq!(world.introspect(token, &[]).await.expect(200).text, "{\"active\":false}");
        world.server.get("/v1/job-tokens/self", token).await.refused(401, "bad_credential");
    }
    world.server.delete(&format!("/v1/job-tokens/{}", long.1), world.admin()).await.refused(404, "not_found");
    assert!(world.is_active(&next).await);
}

#[tokio::test]
async fn a_day_of_which_nothing_is_recorded_is_kept_for_as_long_as_a_job_can_take() {
    let world = World::new().await;
    let mut sql = world.server.sql().await;
    at(&world, time::macros::datetime!(2026-12-01 00:59:59 UTC));
    world.server.sweep().await;
    assert_eq!(number(&mut sql, DAYS).await, 1);
    world.server.clock.advance(Duration::SECOND);
    world.server.sweep().await;
    assert_eq!(number(&mut sql, DAYS).await, 0);
}

#[tokio::test]
async fn mints_on_both_sides_of_midnight_live_out_their_time() {
    let world = World::new().await;
    at(&world, time::macros::datetime!(2026-11-23 23:59:59 UTC));
    let before = world.mint("before", json!({ "job": { "timeout_secs": 86400 } })).await;
    let before = before["token"].as_str().unwrap();
    let narrowed = world.server.post("/v1/job-tokens/narrow", before, json!({})).await.expect(201).text_at("/token");
    world.server.clock.advance(Duration::SECOND);
    let after = world.token("after").await;
    world.server.clock.advance(Duration::minutes(30));
    // Of this day's own tokens it is the only one, and narrowed from one of the day before.
    let late = world.server.post("/v1/job-tokens/narrow", before, json!({})).await.expect(201).text_at("/token");
    world.server.sweep().await;
    for token in [before, &narrowed, &after, &late] {
        assert!(world.is_active(token).await);
    }
    at(&world, time::macros::datetime!(2026-11-25 00:04:58 UTC));
    world.server.sweep().await;
    for token in [before, &narrowed, &late] {
        assert!(world.is_active(token).await);
    }
    assert!(!world.is_active(&after).await);
}

#[tokio::test]
async fn what_is_recorded_of_a_day_is_written_when_it_grows_and_never_else() {
    let world = World::new().await;
    let mut sql = world.server.sql().await;
    let recorded = "select latest_expiry::text || ' ' || xmin from token_days";
    let mut seen = Vec::new();
    for (key, timeout) in [("1", 3600), ("2", 3600), ("3", 60), ("4", 7200), ("5", 3600)] {
        let minted = world.mint(key, json!({ "job": { "timeout_secs": timeout } })).await;
        assert!(world.is_active(minted["token"].as_str().unwrap()).await);
        seen.push(sqlx::query_scalar::<_, String>(recorded).fetch_one(&mut sql).await.unwrap());
    }
    assert!(
        seen[0].starts_with("2026-11-23 12:00:00+00 ") && seen[3].starts_with("2026-11-23 13:00:00+00 "),
        "{seen:?}"
    );
    assert!(seen[0] == seen[1] && seen[1] == seen[2] && seen[3] == seen[4], "{seen:?}");
}

#[tokio::test]
async fn whoever_reads_tokens_holds_up_the_drop_and_nobody_else() {
    let world = World::new().await;
    let mut sql = world.server.sql().await;
    let old = world.token("old").await;
    at(&world, time::macros::datetime!(2026-11-24 12:00 UTC));
    let live = world.token("live").await;
    let mut reader = world.server.sql().await;
    run(&mut reader, "begin; select count(*) from job_tokens").await;

    let replica = Server::beside(&world.server).await;
    let pending = "select exists (select from pg_inherits where inhdetachpending)";
    until(&mut sql, pending).await;
    assert!(world.is_active(&live).await && !world.is_active(&old).await);
    assert!(world.is_active(&world.token("meanwhile").await).await);
    // A stop breaks the sweep off; the next one brings it to its end.
    replica.running.stop().await;
    run(&mut reader, "rollback").await;
    world.server.sweep().await;
    assert_eq!(number(&mut sql, DAYS).await, 0);
    assert!(world.is_active(&live).await && !world.is_active(&old).await);
}

#[tokio::test]
async fn audit_events_go_by_the_month_when_all_of_it_is_too_old() {
    let world = World::new().await;
    let mut sql = world.server.sql().await;
    let november = "select count(*) from audit_events where at < '2026-12-01'";
    let written = number(&mut sql, november).await;
    assert!(written > 0);
    world.server.clock.advance(Duration::days(30));
    world.server.post("/v1/groups", world.admin(), json!({ "path": "later" })).await.expect(201);
    at(&world, time::macros::datetime!(2028-01-04 12:00 UTC));
    world.server.sweep().await;
    assert_eq!(number(&mut sql, november).await, written);
    world.server.clock.advance(Duration::DAY);
    world.server.sweep().await;
    assert_eq!(number(&mut sql, november).await, 0);
    let left = world.server.get("/v1/audit-events", world.admin()).await.expect(200);
    let left = left.json["items"].as_array().unwrap();
    assert!(left.iter().any(|event| event["action"] == "group.created"));
    assert!(left.iter().all(|event| event["at"].as_str().unwrap() > "2026-12"), "{left:?}");
}

async fn finish(world: &World, minted: &Value) {
    let path = format!("/v1/jobs/{}/finish", minted["job_id"].as_str().unwrap());
    world.server.call("POST", &path, Some(&world.runner), None).await.expect(200);
}

#[tokio::test]
async fn a_run_goes_when_its_last_job_has_been_over_for_long() {
    let world = World::new().await;
    let mut sql = world.server.sql().await;
    let finished = world.mint("finished", json!({})).await;
    finish(&world, &finished).await;
    world.mint("abandoned", json!({ "job": { "timeout_secs": 3600 } })).await;
    world.mint("retried", json!({})).await;
    world.server.clock.advance(Duration::days(60));
    let retry = world.mint("retried", json!({ "job": { "key": "retried/again" } })).await;
    let again = || json!({ "pipeline": { "sha": "b" } });
    at(&world, crate::support::START + Duration::days(90));
    world.server.sweep().await;
    let runs = "select count(*) from pipelines where key in ('finished', 'abandoned', 'retried')";
    assert_eq!(number(&mut sql, runs).await, 3);
    world.try_mint("finished", again()).await.refused(409, "facts_differ");
    world.try_mint("finished", json!({})).await.refused(409, "job_over");

    world.server.clock.advance(Duration::hours(1) + Duration::SECOND);
    let held = "select xmax::text::bigint from pipelines where key = 'retried'";
    let held_before = number(&mut sql, held).await;
    world.server.sweep().await;
    let left: Vec<String> = sqlx::query_scalar("select key from pipelines").fetch_all(&mut sql).await.unwrap();
    assert_eq!(left, ["retried"]);
    assert_eq!(number(&mut sql, held).await, held_before, "what stays is looked at, and not written to");
    assert_eq!(number(&mut sql, "select count(*) from jobs").await, 2);
    let retried_at = format!("/v1/jobs/{}/finish", retry["job_id"].as_str().unwrap());
    world.server.call("POST", &retried_at, Some(&world.runner), None).await.expect(200);
    // What comes by the old key is a new run, and brings nothing of the old one back.
    let new = world.mint("finished", again()).await;
    assert_ne!(new["pipeline_id"], finished["pipeline_id"]);
    assert!(world.is_active(new["token"].as_str().unwrap()).await);
    assert!(!world.is_active(finished["token"].as_str().unwrap()).await);
}

#[tokio::test]
async fn much_goes_in_batches_and_what_somebody_holds_stays_for_the_next_time() {
    let world = World::new().await;
    let mut sql = world.server.sql().await;
    run(
        &mut sql,
        "insert into pipelines (id, project_id, key, ref, ref_type, sha, trigger, from_fork, created_at)
            select ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, p.id, n::text, 'main', 'branch', 'a', 'push', false, 'epoch'
            from generate_series(1, 2500) n, projects p where p.path = 'acme/web';
         insert into jobs (id, pipeline_id, runner_id, key, name, timeout_secs, state, deadline_at, opened_at, ended_at)
            select l.id, l.id, l.id, 'job', 'job', 60, 'finished', 'epoch', 'epoch', 'epoch' from pipelines l;
         insert into idempotency_keys (caller_id, operation, key, fingerprint, sealed_answer, created_at, expires_at)
            select gen_random_uuid(), 'x', n::text, sha256(''), '', 'epoch', 'epoch' from generate_series(1, 2500) n;
         insert into used_assertions (hash, expires_at) select sha256(n::text::bytea), 'epoch' from generate_series(1, 2500) n",
    )
    .await;
    let live = world.token("live").await;
    let mut holder = world.server.sql().await;
    run(&mut holder, "begin; select from pipelines where key = '1200' for update").await;
    world.server.sweep().await;
    let left: Vec<String> =
        sqlx::query_scalar("select key from pipelines order by key").fetch_all(&mut sql).await.unwrap();
    assert_eq!(left, ["1200", "live"]);
    let rest = "select (select count(*) from idempotency_keys) + (select count(*) from used_assertions)";
    assert_eq!(number(&mut sql, rest).await, 0);
    run(&mut holder, "rollback").await;
    world.server.sweep().await;
    assert_eq!(number(&mut sql, "select count(*) from pipelines").await, 1);
    assert_eq!(number(&mut sql, "select count(*) from jobs").await, 1);
    assert!(world.is_active(&live).await);
}
