//! Forward-auth as it is set on a service: from where the question of a request is taken, and what the answer
//! tells whatever stands behind the gateway. Statuses and challenges are HTTP's.

mod identity;
mod verdict;

pub use identity::{Identity, IdentityHeader};
pub use verdict::{Verdict, verdict};

use serde::{Deserialize, Serialize};
use std::fmt;

/// The longest name of a header.
const MAX_HEADER: usize = 64;
/// The most permissions that every request to a service can be asked for.
const MAX_FIXED: usize = 64;

/// From where a request's question is taken: one place, so that nobody can offer a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum SourceKind {
    /// Method and path stand in two headers that the gateway sets.
    Headers,
    /// They are those of the request itself, after the client id.
    Request,
    /// Every request needs the same permissions in the service's own project.
    Fixed,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    Headers { method: HeaderName, path: HeaderName },
    Request,
    Fixed(Vec<String>),
}

impl Source {
    pub const fn kind(&self) -> SourceKind {
        match self {
            Source::Headers { .. } => SourceKind::Headers,
            Source::Request => SourceKind::Request,
            Source::Fixed(_) => SourceKind::Fixed,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForwardAuth {
    pub source: Source,
    /// Which headers have a value; `None`: all.
    pub identity: Option<Vec<IdentityHeader>>,
}

/// The same, as it is written and kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DraftForwardAuth {
    pub source: Option<SourceKind>,
    pub method_header: Option<String>,
    pub path_header: Option<String>,
    pub permissions: Option<Vec<String>>,
    pub identity_headers: Option<Vec<IdentityHeader>>,
}

/// What is wrong with a draft.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForwardAuthFault {
    pub field: &'static str,
    pub code: &'static str,
    pub detail: String,
}

/// The name of a header, in lower case. Without `_`, in which gateways and the services behind them differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderName(String);

impl HeaderName {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn parse(field: &'static str, text: &str) -> Result<HeaderName, ForwardAuthFault> {
        let name = text.to_ascii_lowercase();
        let sendable = (1..=MAX_HEADER).contains(&name.len()) && name.bytes().all(is_name_byte);
        if !sendable {
            let detail = format!("a header's name has 1 to {MAX_HEADER} letters, digits and hyphens");
            return Err(fault(field, "invalid", detail));
        }
        // Those have a meaning of their own here, and one of them for two would confuse both.
        let taken = ["authorization", "cookie", "host", "job-token", "private-token", "x-jobpass-service"];
        if taken.contains(&name.as_str()) || name.starts_with("jobpass-") {
            return Err(fault(field, "reserved", "this header means something else".to_owned()));
        }
        Ok(HeaderName(name))
    }
}

impl fmt::Display for HeaderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'
}

fn fault(field: &'static str, code: &'static str, detail: String) -> ForwardAuthFault {
    ForwardAuthFault { field, code, detail }
}

impl ForwardAuth {
    /// The first thing that is wrong, or what is meant. Permissions are names that the catalogue knows.
    pub fn read(draft: DraftForwardAuth) -> Result<ForwardAuth, ForwardAuthFault> {
        let DraftForwardAuth { source, method_header, path_header, permissions, identity_headers } = draft;
        let required = |field| move || fault(field, "required", "this source needs it".to_owned());
        let source = source.ok_or_else(required("source"))?;
        let of_headers = source == SourceKind::Headers;
        for (field, given, fits) in [
            ("method_header", method_header.is_some(), of_headers),
            ("path_header", path_header.is_some(), of_headers),
            ("permissions", permissions.is_some(), source == SourceKind::Fixed),
        ] {
            if given && !fits {
                return Err(fault(field, "not_both", "the source is another".to_owned()));
            }
        }
        let source = match source {
            SourceKind::Request => Source::Request,
            SourceKind::Headers => {
                let method = method_header.ok_or_else(required("method_header"))?;
                let path = path_header.ok_or_else(required("path_header"))?;
                two_headers(&method, &path)?
            }
            SourceKind::Fixed => fixed(permissions.ok_or_else(required("permissions"))?)?,
        };
        Ok(ForwardAuth { source, identity: identity_headers })
    }

