//! Why a job would be told yes or no.

use super::rule::{new_grant, selectors, when};
use jobpass_api as api;
use jobpass_app::Explained;
use jobpass_domain::Reason;
use jobpass_domain::ceiling::Side;
use jobpass_domain::explain::{SmallestChange, WeighedCeiling, WeighedGrant};
use jobpass_domain::grant::Grant;
use jobpass_domain::ids::CeilingId;
use jobpass_domain::mode::Mode;
use jobpass_domain::permission::{Permission, PermissionSet};

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
    let ceilings = if told.source_seen {
        "what every ceiling that applies leaves"
    } else {
        "what every ceiling that applies leaves; the source's own ceilings are not told, and may leave less"
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
        step("ceilings", ceilings.to_owned(), steps.ceilings_leave),
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
        when: known.map(|(_, saved)| when(&saved.ceiling.when)),
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
