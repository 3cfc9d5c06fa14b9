//! The private Postgres that Jobpass runs for itself when it is given none: a supervised child on a Unix socket, durable,
//! unprivileged. Start is: lock, prepare, spawn, wait for an answer. Migrations and pools are not here.

mod account;
mod binaries;
mod cluster;
mod error;
mod folder;
mod postmaster;
mod socket;
mod supervise;
#[cfg(test)]
mod tests;

use account::Account;
use binaries::Binaries;
use folder::{Folder, Lock};
use postmaster::{PidFile, Postmaster};
use socket::SocketFolder;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{ConnectOptions, PgConnection};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub use error::EmbeddedError;

const ROLE: &str = "jobpass";
const DATABASE: &str = "jobpass";
/// Generous, because an unclean end of a busy server is followed by recovery before the first answer.
const READY_WITHIN: Duration = Duration::from_mins(2);
const READY_POLL: Duration = Duration::from_millis(10);
/// Postgres logs each refusal, and a long recovery must not bury the log under them.
const SLOWEST_READY_POLL: Duration = Duration::from_millis(500);

/// A Postgres that lives as long as this value: dropping it begins the shutdown, [`Embedded::stop`] also waits for its end.
#[derive(Debug)]
pub struct Embedded {
    options: PgConnectOptions,
    stop: oneshot::Sender<()>,
    supervisor: JoinHandle<()>,
}

impl Embedded {
    /// Takes the data folder for this process, makes a cluster in it if there is none, and returns once Postgres answers.
    pub async fn start(data_dir: &Path) -> Result<Embedded, EmbeddedError> {
        let server = Server::prepare(data_dir, &binaries::places()).await?;
        let mut postmaster = server.spawn()?;
        server.answer(&mut postmaster).await?;
        let options = server.options(DATABASE);
        let (stop, stopped) = oneshot::channel();
        let supervisor = tokio::spawn(supervise::supervise(server, postmaster, stopped));
        Ok(Embedded { options, stop, supervisor })
    }

    pub fn connect_options(&self) -> PgConnectOptions {
        self.options.clone()
    }

    /// Ends Postgres, which drops its connections, and frees the data folder.
    pub async fn stop(self) {
        drop(self.stop);
        if let Err(error) = self.supervisor.await {
            tracing::error!(%error, "the supervisor of PostgreSQL ended badly");
        }
    }
}

/// How to reach the Postgres of a server that is running on `data_dir`; `None` if there is no such server.
pub fn running(data_dir: &Path) -> Result<Option<PgConnectOptions>, EmbeddedError> {
    let Some(folder) = Folder::existing(data_dir)? else {
        return Ok(None);
    };
    if !folder.is_locked()? {
        return Ok(None);
    }
    match PidFile::read(&folder.pgdata())? {
        Some(pid_file) => Ok(Some(options(&pid_file.socket_folder, DATABASE))),
        None => Err(EmbeddedError::Starting { folder: folder.path }),
    }
}

/// `/var/lib/jobpass` for root, and the XDG data folder for everybody else.
pub fn default_data_dir() -> Result<PathBuf, EmbeddedError> {
    if account::is_root() {
        return Ok(PathBuf::from("/var/lib/jobpass"));
    }
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_DATA_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/share")))
        .map(|data| data.join("jobpass"))
        .ok_or(EmbeddedError::NoHome)
}

fn options(socket_folder: &Path, database: &str) -> PgConnectOptions {
    PgConnectOptions::new_without_pgpass()
        .socket(socket_folder)
        .port(socket::PORT)
        .username(ROLE)
        .database(database)
        .ssl_mode(PgSslMode::Disable)
}

/// All that is needed to spawn Postgres, now and again. The order of the fields is the order of clearing up.
#[derive(Debug)]
struct Server {
    socket: SocketFolder,
    account: Account,
    binaries: Binaries,
    folder: Folder,
    _lock: Lock,
}

impl Server {
    async fn prepare(data_dir: &Path, places: &[PathBuf]) -> Result<Server, EmbeddedError> {
        let folder = Folder::create(data_dir)?;
        let lock = folder.lock().await?;
        folder.sweep_unfinished();
        let account = Account::of_cluster(&folder.pgdata())?;
        account.must_reach(&folder.path)?;
        let data_major = cluster::major(&folder)?;
        let binaries = Binaries::find(places, &account, &folder, data_major)?;
        if data_major.is_none() {
            cluster::init(&folder, &binaries, &account).await?;
        }
        postmaster::end_orphan(&folder.pgdata()).await?;
        cluster::write_access_rules(&folder, &account)?;
        let socket = SocketFolder::create(&account)?;
        Ok(Server { socket, account, binaries, folder, _lock: lock })
    }

    fn spawn(&self) -> Result<Postmaster, EmbeddedError> {
        Postmaster::spawn(&self.binaries, &self.account, &self.folder, &self.socket)
    }

    fn options(&self, database: &str) -> PgConnectOptions {
        options(self.socket.path(), database)
    }

    /// Waits for the first answer, and makes the database if this is the first start.
    async fn answer(&self, postmaster: &mut Postmaster) -> Result<(), EmbeddedError> {
        let options = self.options("postgres");
        let connected = tokio::select! {
            connected = tokio::time::timeout(READY_WITHIN, connect(&options)) => connected,
            _ = postmaster.wait() => return Err(EmbeddedError::died(postmaster.log_tail(), &self.folder.path)),
        };
        let Ok(connection) = connected else {
            return Err(EmbeddedError::NotReady { seconds: READY_WITHIN.as_secs(), log: postmaster.log_tail() });
        };
        cluster::ensure_database(connection?).await
    }
}

async fn connect(options: &PgConnectOptions) -> Result<PgConnection, EmbeddedError> {
    let mut pause = READY_POLL;
    loop {
        match options.connect().await {
            Ok(connection) => return Ok(connection),
            Err(error) if is_starting(&error) => tokio::time::sleep(pause).await,
            Err(error) => return Err(EmbeddedError::Database(error)),
        }
        pause = (pause * 5 / 4).min(SLOWEST_READY_POLL);
    }
}

/// There is no socket yet, or Postgres says that it is still recovering (`cannot_connect_now`).
fn is_starting(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) => true,
        sqlx::Error::Database(refusal) => refusal.code().is_some_and(|code| code == "57P03"),
        _ => false,
    }
}
