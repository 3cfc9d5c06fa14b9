//! One process of Postgres: spawning it, ending it, and ending one that an earlier, killed server left behind.

use super::account::Account;
use super::binaries::Binaries;
use super::error::EmbeddedError;
use super::folder::Folder;
use super::socket::{self, PORT, SocketFolder};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

/// Fast shutdown writes a checkpoint, which takes a while on a slow disk. After that Postgres is told to leave at once, which
/// loses nothing either but makes the next start recover.
const FAST_END_WITHIN: Duration = Duration::from_secs(30);
const IMMEDIATE_END_WITHIN: Duration = Duration::from_secs(10);
const END_POLL: Duration = Duration::from_millis(20);
const LOG_LINES_SHOWN: usize = 12;

/// Durability is stated here, so that no edit of postgresql.conf can take it away. Errors of single statements are answered to
/// the client and not logged: the log is for Postgres's own troubles, and must not grow with use.
const SETTINGS: [&str; 11] = [
    "listen_addresses=",
    "fsync=on",
    "full_page_writes=on",
    "synchronous_commit=on",
    "max_connections=60",
    "shared_buffers=32MB",
    "max_wal_size=256MB",
    "jit=off",
    "timezone=UTC",
    "log_min_messages=log",
    "log_checkpoints=off",
];

#[derive(Debug)]
pub(super) struct Postmaster {
    child: Child,
    log: PathBuf,
    log_from: u64,
}

impl Postmaster {
    pub(super) fn spawn(
        binaries: &Binaries,
        account: &Account,
        folder: &Folder,
        socket: &SocketFolder,
    ) -> Result<Postmaster, EmbeddedError> {
        let program = binaries.postgres();
        let (log, log_from) = folder.open_log()?;
        let also_log = log.try_clone().map_err(EmbeddedError::at(&program))?;
        let mut command = Command::from(account.command(&program));
        command.arg("-D").arg(folder.pgdata()).args(settings(folder, socket)).stdout(also_log).stderr(log);
        // Its own group: Ctrl-C in a terminal reaches the server only, which then ends Postgres last.
        command.process_group(0);
        let child = command.spawn().map_err(EmbeddedError::at(&program))?;
        Ok(Postmaster { child, log: folder.log(), log_from })
    }

