//! The file as it is written: what has its default value is left out of grants, so that people read what was meant.

use super::Failure;
use super::file::VERSION;
use jobpass_api::{
    Conditions, GroupConfiguration, NewCeiling, NewGrant, NewRouteTable, NewSource, Permissions, ProjectConfiguration,
};
use jobpass_domain::glob::Glob;
use jobpass_domain::grant::VouchedBy;
use jobpass_domain::mode::{Mode, Visibility};
use jobpass_domain::pipeline::Trigger;
use jobpass_domain::refs::RefPattern;
use jobpass_domain::text::{Note, UserName};
use jobpass_domain::{Path, Role};
use serde::Serialize;
use std::collections::BTreeMap;
use std::ops::Not;
use time::OffsetDateTime;

#[derive(Serialize)]
struct WrittenFile<'a> {
    version: u64,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    groups: BTreeMap<&'a Path, WrittenGroup<'a>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    projects: BTreeMap<&'a Path, WrittenProject<'a>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    routes: &'a BTreeMap<String, NewRouteTable>,
}

#[derive(Serialize)]
struct WrittenProject<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    visibility: Option<Visibility>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<Mode>,
    #[serde(skip_serializing_if = "Option::is_none")]
    protected_refs: Option<&'a [RefPattern]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    protected_environments: Option<&'a [Glob]>,
    #[serde(flatten)]
    contents: WrittenContents<'a>,
}

#[derive(Serialize)]
struct WrittenGroup<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    floor: Option<Mode>,
    #[serde(flatten)]
    contents: WrittenContents<'a>,
}

#[derive(Serialize)]
struct WrittenContents<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    members: Option<&'a BTreeMap<UserName, Role>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    grants: Option<Vec<WrittenGrant<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ceilings: Option<&'a [NewCeiling]>,
}

#[derive(Serialize)]
struct WrittenGrant<'a> {
    source: &'a NewSource,
    permissions: &'a Permissions,
    #[serde(skip_serializing_if = "Option::is_none")]
    conditions: Option<WrittenConditions<'a>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    selectors: &'a BTreeMap<String, Vec<Glob>>,
    #[serde(skip_serializing_if = "Option::is_none", with = "time::serde::rfc3339::option")]
    expires_at: Option<OffsetDateTime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'a Note>,
}

#[derive(PartialEq, Serialize)]
struct WrittenConditions<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    refs: Option<&'a [RefPattern]>,
    #[serde(skip_serializing_if = "Not::not")]
    protected_refs_only: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    environments: Option<&'a [Glob]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    triggers: Option<&'a [Trigger]>,
    #[serde(skip_serializing_if = "Not::not")]
    allow_forks: bool,
    #[serde(skip_serializing_if = "Not::not")]
    within_actor_role: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    vouched_by: Option<VouchedBy>,
}

/// The whole file.
pub(crate) fn file(
    groups: &BTreeMap<Path, GroupConfiguration>,
    projects: &BTreeMap<Path, ProjectConfiguration>,
    routes: &BTreeMap<String, NewRouteTable>,
) -> Result<String, Failure> {
    yaml(&WrittenFile {
        version: VERSION,
        groups: groups.iter().map(|(path, one)| (path, one.into())).collect(),
        projects: projects.iter().map(|(path, one)| (path, one.into())).collect(),
        routes,
    })
}

/// What stands under a project's path.
pub(super) fn project(one: &ProjectConfiguration) -> Result<String, Failure> {
    yaml(&WrittenProject::from(one))
}

/// What stands under a group's path.
pub(super) fn group(one: &GroupConfiguration) -> Result<String, Failure> {
    yaml(&WrittenGroup::from(one))
}

/// What stands under a table's name, and what is put on the server.
pub(super) fn table(one: &NewRouteTable) -> Result<String, Failure> {
    yaml(one)
}

fn yaml(value: &impl Serialize) -> Result<String, Failure> {
    let mut options = serde_saphyr::SerializerOptions::default();
    // A long path stays on its line.
    options.prefer_block_scalars = false;
    serde_saphyr::to_string_with_options(value, options).map_err(|error| Failure::Yaml(error.to_string()))
}

impl<'a> From<&'a ProjectConfiguration> for WrittenProject<'a> {
    fn from(one: &'a ProjectConfiguration) -> WrittenProject<'a> {
        WrittenProject {
            visibility: one.visibility,
            mode: one.mode,
            protected_refs: one.protected_refs.as_deref(),
            protected_environments: one.protected_environments.as_deref(),
            contents: contents(one.members.as_ref(), one.grants.as_deref(), one.ceilings.as_deref()),
        }
    }
}

impl<'a> From<&'a GroupConfiguration> for WrittenGroup<'a> {
    fn from(one: &'a GroupConfiguration) -> WrittenGroup<'a> {
        let contents = contents(one.members.as_ref(), one.grants.as_deref(), one.ceilings.as_deref());
        WrittenGroup { floor: one.floor, contents }
    }
}

