//! From what a maintainer wrote to a grant: every name resolved, every fault at its pointer.

use crate::manage_users::future;
use crate::{App, Fault, Person, Refusal};
use jobpass_domain::Catalogue;
use jobpass_domain::glob::Glob;
use jobpass_domain::grant::{Conditions, Grant, Selectors, Source};
use jobpass_domain::ids::{GrantId, GroupId};
use jobpass_domain::permission::PermissionSet;
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

    /// Checks a draft; the faults point into it.
    pub(crate) async fn check_draft(
        &self,
        person: &Person,
        draft: &DraftGrant,
        catalogue: &Catalogue,
    ) -> Result<Checked, Refusal> {
        future("/expires_at", draft.expires_at, self.now())?;
        self.check_all_but_expiry(person, draft, catalogue).await
    }

    /// For a list that is put back as a whole: what is there already may have expired.
    pub(crate) async fn check_all_but_expiry(
        &self,
        person: &Person,
        draft: &DraftGrant,
        catalogue: &Catalogue,
    ) -> Result<Checked, Refusal> {
        let (permissions, everything) = permissions(&draft.permissions, catalogue)?;
        let most = self.settings.limits.patterns;
        let selectors = selectors(&draft.selectors, permissions, catalogue, most)?;
        conditions(&draft.conditions, most)?;
        let source = self.source(person, &draft.source).await?;
        let id = GrantId(Uuid::nil());
        let conditions = draft.conditions.clone();
        let grant = Grant { id, source, permissions, conditions, selectors, expires_at: draft.expires_at };
        Ok(Checked { grant, everything, note: draft.note.clone() })
    }

    /// A source that this person may name: by membership or by its visibility. Any other is worded as missing.
    pub(crate) async fn source(&self, person: &Person, draft: &DraftSource) -> Result<Source, Refusal> {
        match (&draft.project, &draft.group) {
            (Some(key), None) => {
                if !draft.except.is_empty() {
                    return Err(Refusal::invalid("/source/except", "needs_group", "only a group has exceptions"));
                }
                let access = self.project(person.clone(), key).await.map_err(missing("/source/project", "project"))?;
                Ok(Source::Project(access.project.id))
            }
            (None, Some(key)) => {
                let group = self.group(person.clone(), key).await.map_err(missing("/source/group", "group"))?.group;
                at_most("/source/except", draft.except.len(), self.settings.limits.patterns)?;
                let mut except = Vec::with_capacity(draft.except.len());
                for (index, key) in draft.except.iter().enumerate() {
                    except.push(
                        self.exception(person, key, group.id)
                            .await
                            .map_err(|fault| in_list("/source/except", index, fault))?,
                    );
                }
                Ok(Source::Group { group: group.id, except })
            }
            (Some(_), Some(_)) => {
                Err(Refusal::invalid("/source", "one_source", "a source is a project or a group, not both"))
            }
            (None, None) => Err(Refusal::invalid("/source", "required", "a source names a project or a group")),
        }
    }

    /// A project or group that lies under the source now.
    async fn exception(&self, person: &Person, key: &str, under: GroupId) -> Result<Uuid, Refusal> {
        let outside = || Refusal::invalid("", "outside_source", "does not lie under the source");
        match self.project(person.clone(), key).await {
            Ok(access) if access.project.chain.contains(&under) => return Ok(access.project.id.0),
            Ok(_) => return Err(outside()),
            Err(Refusal::NotFound) => {}
            Err(other) => return Err(other),
        }
        let group = self.group(person.clone(), key).await.map_err(missing("", "project or group"))?.group;
        if group.id != under && group.chain.contains(&under) { Ok(group.id.0) } else { Err(outside()) }
    }
}

/// Words what is hidden or missing as a fault of the field that names it.
pub(crate) fn missing(pointer: &'static str, what: &'static str) -> impl Fn(Refusal) -> Refusal {
    move |refusal| match refusal {
        Refusal::NotFound => Refusal::invalid(pointer, "not_found", format!("there is no such {what}")),
        other => other,
    }
}

fn in_list(pointer: &str, index: usize, refusal: Refusal) -> Refusal {
    within(refusal, &format!("{pointer}/{index}"))
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

/// Of a list that restricts, an empty one would be a grant that never counts: said, not stored.
fn not_empty<T>(pointer: &str, list: Option<&Vec<T>>, most: usize) -> Result<(), Refusal> {
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
        let pointer = format!("/selectors/{}", resource.replace('~', "~0").replace('/', "~1"));
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
