//! Grants: written by the maintainers of the place they live on, one by one or as a whole list.

use crate::draft_grant::{Checked, within};
use crate::once::{Life, once};
use crate::{App, Conflict, Done, DraftGrant, GrantPlace, How, Once, Refusal, Rendered};
use jobpass_domain::Catalogue;
use jobpass_domain::audit::Change;
use jobpass_domain::grant::{Grant, SavedGrant};
use jobpass_domain::ids::GrantId;
use jobpass_domain::place::Place;
use jobpass_persistence::grant::{self, Write};
use jobpass_persistence::usage::Touched;
use jobpass_persistence::{Tx, group, id_at, project};
use serde_json::{Value, json};
use std::collections::BTreeSet;

impl GrantPlace {
    /// Grants bind what is done on the place; no change of one is a step up of its mode.
    fn touched(&self) -> (Touched, bool) {
        (Touched { place: self.place, sources_too: false }, false)
    }
}

impl App {
    pub async fn grant_create(
        &self,
        at: &GrantPlace,
        draft: &DraftGrant,
        how: How,
        idempotency: Option<&Once>,
        render: impl Fn(&SavedGrant) -> Rendered,
    ) -> Result<Done<Rendered>, Refusal> {
        // What is only rehearsed is not kept for a repeated call.
        let idempotency = idempotency.filter(|_| !how.dry_run);
        if let Some(kept) = self.replayed(idempotency, at.person.user.id.0).await? {
            return Ok(Done::Made(kept));
        }
        let catalogue = self.catalogue_of(std::slice::from_ref(draft)).await?;
        let checked = self.check_draft(at, None, draft, &catalogue).await?;
        let context = self.context(at.person.actor(), at.person.request);
        let limit = self.settings.limits.grants;
        let work = async |tx: &mut Tx| {
            hold_named(tx, "/source", [&checked]).await?;
            touch(tx, at.place).await?;
            room_for(tx, at.place, limit).await?;
            let made = insert(tx, at, checked.clone(), &catalogue).await?;
            Ok((render(&made), Life::default()))
        };
        let work = async |tx: &mut Tx| once(tx, idempotency, at.person.user.id.0, work).await;
        self.change(context, at.touched(), how, work).await
    }

    pub async fn grant_put(
        &self,
        at: &GrantPlace,
        id: GrantId,
        draft: &DraftGrant,
        how: How,
        still: impl Fn(&SavedGrant) -> bool,
    ) -> Result<Done<SavedGrant>, Refusal> {
        let catalogue = self.catalogue_of(std::slice::from_ref(draft)).await?;
        self.find_grant(at.place, id).await?;
        let checked = self.check_draft(at, Some(id), draft, &catalogue).await?;
        let context = self.context(at.person.actor(), at.person.request);
        self.change(context, at.touched(), how, async |tx: &mut Tx| {
            hold_named(tx, "/source", [&checked]).await?;
            touch(tx, at.place).await?;
            let old = current(tx, at.place, id, &catalogue).await?;
            if !still(&old) {
                return Err(Refusal::PreconditionFailed);
            }
            replace_one(tx, at, &old, &checked, &catalogue).await
        })
        .await
    }

    pub async fn grant_delete(
        &self,
        at: &GrantPlace,
        id: GrantId,
        how: How,
        still: impl Fn(&SavedGrant) -> bool,
    ) -> Result<Done<()>, Refusal> {
        let catalogue = self.catalogue();
        let context = self.context(at.person.actor(), at.person.request);
        self.change(context, at.touched(), how, async |tx: &mut Tx| {
            touch(tx, at.place).await?;
            let old = current(tx, at.place, id, &catalogue).await?;
            if !still(&old) {
                return Err(Refusal::PreconditionFailed);
            }
            remove(tx, &old, &catalogue).await
        })
        .await
    }

