//! Decisions that the SDK keeps, against real servers: given from memory while the feed vouches for them, and for nothing longer.

use crate::support::{Server, Wire, World};
use axum::Router;
use axum::routing::get;
use http::{Request, StatusCode};
use jobpass_client::layer::RequirePermission;
use jobpass_client::{Ask, Client, ResourceService, Secret};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tower::ServiceExt;

/// The shipped bound, and as much again for machines that are busy.
const BOUND: Duration = Duration::from_secs(4);

/// A service that keeps decisions, the wire by which it asks, and a token that may read packages of `acme/lib`.
struct Keeping {
    world: World,
    wire: Wire,
    service: ResourceService,
    minted: Value,
}

impl Keeping {
    async fn new() -> Keeping {
        let world = World::new().await;
        world.grant(&["packages:read"], json!({})).await;
        let minted = world.mint("1", json!({})).await;
        let wire = Wire::to_server(&world.server).await;
        let service = service(&world, &wire.url()).keeping(100);
        let keeping = Keeping { world, wire, service, minted };
        keeping.until_kept().await;
        keeping
    }

    /// `None`: no answer.
    async fn allows(&self, permission: &str) -> Option<bool> {
        let token = Secret::new(self.minted["token"].as_str().unwrap().to_owned());
        let ask = Ask::on("acme/lib", permission).unwrap();
        self.service.authorize(&token, &ask).await.ok().map(|decision| decision.allowed)
    }

    async fn is_allowed(&self) -> Option<bool> {
        self.allows("packages:read").await
    }

    /// Allowed without a question to the server.
    async fn answers_from_memory(&self) -> bool {
        let asked = self.wire.questions();
        self.is_allowed().await == Some(true) && self.wire.questions() == asked
    }

    /// What the server is told to do, by an administrator.
    async fn revoke(&self) {
        let path = format!("/v1/job-tokens/{}", self.minted["id"].as_str().unwrap());
        self.world.server.delete(&path, self.world.admin()).await.expect(200);
    }

    /// Nothing is kept before the feed is up.
    async fn until_kept(&self) {
        within_the_bound("kept", async || self.answers_from_memory().await).await;
    }
}

fn service(world: &World, url: &str) -> ResourceService {
    let client = Client::builder(url).build().unwrap();
    client.service(&world.service.0, Secret::new(world.service.1.clone())).unwrap()
}

async fn within_the_bound(what: &str, ask: impl AsyncFn() -> bool) {
    let begun = Instant::now();
    while !ask().await {
        assert!(begun.elapsed() < BOUND, "{what}: not after {BOUND:?}");
    }
}

#[tokio::test]
async fn what_was_asked_is_not_asked_again() {
    let keeping = Keeping::new().await;
    let asked = keeping.wire.questions();
    for _ in 0..100 {
        assert_eq!(keeping.is_allowed().await, Some(true));
    }
    assert_eq!(keeping.wire.questions(), asked);
    assert_eq!(keeping.allows("jobs:read").await, Some(false), "another question");
    assert_eq!(keeping.wire.questions(), asked + 1);
}

#[tokio::test]
async fn without_being_told_to_nothing_is_kept() {
    let world = World::new().await;
    let wire = Wire::to_server(&world.server).await;
    let (service, token) = (service(&world, &wire.url()), Secret::new(world.token("1").await));
    let ask = Ask::on("acme/lib", "packages:read").unwrap();
    for _ in 0..3 {
        service.authorize(&token, &ask).await.unwrap();
    }
    assert_eq!(wire.questions(), 3);
}

#[tokio::test]
async fn a_revoked_token_is_refused_once_its_revocation_is_told() {
    let keeping = Keeping::new().await;
    keeping.revoke().await;
    within_the_bound("revoked", async || keeping.is_allowed().await == Some(false)).await;
}

#[tokio::test]
async fn a_job_that_ends_is_told_from_another_replica() {
    let keeping = Keeping::new().await;
    let other = Server::beside(&keeping.world.server).await;
    let path = format!("/v1/jobs/{}/finish", keeping.minted["job_id"].as_str().unwrap());
    other.call("POST", &path, Some(&keeping.world.runner), None).await.expect(200);
    within_the_bound("finished", async || keeping.is_allowed().await == Some(false)).await;
}

#[tokio::test]
async fn a_refusal_is_over_once_a_grant_is_told() {
    let keeping = Keeping::new().await;
    assert_eq!(keeping.allows("jobs:read").await, Some(false));
    keeping.world.grant(&["jobs:read"], json!({})).await;
    within_the_bound("granted", async || keeping.allows("jobs:read").await == Some(true)).await;
}

/// What was kept is gone before anything new is: the next question goes to the server.
#[tokio::test]
async fn a_feed_that_breaks_off_takes_all_along() {
    let keeping = Keeping::new().await;
    keeping.wire.break_off();
    within_the_bound("asked again", async || !keeping.answers_from_memory().await).await;
    keeping.until_kept().await;
}

/// Nothing is broken off, and nothing comes: silence is a loss, too.
#[tokio::test]
async fn a_feed_that_is_silent_for_too_long_takes_all_along() {
    let keeping = Keeping::new().await;
    keeping.wire.get_stuck();
    let begun = Instant::now();
    // From memory it is answered at once; a question gets no answer, and no answer opens nothing.
    while keeping.is_allowed().await.is_some() {
        assert!(begun.elapsed() < BOUND, "given for longer than anyone vouches for it");
    }
    keeping.wire.go_on();
    keeping.until_kept().await;
}

#[tokio::test]
async fn a_server_that_starts_again_is_followed_again() {
    let Keeping { world, wire, service, minted } = Keeping::new().await;
    let server = world.server.restart_in_place().await;
    let keeping = Keeping { world: World { server, ..world }, wire, service, minted };
    keeping.until_kept().await;
    keeping.revoke().await;
    within_the_bound("revoked", async || keeping.is_allowed().await == Some(false)).await;
}

#[tokio::test]
async fn a_paused_service_is_answered_nothing() {
    let keeping = Keeping::new().await;
    let path = format!("/v1/services/{}", keeping.world.service.0);
    keeping.world.server.patch(&path, keeping.world.admin(), json!({ "paused": true })).await.expect(200);
    within_the_bound("paused", async || keeping.is_allowed().await.is_none()).await;
}

#[tokio::test]
async fn the_layer_lets_in_from_memory_and_no_longer_than_it_may() {
    let keeping = Keeping::new().await;
    let require = RequirePermission::on_path(keeping.service.clone(), "packages:read", "/{project}/npm").unwrap();
    let registry = Router::new().route("/{project}/npm", get(async || "the package")).layer(require);
    let fetch = async || {
        let bearer = format!("Bearer {}", keeping.minted["token"].as_str().unwrap());
        let request = Request::get("/acme%2Flib/npm").header("authorization", bearer);
        registry.clone().oneshot(request.body(axum::body::Body::empty()).unwrap()).await.unwrap().status()
    };
    let asked = keeping.wire.questions();
    assert_eq!((fetch().await, keeping.wire.questions()), (StatusCode::OK, asked));
    keeping.revoke().await;
    within_the_bound("revoked", async || fetch().await == StatusCode::UNAUTHORIZED).await;
}
