//! The SDK against the real server: what a runner and a resource service need, and the layer that guards a
//! route; closed when Jobpass cannot be reached.

use crate::support::World;
use axum::Router;
use axum::routing::get;
use http::{Request, StatusCode};
use jobpass_client::api::NewJobToken;
use jobpass_client::layer::RequirePermission;
use jobpass_client::{Ask, Client, ResourceService, Runner, Secret};
use serde_json::json;
use tower::ServiceExt;

fn secret(text: &str) -> Secret {
    Secret::new(text.to_owned())
}

fn client(world: &World) -> Client {
    Client::builder(&world.server.url).build().unwrap()
}

fn runner(world: &World) -> Runner {
    let id = world.runner_id.parse::<uuid::Uuid>().unwrap();
    client(world).runner(id.into(), secret(&world.runner)).unwrap()
}

fn service(world: &World) -> ResourceService {
    client(world).service(&world.service.0, secret(&world.service.1)).unwrap()
}

fn wanted(key: &str) -> NewJobToken {
    serde_json::from_value(World::mint_body(key, json!({ "job": { "lease_secs": 30 } }))).unwrap()
}

#[tokio::test]
async fn a_job_from_its_start_to_its_end() {
    let world = World::new().await;
    let (runner, service) = (runner(&world), service(&world));
    let minted = runner.mint(&wanted("1")).await.unwrap();
    assert_eq!(runner.heartbeat(minted.job_id).await.unwrap().state, "running");

    let ask = Ask::on("acme/lib", "packages:read").unwrap();
    let decision = service.authorize(&minted.token, &ask).await.unwrap();
    assert!(!decision.allowed);
    assert_eq!(decision.missing, ["packages:read"]);
    world.grant(&["packages:read"], json!({})).await;
    assert!(service.authorize(&minted.token, &ask).await.unwrap().allowed);

    assert_eq!(runner.finish_job(minted.job_id).await.unwrap().state, "finished");
    assert_eq!(service.authorize(&minted.token, &ask).await.unwrap().reason, "job_over");
}

#[tokio::test]
async fn a_holder_narrows_and_gives_up() {
    let world = World::new().await;
    let minted = runner(&world).mint(&wanted("1")).await.unwrap();
    let holder = client(&world).holder(minted.token).unwrap();
    let narrowing = serde_json::from_value(json!({ "permissions": ["packages:read"] })).unwrap();
    let child = holder.narrow(&narrowing).await.unwrap();
    assert_eq!(child.permissions, Some(vec!["packages:read".to_owned()]));
    assert_eq!(holder.whoami().await.unwrap().id, minted.id.0);
    holder.give_up().await.unwrap();
    assert!(!world.is_active(child.token.expose()).await);
}

/// A registry with one guarded route.
fn registry(service: ResourceService) -> Router {
    let require = RequirePermission::on_path(service, "packages:read", "/{project}/npm/{*resource_name}").unwrap();
    Router::new().route("/{project}/npm/{*name}", get(async || "the package")).layer(require)
}

async fn fetch(registry: &Router, token: Option<&str>) -> (StatusCode, String) {
    let mut request = Request::get("/acme%2Flib/npm/ui");
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let response = registry.clone().oneshot(request.body(axum::body::Body::empty()).unwrap()).await.unwrap();
    let status = response.status();
    let body = axum::body::to_bytes(response.into_body(), 1 << 16).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn the_layer_guards_a_route() {
    let world = World::new().await;
    let registry = registry(service(&world));
    let token = world.token("1").await;
    assert_eq!(fetch(&registry, None).await.0, StatusCode::UNAUTHORIZED);
    let (status, why) = fetch(&registry, Some(&token)).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert!(why.contains("packages:read") && why.contains("acme/lib"), "{why}");

    world.grant(&["packages:read"], json!({ "selectors": { "packages": ["ui"] } })).await;
    assert_eq!(fetch(&registry, Some(&token)).await, (StatusCode::OK, "the package".to_owned()));
}

#[tokio::test]
async fn the_layer_is_closed_when_jobpass_is_away() {
    let world = World::new().await;
    world.grant(&["packages:read"], json!({})).await;
    let token = world.token("1").await;
    let registry = registry(service(&world));
    assert_eq!(fetch(&registry, Some(&token)).await.0, StatusCode::OK);
    world.server.running.stop().await;
    assert_eq!(fetch(&registry, Some(&token)).await.0, StatusCode::SERVICE_UNAVAILABLE);
}
