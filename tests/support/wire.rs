//! A wire between a server and its database.

use super::{Server, test_db};
use jobpass::Settings;
use sqlx::postgres::PgConnectOptions;
use std::path::PathBuf;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, UnixStream};
use tokio::task::{JoinHandle, JoinSet};

/// To be cut by a test.
pub(crate) struct Wire {
    port: u16,
    pump: JoinHandle<()>,
}

impl Wire {
    /// A server on a database of its own, and the wire between the two.
    pub(crate) async fn before_a_server() -> (Server, Wire) {
        Wire::before_a_server_with(|_| {}).await
    }

    pub(crate) async fn before_a_server_with(change: impl FnOnce(&mut Settings)) -> (Server, Wire) {
        let db = test_db().await;
        let options = db.options();
        let wire = Wire::to(&options).await;
        let (user, database) = (options.get_username(), options.get_database().unwrap());
        let url = format!("postgres://{user}@127.0.0.1:{}/{database}", wire.port);
        let change = |settings: &mut Settings| {
            settings.database.database_url = Some(url);
            change(settings);
        };
        (Server::start_on(db, change).await, wire)
    }

    async fn to(database: &PgConnectOptions) -> Wire {
        let folder = database.get_socket().map_or_else(|| PathBuf::from(database.get_host()), PathBuf::clone);
        let socket = folder.join(format!(".s.PGSQL.{}", database.get_port()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let pump = tokio::spawn(async move {
            // Dropped with the task, and every connection with it.
            let mut connections = JoinSet::new();
            loop {
                let (mut near, _) = listener.accept().await.unwrap();
                let mut far = UnixStream::connect(&socket).await.unwrap();
                connections.spawn(async move { copy_bidirectional(&mut near, &mut far).await });
            }
        });
        Wire { port, pump }
    }

    pub(crate) async fn cut(self) {
        self.pump.abort();
        let _ = self.pump.await;
    }
}