    /// The whole list at once: what is written the same stays as it is, the rest is deleted or made. Answers
    /// the list and its new revision.
    pub async fn grants_replace(
        &self,
        at: &GrantPlace,
        drafts: &[DraftGrant],
        how: How,
        still: impl Fn(i64) -> bool,
    ) -> Result<Done<(Vec<SavedGrant>, i64)>, Refusal> {
        let catalogue = self.catalogue_of(drafts).await?;
        let wanted = self.check_drafts(at, "/items", drafts, &catalogue).await?;
        let context = self.context(at.person.actor(), at.person.request);
        self.change(context, at.touched(), how, async |tx: &mut Tx| {
            hold_named(tx, "/items", &wanted).await?;
            let revision = touch(tx, at.place).await?;
            if !still(revision - 1) {
                return Err(Refusal::PreconditionFailed);
            }
            tx.nothing_to_audit();
            let there = all(tx, at.place, &catalogue).await?;
            make_equal(tx, at, difference(there, wanted.clone()), &catalogue).await?;
            Ok((all(tx, at.place, &catalogue).await?, revision))
        })
        .await
    }

    /// Checks a whole list; the faults point into it.
    pub(crate) async fn check_drafts(
        &self,
        at: &GrantPlace,
        pointer: &str,
        drafts: &[DraftGrant],
        catalogue: &Catalogue,
    ) -> Result<Vec<Checked>, Refusal> {
        let limit = self.settings.limits.grants;
        if drafts.len() > limit {
            return Err(Conflict::TooManyGrants { limit, count: drafts.len() }.into());
        }
        let mut wanted = Vec::with_capacity(drafts.len());
        for (index, draft) in drafts.iter().enumerate() {
            let checked = self.check_draft(at, None, draft, catalogue).await;
            wanted.push(checked.map_err(|refusal| within(refusal, &format!("{pointer}/{index}")))?);
        }
        Ok(wanted)
    }
}

/// What is there and not wanted, and what is wanted and not there.
pub(crate) type Difference = (Vec<SavedGrant>, Vec<Checked>);

/// Deletes what is superfluous and makes what is missing; the place is held.
pub(crate) async fn make_equal(
    tx: &mut Tx,
    at: &GrantPlace,
    (superfluous, missing): Difference,
    catalogue: &Catalogue,
) -> Result<(), Refusal> {
    for old in superfluous {
        remove(tx, &old, catalogue).await?;
    }
    for new in missing {
        insert(tx, at, new, catalogue).await?;
    }
    Ok(())
}

pub(crate) fn difference(there: Vec<SavedGrant>, mut wanted: Vec<Checked>) -> Difference {
    let mut superfluous = Vec::new();
    for old in there {
        match wanted.iter().position(|new| is_same(&old, new)) {
            Some(index) => drop(wanted.remove(index)),
            None => superfluous.push(old),
        }
    }
    (superfluous, wanted)
}

/// The same in all but the id. A list has thousands, and each may be compared to each: nothing is copied.
fn is_same(old: &SavedGrant, new: &Checked) -> bool {
    let Grant { id: _, source, permissions, conditions, selectors, expires_at } = &old.grant;
    old.note == new.note
        && *source == new.grant.source
        && *permissions == new.grant.permissions
        && old.everything == new.everything
        && *expires_at == new.grant.expires_at
        && *conditions == new.grant.conditions
        && *selectors == new.grant.selectors
}

/// Holds what grants name until they are written, before any place is held: what is deleted takes the same order.
pub(crate) async fn hold_named<'a>(
    tx: &mut Tx,
    pointer: &str,
    grants: impl IntoIterator<Item = &'a Checked>,
) -> Result<(), Refusal> {
    let named: BTreeSet<_> = grants.into_iter().flat_map(|checked| checked.grant.source.named()).collect();
    let named: Vec<_> = named.into_iter().collect();
    if grant::hold_named(tx, &named).await? {
        Ok(())
    } else {
        Err(Refusal::invalid(pointer, "not_found", "what a source names was deleted meanwhile"))
    }
}

/// Holds the place's row, so that two who write at once are one after the other; answers the new revision.
pub(crate) async fn touch(tx: &mut Tx, place: Place) -> Result<i64, Refusal> {
    let revision = match place {
        Place::Project(id) => project::touch_grants(tx, id).await?,
        Place::Group(id) => group::touch_grants(tx, id).await?,
        Place::Instance => None,
    };
    revision.ok_or(Refusal::NotFound)
}

