//! The running server: started, and stopped in the reverse order.

use crate::database::Opened;
use crate::{Failure, Settings, telemetry};
use axum::Router;
use jobpass_app::{App, Clock};
use jobpass_http::{Config, Server};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
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
    stop_tasks: watch::Sender<()>,
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
    let app = Arc::new(App::new(opened.db.clone(), clock, settings.for_app()));
    if let Err(refusal) = app.prepare().await {
        opened.close().await;
        return Err(Failure::Database(format!("{refusal:?}")));
    }
    let issuer = settings.issuer.unwrap_or_else(|| format!("http://{addr}"));
    // Once before anything counts, so that nothing is missed.
    telemetry::metrics();
    let config = Config { issuer, metrics: telemetry::metrics };
    let router = jobpass_http::router(Arc::new(Server::new(Arc::clone(&app), config)));
    let (stop, stopped) = oneshot::channel();
    let server = tokio::spawn(serve(listener, router, stopped));
    let tended = Arc::clone(&app);
    let (stop_tasks, stopped) = watch::channel(());
    let tasks = tokio::spawn(async move { tended.tend(stopped).await });
    tracing::info!("listening on http://{addr}");
    Ok(Running { addr, app, opened, stop, server, stop_tasks, tasks })
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
        let Running { app, opened, stop, mut server, stop_tasks, mut tasks, .. } = self;
        let _ = stop.send(());
        if tokio::time::timeout(DRAIN, &mut server).await.is_err() {
            server.abort();
        }
        drop(stop_tasks);
        if tokio::time::timeout(DRAIN, &mut tasks).await.is_err() {
            tasks.abort();
        }
        // Once nothing counts any more, what was counted is written.
        app.close().await;
        opened.close().await;
        tracing::info!("stopped");
    }
}
