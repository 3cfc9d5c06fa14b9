//! Parameters of the query: an unknown one is refused rather than ignored.

use crate::problem::Denied;
use axum::extract::FromRequestParts;
use http::request::Parts;
use http::{Extensions, Uri};
use jobpass_app::{How, PageOf, Refusal};
use std::collections::HashSet;
use std::str::FromStr;

const MAX_PAGE: usize = 1000;
const DEFAULT_PAGE: usize = 100;

/// `limit` and `after` of a list.
#[derive(Debug)]
pub(crate) struct Page(pub(crate) PageOf);

impl<S: Sync> FromRequestParts<S> for Page {
    type Rejection = Denied;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Page, Denied> {
        Page::beside(parts, &[])
    }
}

impl Page {
    /// Where the handler reads further parameters itself.
    pub(crate) fn beside(parts: &Parts, others: &[&str]) -> Result<Page, Denied> {
        let mut page = PageOf { after: None, limit: DEFAULT_PAGE };
        for (name, value) in query(parts)? {
            match name.as_str() {
                "after" => page.after = Some(checked_text("?after", value)?),
                "limit" => {
                    let number = value.parse().ok().filter(|limit| (1..=MAX_PAGE).contains(limit));
                    let fault = || Refusal::invalid("?limit", "out_of_range", format!("a number from 1 to {MAX_PAGE}"));
                    page.limit = number.ok_or_else(fault)?;
                }
                other if others.contains(&other) => {}
                _ => return Err(unknown_parameter(&name)),
            }
        }
        Ok(Page(page))
    }
}

/// How a change is to be made: `dry_run`, `confirm` and `window_days`.
#[derive(Debug)]
pub(crate) struct Way(pub(crate) How);

/// Marks a request whose query was read: what is written refuses any other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct QueryRead;

/// Nothing in the query: for what is written without a body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NoQuery;

impl<S: Sync> FromRequestParts<S> for NoQuery {
    type Rejection = Denied;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<NoQuery, Denied> {
        NoQuery::check(&parts.uri, &parts.extensions)
    }
}

impl NoQuery {
    /// What is written takes no parameters but those that were read: an overlooked one, such as `dry_run`, would not
    /// be overlooked lightly.
    pub(crate) fn check(uri: &Uri, extensions: &Extensions) -> Result<NoQuery, Denied> {
        if extensions.get::<QueryRead>().is_some() {
            return Ok(NoQuery);
        }
        match form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).next() {
            Some((name, _)) => Err(unknown_parameter(&name)),
            None => Ok(NoQuery),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Way {
    type Rejection = Denied;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Way, Denied> {
        let way = Way::beside(parts, &[])?;
        parts.extensions.insert(QueryRead);
        Ok(way)
    }
}

impl Way {
    /// Where the handler reads further parameters itself.
    pub(crate) fn beside(parts: &Parts, others: &[&str]) -> Result<Way, Denied> {
        let mut how = How::default();
        for (name, value) in query(parts)? {
            match name.as_str() {
                "dry_run" => how.dry_run = parsed("?dry_run", &value, "true or false")?,
                "confirm" => how.confirmed = parsed("?confirm", &value, "true or false")?,
                "window_days" => how.window_days = days("?window_days", &value)?,
                other if others.contains(&other) => {}
                _ => return Err(unknown_parameter(&name)),
            }
        }
        Ok(Way(how))
    }
}

/// A value of a query parameter, or what it should have been.
pub(crate) fn parsed<T: FromStr>(pointer: &str, value: &str, expected: &str) -> Result<T, Denied> {
    value.parse().map_err(|_| Refusal::invalid(pointer, "invalid", expected).into())
}

/// A number of days, up to ten years.
pub(crate) fn days(pointer: &str, value: &str) -> Result<u16, Denied> {
    let number = value.parse().ok().filter(|days| (1..=3650).contains(days));
    number.ok_or_else(|| Refusal::invalid(pointer, "out_of_range", "a number of days from 1 to 3650").into())
}

/// The parameters of the query, each given once: which of two values counts would be anybody's guess.
pub(crate) fn query(parts: &Parts) -> Result<Vec<(String, String)>, Denied> {
    query_where(parts, |_| false)
}

/// The same; a parameter of which every value counts may come again.
pub(crate) fn query_where(parts: &Parts, repeats: impl Fn(&str) -> bool) -> Result<Vec<(String, String)>, Denied> {
    let mut given = HashSet::new();
    let text = parts.uri.query().unwrap_or_default();
    let pairs: Vec<_> = form_urlencoded::parse(text.as_bytes()).into_owned().collect();
    match pairs.iter().find(|(name, _)| !given.insert(name.as_str()) && !repeats(name)) {
        Some((name, _)) => Err(Refusal::invalid(format!("?{name}"), "repeated", "it is given once").into()),
        None => Ok(pairs),
    }
}

pub(crate) fn unknown_parameter(name: &str) -> Denied {
    Refusal::invalid(format!("?{name}"), "unknown_parameter", "no such query parameter").into()
}

/// A text from the query that the database could take.
pub(crate) fn checked_text(pointer: &str, value: String) -> Result<String, Denied> {
    if value.len() > 512 || value.chars().any(char::is_control) {
        return Err(Refusal::invalid(pointer, "invalid", "at most 512 bytes, without control characters").into());
    }
    Ok(value)
}
