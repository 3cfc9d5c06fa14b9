//! A project or a group at once over REST: one transaction, what is the same is no change, and each part has the
//! rights and the rules of its single call.

use crate::support::{Reply, World};
use serde_json::{Value, json};

const LIB: &str = "/v1/projects/acme%2Flib/configuration";
const ACME: &str = "/v1/groups/acme/configuration";

async fn put(world: &World, path: &str, by: &str, tag: &str, body: Value) -> Reply {
    world.server.call_with("PUT", path, Some(world.person(by)), Some(body), &[("if-match", tag)]).await
}

async fn read(world: &World, path: &str) -> Reply {
    world.server.get(path, world.person("maintainer")).await.expect(200)
}

/// The actions of a place's audit events, newest first.
async fn events(world: &World, place: &str) -> Vec<String> {
    let events = world.server.get(&format!("/v1/audit-events?{place}"), world.person("owner")).await.expect(200);
    let items = events.json["items"].as_array().unwrap().iter();
    items.map(|event| event["action"].as_str().unwrap().to_owned()).collect()
}

fn whole() -> Value {
    json!({
        "visibility": "internal", "mode": "audit", "protected_refs": ["main", "tag:v*"], "protected_environments": ["prod*"],
        "members": { "developer": "maintainer", "stranger": "guest" },
        "grants": [
            { "source": { "project": "acme/web" }, "permissions": ["READ_PACKAGES"], "conditions": { "refs": ["main"] },
              "selectors": { "packages": ["npm/**"] }, "expires_at": "2027-01-01T00:00:00Z", "note": "builds" },
            { "source": { "group": "acme", "except": ["acme/web"] }, "permissions": "everything" },
        ],
        "ceilings": [{ "when": { "from_fork": true }, "at_most": [] }],
        "reason": "reviewed",
    })
}

#[tokio::test]
async fn what_is_put_is_what_is_shown_and_can_be_put_back_without_a_change() {
    let world = World::new().await;
    let first = read(&world, LIB).await;
    let made = put(&world, LIB, "owner", first.header("etag"), whole()).await.expect(200);
    for field in ["visibility", "mode", "protected_refs", "protected_environments", "members"] {
        assert_eq!(made.json[field], whole()[field], "{field}");
    }
    let grants = made.json["grants"].as_array().unwrap();
    assert_eq!(grants.len(), 2);
    assert!(grants.iter().any(|grant| grant["permissions"] == json!(["packages:read"]) && grant["note"] == "builds"));
    let of_group = grants.iter().find(|grant| grant["permissions"] == "everything").unwrap();
    assert_eq!(of_group["source"], json!({ "group": "acme", "except": ["acme/web"] }));
    assert_eq!(made.json["ceilings"], json!([{ "side": "target", "when": { "from_fork": true }, "at_most": [] }]));
    let shown = read(&world, LIB).await;
    assert_eq!((shown.header("etag"), &shown.json), (made.header("etag"), &made.json));

    let mut told = events(&world, "project=acme%2Flib").await;
    let again = put(&world, LIB, "owner", shown.header("etag"), shown.json.clone()).await.expect(200);
    assert_eq!(again.json, shown.json);
    assert_eq!(events(&world, "project=acme%2Flib").await, told, "the same again is no change");
    told.sort();
    let expected = ["ceilings.updated", "grant.created", "grant.created", "member.removed", "member.set", "member.set"];
    assert_eq!(told, [&expected[..], &["project.created", "project.updated"]].concat());

    // What is left out is left as it is; what is given is the whole of it.
    let only = json!({ "members": { "stranger": "reporter" } });
    let less = put(&world, LIB, "owner", shown.header("etag"), only.clone()).await.expect(200);
    assert_eq!((&less.json["members"], &less.json["grants"]), (&only["members"], &shown.json["grants"]));
}

