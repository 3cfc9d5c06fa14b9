//! The listener with a certificate of its own: what it speaks, how it follows its files, and whom it does not wait for.

use crate::support::process::{PATIENCE, Process, failed, jobpass};
use crate::support::tls::{Certificate, Files, connect};
use crate::support::{Reply, Server, World, http_client, send, test_db};
use rustls::ALL_VERSIONS;
use rustls::pki_types::CertificateDer;
use rustls::version::{TLS12, TLS13};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A server that speaks TLS, and a client that trusts its certificate.
async fn server(certificate: &Certificate) -> (Server, Files) {
    let files = Files::with(certificate);
    let mut server = Server::start_with(|settings| files.set(settings)).await;
    server.http = certificate.client();
    (server, files)
}

/// `jobpass serve` with these files, before it is started.
fn serve(files: &Files, database: &str) -> Command {
    let mut command = jobpass();
    command.args(["serve", "--listen", "127.0.0.1:0"]).env("DATABASE_URL", database);
    command.arg("--tls-cert-file").arg(&files.cert).arg("--tls-key-file").arg(&files.key);
    command
}

fn address(process: &Process) -> SocketAddr {
    process.url.strip_prefix("https://").expect("it listens with TLS").parse().unwrap()
}

/// The certificate that is shown to a new connection.
async fn shown(addr: SocketAddr, trusted: &[&Certificate]) -> CertificateDer<'static> {
    let stream = connect(addr, trusted, ALL_VERSIONS, &[]).await.unwrap();
    stream.get_ref().1.peer_certificates().unwrap()[0].clone()
}

async fn until_shown(addr: SocketAddr, new: &Certificate, trusted: &[&Certificate]) {
    let seen = async { while shown(addr, trusted).await != new.der {} };
    timeout(PATIENCE, seen).await.expect("the files are followed");
}

async fn healthy(stream: &mut (impl AsyncReadExt + AsyncWriteExt + Unpin)) {
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut status = [0; 12];
    stream.read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 200");
    // The rest of the answer is whatever has come with it.
    let _ = stream.read(&mut [0; 4096]).await.unwrap();
}

// ── What it speaks ───────────────────────────────────────────────────────────────────────────────────

#[tokio::test]
async fn rfc6749_3_2_the_token_endpoint_speaks_tls() {
    let certificate = Certificate::new();
    let (server, _files) = server(&certificate).await;
    let world = World::on(server).await;
    let form = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("subject_token", &world.token("1").await),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:access_token"),
    ];
    let narrowed = world.server.form("/oauth/token", None, &form).await.expect(200).text_at("/access_token");
    assert!(world.is_active(&narrowed).await);
}

#[tokio::test]
async fn rfc8414_2_with_tls_the_issuer_is_https_by_itself() {
    let (server, _files) = server(&Certificate::new()).await;
    let metadata = server.call("GET", "/.well-known/oauth-authorization-server", None, None).await.expect(200);
    assert_eq!(metadata.json["issuer"], format!("https://{}", server.running.addr));
    assert_eq!(metadata.json["token_endpoint"], format!("https://{}/oauth/token", server.running.addr));
}

#[tokio::test]
async fn tls_1_2_and_1_3_are_spoken_with_http_2_and_1_1() {
    let certificate = Certificate::new();
    let (server, _files) = server(&certificate).await;
    for version in [&TLS12, &TLS13] {
        for (offered, chosen) in [(&["h2", "http/1.1"][..], "h2"), (&["http/1.1"][..], "http/1.1")] {
            let stream = connect(server.running.addr, &[&certificate], &[version], offered).await.unwrap();
            let connection = stream.get_ref().1;
            assert_eq!(connection.protocol_version(), Some(version.version));
            assert_eq!(connection.alpn_protocol(), Some(chosen.as_bytes()));
        }
    }
}

#[tokio::test]
async fn plain_http_is_not_spoken_beside_it() {
    let (server, _files) = server(&Certificate::new()).await;
    let plain = http_client().get(format!("http://{}/healthz", server.running.addr)).send().await;
    assert!(plain.is_err(), "{plain:?}");
}

#[tokio::test]
async fn the_command_line_reaches_it_where_its_certificate_is_trusted() {
    let (server, files) = server(&Certificate::new()).await;
    let export = async |trusted: &Path| {
        let mut command = tokio::process::Command::from(jobpass());
        command.arg("export").env("JOBPASS_URL", &server.url).env("JOBPASS_TOKEN", &server.admin);
        command.env("SSL_CERT_FILE", trusted).output().await.unwrap()
    };
    let output = export(&files.cert).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let other = Files::with(&Certificate::new());
    assert_eq!(export(&other.cert).await.status.code(), Some(1));
}

#[tokio::test]
async fn the_address_of_the_client_is_known_through_tls() {
    let (server, _files) = server(&Certificate::new()).await;
    let guess = async || server.get("/v1/catalogue", "jpu_guess").await;
    let limited = async {
        loop {
            let Reply { status, .. } = guess().await;
            if status != 401 {
                return status;
            }
        }
    };
    assert_eq!(timeout(PATIENCE, limited).await.expect("guesses are limited by address"), 429);
}

// ── Its files ────────────────────────────────────────────────────────────────────────────────────────

#[tokio::test]
async fn new_files_are_taken_and_no_connection_is_dropped() {
    let (old, new) = (Certificate::new(), Certificate::new());
    let (server, files) = server(&old).await;
    let addr = server.running.addr;
    let mut open = connect(addr, &[&old], ALL_VERSIONS, &[]).await.unwrap();
    healthy(&mut open).await;

    std::fs::write(&files.cert, &new.cert).unwrap();
    std::fs::write(&files.key, &new.key).unwrap();
    until_shown(addr, &new, &[&old, &new]).await;
    healthy(&mut open).await;
    send(new.client().get(format!("{}/readyz", server.url))).await.expect(200);
}

