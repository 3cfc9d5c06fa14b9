//! The data folder: what lies where in it, and the lock that a server holds on it for life. Postgres's own folder lies inside;
//! everything beside it belongs to Jobpass, so that root never writes where Postgres's user could have put a link.

use super::error::EmbeddedError;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

const UNFINISHED: &str = "pgdata.new-";
const LOCK_TRIES: u32 = 10;
const LOCK_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_LOG: u64 = 10 * 1024 * 1024;

#[derive(Debug)]
pub(super) struct Folder {
    /// Absolute and without links: it is compared with what a running Postgres says of itself.
    pub(super) path: PathBuf,
}

/// Free again when this value, or the process, ends.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Folder {
    pub(super) fn create(path: &Path) -> Result<Folder, EmbeddedError> {
        if !path.is_dir() {
            DirBuilder::new().recursive(true).mode(0o711).create(path).map_err(EmbeddedError::at(path))?;
            // Again, because the mode of a new folder is cut by the umask.
            fs::set_permissions(path, Permissions::from_mode(0o711)).map_err(EmbeddedError::at(path))?;
        }
        Ok(Folder { path: path.canonicalize().map_err(EmbeddedError::at(path))? })
    }

    pub(super) fn existing(path: &Path) -> Result<Option<Folder>, EmbeddedError> {
        match path.canonicalize() {
            Ok(path) => Ok(Some(Folder { path })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(EmbeddedError::at(path)(error)),
        }
    }

    pub(super) fn pgdata(&self) -> PathBuf {
        self.path.join("pgdata")
    }

    /// Where initdb works. It gets its right name when complete, so that an interrupted initdb leaves nothing in the way; and
    /// the name is this process's own, because the initdb of a killed server works on for a while.
    pub(super) fn unfinished_pgdata(&self) -> PathBuf {
        self.path.join(format!("{UNFINISHED}{}", std::process::id()))
    }

    /// What cannot be removed, because an initdb is still at it, is left to the next start.
    pub(super) fn sweep_unfinished(&self) {
        let entries = fs::read_dir(&self.path).into_iter().flatten().flatten();
        for entry in entries.filter(|entry| entry.file_name().as_encoded_bytes().starts_with(UNFINISHED.as_bytes())) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }

    pub(super) fn hba(&self) -> PathBuf {
        self.path.join("pg_hba.conf")
    }

    pub(super) fn ident(&self) -> PathBuf {
        self.path.join("pg_ident.conf")
    }

    pub(super) fn log(&self) -> PathBuf {
        self.path.join("postgres.log")
    }

    fn lock_file(&self) -> PathBuf {
        self.path.join("jobpass.lock")
    }

    /// Tries for half a second: a server that is just ending, or an instant of [`Folder::is_locked`], is no reason to refuse.
    pub(super) async fn lock(&self) -> Result<Lock, EmbeddedError> {
        let path = self.lock_file();
        let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o644).open(&path);
        let mut file = open.map_err(EmbeddedError::at(&path))?;
        for _ in 0..LOCK_TRIES {
            if try_lock(&file, FlockOperation::NonBlockingLockExclusive).map_err(EmbeddedError::at(&path))? {
                note_pid(&mut file).map_err(EmbeddedError::at(&path))?;
                return Ok(Lock { _file: file });
            }
            tokio::time::sleep(LOCK_PAUSE).await;
        }
        let pid = fs::read_to_string(&path).unwrap_or_default().trim().to_owned();
        Err(EmbeddedError::InUse { folder: self.path.clone(), pid })
    }

    pub(super) fn is_locked(&self) -> Result<bool, EmbeddedError> {
        let path = self.lock_file();
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(EmbeddedError::at(&path)(error)),
        };
        let free = try_lock(&file, FlockOperation::NonBlockingLockShared).map_err(EmbeddedError::at(&path))?;
        Ok(!free)
    }

    /// Postgres's log, opened for appending, and its length so far; it starts afresh when it has grown too long.
    pub(super) fn open_log(&self) -> Result<(File, u64), EmbeddedError> {
        let path = self.log();
        let open = || {
            let file = OpenOptions::new().append(true).create(true).mode(0o600).open(&path)?;
            if file.metadata()?.len() > LONGEST_LOG {
                file.set_len(0)?;
            }
            let length = file.metadata()?.len();
            Ok((file, length))
        };
        open().map_err(EmbeddedError::at(&path))
    }
}

fn try_lock(file: &File, operation: FlockOperation) -> io::Result<bool> {
    match flock(file, operation) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Only for the message of whoever comes second; the lock itself needs no content.
fn note_pid(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    writeln!(file, "{}", std::process::id())
}
