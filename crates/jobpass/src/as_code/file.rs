//! The file: what it may say, and how it is read. What is wrong with it is told by line and column, and refused as
//! a whole.

use super::Failure;
use super::locate::{Node, locate};
use crate::one_line::one_line;
use jobpass_api::{GroupConfiguration, NewRouteTable, ProjectConfiguration};
use jobpass_domain::Path;
use serde::Deserialize;
use serde_saphyr::options::MergeKeyPolicy;
use serde_saphyr::{Error, Location, Spanned};
use std::collections::BTreeMap;
use std::io::Read as _;

/// The most bytes of a file.
const MAX_BYTES: u64 = 8 << 20;
/// The one version there is.
pub(crate) const VERSION: u64 = 1;

/// Groups, projects and route tables, as they are to be. What a place leaves out stays as it is, and so does what
/// is not listed.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    #[serde(rename = "version")]
    _version: Version,
    #[serde(default)]
    pub groups: BTreeMap<Path, GroupConfiguration>,
    #[serde(default)]
    pub projects: BTreeMap<Path, ProjectConfiguration>,
    #[serde(default)]
    pub routes: BTreeMap<String, NewRouteTable>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(try_from = "u64")]
struct Version;

impl TryFrom<u64> for Version {
    type Error = String;

    fn try_from(number: u64) -> Result<Version, String> {
        if number == VERSION { Ok(Version) } else { Err(format!("this jobpass reads version {VERSION}")) }
    }
}

/// A file as it was read, and where in it everything stands.
#[derive(Debug)]
pub(super) struct Source {
    name: String,
    pub file: File,
    tree: Spanned<Node>,
}

impl Source {
    pub(super) fn open(path: &std::path::Path) -> Result<Source, Failure> {
        let name = path.display().to_string();
        let mut bytes = Vec::new();
        let read = std::fs::File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes));
        read.map_err(|source| Failure::File { name: name.clone(), source })?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(Failure::TooLarge(name));
        }
        match String::from_utf8(bytes) {
            Ok(text) => Source::parse(name, &text),
            Err(error) => {
                let good = error.as_bytes().iter().take(error.utf8_error().valid_up_to()).copied().collect();
                let (line, column) = end_of(&String::from_utf8(good).unwrap_or_default());
                Err(Failure::Faults(vec![format!("{name}:{line}:{column}: not UTF-8")]))
            }
        }
    }

    pub(super) fn parse(name: String, text: &str) -> Result<Source, Failure> {
        if let Some((before, _)) = text.split_once('\0') {
            let (line, column) = end_of(before);
            return Err(Failure::Faults(vec![format!("{name}:{line}:{column}: a text has no NUL")]));
        }
        let options = serde_saphyr::options! { merge_keys: MergeKeyPolicy::Error, with_snippet: false };
        let unread = |error: Error| Failure::Faults(vec![unread(&name, &error)]);
        let file = serde_saphyr::from_str_with_options(text, options.clone()).map_err(unread)?;
        let tree = serde_saphyr::from_str_with_options(text, options).map_err(unread)?;
        Ok(Source { name, file, tree })
    }

    /// What is wrong, where the pointer points.
    pub(super) fn fault(&self, pointer: &str, told: &str) -> String {
        let (line, column) = locate(&self.tree, pointer);
        format!("{}:{line}:{column}: {}", self.name, one_line(told))
    }
}

/// Where what follows this text begins.
fn end_of(before: &str) -> (usize, usize) {
    let column = before.rsplit('\n').next().map_or(0, |line| line.chars().count());
    (before.matches('\n').count() + 1, column + 1)
}

/// In the parser's words, but where those speak to programmers.
fn unread(name: &str, error: &Error) -> String {
    let at = error.location().unwrap_or(Location::UNKNOWN);
    let told = match error {
        Error::DuplicateMappingKey { key: Some(key), .. } => format!("`{key}` stands twice"),
        Error::DuplicateMappingKey { .. } => "a key stands twice".to_owned(),
        Error::MultipleDocuments { .. } => "a file is one document, and here is another".to_owned(),
        other => {
            let said = other.to_string();
            // The place is told once, in front.
            said.rsplit_once(" at line ").map_or(said.clone(), |(said, _)| said.to_owned())
        }
    };
    format!("{name}:{}:{}: {}", at.line(), at.column(), one_line(&told))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(yaml: &str) -> String {
        match Source::parse("f".into(), yaml) {
            Err(Failure::Faults(lines)) => lines.join("\n"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_file_may_say_little() {
        let file = Source::parse("f".into(), "version: 1\nprojects:\n  1e3: {}\n").unwrap().file;
        assert_eq!(file.projects.keys().map(Path::as_str).collect::<Vec<_>>(), ["1e3"]);
    }

    #[test]
    fn what_is_wrong_is_told_where_it_is() {
        let start = "version: 1\nprojects:\n  acme/lib:\n";
        for (yaml, place, says) in [
            ("projects: {}\n".to_owned(), "f:1:1: ", "version"),
            ("version: 2\n".to_owned(), "f:1:10: ", "reads version 1"),
            (format!("{start}    colour: red\n"), "f:4:5: ", "colour"),
            (format!("{start}    mode: audit\n    mode: legacy\n"), "f:5:5: ", "`mode` stands twice"),
            (format!("{start}    mode: []\n"), "f:4:11: ", ""),
            (format!("{start}    mode: off\n"), "f:4:11: ", "off"),
            (format!("{start}    protected_refs: [main, 'a***']\n"), "f:4:28: ", "three stars"),
            (format!("{start}    mode: audit\n  acme/lib: {{}}\n"), "f:5:3: ", "`acme/lib` stands twice"),
            (format!("{start}    grants:\n    - permissions: [jobs:read]\n"), "f:5:", "source"),
            (
                format!(
                    "{start}    grants:\n    - source: {{project: a}}\n      permissions: everything\n      expires_at: soon\n"
                ),
                "f:7:19: ",
                "",
            ),
            (
                format!("{start}    grants:\n    - source: {{project: a}}\n      permissions: all\n"),
                "f:6:7: ",
                "everything",
            ),
            ("version: 1\nprojects:\n  Acme: {}\n".to_owned(), "f:3:3: ", "segment"),
            ("version: 1\n---\nversion: 1\n".to_owned(), "f:", "one document"),
            ("version: 1\nprojects: {a/b: {mode: audit\n".to_owned(), "f:", ""),
            ("version: 1\n\0".to_owned(), "f:2:1: ", "NUL"),
        ] {
            let told = fault(&yaml);
            assert!(told.starts_with(place) && told.contains(says), "{told} for\n{yaml}");
            assert_eq!(told.lines().count(), 1, "{told}");
        }
    }
}
