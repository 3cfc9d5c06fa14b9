//! Suggestions from usage: what to grant, what to take away, and applying some or all of it.

use crate::draft_grant::Checked;
use crate::grant::{all, insert, remove, replace_one, touch};
use crate::rehearse::since;
use crate::{App, Conflict, Done, GrantPlace, How, Person, ProjectAccess, Refusal};
use jobpass_domain::Catalogue;
use jobpass_domain::grant::{Conditions, Grant, SavedGrant, Selectors, Source};
use jobpass_domain::ids::{GrantId, GroupId, ProjectId, ServiceId};
use jobpass_domain::permission::{Permission, PermissionSet};
use jobpass_domain::place::Place;
use jobpass_domain::replay::{Recorded, Situation};
use jobpass_domain::suggest::{self, Apart, Evidence, Seen, Wanted};
use jobpass_domain::usage::{Tally, WINDOW_DAYS, What};
use jobpass_persistence::usage::{Pair, Touched};
use jobpass_persistence::{Tx, group, project, situation, usage};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use time::OffsetDateTime;
use uuid::Uuid;

/// How many rows of each kind that are set apart are listed: those seen last.
const LISTED: usize = 1_000;

/// From what suggestions are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Basis {
    /// How many days back uses count.
    pub window_days: u16,
    /// Whether sources that want the same become a group where the person is a member of it.
    pub fold: bool,
}

impl Default for Basis {
    fn default() -> Basis {
        Basis { window_days: WINDOW_DAYS, fold: false }
    }
}

/// Suggestions for one project.
#[derive(Clone, Debug)]
pub struct Suggestions {
    pub basis: Basis,
    pub items: Vec<Suggestion>,
    pub denied: Vec<SetApart>,
    pub forks: Vec<SetApart>,
    pub under_ceilings: Vec<SetApart>,
    pub unclear: Vec<SetApart>,
    pub unnamed: Vec<Unnamed>,
    pub catalogue: Arc<Catalogue>,
    /// Of the project's grants, when this was found.
    pub revision: i64,
}

#[derive(Clone, Debug)]
pub struct Suggestion {
    /// The same as long as the same is suggested.
    pub id: String,
    pub what: Suggested,
}

#[derive(Clone, Debug)]
pub enum Suggested {
    /// A new grant.
    Grant {
        source: Source,
        source_path: String,
        permissions: PermissionSet,
        conditions: Box<Conditions>,
        /// Projects that were not seen and that it would let in, too.
        lets_in: Vec<String>,
        evidence: Box<Evidence>,
    },
    /// Permissions of a grant that nobody used in the window: it keeps the others.
    Narrow { grant: Box<SavedGrant>, keeps: PermissionSet },
    /// A grant that nobody used in the window.
    Delete { grant: Box<SavedGrant> },
}

/// What was seen and is no part of any suggestion.
#[derive(Clone, Debug)]
pub struct SetApart {
    pub source: ProjectId,
    pub source_path: String,
    pub permission: Permission,
    pub evidence: Evidence,
}

/// Use of a scope that was shown: what was done with it is not known, so nothing can be suggested from it.
#[derive(Clone, Debug)]
pub struct Unnamed {
    pub source: ProjectId,
    pub source_path: String,
    pub service: ServiceId,
    pub tally: Tally,
}

/// Which suggestions to apply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    All,
    These(Vec<String>),
}

impl App {
    pub async fn suggestions_read(&self, by: &ProjectAccess, basis: Basis) -> Result<Suggestions, Refusal> {
        let basis = self.within_retention(basis);
        self.flush_usage().await?;
        let catalogue = self.reload_catalogue().await?;
        let context = self.context(by.person.actor(), by.person.request);
        let find = async |tx: &mut Tx| {
            let revision = by.project.grants_revision;
            Finding { tx, by, basis, catalogue: &catalogue }.find(revision).await
        };
        Ok(self.db.rehearsal(context, find).await?.0)
    }

    /// Applies in one transaction what was chosen, if what is suggested is still what the caller saw. Answers the
    /// ids of what was applied, and the new revision of the list of grants.
    pub async fn suggestions_apply(
        &self,
        by: &ProjectAccess,
        (basis, choice): (Basis, &Choice),
        how: How,
        still: impl Fn(&Suggestions) -> bool,
    ) -> Result<Done<(Vec<String>, i64)>, Refusal> {
        let basis = self.within_retention(basis);
        self.flush_usage().await?;
        let catalogue = self.reload_catalogue().await?;
        let context = self.context(by.person.actor(), by.person.request);
        let at = GrantPlace::from(by.clone());
        let touched = Touched { place: at.place, sources_too: false };
        let limit = self.settings.limits.grants;
        self.change(context, (touched, false), how, async |tx: &mut Tx| {
            let revision = touch(tx, at.place).await?;
            let suggestions = Finding { tx, by, basis, catalogue: &catalogue }.find(revision - 1).await?;
            if !still(&suggestions) {
                return Err(Refusal::PreconditionFailed);
            }
            let chosen = chosen(suggestions.items, choice)?;
            tx.nothing_to_audit();
            for suggestion in &chosen {
                apply(tx, &at, suggestion, &catalogue).await?;
            }
            let count = all(tx, at.place, &catalogue).await?.len();
            if count > limit {
                return Err(Conflict::TooManyGrants { limit, count }.into());
            }
            Ok((chosen.into_iter().map(|suggestion| suggestion.id).collect(), revision))
        })
        .await
    }
}

