//! Explain: the same answer as a real token gets, with every step, every grant and the smallest change.

use crate::support::{Reply, World, merge};
use serde_json::{Value, json};

const LIB: &str = "/v1/projects/acme%2Flib";

async fn explain(world: &World, change: Value) -> Reply {
    let mut body = json!({ "source": "acme/web", "ref": "main", "permissions": ["packages:read"] });
    merge(&mut body, change);
    world.server.post(&format!("{LIB}/explain"), world.person("maintainer"), body).await
}

fn step(told: &Value, name: &str) -> Value {
    let steps = told["steps"].as_array().unwrap();
    steps.iter().find(|step| step["step"] == name).unwrap()["permissions"].clone()
}

#[tokio::test]
async fn a_no_tells_which_condition_failed_and_what_would_do() {
    let world = World::new().await;
    let made = world.grant(&["packages:read"], json!({ "conditions": { "refs": ["release/*"] }, "note": "n" })).await;
    let told = explain(&world, json!({})).await.expect(200).json;
    assert_eq!(
        (&told["allowed"], &told["reason"], &told["protected"]),
        (&json!(false), &json!("condition_ref"), &json!(true))
    );
    assert_eq!(
        told["grants"],
        json!([{ "id": made.text_at("/id"), "on": "acme/lib", "source": "acme/web", "verdict": "failed", "gives": [], "failed": ["condition_ref"], "note": "n" }])
    );
    let names: Vec<_> = told["steps"].as_array().unwrap().iter().map(|step| step["step"].as_str().unwrap()).collect();
    assert_eq!(names, ["token", "audience", "granted", "anyone", "inherited", "mode", "ceilings", "answer"]);
    assert_eq!((step(&told, "granted"), step(&told, "ceilings")), (json!([]), json!(["packages:read"])));

    // The smallest change, posted as it is, does it.
    let change = told["smallest_change"].clone();
    assert_eq!(change["raise_ceilings"], json!([]));
    world
        .server
        .post(&format!("{LIB}/grants"), world.person("maintainer"), change["new_grant"].clone())
        .await
        .expect(201);
    let told = explain(&world, json!({})).await.expect(200).json;
    assert_eq!((&told["allowed"], &told["smallest_change"]), (&json!(true), &Value::Null));
    let elsewhere = explain(&world, json!({ "ref": "topic" })).await.expect(200).json;
    assert_eq!(elsewhere["allowed"], false, "it opens no more than it must");
}

#[tokio::test]
async fn every_kind_of_circumstance_is_told_as_a_real_token_is() {
    let world = World::new().await;
    world.server.patch(LIB, world.person("maintainer"), json!({ "mode": "audit" })).await.expect(200);
    let conditions =
        json!({ "conditions": { "environments": ["prod*"], "triggers": ["push"], "protected_refs_only": true } });
    world.grant(&["packages:read", "packages:create"], conditions).await;
    for (n, (pipeline, job)) in [
        (json!({}), json!({ "environment": "production" })),
        (json!({}), json!({})),
        (json!({ "ref": "topic" }), json!({ "environment": "production" })),
        (json!({ "trigger": "schedule" }), json!({ "environment": "production" })),
        (json!({ "from_fork": true }), json!({ "environment": "production" })),
        (json!({ "actor": "developer" }), json!({})),
        (json!({ "actor": "guest" }), json!({})),
        (json!({ "ref": "v1", "ref_type": "tag" }), json!({})),
        (json!({ "from_fork": true, "ref": "topic" }), json!({})),
    ]
    .into_iter()
    .enumerate()
    {
        let minted = world.mint(&format!("p{n}"), json!({ "pipeline": pipeline.clone(), "job": job.clone() })).await;
        let asked = ["packages:read", "packages:create", "jobs:read", "jobs:create"];
        let real = world.authorize(minted["token"].as_str().unwrap(), &asked, json!({})).await.expect(200).json;
        let mut hypothesis = json!({ "permissions": asked, "environment": job["environment"] });
        merge(&mut hypothesis, pipeline);
        let told = explain(&world, hypothesis).await.expect(200).json;
        for field in ["allowed", "reason", "missing", "would_deny", "anonymous"] {
            assert_eq!(told[field], real[field], "{n}: {field}\n{told:#}");
        }
    }
}

