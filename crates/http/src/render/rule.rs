//! Grants and ceilings, as they are shown and as they could be sent.

use jobpass_api as api;
use jobpass_domain::catalogue::Catalogue;
use jobpass_domain::ceiling::{SavedCeiling, When};
use jobpass_domain::glob::Glob;
use jobpass_domain::grant::{Conditions, Grant, SavedGrant, Source};
use jobpass_domain::permission::Slot;
use jobpass_domain::text::{Label, Note};
use std::collections::BTreeMap;

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

pub(super) fn conditions(conditions: &Conditions) -> api::Conditions {
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

pub(super) fn selectors(grant: &Grant, catalogue: &Catalogue) -> BTreeMap<String, Vec<Glob>> {
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

pub(crate) fn ceilings(ceilings: &[SavedCeiling]) -> api::Ceilings {
    api::Ceilings { items: ceilings.iter().map(ceiling).collect() }
}

fn ceiling(saved: &SavedCeiling) -> api::Ceiling {
    let when = when(&saved.ceiling.when);
    api::Ceiling { id: saved.ceiling.id.0, side: saved.side, when, at_most: saved.at_most.clone() }
}

pub(crate) fn written_ceilings(ceilings: &[SavedCeiling]) -> Vec<api::NewCeiling> {
    let written = |saved: &SavedCeiling| {
        let api::Ceiling { id: _, side, when, at_most } = ceiling(saved);
        api::NewCeiling { id: None, side, when, at_most }
    };
    ceilings.iter().map(written).collect()
}

pub(super) fn when(when: &When) -> api::When {
    let When { refs, protected, environments, triggers, from_fork, vouched_by } = when.clone();
    api::When { refs, protected, environments, triggers, from_fork, vouched_by }
}
