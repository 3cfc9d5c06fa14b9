//! The running server: started, and stopped in the reverse order.

use crate::database::Opened;
use crate::{Failure, Settings, encryption_key, telemetry};
use axum::Router;
use jobpass_app::{App, Clock, Refusal};
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
    let app = match prepare(&settings, &opened, clock).await {
        Ok(app) => Arc::new(app),
        Err(failure) => {
            opened.close().await;
            return Err(failure);
        }
    };
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

async fn prepare(settings: &Settings, opened: &Opened, clock: Clock) -> Result<App, Failure> {
    let key = encryption_key::find(&settings.keys, &settings.database, &opened.db).await?;
    let app = App::new(opened.db.clone(), clock, settings.for_app(key));
    app.prepare().await.map_err(|refusal| match refusal {
        Refusal::Unavailable(text) | Refusal::Internal(text) => Failure::Database(text),
        other => Failure::Database(format!("{other:?}")),
    })?;
    Ok(app)
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
