//! The binary as people start it: settings, signals, kills, and the PostgreSQL of its own.

use crate::support::process::{PATIENCE, Process, failed, jobpass};
use crate::support::{http_client, send, test_db};
use jobpass_persistence::test_db::TestDb;
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// A folder that the unprivileged user of PostgreSQL can reach.
fn data_dir() -> TempDir {
    let folder = tempfile::Builder::new().prefix("jp").tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

fn embedded(folder: &Path) -> Process {
    Process::start(jobpass().args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(folder))
}

fn admin_token(folder: &Path) -> String {
    let output = jobpass().args(["bootstrap-admin", "--data-dir"]).arg(folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().count(), 1, "nothing but the token: {text}");
    assert!(text.starts_with("jpu_") && text.trim_end().len() == 53, "{text}");
    text.trim_end().to_owned()
}

async fn create_group(server: &Process, token: &str, path: &str) -> u16 {
    let request = http_client().post(format!("{}/v1/groups", server.url)).bearer_auth(token);
    send(request.json(&json!({ "path": path }))).await.status
}

async fn read_group(server: &Process, token: &str, path: &str) -> u16 {
    send(http_client().get(format!("{}/v1/groups/{path}", server.url)).bearer_auth(token)).await.status
}

fn postmaster(folder: &Path) -> Option<i32> {
    let file = std::fs::read_to_string(folder.join("pgdata/postmaster.pid")).ok()?;
    file.lines().next()?.trim().parse().ok()
}

/// A zombie that nobody reaps is not running.
fn is_running(pid: i32) -> bool {
    let state = Command::new("ps").args(["-o", "state=", "-p", &pid.to_string()]).output().unwrap();
    let state = String::from_utf8(state.stdout).unwrap();
    !state.trim().is_empty() && !state.trim().starts_with('Z')
}

#[tokio::test]
async fn a_server_of_its_own_survives_kill_9() {
    let folder = data_dir();
    let mut first = embedded(folder.path());
    let token = admin_token(folder.path());
    assert_eq!(create_group(&first, &token, "acme").await, 201);
    let orphan = postmaster(folder.path()).unwrap();
    first.signal("-KILL");
    first.ended();

    let mut second = embedded(folder.path());
    assert_eq!(read_group(&second, &token, "acme").await, 200, "nothing is lost");
    assert_ne!(postmaster(folder.path()), Some(orphan));
    assert_eq!(second.status("/readyz").await, 200);

    let ours = postmaster(folder.path()).unwrap();
    second.signal("-TERM");
    assert_eq!(second.ended(), Some(0));
    assert!(!is_running(ours) && !is_running(orphan), "no PostgreSQL is left running");
}

#[tokio::test]
async fn bootstrap_admin_works_before_the_first_start() {
    let folder = data_dir();
    let token = admin_token(folder.path());
    let mut server = embedded(folder.path());
    assert_eq!(create_group(&server, &token, "acme").await, 201);
    let further = admin_token(folder.path());
    assert_ne!(further, token);
    assert_eq!(read_group(&server, &further, "acme").await, 200);
    server.signal("-INT");
    assert_eq!(server.ended(), Some(0));
}

#[tokio::test]
async fn a_folder_is_one_servers() {
    let folder = data_dir();
    let mut server = embedded(folder.path());
    let refused = failed(jobpass().args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(folder.path()));
    assert!(refused.contains("another jobpass"), "{refused}");
    server.signal("-TERM");
    server.ended();
}

#[tokio::test]
async fn a_database_by_url() {
    let db = test_db().await;
    let mut server = Process::start(jobpass().args(["serve", "--listen", "127.0.0.1:0"]).env("DATABASE_URL", db.url()));
    let output = jobpass().arg("bootstrap-admin").env("DATABASE_URL", db.url()).output().unwrap();
    let token = String::from_utf8(output.stdout).unwrap();
    assert_eq!(create_group(&server, token.trim_end(), "acme").await, 201);
    server.signal("-TERM");
    assert_eq!(server.ended(), Some(0));
}

#[tokio::test]
async fn no_token_is_logged_wherever_it_stands() {
    let db = test_db().await;
    let serve = ["serve", "--listen", "127.0.0.1:0", "--log", "debug"];
    let server = Process::start(jobpass().args(serve).env("DATABASE_URL", db.url()));
    let secret = "Yv3fQ0mKx7";
    let tokens = ["jpj", "jpr", "jps", "jpu"].map(|kind| format!("{kind}_{}", secret.repeat(5)));
    for token in &tokens {
        for path in [format!("/v1/jobs/{token}/finish"), format!("/v1/projects/{token}"), format!("/x/a{token}%2Fb")] {
            assert!([401, 404, 405].contains(&server.status(&path).await), "{path}");
        }
        assert_eq!(server.status(&format!("/v1/projects/{}", token.replace('_', "%5F"))).await, 401);
    }
    let log = server.stopped();
    assert!(log.contains("/v1/projects/jpj_[hidden]"), "{log}");
    assert!(!log.contains(secret), "{log}");
}

#[tokio::test]
async fn a_taken_port_is_told() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let told =
        failed(jobpass().args(["serve", "--listen", &address]).env("DATABASE_URL", "postgres://nowhere.invalid/x"));
    assert!(told.contains(&address) && told.contains("--listen"), "{told}");
}

