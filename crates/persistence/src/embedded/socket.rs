//! The folder of Postgres's socket: new at each start and short, because a data folder may lie too deep for a socket's path.

use super::account::Account;
use super::error::EmbeddedError;
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// Only a part of the socket's name: nothing listens on a port.
pub(super) const PORT: u16 = 5432;
const PREFIX: &str = "jobpass-";
/// What fits into `sun_path` on Linux and on macOS, without the closing zero.
const LONGEST_SOCKET_PATH: usize = 103;
const NAMES: u32 = 100;

#[derive(Debug)]
pub(super) struct SocketFolder(PathBuf);

impl SocketFolder {
    pub(super) fn create(account: &Account) -> Result<SocketFolder, EmbeddedError> {
        let parent = std::env::temp_dir();
        let path = new_folder(&parent).map_err(|source| EmbeddedError::Socket { parent, source })?;
        let folder = SocketFolder(path);
        let socket = folder.0.join(socket_name());
        if socket.as_os_str().len() > LONGEST_SOCKET_PATH {
            return Err(EmbeddedError::SocketPath { path: socket });
        }
        account.own(&folder.0)?;
        account.must_reach(&folder.0)?;
        Ok(folder)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for SocketFolder {
    fn drop(&mut self) {
        remove(&self.0);
    }
}

/// The process id and a count make the name likely to be free; `mkdir` makes it certain, other people's links included.
fn new_folder(parent: &Path) -> io::Result<PathBuf> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    for _ in 0..NAMES {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = parent.join(format!("{PREFIX}{}-{number}", std::process::id()));
        match DirBuilder::new().mode(0o711).create(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
            Ok(()) => {
                fs::set_permissions(&path, Permissions::from_mode(0o711))?;
                return Ok(path);
            }
        }
    }
    Err(io::Error::new(io::ErrorKind::AlreadyExists, "all names are taken"))
}

/// Clears up after a killed server, if `folder` is still its own: names come back when process ids do.
pub(super) fn remove_abandoned(folder: &Path, pgdata: &Path) {
    let is_named_so = folder.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(PREFIX.as_bytes()));
    let lock = fs::read_to_string(folder.join(lock_name())).unwrap_or_default();
    // The second line is the folder of the Postgres that made the lock.
    let is_anothers = lock.lines().nth(1).is_some_and(|owner| Path::new(owner) != pgdata);
    if is_named_so && !is_anothers {
        remove(folder);
    }
}

/// Never anything but the two known files. What cannot be removed is left to whoever cleans the temporary folder.
fn remove(folder: &Path) {
    let _ = fs::remove_file(folder.join(socket_name()));
    let _ = fs::remove_file(folder.join(lock_name()));
    let _ = fs::remove_dir(folder);
}

fn lock_name() -> String {
    format!("{}.lock", socket_name())
}

fn socket_name() -> String {
    format!(".s.PGSQL.{PORT}")
}
