//! Route tables: reading them, and writing those that are not built in (administrators).

use super::Answered;
use crate::etag::{self, IfMatch};
use crate::extract::{Administrator, NoQuery, Page, RouteTableName, SignedIn, YamlText};
use crate::problem::Denied;
use crate::render;
use crate::server::{Api, Server};
use axum::Json;
use axum::response::Response;
use http::header::IF_NONE_MATCH;
use http::{HeaderMap, StatusCode};
use jobpass_api::{List, RouteTable, RouteTableSummary};
use jobpass_app::{ShownTable, TableCondition};
use jobpass_domain::route::SavedTable;

/// All route tables, by name
#[utoipa::path(get, path = "/v1/route-tables", tag = "catalogue", responses((status = 200, body = List<RouteTableSummary>)))]
pub(crate) async fn route_table_list(
    api: Api,
    _anyone: SignedIn,
    page: Page,
) -> Result<Json<List<RouteTableSummary>>, Denied> {
    let page = api.app.list_route_tables(&page.0).await?;
    Ok(Json(render::list(page, render::route_table_summary)))
}

/// Read a route table, as it was written and as it is understood
#[utoipa::path(get, path = "/v1/route-tables/{table}", tag = "catalogue", responses((status = 200, body = RouteTable)))]
pub(crate) async fn route_table_read(
    api: Api,
    _anyone: SignedIn,
    name: RouteTableName,
    headers: HeaderMap,
) -> Answered {
    let shown = api.app.find_route_table(&name.0).await?;
    Ok(etag::unless_known(&headers, answered(&api, &shown)))
}

/// Write a route table, as a whole; If-Match is required to replace one, and a fault anywhere changes nothing
#[utoipa::path(put, path = "/v1/route-tables/{table}", tag = "catalogue",
    request_body(content = String, content_type = "application/yaml"),
    responses((status = 200, body = RouteTable), (status = 201, body = RouteTable)))]
pub(crate) async fn route_table_put(
    api: Api,
    by: Administrator,
    name: RouteTableName,
    still: IfMatch,
    headers: HeaderMap,
    body: YamlText,
) -> Answered {
    let condition = TableCondition {
        replaces: still.is_given(),
        creates: headers.get(IF_NONE_MATCH).is_some_and(|value| value == "*"),
        still: |current: &SavedTable| still.holds_for(|| table_tag(current)),
    };
    let (shown, created) = api.app.route_table_put(&by.0, &name.0, &body.0, condition).await?;
    let mut response = answered(&api, &shown);
    if created {
        *response.status_mut() = StatusCode::CREATED;
    }
    Ok(response)
}

/// Delete a route table that no service names; If-Match is required
#[utoipa::path(delete, path = "/v1/route-tables/{table}", tag = "catalogue", responses((status = 204)))]
pub(crate) async fn route_table_delete(
    api: Api,
    by: Administrator,
    name: RouteTableName,
    still: IfMatch,
    _: NoQuery,
) -> Result<StatusCode, Denied> {
    let built_in = api.app.find_route_table(&name.0).await?.kept.is_none();
    let still = if built_in { still } else { still.required()? };
    let still = |current: &SavedTable| still.holds_for(|| table_tag(current));
    api.app.route_table_delete(&by.0, &name.0, still).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn answered(api: &Server, shown: &ShownTable) -> Response {
    let body = render::route_table(shown, &api.app.catalogue());
    match &shown.kept {
        Some(kept) => etag::tagged_as(&body, &table_tag(&kept.saved)),
        None => etag::tagged_as(&body, &etag::tag(&body)),
    }
}

/// A table's tag is its version; the id, because a table of the same name may have come after it.
fn table_tag(saved: &SavedTable) -> String {
    format!("{}-{}", saved.id.0.simple(), saved.version)
}
