//! What was seen, what a change would do to it, and what is suggested from it.

use super::{client_id, grant, new_grant};
use jobpass_api as api;
use jobpass_app::{
    Forecast, ListedUse, Rehearsal, SetApart, Suggested, Suggestion, Suggestions, Turn, UnknownUse, UnknownWhat,
    Unnamed,
};
use jobpass_domain::audit::Change;
use jobpass_domain::catalogue::Catalogue;
use jobpass_domain::grant::{SavedGrant, Source};
use jobpass_domain::permission::PermissionSet;
use jobpass_domain::replay::Recorded;
use jobpass_domain::suggest::Evidence;
use jobpass_domain::usage::What;
use std::collections::BTreeSet;

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

fn turned(turn: &Turn) -> api::TurnedUse {
    api::TurnedUse {
        project_id: turn.target.as_ref().map(|(id, _)| id.0),
        project: turn.target.as_ref().map(|(_, path)| path.clone()),
        source_project_id: turn.source.0,
        source: turn.source_path.clone(),
        permission: turn.permission.clone(),
        from_fork: turn.from_fork,
        reasons: turn.reasons.iter().map(|reason| (*reason).to_owned()).collect(),
        count: turn.tally.count,
        first_seen_at: turn.tally.first_at,
        last_seen_at: turn.tally.last_at,
        last_job_id: turn.tally.last_job.0,
    }
}

fn unknown_use(unknown: &UnknownUse) -> api::UnknownUse {
    let (service_id, permission) = match &unknown.what {
        UnknownWhat::Shown(service) => (Some(client_id(*service)), None),
        UnknownWhat::Coarsened(permission) => (None, Some(permission.clone())),
    };
    api::UnknownUse {
        project_id: unknown.target.as_ref().map(|(id, _)| id.0),
        project: unknown.target.as_ref().map(|(_, path)| path.clone()),
        source_project_id: unknown.source.0,
        source: unknown.source_path.clone(),
        service_id,
        permission,
        could_lose: unknown.could_lose.clone(),
        count: unknown.tally.count,
        last_seen_at: unknown.tally.last_at,
        last_job_id: unknown.tally.last_job.0,
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
        unclear: apart(&found.unclear),
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
