//! Short texts that callers choose: bounded, without control characters, checked once at the edge.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::Deref;
use thiserror::Error;

#[derive(Debug, Error, PartialEq, Eq)]
pub enum InvalidText {
    #[error("must not be empty")]
    Empty,
    #[error("has at most {0} bytes")]
    TooLong(usize),
    #[error("must not contain control characters")]
    Control,
    #[error("is [a-z0-9] followed by any of [a-z0-9._-], and does not read as a UUID")]
    Name,
    #[error("is an absolute URI without white space or fragment (RFC 8707, section 2)")]
    Uri,
    #[error("is an https URL without user, query or fragment")]
    Https,
}

macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident = $check:expr;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            pub fn parse(text: impl Into<String>) -> Result<$name, InvalidText> {
                let text = text.into();
                let check: fn(&str) -> Result<(), InvalidText> = $check;
                check(&text)?;
                Ok($name(text))
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidText;
            fn try_from(text: String) -> Result<$name, InvalidText> {
                $name::parse(text)
            }
        }

        impl From<$name> for String {
            fn from(text: $name) -> String {
                text.0
            }
        }

        impl Deref for $name {
            type Target = str;
            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )+};
}

texts! {
    /// A key, a ref, a job's or a runner's name: 1 to 255 bytes on one line.
    Label = |text| line(text, 255);
    /// A user's name: one path segment, so that it can stand in a URL beside ids.
    UserName = |text| {
        line(text, 255)?;
        crate::path::check_segment(text).map_err(|_| InvalidText::Name)
    };
    /// What a maintainer wrote beside a grant, or why something was revoked: up to 1,024 bytes.
    Note = |text| match line(text, 1024) {
        Err(InvalidText::Empty) => Ok(()),
        other => other,
    };
    /// An audience: an absolute URI, up to 512 bytes (RFC 8707, section 2).
    AudienceUri = |text| {
        line(text, 512)?;
        absolute_uri(text)
    };
    /// Where another's documents are, and who it says it is: an https URL without user, query or fragment, up to 160 bytes.
    HttpsUrl = |text| {
        line(text, 160)?;
        https_url(text)
    };
}

fn line(text: &str, max: usize) -> Result<(), InvalidText> {
    if text.is_empty() {
        Err(InvalidText::Empty)
    } else if text.len() > max {
        Err(InvalidText::TooLong(max))
    } else if text.chars().any(char::is_control) {
        Err(InvalidText::Control)
    } else {
        Ok(())
    }
}

fn absolute_uri(text: &str) -> Result<(), InvalidText> {
    let scheme_char = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    let well_formed = text.split_once(':').is_some_and(|(scheme, rest)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(scheme_char)
            && !rest.is_empty()
            && rest.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '#' | '"' | '<' | '>' | '\\'))
    });
    if well_formed { Ok(()) } else { Err(InvalidText::Uri) }
}

fn https_url(text: &str) -> Result<(), InvalidText> {
    let well_formed = text.strip_prefix("https://").is_some_and(|rest| {
        rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '[')
            && rest.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '?' | '#' | '@' | '"' | '<' | '>' | '\\'))
    });
    if well_formed { Ok(()) } else { Err(InvalidText::Https) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels() {
        assert!(Label::parse("refs/heads/main ✓").is_ok());
        assert_eq!(Label::parse(""), Err(InvalidText::Empty));
        assert_eq!(Label::parse("a\0b"), Err(InvalidText::Control));
        assert_eq!(Label::parse("x".repeat(256)), Err(InvalidText::TooLong(255)));
    }

    #[test]
    fn audiences() {
        for good in ["https://registry.example.com", "urn:jobpass:state", "https://a.example/x?y=z"] {
            assert!(AudienceUri::parse(good).is_ok(), "{good}");
        }
        for bad in ["registry", "https:", "https://a b", "https://a/#x", "1a:b", "://x"] {
            assert!(AudienceUri::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn https_urls() {
        for good in ["https://ci.example", "https://ci.example:8443/a/b/", "https://[::1]/", "https://127.0.0.1"] {
            assert!(HttpsUrl::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "http://ci.example",
            "HTTPS://ci.example",
            "https://",
            "https:///x",
            "https://a@b",
            "https://a/?x",
            "https://a/#x",
            "https://a b",
            "https://a\\b",
        ] {
            assert_eq!(HttpsUrl::parse(bad), Err(InvalidText::Https), "{bad}");
        }
        assert_eq!(HttpsUrl::parse(format!("https://{}", "a".repeat(160))), Err(InvalidText::TooLong(160)));
    }

    #[test]
    fn user_names() {
        assert!(UserName::parse("alice").is_ok());
        for bad in ["Alice", "a/b", "0191d2b4-0000-7000-8000-000000000000", ".."] {
            assert_eq!(UserName::parse(bad), Err(InvalidText::Name), "{bad}");
        }
    }
}
