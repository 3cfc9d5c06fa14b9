//! Authorization details, as they lie in a token's row.

use jobpass_domain::Catalogue;
use jobpass_domain::authorization_detail::{AuthorizationDetail, ShownDetail};
use jobpass_domain::ids::ProjectId;
use serde::{Deserialize, Serialize};
use sqlx::types::Json;
use uuid::Uuid;

/// One of them, with its permissions by name.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Columns {
    project_id: Option<Uuid>,
    named: String,
    permissions: Vec<String>,
}

pub(crate) fn columns(details: Option<&[AuthorizationDetail]>, catalogue: &Catalogue) -> Option<Json<Vec<Columns>>> {
    let column = |detail: &AuthorizationDetail| Columns {
        project_id: detail.project.map(Uuid::from),
        named: detail.named.clone(),
        permissions: catalogue.format(detail.permissions),
    };
    details.map(|details| Json(details.iter().map(column).collect()))
}

pub(crate) fn read(columns: Option<&Json<Vec<Columns>>>, catalogue: &Catalogue) -> Option<Vec<AuthorizationDetail>> {
    let detail = |one: &Columns| AuthorizationDetail {
        project: one.project_id.map(ProjectId),
        named: one.named.clone(),
        permissions: catalogue.known(&one.permissions),
    };
    columns.map(|Json(columns)| columns.iter().map(detail).collect())
}

pub(crate) fn shown(columns: Option<Json<Vec<Columns>>>) -> Option<Vec<ShownDetail>> {
    let shown = |one: Columns| ShownDetail { project: one.named, permissions: one.permissions };
    columns.map(|Json(columns)| columns.into_iter().map(shown).collect())
}
