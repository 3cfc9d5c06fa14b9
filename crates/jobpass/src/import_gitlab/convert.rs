//! An allowlist as grants that permit exactly the same. In GitLab the most specific entry counts; grants only
//! add, so a group's grant excepts whatever a more specific entry is about. Pure: no files, no network.

use super::allowlist::{Allowlist, Entry, Kind, Rights, lies_under};
use super::notes::Notes;
use jobpass_api::{Conditions, NewGrant, NewSource, Permissions};
use jobpass_domain::text::{InvalidText, Label, Note};
use jobpass_domain::{Catalogue, Path};
use std::collections::{BTreeMap, BTreeSet};

const LISTED: &str = "from GitLab's allowlist";
const OWN: &str = "from GitLab, which lets a project's own jobs in";

/// What the conversion goes by beside the allowlist.
#[derive(Debug)]
pub(super) struct Terms<'a> {
    pub catalogue: &'a Catalogue,
    /// Source projects that are known to exist.
    pub known: &'a BTreeSet<Path>,
    /// The most entries that `except` takes.
    pub most_exceptions: usize,
    /// Whether each grant stays within the role of the job's actor, as in GitLab.
    pub within_actor_role: bool,
}

/// A grant before it is put in the words of the API.
struct Draft<'a> {
    kind: Kind,
    path: &'a Path,
    except: BTreeSet<&'a Path>,
    rights: Rights,
    note: String,
}

pub(super) fn grants(list: &Allowlist, terms: &Terms<'_>, notes: &mut Notes) -> Result<Vec<NewGrant>, InvalidText> {
    let own = list.nearest(&list.project).is_none().then(|| Draft::project(&list.project, Rights::Everything, OWN));
    let permitting = list.entries.iter().filter(|entry| entry.rights != Rights::NOTHING);
    let listed = permitting.flat_map(|entry| match entry.kind {
        Kind::Project => vec![Draft::project(&entry.path, entry.rights, LISTED)],
        Kind::Group => of_group(entry, list, terms, notes),
    });
    own.into_iter().chain(listed).map(|draft| draft.into_grant(terms)).collect()
}

/// One grant; or, when it would need more exceptions than fit, one for each known project that it is about.
fn of_group<'a>(entry: &'a Entry, list: &'a Allowlist, terms: &Terms<'a>, notes: &mut Notes) -> Vec<Draft<'a>> {
    let except = exceptions(&entry.path, list);
    if except.len() <= terms.most_exceptions {
        return vec![Draft { kind: Kind::Group, path: &entry.path, except, rights: entry.rights, note: LISTED.into() }];
    }
    let note = format!("{LISTED}, where group {} is listed", entry.path);
    let known = terms.known.iter().chain([&list.project]).collect::<BTreeSet<_>>().into_iter();
    let meant = known.filter(|project| list.nearest(project) == Some(entry));
    let drafts: Vec<_> = meant.map(|project| Draft::project(project, entry.rights, note.clone())).collect();
    notes.lost(
        &list.project,
        format!(
            "group {}: {} more specific entries lie under it and a grant excepts at most {}: written for the {} projects known to \
             be meant (from the log), not for others or later ones",
            entry.path,
            except.len(),
            terms.most_exceptions,
            drafts.len()
        ),
    );
    drafts
}

/// The more specific entries under a group; what lies under an excepted group is excepted with it.
fn exceptions<'a>(group: &Path, list: &'a Allowlist) -> BTreeSet<&'a Path> {
    let under: Vec<_> = list.entries.iter().filter(|entry| lies_under(&entry.path, group)).collect();
    let groups: Vec<_> = under.iter().filter(|entry| entry.kind == Kind::Group).collect();
    let outermost = |entry: &&&Entry| !groups.iter().any(|group| lies_under(&entry.path, &group.path));
    under.iter().filter(outermost).map(|entry| &entry.path).collect()
}

impl<'a> Draft<'a> {
    fn project(path: &'a Path, rights: Rights, note: impl Into<String>) -> Draft<'a> {
        Draft { kind: Kind::Project, path, except: BTreeSet::new(), rights, note: note.into() }
    }

    fn into_grant(self, terms: &Terms<'_>) -> Result<NewGrant, InvalidText> {
        let label = |path: &Path| Label::parse(path.as_str());
        let named = Some(label(self.path)?);
        let (project, group) = match self.kind {
            Kind::Project => (named, None),
            Kind::Group => (None, named),
        };
        let except = self.except.into_iter().map(label).collect::<Result<_, _>>()?;
        Ok(NewGrant {
            source: NewSource { project, group, except, id: None },
            permissions: match self.rights {
                Rights::Everything => Permissions::Everything,
                Rights::Only(set) => Permissions::List(terms.catalogue.format(set)),
            },
            conditions: Conditions { within_actor_role: terms.within_actor_role, ..Conditions::default() },
            selectors: BTreeMap::new(),
            expires_at: None,
            note: Some(Note::parse(self.note)?),
        })
    }
}

#[cfg(test)]
mod tests;
