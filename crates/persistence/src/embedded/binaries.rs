//! Where Postgres's programs are. Distributions keep them off the `PATH`, one folder for each major version.

use super::account::Account;
use super::error::{EmbeddedError, OLDEST};
use super::folder::Folder;
use std::path::{Path, PathBuf};
use std::process::Command;

#[derive(Debug)]
pub(super) struct Binaries {
    folder: PathBuf,
    major: u32,
}

impl Binaries {
    /// The first in `places` that can read data of `data_major`, or, when there is no data yet, that is new enough.
    pub(super) fn find(
        places: &[PathBuf],
        account: &Account,
        folder: &Folder,
        data_major: Option<u32>,
    ) -> Result<Binaries, EmbeddedError> {
        let mut newest = None;
        for found in places.iter().filter_map(|place| Binaries::at(place, account)) {
            if data_major.is_none_or(|major| major == found.major) {
                return Ok(found);
            }
            newest = newest.max(Some(found.major));
        }
        let folder = folder.path.clone();
        match (newest, data_major) {
            (Some(newest), Some(data)) if data > newest => Err(EmbeddedError::NewerData { folder, data, newest }),
            (Some(newest), Some(data)) => Err(EmbeddedError::OlderData { folder, data, newest }),
            _ => Err(EmbeddedError::NoBinaries { looked: places.to_vec() }),
        }
    }

    /// Runs as `account`, so that programs it cannot execute count as absent.
    fn at(place: &Path, account: &Account) -> Option<Binaries> {
        let binaries = Binaries { folder: place.into(), major: 0 };
        if !binaries.initdb().is_file() || !binaries.postgres().is_file() {
            return None;
        }
        let output = account.command(&binaries.postgres()).arg("--version").output().ok()?;
        let major = major_in(&String::from_utf8_lossy(&output.stdout)).filter(|major| *major >= OLDEST)?;
        Some(Binaries { major, ..binaries })
    }

    pub(super) fn initdb(&self) -> PathBuf {
        self.folder.join("initdb")
    }

    pub(super) fn postgres(&self) -> PathBuf {
        self.folder.join("postgres")
    }
}

/// All folders to look in, the likeliest first.
pub(super) fn places() -> Vec<PathBuf> {
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    let mut places: Vec<PathBuf> = std::env::split_paths(&on_path).filter(|place| place.is_absolute()).collect();
    places.extend(pg_config());
    places.extend(versioned("/usr/lib/postgresql", ""));
    places.extend(versioned("/usr", "pgsql-"));
    places.extend(versioned("/opt/homebrew/opt", "postgresql@"));
    places.extend(versioned("/usr/local/opt", "postgresql@"));
    places.push(PathBuf::from("/usr/local/pgsql/bin"));
    let mut seen = std::collections::HashSet::new();
    places.retain(|place| seen.insert(place.clone()));
    places
}

fn pg_config() -> Option<PathBuf> {
    let output = Command::new("pg_config").arg("--bindir").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| PathBuf::from(text.trim()))
}

/// `parent/<prefix><version>/bin`, the newest version first; the pattern itself if there is none, to be shown in the error.
fn versioned(parent: &str, prefix: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(parent).into_iter().flatten().flatten();
    let mut found: Vec<(u32, PathBuf)> = entries
        .filter_map(|entry| {
            let version = entry.file_name().to_str()?.strip_prefix(prefix)?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .collect();
    found.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    if found.is_empty() {
        return vec![Path::new(parent).join(format!("{prefix}*/bin"))];
    }
    found.into_iter().map(|(_, place)| place).collect()
}

/// `postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)` is 15, and `18beta1` is 18.
fn major_in(version: &str) -> Option<u32> {
    let number = version.split_whitespace().nth(2)?;
    number.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn major_versions() {
        assert_eq!(major_in("postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)\n"), Some(15));
        assert_eq!(major_in("postgres (PostgreSQL) 18beta1"), Some(18));
        assert_eq!(major_in("postgres"), None);
    }
}
