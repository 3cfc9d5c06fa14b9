//! Explain, for a maintainer: would a job of this kind be allowed that here, and why.

use crate::authorize::{asked, names};
use crate::draft_grant::DraftSource;
use crate::{App, GrantPlace, ProjectAccess, Refusal};
use jobpass_domain::ceiling::SavedCeiling;
use jobpass_domain::explain::{Explanation, Hypothesis, explain};
use jobpass_domain::grant::{SavedGrant, Source};
use jobpass_domain::ids::{CeilingId, ProjectId};
use jobpass_domain::mode::Mode;
use jobpass_domain::pipeline::{PipelineFacts, Trigger};
use jobpass_domain::place::Place;
use jobpass_domain::provenance::{CredentialScope, Provenance};
use jobpass_domain::refs::RefType;
use jobpass_domain::text::Label;
use jobpass_domain::{Catalogue, PermissionSet, Role};
use jobpass_persistence::{Tx, ceiling, grant, member, project, situation, user};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// A job that might run, and what it might ask; names as they were written.
#[derive(Clone, Debug)]
pub struct DraftHypothesis {
    pub source: String,
    pub permissions: Vec<String>,
    pub ref_name: Label,
    pub ref_type: RefType,
    pub environment: Option<String>,
    /// As the source protects its refs; of a source out of sight it is assumed, and not told.
    pub protected: Option<bool>,
    pub trigger: Trigger,
    pub from_fork: bool,
    pub actor: Option<String>,
    pub minted_by: CredentialScope,
    pub resource_name: Option<String>,
    pub resource_names: BTreeMap<String, String>,
}

/// An explanation with what people need to read it.
#[derive(Clone, Debug)]
pub struct Explained {
    pub explanation: Explanation,
    pub asked: PermissionSet,
    pub mode: Mode,
    pub protected: bool,
    pub actor_role: Option<Role>,
    pub source_path: String,
    /// Whether the person may see the source; if not, its own protection and ceilings are left out of account.
    pub source_seen: bool,
    pub catalogue: Arc<Catalogue>,
    /// By id, each with the path of where it lives.
    pub grants: HashMap<uuid::Uuid, (SavedGrant, String)>,
    /// By id: where it lies, and what it is. The source's are its own affair.
    pub ceilings: HashMap<CeilingId, (String, SavedCeiling)>,
}

impl App {
    pub async fn explain(&self, by: &ProjectAccess, draft: &DraftHypothesis) -> Result<Explained, Refusal> {
        let catalogue = self.reload_catalogue().await?;
        let asked = asked(&draft.permissions, &catalogue)?;
        let names = names(draft.resource_name.as_deref(), &draft.resource_names, asked, &catalogue)?;
        let named = DraftSource { project: Some(draft.source.clone()), group: None, except: vec![], id: None };
        let missing = || Refusal::invalid("/source", "not_found", "there is no such project");
        let source = match self.source(&GrantPlace::from(by.clone()), &named).await {
            Ok(Source::Project(id)) => id,
            Ok(Source::Group { .. }) | Err(Refusal::Invalid(_)) => return Err(missing()),
            Err(other) => return Err(other),
        };
        let context = self.context(by.person.actor(), by.person.request);
        let now = self.now();
        // Nothing is written: a rehearsal is one consistent look.
        let look = async |tx: &mut Tx| {
            let source_seen = project::seen_by(tx.on(), &[source], by.person.user.id).await?.contains(&source);
            let (run, source_path) = run(tx, (source, source_seen), draft).await?;
            let actor_role = role(tx, by, draft.actor.as_deref()).await?;
            let pair = (by.project.id, source);
            let mut situation =
                situation::load(tx.on(), &[pair], &catalogue).await?.remove(&pair).ok_or(Refusal::NotFound)?;
            let ceilings = ceilings(tx, by).await?;
            if !source_seen {
                // Asked ref by ref, the answer would spell out ceilings that are the source's own affair.
                situation.source.ceilings.retain(|ceiling| ceilings.contains_key(&ceiling.id));
            }
            let protected = run.protected;
            let hypothesis = Hypothesis { run, actor_role, asked, names };
            let explanation = explain(&hypothesis, &situation, now);
            let mode = situation.target.mode;
            let grants = grants(tx, &explanation, by, &catalogue).await?;
            let catalogue = Arc::clone(&catalogue);
            Ok(Explained {
                explanation,
                asked,
                mode,
                protected,
                actor_role,
                source_path,
                source_seen,
                catalogue,
                grants,
                ceilings,
            })
        };
        let (explained, _) = self.db.rehearsal::<Explained, Refusal>(context, look).await?;
        Ok(explained)
    }
}

