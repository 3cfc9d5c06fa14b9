//! Reading usage: what was used and refused on a project, page by page.

use crate::look::Listed;
use crate::rehearse::since as days_ago;
use crate::{App, PageOf, Refusal};
use jobpass_domain::ids::ProjectId;
use jobpass_domain::replay::Recorded;
use jobpass_domain::usage::{Filter, What};
use jobpass_persistence::usage::{self, Cursor, Resolved};
use uuid::Uuid;

/// What is looked for.
#[derive(Clone, Debug, Default)]
pub struct UsageFilter {
    pub uses: Filter,
    /// Permissions as they are written in grants; none: any.
    pub permissions: Vec<String>,
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
        let oldest = days_ago(self.settings.usage_retention_days, self.now());
        // A partition holds a month, and what is older than the setting says is not shown.
        let since = filter.uses.since.unwrap_or(oldest).max(oldest);
        let uses = Filter { since: Some(since), ..filter.uses.clone() };
        let unused_since = filter.unused_days.map(|days| days_ago(days, self.now()));
        let resolved = Resolved { permissions, unused_since };
        let after = page.after.as_deref().map(cursor).transpose()?;
        let rows =
            usage::list(self.db.read(), target, (&uses, &resolved), after.as_ref(), page.rows(), &catalogue).await?;
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
