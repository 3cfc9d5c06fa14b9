//! Path templates. The raw path is split at `/` first and each segment decoded once after, so that an
//! encoded slash can never move a segment's end.

use super::Refusal;
use crate::{Ask, Misconfigured};
use jobpass_domain::Path;
use percent_encoding::percent_decode_str;
use uuid::Uuid;

pub(super) struct Template {
    segments: Vec<Segment>,
}

enum Segment {
    Literal(String),
    Project,
    One {
        names: bool,
    },
    /// One or more, to the end.
    Rest {
        names: bool,
    },
}

#[derive(Default)]
struct Found {
    project: Option<String>,
    resource_name: Option<String>,
}

impl Template {
    pub(super) fn parse(text: &str) -> Result<Template, Misconfigured> {
        let path = text.strip_prefix('/').ok_or(Misconfigured::Template)?;
        let segments = path.split('/').map(Segment::parse).collect::<Result<Vec<_>, _>>()?;
        let count = |is: fn(&Segment) -> bool| segments.iter().filter(|segment| is(segment)).count();
        let rests = count(|segment| matches!(segment, Segment::Rest { .. }));
        let rest_is_last = rests == 0 || (rests == 1 && matches!(segments.last(), Some(Segment::Rest { .. })));
        if count(|segment| matches!(segment, Segment::Project)) == 1 && rest_is_last {
            Ok(Template { segments })
        } else {
            Err(Misconfigured::Template)
        }
    }

    pub(super) fn ask(&self, path: &str, permission: &str) -> Result<Ask, Refusal> {
        let Found { project, resource_name } = self.find(path)?;
        let ask = Ask::on(project.ok_or_else(no_match)?, permission)?;
        match resource_name {
            Some(name) => Ok(ask.named(name)?),
            None => Ok(ask),
        }
    }

    fn find(&self, path: &str) -> Result<Found, Refusal> {
        let mut raw = path.strip_prefix('/').ok_or_else(no_match)?.split('/');
        let mut found = Found::default();
        for segment in &self.segments {
            let first = raw.next().ok_or_else(no_match)?;
            match segment {
                Segment::Literal(literal) if *literal == within(first)? => {}
                Segment::Literal(_) => return Err(no_match()),
                Segment::Project => found.project = Some(project(first)?),
                Segment::One { names } => found.name(*names, within(first)?),
                Segment::Rest { names } => {
                    let rest = std::iter::once(first).chain(raw.by_ref()).map(decode);
                    found.name(*names, rest.collect::<Result<Vec<_>, _>>()?.join("/"));
                }
            }
        }
        if raw.next().is_some() { Err(no_match()) } else { Ok(found) }
    }
}

impl Segment {
    fn parse(text: &str) -> Result<Segment, Misconfigured> {
        let Some(name) = text.strip_prefix('{') else {
            let plain = !text.is_empty() && !text.contains(['{', '}', '%']);
            return if plain { Ok(Segment::Literal(text.into())) } else { Err(Misconfigured::Template) };
        };
        match name.strip_suffix('}').ok_or(Misconfigured::Template)? {
            "project" => Ok(Segment::Project),
            name => Ok(match name.strip_prefix('*') {
                Some(rest) => Segment::Rest { names: rest == "resource_name" },
                None => Segment::One { names: name == "resource_name" },
            }),
        }
    }
}

impl Found {
    fn name(&mut self, names: bool, value: String) {
        if names {
            self.resource_name = Some(value);
        }
    }
}

fn project(raw: &str) -> Result<String, Refusal> {
    let text = decode(raw)?;
    if Path::parse(text.as_str()).is_ok() || Uuid::parse_str(&text).is_ok() {
        Ok(text)
    } else {
        Err(Refusal::bad_request("that is no project's path or id"))
    }
}

/// A segment that stays one when it is decoded.
fn within(raw: &str) -> Result<String, Refusal> {
    let text = decode(raw)?;
    if text.contains('/') { Err(malformed()) } else { Ok(text) }
}

/// Decodes once, and refuses what another reader of the same path might take for something else.
fn decode(raw: &str) -> Result<String, Refusal> {
    let text = strict(raw).ok_or_else(malformed)?;
    let odd = |c: char| c.is_control() || matches!(c, '\\' | ';' | '%');
    if text.contains(odd) || text.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err(malformed());
    }
    Ok(text)
}

fn strict(raw: &str) -> Option<String> {
    let complete = raw.split('%').skip(1).all(|after| {
        let digits = after.get(..2);
        digits.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
    });
    if !complete {
        return None;
    }
    percent_decode_str(raw).decode_utf8().ok().map(Into::into)
}

fn malformed() -> Refusal {
    Refusal::bad_request("the path of this request can be read in more than one way")
}

fn no_match() -> Refusal {
    Refusal::not_found("there is nothing at this path")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(template: &str, path: &str) -> Option<(String, Option<String>)> {
        let Found { project, resource_name } = Template::parse(template).unwrap().find(path).ok()?;
        Some((project.unwrap(), resource_name))
    }

    #[test]
    fn what_matches() {
        let packages = "/{project}/npm/{*rest}";
        let states = "/v1/{project}/state/{resource_name}";
        let named = "/{project}/{*resource_name}";
        for (template, path, project, name) in [
            (packages, "/acme%2Flib/npm/@acme%2fui", "acme/lib", None),
            (packages, "/acme%2flib/npm/a/b/c", "acme/lib", None),
            (packages, "/0191d2b4-0000-7000-8000-000000000000/npm/x", "0191d2b4-0000-7000-8000-000000000000", None),
            (states, "/v1/acme%2Finfra/state/prod%20eu", "acme/infra", Some("prod eu")),
            (named, "/acme/npm/@acme/ui", "acme", Some("npm/@acme/ui")),
        ] {
            assert_eq!(found(template, path), Some((project.into(), name.map(str::to_owned))), "{path}");
        }
    }

    #[test]
    fn what_does_not() {
        for path in [
            "",
            "/",
            "/acme%2Flib",
            "/acme%2Flib/npm",
            "/acme%2Flib/npm/",
            "/acme%2Flib/npm//x",
            "/acme%2Flib/npm/x/",
            "/acme%2Flib/npm/..",
            "/acme%2Flib/npm/%2e%2e",
            "/acme%2Flib/npm/a%2f..%2fb",
            "/acme%2Flib/npm/%2",
            "/acme%2Flib/npm/%zz",
            "/acme%2Flib/npm/%ff",
            "/acme%2Flib/npm/%00",
            "/acme%2Flib/npm/%2500",
            "/acme%2Flib/npm/a;b",
            "/acme%2Flib/npm/a\\b",
            "/acme%252Flib/npm/x",
            "/acme%2F..%2Flib/npm/x",
            "/%2Facme/npm/x",
            "/Acme/npm/x",
            "/acme/lib/npm/x",
            "/acme%2Flib/pypi/x",
            "//npm/x",
        ] {
            assert_eq!(found("/{project}/npm/{*rest}", path), None, "{path}");
        }
        assert_eq!(found("/{project}/{one}", "/acme/a%2fb"), None);
        assert_eq!(found("/{project}/{one}", "/acme/a/b"), None);
    }

    #[test]
    fn templates() {
        for bad in ["", "{project}", "/npm", "/{project}/{project}", "/{*rest}/{project}", "/{project", "/{project}//x"]
        {
            assert!(Template::parse(bad).is_err(), "{bad}");
        }
    }
}
