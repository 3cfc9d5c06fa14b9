//! The header `Forwarded` (RFC 7239, section 4), read strictly: a list that does not parse says nothing at all, or one that
//! a client opened a quotation mark in could hide what a proxy wrote behind it.

use super::read;
use std::net::IpAddr;

/// For each element its `for`, as an address.
pub(super) fn nodes(list: &str) -> Vec<Option<IpAddr>> {
    elements(list).unwrap_or_default()
}

fn elements(list: &str) -> Option<Vec<Option<IpAddr>>> {
    let mut elements = Vec::new();
    let mut rest = skip_empty(list);
    while !rest.is_empty() {
        let (node, after) = element(rest)?;
        elements.push(node.and_then(|value| read(&value)));
        let after = after.trim_start_matches(BLANKS);
        if !after.is_empty() && !after.starts_with(',') {
            return None;
        }
        rest = skip_empty(after);
    }
    Some(elements)
}

const BLANKS: [char; 2] = [' ', '\t'];

/// Empty elements of a list count for nothing (RFC 9110, section 5.6.1.2).
fn skip_empty(list: &str) -> &str {
    list.trim_start_matches([' ', '\t', ','])
}

/// The `for` of one element, and what follows the element.
fn element(text: &str) -> Option<(Option<String>, &str)> {
    let (mut node, mut rest) = (None, text);
    loop {
        let (name, value, after) = pair(rest)?;
        // Twice in one element is not allowed (section 4).
        if name.eq_ignore_ascii_case("for") && node.replace(value).is_some() {
            return None;
        }
        match after.strip_prefix(';') {
            Some(more) => rest = more,
            None => return Some((node, after)),
        }
    }
}

/// `name=value`, and what follows it.
fn pair(text: &str) -> Option<(&str, String, &str)> {
    let (name, rest) = token(text)?;
    let rest = rest.strip_prefix('=')?;
    match rest.strip_prefix('"') {
        Some(quoted) => {
            let (value, rest) = unquote(quoted)?;
            Some((name, value, rest))
        }
        None => token(rest).map(|(value, rest)| (name, value.to_owned(), rest)),
    }
}

/// RFC 9110, section 5.6.2.
fn token(text: &str) -> Option<(&str, &str)> {
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    let end = text.find(|c| !is_token(c)).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

/// What stands before the closing quotation mark, and what follows it (RFC 9110, section 5.6.4).
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut rest = text.chars();
    loop {
        match rest.next()? {
            '"' => return Some((value, rest.as_str())),
            '\\' => value.push(rest.next()?),
            c => value.push(c),
        }
    }
}
