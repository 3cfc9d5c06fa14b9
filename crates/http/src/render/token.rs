//! Job tokens, jobs, and what services are told about them.

use http::{HeaderName, HeaderValue};
use jobpass_api as api;
use jobpass_app::{Answer, JobView, Keep, Minted};
use jobpass_domain::Reason;
use jobpass_domain::authorization_detail::ShownDetail;
use jobpass_domain::catalogue::Catalogue;
use jobpass_domain::decision::Decision;
use jobpass_domain::job::JobState;
use jobpass_domain::job_token::TokenInfo;
use jobpass_domain::permission::PermissionSet;
use std::collections::BTreeMap;
use std::time::Duration;

/// The type of our authorization details (RFC 9396, section 2).
const JOBPASS_PROJECT: &str = "jobpass_project";

pub(crate) fn minted(minted: &Minted) -> api::JobToken {
    api::JobToken {
        token: api::SecretText::new(minted.secret.expose()),
        id: minted.id.0,
        project_id: minted.project.0,
        pipeline_id: minted.pipeline.0,
        job_id: minted.job.0,
        permissions: minted.cap.clone(),
        authorization_details: confined(minted.details.as_deref()),
        expires_at: minted.expires_at,
    }
}

/// RFC 9396: what a token is confined to, project by project.
pub(crate) fn confined(details: Option<&[ShownDetail]>) -> Option<Vec<api::AuthorizationDetail>> {
    let detail = |one: &ShownDetail| api::AuthorizationDetail {
        r#type: JOBPASS_PROJECT.to_owned(),
        project: one.project.clone(),
        permissions: one.permissions.clone(),
        selectors: BTreeMap::new(),
    };
    details.map(|details| details.iter().map(detail).collect())
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
        runner_id: info.minter.runner_id(),
        trust_rule_id: info.minter.trust_rule_id(),
        permissions: info.cap.clone(),
        authorization_details: confined(info.details.as_deref()),
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
    let Answer { decision, catalogue, by_route, keep, .. } = answer;
    let subject = answer.subject();
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
        keep: keep.as_ref().map(|keep| Box::new(self::keep(keep))),
    }
}

fn keep(keep: &Keep) -> api::Keep {
    api::Keep { as_of: keep.as_of, for_ms: milliseconds(keep.time), tags: keep.tags.clone() }
}

/// Asks for it, and tells it, where the body has no place for it.
pub(crate) const KEEP: HeaderName = HeaderName::from_static("jobpass-keep");

/// The same as a header (RFC 9651).
pub(crate) fn keep_header(keep: &Keep) -> Option<HeaderValue> {
    let api::Keep { as_of, for_ms, tags } = self::keep(keep);
    let tags: Vec<String> = tags.iter().map(|tag| format!("\"{tag}\"")).collect();
    HeaderValue::try_from(format!("as-of={as_of}, for-ms={for_ms}, tags=({})", tags.join(" "))).ok()
}

pub(crate) fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
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
        r#type: JOBPASS_PROJECT.to_owned(),
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
