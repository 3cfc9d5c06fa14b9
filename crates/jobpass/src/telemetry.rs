//! Log lines, on standard error: standard output belongs to what a command answers. And figures, for `/metrics`.

use crate::{LogFormat, Settings};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use std::io::{self, IsTerminal};
use std::sync::OnceLock;
use tracing_subscriber::EnvFilter;

/// Does nothing when a subscriber is there already, as in a test.
pub(crate) fn start(settings: &Settings) {
    let filter = EnvFilter::try_new(&settings.log).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(io::stderr().is_terminal());
    let _ = match settings.log_format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
}

/// The figures of this process in Prometheus' text format; of all its servers, where a test runs more than one.
pub(crate) fn metrics() -> String {
    static FIGURES: OnceLock<Option<PrometheusHandle>> = OnceLock::new();
    let figures = FIGURES.get_or_init(|| PrometheusBuilder::new().install_recorder().ok());
    figures.as_ref().map(PrometheusHandle::render).unwrap_or_default()
}
