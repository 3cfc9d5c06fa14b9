//! Form bodies (RFC 6749, section 3.2): no parameter twice, empty counts as left out, unknown ones ignored.

use super::OAuthDenied;
use crate::extract::{BODY_LIMIT, form_decode, read};
use axum::extract::Request;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use jobpass_domain::Secret;

/// The parameters of a form. A value is a secret until it is known not to be one.
pub(super) struct Form(Vec<(String, Secret)>);

/// What may be named more than once (RFC 8707, section 2; RFC 8693, section 2.1).
const REPEATABLE: [&str; 2] = ["resource", "audience"];

/// Far more than any endpoint knows: each is compared with all before it.
const MAX_PARAMETERS: usize = 200;

impl Form {
    /// The head of the request, and its form.
    pub(super) async fn read(request: Request) -> Result<(Parts, Form), OAuthDenied> {
        let (parts, body) = request.into_parts();
        let essence = |value: &str| {
            value.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/x-www-form-urlencoded")
        };
        if !parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).is_some_and(essence) {
            return Err(OAuthDenied::invalid_request("the body must be application/x-www-form-urlencoded"));
        }
        let bytes = read(Request::new(body), BODY_LIMIT)
            .await
            .map_err(|_| OAuthDenied::invalid_request("the body is too large"))?;
        let text = std::str::from_utf8(&bytes).map_err(|_| OAuthDenied::invalid_request("the body is not UTF-8"))?;
        Ok((parts, Form::parse(text)?))
    }

    fn parse(text: &str) -> Result<Form, OAuthDenied> {
        let malformed = || OAuthDenied::invalid_request("the form is not well-formed");
        let mut parameters: Vec<(String, Secret)> = Vec::with_capacity(8);
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = form_decode(name).ok_or_else(malformed)?;
            let value = form_decode(value).map(Secret::new).ok_or_else(malformed)?;
            if !REPEATABLE.contains(&name.as_str()) && parameters.iter().any(|(known, _)| *known == name) {
                return Err(OAuthDenied::invalid_request("a parameter is repeated"));
            }
            if parameters.len() == MAX_PARAMETERS {
                return Err(OAuthDenied::invalid_request("too many parameters"));
            }
            parameters.push((name, value));
        }
        parameters.retain(|(_, value)| !value.expose().is_empty());
        Ok(Form(parameters))
    }

    pub(super) fn get(&self, name: &'static str) -> Option<&str> {
        self.all(name).next()
    }

    /// Of a parameter that may be repeated.
    pub(super) fn all(&self, name: &'static str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.expose())
    }

    pub(super) fn require(&self, name: &'static str, missing: &'static str) -> Result<&str, OAuthDenied> {
        self.get(name).ok_or(OAuthDenied::invalid_request(missing))
    }

    /// The permissions of a `scope`; `None`: there is none, which leaves all there is. Blanks alone are an empty list that was meant
    /// to be one, and never the widest.
    pub(super) fn scope(&self) -> Result<Option<Vec<String>>, OAuthDenied> {
        match self.get("scope").map(|_| self.words("scope")) {
            Some(words) if words.is_empty() => Err(OAuthDenied::new("invalid_scope", "the scope names nothing")),
            words => Ok(words),
        }
    }

    /// The words of a space-separated value.
    pub(super) fn words(&self, name: &'static str) -> Vec<String> {
        self.get(name).unwrap_or_default().split_whitespace().map(str::to_owned).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc6749_3_2_parameters() {
        let form = Form::parse("token=a%2Bb+c&empty=&x").unwrap();
        assert_eq!(form.get("token"), Some("a+b c"));
        assert_eq!(form.get("empty"), None);
        assert_eq!(form.get("x"), None);
        assert!(Form::parse("token=a&token=b").is_err());
        assert!(Form::parse("token=a&token=").is_err());
        assert!(Form::parse("token=%ff").is_err());
        let targets = Form::parse("resource=a&resource=&resource=b&audience=c").unwrap();
        assert_eq!(targets.all("resource").collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(targets.all("audience").collect::<Vec<_>>(), ["c"]);
    }
}
