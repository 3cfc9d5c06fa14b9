//! Who changed what.

use crate::extract::{Page, SignedIn, checked_text, query};
use crate::problem::Denied;
use crate::render;
use crate::server::Api;
use axum::Json;
use axum::extract::FromRequestParts;
use http::request::Parts;
use jobpass_api::{AuditEvent, List};
use jobpass_app::Refusal;
use jobpass_domain::Role;
use jobpass_domain::place::Place;

/// Audit events, newest first: of a project or group (owners), or of all (administrators)
#[utoipa::path(get, path = "/v1/audit-events", tag = "audit", responses((status = 200, body = List<AuditEvent>)),
    params(("project" = Option<String>, Query, description = "Path or id: events of this project"),
           ("group" = Option<String>, Query, description = "Path or id: events of this group and all below it")))]
pub(crate) async fn audit_event_list(api: Api, by: SignedIn, of: Of) -> Result<Json<List<AuditEvent>>, Denied> {
    let person = by.0;
    let place = match (of.project, of.group) {
        (Some(_), Some(_)) => {
            return Err(Refusal::invalid("?group", "one_place", "a project or a group, not both").into());
        }
        (Some(project), None) => {
            Place::Project(api.app.project(person, &project).await?.require(Role::Owner)?.project.id)
        }
        (None, Some(group)) => Place::Group(api.app.group(person, &group).await?.require(Role::Owner)?.group.id),
        (None, None) if person.user.administrator => Place::Instance,
        (None, None) => return Err(Refusal::Forbidden { needs: "administrator" }.into()),
    };
    Ok(Json(render::list(api.app.list_audit_events(place, &of.page.0).await?, render::audit_event)))
}

/// Whose events.
#[derive(Debug)]
pub(crate) struct Of {
    project: Option<String>,
    group: Option<String>,
    page: Page,
}

impl<S: Sync> FromRequestParts<S> for Of {
    type Rejection = Denied;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Of, Denied> {
        let mut of = Of { project: None, group: None, page: Page::beside(parts, &["project", "group"])? };
        for (name, value) in query(parts)? {
            match name.as_str() {
                "project" => of.project = Some(checked_text("?project", value)?),
                "group" => of.group = Some(checked_text("?group", value)?),
                _ => {}
            }
        }
        Ok(of)
    }
}
