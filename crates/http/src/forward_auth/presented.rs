//! The client's token, wherever the clients that exist put it: exactly one, for nobody knows which of two the
//! service behind the gateway would take.

use super::reply::Refused;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use jobpass_domain::Secret;

/// Bearer, the password of Basic and cargo's bare token in the first; GitLab's own headers.
const HEADERS: [&str; 3] = ["authorization", "job-token", "private-token"];

/// `None` where none came. What cannot be read is a token that nobody knows.
pub(super) fn presented(headers: &HeaderMap) -> Result<Option<Secret>, Refused> {
    let all = HEADERS.iter().flat_map(|name| headers.get_all(*name).iter().map(move |value| (*name, value)));
    // Some gateways set an empty header where there is none.
    let mut given = all.filter(|(_, value)| !value.as_bytes().trim_ascii().is_empty());
    let Some((name, value)) = given.next() else { return Ok(None) };
    if given.next().is_some() {
        return Err(Refused::forbidden(
            "two_tokens",
            "more than one token in Authorization, Job-Token and Private-Token",
        ));
    }
    let text = value.to_str().unwrap_or_default().trim();
    let token = if name == "authorization" { of_authorization(text) } else { Some(text.to_owned()) };
    Ok(Some(Secret::new(token.unwrap_or_default())))
}

fn of_authorization(text: &str) -> Option<String> {
    let Some((scheme, rest)) = text.split_once(' ') else { return Some(text.to_owned()) };
    match scheme.to_ascii_lowercase().as_str() {
        "bearer" => Some(rest.trim().to_owned()),
        "basic" => password(rest.trim()),
        _ => None,
    }
}

/// Whatever the user is called: git, pip, twine and docker ask for a name, and mean nothing by it.
fn password(encoded: &str) -> Option<String> {
    let pair = Secret::new(String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?);
    pair.expose().split_once(':').map(|(_, password)| password.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    fn read(headers: &[(&str, &str)]) -> Result<Option<String>, ()> {
        let headers = headers.iter().map(|(name, value)| {
            (HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap())
        });
        let found = presented(&headers.collect()).map_err(|_| ())?;
        Ok(found.map(|token| token.expose().to_owned()))
    }

    #[test]
    fn where_a_token_is_read() {
        let basic = |pair: &str| format!("Basic {}", STANDARD.encode(pair));
        for (name, value, token) in [
            ("authorization", "Bearer jpj_a".to_owned(), "jpj_a"),
            ("AUTHORIZATION", "bEARER  jpj_a ".to_owned(), "jpj_a"),
            ("authorization", "jpj_a".to_owned(), "jpj_a"),
            ("authorization", basic("job:jpj_a"), "jpj_a"),
            ("authorization", basic(":jpj_a"), "jpj_a"),
            ("authorization", basic("a:b:c"), "b:c"),
            ("job-token", "jpj_a".to_owned(), "jpj_a"),
            ("Private-Token", " jpj_a ".to_owned(), "jpj_a"),
            // What nobody knows:
            ("authorization", basic("jpj_a"), ""),
            ("authorization", "Basic %%%".to_owned(), ""),
            ("authorization", "Digest jpj_a".to_owned(), ""),
            ("authorization", "Bearer".to_owned(), "Bearer"),
            ("job-token", "Bearer jpj_a".to_owned(), "Bearer jpj_a"),
        ] {
            assert_eq!(read(&[(name, &value)]), Ok(Some(token.to_owned())), "{name}: {value}");
        }
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&[("authorization", ""), ("job_token", "jpj_a"), ("x-token", "jpj_a")]), Ok(None));
    }

    #[test]
    fn two_are_none() {
        for (one, other) in
            [("authorization", "authorization"), ("authorization", "job-token"), ("job-token", "private-token")]
        {
            assert_eq!(read(&[(one, "jpj_a"), (other, "jpj_a")]), Err(()), "{one} and {other}");
            assert_eq!(read(&[(one, "jpj_a"), (other, "")]), Ok(Some("jpj_a".to_owned())));
        }
    }
}
