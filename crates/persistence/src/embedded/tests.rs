//! Against a real Postgres, as root or as an ordinary user. Waiting is polling for the state that is waited for.

use super::*;
use rustix::process::{Signal, kill_process};
use sqlx::Connection;
use std::fs::{self, DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::time::{sleep, timeout};

/// A data folder below the system's temporary folder, which Postgres's user can reach.
struct TempFolder(PathBuf);

impl TempFolder {
    fn new() -> TempFolder {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("embedded-test-{}-{number}", std::process::id()));
        DirBuilder::new().mode(0o755).create(&path).unwrap();
        TempFolder(path.canonicalize().unwrap())
    }

    /// A cluster that says it was written by `major`, without Postgres having to make it.
    fn with_data_of(major: u32) -> TempFolder {
        let folder = TempFolder::new();
        let pgdata = folder.pgdata();
        fs::create_dir(&pgdata).unwrap();
        fs::write(pgdata.join("PG_VERSION"), format!("{major}\n")).unwrap();
        if account::is_root() {
            std::os::unix::fs::chown(&pgdata, Some(65534), None).unwrap();
        }
        folder
    }

    fn pgdata(&self) -> PathBuf {
        self.0.join("pgdata")
    }

    fn pid_file(&self) -> PidFile {
        PidFile::read(&self.pgdata()).unwrap().unwrap()
    }
}

impl Drop for TempFolder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

