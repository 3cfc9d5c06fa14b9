//! How a route's path is written: literal segments, `:parameter` for one segment, `*glob` for one or more,
//! either with a literal end as in `:version.info`, and `(…)` around what may be left out. These are the
//! patterns of GitLab's own routes.

use std::collections::BTreeSet;
use thiserror::Error;

/// The longest pattern, in bytes.
const MAX_PATTERN: usize = 1024;
const MAX_SEGMENTS: usize = 50;
/// The most globs and the most optional parts in one pattern: they bound what a match may cost.
const MAX_GLOBS: usize = 3;
const MAX_OPTIONAL: usize = 3;

#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(super) enum InvalidPattern {
    #[error("a path begins with `/`")]
    NotAbsolute,
    #[error("a path has at most {MAX_PATTERN} bytes and {MAX_SEGMENTS} segments")]
    TooLong,
    #[error("a path has no empty segment, no `.` or `..`, and no slash at its end")]
    Segment,
    #[error("a segment is a literal, `:parameter` or `*glob`, the last two with or without a literal end")]
    Piece,
    #[error("`(` and `)` come in pairs, not within each other, and at most {MAX_OPTIONAL} times")]
    Optional,
    #[error("a path has at most {MAX_GLOBS} globs")]
    TooManyGlobs,
    #[error("the parameter `{0}` stands twice")]
    Twice(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Literal(String),
    /// One segment, which ends with the suffix and has something before it.
    Parameter {
        name: String,
        suffix: String,
    },
    /// One segment or more, of which the last ends so.
    Glob {
        name: String,
        suffix: String,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    pub(super) text: String,
    /// One for each way to take or leave the optional parts.
    pub(super) forms: Vec<Vec<Piece>>,
}

impl Piece {
    pub(super) fn name(&self) -> Option<&str> {
        match self {
            Piece::Literal(_) => None,
            Piece::Parameter { name, .. } | Piece::Glob { name, .. } => Some(name),
        }
    }

    fn parse(segment: &str) -> Result<Piece, InvalidPattern> {
        let named = |text: &str| {
            let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
            let (name, suffix) = text.split_at(end);
            let good = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
            if good && (suffix.is_empty() || is_literal(suffix)) {
                Ok((name.to_owned(), suffix.to_owned()))
            } else {
                Err(InvalidPattern::Piece)
            }
        };
        if let Some(rest) = segment.strip_prefix(':') {
            let (name, suffix) = named(rest)?;
            return Ok(Piece::Parameter { name, suffix });
        }
        if let Some(rest) = segment.strip_prefix('*') {
            let (name, suffix) = named(rest)?;
            return Ok(Piece::Glob { name, suffix });
        }
        match segment {
            "" | "." | ".." => Err(InvalidPattern::Segment),
            _ if is_literal(segment) => Ok(Piece::Literal(segment.to_owned())),
            _ => Err(InvalidPattern::Piece),
        }
    }
}

/// What a decoded segment can be, but for the signs of this language and of others that it might be taken for.
fn is_literal(text: &str) -> bool {
    text.chars().all(|c| !c.is_control() && !c.is_whitespace() && !":*(){}[]<>%?#\\;".contains(c))
}

impl Pattern {
    pub(super) fn parse(text: &str) -> Result<Pattern, InvalidPattern> {
        if text.len() > MAX_PATTERN {
            return Err(InvalidPattern::TooLong);
        }
        if text.matches('(').count() > MAX_OPTIONAL {
            return Err(InvalidPattern::Optional);
        }
        let mut spelled = spell_out(text)?;
        // With every part it is a path. Leaving one out and not the next may give what is none: `(/)(*rest)` does.
        let full = parse_form(&spelled.pop().unwrap_or_default())?;
        let mut forms = Vec::new();
        for form in spelled.iter().filter_map(|form| parse_form(form).ok()).chain([full]) {
            if !forms.contains(&form) {
                forms.push(form);
            }
        }
        Ok(Pattern { text: text.to_owned(), forms })
    }

    /// Whether every form has this parameter.
    pub(super) fn always_has(&self, parameter: &str) -> bool {
        self.forms.iter().all(|form| form.iter().any(|piece| piece.name() == Some(parameter)))
    }
}

/// Every way to take or leave the optional parts; the last takes them all.
fn spell_out(text: &str) -> Result<Vec<String>, InvalidPattern> {
    let Some((before, rest)) = text.split_once('(') else {
        return if text.contains(')') { Err(InvalidPattern::Optional) } else { Ok(vec![text.to_owned()]) };
    };
    let (inside, after) = rest.split_once(')').ok_or(InvalidPattern::Optional)?;
    if before.contains(')') || inside.contains('(') {
        return Err(InvalidPattern::Optional);
    }
    let tails = spell_out(after)?;
    Ok(tails.iter().flat_map(|tail| [format!("{before}{tail}"), format!("{before}{inside}{tail}")]).collect())
}

fn parse_form(text: &str) -> Result<Vec<Piece>, InvalidPattern> {
    let inside = text.strip_prefix('/').ok_or(InvalidPattern::NotAbsolute)?;
    let form = inside.split('/').map(Piece::parse).collect::<Result<Vec<_>, _>>()?;
    if form.len() > MAX_SEGMENTS {
        return Err(InvalidPattern::TooLong);
    }
    if form.iter().filter(|piece| matches!(piece, Piece::Glob { .. })).count() > MAX_GLOBS {
        return Err(InvalidPattern::TooManyGlobs);
    }
    let mut seen = BTreeSet::new();
    let twice = form.iter().filter_map(Piece::name).find(|name| !seen.insert(*name));
    match twice {
        Some(name) => Err(InvalidPattern::Twice(name.to_owned())),
        None => Ok(form),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forms(text: &str) -> Vec<String> {
        let show = |piece: &Piece| match piece {
            Piece::Literal(text) => text.clone(),
            Piece::Parameter { name, suffix } => format!("<{name}>{suffix}"),
            Piece::Glob { name, suffix } => format!("<<{name}>>{suffix}"),
        };
        let pattern = Pattern::parse(text).unwrap();
        pattern.forms.iter().map(|form| form.iter().map(show).collect::<Vec<_>>().join("/")).collect()
    }

    #[test]
    fn the_patterns_of_gitlab() {
        assert_eq!(forms("/projects/:id/jobs"), ["projects/<id>/jobs"]);
        assert_eq!(forms("/go/*module_name/@v/:module_version.info"), ["go/<<module_name>>/@v/<module_version>.info"]);
        assert_eq!(forms("/g/*v/(*path/):file"), ["g/<<v>>/<file>", "g/<<v>>/<<path>>/<file>"]);
        assert_eq!(forms("/latest(/)(*suffix)"), ["latest", "latest/<<suffix>>"]);
        assert_eq!(forms("/*project.git/git-receive-pack"), ["<<project>>.git/git-receive-pack"]);
    }

    #[test]
    fn bad_patterns() {
        for (text, why) in [
            ("", InvalidPattern::NotAbsolute),
            ("a/b", InvalidPattern::NotAbsolute),
            ("/", InvalidPattern::Segment),
            ("/a/", InvalidPattern::Segment),
            ("/a//b", InvalidPattern::Segment),
            ("/a/../b", InvalidPattern::Segment),
            ("/a/{id}", InvalidPattern::Piece),
            ("/a/b:c", InvalidPattern::Piece),
            ("/a/b*", InvalidPattern::Piece),
            ("/a/:", InvalidPattern::Piece),
            ("/a/:1", InvalidPattern::Piece),
            ("/a/:b:c", InvalidPattern::Piece),
            ("/a/**", InvalidPattern::Piece),
            ("/a b", InvalidPattern::Piece),
            ("/a?b", InvalidPattern::Piece),
            ("/a%2Fb", InvalidPattern::Piece),
            ("/a(/{x})", InvalidPattern::Piece),
            ("/a(/b", InvalidPattern::Optional),
            ("/a)/b", InvalidPattern::Optional),
            ("/a(/b(/c))", InvalidPattern::Optional),
            ("/a(/b)(/c)(/d)(/e)", InvalidPattern::Optional),
            ("/*a/*b/*c/*d", InvalidPattern::TooManyGlobs),
            ("/:a/x/:a", InvalidPattern::Twice("a".to_owned())),
        ] {
            assert_eq!(Pattern::parse(text), Err(why), "{text}");
        }
        assert_eq!(Pattern::parse(&format!("/{}", "a".repeat(1024))), Err(InvalidPattern::TooLong));
    }
}