#[tokio::test]
async fn maintainers_change_grants_mode_and_protection_and_owners_the_rest() {
    let world = World::new().await;
    let theirs = json!({ "mode": "audit", "protected_refs": [], "protected_environments": ["prod"], "grants": [] });
    put(&world, LIB, "maintainer", "*", theirs).await.expect(200);
    let before = read(&world, LIB).await;
    for owners in [
        json!({ "visibility": "public", "grants": [] }),
        json!({ "members": { "developer": "owner" } }),
        json!({ "ceilings": [{ "at_most": [] }] }),
    ] {
        let refused = put(&world, LIB, "maintainer", "*", owners.clone()).await.refused(403, "forbidden");
        assert_eq!(refused.json["missing"], json!(["owner"]), "{owners}");
    }
    assert_eq!(read(&world, LIB).await.header("etag"), before.header("etag"));
    // Sent back as they are, an owner's fields are no change.
    put(&world, LIB, "maintainer", before.header("etag"), before.json.clone()).await.expect(200);
    put(&world, LIB, "developer", "*", json!({})).await.refused(403, "forbidden");
    world.server.get(LIB, world.person("developer")).await.refused(403, "forbidden");
}

#[tokio::test]
async fn a_group_has_floor_members_grants_and_ceilings() {
    let world = World::new().await;
    let before = read(&world, ACME).await;
    assert_eq!((&before.json["floor"], &before.json["members"]["owner"]), (&json!("legacy"), &json!("owner")));
    let grants = json!([{ "source": { "project": "acme/web" }, "permissions": ["jobs:read"] }]);
    let made = put(&world, ACME, "maintainer", before.header("etag"), json!({ "grants": grants })).await.expect(200);
    assert_eq!(made.json["grants"][0]["permissions"], json!(["jobs:read"]));
    put(&world, ACME, "maintainer", "*", json!({ "floor": "audit" })).await.refused(403, "forbidden");
    put(&world, ACME, "maintainer", "*", json!({ "members": {} })).await.refused(403, "forbidden");
    let more = json!({ "floor": "audit", "ceilings": [{ "at_most": ["*:read"] }], "reason": "policy" });
    put(&world, ACME, "owner", made.header("etag"), more).await.expect(200);
    let told = events(&world, "group=acme").await;
    for action in ["group.updated", "ceilings.updated", "grant.created"] {
        assert!(told.iter().any(|one| one == action), "{action} is not in {told:?}");
    }
}

#[tokio::test]
async fn a_fault_anywhere_changes_nothing_and_has_its_pointer() {
    let world = World::new().await;
    let before = read(&world, LIB).await;
    let grant = |change: Value| {
        let mut grant = json!({ "source": { "group": "acme" }, "permissions": ["jobs:read"] });
        crate::support::merge(&mut grant, change);
        json!({ "mode": "audit", "grants": [{ "source": { "project": "acme/web" }, "permissions": ["jobs:read"] }, grant] })
    };
    for (body, pointer, code) in [
        (grant(json!({ "expires_at": "2026-11-23T09:59:59Z" })), "/grants/1/expires_at", "past"),
        (grant(json!({ "source": { "except": ["other/app"] } })), "/grants/1/source/except/0", "not_found"),
        (grant(json!({ "conditions": { "refs": ["a***"] } })), "/grants/1/conditions/refs/0", "invalid"),
        (grant(json!({ "permissions": ["jobs:fly"] })), "/grants/1/permissions/0", "unknown_permission"),
        (json!({ "mode": "audit", "members": { "nobody": "guest" } }), "/members/nobody", "not_found"),
        (
            json!({ "mode": "audit", "ceilings": [{ "at_most": ["x:y"] }] }),
            "/ceilings/0/at_most/0",
            "unknown_permission",
        ),
        (json!({ "mode": "audit", "colour": 1 }), "/colour", "unknown_field"),
    ] {
        for query in ["", "?dry_run=true"] {
            let path = format!("{LIB}{query}");
            put(&world, &path, "owner", "*", body.clone()).await.invalid(pointer, code);
        }
    }
    let after = read(&world, LIB).await;
    assert_eq!((after.header("etag"), &after.json), (before.header("etag"), &before.json));
    world.server.put(LIB, world.person("owner"), json!({})).await.refused(428, "precondition_required");
    put(&world, LIB, "owner", "\"stale\"", json!({})).await.refused(412, "precondition_failed");
}

