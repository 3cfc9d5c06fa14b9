//! A Git server over HTTP whose only rule about jobs is the SDK's layer: reading a repository needs
//! `repositories:read` on the project of that path, pushing to it `repositories:update`.
#![expect(clippy::print_stdout, reason = "the address that was bound is for whoever started this")]

mod backend;
mod route;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use backend::Backend;
use clap::Parser;
use jobpass_client::layer::RequirePermission;
use jobpass_client::{Client, ResourceService, Secret};
use std::error::Error;
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

const SECRET: &str = "JOBPASS_CLIENT_SECRET";

/// Serves Git repositories to jobs. The client secret is taken from `JOBPASS_CLIENT_SECRET`.
#[derive(Debug, Parser)]
#[command(version)]
struct Settings {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, env = "GIT_SERVER_LISTEN", default_value = "127.0.0.1:8788")]
    listen: SocketAddr,
    /// The folder of the repositories: acme/lib is served from acme/lib.git below it.
    #[arg(long, env = "GIT_SERVER_ROOT")]
    root: PathBuf,
    /// Where Jobpass answers.
    #[arg(long, env = "JOBPASS_URL", default_value = "http://127.0.0.1:8787")]
    jobpass_url: String,
    /// The service that this server is, as registered with Jobpass.
    #[arg(long, env = "JOBPASS_CLIENT_ID")]
    client_id: String,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let settings = Settings::parse();
    let colour = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(colour).init();
    let secret = std::env::var(SECRET).map_err(|_| format!("{SECRET} is not set"))?;
    let client = Client::builder(settings.jobpass_url).build()?;
    let service = client.service(&settings.client_id, Secret::new(secret))?;
    let app = app(Backend::find(settings.root).await?, service);

    let listener = TcpListener::bind(settings.listen).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app).with_graceful_shutdown(told_to_stop()).await?;
    Ok(())
}

fn app(backend: Backend, service: ResourceService) -> Router {
    let guard = RequirePermission::by_rule(service, |parts| route::ask(&parts.method, &parts.uri)).realm("Git");
    Router::new().fallback(serve).with_state(Arc::new(backend)).layer(guard)
}

async fn serve(State(backend): State<Arc<Backend>>, request: Request) -> Response {
    match backend.run(request).await {
        Ok(response) => response,
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "git could not be run\n").into_response(),
    }
}

async fn told_to_stop() {
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use axum::http::header::WWW_AUTHENTICATE;
    use tower::ServiceExt;

    /// Shaped as a client secret is, and known to no Jobpass.
    const NOBODYS: &str = "jps_00000000000000000000000000000000000nobodys03hCoQ2";

    async fn send(request: axum::http::request::Builder) -> Response {
        // Nobody listens there.
        let client = Client::builder("http://127.0.0.1:1").build().unwrap();
        let service = client.service("abc", Secret::new(NOBODYS.into())).unwrap();
        let backend = Backend::find(std::env::temp_dir()).await.unwrap();
        app(backend, service).oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
    }

    #[tokio::test]
    async fn nothing_is_served_without_a_decision() {
        let clone = || Request::get("/acme/lib.git/info/refs?service=git-upload-pack");
        let challenged = send(clone()).await;
        assert_eq!(challenged.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(challenged.headers()[WWW_AUTHENTICATE], "Basic realm=\"Git\"");
        let unanswered = send(clone().header("authorization", "Bearer jpj_any")).await;
        assert_eq!(unanswered.status(), StatusCode::SERVICE_UNAVAILABLE);
        let other = Request::get("/acme/lib.git/HEAD").header("authorization", "Bearer jpj_any");
        assert_eq!(send(other).await.status(), StatusCode::FORBIDDEN);
    }
}