impl App {
    /// A window is no longer than what is kept: nobody can say what was not used before.
    fn within_retention(&self, basis: Basis) -> Basis {
        Basis { window_days: basis.window_days.min(self.settings.usage_retention_days), ..basis }
    }
}

fn chosen(items: Vec<Suggestion>, choice: &Choice) -> Result<Vec<Suggestion>, Refusal> {
    let Choice::These(ids) = choice else { return Ok(items) };
    for (index, id) in ids.iter().enumerate() {
        if !items.iter().any(|item| item.id == *id) {
            let detail = "there is no such suggestion, or not any more";
            return Err(Refusal::invalid(format!("/ids/{index}"), "not_found", detail));
        }
    }
    Ok(items.into_iter().filter(|item| ids.contains(&item.id)).collect())
}

async fn apply(tx: &mut Tx, at: &GrantPlace, suggestion: &Suggestion, catalogue: &Catalogue) -> Result<(), Refusal> {
    match &suggestion.what {
        Suggested::Grant { source, permissions, conditions, evidence, .. } => {
            let Tally { count, last_at, .. } = evidence.tally;
            let grant = Grant {
                id: GrantId(Uuid::nil()),
                source: source.clone(),
                permissions: *permissions,
                conditions: (**conditions).clone(),
                selectors: Selectors::default(),
                expires_at: None,
            };
            let note = format!("suggested from usage: seen {count}×, last on {}", last_at.date());
            insert(tx, at, Checked { grant, everything: false, note }, catalogue).await.map(drop)
        }
        Suggested::Narrow { grant, keeps } => {
            let narrower = Grant { permissions: *keeps, ..without_dead_selectors(&grant.grant, *keeps) };
            let checked = Checked { grant: narrower, everything: false, note: grant.note.clone() };
            replace_one(tx, at, grant, &checked, catalogue).await.map(drop)
        }
        Suggested::Delete { grant } => remove(tx, grant, catalogue).await,
    }
}

/// A selector of a resource type that the grant no longer permits anything on would be refused by hand, too.
fn without_dead_selectors(grant: &Grant, keeps: PermissionSet) -> Grant {
    let mut grant = grant.clone();
    grant.selectors.0.retain(|resource, _| !keeps.intersect(PermissionSet::admin(*resource)).is_empty());
    grant
}

/// The finding of suggestions, inside a transaction.
struct Finding<'a> {
    tx: &'a mut Tx,
    by: &'a ProjectAccess,
    basis: Basis,
    catalogue: &'a Arc<Catalogue>,
}

