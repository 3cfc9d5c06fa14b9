//! Members of groups and projects.

use crate::extract::{Body, MemberOfGroup, MemberOfProject, NoQuery, OwnerOfGroup, OwnerOfProject, Page, UserKey};
use crate::problem::Denied;
use crate::render;
use crate::server::Api;
use axum::Json;
use http::StatusCode;
use jobpass_api::{List, Member, MemberRole};
use jobpass_domain::place::Place;

/// Who has a role on the group, by memberships on it and above
#[utoipa::path(get, path = "/v1/groups/{group}/members", tag = "members", responses((status = 200, body = List<Member>)))]
pub(crate) async fn group_member_list(api: Api, by: MemberOfGroup, page: Page) -> Result<Json<List<Member>>, Denied> {
    Ok(Json(render::list(api.app.list_members(&by.0.group.chain, None, &page.0).await?, render::member)))
}

/// Set a member's role on the group (owners)
#[utoipa::path(put, path = "/v1/groups/{group}/members/{user}", tag = "members", request_body = MemberRole,
    responses((status = 200, body = Member)))]
pub(crate) async fn group_member_put(
    api: Api,
    by: OwnerOfGroup,
    user: UserKey,
    body: Body<MemberRole>,
) -> Result<Json<Member>, Denied> {
    let (place, role) = (Place::Group(by.0.group.id), body.value.role);
    let user = api.app.member_put(&by.0.person, place, &user.0, role).await?;
    Ok(Json(Member { user: user.name.to_string(), user_id: user.id.0, role, on: by.0.group.path.to_string() }))
}

/// Take a member's role on the group away (owners)
#[utoipa::path(delete, path = "/v1/groups/{group}/members/{user}", tag = "members", responses((status = 204)))]
pub(crate) async fn group_member_delete(
    api: Api,
    by: OwnerOfGroup,
    user: UserKey,
    _: NoQuery,
) -> Result<StatusCode, Denied> {
    api.app.member_delete(&by.0.person, Place::Group(by.0.group.id), &user.0).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Who has a role on the project, by memberships on it and above
#[utoipa::path(get, path = "/v1/projects/{project}/members", tag = "members", responses((status = 200, body = List<Member>)))]
pub(crate) async fn project_member_list(
    api: Api,
    by: MemberOfProject,
    page: Page,
) -> Result<Json<List<Member>>, Denied> {
    let project = &by.0.project;
    Ok(Json(render::list(api.app.list_members(&project.chain, Some(project.id), &page.0).await?, render::member)))
}

/// Set a member's role on the project (owners)
#[utoipa::path(put, path = "/v1/projects/{project}/members/{user}", tag = "members", request_body = MemberRole,
    responses((status = 200, body = Member)))]
pub(crate) async fn project_member_put(
    api: Api,
    by: OwnerOfProject,
    user: UserKey,
    body: Body<MemberRole>,
) -> Result<Json<Member>, Denied> {
    let (place, role) = (Place::Project(by.0.project.id), body.value.role);
    let user = api.app.member_put(&by.0.person, place, &user.0, role).await?;
    Ok(Json(Member { user: user.name.to_string(), user_id: user.id.0, role, on: by.0.project.path.to_string() }))
}

/// Take a member's role on the project away (owners)
#[utoipa::path(delete, path = "/v1/projects/{project}/members/{user}", tag = "members", responses((status = 204)))]
pub(crate) async fn project_member_delete(
    api: Api,
    by: OwnerOfProject,
    user: UserKey,
    _: NoQuery,
) -> Result<StatusCode, Denied> {
    api.app.member_delete(&by.0.person, Place::Project(by.0.project.id), &user.0).await?;
    Ok(StatusCode::NO_CONTENT)
}
