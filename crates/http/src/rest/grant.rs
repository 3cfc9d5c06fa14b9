//! Grants, on projects and on groups: two faces of the same calls.

use super::Answered;
use crate::etag::{self, IfMatch};
use crate::extract::{
    Body, Id, IdempotencyKey, LIST_BODY_LIMIT, MaintainerOfGroup, MaintainerOfProject, Page, Way, days, query,
};
use crate::problem::Denied;
use crate::render;
use crate::server::{Api, Server};
use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::request::Parts;
use jobpass_api::{Grant, GrantList, List, NewGrant, Permissions};
use jobpass_app::{DraftGrant, DraftPermissions, DraftSource, GrantPlace};
use jobpass_domain::grant::{Conditions, SavedGrant};
use jobpass_domain::ids::GrantId;

/// The grants on the project
#[utoipa::path(get, path = "/v1/projects/{project}/grants", tag = "grants", responses((status = 200, body = List<Grant>)))]
pub(crate) async fn project_grant_list(api: Api, by: MaintainerOfProject, asked: Asked) -> Answered {
    list(&api, by.into(), &asked).await
}

/// Grant a source's jobs permissions on the project
#[utoipa::path(post, path = "/v1/projects/{project}/grants", tag = "grants", request_body = NewGrant,
    responses((status = 201, body = Grant)))]
pub(crate) async fn project_grant_create(
    api: Api,
    by: MaintainerOfProject,
    key: IdempotencyKey,
    how: Way,
    body: Body<NewGrant>,
) -> Answered {
    create(&api, by.into(), &key, ("project_grant_create", how), body).await
}

/// Put the whole list of the project's grants at once; If-Match with the list's ETag is required
#[utoipa::path(put, path = "/v1/projects/{project}/grants", tag = "grants", request_body = GrantList,
    responses((status = 200, body = List<Grant>)))]
pub(crate) async fn project_grant_replace(
    api: Api,
    by: MaintainerOfProject,
    still: IfMatch,
    how: Way,
    body: Body<GrantList, LIST_BODY_LIMIT>,
) -> Answered {
    replace(&api, by.into(), still, &how, body.value).await
}

/// Read a grant on the project
#[utoipa::path(get, path = "/v1/projects/{project}/grants/{grant}", tag = "grants", responses((status = 200, body = Grant)))]
pub(crate) async fn project_grant_read(api: Api, by: MaintainerOfProject, id: Id) -> Answered {
    read(&api, by.into(), id).await
}

/// Write a grant on the project anew; If-Match is required
#[utoipa::path(put, path = "/v1/projects/{project}/grants/{grant}", tag = "grants", request_body = NewGrant,
    responses((status = 200, body = Grant)))]
pub(crate) async fn project_grant_put(
    api: Api,
    by: MaintainerOfProject,
    id: Id,
    still: IfMatch,
    how: Way,
    body: Body<NewGrant>,
) -> Answered {
    put(&api, by.into(), id, (still, how), body.value).await
}

/// Delete a grant on the project; If-Match is required
#[utoipa::path(delete, path = "/v1/projects/{project}/grants/{grant}", tag = "grants", responses((status = 204)))]
pub(crate) async fn project_grant_delete(
    api: Api,
    by: MaintainerOfProject,
    id: Id,
    still: IfMatch,
    how: Way,
) -> Answered {
    delete(&api, by.into(), id, still, &how).await
}

/// The grants on the group, which count for every project under it
#[utoipa::path(get, path = "/v1/groups/{group}/grants", tag = "grants", responses((status = 200, body = List<Grant>)))]
pub(crate) async fn group_grant_list(api: Api, by: MaintainerOfGroup, asked: Asked) -> Answered {
    list(&api, by.into(), &asked).await
}

/// Grant a source's jobs permissions on every project under the group
#[utoipa::path(post, path = "/v1/groups/{group}/grants", tag = "grants", request_body = NewGrant, responses((status = 201, body = Grant)))]
pub(crate) async fn group_grant_create(
    api: Api,
    by: MaintainerOfGroup,
    key: IdempotencyKey,
    how: Way,
    body: Body<NewGrant>,
) -> Answered {
    create(&api, by.into(), &key, ("group_grant_create", how), body).await
}

/// Put the whole list of the group's grants at once; If-Match with the list's ETag is required
#[utoipa::path(put, path = "/v1/groups/{group}/grants", tag = "grants", request_body = GrantList,
    responses((status = 200, body = List<Grant>)))]
pub(crate) async fn group_grant_replace(
    api: Api,
    by: MaintainerOfGroup,
    still: IfMatch,
    how: Way,
    body: Body<GrantList, LIST_BODY_LIMIT>,
) -> Answered {
    replace(&api, by.into(), still, &how, body.value).await
}

/// Read a grant on the group
#[utoipa::path(get, path = "/v1/groups/{group}/grants/{grant}", tag = "grants", responses((status = 200, body = Grant)))]
pub(crate) async fn group_grant_read(api: Api, by: MaintainerOfGroup, id: Id) -> Answered {
    read(&api, by.into(), id).await
}

/// Write a grant on the group anew; If-Match is required
#[utoipa::path(put, path = "/v1/groups/{group}/grants/{grant}", tag = "grants", request_body = NewGrant,
    responses((status = 200, body = Grant)))]
