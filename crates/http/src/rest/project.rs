//! Projects.

use super::Answered;
use crate::etag::{self, IfMatch, Tagged};
use crate::extract::{
    Body, IdempotencyKey, MaintainerOfProject, NoBody, NoQuery, OwnerOfProject, Page, SeesProject, SignedIn, Way,
};
use crate::problem::Denied;
use crate::render;
use crate::server::Api;
use axum::Json;
use axum::response::IntoResponse;
use http::StatusCode;
use jobpass_api::{List, NewProject, Project, ProjectPatch, Revoked};
use jobpass_app::{DraftProject, ProjectChange};

/// Create a project in a group that you maintain
#[utoipa::path(post, path = "/v1/projects", tag = "projects", request_body = NewProject, responses((status = 201, body = Project)))]
pub(crate) async fn project_create(api: Api, by: SignedIn, key: IdempotencyKey, body: Body<NewProject>) -> Answered {
    let new = body.value;
    let draft = DraftProject {
        path: new.path,
        visibility: new.visibility,
        mode: new.mode,
        protected_refs: new.protected_refs,
        protected_environments: new.protected_environments,
    };
    let once = key.once("project_create", &body.raw);
    let made = api.app.project_create(&by.0, &draft, once.as_ref(), |project| {
        let body = render::project(project);
        etag::rendered(&body, &body)
    });
    Ok(etag::created(made.await?))
}

/// The projects that you can see
#[utoipa::path(get, path = "/v1/projects", tag = "projects", responses((status = 200, body = List<Project>)))]
pub(crate) async fn project_list(api: Api, by: SignedIn, page: Page) -> Result<Json<List<Project>>, Denied> {
    Ok(Json(render::list(api.app.list_projects(&by.0, &page.0).await?, render::project)))
}

/// Read a project
#[utoipa::path(get, path = "/v1/projects/{project}", tag = "projects", responses((status = 200, body = Project)))]
pub(crate) async fn project_read(by: SeesProject) -> Tagged<Project> {
    Tagged(render::project(&by.0.project))
}

/// Change mode and protection (maintainers), path and visibility (owners)
#[utoipa::path(patch, path = "/v1/projects/{project}", tag = "projects", request_body = ProjectPatch,
    responses((status = 200, body = Project)))]
pub(crate) async fn project_update(
    api: Api,
    by: MaintainerOfProject,
    still: IfMatch,
    how: Way,
    body: Body<ProjectPatch>,
) -> Answered {
    let patch = body.value;
    let change = ProjectChange {
        path: patch.path.0,
        visibility: patch.visibility.0,
        mode: patch.mode.0,
        protected_refs: patch.protected_refs.0,
        protected_environments: patch.protected_environments.0,
        reason: patch.reason.0.map(String::from),
    };
    let done = api.app.project_update(by.0, &change, how.0, |current| still.holds(&render::project(current))).await?;
    Ok(super::done(done, |project| Tagged(render::project(&project)).into_response()))
}

/// Delete a project with all that is in it; its tokens are dead (owners)
#[utoipa::path(delete, path = "/v1/projects/{project}", tag = "projects", responses((status = 204)))]
pub(crate) async fn project_delete(
    api: Api,
    by: OwnerOfProject,
    still: IfMatch,
    _: NoQuery,
) -> Result<StatusCode, Denied> {
    api.app.project_delete(by.0, |current| still.holds(&render::project(current))).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Revoke every token minted for the project so far (maintainers)
#[utoipa::path(post, path = "/v1/projects/{project}/revoke-tokens", tag = "job tokens", responses((status = 200, body = Revoked)))]
pub(crate) async fn project_revoke_tokens(
    api: Api,
    by: MaintainerOfProject,
    _nothing: NoBody,
) -> Result<Json<Revoked>, Denied> {
    api.app.project_revoke_tokens(by.0).await?;
    Ok(Json(Revoked { tokens: None }))
}
