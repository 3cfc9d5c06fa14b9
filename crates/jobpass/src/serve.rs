//! The running server: started, and stopped in the reverse order.

use crate::database::Opened;
use crate::{Failure, Settings};
use axum::Router;
use jobpass_app::{App, Clock};
use jobpass_http::{Config, Server};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// How long requests under way may take to end once the server stops.
const DRAIN: Duration = Duration::from_secs(10);

/// A server that answers. Dropped without [`Running::stop`], it ends with its runtime.
#[derive(Debug)]
pub struct Running {
    pub addr: SocketAddr,
    pub app: Arc<App>,
    opened: Opened,
    stop: oneshot::Sender<()>,
    server: JoinHandle<()>,
    tasks: JoinHandle<()>,
}

/// Starts everything, and answers once requests are answered.
pub async fn start(settings: Settings, clock: Clock) -> Result<Running, Failure> {
    settings.check()?;
    // First, so that a taken port is told before anything is started.
    let listener = TcpListener::bind(settings.listen)
        .await
        .map_err(|source| Failure::Listen { address: settings.listen, source })?;
    let addr = listener.local_addr()?;
    let opened = Opened::for_server(&settings.database).await?;
    let app_settings = jobpass_app::Settings { max_job_timeout: settings.max_job_timeout() };
    let app = Arc::new(App::new(opened.db.clone(), clock, app_settings));
    if let Err(refusal) = app.prepare().await {
        opened.close().await;
        return Err(Failure::Database(format!("{refusal:?}")));
    }
    let config = Config { issuer: settings.issuer.unwrap_or_else(|| format!("http://{addr}")) };
    let router = jobpass_http::router(Arc::new(Server::new(Arc::clone(&app), config)));
    let (stop, stopped) = oneshot::channel();
    let server = tokio::spawn(serve(listener, router, stopped));
    let tended = Arc::clone(&app);
    let tasks = tokio::spawn(async move { tended.tend().await });
    tracing::info!("listening on http://{addr}");
    Ok(Running { addr, app, opened, stop, server, tasks })
}

async fn serve(listener: TcpListener, router: Router, stopped: oneshot::Receiver<()>) {
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let shutdown = async move { drop(stopped.await) };
    if let Err(error) = axum::serve(listener, service).with_graceful_shutdown(shutdown).await {
        tracing::error!(%error, "the listener ended");
    }
}

impl Running {
    /// Takes no more requests, lets those under way end, then stops the database if it is our own.
    pub async fn stop(self) {
        let Running { opened, stop, mut server, tasks, .. } = self;
        let _ = stop.send(());
        if tokio::time::timeout(DRAIN, &mut server).await.is_err() {
            server.abort();
        }
        tasks.abort();
        opened.close().await;
        tracing::info!("stopped");
    }
}
