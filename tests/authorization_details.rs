//! RFC 9396: a token that is confined project by project, at the token endpoint and over REST.

use crate::support::{Reply, World};
use serde_json::{Value, json};

const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

/// A token exchange with these `authorization_details`.
async fn exchange(world: &World, subject: &str, details: &str) -> Reply {
    let form = [
        ("grant_type", EXCHANGE),
        ("subject_token", subject),
        ("subject_token_type", ACCESS_TOKEN),
        ("authorization_details", details),
    ];
    world.server.form("/oauth/token", None, &form).await
}

async fn confined(world: &World, subject: &str, details: &Value) -> String {
    exchange(world, subject, &details.to_string()).await.expect(200).text_at("/access_token")
}

async fn scope(world: &World, token: &str, project: &str) -> String {
    world.introspect(token, &[("project", project)]).await.expect(200).text_at("/scope")
}

/// A world in which `acme/web` may do everything with packages of `acme/lib`, and of itself.
async fn open_world() -> World {
    let world = World::new().await;
    world.grant(&["packages:admin"], json!({})).await;
    let own = json!({ "source": { "project": "acme/web" }, "permissions": ["packages:admin"] });
    world.server.post("/v1/projects/acme%2Fweb/grants", world.person("maintainer"), own).await.expect(201);
    world
}

fn detail(project: &str, permissions: &[&str]) -> Value {
    json!({ "type": "jobpass_project", "project": project, "permissions": permissions })
}

#[tokio::test]
async fn rfc9396_7_what_was_granted_is_echoed_and_holds() {
    let world = open_world().await;
    let subject = world.token("1").await;
    let details = json!([detail("acme/lib", &["READ_PACKAGES"])]);
    let reply = exchange(&world, &subject, &details.to_string()).await.expect(200);
    assert_eq!(reply.json["authorization_details"], json!([detail("acme/lib", &["packages:read"])]));
    let token = reply.text_at("/access_token");
    assert_eq!(scope(&world, &token, "acme/lib").await, "packages:read");
    assert_eq!(scope(&world, &token, "acme/web").await, "", "what is not named gives nothing");
    assert_eq!(
        scope(&world, &subject, "acme/web").await,
        "packages:read packages:create packages:update packages:delete",
        "the subject token stays as it was"
    );
    let seen = world.server.get("/v1/job-tokens/self", &token).await.expect(200).json;
    assert_eq!(seen["token"]["authorization_details"], json!([detail("acme/lib", &["packages:read"])]));
}

#[tokio::test]
async fn rfc9396_2_details_of_one_project_add_up_and_a_scope_cuts_them() {
    let world = open_world().await;
    let subject = world.token("1").await;
    let details = json!([detail("acme/lib", &["packages:read"]), detail("acme/lib", &["packages:create"])]);
    let token = confined(&world, &subject, &details).await;
    assert_eq!(scope(&world, &token, "acme/lib").await, "packages:read packages:create");
    let form = [
        ("grant_type", EXCHANGE),
        ("subject_token", &subject),
        ("subject_token_type", ACCESS_TOKEN),
        ("scope", "packages:read"),
        ("authorization_details", &details.to_string()),
    ];
    let both = world.server.form("/oauth/token", None, &form).await.expect(200).text_at("/access_token");
    assert_eq!(scope(&world, &both, "acme/lib").await, "packages:read");
}

#[tokio::test]
async fn rfc9396_5_whatever_is_not_understood_is_refused_whole() {
    let world = open_world().await;
    let subject = world.token("1").await;
    let good = detail("acme/lib", &["packages:read"]);
    let with = |name: &str, value: Value| {
        let mut changed = good.clone();
        changed[name] = value;
        json!([good, changed]).to_string()
    };
    let without = |name: &str| {
        let mut changed = good.clone();
        changed.as_object_mut().unwrap().remove(name);
        json!([changed]).to_string()
    };
    for details in [
        "no JSON".to_owned(),
        good.to_string(),
        "[]".to_owned(),
        "[null]".to_owned(),
        json!([["jobpass_project", "acme/lib", ["packages:read"]]]).to_string(),
        with("type", json!("payment_initiation")),
        with("type", json!(1)),
        with("colour", json!("red")),
        with("selectors", json!({})),
        with("project", json!(1)),
        with("project", json!("")),
        with("permissions", json!("packages:read")),
        with("permissions", json!(["packages:fly"])),
        with("permissions", json!(vec!["packages:read"; 257])),
        without("type"),
        without("project"),
        without("permissions"),
        json!(vec![good.clone(); 65]).to_string(),
    ] {
        let reply = exchange(&world, &subject, &details).await.expect(400);
        assert_eq!(reply.json["error"], "invalid_authorization_details", "{details}");
    }
}

