//! Reading usage: what was used and refused on a project, page by page.

use crate::look::Listed;
use crate::rehearse::since;
use crate::{App, PageOf, Refusal};
use jobpass_domain::Reason;
use jobpass_domain::ids::ProjectId;
use jobpass_domain::pipeline::Trigger;
use jobpass_domain::replay::Recorded;
use jobpass_domain::usage::What;
use jobpass_persistence::usage::{self, Cursor, Filter};
use time::OffsetDateTime;
use uuid::Uuid;

/// What is looked for; `None`: whatever it is.
#[derive(Clone, Debug, Default)]
pub struct UsageFilter {
    /// Path or id.
    pub source: Option<String>,
    /// Permissions as they are written in grants.
    pub permissions: Vec<String>,
    pub unnamed: Option<bool>,
    pub allowed: Option<bool>,
    pub reason: Option<Reason>,
    pub would_deny: Option<bool>,
    pub ref_name: Option<String>,
    pub environment: Option<String>,
    pub resource_name: Option<String>,
    pub protected: Option<bool>,
    pub trigger: Option<Trigger>,
    pub from_fork: Option<bool>,
    pub since: Option<OffsetDateTime>,
    pub until: Option<OffsetDateTime>,
    /// Not seen for so long.
    pub unused_days: Option<u16>,
}

/// A use as people read it.
#[derive(Clone, Debug)]
pub struct ListedUse {
    pub recorded: Recorded,
    /// `None`: the source was deleted.
    pub source_path: Option<String>,
    /// `None`: unnamed.
    pub permission: Option<String>,
}

impl App {
    /// By source and permission. What is still in memory is written first, so that it is seen.
    pub async fn list_usage(&self, target: ProjectId, filter: &UsageFilter, page: &PageOf) -> Listed<ListedUse> {
        self.flush_usage().await?;
        let catalogue = self.catalogue_for(&filter.permissions).await?;
        let permissions = match filter.permissions.as_slice() {
            [] => None,
            texts => {
                let set = catalogue.parse_all(texts).map_err(|(_, unknown)| {
                    Refusal::invalid("?permission", "unknown_permission", unknown.to_string())
                })?;
                Some(catalogue.expand(set))
            }
        };
        let oldest = since(self.settings.usage_retention_days, self.now());
        let filter = Filter {
            source: filter.source.clone(),
            permissions,
            unnamed: filter.unnamed,
            allowed: filter.allowed,
            reason: filter.reason,
            would_deny: filter.would_deny,
            ref_name: filter.ref_name.clone(),
            environment: filter.environment.clone(),
            resource_name: filter.resource_name.clone(),
            protected: filter.protected,
            trigger: filter.trigger,
            from_fork: filter.from_fork,
            // A partition holds a month, and what is older than the setting says is not shown.
            since: Some(filter.since.unwrap_or(oldest).max(oldest)),
            until: filter.until,
            unused_since: filter.unused_days.map(|days| since(days, self.now())),
        };
        let after = page.after.as_deref().map(cursor).transpose()?;
        let rows = usage::list(self.db.read(), target, &filter, after.as_ref(), page.rows(), &catalogue).await?;
        let (rows, next) = page.cut(rows, |row| written(&row.cursor));
        let listed = rows.into_iter().map(|row| {
            let permission = match row.recorded.used.what {
                What::Named(permission) => catalogue.name(permission),
                What::Unnamed(_) => None,
            };
            ListedUse { recorded: row.recorded, source_path: row.source_path, permission }
        });
        Ok((listed.collect(), next))
    }
}

fn written(cursor: &Cursor) -> String {
    format!("{}~{}~{}", cursor.source, cursor.permission, cursor.key)
}

fn cursor(text: &str) -> Result<Cursor, Refusal> {
    let mut parts = text.split('~');
    let mut next = || parts.next().unwrap_or_default();
    let (source, permission, key) = (Uuid::parse_str(next()), next().to_owned(), Uuid::parse_str(next()));
    match (source, key) {
        (Ok(source), Ok(key)) => Ok(Cursor { source, permission, key }),
        _ => Err(Refusal::invalid("?after", "bad_cursor", "is not a cursor that this list gave")),
    }
}
