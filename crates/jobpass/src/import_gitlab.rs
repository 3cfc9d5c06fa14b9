//! `jobpass import gitlab`: what a project's job token allowlist permits, as grants that permit the same. It reads
//! files or a live GitLab and writes the file that `jobpass apply` takes; it changes nothing anywhere.

mod allowlist;
mod convert;
mod document;
mod files;
mod live;
mod log;
mod notes;
mod read;
mod resolve;

use crate::as_code;
use crate::one_line::one_line;
use allowlist::{Allowlist, Rights};
use clap::Args;
use document::Document;
use files::Files;
use jobpass_api::{NewGrant, ProjectConfiguration};
use jobpass_domain::grant::MAX_LIST;
use jobpass_domain::mode::Mode;
use jobpass_domain::path::InvalidPath;
use jobpass_domain::text::InvalidText;
use jobpass_domain::{Catalogue, Path, Secret};
use live::Gitlab;
use log::Seen;
use notes::Notes;
use read::Stated;
use reqwest::StatusCode;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;
use thiserror::Error;

const TOKEN_VARIABLE: &str = "GITLAB_TOKEN";

/// Write the allowlists of GitLab projects as grants, in YAML, on standard output; what could not be carried
/// over is said on standard error
#[derive(Args, Clone, Debug)]
pub(crate) struct ImportGitlab {
    /// Path of the accessed project; with --url it may be repeated
    #[arg(long = "project", value_name = "PATH", required = true)]
    projects: Vec<String>,

    #[command(flatten)]
    files: Files,

    /// A live GitLab to ask, such as `https://gitlab.example.com`; the token is taken from `GITLAB_TOKEN`
    #[arg(long)]
    url: Option<String>,

    /// A file that holds the token, in place of `GITLAB_TOKEN`
    #[arg(long, value_name = "FILE", requires = "url")]
    token_file: Option<PathBuf>,

    /// Send the token in clear to an address that is not of this machine
    #[arg(long, requires = "url")]
    allow_http: bool,

    /// How long to wait for each answer
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=600))]
    timeout_secs: u64,

    /// The project's authorization log, as GitLab exports it
    #[arg(long, value_name = "FILE.csv")]
    log: Option<PathBuf>,

    /// Let grants hold whatever the role of the user who started the job
    #[arg(long)]
    machine_identity: bool,
}