fn contents<'a>(
    members: Option<&'a BTreeMap<UserName, Role>>,
    grants: Option<&'a [NewGrant]>,
    ceilings: Option<&'a [NewCeiling]>,
) -> WrittenContents<'a> {
    let grants = grants.map(|grants| grants.iter().map(WrittenGrant::from).collect());
    WrittenContents { members, grants, ceilings }
}

impl<'a> From<&'a NewGrant> for WrittenGrant<'a> {
    fn from(grant: &'a NewGrant) -> WrittenGrant<'a> {
        let conditions = WrittenConditions::from(&grant.conditions);
        WrittenGrant {
            source: &grant.source,
            permissions: &grant.permissions,
            conditions: Some(conditions).filter(|some| *some != WrittenConditions::from(&NOTHING)),
            selectors: &grant.selectors,
            expires_at: grant.expires_at,
            note: grant.note.as_ref(),
        }
    }
}

const NOTHING: Conditions = Conditions {
    refs: None,
    protected_refs_only: false,
    environments: None,
    triggers: None,
    allow_forks: false,
    within_actor_role: false,
    vouched_by: VouchedBy::Any,
};

impl<'a> From<&'a Conditions> for WrittenConditions<'a> {
    fn from(conditions: &'a Conditions) -> WrittenConditions<'a> {
        WrittenConditions {
            refs: conditions.refs.as_deref(),
            protected_refs_only: conditions.protected_refs_only,
            environments: conditions.environments.as_deref(),
            triggers: conditions.triggers.as_deref(),
            allow_forks: conditions.allow_forks,
            within_actor_role: conditions.within_actor_role,
            vouched_by: Some(conditions.vouched_by).filter(|scope| *scope != VouchedBy::Any),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::file::Source;
    use super::*;
    use jobpass_domain::text::Label;

    fn grant(source: NewSource, conditions: Conditions) -> NewGrant {
        let permissions = Permissions::List(vec!["packages:read".into()]);
        let note = Some(Note::parse("it's: a # note").unwrap());
        NewGrant { source, permissions, conditions, selectors: BTreeMap::new(), expires_at: None, note }
    }

    fn written(path: &str, project: ProjectConfiguration) -> String {
        file(&BTreeMap::new(), &BTreeMap::from([(Path::parse(path).unwrap(), project)]), &BTreeMap::new()).unwrap()
    }

    /// What a path may look like, YAML may take for a number, a truth, a time or nothing.
    #[test]
    fn what_is_written_is_what_is_read() {
        let long = ["a"; 120].join("/");
        for path in ["1e3", "0x1f", "null", "true", "no", "1.5", "2026-01-31", "1_000", "0o7", "a/b", "7/8", &long] {
            let label = || Label::parse(path).unwrap();
            let conditions = Conditions { within_actor_role: true, ..Conditions::default() };
            let source = NewSource { project: None, group: Some(label()), except: vec![label()], id: None };
            let grants = Some(vec![grant(source, conditions)]);
            let yaml = written(path, ProjectConfiguration { mode: Some(Mode::Legacy), grants, ..Default::default() });
            let read = Source::parse("f".into(), &yaml).unwrap_or_else(|error| panic!("{error}: {yaml}")).file;
            let project = &read.projects[&Path::parse(path).unwrap()];
            assert_eq!(project.mode, Some(Mode::Legacy));
            let [grant] = project.grants.as_deref().unwrap() else { panic!("{yaml}") };
            assert_eq!((&grant.source.group, &grant.source.except), (&Some(label()), &vec![label()]), "{yaml}");
            assert!(grant.conditions.within_actor_role);
            assert_eq!(grant.note.as_ref().map(Note::as_str), Some("it's: a # note"));
            assert_eq!(written(path, project.clone()), yaml);
        }
    }

    #[test]
    fn defaults_are_left_out() {
        let source = NewSource { project: Some(Label::parse("a/b").unwrap()), group: None, except: vec![], id: None };
        let mut one = grant(source, Conditions::default());
        one.note = None;
        let yaml = written("a/lib", ProjectConfiguration { grants: Some(vec![one]), ..Default::default() });
        let expected = "version: 1\nprojects:\n  a/lib:\n    grants:\n    - source:\n        project: a/b\n      \
                        permissions:\n      - packages:read\n";
        assert_eq!(yaml, expected);
    }

    #[test]
    fn empty_lists_say_something_and_are_kept() {
        let project = ProjectConfiguration {
            protected_refs: Some(vec![]),
            members: Some(BTreeMap::new()),
            ceilings: Some(vec![]),
            grants: Some(vec![]),
            ..Default::default()
        };
        let read = Source::parse("f".into(), &written("a/b", project)).unwrap().file;
        let project = &read.projects[&Path::parse("a/b").unwrap()];
        assert_eq!(project.protected_refs.as_deref().map(<[_]>::len), Some(0));
        assert_eq!(project.members.as_ref().map(BTreeMap::len), Some(0));
        assert!(project.ceilings.as_ref().unwrap().is_empty() && project.grants.as_ref().unwrap().is_empty());
    }
}
