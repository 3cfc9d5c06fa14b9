//! Usage: a page of it as JSON, or all of it as CSV.

use super::Answered;
use crate::extract::{MaintainerOfProject, Page, checked_text, days, parsed, query};
use crate::problem::Denied;
use crate::render;
use crate::server::{Api, Server};
use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use futures_util::stream::try_unfold;
use http::header::{ACCEPT, CONTENT_DISPOSITION, CONTENT_TYPE, VARY};
use http::request::Parts;
use jobpass_api::{List, UsageEntry};
use jobpass_app::{PageOf, Refusal, UsageFilter};
use jobpass_domain::Reason;
use jobpass_domain::ids::ProjectId;
use jobpass_domain::pipeline::Trigger;
use std::sync::Arc;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// How many rows of CSV are read at a time.
const ROWS: usize = 1_000;

/// What was used and refused on the project, by source and permission (maintainers)
///
/// With `Accept: text/csv` or `format=csv`: all rows at once.
#[utoipa::path(get, path = "/v1/projects/{project}/usage", tag = "usage", params(
    ("source" = Option<String>, Query, description = "Path or id of the source project"),
    ("permission" = Option<String>, Query, description = "Permissions, separated by spaces"),
    ("unnamed" = Option<bool>, Query, description = "Introspected without a permission, or not"),
    ("verdict" = Option<String>, Query, description = "`allowed` or `denied`"),
    ("reason" = Option<String>, Query, description = "Such as `no_grant`"),
    ("would_deny" = Option<bool>, Query, description = "Allowed, and `enforced` would refuse it"),
    ("ref" = Option<String>, Query), ("environment" = Option<String>, Query), ("resource_name" = Option<String>, Query),
    ("protected" = Option<bool>, Query), ("trigger" = Option<String>, Query), ("from_fork" = Option<bool>, Query),
    ("since" = Option<String>, Query, description = "Seen at this time (RFC 3339) or later"),
    ("until" = Option<String>, Query, description = "Seen before this time (RFC 3339)"),
    ("unused_days" = Option<u16>, Query, description = "Not seen for so many days"),
    ("format" = Option<String>, Query, description = "`json` or `csv`"),
), responses((status = 200, content((List<UsageEntry> = "application/json"), (String = "text/csv")))))]
pub(crate) async fn usage_list(api: Api, by: MaintainerOfProject, asked: Asked) -> Answered {
    let project = by.0.project;
    if !asked.csv {
        let page = api.app.list_usage(project.id, &asked.filter, &asked.page.0).await?;
        return Ok(([(VARY, "accept")], Json(render::list(page, render::usage_entry))).into_response());
    }
    csv(Arc::clone(&api.0), project.id, asked.filter, project.path.name()).await
}

/// What the query asks for.
#[derive(Debug)]
pub(crate) struct Asked {
    filter: UsageFilter,
    page: Page,
    csv: bool,
}

const FILTERS: [&str; 16] = [
    "source",
    "permission",
    "unnamed",
    "verdict",
    "reason",
    "would_deny",
    "ref",
    "environment",
    "resource_name",
    "protected",
    "trigger",
    "from_fork",
    "since",
    "until",
    "unused_days",
    "format",
];

impl<S: Sync> FromRequestParts<S> for Asked {
    type Rejection = Denied;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Asked, Denied> {
        let page = Page::beside(parts, &FILTERS)?;
        let accepts = parts.headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let mut asked = Asked { filter: UsageFilter::default(), page, csv: accepts.starts_with("text/csv") };
        for (name, value) in query(parts)? {
            asked.read(&name, value)?;
        }
        Ok(asked)
    }
}

impl Asked {
    fn read(&mut self, name: &str, value: String) -> Result<(), Denied> {
        let pointer = format!("?{name}");
        let text = |value: String| checked_text(&pointer, value).map(Some);
        let flag = |value: &str| parsed(&pointer, value, "true or false").map(Some);
        let none_of = |expected: &str| Refusal::invalid(pointer.clone(), "invalid", expected.to_owned());
        let filter = &mut self.filter.uses;
        match name {
            "source" => filter.source = text(value)?,
            "permission" => self.filter.permissions.extend(value.split_whitespace().map(str::to_owned)),
            "unnamed" => filter.unnamed = flag(&value)?,
            "verdict" => {
                filter.allowed = match value.as_str() {
                    "allowed" => Some(true),
                    "denied" => Some(false),
                    _ => return Err(none_of("allowed or denied").into()),
                }
            }
            "reason" => filter.reason = Some(Reason::named(&value).ok_or_else(|| none_of("a reason of a decision"))?),
            "would_deny" => filter.would_deny = flag(&value)?,
            "ref" => filter.ref_name = text(value)?,
            "environment" => filter.environment = text(value)?,
            "resource_name" => filter.resource_name = text(value)?,
            "protected" => filter.protected = flag(&value)?,
            "trigger" => filter.trigger = Some(Trigger::named(&value).ok_or_else(|| none_of("a trigger of a run"))?),
            "from_fork" => filter.from_fork = flag(&value)?,
            "since" => filter.since = Some(moment(&pointer, &value)?),
            "until" => filter.until = Some(moment(&pointer, &value)?),
            "unused_days" => self.filter.unused_days = Some(days(&pointer, &value)?),
            "format" => {
                self.csv = match value.as_str() {
                    "csv" => true,
                    "json" => false,
                    _ => return Err(none_of("json or csv").into()),
                }
            }
            // `limit` and `after`: the page's.
            _ => {}
        }
        Ok(())
    }
}

