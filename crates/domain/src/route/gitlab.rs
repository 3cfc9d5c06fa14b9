//! The table that is built in: what GitLab's routes demand. `gitlab_routes.csv` holds GitLab's facts, and
//! beside them what was reviewed here: the permissions, the project and the name.

use super::row::DraftRoute;
use super::table::RouteTable;
use crate::catalogue::Catalogue;
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

/// The name of the table, which nobody else can take.
pub const GITLAB: &str = "gitlab";
const BASE: &str = "/api/v4";
const ROWS: &str = include_str!("../gitlab_routes.csv");

static TABLE: LazyLock<Arc<RouteTable>> = LazyLock::new(|| {
    let drafts: Vec<_> = ROWS.lines().skip(1).filter_map(draft).collect();
    // A test holds that it has no fault. With one it would be empty, and every route refused.
    Arc::new(RouteTable::read(Some(BASE), &drafts, &Catalogue::default()).unwrap_or_default())
});

pub fn gitlab() -> Arc<RouteTable> {
    Arc::clone(&TABLE)
}

pub(super) fn draft(row: &str) -> Option<DraftRoute> {
    let columns: Vec<_> = row.split(',').collect();
    let [resource, _, _, method, path, actions, project, name, slash] = *columns.as_slice() else { return None };
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Some(DraftRoute {
        method: method.to_owned(),
        path: path.to_owned(),
        permissions: (actions != "refused").then(|| actions.split('+').map(str::to_owned).collect()),
        refused: actions == "refused",
        project: some(project),
        resource_names: some(name).map(|name| (resource.to_owned(), name)).into_iter().collect::<BTreeMap<_, _>>(),
        encoded_slash: some(slash).into_iter().collect(),
    })
}

#[cfg(test)]
pub(super) fn drafts() -> Vec<DraftRoute> {
    ROWS.lines().skip(1).map(|row| draft(row).unwrap()).collect()
}