async fn write_note(options: &PgConnectOptions) {
    let mut connection = options.connect().await.unwrap();
    sqlx::query("create table note as select 'kept' as text").execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

async fn read_note(options: &PgConnectOptions) -> Result<String, sqlx::Error> {
    let mut connection = options.connect().await?;
    sqlx::query_scalar("select text from note").fetch_one(&mut connection).await
}

async fn until_note_is_read(options: &PgConnectOptions) -> String {
    let reading = async {
        loop {
            match read_note(options).await {
                Ok(note) => return note,
                Err(_) => sleep(READY_POLL).await,
            }
        }
    };
    timeout(Duration::from_secs(30), reading).await.unwrap()
}

#[tokio::test]
async fn data_and_settings_survive_a_restart_and_nothing_stays_behind() {
    let folder = TempFolder::new();
    let first = Embedded::start(&folder.0).await.unwrap();
    write_note(&first.connect_options()).await;
    let socket_folder = folder.pid_file().socket_folder;
    first.stop().await;
    assert!(!socket_folder.exists());
    assert!(PidFile::read(&folder.pgdata()).unwrap().is_none());

    let second = Embedded::start(&folder.0).await.unwrap();
    assert_eq!(read_note(&second.connect_options()).await.unwrap(), "kept");
    let mut connection = second.connect_options().connect().await.unwrap();
    for (setting, value) in [("fsync", "on"), ("listen_addresses", ""), ("server_encoding", "UTF8")] {
        let current: String =
            sqlx::query_scalar("select current_setting($1)").bind(setting).fetch_one(&mut connection).await.unwrap();
        assert_eq!(current, value, "{setting}");
    }
    second.stop().await;
}

#[tokio::test]
async fn a_killed_postgres_is_restarted_where_it_was() {
    let folder = TempFolder::new();
    let embedded = Embedded::start(&folder.0).await.unwrap();
    write_note(&embedded.connect_options()).await;
    let killed = folder.pid_file().pid;
    kill_process(killed, Signal::KILL).unwrap();
    let restarted = async {
        while PidFile::read(&folder.pgdata()).unwrap().is_none_or(|file| file.pid == killed) {
            sleep(READY_POLL).await;
        }
    };
    timeout(Duration::from_secs(30), restarted).await.unwrap();
    assert_eq!(until_note_is_read(&embedded.connect_options()).await, "kept");
    embedded.stop().await;
}

#[tokio::test]
async fn the_orphan_of_a_killed_server_does_not_block_the_next() {
    let folder = TempFolder::new();
    let server = Server::prepare(&folder.0, &binaries::places()).await.unwrap();
    let mut postmaster = server.spawn().unwrap();
    server.answer(&mut postmaster).await.unwrap();
    write_note(&server.options(DATABASE)).await;
    let orphan = folder.pid_file();
    let Server { _lock: lock, socket, .. } = server;
    // As after kill -9: nobody waits for the process, the socket's folder stays, and the lock is free.
    std::mem::forget((postmaster, socket));
    drop(lock);

    let next = Embedded::start(&folder.0).await.unwrap();
    assert_ne!(folder.pid_file().pid, orphan.pid);
    assert!(!orphan.socket_folder.exists());
    assert_eq!(read_note(&next.connect_options()).await.unwrap(), "kept");
    next.stop().await;
}

#[tokio::test]
async fn a_pid_file_that_names_some_other_process_does_not_block() {
    let folder = TempFolder::new();
    Embedded::start(&folder.0).await.unwrap().stop().await;
    let stale = format!("{}\n{}\n0\n5432\n/nowhere\n\n", std::process::id(), folder.pgdata().display());
    fs::write(folder.pgdata().join("postmaster.pid"), stale).unwrap();
    Embedded::start(&folder.0).await.unwrap().stop().await;
}

#[tokio::test]
async fn an_interrupted_initdb_does_not_block() {
    let folder = TempFolder::new();
    let unfinished = folder.0.join("pgdata.new-1");
    fs::create_dir_all(unfinished.join("base")).unwrap();
    fs::write(unfinished.join("PG_VERSION"), "15").unwrap();
    Embedded::start(&folder.0).await.unwrap().stop().await;
    assert!(!unfinished.exists());
}

#[tokio::test]
async fn one_server_at_a_time_and_others_find_it() {
    let folder = TempFolder::new();
    assert!(running(&folder.0).unwrap().is_none());
    let embedded = Embedded::start(&folder.0).await.unwrap();
    write_note(&embedded.connect_options()).await;
    let second = Embedded::start(&folder.0).await.unwrap_err();
    assert!(matches!(&second, EmbeddedError::InUse { pid, .. } if *pid == std::process::id().to_string()), "{second}");
    let found = running(&folder.0).unwrap().unwrap();
    assert_eq!(read_note(&found).await.unwrap(), "kept");
    embedded.stop().await;
    assert!(running(&folder.0).unwrap().is_none());
}

#[tokio::test]
async fn a_dropped_value_ends_postgres_too() {
    let folder = TempFolder::new();
    let embedded = Embedded::start(&folder.0).await.unwrap();
    drop(embedded);
    let freed = async {
        while running(&folder.0).is_ok_and(|found| found.is_some()) {
            sleep(READY_POLL).await;
        }
    };
    timeout(Duration::from_secs(30), freed).await.unwrap();
    assert!(PidFile::read(&folder.pgdata()).unwrap().is_none());
}

#[tokio::test]
async fn data_of_a_newer_postgres_is_refused() {
    let folder = TempFolder::with_data_of(99);
    let error = Embedded::start(&folder.0).await.unwrap_err();
    assert!(matches!(error, EmbeddedError::NewerData { data: 99, .. }), "{error}");
}

#[tokio::test]
async fn data_of_an_older_postgres_is_refused() {
    let folder = TempFolder::with_data_of(14);
    let error = Embedded::start(&folder.0).await.unwrap_err();
    assert!(matches!(error, EmbeddedError::OlderData { data: 14, .. }), "{error}");
    assert!(error.to_string().contains("pg_upgrade"));
}

#[tokio::test]
async fn without_binaries_the_error_says_where_it_looked() {
    let folder = TempFolder::new();
    let error = Server::prepare(&folder.0, &[PathBuf::from("/nowhere/bin")]).await.unwrap_err();
    assert!(matches!(error, EmbeddedError::NoBinaries { .. }), "{error}");
    assert!(error.to_string().contains("/nowhere/bin"));
}

#[tokio::test]
async fn a_start_that_fails_shows_the_end_of_the_log() {
    let folder = TempFolder::new();
    Embedded::start(&folder.0).await.unwrap().stop().await;
    fs::write(folder.pgdata().join("postgresql.auto.conf"), "no_such_setting = 1\n").unwrap();
    let error = Embedded::start(&folder.0).await.unwrap_err();
    assert!(matches!(&error, EmbeddedError::Died { log } if log.contains("no_such_setting")), "{error}");
}

#[test]
fn a_full_disk_is_named() {
    let log = "FATAL:  could not write to file \"pg_wal/xlogtemp.1\": No space left on device".to_owned();
    assert!(matches!(EmbeddedError::died(log, Path::new("/data")), EmbeddedError::DiskFull { .. }));
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_folder_that_cannot_be_written_is_refused() {
    // Not even root can make a folder here.
    let error = Embedded::start(Path::new("/sys/kernel/jobpass")).await.unwrap_err();
    assert!(matches!(error, EmbeddedError::Denied { .. }), "{error:?}");
}

#[tokio::test]
async fn another_users_folder_is_refused() {
    let folder = TempFolder::new();
    fs::set_permissions(&folder.0, Permissions::from_mode(0o500)).unwrap();
    let error = Embedded::start(&folder.0).await.unwrap_err();
    if account::is_root() {
        assert!(matches!(error, EmbeddedError::Unreachable { .. }), "{error}");
    } else {
        assert!(matches!(error, EmbeddedError::Denied { .. }), "{error}");
    }
}