    /// As it is written.
    pub fn draft(&self) -> DraftForwardAuth {
        let (method_header, path_header, permissions) = match &self.source {
            Source::Headers { method, path } => (Some(method.to_string()), Some(path.to_string()), None),
            Source::Request => (None, None, None),
            Source::Fixed(permissions) => (None, None, Some(permissions.clone())),
        };
        let identity_headers = self.identity.clone();
        DraftForwardAuth { source: Some(self.source.kind()), method_header, path_header, permissions, identity_headers }
    }

    pub fn tells(&self, header: IdentityHeader) -> bool {
        self.identity.as_ref().is_none_or(|told| told.contains(&header))
    }
}

fn two_headers(method: &str, path: &str) -> Result<Source, ForwardAuthFault> {
    let method = HeaderName::parse("method_header", method)?;
    let path = HeaderName::parse("path_header", path)?;
    if method == path {
        return Err(fault("path_header", "named_twice", "method and path need a header each".to_owned()));
    }
    Ok(Source::Headers { method, path })
}

fn fixed(permissions: Vec<String>) -> Result<Source, ForwardAuthFault> {
    if !(1..=MAX_FIXED).contains(&permissions.len()) {
        let detail = format!("{} permissions; 1 to {MAX_FIXED}", permissions.len());
        return Err(fault("permissions", "out_of_range", detail));
    }
    Ok(Source::Fixed(permissions))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(method: &str, path: &str) -> DraftForwardAuth {
        DraftForwardAuth {
            source: Some(SourceKind::Headers),
            method_header: Some(method.to_owned()),
            path_header: Some(path.to_owned()),
            ..DraftForwardAuth::default()
        }
    }

    fn of(source: SourceKind) -> DraftForwardAuth {
        DraftForwardAuth { source: Some(source), ..DraftForwardAuth::default() }
    }

    #[test]
    fn what_is_meant_can_be_written_again() {
        let fixed = DraftForwardAuth { permissions: Some(vec!["jobs:read".into()]), ..of(SourceKind::Fixed) };
        for draft in [headers("x-forwarded-method", "x-forwarded-uri"), of(SourceKind::Request), fixed] {
            assert_eq!(ForwardAuth::read(draft.clone()).unwrap().draft(), draft);
        }
        let mixed = ForwardAuth::read(headers("X-Original-Method", "X-Original-URI")).unwrap();
        assert_eq!(mixed.draft(), headers("x-original-method", "x-original-uri"));
    }

    #[test]
    fn one_source_and_all_that_it_needs() {
        let fixed = |permissions| DraftForwardAuth { permissions: Some(permissions), ..of(SourceKind::Fixed) };
        for (draft, field, code) in [
            (DraftForwardAuth::default(), "source", "required"),
            (of(SourceKind::Headers), "method_header", "required"),
            (of(SourceKind::Fixed), "permissions", "required"),
            (fixed(vec![]), "permissions", "out_of_range"),
            (fixed(vec!["jobs:read".into(); 65]), "permissions", "out_of_range"),
            (DraftForwardAuth { path_header: None, ..headers("x-m", "x-p") }, "path_header", "required"),
            (DraftForwardAuth { permissions: Some(vec![]), ..headers("x-m", "x-p") }, "permissions", "not_both"),
            (
                DraftForwardAuth { source: Some(SourceKind::Request), ..headers("x-m", "x-p") },
                "method_header",
                "not_both",
            ),
            (headers("X-Path", "x-path"), "path_header", "named_twice"),
            (headers("", "x-path"), "method_header", "invalid"),
            (headers("x_method", "x-path"), "method_header", "invalid"),
            (headers("x-method", "x path"), "path_header", "invalid"),
            (headers("x-method", &"x".repeat(65)), "path_header", "invalid"),
            (headers("Authorization", "x-path"), "method_header", "reserved"),
            (headers("x-method", "Jobpass-Project"), "path_header", "reserved"),
        ] {
            let fault = ForwardAuth::read(draft.clone()).unwrap_err();
            assert_eq!((fault.field, fault.code), (field, code), "{draft:?}");
        }
    }
}
