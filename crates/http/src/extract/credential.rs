//! The one credential of a request, and the Idempotency-Key that is sealed by it.

use crate::limit::claim;
use crate::problem::Denied;
use axum::extract::FromRequestParts;
use base64::Engine;
use http::header::AUTHORIZATION;
use http::request::Parts;
use jobpass_app::{Once, Refusal};
use jobpass_domain::Secret;
use percent_encoding::percent_decode_str;

/// What came in `Authorization`.
pub(crate) enum Presented {
    Nothing,
    Bearer(Secret),
    Basic {
        user: String,
        password: Secret,
    },
    /// A scheme that is none of ours, or a value that does not parse.
    Unreadable,
}

/// Reads the one `Authorization` header. Two of them, or a token in the query, are refused: which one counts
/// would be anybody's guess.
pub(crate) fn presented(parts: &Parts) -> Result<Presented, &'static str> {
    let in_query =
        |name: &str| matches!(name, "access_token" | "token" | "job_token" | "private_token" | "client_secret");
    if form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()).any(|(name, _)| in_query(&name)) {
        return Err("a token is never accepted in the query (RFC 9700, section 4.3.2)");
    }
    let mut values = parts.headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else {
        return Ok(Presented::Nothing);
    };
    if values.next().is_some() {
        return Err("more than one Authorization header");
    }
    let Some((scheme, rest)) = value.to_str().ok().and_then(|text| text.split_once(' ')) else {
        return Ok(Presented::Unreadable);
    };
    let presented = match scheme.to_ascii_lowercase().as_str() {
        "bearer" => Presented::Bearer(Secret::new(rest.trim().to_owned())),
        "basic" => basic(rest.trim()).unwrap_or(Presented::Unreadable),
        _ => Presented::Unreadable,
    };
    if let Presented::Basic { user, .. } = &presented {
        claim(parts, user);
    }
    Ok(presented)
}

/// RFC 6749, section 2.3.1 and appendix B: both halves are form-decoded after base64, split at the first colon.
fn basic(encoded: &str) -> Option<Presented> {
    let decoded = base64::engine::general_purpose::STANDARD.decode(encoded).ok()?;
    let text = Secret::new(String::from_utf8(decoded).ok()?);
    let (user, password) = text.expose().split_once(':')?;
    Some(Presented::Basic { user: form_decode(user)?, password: Secret::new(form_decode(password)?) })
}

pub(crate) fn form_decode(text: &str) -> Option<String> {
    if !text.bytes().any(|byte| matches!(byte, b'+' | b'%')) {
        return Some(text.to_owned());
    }
    let spaces = text.replace('+', " ");
    percent_decode_str(&spaces).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

pub(super) fn bearer(parts: &Parts) -> Result<Secret, Denied> {
    match presented(parts).map_err(Denied::UnclearCredential)? {
        Presented::Bearer(token) => Ok(token),
        Presented::Nothing => Err(Refusal::NoCredential.into()),
        Presented::Basic { .. } | Presented::Unreadable => Err(Refusal::BadCredential.into()),
    }
}

/// The Idempotency-Key of a POST, with the credential that will seal its answer, and what the POST is on.
#[derive(Debug)]
pub(crate) struct IdempotencyKey(Option<(String, Secret, String)>);

impl IdempotencyKey {
    pub(crate) fn once(&self, operation: &'static str, raw: &[u8]) -> Option<Once> {
        self.0.as_ref().map(|(key, credential, path)| Once::new(operation, key, credential.expose(), path, raw))
    }
}

impl<S: Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Denied;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<IdempotencyKey, Denied> {
        let mut values = parts.headers.get_all("idempotency-key").iter();
        let Some(value) = values.next() else {
            return Ok(IdempotencyKey(None));
        };
        if values.next().is_some() {
            return Err(Denied::BadRequest("more than one Idempotency-Key"));
        }
        // A structured-field string, or the bare text.
        let text = value.to_str().ok().map(|text| text.trim().trim_matches('"').to_owned());
        let key = text
            .filter(|key| (1..=255).contains(&key.len()))
            .ok_or(Denied::BadRequest("an Idempotency-Key has 1 to 255 visible characters"))?;
        Ok(IdempotencyKey(Some((key, bearer(parts)?, parts.uri.path().to_owned()))))
    }
}
