//! What can be permitted, and by which routes.

use jobpass_api as api;
use jobpass_app::ShownTable;
use jobpass_domain::catalogue::{Catalogue, ResourceType};
use jobpass_domain::permission::{Action, PermissionSet};
use jobpass_domain::route::{Demand, Route, RouteTable, SavedTable};
use std::sync::Arc;

/// The built-in table changes with the program alone.
const BUILT_IN_VERSION: i64 = 1;

pub(crate) fn catalogue(catalogue: &Catalogue, tables: &[(String, Arc<RouteTable>)]) -> api::Catalogue {
    let resources: Vec<_> = catalogue.types().iter().map(|resource| self::resource(resource, catalogue)).collect();
    let routes: Vec<_> = tables.iter().flat_map(|(name, table)| routes(name, table, catalogue)).collect();
    api::Catalogue {
        version: crate::etag::tag(&(&resources, &routes)),
        actions: Action::ALL.iter().map(|action| action.name().to_owned()).collect(),
        resources,
        routes,
    }
}

fn routes(name: &str, table: &RouteTable, catalogue: &Catalogue) -> Vec<api::Route> {
    table.routes().iter().map(|one| route(name, one, catalogue)).collect()
}

fn route(table: &str, route: &Route, catalogue: &Catalogue) -> api::Route {
    let (permissions, controllable) = match route.demand {
        Demand::Permissions(demanded) => (catalogue.expand(demanded), true),
        Demand::Refused => (vec![], false),
    };
    let name = |slot| catalogue.get(slot).map(|resource| resource.name.clone());
    let names = route.names.iter().filter_map(|(slot, name_of)| Some((name(*slot)?, name_of.as_str().to_owned())));
    api::Route {
        table: table.to_owned(),
        method: route.method.clone(),
        path: route.path().to_owned(),
        permissions,
        project: route.project.clone(),
        resource_names: names.collect(),
        controllable,
    }
}

pub(crate) fn route_table_summary((name, kept): &(String, Option<SavedTable>)) -> api::RouteTableSummary {
    api::RouteTableSummary {
        name: name.clone(),
        version: kept.as_ref().map_or(BUILT_IN_VERSION, |kept| kept.version),
        built_in: kept.is_none(),
        created_at: kept.as_ref().map(|kept| kept.created_at),
        updated_at: kept.as_ref().map(|kept| kept.updated_at),
    }
}

pub(crate) fn route_table(shown: &ShownTable, catalogue: &Catalogue) -> api::RouteTable {
    let saved = shown.kept.as_ref().map(|kept| kept.saved.clone());
    let summary = route_table_summary(&(shown.name.clone(), saved));
    api::RouteTable {
        routes: routes(&shown.name, &shown.table, catalogue),
        name: summary.name,
        version: summary.version,
        built_in: summary.built_in,
        base: shown.table.base.clone(),
        yaml: shown.kept.as_ref().map(|kept| kept.yaml.clone()),
        created_at: summary.created_at,
        updated_at: summary.updated_at,
    }
}

pub(crate) fn resource(resource: &ResourceType, catalogue: &Catalogue) -> api::Resource {
    let aliases = resource.aliases().into_iter().map(|(alias, permission)| api::Alias { alias, permission });
    api::Resource {
        name: resource.name.clone(),
        description: resource.description.clone(),
        since: resource.since.clone(),
        name_form: resource.name_form.clone(),
        permissions: catalogue.expand(PermissionSet::admin(resource.slot)),
        aliases: aliases.collect(),
        operator_defined: resource.operator_defined,
    }
}
