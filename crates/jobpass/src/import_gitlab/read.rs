//! The shapes of GitLab's answers, as saved to files or as they come from a live server. What a reading must
//! not guess (an incomplete list, an entry whose permissions were not asked for) is a fault.

use super::allowlist::Kind;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};

/// `GET /projects/:id/job_token_scope`.
#[derive(Debug, Deserialize)]
pub(super) struct Scope {
    pub inbound_enabled: bool,
}

/// `GET /version`.
#[derive(Debug, Deserialize)]
pub(super) struct Version {
    pub version: String,
}

/// One of `GET /projects/:id/job_token_scope/allowlist`, which lists the project itself, too.
#[derive(Debug, Deserialize)]
pub(super) struct ListedProject {
    pub path_with_namespace: String,
}

/// One of `GET /projects/:id/job_token_scope/groups_allowlist`, which tells the path as an address only.
#[derive(Debug, Deserialize)]
#[serde(try_from = "RawGroup")]
pub(super) struct ListedGroup {
    pub path: String,
}

#[derive(Deserialize)]
struct RawGroup {
    full_path: Option<String>,
    web_url: Option<String>,
}

impl TryFrom<RawGroup> for ListedGroup {
    type Error = &'static str;
    fn try_from(raw: RawGroup) -> Result<ListedGroup, &'static str> {
        let from_url = || raw.web_url.as_deref()?.split_once("/groups/").map(|(_, path)| path.to_owned());
        let path = raw.full_path.or_else(from_url);
        path.map(|path| ListedGroup { path }).ok_or("a group without a web_url of the form …/groups/<path>")
    }
}

/// The answer to a GraphQL query for `project { ciJobTokenScopeAllowlist { … } }`.
#[derive(Debug, Deserialize)]
#[serde(try_from = "RawAnswer")]
pub(super) struct Answer {
    pub project: Option<Project>,
    /// What GitLab says instead; never beside a project.
    pub errors: Vec<String>,
}

#[derive(Deserialize)]
struct RawAnswer {
    data: Option<Data>,
    #[serde(default)]
    errors: Vec<Said>,
}

#[derive(Deserialize)]
struct Data {
    project: Option<Project>,
}

#[derive(Deserialize)]
struct Said {
    message: String,
}

impl TryFrom<RawAnswer> for Answer {
    type Error = &'static str;
    fn try_from(raw: RawAnswer) -> Result<Answer, &'static str> {
        let errors: Vec<_> = raw.errors.into_iter().map(|said| said.message).collect();
        // Half an answer is none.
        let project = raw.data.and_then(|data| data.project).filter(|_| errors.is_empty());
        Ok(Answer { project, errors })
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Project {
    pub full_path: Option<String>,
    /// Null for who is not a maintainer.
    pub ci_job_token_scope_allowlist: Option<Allowlists>,
}

/// A query may ask for one at a time.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Allowlists {
    pub groups_allowlist: Option<Connection>,
    pub projects_allowlist: Option<Connection>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Connection {
    pub nodes: Vec<Node>,
    pub count: Option<usize>,
    pub page_info: Option<PageInfo>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PageInfo {
    pub has_next_page: bool,
    pub end_cursor: Option<String>,
}

/// An entry. `policies: None` is GitLab's default permissions.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(try_from = "RawNode")]
pub(super) struct Node {
    pub path: String,
    pub policies: Option<Vec<String>>,
    /// Listed in the other direction: where this project's own jobs may go. GitLab no longer heeds it.
    pub outbound: bool,
    /// The project whose list it is, where the query asked.
    pub on: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawNode {
    #[serde(deserialize_with = "visible")]
    target: FullPath,
    default_permissions: bool,
    job_token_policies: Option<Vec<String>>,
    direction: Option<String>,
    source_project: Option<FullPath>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FullPath {
    full_path: String,
}

/// Left out, it could be more specific than a group that is listed, and that group's grant would be too wide.
fn visible<'de, D: Deserializer<'de>>(deserializer: D) -> Result<FullPath, D::Error> {
    Option::deserialize(deserializer)?
        .ok_or_else(|| D::Error::custom("the target of an entry is hidden: ask with a token that may see it"))
}

impl TryFrom<RawNode> for Node {
    type Error = &'static str;
    fn try_from(raw: RawNode) -> Result<Node, &'static str> {
        let policies = match (raw.default_permissions, raw.job_token_policies) {
            (true, _) => None,
            (false, Some(policies)) => Some(policies),
            (false, None) => return Err("an entry without default permissions has no jobTokenPolicies"),
        };
        Ok(Node {
            path: raw.target.full_path,
            policies,
            outbound: raw.direction.is_some_and(|direction| direction.eq_ignore_ascii_case("outbound")),
            on: raw.source_project.map(|project| project.full_path),
        })
    }
}

/// What GitLab said of one project, in its own words.
#[derive(Debug, Default)]
pub(super) struct Stated {
    pub project: String,
    pub inbound_enabled: Option<bool>,
    /// From REST, which tells no permissions. `None`: not asked.
    pub listed_projects: Option<Vec<String>>,
    pub listed_groups: Option<Vec<String>>,
    /// From GraphQL, which does. `None`: not asked, or GitLab is too old to tell.
    pub entries: Option<Vec<(Kind, Node)>>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{from_value, json};

    fn node(value: serde_json::Value) -> Result<Node, String> {
        from_value(value).map_err(|error| error.to_string())
    }

    #[test]
    fn entries() {
        let entry =
            json!({"target": {"fullPath": "a/b"}, "defaultPermissions": false, "jobTokenPolicies": ["READ_JOBS"]});
        assert_eq!(node(entry).unwrap().policies, Some(vec!["READ_JOBS".to_owned()]));
        let entry =
            json!({"target": {"fullPath": "a/b"}, "defaultPermissions": true, "jobTokenPolicies": ["READ_JOBS"]});
        assert_eq!(node(entry).unwrap().policies, None);
    }

    #[test]
    fn what_must_not_be_guessed() {
        for (entry, says) in [
            (json!({"target": null, "defaultPermissions": true}), "hidden"),
            (json!({"target": {"fullPath": "a/b"}}), "defaultPermissions"),
            (json!({"target": {"fullPath": "a/b"}, "defaultPermissions": false}), "jobTokenPolicies"),
            (json!({"target": {}, "defaultPermissions": true}), "fullPath"),
        ] {
            let told = node(entry).unwrap_err();
            assert!(told.contains(says), "{told}");
        }
    }

    #[test]
    fn paths_of_groups() {
        let path = |value| from_value::<ListedGroup>(value).map(|group| group.path);
        assert_eq!(path(json!({"id": 4, "web_url": "https://gitlab.example/groups/acme/x"})).unwrap(), "acme/x");
        assert_eq!(path(json!({"id": 4, "web_url": "https://example.org/gitlab/groups/acme"})).unwrap(), "acme");
        assert_eq!(path(json!({"id": 4, "full_path": "acme/x"})).unwrap(), "acme/x");
        assert!(path(json!({"id": 4, "name": "x"})).is_err());
    }

    #[test]
    fn errors_leave_no_half_answer() {
        let answer: Answer =
            from_value(json!({"data": {"project": {"fullPath": "a/b"}}, "errors": [{"message": "timeout"}]})).unwrap();
        assert!(answer.project.is_none() && answer.errors == ["timeout"]);
    }
}
