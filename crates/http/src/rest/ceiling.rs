//! Ceilings, on projects, groups and the instance: three faces of the same calls.

use super::Answered;
use crate::etag::{IfMatch, Tagged};
use crate::extract::{Administrator, Body, MaintainerOfGroup, MaintainerOfProject, OwnerOfGroup, OwnerOfProject, Way};
use crate::problem::Denied;
use crate::render;
use crate::server::{Api, Server};
use axum::response::IntoResponse;
use jobpass_api::{Ceilings, NewCeiling, NewCeilings};
use jobpass_app::{DraftCeiling, Person};
use jobpass_domain::ceiling::When;
use jobpass_domain::ids::CeilingId;
use jobpass_domain::place::Place;

/// The ceilings on the project (maintainers)
#[utoipa::path(get, path = "/v1/projects/{project}/ceilings", tag = "ceilings", responses((status = 200, body = Ceilings)))]
pub(crate) async fn project_ceilings_read(api: Api, by: MaintainerOfProject) -> Result<Tagged<Ceilings>, Denied> {
    read(&api, Place::Project(by.0.project.id)).await
}

/// Put all ceilings of the project at once (owners); If-Match is required
#[utoipa::path(put, path = "/v1/projects/{project}/ceilings", tag = "ceilings", request_body = NewCeilings,
    responses((status = 200, body = Ceilings)))]
pub(crate) async fn project_ceilings_put(
    api: Api,
    by: OwnerOfProject,
    still: IfMatch,
    how: Way,
    body: Body<NewCeilings>,
) -> Answered {
    put(&api, (&by.0.person, Place::Project(by.0.project.id)), still, &how, body.value).await
}

/// The ceilings on the group, which bind every project under it (maintainers)
#[utoipa::path(get, path = "/v1/groups/{group}/ceilings", tag = "ceilings", responses((status = 200, body = Ceilings)))]
pub(crate) async fn group_ceilings_read(api: Api, by: MaintainerOfGroup) -> Result<Tagged<Ceilings>, Denied> {
    read(&api, Place::Group(by.0.group.id)).await
}

/// Put all ceilings of the group at once (owners); If-Match is required
#[utoipa::path(put, path = "/v1/groups/{group}/ceilings", tag = "ceilings", request_body = NewCeilings,
    responses((status = 200, body = Ceilings)))]
pub(crate) async fn group_ceilings_put(
    api: Api,
    by: OwnerOfGroup,
    still: IfMatch,
    how: Way,
    body: Body<NewCeilings>,
) -> Answered {
    put(&api, (&by.0.person, Place::Group(by.0.group.id)), still, &how, body.value).await
}

/// The ceilings on the whole instance (administrators)
#[utoipa::path(get, path = "/v1/instance/ceilings", tag = "instance", responses((status = 200, body = Ceilings)))]
pub(crate) async fn instance_ceilings_read(api: Api, _by: Administrator) -> Result<Tagged<Ceilings>, Denied> {
    read(&api, Place::Instance).await
}

/// Put all ceilings of the instance at once, the shipped one for forks included (administrators); If-Match is required
#[utoipa::path(put, path = "/v1/instance/ceilings", tag = "instance", request_body = NewCeilings,
    responses((status = 200, body = Ceilings)))]
pub(crate) async fn instance_ceilings_put(
    api: Api,
    by: Administrator,
    still: IfMatch,
    how: Way,
    body: Body<NewCeilings>,
) -> Answered {
    put(&api, (&by.0, Place::Instance), still, &how, body.value).await
}

async fn read(api: &Server, place: Place) -> Result<Tagged<Ceilings>, Denied> {
    Ok(Tagged(render::ceilings(&api.app.ceilings_read(place).await?)))
}

async fn put(api: &Server, by: (&Person, Place), still: IfMatch, how: &Way, list: NewCeilings) -> Answered {
    let still = still.required()?;
    let drafts: Vec<_> = list.items.into_iter().map(draft).collect();
    let done = api.app.ceilings_put(by, &drafts, how.0, |current| still.holds(&render::ceilings(current))).await?;
    Ok(super::done(done, |ceilings| Tagged(render::ceilings(&ceilings)).into_response()))
}

pub(super) fn draft(new: NewCeiling) -> DraftCeiling {
    let when = new.when;
    DraftCeiling {
        id: new.id.map(CeilingId),
        side: new.side,
        when: When {
            refs: when.refs,
            protected: when.protected,
            environments: when.environments,
            triggers: when.triggers,
            from_fork: when.from_fork,
            vouched_by: when.vouched_by,
        },
        at_most: new.at_most,
    }
}
