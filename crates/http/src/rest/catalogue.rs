//! What can be permitted.

use super::Answered;
use crate::etag::{self, Tagged};
use crate::extract::{Administrator, Body, IdempotencyKey, SignedIn};
use crate::render;
use crate::server::Api;
use axum::response::IntoResponse;
use http::HeaderMap;
use jobpass_api::{Catalogue, NewResource, Resource};

/// Resource types, their permissions and GitLab's names for them, and what routes demand; versioned by ETag
#[utoipa::path(get, path = "/v1/catalogue", tag = "catalogue", responses((status = 200, body = Catalogue)))]
pub(crate) async fn catalogue_read(api: Api, _anyone: SignedIn, headers: HeaderMap) -> Answered {
    let catalogue = api.app.fresh_catalogue().await?;
    let tables = api.app.all_route_tables().await?;
    Ok(etag::unless_known(&headers, Tagged(render::catalogue(&catalogue, &tables)).into_response()))
}

/// Add a resource type of your own; it is never removed
#[utoipa::path(post, path = "/v1/catalogue/resources", tag = "catalogue", request_body = NewResource,
    responses((status = 201, body = Resource)))]
pub(crate) async fn resource_create(
    api: Api,
    by: Administrator,
    key: IdempotencyKey,
    body: Body<NewResource>,
) -> Answered {
    let new = body.value;
    let once = key.once("resource_create", &body.raw);
    let made = api.app.resource_create(
        &by.0,
        &new.name,
        &new.description,
        new.name_form.as_deref(),
        once.as_ref(),
        |resource, catalogue| {
            let body = render::resource(resource, catalogue);
            etag::rendered(&body, &body)
        },
    );
    Ok(etag::created(made.await?))
}
