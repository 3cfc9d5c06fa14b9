//! A project or a group at once, for those who keep it in a file.

use super::Answered;
use crate::etag::{IfMatch, Tagged};
use crate::extract::{Body, LIST_BODY_LIMIT, MaintainerOfGroup, MaintainerOfProject, Way};
use crate::problem::Denied;
use crate::render;
use crate::rest::{ceiling, grant};
use crate::server::{Api, Server};
use axum::Json;
use axum::response::IntoResponse;
use jobpass_api::{GroupConfiguration, ProjectConfiguration};
use jobpass_app::{Configuration, Done, DraftConfiguration, GroupChange, ProjectChange};
use jobpass_domain::group::Group;
use jobpass_domain::project::Project;
use serde::Serialize;

/// The whole of a project: settings, members, grants and ceilings, as it could be put
#[utoipa::path(get, path = "/v1/projects/{project}/configuration", tag = "configuration",
    responses((status = 200, body = ProjectConfiguration)))]
pub(crate) async fn project_configuration_read(
    api: Api,
    by: MaintainerOfProject,
) -> Result<Tagged<ProjectConfiguration>, Denied> {
    Ok(Tagged(project(&api, &api.app.project_configuration_read(by.0).await?)))
}

/// Put the whole of a project in one transaction; what is left out is left as it is. If-Match is required
#[utoipa::path(put, path = "/v1/projects/{project}/configuration", tag = "configuration",
    request_body = ProjectConfiguration, responses((status = 200, body = ProjectConfiguration)))]
pub(crate) async fn project_configuration_put(
    api: Api,
    by: MaintainerOfProject,
    still: IfMatch,
    how: Way,
    body: Body<ProjectConfiguration, LIST_BODY_LIMIT>,
) -> Answered {
    let still = still.required()?;
    let draft = project_draft(body.value);
    let still = |current: &Configuration<Project>| still.holds(&project(&api, current));
    let done = api.app.project_configuration_put(by.0, &draft, how.0, still).await?;
    Ok(answered(done, |whole| project(&api, whole)))
}

/// The whole of a group itself: floor, members, grants and ceilings, as it could be put
#[utoipa::path(get, path = "/v1/groups/{group}/configuration", tag = "configuration",
    responses((status = 200, body = GroupConfiguration)))]
pub(crate) async fn group_configuration_read(
    api: Api,
    by: MaintainerOfGroup,
) -> Result<Tagged<GroupConfiguration>, Denied> {
    Ok(Tagged(group(&api, &api.app.group_configuration_read(by.0).await?)))
}

/// Put the whole of a group in one transaction; what is left out is left as it is. If-Match is required
#[utoipa::path(put, path = "/v1/groups/{group}/configuration", tag = "configuration",
    request_body = GroupConfiguration, responses((status = 200, body = GroupConfiguration)))]
pub(crate) async fn group_configuration_put(
    api: Api,
    by: MaintainerOfGroup,
    still: IfMatch,
    how: Way,
    body: Body<GroupConfiguration, LIST_BODY_LIMIT>,
) -> Answered {
    let still = still.required()?;
    let draft = group_draft(body.value);
    let still = |current: &Configuration<Group>| still.holds(&group(&api, current));
    let done = api.app.group_configuration_put(by.0, &draft, how.0, still).await?;
    Ok(answered(done, |whole| group(&api, whole)))
}

/// The new whole; of a dry run, what it would be and do.
fn answered<T, W: Serialize>(done: Done<T>, shown: impl FnOnce(&T) -> W) -> axum::response::Response {
    match done {
        Done::Made(whole) => Tagged(shown(&whole)).into_response(),
        Done::Rehearsed(rehearsal) => {
            let after = serde_json::to_value(shown(&rehearsal.after)).ok();
            Json(jobpass_api::DryRun { after, ..render::dry_run(&rehearsal) }).into_response()
        }
    }
}

fn project_draft(new: ProjectConfiguration) -> DraftConfiguration<ProjectChange> {
    DraftConfiguration {
        settings: ProjectChange {
            path: None,
            visibility: new.visibility,
            mode: new.mode,
            protected_refs: new.protected_refs,
            protected_environments: new.protected_environments,
            reason: new.reason.map(String::from),
        },
        members: new.members,
        grants: new.grants.map(|grants| grants.into_iter().map(grant::draft).collect()),
        ceilings: new.ceilings.map(|ceilings| ceilings.into_iter().map(ceiling::draft).collect()),
    }
}

fn group_draft(new: GroupConfiguration) -> DraftConfiguration<GroupChange> {
    DraftConfiguration {
        settings: GroupChange { path: None, floor: new.floor, reason: new.reason.map(String::from) },
        members: new.members,
        grants: new.grants.map(|grants| grants.into_iter().map(grant::draft).collect()),
        ceilings: new.ceilings.map(|ceilings| ceilings.into_iter().map(ceiling::draft).collect()),
    }
}

fn project(api: &Server, whole: &Configuration<Project>) -> ProjectConfiguration {
    let project = &whole.settings;
    ProjectConfiguration {
        visibility: Some(project.visibility),
        mode: Some(project.mode),
        protected_refs: Some(project.protected_refs.clone()),
        protected_environments: Some(project.protected_environments.clone()),
        members: Some(whole.members.iter().map(|member| (member.name.clone(), member.role)).collect()),
        grants: Some(render::written_grants(&whole.grants, &api.app.catalogue())),
        ceilings: Some(render::written_ceilings(&whole.ceilings)),
        reason: None,
    }
}

fn group(api: &Server, whole: &Configuration<Group>) -> GroupConfiguration {
    GroupConfiguration {
        floor: Some(whole.settings.floor),
        members: Some(whole.members.iter().map(|member| (member.name.clone(), member.role)).collect()),
        grants: Some(render::written_grants(&whole.grants, &api.app.catalogue())),
        ceilings: Some(render::written_ceilings(&whole.ceilings)),
        reason: None,
    }
}
