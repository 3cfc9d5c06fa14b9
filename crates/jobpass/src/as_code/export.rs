//! The file from what is there.

use super::Failure;
use super::entry::Entry;
use super::server::Server;
use super::write;
use jobpass_api::NewRouteTable;
use jobpass_domain::Path;
use std::collections::BTreeMap;

/// What is asked for; nothing: all that the caller maintains.
pub(super) struct Asked<'a> {
    /// With all that lies under them.
    pub groups: &'a [Path],
    pub projects: &'a [Path],
}

pub(super) async fn export(asked: &Asked<'_>, server: &Server) -> Result<String, Failure> {
    let all = asked.groups.is_empty() && asked.projects.is_empty();
    let under = |path: &Path| all || asked.groups.iter().any(|group| path == group || lies_under(path, group));
    let seen = server.groups().await?.into_iter().map(|group| group.path);
    let groups = entries(seen.filter(&under).collect(), asked.groups, server).await?;
    let seen = server.projects().await?.into_iter().map(|project| project.path);
    let projects = seen.filter(|path| under(path) || asked.projects.contains(path)).collect();
    let projects = entries(projects, asked.projects, server).await?;
    let routes = if all { tables(server).await? } else { BTreeMap::new() };
    write::file(&groups, &projects, &routes)
}

/// Those that the caller maintains; of what was asked for by name, a refusal is told.
async fn entries<C: Entry>(
    mut paths: Vec<Path>,
    named: &[Path],
    server: &Server,
) -> Result<BTreeMap<Path, C>, Failure> {
    paths.extend(named.iter().cloned());
    paths.sort();
    paths.dedup();
    let mut entries = BTreeMap::new();
    for path in paths {
        let asked_for = named.contains(&path);
        match server.configuration::<C>(&path).await {
            Ok(Some(found)) => drop(entries.insert(path, found.value)),
            Ok(None) if asked_for => return Err(Failure::None { called: C::called(&path) }),
            Ok(None) => {}
            Err(error) if error.status() == Some(403) && !asked_for => {}
            Err(error) => return Err(server.failed(&C::called(&path), &error)),
        }
    }
    Ok(entries)
}

async fn tables(server: &Server) -> Result<BTreeMap<String, NewRouteTable>, Failure> {
    let mut tables = BTreeMap::new();
    for name in server.own_tables().await? {
        if let Some(written) = server.table(&name).await?.and_then(|table| table.written) {
            tables.insert(name, written);
        }
    }
    Ok(tables)
}

fn lies_under(path: &Path, group: &Path) -> bool {
    path.as_str().strip_prefix(group.as_str()).is_some_and(|rest| rest.starts_with('/'))
}
