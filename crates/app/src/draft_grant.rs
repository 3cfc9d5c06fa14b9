//! From what a maintainer wrote to a grant: every name resolved, every fault at its pointer.

use crate::manage_users::future;
use crate::refusal::escape;
use crate::{App, Fault, GrantPlace, Refusal};
use jobpass_domain::Catalogue;
use jobpass_domain::glob::Glob;
use jobpass_domain::grant::{Conditions, Grant, Selectors, Source};
use jobpass_domain::ids::GrantId;
use jobpass_domain::permission::PermissionSet;
use jobpass_domain::place::Place;
use jobpass_persistence::grant;
use std::collections::BTreeMap;
use time::OffsetDateTime;
use uuid::Uuid;

#[derive(Clone, Debug)]
pub struct DraftGrant {
    pub source: DraftSource,
    pub permissions: DraftPermissions,
    pub conditions: Conditions,
    /// Resource type to patterns.
    pub selectors: BTreeMap<String, Vec<Glob>>,
    pub expires_at: Option<OffsetDateTime>,
    pub note: String,
}

/// Paths or ids, as they were written.
#[derive(Clone, Debug)]
pub struct DraftSource {
    pub project: Option<String>,
    pub group: Option<String>,
    pub except: Vec<String>,
    /// The id that project or group must have.
    pub id: Option<Uuid>,
}

#[derive(Clone, Debug)]
pub enum DraftPermissions {
    Everything,
    List(Vec<String>),
}

/// A draft that holds: a grant, but for its id, which is nil.
#[derive(Clone, Debug)]
pub(crate) struct Checked {
    pub(crate) grant: Grant,
    pub(crate) everything: bool,
    pub(crate) note: String,
}

impl Checked {
    pub(crate) fn with_id(mut self, id: GrantId) -> Checked {
        self.grant.id = id;
        self
    }
}

impl App {
    /// A catalogue that knows what these drafts name, if any does.
    pub(crate) async fn catalogue_of(&self, drafts: &[DraftGrant]) -> Result<std::sync::Arc<Catalogue>, Refusal> {
        let known = self.catalogue();
        let knows = |draft: &DraftGrant| {
            let named = match &draft.permissions {
                DraftPermissions::Everything => true,
                DraftPermissions::List(texts) => known.parse_all(texts).is_ok(),
            };
            named && draft.selectors.keys().all(|resource| known.find(resource).is_some())
        };
        if drafts.iter().all(knows) { Ok(known) } else { self.reload_catalogue().await }
    }

    /// Checks a draft; the faults point into it. `id`: the grant that it is to replace.
    pub(crate) async fn check_draft(
        &self,
        at: &GrantPlace,
        id: Option<GrantId>,
        draft: &DraftGrant,
        catalogue: &Catalogue,
    ) -> Result<Checked, Refusal> {
        let (permissions, everything) = permissions(&draft.permissions, catalogue)?;
        let most = self.settings.limits.patterns;
        let selectors = selectors(&draft.selectors, permissions, catalogue, most)?;
        conditions(&draft.conditions, most)?;
        let source = self.source(at, &draft.source).await?;
        self.check_expiry(at.place, (id, &source), draft.expires_at).await?;
        let id = GrantId(Uuid::nil());
        let conditions = draft.conditions.clone();
        let grant = Grant { id, source, permissions, conditions, selectors, expires_at: draft.expires_at };
        Ok(Checked { grant, everything, note: draft.note.clone() })
    }

    /// A grant that is over can be sent back as it is, and no other begins so.
    async fn check_expiry(
        &self,
        place: Place,
        (id, source): (Option<GrantId>, &Source),
        expires_at: Option<OffsetDateTime>,
    ) -> Result<(), Refusal> {
        let past = future("/expires_at", expires_at, self.now());
        match expires_at {
            Some(at) if past.is_err() && grant::expires_at(self.db.read(), place, (id, source.id()), at).await? => {
                Ok(())
            }
            _ => past,
        }
    }
}

/// Words what is hidden or missing as a fault of the field that names it.
pub(crate) fn missing(pointer: &'static str, what: &'static str) -> impl Fn(Refusal) -> Refusal {
    move |refusal| match refusal {
        Refusal::NotFound => Refusal::invalid(pointer, "not_found", format!("there is no such {what}")),
        other => other,
    }
}

/// Moves every fault below this pointer.
pub(crate) fn within(refusal: Refusal, prefix: &str) -> Refusal {
    match refusal {
        Refusal::Invalid(faults) => Refusal::Invalid(faults.into_iter().map(|fault| fault.within(prefix)).collect()),
        other => other,
    }
}

pub(crate) fn at_most(pointer: &str, count: usize, most: usize) -> Result<(), Refusal> {
    if count > most {
        Err(Refusal::invalid(pointer, "too_many", format!("{count} entries; at most {most}")))
    } else {
        Ok(())
    }
}

/// Of a list that restricts, an empty one would be a grant or a ceiling that never counts: said, not stored.
pub(crate) fn not_empty<T>(pointer: &str, list: Option<&Vec<T>>, most: usize) -> Result<(), Refusal> {
    let Some(list) = list else { return Ok(()) };
    if list.is_empty() {
        return Err(Refusal::invalid(
            pointer,
            "empty",
            "an empty list would never hold; leave it out for no restriction",
        ));
    }
    at_most(pointer, list.len(), most)
}

fn permissions(draft: &DraftPermissions, catalogue: &Catalogue) -> Result<(PermissionSet, bool), Refusal> {
    let DraftPermissions::List(texts) = draft else {
        return Ok((catalogue.everything(), true));
    };
    if texts.is_empty() {
        return Err(Refusal::invalid(
            "/permissions",
            "empty",
            "a grant permits something; delete it to permit nothing",
        ));
    }
    let set = catalogue.parse_all(texts);
    set.map(|set| (set, false)).map_err(|(index, unknown)| {
        Refusal::invalid(format!("/permissions/{index}"), "unknown_permission", unknown.to_string())
    })
}

fn selectors(
    draft: &BTreeMap<String, Vec<Glob>>,
    permissions: PermissionSet,
    catalogue: &Catalogue,
    most: usize,
) -> Result<Selectors, Refusal> {
    let mut selectors = Selectors::default();
    for (resource, patterns) in draft {
        let pointer = format!("/selectors/{}", escape(resource));
        let fault = |code, detail: &str| Refusal::Invalid(vec![Fault::new(pointer.clone(), code, detail)]);
        let known = catalogue.find(resource).ok_or_else(|| fault("unknown_resource", "no such resource type"))?;
        if known.name_form.is_none() {
            return Err(fault("no_names", "this resource type has no names to select by"));
        }
        if permissions.intersect(PermissionSet::admin(known.slot)).is_empty() {
            return Err(fault("nothing_selected", "the grant permits nothing on this resource type"));
        }
        not_empty(&pointer, Some(patterns), most)?;
        selectors.0.insert(known.slot, patterns.clone());
    }
    Ok(selectors)
}

fn conditions(draft: &Conditions, most: usize) -> Result<(), Refusal> {
    not_empty("/conditions/refs", draft.refs.as_ref(), most)?;
    not_empty("/conditions/environments", draft.environments.as_ref(), most)?;
    not_empty("/conditions/triggers", draft.triggers.as_ref(), most)
}
