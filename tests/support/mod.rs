//! A server of its own for each test, on a database of its own and a clock that moves only by hand.

mod exchange;
pub(crate) mod feed;
pub(crate) mod issuer;
pub(crate) mod process;
pub(crate) mod signer;
pub(crate) mod tls;
mod wire;
mod world;

pub(crate) use exchange::exchange;
pub(crate) use wire::Wire;
pub(crate) use world::{World, merge};

use jobpass::{Clock, Running, Settings};
use jobpass_persistence::test_db::TestDb;
use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::Value;
use sqlx::{Connection as _, PgConnection};
use std::sync::Arc;
use time::OffsetDateTime;
use time::macros::datetime;

/// When every test begins.
pub(crate) const START: OffsetDateTime = datetime!(2026-11-23 10:00 UTC);

/// So that no test writes one of its own.
pub(crate) const ENCRYPTION_KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

pub(crate) struct Server {
    pub(crate) url: String,
    pub(crate) clock: Clock,
    pub(crate) http: reqwest::Client,
    /// An administrator's API token.
    pub(crate) admin: String,
    pub(crate) running: Running,
    pub(crate) db: Arc<TestDb>,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
    /// Null where the body is no JSON.
    pub(crate) json: Value,
}

impl Reply {
    /// The answer, if it has this status; a readable panic if not.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Reply {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }

    /// A problem document with this status and code, whole in every respect.
    #[track_caller]
    pub(crate) fn refused(self, status: u16, code: &str) -> Reply {
        let reply = self.expect(status);
        assert_eq!(reply.json["code"], code, "{}", reply.text);
        assert_eq!(reply.header("content-type"), "application/problem+json");
        assert_eq!(reply.json["status"], status);
        assert_eq!(reply.json["type"], format!("urn:jobpass:problem:{code}"));
        assert_eq!(reply.json["request_id"], reply.header("x-request-id"));
        reply
    }

    /// A 422 that names this field, and no other, with this fault.
    #[track_caller]
    pub(crate) fn invalid(self, pointer: &str, fault: &str) -> Reply {
        let reply = self.refused(422, "invalid");
        let faults = reply.json["errors"].as_array().unwrap();
        let faults: Vec<_> = faults.iter().map(|one| (one["pointer"].as_str(), one["code"].as_str())).collect();
        assert_eq!(faults, [(Some(pointer), Some(fault))], "{}", reply.text);
        reply
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// A text at a JSON pointer.
    #[track_caller]
    pub(crate) fn text_at(&self, pointer: &str) -> String {
        let value = self.json.pointer(pointer).and_then(Value::as_str);
        value.unwrap_or_else(|| panic!("no text at {pointer}: {}", self.text)).to_owned()
    }
}

/// The URL of the throw-away server that `scripts/with-postgres.sh` starts.
pub(crate) fn test_server_url() -> String {
    std::env::var("JOBPASS_TEST_DATABASE_URL")
        .expect("no JOBPASS_TEST_DATABASE_URL: run the tests by `make test`, or `scripts/with-postgres.sh cargo test`")
}

pub(crate) async fn test_db() -> TestDb {
    TestDb::create(&test_server_url()).await.unwrap()
}

/// Settings as the command line would make them, for a database by URL and a free port.
pub(crate) fn settings(database_url: String) -> Settings {
    use clap::Parser;
    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        settings: Settings,
    }
    let mut settings =
        Line::parse_from(["test", "--listen", "127.0.0.1:0", "--db-connections", "4", "--key", ENCRYPTION_KEY])
            .settings;
    settings.database.database_url = Some(database_url);
    settings
}

/// A client that follows nothing and knows no proxy.
pub(crate) fn http_client() -> reqwest::Client {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap()
}

impl Server {
    pub(crate) async fn start() -> Server {
        Server::start_with(|_| {}).await
    }

    pub(crate) async fn start_with(change: impl FnOnce(&mut Settings)) -> Server {
        let db = test_db().await;
        Server::start_on(db, change).await
    }

    /// On a database that is there already, as a second replica or after a stop.
    pub(crate) async fn start_on(db: TestDb, change: impl FnOnce(&mut Settings)) -> Server {
        Server::start_at(Arc::new(db), Clock::manual(START), change).await
    }