/// Why nothing was written.
#[derive(Debug, Error)]
pub enum Failure {
    #[error("{name}: {source}")]
    File { name: String, source: std::io::Error },
    #[error("{0}: more than 8 MiB")]
    TooLarge(String),
    #[error("{name}:{line}:{column}: {}", one_line(told))]
    Malformed { name: String, line: usize, column: usize, told: String },
    #[error("--project {name}: {why}")]
    Project { name: String, why: InvalidPath },
    #[error("--project {0}: given twice")]
    ProjectTwice(String),
    #[error("the {kind} {} is listed twice, with different permissions", one_line(path))]
    Twice { kind: &'static str, path: String },
    #[error("give --url, or at least one of --allowlist, --groups-allowlist and --policies")]
    NoInput,
    #[error("files and --log are about one project: give one --project")]
    OneProject,
    #[error("--url is an http(s) URL without user, query or fragment")]
    Url,
    #[error("--url is not https: the token would be sent in clear (--allow-http sends it all the same)")]
    Clear,
    #[error("the GitLab token {0}; set {TOKEN_VARIABLE} or give --token-file")]
    Token(&'static str),
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
    #[error("{url}: {status}{hint}")]
    Status { url: String, status: StatusCode, hint: &'static str },
    #[error("{url}: {}", one_line(told))]
    Refused { url: String, told: String },
    #[error("{0}: the pages do not end")]
    TooManyPages(String),
    #[error("a text cannot be carried over: it {0}")]
    Text(#[from] InvalidText),
    #[error("{0}")]
    Yaml(String),
}

/// What goes to standard output, and what to standard error.
#[derive(Debug)]
pub(crate) struct Imported {
    pub yaml: String,
    pub notes: Vec<String>,
}

pub(crate) async fn run(args: &ImportGitlab) -> Result<Imported, Failure> {
    args.check()?;
    let seen = args.log.as_ref().map(|path| log::parse(&Document::open(path)?)).transpose()?.unwrap_or_default();
    let mut notes = Notes::default();
    let mut projects = BTreeMap::new();
    for stated in args.stated(&mut notes).await? {
        let list = resolve::allowlist(&stated, &Catalogue::default(), &mut notes)?;
        let grants = args.convert(&list, &seen, &mut notes)?;
        let mode = list.open.then_some(Mode::Legacy);
        let project = ProjectConfiguration { mode, grants: Some(grants), ..ProjectConfiguration::default() };
        projects.insert(list.project, project);
    }
    let yaml = as_code::write_file(&BTreeMap::new(), &projects, &BTreeMap::new())
        .map_err(|failure| Failure::Yaml(failure.to_string()))?;
    Ok(Imported { yaml, notes: notes.lines().collect() })
}

impl ImportGitlab {
    fn check(&self) -> Result<(), Failure> {
        if self.url.is_none() && !self.files.name_a_list() {
            return Err(Failure::NoInput);
        }
        if self.projects.len() > 1 && (self.url.is_none() || self.log.is_some()) {
            return Err(Failure::OneProject);
        }
        let mut given = BTreeSet::new();
        match self.projects.iter().find(|path| !given.insert(path.to_ascii_lowercase())) {
            Some(twice) => Err(Failure::ProjectTwice(twice.clone())),
            None => Ok(()),
        }
    }

    async fn stated(&self, notes: &mut Notes) -> Result<Vec<Stated>, Failure> {
        let mut stated = Vec::new();
        match &self.url {
            None => {
                for project in &self.projects {
                    stated.push(self.files.stated(project, notes)?);
                }
            }
            Some(url) => {
                let timeout = Duration::from_secs(self.timeout_secs);
                let gitlab = Gitlab::new(url, &self.token()?, self.allow_http, timeout)?;
                for project in &self.projects {
                    stated.push(gitlab.stated(project).await?);
                }
            }
        }
        Ok(stated)
    }

    /// Never an argument: everybody on the machine can read those.
    fn token(&self) -> Result<Secret, Failure> {
        let text = match &self.token_file {
            Some(path) => Document::open(path)?.text,
            None => std::env::var(TOKEN_VARIABLE).map_err(|_| Failure::Token("is missing"))?,
        };
        match text.trim() {
            "" => Err(Failure::Token("is empty")),
            token => Ok(Secret::new(token.to_owned())),
        }
    }

    fn convert(&self, list: &Allowlist, seen: &[Seen], notes: &mut Notes) -> Result<Vec<NewGrant>, Failure> {
        let known: BTreeSet<Path> = resolve::known(seen, list, notes);
        let terms = convert::Terms {
            catalogue: &Catalogue::default(),
            known: &known,
            most_exceptions: MAX_LIST,
            within_actor_role: !self.machine_identity,
        };
        let grants = convert::grants(list, &terms, notes)?;
        self.say_what_differs(list, notes);
        Ok(grants)
    }

    fn say_what_differs(&self, list: &Allowlist, notes: &mut Notes) {
        let role = if self.machine_identity {
            "the grants hold whatever the role of the user who started the job (--machine-identity); in GitLab that role binds, too"
        } else {
            "the grants stay within the role of the user who started the job, as in GitLab: jobs need a runner that asserts actors"
        };
        notes.said(&list.project, role);
        if list.entries.iter().any(|entry| entry.rights == Rights::Everything) {
            let told =
                "`everything` includes pushing (repositories:update), for which GitLab has settings beside the list";
            notes.said(&list.project, told);
        }
    }
}
