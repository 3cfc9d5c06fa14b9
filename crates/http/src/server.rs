//! What every handler stands on.

use crate::address::TrustedProxies;
use crate::limit::Failures;
use axum::extract::State;
use jobpass_app::App;
use std::sync::Arc;

#[derive(Clone, Debug)]
pub struct Config {
    /// The issuer, as it stands in every `iss` and in the metadata: no trailing slash.
    pub issuer: String,
    /// The figures of `/metrics`, in Prometheus' text format.
    pub metrics: fn() -> String,
    pub proxies: TrustedProxies,
}

#[derive(Debug)]
pub struct Server {
    pub app: Arc<App>,
    pub config: Config,
    pub(crate) failures: Failures,
}

impl Server {
    pub fn new(app: Arc<App>, config: Config) -> Server {
        Server { app, config, failures: Failures::default() }
    }
}

pub(crate) type Api = State<Arc<Server>>;
