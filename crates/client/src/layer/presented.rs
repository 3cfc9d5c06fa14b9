//! The token of a request: the Bearer token, or the password of Basic, which is what git, npm, pip and
//! Docker can send.

use super::Refusal;
use crate::Secret;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;

/// Whatever is longer is not a token, and not worth a question.
const MAX_TOKEN: usize = 256;

/// Two `Authorization` headers are refused, for nobody knows which of them a proxy has looked at.
pub(super) fn token(headers: &HeaderMap) -> Result<Secret, Refusal> {
    let mut headers = headers.get_all(AUTHORIZATION).iter();
    match (headers.next(), headers.next()) {
        (None, _) => Err(Refusal::no_token()),
        (Some(header), None) => header.to_str().ok().and_then(read).ok_or_else(Refusal::no_token),
        (Some(_), Some(_)) => Err(Refusal::bad_request("there is more than one Authorization header")),
    }
}

fn read(header: &str) -> Option<Secret> {
    let (scheme, rest) = header.split_once(' ')?;
    let token = match scheme.to_ascii_lowercase().as_str() {
        "bearer" => rest.trim().to_owned(),
        "basic" => password(rest.trim())?,
        _ => return None,
    };
    let sendable = (1..=MAX_TOKEN).contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_graphic());
    sendable.then(|| Secret::new(token))
}

fn password(pair: &str) -> Option<String> {
    let pair = String::from_utf8(STANDARD.decode(pair).ok()?).ok()?;
    let (_user, password) = pair.split_once(':')?;
    Some(password.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_token_is_read() {
        let basic = |pair: &str| format!("Basic {}", STANDARD.encode(pair));
        for (header, token) in [
            ("Bearer jpj_a".to_owned(), Some("jpj_a")),
            ("bEARER   jpj_a ".to_owned(), Some("jpj_a")),
            (basic("job:jpj_a"), Some("jpj_a")),
            (basic(":jpj_a"), Some("jpj_a")),
            (basic("job:a:b"), Some("a:b")),
            (basic("jpj_a"), None),
            (basic("job:"), None),
            (basic("job:\0"), None),
            ("Basic %%%".to_owned(), None),
            ("Bearer".to_owned(), None),
            ("Bearer ".to_owned(), None),
            ("Bearer a b".to_owned(), None),
            ("Digest jpj_a".to_owned(), None),
            (format!("Bearer {}", "a".repeat(257)), None),
        ] {
            assert_eq!(read(&header).as_ref().map(Secret::expose), token, "{header}");
        }
    }
}
