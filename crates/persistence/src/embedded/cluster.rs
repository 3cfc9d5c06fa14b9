//! Postgres's own folder: making it, and who may connect. Starting and ending the server is `postmaster`.

use super::ROLE;
use super::account::Account;
use super::binaries::Binaries;
use super::error::EmbeddedError;
use super::folder::Folder;
use sqlx::{Connection, PgConnection};
use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;
use tokio::process::Command;

/// The major version that wrote the data; `None` if there is none yet.
pub(super) fn major(folder: &Folder) -> Result<Option<u32>, EmbeddedError> {
    let path = folder.pgdata().join("PG_VERSION");
    match fs::read_to_string(&path) {
        Ok(text) => text.trim().parse().map(Some).map_err(|error| EmbeddedError::at(&path)(io::Error::other(error))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(EmbeddedError::at(&path)(error)),
    }
}

pub(super) async fn init(folder: &Folder, binaries: &Binaries, account: &Account) -> Result<(), EmbeddedError> {
    let unfinished = folder.unfinished_pgdata();
    let made = DirBuilder::new().mode(0o700).create(&unfinished);
    made.map_err(EmbeddedError::at(&unfinished))?;
    account.own(&unfinished)?;
    run_initdb(&unfinished, binaries, account).await?;
    let in_place = || {
        fs::rename(&unfinished, folder.pgdata())?;
        File::open(&folder.path)?.sync_all()
    };
    in_place().map_err(EmbeddedError::at(&folder.pgdata()))
}

async fn run_initdb(pgdata: &Path, binaries: &Binaries, account: &Account) -> Result<(), EmbeddedError> {
    tracing::info!(folder = %pgdata.display(), "making a new PostgreSQL cluster");
    let program = binaries.initdb();
    let mut command = Command::from(account.command(&program));
    command.arg("-D").arg(pgdata).args(["-U", ROLE, "-A", "peer", "--locale=C", "-E", "UTF8"]).kill_on_drop(true);
    let output = command.output().await.map_err(EmbeddedError::at(&program))?;
    if output.status.success() {
        return Ok(());
    }
    Err(EmbeddedError::init(String::from_utf8_lossy(&output.stderr).trim().to_owned(), pgdata))
}

/// Peer authentication needs the names of those who may be [`ROLE`]. They are written at each start, because the next one may
/// be another user's, and outside Postgres's folder.
pub(super) fn write_access_rules(folder: &Folder, account: &Account) -> Result<(), EmbeddedError> {
    let names = [account.name.clone(), Account::current()?.name, "root".into()];
    let mut map: Vec<String> = names.iter().map(|name| format!("{ROLE} \"{name}\" {ROLE}\n")).collect();
    map.sort();
    map.dedup();
    write_readable(&folder.hba(), &format!("local all all peer map={ROLE}\n"))?;
    write_readable(&folder.ident(), &map.concat())
}

fn write_readable(path: &Path, text: &str) -> Result<(), EmbeddedError> {
    fs::write(path, text).map_err(EmbeddedError::at(path))?;
    fs::set_permissions(path, Permissions::from_mode(0o644)).map_err(EmbeddedError::at(path))
}

pub(super) async fn ensure_database(mut connection: PgConnection) -> Result<(), EmbeddedError> {
    let made = async {
        let exists: bool = sqlx::query_scalar("select exists (select from pg_database where datname = 'jobpass')")
            .fetch_one(&mut connection)
            .await?;
        if !exists {
            sqlx::query("create database jobpass").execute(&mut connection).await?;
        }
        connection.close().await
    };
    made.await.map_err(EmbeddedError::Database)
}
