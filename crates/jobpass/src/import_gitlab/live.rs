//! A live GitLab, read and never written: which answers are asked for, to the last page.

mod transport;

use super::Failure;
use super::allowlist::Kind;
use super::read::{Answer, Connection, ListedGroup, ListedProject, Node, Scope, Stated, Version};
use jobpass_domain::Secret;
use reqwest::Url;
use reqwest::header::HeaderMap;
use serde::de::DeserializeOwned;
use serde_json::json;
use std::time::Duration;
use transport::Transport;

/// As many as GitLab gives at once.
const PER_PAGE: &str = "100";
/// GitLab's own limit is 200 entries of a kind.
const MAX_PAGES: usize = 50;
/// The first major version in which every installation has policies.
const FIRST_WITH_POLICIES: u32 = 18;

#[derive(Debug)]
pub(super) struct Gitlab {
    transport: Transport,
}

impl Gitlab {
    pub(super) fn new(url: &str, token: &Secret, allow_http: bool, timeout: Duration) -> Result<Gitlab, Failure> {
        Ok(Gitlab { transport: Transport::new(url, token, allow_http, timeout)? })
    }

    /// What it says of one project.
    pub(super) async fn stated(&self, project: &str) -> Result<Stated, Failure> {
        let scope: Scope = self.transport.get(self.address(project, &[])).await?.1.json()?;
        let projects: Vec<ListedProject> = self.pages(project, "allowlist").await?;
        let groups: Vec<ListedGroup> = self.pages(project, "groups_allowlist").await?;
        Ok(Stated {
            project: project.to_owned(),
            inbound_enabled: Some(scope.inbound_enabled),
            listed_projects: Some(projects.into_iter().map(|one| one.path_with_namespace).collect()),
            listed_groups: Some(groups.into_iter().map(|one| one.path).collect()),
            entries: self.entries(project).await?,
        })
    }

    fn address(&self, project: &str, below: &[&str]) -> Url {
        let scope = ["api", "v4", "projects", project, "job_token_scope"];
        self.transport.at(&[&scope, below].concat())
    }

    /// A list in pages, to its end.
    async fn pages<T: DeserializeOwned>(&self, project: &str, list: &str) -> Result<Vec<T>, Failure> {
        let mut all = Vec::new();
        let mut page = "1".to_owned();
        for _ in 0..MAX_PAGES {
            let mut url = self.address(project, &[list]);
            url.query_pairs_mut().append_pair("page", &page).append_pair("per_page", PER_PAGE);
            let (headers, document) = self.transport.get(url).await?;
            all.extend(document.json::<Vec<T>>()?);
            match next_page(&headers) {
                Some(next) => next.clone_into(&mut page),
                None => return Ok(all),
            }
        }
        Err(Failure::TooManyPages(self.address(project, &[list]).into()))
    }

    /// All entries with their permissions; `None` from a GitLab that is too old to have any.
    async fn entries(&self, project: &str) -> Result<Option<Vec<(Kind, Node)>>, Failure> {
        let mut entries = Vec::new();
        for kind in [Kind::Group, Kind::Project] {
            match self.connection(project, kind).await? {
                Some(nodes) => entries.extend(nodes.into_iter().map(|node| (kind, node))),
                None => return Ok(None),
            }
        }
        Ok(Some(entries))
    }

    async fn connection(&self, project: &str, kind: Kind) -> Result<Option<Vec<Node>>, Failure> {
        let mut nodes = Vec::new();
        let mut after = None;
        for _ in 0..MAX_PAGES {
            let Some(page) = self.query(project, kind, after).await? else { return Ok(None) };
            nodes.extend(page.nodes);
            match page.page_info {
                Some(info) if info.has_next_page => after = info.end_cursor,
                _ => return Ok(Some(nodes)),
            }
        }
        Err(Failure::TooManyPages(self.transport.at(&["api", "graphql"]).into()))
    }

    async fn query(&self, project: &str, kind: Kind, after: Option<String>) -> Result<Option<Connection>, Failure> {
        let body = json!({"query": query_of(kind), "variables": {"path": project, "after": after}});
        let url = self.transport.at(&["api", "graphql"]);
        let document = self.transport.post(url, &body).await?;
        let answer: Answer = document.json()?;
        if let Some(error) = answer.errors.first() {
            let unknown = answer.errors.iter().all(|error| error.contains("doesn't exist on type"));
            if unknown && self.is_without_policies().await? {
                return Ok(None);
            }
            return Err(Failure::Refused { url: document.name, told: error.clone() });
        }
        let refused = |told: &str| Failure::Refused { url: document.name.clone(), told: format!("{project}: {told}") };
        let found = answer.project.ok_or_else(|| refused("there is no such project, or the token may not see it"))?;
        let lists = found
            .ci_job_token_scope_allowlist
            .ok_or_else(|| refused("only a maintainer of the project is told its allowlist"))?;
        let list = match kind {
            Kind::Group => lists.groups_allowlist,
            Kind::Project => lists.projects_allowlist,
        };
        list.map(Some).ok_or_else(|| refused("the answer holds no list"))
    }

    /// Whether it is so old that entries have no policies. In a newer one a field that is gone was renamed, and
    /// what it said must not be taken for the default, which is everything.
    async fn is_without_policies(&self) -> Result<bool, Failure> {
        let (_, document) = self.transport.get(self.transport.at(&["api", "v4", "version"])).await?;
        let Version { version } = document.json()?;
        let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
        Ok(major.is_some_and(|major| major < FIRST_WITH_POLICIES))
    }
}

fn query_of(kind: Kind) -> String {
    let (list, target) = match kind {
        Kind::Group => ("groupsAllowlist", "CiJobTokenAccessibleGroup"),
        Kind::Project => ("projectsAllowlist", "CiJobTokenAccessibleProject"),
    };
    format!(
        "query($path: ID!, $after: String) {{ project(fullPath: $path) {{ ciJobTokenScopeAllowlist {{ \
         {list}(first: {PER_PAGE}, after: $after) {{ \
         nodes {{ target {{ ... on {target} {{ fullPath }} }} direction defaultPermissions jobTokenPolicies }} \
         pageInfo {{ hasNextPage endCursor }} }} }} }} }}"
    )
}

fn next_page(headers: &HeaderMap) -> Option<&str> {
    let next = headers.get("x-next-page")?.to_str().ok()?.trim();
    (!next.is_empty()).then_some(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_projects_path_is_one_segment() {
        let token = Secret::new("t".into());
        let gitlab = Gitlab::new("http://localhost/gitlab/", &token, false, Duration::from_secs(1)).unwrap();
        assert_eq!(
            gitlab.address("a/b", &["allowlist"]).as_str(),
            "http://localhost/gitlab/api/v4/projects/a%2Fb/job_token_scope/allowlist"
        );
    }
}