#[tokio::test]
async fn a_dry_run_shows_the_whole_as_it_would_be_and_a_step_up_is_guarded() {
    let world = World::new().await;
    put(&world, LIB, "maintainer", "*", json!({ "mode": "legacy" })).await.expect(200);
    let minted = world.mint("p1", json!({ "pipeline": { "actor": "developer" } })).await;
    let token = minted["token"].as_str().unwrap();
    world.authorize(token, &["packages:read"], json!({})).await.expect(200);
    let up = json!({ "mode": "enforced", "grants": [] });
    let path = format!("{LIB}?dry_run=true");
    let dry = put(&world, &path, "maintainer", "*", up.clone()).await.expect(200).json;
    assert_eq!((&dry["dry_run"], &dry["after"]["mode"]), (&json!(true), &json!("enforced")));
    assert_eq!(dry["impact"]["would_refuse"][0]["permission"], "packages:read");
    put(&world, LIB, "maintainer", "*", up.clone()).await.refused(409, "would_break");
    assert_eq!(read(&world, LIB).await.json["mode"], "legacy");

    // With the grant in the same body it breaks nothing.
    let grants = json!([{ "source": { "project": "acme/web" }, "permissions": ["packages:read"] }]);
    let both = json!({ "mode": "enforced", "grants": grants });
    put(&world, LIB, "maintainer", "*", both.clone()).await.expect(200);
    let none = put(&world, &path, "maintainer", "*", both).await.expect(200).json;
    assert_eq!(none["changes"], json!([]));
    put(&world, &format!("{LIB}?confirm=true"), "maintainer", "*", up).await.expect(200);
}

/// Of those who read the same, one writes; and whoever sets members meanwhile waits, and never for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_who_put_at_once_one_does() {
    let world = World::new().await;
    let seen = read(&world, LIB).await;
    let one = |name: &'static str| {
        put(
            &world,
            LIB,
            "owner",
            seen.header("etag"),
            json!({ "protected_refs": [name], "members": { name: "guest" } }),
        )
    };
    let (first, second, third) = tokio::join!(one("guest"), one("reporter"), one("developer"));
    let mut told = [first.status, second.status, third.status];
    told.sort_unstable();
    assert_eq!(told, [200, 412, 412]);

    let set = |name: &'static str| {
        let path = format!("/v1/projects/acme%2Flib/members/{name}");
        let (server, by) = (&world.server, world.person("owner"));
        async move { server.put(&path, by, json!({ "role": "reporter" })).await.expect(200) }
    };
    for role in ["guest", "developer", "maintainer"] {
        let members = json!({ "members": { "developer": role, "guest": role, "reporter": role } });
        let all = put(&world, LIB, "owner", "*", members);
        let (all, ..) = tokio::join!(all, set("reporter"), set("guest"), set("developer"));
        all.expect(200);
    }
}

/// What has expired since can be put back; what never was there cannot be put.
#[tokio::test]
async fn a_grant_that_has_expired_is_no_fault_of_what_is_put_back() {
    let world = World::new().await;
    let until = json!({
        "source": { "project": "acme/web" }, "permissions": ["jobs:read"], "expires_at": "2026-11-24T00:00:00Z",
    });
    put(&world, LIB, "maintainer", "*", json!({ "grants": [until] })).await.expect(200);
    world.server.clock.advance(time::Duration::DAY);
    let shown = read(&world, LIB).await;
    put(&world, LIB, "maintainer", shown.header("etag"), shown.json.clone()).await.expect(200);
    let mut other = until;
    other["expires_at"] = json!("2026-11-23T12:00:00Z");
    let refused = put(&world, LIB, "maintainer", "*", json!({ "grants": [shown.json["grants"][0], other] })).await;
    refused.invalid("/grants/1/expires_at", "past");
}

#[tokio::test]
async fn a_mode_below_a_later_floor_can_be_put_back() {
    let world = World::new().await;
    put(&world, LIB, "maintainer", "*", json!({ "mode": "legacy" })).await.expect(200);
    put(&world, ACME, "owner", "*", json!({ "floor": "audit" })).await.expect(200);
    let shown = read(&world, LIB).await;
    put(&world, LIB, "maintainer", shown.header("etag"), shown.json.clone()).await.expect(200);
    put(&world, LIB, "maintainer", "*", json!({ "mode": "audit" })).await.expect(200);
    put(&world, LIB, "maintainer", "*", json!({ "mode": "legacy" })).await.refused(409, "mode_below_floor");
}
