//! From the domain's values to the wire.

use jobpass_api as api;
use jobpass_app::{Answer, JobView, Minted, ShownTable};
use jobpass_domain::audit::AuditEvent;
use jobpass_domain::catalogue::{Catalogue, ResourceType};
use jobpass_domain::decision::Decision;
use jobpass_domain::grant::{SavedGrant, Source};
use jobpass_domain::group::Group;
use jobpass_domain::job::JobState;
use jobpass_domain::job_token::TokenInfo;
use jobpass_domain::live_secret::LiveSecret;
use jobpass_domain::permission::{Action, PermissionSet};
use jobpass_domain::project::Project;
use jobpass_domain::route::{Demand, Route, RouteTable, SavedTable};
use jobpass_domain::runner::Runner;
use jobpass_domain::service::Service;
use jobpass_domain::user::{Member, User, UserToken};
use jobpass_domain::{Reason, Secret};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The built-in table changes with the program alone.
const BUILT_IN_VERSION: i64 = 1;

pub(crate) fn group(group: &Group) -> api::Group {
    api::Group { id: group.id.0, path: group.path.clone(), floor: group.floor, created_at: group.created_at }
}

pub(crate) fn project(project: &Project) -> api::Project {
    api::Project {
        id: project.id.0,
        path: project.path.clone(),
        visibility: project.visibility,
        mode: project.mode,
        effective_mode: project.effective_mode(),
        protected_refs: project.protected_refs.clone(),
        protected_environments: project.protected_environments.clone(),
        created_at: project.created_at,
    }
}

pub(crate) fn member(member: &Member) -> api::Member {
    api::Member { user: member.name.to_string(), user_id: member.user.0, role: member.role, on: member.on.to_string() }
}

pub(crate) fn user(user: &User) -> api::User {
    api::User {
        id: user.id.0,
        name: user.name.to_string(),
        administrator: user.administrator,
        created_at: user.created_at,
    }
}

fn shown(secret: Option<&Secret>) -> Option<api::SecretText> {
    secret.map(|secret| api::SecretText::new(secret.expose()))
}

pub(crate) fn user_token(token: &UserToken, secret: Option<&Secret>) -> api::UserToken {
    api::UserToken {
        id: token.id.0,
        user_id: token.user.0,
        name: token.name.clone(),
        read_only: token.read_only,
        expires_at: token.expires_at,
        created_at: token.created_at,
        token: shown(secret),
    }
}

pub(crate) fn runner(runner: &Runner, secret: Option<&Secret>) -> api::Runner {
    let scope = |wanted: bool| if wanted { runner.scope_path.clone() } else { None };
    api::Runner {
        id: runner.id.0,
        name: runner.name.to_string(),
        project: scope(runner.scope.project_id().is_some()),
        group: scope(runner.scope.group_id().is_some()),
        protected: runner.protected,
        asserts_actor: runner.asserts_actor,
        paused: runner.paused,
        created_at: runner.created_at,
        token: shown(secret),
    }
}

pub(crate) fn service(service: &Service, secret: Option<&Secret>) -> api::Service {
    api::Service {
        client_id: service.id.0.simple().to_string(),
        name: service.name.to_string(),
        resources: service.resources.clone(),
        project: service.project_path.clone(),
        audience: service.audience.as_deref().map(str::to_owned),
        audience_required: service.audience_required,
        answer_seconds: service.answer_seconds,
        route_table: service.route_table.clone(),
        paused: service.paused,
        created_at: service.created_at,
        client_secret: shown(secret),
    }
}

pub(crate) fn live_secret(live: &LiveSecret, secret: Option<&Secret>) -> api::LiveSecret {
    api::LiveSecret { id: live.id.0, expires_at: live.expires_at, created_at: live.created_at, secret: shown(secret) }
}

pub(crate) fn grant(saved: &SavedGrant, catalogue: &Catalogue) -> api::Grant {
    let grant = &saved.grant;
    let conditions = &grant.conditions;
    let name = |slot| catalogue.get(slot).map(|resource| resource.name.clone());
    let (permissions, not_covered) = if saved.everything {
        (api::Permissions::Everything, catalogue.format(catalogue.everything().minus(grant.permissions)))
    } else {
        (api::Permissions::List(catalogue.format(grant.permissions)), vec![])
    };
    api::Grant {
        id: grant.id.0,
        source: source(saved),
        permissions,
        not_covered,
        conditions: api::Conditions {
            refs: conditions.refs.clone(),
            protected_refs_only: conditions.protected_refs_only,
            environments: conditions.environments.clone(),
            triggers: conditions.triggers.clone(),
            allow_forks: conditions.allow_forks,
            within_actor_role: conditions.within_actor_role,
            vouched_by: conditions.vouched_by,
        },
        selectors: grant
            .selectors
            .0
            .iter()
            .filter_map(|(slot, patterns)| Some((name(*slot)?, patterns.clone())))
            .collect(),
        expires_at: grant.expires_at,
        note: saved.note.clone(),
        created_by: saved.created_by.map(|user| user.0),
        created_at: saved.created_at,
        updated_at: saved.updated_at,
    }
}

fn source(saved: &SavedGrant) -> api::Source {
    let path = Some(saved.source_path.clone());
    match &saved.grant.source {
        Source::Project(id) => api::Source { project: path, group: None, id: id.0, except: vec![] },
        Source::Group { group, .. } => {
            api::Source { project: None, group: path, id: group.0, except: saved.except_paths.clone() }
        }
    }
}

