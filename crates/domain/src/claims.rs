//! The claims of an ID token as rules look at them: which must match, and what one says.

use crate::glob::Glob;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The most claims of one rule.
pub const MAX_CLAIMS: usize = 32;
/// The most patterns of one claim.
pub const MAX_CLAIM_PATTERNS: usize = 64;

/// Claims of a token whose signature holds. A name that is no claim itself is a way into objects:
/// `kubernetes.io/serviceaccount/uid`.
#[derive(Clone, Copy, Debug)]
pub struct Claims<'c>(pub &'c Map<String, Value>);

impl<'c> Claims<'c> {
    pub fn get(self, name: &str) -> Option<&'c Value> {
        self.0.get(name).or_else(|| {
            let (first, rest) = name.split_once('/')?;
            Claims(self.0.get(first)?.as_object()?).get(rest)
        })
    }

    /// A claim that is a text, a number or a boolean, as text: CIs differ in how they write ids and flags. Empty counts as missing.
    pub fn text(self, name: &str) -> Option<String> {
        self.get(name).and_then(scalar).filter(|text| !text.is_empty())
    }
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// What claims must say: each that is named is there, and matches one of its patterns.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClaimPatterns(pub BTreeMap<String, Vec<Glob>>);

impl ClaimPatterns {
    /// Of a claim that is a list, one element that matches is enough.
    pub fn match_all(&self, claims: Claims<'_>) -> bool {
        self.0.iter().all(|(name, patterns)| {
            let matches =
                |value: &Value| scalar(value).is_some_and(|text| patterns.iter().any(|one| one.matches(&text)));
            match claims.get(name) {
                Some(Value::Array(list)) => list.iter().any(matches),
                Some(value) => matches(value),
                None => false,
            }
        })
    }

    /// Whether this claim must have one of some exact values.
    pub fn is_exact(&self, claim: &str) -> bool {
        let exact = |pattern: &Glob| !pattern.as_str().contains(['*', '?']);
        self.0.get(claim).is_some_and(|patterns| !patterns.is_empty() && patterns.iter().all(exact))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn matches(patterns: Value, claims: &Value) -> bool {
        let patterns: ClaimPatterns = serde_json::from_value(patterns).unwrap();
        patterns.match_all(Claims(claims.as_object().unwrap()))
    }

    #[test]
    fn every_claim_that_is_named_must_match() {
        let claims = json!({
            "project_id": 42, "ref_protected": "true", "ref": "release/1", "flag": true, "list": ["a", "b"], "empty": [], "null": null,
            "kubernetes.io": { "namespace": "ci", "serviceaccount": { "uid": "u-1" } }, "a/b": "whole",
        });
        for (patterns, expected) in [
            (json!({}), true),
            (json!({ "project_id": ["42"] }), true),
            (json!({ "project_id": ["41", "42"] }), true),
            (json!({ "project_id": ["4"] }), false),
            (json!({ "project_id": ["42"], "ref": ["main"] }), false),
            (json!({ "ref": ["release/*"] }), true),
            (json!({ "ref": ["*"] }), false),
            (json!({ "flag": ["true"] }), true),
            (json!({ "list": ["b"] }), true),
            (json!({ "list": ["c"] }), false),
            (json!({ "empty": ["**"] }), false),
            (json!({ "null": ["**"] }), false),
            (json!({ "missing": ["**"] }), false),
            (json!({ "kubernetes.io": ["**"] }), false),
            (json!({ "kubernetes.io/namespace": ["ci"] }), true),
            (json!({ "kubernetes.io/serviceaccount/uid": ["u-1"] }), true),
            (json!({ "kubernetes.io/serviceaccount/name": ["**"] }), false),
            (json!({ "a/b": ["whole"] }), true),
        ] {
            assert_eq!(matches(patterns.clone(), &claims), expected, "{patterns}");
        }
    }

    #[test]
    fn an_exact_claim_has_no_stars() {
        let exact = |patterns: Value| {
            serde_json::from_value::<ClaimPatterns>(json!({ "project_id": patterns })).unwrap().is_exact("project_id")
        };
        assert!(exact(json!(["42"])) && exact(json!(["42", "43"])));
        assert!(!exact(json!([])) && !exact(json!(["4?"])) && !exact(json!(["42", "*"])));
        assert!(!ClaimPatterns::default().is_exact("project_id"));
    }
}
