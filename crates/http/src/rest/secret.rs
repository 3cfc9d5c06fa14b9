//! The secrets of runners and services, two live ones at a time: two faces of the same calls.

use super::Answered;
use crate::etag;
use crate::extract::{Administrator, Body, Id, IdempotencyKey, NoQuery, SignedIn};
use crate::problem::Denied;
use crate::render;
use crate::server::{Api, Server};
use axum::Json;
use http::StatusCode;
use jobpass_api::{List, LiveSecret, NewSecret};
use jobpass_app::Person;
use jobpass_domain::ids::{RunnerId, SecretId, ServiceId};
use jobpass_domain::live_secret::SecretOwner;
use uuid::Uuid;

/// The runner's live secrets, at most two
#[utoipa::path(get, path = "/v1/runners/{runner}/secrets", tag = "runners", responses((status = 200, body = List<LiveSecret>)))]
pub(crate) async fn runner_secret_list(api: Api, by: SignedIn, id: Id) -> Result<Json<List<LiveSecret>>, Denied> {
    list(&api, &by.0, runner(id.0)).await
}

/// Make a second secret, to rotate without an outage; administrators alone for a runner that asserts actors
#[utoipa::path(post, path = "/v1/runners/{runner}/secrets", tag = "runners", request_body = NewSecret,
    responses((status = 201, body = LiveSecret)))]
pub(crate) async fn runner_secret_create(
    api: Api,
    by: SignedIn,
    id: Id,
    key: IdempotencyKey,
    body: Body<NewSecret>,
) -> Answered {
    create(&api, &by.0, runner(id.0), "runner_secret_create", &key, body).await
}

/// Delete one of the runner's secrets; what it minted lives on. Administrators alone for one that asserts actors
#[utoipa::path(delete, path = "/v1/runners/{runner}/secrets/{secret}", tag = "runners", responses((status = 204)))]
pub(crate) async fn runner_secret_delete(
    api: Api,
    by: SignedIn,
    id: Id<false>,
    secret: Id,
    _: NoQuery,
) -> Result<StatusCode, Denied> {
    delete(&api, &by.0, runner(id.0), secret).await
}

/// The service's live secrets, at most two
#[utoipa::path(get, path = "/v1/services/{service}/secrets", tag = "services", responses((status = 200, body = List<LiveSecret>)))]
pub(crate) async fn service_secret_list(api: Api, by: Administrator, id: Id) -> Result<Json<List<LiveSecret>>, Denied> {
    list(&api, &by.0, service(id.0)).await
}

/// Make a second secret, to rotate without an outage
#[utoipa::path(post, path = "/v1/services/{service}/secrets", tag = "services", request_body = NewSecret,
    responses((status = 201, body = LiveSecret)))]
pub(crate) async fn service_secret_create(
    api: Api,
    by: Administrator,
    id: Id,
    key: IdempotencyKey,
    body: Body<NewSecret>,
) -> Answered {
    create(&api, &by.0, service(id.0), "service_secret_create", &key, body).await
}

/// Delete one of the service's secrets
#[utoipa::path(delete, path = "/v1/services/{service}/secrets/{secret}", tag = "services", responses((status = 204)))]
pub(crate) async fn service_secret_delete(
    api: Api,
    by: Administrator,
    id: Id<false>,
    secret: Id,
    _: NoQuery,
) -> Result<StatusCode, Denied> {
    delete(&api, &by.0, service(id.0), secret).await
}

fn runner(id: Uuid) -> SecretOwner {
    SecretOwner::Runner(RunnerId(id))
}

fn service(id: Uuid) -> SecretOwner {
    SecretOwner::Service(ServiceId(id))
}

async fn list(api: &Server, by: &Person, owner: SecretOwner) -> Result<Json<List<LiveSecret>>, Denied> {
    let secrets = api.app.secret_list(by, owner).await?;
    Ok(Json(render::list((secrets, None), |live| render::live_secret(live, None))))
}

async fn create(
    api: &Server,
    by: &Person,
    owner: SecretOwner,
    operation: &'static str,
    key: &IdempotencyKey,
    body: Body<NewSecret>,
) -> Answered {
    let once = key.once(operation, &body.raw);
    let made = api.app.secret_create(by, owner, body.value.expires_at, once.as_ref(), |live, secret| {
        etag::rendered(&render::live_secret(live, Some(secret)), &render::live_secret(live, None))
    });
    Ok(etag::created(made.await?))
}

async fn delete(api: &Server, by: &Person, owner: SecretOwner, secret: Id) -> Result<StatusCode, Denied> {
    api.app.secret_delete(by, owner, SecretId(secret.0)).await?;
    Ok(StatusCode::NO_CONTENT)
}