pub(crate) fn minted(minted: &Minted) -> api::JobToken {
    api::JobToken {
        token: api::SecretText::new(minted.secret.expose()),
        id: minted.id.0,
        project_id: minted.project.0,
        pipeline_id: minted.pipeline.0,
        job_id: minted.job.0,
        permissions: minted.cap.clone(),
        expires_at: minted.expires_at,
    }
}

pub(crate) fn token_info(info: &TokenInfo) -> api::JobTokenInfo {
    api::JobTokenInfo {
        id: info.id.0,
        project_id: info.project.0,
        project: info.project_path.clone(),
        pipeline_id: info.pipeline.0,
        pipeline: info.pipeline_key.clone(),
        job_id: info.job.0,
        job: info.job_key.clone(),
        job_name: info.job_name.clone(),
        r#ref: info.ref_name.clone(),
        ref_type: info.ref_type,
        sha: info.sha.clone(),
        protected: info.protected,
        environment: info.environment.clone(),
        trigger: info.trigger,
        from_fork: info.from_fork,
        fork_source: info.fork_source.clone(),
        actor: info.actor.clone(),
        actor_claimed: info.actor_claimed.clone(),
        runner_id: info.runner.0,
        permissions: info.cap.clone(),
        audience: info.audience.clone(),
        parent_id: info.ancestors.last().map(|parent| parent.0),
        issued_at: info.issued_at,
        expires_at: info.expires_at,
    }
}

pub(crate) fn job(view: &JobView) -> api::JobInfo {
    let lease_until = match view.state {
        JobState::Running { lease_until, .. } => lease_until,
        JobState::Finished | JobState::Lost => None,
    };
    api::JobInfo {
        id: view.id.0,
        pipeline_id: view.pipeline.0,
        state: view.state.name().to_owned(),
        deadline_at: view.deadline_at,
        lease_until,
    }
}

/// Each refusal of a decision with its own reason.
pub(crate) fn reasons(decision: &Decision, catalogue: &Catalogue) -> Vec<api::Missing> {
    let refused = decision.outcomes.iter().filter(|(_, reason)| !reason.allows());
    refused
        .filter_map(|(one, reason)| {
            Some(api::Missing { permission: catalogue.name(*one)?, reason: reason.name().to_owned() })
        })
        .collect()
}

pub(crate) fn decision(answer: &Answer) -> api::Decision {
    let Answer { decision, catalogue, subject, by_route } = answer;
    api::Decision {
        allowed: decision.allowed,
        reason: decision.reason().unwrap_or(Reason::Unknown).name().to_owned(),
        missing: catalogue.expand(decision.missing()),
        would_deny: catalogue.expand(decision.would_deny()),
        anonymous: decision.anonymous,
        reasons: reasons(decision, catalogue),
        subject: subject.as_ref().map(|info| Box::new(self::subject(info))),
        permissions: by_route.as_ref().map(|asked| asked.permissions.clone()),
        project: by_route.as_ref().and_then(|asked| asked.project.clone()),
    }
}

fn subject(info: &TokenInfo) -> api::Subject {
    api::Subject {
        project_id: info.project.0,
        project: info.project_path.clone(),
        pipeline_id: info.pipeline.0,
        job_id: info.job.0,
        token_id: info.id.0,
        r#ref: info.ref_name.clone(),
        protected: info.protected,
    }
}

/// RFC 9396: what is held for any name, then what is held through each selector. A project in which nothing
/// is held, and one that does not exist, are answered alike.
pub(crate) fn authorization_details(
    project: &str,
    decision: &Decision,
    catalogue: &Catalogue,
) -> Vec<api::AuthorizationDetail> {
    let detail = |permissions: PermissionSet, selectors: BTreeMap<String, Vec<String>>| api::AuthorizationDetail {
        r#type: "jobpass_project".to_owned(),
        project: project.to_owned(),
        permissions: catalogue.expand(permissions),
        selectors,
    };
    let mut details = vec![detail(decision.effective, BTreeMap::new())];
    details.extend(decision.selected.iter().filter_map(|selected| {
        let resource = catalogue.get(selected.resource)?.name.clone();
        Some(detail(selected.permissions, BTreeMap::from([(resource, selected.patterns.clone())])))
    }));
    details
}

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

pub(crate) fn audit_event(event: &AuditEvent) -> api::AuditEvent {
    let json = |text: &Option<String>| text.as_deref().and_then(|text| serde_json::from_str(text).ok());
    api::AuditEvent {
        id: event.id.0,
        at: event.at,
        actor_kind: event.actor_kind.clone(),
        actor_id: event.actor,
        action: event.action.clone(),
        subject_kind: event.subject_kind.clone(),
        subject_id: event.subject,
        project_id: event.place.project_id(),
        group_id: event.place.group_id(),
        before: json(&event.before),
        after: json(&event.after),
        reason: event.reason.clone(),
        request_id: event.request_id,
    }
}

/// A list of the wire, from a page of the domain.
pub(crate) fn list<T, W>((rows, next): (Vec<T>, Option<String>), one: impl Fn(&T) -> W) -> api::List<W> {
    api::List { items: rows.iter().map(one).collect(), next }
}
