//! The whole story: a project in `legacy` that forty others use in different ways comes to least privilege
//! without breaking any of them.

use crate::support::{World, merge};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use time::Duration;

const LIB: &str = "/v1/projects/acme%2Flib";
/// What is asked of every source in the end: some of it was used, the rest was not.
const ALL: [&str; 8] = [
    "packages:read",
    "packages:create",
    "packages:delete",
    "environments:update",
    "releases:read",
    "jobs:read",
    "repositories:update",
    "terraform_state:read",
];

/// A way in which a source uses the library: the job, and what it asks.
#[derive(Clone, Debug)]
struct Way {
    source: String,
    job: Value,
    permission: &'static str,
    /// For how many days ago; some pipelines run once a quarter.
    days_ago: i64,
}

impl Way {
    fn is_fork(&self) -> bool {
        self.job["pipeline"]["from_fork"] == true
    }
}

/// Forty sources, and what each does.
fn ways() -> Vec<Way> {
    let plain = || json!({ "pipeline": { "actor": "developer" } });
    let with = |change: Value| {
        let mut job = plain();
        merge(&mut job, change);
        job
    };
    let fork = json!({ "pipeline": { "from_fork": true, "trigger": "merge_request", "ref": "refs/merge/1", "ref_type": "merge_request" } });
    let mut ways = Vec::new();
    for n in 0..40 {
        let source = format!("team{}/app{n}", n / 10);
        let mut way = |job: Value, permission: &'static str, days_ago: i64| {
            ways.push(Way { source: source.clone(), job, permission, days_ago });
        };
        // Everyone reads packages, half of them from topic branches, too.
        way(plain(), "packages:read", 1);
        if n % 2 == 0 {
            way(with(json!({ "pipeline": { "ref": format!("topic-{n}") } })), "packages:read", 1);
        }
        // A few publish, from main only.
        if n % 5 == 0 {
            way(plain(), "packages:create", 3);
        }
        // One team deploys to production.
        if n / 10 == 2 {
            way(with(json!({ "job": { "environment": "production" } })), "environments:update", 7);
        }
        // Some run once a quarter.
        if n % 13 == 0 {
            way(with(json!({ "pipeline": { "trigger": "schedule" } })), "releases:read", 85);
        }
        // And some from forks.
        if n % 16 == 3 {
            way(with(fork.clone()), "packages:read", 2);
        }
    }
    ways
}

struct Story {
    world: World,
    mints: usize,
}

impl Story {
    async fn begin() -> Story {
        let world = World::new().await;
        let admin = world.admin();
        for team in 0..4 {
            world.server.post("/v1/groups", admin, json!({ "path": format!("team{team}") })).await.expect(201);
        }
        let sources: BTreeSet<_> = ways().into_iter().map(|way| way.source).collect();
        assert_eq!(sources.len(), 40);
        for source in &sources {
            world.server.post("/v1/projects", admin, json!({ "path": source })).await.expect(201);
        }
        let story = Story { world, mints: 0 };
        story.mode("legacy", "").await;
        story
    }

    async fn mode(&self, mode: &str, query: &str) -> Value {
        let body = json!({ "mode": mode, "reason": "towards least privilege" });
        let by = self.world.person("maintainer");
        self.world.server.patch(&format!("{LIB}{query}"), by, body).await.expect(200).json
    }

    /// One job that does it: the answer.
    async fn ask(&mut self, source: &str, job: &Value, permission: &str) -> Value {
        self.mints += 1;
        let mut body = json!({ "project": source });
        merge(&mut body, job.clone());
        let minted = self.world.mint(&format!("run-{}", self.mints), body).await;
        let token = minted["token"].as_str().unwrap();
        self.world.authorize(token, &[permission], json!({})).await.expect(200).json
    }

    async fn usage(&self, query: &str) -> Vec<Value> {
        let path = format!("{LIB}/usage?limit=1000&{query}");
        let reply = self.world.server.get(&path, self.world.person("maintainer")).await.expect(200);
        reply.json["items"].as_array().unwrap().clone()
    }
}