pub(crate) async fn group_grant_put(
    api: Api,
    by: MaintainerOfGroup,
    id: Id,
    still: IfMatch,
    how: Way,
    body: Body<NewGrant>,
) -> Answered {
    put(&api, by.into(), id, (still, how), body.value).await
}

/// Delete a grant on the group; If-Match is required
#[utoipa::path(delete, path = "/v1/groups/{group}/grants/{grant}", tag = "grants", responses((status = 204)))]
pub(crate) async fn group_grant_delete(api: Api, by: MaintainerOfGroup, id: Id, still: IfMatch, how: Way) -> Answered {
    delete(&api, by.into(), id, still, &how).await
}

/// A page, and perhaps only of grants that were not needed for so many days.
#[derive(Debug)]
pub(crate) struct Asked {
    page: Page,
    unused_days: Option<u16>,
}

impl<S: Sync> FromRequestParts<S> for Asked {
    type Rejection = Denied;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Asked, Denied> {
        let page = Page::beside(parts, &["unused_days"])?;
        let unused = query(parts)?.into_iter().find(|(name, _)| name == "unused_days");
        let unused_days = unused.map(|(_, value)| days("?unused_days", &value)).transpose()?;
        Ok(Asked { page, unused_days })
    }
}

async fn list(api: &Server, at: GrantPlace, asked: &Asked) -> Answered {
    let rows = api.app.list_grants(at.place, asked.unused_days, &asked.page.0).await?;
    Ok(etag::tagged_as(&render::list(rows, |saved| shown(api, saved)), &list_tag(at.revision)))
}

async fn create(
    api: &Server,
    at: GrantPlace,
    key: &IdempotencyKey,
    (operation, how): (&'static str, Way),
    body: Body<NewGrant>,
) -> Answered {
    let once = key.once(operation, &body.raw);
    let draft = draft(body.value);
    let made = api.app.grant_create(&at, &draft, how.0, once.as_ref(), |saved| {
        let body = shown(api, saved);
        etag::rendered(&body, &body)
    });
    Ok(super::done(made.await?, etag::created))
}

async fn replace(api: &Server, at: GrantPlace, still: IfMatch, how: &Way, list: GrantList) -> Answered {
    let still = still.required()?;
    let drafts: Vec<_> = list.items.into_iter().map(draft).collect();
    let done = api.app.grants_replace(&at, &drafts, how.0, |revision| still.holds_for(|| list_tag(revision))).await?;
    Ok(super::done(done, |(rows, revision)| {
        etag::tagged_as(&render::list((rows, None), |saved| shown(api, saved)), &list_tag(revision))
    }))
}

async fn read(api: &Server, at: GrantPlace, id: Id) -> Answered {
    let saved = api.app.grant_read(at.place, GrantId(id.0)).await?;
    Ok(tagged(api, &saved))
}

async fn put(api: &Server, at: GrantPlace, id: Id, (still, how): (IfMatch, Way), new: NewGrant) -> Answered {
    let id = GrantId(id.0);
    api.app.find_grant(at.place, id).await?;
    let still = still.required()?;
    let still = |current: &SavedGrant| still.holds_for(|| tag(api, current));
    let done = api.app.grant_put(&at, id, &draft(new), how.0, still).await?;
    Ok(super::done(done, |saved| tagged(api, &saved)))
}

async fn delete(api: &Server, at: GrantPlace, id: Id, still: IfMatch, how: &Way) -> Answered {
    let id = GrantId(id.0);
    api.app.find_grant(at.place, id).await?;
    let still = still.required()?;
    let done = api.app.grant_delete(&at, id, how.0, |current| still.holds_for(|| tag(api, current))).await?;
    Ok(super::done(done, |()| StatusCode::NO_CONTENT.into_response()))
}

fn tagged(api: &Server, saved: &SavedGrant) -> Response {
    etag::tagged_as(&shown(api, saved), &tag(api, saved))
}

/// The tag of what a maintainer wrote: that it was needed is no change of it.
fn tag(api: &Server, saved: &SavedGrant) -> String {
    etag::tag(&Grant { last_needed_at: None, ..shown(api, saved) })
}

fn shown(api: &Server, saved: &SavedGrant) -> Grant {
    render::grant(saved, &api.app.catalogue())
}

/// A list's tag is its revision: pages of one list share it.
pub(super) fn list_tag(revision: i64) -> String {
    format!("grants-{revision}")
}

pub(super) fn draft(new: NewGrant) -> DraftGrant {
    let text = |label: jobpass_domain::text::Label| String::from(label);
    let conditions = new.conditions;
    DraftGrant {
        source: DraftSource {
            project: new.source.project.map(text),
            group: new.source.group.map(text),
            except: new.source.except.into_iter().map(text).collect(),
            id: new.source.id,
        },
        permissions: match new.permissions {
            Permissions::Everything => DraftPermissions::Everything,
            Permissions::List(texts) => DraftPermissions::List(texts),
        },
        conditions: Conditions {
            refs: conditions.refs,
            protected_refs_only: conditions.protected_refs_only,
            environments: conditions.environments,
            triggers: conditions.triggers,
            allow_forks: conditions.allow_forks,
            within_actor_role: conditions.within_actor_role,
            vouched_by: conditions.vouched_by,
        },
        selectors: new.selectors,
        expires_at: new.expires_at,
        note: new.note.map(String::from).unwrap_or_default(),
    }
}
