//! Which operating-system user Postgres runs as: the current one, or for root, whom Postgres refuses, an unprivileged one.

use super::error::EmbeddedError;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// The environment is emptied, because it may hold the server's secrets; these are what a program needs to be found and loaded.
const KEPT_VARIABLES: [&str; 3] = ["PATH", "LD_LIBRARY_PATH", "TMPDIR"];

#[derive(Debug)]
pub(super) struct Account {
    pub(super) name: String,
    uid: u32,
    gid: u32,
}

impl Account {
    /// The owner of the cluster if there is one already: a `postgres` added to the system later must not lock `nobody`'s data.
    pub(super) fn of_cluster(pgdata: &Path) -> Result<Account, EmbeddedError> {
        if !is_root() {
            return Account::current();
        }
        match pgdata.metadata() {
            Ok(metadata) if metadata.uid() == 0 => Err(EmbeddedError::OwnedByRoot { path: pgdata.into() }),
            Ok(metadata) => Account::called(id(&["-un", &metadata.uid().to_string()]), metadata.uid(), metadata.gid()),
            Err(_) => ["postgres", "nobody"].into_iter().find_map(Account::named).ok_or(EmbeddedError::NoAccount),
        }
    }

    pub(super) fn current() -> Result<Account, EmbeddedError> {
        let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
        Account::called(id(&["-un"]), uid.as_raw(), gid.as_raw())
    }

    fn called(name: Option<String>, uid: u32, gid: u32) -> Result<Account, EmbeddedError> {
        let name = name.ok_or(EmbeddedError::Nameless { uid })?;
        Ok(Account { name, uid, gid })
    }

    fn named(name: &str) -> Option<Account> {
        let uid = id(&["-u", name])?.parse().ok()?;
        let gid = id(&["-g", name])?.parse().ok()?;
        Some(Account { name: name.into(), uid, gid })
    }

    /// `std` also drops root's supplementary groups when it changes the user.
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        let kept = KEPT_VARIABLES.iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
        command.env_clear().envs(kept).env("LC_ALL", "C").current_dir("/").stdin(Stdio::null());
        if is_root() {
            command.uid(self.uid).gid(self.gid);
        }
        command
    }

    /// Every folder on the way must let this user pass; root's own home usually does not. An ordinary user is not asked about:
    /// it came as far itself, perhaps by one of its other groups.
    pub(super) fn must_reach(&self, folder: &Path) -> Result<(), EmbeddedError> {
        if !is_root() {
            return Ok(());
        }
        for path in folder.ancestors() {
            let metadata = path.metadata().map_err(EmbeddedError::at(path))?;
            if !self.can_enter(&metadata) {
                let mode = metadata.permissions().mode() & 0o7777;
                return Err(EmbeddedError::Unreachable { account: self.name.clone(), path: path.into(), mode });
            }
        }
        Ok(())
    }

    fn can_enter(&self, metadata: &std::fs::Metadata) -> bool {
        let search_bit = if metadata.uid() == self.uid {
            0o100
        } else if metadata.gid() == self.gid {
            0o010
        } else {
            0o001
        };
        metadata.permissions().mode() & search_bit != 0
    }

    /// Gives `path` to this user; only root can and needs to.
    pub(super) fn own(&self, path: &Path) -> Result<(), EmbeddedError> {
        if !is_root() {
            return Ok(());
        }
        std::os::unix::fs::chown(path, Some(self.uid), Some(self.gid)).map_err(EmbeddedError::at(path))
    }
}

pub(super) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Asks `id`, not `/etc/passwd`: users may come from a directory service.
fn id(arguments: &[&str]) -> Option<String> {
    let output = Command::new("id").args(arguments).stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
