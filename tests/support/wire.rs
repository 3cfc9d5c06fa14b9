//! A wire of a test's own: between a server and its database, or between a client and a server.

use super::{Server, test_db};
use jobpass::Settings;
use sqlx::postgres::PgConnectOptions;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, split};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// To be cut by a test, or to pass nothing for a while.
pub(crate) struct Wire {
    port: u16,
    control: Control,
    pump: JoinHandle<()>,
}

#[derive(Clone)]
struct Control {
    /// Whether nothing passes; who connects is accepted all the same.
    stuck: watch::Sender<bool>,
    /// How many times whatever was connected was broken off.
    breaks: watch::Sender<u64>,
    /// How many questions of a service have passed.
    questions: Arc<AtomicU64>,
}

#[derive(Clone)]
enum Far {
    Socket(PathBuf),
    Address(SocketAddr),
}

impl Wire {
    /// A server on a database of its own, and the wire between the two.
    pub(crate) async fn before_a_server() -> (Server, Wire) {
        Wire::before_a_server_with(|_| {}).await
    }

    pub(crate) async fn before_a_server_with(change: impl FnOnce(&mut Settings)) -> (Server, Wire) {
        let db = test_db().await;
        let options = db.options();
        let wire = Wire::to(Far::Socket(socket(&options))).await;
        let (user, database) = (options.get_username(), options.get_database().unwrap());
        let url = format!("postgres://{user}@127.0.0.1:{}/{database}", wire.port);
        let change = |settings: &mut Settings| {
            settings.database.database_url = Some(url);
            change(settings);
        };
        (Server::start_on(db, change).await, wire)
    }

    /// For a client of this server.
    pub(crate) async fn to_server(server: &Server) -> Wire {
        Wire::to(Far::Address(server.running.addr)).await
    }

    async fn to(far: Far) -> Wire {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let control =
            Control { stuck: watch::Sender::new(false), breaks: watch::Sender::new(0), questions: Arc::default() };
        let pump = tokio::spawn(accept(listener, far, control.clone()));
        Wire { port, control, pump }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn questions(&self) -> u64 {
        self.control.questions.load(Ordering::SeqCst)
    }

    /// Passes nothing from now on, and breaks nothing off.
    pub(crate) fn get_stuck(&self) {
        self.control.stuck.send_replace(true);
    }

    pub(crate) fn go_on(&self) {
        self.control.stuck.send_replace(false);
    }

    /// Breaks off all that is connected; whoever comes then is let through.
    pub(crate) fn break_off(&self) {
        self.control.breaks.send_modify(|breaks| *breaks += 1);
    }

    pub(crate) async fn cut(self) {
        self.pump.abort();
        let _ = self.pump.await;
    }
}

fn socket(database: &PgConnectOptions) -> PathBuf {
    let folder = database.get_socket().map_or_else(|| PathBuf::from(database.get_host()), PathBuf::clone);
    folder.join(format!(".s.PGSQL.{}", database.get_port()))
}

async fn accept(listener: TcpListener, far: Far, control: Control) {
    // Dropped with the task, and every connection with it.
    let mut connections = JoinSet::new();
    loop {
        let (near, _) = listener.accept().await.unwrap();
        let (far, control) = (far.clone(), control.clone());
        connections.spawn(async move {
            match far {
                // Whoever is not there is not reached: the connection breaks.
                Far::Socket(path) => join(near, UnixStream::connect(path).await.ok()?, control).await,
                Far::Address(address) => join(near, TcpStream::connect(address).await.ok()?, control).await,
            }
            Some(())
        });
    }
}

async fn join(near: TcpStream, far: impl AsyncRead + AsyncWrite, control: Control) {
    near.set_nodelay(true).unwrap();
    let (near_read, near_write) = split(near);
    let (far_read, far_write) = split(far);
    let (stuck, mut breaks) = (control.stuck.subscribe(), control.breaks.subscribe());
    let answers = AtomicU64::new(0);
    tokio::select! {
        () = pass(near_read, far_write, stuck.clone(), &control.questions) => {}
        () = pass(far_read, near_write, stuck, &answers) => {}
        _ = breaks.changed() => {}
    }
}

/// Until the end of what there is to read.
async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut stuck: watch::Receiver<bool>,
    questions: &AtomicU64,
) {
    let mut some = vec![0; 1 << 16];
    while let Ok(length @ 1..) = from.read(&mut some).await {
        if stuck.wait_for(|stuck| !stuck).await.is_err() {
            return;
        }
        if some.starts_with(b"POST /v1/authorize") {
            questions.fetch_add(1, Ordering::SeqCst);
        }
        if to.write_all(&some[..length]).await.is_err() {
            return;
        }
    }
}
