//! The one glob language: `*` within a segment, `**` across segments, `?` one character of a segment;
//! case-sensitive, matched against the whole value.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The longest pattern, in bytes.
pub const MAX_PATTERN: usize = 255;
/// The most `*` in one pattern: it bounds what a match may cost.
pub const MAX_STARS: usize = 8;

#[derive(Debug, Error, PartialEq, Eq)]
pub enum InvalidGlob {
    #[error("a pattern must not be empty")]
    Empty,
    #[error("a pattern has at most {MAX_PATTERN} bytes")]
    TooLong,
    #[error("a pattern has at most {MAX_STARS} stars")]
    TooManyStars,
    #[error("three stars in a row mean nothing: `*` is within a segment, `**` across segments")]
    ThreeStars,
    #[error("a pattern must not contain control characters")]
    Control,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Glob(String);

impl Glob {
    pub fn parse(pattern: impl Into<String>) -> Result<Glob, InvalidGlob> {
        let pattern = pattern.into();
        if pattern.is_empty() {
            Err(InvalidGlob::Empty)
        } else if pattern.len() > MAX_PATTERN {
            Err(InvalidGlob::TooLong)
        } else if pattern.chars().any(char::is_control) {
            Err(InvalidGlob::Control)
        } else if pattern.contains("***") {
            Err(InvalidGlob::ThreeStars)
        } else if pattern.matches('*').count() > MAX_STARS {
            Err(InvalidGlob::TooManyStars)
        } else {
            Ok(Glob(pattern))
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn matches(&self, value: &str) -> bool {
        matches(&self.0, value)
    }
}

impl TryFrom<String> for Glob {
    type Error = InvalidGlob;
    fn try_from(pattern: String) -> Result<Glob, InvalidGlob> {
        Glob::parse(pattern)
    }
}

impl From<Glob> for String {
    fn from(glob: Glob) -> String {
        glob.0
    }
}

/// Where a star stands: what follows it in the pattern, and from where in the value to try again.
#[derive(Clone, Copy)]
struct Star<'a> {
    pattern: &'a str,
    value: &'a str,
}

/// Walks both texts once and falls back to the last star only; a `*` that meets a `/` gives way to the
/// last `**` before it. At worst the product of both lengths, and no recursion.
fn matches<'a>(mut pattern: &'a str, mut value: &'a str) -> bool {
    let (mut star, mut globstar): (Option<Star<'a>>, Option<Star<'a>>) = (None, None);
    loop {
        if let Some(rest) = pattern.strip_prefix("**") {
            pattern = rest;
            globstar = Some(Star { pattern, value });
            star = None;
            continue;
        }
        if let Some(rest) = pattern.strip_prefix('*') {
            pattern = rest;
            star = Some(Star { pattern, value });
            continue;
        }
        if value.is_empty() && pattern.is_empty() {
            return true;
        }
        if let Some(tails) = one_step(pattern, value) {
            (pattern, value) = tails;
            continue;
        }
        let within = star.and_then(|star| skip_one(star, |c| c != '/'));
        let next = if within.is_some() {
            star = within;
            within
        } else {
            star = None;
            globstar = globstar.and_then(|star| skip_one(star, |_| true));
            globstar
        };
        let Some(next) = next else { return false };
        (pattern, value) = (next.pattern, next.value);
    }
}

/// Both texts without their first characters, if those agree.
fn one_step<'a>(pattern: &'a str, value: &'a str) -> Option<(&'a str, &'a str)> {
    let mut pattern = pattern.chars();
    let mut value = value.chars();
    let (wanted, seen) = (pattern.next()?, value.next()?);
    (wanted == seen || (wanted == '?' && seen != '/')).then_some((pattern.as_str(), value.as_str()))
}

/// The star having swallowed one character more, if it may.
fn skip_one(star: Star<'_>, may: fn(char) -> bool) -> Option<Star<'_>> {
    let mut value = star.value.chars();
    value.next().filter(|c| may(*c)).map(|_| Star { pattern: star.pattern, value: value.as_str() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_table_of_matches() {
        for (pattern, value, expected) in [
            ("main", "main", true),
            ("main", "Main", false),
            ("main", "main2", false),
            ("prod*", "prod", true),
            ("prod*", "prod-eu", true),
            ("prod*", "prod/eu", false),
            ("prod**", "prod/eu/1", true),
            ("**", "", true),
            ("*", "", true),
            ("*", "a/b", false),
            ("?", "é", true),
            ("?", "/", false),
            ("?", "", false),
            ("npm/@acme/*", "npm/@acme/ui", true),
            ("npm/@acme/*", "npm/@acme/ui/x", false),
            ("**/ui", "npm/@acme/ui", true),
            ("a*/**/z", "ab/c/d/z", true),
            ("a**b*c", "axb/bxc", true),
            ("*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaac", false),
            ("release/v?.*", "release/v1.2", true),
        ] {
            assert_eq!(Glob::parse(pattern).unwrap().matches(value), expected, "{pattern} ~ {value}");
        }
    }

    #[test]
    fn what_is_no_pattern() {
        assert_eq!(Glob::parse(""), Err(InvalidGlob::Empty));
        assert_eq!(Glob::parse("a".repeat(256)), Err(InvalidGlob::TooLong));
        assert_eq!(Glob::parse("*a*a*a*a*a*a*a*a*"), Err(InvalidGlob::TooManyStars));
        assert_eq!(Glob::parse("a***"), Err(InvalidGlob::ThreeStars));
        assert_eq!(Glob::parse("a\n"), Err(InvalidGlob::Control));
    }

    /// The definition, word for word, and as slow as it likes.
    fn slow(pattern: &[char], value: &[char]) -> bool {
        match pattern {
            [] => value.is_empty(),
            ['*', '*', rest @ ..] => (0..=value.len()).any(|n| slow(rest, &value[n..])),
            ['*', rest @ ..] => {
                (0..=value.len()).take_while(|n| !value[..*n].contains(&'/')).any(|n| slow(rest, &value[n..]))
            }
            [wanted, rest @ ..] => value
                .split_first()
                .is_some_and(|(seen, tail)| (wanted == seen || (*wanted == '?' && *seen != '/')) && slow(rest, tail)),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]
        #[test]
        fn fast_is_slow(pattern in "[ab/*?]{1,9}", value in "[ab/]{0,9}") {
            prop_assume!(!pattern.contains("***"));
            let glob = Glob::parse(pattern.clone()).unwrap();
            let expected = slow(&pattern.chars().collect::<Vec<_>>(), &value.chars().collect::<Vec<_>>());
            prop_assert_eq!(glob.matches(&value), expected);
        }
    }
}