    /// Resolves when the process has ended and is reaped; may be called again.
    pub(super) async fn wait(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    pub(super) async fn end(mut self) {
        for (signal, within) in [(Signal::INT, FAST_END_WITHIN), (Signal::QUIT, IMMEDIATE_END_WITHIN)] {
            self.signal(signal);
            if timeout(within, self.wait()).await.is_ok() {
                return;
            }
        }
        tracing::error!("PostgreSQL does not end; the next start will try again");
    }

    fn signal(&self, signal: Signal) {
        // No id means that it is reaped: the number may be another process's by now.
        if let Some(pid) = self.child.id().and_then(|id| Pid::from_raw(id.cast_signed())) {
            let _ = kill_process(pid, signal);
        }
    }

    /// The last lines that this process wrote.
    pub(super) fn log_tail(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        let from = usize::try_from(self.log_from).unwrap_or(usize::MAX);
        let text = String::from_utf8_lossy(log.get(from..).unwrap_or_default());
        let lines: Vec<&str> = text.lines().collect();
        lines.get(lines.len().saturating_sub(LOG_LINES_SHOWN)..).unwrap_or_default().join("\n")
    }
}

/// When the runtime goes down without a [`Postmaster::end`], as after a panic, Postgres is at least told.
impl Drop for Postmaster {
    fn drop(&mut self) {
        self.signal(Signal::INT);
    }
}

fn settings(folder: &Folder, socket: &SocketFolder) -> Vec<String> {
    let places = [
        format!("port={PORT}"),
        format!("unix_socket_directories={}", socket.path().display()),
        format!("hba_file={}", folder.hba().display()),
        format!("ident_file={}", folder.ident().display()),
    ];
    let fixed = SETTINGS.into_iter().map(str::to_owned);
    fixed.chain(places).flat_map(|setting| ["-c".to_owned(), setting]).collect()
}

/// What Postgres writes of itself into its folder: the process id in the first line, the socket's folder in the fifth.
#[derive(Debug)]
pub(super) struct PidFile {
    pub(super) pid: Pid,
    pub(super) socket_folder: PathBuf,
}

impl PidFile {
    /// `None` too when it is still being written.
    pub(super) fn read(pgdata: &Path) -> Result<Option<PidFile>, EmbeddedError> {
        let path = pid_file(pgdata);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(PidFile::parse(&text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(EmbeddedError::at(&path)(error)),
        }
    }

    fn parse(text: &str) -> Option<PidFile> {
        let mut lines = text.lines();
        let pid = Pid::from_raw(lines.next()?.trim().parse().ok()?)?;
        let socket_folder = PathBuf::from(lines.nth(3)?);
        Some(PidFile { pid, socket_folder })
    }
}

fn pid_file(pgdata: &Path) -> PathBuf {
    pgdata.join("postmaster.pid")
}

/// To be called with the lock held: then a Postgres on this folder can only be one whose server was killed.
pub(super) async fn end_orphan(pgdata: &Path) -> Result<(), EmbeddedError> {
    let Some(orphan) = PidFile::read(pgdata)? else {
        return Ok(());
    };
    if serves(orphan.pid, pgdata) {
        tracing::warn!(pid = orphan.pid.as_raw_nonzero(), "ending the PostgreSQL that a killed server left behind");
        end_stranger(orphan.pid, pgdata).await?;
    }
    socket::remove_abandoned(&orphan.socket_folder, pgdata);
    // The number in it may be another process's by now, and Postgres would then refuse to start.
    match fs::remove_file(pid_file(pgdata)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(EmbeddedError::at(pgdata)(error)),
        _ => Ok(()),
    }
}

async fn end_stranger(pid: Pid, pgdata: &Path) -> Result<(), EmbeddedError> {
    for (signal, within) in [(Signal::INT, FAST_END_WITHIN), (Signal::QUIT, IMMEDIATE_END_WITHIN)] {
        let _ = kill_process(pid, signal);
        let gone = async {
            while serves(pid, pgdata) {
                sleep(END_POLL).await;
            }
        };
        if timeout(within, gone).await.is_ok() {
            return Ok(());
        }
    }
    Err(EmbeddedError::OrphanStays { pid: pid.as_raw_nonzero().get() })
}

/// Whether the process is a Postgres on this folder; a zombie, which has no command line, is not.
fn serves(pid: Pid, pgdata: &Path) -> bool {
    let line = command_line(pid).unwrap_or_default();
    line.contains("postgres") && line.contains(&*pgdata.to_string_lossy())
}

/// From `/proc` where there is one: `ps` is missing from slim images.
fn command_line(pid: Pid) -> Option<String> {
    let pid = pid.as_raw_nonzero();
    if Path::new("/proc/self/cmdline").exists() {
        let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        return Some(String::from_utf8_lossy(&line).replace('\0', " "));
    }
    let output =
        std::process::Command::new("ps").args(["-ww", "-o", "command=", "-p", &pid.to_string()]).output().ok()?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pid_files() {
        let whole = "4711\n/data/pgdata\n1763884800\n5432\n/tmp/jobpass-1-0\n\n  5432001  3\nready   \n";
        let parsed = PidFile::parse(whole).unwrap();
        assert_eq!(parsed.pid.as_raw_nonzero().get(), 4711);
        assert_eq!(parsed.socket_folder, Path::new("/tmp/jobpass-1-0"));
        assert!(PidFile::parse("4711\n/data/pgdata\n").is_none());
        assert!(PidFile::parse("").is_none());
    }
}
