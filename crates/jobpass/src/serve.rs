//! The running server: started, and stopped in the reverse order.

use crate::database::Opened;
use crate::tls::Tls;
use crate::{Failure, Settings, encryption_key, telemetry};
use axum::Router;
use axum_server::Handle;
use axum_server::accept::NoDelayAcceptor;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use jobpass_app::{App, Clock, IssuerSettings, Refusal};
use jobpass_http::{Config, Server};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How long requests under way may take to end once the server stops.
const DRAIN: Duration = Duration::from_secs(10);
/// How long a client may take over the handshake of TLS, and again over the head of its first request.
const HELLO: Duration = Duration::from_secs(10);
/// How long a connection of HTTP/1.1 may wait for the head of a further request. Longer than proxies keep one, so that
/// it is they who close it, and not we while they send.
const IDLE: Duration = Duration::from_secs(75);
/// How often a silent client of HTTP/2 is asked whether it is still there, and how long it may take to say so.
const PING: Duration = Duration::from_secs(30);

/// A server that answers. Dropped without [`Running::stop`], it ends with its runtime.
#[derive(Debug)]
pub struct Running {
    pub addr: SocketAddr,
    /// `https://` or `http://`, and the address.
    pub url: String,
    pub app: Arc<App>,
    opened: Opened,
    handle: Handle<SocketAddr>,
    server: JoinHandle<()>,
    stop_tasks: watch::Sender<()>,
    tasks: JoinHandle<()>,
}

/// Starts everything, and answers once requests are answered.
pub async fn start(settings: Settings, clock: Clock) -> Result<Running, Failure> {
    settings.check()?;
    // Once before anything counts, so that nothing is missed.
    telemetry::metrics();
    let issuers = settings.issuers.for_app()?;
    let tls = settings.tls.pair()?.map(|pair| Tls::load(pair, &clock)).transpose()?;
    // First, so that a taken port is told before anything is started.
    let listener = TcpListener::bind(settings.listen)
        .await
        .map_err(|source| Failure::Listen { address: settings.listen, source })?;
    let addr = listener.local_addr()?;
    let opened = Opened::for_server(&settings.database).await?;
    let app = match prepare(&settings, issuers, &opened, clock.clone()).await {
        Ok(app) => Arc::new(app),
        Err(failure) => {
            opened.close().await;
            return Err(failure);
        }
    };
    let proxies = settings.proxies.for_http();
    let url = format!("{}://{addr}", if tls.is_some() { "https" } else { "http" });
    let issuer = settings.issuer.unwrap_or_else(|| url.clone());
    let config = Config { issuer, metrics: telemetry::metrics, proxies };
    let router = jobpass_http::router(Arc::new(Server::new(Arc::clone(&app), config)));
    let handle = Handle::new();
    let server = tokio::spawn(serve(listener, tls.as_ref().map(Tls::config), router, handle.clone()));
    let tended = Arc::clone(&app);
    let (stop_tasks, stopped) = watch::channel(());
    let tasks = tokio::spawn(async move {
        let followed = async {
            if let Some(tls) = tls {
                tls.follow(clock, stopped.clone()).await;
            }
        };
        tokio::join!(tended.tend(stopped.clone()), followed);
    });
    tracing::info!("listening on {url}");
    Ok(Running { addr, url, app, opened, handle, server, stop_tasks, tasks })
}

async fn prepare(settings: &Settings, issuers: IssuerSettings, opened: &Opened, clock: Clock) -> Result<App, Failure> {
    let key = encryption_key::find(&settings.keys, &settings.database, &opened.db).await?;
    let app = App::new(opened.db.clone(), clock, settings.for_app(key, issuers));
    app.prepare().await.map_err(|refusal| match refusal {
        Refusal::Unavailable(text) | Refusal::Internal(text) => Failure::Database(text),
        other => Failure::Database(format!("{other:?}")),
    })?;
    Ok(app)
}

/// One way for both: what is bounded without TLS is bounded with it.
async fn serve(listener: TcpListener, tls: Option<RustlsConfig>, router: Router, handle: Handle<SocketAddr>) {
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let mut server = axum_server::Server::from_listener(listener)
        .handle(handle)
        .first_request_timeout(HELLO)
        .accept_error_handler(not_accepted)
        .acceptor(NoDelayAcceptor);
    server.http_builder().http1().header_read_timeout(IDLE);
    server.http_builder().http2().keep_alive_interval(PING).keep_alive_timeout(PING);
    let served = match tls {
        Some(config) => {
            let tls = RustlsAcceptor::new(config).handshake_timeout(HELLO).acceptor(NoDelayAcceptor);
            server.acceptor(tls).serve(service).await
        }
        None => server.serve(service).await,
    };
    if let Err(error) = served {
        tracing::error!(%error, "the listener ended");
    }
}

/// A handshake that fails is its client's affair; a connection that cannot be had at all is ours.
fn not_accepted(client: Option<&SocketAddr>, error: &std::io::Error) {
    if let Some(client) = client {
        tracing::debug!(%client, %error, "no TLS with this client");
    } else {
        tracing::warn!(%error, "a connection could not be accepted");
    }
}

impl Running {
    /// Takes no more requests, lets those under way end, then stops the database if it is our own.
    pub async fn stop(self) {
        let Running { app, opened, handle, mut server, stop_tasks, mut tasks, .. } = self;
        handle.graceful_shutdown(Some(DRAIN));
        app.end_streams();
        // It keeps to that by itself; here only whatever might not.
        if tokio::time::timeout(DRAIN + Duration::from_secs(1), &mut server).await.is_err() {
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
