//! What the gateway asks about: from the one source that is set on its service, and from nowhere else.

use super::gateway::split;
use super::reply::Refused;
use http::HeaderMap;
use http::request::Parts;
use jobpass_app::AskedRoute;
use jobpass_domain::forward_auth::{HeaderName, Source};

/// Tokens that clients put into queries (RFC 6750, section 2.3, and GitLab). What stands behind the gateway might
/// take one, and then serve somebody else than was asked about.
const TOKENS_IN_QUERIES: [&str; 3] = ["access_token", "job_token", "private_token"];

/// Permissions, or a method and a path.
pub(super) fn asked(source: &Source, parts: &Parts) -> Result<(Vec<String>, Option<AskedRoute>), Refused> {
    let (method, path) = match source {
        Source::Fixed(permissions) => return Ok((permissions.clone(), None)),
        Source::Headers { method, path } => (one(&parts.headers, method)?, one(&parts.headers, path)?),
        Source::Request => (parts.method.as_str(), own_path(parts)),
    };
    if path.split_once('?').is_some_and(|(_, query)| has_token(query)) {
        return Err(Refused::forbidden("token_in_query", "a token is never accepted in the query"));
    }
    Ok((vec![], Some(AskedRoute { method: method.to_owned(), path: path.to_owned() })))
}

fn has_token(query: &str) -> bool {
    let named = |name: &str| TOKENS_IN_QUERIES.iter().any(|token| name.eq_ignore_ascii_case(token));
    // Some frameworks still separate parameters by `;`, as old HTML had it.
    let mut pairs = query.split(['&', ';']).flat_map(|pair| form_urlencoded::parse(pair.as_bytes()));
    pairs.any(|(name, _)| named(&name))
}

/// With its query, from the first slash after the client id; nothing when the request ends before.
fn own_path(parts: &Parts) -> &str {
    let (_, below) = split(parts.uri.path());
    let whole = parts.uri.path_and_query().map_or("", |whole| whole.as_str());
    whole.get(parts.uri.path().len() - below.len()..).unwrap_or_default()
}

fn one<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<&'h str, Refused> {
    let mut values = headers.get_all(name.as_str()).iter();
    let refused = |what| Refused::forbidden("bad_source", format!("the gateway's header {name} {what}"));
    match (values.next(), values.next()) {
        (None, _) => Err(refused("is missing")),
        (Some(_), Some(_)) => Err(refused("came more than once")),
        (Some(value), None) => value.to_str().map_err(|_| refused("is not ASCII")),
    }
}
