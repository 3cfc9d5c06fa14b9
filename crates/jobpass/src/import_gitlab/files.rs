//! What GitLab said, from files that were saved of its answers.

use super::Failure;
use super::allowlist::Kind;
use super::document::Document;
use super::notes::Notes;
use super::read::{Allowlists, Answer, Connection, ListedGroup, ListedProject, Node, Scope, Stated};
use clap::Args;
use std::path::PathBuf;

#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Files {
    /// Saved answer of `GET /projects/:id/job_token_scope/allowlist`; once for each page
    #[arg(long, value_name = "FILE", conflicts_with = "url")]
    pub allowlist: Vec<PathBuf>,

    /// Saved answer of `GET /projects/:id/job_token_scope/groups_allowlist`; once for each page
    #[arg(long, value_name = "FILE", conflicts_with = "url")]
    pub groups_allowlist: Vec<PathBuf>,

    /// Saved answer of the GraphQL query for `ciJobTokenScopeAllowlist`; once for each page
    #[arg(long, value_name = "FILE", conflicts_with = "url")]
    pub policies: Vec<PathBuf>,

    /// Saved answer of `GET /projects/:id/job_token_scope` [default: the allowlist is on]
    #[arg(long, value_name = "FILE", conflicts_with = "url")]
    pub scope: Option<PathBuf>,
}

impl Files {
    pub(super) fn name_a_list(&self) -> bool {
        !(self.allowlist.is_empty() && self.groups_allowlist.is_empty() && self.policies.is_empty())
    }

    pub(super) fn stated(&self, project: &str, notes: &mut Notes) -> Result<Stated, Failure> {
        let scope = self.scope.as_ref().map(|path| Document::open(path)?.json::<Scope>()).transpose()?;
        let projects = listed(&self.allowlist, |one: ListedProject| one.path_with_namespace)?;
        let groups = listed(&self.groups_allowlist, |one: ListedGroup| one.path)?;
        warn_of_pages("--allowlist", projects.as_deref(), self.allowlist.len(), project, notes);
        warn_of_pages("--groups-allowlist", groups.as_deref(), self.groups_allowlist.len(), project, notes);
        Ok(Stated {
            project: project.to_owned(),
            inbound_enabled: scope.map(|scope| scope.inbound_enabled),
            listed_projects: projects,
            listed_groups: groups,
            entries: policies(&self.policies, project)?,
        })
    }
}

fn listed<T: serde::de::DeserializeOwned>(
    pages: &[PathBuf],
    path: fn(T) -> String,
) -> Result<Option<Vec<String>>, Failure> {
    if pages.is_empty() {
        return Ok(None);
    }
    let mut all = Vec::new();
    for page in pages {
        all.extend(Document::open(page)?.json::<Vec<T>>()?.into_iter().map(path));
    }
    Ok(Some(all))
}

/// A saved page does not say whether there is a next one; its length may.
fn warn_of_pages(flag: &str, listed: Option<&[String]>, pages: usize, project: &str, notes: &mut Notes) {
    let length = listed.map_or(0, <[String]>::len);
    if pages == 1 && matches!(length, 20 | 50 | 100) {
        notes.said(
            &project,
            format!(
                "{flag} has exactly {length} entries, as a page has: if there are more, give each page with {flag}"
            ),
        );
    }
}

fn policies(pages: &[PathBuf], project: &str) -> Result<Option<Vec<(Kind, Node)>>, Failure> {
    let documents = pages.iter().map(|path| Document::open(path)).collect::<Result<Vec<_>, _>>()?;
    let Some(last) = documents.last() else { return Ok(None) };
    let mut groups = Vec::new();
    let mut projects = Vec::new();
    for document in &documents {
        let lists = allowlists(document, project)?;
        groups.extend(lists.groups_allowlist);
        projects.extend(lists.projects_allowlist);
    }
    let mut entries = whole(groups, Kind::Group).map_err(|told| last.fault(0, told))?;
    entries.extend(whole(projects, Kind::Project).map_err(|told| last.fault(0, told))?);
    let other = entries.iter().filter_map(|(_, node)| node.on.as_deref()).find(|on| !on.eq_ignore_ascii_case(project));
    match other {
        Some(other) => Err(about_another(last, other, project)),
        None => Ok(Some(entries)),
    }
}

fn allowlists(document: &Document, project: &str) -> Result<Allowlists, Failure> {
    let answer: Answer = document.json()?;
    if let Some(error) = answer.errors.first() {
        return Err(document.fault(0, format!("GitLab answered with an error: {error}")));
    }
    let found = answer.project.ok_or_else(|| document.fault(0, "no project: there is none, or it may not be seen"))?;
    match found.full_path {
        Some(other) if !other.eq_ignore_ascii_case(project) => Err(about_another(document, &other, project)),
        _ => found
            .ci_job_token_scope_allowlist
            .ok_or_else(|| document.fault(0, "no ciJobTokenScopeAllowlist: only a maintainer of the project is told")),
    }
}

fn about_another(document: &Document, other: &str, project: &str) -> Failure {
    document.fault(0, format!("this is about the project {other}, not {project}"))
}

/// All entries of a kind, if these pages are the whole list: one that is missing could have been narrower than
/// what its group is permitted.
fn whole(pages: Vec<Connection>, kind: Kind) -> Result<Vec<(Kind, Node)>, String> {
    let name = format!("{}sAllowlist", kind.name());
    if pages.is_empty() {
        return Err(format!("no {name}: the query must ask for it"));
    }
    let total: usize = pages.iter().map(|page| page.nodes.len()).sum();
    let counted = pages.iter().all(|page| page.count.is_none_or(|count| total >= count));
    let ended = pages.iter().any(|page| page.page_info.as_ref().is_none_or(|info| !info.has_next_page));
    if counted && ended {
        Ok(pages.into_iter().flat_map(|page| page.nodes).map(|node| (kind, node)).collect())
    } else {
        Err(format!("{name} goes on: save the next page, too, and give it with a further --policies"))
    }
}