#[tokio::test]
async fn half_a_pair_does_not_take_the_place_of_a_whole_one() {
    let (old, new) = (Certificate::new(), Certificate::new());
    let (files, db) = (Files::with(&old), test_db().await);
    let mut process = Process::start(&mut serve(&files, &db.url()));
    let addr = address(&process);
    let trusted = [&old, &new];

    std::fs::write(&files.cert, &new.cert).unwrap();
    assert!(process.says("stays").contains("cannot be used together"));
    assert_eq!(shown(addr, &trusted).await, old.der);
    std::fs::write(&files.key, &new.key[..new.key.len() / 2]).unwrap();
    assert!(process.says("stays").contains("no private key"));
    std::fs::remove_file(&files.cert).unwrap();
    assert!(process.says("stays").contains("cannot be read"));
    assert_eq!(shown(addr, &trusted).await, old.der);

    std::fs::write(&files.key, &new.key).unwrap();
    std::fs::write(&files.cert, &new.cert).unwrap();
    until_shown(addr, &new, &trusted).await;
    process.signal("-TERM");
    assert_eq!(process.ended(), Some(0));
}

#[tokio::test]
async fn a_certificate_out_of_its_dates_is_told_at_the_start() {
    let db = test_db().await;
    for (years, says) in [((2020, 2021), "has expired"), ((3000, 3001), "is not valid yet")] {
        let certificate = Certificate::with(|params| {
            params.not_before = rcgen::date_time_ymd(years.0, 1, 1);
            params.not_after = rcgen::date_time_ymd(years.1, 1, 1);
        });
        let mut process = Process::start(&mut serve(&Files::with(&certificate), &db.url()));
        assert!(process.before.contains(says), "{}", process.before);
        process.signal("-TERM");
        assert_eq!(process.ended(), Some(0));
    }
}

#[test]
fn files_that_cannot_be_are_told_before_anything_is_started() {
    let (one, other) = (Certificate::new(), Certificate::new());
    let starts = |files: &Files| failed(&mut serve(files, "postgres://nowhere.invalid/x"));
    let says = |cert: &str, key: &str, parts: &[&str]| {
        let files = Files::with(&one);
        std::fs::write(&files.cert, cert).unwrap();
        std::fs::write(&files.key, key).unwrap();
        let told = starts(&files);
        assert!(parts.iter().all(|part| told.contains(part)), "{told}");
        assert!(!told.contains(one.key.lines().nth(1).unwrap()), "{told}");
    };
    says(&one.cert, &other.key, &["cert.pem", "key.pem", "together"]);
    says("", &one.key, &["cert.pem", "no certificate"]);
    says(&one.key, &one.key, &["cert.pem", "no certificate"]);
    says(&one.cert, "", &["key.pem", "no private key"]);
    says(&one.cert, &one.cert, &["key.pem", "no private key"]);
    let cut = one.cert.replace("-----END", "----");
    says(&cut, &one.key, &["cert.pem", "no certificate"]);

    let mut gone = Files::with(&one);
    gone.key = Path::new("/nowhere/key.pem").to_owned();
    assert!(starts(&gone).contains("/nowhere/key.pem cannot be read"));
}

#[test]
fn one_file_without_the_other_is_told() {
    for flag in ["--tls-cert-file", "--tls-key-file"] {
        let told = failed(jobpass().args(["serve", "--listen", "127.0.0.1:0", flag, "/x.pem"]));
        assert!(told.contains("--tls-cert-file and --tls-key-file go together"), "{told}");
    }
}

// ── Whom it does not wait for ────────────────────────────────────────────────────────────────────────

#[tokio::test]
async fn a_silent_handshake_keeps_nobody_waiting_and_is_given_up() {
    let certificate = Certificate::new();
    let (server, _files) = server(&certificate).await;
    let addr = server.running.addr;
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(TcpStream::connect(addr).await.unwrap());
    }
    // The beginning of a ClientHello, and then nothing.
    silent[0].write_all(&[22, 3, 1, 2, 0, 1, 0]).await.unwrap();
    for _ in 0..5 {
        send(certificate.client().get(format!("{}/healthz", server.url))).await.expect(200);
    }
    for mut stream in silent {
        let closed = timeout(PATIENCE, stream.read(&mut [0; 1])).await.expect("it is given up");
        assert!(matches!(closed, Ok(0) | Err(_)), "{closed:?}");
    }
}

#[tokio::test]
async fn a_connection_without_a_request_is_given_up() {
    let certificate = Certificate::new();
    let (server, _files) = server(&certificate).await;
    let mut stream = connect(server.running.addr, &[&certificate], ALL_VERSIONS, &["http/1.1"]).await.unwrap();
    stream.write_all(b"GET /hea").await.unwrap();
    let closed = timeout(PATIENCE, stream.read(&mut [0; 1])).await.expect("it is given up");
    assert!(matches!(closed, Ok(0) | Err(_)), "{closed:?}");
}

#[tokio::test]
async fn a_stop_waits_for_no_idle_connection_and_no_handshake() {
    let certificate = Certificate::new();
    let (server, _files) = server(&certificate).await;
    let addr = server.running.addr;
    let _silent = TcpStream::connect(addr).await.unwrap();
    let mut idle = connect(addr, &[&certificate], ALL_VERSIONS, &["http/1.1"]).await.unwrap();
    healthy(&mut idle).await;
    // Far less than requests under way are given.
    timeout(std::time::Duration::from_secs(8), server.running.stop()).await.expect("it stops at once");
    assert!(TcpStream::connect(addr).await.is_err());
}