/// The run, protected as its own project says, or as is assumed of one out of sight.
async fn run(
    tx: &mut Tx,
    (source, seen): (ProjectId, bool),
    draft: &DraftHypothesis,
) -> Result<(Provenance, String), Refusal> {
    let project = project::find(tx.on(), &source.to_string()).await?.ok_or(Refusal::NotFound)?;
    let facts = PipelineFacts {
        ref_name: draft.ref_name.clone(),
        ref_type: draft.ref_type,
        sha: draft.ref_name.clone(),
        trigger: draft.trigger,
        actor: None,
        from_fork: draft.from_fork,
        fork_source: None,
    };
    let protected = if seen { facts.is_protected(&project.protected_refs) } else { draft.protected.unwrap_or(false) };
    if draft.protected.is_some_and(|stated| stated != protected) {
        return Err(Refusal::invalid("/protected", "differs", "is not how the source protects this ref"));
    }
    let run = Provenance {
        ref_name: draft.ref_name.to_string(),
        ref_type: draft.ref_type,
        protected,
        environment: draft.environment.clone(),
        trigger: draft.trigger,
        from_fork: draft.from_fork,
        minted_by: draft.minted_by,
    };
    Ok((run, project.path.to_string()))
}

/// The role of a vouched-for actor on the project asked about. One who is unknown has none.
async fn role(tx: &mut Tx, by: &ProjectAccess, actor: Option<&str>) -> Result<Option<Role>, Refusal> {
    let Some(actor) = actor else { return Ok(None) };
    let Some(user) = user::find(tx.on(), actor).await? else { return Ok(None) };
    Ok(member::role(tx.on(), user.id, &by.project.chain, Some(by.project.id)).await?)
}

/// The grants that were weighed, as they are shown, each with the path of where it lives.
async fn grants(
    tx: &mut Tx,
    explanation: &Explanation,
    by: &ProjectAccess,
    catalogue: &Catalogue,
) -> Result<HashMap<uuid::Uuid, (SavedGrant, String)>, Refusal> {
    let ids: Vec<_> = explanation.grants.iter().map(|weighed| weighed.grant).collect();
    let paths = place_paths(tx, by).await?;
    let saved = grant::find_all(tx.on(), &ids, catalogue).await?;
    let shown = saved.into_iter().map(|saved| {
        let path = paths.get(&saved.place).cloned().unwrap_or_default();
        (saved.grant.id.0, (saved, path))
    });
    Ok(shown.collect())
}

/// The paths of the project and of the groups above it.
async fn place_paths(tx: &mut Tx, by: &ProjectAccess) -> Result<HashMap<Place, String>, Refusal> {
    let mut paths = HashMap::from([(Place::Project(by.project.id), by.project.path.to_string())]);
    for id in &by.project.chain {
        let group = jobpass_persistence::group::find(tx.on(), &id.to_string()).await?;
        paths.extend(group.map(|group| (Place::Group(*id), group.path.to_string())));
    }
    Ok(paths)
}

/// The ceilings on the project asked about, on the groups above it and on the instance.
async fn ceilings(tx: &mut Tx, by: &ProjectAccess) -> Result<HashMap<CeilingId, (String, SavedCeiling)>, Refusal> {
    let catalogue = Catalogue::default();
    let mut found = HashMap::new();
    let mut paths = place_paths(tx, by).await?;
    paths.insert(Place::Instance, "instance".to_owned());
    for (place, path) in paths {
        for saved in ceiling::list(tx.on(), place, &catalogue).await? {
            found.insert(saved.ceiling.id, (path.clone(), saved));
        }
    }
    Ok(found)
}
