//! Which projects and groups the source of a grant may name: what is hidden from whoever writes it is worded
//! as missing, unless the place where the grant lives knows of it already.

use crate::draft_grant::{at_most, missing, within};
use crate::rehearse::since;
use crate::{App, DraftSource, GrantPlace, Refusal};
use jobpass_domain::grant::Source;
use jobpass_domain::group::Group;
use jobpass_domain::ids::{GroupId, ProjectId};
use jobpass_domain::place::Place;
use jobpass_domain::project::Project;
use jobpass_persistence::{grant, group, project, usage};
use uuid::Uuid;

impl App {
    /// The source that is named, as its id says, too, if that is given.
    pub(crate) async fn source(&self, at: &GrantPlace, draft: &DraftSource) -> Result<Source, Refusal> {
        let source = self.source_named(at, draft).await?;
        if draft.id.is_some_and(|id| id != source.id()) {
            return Err(Refusal::invalid("/source/id", "differs", "is not the id of the source that is named"));
        }
        Ok(source)
    }

    async fn source_named(&self, at: &GrantPlace, draft: &DraftSource) -> Result<Source, Refusal> {
        match (&draft.project, &draft.group) {
            (Some(key), None) => {
                if !draft.except.is_empty() {
                    return Err(Refusal::invalid("/source/except", "needs_group", "only a group has exceptions"));
                }
                let project = self.known_project(at, key).await.map_err(missing("/source/project", "project"))?;
                Ok(Source::Project(project.id))
            }
            (None, Some(key)) => {
                let group = self.known_group(at, key).await.map_err(missing("/source/group", "group"))?;
                at_most("/source/except", draft.except.len(), self.settings.limits.patterns)?;
                let mut except = Vec::with_capacity(draft.except.len());
                for (index, key) in draft.except.iter().enumerate() {
                    except.push(
                        self.exception(at, key, group.id)
                            .await
                            .map_err(|fault| in_list("/source/except", index, fault))?,
                    );
                }
                Ok(Source::group(group.id, except))
            }
            (Some(_), Some(_)) => {
                Err(Refusal::invalid("/source", "one_source", "a source is a project or a group, not both"))
            }
            (None, None) => Err(Refusal::invalid("/source", "required", "a source names a project or a group")),
        }
    }

    /// A project or group that lies under the source now, or did when it was first excepted.
    async fn exception(&self, at: &GrantPlace, key: &str, under: GroupId) -> Result<Uuid, Refusal> {
        let (id, inside) = match self.known_project(at, key).await {
            Ok(project) => (project.id.0, project.chain.contains(&under)),
            Err(Refusal::NotFound) => {
                let group = self.known_group(at, key).await.map_err(missing("", "project or group"))?;
                (group.id.0, group.id != under && group.chain.contains(&under))
            }
            Err(other) => return Err(other),
        };
        if inside || grant::is_excepted(self.db.read(), at.place, under, id).await? {
            Ok(id)
        } else {
            Err(Refusal::invalid("", "outside_source", "does not lie under the source"))
        }
    }

    /// A project that may be named here: by membership, by its visibility, because a grant here names it already, or
    /// because its jobs were seen here. Any other is missing.
    async fn known_project(&self, at: &GrantPlace, key: &str) -> Result<Project, Refusal> {
        match self.project(at.person.clone(), key).await {
            Err(Refusal::NotFound) => {}
            other => return other.map(|access| access.project),
        }
        let project = project::find(self.db.read(), key).await?.ok_or(Refusal::NotFound)?;
        let known = grant::is_named(self.db.read(), at.place, project.id.0).await?
            || self.was_seen(at.place, project.id).await?;
        if known { Ok(project) } else { Err(Refusal::NotFound) }
    }

    /// A group that may be named here: as a project, but that groups are not seen at work.
    async fn known_group(&self, at: &GrantPlace, key: &str) -> Result<Group, Refusal> {
        match self.group(at.person.clone(), key).await {
            Err(Refusal::NotFound) => {}
            other => return other.map(|access| access.group),
        }
        let group = group::find(self.db.read(), key).await?.ok_or(Refusal::NotFound)?;
        let known = grant::is_named(self.db.read(), at.place, group.id.0).await?;
        if known { Ok(group) } else { Err(Refusal::NotFound) }
    }

    /// Whether jobs of the source were seen on the place, up to now.
    async fn was_seen(&self, place: Place, source: ProjectId) -> Result<bool, Refusal> {
        let since = since(self.settings.usage_retention_days, self.now());
        if usage::was_seen(self.db.read(), place, source.0, since).await? {
            return Ok(true);
        }
        self.flush_usage().await?;
        Ok(usage::was_seen(self.db.read(), place, source.0, since).await?)
    }
}

fn in_list(pointer: &str, index: usize, refusal: Refusal) -> Refusal {
    within(refusal, &format!("{pointer}/{index}"))
}
