//! Ceilings: put as a whole list by the owners of the place they bind, on the instance by administrators.

use crate::draft_grant::{not_empty, within};
use crate::{App, Done, How, Person, Refusal};
use jobpass_domain::Catalogue;
use jobpass_domain::audit::Change;
use jobpass_domain::ceiling::{Ceiling, SavedCeiling, Side, When};
use jobpass_domain::ids::CeilingId;
use jobpass_domain::permission::PermissionSet;
use jobpass_domain::place::Place;
use jobpass_persistence::usage::Touched;
use jobpass_persistence::{Tx, ceiling, group, id_at, instance, project};
use serde_json::{Value, json};
use uuid::Uuid;

#[derive(Clone, Debug)]
pub struct DraftCeiling {
    /// Of one that is there.
    pub id: Option<CeilingId>,
    pub side: Side,
    pub when: When,
    pub at_most: Vec<String>,
}

impl App {
    pub async fn ceilings_read(&self, place: Place) -> Result<Vec<SavedCeiling>, Refusal> {
        let catalogue = self.reload_catalogue().await?;
        Ok(ceiling::list(self.db.read(), place, &catalogue).await?)
    }

    /// The whole list at once. The caller has seen to it that this person may.
    pub async fn ceilings_put(
        &self,
        (person, place): (&Person, Place),
        drafts: &[DraftCeiling],
        how: How,
        still: impl Fn(&[SavedCeiling]) -> bool,
    ) -> Result<Done<Vec<SavedCeiling>>, Refusal> {
        let catalogue = self.reload_catalogue().await?;
        self.check_ceilings("/items", drafts, &catalogue)?;
        let context = self.context(person.actor(), person.request);
        let touched = Touched { place, sources_too: true };
        self.change(context, (touched, false), how, async |tx: &mut Tx| {
            replace(tx, place, ("/items", drafts), &catalogue, still).await
        })
        .await
    }

    pub(crate) fn check_ceilings(
        &self,
        pointer: &str,
        drafts: &[DraftCeiling],
        catalogue: &Catalogue,
    ) -> Result<(), Refusal> {
        let limits = self.settings.limits;
        if drafts.len() > limits.ceilings {
            let detail = format!("{} ceilings; at most {}", drafts.len(), limits.ceilings);
            return Err(Refusal::invalid(pointer, "too_many", detail));
        }
        for (index, draft) in drafts.iter().enumerate() {
            check(draft, limits.patterns, catalogue).map_err(|fault| within(fault, &format!("{pointer}/{index}")))?;
        }
        Ok(())
    }
}

fn check(draft: &DraftCeiling, most: usize, catalogue: &Catalogue) -> Result<(), Refusal> {
    at_most(&draft.at_most, catalogue)?;
    let When { refs, environments, triggers, vouched_by, .. } = &draft.when;
    not_empty("/when/refs", refs.as_ref(), most)?;
    not_empty("/when/environments", environments.as_ref(), most)?;
    not_empty("/when/triggers", triggers.as_ref(), most)?;
    not_empty("/when/vouched_by", vouched_by.as_ref(), most)
}

fn at_most(texts: &[String], catalogue: &Catalogue) -> Result<PermissionSet, Refusal> {
    let mut set = PermissionSet::EMPTY;
    for (index, text) in texts.iter().enumerate() {
        let known = catalogue.parse_ceiling(text);
        set = set.union(known.map_err(|unknown| {
            Refusal::invalid(format!("/at_most/{index}"), "unknown_permission", unknown.to_string())
        })?);
    }
    Ok(set)
}

/// One who writes is after the other: the row of the place is held.
async fn hold(tx: &mut Tx, place: Place) -> Result<(), Refusal> {
    let there = match place {
        Place::Instance => instance::lock(tx).await.map(|_| true)?,
        Place::Group(id) => group::lock(tx, id).await?.is_some(),
        Place::Project(id) => project::lock(tx, id).await?.is_some(),
    };
    if there { Ok(()) } else { Err(Refusal::NotFound) }
}

/// Writes the list; nothing, when it is the same.
pub(crate) async fn replace(
    tx: &mut Tx,
    place: Place,
    (pointer, drafts): (&str, &[DraftCeiling]),
    catalogue: &Catalogue,
    still: impl Fn(&[SavedCeiling]) -> bool,
) -> Result<Vec<SavedCeiling>, Refusal> {
    hold(tx, place).await?;
    let before = ceiling::list(tx.on(), place, catalogue).await?;
    if !still(&before) {
        return Err(Refusal::PreconditionFailed);
    }
    let after = wanted(tx, &before, (pointer, drafts), catalogue)?;
    if before == after {
        tx.nothing_to_audit();
        return Ok(after);
    }
    ceiling::replace(tx, place, &after).await?;
    tx.audit(&Change {
        action: "ceilings.updated",
        subject_kind: "ceilings",
        subject: place.project_id().or(place.group_id()).unwrap_or_else(Uuid::nil),
        place,
        before: Some(describe(&before)),
        after: Some(describe(&after)),
        reason: None,
    })
    .await?;
    Ok(after)
}

/// The list as it is to be: each keeps its id, by the id that was given or by being the same.
fn wanted(
    tx: &Tx,
    before: &[SavedCeiling],
    (pointer, drafts): (&str, &[DraftCeiling]),
    catalogue: &Catalogue,
) -> Result<Vec<SavedCeiling>, Refusal> {
    let mut left: Vec<&SavedCeiling> = before.iter().collect();
    let mut wanted = Vec::with_capacity(drafts.len());
    for (index, draft) in drafts.iter().enumerate() {
        let same = |saved: &&SavedCeiling| match draft.id {
            Some(id) => saved.ceiling.id == id,
            None => saved.side == draft.side && saved.ceiling.when == draft.when && saved.at_most == draft.at_most,
        };
        let id = match (left.iter().position(same), draft.id) {
            (Some(found), _) => left.swap_remove(found).ceiling.id,
            (None, None) => CeilingId(id_at(tx.now())),
            (None, Some(_)) => {
                return Err(Refusal::invalid(
                    format!("{pointer}/{index}/id"),
                    "not_found",
                    "there is no such ceiling here",
                ));
            }
        };
        let ceiling = Ceiling { id, when: draft.when.clone(), at_most: at_most(&draft.at_most, catalogue)? };
        wanted.push(SavedCeiling { ceiling, side: draft.side, at_most: draft.at_most.clone() });
    }
    Ok(wanted)
}

fn describe(ceilings: &[SavedCeiling]) -> String {
    let one = |saved: &SavedCeiling| -> Value {
        json!({ "id": saved.ceiling.id, "side": saved.side, "when": saved.ceiling.when, "at_most": saved.at_most })
    };
    Value::Array(ceilings.iter().map(one).collect()).to_string()
}
