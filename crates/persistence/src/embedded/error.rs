//! Why the embedded Postgres did not start. Each message says what to do about it.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The oldest major version that Jobpass works with.
pub(super) const OLDEST: u32 = 15;

#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    #[error(
        "there is no place for the data: neither XDG_DATA_HOME nor HOME is set; set one, name a data folder, or set DATABASE_URL"
    )]
    NoHome,

    #[error(
        "no PostgreSQL {OLDEST} or newer was found; install its server (`apt-get install postgresql`, `dnf install \
         postgresql-server`, `brew install postgresql@16`) or set DATABASE_URL. Looked in: {}",
        list(.looked)
    )]
    NoBinaries { looked: Vec<PathBuf> },

    #[error(
        "the data in {} was written by PostgreSQL {data}, and the newest found here is {newest}: install PostgreSQL {data}, or \
         name another data folder",
        .folder.display()
    )]
    NewerData { folder: PathBuf, data: u32, newest: u32 },

    #[error(
        "the data in {} was written by PostgreSQL {data}, which is not installed or older than {OLDEST}: install PostgreSQL \
         {data} if it is {OLDEST} or newer, or convert the data with pg_upgrade to {newest}, which is here",
        .folder.display()
    )]
    OlderData { folder: PathBuf, data: u32, newest: u32 },

    #[error(
        "another jobpass is running on this data folder, {} (pid {pid}): stop it, or name another data folder",
        .folder.display()
    )]
    InUse { folder: PathBuf, pid: String },

    #[error("a jobpass is starting on the data folder {}: try again when it is up", .folder.display())]
    Starting { folder: PathBuf },

    #[error(
        "{} cannot be used by the user with id {user}, because {} belongs to the user with id {owner} or is read-only: run \
         jobpass as its owner, change the owner, or name another data folder",
        .path.display(), .blamed.display()
    )]
    Denied { path: PathBuf, user: u32, blamed: PathBuf, owner: u32 },

    #[error(
        "PostgreSQL runs as the user {account}, who cannot enter {} (mode {mode:04o}): allow it with `chmod o+x`, or name a data \
         folder that lies elsewhere",
        .path.display()
    )]
    Unreachable { account: String, path: PathBuf, mode: u32 },

    #[error(
        "{} belongs to root, and PostgreSQL refuses to run as root: give it to an ordinary user (`chown -R postgres`)",
        .path.display()
    )]
    OwnedByRoot { path: PathBuf },

    #[error(
        "PostgreSQL refuses to run as root, and there is neither a user postgres nor nobody: add one, or set DATABASE_URL"
    )]
    NoAccount,

    #[error(
        "the user with id {uid} has no name, and PostgreSQL needs one: add it to the password file, or set DATABASE_URL"
    )]
    Nameless { uid: u32 },

    #[error(
        "the disk that holds {} is full: free some space and start again; nothing that was saved is lost",
        .path.display()
    )]
    DiskFull { path: PathBuf },

    #[error(
        "no folder for PostgreSQL's socket could be made in {}; set TMPDIR to a writable folder with a short path: {source}",
        .parent.display()
    )]
    Socket { parent: PathBuf, source: io::Error },

    #[error(
        "the path of the socket, {}, is longer than the system allows: set TMPDIR to a folder with a short path",
        .path.display()
    )]
    SocketPath { path: PathBuf },

    #[error("initdb could not make a new database: {log}")]
    Init { log: String },

    #[error("PostgreSQL ended while it was starting. The end of its log (postgres.log in the data folder):\n{log}")]
    Died { log: String },

    #[error(
        "PostgreSQL did not answer within {seconds} s. The end of its log (postgres.log in the data folder):\n{log}"
    )]
    NotReady { seconds: u64, log: String },

    #[error(
        "an earlier PostgreSQL of this data folder (pid {pid}) does not end: end it with `kill -QUIT {pid}` and start again"
    )]
    OrphanStays { pid: i32 },

    #[error("{} could not be used: {source}", .path.display())]
    Io { path: PathBuf, source: io::Error },

    #[error("the embedded PostgreSQL does not let its own server in: {0}")]
    Database(#[source] sqlx::Error),
}

impl EmbeddedError {
    /// For `map_err`: what a failure of the file system at `path` means to whoever runs the server.
    pub(super) fn at(path: &Path) -> impl FnOnce(io::Error) -> EmbeddedError {
        move |source| match source.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => denied(path),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => EmbeddedError::DiskFull { path: path.into() },
            _ => EmbeddedError::Io { path: path.into(), source },
        }
    }

    pub(super) fn init(log: String, path: &Path) -> EmbeddedError {
        if is_disk_full(&log) { EmbeddedError::DiskFull { path: path.into() } } else { EmbeddedError::Init { log } }
    }

    pub(super) fn died(log: String, path: &Path) -> EmbeddedError {
        if is_disk_full(&log) { EmbeddedError::DiskFull { path: path.into() } } else { EmbeddedError::Died { log } }
    }
}

/// A file that cannot be made is the fault of the nearest folder that is there.
fn denied(path: &Path) -> EmbeddedError {
    let (blamed, owner) = path
        .ancestors()
        .find_map(|blamed| Some((blamed.to_path_buf(), blamed.metadata().ok()?.uid())))
        .unwrap_or_else(|| (path.to_path_buf(), 0));
    EmbeddedError::Denied { path: path.into(), user: rustix::process::geteuid().as_raw(), blamed, owner }
}

/// The programs run under `LC_ALL=C`, so that this is the one wording.
fn is_disk_full(log: &str) -> bool {
    log.contains("No space left on device") || log.contains("Disk quota exceeded")
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}
