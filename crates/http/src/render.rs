//! From the domain's values to the wire.

use jobpass_api as api;
use jobpass_app::{
    Answer, Explained, Forecast, JobView, ListedUse, Minted, Rehearsal, SetApart, ShownTable, Suggested, Suggestion,
    Suggestions, Turn, UnknownUse, Unnamed,
};
use jobpass_domain::audit::{AuditEvent, Change};
use jobpass_domain::catalogue::{Catalogue, ResourceType};
use jobpass_domain::ceiling::{SavedCeiling, Side, When};
use jobpass_domain::decision::Decision;
use jobpass_domain::explain::{SmallestChange, WeighedCeiling, WeighedGrant};
use jobpass_domain::glob::Glob;
use jobpass_domain::grant::{Conditions, Grant, SavedGrant, Source};
use jobpass_domain::group::Group;
use jobpass_domain::ids::{CeilingId, ServiceId};
use jobpass_domain::job::JobState;
use jobpass_domain::job_token::TokenInfo;
use jobpass_domain::live_secret::LiveSecret;
use jobpass_domain::mode::Mode;
use jobpass_domain::permission::{Action, Permission, PermissionSet, Slot};
use jobpass_domain::project::Project;
use jobpass_domain::replay::Recorded;
use jobpass_domain::route::{Demand, Route, RouteTable, SavedTable};
use jobpass_domain::runner::Runner;
use jobpass_domain::service::Service;
use jobpass_domain::suggest::Evidence;
use jobpass_domain::text::{Label, Note};
use jobpass_domain::usage::What;
use jobpass_domain::user::{Member, User, UserToken};
use jobpass_domain::{Reason, Secret};
use std::collections::{BTreeMap, BTreeSet};
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
        client_id: client_id(service.id),
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
        conditions: self::conditions(&grant.conditions),
        selectors: selectors(grant, catalogue),
        expires_at: grant.expires_at,
        note: saved.note.clone(),
        last_needed_at: saved.last_needed_at,
        created_by: saved.created_by.map(|user| user.0),
        created_at: saved.created_at,
        updated_at: saved.updated_at,
    }
}

