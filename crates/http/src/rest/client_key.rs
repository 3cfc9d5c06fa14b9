//! The public keys of runners and services: two faces of the same calls.

use crate::etag::{IfMatch, Tagged};
use crate::extract::{Administrator, Body, Id, NoQuery, SignedIn};
use crate::problem::Denied;
use crate::render;
use crate::server::{Api, Server};
use http::StatusCode;
use jobpass_api::{ClientKeys, NewClientKeys};
use jobpass_app::Person;
use jobpass_domain::client_key::ClientKey;
use jobpass_domain::ids::{RunnerId, ServiceId};
use jobpass_domain::live_secret::SecretOwner;
use uuid::Uuid;

/// The runner's public keys; empty while it has none
#[utoipa::path(get, path = "/v1/runners/{runner}/jwks", tag = "runners", responses((status = 200, body = ClientKeys)))]
pub(crate) async fn runner_keys_read(api: Api, by: SignedIn, id: Id) -> Result<Tagged<ClientKeys>, Denied> {
    read(&api, &by.0, runner(id.0)).await
}

/// Put all public keys of the runner at once, for `private_key_jwt`; If-Match is required. Administrators alone for one that asserts actors
#[utoipa::path(put, path = "/v1/runners/{runner}/jwks", tag = "runners", request_body = NewClientKeys,
    responses((status = 200, body = ClientKeys)))]
pub(crate) async fn runner_keys_put(
    api: Api,
    by: SignedIn,
    id: Id,
    still: IfMatch,
    body: Body<NewClientKeys>,
) -> Result<Tagged<ClientKeys>, Denied> {
    put(&api, &by.0, runner(id.0), still, body.value).await
}

/// Take the runner's public keys away; its secrets stay. Administrators alone for one that asserts actors
#[utoipa::path(delete, path = "/v1/runners/{runner}/jwks", tag = "runners", responses((status = 204)))]
pub(crate) async fn runner_keys_delete(
    api: Api,
    by: SignedIn,
    id: Id,
    still: IfMatch,
    _: NoQuery,
) -> Result<StatusCode, Denied> {
    delete(&api, &by.0, runner(id.0), &still).await
}

/// The service's public keys; empty while it has none
#[utoipa::path(get, path = "/v1/services/{service}/jwks", tag = "services", responses((status = 200, body = ClientKeys)))]
pub(crate) async fn service_keys_read(api: Api, by: Administrator, id: Id) -> Result<Tagged<ClientKeys>, Denied> {
    read(&api, &by.0, service(id.0)).await
}

/// Put all public keys of the service at once, for `private_key_jwt`; If-Match is required
#[utoipa::path(put, path = "/v1/services/{service}/jwks", tag = "services", request_body = NewClientKeys,
    responses((status = 200, body = ClientKeys)))]
pub(crate) async fn service_keys_put(
    api: Api,
    by: Administrator,
    id: Id,
    still: IfMatch,
    body: Body<NewClientKeys>,
) -> Result<Tagged<ClientKeys>, Denied> {
    put(&api, &by.0, service(id.0), still, body.value).await
}

/// Take the service's public keys away; its secrets stay
#[utoipa::path(delete, path = "/v1/services/{service}/jwks", tag = "services", responses((status = 204)))]
pub(crate) async fn service_keys_delete(
    api: Api,
    by: Administrator,
    id: Id,
    still: IfMatch,
    _: NoQuery,
) -> Result<StatusCode, Denied> {
    delete(&api, &by.0, service(id.0), &still).await
}

fn runner(id: Uuid) -> SecretOwner {
    SecretOwner::Runner(RunnerId(id))
}

fn service(id: Uuid) -> SecretOwner {
    SecretOwner::Service(ServiceId(id))
}

async fn read(api: &Server, by: &Person, owner: SecretOwner) -> Result<Tagged<ClientKeys>, Denied> {
    Ok(Tagged(render::client_keys(&api.app.client_keys_read(by, owner).await?)))
}

async fn put(
    api: &Server,
    by: &Person,
    owner: SecretOwner,
    still: IfMatch,
    new: NewClientKeys,
) -> Result<Tagged<ClientKeys>, Denied> {
    let still = still.required()?;
    let jwks: Vec<_> = new.keys.into_iter().map(|jwk| jwk.0).collect();
    let same = |current: &[ClientKey]| still.holds(&render::client_keys(current));
    Ok(Tagged(render::client_keys(&api.app.client_keys_put(by, owner, &jwks, same).await?)))
}

async fn delete(api: &Server, by: &Person, owner: SecretOwner, still: &IfMatch) -> Result<StatusCode, Denied> {
    let same = |current: &[ClientKey]| still.holds(&render::client_keys(current));
    api.app.client_keys_delete(by, owner, same).await?;
    Ok(StatusCode::NO_CONTENT)
}
