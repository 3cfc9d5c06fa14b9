//! What a request of git means: which project, and which permission. The smart HTTP protocol has four
//! requests; whatever is not one of them, to the letter, is refused.

use axum::http::{Method, Uri};
use jobpass_client::Ask;
use jobpass_client::layer::Refusal;

const READ: &str = "repositories:read";
const UPDATE: &str = "repositories:update";

/// The query is compared whole: http-backend reads it too, and must not read another service in it.
pub(crate) fn ask(method: &Method, uri: &Uri) -> Result<Ask, Refusal> {
    let (project, request) = split(uri.path())?;
    let permission = match (method.as_str(), request, uri.query()) {
        ("GET", "info/refs", Some("service=git-upload-pack")) | ("POST", "git-upload-pack", None) => READ,
        ("GET", "info/refs", Some("service=git-receive-pack")) | ("POST", "git-receive-pack", None) => UPDATE,
        _ => return Err(Refusal::forbidden("only git's smart HTTP protocol is spoken here")),
    };
    Ok(Ask::on(project, permission)?)
}

/// `/acme/lib.git/info/refs` is `acme/lib` and `info/refs`. A project's path needs no percent-encoding, so
/// none is decoded, and what git gets to see is what Jobpass was asked about.
fn split(path: &str) -> Result<(&str, &str), Refusal> {
    let parts = path.strip_prefix('/').and_then(|path| path.rsplit_once(".git/"));
    let (project, request) = parts.ok_or_else(|| Refusal::not_found("repositories are at /group/project.git"))?;
    if project.split('/').all(is_segment) {
        Ok((project, request))
    } else {
        Err(Refusal::bad_request("that is no project's path"))
    }
}

fn is_segment(segment: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-');
    segment.chars().all(plain) && segment.starts_with(|c: char| c.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(method: &str, uri: &str) -> Option<String> {
        let ask = ask(&method.parse().unwrap(), &uri.parse().unwrap()).ok()?;
        Some(format!("{} {}", ask.permissions().join(" "), ask.project()))
    }

    #[test]
    fn what_git_sends() {
        for (method, uri, means) in [
            ("GET", "/acme/lib.git/info/refs?service=git-upload-pack", "repositories:read acme/lib"),
            ("POST", "/acme/lib.git/git-upload-pack", "repositories:read acme/lib"),
            ("GET", "/acme/lib.git/info/refs?service=git-receive-pack", "repositories:update acme/lib"),
            ("POST", "/a/b/c-d.e.git/git-receive-pack", "repositories:update a/b/c-d.e"),
        ] {
            assert_eq!(asked(method, uri).as_deref(), Some(means), "{uri}");
        }
    }

    #[test]
    fn what_git_does_not_send() {
        for (method, uri) in [
            ("GET", "/"),
            ("GET", "/acme/lib.git"),
            ("GET", "/acme/lib.git/HEAD"),
            ("GET", "/acme/lib.git/info/refs"),
            ("POST", "/acme/lib.git/info/refs?service=git-upload-pack"),
            ("GET", "/acme/lib.git/git-upload-pack"),
            ("GET", "/acme/lib.git/info/refs?service=git-upload-pack&service=git-receive-pack"),
            ("POST", "/acme/lib.git/git-upload-pack?service=git-receive-pack"),
            ("POST", "/acme/lib.git/git-upload-pack/"),
            ("POST", "/acme/../lib.git/git-upload-pack"),
            ("POST", "/acme/%2e%2e/lib.git/git-upload-pack"),
            ("POST", "/acme%2Flib.git/git-upload-pack"),
            ("POST", "//acme/lib.git/git-upload-pack"),
            ("POST", "/acme//lib.git/git-upload-pack"),
            ("POST", "/.git/git-upload-pack"),
            ("POST", "/Acme/lib.git/git-upload-pack"),
            ("POST", "/acme/lib.git/../web.git/git-upload-pack"),
        ] {
            assert_eq!(asked(method, uri), None, "{method} {uri}");
        }
    }
}
