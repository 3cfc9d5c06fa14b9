//! The binary as people start it, in a process of its own.

use super::{http_client, send};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

const BINARY: &str = env!("CARGO_BIN_EXE_jobpass");

/// How long a server may take to come up or to end before the test gives up.
pub(crate) const PATIENCE: Duration = Duration::from_mins(2);

/// A command without whatever the test's own environment says.
pub(crate) fn jobpass() -> Command {
    let mut command = Command::new(BINARY);
    for (name, _) in std::env::vars() {
        if name.starts_with("JOBPASS_") || name == "DATABASE_URL" {
            command.env_remove(name);
        }
    }
    command
}

/// A server in a process of its own.
pub(crate) struct Process {
    child: Child,
    pub(crate) url: String,
    /// What it logged before it listened.
    pub(crate) before: String,
    /// What it logs.
    log: mpsc::Receiver<String>,
}

impl Process {
    /// Starts it, and waits for the line that says where it listens.
    #[expect(clippy::zombie_processes, reason = "whoever starts it waits for it in `ended`")]
    pub(crate) fn start(command: &mut Command) -> Process {
        let mut child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let (said, told) = mpsc::channel();
        let log = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || {
            for line in log.lines().map_while(Result::ok) {
                let _ = said.send(line);
            }
        });
        let mut seen = String::new();
        while let Ok(line) = told.recv_timeout(PATIENCE) {
            if let Some((_, address)) = line.split_once("listening on ") {
                let url = address.split_whitespace().next().unwrap().to_owned();
                return Process { child, url, before: seen, log: told };
            }
            seen.push_str(&line);
            seen.push('\n');
        }
        panic!("the server did not come up:\n{seen}");
    }

    /// The next line of the log with this text.
    pub(crate) fn says(&self, text: &str) -> String {
        let mut lines = std::iter::from_fn(|| self.log.recv_timeout(PATIENCE).ok());
        lines.find(|line| line.contains(text)).unwrap_or_else(|| panic!("never said: {text}"))
    }

    pub(crate) fn signal(&mut self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    pub(crate) fn ended(mut self) -> Option<i32> {
        let (said, told) = mpsc::channel();
        std::thread::spawn(move || said.send(self.child.wait()));
        told.recv_timeout(PATIENCE).expect("the server does not end").unwrap().code()
    }

    /// Stopped, and all that it has logged since it listened.
    pub(crate) fn stopped(mut self) -> String {
        self.signal("-TERM");
        let said: Vec<_> = self.log.iter().collect();
        self.ended();
        said.join("\n")
    }

    pub(crate) async fn status(&self, path: &str) -> u16 {
        send(http_client().get(format!("{}{path}", self.url))).await.status
    }
}

/// What a command that fails says on standard error.
pub(crate) fn failed(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    assert_eq!(status.code(), Some(1), "{}", String::from_utf8_lossy(&stderr));
    assert!(stdout.is_empty());
    String::from_utf8(stderr).unwrap()
}
