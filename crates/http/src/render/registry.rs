//! Groups, projects, people, and the callers that are not people; and the record of what they changed.

use super::client_id;
use jobpass_api as api;
use jobpass_domain::Secret;
use jobpass_domain::audit::AuditEvent;
use jobpass_domain::forward_auth::ForwardAuth;
use jobpass_domain::group::Group;
use jobpass_domain::live_secret::LiveSecret;
use jobpass_domain::project::Project;
use jobpass_domain::runner::Runner;
use jobpass_domain::service::Service;
use jobpass_domain::trust_rule::TrustRule;
use jobpass_domain::user::{Member, User, UserToken};

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

pub(crate) fn trust_rule(rule: &TrustRule) -> api::TrustRule {
    api::TrustRule {
        id: rule.id.0,
        project_id: rule.project.0,
        name: rule.name.to_string(),
        issuer: rule.issuer.to_string(),
        jwks_uri: rule.jwks_uri.as_deref().map(str::to_owned),
        ci: rule.ci,
        claims: rule.claims.clone(),
        permissions: rule.permissions.clone(),
        protected: rule.protected,
        excludes_forks: rule.excludes_forks,
        max_lifetime_secs: rule.max_lifetime_secs,
        paused: rule.paused,
        created_at: rule.created_at,
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
        forward_auth: service.forward_auth.as_ref().map(forward_auth),
        paused: service.paused,
        created_at: service.created_at,
        client_secret: shown(secret),
    }
}

fn forward_auth(set: &ForwardAuth) -> api::ForwardAuth {
    let draft = set.draft();
    api::ForwardAuth {
        source: set.source.kind(),
        method_header: draft.method_header,
        path_header: draft.path_header,
        permissions: draft.permissions,
        identity_headers: draft.identity_headers,
    }
}

pub(crate) fn live_secret(live: &LiveSecret, secret: Option<&Secret>) -> api::LiveSecret {
    api::LiveSecret { id: live.id.0, expires_at: live.expires_at, created_at: live.created_at, secret: shown(secret) }
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