#[tokio::test]
async fn forty_projects_come_to_least_privilege_and_none_of_them_breaks() {
    let mut story = Story::begin().await;
    let mut ways = ways();
    ways.sort_by_key(|way| -way.days_ago);

    // Ninety days of life in legacy, in the order in which it happened; a hostile job probes everything.
    let mut today = 90;
    for way in &ways {
        story.world.server.clock.advance(Duration::days(today - way.days_ago));
        today = way.days_ago;
        let answer = story.ask(&way.source, &way.job, way.permission).await;
        assert_eq!((&answer["allowed"], &answer["would_deny"]), (&json!(true), &json!([])), "{way:?}");
    }
    story.world.server.clock.advance(Duration::days(today));
    for permission in ALL {
        story.ask("other/app", &json!({}), permission).await;
    }

    // Audit lets all of it through, and marks what enforced would refuse.
    story.mode("audit", "").await;
    let marked = story.ask(&ways[0].source, &ways[0].job, ways[0].permission).await;
    assert_eq!((&marked["allowed"], &marked["would_deny"]), (&json!(true), &json!([ways[0].permission])));
    let before = story.usage("would_deny=true").await;
    assert!(before.len() >= ways.len(), "every use was counted, and what enforced would have said");

    // The step up is refused: it would break forty projects.
    let by = story.world.person("maintainer").to_owned();
    let server = &story.world.server;
    let refused = server.patch(LIB, &by, json!({ "mode": "enforced" })).await.refused(409, "would_break");
    let broken: BTreeSet<_> = refused.json["impact"]["would_refuse"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["source"].to_string())
        .collect();
    assert_eq!(broken.len(), 40);

    // Suggestions cover what honest jobs did; forks and refused tries are set apart.
    let found = server.get(&format!("{LIB}/suggestions"), &by).await.expect(200);
    let forks: BTreeSet<_> =
        found.json["forks"].as_array().unwrap().iter().map(|one| one["source"].as_str().unwrap().to_owned()).collect();
    assert_eq!(forks, ways.iter().filter(|way| way.is_fork()).map(|way| way.source.clone()).collect());
    assert!(found.json["denied"].as_array().unwrap().iter().all(|one| one["source"] == "other/app"));
    let tag = [("if-match", found.header("etag"))];
    let path = format!("{LIB}/suggestions/apply");
    server.call_with("POST", &path, Some(&by), Some(json!({ "all": true })), &tag).await.expect(200);

    // What is left is what forks did: theirs is a decision of people. They may read packages.
    let left = story.mode("enforced", "?dry_run=true").await;
    let left: BTreeSet<_> = left["impact"]["would_refuse"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["source"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(left, forks);
    for source in &forks {
        let grant = json!({ "source": { "project": source }, "permissions": ["packages:read"], "conditions": { "allow_forks": true, "triggers": ["merge_request"] } });
        story.world.server.post(&format!("{LIB}/grants"), &by, grant).await.expect(201);
    }
    let dry = story.mode("enforced", "?dry_run=true").await;
    assert_eq!((&dry["impact"]["would_refuse"], &dry["impact"]["unknown"]), (&json!([]), &json!([])));

    // Enforced, without a word of confirmation: every recorded use still works.
    assert_eq!(story.mode("enforced", "").await["mode"], "enforced");
    for way in &ways {
        let answer = story.ask(&way.source, &way.job, way.permission).await;
        assert_eq!((&answer["allowed"], &answer["reason"]), (&json!(true), &json!("granted")), "{way:?}");
    }

    // And everything else is refused: what was not used, and what was used under other circumstances.
    let plain = json!({ "pipeline": { "actor": "developer" } });
    let topic = json!({ "pipeline": { "actor": "developer", "ref": "attack" } });
    let sources: BTreeSet<_> = ways.iter().map(|way| way.source.clone()).collect();
    for source in &sources {
        for permission in ALL {
            let uses: Vec<_> = ways
                .iter()
                .filter(|way| way.source == *source && way.permission == permission && !way.is_fork())
                .collect();
            if uses.is_empty() {
                assert_eq!(story.ask(source, &plain, permission).await["allowed"], false, "{source} {permission}");
            } else if uses.iter().all(|way| way.job["pipeline"]["ref"].is_null()) {
                // Only protected refs were seen.
                assert_eq!(story.ask(source, &topic, permission).await["allowed"], false, "{source} {permission}");
            }
        }
    }
    for way in ways.iter().filter(|way| way.permission == "environments:update").take(2) {
        let staging = json!({ "pipeline": { "actor": "developer" }, "job": { "environment": "staging" } });
        assert_eq!(story.ask(&way.source, &staging, way.permission).await["allowed"], false, "another environment");
    }
    for permission in ALL {
        assert_eq!(story.ask("other/app", &json!({}), permission).await["allowed"], false);
    }
}
