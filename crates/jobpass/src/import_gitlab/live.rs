//! A live GitLab, read and never written. The token goes to the address that was given and to no other, never in
//! clear over a network, and is never printed.

use super::Failure;
use super::allowlist::Kind;
use super::document::{Document, MAX_BYTES};
use super::read::{Answer, Connection, ListedGroup, ListedProject, Node, Scope, Stated};
use jobpass_domain::Secret;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{RequestBuilder, StatusCode, Url};
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt as _;
use serde::de::DeserializeOwned;
use serde_json::json;
use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;

const USER_AGENT: &str = concat!("jobpass/", env!("CARGO_PKG_VERSION"));
/// As many as GitLab gives at once.
const PER_PAGE: &str = "100";
/// GitLab's own limit is 200 entries of a kind.
const MAX_PAGES: usize = 50;
const CONNECT: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Gitlab {
    http: reqwest::Client,
    base: Url,
    bearer: HeaderValue,
}

impl Gitlab {
    pub(super) fn new(url: &str, token: &Secret, allow_http: bool, timeout: Duration) -> Result<Gitlab, Failure> {
        let base = base(url, allow_http)?;
        let http = reqwest::Client::builder()
            .user_agent(USER_AGENT)
            .connect_timeout(CONNECT.min(timeout))
            .timeout(timeout)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .tls_backend_preconfigured(tls(&base).map_err(|error| Failure::Tls(error.to_string()))?)
            .build()
            .map_err(|error| Failure::Tls(error.to_string()))?;
        let mut bearer =
            HeaderValue::from_str(&format!("Bearer {}", token.expose())).map_err(|_| Failure::Token("is no token"))?;
        bearer.set_sensitive(true);
        Ok(Gitlab { http, base, bearer })
    }

    /// What it says of one project.
    pub(super) async fn stated(&self, project: &str) -> Result<Stated, Failure> {
        let scope: Scope = self.get(self.address(project, &[])).await?.1.json()?;
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
        self.at(&[&scope, below].concat())
    }

    fn at(&self, segments: &[&str]) -> Url {
        let mut url = self.base.clone();
        // `base` has seen to it that the URL can have a path.
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }

    /// A list in pages, to its end.
    async fn pages<T: DeserializeOwned>(&self, project: &str, list: &str) -> Result<Vec<T>, Failure> {
        let mut all = Vec::new();
        let mut page = "1".to_owned();
        for _ in 0..MAX_PAGES {
            let mut url = self.address(project, &[list]);
            url.query_pairs_mut().append_pair("page", &page).append_pair("per_page", PER_PAGE);
            let (headers, document) = self.get(url).await?;
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
        Err(Failure::TooManyPages(self.at(&["api", "graphql"]).into()))
    }

    async fn query(&self, project: &str, kind: Kind, after: Option<String>) -> Result<Option<Connection>, Failure> {
        let body = json!({"query": query_of(kind), "variables": {"path": project, "after": after}});
        let url = self.at(&["api", "graphql"]);
        let (_, document) = self.send(self.http.post(url).json(&body)).await?;
        let answer: Answer = document.json()?;
        let unknown = |error: &String| error.contains("doesn't exist on type");
        if !answer.errors.is_empty() && answer.errors.iter().all(unknown) {
            return Ok(None);
        }
        if let Some(error) = answer.errors.first() {
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

    async fn get(&self, url: Url) -> Result<(HeaderMap, Document), Failure> {
        self.send(self.http.get(url)).await
    }

    /// The answer, whole and within bounds, if it is a 200.
    async fn send(&self, request: RequestBuilder) -> Result<(HeaderMap, Document), Failure> {
        let request =
            request.header(AUTHORIZATION, self.bearer.clone()).build().map_err(|error| no_answer(&self.base, error))?;
        let url = request.url().clone();
        let mut answer = self.http.execute(request).await.map_err(|error| no_answer(&url, error))?;
        if answer.status() != StatusCode::OK {
            let status = answer.status();
            return Err(Failure::Status { url: url.into(), status, hint: hint(status) });
        }
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| no_answer(&url, error))? {
            body.extend_from_slice(&chunk);
            if body.len() as u64 > MAX_BYTES {
                return Err(Failure::TooLarge(url.into()));
            }
        }
        let headers = std::mem::take(answer.headers_mut());
        Ok((headers, Document::new(url.into(), body)?))
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

fn hint(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED => ": the token is not accepted",
        StatusCode::FORBIDDEN => ": the token needs the scope read_api or api, of a maintainer of the project",
        StatusCode::NOT_FOUND => ": there is no such project, or the token may not see it",
        status if status.is_redirection() => ": redirects are not followed; has the project moved?",
        _ => "",
    }
}

/// The cause in words, without the address, which stands in front.
fn no_answer(url: &Url, error: reqwest::Error) -> Failure {
    let told = if error.is_timeout() {
        "no answer in time (--timeout-secs)".to_owned()
    } else {
        let error = error.without_url();
        let mut told = error.to_string();
        let mut cause = error.source();
        while let Some(deeper) = cause {
            told = format!("{told}: {deeper}");
            cause = deeper.source();
        }
        told
    };
    Failure::Refused { url: url.to_string(), told }
}

fn base(text: &str, allow_http: bool) -> Result<Url, Failure> {
    let url = Url::parse(text).map_err(|_| Failure::Url)?;
    let plain =
        url.username().is_empty() && url.password().is_none() && url.query().is_none() && url.fragment().is_none();
    match url.scheme() {
        _ if !plain || !url.has_host() => Err(Failure::Url),
        "https" => Ok(url),
        "http" if allow_http || is_loopback(&url) => Ok(url),
        "http" => Err(Failure::Clear),
        _ => Err(Failure::Url),
    }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// The provider is named here rather than installed for the whole process.
fn tls(base: &Url) -> Result<ClientConfig, Box<dyn StdError + Send + Sync>> {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?;
    // Without redirects plain HTTP never meets TLS, and a small container may have no certificates at all.
    let config = if base.scheme() == "http" {
        config.with_root_certificates(RootCertStore::empty())
    } else {
        config.with_platform_verifier()?
    };
    Ok(config.with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_token_may_go() {
        for good in [
            "https://gitlab.example",
            "https://example.org/gitlab/",
            "http://127.0.0.1:80",
            "http://[::1]:1",
            "http://localhost",
        ] {
            assert!(base(good, false).is_ok(), "{good}");
        }
        for clear in ["http://gitlab.example", "http://10.0.0.1", "http://localhost.example", "http://0.0.0.0"] {
            assert!(matches!(base(clear, false), Err(Failure::Clear)), "{clear}");
            assert!(base(clear, true).is_ok(), "{clear}");
        }
        for bad in ["", "gitlab.example", "ftp://a", "https://u:p@a", "https://a?b", "https://a#b"] {
            assert!(matches!(base(bad, true), Err(Failure::Url)), "{bad}");
        }
    }

    #[test]
    fn a_projects_path_is_one_segment() {
        let gitlab =
            Gitlab::new("http://localhost/gitlab/", &Secret::new("t".into()), false, Duration::from_secs(1)).unwrap();
        assert_eq!(
            gitlab.address("a/b", &["allowlist"]).as_str(),
            "http://localhost/gitlab/api/v4/projects/a%2Fb/job_token_scope/allowlist"
        );
        assert!(!format!("{gitlab:?}").contains("Bearer"));
    }
}
