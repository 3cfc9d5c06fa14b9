//! GitLab's rule in Jobpass's words: who is listed, with which rights, and which entry counts for a project.

use jobpass_domain::{Path, PermissionSet};

/// Whom an entry lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Project,
    /// Every project under it, at any depth, now or later.
    Group,
}

impl Kind {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Kind::Project => "project",
            Kind::Group => "group",
        }
    }
}

/// What an entry lets its projects' jobs do, within the role of the user who started them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rights {
    /// GitLab's default permissions: all that a job token may do.
    Everything,
    /// Its policies. The empty set permits nothing, and still outranks wider entries.
    Only(PermissionSet),
}

impl Rights {
    pub(super) const NOTHING: Rights = Rights::Only(PermissionSet::EMPTY);
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub kind: Kind,
    pub path: Path,
    pub rights: Rights,
}

/// The allowlist of one project, the accessed one. No two entries are of the same kind and path.
#[derive(Clone, Debug)]
pub(super) struct Allowlist {
    pub project: Path,
    /// Whether the list is switched off, so that every project may come in.
    pub open: bool,
    pub entries: Vec<Entry>,
}

impl Allowlist {
    /// The entry that counts for this project: its own, else that of the nearest group above it.
    pub(super) fn nearest(&self, project: &Path) -> Option<&Entry> {
        self.entry(Kind::Project, project).or_else(|| above(project).find_map(|group| self.entry(Kind::Group, &group)))
    }

    fn entry(&self, kind: Kind, path: &Path) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.kind == kind && entry.path == *path)
    }
}

/// The groups above a path, nearest first.
fn above(path: &Path) -> impl Iterator<Item = Path> {
    std::iter::successors(path.parent(), Path::parent)
}

/// Whether a project or group lies under this group, at any depth.
pub(super) fn lies_under(path: &Path, group: &Path) -> bool {
    path.as_str().strip_prefix(group.as_str()).is_some_and(|rest| rest.starts_with('/'))
}
