//! The path of a request as it came, before anybody decoded it. Whatever a gateway and the service behind
//! it might read in two ways is refused here, so that what was decided is what is served.

use thiserror::Error;

/// The longest path, in bytes, without the query.
const MAX_PATH: usize = 4096;
const MAX_SEGMENTS: usize = 100;

#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum BadPath {
    #[error("a path begins with `/`")]
    NotAbsolute,
    #[error("a path has at most {MAX_PATH} bytes and {MAX_SEGMENTS} segments")]
    TooLong,
    #[error("a path has no empty segment, no `.` or `..`, and no slash at its end")]
    Segment,
    #[error("a path has no `\\`, no `;`, no `%25`, no control character, and nothing that must be percent-encoded")]
    Character,
    #[error("`%` stands before two hexadecimal digits, and what is decoded is UTF-8")]
    Encoding,
}

/// Split at `/`, then each segment decoded once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoutePath {
    pub(super) segments: Vec<Segment>,
    /// As it came; only the routes of Git read it.
    pub(super) query: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) text: String,
    /// Whether it holds a slash, which came as `%2F`.
    pub(super) slash: bool,
}

impl RoutePath {
    /// `raw`: from the first `/`, with the query if there is one.
    pub fn parse(raw: &str) -> Result<RoutePath, BadPath> {
        let (path, query) = raw.split_once('?').map_or((raw, None), |(path, query)| (path, Some(query.to_owned())));
        // A fragment is no part of a target (RFC 9112, section 3.2): some would cut it off, others read on.
        if query.as_deref().is_some_and(|query| query.contains('#')) {
            return Err(BadPath::Character);
        }
        let inside = path.strip_prefix('/').ok_or(BadPath::NotAbsolute)?;
        if path.len() > MAX_PATH || inside.split('/').count() > MAX_SEGMENTS {
            return Err(BadPath::TooLong);
        }
        let segments = inside.split('/').map(Segment::parse).collect::<Result<_, _>>()?;
        Ok(RoutePath { segments, query })
    }
}

impl Segment {
    fn parse(raw: &str) -> Result<Segment, BadPath> {
        let text = decode(raw)?;
        if text.chars().any(|c| c.is_control() || c == '\\' || c == ';') {
            return Err(BadPath::Character);
        }
        if text.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(BadPath::Segment);
        }
        let slash = text.contains('/');
        Ok(Segment { text, slash })
    }
}

/// Percent-decoded, once: an encoded percent sign would invite a second time.
fn decode(raw: &str) -> Result<String, BadPath> {
    let mut bytes = Vec::with_capacity(raw.len());
    let mut rest = raw.bytes();
    while let Some(byte) = rest.next() {
        let decoded = match byte {
            b'%' => match hex(rest.next())? << 4 | hex(rest.next())? {
                b'%' => return Err(BadPath::Character),
                decoded => decoded,
            },
            b'#' => return Err(BadPath::Character),
            byte if byte.is_ascii_graphic() => byte,
            _ => return Err(BadPath::Character),
        };
        bytes.push(decoded);
    }
    String::from_utf8(bytes).map_err(|_| BadPath::Encoding)
}

fn hex(digit: Option<u8>) -> Result<u8, BadPath> {
    let value = digit.and_then(|digit| char::from(digit).to_digit(16)).and_then(|value| u8::try_from(value).ok());
    value.ok_or(BadPath::Encoding)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_decoded_once() {
        let path = RoutePath::parse("/projects/acme%2Fweb/packages/npm/%40acme/ui?x=%25").unwrap();
        let texts: Vec<_> = path.segments.iter().map(|segment| (segment.text.as_str(), segment.slash)).collect();
        let plain = |text| (text, false);
        assert_eq!(
            texts,
            [plain("projects"), ("acme/web", true), plain("packages"), plain("npm"), plain("@acme"), plain("ui")]
        );
        assert_eq!(path.query.as_deref(), Some("x=%25"));
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_refused() {
        for (raw, why) in [
            ("", BadPath::NotAbsolute),
            ("projects", BadPath::NotAbsolute),
            ("https://x/projects", BadPath::NotAbsolute),
            ("/", BadPath::Segment),
            ("/a/", BadPath::Segment),
            ("//a", BadPath::Segment),
            ("/a//b", BadPath::Segment),
            ("/a/./b", BadPath::Segment),
            ("/a/../b", BadPath::Segment),
            ("/a/%2e%2E/b", BadPath::Segment),
            ("/a/.%2e", BadPath::Segment),
            ("/a/x%2F..%2Fy", BadPath::Segment),
            ("/a/%2Fx", BadPath::Segment),
            ("/a/x%2f", BadPath::Segment),
            ("/a%25b", BadPath::Character),
            ("/a%252Fb", BadPath::Character),
            ("/a\\b", BadPath::Character),
            ("/a%5cb", BadPath::Character),
            ("/a;b", BadPath::Character),
            ("/a%3Bb", BadPath::Character),
            ("/a%00b", BadPath::Character),
            ("/a\0b", BadPath::Character),
            ("/a%0Ab", BadPath::Character),
            ("/a b", BadPath::Character),
            ("/ä", BadPath::Character),
            ("/a#b", BadPath::Character),
            ("/a?b#c", BadPath::Character),
            ("/a?#", BadPath::Character),
            ("/a%", BadPath::Encoding),
            ("/a%2", BadPath::Encoding),
            ("/a%zz", BadPath::Encoding),
            ("/a%+2", BadPath::Encoding),
            ("/a%ff", BadPath::Encoding),
            ("/a%c0%ae", BadPath::Encoding),
        ] {
            assert_eq!(RoutePath::parse(raw), Err(why), "{raw}");
        }
        assert_eq!(RoutePath::parse(&format!("/{}", "a".repeat(MAX_PATH))), Err(BadPath::TooLong));
        assert_eq!(RoutePath::parse(&"/a".repeat(MAX_SEGMENTS + 1)), Err(BadPath::TooLong));
    }

    proptest::proptest! {
        #[test]
        fn no_text_breaks_it(raw in ".{0,60}", tail in "[/a.%20-9A-F;]{0,40}") {
            for raw in [raw.as_str(), tail.as_str(), &format!("/{tail}")] {
                if let Ok(path) = RoutePath::parse(raw) {
                    let parts = path.segments.iter().flat_map(|segment| segment.text.split('/'));
                    proptest::prop_assert!(parts.into_iter().all(|part| !matches!(part, "" | "." | "..")));
                }
            }
        }
    }
}
