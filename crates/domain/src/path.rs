//! Paths of groups and projects: one namespace, lower-case segments joined by `/`.

use serde::{Deserialize, Serialize};
use std::fmt;
use thiserror::Error;
use uuid::Uuid;

/// The longest path, in bytes.
pub const MAX_PATH: usize = 255;

/// A path such as `acme/platform/web`. Renaming changes it; ids do not change.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Path(String);

#[derive(Debug, Error, PartialEq, Eq)]
pub enum InvalidPath {
    #[error("a path has at least one segment")]
    Empty,
    #[error("a path has at most {MAX_PATH} bytes")]
    TooLong,
    #[error("a segment is [a-z0-9] followed by any of [a-z0-9._-]")]
    Segment,
    #[error("a segment must not read as a UUID: ids and paths share their place in URLs")]
    LooksLikeId,
}

/// Whether two keys, each a path or an id, are the same as they are written; an id may be spelled in more than one way.
pub fn is_same_key(one: &str, other: &str) -> bool {
    let id = |key: &str| Uuid::parse_str(key).ok();
    one == other || (id(one).is_some() && id(one) == id(other))
}

impl Path {
    pub fn parse(text: impl Into<String>) -> Result<Path, InvalidPath> {
        let text = text.into();
        if text.is_empty() {
            return Err(InvalidPath::Empty);
        }
        if text.len() > MAX_PATH {
            return Err(InvalidPath::TooLong);
        }
        text.split('/').try_for_each(check_segment)?;
        Ok(Path(text))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last segment: the name of the thing inside its parent.
    pub fn name(&self) -> &str {
        self.0.rsplit_once('/').map_or(&self.0, |(_, name)| name)
    }

    /// The path of the group that holds this one; `None` at the top.
    pub fn parent(&self) -> Option<Path> {
        self.0.rsplit_once('/').map(|(parent, _)| Path(parent.to_owned()))
    }
}

/// Checks one segment; user names follow the same rule.
pub fn check_segment(segment: &str) -> Result<(), InvalidPath> {
    let tail = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-');
    let head = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    if !segment.starts_with(head) || !segment.chars().all(tail) {
        return Err(InvalidPath::Segment);
    }
    if uuid::Uuid::parse_str(segment).is_ok() {
        return Err(InvalidPath::LooksLikeId);
    }
    Ok(())
}

impl TryFrom<String> for Path {
    type Error = InvalidPath;
    fn try_from(text: String) -> Result<Path, InvalidPath> {
        Path::parse(text)
    }
}

impl From<Path> for String {
    fn from(path: Path) -> String {
        path.0
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_paths() {
        for path in ["acme", "acme/web", "a/b/c-d_e.f", "0/9"] {
            assert_eq!(Path::parse(path).unwrap().as_str(), path);
        }
    }

    #[test]
    fn bad_paths() {
        let long = "a".repeat(256);
        for (path, why) in [
            ("", InvalidPath::Empty),
            (long.as_str(), InvalidPath::TooLong),
            ("acme/../etc", InvalidPath::Segment),
            ("/acme", InvalidPath::Segment),
            ("acme/", InvalidPath::Segment),
            ("acme//web", InvalidPath::Segment),
            ("Acme", InvalidPath::Segment),
            ("acme/\0", InvalidPath::Segment),
            ("acmé", InvalidPath::Segment),
            ("acme/.git", InvalidPath::Segment),
            ("0191d2b4-0000-7000-8000-000000000000", InvalidPath::LooksLikeId),
            ("acme/0191d2b400007000800000000000abcd", InvalidPath::LooksLikeId),
        ] {
            assert_eq!(Path::parse(path), Err(why), "{path}");
        }
    }

    #[test]
    fn parents() {
        let path = Path::parse("acme/platform/web").unwrap();
        assert_eq!(path.name(), "web");
        assert_eq!(path.parent().unwrap().as_str(), "acme/platform");
        assert_eq!(Path::parse("acme").unwrap().parent(), None);
    }
}
