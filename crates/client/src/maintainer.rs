//! What a person, or whatever reconciles a reviewed file in a person's name, does: reads and puts the configuration
//! of projects and groups, each with the tag of what was read.

use crate::exchange::{Answer, Dialect, send, send_repeatable};
use crate::{Client, Error};
use http::{HeaderValue, Method, header};
use jobpass_api::{Catalogue, DryRun, Group, GroupConfiguration, List, Project, ProjectConfiguration};
use jobpass_api::{RegistryAuthority, RouteTable, RouteTableSummary, SigningKeys};
use jobpass_domain::signing_key::SigningAlgorithm;
use reqwest::RequestBuilder;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use uuid::Uuid;

const PAGE: &str = "1000";

/// A user, with the rights that the user has; the secret starts with `jpu_`.
#[derive(Clone, Debug)]
pub struct Maintainer {
    client: Client,
    bearer: HeaderValue,
}

/// What was read, with the ETag that says whether it is still so.
#[derive(Clone, Debug)]
pub struct Tagged<T> {
    pub value: T,
    pub etag: String,
}

/// How a configuration is put.
#[derive(Clone, Copy, Debug, Default)]
pub struct Put {
    /// Even if it breaks what was seen.
    pub confirmed: bool,
    /// How many days back uses count; `None`: as many as the server has it.
    pub window_days: Option<u16>,
}

/// What has a configuration.
pub trait Configurable: Serialize + DeserializeOwned {
    /// The segment of URLs under which all of them lie.
    const PLURAL: &'static str;
}

impl Configurable for ProjectConfiguration {
    const PLURAL: &'static str = "projects";
}

impl Configurable for GroupConfiguration {
    const PLURAL: &'static str = "groups";
}

impl Maintainer {
    pub(crate) fn new(client: Client, bearer: HeaderValue) -> Maintainer {
        Maintainer { client, bearer }
    }

    /// The groups that the user can see, by path.
    pub async fn groups(&self) -> Result<Vec<Group>, Error> {
        self.all("groups", |group: &Group| group.path.to_string()).await
    }

    /// The projects that the user can see, by path.
    pub async fn projects(&self) -> Result<Vec<Project>, Error> {
        self.all("projects", |project: &Project| project.path.to_string()).await
    }

    pub async fn create_group(&self, path: &str) -> Result<Group, Error> {
        let request = self.request(Method::POST, &["v1", "groups"]).json(&json!({ "path": path }));
        send(request, Dialect::Rest).await?.json()
    }

    pub async fn create_project(&self, path: &str) -> Result<Project, Error> {
        let request = self.request(Method::POST, &["v1", "projects"]).json(&json!({ "path": path }));
        send(request, Dialect::Rest).await?.json()
    }

    /// `None`: there is none by this path, or the user may not know of it.
    pub async fn configuration<C: Configurable>(&self, path: &str) -> Result<Option<Tagged<C>>, Error> {
        self.get(&["v1", C::PLURAL, path, "configuration"]).await?.as_ref().map(tagged).transpose()
    }

    /// What a put would be and do; nothing is written.
    pub async fn rehearse<C: Configurable>(&self, path: &str, wanted: &Tagged<C>, put: Put) -> Result<DryRun, Error> {
        let request = self.put_request(path, wanted, put).query(&[("dry_run", "true")]);
        send_repeatable(request, Dialect::Rest).await?.json()
    }

    /// One transaction; refused with 412 when what was read is not there any more.
    pub async fn put_configuration<C: Configurable>(
        &self,
        path: &str,
        wanted: &Tagged<C>,
        put: Put,
    ) -> Result<Tagged<C>, Error> {
        tagged(&send(self.put_request(path, wanted, put), Dialect::Rest).await?)
    }

    pub async fn catalogue(&self) -> Result<Catalogue, Error> {
        send_repeatable(self.request(Method::GET, &["v1", "catalogue"]), Dialect::Rest).await?.json()
    }

    pub async fn route_tables(&self) -> Result<Vec<RouteTableSummary>, Error> {
        self.all("route-tables", |table: &RouteTableSummary| table.name.clone()).await
    }

    pub async fn route_table(&self, name: &str) -> Result<Option<Tagged<RouteTable>>, Error> {
        self.get(&["v1", "route-tables", name]).await?.as_ref().map(tagged).transpose()
    }