/// The first line that a server which finds no database says about it.
fn waiting(url: &str) -> String {
    let mut command = jobpass();
    command.args(["serve", "--listen", "127.0.0.1:0"]).env("DATABASE_URL", url);
    let mut child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let log = BufReader::new(child.stderr.take().unwrap());
    let line = log.lines().map_while(Result::ok).find(|line| line.contains("database")).unwrap_or_default();
    child.kill().unwrap();
    child.wait().unwrap();
    line
}

#[test]
fn a_database_that_cannot_be_reached_is_told_by_where_and_why() {
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let told = waiting(&format!("postgres://jobpass:hunter2@127.0.0.1:{port}/jobpass"));
    assert!(told.contains(&format!("127.0.0.1:{port}")) && told.contains("refused"), "{told}");
    assert!(!told.contains("hunter2"), "{told}");
    let told = waiting("postgres://jobpass:hunter2@nowhere.invalid/jobpass");
    assert!(told.contains("nowhere.invalid:5432") && !told.contains("hunter2"), "{told}");
    let told = waiting("postgres://jobpass:hunter2@localhost/jobpass?host=/nowhere");
    assert!(told.contains("/nowhere") && !told.contains("hunter2"), "{told}");
}

#[test]
fn plain_http_stays_on_loopback() {
    let told = failed(jobpass().args(["serve", "--listen", "0.0.0.0:0"]));
    assert!(told.contains("--tls-cert-file") && told.contains("--behind-tls-proxy"), "{told}");
}

#[test]
fn settings_that_cannot_be() {
    for (flag, value, says) in [
        ("--issuer", "ftp://x", "--issuer"),
        ("--issuer", "https://x/", "trailing slash"),
        ("--max-job-timeout-secs", "604801", "604800"),
        ("--max-job-timeout-secs", "0", "604800"),
        ("--trusted-proxies", "10.0.0.0/33", "network"),
        ("--trusted-proxies", "10.0.0.1,::/0", "trust everybody"),
        ("--client-address-header", "x-real-ip", "forwarded"),
        ("--database-url", "mysql://x", "DATABASE_URL"),
    ] {
        let told = failed(jobpass().args(["serve", "--listen", "127.0.0.1:0", flag, value]));
        assert!(told.contains(says), "{flag} {value}: {told}");
    }
}

#[test]
fn openapi_prints_the_document() {
    let output = jobpass().arg("openapi").output().unwrap();
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["info"]["title"], "Jobpass");
}

/// A library that a job uses, behind a server in a process of its own.
struct Used {
    server: Process,
    token: String,
    service: (String, String),
}