    async fn start_at(db: Arc<TestDb>, clock: Clock, change: impl FnOnce(&mut Settings)) -> Server {
        let mut settings = settings(db.url());
        change(&mut settings);
        let running = jobpass::start(settings, clock.clone()).await.unwrap();
        let admin = running.app.bootstrap_admin().await.unwrap().expose().to_owned();
        Server { url: running.url.clone(), clock, http: http_client(), admin, running, db }
    }

    /// A second replica.
    pub(crate) async fn beside(other: &Server) -> Server {
        Server::beside_with(other, |_| {}).await
    }

    /// A second replica with settings of its own.
    pub(crate) async fn beside_with(other: &Server, change: impl FnOnce(&mut Settings)) -> Server {
        Server::start_at(Arc::clone(&other.db), other.clock.clone(), change).await
    }

    /// A whole sweep, by a replica that starts. The last thing that a sweep forgets is what was changed long ago, so it is known to
    /// be over when this mark is gone.
    pub(crate) async fn sweep(&self) {
        let mut sql = self.sql().await;
        let mark = "insert into changes (number, mark, kind, at) values (-1, gen_random_uuid(), 'everything', 'epoch')";
        sqlx::query(mark).execute(&mut sql).await.unwrap();
        let is_over = "select not exists (select from changes where number = -1)";
        loop {
            // One that finds another at it leaves the work to that one, which may have begun before.
            let replica = Server::beside(self).await;
            for _ in 0..1000 {
                if sqlx::query_scalar(is_over).fetch_one(&mut sql).await.unwrap() {
                    replica.running.stop().await;
                    return;
                }
            }
            replica.running.stop().await;
        }
    }

    /// Stopped cleanly, and started again, on another port.
    pub(crate) async fn restart(self) -> Server {
        self.running.stop().await;
        Server::start_at(self.db, self.clock, |_| {}).await
    }

    /// The same, where it was.
    pub(crate) async fn restart_in_place(self) -> Server {
        let address = self.running.addr;
        self.running.stop().await;
        Server::start_at(self.db, self.clock, |settings| settings.listen = address).await
    }

    /// One request; `body`: JSON.
    pub(crate) async fn call(&self, method: &str, path: &str, token: Option<&str>, body: Option<Value>) -> Reply {
        self.call_with(method, path, token, body, &[]).await
    }

    pub(crate) async fn call_with(
        &self,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: Option<Value>,
        headers: &[(&str, &str)],
    ) -> Reply {
        let mut request =
            self.http.request(Method::from_bytes(method.as_bytes()).unwrap(), format!("{}{path}", self.url));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        send(request).await
    }

    pub(crate) async fn get(&self, path: &str, token: &str) -> Reply {
        self.call("GET", path, Some(token), None).await
    }

    pub(crate) async fn post(&self, path: &str, token: &str, body: Value) -> Reply {
        self.call("POST", path, Some(token), Some(body)).await
    }

    pub(crate) async fn patch(&self, path: &str, token: &str, body: Value) -> Reply {
        self.call("PATCH", path, Some(token), Some(body)).await
    }

    pub(crate) async fn put(&self, path: &str, token: &str, body: Value) -> Reply {
        self.call("PUT", path, Some(token), Some(body)).await
    }

    pub(crate) async fn delete(&self, path: &str, token: &str) -> Reply {
        self.call("DELETE", path, Some(token), None).await
    }

    /// A form, as OAuth clients send it; `client`: id and secret for Basic.
    pub(crate) async fn form(&self, path: &str, client: Option<(&str, &str)>, form: &[(&str, &str)]) -> Reply {
        let mut request = self.http.post(format!("{}{path}", self.url)).form(form);
        if let Some((id, secret)) = client {
            request = request.basic_auth(id, Some(secret));
        }
        send(request).await
    }

    /// A connection to the server's database, for what only the database can show.
    pub(crate) async fn sql(&self) -> PgConnection {
        PgConnection::connect_with(&self.db.options()).await.unwrap()
    }
}

pub(crate) async fn send(request: reqwest::RequestBuilder) -> Reply {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let text = response.text().await.unwrap();
    let json = serde_json::from_str(&text).unwrap_or(Value::Null);
    Reply { status, headers, text, json }
}
