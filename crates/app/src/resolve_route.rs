//! A question by method and path is made one by permissions: all that the route demands, in the project that
//! the path, the call and the service agree on. Whatever nobody described is refused here.

use crate::{App, Ask, Refusal, ServiceCaller};
use jobpass_domain::path::is_same_key;
use jobpass_domain::route::{Demand, Matched, NoMatch, RoutePath};
use jobpass_domain::text::Label;
use jobpass_domain::{Catalogue, PermissionSet, Secret};
use jobpass_persistence::project;
use std::collections::BTreeMap;

/// What a service was asked to do, as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AskedRoute {
    pub method: String,
    /// Raw, from the first `/`, with the query if there is one.
    pub path: String,
}

impl App {
    /// `None`: the question names permissions itself.
    pub(crate) async fn resolve_route(&self, caller: &ServiceCaller, ask: &Ask) -> Result<Option<Ask>, Refusal> {
        let Some(asked) = &ask.route else { return Ok(None) };
        let path =
            RoutePath::parse(&asked.path).map_err(|bad| Refusal::invalid("/path", "bad_path", bad.to_string()))?;
        let table = self.route_table(&caller.service.route_table).await?;
        let matched = table.find(&asked.method, &path).map_err(unmatched)?;
        let Demand::Permissions(demanded) = matched.route.demand else {
            let detail = "no permission governs this route, so it is never allowed";
            return Err(Refusal::invalid("/path", "uncontrollable_route", detail));
        };
        let catalogue = self.catalogue();
        let project = self.one_project(caller, ask.project.as_deref(), matched.project.as_deref()).await?;
        let permissions = catalogue.expand(demanded);
        let (resource_name, resource_names) = names(ask, &matched, demanded, &catalogue)?;
        let token = Secret::new(ask.token.expose().to_owned());
        Ok(Some(Ask {
            token,
            project,
            permissions,
            resource_name,
            resource_names,
            route: ask.route.clone(),
            keep: ask.keep,
        }))
    }

    /// The project named by the call, the path and the service's registration, which must be one.
    async fn one_project(
        &self,
        caller: &ServiceCaller,
        called: Option<&str>,
        in_path: Option<&str>,
    ) -> Result<Option<String>, Refusal> {
        let own = caller.service.project.map(|id| id.to_string());
        let fault = |pointer, detail| Refusal::invalid(pointer, "other_project", detail);
        if let (Some(called), Some(in_path)) = (called, in_path)
            && !self.is_same_project(called, in_path).await?
        {
            return Err(fault("/project", "the path names another project"));
        }
        for (pointer, named) in [("/project", called), ("/path", in_path)] {
            if let (Some(named), Some(own)) = (named, &own)
                && !self.is_same_project(named, own).await?
            {
                return Err(fault(pointer, "this service is registered for one project, and it is not this one"));
            }
        }
        Ok(own.or_else(|| in_path.or(called).map(str::to_owned)))
    }

    /// Paths and ids name the same project when they lead to it now. Two that lead nowhere are not the same.
    async fn is_same_project(&self, one: &str, other: &str) -> Result<bool, Refusal> {
        if is_same_key(one, other) {
            return Ok(true);
        }
        let one = project::find(self.db.read(), one).await?.map(|project| project.id);
        let other = project::find(self.db.read(), other).await?.map(|project| project.id);
        Ok(one.is_some() && one == other)
    }
}

fn unmatched(why: NoMatch) -> Refusal {
    match why {
        NoMatch::Unknown => {
            Refusal::invalid("/path", "unknown_route", "no route of the service's table has this method and path")
        }
        NoMatch::EncodedSlash => Refusal::invalid(
            "/path",
            "bad_path",
            "`%2F` stands only in the project, in globs, and where the route says so",
        ),
    }
}

/// The short name and the names by resource type: those that the path gives, beside those that the call gives.
/// What both name must be the same.
fn names(
    ask: &Ask,
    matched: &Matched<'_>,
    demanded: PermissionSet,
    catalogue: &Catalogue,
) -> Result<(Option<String>, BTreeMap<String, String>), Refusal> {
    let (mut short, mut names) = (ask.resource_name.clone(), ask.resource_names.clone());
    let one_resource = demanded.resources().count() == 1;
    for (slot, name) in &matched.names {
        let Some(resource) = catalogue.get(*slot) else { continue };
        // As a name that is sent by itself.
        Label::parse(name.clone()).map_err(|error| Refusal::invalid("/path", "bad_name", error.to_string()))?;
        let other = |called: Option<&String>| called.is_some_and(|called| called != name);
        let fault = |pointer: String| Refusal::invalid(pointer, "other_name", format!("the path names {name}"));
        if other(names.get(&resource.name)) {
            return Err(fault(format!("/resource_names/{}", resource.name)));
        }
        // Of several resource types the short form cannot speak; that is told where names are read.
        if let Some(called) = short.take_if(|_| one_resource)
            && called != *name
        {
            return Err(fault("/resource_name".to_owned()));
        }
        names.insert(resource.name.clone(), name.clone());
    }
    Ok((short, names))
}
