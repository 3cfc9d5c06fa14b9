//! A project: what jobs run for, and what their tokens open.

use crate::glob::Glob;
use crate::ids::{GroupId, ProjectId};
use crate::mode::{Mode, Visibility};
use crate::path::Path;
use crate::refs::RefPattern;
use time::OffsetDateTime;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Project {
    pub id: ProjectId,
    pub path: Path,
    /// The groups above it, from the top down.
    pub chain: Vec<GroupId>,
    pub visibility: Visibility,
    /// Its own mode.
    pub mode: Mode,
    /// The strictest floor above it, the instance's included.
    pub floor: Mode,
    pub protected_refs: Vec<RefPattern>,
    pub protected_environments: Vec<Glob>,
    /// Changes with every write of a grant that lives here.
    pub grants_revision: i64,
    pub created_at: OffsetDateTime,
}

impl Project {
    pub fn effective_mode(&self) -> Mode {
        Mode::effective(self.mode, [self.floor])
    }
}
