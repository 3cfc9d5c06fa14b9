//! Resource services and their secrets (administrators).

use super::Answered;
use crate::etag::{self, IfMatch, Tagged};
use crate::extract::{Administrator, Body, Id, IdempotencyKey, Page};
use crate::problem::Denied;
use crate::render;
use crate::server::Api;
use axum::Json;
use http::StatusCode;
use jobpass_api::{List, LiveSecret, NewSecret, NewService, Service, ServicePatch};
use jobpass_app::{DraftService, ServiceChange};
use jobpass_domain::ids::{SecretId, ServiceId};
use jobpass_domain::service::ANSWER_SECONDS;

/// Register a resource service
#[utoipa::path(post, path = "/v1/services", tag = "services", request_body = NewService, responses((status = 201, body = Service)))]
pub(crate) async fn service_create(
    api: Api,
    by: Administrator,
    key: IdempotencyKey,
    body: Body<NewService>,
) -> Answered {
    let (new, once) = (body.value, key.once("service_create", &body.raw));
    let draft = DraftService {
        name: new.name,
        resources: new.resources,
        project: new.project.map(String::from),
        audience: new.audience,
        audience_required: new.audience_required,
        answer_seconds: new.answer_seconds.unwrap_or(ANSWER_SECONDS),
    };
    let made = api.app.service_create(&by.0, &draft, once.as_ref(), |service, secret| {
        etag::rendered(&render::service(service, Some(secret)), &render::service(service, None))
    });
    Ok(etag::created(made.await?))
}

/// All services
#[utoipa::path(get, path = "/v1/services", tag = "services", responses((status = 200, body = List<Service>)))]
pub(crate) async fn service_list(api: Api, _by: Administrator, page: Page) -> Result<Json<List<Service>>, Denied> {
    let page = api.app.list_services(&page.0).await?;
    Ok(Json(render::list(page, |service| render::service(service, None))))
}

/// Read a service
#[utoipa::path(get, path = "/v1/services/{service}", tag = "services", responses((status = 200, body = Service)))]
pub(crate) async fn service_read(api: Api, _by: Administrator, id: Id) -> Result<Tagged<Service>, Denied> {
    let service = api.app.find_service(ServiceId(id.0)).await?;
    Ok(Tagged(render::service(&service, None)))
}

/// Change a service; the project that it serves stays
#[utoipa::path(patch, path = "/v1/services/{service}", tag = "services", request_body = ServicePatch,
    responses((status = 200, body = Service)))]
pub(crate) async fn service_update(
    api: Api,
    by: Administrator,
    id: Id,
    still: IfMatch,
    body: Body<ServicePatch>,
) -> Result<Tagged<Service>, Denied> {
    let patch = body.value;
    let change = ServiceChange {
        name: patch.name.0,
        resources: patch.resources.0,
        audience: patch.audience.0,
        audience_required: patch.audience_required.0,
        answer_seconds: patch.answer_seconds.0,
        paused: patch.paused.0,
    };
    let still = |current: &jobpass_domain::service::Service| still.holds(&render::service(current, None));
    let service = api.app.service_update(&by.0, ServiceId(id.0), &change, still).await?;
    Ok(Tagged(render::service(&service, None)))
}

/// Delete a service
#[utoipa::path(delete, path = "/v1/services/{service}", tag = "services", responses((status = 204)))]
pub(crate) async fn service_delete(api: Api, by: Administrator, id: Id, still: IfMatch) -> Result<StatusCode, Denied> {
    let still = |current: &jobpass_domain::service::Service| still.holds(&render::service(current, None));
    api.app.service_delete(&by.0, ServiceId(id.0), still).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The service's live secrets, at most two
#[utoipa::path(get, path = "/v1/services/{service}/secrets", tag = "services", responses((status = 200, body = List<LiveSecret>)))]
pub(crate) async fn service_secret_list(
    api: Api,
    _by: Administrator,
    id: Id,
) -> Result<Json<List<LiveSecret>>, Denied> {
    let secrets = api.app.service_secrets(ServiceId(id.0)).await?;
    Ok(Json(render::list((secrets, None), |live| {
        render::live_secret(live, None)
    })))
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
    let once = key.once("service_secret_create", &body.raw);
    let made = api.app.service_secret_create(
        &by.0,
        ServiceId(id.0),
        body.value.expires_at,
        once.as_ref(),
        |live, secret| {
            etag::rendered(
                &render::live_secret(live, Some(secret)),
                &render::live_secret(live, None),
            )
        },
    );
    Ok(etag::created(made.await?))
}

/// Delete one of the service's secrets
#[utoipa::path(delete, path = "/v1/services/{service}/secrets/{secret}", tag = "services", responses((status = 204)))]
pub(crate) async fn service_secret_delete(
    api: Api,
    by: Administrator,
    service: Id<false>,
    secret: Id,
) -> Result<StatusCode, Denied> {
    api.app
        .service_secret_delete(&by.0, ServiceId(service.0), SecretId(secret.0))
        .await?;
    Ok(StatusCode::NO_CONTENT)
}