impl Used {
    async fn start(db: &TestDb) -> Used {
        let with_db = |command: &mut Command| command.env("DATABASE_URL", db.url()).output().unwrap();
        let server = Process::start(jobpass().args(["serve", "--listen", "127.0.0.1:0"]).env("DATABASE_URL", db.url()));
        let admin = with_db(jobpass().arg("bootstrap-admin")).stdout;
        let admin = String::from_utf8(admin).unwrap().trim().to_owned();
        let post = async |path: &str, by: &str, body: Value| {
            let request = http_client().post(format!("{}{path}", server.url)).bearer_auth(by).json(&body);
            send(request).await.expect(201).json
        };
        post("/v1/groups", &admin, json!({ "path": "acme" })).await;
        post("/v1/projects", &admin, json!({ "path": "acme/web" })).await;
        let runner = post("/v1/runners", &admin, json!({ "name": "r" })).await;
        let service = post("/v1/services", &admin, json!({ "name": "s" })).await;
        let text = |value: &Value, name: &str| value[name].as_str().unwrap().to_owned();
        let job = json!({ "project": "acme/web", "job": { "key": "j", "name": "j", "timeout_secs": 600 },
            "pipeline": { "key": "p", "ref": "topic", "ref_type": "branch", "sha": "c0ffee", "trigger": "push" } });
        let minted = post("/v1/job-tokens", &text(&runner, "token"), job).await;
        let service = (text(&service, "client_id"), text(&service, "client_secret"));
        Used { token: text(&minted, "token"), service, server }
    }

    async fn uses(&self, times: usize) {
        let http = http_client();
        let body = json!({ "token": self.token, "project": "acme/web", "permissions": ["packages:read"] });
        for _ in 0..times {
            let request = http.post(format!("{}/v1/authorize", self.server.url));
            send(request.basic_auth(&self.service.0, Some(&self.service.1)).json(&body)).await.expect(200);
        }
    }
}

async fn counted(db: &TestDb) -> i64 {
    let mut sql = PgConnection::connect_with(&db.options()).await.unwrap();
    sqlx::query_scalar("select coalesce(sum(count), 0)::bigint from usage").fetch_one(&mut sql).await.unwrap()
}

#[tokio::test]
async fn a_server_that_is_told_to_stop_writes_what_it_counted() {
    let db = test_db().await;
    let mut used = Used::start(&db).await;
    used.uses(40).await;
    used.server.signal("-TERM");
    assert_eq!(used.server.ended(), Some(0));
    assert_eq!(counted(&db).await, 40);
}

#[tokio::test]
async fn what_was_written_before_a_kill_stays() {
    let db = test_db().await;
    let mut used = Used::start(&db).await;
    used.uses(40).await;
    // By itself, within a second or so: nobody asks for it.
    let written = async { while counted(&db).await < 40 {} };
    tokio::time::timeout(PATIENCE, written).await.expect("usage is written once a second");
    used.server.signal("-KILL");
    assert_eq!(used.server.ended(), None);
    assert_eq!(counted(&db).await, 40);
}

#[tokio::test]
async fn keys_are_looked_at_and_replaced_from_the_command_line() {
    let server = crate::support::Server::start().await;
    let run = |arguments: &[&str]| {
        let mut command = jobpass();
        command.arg("keys").args(arguments).env("JOBPASS_URL", &server.url).env("JOBPASS_TOKEN", &server.admin);
        tokio::task::spawn_blocking(move || command.output().unwrap())
    };
    let lines = |output: std::process::Output| {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let listed = lines(run(&["list"]).await.unwrap());
    assert_eq!(listed.len(), 3);
    assert!(listed.iter().all(|line| line.ends_with("signs since 2026-11-23T10:00:00Z")), "{listed:?}");
    let rotated = lines(run(&["rotate", "--algorithm", "EdDSA", "--reason", "drill"]).await.unwrap());
    let waiting: Vec<_> = rotated.iter().filter(|line| line.ends_with("signs from 2026-11-23T12:00:00Z on")).collect();
    assert_eq!((rotated.len(), waiting.len()), (4, 1), "{rotated:?}");
    let kid = waiting[0].split_whitespace().next().unwrap();
    let revoked = lines(run(&["revoke", kid]).await.unwrap());
    assert!(revoked.iter().any(|line| line.starts_with(kid) && line.contains("revoked at")), "{revoked:?}");
    let replaced = lines(run(&["replace-authority", "--reason", "leaked"]).await.unwrap());
    let pem = server.call("GET", "/oauth/registry-authority.pem", None, None).await.expect(200).text;
    assert_eq!(replaced, pem.lines().collect::<Vec<_>>(), "what every registry is given is all that is printed");
    let unknown = run(&["revoke", "no-such-key"]).await.unwrap();
    assert_eq!(unknown.status.code(), Some(1));
    assert_eq!(
        String::from_utf8(unknown.stderr).unwrap(),
        "jobpass: there is no key no-such-key, or it is hidden from you\n"
    );
}
