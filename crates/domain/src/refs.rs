//! Git refs: their types, and the patterns that name them in grants, ceilings and protection.

use crate::glob::{Glob, InvalidGlob, MAX_PATTERN};
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum RefType {
    Branch,
    Tag,
    MergeRequest,
}

impl RefType {
    pub const ALL: [RefType; 3] = [RefType::Branch, RefType::Tag, RefType::MergeRequest];

    pub const fn name(self) -> &'static str {
        match self {
            RefType::Branch => "branch",
            RefType::Tag => "tag",
            RefType::MergeRequest => "merge_request",
        }
    }

    pub fn named(name: &str) -> Option<RefType> {
        RefType::ALL.into_iter().find(|ref_type| ref_type.name() == name)
    }
}

/// A pattern for refs: `branch:…`, `tag:…`, or a bare one, which matches branches only. A merge
/// request's ref is neither and matches none.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RefPattern {
    text: String,
    ref_type: RefType,
    glob: Glob,
}

impl RefPattern {
    pub fn parse(text: impl Into<String>) -> Result<RefPattern, InvalidGlob> {
        let text = text.into();
        if text.len() > MAX_PATTERN {
            return Err(InvalidGlob::TooLong);
        }
        let (ref_type, pattern) = if let Some(tag) = text.strip_prefix("tag:") {
            (RefType::Tag, tag)
        } else {
            (RefType::Branch, text.strip_prefix("branch:").unwrap_or(&text))
        };
        Ok(RefPattern { ref_type, glob: Glob::parse(pattern)?, text })
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub fn matches(&self, ref_type: RefType, name: &str) -> bool {
        self.ref_type == ref_type && self.glob.matches(name)
    }
}

impl TryFrom<String> for RefPattern {
    type Error = InvalidGlob;
    fn try_from(text: String) -> Result<RefPattern, InvalidGlob> {
        RefPattern::parse(text)
    }
}

impl From<RefPattern> for String {
    fn from(pattern: RefPattern) -> String {
        pattern.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refs_know_their_type() {
        let matches = |pattern: &str, ref_type, name| RefPattern::parse(pattern).unwrap().matches(ref_type, name);
        assert!(matches("main", RefType::Branch, "main"));
        assert!(!matches("main", RefType::Tag, "main"));
        assert!(matches("branch:main", RefType::Branch, "main"));
        assert!(matches("tag:v*", RefType::Tag, "v1.0"));
        assert!(!matches("tag:v*", RefType::Branch, "v1.0"));
        assert!(!matches("**", RefType::MergeRequest, "refs/merge-requests/1/head"));
    }

    #[test]
    fn a_prefix_alone_is_no_pattern() {
        assert_eq!(RefPattern::parse("tag:"), Err(InvalidGlob::Empty));
    }
}
