//! The file that is written: YAML, what has its default value left out.

use jobpass_api::{Conditions, NewGrant, NewSource, Permissions};
use jobpass_domain::Path;
use jobpass_domain::mode::Mode;
use jobpass_domain::text::Note;
use serde::Serialize;
use std::collections::BTreeMap;

#[derive(Debug, Serialize)]
pub(super) struct File {
    version: u8,
    projects: BTreeMap<Path, Project>,
}

#[derive(Debug, Serialize)]
pub(super) struct Project {
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<Mode>,
    grants: Vec<Grant>,
}

#[derive(Debug, Serialize)]
struct Grant {
    source: NewSource,
    permissions: Permissions,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    conditions: BTreeMap<&'static str, bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<Note>,
}

impl File {
    pub(super) fn new(projects: BTreeMap<Path, Project>) -> File {
        File { version: 1, projects }
    }

    pub(super) fn to_yaml(&self) -> Result<String, serde_saphyr::SerializeError> {
        let mut options = serde_saphyr::SerializerOptions::default();
        // A long path stays on its line.
        options.prefer_block_scalars = false;
        serde_saphyr::to_string_with_options(self, options)
    }
}

impl Project {
    pub(super) fn new(mode: Option<Mode>, grants: Vec<NewGrant>) -> Project {
        Project { mode, grants: grants.into_iter().map(Grant::from).collect() }
    }
}

impl From<NewGrant> for Grant {
    fn from(grant: NewGrant) -> Grant {
        // The one condition that an import sets.
        let Conditions { within_actor_role, .. } = grant.conditions;
        Grant {
            source: grant.source,
            permissions: grant.permissions,
            conditions: within_actor_role.then_some(("within_actor_role", true)).into_iter().collect(),
            note: grant.note,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jobpass_domain::text::Label;
    use serde::Deserialize;

    #[derive(Deserialize)]
    struct Read {
        projects: BTreeMap<String, ReadProject>,
    }

    #[derive(Deserialize)]
    struct ReadProject {
        mode: Option<Mode>,
        grants: Vec<NewGrant>,
    }

    fn grant(source: NewSource, conditions: Conditions) -> NewGrant {
        let permissions = Permissions::List(vec!["packages:read".into()]);
        let note = Some(Note::parse("it's: a # note").unwrap());
        NewGrant { source, permissions, conditions, selectors: BTreeMap::new(), expires_at: None, note }
    }

    /// What a path may look like, YAML may take for a number, a truth, a time or nothing.
    #[test]
    fn what_is_written_is_what_the_api_reads() {
        let long = ["a"; 120].join("/");
        for path in ["1e3", "0x1f", "null", "true", "no", "1.5", "2026-01-31", "1_000", "0o7", "a/b", "7/8", &long] {
            let label = || Label::parse(path).unwrap();
            let conditions = Conditions { within_actor_role: true, ..Conditions::default() };
            let source = NewSource { project: None, group: Some(label()), except: vec![label()], id: None };
            let grants = vec![grant(source, conditions)];
            let project = Project::new(Some(Mode::Legacy), grants);
            let yaml = File::new([(Path::parse(path).unwrap(), project)].into()).to_yaml().unwrap();
            let read: Read = serde_saphyr::from_str(&yaml).unwrap_or_else(|error| panic!("{error}: {yaml}"));
            let project = &read.projects[path];
            assert_eq!(project.mode, Some(Mode::Legacy));
            let [grant] = project.grants.as_slice() else { panic!("{yaml}") };
            assert_eq!((&grant.source.group, &grant.source.except), (&Some(label()), &vec![label()]), "{yaml}");
            assert!(grant.conditions.within_actor_role);
            assert_eq!(grant.note.as_ref().map(Note::as_str), Some("it's: a # note"));
        }
    }

    #[test]
    fn defaults_are_left_out() {
        let source = NewSource { project: Some(Label::parse("a/b").unwrap()), group: None, except: vec![], id: None };
        let mut one = grant(source, Conditions::default());
        one.note = None;
        let file = File::new([(Path::parse("a/lib").unwrap(), Project::new(None, vec![one]))].into());
        let expected = "version: 1\nprojects:\n  a/lib:\n    grants:\n    - source:\n        project: a/b\n      \
                        permissions:\n      - packages:read\n";
        assert_eq!(file.to_yaml().unwrap(), expected);
    }
}
