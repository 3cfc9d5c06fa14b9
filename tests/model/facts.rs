//! Everything there is in the model's world, with its history. Much simpler than what the server keeps: ids, and facts.

use super::history::{Ends, Fact, Write};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, OnceLock};
use time::OffsetDateTime;

/// The permissions that the model speaks of, each of them one bit.
pub(super) const PERMISSIONS: [&str; 8] = [
    "repositories:read",
    "repositories:update",
    "packages:read",
    "packages:create",
    "jobs:read",
    "releases:read",
    "packages:delete",
    "terraform_state:read",
];
/// What anyone may do where a project is not private.
pub(super) const ANYONE: Set = 0b0010_0101;
pub(super) const ALL: Set = 0xff;
pub(super) type Set = u8;

pub(super) const MODES: [&str; 3] = ["legacy", "audit", "enforced"];
pub(super) const ENFORCED: usize = 2;
pub(super) const VISIBILITIES: [&str; 3] = ["private", "internal", "public"];
pub(super) const PUBLIC: usize = 2;
/// With what each lends to a job below `enforced`.
pub(super) const ROLES: [(&str, Set); 4] =
    [("guest", 0), ("reporter", 0b0011_0101), ("developer", 0b1011_1111), ("maintainer", ALL)];
pub(super) const USERS: [&str; 3] = ["ann", "bob", "cyd"];
pub(super) const AUDIENCES: [&str; 2] = ["https://a.example", "https://b.example"];

pub(super) fn texts(set: Set) -> Vec<&'static str> {
    PERMISSIONS.iter().enumerate().filter(|(bit, _)| set & (1 << bit) != 0).map(|(_, text)| *text).collect()
}

/// Of whatever else there is, the model knows nothing.
pub(super) fn set<'a>(texts: impl IntoIterator<Item = &'a str>) -> Set {
    let bit = |text| PERMISSIONS.iter().position(|one| *one == text).map_or(0, |bit| 1 << bit);
    texts.into_iter().fold(0, |set, text| set | bit(text))
}

/// Where grants, ceilings and members lie.
#[derive(Debug)]
pub(super) struct Here {
    /// `projects/<id>` or `groups/<id>`.
    pub(super) path: String,
    pub(super) id: String,
    pub(super) grants: Mutex<Vec<Arc<Grant>>>,
    pub(super) ceilings: Fact<Vec<Ceiling>>,
    /// A project's own mode, a group's floor: an index into `MODES`.
    pub(super) mode: Fact<usize>,
    /// By the user's index, an index into `ROLES`.
    pub(super) members: Vec<Fact<Option<usize>>>,
}

impl Here {
    pub(super) fn new(kind: &str, id: String, mode: usize, made: &Write) -> Here {
        Here {
            path: format!("{kind}/{id}"),
            id,
            grants: Mutex::default(),
            ceilings: Fact::new(made, vec![]),
            mode: Fact::new(made, mode),
            members: USERS.iter().map(|_| Fact::new(made, None)).collect(),
        }
    }
}

#[derive(Debug)]
pub(super) struct Group {
    pub(super) here: Here,
    pub(super) name: Fact<String>,
    pub(super) parent: Fact<Option<Arc<Group>>>,
}

#[derive(Debug)]
pub(super) struct Project {
    pub(super) here: Here,
    /// The group it lies in, and its name there.
    pub(super) lies: Fact<(Arc<Group>, String)>,
    pub(super) visibility: Fact<usize>,
    pub(super) made: Write,
    pub(super) gone: Ends,
    /// What ends its tokens, and not the project.
    pub(super) revoked: Ends,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ceiling {
    pub(super) of_source: bool,
    pub(super) protected: Option<bool>,
    pub(super) at_most: Set,
}

#[derive(Debug)]
pub(super) struct Grant {
    /// Written in its note: so a grant is known before its id is.
    pub(super) mark: String,
    pub(super) id: OnceLock<String>,
    pub(super) body: Fact<Option<Body>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Body {
    pub(super) source: Source,
    pub(super) permissions: Set,
    pub(super) protected_only: bool,
    pub(super) within_role: bool,
    pub(super) expires_at: Option<OffsetDateTime>,
}

/// By ids; a group is meant with all below it, less what lies under the excepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Project(String),
    Group(String, Vec<String>),
}

#[derive(Debug)]
pub(super) struct Service {
    pub(super) id: String,
    pub(super) secrets: Mutex<Vec<Arc<Credential>>>,
    pub(super) settings: Fact<Settings>,
    pub(super) made: Write,
    pub(super) gone: Ends,
    /// What it serves, and what its gateway asks for there.
    pub(super) gateway: Option<(Arc<Project>, Set)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Settings {
    /// What it is shown, as resource types.
    pub(super) resources: Option<Vec<&'static str>>,
    pub(super) audience: Option<&'static str>,
    pub(super) audience_required: bool,
    pub(super) paused: bool,
}

/// A secret of a service, or an API token.
#[derive(Debug)]
pub(super) struct Credential {
    pub(super) id: String,
    pub(super) text: String,
    pub(super) made: Write,
    pub(super) gone: Ends,
}

#[derive(Debug)]
pub(super) struct Runner {
    pub(super) id: String,
    pub(super) text: String,
    pub(super) asserts_actor: bool,
    pub(super) paused: Fact<bool>,
    pub(super) made: Write,
    /// Deleted, or its secret reported: with it go its tokens.
    pub(super) gone: Ends,
    pub(super) revoked: Ends,
}

#[derive(Debug)]
pub(super) struct Pipeline {
    pub(super) key: String,
    pub(super) project: Arc<Project>,
    pub(super) id: OnceLock<String>,
    pub(super) revoked: Ends,
    pub(super) finished: Ends,
}

#[derive(Debug)]
pub(super) struct Job {
    pub(super) key: String,
    pub(super) pipeline: Arc<Pipeline>,
    pub(super) runner: Arc<Runner>,
    pub(super) id: OnceLock<String>,
    pub(super) timeout_secs: i64,
    pub(super) lease_secs: Option<i64>,
    /// Between which times its lease lapses.
    pub(super) lease: Option<Fact<(OffsetDateTime, OffsetDateTime)>>,
    pub(super) opened: Write,
    pub(super) over: Ends,
    /// Its tokens, and not the job.
    pub(super) revoked: Ends,
}

#[derive(Debug)]
pub(super) struct Token {
    pub(super) id: String,
    pub(super) text: String,
    pub(super) job: Arc<Job>,
    pub(super) cap: Set,
    pub(super) audience: Option<Vec<&'static str>>,
    pub(super) expires_at: OffsetDateTime,
    /// An index into `USERS`, if the runner vouched for it.
    pub(super) actor: Option<usize>,
    pub(super) protected: bool,
    /// The mint of what it was narrowed from, at the root.
    pub(super) minted: Write,
    pub(super) made: Write,
    pub(super) revoked: Ends,
    /// What it was narrowed from, the nearest last.
    pub(super) ancestors: Vec<Arc<Token>>,
    pub(super) log: Mutex<VecDeque<String>>,
}

/// By its id: what a group is called and where it lies is a fact of it.
impl PartialEq for Group {
    fn eq(&self, other: &Group) -> bool {
        self.here.id == other.here.id
    }
}

impl Token {
    /// Remembers what was done with it, for whoever has to understand a failure.
    pub(super) fn note(&self, line: String) {
        let mut log = self.log.lock().unwrap();
        log.push_back(line);
        if log.len() > 40 {
            log.pop_front();
        }
    }
}
