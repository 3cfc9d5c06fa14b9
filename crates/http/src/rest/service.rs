//! Resource services (administrators).

use super::Answered;
use crate::etag::{self, IfMatch, Tagged};
use crate::extract::{Administrator, Body, Id, IdempotencyKey, NoQuery, Page};
use crate::problem::Denied;
use crate::render;
use crate::server::Api;
use axum::Json;
use http::StatusCode;
use jobpass_api::{ForwardAuth, ForwardAuthPatch, List, NewService, Service, ServicePatch};
use jobpass_app::{DraftService, ForwardAuthChange, ServiceChange};
use jobpass_domain::forward_auth::DraftForwardAuth;
use jobpass_domain::ids::ServiceId;
use jobpass_domain::route::GITLAB;
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
        route_table: new.route_table.map_or_else(|| GITLAB.to_owned(), String::from),
        forward_auth: new.forward_auth.map(forward_auth),
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
        route_table: patch.route_table.0.map(String::from),
        forward_auth: patch.forward_auth.0.map(|set| set.map(forward_auth_change)),
    };
    let still = |current: &jobpass_domain::service::Service| still.holds(&render::service(current, None));
    let service = api.app.service_update(&by.0, ServiceId(id.0), &change, still).await?;
    Ok(Tagged(render::service(&service, None)))
}

/// Delete a service
#[utoipa::path(delete, path = "/v1/services/{service}", tag = "services", responses((status = 204)))]
pub(crate) async fn service_delete(
    api: Api,
    by: Administrator,
    id: Id,
    still: IfMatch,
    _: NoQuery,
) -> Result<StatusCode, Denied> {
    let still = |current: &jobpass_domain::service::Service| still.holds(&render::service(current, None));
    api.app.service_delete(&by.0, ServiceId(id.0), still).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn forward_auth(new: ForwardAuth) -> DraftForwardAuth {
    DraftForwardAuth {
        source: Some(new.source),
        method_header: new.method_header,
        path_header: new.path_header,
        permissions: new.permissions,
        identity_headers: new.identity_headers,
    }
}

fn forward_auth_change(patch: ForwardAuthPatch) -> ForwardAuthChange {
    ForwardAuthChange {
        source: patch.source.0,
        method_header: patch.method_header.0,
        path_header: patch.path_header.0,
        permissions: patch.permissions.0,
        identity_headers: patch.identity_headers.0,
    }
}