#[tokio::test]
async fn ceilings_are_shown_with_what_they_take() {
    let world = World::new().await;
    world.grant(&["packages:create"], json!({ "conditions": { "allow_forks": true } })).await;
    let source = json!({ "items": [{ "side": "source", "at_most": ["*:read"] }] });
    let path = "/v1/projects/acme%2Fweb/ceilings";
    world
        .server
        .call_with("PUT", path, Some(world.person("owner")), Some(source), &[("if-match", "*")])
        .await
        .expect(200);
    let told = explain(&world, json!({ "permissions": ["packages:create"], "from_fork": true })).await.expect(200).json;
    assert_eq!(told["reason"], "ceiling");
    let ceilings = told["ceilings"].as_array().unwrap();
    let of = |side: &str| ceilings.iter().find(|ceiling| ceiling["side"] == side).unwrap();
    let (shipped, of_source) = (of("target"), of("source"));
    assert_eq!(
        (&shipped["on"], &shipped["applies"], &shipped["when"]),
        (&json!("instance"), &json!(true), &json!({ "from_fork": true }))
    );
    assert_eq!(shipped["takes"], json!(["packages:create"]));
    assert_eq!((&of_source["on"], &of_source["when"]), (&Value::Null, &Value::Null));
    assert_eq!(told["smallest_change"]["raise_ceilings"].as_array().unwrap().len(), 2);
    assert_eq!(told["smallest_change"]["new_grant"], Value::Null);
}

#[tokio::test]
async fn names_and_roles_are_told() {
    let world = World::new().await;
    world.server.patch(LIB, world.person("maintainer"), json!({ "mode": "legacy" })).await.expect(200);
    world.grant(&["packages:create"], json!({ "selectors": { "packages": ["npm/@acme/*"] } })).await;
    let ask = |name: &str| json!({ "permissions": ["packages:create"], "resource_name": name, "trigger": "push" });
    let told = explain(&world, ask("npm/@other/x")).await.expect(200).json;
    assert_eq!((&told["reason"], &told["grants"][0]["verdict"]), (&json!("resource_name"), &json!("other_name")));
    assert_eq!(told["smallest_change"]["new_grant"]["selectors"], json!({ "packages": ["npm/@other/x"] }));
    assert_eq!(explain(&world, ask("npm/@acme/ui")).await.expect(200).json["allowed"], true);
    let by_role = explain(&world, json!({ "actor": "developer", "permissions": ["jobs:read"] })).await.expect(200).json;
    assert_eq!((&by_role["reason"], &by_role["actor_role"]), (&json!("role"), &json!("developer")));
    assert_eq!((step(&by_role, "inherited"), step(&by_role, "granted")), (json!(["jobs:read"]), json!([])));
}

#[tokio::test]
async fn a_source_that_one_may_not_name_and_bad_input() {
    let world = World::new().await;
    explain(&world, json!({ "source": "other/app" })).await.invalid("/source", "not_found");
    explain(&world, json!({ "source": "other/none" })).await.invalid("/source", "not_found");
    explain(&world, json!({ "permissions": ["nope:read"] })).await.invalid("/permissions/0", "unknown_permission");
    explain(&world, json!({ "colour": 1 })).await.invalid("/colour", "unknown_field");
    let body = json!({ "source": "acme/web", "ref": "main", "permissions": ["packages:read"] });
    world.server.post(&format!("{LIB}/explain"), world.person("developer"), body).await.refused(403, "forbidden");
    let usage = world.server.get(&format!("{LIB}/usage"), world.person("maintainer")).await.expect(200);
    assert_eq!(usage.json["items"], json!([]), "asking is no use");
}

#[tokio::test]
async fn a_source_out_of_sight_tells_nothing_of_its_protection_and_ceilings() {
    let world = World::new().await;
    let (server, admin) = (&world.server, world.admin());
    let ceiling = json!({ "items": [{ "side": "source", "when": { "refs": ["topic/*"] }, "at_most": [] }] });
    let path = "/v1/projects/other%2Fapp/ceilings";
    server.call_with("PUT", path, Some(admin), Some(ceiling), &[("if-match", "*")]).await.expect(200);
    let grant = json!({ "source": { "project": "other/app" }, "permissions": ["packages:read"] });
    server.post(&format!("{LIB}/grants"), admin, grant).await.expect(201);

    let ask = async |change: Value| {
        let mut body = json!({ "source": "other/app" });
        merge(&mut body, change);
        explain(&world, body).await
    };
    for r#ref in ["main", "topic/a"] {
        for stated in [json!({}), json!({ "protected": true })] {
            let mut change = json!({ "ref": r#ref });
            merge(&mut change, stated.clone());
            let told = ask(change).await.expect(200).json;
            // The instance's own ceiling, and no other.
            assert_eq!((&told["allowed"], told["ceilings"].as_array().unwrap().len()), (&json!(true), 1));
            assert_eq!(told["protected"], json!(stated["protected"] == true));
            assert!(told["steps"].to_string().contains("own ceilings are not told"), "{told}");
        }
    }

    // To those who see it, it is told, and cannot be stated otherwise.
    server.patch("/v1/projects/other%2Fapp", admin, json!({ "visibility": "internal" })).await.expect(200);
    let told = ask(json!({ "ref": "topic/a" })).await.expect(200).json;
    assert_eq!((&told["allowed"], told["ceilings"].as_array().unwrap().len()), (&json!(false), 2));
    ask(json!({ "protected": false })).await.invalid("/protected", "differs");
    assert_eq!(ask(json!({ "protected": true })).await.expect(200).json["protected"], true);
}
