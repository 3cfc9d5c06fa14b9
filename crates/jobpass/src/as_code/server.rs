//! The server that the file is compared with. Whatever it refuses is told with its address, and never with a token.

use super::Failure;
use super::failure::told;
use jobpass_api::{DryRun, Group, NewRouteTable, Project, SigningKeys};
use jobpass_app::read_routes;
use jobpass_client::{Client, Configurable, Error, Maintainer, Put, Secret, Tagged};
use jobpass_domain::Catalogue;
use jobpass_domain::path::Path;
use jobpass_domain::signing_key::SigningAlgorithm;
use std::time::Duration;
use uuid::Uuid;

const TOKEN_VARIABLE: &str = "JOBPASS_TOKEN";
/// A large configuration is replayed against a large recorded usage.
const TIMEOUT: Duration = Duration::from_mins(2);

pub(crate) struct Server {
    maintainer: Maintainer,
    url: String,
}

/// A route table that is there; `None` in it: a text that this version cannot read.
pub(super) struct Table {
    pub etag: String,
    pub built_in: bool,
    pub written: Option<NewRouteTable>,
    pub yaml: String,
}

impl Server {
    /// The token is never an argument: everybody on the machine can read those.
    pub(crate) fn new(url: &str) -> Result<Server, Failure> {
        let token = std::env::var(TOKEN_VARIABLE).map_err(|_| Failure::NoToken)?;
        let client = Client::builder(url).timeout(TIMEOUT).build()?;
        let maintainer = client.maintainer(Secret::new(token.trim().to_owned()))?;
        Ok(Server { maintainer, url: url.to_owned() })
    }

    pub(crate) async fn signing_keys(&self) -> Result<SigningKeys, Failure> {
        self.maintainer.signing_keys().await.map_err(|error| self.failed("the signing keys", &error))
    }

    /// `None`: all algorithms.
    pub(crate) async fn rotate_signing_keys(
        &self,
        algorithm: Option<SigningAlgorithm>,
        reason: Option<String>,
    ) -> Result<SigningKeys, Failure> {
        let rotated = self.maintainer.rotate_signing_keys(algorithm, reason).await;
        rotated.map_err(|error| self.failed("the signing keys", &error))
    }

    pub(crate) async fn revoke_signing_key(&self, id: Uuid, reason: Option<String>) -> Result<SigningKeys, Failure> {
        let revoked = self.maintainer.revoke_signing_key(id, reason).await;
        revoked.map_err(|error| self.failed("the signing key", &error))
    }

    pub(crate) async fn replace_registry_authority(&self, reason: Option<String>) -> Result<String, Failure> {
        let replaced = self.maintainer.replace_registry_authority(reason).await;
        Ok(replaced.map_err(|error| self.failed("the registry authority", &error))?.certificate)
    }

    pub(super) async fn groups(&self) -> Result<Vec<Group>, Failure> {
        self.maintainer.groups().await.map_err(|error| self.failed("the list of groups", &error))
    }

    pub(super) async fn projects(&self) -> Result<Vec<Project>, Failure> {
        self.maintainer.projects().await.map_err(|error| self.failed("the list of projects", &error))
    }

    pub(super) async fn configuration<C: Configurable>(&self, path: &Path) -> Result<Option<Tagged<C>>, Error> {
        self.maintainer.configuration(path.as_str()).await
    }

    pub(super) async fn rehearse<C: Configurable>(
        &self,
        path: &Path,
        wanted: &Tagged<C>,
        put: Put,
    ) -> Result<DryRun, Error> {
        self.maintainer.rehearse(path.as_str(), wanted, put).await
    }

    pub(super) async fn put<C: Configurable>(&self, path: &Path, wanted: &Tagged<C>, put: Put) -> Result<(), Error> {
        self.maintainer.put_configuration(path.as_str(), wanted, put).await.map(drop)
    }

    pub(super) async fn create_group(&self, path: &Path) -> Result<(), Error> {
        self.maintainer.create_group(path.as_str()).await.map(drop)
    }

    pub(super) async fn create_project(&self, path: &Path) -> Result<(), Error> {
        self.maintainer.create_project(path.as_str()).await.map(drop)
    }

    /// The resource types that the server knows, for what is checked here.
    pub(super) async fn catalogue(&self) -> Result<Catalogue, Failure> {
        let shown = self.maintainer.catalogue().await.map_err(|error| self.failed("the catalogue", &error))?;
        let own = shown.resources.into_iter().filter(|resource| resource.operator_defined);
        crate::cli::with_own_types(own.map(|resource| resource.name).collect())
            .map_err(|failure| self.call("the catalogue", failure.to_string()))
    }

    /// Whether the token is an administrator's.
    pub(super) async fn is_administrators(&self) -> Result<bool, Failure> {
        self.maintainer.is_administrator().await.map_err(|error| self.failed("the instance's settings", &error))
    }

    /// Names of the tables that operators wrote, for those who may write them.
    pub(super) async fn own_tables(&self) -> Result<Vec<String>, Failure> {
        if !self.is_administrators().await? {
            return Ok(vec![]);
        }
        let tables = self.maintainer.route_tables().await;
        let tables = tables.map_err(|error| self.failed("the route tables", &error))?;
        Ok(tables.into_iter().filter(|table| !table.built_in).map(|table| table.name).collect())
    }

    pub(super) async fn table(&self, name: &str) -> Result<Option<Table>, Failure> {
        let about = format!("route table {name}");
        let found = self.maintainer.route_table(name).await.map_err(|error| self.failed(&about, &error))?;
        Ok(found.map(|Tagged { value, etag }| {
            let yaml = value.yaml.unwrap_or_default();
            Table { etag, built_in: value.built_in, written: serde_saphyr::from_str(&yaml).ok(), yaml }
        }))
    }

    pub(super) async fn put_table(&self, name: &str, etag: Option<&str>, yaml: String) -> Result<(), Error> {
        self.maintainer.put_route_table(name, etag, yaml).await.map(drop)
    }

    pub(super) fn failed(&self, about: &str, error: &Error) -> Failure {
        self.call(about, told(error))
    }

    fn call(&self, about: &str, told: String) -> Failure {
        Failure::Call { url: self.url.clone(), about: about.to_owned(), told }
    }
}

/// What is wrong with a table, by pointer into it: the server's own reading.
pub(super) fn table_faults(yaml: &str, catalogue: &Catalogue) -> Vec<(String, String)> {
    let faults = read_routes(yaml, catalogue).err().unwrap_or_default();
    faults.into_iter().map(|one| (one.fault.pointer, one.fault.detail)).collect()
}