impl Finding<'_> {
    async fn find(mut self, revision: i64) -> Result<Suggestions, Refusal> {
        let now = self.tx.now();
        let since = since(self.basis.window_days, now);
        let (recorded, situations) = self.load(since).await?;
        let pair = |one: &Recorded| (one.used.target, one.used.source);
        let seen: Vec<Seen<'_>> = recorded.iter().filter_map(|one| Some((one, situations.get(&pair(one))?))).collect();
        let (wanted, apart) = suggest::wanted(&seen, now);
        let wanted = if self.basis.fold { self.fold(wanted, &situations).await? } else { wanted };
        let paths = self.paths(&situations).await?;
        let mut items = Vec::new();
        for one in wanted {
            items.push(self.grant(one, &paths).await?);
        }
        let place = Place::Project(self.by.project.id);
        for saved in all(self.tx, place, self.catalogue).await? {
            items.extend(superfluous(saved, &seen, since, now));
        }
        let Apart { denied, forks, under_ceilings, unclear } = apart;
        Ok(Suggestions {
            basis: self.basis,
            items,
            denied: listed(denied, &paths),
            forks: listed(forks, &paths),
            under_ceilings: listed(under_ceilings, &paths),
            unclear: listed(unclear, &paths),
            unnamed: unnamed(&recorded, &paths),
            catalogue: Arc::clone(self.catalogue),
            revision,
        })
    }

    /// All that was seen on the project in the window, and how things stand.
    async fn load(&mut self, since: OffsetDateTime) -> Result<(Vec<Recorded>, HashMap<Pair, Situation>), Refusal> {
        let touched = Touched { place: Place::Project(self.by.project.id), sources_too: false };
        let pairs = usage::pairs(self.tx.on(), touched, since).await?;
        let recorded = usage::recorded(self.tx.on(), &pairs, (since, false), self.catalogue).await?;
        Ok((recorded, situation::load(self.tx.on(), &pairs, self.catalogue).await?))
    }

    async fn paths(&mut self, situations: &HashMap<Pair, Situation>) -> Result<HashMap<ProjectId, String>, Refusal> {
        let ids: Vec<ProjectId> = situations.keys().map(|(_, source)| *source).collect();
        Ok(project::paths(self.tx.on(), &ids).await?)
    }

    /// Into groups whose every project the person sees: else it could not be said whom it lets in.
    async fn fold(
        &mut self,
        wanted: Vec<Wanted>,
        situations: &HashMap<Pair, Situation>,
    ) -> Result<Vec<Wanted>, Refusal> {
        let Person { user, .. } = &self.by.person;
        let chains: HashMap<ProjectId, &Vec<GroupId>> =
            situations.iter().map(|((_, source), situation)| (*source, &situation.source.chain)).collect();
        let groups: BTreeSet<GroupId> = chains.values().flat_map(|chain| chain.iter().copied()).collect();
        let eyes = (!user.administrator).then_some(user.id);
        let may = group::foldable(self.tx.on(), &groups.into_iter().collect::<Vec<_>>(), eyes).await?;
        let chain = |source: ProjectId| chains.get(&source).map(|chain| (*chain).clone()).unwrap_or_default();
        Ok(suggest::fold(wanted, chain, |group| may.contains(&group)))
    }

    async fn grant(&mut self, wanted: Wanted, paths: &HashMap<ProjectId, String>) -> Result<Suggestion, Refusal> {
        let Wanted { sources, folded, permissions, conditions, evidence } = wanted;
        let (source, source_path, lets_in) = match (folded, sources.first()) {
            (Some(group), _) => {
                let (path, under) = group::with_projects(self.tx.on(), group).await?;
                let further = under.into_iter().filter(|(id, _)| !sources.contains(id)).map(|(_, path)| path);
                (Source::Group { group, except: vec![] }, path, further.collect())
            }
            (None, source) => {
                let source = *source.ok_or_else(|| Refusal::Internal("a suggestion for nobody".to_owned()))?;
                (Source::Project(source), paths.get(&source).cloned().unwrap_or_default(), vec![])
            }
        };
        let id = id(&("grant", source.named(), permissions.iter().collect::<Vec<_>>(), &conditions, &lets_in));
        let evidence = Box::new(evidence);
        let what =
            Suggested::Grant { source, source_path, permissions, conditions: Box::new(conditions), lets_in, evidence };
        Ok(Suggestion { id, what })
    }
}

/// What of a grant nobody used, if it was there unchanged for the whole window.
fn superfluous(saved: SavedGrant, seen: &[Seen<'_>], since: OffsetDateTime, now: OffsetDateTime) -> Option<Suggestion> {
    let used = suggest::used_of(&saved.grant, seen, now);
    // Needed, and no record of for what: it was lost, or its job's project is gone.
    let unrecorded = used.is_empty() && saved.last_needed_at.is_some_and(|last| last >= since);
    if saved.updated_at > since || unrecorded {
        return None;
    }
    let unused = saved.grant.permissions.minus(used);
    if unused.is_empty() {
        return None;
    }
    let keeps = saved.grant.permissions.intersect(used);
    let id = id(&("less", saved.grant.id, keeps.iter().collect::<Vec<_>>()));
    let grant = Box::new(saved);
    let what = if keeps.is_empty() { Suggested::Delete { grant } } else { Suggested::Narrow { grant, keeps } };
    Some(Suggestion { id, what })
}

/// Names what is suggested by what it is: another suggestion has another id.
fn id(what: &impl std::fmt::Debug) -> String {
    let hash = Sha256::digest(format!("{what:?}"));
    hash.iter().take(12).fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

fn listed(apart: BTreeMap<(ProjectId, Permission), Evidence>, paths: &HashMap<ProjectId, String>) -> Vec<SetApart> {
    let one = |((source, permission), evidence): ((ProjectId, Permission), Evidence)| SetApart {
        source,
        source_path: paths.get(&source).cloned().unwrap_or_default(),
        permission,
        evidence,
    };
    let mut listed: Vec<_> = apart.into_iter().map(one).collect();
    listed.sort_by_key(|one| std::cmp::Reverse(one.evidence.tally.last_at));
    listed.truncate(LISTED);
    listed
}

fn unnamed(recorded: &[Recorded], paths: &HashMap<ProjectId, String>) -> Vec<Unnamed> {
    let mut found = BTreeMap::<(ProjectId, ServiceId), Tally>::new();
    for Recorded { used, tally } in recorded {
        if let What::Unnamed(service) = used.what
            && used.verdict.allowed
        {
            let known = found.entry((used.source, service));
            known.and_modify(|known| *known = known.and(*tally)).or_insert(*tally);
        }
    }
    let one = |((source, service), tally)| Unnamed {
        source,
        source_path: paths.get(&source).cloned().unwrap_or_default(),
        service,
        tally,
    };
    found.into_iter().take(LISTED).map(one).collect()
}