/// Room for one more.
async fn room_for(tx: &mut Tx, place: Place, limit: usize) -> Result<(), Refusal> {
    let count = usize::try_from(grant::count(tx, place).await?).unwrap_or(usize::MAX);
    if count >= limit {
        return Err(Conflict::TooManyGrants { limit, count: count.saturating_add(1) }.into());
    }
    Ok(())
}

/// Writes a grant in place of an old one.
pub(crate) async fn replace_one(
    tx: &mut Tx,
    at: &GrantPlace,
    old: &SavedGrant,
    checked: &Checked,
    catalogue: &Catalogue,
) -> Result<SavedGrant, Refusal> {
    let checked = checked.clone().with_id(old.grant.id);
    grant::update(tx, &write(&checked, at), catalogue).await?;
    let new = current(tx, at.place, old.grant.id, catalogue).await?;
    tx.audit(&changed("grant.updated", &new, Some(old), Some(&new), catalogue)).await?;
    Ok(new)
}

pub(crate) async fn insert(
    tx: &mut Tx,
    at: &GrantPlace,
    checked: Checked,
    catalogue: &Catalogue,
) -> Result<SavedGrant, Refusal> {
    let checked = checked.with_id(GrantId(id_at(tx.now())));
    grant::insert(tx, &write(&checked, at), catalogue).await?;
    let made = current(tx, at.place, checked.grant.id, catalogue).await?;
    tx.audit(&changed("grant.created", &made, None, Some(&made), catalogue)).await?;
    Ok(made)
}

pub(crate) async fn remove(tx: &mut Tx, old: &SavedGrant, catalogue: &Catalogue) -> Result<(), Refusal> {
    grant::delete(tx, old.grant.id).await?;
    Ok(tx.audit(&changed("grant.deleted", old, Some(old), None, catalogue)).await?)
}

async fn current(tx: &mut Tx, place: Place, id: GrantId, catalogue: &Catalogue) -> Result<SavedGrant, Refusal> {
    grant::find(tx.on(), place, id, catalogue).await?.ok_or(Refusal::NotFound)
}

pub(crate) async fn all(tx: &mut Tx, place: Place, catalogue: &Catalogue) -> Result<Vec<SavedGrant>, Refusal> {
    Ok(grant::list(tx.on(), place, (None, None), i64::MAX, catalogue).await?)
}

fn write<'a>(checked: &'a Checked, at: &GrantPlace) -> Write<'a> {
    Write {
        grant: &checked.grant,
        place: at.place,
        everything: checked.everything,
        note: &checked.note,
        created_by: Some(at.person.user.id),
    }
}

pub(crate) fn changed(
    action: &'static str,
    grant: &SavedGrant,
    before: Option<&SavedGrant>,
    after: Option<&SavedGrant>,
    catalogue: &Catalogue,
) -> Change {
    let describe = |saved: &SavedGrant| describe(saved, catalogue).to_string();
    Change {
        action,
        subject_kind: "grant",
        subject: grant.grant.id.0,
        place: grant.place,
        before: before.map(describe),
        after: after.map(describe),
        reason: None,
    }
}

fn describe(saved: &SavedGrant, catalogue: &Catalogue) -> Value {
    let conditions = &saved.grant.conditions;
    let selectors: serde_json::Map<String, Value> = saved
        .grant
        .selectors
        .0
        .iter()
        .filter_map(|(slot, globs)| Some((catalogue.get(*slot)?.name.clone(), json!(globs))))
        .collect();
    json!({
        "source": saved.source_path,
        "except": saved.except_paths,
        "permissions": catalogue.format(saved.grant.permissions),
        "everything": saved.everything,
        "conditions": {
            "refs": conditions.refs, "protected_refs_only": conditions.protected_refs_only, "environments": conditions.environments,
            "triggers": conditions.triggers, "allow_forks": conditions.allow_forks, "within_actor_role": conditions.within_actor_role,
            "vouched_by": conditions.vouched_by,
        },
        "selectors": selectors,
        "expires_at": saved.grant.expires_at.map(time::OffsetDateTime::unix_timestamp),
        "note": saved.note,
    })
}
