//! The headers by which a service behind a gateway learns who asked. Every one of them stands in every answer that
//! lets a request through, empty where there is nothing to tell, so that a client's own copy never survives.

use super::ForwardAuth;
use crate::job_token::TokenInfo;
use serde::{Deserialize, Serialize};

macro_rules! headers {
    ($($(#[$doc:meta])* $variant:ident = $name:literal;)+) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        pub enum IdentityHeader {
            $($(#[$doc])* #[serde(rename = $name)] $variant,)+
        }

        impl IdentityHeader {
            pub const ALL: &[IdentityHeader] = &[$(IdentityHeader::$variant),+];

            pub const fn name(self) -> &'static str {
                match self {
                    $(IdentityHeader::$variant => $name,)+
                }
            }
        }
    };
}

headers! {
    /// The path of the project whose job asks.
    Project = "jobpass-project";
    ProjectId = "jobpass-project-id";
    PipelineId = "jobpass-pipeline-id";
    JobId = "jobpass-job-id";
    TokenId = "jobpass-token-id";
    /// As `sub` of introspection.
    Subject = "jobpass-subject";
    Ref = "jobpass-ref";
    /// `true` or `false`.
    Protected = "jobpass-protected";
    /// What was asked and is allowed, with spaces between.
    Permissions = "jobpass-permissions";
    /// Of that, what `enforced` would refuse.
    WouldDeny = "jobpass-would-deny";
}

/// What there is to tell of a request that is let through.
#[derive(Clone, Copy, Debug)]
pub struct Identity<'a> {
    /// `None`: whoever it is, anyone may.
    pub who: Option<&'a TokenInfo>,
    pub permissions: &'a [String],
    pub would_deny: &'a [String],
}

impl Identity<'_> {
    /// Every header with its value, in printable ASCII.
    pub fn headers(&self, settings: &ForwardAuth) -> impl Iterator<Item = (&'static str, String)> {
        IdentityHeader::ALL.iter().map(|&header| {
            let value = if settings.tells(header) { self.value(header) } else { None };
            (header.name(), value.unwrap_or_default())
        })
    }

    fn value(&self, header: IdentityHeader) -> Option<String> {
        Some(match header {
            IdentityHeader::Permissions => self.permissions.join(" "),
            IdentityHeader::WouldDeny => self.would_deny.join(" "),
            IdentityHeader::Project => encoded(&self.who?.project_path),
            IdentityHeader::ProjectId => self.who?.project.to_string(),
            IdentityHeader::PipelineId => self.who?.pipeline.to_string(),
            IdentityHeader::JobId => self.who?.job.to_string(),
            IdentityHeader::TokenId => self.who?.id.to_string(),
            IdentityHeader::Subject => self.who?.subject(),
            IdentityHeader::Ref => encoded(&self.who?.ref_name),
            IdentityHeader::Protected => self.who?.protected.to_string(),
        })
    }
}

/// Percent-encoded but for letters, digits and what is common in paths and refs: no value ends a header, splits
/// a list, or is trimmed on its way.
fn encoded(text: &str) -> String {
    let stands = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/@:+#".contains(&byte);
    let encode = |byte| if stands(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(encode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_safe_in_a_header() {
        for (text, header) in [
            ("release/v1.2", "release/v1.2"),
            ("feature/#12-x_y", "feature/#12-x_y"),
            ("50%", "50%25"),
            ("a,b; c\"", "a%2Cb%3B%20c%22"),
            ("zweig/ü", "zweig/%C3%BC"),
            ("a\r\nJobpass-Protected: true", "a%0D%0AJobpass-Protected:%20true"),
        ] {
            assert_eq!(encoded(text), header);
        }
    }

    proptest::proptest! {
        #[test]
        fn every_value_is_printable_and_can_be_read_again(text in ".{0,60}") {
            let value = encoded(&text);
            proptest::prop_assert!(value.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',' && byte != b';'));
            let mut bytes = vec![];
            let mut rest = value.bytes();
            while let Some(byte) = rest.next() {
                let hex = |digit: Option<u8>| char::from(digit.unwrap()).to_digit(16).unwrap();
                bytes.push(if byte == b'%' {
                    u8::try_from(hex(rest.next()) * 16 + hex(rest.next())).unwrap()
                } else {
                    byte
                });
            }
            proptest::prop_assert_eq!(String::from_utf8(bytes).unwrap(), text);
        }
    }
}
