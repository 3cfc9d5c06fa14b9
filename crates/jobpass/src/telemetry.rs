//! Log lines, on standard error: standard output belongs to what a command answers.

use crate::{LogFormat, Settings};
use std::io::{self, IsTerminal};
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
