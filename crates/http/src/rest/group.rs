//! Groups.

use super::Answered;
use crate::etag::{self, IfMatch, Tagged};
use crate::extract::{Body, IdempotencyKey, NoQuery, OwnerOfGroup, Page, SeesGroup, SignedIn, Way};
use crate::problem::Denied;
use crate::render;
use crate::server::Api;
use axum::Json;
use axum::response::IntoResponse;
use http::StatusCode;
use jobpass_api::{Group, GroupPatch, List, NewGroup};
use jobpass_app::{DraftGroup, GroupChange};

/// Create a group; at the top, administrators only
#[utoipa::path(post, path = "/v1/groups", tag = "groups", request_body = NewGroup, responses((status = 201, body = Group)))]
pub(crate) async fn group_create(api: Api, by: SignedIn, key: IdempotencyKey, body: Body<NewGroup>) -> Answered {
    let draft =
        DraftGroup { path: body.value.path, floor: body.value.floor.unwrap_or(jobpass_domain::mode::Mode::Legacy) };
    let once = key.once("group_create", &body.raw);
    let made = api.app.group_create(&by.0, &draft, once.as_ref(), |group| {
        let body = render::group(group);
        etag::rendered(&body, &body)
    });
    Ok(etag::created(made.await?))
}

/// The groups that you can see
#[utoipa::path(get, path = "/v1/groups", tag = "groups", responses((status = 200, body = List<Group>)))]
pub(crate) async fn group_list(api: Api, by: SignedIn, page: Page) -> Result<Json<List<Group>>, Denied> {
    Ok(Json(render::list(api.app.list_groups(&by.0, &page.0).await?, render::group)))
}

/// Read a group
#[utoipa::path(get, path = "/v1/groups/{group}", tag = "groups", responses((status = 200, body = Group)))]
pub(crate) async fn group_read(by: SeesGroup) -> Tagged<Group> {
    Tagged(render::group(&by.0.group))
}

/// Rename, move or set the floor (owners)
#[utoipa::path(patch, path = "/v1/groups/{group}", tag = "groups", request_body = GroupPatch, responses((status = 200, body = Group)))]
pub(crate) async fn group_update(
    api: Api,
    by: OwnerOfGroup,
    still: IfMatch,
    how: Way,
    body: Body<GroupPatch>,
) -> Answered {
    let GroupPatch { path, floor, reason } = body.value;
    let change = GroupChange { path: path.0, floor: floor.0, reason: reason.0.map(String::from) };
    let done = api.app.group_update(by.0, &change, how.0, |current| still.holds(&render::group(current))).await?;
    Ok(super::done(done, |group| Tagged(render::group(&group)).into_response()))
}

/// Delete an empty group (owners)
#[utoipa::path(delete, path = "/v1/groups/{group}", tag = "groups", responses((status = 204)))]
pub(crate) async fn group_delete(api: Api, by: OwnerOfGroup, still: IfMatch, _: NoQuery) -> Result<StatusCode, Denied> {
    api.app.group_delete(by.0, |current| still.holds(&render::group(current))).await?;
    Ok(StatusCode::NO_CONTENT)
}