fn conditions(conditions: &Conditions) -> api::Conditions {
    api::Conditions {
        refs: conditions.refs.clone(),
        protected_refs_only: conditions.protected_refs_only,
        environments: conditions.environments.clone(),
        triggers: conditions.triggers.clone(),
        allow_forks: conditions.allow_forks,
        within_actor_role: conditions.within_actor_role,
        vouched_by: conditions.vouched_by,
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

pub(crate) fn ceilings(ceilings: &[SavedCeiling]) -> api::Ceilings {
    api::Ceilings { items: ceilings.iter().map(ceiling).collect() }
}

fn ceiling(saved: &SavedCeiling) -> api::Ceiling {
    let when = when(&saved.ceiling.when);
    api::Ceiling { id: saved.ceiling.id.0, side: saved.side, when, at_most: saved.at_most.clone() }
}

/// Grants as they could be put again, with nothing of their own.
pub(crate) fn written_grants(grants: &[SavedGrant], catalogue: &Catalogue) -> Vec<api::NewGrant> {
    grants.iter().map(|saved| written_grant(saved, catalogue)).collect()
}

fn written_grant(saved: &SavedGrant, catalogue: &Catalogue) -> api::NewGrant {
    let permissions = catalogue.format(saved.grant.permissions);
    let plain = new_grant(&saved.grant.source, &saved.source_path, permissions, &saved.grant.conditions);
    let except = saved.except_paths.iter().filter_map(|path| Label::parse(path.clone()).ok()).collect();
    api::NewGrant {
        source: api::NewSource { except, ..plain.source },
        permissions: if saved.everything { api::Permissions::Everything } else { plain.permissions },
        selectors: selectors(&saved.grant, catalogue),
        expires_at: saved.grant.expires_at,
        note: Some(saved.note.clone()).filter(|note| !note.is_empty()).and_then(|note| Note::parse(note).ok()),
        ..plain
    }
}

pub(crate) fn written_ceilings(ceilings: &[SavedCeiling]) -> Vec<api::NewCeiling> {
    let written = |saved: &SavedCeiling| {
        let api::Ceiling { id: _, side, when, at_most } = ceiling(saved);
        api::NewCeiling { id: None, side, when, at_most }
    };
    ceilings.iter().map(written).collect()
}

fn when(when: &When) -> api::When {
    let When { refs, protected, environments, triggers, from_fork, vouched_by } = when.clone();
    api::When { refs, protected, environments, triggers, from_fork, vouched_by }
}

/// A service's id as it is known to the service: 32 hexadecimal digits.
fn client_id(id: ServiceId) -> String {
    id.0.simple().to_string()
}

pub(crate) fn usage_entry(listed: &ListedUse) -> api::UsageEntry {
    let ListedUse { recorded: Recorded { used, tally }, source_path, permission } = listed;
    let run = &used.run;
    api::UsageEntry {
        source_project_id: used.source.0,
        source: source_path.clone(),
        permission: permission.clone(),
        service_id: match used.what {
            What::Named(_) => None,
            What::Unnamed(service) => Some(client_id(service)),
        },
        verdict: if used.verdict.allowed { "allowed" } else { "denied" }.to_owned(),
        reason: used.verdict.reason.map(|reason| reason.name().to_owned()),
        would_deny: used.verdict.would_deny,
        r#ref: run.ref_name.clone(),
        ref_type: run.ref_type,
        protected: run.protected,
        environment: run.environment.clone(),
        trigger: run.trigger,
        from_fork: run.from_fork,
        minted_by: run.minted_by,
        actor_role: used.actor_role,
        resource_name: used.resource_name.clone(),
        count: tally.count,
        first_seen_at: tally.first_at,
        last_seen_at: tally.last_at,
        last_job_id: tally.last_job.0,
    }
}

pub(crate) fn dry_run<T>(rehearsal: &Rehearsal<T>) -> api::DryRun {
    let json = |text: &Option<String>| text.as_deref().and_then(|text| serde_json::from_str(text).ok());
    let planned = |change: &Change| api::PlannedChange {
        action: change.action.to_owned(),
        subject_kind: change.subject_kind.to_owned(),
        subject_id: change.subject,
        project_id: change.place.project_id(),
        group_id: change.place.group_id(),
        before: json(&change.before),
        after: json(&change.after),
    };
    let changes = rehearsal.changes.iter().map(planned).collect();
    api::DryRun { dry_run: true, changes, impact: impact(&rehearsal.forecast), after: None }
}

pub(crate) fn impact(forecast: &Forecast) -> api::Impact {
    api::Impact {
        window_days: forecast.window_days,
        would_refuse: forecast.would_refuse.iter().map(turned).collect(),
        would_allow: forecast.would_allow.iter().map(turned).collect(),
        unknown: forecast.unknown.iter().map(unknown_use).collect(),
        left_out: forecast.left_out,
    }
}

pub(crate) fn suggestions(found: &Suggestions) -> api::Suggestions {
    let apart = |rows: &[SetApart]| rows.iter().map(|one| set_apart(one, &found.catalogue)).collect();
    api::Suggestions {
        window_days: found.basis.window_days,
        fold: found.basis.fold,
        items: found.items.iter().map(|one| suggestion(one, &found.catalogue)).collect(),
        denied: apart(&found.denied),
        forks: apart(&found.forks),
        under_ceilings: apart(&found.under_ceilings),
        unnamed: found.unnamed.iter().map(unnamed).collect(),
    }
}

fn suggestion(suggestion: &Suggestion, catalogue: &Catalogue) -> api::Suggestion {
    let plain = |action: &str| api::Suggestion {
        id: suggestion.id.clone(),
        action: action.to_owned(),
        new_grant: None,
        lets_in: None,
        evidence: None,
        grant: None,
        keeps: None,
        unused: None,
    };
    let unused = |saved: &SavedGrant, keeps| Some(catalogue.format(saved.grant.permissions.minus(keeps)));
    match &suggestion.what {
        Suggested::Grant { source, source_path, permissions, conditions, lets_in, evidence } => api::Suggestion {
            new_grant: Some(new_grant(source, source_path, catalogue.format(*permissions), conditions)),
            lets_in: matches!(source, Source::Group { .. }).then(|| lets_in.clone()),
            evidence: Some(self::evidence(evidence, catalogue)),
            ..plain("create")
        },
        Suggested::Narrow { grant: saved, keeps } => api::Suggestion {
            grant: Some(grant(saved, catalogue)),
            keeps: Some(catalogue.format(*keeps)),
            unused: unused(saved, *keeps),
            ..plain("narrow")
        },
        Suggested::Delete { grant: saved } => api::Suggestion {
            grant: Some(grant(saved, catalogue)),
            unused: unused(saved, PermissionSet::EMPTY),
            ..plain("delete")
        },
    }
}

pub(crate) fn explanation(told: &Explained) -> api::Explanation {
    let Explained { explanation, catalogue, .. } = told;
    let decision = &explanation.decision;
    let outcome = |(one, reason): &(Permission, Reason)| {
        Some(api::Missing { permission: catalogue.name(*one)?, reason: reason.name().to_owned() })
    };
    api::Explanation {
        allowed: decision.allowed,
        reason: decision.reason().unwrap_or(Reason::Unknown).name().to_owned(),
        missing: catalogue.expand(decision.missing()),
        would_deny: catalogue.expand(decision.would_deny()),
        anonymous: decision.anonymous,
        mode: told.mode,
        protected: told.protected,
        actor_role: told.actor_role,
        outcomes: decision.outcomes.iter().filter_map(outcome).collect(),
        steps: steps(told),
        grants: explanation.grants.iter().filter_map(|weighed| weighed_grant(weighed, told)).collect(),
        ceilings: explanation.ceilings.iter().map(|weighed| weighed_ceiling(weighed, told)).collect(),
        smallest_change: explanation.smallest_change.as_ref().map(|change| smallest_change(change, told)),
    }
}

/// The steps of the decision, in its order and in words.
fn steps(told: &Explained) -> Vec<api::Step> {
    let steps = &told.explanation.steps;
    let held = told.asked.minus(told.explanation.decision.missing());
    let step = |step: &str, detail: String, set: PermissionSet| api::Step {
        step: step.to_owned(),
        detail,
        permissions: told.catalogue.expand(set),
    };
    let role = match told.actor_role {
        Some(role) => format!("the role {} of the actor allows this", role.name()),
        None => "no vouched-for actor with a role here".to_owned(),
    };
    let mode = match told.mode {
        Mode::Enforced => "enforced: granted and for anyone count",
        Mode::Audit => "audit: granted, for anyone and inherited count; what enforced would refuse is marked",
        Mode::Legacy => "legacy: granted, for anyone and inherited count",
    };
    vec![
        step("token", "a live token without a cap is assumed".to_owned(), told.asked),
        step(
            "audience",
            "a token for any service is assumed, and one that is shown every resource type".to_owned(),
            told.asked,
        ),
        step("granted", "the union of all grants whose source, conditions and names match".to_owned(), steps.granted),
        step("anyone", "what the project's visibility gives to anyone".to_owned(), steps.anyone),
        step("inherited", role, steps.inherited),
        step("mode", mode.to_owned(), steps.by_mode),
        step("ceilings", "what every ceiling that applies leaves".to_owned(), steps.ceilings_leave),
        step("answer", "what is allowed of what was asked".to_owned(), held),
    ]
}

fn weighed_grant(weighed: &WeighedGrant, told: &Explained) -> Option<api::WeighedGrant> {
    let (saved, on) = told.grants.get(&weighed.grant.0)?;
    let verdict = if weighed.lists.is_empty() {
        "not_asked"
    } else if weighed.expired {
        "expired"
    } else if !weighed.failed.is_empty() {
        "failed"
    } else if weighed.gives.is_empty() {
        "other_name"
    } else {
        "matched"
    };
    Some(api::WeighedGrant {
        id: weighed.grant.0,
        on: on.clone(),
        source: saved.source_path.clone(),
        verdict: verdict.to_owned(),
        gives: told.catalogue.expand(weighed.gives),
        failed: weighed.failed.iter().map(|one| Reason::Condition(*one).name().to_owned()).collect(),
        note: saved.note.clone(),
    })
}

fn weighed_ceiling(weighed: &WeighedCeiling, told: &Explained) -> api::WeighedCeiling {
    let known = told.ceilings.get(&weighed.ceiling);
    api::WeighedCeiling {
        id: weighed.ceiling.0,
        side: known.map_or(Side::Source, |(_, saved)| saved.side),
        on: known.map(|(path, _)| path.clone()),
        applies: weighed.applies,
        when: known.map(|(_, saved)| self::when(&saved.ceiling.when)),
        takes: told.catalogue.expand(weighed.takes),
    }
}

fn smallest_change(change: &SmallestChange, told: &Explained) -> api::SmallestChange {
    let raise = |(id, permissions): &(CeilingId, PermissionSet)| api::RaiseCeiling {
        id: id.0,
        permissions: told.catalogue.expand(*permissions),
    };
    let grant = |grant: &Grant| {
        let permissions = told.catalogue.format(grant.permissions);
        let selectors = selectors(grant, &told.catalogue);
        api::NewGrant { selectors, ..new_grant(&grant.source, &told.source_path, permissions, &grant.conditions) }
    };
    api::SmallestChange {
        raise_ceilings: change.raise.iter().map(raise).collect(),
        new_grant: change.grant.as_ref().map(grant),
    }
}

fn selectors(grant: &Grant, catalogue: &Catalogue) -> BTreeMap<String, Vec<Glob>> {
    let named = |(slot, patterns): (&Slot, &Vec<Glob>)| Some((catalogue.get(*slot)?.name.clone(), patterns.clone()));
    grant.selectors.0.iter().filter_map(named).collect()
}

/// As it could be posted.
pub(crate) fn new_grant(
    source: &Source,
    path: &str,
    permissions: Vec<String>,
    conditions: &Conditions,
) -> api::NewGrant {
    let path = Label::parse(path.to_owned()).ok();
    let (project, group) = match source {
        Source::Project(_) => (path, None),
        Source::Group { .. } => (None, path),
    };
    api::NewGrant {
        source: api::NewSource { project, group, except: vec![], id: None },
        permissions: api::Permissions::List(permissions),
        conditions: self::conditions(conditions),
        selectors: BTreeMap::new(),
        expires_at: None,
        note: None,
    }
}

fn evidence(evidence: &Evidence, catalogue: &Catalogue) -> api::Evidence {
    let texts = |set: &BTreeSet<String>| set.iter().cloned().collect();
    let permissions = evidence.permissions.iter().filter_map(|(permission, tally)| {
        Some(api::PermissionUse {
            permission: catalogue.name(*permission)?,
            count: tally.count,
            last_seen_at: tally.last_at,
        })
    });
    api::Evidence {
        count: evidence.tally.count,
        first_seen_at: evidence.tally.first_at,
        last_seen_at: evidence.tally.last_at,
        last_job_id: evidence.tally.last_job.0,
        permissions: permissions.collect(),
        refs: texts(&evidence.refs),
        environments: texts(&evidence.environments),
        resource_names: texts(&evidence.resource_names),
    }
}

fn set_apart(one: &SetApart, catalogue: &Catalogue) -> api::SetApart {
    api::SetApart {
        source_project_id: one.source.0,
        source: one.source_path.clone(),
        permission: catalogue.name(one.permission).unwrap_or_default(),
        evidence: evidence(&one.evidence, catalogue),
    }
}

fn unnamed(one: &Unnamed) -> api::UnnamedUse {
    api::UnnamedUse {
        source_project_id: one.source.0,
        source: one.source_path.clone(),
        service_id: client_id(one.service),
        count: one.tally.count,
        last_seen_at: one.tally.last_at,
        last_job_id: one.tally.last_job.0,
    }
}

fn turned(turn: &Turn) -> api::TurnedUse {
    api::TurnedUse {
        project_id: turn.target.0,
        project: turn.target_path.clone(),
        source_project_id: turn.source.0,
        source: turn.source_path.clone(),
        permission: turn.permission.clone(),
        reasons: turn.reasons.iter().map(|reason| (*reason).to_owned()).collect(),
        count: turn.tally.count,
        first_seen_at: turn.tally.first_at,
        last_seen_at: turn.tally.last_at,
        last_job_id: turn.tally.last_job.0,
    }
}

fn unknown_use(unknown: &UnknownUse) -> api::UnknownUse {
    api::UnknownUse {
        project_id: unknown.target.0,
        project: unknown.target_path.clone(),
        source_project_id: unknown.source.0,
        source: unknown.source_path.clone(),
        service_id: client_id(unknown.service),
        could_lose: unknown.could_lose.clone(),
        count: unknown.tally.count,
        last_seen_at: unknown.tally.last_at,
        last_job_id: unknown.tally.last_job.0,
    }
}

/// A list of the wire, from a page of the domain.
pub(crate) fn list<T, W>((rows, next): (Vec<T>, Option<String>), one: impl Fn(&T) -> W) -> api::List<W> {
    api::List { items: rows.iter().map(one).collect(), next }
}
