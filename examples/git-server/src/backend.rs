//! `git http-backend`, the CGI program that comes with git: one process for each request, its body streamed
//! in and its answer streamed out.

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::BodyExt;
use jobpass_client::api::Subject;
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{ChildStdin, ChildStdout, Command};
use tokio_util::io::ReaderStream;

const MAX_HEAD: u64 = 16 << 10;

/// Request headers that http-backend reads, and what CGI calls them.
const PASSED_ON: [(HeaderName, &str); 4] = [
    (CONTENT_TYPE, "CONTENT_TYPE"),
    (CONTENT_LENGTH, "CONTENT_LENGTH"),
    (CONTENT_ENCODING, "HTTP_CONTENT_ENCODING"),
    (HeaderName::from_static("git-protocol"), "GIT_PROTOCOL"),
];

#[derive(Debug)]
pub(crate) struct Backend {
    program: PathBuf,
    root: PathBuf,
    /// Where http-backend finds git itself.
    path: OsString,
}

impl Backend {
    pub(crate) async fn find(root: PathBuf) -> io::Result<Backend> {
        let output = Command::new("git").arg("--exec-path").output().await?;
        let folder = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
        let program = folder.join("git-http-backend");
        if !program.exists() {
            let text = format!("git has no http-backend at {}", program.display());
            return Err(io::Error::new(io::ErrorKind::NotFound, text));
        }
        let others = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths(std::iter::once(folder).chain(std::env::split_paths(&others)));
        Ok(Backend { program, root: root.canonicalize()?, path: path.map_err(io::Error::other)? })
    }

    /// The layer has decided by now; http-backend is told who it is, which is what makes it take a push.
    pub(crate) async fn run(&self, request: Request) -> io::Result<Response<Body>> {
        let (parts, body) = request.into_parts();
        let mut child = self.command(&parts).spawn()?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let (Some(stdin), Some(stdout)) = (stdin, stdout) else {
            return Err(io::Error::other("the pipes to http-backend are gone"));
        };
        // A client that goes away closes one of the pipes, and with it ends the process; each is waited for.
        tokio::spawn(pump(body, stdin));
        tokio::spawn(async move { child.wait().await });
        answer(stdout).await
    }

    fn command(&self, parts: &Parts) -> Command {
        let mut command = Command::new(&self.program);
        command.env_clear().stdin(Stdio::piped()).stdout(Stdio::piped());
        command.env("PATH", &self.path).env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_HTTP_EXPORT_ALL", "1");
        command.env("GIT_PROJECT_ROOT", &self.root).env("PATH_INFO", parts.uri.path());
        command.env("QUERY_STRING", parts.uri.query().unwrap_or_default());
        command.env("REQUEST_METHOD", parts.method.as_str());
        if let Some(subject) = parts.extensions.get::<Subject>() {
            command.env("REMOTE_USER", format!("job-{}", subject.job_id));
        }
        for (header, name) in PASSED_ON {
            if let Some(Ok(value)) = parts.headers.get(header).map(HeaderValue::to_str) {
                command.env(name, value);
            }
        }
        command
    }
}

/// When this ends, however it does, http-backend sees the end of its input.
async fn pump(mut body: Body, mut stdin: ChildStdin) -> io::Result<()> {
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.map_err(io::Error::other)?.into_data() {
            stdin.write_all(&data).await?;
        }
    }
    Ok(())
}

async fn answer(stdout: ChildStdout) -> io::Result<Response<Body>> {
    let mut stdout = BufReader::new(stdout);
    let mut head = Vec::new();
    while !head.ends_with(b"\n\r\n") && !head.ends_with(b"\n\n") {
        let room = MAX_HEAD.saturating_sub(head.len() as u64);
        if (&mut stdout).take(room).read_until(b'\n', &mut head).await? == 0 {
            return Err(io::Error::other("http-backend gave no answer"));
        }
    }
    let mut response = Response::new(Body::from_stream(ReaderStream::new(stdout)));
    read_head(&String::from_utf8_lossy(&head), &mut response);
    Ok(response)
}

/// CGI: the status is a header among the others, and 200 when absent (RFC 3875, section 6.3.3).
fn read_head(head: &str, response: &mut Response<Body>) {
    for (name, value) in head.lines().filter_map(|line| line.split_once(": ")) {
        if name.eq_ignore_ascii_case("status") {
            let code = value.split(' ').next().and_then(|code| code.parse().ok());
            *response.status_mut() = code.unwrap_or(StatusCode::BAD_GATEWAY);
        } else if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_str(value)) {
            response.headers_mut().append(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_of_a_cgi_answer() {
        let mut response = Response::new(Body::empty());
        read_head("Status: 404 Not Found\r\nContent-Type: text/plain\r\n\r\n", &mut response);
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
        assert_eq!(response.headers()[CONTENT_TYPE], "text/plain");
    }

    #[tokio::test]
    async fn a_repository_is_served() {
        let root = std::env::temp_dir().join(format!("git-server-test-{}", std::process::id()));
        let made =
            Command::new("git").args(["init", "--quiet", "--bare"]).arg(root.join("acme/lib.git")).status().await;
        assert!(made.unwrap().success());
        let backend = Backend::find(root.clone()).await.unwrap();
        let of = |uri: &str| Request::get(uri).body(Body::empty()).unwrap();
        let found = backend.run(of("/acme/lib.git/info/refs?service=git-upload-pack")).await.unwrap();
        let missing = backend.run(of("/acme/web.git/info/refs?service=git-upload-pack")).await.unwrap();
        assert_eq!((found.status(), missing.status()), (StatusCode::OK, StatusCode::NOT_FOUND));
        let body = found.into_body().collect().await.unwrap().to_bytes();
        assert!(body.starts_with(b"001e# service=git-upload-pack\n"));
        std::fs::remove_dir_all(root).unwrap();
    }
}