fn moment(pointer: &str, value: &str) -> Result<OffsetDateTime, Denied> {
    let fault = || Refusal::invalid(pointer, "invalid", "a time as in 2026-11-23T10:00:00Z");
    let moment = OffsetDateTime::parse(value, &Rfc3339).map_err(|_| fault())?;
    // What the database could not hold is no time of ours.
    if (1970..=9999).contains(&moment.year()) { Ok(moment) } else { Err(fault().into()) }
}

/// Row by row, a page at a time: no more than that is held. An answer that breaks off in the middle ends as an
/// error of the connection, never as a shorter list.
async fn csv(server: Arc<Server>, project: ProjectId, filter: UsageFilter, name: &str) -> Result<Response, Denied> {
    let start = PageOf { after: None, limit: ROWS };
    // Read here, so that what is refused is told as such.
    let (first, next) = lines(&server, project, &filter, &start, true).await?;
    let stream = try_unfold((Some(first), next), move |(ready, next)| {
        let (server, filter) = (Arc::clone(&server), filter.clone());
        async move {
            if let Some(bytes) = ready {
                return Ok(Some((bytes, (None, next))));
            }
            let Some(after) = next else { return Ok(None) };
            let page = PageOf { after: Some(after), limit: ROWS };
            let read = lines(&server, project, &filter, &page, false).await;
            let (bytes, next) = read.map_err(|refusal| std::io::Error::other(format!("{refusal:?}")))?;
            Ok::<_, std::io::Error>(Some((bytes, (None, next))))
        }
    });
    let disposition = format!("attachment; filename=\"usage-{name}.csv\"");
    let headers = [(CONTENT_TYPE, "text/csv; charset=utf-8"), (CONTENT_DISPOSITION, &disposition), (VARY, "accept")];
    Ok((headers, Body::from_stream(stream)).into_response())
}

const COLUMNS: [&str; 21] = [
    "source_project_id",
    "source",
    "permission",
    "service_id",
    "verdict",
    "reason",
    "would_deny",
    "ref",
    "ref_type",
    "protected",
    "environment",
    "trigger",
    "from_fork",
    "minted_by",
    "actor_role",
    "resource_name",
    "count",
    "first_seen_at",
    "last_seen_at",
    "last_job_id",
    "unnamed",
];

async fn lines(
    server: &Server,
    project: ProjectId,
    filter: &UsageFilter,
    page: &PageOf,
    with_header: bool,
) -> Result<(Bytes, Option<String>), Refusal> {
    let (rows, next) = server.app.list_usage(project, filter, page).await?;
    let mut writer = csv::Writer::from_writer(Vec::new());
    let broken = |error: csv::Error| Refusal::Internal(error.to_string());
    if with_header {
        writer.write_record(COLUMNS).map_err(broken)?;
    }
    for row in &rows {
        writer.write_record(record(&render::usage_entry(row))).map_err(broken)?;
    }
    let bytes = writer.into_inner().map_err(|error| Refusal::Internal(error.to_string()))?;
    Ok((bytes.into(), next))
}

fn record(entry: &UsageEntry) -> [String; 21] {
    let time = |at: OffsetDateTime| at.format(&Rfc3339).unwrap_or_default();
    let text = |value: &Option<String>| value.as_deref().map(harmless).unwrap_or_default();
    [
        entry.source_project_id.to_string(),
        text(&entry.source),
        text(&entry.permission),
        text(&entry.service_id),
        entry.verdict.clone(),
        text(&entry.reason),
        entry.would_deny.to_string(),
        harmless(&entry.r#ref),
        entry.ref_type.name().to_owned(),
        entry.protected.to_string(),
        text(&entry.environment),
        entry.trigger.name().to_owned(),
        entry.from_fork.to_string(),
        entry.minted_by.name().to_owned(),
        entry.actor_role.map(|role| role.name().to_owned()).unwrap_or_default(),
        text(&entry.resource_name),
        entry.count.to_string(),
        time(entry.first_seen_at),
        time(entry.last_seen_at),
        entry.last_job_id.to_string(),
        entry.permission.is_none().to_string(),
    ]
}

/// A spreadsheet takes what begins so for a formula, and anyone who names a branch could write one.
fn harmless(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text.to_owned() }
}