#[tokio::test]
async fn a_confined_token_never_widens() {
    let world = open_world().await;
    let subject = world.token("1").await;
    let token = confined(&world, &subject, &json!([detail("acme/lib", &["packages:read", "packages:create"])])).await;
    for more in [
        detail("acme/lib", &["packages:admin"]),
        detail("acme/web", &["packages:read"]),
        detail("acme/none", &["packages:read"]),
    ] {
        let reply = exchange(&world, &token, &json!([more]).to_string()).await.expect(400);
        assert_eq!(reply.json["error"], "invalid_authorization_details", "{more}");
        let body = json!({ "authorization_details": [more] });
        let narrowed = world.server.post("/v1/job-tokens/narrow", &token, body).await;
        narrowed.invalid("/authorization_details", "more_than_parent");
    }
    // Narrowed without a word of them, they stay.
    let child = world.server.post("/v1/job-tokens/narrow", &token, json!({})).await.expect(201).text_at("/token");
    assert_eq!(scope(&world, &child, "acme/web").await, "");
    assert_eq!(scope(&world, &child, "acme/lib").await, "packages:read packages:create");
    let body = json!({ "authorization_details": [detail("acme/lib", &["packages:read"])] });
    let grandchild = world.server.post("/v1/job-tokens/narrow", &child, body).await.expect(201);
    assert_eq!(grandchild.json["authorization_details"], json!([detail("acme/lib", &["packages:read"])]));
    assert_eq!(scope(&world, &grandchild.text_at("/token"), "acme/lib").await, "packages:read");
}

#[tokio::test]
async fn details_beyond_the_cap_are_refused() {
    let world = open_world().await;
    let minted = world.mint("1", json!({ "permissions": ["packages:read"] })).await;
    let body = json!({ "authorization_details": [detail("acme/lib", &["packages:create"])] });
    let narrowed = world.server.post("/v1/job-tokens/narrow", minted["token"].as_str().unwrap(), body).await;
    narrowed.invalid("/authorization_details", "more_than_parent");
}

#[tokio::test]
async fn a_hidden_project_and_a_missing_one_are_named_alike() {
    let world = open_world().await;
    let subject = world.token("1").await;
    let hidden = confined(&world, &subject, &json!([detail("other/app", &["packages:read"])])).await;
    let missing = confined(&world, &subject, &json!([detail("other/none", &["packages:read"])])).await;
    let ask = async |token: &str, project: &str| {
        let body = json!({ "token": token, "project": project, "permissions": ["packages:read"] });
        let mut answer = world.ask(body).await.expect(200).json;
        answer.as_object_mut().unwrap().remove("subject");
        answer
    };
    assert_eq!(ask(&hidden, "other/app").await, ask(&missing, "other/none").await);
    assert_eq!(ask(&hidden, "other/none").await, ask(&missing, "other/app").await);
    assert_eq!(ask(&hidden, "other/none").await["reason"], "token_cap");
    // By id, too, however it is spelled.
    let app = world.server.get("/v1/projects/other%2Fapp", world.admin()).await.expect(200).text_at("/id");
    let none = "018f0000-0000-7000-8000-00000000000A".to_owned();
    let mut answers = Vec::new();
    for id in [app, none] {
        let token = confined(&world, &subject, &json!([detail(&id.to_uppercase(), &["packages:read"])])).await;
        answers.push(ask(&token, &id.to_lowercase()).await);
    }
    assert_eq!(answers[0], answers[1]);
}

#[tokio::test]
async fn a_project_is_meant_wherever_it_moves_and_its_path_is_not() {
    let world = open_world().await;
    let subject = world.token("1").await;
    let token = confined(&world, &subject, &json!([detail("acme/lib", &["packages:read"])])).await;
    let renamed = json!({ "path": "acme/lib2" });
    world.server.patch("/v1/projects/acme%2Flib?confirm=true", world.admin(), renamed).await.expect(200);
    assert_eq!(scope(&world, &token, "acme/lib2").await, "packages:read");
    let again = json!({ "path": "acme/lib", "visibility": "public" });
    world.server.post("/v1/projects", world.admin(), again).await.expect(201);
    assert_eq!(scope(&world, &token, "acme/lib").await, "", "another project has the path now");
}
