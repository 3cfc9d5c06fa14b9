//! Why a plan, an apply or an export came to nothing, or not to its end: in words for whoever typed it.

use crate::one_line::one_line;
use jobpass_client::{Error, Misconfigured};
use std::fmt::Write as _;
use thiserror::Error;

#[derive(Debug, Error)]
pub enum Failure {
    #[error("{name}: {source}")]
    File { name: String, source: std::io::Error },
    #[error("{0}: more than 8 MiB")]
    TooLarge(String),
    /// What is wrong with the file, a line each.
    #[error("{}", .0.join("\n"))]
    Faults(Vec<String>),
    #[error("JOBPASS_TOKEN is missing: it is an API token of yours, and starts with jpu_")]
    NoToken,
    #[error("JOBPASS_URL or JOBPASS_TOKEN: {0}")]
    Misconfigured(#[from] Misconfigured),
    #[error("{about}, at {url}: {}", one_line(told))]
    Call { url: String, about: String, told: String },
    #[error("something that was seen would break, and nothing was changed; --confirm applies it all the same")]
    WouldBreak,
    #[error("{about} has changed since it was read, and was left as it is; run plan again{}", done(.applied))]
    Changed { about: String, applied: Vec<String> },
    #[error("{cause}{}", done(.applied))]
    Partly { cause: Box<Failure>, applied: Vec<String> },
    #[error("there is no {called}, or it is hidden from you")]
    None { called: String },
    #[error("the YAML cannot be written: {0}")]
    Yaml(String),
    #[error("{0}")]
    Output(#[from] std::io::Error),
}

fn done(applied: &[String]) -> String {
    if applied.is_empty() {
        "\nnothing was changed".to_owned()
    } else {
        format!("\nalready applied, each as a whole: {}; nothing else was changed", applied.join(", "))
    }
}

/// What went wrong in a call: the problem's own words, or why there was no answer.
pub(super) fn told(error: &Error) -> String {
    let mut text = String::new();
    match error {
        Error::Problem(problem) => {
            let _ = write!(text, "{} ({})", problem.title, problem.code);
            if let Some(more) = &problem.detail {
                let _ = write!(text, ": {more}");
            }
            for fault in &problem.errors {
                let _ = write!(text, "; {}: {}", fault.pointer, fault.detail);
            }
        }
        Error::Unreachable { cause, .. } => {
            let _ = write!(text, "{error}: {cause}");
            let mut below = cause.source();
            while let Some(deeper) = below {
                let _ = write!(text, ": {deeper}");
                below = deeper.source();
            }
        }
        other => {
            let _ = write!(text, "{other}");
        }
    }
    text
}