    /// `etag`: of the table that is replaced; `None`: there must be none.
    pub async fn put_route_table(&self, name: &str, etag: Option<&str>, yaml: String) -> Result<RouteTable, Error> {
        let condition = match etag {
            Some(etag) => (header::IF_MATCH, etag),
            None => (header::IF_NONE_MATCH, "*"),
        };
        let request = self.request(Method::PUT, &["v1", "route-tables", name]).header(condition.0, condition.1);
        let request = request.header(header::CONTENT_TYPE, "application/yaml").body(yaml);
        send(request, Dialect::Rest).await?.json()
    }

    /// The keys that sign ID tokens (administrators).
    pub async fn signing_keys(&self) -> Result<SigningKeys, Error> {
        send_repeatable(self.request(Method::GET, &["v1", "signing-keys"]), Dialect::Rest).await?.json()
    }

    /// Publishes a successor for each key that has none yet; `algorithm`: of this alone.
    pub async fn rotate_signing_keys(
        &self,
        algorithm: Option<SigningAlgorithm>,
        reason: Option<String>,
    ) -> Result<SigningKeys, Error> {
        let request = self.request(Method::POST, &["v1", "signing-keys", "rotate"]);
        let request = request.json(&json!({ "algorithm": algorithm, "reason": reason }));
        send(request, Dialect::Rest).await?.json()
    }

    /// What it signed is worthless from here on.
    pub async fn revoke_signing_key(&self, id: Uuid, reason: Option<String>) -> Result<SigningKeys, Error> {
        let request = self.request(Method::POST, &["v1", "signing-keys", &id.to_string(), "revoke"]);
        send(request.json(&json!({ "reason": reason })), Dialect::Rest).await?.json()
    }

    /// No registry believes what it vouches for before it was given the certificate.
    pub async fn replace_registry_authority(&self, reason: Option<String>) -> Result<RegistryAuthority, Error> {
        let request = self.request(Method::POST, &["v1", "registry-authority", "replace"]);
        send(request.json(&json!({ "reason": reason })), Dialect::Rest).await?.json()
    }

    /// Whether the user is an administrator.
    pub async fn is_administrator(&self) -> Result<bool, Error> {
        let request = self.request(Method::GET, &["v1", "instance", "settings"]);
        match send_repeatable(request, Dialect::Rest).await {
            Ok(_) => Ok(true),
            Err(error) if error.status() == Some(403) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn request(&self, method: Method, segments: &[&str]) -> RequestBuilder {
        self.client.request(method, segments, &self.bearer)
    }

    fn put_request<C: Configurable>(&self, path: &str, wanted: &Tagged<C>, put: Put) -> RequestBuilder {
        let request = self.request(Method::PUT, &["v1", C::PLURAL, path, "configuration"]);
        let request = request.header(header::IF_MATCH, &wanted.etag).json(&wanted.value);
        let request = if put.confirmed { request.query(&[("confirm", "true")]) } else { request };
        match put.window_days {
            Some(days) => request.query(&[("window_days", days.to_string())]),
            None => request,
        }
    }

    /// `None`: 404.
    async fn get(&self, segments: &[&str]) -> Result<Option<Answer>, Error> {
        match send_repeatable(self.request(Method::GET, segments), Dialect::Rest).await {
            Ok(answer) => Ok(Some(answer)),
            Err(error) if error.status() == Some(404) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Every page of a list.
    async fn all<T: DeserializeOwned>(&self, list: &str, cursor: impl Fn(&T) -> String) -> Result<Vec<T>, Error> {
        let mut all: Vec<T> = Vec::new();
        loop {
            let request = self.request(Method::GET, &["v1", list]).query(&[("limit", PAGE)]);
            let request = match all.last() {
                Some(last) => request.query(&[("after", cursor(last))]),
                None => request,
            };
            let page: List<T> = send_repeatable(request, Dialect::Rest).await?.json()?;
            let ends = page.next.is_none() || page.items.is_empty();
            all.extend(page.items);
            if ends {
                return Ok(all);
            }
        }
    }
}

fn tagged<T: DeserializeOwned>(answer: &Answer) -> Result<Tagged<T>, Error> {
    let etag = answer.etag().ok_or_else(|| answer.unexpected("no ETag"))?;
    Ok(Tagged { value: answer.json()?, etag: etag.to_owned() })
}
